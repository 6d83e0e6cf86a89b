"""How often steps through an image lead from one phase into another, and how many such crossings steps leave out."""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import nnls

from microlith.imaging.image.passes import Slab
from microlith.imaging.typing import Array, Integers, Numbers

REACH = {2: 2, 3: 1}  # steps along an axis in directions in which crossings are counted, by dimension
SIGHTS = 2000  # directions of normals for which the weights of directions are fitted
LONGEST = 4  # steps in one, for what short runs tell
RUNS = 5 * LONGEST - 1  # longest run that is told from longer ones, steps
AT_MOST = 1.5  # of what single steps miss, over what longer ones say of it
SMALL, SMALLEST = 0.1, 0.003  # term that is left out, over what is told by short runs and over the area
MOST_WEIGHT = 2.0  # of a run for those that the frame cuts
SECOND, LATER = 1.2, 2.0  # limits of what is missed, times the runs of 2, and of 3 and 4 steps
MOST_PHASES = 16  # with which runs between two unlike phases are told apart


@cache
def directions(dim: int) -> tuple[tuple[int, ...], ...]:
    """Steps in voxels along the array's axes, one of each pair of opposite ones."""
    reach = range(-REACH[dim], REACH[dim] + 1)
    return tuple(step for step in itertools.product(reach, repeat=dim) if step > (0,) * dim and math.gcd(*step) == 1)


@cache
def direction_weights(voxel_size: tuple[float, ...]) -> Array:
    """Weights of the directions with which the sum of a surface's projections along them is nearest to its area.

    The area A of a plane piece is found from all sides: sum of w_k A |n . u_k| = A as nearly as may be for all n.
    """
    dim = len(voxel_size)
    steps: Array = np.array(directions(dim)) * np.array(voxel_size)
    unit: Array = steps / np.linalg.norm(steps, axis=1)[:, None]
    sights: Array
    if dim == 2:
        angle = (np.arange(SIGHTS) + 0.5) * np.pi / SIGHTS
        sights = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    else:  # even over the sphere: Fibonacci's lattice
        height = 1 - (2 * np.arange(SIGHTS) + 1) / SIGHTS
        turn = np.pi * (1 + math.sqrt(5)) * np.arange(SIGHTS)
        wide = np.sqrt(1 - height**2)
        sights = np.stack([height, wide * np.cos(turn), wide * np.sin(turn)], axis=1)
    return np.asarray(nnls(np.abs(sights @ unit.T), np.ones(SIGHTS))[0])


@dataclass(frozen=True, eq=False)
class Crossings:
    """Area by counts between each pair of phases, (phases, phases), symmetric."""

    seen: Array  # m^2 (m in 2D) by the crossings that there are
    missed: Array  # of those that no step shows, about
    count: Array  # crossings in all directions


def crossing_halo(dim: int) -> int:
    """Layers behind a slab that `counted_crossings` needs."""
    return (RUNS + 1) * REACH[dim]


def row_length(dim: int, phases: int) -> int:
    """How many numbers `counted_crossings` gives."""
    return len(directions(dim)) * (phases**2 + RUNS * _kinds(phases))


def counted_crossings(slab: Slab, phases: int) -> Numbers:
    """Crossings and runs that begin in a slab, by direction, in one row; to be added up over slabs.

    Args:
        slab: With a halo of `crossing_halo` layers behind it.
        phases: Number of phases of the image.
    """
    dim = slab.phase.ndim
    if slab.empty:
        return np.zeros(row_length(dim, phases), np.int64)
    reach = crossing_halo(dim)
    low, high = slab.own.start, slab.own.stop
    inside = slab.phase[low : high + reach]
    # A rim of a phase that there is not: what lies beyond the frame. Then a step is a step in the flattened array.
    wide = [(0, reach), *((reach, reach),) * (dim - 1)]
    around = np.pad(inside.astype(np.uint16 if phases > 255 else np.uint8), wide, constant_values=phases)
    begin = math.prod(around.shape[1:])
    flat, last = around.ravel(), (high - low) * begin
    rows = [_along(flat, int(np.dot(step, _strides(around.shape))), last, phases) for step in directions(dim)]
    return np.concatenate([part for parts in zip(*rows, strict=True) for part in parts])


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _kinds(phases: int) -> int:
    """How many kinds of runs are told apart: phases before, within and behind, or only before and within."""
    return phases**3 if phases <= MOST_PHASES else phases**2


