"""Whether a ball parts voxels into those within and those without: a linear program, of which the answer is certain.

A ball |x - c|^2 <= r^2 holds a place x where |x|^2 - 2 c.x - k <= 0 with k = r^2 - |c|^2. So it is linear in c and k
which voxels' middles it holds.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from microlith.imaging.shapes.found import Lattice
from microlith.imaging.typing import Array, Flags, Numbers

# Longest edges: how far from a surface voxels count; how far out those of other bodies lie at least, and beside the
# frame; how far below the surface voxels are bare
NEAR, FAR, FAR_AT_FRAME, BARE = 1.3, 0.7, 0.45, 0.6
ROOM = 60  # voxels per longest edge squared of a ball's surface, and so many more, that are counted at most
FIRST, MORE = 200, 60  # conditions that the linear program begins with, and those that it gets at a time
LEAST = 1e-9  # longest edges to both sides between voxels within and without
STILL = 1e-3  # longest edges that the middle of a ball of a given radius moves in the end
ROUNDS = 20  # of the linear program
FITS = 4  # times that the voxels around it are found
HALF = 0.6  # of the surface, from which on a ball is mostly bare
FARTHEST = 3.0  # longest edges that it moves at most
DRAWN = 0.25  # longest edges that a ball is off at most from one that is in step with the voxels

Bound = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Fit:
    """The ball that is farthest from all voxels' middles, those within and those without."""

    place: Array  # (4,) middle and radius
    gap: float  # standard error of the radius about this middle
    bare: Numbers  # (3,) voxels just below the surface that are certain, that others hold, and those near other bodies
    conditions: tuple[Array, Array]  # rows (n, dim + 1) and right sides (n,) in longest edges, of middle and k
    best: Array  # (dim + 1,) of this ball


def fitted(
    lattice: Lattice,
    of: Flags,
    place: Array,
    slack: float,
    others: Array,
    still: float,
    radius: float | None = None,
    at_frame: float = FAR_AT_FRAME,
) -> Fit | None:
    """The ball that parts the voxels near a given one; None where there is none.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        place: (4,) middle and radius of about this ball.
        slack: By how much voxels of others may lie beyond these.
        others: (k, 4) balls around it that hold the same phases.
        still: Longest edges that it may move without its voxels being found anew.
        radius: Which it is to have; any if None.
        at_frame: How far out voxels of other bodies lie at least beside the frame.
    """
    axes, dim = lattice.axes, lattice.dim
    place = place.copy()
    if radius is not None:
        place[3] = radius
    for turn in range(FITS):
        near = _near(lattice, of, place, slack, others, at_frame)
        if near is None:
            return None
        points, sides, bare = near
        rows, right = _conditions(points, sides, place[3])
        best = _best(rows, right, place[3]) if radius is None else _best_of(rows, right, place[3])
        if best is None:
            return None
        square = best[dim] + (best[:dim] ** 2).sum()
        if square <= 0:
            return None
        found = place.copy()
        found[axes] += best[:dim]
        found[3] = np.sqrt(square)
        if np.abs(found - place).sum() < still or turn == FITS - 1:
            conditions = rows[:, :-1], right
            gap = sum(_apart(best, *conditions)) / (2 * np.sqrt(square)) / np.sqrt(12)
            return Fit(found, gap, bare, conditions, best)
        place = found
    return None


def radius_range(fit: Fit, lattice: Lattice) -> tuple[float, float]:
    """The least and the largest radius, longest edges, that voxels allow wherever the middle is.

    0 and infinite where they leave it open. Of a ball that is mostly bare the standard error is at most twice that
    about its middle, and it is not looked for.
    """
    if mostly_bare(fit, lattice):
        apart = np.sqrt(12) * fit.gap
        return fit.place[3] - apart, fit.place[3] + apart
    rows, right = fit.conditions
    ends: list[float] = []
    for sign in (1.0, -1.0):
        cost = np.append(np.zeros(len(fit.best) - 1), sign)
        bounds: list[Bound] = [(-FARTHEST, FARTHEST)] * (len(cost) - 1) + [(0.0, 4 * fit.place[3] ** 2)]
        found = _solved(cost, rows, right, bounds, fit.best)
        if found is None:
            return 0.0, np.inf
        ends.append(float(np.sqrt(found[-1] + (found[:-1] ** 2).sum())))
    return ends[0], ends[1]


def drawn(fit: Fit, lattice: Lattice) -> Fit | None:
    """The same ball in step with the voxels; None where these do not allow it.

    Chance does not put a middle on a corner, edge, face or middle of a voxel: such a ball was drawn, and its radius is
    as good as ever a whole number of half edges. It is the balls in step whose radius the voxels leave most open.
    """
    axes, dim = lattice.axes, lattice.dim
    place = fit.place.copy()
    place[axes] = np.round(2 * place[axes] / lattice.size[axes]) * lattice.size[axes] / 2
    place[3] = round(2 * place[3]) / 2
    moved = place - fit.place
    if np.abs(moved).max() > DRAWN:
        return None
    middle = fit.best[:dim] + moved[axes]
    best = np.append(middle, place[3] ** 2 - (middle**2).sum())
    less, more = _apart(best, *fit.conditions)
    if min(less, more) < -LEAST:
        return None
    gap = np.hypot((less + more) / np.sqrt(12), (more - less) / 2) / (2 * place[3])
    return Fit(place, float(gap), fit.bare, fit.conditions, best)


