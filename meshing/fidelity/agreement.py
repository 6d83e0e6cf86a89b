"""How many voxels of an image lie, with their centres, in a cell of their own phase, and which do not."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Numbers, Phases
from microlith.meshing.mesh.phasemesh import ImageMesh

# Of a voxel edge along x, y, z: with it no centre lies on a facet, so that each lies in one cell.
ASIDE = (3.1e-7, 1.7e-7, 2.3e-7)
Cells = NDArray[Any]  # of integers
VoxelIndices = NDArray[np.int64]  # of voxels (dim, n), x first
SOME = 1 << 16  # voxels for which there is room at first: one in a hundred is mistaken


def agreement(volume: LabelVolume, image_mesh: ImageMesh, comm: MPI.Intracomm) -> tuple[float, float]:
    """Share of the voxels whose centre lies in a cell of their phase, and share of those that lie in any; collective.

    Each cell looks at the centres in its bounding box.

    Args:
        volume: The image.
        image_mesh: Its mesh.
        comm: All ranks.
    """
    edge = np.array(volume.pixel)
    portion = volume.read(_around(image_mesh.points, image_mesh.cells, edge, volume.grid))
    mesh, window = (image_mesh.points, image_mesh.cells, image_mesh.phase), (portion.phase, portion.start)
    found = _looked_at(mesh, *window, edge, volume.grid, every=True, wrong=np.empty(0, np.int64))
    inside, wrong = (comm.allreduce(count) for count in found)
    total = math.prod(volume.shape)
    return (inside - wrong) / total, inside / total


def mistaken(
    points: Array,
    cells: Cells,
    labels: Phases,
    phase: Phases,
    start: tuple[int, ...],
    voxel: tuple[float, ...],
    shape: tuple[int, ...],
) -> VoxelIndices:
    """Voxels (dim, n), x first, whose centre lies in a cell of another phase.

    Args:
        points: (k, dim) of the vertices.
        cells: (m, dim + 1) or boxes (m, 2^dim), rows of `points`.
        labels: (m,) phases of the cells.
        phase: Phases of the voxels of a window that has all cells, ([z,] y, x).
        start: First voxel of the window, x first.
        voxel: Edges of a voxel in the units of points, x first.
        shape: Number of voxels of the image, x first.
    """
    given = (points, cells, labels), phase, start, np.array(voxel), shape
    wrong = np.empty(SOME, np.int64)
    _, count = _looked_at(*given, every=False, wrong=wrong)
    if count > len(wrong):
        wrong = np.empty(count, np.int64)
        _looked_at(*given, every=False, wrong=wrong)
    return np.stack(np.unravel_index(wrong[:count], shape[::-1])[::-1])


def _looked_at(
    mesh: tuple[Array, Cells, Phases],
    phase: Phases,
    start: tuple[int, ...],
    edge: Array,
    shape: tuple[int, ...],
    *,
    every: bool,
    wrong: Numbers,
) -> tuple[int, int]:
    """How many centres lie in a cell, and how many of them in one of another phase.

    Args:
        mesh: Points, cells and their phases.
        phase: As in `mistaken`, like all that follows.
        start: First voxel of the window.
        edge: (dim,) of a voxel.
        shape: Of the image.
        every: Whether centres in cells of their own phase are counted.
        wrong: Gets the numbers of voxels in a cell of another phase, x fastest, as many as it has room for.
    """
    from microlith.meshing.fidelity.loops import centres_inside  # numba, late: not all that imports this needs it

    points, cells, labels = mesh
    return centres_inside(
        *(np.ascontiguousarray(points), np.ascontiguousarray(cells), np.ascontiguousarray(labels)),
        np.ascontiguousarray(phase if len(shape) == 3 else phase[None]),
        np.array([*start, 0][:3]),
        edge,
        _aside(3),
        np.array([*shape, 1][:3]),
        every,
        wrong,
    )


def _aside(dim: int) -> Array:
    return 0.5 + np.array(ASIDE[:dim])


def _around(points: Array, cells: Cells, edge: Array, shape: tuple[int, ...]) -> Window:
    """The window, in the order of arrays, that holds all voxels whose centres lie in the bounding boxes of cells."""
    if len(cells) == 0:
        return ((0, 0),) * len(shape)
    at = points[np.unique(cells)] / edge - _aside(len(shape))
    first = np.clip(np.ceil(at.min(axis=0)), 0, shape).astype(int)[::-1].tolist()
    last = np.clip(np.floor(at.max(axis=0)) + 1, 0, shape).astype(int)[::-1].tolist()
    return tuple((a, max(a, b)) for a, b in zip(first, last, strict=True))
