"""Measures of triangles and tetrahedra, many at once.

Only additions, multiplications and square roots, one component at a time: the figures of a cell are the same to the
last bit wherever it stands in its array, so that ranks come to the same verdict on a cell they share.
"""

from collections.abc import Callable
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.large_arrays import cached_slices
from microlith.imaging.typing import Array, Integers, Numbers

Vector = list[Array]  # its components, arrays of one length
Cells = NDArray[Any]  # of integers

EDGES = {2: tuple(combinations(range(3), 2)), 3: tuple(combinations(range(4), 2))}  # pairs of vertices, by dimension


def signed_measures(points: Array, cells: Cells) -> Array:
    """Signed areas or volumes (m,) of cells (m, dim + 1) with vertices in points (n, dim)."""
    return _chunked(points, cells, lambda corners: _measure(_edges(corners)))


def sharpness(points: Array, cells: Cells) -> Array:
    """Cosine (m,) of the smallest angle of each cell, in 3D of the smallest dihedral one; over 2 in inverted cells."""
    return _chunked(points, cells, sharpness_of)


def sharpness_of(corners: list[Vector]) -> Array:
    """As `sharpness`, for cells given by their first, second, ... corner."""
    edges = _edges(corners)
    normals = _normals(edges)
    count = range(1, len(corners))
    products = {(a, b): dot(normals[a - 1], normals[b - 1]) for a, b in combinations_with_replacement(count, 2)}
    # All normals, each as long as its facet is large, add up to nothing: that gives the first one's products.
    for a in count:
        products[0, a] = -_sum([products[min(a, b), max(a, b)] for b in count])
    products[0, 0] = -_sum([products[0, a] for a in count])
    inverse = []
    for a in range(len(corners)):
        square = products[a, a]
        inverse.append(1.0 / np.sqrt(np.where(square > 0, square, 1.0)))
    least = np.ones(len(inverse[0]))
    for a, b in combinations(range(len(corners)), 2):
        np.minimum(least, products[a, b] * (inverse[a] * inverse[b]), out=least)
    measure = dot(edges[0], normals[0])
    return np.where(measure > 0, -least, 2.0 - measure)  # the more inverted, the worse


def angles(cosines: Array) -> Array:
    """Degrees of what `sharpness` gives; 0 for inverted cells."""
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))))


def oriented(points: Array, cells: Cells) -> Cells:
    """The same cells, two vertices of each exchanged where its measure is negative."""
    negative = signed_measures(points, cells) < 0
    result = cells.copy()
    result[negative, -2], result[negative, -1] = cells[negative, -1], cells[negative, -2]
    return result


def shortest_edges(points: Array, cells: Cells) -> Array:
    """Length (n,) of the shortest edge of these cells at each point; infinite where there is none."""
    shortest = np.full(len(points), np.inf)
    columns = _columns(points)
    for some in cached_slices(len(cells)):
        part = np.ascontiguousarray(cells[some].T)
        corners = [[column[corner] for column in columns] for corner in part]
        for a, b in EDGES[points.shape[1]]:
            edge = [one - other for one, other in zip(corners[a], corners[b], strict=True)]
            square = dot(edge, edge)
            np.minimum.at(shortest, part[a], square)
            np.minimum.at(shortest, part[b], square)
    return np.sqrt(shortest)


def single_facets(cells: Integers, points: int) -> Integers:
    """Facets (k, dim) that only one of some cells (m, dim + 1) has, of vertices below `points`."""
    facets = np.concatenate([np.delete(cells, i, axis=1) for i in range(cells.shape[1])])
    return facets[matched_facets(facets, points)[2]]


def matched_facets(vertices: Integers, points: int) -> tuple[Numbers, Numbers, Numbers]:
    """Places of the two sides of each facet that is there twice, and of those that are there once."""
    low = np.sort(vertices, axis=1)[:, :3].astype(np.int64)  # three tell two facets of a hexahedron apart
    key = low[:, 0] * points + low[:, 1]
    if low.shape[1] == 3:
        if points < 1 << 21:
            key = key * points + low[:, 2]
        else:
            key = np.unique(key, return_inverse=True)[1].ravel() * np.int64(points) + low[:, 2]
    order = np.argsort(key)
    twin = key[order][1:] == key[order][:-1]
    single = np.ones(len(order), bool)
    single[1:] &= ~twin
    single[:-1] &= ~twin
    pair = np.flatnonzero(twin)
    return order[pair], order[pair + 1], order[single]


def _columns(points: Array) -> list[Array]:
    return [np.ascontiguousarray(points[:, i]) for i in range(points.shape[1])]


def _chunked(points: Array, cells: Cells, measure: Callable[[list[Vector]], Array]) -> Array:
    columns = _columns(points)
    result = np.empty(len(cells))
    for some in cached_slices(len(cells)):
        part = np.ascontiguousarray(cells[some].T)
        result[some] = measure([[column[corner] for column in columns] for corner in part])
    return result


def _edges(corners: list[Vector]) -> list[Vector]:
    """From the first corner to each of the others."""
    return [[a - b for a, b in zip(corner, corners[0], strict=True)] for corner in corners[1:]]


def _measure(edges: list[Vector]) -> Array:
    if len(edges) == 2:
        return (edges[0][0] * edges[1][1] - edges[0][1] * edges[1][0]) / 2
    return dot(edges[0], _cross(edges[1], edges[2])) / 6


def _normals(edges: list[Vector]) -> list[Vector]:
    """Of the facets opposite all corners but the first, inwards, as long as the facet is large."""
    if len(edges) == 2:
        return [[edges[1][1], -edges[1][0]], [-edges[0][1], edges[0][0]]]
    return [_cross(edges[1], edges[2]), _cross(edges[2], edges[0]), _cross(edges[0], edges[1])]


def dot(a: Vector | Array, b: Vector | Array) -> Array:
    """Products (n,) of vectors given by their components: lists of arrays (n,), or arrays (dim, n)."""
    total = a[0] * b[0]
    for one, other in zip(a[1:], b[1:], strict=True):
        total += one * other
    return np.asarray(total)


def _sum(parts: list[Array]) -> Array:
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total


def _cross(a: Vector, b: Vector) -> Vector:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
