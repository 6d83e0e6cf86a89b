"""Loops that fit cylinders to places on their walls: where rays leave a set of voxels, and its faces.

numba compiles them; a cylinder is a row of numbers as in `rod_geometry`.
"""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.shapes.loops import inside_of, solve
from microlith.imaging.shapes.rod_geometry import STEPS, axial, from_axis, rows_near
from microlith.imaging.shapes.rods import NOWHERE
from microlith.imaging.typing import Array, Flags, Phases

UNKNOWNS = 5
GIVEN_UP, LARGE = 2, 0.48  # turns after which a fit is given up whose residues are so large a part of the reach
BESIDE = 0.3  # radii from the middle to both sides, where rays that leave before the wall tell that there is none


@kept
def look_around(
    phase: Phases,
    of: Flags,
    size: Array,
    sights: Array,
    places: Array,
    farthest: float,
    most: int,
    fine: float,
    hits: Array,
) -> None:
    """Follows rays from some places to where they leave a set of phases.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        sights: (m, 3) unit vectors.
        places: (n, 4) with the depth below the surface.
        farthest: How many depths, and so many longest edges, they are followed.
        most: How many rays of a place may not leave: after these no more are followed.
        fine: Steps along rays, shortest edges.
        hits: (n, m) takes how far they leave, -1 where they don't or go beyond the frame.
    """
    step = fine * size.min()
    for n in range(len(places)):
        deep, missed = places[n, 3], 0
        for s in range(len(sights)):
            hits[n, s] = -1.0
            if missed > most:
                continue
            at = max(0.6 * deep - 1.0, 0.0)
            while at <= farthest * deep + farthest:
                now = inside_of(
                    phase,
                    of,
                    size,
                    places[n, 0] + at * sights[s, 0],
                    places[n, 1] + at * sights[s, 1],
                    places[n, 2] + at * sights[s, 2],
                )
                if now == 0:
                    hits[n, s] = at - 0.5 * step
                if now != 1:
                    break
                at += step
            missed += hits[n, s] < 0


@kept
def quadrics(sights: Array, hits: Array, depth: Array, out: Array, good: Flags) -> None:
    """Quadrics x.M x + 2 b.x = 1 that fit best where rays from some places leave, x in depths.

    Args:
        sights: (m, 3) unit vectors.
        hits: (n, m) as `look_around` gives.
        depth: (n,)
        out: (n, 9) takes M (zz, yy, xx, zy, zx, yx) and b.
        good: (n,) takes whether there is one.
    """
    matrix, right, row = np.empty((9, 9)), np.empty(9), np.empty(9)
    for n in range(len(hits)):
        matrix[:], right[:] = 0.0, 0.0
        count = 0
        for s in range(len(sights)):
            if hits[n, s] < 0:
                continue
            count += 1
            z, y, x = hits[n, s] / depth[n] * sights[s, 0], hits[n, s] / depth[n] * sights[s, 1], 0.0
            x = hits[n, s] / depth[n] * sights[s, 2]
            row[0], row[1], row[2] = z * z, y * y, x * x
            row[3], row[4], row[5] = 2 * z * y, 2 * z * x, 2 * y * x
            row[6], row[7], row[8] = 2 * z, 2 * y, 2 * x
            for k in range(9):
                right[k] += row[k]
                for j in range(9):
                    matrix[k, j] += row[k] * row[j]
        good[n] = count >= 18 and solve(matrix, right, 9)
        if good[n]:
            out[n] = right


@compiled
def _across(rod: Array, one: Array, other: Array) -> None:
    """Two unit vectors at right angles to the axis and to each other."""
    least = 0
    for k in range(3):
        if abs(rod[3 + k]) < abs(rod[3 + least]):
            least = k
    for k in range(3):
        one[k] = (1.0 if k == least else 0.0) - rod[3 + least] * rod[3 + k]
    length = math.sqrt(one[0] ** 2 + one[1] ** 2 + one[2] ** 2)
    for k in range(3):
        one[k] /= length
    other[0] = rod[4] * one[2] - rod[5] * one[1]
    other[1] = rod[5] * one[0] - rod[3] * one[2]
    other[2] = rod[3] * one[1] - rod[4] * one[0]


