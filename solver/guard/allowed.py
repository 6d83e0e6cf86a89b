"""Least and largest values that an exact solution takes, by the maximum principle, and where it only rises or falls.

In a connected part of the solved phases u = c/κ stays between the least and the largest of what it starts with, what is
held or lies beyond a transfer at its surface, and 0 where a sink or decay takes it: so does every D(c) > 0, every
exchange, every coefficient. A given flux takes away the bound on its side. Where a part starts even, nothing that acts
on it is below that and nothing ever falls, u rises at all places and times, as u(t + s) solves the same problem from
values above; and so with signs turned. That holds for a sink that fills up as well, whose uptake falls as it has more,
if it starts at 0; not for coefficients that change. See Protter and Weinberger, Maximum Principles in Differential
Equations (1967), chapter 3.
"""

from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import (
    BoundaryCondition,
    boundary_conditions,
    cells_at,
    facets_of,
    phases_at,
)
from microlith.solver.problem.problem import Problem

EVEN = 1e-9  # relative difference at which two concentrations are one


@dataclass(frozen=True, eq=False)
class Allowed:
    """Bounds of u = c/κ in scaled units, for each kind of connected part: those in which the same acts on the same."""

    times: Array  # (times,) s, increasing
    low: Array  # (kinds, times) -inf where there is none
    high: Array  # (kinds, times) inf where there is none
    rises: Flags  # (kinds,) whether u never falls
    falls: Flags  # (kinds,) whether u never rises
    of_dof: Numbers  # (local dofs of the solved space) kind

    def at(self, time: float) -> tuple[Array, Array]:
        """Bounds at one of the times, (local dofs of the solved space) each; between two of them those of the later."""
        i = min(int(np.searchsorted(self.times, time)), len(self.times) - 1)
        return self.low[self.of_dof, i], self.high[self.of_dof, i]


def allowed(problem: Problem, physics: Physics, times: Array) -> Allowed:
    """Find the bounds; collective.

    Args:
        problem: What is solved.
        physics: Phases in the order of the mesh's tags, and what acts on them.
        times: Increasing, s.
    """
    conditions = [condition for condition in boundary_conditions(physics) if not condition.is_idle]
    present, touched = _acting(problem, conditions)
    rows = np.concatenate([present, touched.reshape(len(touched), -1)], axis=1)
    kinds, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    parts = [_Part(problem, physics, conditions, present[i], touched[i], times) for i in first]
    return Allowed(
        times,
        np.array([part.low() for part in parts]).reshape(len(kinds), len(times)),
        np.array([part.high() for part in parts]).reshape(len(kinds), len(times)),
        np.array([part.rises() for part in parts], dtype=bool),
        np.array([part.falls() for part in parts], dtype=bool),
        kind.reshape(-1)[problem.system.parts.of_dof],
    )


def _acting(problem: Problem, conditions: list[BoundaryCondition]) -> tuple[Flags, Flags]:
    """Phases in each part (parts, phases), and conditions at each of them (parts, conditions, phases); collective."""
    mesh, parts = problem.discretization.mesh, problem.system.parts
    count, phases = parts.count, len(mesh.names)
    present, touched = np.zeros((count, phases)), np.zeros((count, len(conditions), phases))
    present[parts.of_cell[mesh.cell_tags.indices], mesh.cell_tags.values] = 1.0
    for i, condition in enumerate(conditions):
        facets = facets_of(mesh, condition)
        touched[parts.of_cell[cells_at(mesh, facets)], i, phases_at(mesh, facets)] = 1.0
    for flags in (present, touched):
        mesh.mesh.comm.Allreduce(MPI.IN_PLACE, flags, op=MPI.MAX)
    return present > 0, touched > 0


class _Part:
    """One kind of connected part, and all that acts on it."""

    def __init__(
        self,
        problem: Problem,
        physics: Physics,
        conditions: list[BoundaryCondition],
        present: Flags,
        touched: Flags,
        times: Array,
    ) -> None:
        scale = problem.scales.concentration
        self._times = times
        there = np.flatnonzero(present)
        phases = [physics.phases[i] for i in there]
        ends = [(p.initial, p.initial if p.initial_least is None else p.initial_least) for p in phases]
        self._start = (np.array(ends) / scale / problem.factors[there][:, None]).ravel()
        self._even = all(low == high for low, high in ends)
        pairs = [(conditions[i], float(problem.factors[phase])) for i, phase in np.argwhere(touched)]
        self._conditions = [condition for condition, _ in pairs]
        self._levels = [c.concentration.scaled(1.0, scale * k) for c, k in pairs if c.concentration is not None]
        self._fluxes = [c.flux for c, _ in pairs if c.flux is not None]
        self._decays = any(phase.decay for phase in phases)

    def low(self) -> Array:
        return self._bound(np.minimum, -np.inf)

    def high(self) -> Array:
        return self._bound(np.maximum, np.inf)

    def _bound(self, extreme: np.ufunc, none: float) -> Array:
        """The extreme of all that acted up to each time; `none` from when a flux has no bound on that side."""
        found = np.full(len(self._times), float(extreme.reduce(self._start)))
        for course in self._levels:
            found = extreme(found, _running(course, self._times, extreme))
        if self._decays:
            found = extreme(found, 0.0)
        for flux in self._fluxes:
            most = _running(flux, self._times, extreme)
            found[most * np.sign(none) > 0] = none
        return found

    def rises(self) -> bool:
        return self._steady and self._goes(1.0) and not (self._decays and self._start[0] > 0)

    def falls(self) -> bool:
        fills = any(condition.capacity is not None for condition in self._conditions)
        return self._steady and self._goes(-1.0) and not (fills and self._start[0] > 0)

    @property
    def _steady(self) -> bool:
        """Whether it starts even, and no coefficient changes."""
        even = bool(np.allclose(self._start, self._start[0], rtol=EVEN, atol=0.0))
        changing = (c.coefficient is not None and not c.coefficient.is_constant for c in self._conditions)
        return self._even and even and not any(changing)

    def _goes(self, sign: float) -> bool:
        """Whether all that acts, times the sign, is at least what there is at the start, and never falls."""
        start = sign * float(self._start[0])
        levels = [course.scaled(1.0, sign) for course in self._levels]
        fluxes = [course.scaled(1.0, sign) for course in self._fluxes]
        end = float(self._times[-1])
        return all(
            float(course.after(0.0)) >= start - EVEN * abs(start) and _is_rising(course, end) for course in levels
        ) and all(float(course.after(0.0)) >= 0.0 and _is_rising(course, end) for course in fluxes)


def _running(course: Course, times: Array, extreme: np.ufunc) -> Array:
    """Least or largest value of a course from 0 to each time."""
    cuts = np.union1d(np.append(course.kinks(float(times[-1])), 0.0), times)
    values = course.after(cuts)
    values[1:] = extreme(values[1:], course.before(cuts[1:]))
    return np.asarray(extreme.accumulate(values)[np.searchsorted(cuts, times)])


def _is_rising(course: Course, end: float) -> bool:
    """Whether a course never falls from 0 to the end."""
    cuts = np.unique(np.array([0.0, *course.kinks(end), end]))
    values = np.stack([course.before(cuts), course.after(cuts)], axis=1)
    values[0, 0] = values[0, 1]
    values[-1, 1] = values[-1, 0]
    return bool((np.diff(values.ravel()) >= 0.0).all())