def _along(flat: Integers, step: int, last: int, phases: int) -> tuple[Numbers, Numbers]:
    """Crossings (phases^2,) and runs (RUNS * kinds,) by a step in a flattened array."""
    stop = min(last, len(flat) - step)
    at = np.flatnonzero(flat[:stop] != flat[step : stop + step])
    before, within = flat[at].astype(np.int64), flat[at + step].astype(np.int64)
    real = (before < phases) & (within < phases)
    at, key = at[real], (before * phases + within)[real]
    between = np.bincount(key, minlength=phases**2)
    kinds = _kinds(phases)
    runs = np.zeros((RUNS, kinds), np.int64)
    for length in range(1, RUNS + 1):
        behind = np.take(flat, at + (length + 1) * step, mode="clip").astype(np.int64)
        ended = behind != key % phases
        kept = ended & (behind < phases)
        if kinds == phases**3:
            runs[length - 1] = np.bincount(key[kept] * phases + behind[kept], minlength=kinds)
        else:
            runs[length - 1] = np.bincount(key[kept & (behind == key // phases)], minlength=kinds)
        at, key = at[~ended], key[~ended]
    return between, runs.ravel()


def crossings(row: Numbers, shape: tuple[int, ...], voxel_size: tuple[float, ...], phases: int) -> Crossings:
    """Area by what was counted in all slabs, and from the short runs what no step shows.

    Args:
        row: Sum of what `counted_crossings` gave.
        shape: Of the image.
        voxel_size: Edges along the array's axes, m.
        phases: Number of phases.
    """
    steps = np.array(directions(len(shape)))
    end = len(steps) * phases**2
    one_way = row[:end].reshape(len(steps), phases, phases)
    scale = direction_weights(voxel_size) * math.prod(voxel_size) / np.linalg.norm(steps * np.array(voxel_size), axis=1)
    runs = row[end:].reshape(len(steps), RUNS, -1).astype(np.float64)
    # Long runs are cut by the frame more often than short ones: each counts by the places it can lie at.
    room = np.stack([np.array(shape) - (length + 1) * np.abs(steps) for length in range(1, RUNS + 1)], axis=1)
    runs *= np.minimum(np.prod(np.array(shape) / np.maximum(room, 1), axis=2), MOST_WEIGHT)[:, :, None]
    half = np.tensordot(scale, one_way, 1)
    seen = half + half.T
    if runs.shape[2] == phases**3:
        least = np.minimum(seen[:, :, None], seen[None])
        cube = _missed(runs, scale, least.ravel()).reshape((phases,) * 3)
        missed = cube.sum(axis=2) + cube.sum(axis=0) - cube.sum(axis=1)  # two steps instead of one over the run
        np.fill_diagonal(missed, 0.0)
    else:
        missed = 2 * _missed(runs, scale, seen.ravel()).reshape(phases, phases)
    return Crossings(seen, missed + missed.T, (one_way + one_way.swapaxes(1, 2)).sum(axis=0))


def _missed(runs: Array, scale: Array, area: Array) -> Array:
    """Area (kinds,) of one end of the runs that no step shows.

    A run of a phase that is shorter than a step is seen by some steps only: the gap beside the contact of two
    balls, the end of a wedge, the cap of a ball. How many are not seen is told by longer ones: let a + b l be the
    number of runs per length l, then a/2 + b/6 of those shorter than a step are missed, and n_1 = a + b, n_2 = a +
    2 b: the estimate is 5/6 n_1 - n_2/3. It is made for steps 4, 3 and 2 times as long, for which the runs at
    single steps say what is seen; the places of voxels are often in step with the surfaces, as when they lie in the
    middle of gaps, and the longer the steps, the less this matters. The longest counts for which the next term of
    the series is small, (n_1 - 2 n_2 + n_3)/4 and in another way (n_1 - n_2 - n_3 + n_4)/8, and single steps miss
    about their part. Where there is none, as with small bodies and with plates, see `_at_single_steps`.
    """
    found = _at_single_steps(runs, scale)
    total = np.tensordot(scale, runs, 1)
    length = np.arange(1, RUNS + 1)
    for step in range(2, LONGEST + 1):
        # How many runs have 0, 1, 2, 3, 4 of every `step` voxels, on average over where these lie.
        none, one, two, three, four = (np.maximum(0, 1 - np.abs(length / step - k)) @ total for k in range(5))
        short = 5 / 6 * one - two / 3
        next_term = np.maximum(np.abs(one - 2 * two + three) / 4, np.abs(one - two - three + four) / 8)
        good = (next_term <= np.maximum(SMALL * short, SMALLEST * area)) & (short - none <= AT_MOST * short / step)
        found = np.where(good, np.maximum(short - none, 0.0), found)
    return np.asarray(found)


def _at_single_steps(runs: Array, scale: Array) -> Array:
    """The same from runs of 1 to 4 steps.

    Where voxels are in step with the surfaces, odd runs are more and even runs fewer, or the other way round; what is
    right in all of these cases is n_2/2 - 5 (n_3 - n_1)/12. A plate of a step or more has no shorter runs: it is known
    by n_2, or n_3 and n_4, being none, which limit the estimate. Few runs tell little: an estimate t of variance v
    counts as t^3/(t^2 + v).
    """
    first, second, third, fourth = np.moveaxis(runs[:, :4], 1, 0)
    told = np.minimum(second / 2 - 5 / 12 * (third - first), np.minimum(SECOND * second, LATER * (third + fourth)))
    missed = np.maximum(scale @ told, 0.0)
    variance = scale**2 @ (second / 4 + (third + first) * (5 / 12) ** 2)
    return np.asarray(missed**3 / np.maximum(missed**2 + variance, np.finfo(float).tiny))
