"""How far another solution is from one found step by step, to first order, along the same steps.

The exact one in space: elements make fluxes too stiff. Of the flux W ∇p of a potential p they take
∫ W (G p − ∇p)·(G v − ∇v) dx too much, G being recovered gradients (see `krylov.recovery`). Where the diffusivity
follows a law p is Kirchhoff's potential, and what is stored between the nodes is not that of the straight lines there,
either: u is β(p), p nearly straight, and b = β(p) − u. To first order the exact solution is that of the elements with b
and δ added to it,

    M δ' + ∂F/∂u δ = ∫ W (G p − ∇p)·(G v − ∇v) dx − d/dt ∫ ε b v dx for all v,

δ being such at first, and where held values jump, that all together there is as much as there was. Surfaces that fill
up lack some δq in the same way.

One in which a surface that lithium passes in proportion to its area is larger: then the right side is what enters
there, and δ is per part by which it is larger.

A step takes its stages with a matrix M + s ∂F/∂u, which is there, made at some earlier u: with two steps s of backward
Euler, and a straight line from their ends to the end of the step, δ takes two solves, and others that set right what
has changed since the matrix was made. That is stable for any δ that decays, and nearly of second order for an s from
0.2 to 0.35 of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.recovery import Recovery, is_recoverable
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.assembly import project
from microlith.solver.problem.transport import conductivities
from microlith.solver.problem.uptake import Linearised
from microlith.solver.steps.dynamics import Dynamics, Moment
from microlith.solver.steps.stage_matrix import StageMatrix
from microlith.solver.surfaces.passages import Passage

MOST = 3  # repetitions for what has changed since the matrix was made
ENOUGH = 1e-2  # change by the latest of them, relative, at which the rest is left: ranks and checkpoints tell the same
ROUGHLY = 0.1  # the same where errors of areas are told, which are known no better


@dataclass(frozen=True, eq=False)
class Lacks:
    """Functionals of δ at the ends of steps, on all ranks the same."""

    times: Array  # (ends,) scaled, increasing
    values: Array  # (ends, functionals)

    @property
    def largest(self) -> float:
        """Of all; nan where one of them is no number."""
        return float(np.abs(self.values).max(initial=0.0))

    def at(self, times: Array, rows: slice) -> Array:
        """Some of the functionals at any times, straight lines between the ends, (functionals, times)."""
        chosen = self.values[:, rows]
        return np.array([np.interp(times, self.times, column) for column in chosen.T]).reshape(-1, len(times))


class Source(Protocol):
    """What is not in the solution's equations."""

    enough: float  # relative accuracy that is wanted
    stores: bool  # whether anything is stored between the nodes

    def at(self, u: Array, q: Sequence[Array], moment: Moment) -> tuple[Array, Array]:
        """What enters besides, and what is stored besides, integrals with all v, each (owned,); collective."""


class Smoothness:
    """What elements are too stiff by, and what is stored between their nodes, from recovered gradients."""

    enough = ENOUGH

    def __init__(self, dynamics: Dynamics, physics: Physics) -> None:
        """Prepare; collective.

        Args:
            dynamics: The problem, of degree 1 on triangles or tetrahedra.
            physics: Of the problem.
        """
        on = dynamics.problem.discretization
        laws = np.array([phase.law is not None for phase in physics.phases])
        stored = np.array([phase.porosity for phase in physics.phases]) * on.factors * laws
        self._diffusion, self._held = dynamics.diffusion, dynamics.held
        self._recovery = Recovery(dynamics.problem, conductivities(on, physics), stored)
        self._plain = [i for i, phase in enumerate(physics.phases) if phase.law is None]
        self._inverses = {} if self._diffusion is None else self._diffusion.inverses()
        self.stores = bool(self._inverses)

    @staticmethod
    def of(dynamics: Dynamics, physics: Physics) -> "Smoothness | None":
        """Where it can be told: of degree 1 on triangles and tetrahedra; collective."""
        return Smoothness(dynamics, physics) if is_recoverable(dynamics.problem) else None

    def at(self, u: Array, q: Sequence[Array], moment: Moment) -> tuple[Array, Array]:
        """As `Source.at`."""
        bent = {} if self._diffusion is None else self._diffusion.potentials(u)
        force = self._recovery.forces(dict.fromkeys(self._plain, u) | bent)
        force[self._held] = 0.0
        return force, self._recovery.between(u, bent, self._inverses) if self.stores else np.zeros_like(u)


