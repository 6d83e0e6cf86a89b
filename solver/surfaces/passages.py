"""What passes each surface in proportion to its area: by a transfer, by an exchange, or into a sink that fills up.

A part more of the area is as much more of the coefficient, so that this is what the equations change by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dolfinx import fem
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.interfaces.partition import links_of
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import matrix_of, vector_of
from microlith.solver.problem.boundaries import Boundary, boundaries_of
from microlith.solver.problem.boundary_terms import scaled_coefficient
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.transport import exchanges


@dataclass(frozen=True, eq=False)
class Passage:
    """A surface: what leaves through it is k (S u − g p), with the course g of the load beyond it."""

    name: str  # of the phase or face; of both phases
    matrix: PETSc.Mat | None  # S, scaled; None: a surface that fills up
    push: Array  # (owned,) p
    load: int | None  # number of that load in the system; None: solved phases on both sides, or nothing beyond
    transfer: int | None  # number in the system of the transfer whose coefficient is k; None: k is 1
    uptake: int | None  # number of what fills up

    def leaving(self, vector: Array) -> Array:
        """S times a vector, (owned,); collective."""
        assert self.matrix is not None  # as what fills up is not linear
        return matrix_times(self.matrix, vector)

    def entering(
        self, problem: Problem, u: Array, q: Sequence[Array], held: Sequence[float], coefficients: Sequence[float]
    ) -> Array:
        """What enters through it, ∫ flux v ds for all v, (owned,), zero on held rows; collective.

        Args:
            problem: The surface is part of.
            u: (owned,) unknowns.
            q: What surfaces that fill up have taken, each at its points.
            held: Values of the loads' courses.
            coefficients: Of the transfers that change.
        """
        if self.uptake is not None:
            uptake = problem.nonlinear.uptakes[self.uptake]
            found = -uptake.vector(uptake.rate(u, q[self.uptake], 0.0).flux)
        else:
            beyond = 0.0 if self.load is None else held[self.load]
            found = beyond * self.push - self.leaving(u)
            found *= 1.0 if self.transfer is None else coefficients[self.transfer]
        found[problem.system.held] = 0.0
        return found

    def destroy(self) -> None:
        """Free the matrix; collective."""
        if self.matrix is not None:
            self.matrix.destroy()


def passages_of(problem: Problem, physics: Physics, names: Sequence[str]) -> tuple[Passage, ...]:
    """Some surfaces that lithium passes in proportion to their area; collective.

    Args:
        problem: They are part of.
        physics: Of the problem.
        names: Of phases and faces, or of two phases as "one and other", in the order of the interface's law.
    """
    on, system = problem.discretization, problem.system
    boundaries = boundaries_of(on.mesh, physics)
    changing = [one.name for one in boundaries if one.coefficient is not None and not one.coefficient.is_constant]
    filling = [one.name for one in boundaries if one.capacity is not None]
    loads = [load.name for load in system.loads]
    found = []
    for one in boundaries:
        if one.name not in names or one.coefficient is None:
            continue
        if one.capacity is not None:
            found.append(Passage(one.name, None, np.zeros(on.owned), None, None, filling.index(one.name)))
            continue
        matrix, push = _transfer(problem, one)
        transfer = changing.index(one.name) if one.name in changing else None
        found.append(Passage(one.name, matrix, push, loads.index(one.name), transfer, None))
    slow = [link for link in links_of(on.mesh, physics) if link.exchange is not None]
    for link, (coefficient, interface) in zip(slow, exchanges(on, tuple(slow)), strict=True):
        name = between(on.mesh.names, link.first, link.second)
        if name in names:
            matrix = matrix_of(forms.exchange(coefficient, on.trial, on.test, interface))
            found.append(Passage(name, matrix, np.zeros(on.owned), None, None, None))
    return tuple(found)


def between(names: Sequence[str], first: int, second: int) -> str:
    """Name of the surface between two solved phases."""
    return f"{names[first]} and {names[second]}"


def _transfer(problem: Problem, boundary: Boundary) -> tuple[PETSc.Mat, Array]:
    """S and p of a surface with a transfer; of a unit coefficient where that changes; collective."""
    on, coefficient = problem.discretization, boundary.coefficient
    assert coefficient is not None  # as asked for
    rate = scaled_coefficient(on, coefficient) if coefficient.is_constant else fem.Constant(on.mesh.mesh, 1.0)
    by_unknown = rate if on.has_one_factor else rate * on.kappa
    matrix = matrix_of(forms.transfer(by_unknown, on.trial, on.test, boundary.measure))
    return matrix, vector_of(forms.transfer(rate, on.one, on.test, boundary.measure))
