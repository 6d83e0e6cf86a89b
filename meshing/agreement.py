"""How many voxels of an image lie, with their centres, in a cell of their own phase."""

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.meshing.phasemesh import Parts
from microlith.meshing.volume import LabelVolume, Window

CANDIDATES = 1 << 20  # pairs of voxel and cell at a time
# Of a voxel edge along x, y, z: with it no centre lies on a facet, so that each lies in one cell.
ASIDE = (3.1e-7, 1.7e-7, 2.3e-7)
Floats = NDArray[np.float64]


def agreement(volume: LabelVolume, parts: Parts, comm: MPI.Intracomm) -> tuple[float, float]:
    """Share of the voxels whose centre lies in a cell of their phase, and share of those that lie in any; collective.

    Each cell looks at the centres in its bounding box.

    Args:
        volume: The image.
        parts: Its mesh.
        comm: All ranks.
    """
    edge = np.array(volume.voxel_size[::-1]) / parts.unit
    aside = 0.5 + np.array(ASIDE[: volume.dim])
    low, high = _boxes(parts, edge, aside, volume.shape[::-1])
    window = _around(low, high)
    phase = volume.read(window).phase
    counts = np.maximum(high - low, 0)
    candidates = counts.prod(axis=1)
    cells = np.flatnonzero(candidates)
    piece = np.cumsum(candidates[cells]) // CANDIDATES
    right = inside = 0
    for chunk in np.split(cells, np.flatnonzero(np.diff(piece)) + 1):
        of = np.repeat(np.arange(len(chunk)), candidates[chunk])
        start = np.cumsum(candidates[chunk]) - candidates[chunk]
        rest = np.arange(len(of)) - start[of]
        index = np.empty((volume.dim, len(of)), np.int64)
        for axis in range(volume.dim):
            rest, offset = np.divmod(rest, counts[chunk, axis][of])
            index[axis] = low[chunk, axis][of] + offset
        hit = _inside(parts, chunk, of, [(i + a) * e for i, a, e in zip(index, aside, edge, strict=True)])
        place = tuple(i[hit] - begin for i, (begin, _) in zip(index[::-1], window, strict=True))
        inside += len(place[0])
        right += int(np.count_nonzero(phase[place] == parts.phase[chunk][of[hit]]))
    total = int(np.prod(volume.shape))
    return comm.allreduce(right) / total, comm.allreduce(inside) / total


def _boxes(
    parts: Parts, edge: Floats, aside: Floats, counts: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one past the last voxel, along x, y[, z], whose centre lies in the bounding box of each cell."""
    low = np.empty((len(parts.cells), len(counts)), np.int64)
    high = np.empty_like(low)
    for axis, count in enumerate(counts):
        at = parts.points[:, axis] / edge[axis] - aside[axis]
        corners = at[parts.cells]
        low[:, axis] = np.clip(np.ceil(corners.min(axis=1)), 0, count)
        high[:, axis] = np.clip(np.floor(corners.max(axis=1)) + 1, 0, count)
    return low, high


def _around(low: NDArray[np.int64], high: NDArray[np.int64]) -> Window:
    """The window, in the order of arrays, that holds all boxes."""
    if len(low) == 0:
        return ((0, 0),) * low.shape[1]
    first, last = low.min(axis=0)[::-1], high.max(axis=0)[::-1]
    return tuple((int(a), max(int(a), int(b))) for a, b in zip(first, last, strict=True))


def _inside(parts: Parts, cells: NDArray[np.int64], of: NDArray[np.int64], x: list[Floats]) -> NDArray[np.bool_]:
    """Whether points lie in their cells; `of` tells the place in `cells` of each."""
    corners = parts.points[parts.cells[cells]]
    dim = len(x)
    hit = np.ones(len(of), bool)
    if parts.shape in ("quadrilateral", "hexahedron"):
        return hit  # their bounding box
    # Barycentric coordinates from the inverse of each cell's map, all of them positive inside.
    inverse = np.linalg.inv(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    offset = [x[axis] - corners[of, 0, axis] for axis in range(dim)]
    left = np.ones(len(of))
    for row in range(dim):
        weight = sum(inverse[of, row, axis] * offset[axis] for axis in range(dim))
        hit &= weight > 0
        left -= weight
    return hit & (left > 0)