class Larger:
    """A surface that lithium passes in proportion to its area is larger; δ is per part by which it is."""

    enough, stores = ROUGHLY, False

    def __init__(self, dynamics: Dynamics, passage: Passage) -> None:
        """Take up the surface."""
        self._problem, self._passage = dynamics.problem, passage

    def at(self, u: Array, q: Sequence[Array], moment: Moment) -> tuple[Array, Array]:
        """As `Source.at`."""
        return self._passage.entering(self._problem, u, q, moment.held, moment.coefficients), np.zeros_like(u)


class Deviation:
    """δ, which goes along with the solution."""

    def __init__(self, dynamics: Dynamics, source: Source) -> None:
        """Prepare; collective.

        Args:
            dynamics: The problem.
            source: What is not in it.
        """
        self._dynamics, self._source = dynamics, source
        self._amounts = np.where(dynamics.problem.amount > 0, dynamics.problem.amount, 1.0)
        nothing = np.zeros(dynamics.problem.discretization.owned)
        self.u: Array = nothing  # δ
        self.q: tuple[Array, ...] = tuple(np.zeros_like(uptake.weights) for uptake in dynamics.uptakes)  # δq
        self._force: Array = nothing  # what enters besides, at the latest end
        self._between: Array = nothing  # ∫ ε b v dx there

    @property
    def whole(self) -> Array:
        """δ + b, (owned,), b as what is stored around each node: for functionals of u."""
        return self.u + self._between / self._amounts

    def begin(self, u: Array, q: Sequence[Array], moment: Moment) -> None:
        """Where steps start from u and q, at first and after a jump; collective."""
        before = self._between
        self.go_on(u, q, moment)
        if self._source.stores:
            moved = before - self._between
            moved[self._dynamics.held] = 0.0
            self.u = self.u + project(self._dynamics.system.mass, moved)

    def go_on(self, u: Array, q: Sequence[Array], moment: Moment) -> None:
        """Where steps go on from u and q; collective."""
        self._force, self._between = self._source.at(u, q, moment)

    def step(
        self,
        matrix: StageMatrix,
        u: Array,
        q: tuple[Array, ...],
        stretch: tuple[float, float],
        t: float,
        h: float,
    ) -> None:
        """Go along with a step; collective.

        Args:
            matrix: That its stages were solved with.
            u: (owned,) unknowns that it has led to.
            q: Amounts per area that it has led to.
            stretch: Times between which nothing given bends or jumps.
            t: Where it started.
            h: Its length.

        Raises:
            NotConverged: On all ranks, where the linear solver gave up.
        """
        dynamics, mass, s = self._dynamics, self._dynamics.system.mass, matrix.step
        before, between = self._force, self._between
        self.go_on(u, q, dynamics.moment(t + h, *stretch))
        filling = (between - self._between) / h
        follow = [uptake.linearised(u, some, s) for uptake, some in zip(dynamics.uptakes, q, strict=True)]
        ends = [(self.u, self.q)]
        for number in (1, 2):
            (x, lacking), share = ends[-1], min(number * s / h, 1.0)
            right = (1.0 - share) * before + share * self._force + filling
            for uptake, linear, some in zip(dynamics.uptakes, follow, lacking, strict=True):
                right += uptake.vector(linear.loss * some)
            right = matrix_times(mass, x) + s * right
            right[dynamics.held] = 0.0
            moment = dynamics.moment(t + share * h, *stretch)
            x = self._solved(matrix, right, u, moment, follow)
            lacking = tuple(
                some + s * (uptake.times(linear.slope, x) - linear.loss * some)
                for uptake, linear, some in zip(dynamics.uptakes, follow, lacking, strict=True)
            )
            ends.append((x, lacking))
        line = h / s - 2.0
        self.u = ends[2][0] + line * (ends[2][0] - ends[1][0])
        self.q = tuple(last + line * (last - one) for one, last in zip(ends[1][1], ends[2][1], strict=True))

    def _solved(
        self, matrix: StageMatrix, right: Array, u: Array, moment: Moment, follow: Sequence[Linearised]
    ) -> Array:
        """Solve with M + s ∂F/∂u at u, with the matrix for another u; collective."""
        mass, comm = self._dynamics.system.mass, self._dynamics.problem.space.mesh.comm
        found = change = matrix.solve_aside(right)
        for _ in range(MOST):
            there = self._dynamics.derivative_times(u, found, moment, follow, matrix.precise)
            change = matrix.solve_aside(right - matrix_times(mass, found) - matrix.step * there)
            found = found + change
            squares = comm.allreduce(np.array([change @ change, found @ found]), op=MPI.SUM)
            if not squares[0] > self._source.enough**2 * squares[1]:
                break
        return found
