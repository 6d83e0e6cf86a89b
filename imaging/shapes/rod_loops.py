"""Loops over the voxels around cylinders, which numba compiles.

A rod is a row of 17 numbers in longest edges: a place on its axis (3), the axis' unit vector (3), radius, where what is
known of its wall ends along the axis to both sides (2), and the planes that end it to both sides, a unit vector
outwards with its product with the plane's places less that on the axis (4 each). What does not end is at
`NOWHERE`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.shapes.loops import inside_of, phase_near, solve
from microlith.imaging.typing import Array, Flags, Numbers, Phases

Cover = NDArray[np.uint8]
NOWHERE = 1e30
COLUMNS = 17
TINY = 1e-12
TOUCHING = 0.5  # longest edges by which voxels of a rod may lie beyond it, where another one touches it
UNKNOWNS = 5
GIVEN_UP, LARGE = 2, 0.48  # turns after which a fit is given up whose residues are so large a part of the reach
BESIDE = 0.3  # radii from the middle to both sides, where rays that leave before the wall tell that there is none


@compiled
def _axial(rod: Array, z: float, y: float, x: float) -> float:
    """How far along the axis a place is from that of the rod."""
    return (z - rod[0]) * rod[3] + (y - rod[1]) * rod[4] + (x - rod[2]) * rod[5]


@compiled
def _from_axis(rod: Array, z: float, y: float, x: float) -> float:
    """Distance of a place from the axis."""
    wz, wy, wx = z - rod[0], y - rod[1], x - rod[2]
    along = wz * rod[3] + wy * rod[4] + wx * rod[5]
    return math.sqrt(max(wz * wz + wy * wy + wx * wx - along * along, 0.0))


@compiled
def _outside(rod: Array, z: float, y: float, x: float) -> float:
    """How far a place is beyond the wall and the ends, below zero within. Where the wall is not known it goes on."""
    wz, wy, wx = z - rod[0], y - rod[1], x - rod[2]
    along = wz * rod[3] + wy * rod[4] + wx * rod[5]
    square = max(wz * wz + wy * wy + wx * wx - along * along, 0.0)
    out = math.sqrt(square) - rod[6]
    if rod[12] < NOWHERE:
        out = max(out, wz * rod[9] + wy * rod[10] + wx * rod[11] - rod[12])
    if rod[16] < NOWHERE:
        out = max(out, wz * rod[13] + wy * rod[14] + wx * rod[15] - rod[16])
    return out


@compiled
def _span(rod: Array, axis: int, reach: float, first: float, last: float, edge: float, count: int) -> tuple[int, int]:
    """Voxels along an axis in which places within a reach of a part of the rod's axis lie: the first, and one more."""
    aside = reach * math.sqrt(max(1 - rod[3 + axis] ** 2, 0.0))
    low = min(first * rod[3 + axis], last * rod[3 + axis]) - aside + rod[axis]
    high = max(first * rod[3 + axis], last * rod[3 + axis]) + aside + rod[axis]
    low, high = max(low / edge - 1.0, 0.0), min(high / edge + 1.0, float(count))
    return int(low), max(int(low), math.ceil(high))


@compiled
def _row(
    rod: Array, reach: float, first: float, last: float, z: float, y: float, edge: float, count: int
) -> tuple[int, int]:
    """The voxels of a row whose middles are within a reach of a part of the rod's axis: the first, and one more."""
    wz, wy = z - rod[0], y - rod[1]
    along, ux = wz * rod[3] + wy * rod[4], rod[5]
    left = wz * wz + wy * wy - along * along - reach * reach
    low, high = -NOWHERE, NOWHERE
    bent = 1 - ux * ux
    if bent < TINY:
        if left > 0:
            return 0, 0
    else:
        root = along * along * ux * ux - bent * left
        if root < 0:
            return 0, 0
        root = math.sqrt(root)
        low, high = (along * ux - root) / bent, (along * ux + root) / bent
    if abs(ux) > TINY:
        one, other = (first - along) / ux, (last - along) / ux
        low, high = max(low, min(one, other)), min(high, max(one, other))
    elif along < first or along > last:
        return 0, 0
    low = min(max((low + rod[2]) / edge - 0.5, -1.0), count + 1.0)
    high = min(max((high + rod[2]) / edge - 0.5, -2.0), count + 1.0)
    start = max(math.ceil(low), 0)
    return start, max(start, min(math.floor(high) + 1, count))


