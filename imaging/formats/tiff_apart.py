"""The process that decodes TIFF pages with large decoders; see files/apart.py. Nothing else imports this."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.files.apart import Question, limit_memory, limit_time, serve
from microlith.imaging.formats.tiff import as_stored

SLOWEST = 2e6  # bytes decoded in a second of work, at worst


def answers(question: Question) -> Iterator[tuple[dict[str, Any], NDArray[Any] | None]]:
    """Layers of a file as it has them."""
    window = tuple((int(first), int(last)) for first, last in question["window"])
    try:
        image = as_stored(Path(question["path"]), question["where"])
        piece = 8 * math.prod(image.shape[1:]) * (question["step"] if image.sliced else image.shape[0])
        limit_memory(3 * piece)
        for values in image.layers(window, question["step"]):
            limit_time(piece / SLOWEST)
            yield {"shape": values.shape}, values
    except InputError as error:
        yield {"refused": str(error)}, None


if __name__ == "__main__":
    serve(answers)
