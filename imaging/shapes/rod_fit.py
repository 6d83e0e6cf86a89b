"""Which cylinder, with which flat ends, parts voxels into those within and those without.

By how much a voxel's middle is beyond the wall is nearly linear in what moves a cylinder a little: linear programs, one
after the other, lead to the one that is farthest from all middles. That it parts them is then looked at as it is.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rods import Rod
from microlith.imaging.shapes.separation import Bound
from microlith.imaging.typing import Array, Flags, Numbers

# Longest edges: how far from a wall voxels count; how far out those of other bodies lie at least, and beside the frame;
# how far below the surface voxels are bare; within how many voxels others make them uncertain, more where two walls
# touch so that one rises slowly from the other
WIDTHS = np.array([0.8, 0.7, 0.45, 0.6, 2.0]), np.array([0.8, 0.7, 0.45, 0.6, 5.0])
TURNS = 8  # linear programs for a wall
HOPELESS = -0.25  # longest edges by which voxels are on the wrong side after the first
ENOUGH = 0.02  # of the distance to voxels' middles, up to which another linear program is of no use
FARTHEST = 2.0  # longest edges that walls and ends move at most
STEEPEST = 0.15, 2.0  # tangents of the largest angle between an end's normal and the axis: most are straight
AT_END, NEAR_END = 2.5, 1.0  # longest edges from an end in which it is looked for, and from where it is then
RIM = (
    0.1  # longest edges before an end within which voxels may be beyond the wall or the end, as long as neither is sure
)
INNER = 0.02  # longest edges within the wall, from which on what is not of the set lies beyond the end
PARTS = (16, 6)  # by angle, and along the axis or away from it, from each of which a linear program takes a condition
ROUNDS = 25  # in which it takes up those that are not met
LEAST = 1e-9  # longest edges
TRIMS = (4.0, 2.5, 1.5, 1.2)  # longest edges from an end, of its faces


@dataclass(frozen=True, eq=False)
class Wall:
    """A cylinder's wall that is farthest from all voxels' middles, those within and those without."""

    rod: Rod
    gap: float  # standard error of the radius about this axis
    loose: float  # the same wherever the axis is
    bare: Numbers  # (3,) voxels just below the surface that are certain, of other rods, and near other bodies


@dataclass(frozen=True, eq=False)
class Others:
    """Rods that may be there besides one, and this one as it was when these were found."""

    cover: NDArray[np.uint8]  # (layers, rows, columns) how many of all of them hold a voxel
    own: Rod


def no_others(rod: Rod) -> Others:
    """None besides a rod."""
    return Others(np.zeros((0, 0, 0), np.uint8), rod)


def wall_of(
    lattice: Lattice, of: Flags, rod: Rod, first: float, last: float, widths: Array, others: Others, rim: float = RIM
) -> Wall | None:
    """The wall that parts the voxels near a given one; None where there is none.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        rod: About this one, and its ends.
        first: Where along its axis voxels begin to count.
        last: Where they end.
        widths: One of `WIDTHS`.
        others: That may touch it.
        rim: Longest edges before an end within which voxels that are not of the set don't count.
    """
    from microlith.imaging.shapes.rod_loops import wall_conditions  # numba, late as in `path_lengths`

    room = int(4 * 2 * np.pi * (rod.radius + 1) * (last - first + 4) * 2 / np.prod(lattice.size) + 1000)
    points: Array = np.empty((room, 3))
    sides: Array = np.empty(room)
    bare: Numbers = np.zeros(3, np.int64)
    cover, own = others.cover, others.own.row
    count = wall_conditions(
        lattice.phase, of, lattice.size, rod.row, first, last, widths, rim, cover, own, points, sides, bare
    )
    if count < 6:
        return None
    points, sides = points[:count], sides[:count]
    middle = 0.5 * (max(first, (points @ rod.axis).min()) + min(last, (points @ rod.axis).max()))
    points, rod = points - middle * rod.axis, rod.about(middle)
    half = max(1.0, float(np.abs(points @ rod.axis).max()))
    place, now = np.zeros(3), rod
    part = _parts(points, sides, rod, np.asarray(points @ rod.axis / half))
    bounds: list[Bound] = [(-FARTHEST, FARTHEST)] * 5 + [(None, 0.5)]
    cost = np.array([0.0, 0, 0, 0, 0, -1])
    for turn in range(TURNS):
        rows, right = _linear(points - place, sides, now, half)
        found = _solved(cost, rows, right, bounds, part)
        if found is None or (turn == 0 and found[5] < HOPELESS):
            return None
        one, other = now.across()
        axis = now.axis + (found[2] * one + found[3] * other) / half
        shift = found[0] * one + found[1] * other
        place = place + shift
        now = replace(now, place=now.place + shift, axis=axis / np.linalg.norm(axis), radius=now.radius + found[4])
        margin = float((-sides * _beyond(points - place, now)).min())
        if margin > 0 and found[5] - margin <= ENOUGH * found[5]:
            break
    else:
        if margin <= 0:
            return None
    rows, right = _linear(points - place, sides, now, half)
    within = sides > 0
    gap = (right[within].min() + right[~within].min()) / np.sqrt(12) if within.any() and not within.all() else np.inf
    return Wall(now, float(gap), _loose(rows[:, :5], right, bounds[:5], part), bare)


def _beyond(points: Array, rod: Rod) -> Array:
    """How far places (n, 3), less that of the rod, are beyond its wall."""
    along = points @ rod.axis
    return np.sqrt(np.maximum((points**2).sum(axis=1) - along**2, 0)) - rod.radius


def _linear(points: Array, sides: Array, rod: Rod, half: float) -> tuple[Array, Array]:
    """Rows (n, 6) and right sides of what the move of a wall and the distance to voxels' middles are to fulfil."""
    one, other = rod.across()
    along, first, second = points @ rod.axis, points @ one, points @ other
    away = np.hypot(first, second)
    by = np.column_stack([first, second, along / half * first, along / half * second]) / away[:, None]
    ones = np.ones((len(points), 1))
    return np.hstack([-sides[:, None] * np.hstack([by, ones]), ones]), -sides * (away - rod.radius)