@kept
def look_around(
    phase: Phases, of: Flags, size: Array, sights: Array, places: Array, farthest: float, hits: Array
) -> None:
    """Follows rays from some places to where they leave a set of phases.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        sights: (m, 3) unit vectors.
        places: (n, 4) with the depth below the surface.
        farthest: How many depths, and so many longest edges, they are followed.
        hits: (n, m) takes how far they leave, -1 where they don't or go beyond the frame.
    """
    step = 0.25 * size.min()
    for n in range(len(places)):
        deep = places[n, 3]
        for s in range(len(sights)):
            hits[n, s] = -1.0
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
        middle = _axial(rod, places[n, 0], places[n, 1], places[n, 2])
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
def extent(
    phase: Phases, of: Flags, size: Array, rod: Array, core: float, first: float, last: float
) -> tuple[float, float]:
    """How far along the axis all voxels near it are of a set of phases, to both sides of the rod's place.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        rod: (17,)
        core: How near.
        first: Where to begin to look.
        last: Where to end.
    """
    layers, rows, columns = phase.shape
    low, high = first, last
    ahead, behind = _span(rod, 0, core, first, last, size[0], layers)
    above, below = _span(rod, 1, core, first, last, size[1], rows)
    for k in range(ahead, behind):
        z = (k + 0.5) * size[0]
        for j in range(above, below):
            y = (j + 0.5) * size[1]
            start, stop = _row(rod, core, low, high, z, y, size[2], columns)
            for i in range(start, stop):
                if not of[phase[k, j, i]]:
                    along = _axial(rod, z, y, (i + 0.5) * size[2])
                    if along < 0:
                        low = max(low, along)
                    else:
                        high = min(high, along)
    return low, high


