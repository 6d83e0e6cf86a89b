"""How often steps through an image lead from one phase into another, and how many such crossings steps leave out."""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import nnls

from microlith.imaging.image.passes import Slab
from microlith.imaging.microstructure.sights import even_directions
from microlith.imaging.typing import Array, Integers, Numbers

REACH = {2: 2, 3: 1}  # steps along an axis in directions in which crossings are counted, by dimension
SIGHTS = 2000  # directions of normals for which the weights of directions are fitted
LONGEST = 4  # steps in one, for what short runs tell
RUNS = 5 * LONGEST - 1  # longest run that is told from longer ones, steps
SMALL, SMALL_AT_ONE = 0.1, 0.3  # term that is left out, over what is told by short runs, of longer and of single steps
PART = (
    0.4,
    0.6,
    2.0,
)  # of runs of 1 and 2, 3 and 4, 5 and 6 steps in a direction that may be missed there: runs down to none
# Of disks that touch: the same parts; longest runs of the fit, steps; n_2 + n_3 over n_1 below which gaps
# are as beside contacts, and above which as at tips of wedges; how much of what is missed beside contacts counts
PART_AT_CONTACTS, FITTED, FLARED, COUNTS = (1.6, 5.0, 20.0), 4, (1.15, 1.6), 0.5
ORBIT = 4.0  # runs that come together where bodies lie symmetrically among voxels
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
    else:
        sights = even_directions(SIGHTS)
    return np.asarray(nnls(np.abs(sights @ unit.T), np.ones(SIGHTS))[0])


@dataclass(frozen=True, eq=False)
class Crossings:
    """Area by counts between each pair of phases, (phases, phases), symmetric."""

    seen: Array  # m^2 (m in 2D) by the crossings that there are
    missed: Array  # of those that no step shows, about
    along: Array  # (directions, phases, phases) parts of both that steps in each direction have
    ends: Array  # (RUNS, phases, phases) parts of those seen that are ends of runs of 1, 2, ... steps


def crossing_halo(dim: int) -> int:
    """Layers behind a slab that `counted_crossings` needs."""
    return (RUNS + 1) * REACH[dim]


def row_length(dim: int, phases: int) -> int:
    """How many numbers `counted_crossings` gives."""
    return len(directions(dim)) * (phases**2 * (1 + 2 * RUNS) + RUNS * _kinds(phases))


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


def _along(flat: Integers, step: int, last: int, phases: int) -> tuple[Numbers, ...]:
    """Along a step in a flattened array: crossings, longer runs and runs that the frame cuts, and those that end.

    Returns:
        (phases^2,), twice (RUNS * phases^2,), and (RUNS * kinds,); the first phase of pairs is that before the run.
    """
    from microlith.imaging.measures.loops import count_runs  # numba, late as in `path_lengths`

    between, runs = np.zeros(phases**2, np.int64), np.zeros((RUNS, _kinds(phases)), np.int64)
    longer, cut = np.zeros((2, RUNS, phases**2), np.int64)
    count_runs(flat, step, last, phases, between, longer, cut, runs)
    return between, longer.ravel(), cut.ravel(), runs.ravel()


def crossings(row: Numbers, voxel_size: tuple[float, ...], phases: int) -> Crossings:
    """Area by what was counted in all slabs, and from the short runs what no step shows.

    Args:
        row: Sum of what `counted_crossings` gave.
        voxel_size: Edges along the array's axes, m.
        phases: Number of phases.
    """
    steps = np.array(directions(len(voxel_size)))
    ends = np.cumsum([phases**2, RUNS * phases**2, RUNS * phases**2]) * len(steps)
    one_way, longer, cut, runs = (part.reshape(len(steps), -1) for part in np.split(row, ends))
    scale = direction_weights(voxel_size) * math.prod(voxel_size) / np.linalg.norm(steps * np.array(voxel_size), axis=1)
    whole = _whole_runs(one_way, *(part.reshape(len(steps), RUNS, -1) for part in (longer, cut, runs)))

    def area(scale: Array) -> tuple[Array, Array]:
        half = np.tensordot(scale, one_way, 1).reshape(phases, phases)
        missed = _of_pairs(_missed(whole, scale), phases)
        return half + half.T, missed + missed.T

    along = [sum(area(one)) for one in np.diag(scale)]
    seen, missed = area(scale)
    short = [_of_pairs(part, phases) for part in np.tensordot(scale, whole, 1)]
    parts = np.array([part + part.T for part in short]) / np.where(seen > 0, seen, 1.0)
    return Crossings(seen, missed, np.array(along), parts)


