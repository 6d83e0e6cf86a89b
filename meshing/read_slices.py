"""A stack from one file per slice."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microlith.meshing.colours import as_codes
from microlith.meshing.decoding import check_file
from microlith.meshing.errors import InputError
from microlith.meshing.image import RawImage
from microlith.meshing.read_picture import read_picture
from microlith.meshing.read_tiff import read_tiff

SLICE_READERS = {".tif": read_tiff, ".tiff": read_tiff, ".png": read_picture, ".bmp": read_picture}


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


def read_slices(paths: Sequence[Path], key: str) -> RawImage:
    """Stack slices along z, in the order given.

    Slices may mix colours, palettes and 8-bit greys (programs that shrink PNG files change one into another); they are
    colours then.

    Args:
        paths: One file per slice, all of the same shape.
        key: Head of error messages: the key that named them.

    Raises:
        InputError: A slice can't be read, is no 2D image, or differs in shape from the first.
    """
    slices = (_read_slice(path, f"{key}: {path}") for path in paths)
    first = next(slices)
    stack = RawImage(np.empty((len(paths), *first.values.shape), first.values.dtype), colour=first.colour)
    values, kept = stack.values, first
    values[0] = first.values
    for i, piece in enumerate(slices, 1):
        where = f"{key}: {paths[i]}"
        if piece.values.shape != first.values.shape:
            raise InputError(
                f"{where}: expected {_size(first)} pixels as in {paths[0].name}, got {_size(piece)}; "
                "give all slices the same size"
            )
        if not _alike(kept, piece):
            # What was read so far becomes colours, and so does all that follows.
            done = RawImage(values[:i], colour=kept.colour, palette=kept.palette)
            coloured = np.empty(values.shape, np.int32)
            coloured[:i] = as_codes(done, f"{key}: {paths[0]}")
            values, kept = coloured, RawImage(coloured, colour=True)
        if kept.colour:
            values[i] = as_codes(piece, where)
            continue
        common = np.result_type(values, piece.values)
        if common != values.dtype:
            values = values.astype(common)
        values[i] = piece.values
    return RawImage(values, (None, *first.voxel_size), kept.colour, kept.palette)


def _read_slice(path: Path, where: str) -> RawImage:
    check_file(path, where)
    image = SLICE_READERS[path.suffix.lower()](path, where)
    if image.values.ndim != 2:
        raise InputError(f"{where}: expected one slice, got a stack of {len(image.values)}; name the stack alone")
    return image


def _alike(a: RawImage, b: RawImage) -> bool:
    """Whether equal values mean the same in both."""
    if a.palette is None or b.palette is None:
        return a.colour == b.colour and a.palette is b.palette
    return np.array_equal(a.palette, b.palette)


def _size(image: RawImage) -> str:
    return " x ".join(map(str, image.values.shape[::-1]))