@compiled
def _add(
    rod: Array,
    one: Array,
    other: Array,
    z: float,
    y: float,
    x: float,
    reach: float,
    scale: float,
    matrix: Array,
    right: Array,
    row: Array,
) -> float:
    """Adds a place near the wall to the equations of the best cylinder; its distance from the wall, squared, or -1."""
    wz, wy, wx = z - rod[0], y - rod[1], x - rod[2]
    first = wz * one[0] + wy * one[1] + wx * one[2]
    second = wz * other[0] + wy * other[1] + wx * other[2]
    away = math.sqrt(first * first + second * second)
    off = away - rod[6]
    if abs(off) > reach or away < 0.5:
        return -1.0
    along = (wz * rod[3] + wy * rod[4] + wx * rod[5]) / scale
    row[0], row[1] = first / away, second / away
    row[2], row[3], row[4] = along * row[0], along * row[1], 1.0
    for k in range(UNKNOWNS):
        right[k] += row[k] * off
        for j in range(UNKNOWNS):
            matrix[k, j] += row[k] * row[j]
    return off * off


@compiled
def _move(rod: Array, one: Array, other: Array, scale: float, by: Array, most: float) -> float:
    """Moves a rod by what solves these equations; how far its wall moves at most."""
    moved = 0.0
    for k in range(UNKNOWNS):
        moved += abs(by[k])
    part = min(1.0, most / moved) if moved > 0 else 1.0
    length = 0.0
    for k in range(3):
        rod[k] += part * (by[0] * one[k] + by[1] * other[k])
        rod[3 + k] += part * (by[2] * one[k] + by[3] * other[k]) / scale
        length += rod[3 + k] ** 2
    for k in range(3):
        rod[3 + k] /= math.sqrt(length)
    rod[6] += part * by[4]
    return moved


@kept
def fit_rays(sights: Array, hits: Array, places: Array, rods: Array, wide: Array, turns: int, told: Array) -> None:
    """Fits cylinders to where rays leave, in turns, to what is near the last one.

    Args:
        sights: (m, 3) unit vectors.
        hits: (n, m) as `look_around` gives.
        places: (n, 4) from where.
        rods: (n, 17) changed.
        wide: (n,) radii from the wall within which what rays meet counts at first.
        turns: How many.
        told: (n, 4) takes the root mean square residue, the share of rays that leave near the wall, the share of those
            beside the middle that leave before it, and the largest mean residue in a sixth of the wall around.
    """
    one, other, row, sums = np.empty(3), np.empty(3), np.empty(UNKNOWNS), np.empty((6, 2))
    matrix, right = np.empty((UNKNOWNS, UNKNOWNS)), np.empty(UNKNOWNS)
    for n in range(len(rods)):
        rod = rods[n]
        told[n] = NOWHERE
        reach, good = 1.0, False
        for turn in range(turns):
            reach = max(1.0, wide[n] * (1 - 0.2 * turn) * rod[6])
            _across(rod, one, other)
            matrix[:], right[:] = 0.0, 0.0
            near, squares = 0, 0.0
            for s in range(len(sights)):
                if hits[n, s] < 0:
                    continue
                z = places[n, 0] + hits[n, s] * sights[s, 0]
                y = places[n, 1] + hits[n, s] * sights[s, 1]
                x = places[n, 2] + hits[n, s] * sights[s, 2]
                square = _add(rod, one, other, z, y, x, reach, rod[6], matrix, right, row)
                if square >= 0:
                    near += 1
                    squares += square
            good = near >= 3 * UNKNOWNS and (turn < GIVEN_UP or squares <= (LARGE * reach) ** 2 * near)
            good = good and solve(matrix, right, UNKNOWNS)
            if not good:
                break
            moved = _move(rod, one, other, rod[6], right, 0.5 * rod[6])
            good = rod[6] >= 1.0
            if not good or (moved < 0.05 and turn > GIVEN_UP and reach == 1.0):
                break
        if not good:
            continue
        near, beside, early, squares = 0, 0, 0, 0.0
        sums[:] = 0.0
        _across(rod, one, other)
        middle = axial(rod, places[n, 0], places[n, 1], places[n, 2])
        for s in range(len(sights)):
            if hits[n, s] < 0:
                continue
            wz = places[n, 0] + hits[n, s] * sights[s, 0] - rod[0]
            wy = places[n, 1] + hits[n, s] * sights[s, 1] - rod[1]
            wx = places[n, 2] + hits[n, s] * sights[s, 2] - rod[2]
            first = wz * one[0] + wy * one[1] + wx * one[2]
            second = wz * other[0] + wy * other[1] + wx * other[2]
            off = math.sqrt(first * first + second * second) - rod[6]
            if abs(wz * rod[3] + wy * rod[4] + wx * rod[5] - middle) < BESIDE * rod[6]:
                beside += 1
                early += off < -reach
            if abs(off) <= reach:
                near += 1
                squares += off * off
                part = min(int((math.atan2(second, first) / (2 * math.pi) + 0.5) * len(sums)), len(sums) - 1)
                sums[part, 0] += off
                sums[part, 1] += 1.0
        if near == 0:
            continue
        told[n, 0], told[n, 1] = math.sqrt(squares / near), near / len(sights)
        told[n, 2], told[n, 3] = early / max(beside, 1), 0.0
        for part in range(len(sums)):
            if sums[part, 1] > 3:
                told[n, 3] = max(told[n, 3], abs(sums[part, 0]) / sums[part, 1])


