"""How many voxels of an image lie, with their centres, in a cell of their own phase, and which do not."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Phases
from microlith.meshing.mesh.phasemesh import ImageMesh

CANDIDATES = 1 << 20  # pairs of voxel and cell at a time
# Of a voxel edge along x, y, z: with it no centre lies on a facet, so that each lies in one cell.
ASIDE = (3.1e-7, 1.7e-7, 2.3e-7)
Cells = NDArray[Any]  # of integers
VoxelIndices = NDArray[np.int64]  # of voxels (dim, n), x first
Wanted = Callable[[VoxelIndices, VoxelIndices], Flags]  # which pairs of cell (n,) and voxel (dim, n) to look at


def agreement(volume: LabelVolume, image_mesh: ImageMesh, comm: MPI.Intracomm) -> tuple[float, float]:
    """Share of the voxels whose centre lies in a cell of their phase, and share of those that lie in any; collective.

    Each cell looks at the centres in its bounding box.

    Args:
        volume: The image.
        image_mesh: Its mesh.
        comm: All ranks.
    """
    edge = np.array(volume.pixel)
    low, high = _boxes(image_mesh.points, image_mesh.cells, edge, volume.grid)
    portion = volume.read(_around(low, high))
    start = np.array(portion.start)[:, None]
    right = inside = 0
    for cell, index in _inside(image_mesh.points, image_mesh.cells, edge, volume.grid):
        inside += len(cell)
        right += int(np.count_nonzero(portion.phase[tuple((index - start)[::-1])] == image_mesh.phase[cell]))
    total = math.prod(volume.shape)
    return comm.allreduce(right) / total, comm.allreduce(inside) / total


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
    first = np.array(start)[:, None]

    def differ(cell: VoxelIndices, index: VoxelIndices) -> Flags:
        return np.asarray(phase[tuple((index - first)[::-1])] != labels[cell])

    found = [index for _, index in _inside(points, cells, np.array(voxel), shape, differ)]
    return np.concatenate([np.empty((len(shape), 0), np.int64), *found], axis=1)


def _inside(
    points: Array, cells: Cells, edge: Array, shape: tuple[int, ...], wanted: Wanted | None = None
) -> Iterator[tuple[VoxelIndices, VoxelIndices]]:
    """Pairs of a cell (n,) and a voxel (dim, n), x first, whose centre lies in the cell, piece by piece."""
    low, high = _boxes(points, cells, edge, shape)
    counts = np.maximum(high - low, 0)
    candidates = counts.prod(axis=1)
    filled = np.flatnonzero(candidates)
    piece = np.cumsum(candidates[filled]) // CANDIDATES
    for chunk in np.split(filled, np.flatnonzero(np.diff(piece)) + 1):
        of = np.repeat(np.arange(len(chunk)), candidates[chunk])
        start = np.cumsum(candidates[chunk]) - candidates[chunk]
        rest = np.arange(len(of)) - start[of]
        cell = chunk[of]
        index: VoxelIndices = np.empty((len(shape), len(of)), np.int64)
        for axis in range(len(shape)):
            rest, offset = np.divmod(rest, counts[cell, axis])
            index[axis] = low[cell, axis] + offset
        if wanted is not None:
            chosen = wanted(cell, index)
            cell, index = cell[chosen], index[:, chosen]
        if cells.shape[1] == len(shape) + 1:  # other cells are their bounding boxes
            hit = _in_simplices(points, cells, cell, (index.T + _aside(len(shape))) * edge)
            cell, index = cell[hit], index[:, hit]
        yield cell, index


def _aside(dim: int) -> Array:
    return 0.5 + np.array(ASIDE[:dim])


def _boxes(points: Array, cells: Cells, edge: Array, shape: tuple[int, ...]) -> tuple[VoxelIndices, VoxelIndices]:
    """First and one past the last voxel (m, dim), x first, whose centre lies in the bounding box of each cell."""
    low = np.empty((len(cells), len(shape)), np.int64)
    high = np.empty_like(low)
    aside = _aside(len(shape))
    for axis, count in enumerate(shape):
        at = points[:, axis] / edge[axis] - aside[axis]
        least = most = at[cells[:, 0]]
        for corner in range(1, cells.shape[1]):
            value = at[cells[:, corner]]
            least, most = np.minimum(least, value), np.maximum(most, value)
        low[:, axis] = np.clip(np.ceil(least), 0, count)
        high[:, axis] = np.clip(np.floor(most) + 1, 0, count)
    return low, high


def _around(low: VoxelIndices, high: VoxelIndices) -> Window:
    """The window, in the order of arrays, that holds all boxes."""
    if len(low) == 0:
        return ((0, 0),) * low.shape[1]
    first, last = low.min(axis=0)[::-1], high.max(axis=0)[::-1]
    return tuple((int(a), max(int(a), int(b))) for a, b in zip(first, last, strict=True))


def _in_simplices(points: Array, cells: Cells, of: VoxelIndices, x: Array) -> Flags:
    """Whether points x (n, dim) lie in their cells; `of` (n,) rises."""
    new = np.diff(of, prepend=-1) > 0
    corners = points[cells[of[new]]]
    row = np.cumsum(new) - 1
    # Barycentric coordinates from the inverse of each cell's map, all of them positive inside.
    inverse = np.linalg.inv(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    offset = x - corners[row, 0]
    hit = np.ones(len(of), bool)
    left = np.ones(len(of))
    for axis in range(x.shape[1]):
        weight = sum(inverse[row, axis, i] * offset[:, i] for i in range(x.shape[1]))
        hit &= weight > 0
        left -= weight
    return hit & (left > 0)
