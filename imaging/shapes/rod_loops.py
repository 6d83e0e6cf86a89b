"""Loops over the voxels around cylinders, which numba compiles; a cylinder is a row of numbers as in `rod_geometry`."""

import math

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.shapes.loops import SEVERAL, inside_of, only_phase
from microlith.imaging.shapes.rod_geometry import STEPS, axial, from_axis, outside, past_ends, row_of, rows_near, span
from microlith.imaging.shapes.rods import COLUMNS, ENDS, NOWHERE
from microlith.imaging.typing import Array, Flags, Numbers, Phases

Cover = NDArray[np.uint8]
TOUCHING = 0.5  # longest edges by which voxels of a rod may lie beyond it, where another one touches it
SAME, PARALLEL = 0.5, 0.9  # longest edges between surfaces that are one, and the cosine between their normals


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
    ahead, behind = span(rod, 0, core, first, last, size[0], layers)
    above, below = span(rod, 1, core, first, last, size[1], rows)
    for k in range(ahead, behind):
        z = (k + 0.5) * size[0]
        for j in range(above, below):
            y = (j + 0.5) * size[1]
            start, stop = row_of(rod, core, low, high, z, y, size[2], columns)
            for i in range(start, stop):
                if not of[phase[k, j, i]]:
                    along = axial(rod, z, y, (i + 0.5) * size[2])
                    if along < 0:
                        low = max(low, along)
                    else:
                        high = min(high, along)
    return low, high


