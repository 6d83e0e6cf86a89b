"""Cells cut at the edge of a region: which lie inside as a whole, and simplices that fill the cut ones' part inside.

Only cells that the edge cuts are divided, and only as far as the accuracy asks for. Work goes in chunks, whose parts
are handed on at once, so that memory does not grow with their number.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .corners import diameters, is_simplex, split
from .shapes import Distance, LabelField

Array = NDArray[np.float64]
Index = NDArray[np.intp]
CHUNK = 40_000  # cells or simplices cut at a time
FLAT = 4.0  # a distance this many times its deviation from a linear function has no zero between corners of one sign


@dataclass(frozen=True)
class Inside:
    """What of some cells lies inside a region."""

    whole: Index  # (n,) cells that do as a whole
    cut: Index  # (m,) cell of each of the simplices
    parts: Array  # (m, dim + 1, dim) simplices that fill the other cells' parts inside


Cut = Callable[[Array, Array], Iterator[Inside]]  # corners (n, k, dim), values of a function at them (n, k)


def within_box(low: Array, high: Array) -> Cut:
    """Cut at an axis-parallel box [low, high], infinite where it is unbounded: exact."""

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        least, most = corners.min(axis=1), corners.max(axis=1)
        outside = np.any((most <= low) | (least >= high), axis=1)
        whole = np.all((least >= low) & (most <= high), axis=1)
        left = np.flatnonzero(~outside & ~whole)
        yield _wholes(np.flatnonzero(whole), corners)
        for cell, parts in _chunks(*_simplices(left, corners[left])):
            for axis in range(corners.shape[2]):
                for sign, bound in ((-1.0, low[axis]), (1.0, high[axis])):
                    if np.isfinite(bound):
                        of, parts = clip(parts, sign * (parts[:, :, axis] - bound))
                        cell = cell[of]
            yield Inside(np.empty(0, np.intp), cell, parts)

    return cut


def within_distance(distance: Distance, accuracy: float, smallest: float) -> Cut:
    """Cut where a signed distance, given at the corners as well, is zero; it changes by no more than the way gone.

    Args:
        distance: Negative inside.
        accuracy: Deviation of the distance from a linear function, in a simplex, that need not be resolved.
        smallest: Diameter of simplices that are not divided further: at edges and corners of the region.
    """

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        # No point of a cell is farther than this from its nearest corner (Jung's theorem).
        dim = corners.shape[2]
        reach = math.sqrt(dim / (2 * (dim + 1))) * diameters(corners)
        whole = values.max(axis=1) <= -reach
        left = np.flatnonzero(~whole & (values.min(axis=1) < reach))
        yield _wholes(np.flatnonzero(whole), corners)
        cell, simplices = _simplices(left, corners[left])
        at_corners = values[left] if is_simplex(corners) else split(values[left]).reshape(len(cell), -1)
        waiting = [(cell, simplices, at_corners)]
        while waiting:
            cell, simplices, at_corners = waiting.pop()
            if len(cell) > CHUNK:
                middle = len(cell) // 2
                waiting += [(cell[:middle], simplices[:middle], at_corners[:middle])]
                waiting += [(cell[middle:], simplices[middle:], at_corners[middle:])]
                continue
            far = np.abs(at_corners).min(axis=1) >= math.sqrt(dim / (2 * (dim + 1))) * diameters(simplices)
            inside = at_corners.max(axis=1) < 0
            sure = far & (inside | (at_corners.min(axis=1) > 0))
            yield Inside(np.empty(0, np.intp), cell[sure & inside], simplices[sure & inside])
            cell, simplices, at_corners = cell[~sure], simplices[~sure], at_corners[~sure]
            if len(cell) == 0:
                continue
            at_middles = _at_middles(simplices, distance)
            deviation = _deviation(simplices, at_corners, at_middles, distance)
            ready = (deviation <= accuracy) | (diameters(simplices) <= smallest)
            alike = (at_corners.max(axis=1) < 0) | (at_corners.min(axis=1) > 0)
            ready |= alike & (np.abs(at_corners).min(axis=1) > FLAT * deviation)
            of, parts = clip(simplices[ready], at_corners[ready])
            yield Inside(np.empty(0, np.intp), cell[ready][of], parts)
            divided = _halve(cell[~ready], simplices[~ready], at_corners[~ready], at_middles[~ready])
            if len(divided[0]):
                waiting.append(divided)

    return cut


def within_labels(labels: LabelField, smallest: float) -> Cut:
    """Cut at the ragged edge of a label image, in parts of the radius `smallest` that are in or out as a whole."""

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        inside, clear, radius = _at_centroids(corners, labels)
        yield _wholes(np.flatnonzero(inside & clear), corners)
        left = np.flatnonzero(~clear)
        waiting = [_simplices(left, corners[left])]
        while waiting:
            cell, simplices = waiting.pop()
            if len(cell) > CHUNK:
                middle = len(cell) // 2
                waiting += [(cell[:middle], simplices[:middle]), (cell[middle:], simplices[middle:])]
                continue
            inside, clear, radius = _at_centroids(simplices, labels)
            done = clear | (radius < smallest)
            taken = done & inside
            yield Inside(np.empty(0, np.intp), cell[taken], simplices[taken])
            nothing = np.empty((np.count_nonzero(~done), 0))
            cell, simplices, _ = _halve(cell[~done], simplices[~done], nothing, nothing)
            if len(cell):
                waiting.append((cell, simplices))

    return cut


def _wholes(whole: Index, corners: Array) -> Inside:
    dim = corners.shape[2]
    return Inside(whole, np.empty(0, np.intp), np.empty((0, dim + 1, dim)))


def _simplices(cell: Index, corners: Array) -> tuple[Index, Array]:
    """Cells, squares and cubes in simplices; also the cell of each."""
    if is_simplex(corners):
        return cell, corners
    dim = corners.shape[2]
    parts = split(corners).reshape(-1, dim + 1, dim)
    return np.repeat(cell, math.factorial(dim)), parts


def _chunks(cell: Index, parts: Array) -> Iterator[tuple[Index, Array]]:
    for start in range(0, len(cell), CHUNK):
        yield cell[start : start + CHUNK], parts[start : start + CHUNK]


def _at_centroids(corners: Array, labels: LabelField) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Array]:
    """Whether cells' centroids are inside, whether the cells are as they are as a whole, and the cells' radii."""
    centroid = corners.mean(axis=1)
    radius = np.linalg.norm(corners - centroid[:, None], axis=2).max(axis=1, initial=0.0)
    return labels.inside(centroid), np.abs(labels.distance(centroid)) >= radius, radius


def _pairs(corners: int) -> list[tuple[int, int]]:
    """Edges of a simplex, in the order in which the values at their middles are kept."""
    return [(i, j) for i in range(corners) for j in range(i + 1, corners)]


def _at_middles(simplices: Array, distance: Distance) -> Array:
    """Distance at the middles of the edges, (n, edges)."""
    pairs = np.array(_pairs(simplices.shape[1]))
    middles = (simplices[:, pairs[:, 0]] + simplices[:, pairs[:, 1]]) / 2
    return distance(middles.reshape(-1, simplices.shape[2])).reshape(len(simplices), -1)


def _deviation(simplices: Array, at_corners: Array, at_middles: Array, distance: Distance) -> Array:
    """How far the distance is from a linear function within each simplex: at its edges' middles and its centroid."""
    pairs = np.array(_pairs(simplices.shape[1]))
    linear = (at_corners[:, pairs[:, 0]] + at_corners[:, pairs[:, 1]]) / 2
    at_centroid = np.abs(distance(simplices.mean(axis=1)) - at_corners.mean(axis=1))
    return np.maximum(at_centroid, np.abs(at_middles - linear).max(axis=1, initial=0.0))


