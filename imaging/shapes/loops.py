"""Loops over candidates and the voxels around them, which numba compiles; 2D images have one layer."""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Flags, Numbers, Phases, Singles

# In how many turns spheres are fitted, after how many of these all but what is nearest is left out, after how many
# those are given up whose residues are as large as of any place in the reach, and what part of it that is
TURNS, NARROW, GIVEN_UP, LARGE = 9, 5, 3, 0.41
REACH = 1.0  # longest edges from a sphere that rays are followed in the end
# Ridges: how much less deep it gets per way, and in how many of 13 directions it may not
SHARP, MOST_LEVEL = 0.4, 2
SEVERAL = -2  # in place of a phase; -1: none


@kept
def find_peaks(depth: Singles, least: float, found: Numbers) -> int:
    """Voxels that are no less deep than their neighbours, one of those side by side that are alike.

    Args:
        depth: (layers, rows, columns) distance to the surface.
        least: Below which there is none.
        found: (most, 3) takes their places, as many as there is room for.

    Returns:
        How many it has taken.
    """
    count = 0
    layers, rows, columns = depth.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                here = depth[z, y, x]
                if here < least:
                    continue
                peak = True
                for dz in range(max(z - 1, 0), min(z + 2, layers)):
                    for dy in range(max(y - 1, 0), min(y + 2, rows)):
                        for dx in range(max(x - 1, 0), min(x + 2, columns)):
                            there = depth[dz, dy, dx]
                            before = (dz, dy, dx) < (z, y, x)
                            if there > here or (there == here and before):
                                peak = False
                                break
                        if not peak:
                            break
                    if not peak:
                        break
                if peak:
                    if count == len(found):
                        return count
                    found[count, 0], found[count, 1], found[count, 2] = z, y, x
                    count += 1
    return count


@kept
def find_ridges(depth: Singles, spacing: Array, least: float, block: int, found: Numbers) -> int:
    """Voxels on lines from which a set of phases gets less deep to all sides but along them: the deepest of each block.

    Args:
        depth: (layers, rows, columns) distance to the surface.
        spacing: (3,) edges of voxels.
        least: Depth below which there is none.
        block: Edge of blocks, voxels.
        found: (most, 3) takes their places, as many as there is room for.

    Returns:
        How many it has taken.
    """
    layers, rows, columns = depth.shape
    count = 0
    best = np.empty(3, np.int64)
    for z0 in range(1, layers - 1, block):
        for y0 in range(1, rows - 1, block):
            for x0 in range(1, columns - 1, block):
                deepest = least
                for z in range(z0, min(z0 + block, layers - 1)):
                    for y in range(y0, min(y0 + block, rows - 1)):
                        for x in range(x0, min(x0 + block, columns - 1)):
                            if depth[z, y, x] > deepest and _on_ridge(depth, spacing, z, y, x):
                                deepest = depth[z, y, x]
                                best[0], best[1], best[2] = z, y, x
                if deepest > least:
                    if count == len(found):
                        return count
                    found[count] = best
                    count += 1
    return count


@compiled
def _on_ridge(depth: Singles, spacing: Array, z: int, y: int, x: int) -> bool:
    """Whether it gets less deep in most directions, to both sides on average."""
    here, level = depth[z, y, x], 0
    for dz in range(2):
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if dz == 0 and (dy < 0 or (dy == 0 and dx <= 0)):
                    continue
                step = math.sqrt((dz * spacing[0]) ** 2 + (dy * spacing[1]) ** 2 + (dx * spacing[2]) ** 2)
                mean = 0.5 * (depth[z + dz, y + dy, x + dx] + depth[z - dz, y - dy, x - dx])
                level += here - mean < SHARP * step
                if level > MOST_LEVEL:
                    return False
    return True


@compiled
def inside_of(phase: Phases, of: Flags, size: Array, z: float, y: float, x: float) -> int:
    """1 within the set of phases, 0 in another phase, -1 beyond the frame."""
    k, j, i = math.floor(z / size[0]), math.floor(y / size[1]), math.floor(x / size[2])
    layers, rows, columns = phase.shape
    if k < 0 or j < 0 or i < 0 or k >= layers or j >= rows or i >= columns:
        return -1
    return 1 if of[phase[k, j, i]] else 0


