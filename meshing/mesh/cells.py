"""Corners of cells and facets, what they enclose, and how boxes split into simplices.

Cells are triangles, tetrahedra, and axis-parallel squares and cubes (rectangles and cuboids) in DOLFINx's order: the
number of a box's corner has a bit per axis, x first. What differs between releases of DOLFINx is here alone.
"""

import math
from itertools import permutations

import numpy as np

from dolfinx import mesh as dmesh

from microlith.imaging.typing import Array, Indices, Numbers


def _kuhn(dim: int) -> Numbers:
    """Corners of the simplices that fill a box: one for each way along its edges from the first corner to the last."""
    ways = permutations(range(dim))
    return np.array([[sum(1 << axis for axis in way[:k]) for k in range(dim + 1)] for way in ways])


# By the number of a box's corners.
_KUHN = {4: _kuhn(2), 8: _kuhn(3)}


def cell_nodes(mesh: dmesh.Mesh) -> Indices:
    """Rows of mesh.geometry.x of the corners of this rank's own cells, shape (n, corners), of a mesh of degree 1."""
    geometry = mesh.geometry
    # DOLFINx 0.11 has one list per kind of cell and deprecates the attribute of 0.9.
    nodes: Indices = geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap
    return nodes[: mesh.topology.index_map(mesh.topology.dim).size_local]


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


def is_simplex(corners: Array) -> bool:
    """Whether cells (n, corners, dim) are triangles or tetrahedra; else they are boxes."""
    return corners.shape[1] == corners.shape[2] + 1


def edges(corners: Array) -> Array:
    """Edges of cells (n, corners, dim) from their first corner, along the axes of the reference cell: (n, dim, dim)."""
    dim = corners.shape[2]
    ends = list(range(1, dim + 1)) if is_simplex(corners) else [1 << axis for axis in range(dim)]
    return corners[:, ends] - corners[:, :1]


def measures(corners: Array) -> Array:
    """Areas or volumes of cells (n, corners, dim)."""
    parallel = np.abs(np.linalg.det(edges(corners)))
    return parallel / math.factorial(corners.shape[2]) if is_simplex(corners) else parallel


def diameters(corners: Array) -> Array:
    """Largest distance of two points of each cell (n, corners, dim)."""
    count = corners.shape[1]
    if is_simplex(corners):
        pairs = [(i, j) for i in range(count) for j in range(i)]
    else:
        pairs = [(i, count - 1 - i) for i in range(count // 2)]
    squared = [((corners[:, i] - corners[:, j]) ** 2).sum(axis=1) for i, j in pairs]
    return np.sqrt(np.max(squared, axis=0))


def as_simplices(values: Array) -> Array:
    """What belongs to the corners of cells (n, corners, ...) given to the simplices that fill them.

    Returns:
        (n, simplices of a cell, dim + 1, ...).

    Raises:
        ValueError: The cells are no boxes.
    """
    if values.shape[1] not in _KUHN:
        raise ValueError(f"no box has {values.shape[1]} corners")
    return values[:, _KUHN[values.shape[1]]]
