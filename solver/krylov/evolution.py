"""The linear problem over the whole time: stretches with one K each, and in each the start and the loads' responses.

K changes where a transfer coefficient jumps; rational Krylov then starts anew from the state it has reached. All other
changes are taken up by superposition within a stretch (see `superposition`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.closed_parts import closed_parts
from microlith.solver.krylov.integrate import Integration, Progress, integrate_each
from microlith.solver.krylov.superposition import Response, Superposition, SuperpositionProjection
from microlith.solver.krylov.tasks import UnitLoad, start_task, unit_task, units_of
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import NEAR
from microlith.solver.problem.assembly import project
from microlith.solver.problem.system import LinearSystem, hold

Seen = Callable[[float, Array], None]

MOST_SEEN = 48  # times whose fields are looked at on the way
KEPT = 2  # stretches up to which all of the solution is kept; of more, only what was asked for
OPERATORS = 2  # values of K whose solvers are kept


@dataclass(frozen=True)
class Record:
    """Linear functionals of u at any time; the same on all ranks."""

    stretches: tuple[SuperpositionProjection, ...]

    def values(self, times: Array) -> Array:
        """Values at increasing times, (functionals, times)."""
        return self.evaluate(times, 0)[0]

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times and, with orders = 1, integrals from 0 to these, each (functionals, times)."""
        found: tuple[Array, ...] = tuple(np.empty((self.stretches[0].count, len(times))) for _ in range(1 + orders))
        integral: Array = np.zeros((self.stretches[0].count, 1))
        for number, stretch in enumerate(self.stretches):
            # At a jump the value is that before it.
            first, last = number == 0, number == len(self.stretches) - 1
            inside = (first | (times > stretch.start + NEAR)) & (last | (times <= stretch.end + NEAR))
            parts = stretch.evaluate(times[inside], orders)
            found[0][:, inside] = parts[0]
            if orders:
                found[1][:, inside] = integral + parts[1]
                integral = integral if last else integral + stretch.evaluate(np.array([stretch.end]), 1)[1]
        return found

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times); at a jump or bend those before it."""
        found = np.empty((self.stretches[0].count, len(times)))
        for number, stretch in enumerate(self.stretches):
            first, last = number == 0, number == len(self.stretches) - 1
            inside = (first | (times > stretch.start + NEAR)) & (last | (times <= stretch.end + NEAR))
            found[:, inside] = stretch.slopes(times[inside])
        return found


@dataclass(frozen=True)
class Evolution:
    """The solution of a linear problem, and how accurate it is."""

    records: tuple[Record, ...]  # of the functionals asked for, in their order
    error: float  # estimated error of the watched functionals over the times, absolute
    converged: bool  # whether the estimate is below the tolerance
    history: tuple[tuple[int, float], ...]  # (solves, estimate)
    solves: int
    iterations: int  # of CG
    poles: tuple[float, ...]  # as they were set up
    methods: tuple[str, ...]  # that solved here, each once; none where an earlier process did all
    _stretches: tuple[Superposition, ...]  # none where there are many
    _states: dict[float, Array]  # those at the field times then

    def state(self, time: float) -> Array:
        """u(time), owned entries.

        Raises:
            ValueError: With more than KEPT stretches, at a time that was not asked for.
        """
        if self._stretches:
            return next((s for s in self._stretches if time <= s.end + NEAR), self._stretches[-1]).state(time)
        if time not in self._states:
            known = ", ".join(f"{t:g}" for t in self._states)
            raise ValueError(f"expected one of the times whose fields were asked for, {known}; got {time:g}")
        return self._states[time]

    def whole(self) -> Superposition | None:
        """The solution from 0 to the end; None where transfer coefficients change, or it is not kept."""
        return self._stretches[0] if len(self._stretches) == 1 else None


def evolve(
    system: LinearSystem,
    solvers_of: Callable[[LinearSystem], ShiftedSolvers],
    records: Sequence[Array | csr_array],
    times: Array,
    tolerance: float,
    max_solves: int,
    field_times: Array,
    progress: Progress | None = None,
    seen: Seen | None = None,
) -> Evolution:
    """Integrate from 0 to the last of the times, whatever the courses do; collective.

    Args:
        system: The problem; its transfer coefficients change by jumps only.
        solvers_of: Solvers of (M + γK) x = r for the system with the transfer coefficients of a time.
        records: Linear functionals (functionals, owned) to take down; the error of the first ones is what counts.
        times: Increasing, at which it counts.
        tolerance: Wanted absolute error of these functionals.
        max_solves: Solves at which to stop, converged or not: for the start and for each load that changes, in each
            stretch with transfer coefficients of its own.
        field_times: At which fields are wanted.
        progress: Called with the number of solves and the estimate.
        seen: Called with some of the times, at most MOST_SEEN, and the owned unknowns there.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    end = float(times[-1])
    cuts = sorted({0.0, end, *(kink for transfer in system.transfers for kink in transfer.course.kinks(end))})
    operators = _Operators(system, solvers_of)
    walk = _Walk(records, times, field_times, tolerance / (len(cuts) - 1), max_solves, progress, seen)
    for start, stop in pairwise(cuts):
        walk.go_on(*operators.at(start), start, stop, keep=len(cuts) - 1 <= KEPT)
    found = walk.result(tolerance, operators)
    operators.destroy()
    return found


