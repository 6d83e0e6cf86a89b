"""PNG and BMP: grey, palette, RGB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from microlith.meshing import colours
from microlith.meshing.decoding import decoding
from microlith.meshing.errors import InputError
from microlith.meshing.file_units import believed
from microlith.meshing.image import RawImage


def read_picture(path: Path, where: str) -> RawImage:
    """Read a PNG or BMP file.

    Values are grey levels, 0 and 1 in a picture of 1 bit, palette indices together with the palette, or colours.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, animated, or its transparency varies.
    """
    from PIL import Image

    with decoding(where, path.suffix[1:].upper()), _any_size(), Image.open(path, formats=("PNG", "BMP")) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise InputError(f"{where}: expected one picture, got an animation of {frames}; save the wanted one alone")
        values = np.asarray(picture)
        if picture.mode == "P":
            palette = np.zeros((256, 3), np.uint8)
            stored = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
            palette[: len(stored)] = stored
            image = RawImage(values, palette=palette)
        else:
            image = RawImage(values) if values.ndim == 2 else colours.from_samples(values, where)
        across = picture.info.get("dpi", (0, 0))
    x, y = (believed(0.0254 / float(dots)) if dots else None for dots in across)
    return RawImage(image.values, (y, x), image.colour, image.palette)


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's limit, which takes large images for attacks."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
