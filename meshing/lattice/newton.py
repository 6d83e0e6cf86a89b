"""Points on their way to an interface of the smooth indicators: Newton's method, and regula falsi along edges."""

from collections.abc import Callable

import numpy as np

from microlith.imaging.typing import Array, Numbers
from microlith.meshing.mesh.simplices import dot

TRIALS = 14  # of where a difference changes its sign
ON_ZERO = 1e-5  # difference of two indicators that passes for none along an edge
CLOSE = 1e-5  # share of an edge
LONGEST_STEP = 0.5  # voxels: the indicators are not linear over more


def stepped(points: Array, step: Array, extent: Array) -> Array:
    """Points (n, dim) after a step of theirs, none longer than LONGEST_STEP, none out of the image."""
    length = np.sqrt(dot(step.T, step.T))
    share = np.minimum(1.0, LONGEST_STEP / np.maximum(length, 1e-12))
    return np.asarray(np.clip(points + step * share[:, None], 0.0, extent))


def followed(start: Array, steps: int, arrived: float, extent: Array, step: Callable[[Numbers, Array], Array]) -> Array:
    """Points (n, dim) after some steps of Newton's method, of which only those that have not arrived take more.

    Args:
        start: (n, dim).
        steps: Most steps.
        arrived: Steps shorter than that along each axis are not taken, and are the last.
        extent: Edge lengths of the image.
        step: The next step (k, dim) of some of the points, from their numbers (k,) and where they are (k, dim).
    """
    at = start.copy()
    going: Numbers = np.arange(len(start))
    for _ in range(steps):
        way = step(going, at[going])
        far = np.abs(way).max(axis=1, initial=0.0) > arrived
        going = going[far]
        at[going] = stepped(at[going], way[far], extent)
    return at


def crossings(difference: Callable[[Numbers, Array], Array], count: int) -> Array:
    """Where on each edge (count,), as a share of it, a difference that is positive at its start changes its sign.

    By regula falsi, which halves the value at an end that stays (the Illinois method): M. Dowell and P. Jarratt, BIT 11
    (1971) 168.

    Args:
        difference: Of some of the edges, from their numbers (k,) and shares (k,).
        count: Number of edges.

    Returns:
        (count,) between 0 and 1; 1/2 where there is no change of sign.
    """
    every: Numbers = np.arange(count)
    low, high = np.zeros(count), np.ones(count)
    at_low, at_high = difference(every, low), difference(every, high)
    zero = np.full(count, 0.5)
    stayed = np.zeros(count, np.int8)  # which end did last: -1 the start, 1 the other
    going = np.flatnonzero((at_low > 0) & (at_high < 0))
    for _ in range(TRIALS):
        zero[going] = low[going] + at_low[going] / (at_low[going] - at_high[going]) * (high[going] - low[going])
        value = difference(going, zero[going])
        left = value > 0
        at_high[going[left & (stayed[going] == 1)]] *= 0.5
        at_low[going[~left & (stayed[going] == -1)]] *= 0.5
        stayed[going] = np.where(left, 1, -1)
        low[going[left]], at_low[going[left]] = zero[going[left]], value[left]
        high[going[~left]], at_high[going[~left]] = zero[going[~left]], value[~left]
        going = going[(np.abs(value) > ON_ZERO) & (high[going] - low[going] > CLOSE)]
    return zero