def _of_pairs(missed: Array, phases: int) -> Array:
    """What of pairs (phases, phases) is missed, from that of one end of each kind of runs."""
    if len(missed) < phases**3:
        return np.asarray(2 * missed.reshape(phases, phases))
    cube = missed.reshape((phases,) * 3)
    found = cube.sum(axis=2) + cube.sum(axis=0) - cube.sum(axis=1)  # two steps instead of one over the run
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def _whole_runs(starts: Numbers, longer: Numbers, cut: Numbers, ended: Numbers) -> Array:
    """Runs (directions, RUNS, kinds) by length as if the frame cut none of them.

    Those that begin in the image are followed to their end or to the frame; of those that have come as far as a
    length, the share that ends there is that of all (Kaplan and Meier 1958).
    """
    at_risk = np.concatenate([starts[:, None], longer[:, :-1]], axis=1).astype(np.float64)
    some = np.maximum(at_risk, 1.0)
    stays = 1 - (at_risk - longer - cut) / some
    come_so_far = np.concatenate([np.ones_like(stays[:, :1]), np.cumprod(stays, axis=1)[:, :-1]], axis=1)
    times = starts[:, None] * come_so_far / some
    return np.asarray(ended * np.repeat(times, ended.shape[2] // times.shape[2], axis=2))


def _missed(runs: Array, scale: Array) -> Array:
    """Area (kinds,) of one end of the runs that no step shows.

    A run of a phase that is shorter than a step is seen by some steps only: the gap beside the contact of two
    balls, the end of a wedge, the cap of a ball. How many are not seen is told by longer ones: let a + b l be the
    number of runs per length l, then a/2 + b/6 of those shorter than a step are missed, and n_1 = a + b, n_2 = a +
    2 b: the estimate is 5/6 n_1 - n_2/3. It is made for steps 4, 3 and 2 times as long, for which the runs at
    single steps say what is seen; the places of voxels are often in step with the surfaces, as when they lie in the
    middle of gaps, and the longer the steps, the less this matters. The longest counts for which, as for all shorter
    ones, the next term of the series is small, (n_1 - 2 n_2 + n_3)/4 and in another way (n_1 - n_2 - n_3 + n_4)/8.
    Where there is none, see `_at_single_steps`.

    Runs down to none have all lengths, in each direction; those of a plate have two lengths at most, and limit the
    estimate. Few runs tell little: an estimate t of variance v counts as t^3/(t^2 + v).
    """
    total: Array = np.asarray(np.tensordot(scale, runs, 1), np.float64)
    found: Array = _at_single_steps(total)
    length = np.arange(1, RUNS + 1)
    good = np.ones(len(found), bool)
    for step in range(1, LONGEST + 1):
        # How many runs have 0, 1, 2, 3, 4 of every `step` voxels, on average over where these lie.
        none, one, two, three, four = (np.maximum(0, 1 - np.abs(length / step - k)) @ total for k in range(5))
        short = 5 / 6 * one - two / 3
        next_term = np.maximum(np.abs(one - 2 * two + three) / 4, np.abs(one - two - three + four) / 8)
        good &= next_term <= (SMALL if step > 1 else SMALL_AT_ONE) * short
        found[good & (step > 1)] = (short - none)[good & (step > 1)]
    missed = _limited(found, runs, scale, PART)
    if len(scale) == len(directions(2)):
        share, beside = _beside_contacts(total)
        missed += share * np.maximum(_limited(beside, runs, scale, PART_AT_CONTACTS) - missed, 0.0)
    variance = ORBIT / 4 * (scale**2 @ runs[:, :4].sum(axis=1))
    return np.asarray(missed**3 / np.maximum(missed**2 + variance, np.finfo(float).tiny))


def _limited(found: Array, runs: Array, scale: Array, most: tuple[float, ...]) -> Array:
    """What was found (kinds,), not less than nothing, and in no direction more than parts of the runs there."""
    there = [part * (runs[:, 2 * k] + runs[:, 2 * k + 1]) for k, part in enumerate(most)]
    return np.asarray(np.maximum(np.minimum(found, scale @ np.minimum.reduce(there)), 0.0))


def _beside_contacts(total: Array) -> tuple[Array, Array]:
    """In 2D, what of runs (RUNS, kinds) of single steps counts as beside contacts of disks, and what is missed there.

    The gap beside a contact is as wide as the square of the way to it, so that a line has a / sqrt(l) + b runs per
    length l: many more short ones than at the tip of a wedge. That makes n_k = 4/3 a ((k + 1)^1.5 - 2 k^1.5 +
    (k - 1)^1.5) + b, of which a and b are the best fit, and 4/3 a + b/2 runs shorter than a step that are missed.
    Disks that overlap by a hundredth give nearly the same runs, but little more than half as many are missed; so the
    share (kinds,) that counts is one half at most.
    """
    length = np.arange(FITTED + 2)
    steep = 4 / 3 * np.diff(length**1.5, 2)
    fit = np.linalg.pinv(np.stack([steep, np.ones(FITTED)], axis=1))
    first, second, third = total[:3]
    falls = (first >= second) & (second >= third) & (first > 0)  # else in step with the voxels, or at a wide gap
    flared = (second + third) / np.where(falls, first, 1.0)
    share = COUNTS * np.clip((FLARED[1] - flared) / (FLARED[1] - FLARED[0]), 0.0, 1.0)
    return np.where(falls, share, 0.0), np.asarray([4 / 3, 1 / 2] @ fit @ total[:FITTED])


def _at_single_steps(total: Array) -> Array:
    """The same from runs (RUNS, kinds) of single steps: the median of three estimates.

    Beside that above, one with the next term, right for a + b l + c l^2; and as odd runs are more and even runs fewer
    where surfaces lie in step with the voxels, or the other way round, and with them those that are missed, n_2/2 -
    7 (n_4 - n_2)/16, which is right on average over the places and nearly so in both cases.
    """
    first, second, third, fourth = total[:4]
    in_step = second / 2 - 7 / 16 * (fourth - second)
    curved = 13 / 12 * first - 5 / 6 * second + third / 4
    return np.asarray(np.median([5 / 6 * first - second / 3, curved, in_step], axis=0))