@compiled
def solve(matrix: Array, right: Array, count: int) -> bool:
    """Gauss's elimination in place; the solution is in `right`."""
    for col in range(count):
        pivot = col
        for row in range(col + 1, count):
            if abs(matrix[row, col]) > abs(matrix[pivot, col]):
                pivot = row
        if abs(matrix[pivot, col]) < 1e-9:
            return False
        for k in range(count):
            matrix[col, k], matrix[pivot, k] = matrix[pivot, k], matrix[col, k]
        right[col], right[pivot] = right[pivot], right[col]
        for row in range(count):
            if row != col:
                factor = matrix[row, col] / matrix[col, col]
                for k in range(col, count):
                    matrix[row, k] -= factor * matrix[col, k]
                right[row] -= factor * right[col]
    for row in range(count):
        right[row] /= matrix[row, row]
    return True


@compiled
def _follow(
    phase: Phases, of: Flags, size: Array, middle: Array, sight: Array, first: float, last: float, step: float
) -> tuple[int, float]:
    """Follows a ray through voxels until it leaves a set of phases.

    Returns:
        0 where it does not, or lies beyond the frame; 1 where it leaves it, and how far from the middle; 2 where it has
        left it before; 3 where it stays within.
    """
    before, at = -2, first
    while at <= last:
        now = inside_of(
            phase, of, size, middle[0] + at * sight[0], middle[1] + at * sight[1], middle[2] + at * sight[2]
        )
        if now == 0:
            if before == 1:
                return 1, at - 0.5 * step
            return (2 if before == -2 else 0), at
        before = now
        at += step
    return (3 if before == 1 else 0), at


@kept
def refine(
    phase: Phases,
    of: Flags,
    size: Array,
    dim: int,
    sights: Array,
    middle: Array,
    radius: Array,
    limits: Array,
    good: Flags,
    shape: Array,
) -> None:
    """Fits spheres to where rays from their middles leave a set of phases, in turns, to those near the last sphere.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        dim: 2 or 3.
        sights: (m, 3) unit vectors.
        middle: (n, 3) changed.
        radius: (n,) changed.
        limits: Least radius; least share of the rays within the frame that leave near the sphere; largest share that
            leave before; first reach in radii.
        good: (n,) takes whether it fits.
        shape: (n, 2) takes the root mean square residue, and the largest mean one in an octant.
    """
    least, least_share, most_early, wide = limits
    step = 0.2 * size[3 - dim :].min()
    count, unknowns = len(sights), dim + 1
    hits, state, sums = np.empty(count), np.empty(count, np.int64), np.empty((8, 2))
    matrix, right, row = np.empty((unknowns, unknowns)), np.empty(unknowns), np.empty(unknowns)
    for n in range(len(radius)):
        good[n] = False
        for turn in range(TURNS):
            rim = max(REACH * max(1.0, 3.5 - 0.6 * turn), wide * radius[n] * 0.6**turn)
            first, last = max(radius[n] - rim, 0.0), radius[n] + rim
            seen, early, near = 0, 0, 0
            # |x - c|^2 = R^2 is linear in c and R^2 - c^2
            matrix[:] = 0
            right[:] = 0
            for s in range(count):
                state[s], hits[s] = _follow(phase, of, size, middle[n], sights[s], first, last, step)
                seen += state[s] > 0
                early += state[s] == 2
                if state[s] != 1:
                    continue
                near += 1
                for k in range(dim):
                    row[k] = 2 * hits[s] * sights[s, 3 - dim + k]
                row[dim] = 1.0
                for k in range(unknowns):
                    right[k] += row[k] * hits[s] ** 2
                    for j in range(unknowns):
                        matrix[k, j] += row[k] * row[j]
            if near < 0.4 * least_share * seen or near < 3 * unknowns or not solve(matrix, right, unknowns):
                break
            moved = 0.0
            for k in range(dim):
                moved += right[k] ** 2
            square = right[dim] + moved
            if square <= (0.7 * least) ** 2 or moved > (6 * REACH + wide * radius[n]) ** 2:
                break
            change = abs(math.sqrt(square) - radius[n]) + math.sqrt(moved)
            if turn == GIVEN_UP and wide == 0:
                squares = 0.0
                for s in range(count):
                    if state[s] == 1:
                        squares += (hits[s] - radius[n]) ** 2
                if squares > (LARGE * rim) ** 2 * near:
                    break
            for k in range(dim):
                middle[n, 3 - dim + k] += right[k]
            radius[n] = math.sqrt(square)
            if turn < NARROW or (change >= 0.3 * step and turn < TURNS - 1):
                continue
            squares = 0.0
            sums[:] = 0
            for s in range(count):
                if state[s] == 1:
                    away = hits[s] - radius[n]
                    squares += away**2
                    part = (sights[s, 0] > 0) * 4 + (sights[s, 1] > 0) * 2 + (sights[s, 2] > 0)
                    sums[part, 0] += away
                    sums[part, 1] += 1
            shape[n, 0], shape[n, 1] = math.sqrt(squares / near), 0.0
            for part in range(8):
                if sums[part, 1] > 0.02 * count:
                    shape[n, 1] = max(shape[n, 1], abs(sums[part, 0] / sums[part, 1]))
            good[n] = radius[n] >= least and near >= least_share * seen and near >= 0.02 * count
            good[n] = good[n] and early <= most_early * seen
            break