class _Operators:
    """Systems and solvers for the transfer coefficients of a time; the latest few are kept."""

    def __init__(self, system: LinearSystem, solvers_of: Callable[[LinearSystem], ShiftedSolvers]) -> None:
        self._system, self._solvers_of = system, solvers_of
        self._kept: dict[tuple[float, ...], tuple[LinearSystem, ShiftedSolvers]] = {}
        self._gone = [0, 0]  # solves and iterations of solvers that are no more
        self._poles: list[float] = []
        self._methods: list[str] = []

    def at(self, time: float) -> tuple[LinearSystem, ShiftedSolvers]:
        """The system right after a time, and its solvers."""
        key = self._system.coefficients(time)
        if key in self._kept:
            self._kept[key] = self._kept.pop(key)  # the latest comes last
            return self._kept[key]
        while len(self._kept) >= OPERATORS:
            self._drop(next(iter(self._kept)))
        system = self._system.at(time)
        self._kept[key] = (system, self._solvers_of(system))
        return self._kept[key]

    def totals(self) -> tuple[int, int, tuple[float, ...]]:
        """Solves, iterations of CG and poles of all solvers so far."""
        alive = [solvers for _, solvers in self._kept.values()]
        solves = self._gone[0] + sum(solvers.solves for solvers in alive)
        iterations = self._gone[1] + sum(solvers.iterations for solvers in alive)
        return solves, iterations, (*self._poles, *(pole for solvers in alive for pole in solvers.poles))

    def methods(self) -> tuple[str, ...]:
        """Methods that all solvers so far have solved by, in their order, each once."""
        alive = (method for _, solvers in self._kept.values() for method in solvers.used)
        return tuple(dict.fromkeys([*self._methods, *alive]))

    def destroy(self) -> None:
        """Free all factors and the matrices made here."""
        for key in list(self._kept):
            self._drop(key)

    def _drop(self, key: tuple[float, ...]) -> None:
        system, solvers = self._kept.pop(key)
        self._gone = [self._gone[0] + solvers.solves, self._gone[1] + solvers.iterations]
        self._poles += solvers.poles
        self._methods += solvers.used
        solvers.destroy()
        if system is not self._system:
            system.stiffness.destroy()


