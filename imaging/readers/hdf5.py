"""Datasets of HDF5 files. What opens and decodes them is a process apart: the library crashes on hostile files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.files.apart import Apart, Failed
from microlith.imaging.files.decoding import decoding, unreadable
from microlith.imaging.formats.in_file import InFile
from microlith.imaging.formats.stored import Layers, StoredImage, Window, lengths, parts
from microlith.imaging.formats.units import Scale, metres, numbers

PROGRAM = "microlith.imaging.readers.hdf5_apart"
SIZES = "element_size_um"  # attribute with the voxel size, z, y, x in µm


def read_hdf5(path: Path, name: str | None, where: str) -> StoredImage:
    """Open a dataset of an HDF5 file, with its voxel size from the attribute `element_size_um` (z, y, x in µm).

    Args:
        path: The file.
        name: Of the dataset; None takes the only one there is.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, or it isn't clear which dataset is meant.
    """
    try:
        ((said, _),) = _process(path).ask({"open": str(path), "name": name, "sizes": SIZES})
    except Failed as error:
        raise InputError(unreadable(where, "HDF5", str(error))) from error
    if "refused" in said:
        raise InputError(f"{where}: {said['refused']}")
    with decoding(where, "HDF5"):
        shape, dtype = tuple(int(n) for n in said["shape"]), np.dtype(said["dtype"])
        stated = numbers([float(size) for size in said["sizes"]])
        scale = Scale(
            tuple(None if size is None else metres(size, "um") for size in stated), f"the file's attribute {SIZES}"
        )
        found = _Dataset(path, str(said["found"]), where, dtype, shape)
        layers: Layers = partial(_layers, found)
        files = (path, *(Path(other) for other in said["files"]))
        if said["offset"] is not None:
            array = InFile(path, where, "HDF5", dtype, shape, int(said["offset"]))
            if path.stat().st_size < array.end:
                raise ValueError(f"expected {array.end} bytes, got {path.stat().st_size}")
            layers = array.layers
    warnings = tuple(f"{where}: {sentence}" for sentence in said["warnings"])
    return StoredImage(shape, dtype, layers, scale, files=files, warnings=warnings)


@dataclass(frozen=True)
class _Dataset:
    path: Path
    name: str
    where: str  # head of error messages: key and file
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@lru_cache(maxsize=2)  # the image, and labels of regions
def _process(path: Path) -> Apart:
    return Apart(PROGRAM)


def _layers(dataset: _Dataset, window: Window, step: int) -> Iterator[NDArray[Any]]:
    question = {"read": str(dataset.path), "name": dataset.name, "window": window}
    answers = _process(dataset.path).ask(question)
    try:
        rest: NDArray[Any] = np.empty((0, *lengths(window[1:])), dataset.dtype)
        for part in parts(window, step):
            values = np.empty(lengths(part), dataset.dtype)
            filled = 0
            while filled < len(values):
                if not len(rest):
                    said, data = next(answers)
                    rest = data.view(dataset.dtype).reshape(said["layers"], *values.shape[1:])
                count = min(len(rest), len(values) - filled)
                values[filled : filled + count] = rest[:count]
                filled, rest = filled + count, rest[count:]
            yield values
        for _ in answers:
            raise Failed("it holds more than it says")
    except MemoryError as error:
        raise InputError(unreadable(dataset.where, "HDF5", "it asks for more memory than there is")) from error
    except (Failed, StopIteration, ValueError) as error:
        raise InputError(unreadable(dataset.where, "HDF5", str(error) or "it ends early")) from error