@compiled
def _held(z: float, y: float, x: float, others: Array, dim: int, slack: float) -> bool:
    """Whether one of some balls holds a place, or nearly so."""
    for n in range(len(others)):
        square = (y - others[n, 1]) ** 2 + (x - others[n, 2]) ** 2
        if dim == 3:
            square += (z - others[n, 0]) ** 2
        if square <= (others[n, 3] + slack) ** 2:
            return True
    return False


@kept
def conditions(
    phase: Phases,
    of: Flags,
    size: Array,
    dim: int,
    ball: Array,
    others: Array,
    widths: Array,
    points: Array,
    sides: Array,
    told: Numbers,
) -> int:
    """Voxels near the surface of a ball that are to lie within it or not.

    Those of the set are left out where another ball holds them, and near voxels of the set that lie farther out: there
    are other bodies that touch it. Beside the frame, which may hide what of them lies farther out, less is enough.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within.
        size: (3,) edges of voxels.
        dim: 2 or 3.
        ball: (4,) its middle and radius.
        others: (k, 4) the same of balls around it.
        widths: How far from the surface voxels count; how far out those of other bodies lie at least, and beside the
            frame; how far below the surface voxels are bare; by how much those of others may lie beyond these.
        points: (n, 3) takes places of voxels' middles less the centre.
        sides: (n,) takes 1 within, -1 without.
        told: (3,) takes how many voxels of the set there are just below the surface that are certain, are held by
            others, and lie near other bodies.

    Returns:
        How many there are; -1 where voxels deep within the ball are not of the set, -2 where there is no room.
    """
    near, far, far_at_frame, bare, slack = widths
    count = 0
    told[:] = 0
    radius = ball[3]
    low, high = np.zeros(3, np.int64), np.ones(3, np.int64)
    for k in range(3 - dim, 3):
        low[k] = max(0, math.floor((ball[k] - radius - near) / size[k] - 0.5))
        high[k] = min(phase.shape[k], math.ceil((ball[k] + radius + near) / size[k] + 0.5))
    inner, outer = max(radius - near, 0.0) ** 2, (radius + near) ** 2
    skin = max(radius - bare, 0.0) ** 2
    layers, rows, columns = phase.shape
    about = 2 if dim == 3 else 0
    for z in range(low[0], high[0]):
        dz = (z + 0.5) * size[0] - ball[0] if dim == 3 else 0.0
        for y in range(low[1], high[1]):
            dy = (y + 0.5) * size[1] - ball[1]
            for x in range(low[2], high[2]):
                dx = (x + 0.5) * size[2] - ball[2]
                square = dz * dz + dy * dy + dx * dx
                if square > outer:
                    continue
                within = of[phase[z, y, x]]
                if square < inner:
                    if not within:
                        return -1
                    continue
                if within:
                    if _held((z + 0.5) * size[0], (y + 0.5) * size[1], (x + 0.5) * size[2], others, dim, slack):
                        told[1] += square > skin
                        continue
                    edge = y < 2 or x < 2 or y >= rows - 2 or x >= columns - 2
                    if dim == 3:
                        edge = edge or z < 2 or z >= layers - 2
                    beyond = (radius + (far_at_frame if edge else far)) ** 2
                    foreign = square > beyond
                    for k in range(max(0, z - about), min(layers, z + about + 1)):
                        if foreign:
                            break
                        ez = (k + 0.5) * size[0] - ball[0] if dim == 3 else 0.0
                        for j in range(max(0, y - 2), min(rows, y + 3)):
                            if foreign:
                                break
                            ey = (j + 0.5) * size[1] - ball[1]
                            for i in range(max(0, x - 2), min(columns, x + 3)):
                                ex = (i + 0.5) * size[2] - ball[2]
                                if (
                                    ez * ez + ey * ey + ex * ex > beyond
                                    and of[phase[k, j, i]]
                                    and not _held(
                                        (k + 0.5) * size[0],
                                        (j + 0.5) * size[1],
                                        (i + 0.5) * size[2],
                                        others,
                                        dim,
                                        slack,
                                    )
                                ):
                                    foreign = True
                                    break
                    if foreign:
                        told[2] += square > skin
                        continue
                    told[0] += square > skin
                if count >= len(sides):
                    return -2
                points[count, 0], points[count, 1], points[count, 2] = dz, dy, dx
                sides[count] = 1.0 if within else -1.0
                count += 1
    return count


