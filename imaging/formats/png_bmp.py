"""PNG and BMP: grey, palette, RGB."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats import colours
from microlith.imaging.formats.decoding import decoding
from microlith.imaging.formats.stored import StoredImage, Window, cut, parts
from microlith.imaging.formats.units import believed

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PALETTE_ORDERS = {"RGB": [0, 1, 2], "BGR": [2, 1, 0], "BGRX": [2, 1, 0, 3]}  # as files store a palette's colours


def read_picture(path: Path, where: str) -> StoredImage:
    """Open a PNG or BMP file.

    Values are grey levels, 0 and 1 in a picture of 1 bit, palette indices together with the palette, or colours.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged or animated; from its layers also: its transparency varies.
    """
    from PIL import ImageMode

    with _opened(path, where) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise InputError(f"{where}: expected one picture, got an animation of {frames}; save the wanted one alone")
        palette = _palette(picture) if picture.mode == "P" else None
        colour = len(picture.getbands()) > 2
        dtype = np.dtype(np.int32) if colour else np.dtype(ImageMode.getmode(picture.mode).typestr)
        shape, across = picture.size[::-1], picture.info.get("dpi", (0, 0))
    x, y = (believed(0.0254 / float(dots)) if dots else None for dots in across)
    return StoredImage(shape, dtype, partial(_layers, path, where), (y, x), colour, palette, sliced=False)


def _layers(path: Path, where: str, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with _opened(path, where) as picture:
        samples = np.asarray(picture)
        values = samples if samples.ndim == 2 else colours.from_samples(samples, where).values
    for part in parts(window, step):
        yield cut(values, part)


def _palette(picture: "Picture") -> NDArray[np.uint8]:
    """Colours of all 256 indices, found without decoding the pixels where the palette is stored in a known order."""
    order, stored = picture.palette.getdata() if picture.palette is not None else ("", b"")
    if order in PALETTE_ORDERS:
        channels = PALETTE_ORDERS[order]
        found = np.frombuffer(stored, np.uint8).reshape(-1, len(channels))[:, channels[:3]]
    else:
        found = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(found)] = found
    return palette


@contextmanager
def _opened(path: Path, where: str) -> Iterator["Picture"]:
    from PIL import Image

    with decoding(where, path.suffix[1:].upper()), _any_size(), Image.open(path, formats=("PNG", "BMP")) as picture:
        yield picture


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's limit, which takes large images for attacks."""
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
