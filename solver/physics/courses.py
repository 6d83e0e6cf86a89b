"""Quantities that change with time: piecewise linear courses, with jumps and periodic repeats."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from microlith.imaging.typing import Array

NEAR = 1e-12  # relative distance at which two times are one: repeats of a period meet up to rounding
MOST_KINKS = 10_000  # within a run: more of them are rather a wrong unit than a wish


@dataclass(frozen=True)
class Breaks:
    """Where a course leaves its line, and by how much; increasing times, all shapes (breaks,)."""

    times: Array
    jumps: Array  # value after minus value before
    bends: Array  # slope after minus slope before


@dataclass(frozen=True)
class Course:
    """A quantity over time: linear between knots, constant before the first and after the last of them.

    A time given twice is a jump from its first value to its second. With a period the knots lie in [0, period] and the
    course repeats, from the value at the period's end to that at its start by a jump where they differ.
    """

    times: tuple[float, ...]  # s, not decreasing, at least one
    values: tuple[float, ...]  # of the quantity, in SI
    period: float | None = None  # s

    @staticmethod
    def constant(value: float) -> "Course":
        """The same at all times."""
        return Course((0.0,), (value,))

    @property
    def is_constant(self) -> bool:
        """Whether nothing ever changes."""
        return min(self.values) == max(self.values)

    @property
    def is_stepwise(self) -> bool:
        """Whether the value changes by jumps only."""
        knots = zip(self.times[:-1], self.times[1:], self.values[:-1], self.values[1:], strict=True)
        return all(a == b or t == u for t, u, a, b in knots)

    @property
    def largest(self) -> float:
        """Largest value at any time from 0 on."""
        return max(self.values)

    @property
    def smallest(self) -> float:
        """Smallest value at any time from 0 on."""
        return min(self.values)

    def after(self, time: ArrayLike) -> Array:
        """Values at times (s), those after the jump where there is one."""
        return self._at(np.asarray(time, dtype=np.float64), after=True)

    def before(self, time: ArrayLike) -> Array:
        """Values at times (s), those before the jump where there is one."""
        return self._at(np.asarray(time, dtype=np.float64), after=False)

    def kinks(self, end: float) -> tuple[float, ...]:
        """Times within (0, end) at which value or slope changes, increasing; between them the course is linear."""
        breaks = self.breaks(0.0, end)
        return tuple(float(t) for t in breaks.times if t > 0.0)

    def breaks(self, start: float, end: float) -> Breaks:
        """Jumps of value and slope within [start, end); what happens at `start` counts from a constant course."""
        if self.is_constant:
            return Breaks(np.empty(0), np.empty(0), np.empty(0))
        cuts = self._knots(start, end)
        after, before = self.after(cuts[:-1]), self.before(cuts[1:])
        slope = (before - after) / np.diff(cuts)
        jumps = after - np.append(after[0], before[:-1])
        bends = np.diff(slope, prepend=0.0)
        # A slope is known as well as the values are: what is less than that is no bend.
        scale = max(abs(self.largest), abs(self.smallest))
        jumps[np.abs(jumps) < NEAR * scale] = 0.0
        shorter = np.minimum(np.diff(cuts), np.append(np.inf, np.diff(cuts)[:-1]))
        bends[np.abs(bends) * shorter < NEAR * scale] = 0.0
        real = (jumps != 0.0) | (bends != 0.0)
        return Breaks(cuts[:-1][real], jumps[real], bends[real])

    def integral(self, times: Array) -> Array:
        """Integrals from 0 to times."""
        cuts = self._knots(0.0, max(float(times.max(initial=0.0)), NEAR))
        after, before = self.after(cuts[:-1]), self.before(cuts[1:])
        until = np.append(0.0, np.cumsum(0.5 * (after + before) * np.diff(cuts)))  # trapezia: exact for lines
        i = np.clip(np.searchsorted(cuts, times, side="left") - 1, 0, len(cuts) - 2)
        return until[i] + 0.5 * (after[i] + self.before(times)) * (times - cuts[i])

    def variation(self, start: float, end: float) -> tuple[Array, Array, Array]:
        """Total variation from `start` on: times of the knots up to `end`, and it before and after each of them."""
        cuts = self._knots(start, end)
        after, before = self.after(cuts[:-1]), self.before(cuts[1:])
        along = np.append(0.0, np.abs(before - after))
        across = np.append(np.append(0.0, np.abs(after[1:] - before[:-1])), 0.0)
        until = np.cumsum(along) + np.cumsum(across) - across
        return cuts, until, until + across

    def scaled(self, time: float, value: float) -> "Course":
        """The course in other units: its times over `time`, its values over `value`."""
        return replace(
            self,
            times=tuple(t / time for t in self.times),
            values=tuple(v / value for v in self.values),
            period=None if self.period is None else self.period / time,
        )

    def _knots(self, start: float, end: float) -> Array:
        """Start, all knots between, and end; increasing."""
        knots = np.array(sorted({0.0, *self.times}))
        if self.period is not None:
            turns = np.arange(math.floor(start / self.period), math.ceil(end / self.period) + 1)
            knots = np.sort((turns[:, None] * self.period + knots).ravel())
        near = NEAR * max(abs(start), abs(end))
        inside = knots[(knots > start + near) & (knots < end - near)]
        inside = inside[np.diff(inside, prepend=-np.inf) > near]
        return np.concatenate([[start], inside, [end]])

    def _at(self, time: Array, *, after: bool) -> Array:
        times, values = np.array(self.times), np.array(self.values)
        near = NEAR * np.maximum(np.abs(time), times[-1])
        if self.period is not None:
            near = np.maximum(near, NEAR * self.period)
            turns = np.floor((time + near) / self.period) if after else np.ceil((time - near) / self.period) - 1
            time = time - np.maximum(turns, 0.0) * self.period
        if len(times) == 1:
            return np.full(time.shape, values[0])
        # Number of knots passed, those reached but for rounding included or not.
        passed = np.searchsorted(times, time + near if after else time - near, side="right" if after else "left")
        i = np.clip(passed, 1, len(times) - 1)
        span = times[i] - times[i - 1]
        share = np.clip((time - times[i - 1]) / np.where(span > 0, span, 1.0), 0.0, 1.0)
        between = values[i - 1] + share * (values[i] - values[i - 1])
        return np.where(passed == 0, values[0], np.where(passed == len(times), values[-1], between))


def course_of(value: "float | Course") -> Course:
    """A number as a course that never changes."""
    return value if isinstance(value, Course) else Course.constant(value)
