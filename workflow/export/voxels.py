"""Concentrations at the centres of the image's voxels, to lie over the image in Fiji, napari or Avizo."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.writing import whole_file
from microlith.workflow.export.source import Source
from microlith.workflow.results.folder import PHASES
from microlith.workflow.results.phases import stored_volume

if TYPE_CHECKING:
    import pyvista

MICROMETRE = 1e-6
VOXELS_AT_ONCE = 1 << 21

Layers = NDArray[np.float32]  # (layers, y, x)


def write_tiff(path: Path, source: Source) -> None:
    """A TIFF of 32-bit floats as ImageJ writes them, with voxel size and unit; one frame a snapshot.

    Values are mol/m^3, and not a number outside the chosen phases.

    Raises:
        InputError: The image is not there, or the file can't be written.
    """
    import tifffile

    volume = _image(source)
    z, y, x = _spacing(volume)
    layers = volume.shape[0] if volume.dim == 3 else 1
    shape = (len(source.steps), layers, *volume.shape[-2:])
    if 4 * int(np.prod(shape)) > 4e9:
        raise InputError(f"--to {path}: a TIFF of ImageJ holds 4 GB at most; take one snapshot, or .nrrd")
    times = ", ".join(f"{time:g}" for time in source.times)
    with whole_file(path) as temporary, tifffile.TiffWriter(temporary, imagej=True) as file:
        file.write(
            (layer for step in source.steps for slab in slabs(source, volume, step) for layer in slab),
            shape=shape,
            dtype=np.float32,
            resolution=(1.0 / x, 1.0 / y),
            metadata={
                "axes": "TZYX",
                "unit": "um",
                "spacing": z,
                "Info": f"concentration in mol/m^3 at {times} s, by microlith",
            },
        )


def write_nrrd(path: Path, source: Source) -> None:
    """One snapshot as NRRD of 32-bit floats, compressed, with voxel size and unit.

    Values are mol/m^3, and not a number outside the chosen phases.

    Raises:
        InputError: The image is not there, or the file can't be written.
    """
    volume = _image(source)
    spacing = _spacing(volume)[::-1][: volume.dim]
    vectors = np.diag(spacing)
    head = [
        "NRRD0005",
        "# concentration in mol/m^3, by microlith",
        "type: float",
        f"dimension: {volume.dim}",
        f"space dimension: {volume.dim}",
        "sizes: " + " ".join(str(n) for n in volume.shape[::-1]),
        "space directions: " + " ".join("(" + ",".join(f"{v:.10g}" for v in row) + ")" for row in vectors),
        "space origin: (" + ",".join(f"{0.5 * edge:.10g}" for edge in spacing) + ")",
        "space units: " + " ".join(['"um"'] * volume.dim),
        "centers: " + " ".join(["cell"] * volume.dim),
        "endian: little",
        "encoding: gzip",
        f"time_s:={source.times[0]:g}",
        "unit:=mol/m^3",
        "",
        "",
    ]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(head).encode())
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as data:
            for slab in slabs(source, volume, source.steps[0]):
                data.write(slab.astype("<f4").tobytes())


def slabs(source: Source, volume: LabelVolume, step: int) -> Iterator[Layers]:
    """A snapshot at the centres of the voxels, some layers at a time; not a number where no chosen phase lies."""
    import pyvista

    z, y, x = _spacing(volume)
    grid = source.grid(step)
    if volume.dim == 2:
        yield _sampled(
            grid, pyvista.ImageData(dimensions=(*volume.shape[::-1], 1), spacing=(x, y, z), origin=(x / 2, y / 2, 0))
        )
        return
    low, high = _ends(grid)
    at_once = max(1, VOXELS_AT_ONCE // (volume.shape[1] * volume.shape[2]))
    for start in range(0, volume.shape[0], at_once):
        count = min(at_once, volume.shape[0] - start)
        near = grid.extract_cells(np.flatnonzero((high >= start * z) & (low <= (start + count) * z)))
        centres = pyvista.ImageData(
            dimensions=(*volume.shape[:0:-1], count), spacing=(x, y, z), origin=(x / 2, y / 2, (start + 0.5) * z)
        )
        yield _sampled(near, centres)


def _ends(grid: "pyvista.UnstructuredGrid") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest z of each cell, (m,)."""
    height = grid.points[:, 2][grid.cell_connectivity].reshape(grid.n_cells, -1)  # all cells are of one kind
    return height.min(axis=1), height.max(axis=1)


def _sampled(grid: "pyvista.UnstructuredGrid", centres: "pyvista.ImageData") -> Layers:
    found = np.full(centres.n_points, np.nan, dtype=np.float32)
    if grid.n_cells:
        sampled = centres.sample(grid)
        inside = sampled["vtkValidPointMask"].astype(bool)
        found[inside] = sampled["concentration"][inside]
    columns, rows, layers = centres.dimensions
    return found.reshape(layers, rows, columns)


def _image(source: Source) -> LabelVolume:
    path = source.folder / PHASES
    if not path.is_file():
        raise InputError(f"{source.folder}: there is no {PHASES}, in which a run leaves its image; run the case again")
    return stored_volume(path)


def _spacing(volume: LabelVolume) -> tuple[float, float, float]:
    """Edges of a voxel along z, y and x in µm."""
    edges = [edge / MICROMETRE for edge in volume.voxel_size]
    return tuple(edges if volume.dim == 3 else [edges[0], *edges])  # type: ignore[return-value]