def mostly_bare(fit: Fit, lattice: Lattice) -> bool:
    """Whether voxels tell of most of a ball's surface."""
    radius = fit.place[3]
    surface = 4 * math.pi * radius**2 if lattice.dim == 3 else 2 * math.pi * radius
    return bool(fit.bare[0] * np.prod(lattice.size[lattice.axes]) > HALF * surface * BARE)


def explained(lattice: Lattice, of: Flags, place: Array, slack: float, others: Array) -> bool:
    """Whether at least half of the voxels just below a ball's surface are its own or of other balls.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        place: (4,) middle and radius of about this ball.
        slack: By how much voxels of others may lie beyond these.
        others: (k, 4) those that may be balls, around it.
    """
    near = _near(lattice, of, place, slack, others)
    return near is not None and bool(near[2][0] + near[2][1] >= near[2][2])


def _near(
    lattice: Lattice, of: Flags, place: Array, slack: float, others: Array, at_frame: float = FAR_AT_FRAME
) -> tuple[Array, Array, Numbers] | None:
    """Voxels' middles (n, dim) less that of the ball, whether they are within (1) or without (-1), and `Fit.bare`."""
    from microlith.imaging.shapes.loops import conditions  # numba, late as in `path_lengths`

    room = int(ROOM * (place[3] / lattice.shortest + 3) ** (lattice.dim - 1) + 1000)
    points, sides, bare = np.empty((room, 3)), np.empty(room), np.zeros(3, np.int64)
    widths = np.array([NEAR, FAR, at_frame, BARE, slack])
    count = conditions(lattice.phase, of, lattice.size, lattice.dim, place, others, widths, points, sides, bare)
    return None if count < 0 else (points[:count, lattice.axes], sides[:count], bare)


def _conditions(points: Array, sides: Array, radius: float) -> tuple[Array, Array]:
    """Rows (n, dim + 2) and right sides of what middle, k and the distance to voxels' middles are to fulfil."""
    scale = 2 * radius
    rows = np.column_stack([-2 * points * sides[:, None] / scale, -sides / scale, np.ones(len(sides))])
    return rows, -sides * (points**2).sum(axis=1) / scale


def _best(rows: Array, right: Array, radius: float) -> Array | None:
    """Middle and k of the ball that is farthest from the voxels' middles."""
    size = rows.shape[1]
    start = np.zeros(size)
    start[-2] = radius**2
    cost = np.append(np.zeros(size - 1), -1.0)
    bounds: list[Bound] = [(-FARTHEST, FARTHEST)] * (size - 2) + [(None, None), (None, 0.5)]
    found = _solved(cost, rows, right, bounds, start, LEAST)
    return None if found is None else found[:-1]


def _best_of(rows: Array, right: Array, radius: float) -> Array | None:
    """The same of a given radius: of a middle near the last one, k is nearly its square."""
    dim = rows.shape[1] - 2
    cost = np.append(np.zeros(dim), -1.0)
    bounds: list[Bound] = [*[(-FARTHEST, FARTHEST)] * dim, (None, 0.5)]
    kept, least = np.delete(rows, dim, axis=1), -np.inf
    middle: Array = np.zeros(dim)
    for _ in range(FITS):
        k = radius**2 - (middle**2).sum()
        found = _solved(cost, kept, right - rows[:, dim] * k, bounds, np.append(middle, 0.0))
        if found is None:
            return None
        moved, middle, least = np.abs(found[:-1] - middle).max(), found[:-1], found[-1]
        if moved < STILL:
            break
    return np.append(middle, radius**2 - (middle**2).sum()) if least > LEAST else None


def _solved(
    cost: Array,
    rows: Array,
    right: Array,
    bounds: list[Bound],
    start: Array,
    least: float | None = None,
) -> Array | None:
    """Solves the linear program with the conditions that are nearest, and takes up those that are not met.

    With the least value of the last unknown it is given up as soon as this can't be reached.
    """
    active: Numbers = np.argsort(right - rows @ start)[:FIRST]
    for _ in range(ROUNDS):
        answer = linprog(cost, rows[active], right[active], bounds=bounds, method="highs")
        if answer.status != 0 or (least is not None and answer.x[-1] <= least):
            return None
        over = rows @ answer.x - right
        worst = np.argsort(-over)[:MORE]
        worst = worst[over[worst] > LEAST]
        if not len(worst):
            return np.asarray(answer.x)
        active = np.unique(np.concatenate([active, worst]))
    return None


def _apart(best: Array, rows: Array, right: Array) -> tuple[float, float]:
    """By how much k may be less and more about this middle; infinite where no voxel tells."""
    apart = (right - rows @ best) / np.abs(rows[:, -1])
    within = rows[:, -1] < 0
    return float(apart[within].min(initial=np.inf)), float(apart[~within].min(initial=np.inf))
