"""MATLAB's .mat files: HDF5 in version 7.3, before that SciPy reads them. Axes are rows, columns, slices: y, x, z."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, listed
from microlith.imaging.files.decoding import check_memory, decoding
from microlith.imaging.formats.stored import Layers, RawImage, StoredImage, Window, all_values, held
from microlith.imaging.formats.units import Scale, metres
from microlith.imaging.readers.hdf5 import SIZES, read_hdf5

HDF5 = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512  # bytes before HDF5 begins


def read_matlab(path: Path, name: str | None, where: str) -> StoredImage:
    """Open an array of a .mat file, with its voxel size from a variable `element_size_um` (z, y, x in µm).

    Args:
        path: The file.
        name: Of the variable, with a slash before it; None takes the only array there is.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, or it isn't clear which variable is meant.
    """
    with path.open("rb") as file:
        head = file.read(USER_BLOCK + len(HDF5))
    if head.endswith(HDF5) or head.startswith(HDF5):
        found = read_hdf5(path, name, where)
        # MATLAB writes the axes of an array backwards: columns before rows.
        scale = found.scale if any(found.scale.sizes) else _scale_beside(path, where)
        return replace(_turned(found), scale=scale, axes_named=True)
    with decoding(where, "MATLAB"):
        return held(_old(path, name, where))


def _old(path: Path, name: str | None, where: str) -> RawImage:
    from scipy.io import loadmat, whosmat

    known = {variable: shape for variable, shape, _ in whosmat(str(path))}
    arrays = [variable for variable, shape in known.items() if sum(n > 1 for n in shape) > 1 and variable != SIZES]
    wanted = name.strip("/") if name else arrays[0] if len(arrays) == 1 else None
    if wanted is None or wanted not in known:
        example = f"{path.name}:/{arrays[0] if arrays else 'labels'}"
        raise InputError(f'{where}: holds the arrays {listed(arrays) or "none"}; say which, as in "{example}"')
    check_memory(int(np.prod(known[wanted], dtype=np.float64)), where)
    read = loadmat(str(path), variable_names=[wanted, SIZES])
    values: NDArray[Any] = np.asarray(read[wanted])
    if values.ndim == 3:
        values = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    return RawImage(np.ascontiguousarray(values), _scale(read[SIZES]) if SIZES in read else Scale())


def _scale_beside(path: Path, where: str) -> Scale:
    """Of a variable of its own."""
    try:
        sizes = all_values(read_hdf5(path, f"/{SIZES}", where))
    except InputError:  # there is none
        return Scale()
    return _scale(sizes)


def _scale(sizes: NDArray[Any]) -> Scale:
    found = tuple(metres(float(size), "um") for size in np.asarray(sizes, np.float64).ravel())
    return Scale(found, f"the file's variable {SIZES}")


def _turned(found: StoredImage) -> StoredImage:
    """With the last two axes exchanged."""
    shape = (*found.shape[:-2], found.shape[-1], found.shape[-2])
    return replace(found, shape=shape, layers=partial(_turned_layers, found))


def _turned_layers(found: StoredImage, window: Window, step: int) -> Any:
    layers: Layers = found.layers
    if len(window) == 2:  # columns are the layers of the file: all of them are needed for any row
        (whole,) = layers((window[1], window[0]), window[1][1] - window[1][0])
        for start in range(0, window[0][1] - window[0][0], step):
            yield whole.T[start : start + step]
        return
    for values in layers((*window[:-2], window[-1], window[-2]), step):
        yield np.swapaxes(values, -1, -2)
