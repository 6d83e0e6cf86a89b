"""Arrays without a meaning of their own: NPY, headerless raw, HDF5 datasets."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.meshing.decoding import decoding
from microlith.meshing.errors import InputError
from microlith.meshing.file_units import metres
from microlith.meshing.image import RawImage
from microlith.meshing.spec import RawLayout

if TYPE_CHECKING:
    import h5py


def read_npy(path: Path, where: str) -> RawImage:
    """Map a NumPy array from its file, without reading it all.

    Raises:
        InputError: The file is damaged or holds Python objects.
    """
    with decoding(where, "NPY"):
        return RawImage(np.lib.format.open_memmap(path, mode="r"))


def read_raw(path: Path, layout: RawLayout, where: str) -> RawImage:
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
    with decoding(where, "raw data"):
        return RawImage(np.memmap(path, dtype, "r", layout.offset, layout.shape))


def read_hdf5(path: Path, name: str | None, where: str) -> RawImage:
    """Read a dataset of an HDF5 file, and its voxel size from the attribute `element_size_um` (z, y, x in µm).

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
        values = dataset[()]
        stated = np.ravel(dataset.attrs.get("element_size_um", ()))
    sizes = tuple(metres(float(size), "um") for size in stated[len(stated) - values.ndim :])
    return RawImage(values, sizes if len(stated) >= values.ndim else ())


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
