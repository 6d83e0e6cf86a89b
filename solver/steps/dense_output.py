"""Linear functionals of a solution that is known at the ends of steps, at any time between them.

Between steps they are polynomials of degree 5 through values and slopes at three neighbouring ends (Hermite's
interpolation), in the logarithm of the time since the last jump or bend: early on, lithium comes in as a power of that
time. Two such polynomials cover nearly every step and the mean of both is taken. Their errors have one sign where the
solution is smooth, so their difference says little; one of degree 7 through four ends tells the error of the mean.
"""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array

SAFETY = 1.25  # of that error


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """Functionals within the steps between two jumps or bends of what is given."""

    start: float  # of the stretch
    end: float
    since: Array  # (ends,) of the steps, from the stretch's start: the first of them may be shorter than a time can say
    values: Array  # (ends, functionals)
    slopes: Array  # (ends, functionals); that at the start only as good as the first step

    def at(self, times: Array) -> tuple[Array, Array]:
        """Values (functionals, times) and the estimated error of interpolation, at times within."""
        offset = self.since[1]
        x, bent = _bent(self.since, self.slopes, offset)
        times = np.maximum(times - self.start, 0.0)
        wanted = np.log1p(times / offset)
        step = np.clip(np.searchsorted(self.since, times, side="left") - 1, 0, len(x) - 2)
        values = np.empty((self.values.shape[1], len(times)))
        spread = np.zeros_like(values)
        for i in np.unique(step):
            here = step == i
            share = (times[here] - self.since[i]) / (self.since[i + 1] - self.since[i])
            if i == 0:  # so short that a line will do; the slope before is not known
                found = self.values[0] + np.outer(share, self.values[1] - self.values[0])
            else:
                knots = [range(j, j + 3) for j in (i - 1, i) if j >= 1 and j + 3 <= len(x)] or [range(i, i + 2)]
                each = [_hermite(x[list(k)], self.values[list(k)], bent[list(k)], wanted[here]) for k in knots]
                found = np.mean(each, axis=0)
                first = max(min(i - 1, len(x) - 4), 1)
                four = slice(first, first + 4)
                better = _hermite(x[four], self.values[four], bent[four], wanted[here])
                spread[:, here] = SAFETY * np.abs(found - better).T
            values[:, here] = found.T
        return values, spread


@dataclass(frozen=True, eq=False)
class Recorded:
    """Functionals at all times, on all ranks the same; each (functionals, times) from increasing times."""

    stretches: tuple[DenseOutput, ...]
    rows: slice  # which of the recorded functionals

    def values(self, times: Array) -> Array:
        """Values; at a jump those before it."""
        return self._at(times)[0][self.rows]

    def spread(self, times: Array) -> Array:
        """Estimated error of interpolation."""
        return self._at(times)[1][self.rows]

    def _at(self, times: Array) -> tuple[Array, Array]:
        count = self.stretches[0].values.shape[1]
        values, spread = np.empty((count, len(times))), np.zeros((count, len(times)))
        number = np.clip(
            np.searchsorted([s.end for s in self.stretches], times, side="left"), 0, len(self.stretches) - 1
        )
        for i in np.unique(number):
            here = number == i
            values[:, here], spread[:, here] = self.stretches[i].at(times[here])
        return values, spread


def latest_spread(since: Array, values: Array, slopes: Array, offset: float) -> float:
    """Estimated error of interpolation midway between the middle two of four ends of steps.

    Args:
        since: (4,) from the stretch's start.
        values: (4, functionals)
        slopes: (4, functionals)
        offset: The stretch's first step.
    """
    x, bent = _bent(since, slopes, offset)
    middle = np.array([0.5 * (x[1] + x[2])])
    one, other = (_hermite(x[i : i + 3], values[i : i + 3], bent[i : i + 3], middle) for i in (0, 1))
    better = _hermite(x, values, bent, middle)
    return SAFETY * float(np.abs(0.5 * (one + other) - better).max(initial=0.0))


def _bent(since: Array, slopes: Array, offset: float) -> tuple[Array, Array]:
    """Times from the stretch's start as logarithms, and slopes with respect to these."""
    return np.log1p(since / offset), slopes * (since + offset)[:, None]


def _hermite(x: Array, values: Array, slopes: Array, wanted: Array) -> Array:
    """Polynomial with given values and slopes (knots, functionals) at points, (points, functionals)."""
    from scipy.interpolate import KroghInterpolator  # late, as it takes longer to load than linear problems need

    pairs = np.stack([values, slopes], axis=1).reshape(-1, values.shape[1])
    return np.asarray(KroghInterpolator(np.repeat(x, 2), pairs)(wanted))
