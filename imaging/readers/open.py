"""From any file of labels to an array: which reader, and what every array must be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, listed, printable
from microlith.imaging.files.decoding import check_file
from microlith.imaging.files.names import CONTAINERS, has_magic, matches, similar, split
from microlith.imaging.formats.colours import grey_where_possible
from microlith.imaging.formats.npy_raw import read_npy, read_raw
from microlith.imaging.formats.png_bmp import read_picture
from microlith.imaging.formats.slices import SLICE_READERS, read_slices, slices_in, slices_of
from microlith.imaging.formats.stored import RawImage, StoredImage, all_values, held, without_axes
from microlith.imaging.formats.tiff import read_tiff
from microlith.imaging.options import ImageSource
from microlith.imaging.parallel.large_arrays import row_slices
from microlith.imaging.readers.amira import read_amira
from microlith.imaging.readers.dicom import is_dicom_folder, read_dicom
from microlith.imaging.readers.hdf5 import read_hdf5
from microlith.imaging.readers.matlab import read_matlab
from microlith.imaging.readers.metaimage import read_metaimage
from microlith.imaging.readers.mrc import read_mrc
from microlith.imaging.readers.nifti import read_nifti
from microlith.imaging.readers.nrrd import read_nrrd
from microlith.imaging.readers.ome_zarr import is_zarr, read_zarr
from microlith.imaging.readers.vti import read_vti

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
    ".nii": read_nifti,
    **dict.fromkeys((".mrc", ".map", ".rec"), read_mrc),
    ".am": read_amira,
    ".dcm": read_dicom,
}
# Files that may hold several arrays, of which "file.h5:/name" names one.
ARRAY_READERS: dict[str, Callable[[Path, str | None, str], StoredImage]] = {
    suffix: {".vti": read_vti, ".mat": read_matlab}.get(suffix, read_hdf5) for suffix in CONTAINERS
}
HEADERLESS = (".raw", ".bin", ".dat")
LOSSY = (".jpg", ".jpeg", ".jp2", ".j2k", ".jxl", ".jxr", ".webp", ".avif", ".heic")
CHANNELS = (3, 4)  # voxels along an axis that is rather one of colours
ENOUGH = 16  # voxels along the other axes, from which on that is likely

IMAGE_KEY = "[image] file"


def read_image(source: ImageSource, key: str = IMAGE_KEY) -> RawImage:
    """Read the values of an image, whole: crop and coarsen are left to label_image.

    A colour picture whose three channels are equal everywhere is grey. Floating-point arrays that hold whole numbers
    only are taken as integers. A stack of one TIFF page is a 2D image; in the other formats an axis of one voxel stays.

    Args:
        source: Where the image is; of it only path, folder and raw are used.
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
    return grey_where_possible(RawImage(values, stored.scale, stored.colour, stored.palette))


