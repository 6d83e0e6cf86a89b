"""Adaptive integration of the nonlinear problem: implicit Runge-Kutta steps as long as the wanted error allows.

Each step is judged by its embedded method: by what it says of the watched functionals and, less strictly, of the field
as a whole. Errors of functionals add up with their signs, which is what they do where lithium is not lost; what is left
of them where they alternate, as when a front passes one element after the other, and the errors of the field, which
diffusion evens out, add up like independent ones, as a root of a sum of squares. Both sums together are the estimate
which is given. A step may add to each the share, by the logarithm of time, of what is left of the tolerance. The shares
start anew wherever something given jumps or bends, and so do the steps: with a tiny one of backward Euler, which needs
no rate of change at its start, where there may be none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.keeping import Keeper, Standing
from microlith.solver.options import FIELD_TOLERANCE
from microlith.solver.steps.dense_output import DenseOutput, Recorded, latest_spread
from microlith.solver.steps.deviation import Deviation, Lacks
from microlith.solver.steps.dynamics import Dynamics
from microlith.solver.steps.stage_matrix import LinearSolverFailed, NotConverged
from microlith.solver.steps.stepper import State, Step, Stepper
from microlith.solver.steps.tableaus import ESDIRK4, EULER, Tableau

Progress = Callable[[int, float, int], None]
Seen = Callable[[float, Array], None]

SHORTEST = 1e-13  # step per time from the stretch's start at which there is no going on
SHORTEST_FIRST = 1e-40  # first step per stretch at which there is no going on
FIRST = 1e-9  # first step tried per stretch
FIRST_SHARE = 0.02  # of a stretch's tolerance that its first step may change the functionals by
GROWTH = 5.0  # of a step to the next, at most
CUT = 0.2  # of a step to its repetition, at least
SAFETY = 2.0  # of the estimate; 1 where the embedded method is the better one of the two
LEAST = 0.05  # of a stretch's tolerance that is always left
FIRST_CUT = 1e-2  # of a first step to its repetition, at least
CAUTION = 0.8  # of the step that the error would allow
STEPS_SHARE = 0.7  # of the tolerance that the errors of steps may add up to; the rest is left to interpolation
BETWEEN = 0.15  # of the tolerance that interpolation between steps may err by before steps are made shorter
KEEP = 1.2  # a step is not made longer by less than this: what is kept for it may be used again
LATE = 1e6  # time from a stretch's start on that counts as late, per first step, where that is earlier
ROUNDING = 1e-15  # error of a functional in one step that is no error of the method
EARLY = 1e-3  # time from a stretch's start on that counts as late, per first time of interest or length
LOOSEST = 1e-2  # tolerance beyond which steps are so long that what lies between them is anybody's guess
NEWTON_SHARE = 3e-2  # rms that Newton's method may leave, per error that the step may have
NEWTON_MOST = 1e-9  # rms that Newton's method may leave at most: where it converges badly, rounding decides about more


@dataclass(frozen=True)
class Ledger:
    """Where the lithium went, in scaled units, at the ends of steps."""

    times: Array  # (ends,)
    stored: Array  # (ends,) ∫ ε c dx less that at time 0
    inflow: Array  # (ends, surfaces) from time 0


@dataclass(frozen=True)
class Integrated:
    """The solution with how accurate it is and what it took."""

    recorded: tuple[DenseOutput, ...]
    fields: dict[float, Array]  # time -> (owned,) unknowns
    ledger: Ledger
    error: float  # estimated error of the watched functionals, absolute
    history: tuple[tuple[int, float], ...]  # (solves, error so far)
    steps: int
    rejected: int  # steps repeated because of their error
    failures: int  # steps repeated because Newton's method failed
    apart: tuple[Lacks | None, ...]  # by what each deviation changes all functionals; None: not told

    def of(self, rows: slice) -> Recorded:
        """Some of the functionals that were recorded."""
        return Recorded(self.recorded, rows)


@dataclass
class _Sums:
    """Errors so far."""

    drift: Array  # (functionals,) with their signs
    safety: float
    worst: float = 0.0  # largest drift so far
    squares: float = 0.0  # of all errors of steps, and of rounding in them

    @property
    def total(self) -> float:
        return self.safety * (self.worst + float(np.sqrt(self.squares)))


@dataclass(frozen=True)
class _Error:
    """Estimated error of one step."""

    curves: Array  # (functionals,) with their signs
    field: float  # what that of the field counts for

    @property
    def size(self) -> float:
        return max(float(np.abs(self.curves).max(initial=0.0)), self.field)


@dataclass(frozen=True)
class _Budget:
    """What the errors may add up to by the end of a stretch."""

    start: float
    end: float
    early: float  # time from the start on that the logarithm takes as late
    each: float  # of either sum

    def starting_with(self, step: float) -> "_Budget":
        """The same for a stretch whose first step is so short that things happen early on."""
        return replace(self, early=min(self.early, LATE * step))

    def share(self, since: float, until: float) -> float:
        """Of what is left, for a step; times count from the stretch's start."""
        x = np.log1p(np.array([since, until, self.end - self.start]) / self.early)
        return float((x[1] - x[0]) / (x[2] - x[0]))

    def excess(self, sums: _Sums, error: _Error, share: float) -> float:
        """Error of a step per error that it may have."""
        left = max(self.each**2 - sums.squares, (LEAST * self.each) ** 2)
        scatter = error.size / np.sqrt(share * left)
        drifts = float(np.abs(sums.drift + error.curves).max(initial=0.0)) - sums.worst
        allowed = share * max(self.each - sums.worst, LEAST * self.each)
        return max(scatter, drifts / max(allowed, ROUNDING))


