"""OME-Zarr: a folder with an array in chunks at several resolutions, of which the finest is read, window by window.

Versions 0.4 and 0.5 of the format (J. Moore and others, Histochem. Cell Biol. 160 (2023) 223-251, doi
10.1007/s00418-023-02209-1), and bare Zarr arrays. The library zarr reads them.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import StoredImage, Window, lengths, parts
from microlith.imaging.formats.units import Scale, metres, numbers, unit_metres

MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def is_zarr(folder: Path) -> bool:
    """Whether a folder is one of Zarr."""
    return any((folder / mark).is_file() for mark in MARKS)


@dataclass(frozen=True)
class _Array:
    path: Path
    name: str  # of the array in the folder; "": the folder is the array
    where: str  # head of error messages: key and file
    before: int  # axes of length one before those of space


def read_zarr(path: Path, where: str) -> StoredImage:
    """Open the finest resolution of an OME-Zarr image, with its voxel size where the axes have units.

    Raises:
        InputError: The folder is damaged, holds several channels or times, or zarr is not installed.
    """
    with decoding(where, "Zarr"):
        root = _root(path, where)
        name, axes, scales = "", [], []
        if not hasattr(root, "shape"):
            attributes = dict(root.attrs)
            images = attributes.get("ome", attributes).get("multiscales")
            if not images:
                raise InputError(f"{where}: holds no image of OME-Zarr; name the folder of an image or of an array")
            axes = [dict(axis) if isinstance(axis, Mapping) else {"name": str(axis)} for axis in images[0]["axes"]]
            finest = images[0]["datasets"][0]
            name = str(finest["path"])
            given = [*finest.get("coordinateTransformations", ()), *images[0].get("coordinateTransformations", ())]
            scales = [[float(n) for n in step["scale"]] for step in given if step.get("type") == "scale"]
        array = root if not name else root[name]
        shape = tuple(int(n) for n in array.shape)
        space = [i for i, axis in enumerate(axes) if axis.get("type", "space") == "space" and axis["name"] in "xyz"]
        others = [i for i in range(len(axes)) if i not in space]
        if any(shape[i] != 1 for i in others):
            told = ", ".join(f"{axes[i]['name']} {shape[i]}" for i in others)
            raise InputError(f"{where}: holds several times or channels ({told}); save the labels as one")
        order = [axes[i]["name"] for i in space]
        if order != sorted(order, reverse=True) or others != list(range(len(others))):
            raise InputError(f"{where}: its axes are {', '.join(a['name'] for a in axes)}; save it as z, y, x")
        steps = [math.prod(scale[i] for scale in scales) if scales else None for i in space]
        units = [str(axes[i].get("unit", "")) for i in space]
        sizes = tuple(None if n is None else metres(n, unit) for n, unit in zip(steps, units, strict=True))
        unitless = numbers([n if unit_metres(unit) is None else None for n, unit in zip(steps, units, strict=True)])
        if {n for n in unitless if n is not None} <= {1.0}:
            unitless = ()  # what writers put where nobody set one
        found = _Array(path, name, where, len(others))
        return StoredImage(
            shape[len(others) :],
            np.dtype(array.dtype),
            partial(_layers, found),
            Scale(sizes, "the file's axes", unitless),
            files=(path,),
            axes_named=bool(axes),
        )


def _root(path: Path, where: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise InputError(f"{where}: needs the library zarr; install it, or save the labels as TIFF or HDF5") from error
    return zarr.open(str(path), mode="r")


def _layers(found: _Array, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with decoding(found.where, "Zarr"):
        root = _root(found.path, found.where)
        array = root if not found.name else root[found.name]
        for part in parts(window, step):
            chosen = (*(0 for _ in range(found.before)), *(slice(*ends) for ends in part))
            yield np.asarray(array[chosen]).reshape(lengths(part))
