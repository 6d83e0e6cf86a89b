"""Loops over triangles and tetrahedra, which numba compiles.

Only additions, multiplications and square roots, in one order: the figures of a cell are the same to the last bit
wherever it stands in its array, so that ranks come to the same verdict on a cell they share.
"""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Flags, Integers, Numbers


@compiled
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def _cross(a, b):  # type: ignore[no-untyped-def]
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled
def _from(a, b):  # type: ignore[no-untyped-def]
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@compiled
def _inverse(square: float) -> float:
    return 1.0 / math.sqrt(square if square > 0 else 1.0)


@compiled
def _of_tetrahedron(a, b, c, d):  # type: ignore[no-untyped-def]
    """As `sharpness`, of the tetrahedron with these corners (x, y, z)."""
    one, two, three = _from(b, a), _from(c, a), _from(d, a)
    # Of the facets opposite all corners but the first, inwards, as long as the facet is large. All four add up to
    # nothing: that gives the first one's products.
    n1, n2, n3 = _cross(two, three), _cross(three, one), _cross(one, two)
    p11, p12, p13, p22, p23, p33 = _dot(n1, n1), _dot(n1, n2), _dot(n1, n3), _dot(n2, n2), _dot(n2, n3), _dot(n3, n3)
    measure = _dot(one, n1)
    if not measure > 0:
        return 2.0 - measure
    p01, p02, p03 = -(p11 + p12 + p13), -(p12 + p22 + p23), -(p13 + p23 + p33)
    p00 = -(p01 + p02 + p03)
    i0, i1, i2, i3 = _inverse(p00), _inverse(p11), _inverse(p22), _inverse(p33)
    least = min(1.0, p01 * (i0 * i1), p02 * (i0 * i2), p03 * (i0 * i3))
    return -min(least, p12 * (i1 * i2), p13 * (i1 * i3), p23 * (i2 * i3))


@compiled
def _of_triangle(a, b, c):  # type: ignore[no-untyped-def]
    """As `sharpness`, of the triangle with these corners (x, y, anything)."""
    one, two = _from(b, a), _from(c, a)
    n1, n2 = (two[1], -two[0]), (-one[1], one[0])
    p11, p12, p22 = n1[0] * n1[0] + n1[1] * n1[1], n1[0] * n2[0] + n1[1] * n2[1], n2[0] * n2[0] + n2[1] * n2[1]
    measure = one[0] * n1[0] + one[1] * n1[1]
    if not measure > 0:
        return 2.0 - measure
    p01, p02 = -(p11 + p12), -(p12 + p22)
    p00 = -(p01 + p02)
    i0, i1, i2 = _inverse(p00), _inverse(p11), _inverse(p22)
    return -min(1.0, p01 * (i0 * i1), p02 * (i0 * i2), p12 * (i1 * i2))


@compiled
def _at(points, row):  # type: ignore[no-untyped-def]
    return points[row, 0], points[row, 1], points[row, 2] if points.shape[1] == 3 else 0.0


@kept
def find_measures(points: Array, cells: Integers, found: Array) -> None:
    """Signed areas or volumes (m,) of cells (m, dim + 1)."""
    for i in range(len(cells)):
        a = _at(points, cells[i, 0])
        one, two = _from(_at(points, cells[i, 1]), a), _from(_at(points, cells[i, 2]), a)
        if cells.shape[1] == 3:
            found[i] = (one[0] * two[1] - one[1] * two[0]) / 2
        else:
            found[i] = _dot(one, _cross(two, _from(_at(points, cells[i, 3]), a))) / 6


@kept
def find_sharpness(points: Array, cells: Integers, found: Array) -> None:
    """Cosine (m,) of the smallest angle of each cell (m, dim + 1); over 2 in inverted cells, the more the worse."""
    for i in range(len(cells)):
        a, b, c = _at(points, cells[i, 0]), _at(points, cells[i, 1]), _at(points, cells[i, 2])
        found[i] = _of_triangle(a, b, c) if cells.shape[1] == 3 else _of_tetrahedron(a, b, c, _at(points, cells[i, 3]))


@kept
def shorten_to_edges(points: Array, cells: Integers, squares: Array) -> None:
    """Bring squares (n,) of the points' shortest edges down to those of the edges of cells (m, dim + 1)."""
    for i in range(len(cells)):
        for j in range(cells.shape[1]):
            for k in range(j):
                one, other = cells[i, k], cells[i, j]
                way = _from(_at(points, one), _at(points, other))
                square = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
                squares[one] = min(squares[one], square)
                squares[other] = min(squares[other], square)


