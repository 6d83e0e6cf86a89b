"""Where the corners of cells and facets lie: what differs between releases of DOLFINx, in one place."""

import numpy as np
from numpy.typing import NDArray

from dolfinx import mesh as dmesh


def cell_corners(mesh: dmesh.Mesh) -> NDArray[np.float64]:
    """Corners of this rank's own cells, shape (n, dim + 1, dim), of an affine mesh of triangles or tetrahedra."""
    dim = mesh.topology.dim
    geometry = mesh.geometry
    # DOLFINx 0.11 has one list per kind of cell and deprecates the attribute of 0.9.
    nodes = geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap
    return geometry.x[nodes[: mesh.topology.index_map(dim).size_local], :dim]


def facet_corners(mesh: dmesh.Mesh, facets: NDArray[np.int32]) -> NDArray[np.float64]:
    """Corners of some of this rank's facets, shape (n, dim, dim)."""
    dim = mesh.topology.dim
    if len(facets) == 0:  # DOLFINx 0.9 divides by their number
        return np.empty((0, dim, dim))
    mesh.topology.create_connectivity(dim - 1, dim)
    return mesh.geometry.x[dmesh.entities_to_geometry(mesh, dim - 1, facets), :dim]
