"""A loop over the voxels whose centres lie in the bounding boxes of cells, which numba compiles."""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Integers, Numbers, Phases


@compiled
def _measure(a, b, c):  # type: ignore[no-untyped-def]
    """Determinant of three vectors."""
    return a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])


@compiled
def _lies_in(corners: Array, count: int, x: float, y: float, z: float) -> bool:
    """Whether a point lies in the triangle, in the plane z = 0, or tetrahedron with these corners (count, 3).

    All barycentric coordinates are positive inside, of whichever orientation the corners are.
    """
    x0, y0, z0 = corners[0, 0], corners[0, 1], corners[0, 2]
    point = (x - x0, y - y0, z - z0)
    a = (corners[1, 0] - x0, corners[1, 1] - y0, corners[1, 2] - z0)
    b = (corners[2, 0] - x0, corners[2, 1] - y0, corners[2, 2] - z0)
    c = (corners[3, 0] - x0, corners[3, 1] - y0, corners[3, 2] - z0) if count == 4 else (0.0, 0.0, 1.0)
    whole = _measure(a, b, c)
    one, two, three = _measure(point, b, c) / whole, _measure(a, point, c) / whole, _measure(a, b, point) / whole
    return one > 0 and two > 0 and (three > 0 or count == 3) and one + two + three < 1


@kept
def centres_inside(
    points: Array,
    cells: Integers,
    labels: Phases,
    phase: Phases,
    start: Numbers,
    edge: Array,
    aside: Array,
    shape: Numbers,
    every: bool,
    wrong: Numbers,
) -> tuple[int, int]:
    """Look at the voxels whose centres lie in the cells.

    Args:
        points: (k, dim) of the vertices.
        cells: (m, dim + 1), or boxes (m, 2^dim), rows of `points`.
        labels: (m,) phases of the cells.
        phase: Phases (z, y, x) of the voxels of a window that has all cells.
        start: First voxel of the window, x first.
        edge: (dim,) of a voxel in the units of points.
        aside: (3,) where in a voxel its centre is taken to be.
        shape: (3,) number of voxels of the image, x first.
        every: Whether voxels of the cell's own phase are counted.
        wrong: Gets the voxels, numbered in the image with x fastest, whose centres lie in a cell of another phase, as
            many as it has room for.

    Returns:
        How many centres lie in a cell, and how many of them in one of another phase.
    """
    dim = points.shape[1]
    found = inside = 0
    corners = np.zeros((cells.shape[1], 3))
    low, high = np.zeros(3, np.int64), np.ones(3, np.int64)
    for i in range(len(cells)):
        for axis in range(dim):
            least, most = np.inf, -np.inf
            for j in range(cells.shape[1]):
                corners[j, axis] = points[cells[i, j], axis] / edge[axis] - aside[axis]
                least, most = min(least, corners[j, axis]), max(most, corners[j, axis])
            low[axis] = max(0, math.ceil(least))
            high[axis] = min(shape[axis], math.floor(most) + 1)
        for z in range(low[2], high[2]):
            for y in range(low[1], high[1]):
                for x in range(low[0], high[0]):
                    same = phase[z - start[2], y - start[1], x - start[0]] == labels[i]
                    if same and not every:
                        continue
                    # Cells that are no simplices are their bounding boxes
                    if cells.shape[1] == dim + 1 and not _lies_in(corners, dim + 1, x, y, z):
                        continue
                    inside += 1
                    if not same:
                        if found < len(wrong):
                            wrong[found] = (z * shape[1] + y) * shape[0] + x
                        found += 1
    return inside, found
