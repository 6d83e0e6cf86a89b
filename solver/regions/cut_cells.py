"""Cells cut at the edge of a region: which lie inside as a whole, and simplices that fill the cut ones' part inside.

Only cells that the edge cuts are divided, and only as far as the accuracy asks for. Work goes in chunks, whose parts
are handed on at once, so that memory does not grow with their number.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.meshing.mesh.cells import Scalar, as_simplices, diameters, is_simplex, largest, least
from microlith.solver.regions.shapes import Distance, LabelField

Index = NDArray[np.intp]
CELLS_AT_ONCE = 40_000  # cells or simplices cut at a time
FLAT = 4.0  # a distance this many times its deviation from a linear function has no zero between corners of one sign
AS_QUADRATIC = 0.1  # deviation from a quadratic function, per accuracy, below which that stands for the distance
# By dimension: the radius of a ball around a cell, per its diameter (Jung's theorem)
REACH = {dim: math.sqrt(dim / (2 * (dim + 1))) for dim in (2, 3)}


@dataclass(frozen=True)
class Inside:
    """What of some cells lies inside a region."""

    whole: Index  # (n,) cells that do as a whole
    cut: Index  # (m,) cell of each of the simplices
    parts: Array  # (m, dim + 1, dim) simplices that fill the other cells' parts inside

    @staticmethod
    def joined(several: "Sequence[Inside]") -> "Inside":
        """What all of several, at least one, hold."""
        return Inside(*(np.concatenate([getattr(one, name) for one in several]) for name in ("whole", "cut", "parts")))


# From corners (n, k, dim), and values of a function at them (n, k)
Cut = Callable[[Array, NDArray[Any]], Iterator[Inside]]


def within_box(low: Array, high: Array) -> Cut:
    """Cut at an axis-parallel box [low, high], infinite where it is unbounded: exact."""

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        outside, whole = np.zeros(len(corners), bool), np.ones(len(corners), bool)
        for axis in np.flatnonzero(np.isfinite(low) | np.isfinite(high)):
            first, last = least(corners[:, :, axis]), largest(corners[:, :, axis])
            outside |= (last <= low[axis]) | (first >= high[axis])
            whole &= (first >= low[axis]) & (last <= high[axis])
        left = np.flatnonzero(~outside & ~whole)
        yield wholes(np.flatnonzero(whole), corners)
        for cell, parts in _chunks(*_simplices(left, corners[left])):
            for axis in range(corners.shape[2]):
                for sign, bound in ((-1.0, low[axis]), (1.0, high[axis])):
                    if np.isfinite(bound):
                        of, parts = clip(parts, sign * (parts[:, :, axis] - bound))
                        cell = cell[of]
            yield Inside(np.empty(0, np.intp), cell, parts)

    return cut


def within_distance(distance: Distance, accuracy: float, smallest: float, as_quadratic: float = AS_QUADRATIC) -> Cut:
    """Cut where a signed distance, given at the corners as well, is zero; it changes by no more than the way gone.

    Within a simplex where the distance is as good as quadratic, its parts take it from the quadratic.

    Args:
        distance: Negative inside.
        accuracy: Deviation of the distance from a linear function, in a simplex, that need not be resolved.
        smallest: Diameter of simplices that are not divided further: at edges and corners of the region.
        as_quadratic: Deviation from a quadratic function, per accuracy, below which that stands for the distance.
    """

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        reach = reach_of(corners)
        whole = largest(values) <= -reach
        left = np.flatnonzero(~whole & (least(values) < reach))
        yield wholes(np.flatnonzero(whole), corners)
        cell, simplices, at_corners = in_simplices(left, corners, values)
        waiting = [_Waiting(cell, simplices, at_corners, quadratic=False)]
        while waiting:
            now = waiting.pop()
            if len(now.cell) > CELLS_AT_ONCE:
                waiting += now.halves()
                continue
            count = now.simplices.shape[1]
            at_corners = now.values[:, :count]
            far = least(np.abs(at_corners)) >= reach_of(now.simplices)
            inside = largest(at_corners) < 0
            alike = inside | (least(at_corners) > 0)
            sure = far & alike
            yield Inside(np.empty(0, np.intp), now.cell[sure & inside], now.simplices[sure & inside])
            now, alike = now.those(~sure), alike[~sure]
            if len(now.cell) == 0:
                continue
            cell, simplices, nodal = now.cell, now.simplices, now.values
            quadratic: NDArray[np.bool_] = np.full(len(cell), now.quadratic)
            if not now.quadratic:
                nodal = np.concatenate([nodal, at_middles(simplices, distance)], axis=1)
                off = np.abs(distance(simplices.mean(axis=1)) - nodal @ _quadratic_at_centroid(count))
                quadratic = off <= as_quadratic * accuracy
            bend, away = deviation(nodal, count)
            away = away if now.quadratic else np.maximum(away, off)
            ready = (away <= accuracy) | (diameters(simplices) <= smallest)
            ready |= alike & (least(np.abs(nodal[:, :count])) > FLAT * away)
            of, parts = clip(simplices[ready], nodal[ready, :count] + bend[ready, None])
            yield Inside(np.empty(0, np.intp), cell[ready][of], parts)
            for kind in (True, False):
                some = ~ready & (quadratic == kind)
                if some.any():
                    waiting.append(_Waiting(*_halve(cell[some], simplices[some], nodal[some], kind), quadratic=kind))

    return cut


@dataclass(frozen=True)
class _Waiting:
    """Simplices that are still to be cut."""

    cell: Index  # (n,)
    simplices: Array  # (n, dim + 1, dim)
    values: Array  # of the distance: at the corners (n, dim + 1), or at the middles of the edges as well
    quadratic: bool  # whether the values are those of a quadratic that stands for the distance: then all are there

    def those(self, chosen: NDArray[np.bool_]) -> "_Waiting":
        return _Waiting(self.cell[chosen], self.simplices[chosen], self.values[chosen], self.quadratic)

    def halves(self) -> "list[_Waiting]":
        first = np.arange(len(self.cell)) < len(self.cell) // 2
        return [self.those(first), self.those(~first)]


def reach_of(corners: Array) -> Array:
    """No point of a cell is farther than this from its nearest corner."""
    return REACH[corners.shape[2]] * diameters(corners)


def within_labels(labels: LabelField, smallest: float) -> Cut:
    """Cut at the ragged edge of a label image, in parts of the radius `smallest` that are in or out as a whole."""

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        inside, clear, radius = _at_centroids(corners, labels)
        yield wholes(np.flatnonzero(inside & clear), corners)
        left = np.flatnonzero(~clear)
        waiting = [_simplices(left, corners[left])]
        while waiting:
            cell, simplices = waiting.pop()
            if len(cell) > CELLS_AT_ONCE:
                middle = len(cell) // 2
                waiting += [(cell[:middle], simplices[:middle]), (cell[middle:], simplices[middle:])]
                continue
            inside, clear, radius = _at_centroids(simplices, labels)
            done = clear | (radius < smallest)
            taken = done & inside
            yield Inside(np.empty(0, np.intp), cell[taken], simplices[taken])
            nothing = np.empty((np.count_nonzero(~done), 0))
            cell, simplices, _ = _halve(cell[~done], simplices[~done], nothing, quadratic=False)
            if len(cell):
                waiting.append((cell, simplices))

    return cut


def wholes(whole: Index, corners: Array) -> Inside:
    """Cells that lie inside as a whole, and no others."""
    dim = corners.shape[2]
    return Inside(whole, np.empty(0, np.intp), np.empty((0, dim + 1, dim)))


def _simplices(cell: Index, corners: Array) -> tuple[Index, Array]:
    """Cells, squares and cubes in simplices; also the cell of each."""
    if is_simplex(corners):
        return cell, corners
    dim = corners.shape[2]
    parts = as_simplices(corners).reshape(-1, dim + 1, dim)
    return np.repeat(cell, math.factorial(dim)), parts


def in_simplices(chosen: Index, corners: Array, values: NDArray[Scalar]) -> tuple[Index, Array, NDArray[Scalar]]:
    """Some of the cells in simplices, with the cell of each and the values at their corners."""
    cell, simplices = _simplices(chosen, corners[chosen])
    if is_simplex(corners):
        return cell, simplices, values[chosen]
    return cell, simplices, as_simplices(values[chosen]).reshape(len(cell), corners.shape[2] + 1)


def _chunks(cell: Index, parts: Array) -> Iterator[tuple[Index, Array]]:
    for start in range(0, len(cell), CELLS_AT_ONCE):
        yield cell[start : start + CELLS_AT_ONCE], parts[start : start + CELLS_AT_ONCE]


def _at_centroids(corners: Array, labels: LabelField) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Array]:
    """Whether cells' centroids are inside, whether the cells are as they are as a whole, and the cells' radii."""
    centroid = corners.mean(axis=1)
    radius = np.linalg.norm(corners - centroid[:, None], axis=2).max(axis=1, initial=0.0)
    clear = (np.abs(labels.distance(centroid)) >= radius) | labels.in_one_pixel(corners)
    return labels.inside(centroid), clear, radius


def _pairs(corners: int) -> list[tuple[int, int]]:
    """Edges of a simplex, in the order in which the values at their middles are kept."""
    return [(i, j) for i in range(corners) for j in range(i + 1, corners)]


def at_middles(simplices: Array, distance: Distance) -> Array:
    """Distance at the middles of the edges, (n, edges)."""
    pairs = np.array(_pairs(simplices.shape[1]))
    middles = (simplices[:, pairs[:, 0]] + simplices[:, pairs[:, 1]]) / 2
    return distance(middles.reshape(-1, simplices.shape[2])).reshape(len(simplices), len(pairs))


def deviation(nodal: Array, count: int) -> tuple[Array, Array]:
    """How a quadratic function differs from its linear interpolant within each simplex.

    Args:
        nodal: (n, corners + edges) its values at corners and at the edges' middles.
        count: Number of corners.

    Returns:
        Mean difference, (n,): where the edge of the region is curved, chords lie on one side of it, and moved by this
        they lie on both. Largest difference at the edges' middles, (n,).
    """
    pairs = np.array(_pairs(count))
    at_edges = nodal[:, count:] - (nodal[:, pairs[:, 0]] + nodal[:, pairs[:, 1]]) / 2
    # The difference is Σ 4 d_ij λ_i λ_j over the edges, and the mean of λ_i λ_j is 1/((dim + 1)(dim + 2)).
    return 4 / (count * (count + 1)) * at_edges.sum(axis=1), largest(np.abs(at_edges))


def _quadratic_basis(shares: Array) -> Array:
    """Quadratic basis (n, corners + edges) of a simplex at points given by their shares of its corners (n, corners)."""
    pairs = np.array(_pairs(shares.shape[1]))
    return np.concatenate([shares * (2 * shares - 1), 4 * shares[:, pairs[:, 0]] * shares[:, pairs[:, 1]]], axis=1)


def _quadratic_at_centroid(count: int) -> Array:
    return _quadratic_basis(np.full((1, count), 1 / count))[0]


def _children() -> dict[int, list[NDArray[np.intp]]]:
    """Ways to divide a simplex, by the number of its corners: (children, corners) points, edges' middles after corners.

    A tetrahedron without its four corners is an octahedron: cut along one of its three diagonals.
    """
    triangle = [[0, 3, 4], [3, 1, 5], [4, 5, 2], [3, 4, 5]]  # points 0, 1, 2, 01, 02, 12
    ends = [[0, 4, 5, 6], [4, 1, 7, 8], [5, 7, 2, 9], [6, 8, 9, 3]]  # points 0, 1, 2, 3, 01, 02, 03, 12, 13, 23
    ways = []
    for (a, b), ring in zip(_DIAGONALS, ((5, 6, 8, 7), (4, 6, 9, 7), (4, 5, 9, 8)), strict=True):
        ways.append(np.array(ends + [[a, b, ring[k], ring[(k + 1) % 4]] for k in range(4)]))
    return {3: [np.array(triangle)], 4: ways}


_DIAGONALS = ((4, 9), (5, 8), (6, 7))
_CHILDREN = _children()


def _halve(cell: Index, corners: Array, nodal: Array, quadratic: bool) -> tuple[Index, Array, Array]:
    """Each triangle into four (tetrahedron into eight) by its edges' middles.

    Tetrahedra are cut along the shortest of their diagonals, which keeps shapes good.

    Args:
        cell: (n,) of each simplex.
        corners: (n, corners, dim).
        nodal: (n, corners + edges) values at the corners and at the middles of the edges, or (n, 0).
        quadratic: Whether children get values at their edges' middles, too, from the quadratic function.
    """
    count, dim = corners.shape[1:]
    shares = _shares(count)
    points = shares @ corners
    ways = _CHILDREN[count]
    kind = np.zeros(len(cell), np.intp)
    if len(ways) > 1:
        kind = np.argmin([((points[:, a] - points[:, b]) ** 2).sum(axis=1) for a, b in _DIAGONALS], axis=0)
    width = (len(shares) if quadratic else count) if nodal.shape[1] else 0
    found: list[tuple[Index, Array, Array]] = []
    for k, way in enumerate(ways):
        of_kind = np.flatnonzero(kind == k)
        values = nodal[of_kind]
        if values.shape[1] and quadratic:
            at = np.einsum("pk,ckm->cpm", shares, shares[way])  # nodes of each child, as shares of the parent's corners
            values = values @ _quadratic_basis(at.reshape(-1, count)).T
        elif values.shape[1]:
            values = values[:, way]
        values = values.reshape(len(of_kind) * len(way), width)
        found.append((np.repeat(cell[of_kind], len(way)), points[of_kind][:, way].reshape(-1, count, dim), values))
    cells, parts, values_of = zip(*found, strict=True)
    return np.concatenate(cells), np.concatenate(parts), np.concatenate(values_of)


def _shares(count: int) -> Array:
    """Corners and edges' middles of a simplex as shares of its corners, (corners + edges, corners)."""
    unit = np.eye(count)
    return np.concatenate([unit, np.array([(unit[i] + unit[j]) / 2 for i, j in _pairs(count)])])


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