def _halve(cell: Index, corners: Array, at_corners: Array, at_middles: Array) -> tuple[Index, Array, Array]:
    """Each triangle into four (tetrahedron into eight) by its edges' middles, with the values at the corners.

    What is left of a tetrahedron without its corners is cut along its shortest diagonal, which keeps shapes good.
    """
    n = corners.shape[1]
    pairs = np.array(_pairs(n))
    points = np.concatenate([corners, (corners[:, pairs[:, 0]] + corners[:, pairs[:, 1]]) / 2], axis=1)
    values = np.concatenate([at_corners, at_middles], axis=1)
    if n == 3:  # points: 0, 1, 2, 01, 02, 12
        children = [np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2], [3, 4, 5]])]
        kind = np.zeros(len(cell), np.intp)
    else:  # points: 0, 1, 2, 3, 01 (4), 02 (5), 03 (6), 12 (7), 13 (8), 23 (9)
        ends = [[0, 4, 5, 6], [4, 1, 7, 8], [5, 7, 2, 9], [6, 8, 9, 3]]
        children = []
        for a, b, ring in ((4, 9, (5, 6, 8, 7)), (5, 8, (4, 6, 9, 7)), (6, 7, (4, 5, 9, 8))):
            around = [[a, b, ring[k], ring[(k + 1) % 4]] for k in range(4)]
            children.append(np.array(ends + around))
        diagonals = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in ((4, 9), (5, 8), (6, 7))]
        kind = np.argmin(diagonals, axis=0)
    out_cell, out_corners, out_values = [], [], []
    for k, child in enumerate(children):
        of_kind = np.flatnonzero(kind == k)
        out_cell.append(np.repeat(cell[of_kind], len(child)))
        out_corners.append(points[of_kind][:, child].reshape(-1, n, corners.shape[2]))
        if at_corners.shape[1]:
            out_values.append(values[of_kind][:, child].reshape(-1, n))
    found = np.concatenate(out_values) if out_values else np.empty((sum(map(len, out_cell)), 0))
    return np.concatenate(out_cell), np.concatenate(out_corners), found