def _loose(rows: Array, right: Array, bounds: list[Bound], part: Numbers) -> float:
    ends: list[float] = []
    for sign in (1.0, -1.0):
        cost = np.array([0.0, 0, 0, 0, sign])
        found = _solved(cost, rows, right, bounds, part)
        if found is None:
            return np.inf
        ends.append(found[4])
    return float((ends[1] - ends[0]) / np.sqrt(12))


def end_of(
    lattice: Lattice,
    of: Flags,
    rod: Rod,
    at: float,
    inner: float,
    steepest: tuple[float, ...] = STEEPEST,
    hollow: float = 0.0,
) -> tuple[Array, float] | None:
    """The plane (4,) that ends a rod where it is not of the set any more, with the standard error of its place.

    None where no plane parts the voxels.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        rod: Without an end on this side.
        at: Where along its axis the first voxel is that is not of the set, on the side of its sign.
        inner: Distance from the axis within which voxels count.
        steepest: Tangents of the largest angle between its normal and the axis, one tried after the other. For a small
            one few other bodies are in the way.
        hollow: Distance from the axis up to which voxels don't count: of a tube's ring.
    """
    for steep in steepest:
        found = _end_up_to(lattice, of, rod, at, (hollow, inner), steep)
        if found is not None:
            return found
    return None


