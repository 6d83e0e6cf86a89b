"""Corners of cells and facets, what they enclose, and how boxes split into simplices.

Cells are triangles, tetrahedra, and axis-parallel squares and cubes (rectangles and cuboids) in DOLFINx's order: the
number of a box's corner has a bit per axis, x first. What differs between releases of DOLFINx is here alone.
"""

import math
from functools import reduce
from itertools import combinations, permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dolfinx import mesh as dmesh

from microlith.imaging.typing import Array, Indices, Numbers

Scalar = TypeVar("Scalar", bound=np.generic)


def _kuhn(dim: int) -> Numbers:
    """Corners of the simplices that fill a box: one for each way along its edges from the first corner to the last."""
    ways = permutations(range(dim))
    return np.array([[sum(1 << axis for axis in way[:k]) for k in range(dim + 1)] for way in ways])


# By the number of a box's corners.
_KUHN = {4: _kuhn(2), 8: _kuhn(3)}


def nodes_of_cells(mesh: dmesh.Mesh) -> Indices:
    """Rows of mesh.geometry.x of the corners of this rank's cells, (n, corners), ghosts included; mesh of degree 1."""
    geometry = mesh.geometry
    # DOLFINx 0.11 has one list per kind of cell and deprecates the attribute of 0.9.
    nodes: Indices = geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap
    return nodes


def cell_nodes(mesh: dmesh.Mesh) -> Indices:
    """Rows of mesh.geometry.x of the corners of this rank's own cells, shape (n, corners), of a mesh of degree 1."""
    return nodes_of_cells(mesh)[: mesh.topology.index_map(mesh.topology.dim).size_local]


def cell_corners(mesh: dmesh.Mesh) -> Array:
    """Corners of this rank's own cells, shape (n, corners, dim)."""
    return mesh.geometry.x[cell_nodes(mesh), : mesh.topology.dim]


def facet_corners(mesh: dmesh.Mesh, facets: Indices) -> Array:
    """Corners of some of this rank's facets as segments (n, 2, 2) or triangles (n, 3, 3); a rectangle is two."""
    dim = mesh.topology.dim
    if len(facets) == 0:  # DOLFINx 0.9 divides by their number
        return np.empty((0, dim, dim))
    mesh.topology.create_connectivity(dim - 1, dim)
    nodes = dmesh.entities_to_geometry(mesh, dim - 1, facets)
    if nodes.shape[1] > dim:
        nodes = nodes[:, _KUHN[nodes.shape[1]]].reshape(-1, dim)
    return mesh.geometry.x[nodes, :dim]


def least(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Least of the values (n, k) of each cell; over its few corners a reduction by NumPy takes ten times as long."""
    return reduce(np.minimum, values.T)


def largest(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Largest of the values (n, k) of each cell, as above."""
    return reduce(np.maximum, values.T)


def is_simplex(corners: Array) -> bool:
    """Whether cells (n, corners, dim) are triangles or tetrahedra; else they are boxes."""
    return corners.shape[1] == corners.shape[2] + 1


def edges(corners: Array) -> Array:
    """Edges of cells (n, corners, dim) from their first corner, along the axes of the reference cell: (n, dim, dim)."""
    dim = corners.shape[2]
    ends = list(range(1, dim + 1)) if is_simplex(corners) else [1 << axis for axis in range(dim)]
    return corners[:, ends] - corners[:, :1]


def edges_of(corners: int, dim: int) -> list[tuple[int, int]]:
    """Pairs of corners of a cell with so many corners that an edge joins, by their places in the cell."""
    pairs = list(combinations(range(corners), 2))
    return pairs if corners == dim + 1 else [(one, other) for one, other in pairs if (one ^ other).bit_count() == 1]


def measures(corners: Array) -> Array:
    """Areas or volumes of cells (n, corners, dim)."""
    parallel = np.abs(determinants(edges(corners)))
    return parallel / math.factorial(corners.shape[2]) if is_simplex(corners) else parallel


def determinants(matrices: Array) -> Array:
    """Determinants of small matrices (n, dim, dim): in closed form, a quarter of the time of LU factors."""
    if matrices.shape[1:] == (3, 3):
        return np.asarray(np.einsum("ni,ni->n", matrices[:, 0], _cross(matrices[:, 1], matrices[:, 2])))
    if matrices.shape[1:] == (2, 2):
        return np.asarray(matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0])
    return np.asarray(np.linalg.det(matrices))


def inverses(matrices: Array) -> Array:
    """Inverses of small matrices (n, dim, dim), not singular, by their cofactors."""
    if matrices.shape[1:] != (3, 3):
        return np.asarray(np.linalg.inv(matrices))
    a, b, c = matrices[:, 0], matrices[:, 1], matrices[:, 2]
    columns = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=2)
    return np.asarray(columns / np.einsum("ni,ni->n", a, columns[:, :, 0])[:, None, None])


def _cross(a: Array, b: Array) -> Array:
    """Cross products of vectors (n, 3); faster than NumPy's own."""
    (a0, a1, a2), (b0, b1, b2) = a.T, b.T
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=1)


def diameters(corners: Array) -> Array:
    """Largest distance of two points of each cell (n, corners, dim)."""
    count = corners.shape[1]
    if is_simplex(corners):
        pairs = [(i, j) for i in range(count) for j in range(i)]
    else:
        pairs = [(i, count - 1 - i) for i in range(count // 2)]
    largest = np.zeros(len(corners))
    for i, j in pairs:
        edge = corners[:, i] - corners[:, j]
        np.maximum(largest, np.einsum("nk,nk->n", edge, edge), out=largest)
    return np.sqrt(largest)


def as_simplices(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """What belongs to the corners of cells (n, corners, ...) given to the simplices that fill them.

    Returns:
        (n, simplices of a cell, dim + 1, ...).

    Raises:
        ValueError: The cells are no boxes.
    """
    if values.shape[1] not in _KUHN:
        raise ValueError(f"no box has {values.shape[1]} corners")
    return values[:, _KUHN[values.shape[1]]]
