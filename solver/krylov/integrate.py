"""Rational Krylov integration of the linear problem M u' + K u = b, u(0) = u0, with constant b.

Loads that change are made of responses to constant ones: see `superposition`.

One solve of (M + γK) uL = M u0 + γ b (a step of backward Euler) takes up load and initial state together: with
A = M⁻¹K and w = u − uL,

    w' = −A w − w(0)/γ,   so   u(t) = uL + f_t(A) w(0),   f_t(λ) = exp(−tλ) − (t/γ) φ1(tλ),   φ1(x) = (1 − exp(−x))/x.

No steady state is needed, so K may be singular (islands that no source reaches). f_t(A) acts within the span of
w(0), S w(0), S² w(0), ... with S = (M + γK)⁻¹M, on which A is taken as (H⁻¹ − I)/γ, H = VᵀMSV (shift-and-invert
Lanczos). That is Galerkin's projection in the span of S^½V, smoother than V by half a step, which suits the rough start
that a suddenly filled surface gives: on the demo case its error is a tenth of that of Galerkin's in V.

One γ serves two to three decades of time. So the time is cut into segments that grow a thousandfold, each with its own
γ, which starts from the end of the one before: the first, with the rough start, resolves the thin early layers; the
later ones start smooth. On the demo case that takes 35 solves for five decades at 1e-4, where the best single γ takes
48. Loose tolerances do not ask for the early layers: there a single γ does it, 15 solves instead of 26 at 1e-2 and 24
instead of 30 at 1e-3, with one factorisation instead of two.

See van den Eshof and Hochbruck, SIAM J. Sci. Comput. 27 (2006) 1438-1457, doi 10.1137/040605461, and Güttel,
GAMM-Mitteilungen 36 (2013) 8-31, doi 10.1002/gamm.201310002, for the method; Hochbruck and Ostermann, Acta Numerica 19
(2010) 209-286, doi 10.1017/S0962492910000048, for the φ functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.closed_parts import ClosedParts
from microlith.solver.krylov.space import EXHAUSTED, ErrorEstimate, KrylovSpace
from microlith.solver.krylov.trajectory import Segment, Trajectory
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.options import FIELD_TOLERANCE
from microlith.solver.problem.system import LinearSystem

Progress = Callable[[int, float], None]

# Where to cut the time, and γ per length of segment: fewest solves at 1e-4 on the demo case, and near it elsewhere.
FIRST_SEGMENT = 100.0  # end of the first segment per first time of interest
NEXT_SEGMENT = 1000.0  # end of each further segment per its start
FIRST_POLE = 15.0  # length of the first of several segments per γ
NEXT_POLE = 33.0  # length of a later segment, or of a single one at tight tolerances, per γ
SINGLE_SEGMENT = 1e-3  # tolerance from which one segment serves the whole time
LONGEST_SINGLE = 1e6  # end per first time of interest up to which a single segment does
SINGLE_POLE = 80.0  # length of a single segment per γ at the tolerance SINGLE_SEGMENT
SINGLE_POLE_POWER = -0.4  # power of the tolerance with which SINGLE_POLE changes
ROUNDING = 0.01  # of the tolerance: rounding that is bounded by less is not measured
FEWEST = 8  # solves in a segment before the estimate is believed


@dataclass(frozen=True)
class Integration:
    """A trajectory with how accurate it is."""

    trajectory: Trajectory
    error: float  # estimated error of the watched functionals over the times, absolute
    converged: bool  # whether the estimate is below the tolerance
    history: tuple[tuple[int, float], ...]  # (solves, estimate) within each segment


def segment_ends(times: Array, tolerance: float) -> list[float]:
    """Where the time is cut: [0, 100 t1], then a thousandfold each, t1 the first of the times; the last is the end.

    Not at all where the times span little, or where the tolerance is loose.
    """
    end = float(times[-1])
    first = float(times[times > 0][0])
    ends = [end]
    cut = FIRST_SEGMENT * first
    if cut * 10 < end and (tolerance < SINGLE_SEGMENT or first * LONGEST_SINGLE < end):
        ends = [cut]
        while ends[-1] * NEXT_SEGMENT * 3 < end:
            ends.append(ends[-1] * NEXT_SEGMENT)
        ends.append(end)
    return ends


@dataclass(frozen=True)
class Task:
    """A constant load and a start, and how well the solution is to be known."""

    load: Array  # (owned,) b, with the held values on held rows
    amount: Array  # (owned,) M u0
    state: Array  # (owned,) u0
    times: Array  # increasing, at which the error of the watched functionals counts; the last is the end
    field_times: Array  # at which the rms of the field's error counts
    tolerance: float  # wanted error
    # (segment's start, times) -> what makes one number of differences (functionals, times), those of the functionals
    # and below them those of their integrals from the segment's start; otherwise it is the largest, without integrals
    gauge: Callable[[float, Array], Callable[[Array], float]] | None = None
    field_weight: float = 1.0  # weight of the field's error
    closed: ClosedParts | None = None  # in which solves keep the amount, and the load adds up to 0
    drift: Array | None = None  # (owned,) rate at which u grows besides: in closed parts that are fed


def integrate(
    system: LinearSystem,
    solvers: ShiftedSolvers,
    watch: Array,
    times: Array,
    tolerance: float,
    max_solves: int,
    field_times: Array,
    progress: Progress | None = None,
) -> Integration:
    """Integrate until the watched functionals are known within the tolerance at all times; the load is that at time 0.

    Args:
        system: The problem.
        solvers: Solvers of (M + γK) x = r.
        watch: (functionals, owned) linear functionals of u whose error counts.
        times: Times at which it counts; the last is the end.
        tolerance: Wanted absolute error of the watched functionals.
        max_solves: Solves at which to stop, converged or not.
        field_times: Times at which the rms of the field's error is to be below FIELD_TOLERANCE times the tolerance.
        progress: Called with the number of solves and the estimate.

    Returns:
        The trajectory and its error estimate: the sum of the segments'.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    task = Task(system.load, system.initial_amount, system.initial, times, field_times, tolerance)
    return integrate_each(system, solvers, watch, [task], max_solves, progress)[0]


