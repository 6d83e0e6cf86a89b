"""What rational Krylov is asked for where loads change: a solution for the start, and one for each load's unit step."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.krylov.closed_parts import ClosedParts
from microlith.solver.krylov.integrate import Task
from microlith.solver.physics.courses import NEAR, Breaks, Course
from microlith.solver.problem.assembly import project
from microlith.solver.problem.system import LinearSystem

PER_DECADE = 40  # lags per decade at which the error of a response counts
FIELD_EVERY = 10  # lags, that at which the field's error counts
SHORTEST = 1e-8  # lag per length of the run below which none counts
MOST_TIMES = 4000  # at which the bound of the error is evaluated


@dataclass(frozen=True)
class UnitLoad:
    """Loads whose courses differ by a factor only: what they add per unit of their common course."""

    course: Course
    push: Array  # (owned,), 0 on held rows
    drag: Array  # (owned,), 0 on held rows
    held: Array  # (owned,) values on held rows, 0 elsewhere

    def breaks(self, start: float, end: float) -> Breaks:
        """Where the course leaves its line; times count from `start`."""
        found = self.course.breaks(start, end)
        return Breaks(found.times - start, found.jumps, found.bends)

    def variation(self, start: float, end: float) -> tuple[Array, Array, Array]:
        """Total variation of the course: as Course.variation, times count from `start`."""
        knots, until, after = self.course.variation(start, end)
        return knots - start, until, after


def units_of(system: LinearSystem, start: float, end: float) -> list[UnitLoad]:
    """The loads that change within [start, end), those of one shape together."""
    units: dict[tuple[tuple[float, ...], ...], UnitLoad] = {}
    for load in system.loads:
        if not len(load.course.breaks(start, end).times):
            continue
        factor = max(load.course.values, key=abs)
        course = load.course.scaled(1.0, factor)
        key = (course.times, tuple(round(value, 12) for value in course.values), (course.period or 0.0,))
        if key not in units:
            units[key] = UnitLoad(course, *(np.zeros_like(load.push) for _ in range(3)))
        unit = units[key]
        unit.push[:] += factor * load.push
        unit.held[load.held] += factor * load.shares
        if load.drag is not None:
            unit.drag[:] += factor * load.drag
    return list(units.values())


def start_task(
    load: Array,
    amount: Array,
    state: Array,
    times: Array,
    field_times: Array,
    tolerance: float,
    closed: ClosedParts | None,
) -> Task:
    """The start, with the loads as they are at first; times count from there."""
    if closed is None:
        return Task(load, amount, state, times, field_times, tolerance)
    load, drift = closed.split(load)
    return Task(load, amount, state, times, field_times, tolerance, closed=closed, drift=drift)


def unit_task(
    system: LinearSystem, unit: UnitLoad, start: float, times: Array, tolerance: float, closed: ClosedParts | None
) -> Task:
    """The response to a unit step of a load, so well known that its superposition is within the tolerance.

    Args:
        system: The problem.
        unit: The load.
        start: Of the stretch of time.
        times: Increasing, from `start`, at which the error counts; the last is the end of the stretch.
        tolerance: Of the superposition.
        closed: Closed parts of the problem.
    """
    breaks = unit.breaks(start, start + times[-1])
    following = np.searchsorted(times, breaks.times + NEAR, side="right")
    first: Array = times[following[following < len(times)]] - breaks.times[following < len(times)]
    longest = float(times[-1] - breaks.times[0])
    shortest = max(float(first.min(initial=longest)), SHORTEST)
    count = 1 + int(np.ceil(PER_DECADE * np.log10(max(longest / shortest, 1.0))))
    lags = np.array(np.geomspace(min(shortest, longest), longest, count), dtype=np.float64)
    lags[-1] = longest
    changes = _Changes(breaks, _Variation(*unit.variation(start, start + times[-1])))
    moments = times[:: 1 + len(times) // MOST_TIMES]
    state = unit.held + project(system.mass, unit.drag)
    load, drift = (unit.push, None) if closed is None else closed.split(unit.push)
    return Task(
        load + unit.held,
        unit.drag,
        state,
        lags,
        lags[::-FIELD_EVERY][::-1],
        tolerance,
        gauge=lambda first, within: changes.gauge(moments, first, within),
        field_weight=changes.whole,
        closed=closed,
        drift=drift,
    )


@dataclass(frozen=True)
class _Variation:
    """Total variation of a course up to each of its knots."""

    knots: Array
    until: Array  # that before the knot's jump
    after: Array  # with it

    def before(self, times: Array) -> Array:
        """Variation up to times, jumps there not counted."""
        i = np.clip(np.searchsorted(self.knots, times, side="left"), 1, len(self.knots) - 1)
        share = np.clip((times - self.knots[i - 1]) / (self.knots[i] - self.knots[i - 1]), 0.0, 1.0)
        found = self.after[i - 1] + share * (self.until[i] - self.after[i - 1])
        return np.where(times <= self.knots[0], 0.0, found)


@dataclass(frozen=True)
class _Changes:
    """How much a course changes, by which the error of its response counts."""

    breaks: Breaks
    variation: _Variation

    @property
    def whole(self) -> float:
        """Total variation."""
        return float(self.variation.after[-1])

    def gauge(self, moments: Array, first: float, within: Array) -> Callable[[Array], float]:
        """What makes a bound of the superposition's error of the response's errors at lags first + within.

        These are (functionals, lags), with the integrals' below. At each moment the bound is the smaller of two: the
        course's variation at each lag times the response's error; or jumps times that, and bends times the integral's.
        """
        edges = moments[:, None] - first - np.concatenate([[0.0], within])
        variation, jumps, bends = (
            until(edges)
            for until in (
                self.variation.before,
                lambda t: _sum_before(self.breaks.times, np.abs(self.breaks.jumps), t),
                lambda t: _sum_before(self.breaks.times, np.abs(self.breaks.bends), t),
            )
        )
        varied, jumped, bent = (sums[:, :-1] - sums[:, 1:] for sums in (variation, jumps, bends))
        later = bends[:, -1]  # of which the integral takes the whole error along

        def bound(differences: Array) -> float:
            worst = [part.max(axis=0) for part in np.split(differences, 2)]
            value, integral = (np.maximum(part, np.append(part[:1], part[:-1])) for part in worst)
            in_parts = jumped @ value + bent @ integral + later * integral[-1]
            return float(np.minimum(varied @ value, in_parts).max(initial=0.0))

        return bound


def _sum_before(times: Array, values: Array, moments: Array) -> Array:
    """Sum of the values whose times lie before each moment."""
    return np.append(0.0, np.cumsum(values))[np.searchsorted(times, moments, side="left")]
