"""PNG and BMP: grey, palette, RGB."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import check_memory, decoding
from microlith.imaging.files.inflate import PIECE, check_ratio
from microlith.imaging.formats import colours
from microlith.imaging.formats.orientation import UPRIGHT, upright
from microlith.imaging.formats.stored import StoredImage, Window, cut, parts
from microlith.imaging.formats.units import Scale, believed

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PNG = b"\x89PNG\r\n\x1a\n"
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the kind of colours in the header
WIDE = 16  # bits of a sample, of which Pillow keeps 8 unless there is one sample only
SHORTEST_BMP = 128  # a byte of run-length encoding makes fewer
ORIENTATION = 0x0112  # tag of EXIF
PALETTE_ORDERS = {"RGB": [0, 1, 2], "BGR": [2, 1, 0], "BGRX": [2, 1, 0, 3]}  # as files store a palette's colours
ONE_BIT = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)  # colours of 0 and 1


def read_picture(path: Path, where: str) -> StoredImage:
    """Open a PNG or BMP file.

    Values are grey levels, indices together with the palette (in a picture of 1 bit 0 and 1, black and white), or
    colours.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged or animated; from its layers also: its transparency varies.
    """
    from PIL import ImageMode

    wide = _wide(path, where)
    with _opened(path, where) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise InputError(f"{where}: expected one picture, got an animation of {frames}; save the wanted one alone")
        palette = ONE_BIT if picture.mode == "1" else _palette(picture) if picture.mode == "P" else None
        colour = len(picture.getbands()) > 2
        dtype = np.dtype(np.int32) if colour else np.dtype(ImageMode.getmode(picture.mode).typestr)
        dtype = np.dtype(np.uint16) if wide and not colour else np.dtype(np.uint8) if dtype.kind == "b" else dtype
        shape, across = picture.size[::-1], picture.info.get("dpi", (0, 0))
        turned = picture.getexif().get(ORIENTATION, UPRIGHT) if "exif" in picture.info else UPRIGHT
        x, y = (believed(0.0254 / float(dots)) if dots else None for dots in across)
    scale = Scale((y, x), "the file's resolution")
    layers = partial(_wide_layers if wide else _layers, path, where)
    return upright(
        StoredImage(shape, dtype, layers, scale, colour, palette, sliced=False, files=(path,), axes_named=True), turned
    )


def _layers(path: Path, where: str, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with _opened(path, where) as picture:
        _check_sums(path)
        samples = np.asarray(picture)
        if samples.dtype.kind == "b":
            samples = (samples.view(np.uint8) != 0).view(np.uint8)
        values = samples if samples.ndim == 2 else colours.from_samples(samples, where).values
    for part in parts(window, step):
        yield cut(values, part)


def _wide_layers(path: Path, where: str, window: Window, step: int) -> Iterator[NDArray[Any]]:
    """Of a PNG file of 16 bits and several samples a pixel."""
    import imagecodecs

    with decoding(where, "PNG"):
        _check_sums(path)
        values = colours.from_samples(imagecodecs.png_decode(path.read_bytes()), where).values
    for part in parts(window, step):
        yield cut(values, part)


# --- headers ---


def _wide(path: Path, where: str) -> bool:
    """Whether it is a PNG file of 16 bits with alpha or colours; refuses what so short a file can't hold."""
    with decoding(where, path.suffix[1:].upper()), path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(33)
        if head[:8] == PNG and head[12:16] == b"IHDR":
            width, height, depth, kind = struct.unpack(">IIBB", head[16:26])
            samples = PNG_SAMPLES.get(kind, 4)
            check_ratio(size, "zlib", height * -(-width * depth * samples // 8))
            check_memory(4 * width * height * samples, where)
            return depth == WIDE and samples > 1
        if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") >= 40:
            width, height, _, bits = struct.unpack("<iiHH", head[18:30])
            if abs(width * height) * max(1, bits) > 8 * SHORTEST_BMP * size:
                raise ValueError(f"{abs(width)} x {abs(height)} pixels can't come of {size} bytes")
        return False


def _check_sums(path: Path) -> None:
    """Hold the parts of a PNG file against their check sums, at which Pillow doesn't look for the pixels'."""
    with path.open("rb") as file:
        if file.read(8) != PNG:
            return
        name = b""
        while name != b"IEND":
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("it ends before its last part")
            length, name = struct.unpack(">I4s", head)
            found = _check_sum(file, length, zlib.crc32(name))
            if file.read(4) != struct.pack(">I", found):
                raise ValueError(f"its part {name!r} is not what was saved")


def _check_sum(file: BinaryIO, length: int, start: int) -> int:
    while length > 0:
        piece = file.read(min(length, PIECE))
        if not piece:
            raise ValueError("it ends within a part")
        start, length = zlib.crc32(piece, start), length - len(piece)
    return start


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
