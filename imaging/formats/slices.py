"""A stack from one file per slice."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats.colours import as_codes, check_codes
from microlith.imaging.formats.decoding import check_file
from microlith.imaging.formats.png_bmp import read_picture
from microlith.imaging.formats.stored import RawImage, StoredImage, Window, lengths, parts
from microlith.imaging.formats.tiff import read_tiff

SLICE_READERS: dict[str, Callable[[Path, str], StoredImage]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": read_picture,
    ".bmp": read_picture,
}


def slices_in(folder: Path, where: str) -> list[Path]:
    """The slices in a folder, in natural order; hidden files and files of other kinds are left aside.

    Raises:
        InputError: There are none, or files of two formats.
    """
    found = [p for p in folder.iterdir() if p.suffix.lower() in SLICE_READERS and not p.name.startswith(".")]
    if not found:
        raise InputError(f"{where}: holds no {', '.join(SLICE_READERS)} files; name the folder of the slices")
    suffixes = sorted({path.suffix.lower() for path in found})
    if len({SLICE_READERS[suffix] for suffix in suffixes}) > 1 or {".png", ".bmp"} <= set(suffixes):
        kinds = " and ".join(suffixes)
        raise InputError(f'{where}: holds {kinds} files; say which, as in "{folder.name}/*{suffixes[0]}"')
    return natural_order(found)


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Paths with the numbers in them in order of size: slice2 before slice10."""

    def key(path: Path) -> tuple[list[str | int], str]:
        parts: list[str | int] = list(re.split(r"(\d+)", path.as_posix()))
        parts[1::2] = [int(number) for number in parts[1::2]]
        return parts, path.as_posix()

    return sorted(paths, key=key)


def read_slices(paths: Sequence[Path], key: str) -> StoredImage:
    """Stack slices along z, in the order given; of a window only its files are read.

    Slices may mix colours, palettes and 8-bit greys (programs that shrink PNG files change one into another); they are
    colours then.

    Args:
        paths: One file per slice, all of the same shape.
        key: Head of error messages: the key that named them.

    Raises:
        InputError: A slice can't be read, is no 2D image, or differs in shape from the first.
    """
    headers = [_header(path, f"{key}: {path}") for path in paths]
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        if header.shape != first.shape:
            raise InputError(
                f"{key}: {path}: expected {_size(first)} pixels as in {paths[0].name}, got {_size(header)}; "
                "give all slices the same size"
            )
    colour, palette, dtype = first.colour, first.palette, np.result_type(*(header.dtype for header in headers))
    if not all(_alike(first, header) for header in headers):
        for path, header in zip(paths, headers, strict=True):
            check_codes(header.dtype, header.colour, header.palette, f"{key}: {path}")
        colour, palette, dtype = True, None, np.dtype(np.int32)
    layers = partial(_layers, tuple(paths), colour, dtype, key)
    return StoredImage((len(paths), *first.shape), dtype, layers, (None, *first.voxel_size), colour, palette)


def _header(path: Path, where: str) -> StoredImage:
    check_file(path, where)
    image = SLICE_READERS[path.suffix.lower()](path, where)
    if len(image.shape) != 2:
        raise InputError(f"{where}: expected one slice, got a stack of {image.shape[0]}; name the stack alone")
    return image


def _layers(
    paths: tuple[Path, ...], colour: bool, dtype: np.dtype[Any], key: str, window: Window, step: int
) -> Iterator[NDArray[Any]]:
    for part in parts(window, step):
        values = np.empty(lengths(part), dtype)
        for layer, path in zip(values, paths[slice(*part[0])], strict=True):
            layer[...] = _slice(path, f"{key}: {path}", part[1:], colour)
        yield values


def _slice(path: Path, where: str, window: Window, colour: bool) -> NDArray[Any]:
    image = SLICE_READERS[path.suffix.lower()](path, where)
    values = next(image.layers(window, window[0][1] - window[0][0]))
    return as_codes(RawImage(values, colour=image.colour, palette=image.palette), where) if colour else values


def _alike(a: StoredImage, b: StoredImage) -> bool:
    """Whether equal values mean the same in both."""
    if a.palette is None or b.palette is None:
        return a.colour == b.colour and a.palette is b.palette
    return np.array_equal(a.palette, b.palette)


def _size(image: StoredImage) -> str:
    return " x ".join(map(str, image.shape[::-1]))