class _Walk:
    """What is known of the solution, stretch after stretch."""

    def __init__(
        self,
        records: Sequence[Array | csr_array],
        times: Array,
        field_times: Array,
        tolerance: float,
        max_solves: int,
        progress: Progress | None,
        seen: Seen | None,
    ) -> None:
        later = times[times > 0]
        every = 1 + (len(later) - 1) // MOST_SEEN
        self._to_see = np.append(later[:-1][::every], later[-1:]) if seen is not None else later[:0]
        self._seen = seen
        self._records = records
        self._times = times
        self._field_times = field_times
        self._tolerance = tolerance
        self._max_solves = max_solves
        self._progress = progress
        self._stretches: list[Superposition] = []
        self._projections: list[list[SuperpositionProjection]] = [[] for _ in records]
        self._states: dict[float, Array] = {}
        self._history: list[tuple[int, float]] = []
        self._error = 0.0
        self._state: Array | None = None  # where the last stretch ends

    def go_on(self, system: LinearSystem, solvers: ShiftedSolvers, start: float, end: float, *, keep: bool) -> None:
        """Integrate over a stretch."""
        units = units_of(system, start, end)
        stretch, found = self._solved(system, solvers, units, start, end)
        self._error += sum(integration.error for integration in found)
        self._history += [step for integration in found for step in integration.history]
        for rows, projections in zip(self._records, self._projections, strict=True):
            projections.append(stretch.project(rows))
        self._state = stretch.state(end)
        if self._seen is not None:
            for time in self._to_see[(self._to_see > start) & (self._to_see <= end)]:
                self._seen(float(time), stretch.state(float(time)))
        if keep:
            self._stretches.append(stretch)
            return
        near = NEAR if start > 0 else -1.0
        for time in self._field_times[(self._field_times > start + near) & (self._field_times <= end + NEAR)]:
            self._states[float(time)] = stretch.state(float(time))

    def result(self, tolerance: float, operators: _Operators) -> Evolution:
        """All of it."""
        solves, iterations, poles = operators.totals()
        return Evolution(
            records=tuple(Record(tuple(projections)) for projections in self._projections),
            error=self._error,
            converged=self._error <= tolerance,
            history=tuple(self._history),
            solves=solves,
            iterations=iterations,
            poles=poles,
            methods=operators.methods(),
            _stretches=tuple(self._stretches),
            _states=self._states,
        )

    def _solved(
        self, system: LinearSystem, solvers: ShiftedSolvers, units: list[UnitLoad], start: float, end: float
    ) -> tuple[Superposition, list[Integration]]:
        """A stretch, and the integrations that it is made of."""
        comm = system.mass.comm.tompi4py()
        amount, state = self._start(system, start)
        load = system.load_at(start)
        times = _within(self._times, start, end)
        fields = _within(self._field_times, start, end, with_end=end < self._times[-1])
        closed = closed_parts(system)
        something = float(max(np.abs(array).max(initial=0.0) for array in (amount, state, load)))
        tasks = []
        based = comm.allreduce(something, op=MPI.MAX) > 0 or not units
        share = self._tolerance / (len(units) + based)
        if based:
            tasks.append(start_task(load, amount, state, times, fields, share, closed))
        tasks += [unit_task(system, unit, start, times, share, closed) for unit in units]
        found = integrate_each(system, solvers, np.asarray(self._records[0]), tasks, self._max_solves, self._progress)
        base = found[0].trajectory if based else None
        responses = tuple(
            Response(integration.trajectory, unit.breaks(start, end))
            for integration, unit in zip(found[based:], units, strict=True)
        )
        return Superposition(start, end, base, responses, state.size), found

    def _start(self, system: LinearSystem, start: float) -> tuple[Array, Array]:
        """M u and u at the start of a stretch, after what jumps there."""
        if self._state is None:
            return system.initial_amount, system.initial
        amount, state = matrix_times(system.mass, self._state), self._state
        jumps = [(load, float(load.course.after(start) - load.course.before(start))) for load in system.loads]
        if any(jump != 0.0 and load.drag is not None for load, jump in jumps):
            for load, jump in jumps:
                if load.drag is not None:
                    amount = amount + jump * load.drag
            state = project(system.mass, amount)
            hold(state, system.loads, system.held, system.courses_at(start))
        return amount, state


def _within(times: Array, start: float, end: float, *, with_end: bool = True) -> Array:
    """Times in (start, end], from `start`, the end among them where that is wanted."""
    inside = times[(times > start + NEAR) & (times < end - NEAR)] - start
    if with_end or (times.size and (np.abs(times - end) <= NEAR).any()):
        inside = np.append(inside, end - start)
    return inside
