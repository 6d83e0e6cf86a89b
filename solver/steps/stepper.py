"""One step of a diagonally implicit Runge-Kutta method for M u' + F(t, u, q) = 0, its stages solved by Newton's method.

The matrix M + hγ ∂F/∂u is kept, with its factors or multigrid, over stages and steps for as long as Newton's method
converges well with it (Hairer and Wanner, Solving Ordinary Differential Equations II, 2nd ed., Springer 1996, §IV.8).
Anderson's mixing makes it converge well for longer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.problem.assembly import project
from microlith.solver.problem.uptake import Rate
from microlith.solver.steps.anderson import Mixing
from microlith.solver.steps.dynamics import Dynamics, Moment, Tangent
from microlith.solver.steps.stage_matrix import NotConverged, StageMatrix
from microlith.solver.steps.tableaus import Tableau

MOST = 30  # iterations of Newton's method before a stage counts as failed
SLOW = 0.4  # contraction from which the matrix is made anew before the next stage
FAILING = 0.7  # contraction from which the matrix is made anew at once
HIDDEN = 0.1  # contraction better than which is not believed
RENEWALS = 4  # of the matrix within a stage, at most
DEPTH = 4  # earlier iterations that the mixing looks at
FORGIVEN = 1.3  # ratio of steps over which the matrix is kept


@dataclass(frozen=True)
class State:
    """Unknowns, amounts per area at the points of the uptakes, and their rates of change."""

    u: Array  # (owned,)
    q: tuple[Array, ...]
    du: Array | None  # None: not known, as right after a jump
    dq: tuple[Array, ...]
    inflow: Array | None = None  # (surfaces,) of this rank, that goes with du, without their rate·u'; None: by u itself


@dataclass(frozen=True)
class Step:
    """What a step leads to."""

    state: State
    defect: Array  # (owned,) estimated error of u
    defects: tuple[Array, ...]  # of q
    inflow: Array  # (surfaces,) through them within the step, on all ranks, without their rate·u'


class Stepper:
    """Takes steps, and has the matrix made anew where it no longer serves."""

    def __init__(self, dynamics: Dynamics, matrix: StageMatrix) -> None:
        """Take up a problem and the matrix of its stages, which goes with `destroy`."""
        self.dynamics, self.matrix = dynamics, matrix
        self._comm = dynamics.system.mass.comm.tompi4py()
        self._contraction = 0.0  # worst since the matrix was made
        self._made: tuple[Array, Moment, float, tuple[Array, ...]] | None = None  # what the matrix was made of

    def rms(self, x: Array) -> float:
        """Root of the mean square over the domain, by M; collective."""
        squared = self._comm.allreduce(x @ matrix_times(self.dynamics.system.mass, x), op=MPI.SUM)
        return float(np.sqrt(max(squared, 0.0) / self.dynamics.whole))

    def step(
        self, tableau: Tableau, state: State, stretch: tuple[float, float], t: float, h: float, tol: float
    ) -> Step:
        """One step from t to t + h.

        Args:
            tableau: The method; state.du is not needed where its first stage is implicit.
            state: At t.
            stretch: Times between which nothing given bends or jumps.
            t: Where the step starts.
            h: Its length.
            tol: Wanted rms of what Newton's method leaves.

        Raises:
            NotConverged: On all ranks, where Newton's method or a linear solver gave up.
        """
        a, c = tableau.a, tableau.c
        rates_u: list[Array] = []
        rates_q: list[tuple[Array, ...]] = []
        inflows: list[Array] = []
        u = state.u
        for i in range(len(c)):
            if i < tableau.first_implicit:
                assert state.du is not None
                rates_u.append(state.du)
                rates_q.append(state.dq)
                inflows.append(self._inflow_at(state))
            else:
                moment = self.dynamics.moment(t + c[i] * h, *stretch)
                base = state.u + h * sum((a[i, j] * rates_u[j] for j in range(i)), np.zeros_like(state.u))
                filled = tuple(
                    q + h * sum((a[i, j] * rates_q[j][n] for j in range(i)), np.zeros_like(q))
                    for n, q in enumerate(state.q)
                )
                u = base + h * a[i, i] * _guess(c, i, rates_u, state)
                u, tangent = self._solve(base, filled, u, moment, h * a[i, i], tol)
                rates_u.append((u - base) / (h * a[i, i]))
                rates_q.append(tangent.fluxes)
                inflows.append(tangent.inflow)
        inflow = h * sum((w * some for w, some in zip(a[-1], inflows, strict=True)), np.zeros_like(inflows[0]))
        weights = h * (a[-1] - tableau.embedded)
        ended = tuple(
            q + h * sum((a[-1, j] * rates_q[j][n] for j in range(len(c))), np.zeros_like(q))
            for n, q in enumerate(state.q)
        )
        return Step(
            State(u, ended, rates_u[-1], rates_q[-1], inflows[-1]),
            sum((w * k for w, k in zip(weights, rates_u, strict=True)), np.zeros_like(u)),
            tuple(
                sum((w * k[n] for w, k in zip(weights, rates_q, strict=True)), np.zeros_like(q))
                for n, q in enumerate(state.q)
            ),
            self._comm.allreduce(inflow, op=MPI.SUM),
        )

    def _solve(
        self, base: Array, filled: tuple[Array, ...], u: Array, moment: Moment, step: float, tol: float
    ) -> tuple[Array, Tangent]:
        """Solve M (u − base) + step F(u) = 0 from a first guess; also the fluxes.

        The fluxes are those of the last linear equation, M (u − base) + step F(v) + s F'·(u − v) = 0 from v and with an
        F' that was made for a step s: they balance whatever Newton's method leaves.
        """
        dynamics = self.dynamics
        u = u.copy()
        dynamics.hold(u, moment)
        ratio = step / self.matrix.step if self.matrix.step > 0 else np.inf
        if not 1 / FORGIVEN < ratio < FORGIVEN or self._contraction > SLOW:
            self._make(u, moment, step, filled)
        mixing = Mixing(DEPTH, self._comm)
        before, renewed = np.inf, 0
        for iteration in range(MOST):
            try:
                residual, rates = self._residual(base, filled, u, moment, step)
                change = self.matrix.solve(residual)
            except NotConverged:
                raise
            except ArithmeticError as error:
                raise NotConverged(str(error)) from error
            size = self.rms(change)
            if not np.isfinite(size):
                raise NotConverged("Newton's method led to numbers that are not finite")
            contraction = size / before
            # What is left is no larger than the rest of a geometric series; slow parts may hide behind fast ones.
            rate = max(contraction, HIDDEN)
            left = size * (rate / (1.0 - rate) if iteration > 0 and rate < 0.9 else 1.0)
            if iteration > 0 and size > tol:
                self._contraction = max(self._contraction, contraction)
            if left <= tol or size <= 0.1 * tol:
                share = self.matrix.step / step
                return u - change, dynamics.tangent(u, rates, self.matrix.rates, -share * change, self.matrix.precise)
            if contraction > FAILING and iteration > 1:
                if renewed == RENEWALS:
                    break
                renewed += 1
                u = u - change if contraction < 1.0 else u
                self._make(u, moment, step, filled)
                mixing, before = Mixing(DEPTH, self._comm), np.inf
                continue
            u, before = mixing.next(u, -change), size
        raise NotConverged("Newton's method did not converge")

    def _inflow_at(self, state: State) -> Array:
        """Flux through the surfaces with a state's rates of change."""
        if state.inflow is not None:
            return state.inflow
        rates = tuple(Rate(flux, np.zeros_like(flux)) for flux in state.dq)
        return self.dynamics.tangent(state.u, rates, rates, np.zeros_like(state.u)).inflow

    def _rates(self, u: Array, filled: tuple[Array, ...], step: float) -> tuple[Rate, ...]:
        return tuple(up.rate(u, q, step) for up, q in zip(self.dynamics.uptakes, filled, strict=True))

    def _residual(
        self, base: Array, filled: tuple[Array, ...], u: Array, moment: Moment, step: float
    ) -> tuple[Array, tuple[Rate, ...]]:
        dynamics = self.dynamics
        rates = self._rates(u, filled, step)
        forces = dynamics.forces(u, moment, self.matrix.precise)
        for uptake, rate in zip(dynamics.uptakes, rates, strict=True):
            forces += uptake.vector(rate.flux)
        residual = matrix_times(dynamics.system.mass, u - base) + step * forces
        residual[dynamics.held] = 0.0
        return residual, rates

    def _make(self, u: Array, moment: Moment, step: float, filled: tuple[Array, ...]) -> None:
        """Set up the solver of M + step ∂F/∂u at u."""
        self._made = (u.copy(), moment, step, filled)
        try:
            self.matrix.make(u, moment, step, self._rates(u, filled, step))
        except ArithmeticError as error:
            raise NotConverged(str(error)) from error
        self._contraction = 0.0

    def after_jump(self, u: Array, before: Moment, after: Moment) -> Array:
        """Unknowns u right after held values have jumped, with what all other rows have as it was; collective."""
        system = self.dynamics.system
        moved = np.zeros_like(u)
        for load, old, new in zip(system.loads, before.held, after.held, strict=True):
            if load.drag is not None:
                moved += (new - old) * load.drag
        settled = u + project(system.mass, moved)
        self.dynamics.hold(settled, after)
        return settled

    def standing(self) -> tuple[dict[str, Any], dict[str, Array], dict[str, Array]]:
        """What the matrix was made of, and what it took: numbers, (owned,) vectors, arrays of this rank's facets."""
        matrix, made = self.matrix, self._made
        numbers: dict[str, Any] = {
            "contraction": self._contraction,
            "counts": [matrix.solves, matrix.set_ups, matrix.iterations],
            "made": None,
        }
        if made is None or matrix.step == 0.0:
            return numbers, {}, {}
        u, moment, step, filled = made
        numbers["made"] = [list(moment.held), list(moment.slopes), list(moment.coefficients), step]
        return numbers, {"made": u}, {f"filled{i}": q for i, q in enumerate(filled)}

    def take_up(self, numbers: dict[str, Any], vectors: dict[str, Array], local: dict[str, Array]) -> None:
        """Make the matrix again as it was; collective."""
        if numbers["made"] is not None:
            held, slopes, coefficients, step = numbers["made"]
            filled = tuple(local[f"filled{i}"] for i in range(len(self.dynamics.uptakes)))
            self._make(vectors["made"], Moment(tuple(held), tuple(slopes), tuple(coefficients)), step, filled)
        self._contraction = float(numbers["contraction"])
        self.matrix.solves, self.matrix.set_ups, self.matrix.iterations = numbers["counts"]

    def destroy(self) -> None:
        """Free the factors."""
        self.matrix.destroy()


def _guess(c: Array, i: int, rates: list[Array], state: State) -> Array:
    """Rate of change at stage i, extrapolated from at most three stages before it."""
    if not rates:
        return np.zeros_like(state.u) if state.du is None else state.du
    known = list(range(len(rates)))[-3:]
    weights = [float(np.prod([(c[i] - c[m]) / (c[j] - c[m]) for m in known if m != j])) for j in known]
    return sum((w * rates[j] for w, j in zip(weights, known, strict=True)), np.zeros_like(state.u))