@kept
def settle(
    phase: Phases, of: Flags, size: Array, rod: Array, first: float, last: float, reach: float, turns: int
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
        ahead, behind = _span(rod, 0, far, first, last, size[0], layers)
        above, below = _span(rod, 1, far, first, last, size[1], rows)
        for k in range(ahead, behind):
            z = (k + 0.5) * size[0]
            for j in range(above, below):
                y = (j + 0.5) * size[1]
                start, stop = _row(rod, far, first, last, z, y, size[2], columns)
                for i in range(start, stop):
                    x = (i + 0.5) * size[2]
                    if not of[phase[k, j, i]] or _from_axis(rod, z, y, x) < core:
                        continue
                    for axis in range(3):
                        for way in range(-1, 2, 2):
                            kk, jj, ii = k, j, i
                            if axis == 0:
                                kk += way
                            elif axis == 1:
                                jj += way
                            else:
                                ii += way
                            if kk < 0 or jj < 0 or ii < 0 or kk >= layers or jj >= rows or ii >= columns:
                                continue
                            if of[phase[kk, jj, ii]]:
                                continue
                            mz = z + (0.5 * way * size[0] if axis == 0 else 0.0)
                            my = y + (0.5 * way * size[1] if axis == 1 else 0.0)
                            mx = x + (0.5 * way * size[2] if axis == 2 else 0.0)
                            near += _add(rod, one, other, mz, my, mx, reach, scale, matrix, right, row) >= 0
        if near < 6 * UNKNOWNS or not solve(matrix, right, UNKNOWNS):
            return False
        moved = _move(rod, one, other, scale, right, 2.0)
        if rod[6] < 1.0:
            return False
        if moved < 0.01:
            break
    return True


@compiled
def _joined(phase: Phases, of: Flags, k: int, j: int, i: int, kk: int, jj: int, ii: int) -> bool:
    """Whether all voxels on the way from one to another are of a set: no gap is between them."""
    steps = max(abs(kk - k), abs(jj - j), abs(ii - i))
    for step in range(1, steps):
        part = step / steps
        at = round(k + part * (kk - k)), round(j + part * (jj - j)), round(i + part * (ii - i))
        if not of[phase[at[0], at[1], at[2]]]:
            return False
    return True


@compiled
def _foreign(
    phase: Phases, of: Flags, size: Array, rod: Array, k: int, j: int, i: int, far: float, about: int, cover: Cover
) -> bool:
    """Whether voxels of a set that no rod holds lie farther out than some distance around one: of another body."""
    layers, rows, columns = phase.shape
    for kk in range(max(0, k - about), min(layers, k + about + 1)):
        for jj in range(max(0, j - about), min(rows, j + about + 1)):
            for ii in range(max(0, i - about), min(columns, i + about + 1)):
                if (
                    of[phase[kk, jj, ii]]
                    and (len(cover) == 0 or cover[kk, jj, ii] == 0)
                    and _outside(rod, (kk + 0.5) * size[0], (jj + 0.5) * size[1], (ii + 0.5) * size[2]) > far
                    and _joined(phase, of, k, j, i, kk, jj, ii)
                ):
                    return True
    return False


@compiled
def _held_by_others(cover: Cover, own: Array, size: Array, k: int, j: int, i: int) -> bool:
    """Whether rods hold a voxel besides one's own."""
    if len(cover) == 0:
        return False
    count = cover[k, j, i]
    return count > 1 or (count == 1 and not _holds(own, (k + 0.5) * size[0], (j + 0.5) * size[1], (i + 0.5) * size[2]))


@compiled
def _holds(rod: Array, z: float, y: float, x: float) -> bool:
    """Whether a rod holds a place, or nearly so, where its wall is known."""
    along = _axial(rod, z, y, x)
    return rod[7] <= along <= rod[8] and _outside(rod, z, y, x) <= TOUCHING


@kept
def covered(rods: Array, size: Array, out: Cover) -> None:
    """Counts how many rods hold each voxel, or nearly so, where their walls are known: 2 at most.

    Args:
        rods: (n, 17)
        size: (3,) edges of voxels.
        out: (layers, rows, columns) counts are added.
    """
    layers, rows, columns = out.shape
    most = layers * size[0] + rows * size[1] + columns * size[2]
    for n in range(len(rods)):
        rod = rods[n]
        first, last, reach = max(rod[7], -2 * most), min(rod[8], 2 * most), rod[6] + TOUCHING
        ahead, behind = _span(rod, 0, reach, first, last, size[0], layers)
        above, below = _span(rod, 1, reach, first, last, size[1], rows)
        for k in range(ahead, behind):
            z = (k + 0.5) * size[0]
            for j in range(above, below):
                y = (j + 0.5) * size[1]
                start, stop = _row(rod, reach + 0.1, first - 0.1, last + 0.1, z, y, size[2], columns)
                for i in range(start, stop):
                    if out[k, j, i] < 2 and _holds(rod, z, y, (i + 0.5) * size[2]):
                        out[k, j, i] += 1


@compiled
def _far_here(shape: tuple[int, ...], k: int, j: int, i: int, far: float, far_at_frame: float) -> float:
    """What lies so far out is of other bodies: less at the frame, which may hide what lies farther out."""
    layers, rows, columns = shape
    edge = k < 2 or j < 2 or i < 2 or k >= layers - 2 or j >= rows - 2 or i >= columns - 2
    return far_at_frame if edge else far


@kept
def proven(
    phase: Phases,
    of: Flags,
    size: Array,
    rod: Array,
    first: float,
    last: float,
    widths: Array,
    slack: float,
    cover: Cover,
    own: Array,
    told: Numbers,
) -> bool:
    """Whether all voxels around a rod that are of it, and no others, are of a set of phases.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        rod: (17,)
        first: Where along the axis voxels begin to count.
        last: Where they end.
        widths: As in `wall_conditions`.
        slack: Longest edges by which they may be on the wrong side.
        cover: (layers, rows, columns) how many rods hold voxels, see `covered`; (0, 0, 0) where there are none.
        own: (17,) which of these is this one.
        told: (2,) takes how many voxels of the set there are around the wall, and how many of them lie beyond it though
            they are of no other body.

    Returns:
        Whether no others lie within.
    """
    near, far, far_at_frame, _, about = widths
    told[:] = 0
    layers, rows, columns = phase.shape
    ahead, behind = _span(rod, 0, rod[6] + near, first, last, size[0], layers)
    above, below = _span(rod, 1, rod[6] + near, first, last, size[1], rows)
    for k in range(ahead, behind):
        z = (k + 0.5) * size[0]
        for j in range(above, below):
            y = (j + 0.5) * size[1]
            start, stop = _row(rod, rod[6] + near, first, last, z, y, size[2], columns)
            for i in range(start, stop):
                out = _outside(rod, z, y, (i + 0.5) * size[2])
                if of[phase[k, j, i]]:
                    if out < -near:
                        continue
                    told[0] += 1
                    beyond = _far_here(phase.shape, k, j, i, far, far_at_frame)
                    if (
                        slack < out <= beyond
                        and not _held_by_others(cover, own, size, k, j, i)
                        and not _foreign(phase, of, size, rod, k, j, i, beyond, int(about), cover)
                    ):
                        told[1] += 1
                elif out < -slack or (out == 0 and slack == 0):
                    return False
    return True


@kept
def wall_conditions(
    phase: Phases,
    of: Flags,
    size: Array,
    rod: Array,
    first: float,
    last: float,
    widths: Array,
    cover: Cover,
    own: Array,
    points: Array,
    sides: Array,
    told: Numbers,
) -> int:
    """Voxels near the wall of a rod that are to lie within it or not.

    Those of the set near voxels of the set that lie farther out are left out, for these are of other bodies. So are
    those of others beyond an end.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        rod: (17,)
        first: Where along the axis voxels begin to count.
        last: Where they end.
        widths: How far from the wall voxels count; how far out those of other bodies lie at least, and beside the
            frame; how far below the surface voxels are bare; within how many voxels around them others make them
            uncertain.
        cover: (layers, rows, columns) how many rods hold voxels, see `covered`; (0, 0, 0) where there are none.
        own: (17,) which of these is this one.
        points: (n, 3) takes places of voxels' middles less that of the rod.
        sides: (n,) takes 1 within, -1 without.
        told: (3,) takes how many voxels of the set there are just below the surface that are certain, are held by other
            rods, and lie near other bodies.

    Returns:
        How many there are; -1 where there is no room.
    """
    near, far, far_at_frame, bare, about = widths
    layers, rows, columns = phase.shape
    told[:] = 0
    count = 0
    ahead, behind = _span(rod, 0, rod[6] + near, first, last, size[0], layers)
    above, below = _span(rod, 1, rod[6] + near, first, last, size[1], rows)
    for k in range(ahead, behind):
        z = (k + 0.5) * size[0]
        for j in range(above, below):
            y = (j + 0.5) * size[1]
            start, stop = _row(rod, rod[6] + near, first, last, z, y, size[2], columns)
            for i in range(start, stop):
                x = (i + 0.5) * size[2]
                off = _from_axis(rod, z, y, x) - rod[6]
                if off < -near:
                    continue
                within = of[phase[k, j, i]]
                if within:
                    if _held_by_others(cover, own, size, k, j, i):
                        told[1] += off > -bare
                        continue
                    beyond = _far_here(phase.shape, k, j, i, far, far_at_frame)
                    if off > beyond or _foreign(phase, of, size, rod, k, j, i, beyond, int(about), cover):
                        told[2] += off > -bare
                        continue
                    told[0] += off > -bare
                elif _outside(rod, z, y, x) > max(off, 0.0):
                    continue
                if count >= len(sides):
                    return -1
                points[count, 0], points[count, 1], points[count, 2] = z - rod[0], y - rod[1], x - rod[2]
                sides[count] = 1.0 if within else -1.0
                count += 1
    return count


@kept
def end_voxels(
    phase: Phases,
    of: Flags,
    size: Array,
    rod: Array,
    inner: float,
    first: float,
    last: float,
    points: Array,
    sides: Array,
    beside: Flags,
) -> int:
    """Voxels near the axis about an end of a rod.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        rod: (17,)
        inner: Distance from the axis within which they are.
        first: Where along the axis they begin.
        last: Where they end.
        points: (n, 3) takes places of voxels' middles less that of the rod.
        sides: (n,) takes 1 within, -1 without.
        beside: (n,) takes whether one of the voxels on the other side shares a face.

    Returns:
        How many there are; -1 where there is no room.
    """
    layers, rows, columns = phase.shape
    count = 0
    ahead, behind = _span(rod, 0, inner, first, last, size[0], layers)
    above, below = _span(rod, 1, inner, first, last, size[1], rows)
    for k in range(ahead, behind):
        z = (k + 0.5) * size[0]
        for j in range(above, below):
            y = (j + 0.5) * size[1]
            start, stop = _row(rod, inner, first, last, z, y, size[2], columns)
            for i in range(start, stop):
                if count >= len(sides):
                    return -1
                within = of[phase[k, j, i]]
                points[count, 0], points[count, 1] = z - rod[0], y - rod[1]
                points[count, 2] = (i + 0.5) * size[2] - rod[2]
                sides[count] = 1.0 if within else -1.0
                beside[count] = False
                for axis in range(3):
                    for way in range(-1, 2, 2):
                        kk, jj, ii = k, j, i
                        if axis == 0:
                            kk += way
                        elif axis == 1:
                            jj += way
                        else:
                            ii += way
                        if kk < 0 or jj < 0 or ii < 0 or kk >= layers or jj >= rows or ii >= columns:
                            continue
                        beside[count] |= of[phase[kk, jj, ii]] != within
                count += 1
    return count


@kept
def hold(rods: Array, size: Array, start: int, slack: float, out: Flags) -> None:
    """Marks voxels of some layers that rods hold, where their walls are known.

    Args:
        rods: (n, 17)
        size: (3,) edges of voxels.
        start: First of the layers in the image, along its first axis.
        slack: By how much their voxels may lie beyond them.
        out: (layers, rows, columns) changed.
    """
    layers, rows, columns = out.shape
    most = 0.0
    for k in range(3):
        most += (out.shape[k] + (start if k == 0 else 0)) * size[k]
    rod = np.empty(COLUMNS)
    for n in range(len(rods)):
        rod[:] = rods[n]
        rod[0] -= start * size[0]
        first, last = max(rod[7], -2 * most), min(rod[8], 2 * most)
        ahead, behind = _span(rod, 0, rod[6] + slack, first, last, size[0], layers)
        above, below = _span(rod, 1, rod[6] + slack, first, last, size[1], rows)
        for k in range(ahead, behind):
            z = (k + 0.5) * size[0]
            for j in range(above, below):
                y = (j + 0.5) * size[1]
                begin, stop = _row(rod, rod[6] + slack, first, last, z, y, size[2], columns)
                for i in range(begin, stop):
                    if _outside(rod, z, y, (i + 0.5) * size[2]) <= slack:
                        out[k, j, i] = True


@kept
def count_bare(
    phase: Phases,
    of: Flags,
    size: Array,
    places: Array,
    outwards: Array,
    rod: Array,
    same: Array,
    balls: Array,
    slack: float,
    found: Numbers,
) -> None:
    """Counts the places on a rod's surface that are between two phases.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        places: (m, 3)
        outwards: (m, 3) unit vectors at right angles to the surface.
        rod: (17,)
        same: (k, 17) rods beside it of the same phases.
        balls: (l, 4) balls of the same phases.
        slack: By how much voxels of a body may lie beyond it.
        found: (phases, phases) counts are added, within and without.
    """
    within, without = -1, -1
    several_within, several_without = False, False
    for value in range(len(of)):
        if of[value]:
            several_within |= within >= 0
            within = value
        else:
            several_without |= without >= 0
            without = value
    at, aside, sets = np.empty(3), np.zeros((0, 4)), np.zeros((0, len(of)), np.bool_)
    reach = int(math.sqrt(2 * rod[6] / size.min())) + 3
    for s in range(len(places)):
        place = places[s]
        if inside_of(phase, of, size, place[0], place[1], place[2]) < 0:
            continue
        if _in_one(same, balls, place[0], place[1], place[2], 0.0):
            continue
        hidden = False
        for turn in range(8):
            out = 0.25 * (turn + 1)
            for k in range(3):
                at[k] = place[k] + out * outwards[s, k]
            if inside_of(phase, of, size, at[0], at[1], at[2]) < 1:
                break
            for k in range(3):
                at[k] = (math.floor(at[k] / size[k]) + 0.5) * size[k]
            if _outside(rod, at[0], at[1], at[2]) <= slack:
                continue
            hidden = not _in_one(same, balls, at[0], at[1], at[2], slack)
            break
        if hidden:
            continue
        one = phase_near(phase, of, True, size, 3, place, reach, aside, sets) if several_within else within
        two = phase_near(phase, of, False, size, 3, place, reach, aside, sets) if several_without else without
        if one >= 0 and two >= 0:
            found[one, two] += 1


@compiled
def _in_one(rods: Array, balls: Array, z: float, y: float, x: float, slack: float) -> bool:
    """Whether one of some rods, where its wall is known, or of some balls holds a place, or nearly so."""
    for n in range(len(rods)):
        along = _axial(rods[n], z, y, x)
        if rods[n, 7] <= along <= rods[n, 8] and _outside(rods[n], z, y, x) <= slack:
            return True
    for n in range(len(balls)):
        square = (z - balls[n, 0]) ** 2 + (y - balls[n, 1]) ** 2 + (x - balls[n, 2]) ** 2
        if square <= (balls[n, 3] + slack) ** 2:
            return True
    return False
