"""A stack from one file per slice."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, listed
from microlith.imaging.files.decoding import check_file
from microlith.imaging.files.numbered import Series, pattern_for, series_of
from microlith.imaging.formats.colours import as_codes, check_codes
from microlith.imaging.formats.png_bmp import read_picture
from microlith.imaging.formats.stored import RawImage, StoredImage, Window, lengths, parts
from microlith.imaging.formats.tiff import read_tiff
from microlith.imaging.formats.units import Scale, alike

SLICE_READERS: dict[str, Callable[[Path, str], StoredImage]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": read_picture,
    ".bmp": read_picture,
}


def slices_in(folder: Path, where: str) -> tuple[list[Path], tuple[str, ...]]:
    """The slices in a folder, in the order of their numbers; hidden files and files of other kinds are left aside.

    Returns:
        Their paths, and what the user has to hear of them.

    Raises:
        InputError: There are none, files of two formats, one named otherwise than the others, or two of one number.
    """
    found = [p for p in folder.iterdir() if p.suffix.lower() in SLICE_READERS and not p.name.startswith(".")]
    if not found:
        there = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        others = f", or one of the files there ({listed(there, 5)})" if there else ""
        raise InputError(f"{where}: holds no {', '.join(SLICE_READERS)} files; name the folder of the slices{others}")
    suffixes = sorted({path.suffix.lower() for path in found})
    if len({SLICE_READERS[suffix] for suffix in suffixes}) > 1 or {".png", ".bmp"} <= set(suffixes):
        kinds = " and ".join(suffixes)
        raise InputError(f'{where}: holds {kinds} files; say which, as in "{folder.name}/*{suffixes[0]}"')
    series = _series(found, where)
    if series.strangers:
        example = next(path for path in series.paths if path not in series.strangers)
        raise InputError(
            f"{where}: holds {listed([path.name for path in series.strangers], 4)} beside files named like "
            f'{example.name}; say which are the slices, as in "{folder.name}/{pattern_for(series)}", or take all with '
            f'"{folder.name}/*{example.suffix}"'
        )
    return series.paths, tuple(f"{where}: {sentence}" for sentence in series.warnings)


def slices_of(paths: Sequence[Path], where: str) -> tuple[list[Path], tuple[str, ...]]:
    """Files that a pattern matches, in the order of their numbers, and what the user has to hear of them.

    Raises:
        InputError: Two files have the same number, or it isn't clear what the numbers are.
    """
    if len(paths) < 2:
        return list(paths), ()
    series = _series(paths, where)
    warnings = [f"{where}: {sentence}" for sentence in series.warnings]
    if series.strangers:
        names = listed([path.name for path in series.strangers], 4)
        warnings.append(f"{where}: matches {names}, named otherwise than the other slices; narrow the pattern")
    return series.paths, tuple(warnings)


def _series(paths: Sequence[Path], where: str) -> Series:
    try:
        return series_of(paths)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


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
    return StoredImage(
        shape=(len(paths), *first.shape),
        dtype=dtype,
        layers=layers,
        scale=_scale(headers),
        colour=colour,
        palette=palette,
        files=tuple(file for header in headers for file in header.files),
        warnings=_first_of_each(headers),
        axes_named=True,
        other_type=_other_type(paths, headers),
    )


def _other_type(paths: Sequence[Path], headers: Sequence[StoredImage]) -> str:
    for path, header in zip(paths, headers, strict=True):
        if header.dtype != headers[0].dtype:
            return f"{path.name} holds {header.dtype} values, {paths[0].name} {headers[0].dtype}"
    return ""


def _scale(headers: Sequence[StoredImage]) -> Scale:
    """What the slices say of the size of pixels; none of them says how far they are apart."""
    sizes = headers[0].scale.sizes or (None, None)
    doubt = headers[0].scale.doubt
    for header in headers:
        for one, other in zip(sizes, header.scale.sizes or (None, None), strict=True):
            if one is not None and other is not None and not alike(one, other):
                doubt = f"contradicts itself: pixels of {one:.4g} m in its first slice, of {other:.4g} m in another"
    unitless = headers[0].scale.unitless or (None, None)
    return Scale((None, *sizes), headers[0].scale.source, (None, *unitless), doubt)


def _first_of_each(headers: Sequence[StoredImage]) -> tuple[str, ...]:
    """What the user has to hear of slices: once, not for each of them."""
    told = [header.warnings for header in headers if header.warnings]
    if not told:
        return ()
    more = f" (and {len(told) - 1} slices more)" if len(told) > 1 else ""
    return tuple(f"{sentence}{more}" for sentence in told[0])


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