@kept
def bare_voxels(phase: Phases, of: Flags, hold: Flags, dim: int, found: Numbers) -> int:
    """Voxels of a set of phases beside others that are not.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are of the set.
        hold: (layers, rows, columns) voxels that do not count.
        dim: 2 or 3.
        found: (most, 3) takes them, as many as there is room for.

    Returns:
        How many there are, or one more than there is room for.
    """
    count = 0
    layers, rows, columns = phase.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                if not of[phase[z, y, x]] or hold[z, y, x]:
                    continue
                bare = (y > 0 and not of[phase[z, y - 1, x]]) or (y < rows - 1 and not of[phase[z, y + 1, x]])
                bare = bare or (x > 0 and not of[phase[z, y, x - 1]])
                bare = bare or (x < columns - 1 and not of[phase[z, y, x + 1]])
                if dim == 3:
                    bare = bare or (z > 0 and not of[phase[z - 1, y, x]])
                    bare = bare or (z < layers - 1 and not of[phase[z + 1, y, x]])
                if bare:
                    if count == len(found):
                        return count + 1
                    found[count, 0], found[count, 1], found[count, 2] = z, y, x
                    count += 1
    return count


@compiled
def phase_near(
    phase: Phases, of: Flags, wanted: bool, size: Array, dim: int, place: Array, reach: int, aside: Array, sets: Flags
) -> int:
    """Phase of the nearest voxel that is of a set, or not of it; -1 where none is near.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are of the set.
        wanted: Whether it is to be of the set.
        size: (3,) edges of voxels.
        dim: 2 or 3.
        place: (3,)
        reach: Voxels around it that are looked at.
        aside: (k, 4) middles and radii of balls whose voxels count only where there are no others.
        sets: (k, phases) what these are of.
    """
    k0, j0, i0 = (
        math.floor(place[0] / size[0]),
        math.floor(place[1] / size[1]),
        math.floor(place[2] / size[2]),
    )
    found, spare, best, best_spare = -1, -1, 1e300, 1e300
    for rim in range(1, reach + 1):
        about = rim if dim == 3 else 0
        for k in range(max(0, k0 - about), min(phase.shape[0], k0 + about + 1)):
            z = (k + 0.5) * size[0]
            dz = z - place[0] if dim == 3 else 0.0
            for j in range(max(0, j0 - rim), min(phase.shape[1], j0 + rim + 1)):
                y = (j + 0.5) * size[1]
                for i in range(max(0, i0 - rim), min(phase.shape[2], i0 + rim + 1)):
                    value = phase[k, j, i]
                    if of[value] != wanted:
                        continue
                    x = (i + 0.5) * size[2]
                    square = dz**2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
                    if square >= best:
                        continue
                    spared = False
                    for n in range(len(aside)):
                        if sets[n, value]:
                            away = (y - aside[n, 1]) ** 2 + (x - aside[n, 2]) ** 2
                            if dim == 3:
                                away += (z - aside[n, 0]) ** 2
                            if away <= aside[n, 3] ** 2:
                                spared = True
                                break
                    if not spared:
                        found, best = value, square
                    elif square < best_spare:
                        spare, best_spare = value, square
        if found >= 0:
            break
    return found if found >= 0 else spare