@dataclass(frozen=True)
class _Within:
    """Where the integration is within a stretch."""

    s: float  # time from its start
    h: float  # step to try next
    early: float  # of the budget
    since: list[float]
    values: list[Array]
    slopes: list[Array]


class Integrator:
    """Integrates from 0 to 1; what is recorded are functionals of u, at the end of every step."""

    def __init__(
        self,
        dynamics: Dynamics,
        stepper: Stepper,
        watch: Array,
        extra: csr_array | None,
        tolerance: float,
        max_steps: int,
        tableau: Tableau = ESDIRK4,
        progress: Progress | None = None,
        seen: Seen | None = None,
        keeper: Keeper | None = None,
        deviations: Sequence[Deviation] = (),
    ) -> None:
        """Prepare.

        Args:
            dynamics: The problem.
            stepper: Takes its steps.
            watch: (functionals, owned) linear functionals of u whose error counts.
            extra: (functionals, owned) more of them, whose error does not count.
            tolerance: Wanted absolute error of the watched functionals.
            max_steps: At which it gives up.
            tableau: The method.
            progress: Called with the number of steps, the time reached, and the iterations of Newton's method so far.
            seen: Called with the end of each step and the owned unknowns there.
            keeper: Takes down where the integration is after each step.
            deviations: Go along, and tell how far other solutions are apart.
        """
        self._deviations: list[Deviation | None] = list(deviations)
        self._dynamics, self._stepper, self._watch, self._extra = dynamics, stepper, watch, extra
        self._tolerance, self._max_steps = min(tolerance, LOOSEST), max_steps
        self._tableau, self._progress, self._seen, self._keeper = tableau, progress, seen, keeper
        self._comm = dynamics.system.mass.comm.tompi4py()
        problem = dynamics.problem
        self._amount = problem.amount
        self._rates = np.reshape([s.rate for s in problem.fluxes], (len(problem.fluxes), len(self._amount)))
        self._whole = float(self._comm.allreduce(self._amount.sum(), op=MPI.SUM))
        self._filling = [[s.name for s in problem.fluxes].index(up.name) for up in dynamics.uptakes]
        self.steps = self.rejected = self.failures = 0
        safety = 1.0 if tableau.embedded_order > tableau.order else SAFETY
        self.sums = _Sums(np.zeros(len(watch) + len(dynamics.uptakes)), safety)

    def run(self, first_time: float, stops: Array) -> Integrated:
        """Integrate.

        Args:
            first_time: The first time of interest.
            stops: Times at which fields are wanted.

        Raises:
            ArithmeticError: The steps became too short or too many.
        """
        dynamics, problem = self._dynamics, self._dynamics.problem
        kinks = dynamics.kinks()
        cuts = [0.0, *(t for t, _ in kinks), 1.0]
        state = State(
            dynamics.system.initial.copy(),
            tuple(np.zeros_like(uptake.weights) for uptake in dynamics.uptakes),
            None,
            tuple(np.zeros_like(uptake.weights) for uptake in dynamics.uptakes),
        )
        started = np.array([s.start for s in problem.fluxes])
        self._times: list[float] = []
        self._stored: list[float] = []
        self._inflow: list[Array] = []
        at_start = self._sums(self._rates, state.u)
        # Where unknowns are held, the discrete solution starts with more than the case says: that came in at once.
        self._stored_now = float(self._sums(self._amount[None], state.u)[0]) - problem.start_amount
        self._inflow_now = at_start - started
        self._note(0.0)
        none = np.zeros_like(self._functionals(state.u))
        self._apart: list[list[tuple[float, Array]]] = [[(0.0, none)] for _ in self._deviations]
        self._stretches = stretches = list[DenseOutput]()
        self._history = history = list[tuple[int, float]]()
        fields = {0.0: state.u} if 0.0 in stops else {}
        wanted = sorted(float(t) for t in stops if t > 0)
        known = None if self._keeper is None else self._keeper.standing()
        if known is not None:
            state = self._take_up(known, fields)
        done = len(stretches)
        for number, (start, end) in enumerate(pairwise(cuts)):
            if number < done:
                continue
            if number > done:
                known = None
            if number > 0 and known is None and kinks[number - 1][1]:
                before = dynamics.moment(start, cuts[number - 1], start)
                jumped = self._stepper.after_jump(state.u, before, dynamics.moment(start, start, end))
                self._count(jumped - state.u, state.q, state.q, np.zeros(len(problem.fluxes)))
                self._note(start)
                state = State(jumped, state.q, None, state.dq)
            early = EARLY * min(first_time, end - start) if number == 0 else EARLY * (end - start)
            # What earlier stretches did not need is for the later ones.
            until = 0.5 * end + 0.5 * (number + 1) / (len(cuts) - 1)
            budget = _Budget(start, end, early, 0.5 * until * STEPS_SHARE * self._tolerance / self.sums.safety)
            inside = [t for t in wanted if start < t < end * (1 - 1e-12)]
            stretch, state = self._stretch(budget, state, inside, fields, history, known)
            stretches.append(stretch)
            fields |= {t: state.u for t in wanted if abs(t - end) <= 1e-12 * end}
        ledger = Ledger(np.array(self._times), np.array(self._stored), np.array(self._inflow))
        return Integrated(
            tuple(stretches),
            fields,
            ledger,
            self.sums.total,
            tuple(history),
            self.steps,
            self.rejected,
            self.failures,
            tuple(self._told(number) for number in range(len(self._deviations))),
        )

    def _stretch(
        self,
        budget: _Budget,
        state: State,
        stops: list[float],
        fields: dict[float, Array],
        history: list[tuple[int, float]],
        known: Standing | None,
    ) -> tuple[DenseOutput, State]:
        """Integrate from one kink to the next."""
        start, end = budget.start, budget.end
        s, h = 0.0, FIRST * (end - start)  # s: time from the stretch's start
        since, values = [s], [self._functionals(state.u)]
        slopes: list[Array] = []
        tableau = EULER
        if known is None:
            state = State(state.u, state.q, None, state.dq)
        else:
            tableau = self._tableau
            s, h = (float(x) for x in known.numbers["at"])
            budget = replace(budget, early=float(known.numbers["early"]))
            since, values, slopes = (list(known.tables[name]) for name in ("since", "values", "slopes"))
        ends = [(stop, stop - start) for stop in (*stops, end)]
        for deviation in self._deviations:
            if deviation is not None:
                go_on = deviation.begin if known is None else deviation.go_on
                go_on(state.u, state.q, self._dynamics.moment(start + s, start, end))
        while s < end - start:
            time, stop = next((t, x) for t, x in ends if x > s)
            last = h >= (stop - s) * (1 - 1e-9)
            length = stop - s if last else min(h, 0.5 * (stop - s) if h > 0.7 * (stop - s) else h)
            shortest = max(SHORTEST * s, SHORTEST_FIRST * (end - start))
            try:
                if self.steps + self.rejected + self.failures >= self._max_steps:
                    raise self._too_many(start + s)
                share = FIRST_SHARE if tableau is EULER else float(np.sqrt(budget.share(s, s + length)))
                left = min(NEWTON_SHARE * share * budget.each, NEWTON_MOST)
                step = self._stepper.step(tableau, state, (start, end), start + s, length, left)
            except NotConverged as why:
                self.failures += 1
                h = CUT * length
                if h < shortest:
                    raise self._stuck(start + s, h, why) from why
                continue
            error = self._error_of(tableau, state, step)
            if tableau is EULER:
                excess = error.size / (FIRST_SHARE * budget.each)
            else:
                excess = budget.excess(self.sums, error, budget.share(s, s + length))
            if excess > 1.0 and not (tableau is EULER and length <= 10 * shortest):
                self.rejected += 1
                least = FIRST_CUT if tableau is EULER else CUT
                h = length * max(least, CAUTION * excess ** -self._power(tableau))
                if h < shortest:
                    raise self._stuck(start + s, h, None)
                continue
            self.steps += 1
            self.sums.drift = self.sums.drift + error.curves
            self.sums.worst = max(self.sums.worst, float(np.abs(self.sums.drift).max(initial=0.0)))
            self.sums.squares += error.size**2 + self._stepper.matrix.rounding**2
            self._count(step.state.u - state.u, state.q, step.state.q, step.inflow)
            self._follow(step.state, (start, end), start + s, length, time if last else start + s + length)
            s = stop if last else s + length
            self._note(time if last else start + s)
            state = step.state
            since.append(s)
            values.append(self._functionals(state.u))
            assert state.du is not None
            slope = self._functionals(state.du)
            slopes += [slope, slope] if not slopes else [slope]
            if last and time in stops:
                fields[time] = state.u
            history.append((self._stepper.matrix.solves, self.sums.total))
            if self._progress is not None:
                self._progress(self.steps, start + s, self._stepper.matrix.solves)
            if self._seen is not None:
                self._seen(time if last else start + s, state.u)
            growth = CAUTION * max(excess, 1e-300) ** -self._power(tableau)
            growth = min(max(growth, CUT), GROWTH, self._smooth(since, values, slopes))
            if tableau is EULER or not last or length >= h:
                h = length * (growth if growth > KEEP or growth < 1.0 else 1.0)
            if tableau is EULER:
                budget = budget.starting_with(length)
            tableau = self._tableau
            if self._keeper is not None:
                now = _Within(s, h, budget.early, since, values, slopes)
                self._keeper.after_step(partial(self._standing, now, state, fields))
        return DenseOutput(start, end, np.array(since), np.array(values), np.array(slopes)), state

    def _follow(self, state: State, stretch: tuple[float, float], t: float, h: float, until: float) -> None:
        """Take deviations along with a step, and note them; collective."""
        for number, deviation in enumerate(self._deviations):
            if deviation is None:
                continue
            try:
                deviation.step(self._stepper.matrix, state.u, state.q, stretch, t, h)
            except NotConverged:  # the run goes on without
                self._deviations[number] = None
                continue
            self._apart[number].append((until, self._functionals(deviation.whole)))

    def _told(self, number: int) -> Lacks | None:
        """How far a deviation takes functionals at all ends of steps; None where that is more than all there is."""
        if self._deviations[number] is None:
            return None
        times, values = zip(*self._apart[number], strict=True)
        found = Lacks(np.array(times), np.array(values))
        most = max(1.0, *(float(np.abs(stretch.values).max(initial=0.0)) for stretch in self._stretches))
        return found if found.largest <= most else None

    def _standing(self, now: "_Within", state: State, fields: dict[float, Array]) -> Standing:
        """Where the integration is; collective."""
        of_matrix, vectors, local = self._stepper.standing()
        inflow = np.zeros(0) if state.inflow is None else self._comm.allreduce(state.inflow, op=MPI.SUM)
        numbers: dict[str, Any] = {
            "at": [now.s, now.h],
            "early": now.early,
            "worst": self.sums.worst,
            "squares": self.sums.squares,
            "counts": [self.steps, self.rejected, self.failures],
            "history": self._history,
            "ends": [[done.start, done.end] for done in self._stretches],
            "fields": list(fields),
            "stored": self._stored_now,
            "matrix": of_matrix,
        }
        tables = {
            "drift": self.sums.drift,
            "times": np.array(self._times),
            "stored": np.array(self._stored),
            "inflow": np.array(self._inflow),
            "inflow_now": self._inflow_now,
            "inflow_of_state": inflow,
        }
        every = [*self._stretches, DenseOutput(0, 0, np.array(now.since), np.array(now.values), np.array(now.slopes))]
        for number, one in enumerate(every):
            end = "" if number == len(self._stretches) else f"{number}"
            tables |= {f"since{end}": one.since, f"values{end}": one.values, f"slopes{end}": one.slopes}
        assert state.du is not None
        vectors = vectors | {"u": state.u, "du": state.du} | {f"field{i}": u for i, u in enumerate(fields.values())}
        for i, (q, dq) in enumerate(zip(state.q, state.dq, strict=True)):
            local = local | {f"q{i}": q, f"dq{i}": dq}
        for number, deviation in enumerate(self._deviations):
            if deviation is not None:
                times, values = zip(*self._apart[number], strict=True)
                tables |= {f"apart{number}_at": np.array(times), f"apart{number}": np.array(values)}
                vectors = vectors | {f"deviation{number}": deviation.u}
                local = local | {f"deviation{number}_q{i}": q for i, q in enumerate(deviation.q)}
        return Standing(numbers, vectors, tables, local)

    def _take_up(self, known: Standing, fields: dict[float, Array]) -> State:
        """Be where an earlier process was; collective."""
        numbers, vectors, tables, local = known.numbers, known.vectors, known.tables, known.local
        self.sums = replace(
            self.sums, drift=tables["drift"], worst=float(numbers["worst"]), squares=float(numbers["squares"])
        )
        self.steps, self.rejected, self.failures = numbers["counts"]
        self._history += [(int(solves), float(error)) for solves, error in numbers["history"]]
        self._times = [float(time) for time in tables["times"]]
        self._stored = [float(stored) for stored in tables["stored"]]
        self._inflow[:] = list(tables["inflow"])
        self._stored_now, self._inflow_now = float(numbers["stored"]), tables["inflow_now"]
        self._stretches += [
            DenseOutput(start, end, *(tables[f"{name}{i}"] for name in ("since", "values", "slopes")))
            for i, (start, end) in enumerate(numbers["ends"])
        ]
        fields |= {float(time): vectors[f"field{i}"] for i, time in enumerate(numbers["fields"])}
        self._stepper.take_up(numbers["matrix"], vectors, local)
        filled = range(len(self._dynamics.uptakes))
        for number, deviation in enumerate(self._deviations):
            if f"deviation{number}" not in vectors:  # it was not asked for, or not told
                self._deviations[number] = None
            elif deviation is not None:
                deviation.u = vectors[f"deviation{number}"]
                deviation.q = tuple(local[f"deviation{number}_q{i}"] for i in filled)
                noted = zip(tables[f"apart{number}_at"], tables[f"apart{number}"], strict=True)
                self._apart[number] = [(float(t), row) for t, row in noted]
        inflow = tables["inflow_of_state"] * (1.0 if self._comm.rank == 0 else 0.0)
        return State(
            vectors["u"],
            tuple(local[f"q{i}"] for i in filled),
            vectors["du"],
            tuple(local[f"dq{i}"] for i in filled),
            inflow if len(inflow) else None,
        )

    def _smooth(self, since: list[float], values: list[Array], slopes: list[Array]) -> float:
        """Growth of the step that interpolation between the latest steps allows."""
        if len(since) < 6:
            return GROWTH
        count = len(self._watch)
        y, dy = (np.array([row[:count] for row in rows[-4:]]) for rows in (values, slopes))
        spread = latest_spread(np.array(since[-4:]), y, dy, since[1])
        return float((BETWEEN * self._tolerance / max(spread, 1e-300)) ** (1 / 6))

    def _power(self, tableau: Tableau) -> float:
        # Errors grow with the step's power of one more than the order, what is allowed nearly with the step itself.
        return 1.0 / (min(tableau.order, tableau.embedded_order) + 1.0)

    def _functionals(self, u: Array) -> Array:
        """All recorded functionals of u; collective."""
        own = self._watch @ u if self._extra is None else np.concatenate([self._watch @ u, self._extra @ u])
        return np.asarray(self._comm.allreduce(own, op=MPI.SUM))

    def _sums(self, rows: Array, u: Array) -> Array:
        return np.asarray(self._comm.allreduce(rows @ u, op=MPI.SUM))

    def _error_of(self, tableau: Tableau, state: State, step: Step) -> _Error:
        """Estimated error that the step adds."""
        uptakes = self._dynamics.uptakes
        if tableau is EULER:  # no embedded method; its error is a part of all that it changes
            change = float(np.abs(self._sums(self._watch, step.state.u - state.u)).max(initial=0.0))
            return _Error(np.zeros(len(self._watch) + len(uptakes)), change)
        taken = [uptake.amount(d) / self._whole for uptake, d in zip(uptakes, step.defects, strict=True)]
        curves = np.append(self._sums(self._watch, step.defect), taken)
        return _Error(curves, self._stepper.rms(step.defect) / FIELD_TOLERANCE)

    def _count(self, change: Array, before: tuple[Array, ...], after: tuple[Array, ...], inflow: Array) -> None:
        """Book what a step or a jump moves."""
        sums = self._sums(np.concatenate([self._amount[None], self._rates]), change)
        through = sums[1:] + inflow
        for surface, uptake, old, new in zip(self._filling, self._dynamics.uptakes, before, after, strict=True):
            through[surface] = -uptake.amount(new - old)
        self._stored_now += float(sums[0])
        self._inflow_now = self._inflow_now + through

    def _note(self, time: float) -> None:
        self._times.append(time)
        self._stored.append(self._stored_now)
        self._inflow.append(self._inflow_now)

    def _stuck(self, t: float, h: float, why: NotConverged | None) -> ArithmeticError:
        """What to say where steps became too short: `why` is None where their estimated error stays too large."""
        scale = self._dynamics.problem.scales.time
        reason = "its estimated error stays too large" if why is None else str(why)
        if isinstance(why, LinearSolverFailed):
            advice = 'try the other of [solver] linear = "mumps" and "cg", or larger elements'
        elif self._dynamics.diffusion is None:
            advice = "use smaller elements or loosen [time] tolerance"
        else:
            advice = (
                "look at the law of the diffusivity there (it must be positive and without jumps), use smaller "
                "elements or loosen [time] tolerance"
            )
        return ArithmeticError(
            f"the integration came to a stop at {t * scale:.6g} s of {scale:.6g} s: steps shorter than "
            f"{h * scale:.2g} s would be needed, as {reason}; {advice}"
        )

    def _too_many(self, t: float) -> ArithmeticError:
        scale = self._dynamics.problem.scales.time
        return ArithmeticError(
            f"the integration used up its {self._max_steps} steps at {t * scale:.6g} s of {scale:.6g} s; raise "
            "[solver] max_steps or loosen [time] tolerance"
        )