def open_image(source: ImageSource, key: str = IMAGE_KEY) -> StoredImage:
    """Find out what an image is without reading its pixels, as far as its format allows.

    Args:
        source: Where the image is; of it only path, folder and raw are used.
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
    if stored.dtype.kind not in "biuf":
        raise InputError(
            f"{where}: expected whole numbers as labels, or real numbers as grey values, got values of type "
            f"{stored.dtype}"
        )
    scale = replace(
        stored.scale,
        sizes=_of_space(stored.scale.sizes, stored.shape, before, after),
        unitless=_of_space(stored.scale.unitless, stored.shape, before, after),
    )
    found = replace(stored, shape=shape, scale=scale, layers=without_axes(stored.layers, before, after))
    return replace(found, warnings=(*found.warnings, *_likely_channels(found, where)))


def _open(source: ImageSource, key: str) -> StoredImage:
    where = f"{key}: {source.path}"
    if source.held is not None:
        return replace(held(RawImage(source.held)), axes_named=True)
    path, name = split(source.path)
    try:
        if source.raw is not None and path.is_file():
            check_file(path, where)
            return read_raw(path, source.raw, where)
        if path.is_dir() and is_zarr(path):
            return read_zarr(path, where)
        if path.is_dir() and is_dicom_folder(path):
            return read_dicom(path, where)
        if path.is_dir():
            return _open_stack(*slices_in(path, where), key)
        if path.exists():
            return _open_file(path, name, where)
        if has_magic(source.path, source.folder):
            return _open_matches(source, key)
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{where}: can't be read ({reason}); correct that or name another") from error
    raise InputError(f"{where}: there is no such file{similar(path)}")


def _open_file(path: Path, name: str | None, where: str) -> StoredImage:
    suffix = ".nii" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
    check_file(path, where)
    if suffix in ARRAY_READERS:
        return ARRAY_READERS[suffix](path, name, where)
    if suffix in READERS:
        return READERS[suffix](path, where)
    if suffix in HEADERLESS:
        raise InputError(f"{where}: has no header; say what it holds with raw = {{ shape = [z, y, x], dtype, offset }}")
    if suffix in LOSSY:
        raise InputError(f"{where}: {suffix[1:].upper()} blurs labels and changes grey values; export PNG or TIFF")
    known = ", ".join([*READERS, *ARRAY_READERS])
    raise InputError(
        f'{where}: unknown kind of file "{printable(suffix)}"; expected {known}, or a headerless one with raw'
    )


def _open_matches(source: ImageSource, key: str) -> StoredImage:
    paths, warnings = slices_of(matches(source.path, source.folder), f"{key}: {source.path}")
    where = f"{key}: {source.path}"
    if not paths:
        raise InputError(f"{where}: no file matches this pattern; correct it")
    other = [path.name for path in paths if path.suffix.lower() not in SLICE_READERS]
    if other and len(paths) > 1:
        raise InputError(
            f"{where}: matches {listed(other, 3)}, but slices are {', '.join(SLICE_READERS)} files; narrow the pattern"
        )
    return _open_stack(paths, warnings, key)


def _open_stack(paths: list[Path], warnings: tuple[str, ...], key: str) -> StoredImage:
    if len(paths) == 1:
        return _open_file(paths[0], None, f"{key}: {paths[0]}")
    stack = read_slices(paths, key)
    return replace(stack, warnings=(*warnings, *stack.warnings))


# --- axes ---


def _axes_beside_space(shape: tuple[int, ...], where: str) -> tuple[int, int]:
    """How many axes of length one programs have put before and after those of space."""
    first, last = 0, len(shape)
    while last - first > 3 and 1 in (shape[first], shape[last - 1]):
        # Those after the others go first: of one image (1, y, x, 1) the axis in front is rather z.
        first, last = (first, last - 1) if shape[last - 1] == 1 else (first + 1, last)
    if last - first not in (2, 3):
        raise InputError(f"{where}: expected 2 or 3 axes ([z,] y, x), got an array of shape {_shape(shape)}")
    if 0 in shape:
        raise InputError(f"{where}: expected pixels, got an empty array of shape {_shape(shape)}; export it again")
    return first, len(shape) - last


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{listed(shape)}]"


def _of_space(
    sizes: tuple[float | None, ...], shape: tuple[int, ...], before: int, after: int
) -> tuple[float | None, ...]:
    """Of sizes for the axes of a file those of space; they may be for all axes, or for those of space already."""
    axes = len(shape) - before - after
    if len(sizes) == len(shape):
        return sizes[before : len(shape) - after]
    return sizes[-axes:] if len(sizes) >= axes else (None,) * axes


def _likely_channels(stored: StoredImage, where: str) -> list[str]:
    """A sentence where an axis is rather one of colours than of space."""
    shape = stored.shape
    if len(shape) != 3 or stored.axes_named or stored.colour:
        return []
    for axis, what in ((0, "slices"), (2, "pixels along x")):
        others = [n for i, n in enumerate(shape) if i != axis]
        if shape[axis] in CHANNELS and min(others) >= ENOUGH:
            return [
                f"{where}: its shape {_shape(shape)} is taken for {shape[axis]} {what}; if these are the channels of "
                "a picture, save it with one channel"
            ]
    return []


# --- values ---


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
        # Any byte but 0 is true; libraries that read files or unpack bits leave others than 1.
        return (values.view(np.uint8) != 0).view(np.uint8)
    if kind in "iu":
        return values
    whole = np.empty(values.shape, np.int32)
    for part in row_slices(values.shape):
        with np.errstate(invalid="ignore"):  # NaN and what is too large for the type differ after the cast
            whole[part] = values[part]
        wrong = values[part][whole[part] != values[part]]
        if wrong.size:
            raise InputError(
                f"{where}: expected whole numbers as labels, got {wrong.flat[0]:g} ({values.dtype}); segment the image "
                "first and save the labels as integers"
            )
    return whole
