"""Connected parts of the solved phases, and which of them no source, sink or fed face touches."""

from dataclasses import dataclass

import numpy as np

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.meshing.mesh.cells import cell_corners, measures
from microlith.meshing.mesh.components import components
from microlith.meshing.mesh.phasemesh import PhaseMesh


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
    cell_map = topology.index_map(dim)
    everywhere = np.ones(cell_map.size_local + cell_map.num_ghosts, dtype=bool)
    parts = components(mesh.mesh, everywhere, through=0)
    number = parts.count

    owned = cell_map.size_local
    of_cell = parts.of_cell[:owned]
    corners = cell_corners(mesh.mesh)
    volume = measures(corners)
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
    sums[parts.of_link[touched], 1 + dim] = 1.0
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
