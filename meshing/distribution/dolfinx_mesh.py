"""Meshes and tags as DOLFINx wants them; what differs between its releases is here alone."""

from typing import Any

import numpy as np

import basix.ufl
import dolfinx.cpp
import dolfinx.graph
import dolfinx.io
import dolfinx.la
import dolfinx.mesh
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices, Numbers
from microlith.meshing.mesh.index_map import compiled_lists, index_map_of


def create_mesh(comm: MPI.Intracomm, cells: Numbers, points: Array, shape: str) -> Mesh:
    """Affine mesh with shared-facet ghosts, from cells and points that any rank may hold; collective."""
    if comm.size == 1:  # nothing is to be shared out, which would be found out from which cells are neighbours
        here = compiled_lists(np.zeros((len(cells), 1), np.int32))
        return affine_mesh(comm, cells, points, shape, lambda *_: here)
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


def with_nodes(mesh: Mesh, cells: Numbers, points: Array) -> Mesh:
    """The vertices, facets and cells of a mesh with nodes of their own, of which several may be at one vertex.

    So a mesh closes on itself: what is solved for goes on through faces whose nodes are at different places.
    Collective.

    Args:
        mesh: Of straight cells, each on the rank that gave it.
        cells: (m, k) numbers of nodes of the cells of this rank, in the order of input.
        points: (n, dim) nodes, each of a cell of this rank, numbered on through all ranks.
    """
    comm, topology = mesh.comm, mesh.topology
    of_cells = topology.index_map(topology.dim)
    owned = of_cells.size_local
    everywhere = dolfinx.la.vector(of_cells, cells.shape[1], dtype=np.int64)
    rows = everywhere.array.reshape(-1, cells.shape[1])
    rows[:owned] = cells[topology.original_cell_index[:owned] - (comm.scan(len(cells)) - len(cells))]
    everywhere.scatter_forward()

    count = len(points)
    ends = np.cumsum(comm.allgather(count))
    start = int(ends[comm.rank]) - count
    own = (rows >= start) & (rows < start + count)
    ghosts = np.unique(rows[~own])
    nodes = np.where(own, rows - start, count + np.searchsorted(ghosts, rows)).astype(np.int32)
    index_map = index_map_of(comm, count, ghosts, np.searchsorted(ends, ghosts, side="right").astype(np.int32))
    at = dolfinx.la.vector(index_map, points.shape[1])
    places = at.array.reshape(-1, points.shape[1])
    places[:count] = points
    at.scatter_forward()
    cpp = mesh.geometry._cpp_object
    kind = cpp.cmap if hasattr(cpp, "cmap") else cpp.cmaps[0]  # since DOLFINx 0.11
    numbers = np.concatenate([np.arange(start, start + count), ghosts])
    geometry = dolfinx.cpp.mesh.Geometry_float64(index_map, nodes, kind, places, numbers)
    return Mesh(dolfinx.cpp.mesh.Mesh_float64(comm, topology._cpp_object, geometry), mesh.ufl_domain())


def spread_cell_tags(mesh: Mesh, cells: Numbers, values: Indices) -> MeshTags:
    """Tags of all cells of a mesh from `create_mesh`, with the arguments that it had, on whichever rank; collective.

    Args:
        mesh: The mesh.
        cells: (m, k) as passed to `create_mesh`.
        values: (m,) tags.
    """
    if mesh.comm.size > 1:
        return spread_tags(mesh, mesh.topology.dim, cells, values)
    order = mesh.topology.original_cell_index  # on one rank there is nothing to spread
    tags = np.ascontiguousarray(values[order], np.int32)
    return dolfinx.mesh.meshtags(mesh, mesh.topology.dim, np.arange(len(order), dtype=np.int32), tags)


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
    if mesh.comm.size == 1 and entities.shape[1] == 2:
        return _tags_of_edges(mesh, entities, values)
    local, tags = _distribute_entity_data(mesh, dim, np.ascontiguousarray(entities), values)
    adjacency = dolfinx.graph.adjacencylist(local)
    return dolfinx.mesh.meshtags_from_entities(mesh, dim, adjacency, np.asarray(tags, np.int32))


def _tags_of_edges(mesh: Mesh, ends: Numbers, values: Indices) -> MeshTags:
    """Tags of edges, as `spread_tags`, where one rank has them all: DOLFINx takes three times as long to find them."""
    edges = np.arange(mesh.topology.index_map(1).size_local, dtype=np.int32)
    of_edges = mesh.geometry.input_global_indices[dolfinx.mesh.entities_to_geometry(mesh, 1, edges)]
    count = int(of_edges.max(initial=0)) + 1
    known, wanted = (rows.min(axis=1) * count + rows.max(axis=1) for rows in (of_edges, ends.astype(np.int64)))
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))]
    there = known[place] == wanted
    found, first = np.unique(place[there], return_index=True)
    return dolfinx.mesh.meshtags(mesh, 1, found.astype(np.int32), np.asarray(values[there][first], np.int32))


def _distribute_entity_data(mesh: Mesh, dim: int, entities: Numbers, values: Indices) -> Any:
    function = getattr(dolfinx.io, "distribute_entity_data", None)
    if function is None:
        function = dolfinx.io.utils.distribute_entity_data
    return function(mesh, dim, entities, values)
