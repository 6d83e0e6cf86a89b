"""When functionals of the solution first reach a value."""

from collections.abc import Callable

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.options import TimeSpan

FIRST = 1e-9  # of the end: the first time that is looked at
SPACED = 2500  # times looked at over the decades from there, and as many evenly: 0.8 % from one to the next
EQUAL = 1e-9  # relative difference at which a start is at its target: means are sums, and rounded
VALUES_AT_ONCE = 2_000_000  # values looked at together, which bounds the memory

NARROWER = 64  # stretches into which a time with a crossing is cut, again and again,
ROUNDS = 6  # so often: 64^6 is 7e10

DECADES = 5  # of the default times
EARLIEST = 10.0**-DECADES  # of them, per end, where nothing else is asked for
POINTS = 200
AFTER_KINK = 1e-3  # first of the default times after a kink, per time up to the next
POINTS_AFTER_KINK = (4, 40)  # default times between two kinks, fewest and most
POINTS_AFTER_KINKS = 4000  # default times after all kinks, unless there are so many that each gets the fewest


def first_times(values: Callable[[Array], Array], targets: Array, end: float) -> tuple[Array, Array]:
    """When each functional is first at its target or above, and when those that start there first fall below it.

    Times between those looked at come from a straight line between two of these: for curves that are smooth over a
    hundredth of a time, right to 1e-5 of it.

    Args:
        values: From increasing times (k,) in s to the functionals (n, k).
        targets: (n,) in the unit of the values.
        end: s.

    Returns:
        The first times (n,) in s, 0 where a functional starts at its target or above, infinite where it never is there;
        and the times of falling (n,), infinite where it starts below or never falls.
    """
    times = np.unique(
        np.concatenate([[0.0], end * np.geomspace(FIRST, 1.0, SPACED), np.linspace(0.0, end, SPACED)[1:-1]])
    )
    times[-1] = end
    found = np.full(len(targets), np.inf)
    start = values(times[:1])[:, 0]
    least = targets - EQUAL * np.abs(targets)
    rising = start < least
    before = start
    step = max(1, VALUES_AT_ONCE // max(1, len(targets)))
    for first in range(1, len(times), step):
        if np.isfinite(found).all():
            break
        at = times[first : first + step]
        level = values(at)
        there = np.where(rising[:, None], level >= targets[:, None], level < least[:, None])
        rows = np.flatnonzero(there.any(axis=1) & np.isinf(found))
        column = there[rows].argmax(axis=1)
        after = level[rows, column]
        last = np.where(column > 0, level[rows, column - 1], before[rows])
        share = np.clip((targets[rows] - last) / np.where(after != last, after - last, 1.0), 0.0, 1.0)
        earlier = times[first + column - 1]
        found[rows] = earlier + share * (at[column] - earlier)
        before = level[:, -1]
    return np.where(rising, found, 0.0), np.where(rising, np.inf, found)


def crossing_within(values: Callable[[Array], Array], low: float, high: float) -> float | None:
    """When a function crosses zero between two times, to 1e-10 of their distance; the first of several crossings.

    It is asked for many times at once, which takes no longer than for one.

    Args:
        values: From increasing times (k,) to the values (k,).
        low: The first time.
        high: The last one.

    Returns:
        None where it has the same sign at both.
    """
    for _ in range(ROUNDS):
        times = np.linspace(low, high, NARROWER + 1).astype(np.float64)
        found = values(times)
        if found[0] * found[-1] > 0:
            return None
        other = np.flatnonzero(found * found[0] <= 0)
        last = int(other[other > 0][0])
        low, high = float(times[last - 1]), float(times[last])
        before, after = float(found[last - 1]), float(found[last])
    return low + (high - low) * (before / (before - after) if before != after else 1.0)


def time_errors(times: Array, values: Array, errors: Array, targets: Array) -> Array:
    """How far off the times may be at which functionals first cross targets, when their values may be off by errors.

    The time is looked for on the values with the errors added, and taken away: where a functional is smooth that is
    its error over its slope; where it is flat, or only just misses the target earlier on, it is more.

    Args:
        times: (k,) increasing, so close that a straight line between two of them serves.
        values: (n, k) of the functionals.
        errors: (n, k) not negative.
        targets: (n,) in the unit of the values.

    Returns:
        (n,) the larger of the two distances, in the unit of the times; nan where a functional does not cross its
        target, or may as well not.
    """
    above = values - targets[:, None]
    falls = above[:, 0] >= -EQUAL * np.abs(targets)
    above = np.where(falls[:, None], -above, above)
    middle, first, last = (_rises(times, part) for part in (above, above + errors, above - errors))
    known = np.isfinite(last)  # then the other two are, which come before
    first, middle, last = (np.where(known, part, 0.0) for part in (first, middle, last))
    return np.where(known, np.maximum(last - middle, middle - first), np.nan)


def _rises(times: Array, values: Array) -> Array:
    """When values (n, k) are first at zero or above, by a straight line, (n,); infinite where they never are."""
    there = values >= 0
    i = there.argmax(axis=1)
    rows = np.arange(len(values))
    before = np.maximum(i - 1, 0)
    low, high = values[rows, before], values[rows, i]
    share = np.where(i > 0, low / np.where(low != high, low - high, 1.0), 0.0)
    found: Array = times[before] + share * (times[i] - times[before])
    return np.where(there.any(axis=1), found, np.inf)


def output_times(time: TimeSpan, kinks: tuple[float, ...] = ()) -> Array:
    """Times of the curves in seconds: those asked for, or 200 log-spaced ones and the snapshots.

    With kinks (s) within the run, log-spaced ones up to the first of them, and log-spaced and even ones after each.
    """
    if time.times is not None:
        return np.unique(np.array(time.times, dtype=np.float64))
    first = EARLIEST * time.end if time.first is None else time.first
    spaced = np.geomspace(first, time.end, POINTS)
    spaced[0], spaced[-1] = first, time.end
    if kinks:
        points = int(np.clip(POINTS_AFTER_KINKS // (len(kinks) + 1), *POINTS_AFTER_KINK))
        spaced = np.append(spaced[spaced < kinks[0]], after_kinks(time.end, kinks, points, AFTER_KINK))
    return np.unique(np.concatenate([spaced, np.array(time.snapshots)]))


def after_kinks(end: float, kinks: tuple[float, ...], points: int, first: float) -> Array:
    """Times in each stretch between kinks, half of them log-spaced from `first` per its length on, half evenly.

    A stretch's end is the last.
    """
    starts, ends = np.array([0.0, *kinks]), np.array([*kinks, end])
    few = points // 2
    shares = np.union1d(np.geomspace(first, 1.0, few)[:-1], np.arange(1, points - few + 1) / (points - few + 1))
    return np.append(np.add(starts[:, None], (ends - starts)[:, None] * shares).ravel(), ends)