@compiled
def only_phase(of: Flags, within: bool) -> int:
    """The phase within a set, or the one that is not, if there is but one."""
    found = -1
    for phase in range(len(of)):
        if of[phase] == within:
            found = phase if found == -1 else SEVERAL
    return found


@kept
def count_exposed(
    phase: Phases,
    of: Flags,
    size: Array,
    dim: int,
    sights: Array,
    ball: Array,
    same: Array,
    others: Array,
    sets: Flags,
    slack: float,
    found: Numbers,
) -> None:
    """Counts the directions in which a ball has a surface between two phases.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are within the ball.
        size: (3,) edges of voxels.
        dim: 2 or 3.
        sights: (m, 3) unit vectors.
        ball: (4,) its middle and radius.
        same: (k, 4) the same of balls beside it of the same phases.
        others: (l, 4) the same of others.
        sets: (l, phases) what these are of.
        slack: By how much voxels of a ball may lie beyond it.
        found: (phases, phases) counts are added, within and without.
    """
    within, without = only_phase(of, True), only_phase(of, False)
    place, at = np.empty(3), np.empty(3)
    radius = ball[3]
    reach = int(math.sqrt(2 * radius / size[3 - dim :].min())) + 3
    for s in range(len(sights)):
        hidden = False
        for k in range(3):
            place[k] = ball[k] + radius * sights[s, k]
        for n in range(len(same)):
            square = (place[0] - same[n, 0]) ** 2 + (place[1] - same[n, 1]) ** 2 + (place[2] - same[n, 2]) ** 2
            if square < same[n, 3] ** 2:
                hidden = True
                break
        if hidden or inside_of(phase, of, size, place[0], place[1], place[2]) < 0:
            continue
        # The first voxel outwards that is not of the ball itself
        for turn in range(8):
            out = radius + 0.25 * (turn + 1)
            state = inside_of(
                phase,
                of,
                size,
                ball[0] + out * sights[s, 0],
                ball[1] + out * sights[s, 1],
                ball[2] + out * sights[s, 2],
            )
            if state < 1:
                break
            square = 0.0
            for k in range(3 - dim, 3):
                at[k] = (math.floor((ball[k] + out * sights[s, k]) / size[k]) + 0.5) * size[k]
                square += (at[k] - ball[k]) ** 2
            if square <= (radius + slack) ** 2:
                continue
            hidden = True
            for n in range(len(same)):
                square = 0.0
                for k in range(3 - dim, 3):
                    square += (at[k] - same[n, k]) ** 2
                if square <= (same[n, 3] + slack) ** 2:
                    hidden = False
                    break
            break
        if hidden:
            continue
        one = phase_near(phase, of, True, size, dim, place, reach, others[:0], sets) if within == SEVERAL else within
        two = phase_near(phase, of, False, size, dim, place, reach, others, sets) if without == SEVERAL else without
        if one >= 0 and two >= 0:
            found[one, two] += 1