@kept
def settle(
    phase: Phases, of: Flags, size: Array, rod: Array, first: float, last: float, reach: float, turns: int, turn: bool
) -> bool:
    """Moves a cylinder to where it fits the faces of voxels near its wall best.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        rod: (17,) changed.
        first: Where along the axis faces begin to count.
        last: Where they end.
        reach: Distance from the wall up to which they count, longest edges.
        turns: How many.
        turn: Whether the axis may turn.

    Returns:
        Whether there are enough of them.
    """
    layers, rows, columns = phase.shape
    one, other, row = np.empty(3), np.empty(3), np.empty(UNKNOWNS)
    matrix, right = np.empty((UNKNOWNS, UNKNOWNS)), np.empty(UNKNOWNS)
    scale = max(abs(first), abs(last), 1.0)
    for _ in range(turns):
        _across(rod, one, other)
        matrix[:], right[:] = 0.0, 0.0
        near = 0
        far, core = rod[6] + reach + 1.0, rod[6] - reach - 1.0
        for k, j, start, stop in rows_near(rod, far, first, last, size, phase.shape):
            z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
            for i in range(start, stop):
                x = (i + 0.5) * size[2]
                if not of[phase[k, j, i]] or from_axis(rod, z, y, x) < core:
                    continue
                for dk, dj, di in STEPS:
                    kk, jj, ii = k + dk, j + dj, i + di
                    if not (0 <= kk < layers and 0 <= jj < rows and 0 <= ii < columns) or of[phase[kk, jj, ii]]:
                        continue
                    mz, my, mx = z + 0.5 * dk * size[0], y + 0.5 * dj * size[1], x + 0.5 * di * size[2]
                    near += _add(rod, one, other, mz, my, mx, reach, scale, matrix, right, row) >= 0
        if not turn:
            for k in (2, 3):
                matrix[k, :], matrix[:, k], matrix[k, k], right[k] = 0.0, 0.0, 1.0, 0.0
        if near < 6 * UNKNOWNS or not solve(matrix, right, UNKNOWNS):
            return False
        moved = _move(rod, one, other, scale, right, 2.0)
        if rod[6] < 1.0:
            return False
        if moved < 0.01:
            break
    return True
