"""From any file of labels to an array: which reader, and what every array must be."""

import glob
import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats.colours import grey_where_possible
from microlith.imaging.formats.decoding import check_file
from microlith.imaging.formats.npy_hdf5_raw import read_hdf5, read_npy, read_raw
from microlith.imaging.formats.nrrd_mha_vti import read_metaimage, read_nrrd, read_vti
from microlith.imaging.formats.png_bmp import read_picture
from microlith.imaging.formats.slices import SLICE_READERS, natural_order, read_slices, slices_in
from microlith.imaging.formats.stored import RawImage, StoredImage, all_values, held, without_axes
from microlith.imaging.formats.tiff import read_tiff
from microlith.imaging.options import ImageSource
from microlith.imaging.parallel.large_arrays import slices

READERS: dict[str, Callable[[Path, str], StoredImage]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": read_picture,
    ".bmp": read_picture,
    ".npy": read_npy,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
}
# Files that may hold several arrays, of which "file.h5:/name" names one.
CONTAINERS: dict[str, Callable[[Path, str | None, str], StoredImage]] = {
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".hdf": read_hdf5,
    ".vti": read_vti,
}
HEADERLESS = (".raw", ".bin", ".dat")
LOSSY = (".jpg", ".jpeg", ".jp2", ".webp")

IMAGE_KEY = "[image] file"


def read_image(source: ImageSource, key: str = IMAGE_KEY) -> RawImage:
    """Read the values of an image, whole: crop and coarsen are left to label_image.

    A colour picture whose three channels are equal everywhere is grey. Floating-point arrays that hold whole numbers
    only are taken as integers. A stack of one TIFF page is a 2D image; in the other formats an axis of one voxel stays.

    Args:
        source: Where the image is; of it only path and raw are used.
        key: Head of error messages: the key of the case file that named the image.

    Returns:
        Values with 2 or 3 axes and a voxel size (or None) for each.

    Raises:
        InputError: The image is missing, unreadable, empty, or not one of labels.
    """
    return whole_image(open_image(source, key), f"{key}: {source.path}")


def whole_image(stored: StoredImage, where: str) -> RawImage:
    """All pixels of an opened image, as read_image gives them.

    Args:
        stored: From open_image.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, or its pixels are no labels.
    """
    values = whole_numbers(all_values(stored), where)
    return grey_where_possible(RawImage(values, stored.voxel_size, stored.colour, stored.palette))


def open_image(source: ImageSource, key: str = IMAGE_KEY) -> StoredImage:
    """Find out what an image is without reading its pixels, as far as its format allows.

    Args:
        source: Where the image is; of it only path and raw are used.
        key: Head of error messages: the key of the case file that named the image.

    Returns:
        Image with 2 or 3 axes and a voxel size (or None) for each. Its values are numbers as stored, not yet looked at
        whether they are labels (see whole_numbers), its colours not yet whether they are greys.

    Raises:
        InputError: The image is missing, unreadable, empty, or not one of numbers or colours.
    """
    stored = _open(source, key)
    where = f"{key}: {source.path}"
    before, after = _axes_beside_space(stored.shape, where)
    shape = stored.shape[before : len(stored.shape) - after]
    sizes = (*(None,) * len(shape), *stored.voxel_size)[-len(shape) :]
    if stored.dtype.kind not in "biuf":
        raise InputError(f"{where}: expected whole numbers as labels, got values of type {stored.dtype}")
    return replace(stored, shape=shape, voxel_size=sizes, layers=without_axes(stored.layers, before, after))


def _open(source: ImageSource, key: str) -> StoredImage:
    where = f"{key}: {source.path}"
    if source.held is not None:
        return held(RawImage(source.held))
    path, name = _split(source.path)
    try:
        if source.raw is not None and path.is_file():
            return read_raw(path, source.raw, where)
        if path.is_dir():
            return _open_stack(slices_in(path, where), key)
        if path.exists():
            return _open_file(path, name, where)
        if glob.has_magic(source.path):
            return _open_matches(source.path, key)
    except OSError as error:
        raise InputError(f"{where}: can't be read ({error.strerror or error}); mend that or name another") from error
    raise InputError(f"{where}: there is no such file{_similar(path)}")


