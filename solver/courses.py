"""Quantities that change with time: piecewise linear courses, with jumps and periodic repeats."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


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
    def largest(self) -> float:
        """Largest value at any time from 0 on."""
        return max(self.values)

    @property
    def smallest(self) -> float:
        """Smallest value at any time from 0 on."""
        return min(self.values)

    def after(self, time: ArrayLike) -> Array:
        """Values at times (s), those after the jump where there is one."""
        return self._at(np.asarray(time, dtype=np.float64), "right")

    def before(self, time: ArrayLike) -> Array:
        """Values at times (s), those before the jump where there is one."""
        return self._at(np.asarray(time, dtype=np.float64), "left")

    def kinks(self, end: float) -> tuple[float, ...]:
        """Times within (0, end) at which value or slope changes, increasing; between them the course is linear."""
        if self.is_constant:
            return ()
        knots = set(self.times)
        if self.period is not None:
            repeats = math.ceil(end / self.period)
            knots = {i * self.period + t for i in range(repeats) for t in (*knots, 0.0)}
        # Knots a rounding error apart, as of two repeats that meet, are one.
        inside = sorted(t for t in knots if 1e-12 * end < t < (1 - 1e-12) * end)
        return tuple(t for i, t in enumerate(inside) if i == 0 or t - inside[i - 1] > 1e-12 * end)

    def scaled(self, time: float, value: float) -> "Course":
        """The course in other units: its times over `time`, its values over `value`."""
        return replace(
            self,
            times=tuple(t / time for t in self.times),
            values=tuple(v / value for v in self.values),
            period=None if self.period is None else self.period / time,
        )

    def _at(self, time: Array, side: str) -> Array:
        times, values = np.array(self.times), np.array(self.values)
        if self.period is not None:
            turns = np.floor(time / self.period) if side == "right" else np.ceil(time / self.period) - 1
            time = time - np.maximum(turns, 0.0) * self.period
        if len(times) == 1:
            return np.full(time.shape, values[0])
        last = np.searchsorted(times, time, side="right" if side == "right" else "left")
        i = np.clip(last, 1, len(times) - 1)
        span = times[i] - times[i - 1]
        share = np.clip((time - times[i - 1]) / np.where(span > 0, span, 1.0), 0.0, 1.0)
        between = np.where(span > 0, values[i - 1] + share * (values[i] - values[i - 1]), values[i])
        return np.where(last == 0, values[0], np.where(last == len(times), values[-1], between))


def course_of(value: "float | Course") -> Course:
    """A number as a course that never changes."""
    return value if isinstance(value, Course) else Course.constant(value)