def _end_up_to(
    lattice: Lattice, of: Flags, rod: Rod, at: float, ring: tuple[float, float], steepest: float
) -> tuple[Array, float] | None:
    from microlith.imaging.shapes.rod_loops import end_voxels  # numba, late as in `path_lengths`

    sign = 1.0 if at > 0 else -1.0
    first, last = sorted((at - sign * AT_END, at + sign * (2 * steepest * rod.radius + AT_END)))
    room = int(np.pi * (rod.radius + 2) ** 2 * (last - first + 4) * 2 / np.prod(lattice.size) + 1000)
    points: Array = np.empty((room, 3))
    sides: Array = np.empty(room)
    beside: Flags = np.zeros(room, bool)
    count = end_voxels(lattice.phase, of, lattice.size, rod.row, *ring, first, last, sign, points, sides, beside)
    if count < 10:
        return None
    points, sides, beside = points[:count], sides[:count], beside[:count]
    one, other = rod.across()
    along = sign * (points @ rod.axis)
    aside = np.column_stack([np.ones(count), points @ one, points @ other])
    best = np.array([abs(at), 0.0, 0.0])
    for trim in TRIMS:
        near = beside & (
            np.abs(along - aside @ best) < (np.inf if trim == TRIMS[0] and steepest > STEEPEST[0] else trim)
        )
        if near.sum() < 10:
            return None
        best = np.linalg.lstsq(aside[near], along[near], rcond=None)[0]
    off = along - aside @ best
    if np.abs(best[1:]).max() > steepest or ((off < -NEAR_END) & (sides < 0)).any():
        return None
    near = np.abs(off) <= NEAR_END
    if (sides[near] > 0).all() or (sides[near] < 0).all():
        return None
    rows = np.hstack([-sides[near, None] * aside[near], np.ones((near.sum(), 1))])
    right = -sides[near] * off[near]
    bounds: list[Bound] = [(-FARTHEST, FARTHEST)] * 3
    part = _parts(points[near], sides[near], rod, np.hypot(aside[near, 1], aside[near, 2]) / ring[1] * 2 - 1)
    found = _solved(np.array([0.0, 0, 0, -1]), rows, right, [*bounds, (None, 0.5)], part)
    if found is None or found[3] <= 0:
        return None
    ends: list[float] = []
    for cost in ([1.0, 0, 0], [-1.0, 0, 0]):
        far = _solved(np.array(cost), rows[:, :3], right, bounds, part)
        if far is None:
            return None
        ends.append(far[0])
    error = float((ends[1] - ends[0]) / np.sqrt(12))
    last_within, first_beyond = along[near & (sides > 0)].max(), along[near & (sides < 0)].min()
    if last_within < first_beyond:  # straight across, as most ends are
        return np.append(sign * rod.axis, (last_within + first_beyond) / 2), error
    best = best + found[:3]
    normal = sign * rod.axis - best[1] * one - best[2] * other
    length = np.linalg.norm(normal)
    return np.append(normal, best[0]) / length, error


def _parts(points: Array, sides: Array, rod: Rod, along: Array) -> Numbers:
    """In which part of a wall or an end places (n, 3) less a rod's are, and on which side; `along` is -1 to 1."""
    one, other = rod.across()
    around = np.arctan2(points @ other, points @ one) / (2 * np.pi) + 0.5
    first, second = (np.clip(share * n, 0, n - 1) for share, n in zip((around, (along + 1) / 2), PARTS, strict=True))
    return np.asarray((first.astype(np.int64) * PARTS[1] + second.astype(np.int64)) * 2 + (sides > 0))


def _solved(cost: Array, rows: Array, right: Array, bounds: list[Bound], part: Numbers) -> Array | None:
    """Solves the linear program with the condition that is nearest in each part, and takes up those that are not met.

    Along the voxels' diagonals many conditions are nearly the same, of which one is enough at a time.
    """
    order = np.lexsort((right, part))
    active = order[np.flatnonzero(np.diff(part[order], prepend=-1))]
    for _ in range(ROUNDS):
        answer = linprog(cost, rows[active], right[active], bounds=bounds, method="highs")
        if answer.status != 0:
            return None
        over = rows @ answer.x - right
        missed = np.flatnonzero(over > LEAST)
        if not len(missed):
            return np.asarray(answer.x)
        order = missed[np.lexsort((-over[missed], part[missed]))]
        worst = order[np.flatnonzero(np.diff(part[order], prepend=-1))]
        grown = np.unique(np.concatenate([active, worst]))
        if len(grown) == len(active):
            return np.asarray(answer.x)
        active = grown
    return None
