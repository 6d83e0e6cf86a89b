"""Arrays without a meaning of their own: NPY, and headerless raw."""

import math
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import decoding, unreadable
from microlith.imaging.formats.in_file import InFile
from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.options import RawLayout

MOST_AXES = 32  # what arrays can have


def read_npy(path: Path, where: str) -> StoredImage:
    """Open a NumPy array in its file.

    Raises:
        InputError: The file is damaged, cut short, longer than its header says, or holds Python objects.
    """
    with decoding(where, "NPY"), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} is unknown")
        # The newest version's header is read as the one before, with names of fields in another encoding.
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if len(shape) > MOST_AXES or any(n < 0 for n in shape):
            raise ValueError(f"its shape is {list(shape)}")
        array = InFile(path, where, "NPY", dtype, shape, file.tell(), fortran and len(shape) > 1)
    if path.stat().st_size != array.end:
        raise InputError(unreadable(where, "NPY", f"expected {array.end} bytes, got {path.stat().st_size}"))
    return StoredImage(shape, dtype, array.layers, files=(path,))


def read_raw(path: Path, layout: RawLayout, where: str) -> StoredImage:
    """Open a headerless file.

    Args:
        path: The file.
        layout: Shape, type and offset of what it holds.
        where: Head of error messages: key and file.

    Raises:
        InputError: The layout isn't one of numbers, or it and the size of the file contradict each other.
    """
    try:
        dtype = np.dtype(layout.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise InputError(f'{where}: raw.dtype: expected a number type such as "uint8" or "<u2", got "{layout.dtype}"')
    if any(n < 1 for n in layout.shape) or layout.offset < 0:
        raise InputError(
            f"{where}: raw: expected positive shape and offset from 0, got shape {list(layout.shape)}, "
            f"offset {layout.offset}"
        )
    expected = layout.offset + math.prod(layout.shape) * dtype.itemsize
    size = path.stat().st_size
    if size != expected:
        raise InputError(
            f"{where}: holds {size} bytes, but raw = {{ shape = {list(layout.shape)}, dtype = "
            f'"{layout.dtype}", offset = {layout.offset} }} needs {expected}; correct shape, dtype or offset'
        )
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)  # the file may hold 255 for true
    array = InFile(path, where, "raw data", dtype, layout.shape, layout.offset)
    return StoredImage(layout.shape, dtype, array.layers, files=(path,))
