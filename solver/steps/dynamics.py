"""The semi-discrete nonlinear problem M u' + F(t, u, q) = 0 as a time integrator sees it."""

from dataclasses import dataclass

import numpy as np

from dolfinx import fem
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.problem.assembly import SAME_PATTERN, SUBSET_PATTERN
from microlith.solver.problem.nonlinear import NonlinearDiffusion
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.system import LinearSystem, Load
from microlith.solver.problem.uptake import Rate, SaturatingUptake


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
        space = problem.space
        marked = fem.Function(space)
        marked.x.array[self.held] = 1.0
        marked.x.scatter_forward()
        self._free = marked.x.array == 0.0

    @property
    def symmetric(self) -> bool:
        """Whether the derivative of F is symmetric."""
        return self.diffusion is None

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
        for load, value in zip(self.system.loads, moment.held, strict=True):
            u[load.held] = value

    def forces(self, u: Array, moment: Moment) -> Array:
        """F(t, u, q) without uptake, (owned,), zero on held rows; collective."""
        found = matrix_times(self.system.stiffness, u)
        if self.diffusion is not None:
            found += self.diffusion.everywhere(u)
        for load, value, slope in zip(self.system.loads, moment.held, moment.slopes, strict=True):
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

    def shifted(self, into: PETSc.Mat, u: Array, moment: Moment, step: float, rates: tuple[Rate, ...]) -> None:
        """Set a matrix of the pattern of K to M + step ∂F/∂u; collective.

        Args:
            into: The matrix; assembled afterwards.
            u: (owned,) where to take the derivative.
            moment: What acts from outside.
            step: Of the stage.
            rates: Of the uptakes, at u.
        """
        self.system.stiffness.copy(into, structure=SAME_PATTERN)
        into.scale(step)
        into.axpy(1.0, self.system.mass, structure=SAME_PATTERN)
        for transfer, k in zip(self.system.transfers, moment.coefficients, strict=True):
            if k != 0.0:
                into.axpy(step * k, transfer.matrix, structure=SUBSET_PATTERN)
        for uptake, rate in zip(self.uptakes, rates, strict=True):
            uptake.add_derivative(into, rate, step, self._free)
        if self.uptakes:
            into.assemble()
        if self.diffusion is not None:
            self.diffusion.add_derivative(into, u, step, self._free[: len(u)])
        # What stands in held rows, step times 1, is no pivot: factors take it for zero where steps are short.
        diagonal = into.getDiagonal()
        diagonal.array[self.held] = 1.0
        into.setDiagonal(diagonal)
        diagonal.destroy()

    def tangent(self, u: Array, rates: tuple[Rate, ...], made: tuple[Rate, ...], change: Array) -> "Tangent":
        """What a step's equations say of all fluxes at u + change, to first order; collective.

        Args:
            u: (owned,) unknowns.
            rates: Of the uptakes, at u.
            made: Of the uptakes, where the derivative was last taken.
            change: Of the unknowns.
        """
        fluxes = tuple(
            rate.flux + uptake.along(then, change) for uptake, rate, then in zip(self.uptakes, rates, made, strict=True)
        )
        forces = np.zeros_like(u)
        if self.diffusion is not None:
            forces += self.diffusion.everywhere(u) + self.diffusion.along(change)
        return Tangent(fluxes, self._inflow(u + change, fluxes, forces))

    def _inflow(self, u: Array, fluxes: tuple[Array, ...], forces: Array) -> Array:
        """Flux into the domain through each surface, (surfaces,), of this rank, without its rate·u'.

        Zero for sinks that fill up, which say themselves what they have; what they take from unknowns that are another
        surface's is left out there.

        Args:
            u: (owned,) unknowns.
            fluxes: Of the uptakes, at their points.
            forces: (owned,) by phases with a law.
        """
        through = forces.copy()
        for uptake, flux in zip(self.uptakes, fluxes, strict=True):
            through += uptake.vector(flux)
        filling = {uptake.name for uptake in self.uptakes}
        return np.array(
            [
                0.0 if surface.name in filling else float(surface.level @ u + through[surface.rows].sum())
                for surface in self.problem.fluxes
            ]
        )


def _jumps(load: Load, time: float) -> bool:
    return load.drag is not None and float(load.course.after(time)) != float(load.course.before(time))