def integrate_each(
    system: LinearSystem,
    solvers: ShiftedSolvers,
    watch: Array,
    tasks: Sequence[Task],
    max_solves: int,
    progress: Progress | None = None,
) -> list[Integration]:
    """As `integrate`, for several loads and starts of one system, segment by segment: they share the solvers.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    tolerance = min(task.tolerance for task in tasks)
    ends = segment_ends(np.unique(np.concatenate([task.times for task in tasks])), tolerance)
    runs = [_TaskRun(task, system, solvers, watch, progress) for task in tasks]
    start = 0.0
    for number, end in enumerate(ends):
        last = number == len(ends) - 1
        if len(ends) == 1 and tolerance >= SINGLE_SEGMENT:
            pole = SINGLE_POLE * min(tolerance / SINGLE_SEGMENT, 10.0) ** SINGLE_POLE_POWER
        else:
            pole = FIRST_POLE if number == 0 and not last else NEXT_POLE
        for run in runs:
            if start < run.task.times[-1]:
                share = 1.0 if last else 0.5 / (len(ends) - 1)
                run.go_on((start, end), (end - start) / pole, share, max_solves * (number + 1) // len(ends))
        start = end
    return [run.result() for run in runs]


class _TaskRun:
    """One task on its way from segment to segment."""

    def __init__(
        self, task: Task, system: LinearSystem, solvers: ShiftedSolvers, watch: Array, progress: Progress | None
    ) -> None:
        self.task = task
        self._system = system
        self._solvers = solvers
        self._watch = watch
        self._progress = progress
        self._amount, self._state = task.amount, task.state  # M u and u where the next segment starts
        self._segments: list[Segment] = []
        self._history: list[tuple[int, float]] = []
        self._error = 0.0
        self._solves = 0

    def result(self) -> Integration:
        """All segments so far, as one."""
        comm = self._system.mass.comm.tompi4py()
        trajectory = Trajectory(tuple(self._segments), comm, self.task.drift)
        return Integration(trajectory, self._error, self._error <= self.task.tolerance, tuple(self._history))

    def go_on(self, span: tuple[float, float], gamma: float, share: float, most: int) -> None:
        """Integrate over a segment; `share` of the tolerance is its own, all that is left in the last (1)."""
        task = self.task
        start, end = span
        last = end >= task.times[-1]
        within = task.times[(task.times > start) & (task.times <= end)] - start
        # What is wrong at the end of a segment and not yet in the regions may still get there.
        fields = task.field_times[(task.field_times > start) & (task.field_times <= end)] - start
        fields = fields if last else np.append(fields, end - start)
        left = max(task.tolerance - self._error, 0.25 * task.tolerance)
        before = self._solvers.solves
        segment, error = self._segment(
            span, gamma, np.append(within, end - start), fields, left if share == 1.0 else share * task.tolerance, most
        )
        self._solves += self._solvers.solves - before
        self._segments.append(segment)
        self._error += error
        if not last:
            self._state = segment.state(end - start)
            self._amount = matrix_times(self._system.mass, self._state)

    def _segment(
        self,
        span: tuple[float, float],
        gamma: float,
        times: Array,
        field_times: Array,
        tolerance: float,
        most: int,
    ) -> tuple[Segment, float]:
        """One segment and its error; `times` count from its start, `most` the solves of this task."""
        system, solvers, task = self._system, self._solvers, self.task
        first_solve = solvers.solves
        space = KrylovSpace(system, self._watch, max(most - self._solves, FEWEST), task.closed)
        most = first_solve + max(most - self._solves, FEWEST)
        right = system.mass.createVecLeft()
        right.array[:] = self._amount + gamma * task.load
        lift = np.empty_like(self._state)
        solvers.solve(gamma, right, lift)
        lift[system.held] = self._state[system.held]
        if task.closed is not None:  # then 1ᵀ(M + γK) = 1ᵀM there; what CG leaves of that would add up
            lift = task.closed.with_amounts(lift, task.closed.amounts(right.array_r))

        rounding = self._rounding(gamma, span[1] - span[0], lift, tolerance)
        tolerance = max(tolerance - rounding, 0.5 * tolerance)
        watched_lift = space.dots(self._watch, lift)
        smallest = EXHAUSTED * (space.norm(self._state) + space.norm(lift))
        whole = np.sqrt(space.total_mass())
        beta = space.norm(self._state - lift)
        segment = Segment(*span, gamma, lift, space.basis, np.empty(0), np.empty((0, 0)))
        estimate = ErrorEstimate(None if task.gauge is None else task.gauge(span[0], times))
        error = np.inf
        grown = space.add(self._state - lift, smallest)
        while grown and error > tolerance and solvers.solves < most:
            z = np.empty_like(lift)
            solvers.solve(gamma, space.mass_x, z)
            z[system.held] = 0.0  # CG leaves traces there, which M would not see and K would
            grown = space.add(z, smallest)
            eigenvalues, modes = space.modes(gamma)
            segment = Segment(*span, gamma, lift, space.basis[: len(modes)], eigenvalues, beta * modes)
            watched = space.watched[:, : len(modes)]
            curves = watched_lift[:, None] + watched @ segment.coefficients(times)
            if task.gauge is not None:
                curves = np.vstack([curves, watched_lift[:, None] * times + watched @ segment.integrals(times)])
            fields = segment.coefficients(field_times) * (task.field_weight / (FIELD_TOLERANCE * whole))
            error = estimate.of(curves, fields)
            if np.isfinite(error):
                self._history.append((solvers.solves, error))
                if self._progress is not None:
                    self._progress(solvers.solves, error)
            if solvers.solves - first_solve < FEWEST:
                error = np.inf
        space.destroy()
        right.destroy()
        # A space that grows no more holds the solution. Solves that iterate say at last how far they got.
        rounding = max(rounding, self._rounding(gamma, span[1] - span[0], lift, tolerance))
        return segment, rounding + (error if grown else 0.0)

    def _rounding(self, gamma: float, length: float, lift: Array, tolerance: float) -> float:
        """What rounding in the solves may have done to the means by the end of a segment.

        An error δ of S = (M + γK)⁻¹M, the same in all its products, is one of δ/γ in the rates of A.
        """
        size = float(max(np.abs(self._state).max(initial=0.0), np.abs(lift).max(initial=0.0)))
        largest = self._system.mass.comm.tompi4py().allreduce(size, op=MPI.MAX)
        weight = length / gamma * largest * self.task.field_weight
        enough = ROUNDING * tolerance / max(weight, 1e-300)
        closed = self.task.closed
        if closed is None:
            return weight * self._solvers.rounding(gamma, enough, lambda u: u)
        return weight * self._solvers.rounding(gamma, enough, lambda u: closed.with_amounts(u, closed.whole))
