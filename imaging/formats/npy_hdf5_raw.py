"""Arrays without a meaning of their own: NPY, headerless raw, HDF5 datasets."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats.decoding import decoding
from microlith.imaging.formats.stored import Mapping, StoredImage, Window, parts
from microlith.imaging.formats.units import metres
from microlith.imaging.options import RawLayout

if TYPE_CHECKING:
    import h5py

CHUNK_CACHE = 64 << 20  # bytes of an HDF5 dataset's chunks kept, as thin layers come back to the same chunks


def read_npy(path: Path, where: str) -> StoredImage:
    """Map a NumPy array from its file.

    Raises:
        InputError: The file is damaged or holds Python objects.
    """
    with decoding(where, "NPY"):
        values = np.lib.format.open_memmap(path, mode="r")
    fortran = values.flags.f_contiguous and not values.flags.c_contiguous
    mapping = Mapping(path, where, "NPY", values.dtype, values.shape, values.offset, fortran)
    return StoredImage(values.shape, values.dtype, mapping.layers)


def read_raw(path: Path, layout: RawLayout, where: str) -> StoredImage:
    """Map a headerless file.

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
            f'"{layout.dtype}", offset = {layout.offset} }} needs {expected}; mend shape, dtype or offset'
        )
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)  # the file may hold 255 for true
    mapping = Mapping(path, where, "raw data", dtype, layout.shape, layout.offset)
    return StoredImage(layout.shape, dtype, mapping.layers)


def read_hdf5(path: Path, name: str | None, where: str) -> StoredImage:
    """Open a dataset of an HDF5 file, with its voxel size from the attribute `element_size_um` (z, y, x in µm).

    Args:
        path: The file.
        name: Of the dataset; None takes the only one there is.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, or it isn't clear which dataset is meant.
    """
    import h5py

    with decoding(where, "HDF5"), h5py.File(path, "r") as file:
        dataset = _dataset(file, name, where)
        shape, dtype, found = dataset.shape, dataset.dtype, dataset.name
        stated = np.ravel(dataset.attrs.get("element_size_um", ()))
    sizes = tuple(metres(float(size), "um") for size in stated[len(stated) - len(shape) :])
    layers = partial(_hdf5_layers, path, found, where)
    return StoredImage(shape, dtype, layers, sizes if len(stated) >= len(shape) else ())


def _hdf5_layers(path: Path, name: str, where: str, window: Window, step: int) -> Iterator[NDArray[Any]]:
    import h5py

    with decoding(where, "HDF5"), h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE) as file:
        for part in parts(window, step):
            yield file[name][tuple(slice(*ends) for ends in part)]


def _dataset(file: "h5py.File", name: str | None, where: str) -> "h5py.Dataset":
    import h5py

    found: list[str] = []

    def visit(path: str, node: "h5py.HLObject") -> None:
        if isinstance(node, h5py.Dataset) and node.ndim >= 2:
            found.append(f"/{path}")

    if name is not None and isinstance(file.get(name), h5py.Dataset):
        return file[name]
    file.visititems(visit)
    listed = f"it holds {', '.join(found)}" if found else "it holds no array of two or three axes"
    if name is not None:
        raise InputError(f'{where}: there is no dataset "{name}"; {listed}')
    if len(found) != 1:
        raise InputError(f'{where}: expected the name of a dataset, as in "file.h5:/image", got none; {listed}')
    return file[found[0]]
