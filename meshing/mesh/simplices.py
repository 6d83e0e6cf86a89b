"""Measures of triangles and tetrahedra, many at once: the same for a cell wherever it stands in its array."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags, Integers, Numbers

Vector = list[Array]  # its components, arrays of one length
Cells = NDArray[Any]  # of integers

EDGES = {2: tuple(combinations(range(3), 2)), 3: tuple(combinations(range(4), 2))}  # pairs of vertices, by dimension


def signed_measures(points: Array, cells: Cells) -> Array:
    """Signed areas or volumes (m,) of cells (m, dim + 1) with vertices in points (n, dim)."""
    from microlith.meshing.mesh.loops import find_measures  # numba, late: not all that imports this needs it

    found = np.empty(len(cells))
    find_measures(np.ascontiguousarray(points), np.ascontiguousarray(cells), found)
    return found


def sharpness(points: Array, cells: Cells) -> Array:
    """Cosine (m,) of the smallest angle of each cell, in 3D of the smallest dihedral one; over 2 in inverted cells."""
    from microlith.meshing.mesh.loops import find_sharpness

    found = np.empty(len(cells))
    find_sharpness(np.ascontiguousarray(points), np.ascontiguousarray(cells), found)
    return found


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
    from microlith.meshing.mesh.loops import shorten_to_edges

    squares = np.full(len(points), np.inf)
    shorten_to_edges(np.ascontiguousarray(points), np.ascontiguousarray(cells), squares)
    return np.sqrt(squares)


def touching(cells: Cells, vertex: Flags) -> Flags:
    """Cells (m, corners) with one of the flagged vertices (n,)."""
    from microlith.meshing.mesh.loops import find_touching

    found = np.empty(len(cells), bool)
    find_touching(np.ascontiguousarray(cells), vertex, found)
    return found


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


def dot(a: Vector | Array, b: Vector | Array) -> Array:
    """Products (n,) of vectors given by their components: lists of arrays (n,), or arrays (dim, n)."""
    total = a[0] * b[0]
    for one, other in zip(a[1:], b[1:], strict=True):
        total += one * other
    return np.asarray(total)