@kept
def open_shares(
    phase: Phases, of: Flags, size: Array, rod: Array, inner: float, outer: float, first: float, shares: Array
) -> None:
    """Which share of the voxels just beyond a wall is of a set of phases, by sections a longest edge long.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are of the set.
        size: (3,) edges of voxels.
        rod: (17,)
        inner: Distance from the axis where voxels begin to count.
        outer: Where they end.
        first: Where along the axis sections begin.
        shares: (n,) takes them; 0 where there are no voxels.
    """
    told = np.zeros(len(shares))
    shares[:] = 0.0
    for k, j, start, stop in rows_near(rod, outer, first, first + len(shares), size, phase.shape):
        z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
        for i in range(start, stop):
            x = (i + 0.5) * size[2]
            if from_axis(rod, z, y, x) < inner:
                continue
            section = min(max(int(axial(rod, z, y, x) - first), 0), len(shares) - 1)
            told[section] += 1.0
            shares[section] += of[phase[k, j, i]]
    for section in range(len(shares)):
        if told[section] > 0:
            shares[section] /= told[section]


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
                    and outside(rod, (kk + 0.5) * size[0], (jj + 0.5) * size[1], (ii + 0.5) * size[2]) > far
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
    along = axial(rod, z, y, x)
    return rod[7] <= along <= rod[8] and outside(rod, z, y, x) <= TOUCHING


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
        for k, j, start, stop in rows_near(rod, reach + 0.1, first - 0.1, last + 0.1, size, out.shape):
            z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
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
    for k, j, start, stop in rows_near(rod, rod[6] + near, first, last, size, phase.shape):
        z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
        for i in range(start, stop):
            out = outside(rod, z, y, (i + 0.5) * size[2])
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
    rim: float,
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
        rim: How far before an end those of others are left out as well, which may be beyond it or beyond the wall.
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
    told[:] = 0
    count = 0
    for k, j, start, stop in rows_near(rod, rod[6] + near, first, last, size, phase.shape):
        z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
        for i in range(start, stop):
            x = (i + 0.5) * size[2]
            off = from_axis(rod, z, y, x) - rod[6]
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
            elif past_ends(rod, z, y, x) > max(off, 0.0) - rim:
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
    hollow: float,
    inner: float,
    first: float,
    last: float,
    sign: float,
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
        hollow: Distance from the axis up to which they don't count.
        inner: Distance from the axis within which they are.
        first: Where along the axis they begin.
        last: Where they end.
        sign: 1 for the end ahead along the axis, -1 for the one behind.
        points: (n, 3) takes places of voxels' middles less that of the rod.
        sides: (n,) takes 1 within, -1 without.
        beside: (n,) takes whether a face is shared with a voxel on the other side, farther out if this one is within,
            and else farther in: near sides of bodies beyond the end don't count.

    Returns:
        How many there are; -1 where there is no room.
    """
    layers, rows, columns = phase.shape
    count = 0
    for k, j, start, stop in rows_near(rod, inner, first, last, size, phase.shape):
        z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
        for i in range(start, stop):
            if hollow > 0 and from_axis(rod, z, y, (i + 0.5) * size[2]) < hollow:
                continue
            if count >= len(sides):
                return -1
            within = of[phase[k, j, i]]
            points[count, 0], points[count, 1] = z - rod[0], y - rod[1]
            points[count, 2] = (i + 0.5) * size[2] - rod[2]
            sides[count] = 1.0 if within else -1.0
            beside[count] = False
            for dk, dj, di in STEPS:
                kk, jj, ii = k + dk, j + dj, i + di
                if 0 <= kk < layers and 0 <= jj < rows and 0 <= ii < columns:
                    along = (
                        (dk * size[0] * rod[3] + dj * size[1] * rod[4] + di * size[2] * rod[5]) * sign * sides[count]
                    )
                    beside[count] |= of[phase[kk, jj, ii]] != within and along > 0
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
    most = 0.0
    for k in range(3):
        most += (out.shape[k] + (start if k == 0 else 0)) * size[k]
    rod = np.empty(COLUMNS)
    for n in range(len(rods)):
        rod[:] = rods[n]
        rod[0] -= start * size[0]
        first, last = max(rod[7], -2 * most), min(rod[8], 2 * most)
        for k, j, begin, stop in rows_near(rod, rod[6] + slack, first, last, size, out.shape):
            z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
            for i in range(begin, stop):
                if outside(rod, z, y, (i + 0.5) * size[2]) <= slack:
                    out[k, j, i] = True


@kept
def count_bare(
    phase: Phases,
    of: Flags,
    size: Array,
    places: Array,
    outwards: Array,
    rod: Array,
    part: int,
    same: Array,
    balls: Array,
    before: Array,
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
        part: Column of the plane of the end that they are on, 0 for the wall.
        same: (k, 17) rods beside it of the same phases.
        balls: (l, 4) balls of the same phases.
        before: (n, 17) rods of other phases, whose surface has been counted: a core and its coat may end in one plane.
        slack: By how much voxels of a body may lie beyond it.
        found: (phases, phases) counts are added, within and without.
    """
    within, without = only_phase(of, True), only_phase(of, False)
    at = np.empty(3)
    reach = int(math.sqrt(2 * rod[6] / size.min())) + 3
    for s in range(len(places)):
        place = places[s]
        if inside_of(phase, of, size, place[0], place[1], place[2]) < 0:
            continue
        hidden = _in_one(same, balls, place[0], place[1], place[2], 0.0)
        for n in range(len(before)):
            hidden = hidden or _on_surface(before[n], place, outwards[s])
        if hidden:
            continue
        for turn in range(8):
            out = 0.25 * (turn + 1)
            for k in range(3):
                at[k] = place[k] + out * outwards[s, k]
            if inside_of(phase, of, size, at[0], at[1], at[2]) < 1:
                break
            for k in range(3):
                at[k] = (math.floor(at[k] / size[k]) + 0.5) * size[k]
            if outside(rod, at[0], at[1], at[2]) <= slack:
                continue
            hidden = not _in_one(same, balls, at[0], at[1], at[2], slack)
            break
        if hidden:
            continue
        one = _phase_near(phase, of, True, size, rod, part, before, place, reach) if within == SEVERAL else within
        two = _phase_near(phase, of, False, size, rod, part, before, place, reach) if without == SEVERAL else without
        if one >= 0 and two >= 0:
            found[one, two] += 1


