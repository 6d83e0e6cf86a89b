"""Connected parts of the solved phases that nothing feeds, and what becomes of the lithium in them."""

from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.cells import cell_nodes, measures
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import boundary_conditions, cells_at, facets_of
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.parts import Parts

EVEN = 1e-9  # relative difference at which a concentration is that of equilibrium


@dataclass(frozen=True)
class Island:
    """A connected part of the solved phases that keeps the lithium it starts with, but for what decays."""

    phases: tuple[str, ...]  # solved phases in it
    measure: float  # m^2 (m^3)
    center: tuple[float, ...]  # metres, x, y[, z]
    initial: tuple[float, ...]  # mol/m^3, of each of its phases
    settles: tuple[float, ...]  # mol/m^3, where these phases are in equilibrium with that lithium
    decays: bool  # whether it loses that lithium in time, by decay in one of these phases at least

    @property
    def is_even(self) -> bool:
        """Whether its phases are in equilibrium from the start: without decay nothing ever changes."""
        return bool(np.allclose(self.initial, self.settles, rtol=EVEN, atol=0.0))


def islands(on: Discretization, parts: Parts, physics: Physics) -> tuple[Island, ...]:
    """Parts that no source, sink or face feeds, largest first, the same on all ranks; collective.

    Args:
        on: Mesh and factors of the problem.
        parts: Of the problem.
        physics: Phases in the order of the mesh's tags.
    """
    mesh = on.mesh
    comm, dim = mesh.mesh.comm, mesh.mesh.topology.dim
    owned = mesh.mesh.topology.index_map(dim).size_local
    fed = fed_parts(on, parts, physics)
    inside = np.flatnonzero(~fed[parts.of_cell[:owned]])
    of_cell = parts.of_cell[inside]
    corners = mesh.mesh.geometry.x[cell_nodes(mesh.mesh)[inside], :dim]
    volume = measures(corners)
    phase = np.zeros(len(parts.of_cell), dtype=np.int64)
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    volumes, moments = np.zeros((parts.count, len(mesh.names))), np.zeros((parts.count, dim))
    np.add.at(volumes, (of_cell, phase[inside]), volume)
    np.add.at(moments, of_cell, volume[:, None] * corners.mean(axis=1))
    volumes, moments = (comm.allreduce(sums, op=MPI.SUM) for sums in (volumes, moments))
    found = [_island(on, physics, volumes[part], moments[part]) for part in np.flatnonzero(~fed & (volumes.sum(1) > 0))]
    return tuple(sorted(found, key=lambda island: -island.measure))


def fed_parts(on: Discretization, parts: Parts, physics: Physics) -> Flags:
    """Which parts a source, a sink or a face feeds, (parts,), the same on all ranks; collective.

    Args:
        on: Mesh and factors of the problem.
        parts: Of the problem.
        physics: Phases in the order of the mesh's tags.
    """
    fed = np.zeros(parts.count)
    for condition in boundary_conditions(physics):
        if not condition.is_idle:
            fed[parts.of_cell[cells_at(on.mesh, facets_of(on.mesh, condition))]] = 1.0
    return np.asarray(on.mesh.mesh.comm.allreduce(fed, op=MPI.SUM) > 0)


def _island(on: Discretization, physics: Physics, volumes: Array, moments: Array) -> Island:
    """From the volume of each phase in it and the first moments, in mesh units."""
    unit, dim = on.mesh.unit, len(moments)
    there = np.flatnonzero(volumes)
    phases = [physics.phases[i] for i in there]
    initial = np.array([phase.initial for phase in phases])
    factors, held = on.factors[there], volumes[there] * [phase.porosity for phase in phases]
    return Island(
        tuple(on.mesh.names[i] for i in there),
        float(volumes.sum()) * unit**dim,
        tuple(float(moment / volumes.sum()) * unit for moment in moments),
        tuple(phase.initial for phase in phases),
        tuple(float(factor * (held @ initial) / (held @ factors)) for factor in factors),
        bool(initial.any()) and any(phase.decay for phase in phases),
    )