@kept
def find_touching(cells: Integers, vertex: Flags, found: Flags) -> None:
    """Cells (m, corners) with one of the flagged vertices (n,)."""
    for i in range(len(cells)):
        found[i] = False
        for j in range(cells.shape[1]):
            if vertex[cells[i, j]]:
                found[i] = True
                break


@kept
def find_worst(of_cell: Array, place: Numbers, worst: Array) -> None:
    """Raise values (k,) to those (m,) of the cells whose corners (m, corners) have these places; -1: none."""
    for i in range(len(place)):
        for j in range(place.shape[1]):
            if place[i, j] >= 0:
                worst[place[i, j]] = max(worst[place[i, j]], of_cell[i])


@compiled
def _cells_around(place: Integers, cosine: Array, count: int) -> tuple[Numbers, Numbers]:
    """Where the cells of each vertex start (count + 1,), and their numbers, the sharpest of each vertex first."""
    starts = np.zeros(count + 1, np.int64)
    for i in range(len(place)):
        for j in range(place.shape[1]):
            if place[i, j] >= 0:
                starts[place[i, j] + 1] += 1
    for vertex in range(count):
        starts[vertex + 1] += starts[vertex]
    filled = starts[:-1].copy()
    around = np.empty(starts[-1], np.int64)
    for i in range(len(place)):
        for j in range(place.shape[1]):
            vertex = place[i, j]
            if vertex >= 0:
                at = filled[vertex]
                while at > starts[vertex] and cosine[around[at - 1]] < cosine[i]:
                    around[at] = around[at - 1]
                    at -= 1
                around[at] = i
                filled[vertex] += 1
    return starts, around


@kept
def try_moves(
    points: Array,
    cells: Integers,
    place: Integers,
    cosine: Array,
    start: Array,
    reach: Array,
    ways: Array,
    now: Array,
    alone: Flags,
    worst: Array,
) -> None:
    """Cosine of the sharpest cell around each vertex after each move, as far as it matters.

    Args:
        points: (n, dim) of all vertices.
        cells: (m, dim + 1).
        place: (m, dim + 1) of the cells' vertices among the k that may move; -1 where they are not.
        cosine: (m,) of the cells as they are.
        start: (k, dim) where the vertices are.
        reach: (k, dim) how far they may move.
        ways: (ways, dim) in parts of the reach.
        now: (k,) above which a move is turned down, and looked at no longer.
        alone: (k,) vertices of which every move that is no better than an earlier one is turned down as well.
        worst: (ways, k), changed; infinite ones stay.
    """
    starts, around = _cells_around(place, cosine, len(start))
    dim = points.shape[1]
    for vertex in range(len(start)):
        limit = now[vertex]
        for way in range(len(worst)):
            if worst[way, vertex] == np.inf:
                continue
            x = start[vertex, 0] + ways[way, 0] * reach[vertex, 0]
            y = start[vertex, 1] + ways[way, 1] * reach[vertex, 1]
            here = (x, y, start[vertex, 2] + ways[way, 2] * reach[vertex, 2] if dim == 3 else 0.0)
            largest = -1.0
            for cell in around[starts[vertex] : starts[vertex + 1]]:
                a, b, c = cells[cell, 0], cells[cell, 1], cells[cell, 2]
                # The corners in another order, of which the one that moves is the last; the measure keeps its sign.
                if dim == 2:
                    if place[cell, 0] == vertex:
                        a, b = b, c
                    elif place[cell, 1] == vertex:
                        a, b = c, a
                    found = _of_triangle(_at(points, a), _at(points, b), here)
                else:
                    d = cells[cell, 3]
                    if place[cell, 0] == vertex:
                        a, b, c = d, c, b
                    elif place[cell, 1] == vertex:
                        a, b, c = c, d, a
                    elif place[cell, 2] == vertex:
                        a, b, c = b, a, d
                    found = _of_tetrahedron(_at(points, a), _at(points, b), _at(points, c), here)
                largest = max(largest, found)
                if largest > limit:
                    break
            worst[way, vertex] = largest
            if alone[vertex]:
                limit = min(limit, largest)