@compiled
def _phase_near(
    phase: Phases, of: Flags, wanted: bool, size: Array, rod: Array, part: int, before: Array, place: Array, reach: int
) -> int:
    """Phase of the nearest voxel that is of a set or not, where no other surface is in between; -1 if there is none.

    About the rim of an end, what is nearest to the wall may lie beyond the end, where another phase is, or within a
    core that ends there too.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are of the set.
        wanted: Whether it is to be of the set.
        size: (3,) edges of voxels.
        rod: (17,)
        part: Column of the end's plane, 0 for the wall.
        before: (n, 17) rods whose voxels don't count within the set.
        place: (3,) on this part.
        reach: Voxels around it that are looked at.
    """
    k0, j0, i0 = (
        math.floor(place[0] / size[0]),
        math.floor(place[1] / size[1]),
        math.floor(place[2] / size[2]),
    )
    found, best, none = -1, 1e300, np.zeros((0, 4))
    for rim in range(1, reach + 1):
        for k in range(max(0, k0 - rim), min(phase.shape[0], k0 + rim + 1)):
            z = (k + 0.5) * size[0]
            for j in range(max(0, j0 - rim), min(phase.shape[1], j0 + rim + 1)):
                y = (j + 0.5) * size[1]
                for i in range(max(0, i0 - rim), min(phase.shape[2], i0 + rim + 1)):
                    if of[phase[k, j, i]] != wanted:
                        continue
                    x = (i + 0.5) * size[2]
                    square = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
                    if square >= best or (wanted and _in_one(before, none, z, y, x, 0.0)):
                        continue
                    if not _beyond_others(rod, part, z, y, x):
                        found, best = phase[k, j, i], square
        if found >= 0:
            break
    return found


@compiled
def _beyond_others(rod: Array, part: int, z: float, y: float, x: float) -> bool:
    """Whether a place is beyond the wall or an end of a rod, but for one of these."""
    if part != 0 and from_axis(rod, z, y, x) > rod[6]:
        return True
    for first in ENDS:
        off = (z - rod[0]) * rod[first] + (y - rod[1]) * rod[first + 1] + (x - rod[2]) * rod[first + 2]
        if first != part and off > rod[first + 3]:
            return True
    return False


@compiled
def _on_surface(rod: Array, place: Array, normal: Array) -> bool:
    """Whether a place lies on a rod's wall or on one of its ends, or nearly so, and a vector is about normal there."""
    along = axial(rod, place[0], place[1], place[2])
    if not rod[7] <= along <= rod[8]:
        return False
    away, turned, most = 0.0, 0.0, -NOWHERE
    for k in range(3):
        aside = place[k] - rod[k] - along * rod[3 + k]
        away += aside * aside
        turned += aside * normal[k]
    away = math.sqrt(away)
    for first in ENDS:
        off, across = -rod[first + 3], 0.0
        for k in range(3):
            off += (place[k] - rod[k]) * rod[first + k]
            across += normal[k] * rod[first + k]
        if abs(off) <= SAME and abs(across) > PARALLEL and away <= rod[6]:
            return True
        most = max(most, off)
    return most <= 0 and abs(away - rod[6]) <= SAME and abs(turned) > PARALLEL * away


@compiled
def _in_one(rods: Array, balls: Array, z: float, y: float, x: float, slack: float) -> bool:
    """Whether one of some rods, where its wall is known, or of some balls holds a place, or nearly so."""
    for n in range(len(rods)):
        along = axial(rods[n], z, y, x)
        if rods[n, 7] <= along <= rods[n, 8] and outside(rods[n], z, y, x) <= slack:
            return True
    for n in range(len(balls)):
        square = (z - balls[n, 0]) ** 2 + (y - balls[n, 1]) ** 2 + (x - balls[n, 2]) ** 2
        if square <= (balls[n, 3] + slack) ** 2:
            return True
    return False
