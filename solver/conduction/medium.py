"""What conducts: one phase of a mesh by itself, or several with their diffusivities and interfaces."""

from dataclasses import dataclass, replace

import numpy as np

import ufl
from dolfinx import fem
from ufl.core.expr import Expr

from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.concentration import spaces
from microlith.solver.interfaces.partition import Link, factors_of, links_of
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.problem.transport import interfaces_of


@dataclass(frozen=True, eq=False)
class Medium:
    """Phases that conduct, in scaled units: lengths in those of the mesh, diffusivities per that of the first phase.

    In a phase of factor κ the concentration is c = κ u; u is what drives, and continuous where phases are in
    equilibrium. In the first phase κ = 1.
    """

    mesh: PhaseMesh
    phases: tuple[int, ...]  # that conduct
    diffusivities: Array  # (dim, all phases) κ D along each axis per D of the first phase; 0 elsewhere
    links: tuple[Link, ...] = ()  # interfaces, unless all are continuous
    factors: Array | None = None  # (all phases) κ; None: 1
    exchanges: tuple[float, ...] = ()  # κ_first k of each link that exchanges, in scaled units

    @property
    def chosen(self) -> Flags:
        """(cells of this rank, ghosts included) which cells conduct."""
        topology = self.mesh.mesh.topology
        cell_map = topology.index_map(topology.dim)
        chosen = np.zeros(cell_map.size_local + cell_map.num_ghosts, dtype=bool)
        tags = self.mesh.cell_tags
        chosen[tags.indices] = np.isin(tags.values, self.phases)
        return chosen

    @property
    def is_isotropic(self) -> bool:
        """Whether all phases conduct alike along all axes."""
        return bool((self.diffusivities == self.diffusivities[:1]).all())

    def on_cells(self, axis: int) -> fem.Function:
        """κ D along an axis, cell by cell."""
        function = fem.Function(fem.functionspace(self.mesh.mesh, ("DG", 0)))
        tags = self.mesh.cell_tags
        function.x.array[function.function_space.dofmap.list[tags.indices, 0]] = self.diffusivities[axis][tags.values]
        return function

    def coefficient(self) -> Expr:
        """κ D as the coefficient of a form: a number for each cell, or a diagonal tensor."""
        if self.is_isotropic:
            return self.on_cells(0)
        return ufl.diag(ufl.as_vector([self.on_cells(axis) for axis in range(len(self.diffusivities))]))

    def space(self, plain: fem.FunctionSpace) -> fem.FunctionSpace:
        """Space of the unknowns u, of which `plain` is the one without jumps; collective."""
        if self.factors is None or not self.links:
            return plain
        return spaces(plain, self.mesh, self.links, self.factors, self.phases)[0]

    def interfaces(self, metadata: dict[str, str | int] | None) -> tuple[tuple[fem.Constant, ufl.Measure], ...]:
        """κ_first k and the facets of each interface with a finite exchange.

        Args:
            metadata: Of the quadrature.
        """
        slow = tuple(link for link in self.links if link.exchange is not None)
        return interfaces_of(self.mesh, slow, self.exchanges, metadata)


def one_phase(mesh: PhaseMesh, phase: int) -> Medium:
    """A phase by itself, of diffusivity 1; other phases in the mesh count as closed."""
    diffusivities = np.zeros((mesh.mesh.topology.dim, len(mesh.names)))
    diffusivities[:, phase] = 1.0
    return Medium(mesh, (phase,), diffusivities)


def conducting_alone(physics: Physics, phases: tuple[int, ...]) -> Physics:
    """The same phases, of which some conduct and the others are impermeable, whatever their roles."""
    roles = (Role.TRANSPORT if i in phases else Role.BARRIER for i in range(len(physics.phases)))
    return replace(
        physics,
        phases=tuple(replace(phase, role=role) for phase, role in zip(physics.phases, roles, strict=True)),
    )


def composite(mesh: PhaseMesh, physics: Physics, phases: tuple[int, ...]) -> Medium:
    """Several phases with their diffusivities and interfaces; collective.

    Args:
        mesh: With these phases among its cells.
        physics: Of all phases, in the order of the mesh's tags; their roles do not matter.
        phases: Those that conduct; all of them have a diffusivity that does not depend on the concentration.

    Raises:
        InputError: Partitions between phases contradict each other.
    """
    dim, first = mesh.mesh.topology.dim, phases[0]
    physics = conducting_alone(physics, phases)
    reference = physics.phases[first].effective_diffusivity or 0.0
    links = links_of(mesh, physics)
    factors: Array = np.ones(len(mesh.names))
    if links:
        factors = factors_of(links, mesh.names, np.zeros(len(mesh.names)))
        joined = _joined(first, links)
        factors[joined] /= factors[first]
    diffusivities = np.zeros((dim, len(mesh.names)))
    for i in phases:
        phase = physics.phases[i]
        axes = phase.anisotropy or (1.0,) * dim
        diffusivities[:, i] = factors[i] * (phase.effective_diffusivity or 0.0) / reference * np.array(axes[:dim])
    slow = [link for link in links if link.exchange is not None]
    exchanges = tuple(factors[link.first] * (link.exchange or 0.0) * mesh.unit / reference for link in slow)
    return Medium(mesh, phases, diffusivities, links, factors, exchanges)


def _joined(first: int, links: tuple[Link, ...]) -> list[int]:
    """The phases that interfaces connect with a phase, itself included."""
    joined = {first}
    while True:
        more = {phase for link in links for phase in link.pair if joined & set(link.pair)} - joined
        if not more:
            return sorted(joined)
        joined |= more
