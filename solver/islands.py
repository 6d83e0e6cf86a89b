"""Connected parts of the solved phases, and which of them no source, sink or fed face touches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.meshing.phasemesh import PhaseMesh

from .corners import cell_corners


@dataclass(frozen=True)
class Island:
    """A connected part of the solved phases that keeps the lithium it starts with."""

    phases: tuple[str, ...]  # solved phases in it
    measure: float  # m^2 (m^3)
    center: tuple[float, ...]  # metres, x, y[, z]


def islands(mesh: PhaseMesh, fed_tags: set[int]) -> tuple[Island, ...]:
    """Connected parts of the mesh without a facet tagged with one of `fed_tags`, largest first, same on all ranks.

    Parts that share only a vertex count as one: so the discrete problem sees them.
    """
    comm, dim = mesh.mesh.comm, mesh.mesh.topology.dim
    topology = mesh.mesh.topology
    vertex_map = topology.index_map(0)
    vertices = vertex_map.size_local + vertex_map.num_ghosts
    cells = topology.connectivity(dim, 0).array.reshape(-1, dim + 1)
    first = np.repeat(cells[:, 0], dim)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, cells[:, 1:].ravel())), shape=(vertices, vertices))
    count, local = connected_components(graph, directed=False)
    counts = np.array(comm.allgather(count))
    part = local + counts[: comm.rank].sum()  # of each vertex, numbered over all ranks
    links = _links_between_ranks(mesh, part)
    total = int(counts.sum())
    pairs = np.concatenate(comm.allgather(links))
    merged = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(total, total))
    number, component = connected_components(merged, directed=False)
    component = component[part]  # of each vertex

    owned = topology.index_map(dim).size_local
    of_cell = component[cells[:owned, 0]]
    corners = cell_corners(mesh.mesh)
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / (2 if dim == 2 else 6)
    tags = np.zeros(owned, dtype=np.int64)
    mine = mesh.cell_tags.indices < owned
    tags[mesh.cell_tags.indices[mine]] = mesh.cell_tags.values[mine]
    sums = np.zeros((number, 2 + dim + len(mesh.names)))
    sums[:, 0] = np.bincount(of_cell, volume, minlength=number)
    for k in range(dim):
        sums[:, 1 + k] = np.bincount(of_cell, volume * corners.mean(axis=1)[:, k], minlength=number)
    np.add.at(sums, (of_cell, 2 + dim + tags), 1.0)
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, list(fed_tags))]
    topology.create_connectivity(dim - 1, 0)
    touched = dmesh.compute_incident_entities(topology, facets, dim - 1, 0)
    sums[component[touched], 1 + dim] = 1.0
    sums = comm.allreduce(sums, op=MPI.SUM)
    found = [
        Island(
            tuple(name for name, n in zip(mesh.names, row[2 + dim :], strict=True) if n > 0),
            float(row[0]) * mesh.unit**dim,
            tuple(float(s / row[0]) * mesh.unit for s in row[1 : 1 + dim]),
        )
        for row in sums
        if row[1 + dim] == 0 and row[0] > 0
    ]
    return tuple(sorted(found, key=lambda island: -island.measure))


def _links_between_ranks(mesh: PhaseMesh, part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (part here, part at the owner) of the vertices that this rank shares, shape (n, 2)."""
    from dolfinx import la

    vertex_map = mesh.mesh.topology.index_map(0)
    vector = la.vector(vertex_map, 1, dtype=np.int64)
    vector.array[:] = part
    vector.scatter_forward()
    ghosts = slice(vertex_map.size_local, None)
    return np.unique(np.stack([part[ghosts], vector.array[ghosts]], axis=1), axis=0).astype(np.int64)