def clip(corners: Array, values: Array) -> tuple[Index, Array]:
    """The part of each simplex where the linear interpolant of `values` is negative, as simplices.

    Args:
        corners: (n, dim + 1, dim) simplices.
        values: (n, dim + 1) at the corners.

    Returns:
        (m,) simplex of each part, and (m, dim + 1, dim) the parts.
    """
    order = np.argsort(values, axis=1, kind="stable")
    rows = np.arange(len(corners))[:, None]
    x, f = corners[rows, order], values[rows, order]
    negative = (f < 0).sum(axis=1)

    def crossing(k: Index, i: int, j: int) -> Array:
        """Zero on the edge from the negative corner i to the other corner j."""
        s = f[k, i] / (f[k, i] - f[k, j])
        return x[k, i] + s[:, None] * (x[k, j] - x[k, i])

    n = corners.shape[1]
    index = [np.flatnonzero(negative == n)]
    parts = [x[index[0]]]

    def add(k: Index, *simplex: Array) -> None:
        index.append(k)
        parts.append(np.stack(simplex, axis=1))

    one, two, three = (np.flatnonzero(negative == m) for m in (1, 2, 3))
    if n == 3:
        add(one, x[one, 0], crossing(one, 0, 1), crossing(one, 0, 2))
        p, q = crossing(two, 0, 2), crossing(two, 1, 2)
        add(two, x[two, 0], x[two, 1], q)
        add(two, x[two, 0], q, p)
    else:
        add(one, x[one, 0], crossing(one, 0, 1), crossing(one, 0, 2), crossing(one, 0, 3))
        _add_prism(add, two, (x[two, 0], crossing(two, 0, 2), crossing(two, 0, 3)),
                   (x[two, 1], crossing(two, 1, 2), crossing(two, 1, 3)))  # fmt: skip
        _add_prism(add, three, (x[three, 0], x[three, 1], x[three, 2]),
                   (crossing(three, 0, 3), crossing(three, 1, 3), crossing(three, 2, 3)))  # fmt: skip
    return np.concatenate(index), np.concatenate(parts)


def _add_prism(add: Callable[..., None], k: Index, low: tuple[Array, ...], high: tuple[Array, ...]) -> None:
    """A triangular prism as three tetrahedra."""
    add(k, low[0], low[1], low[2], high[2])
    add(k, low[0], low[1], high[1], high[2])
    add(k, low[0], high[0], high[1], high[2])
