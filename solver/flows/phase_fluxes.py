"""Fluxes between phases, and through each source, sink and face into each phase, as functionals of the solution.

As `surface_fluxes`, by the rows of the discrete equations, here of each phase B alone: with the matrices M_B and K_B of
its cells, r_B = M_B u' + K_B u is what enters B at each unknown. At unknowns of a source, sink or face that is what
comes from there. At those that lie between k phases the others are where it comes from: as their r add up to 0, the
flux from A to B is the sum of (r_B − r_A)/k, the smallest of all fluxes between the phases that add up to these r.
So for each phase the fluxes add up to what it stores. Where phases exchange slowly, the flux is that of the exchange.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.interfaces.broken_space import presence
from microlith.solver.interfaces.partition import Link, links_of
from microlith.solver.linear.shifted import PRECISION
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import per_phase, vector_of
from microlith.solver.problem.boundaries import boundaries_of
from microlith.solver.problem.boundary_terms import unknowns_of
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.surface_fluxes import ROUNDED, SurfaceFlux
from microlith.solver.problem.transport import along_axes, decay_rates, exchanges


def phase_fluxes(problem: Problem, physics: Physics) -> tuple[SurfaceFlux, ...]:
    """Fluxes into each phase that the fluxes through all surfaces do not tell; collective.

    None where one phase is solved for. Those of which rounding would leave nothing, beside a diffusivity that is larger
    by far, are left out.

    Args:
        problem: Linear in the concentration.
        physics: Phases in the order of the mesh's tags.
    """
    solved = sorted(physics.solved)
    if len(solved) < 2:
        return ()
    rows = _Rows(problem, physics)
    found = [*_from_surfaces(problem, physics, rows), *_between(physics, rows)]
    found += _exchanged(problem, physics, rows, links_of(problem.discretization.mesh, physics))
    return tuple(flux for flux in found if flux.rounding <= ROUNDED * rows.whole)


class _Rows:
    """Rows of the equations of each phase alone."""

    def __init__(self, problem: Problem, physics: Physics) -> None:
        on = problem.discretization
        self._on, self._physics = on, physics
        self.comm = on.mesh.mesh.comm
        self.solved = sorted(physics.solved)
        self.at = presence(on.space, on.mesh, self.solved).at[: on.owned]
        boundaries = boundaries_of(on.mesh, physics)
        unknowns = unknowns_of(on, boundaries)
        self.sides = [(boundary.name, dofs) for boundary, dofs in zip(boundaries, unknowns, strict=True)]
        self.outer = np.zeros(on.owned, bool)
        for _, dofs in self.sides:
            self.outer[dofs] = True
        self.whole = float(self.comm.allreduce(problem.amount.sum(), op=MPI.SUM))

    def marked(self, owned: Array) -> fem.Function:
        """A function of the space by its owned entries; collective."""
        function = fem.Function(self._on.space)
        function.x.array[: len(owned)] = owned
        function.x.scatter_forward()
        return function

    def flux(self, name: str, weights: Array, of_phase: dict[int, float]) -> SurfaceFlux | None:
        """Sum of weights times the rows of some phases, each with a factor; None where there are none; collective."""
        if not self.comm.allreduce(bool(weights.any()), op=MPI.LOR):
            return None
        on, physics = self._on, self._physics
        chosen, count = self.marked(weights), len(physics.phases)
        factor = [of_phase.get(i, 0.0) for i in range(count)]
        held = [f * p.porosity * float(k) for f, p, k in zip(factor, physics.phases, on.factors, strict=True)]
        moved = [
            f * on.scales.diffusivity(p.effective_diffusivity or 0.0) * float(k)
            for f, p, k in zip(factor, physics.phases, on.factors, strict=True)
        ]
        rate = vector_of(forms.storage(per_phase(on.mesh, held), chosen, on.test, on.dx))
        level = vector_of(forms.diffusion(along_axes(on.mesh, physics, moved), chosen, on.test, on.dx))
        decays = [f * k for f, k in zip(factor, decay_rates(on, physics), strict=True)]
        if any(decays):
            level += vector_of(forms.reaction(per_phase(on.mesh, decays), chosen, on.test, on.dx))
        initial = per_phase(on.mesh, [p.initial / on.scales.concentration for p in physics.phases])
        porosity = per_phase(on.mesh, [f * p.porosity for f, p in zip(factor, physics.phases, strict=True)])
        at_start = float((vector_of(forms.storage(porosity, initial, on.test, on.dx)) * weights).sum())
        start, size = self.comm.allreduce(np.array([at_start, np.abs(level).sum()]), op=MPI.SUM)
        none = np.empty(0, np.int32)
        return SurfaceFlux(name, rate, level, float(start), none, rounding=PRECISION * float(size))


def _from_surfaces(problem: Problem, physics: Physics, rows: _Rows) -> list[SurfaceFlux]:
    """Through each source, sink and face into each phase, where it has several."""
    found = []
    for name, dofs in rows.sides:
        here = np.zeros(len(rows.outer), bool)
        here[dofs] = True
        parts = [
            rows.flux(
                f"{name} to {physics.phases[phase].name}", (here & rows.at[:, i]).astype(np.float64), {phase: 1.0}
            )
            for i, phase in enumerate(rows.solved)
        ]
        there = [part for part in parts if part is not None]
        found += there if len(there) > 1 else []
    return found


def _between(physics: Physics, rows: _Rows) -> list[SurfaceFlux]:
    """Between phases that share unknowns."""
    found = []
    count = np.maximum(rows.at.sum(axis=1), 1)
    for (i, first), (k, second) in combinations(enumerate(rows.solved), 2):
        shared = rows.at[:, i] & rows.at[:, k] & ~rows.outer
        name = f"{physics.phases[first].name} to {physics.phases[second].name}"
        among_two = not rows.comm.allreduce(bool((shared & (count > 2)).any()), op=MPI.LOR)
        weights = shared / count
        forms_of_it = [(weights, {second: 1.0, first: -1.0})]
        if among_two:  # then either side says it, and the one of the smaller diffusivity to more digits
            forms_of_it += [(shared.astype(np.float64), {second: 1.0}), (shared.astype(np.float64), {first: -1.0})]
        fluxes = [rows.flux(name, *one) for one in forms_of_it]
        there = [flux for flux in fluxes if flux is not None]
        found += [min(there, key=lambda flux: flux.rounding)] if there else []
    return found


def _exchanged(problem: Problem, physics: Physics, rows: _Rows, links: Sequence[Link]) -> list[SurfaceFlux]:
    """Between phases that exchange slowly."""
    on: Discretization = problem.discretization
    slow = [link for link in links if link.exchange is not None]
    found = []
    for link, (coefficient, interface) in zip(slow, exchanges(on, tuple(links)), strict=True):
        beyond = rows.marked(rows.at[:, rows.solved.index(link.second)].astype(np.float64))
        level = -vector_of(forms.exchange(coefficient, beyond, on.test, interface))
        size = float(rows.comm.allreduce(np.abs(level).sum(), op=MPI.SUM))
        name = f"{physics.phases[link.first].name} to {physics.phases[link.second].name}"
        none = np.empty(0, np.int32)
        found.append(SurfaceFlux(name, np.zeros_like(level), level, 0.0, none, rounding=PRECISION * size))
    return found
