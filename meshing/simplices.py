"""Measures of triangles and tetrahedra, many at once.

Only additions, multiplications and square roots, one component at a time: the figures of a cell are the same to the last
bit wherever it stands in its array, so that ranks come to the same verdict on a cell they share.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGES = {2: tuple(combinations(range(3), 2)), 3: tuple(combinations(range(4), 2))}  # pairs of vertices, by dimension


def measures(points: Floats, cells: NDArray[np.integer]) -> Floats:
    """Signed areas or volumes (m,) of cells (m, dim + 1) with vertices in points (n, dim)."""
    return measures_at([points[cells[:, i]] for i in range(cells.shape[1])])


def measures_at(corners: list[Floats]) -> Floats:
    """Signed areas or volumes (m,) of cells given by arrays (m, dim) of their first, second, ... corner."""
    first = corners[0]
    edges = [corner - first for corner in corners[1:]]
    if len(edges) == 2:
        return np.asarray((edges[0][:, 0] * edges[1][:, 1] - edges[0][:, 1] * edges[1][:, 0]) / 2)
    return _dot(edges[0], _cross(edges[1], edges[2])) / 6


def sharpness(points: Floats, cells: NDArray[np.integer]) -> Floats:
    """Cosine (m,) of the smallest angle of each cell, in 3D of the smallest dihedral one; over 2 where it is inverted."""
    return sharpness_at([points[cells[:, i]] for i in range(cells.shape[1])])


def sharpness_at(corners: list[Floats]) -> Floats:
    """As `sharpness`, for cells given by arrays (m, dim) of their first, second, ... corner."""
    normals = _normals(corners)
    lengths = [np.sqrt(_dot(normal, normal)) for normal in normals]
    largest = np.full(len(corners[0]), -1.0)
    for a, b in combinations(range(len(normals)), 2):
        product = lengths[a] * lengths[b]
        cosine = -_dot(normals[a], normals[b]) / np.where(product > 0, product, 1.0)
        np.maximum(largest, np.where(product > 0, cosine, 1.0), out=largest)
    measure = measures_at(corners)
    return np.where(measure > 0, largest, 2.0 - measure)  # the more inverted, the worse


def angles(cosines: Floats) -> Floats:
    """Degrees of what `sharpness` gives; 0 for inverted cells."""
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))))


def oriented(points: Floats, cells: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same cells, two vertices of each exchanged where its measure is negative."""
    negative = measures(points, cells) < 0
    result = cells.copy()
    result[negative, -2], result[negative, -1] = cells[negative, -1], cells[negative, -2]
    return result


def _normals(corners: list[Floats]) -> list[Floats]:
    """Of the facet opposite each corner, all inwards or all outwards, as long as the facet is large."""
    first = corners[0]
    edges = [corner - first for corner in corners[1:]]
    if len(edges) == 2:
        others = [np.stack([edges[1][:, 1], -edges[1][:, 0]], axis=1), np.stack([-edges[0][:, 1], edges[0][:, 0]], axis=1)]
        return [-(others[0] + others[1]), *others]
    others = [_cross(edges[1], edges[2]), _cross(edges[2], edges[0]), _cross(edges[0], edges[1])]
    return [-(others[0] + others[1] + others[2]), *others]


def _dot(a: Floats, b: Floats) -> Floats:
    total = a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]
    return np.asarray(total + a[:, 2] * b[:, 2] if a.shape[1] == 3 else total)


def _cross(a: Floats, b: Floats) -> Floats:
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )
