"""From any file of labels to an array: which reader, and what every array must be."""

import glob
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.meshing.chunks import slices
from microlith.meshing.colours import grey_where_possible
from microlith.meshing.decoding import check_file
from microlith.meshing.errors import InputError
from microlith.meshing.image import RawImage
from microlith.meshing.read_array import read_hdf5, read_npy, read_raw
from microlith.meshing.read_picture import read_picture
from microlith.meshing.read_slices import SLICE_READERS, natural_order, read_slices, slices_in
from microlith.meshing.read_tiff import read_tiff
from microlith.meshing.read_volume import read_metaimage, read_nrrd, read_vti
from microlith.meshing.spec import ImageSource

READERS: dict[str, Callable[[Path, str], RawImage]] = {
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
CONTAINERS: dict[str, Callable[[Path, str | None, str], RawImage]] = {
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
    image = _read(source, key)
    where = f"{key}: {source.path}"
    values = _whole_numbers(_two_or_three_axes(image.values, where), where)
    sizes = (*(None,) * values.ndim, *image.voxel_size)[-values.ndim :]
    return grey_where_possible(RawImage(values, sizes, image.colour, image.palette))


def _read(source: ImageSource, key: str) -> RawImage:
    where = f"{key}: {source.path}"
    path, name = _split(source.path)
    try:
        if source.raw is not None and path.is_file():
            return read_raw(path, source.raw, where)
        if path.is_dir():
            return _read_stack(slices_in(path, where), key)
        if path.exists():
            return _read_file(path, name, where)
        if glob.has_magic(source.path):
            return _read_matches(source.path, key)
    except OSError as error:
        raise InputError(f"{where}: can't be read ({error.strerror or error}); mend that or name another") from error
    raise InputError(f"{where}: there is no such file{_similar(path)}")


def _split(path: str) -> tuple[Path, str | None]:
    """File and name of the array in it, as in "file.h5:/group/image"."""
    suffixes = "|".join(re.escape(suffix) for suffix in CONTAINERS)
    match = re.fullmatch(rf"(.*(?:{suffixes})):(/.*)", path, re.IGNORECASE | re.DOTALL)
    return (Path(match[1]), match[2]) if match and not Path(path).exists() else (Path(path), None)


def _read_file(path: Path, name: str | None, where: str) -> RawImage:
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


def _read_matches(pattern: str, key: str) -> RawImage:
    paths = natural_order([Path(match) for match in glob.glob(pattern, recursive=True) if Path(match).is_file()])
    where = f"{key}: {pattern}"
    if not paths:
        raise InputError(f"{where}: no file matches this pattern; mend it")
    other = [path for path in paths if path.suffix.lower() not in SLICE_READERS]
    if other and len(paths) > 1:
        raise InputError(
            f"{where}: matches {other[0].name}, but slices are {', '.join(SLICE_READERS)} files; narrow the pattern"
        )
    return _read_stack(paths, key)


def _read_stack(paths: list[Path], key: str) -> RawImage:
    if len(paths) == 1:
        return _read_file(paths[0], None, f"{key}: {paths[0]}")
    return read_slices(paths, key)


def _similar(path: Path) -> str:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, names, n=1)
    return f', did you mean "{close[0]}"?' if close else "; put the image there or mend the name"


def _two_or_three_axes(values: NDArray[Any], where: str) -> NDArray[Any]:
    """The array without the axes of length one that programs put before and after those of space."""
    stored = values.shape
    while values.ndim > 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim not in (2, 3):
        raise InputError(f"{where}: expected 2 or 3 axes ([z,] y, x), got an array of shape {list(stored)}")
    if not values.size:
        raise InputError(f"{where}: expected pixels, got an empty array of shape {list(stored)}; export it again")
    return values


def _whole_numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    """The array as integers, without a copy where it holds integers already."""
    kind = values.dtype.kind
    if kind == "b":
        # Any byte but 0 is true; libraries that map files or unpack bits leave others than 1.
        return (values.view(np.uint8) != 0).view(np.uint8)
    if kind in "iu":
        return values
    if kind != "f":
        raise InputError(f"{where}: expected whole numbers as labels, got values of type {values.dtype}")
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