def _split(path: str) -> tuple[Path, str | None]:
    """File and name of the array in it, as in "file.h5:/group/image"."""
    suffixes = "|".join(re.escape(suffix) for suffix in CONTAINERS)
    match = re.fullmatch(rf"(.*(?:{suffixes})):(/.*)", path, re.IGNORECASE | re.DOTALL)
    return (Path(match[1]), match[2]) if match and not Path(path).exists() else (Path(path), None)


def _open_file(path: Path, name: str | None, where: str) -> StoredImage:
    suffix = path.suffix.lower()
    check_file(path, where)
    if suffix in CONTAINERS:
        return CONTAINERS[suffix](path, name, where)
    if suffix in READERS:
        return READERS[suffix](path, where)
    if suffix in HEADERLESS:
        raise InputError(f"{where}: has no header; say what it holds with raw = {{ shape = [z, y, x], dtype, offset }}")
    if suffix in LOSSY:
        raise InputError(f"{where}: {suffix[1:].upper()} blurs labels; export the segmentation as PNG or TIFF")
    known = ", ".join([*READERS, *CONTAINERS])
    raise InputError(f'{where}: unknown kind of file "{suffix}"; expected {known}, or a headerless one with raw')


def _open_matches(pattern: str, key: str) -> StoredImage:
    paths = natural_order([Path(match) for match in glob.glob(pattern, recursive=True) if Path(match).is_file()])
    where = f"{key}: {pattern}"
    if not paths:
        raise InputError(f"{where}: no file matches this pattern; mend it")
    other = [path for path in paths if path.suffix.lower() not in SLICE_READERS]
    if other and len(paths) > 1:
        raise InputError(
            f"{where}: matches {other[0].name}, but slices are {', '.join(SLICE_READERS)} files; narrow the pattern"
        )
    return _open_stack(paths, key)


def _open_stack(paths: list[Path], key: str) -> StoredImage:
    if len(paths) == 1:
        return _open_file(paths[0], None, f"{key}: {paths[0]}")
    return read_slices(paths, key)


def _similar(path: Path) -> str:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, names, n=1)
    return f', did you mean "{close[0]}"?' if close else "; put the image there or mend the name"


def _axes_beside_space(shape: tuple[int, ...], where: str) -> tuple[int, int]:
    """How many axes of length one programs have put before and after those of space."""
    first, last = 0, len(shape)
    while last - first > 3 and 1 in (shape[first], shape[last - 1]):
        first, last = (first + 1, last) if shape[first] == 1 else (first, last - 1)
    if last - first not in (2, 3):
        raise InputError(f"{where}: expected 2 or 3 axes ([z,] y, x), got an array of shape {list(shape)}")
    if 0 in shape:
        raise InputError(f"{where}: expected pixels, got an empty array of shape {list(shape)}; export it again")
    return first, len(shape) - last


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    """The array as integers, without a copy where it holds integers already.

    Args:
        values: Truth values, integers, or floating-point numbers that are whole.
        where: Head of error messages: key and file.

    Raises:
        InputError: A number is not whole.
    """
    kind = values.dtype.kind
    if kind == "b":
        # Any byte but 0 is true; libraries that map files or unpack bits leave others than 1.
        return (values.view(np.uint8) != 0).view(np.uint8)
    if kind in "iu":
        return values
    whole = np.empty(values.shape, np.int32)
    for part in slices(values.shape):
        with np.errstate(invalid="ignore"):  # NaN and what is too large for the type differ after the cast
            whole[part] = values[part]
        wrong = values[part][whole[part] != values[part]]
        if wrong.size:
            raise InputError(
                f"{where}: expected whole numbers as labels, got {wrong.flat[0]:g} ({values.dtype}); segment the image "
                "first and save the labels as integers"
            )
    return whole
