"""Meshes and tags as DOLFINx wants them; what differs between its releases is here alone."""

from typing import Any

import numpy as np

import basix.ufl
import dolfinx.graph
import dolfinx.io
import dolfinx.mesh
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices, Numbers


def create_mesh(comm: MPI.Intracomm, cells: Numbers, points: Array, shape: str) -> Mesh:
    """Affine mesh with shared-facet ghosts, from cells and points that any rank may hold; collective."""
    mode = dolfinx.mesh.GhostMode.shared_facet
    try:
        partitioner = dolfinx.mesh.create_cell_partitioner(mode)
    except TypeError:  # DOLFINx 0.11 also wants to know how many cells meet at a facet
        partitioner = dolfinx.mesh.create_cell_partitioner(mode, 2)
    return affine_mesh(comm, cells, points, shape, partitioner)


def affine_mesh(comm: MPI.Intracomm, cells: Numbers, points: Array, shape: str, partitioner: Any) -> Mesh:
    """Mesh of straight cells, each on the ranks that the partitioner names; collective.

    Args:
        comm: Communicator of the mesh.
        cells: (m, k) numbers of points, on whichever rank.
        points: (n, dim) points, numbered on through all ranks.
        shape: Of the cells, as DOLFINx names them.
        partitioner: As `dolfinx.mesh.create_mesh` takes it.
    """
    element = basix.ufl.element("Lagrange", shape, 1, shape=(points.shape[1],), dtype=np.float64)
    return dolfinx.mesh.create_mesh(comm, cells=cells, e=element, x=points, partitioner=partitioner)


def spread_tags(mesh: Mesh, dim: int, entities: Numbers, values: Indices) -> MeshTags:
    """Tags of entities given by the input numbers of their vertices, on whichever rank; collective.

    Args:
        mesh: A mesh from `create_mesh`.
        dim: Dimension of the entities.
        entities: (n, dim + 1) numbers of points as passed to `create_mesh`.
        values: (n,) tags.
    """
    mesh.topology.create_connectivity(dim, 0)
    mesh.topology.create_connectivity(dim, mesh.topology.dim)
    mesh.topology.create_connectivity(0, mesh.topology.dim)
    local, tags = _distribute_entity_data(mesh, dim, np.ascontiguousarray(entities), values)
    adjacency = dolfinx.graph.adjacencylist(local)
    return dolfinx.mesh.meshtags_from_entities(mesh, dim, adjacency, np.asarray(tags, np.int32))


def _distribute_entity_data(mesh: Mesh, dim: int, entities: Numbers, values: Indices) -> Any:
    function = getattr(dolfinx.io, "distribute_entity_data", None)
    if function is None:
        function = dolfinx.io.utils.distribute_entity_data
    return function(mesh, dim, entities, values)
