"""What reading an image ends in: its values, or the sentence that refuses it."""

from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import read_image


def outcome(path: Path | str, **options: object) -> tuple[np.ndarray | None, str]:
    """Values and an empty text, or None and the sentence."""
    try:
        return read_image(ImageSource(str(path), **options)).values, ""
    except InputError as error:
        return None, str(error)


def assert_never_filled_in(
    whole: Path, values: np.ndarray, words: tuple[str, ...], start: int = 1, step: int = 7
) -> None:
    """Cut a file short everywhere: it is refused, unless what is missing held no pixel.

    Args:
        whole: The file.
        values: That it holds.
        words: Of which each refusal has one.
        start: Bytes that are always kept.
        step: Bytes from one end to the next.
    """
    data = whole.read_bytes()
    cut = whole.with_name(f"cut{whole.suffix}")
    refused = 0
    for end in range(start, len(data), step):
        cut.write_bytes(data[:end])
        found, message = outcome(cut)
        if found is None:
            assert any(word in message for word in words), message
            refused += 1
        else:
            np.testing.assert_array_equal(found, values, err_msg=f"cut after {end} of {len(data)} bytes")
    assert refused
