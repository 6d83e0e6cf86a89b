"""The semi-discrete nonlinear problem M u' + F(t, u, q) = 0 as a time integrator sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.linear.weighted import WeightedTerm
from microlith.solver.problem.assembly import SAME_PATTERN, SUBSET_PATTERN
from microlith.solver.problem.nonlinear import NonlinearDiffusion
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.system import LinearSystem, Load, hold
from microlith.solver.problem.uptake import Linearised, Rate, SaturatingUptake


@dataclass(frozen=True)
class Moment:
    """A time with what acts then from outside; at a jump it is one of its sides."""

    held: tuple[float, ...]  # value of each load's course
    slopes: tuple[float, ...]  # its rate of change
    coefficients: tuple[float, ...]  # of the transfers that change


@dataclass(frozen=True)
class Tangent:
    """Fluxes by equations that are linear in a change of the unknowns: what those hold exactly, lithium keeps to."""

    fluxes: tuple[Array, ...]  # of the uptakes, at their points
    inflow: Array  # (surfaces,) of this rank, without their rate·u'


class Dynamics:
    """F(t, u, q) = K u + N(u) + uptake(u, q) − b(t), its derivative, and the fluxes through all surfaces."""

    def __init__(self, problem: Problem) -> None:
        """Take up a problem; collective."""
        self.problem = problem
        self.system: LinearSystem = problem.system
        self.diffusion: NonlinearDiffusion | None = problem.nonlinear.diffusion
        self.uptakes: tuple[SaturatingUptake, ...] = problem.nonlinear.uptakes
        self.held = self.system.held
        self._surfaces = problem.fluxes
        space = problem.space
        marked = fem.Function(space)
        marked.x.array[self.held] = 1.0
        marked.x.scatter_forward()
        self._free = marked.x.array == 0.0

    @property
    def symmetric(self) -> bool:
        """Whether the derivative of F is symmetric."""
        return self.diffusion is None

    @cached_property
    def stored(self) -> Array:
        """M 1, (owned,); collective when first asked for."""
        return matrix_times(self.system.mass, np.ones_like(self.system.initial))

    @cached_property
    def whole(self) -> float:
        """1ᵀM 1 over all ranks, 1 where all unknowns are held; collective when first asked for."""
        return float(self.system.mass.comm.tompi4py().allreduce(self.stored.sum(), op=MPI.SUM)) or 1.0

    def kinks(self) -> list[tuple[float, bool]]:
        """Times within (0, 1) at which something given bends or jumps; whether a held value jumps then."""
        return [(t, any(_jumps(load, t) for load in self.system.loads)) for t in self.system.kinks]

    def moment(self, time: float, start: float, end: float) -> Moment:
        """What acts from outside at a time within a stretch [start, end] without kinks inside."""
        loads, transfers = self.system.loads, self.system.transfers

        def along(first: float, last: float) -> float:
            return first + (last - first) * (time - start) / (end - start)

        ends = [(float(load.course.after(start)), float(load.course.before(end))) for load in loads]
        coefficients = [(float(t.course.after(start)), float(t.course.before(end))) for t in transfers]
        return Moment(
            held=tuple(along(a, b) for a, b in ends),
            slopes=tuple((b - a) / (end - start) for a, b in ends),
            coefficients=tuple(along(a, b) for a, b in coefficients),
        )

    def hold(self, u: Array, moment: Moment) -> None:
        """Put the held values into u."""
        hold(u, self.system.loads, self.held, moment.held)

    @cached_property
    def _graph(self) -> Differences:
        """K as differences."""
        return Differences(self.system.stiffness, self.system.taken)

    def terms(self) -> list[WeightedTerm]:
        """What moves lithium within the phases, to first order where the derivative was last taken; collective."""
        return [WeightedTerm(self._graph), *([] if self.diffusion is None else self.diffusion.terms())]

    def forces(self, u: Array, moment: Moment, precise: bool = False) -> Array:
        """F(t, u, q) without uptake, (owned,), zero on held rows; collective.

        Args:
            u: (owned,) unknowns.
            moment: What acts from outside.
            precise: Whether to sum differences, so that what leaves one unknown enters others to the last digit.
        """
        found = self._by_differences(u, moment) if precise else matrix_times(self.system.stiffness, u)
        if self.diffusion is not None:
            found += self.diffusion.everywhere(u, precise)
        for load, value, slope in zip(self.system.loads, moment.held, moment.slopes, strict=True):
            if load.drag is None or not precise:
                found -= value * load.push
            if load.drag is not None and slope != 0.0:
                found -= slope * load.drag
        for transfer, k in zip(self.system.transfers, moment.coefficients, strict=True):
            if k != 0.0:
                found += k * matrix_times(transfer.matrix, u)
                for push, value in zip(transfer.pushes, moment.held, strict=True):
                    found -= (k * value) * push
        found[self.held] = 0.0
        return found

    def _by_differences(self, u: Array, moment: Moment) -> Array:
        """K u without what held values put in its place on the right side, (owned,); collective."""
        held = [
            (load.push, value)
            for load, value in zip(self.system.loads, moment.held, strict=True)
            if load.drag is not None
        ]
        at_held = sum((push for push, _ in held), np.zeros_like(u))
        return sum((push * (u - value) for push, value in held), self._graph.times(u, self.system.taken - at_held))

    def derivative_times(
        self, u: Array, change: Array, moment: Moment, uptakes: Sequence[Linearised], precise: bool = False
    ) -> Array:
        """∂F/∂u at u times a change that is 0 where unknowns are held, (owned,), zero on held rows; collective.

        Args:
            u: (owned,) unknowns.
            change: (owned,) of them.
            moment: What acts from outside.
            uptakes: How they follow.
            precise: Whether to sum differences.
        """
        system = self.system
        found = self._graph.times(change, system.taken) if precise else matrix_times(system.stiffness, change)
        if self.diffusion is not None:
            found += self.diffusion.derivative_times(u, change, precise)
        for transfer, k in zip(system.transfers, moment.coefficients, strict=True):
            if k != 0.0:
                found += k * matrix_times(transfer.matrix, change)
        for uptake, linearised in zip(self.uptakes, uptakes, strict=True):
            found += uptake.vector(uptake.times(linearised.slope, change))
        found[self.held] = 0.0
        return found

    def shifted(self, into: PETSc.Mat, u: Array, moment: Moment, step: float, rates: tuple[Rate, ...]) -> None:
        """Set a matrix of the pattern of K to M + step ∂F/∂u; collective.

        Args:
            into: The matrix; assembled afterwards.
            u: (owned,) where to take the derivative.
            moment: What acts from outside.
            step: Of the stage.
            rates: Of the uptakes, at u.
        """
        self.exchanged(into, moment, step, rates)
        into.axpy(step, self.system.stiffness, structure=SAME_PATTERN)
        if self.diffusion is not None:
            self.diffusion.add_derivative(into, u, step, self._free[: len(u)])
        # What stands in held rows, step times 1, is no pivot: factors take it for zero where steps are short.
        diagonal = into.getDiagonal()
        diagonal.array[self.held] = 1.0
        into.setDiagonal(diagonal)
        diagonal.destroy()

    def exchanged(self, into: PETSc.Mat, moment: Moment, step: float, rates: tuple[Rate, ...]) -> None:
        """Set a matrix to the part of M + step ∂F/∂u that is storage, changing transfers and uptake; collective."""
        self.system.mass.copy(into, structure=SAME_PATTERN)
        for transfer, k in zip(self.system.transfers, moment.coefficients, strict=True):
            if k != 0.0:
                into.axpy(step * k, transfer.matrix, structure=SUBSET_PATTERN)
        for uptake, rate in zip(self.uptakes, rates, strict=True):
            uptake.add_derivative(into, rate, step, self._free)
        if self.uptakes:
            into.assemble()

    def tangent(
        self, u: Array, rates: tuple[Rate, ...], made: tuple[Rate, ...], change: Array, precise: bool = False
    ) -> "Tangent":
        """What a step's equations say of all fluxes at u + change, to first order; collective.

        Args:
            u: (owned,) unknowns.
            rates: Of the uptakes, at u.
            made: Of the uptakes, where the derivative was last taken.
            change: Of the unknowns.
            precise: Whether to sum differences.
        """
        fluxes = tuple(
            rate.flux + uptake.along(then, change) for uptake, rate, then in zip(self.uptakes, rates, made, strict=True)
        )
        forces = np.zeros_like(u)
        if self.diffusion is not None:
            forces += self.diffusion.everywhere(u, precise) + self.diffusion.along(change, precise)
        if precise:  # they may be so large that it matters what rounding makes of the sum of u and its change
            levels = [s.precise_level(u) + s.precise_level(change) for s in self._surfaces]
        else:
            levels = [float(s.level @ (u + change)) for s in self._surfaces]
        return Tangent(fluxes, self._inflow(levels, fluxes, forces))

    def _inflow(self, levels: Sequence[float], fluxes: tuple[Array, ...], forces: Array) -> Array:
        """Flux into the domain through each surface, (surfaces,), of this rank, without its rate·u'.

        Zero for sinks that fill up, which say themselves what they have; what they take from unknowns that are another
        surface's is left out there.

        Args:
            levels: level·u of each surface, of this rank.
            fluxes: Of the uptakes, at their points.
            forces: (owned,) by phases with a law.
        """
        through = forces.copy()
        for uptake, flux in zip(self.uptakes, fluxes, strict=True):
            through += uptake.vector(flux)
        filling = {uptake.name for uptake in self.uptakes}
        return np.array(
            [
                0.0 if surface.name in filling else float(level + through[surface.rows].sum())
                for surface, level in zip(self._surfaces, levels, strict=True)
            ]
        )


def _jumps(load: Load, time: float) -> bool:
    return load.drag is not None and float(load.course.after(time)) != float(load.course.before(time))
