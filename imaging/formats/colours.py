"""Colours as whole numbers 0xRRGGBB, one per pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import RawImage
from microlith.imaging.options import Colour
from microlith.imaging.parallel.large_arrays import row_chunks

GREY_PALETTE = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)  # of greys that answer to their colours


def pack(colour: Colour) -> int:
    """The number 0xRRGGBB of a colour."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def unpack(code: int) -> Colour:
    """The colour of a number 0xRRGGBB."""
    return code >> 16 & 255, code >> 8 & 255, code & 255


def colour_text(colour: Colour) -> str:
    """A colour as a case file may name it, and its red, green and blue, as image editors show it."""
    return f"#{pack(colour):06x} = ({', '.join(map(str, colour))})"


def from_samples(samples: NDArray[Any], where: str) -> RawImage:
    """Image from the samples of each pixel.

    Args:
        samples: (..., n), n = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        where: Head of error messages: key and file.

    Raises:
        InputError: Another number of samples, an alpha channel that is not constant, or colours of more than 8 bits.
    """
    count = samples.shape[-1]
    if count not in (1, 2, 3, 4):
        raise InputError(f"{where}: expected 1 (grey) or 3 (RGB) samples per pixel, got {count}; save the labels alone")
    if count in (2, 4):
        alpha = samples[..., -1]
        if alpha.size and (alpha != alpha.flat[0]).any():
            raise InputError(f"{where}: expected a constant alpha channel, got one that varies; save it without")
    if count < 3:
        return RawImage(samples[..., 0])
    return RawImage(_codes(samples, where), colour=True)


def _codes(samples: NDArray[Any], where: str) -> NDArray[np.int32]:
    wide = samples.dtype.itemsize > 1
    if samples.dtype.kind not in "ub":
        raise InputError(f"{where}: expected colours of 8 bits per channel, got {samples.dtype}; save it as 8-bit RGB")
    codes = np.zeros(samples.shape[:-1], np.int32)
    for channel in range(3):
        values = samples[..., channel]
        if samples.dtype.kind == "b":
            values = values * np.uint8(255)
        elif wide:
            # 8-bit colours stored in more bits are multiples of 0x0101...; anything else would lose information.
            step = np.iinfo(samples.dtype).max // 255
            if (values % step).any():
                raise InputError(f"{where}: expected colours of 8 bits, got finer ones; save it as 8-bit RGB")
            values = (values // step).astype(np.uint8)
        codes <<= 8
        codes |= values
    return codes


def as_codes(image: RawImage, where: str) -> NDArray[np.int32]:
    """The image's pixels as 0xRRGGBB, whether it has colours, a palette or 8-bit greys.

    Raises:
        InputError: Its greys have more than 8 bits.
    """
    if image.colour:
        return image.values
    values = image.values
    if image.palette is not None:
        palette = image.palette.astype(np.int32)
        table = palette[:, 0] << 16 | palette[:, 1] << 8 | palette[:, 2]
        return table[values]
    if values.dtype.kind == "b":
        return values * np.int32(0xFFFFFF)
    check_codes(values.dtype, image.colour, image.palette, where)
    return values * np.int32(0x010101)


def check_codes(dtype: np.dtype[Any], colour: bool, palette: NDArray[np.uint8] | None, where: str) -> None:
    """Make sure that as_codes can turn such pixels into colours.

    Raises:
        InputError: They are greys of more than 8 bits.
    """
    if not colour and palette is None and dtype.kind != "b" and dtype != np.uint8:
        raise InputError(f"{where}: expected colours as in the other slices, got {dtype}; save all alike")


def grey_where_possible(image: RawImage) -> RawImage:
    """A colour image whose channels are equal everywhere as a grey one; its greys go on answering to their colours."""
    if not image.colour or not is_grey(image.values):
        return image
    return RawImage(greys(image.values), image.scale, palette=GREY_PALETTE)


def is_grey(codes: NDArray[Any]) -> bool:
    """Whether the three channels of all pixels 0xRRGGBB are equal."""
    return not any((((part >> 8) ^ part) & 0xFFFF).any() for part in row_chunks(codes))


def greys(codes: NDArray[Any]) -> NDArray[np.uint8]:
    """One channel of pixels 0xRRGGBB."""
    return (codes & 255).astype(np.uint8)
