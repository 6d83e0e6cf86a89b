"""Loops over the voxels of a set's surface that no ball has, which numba compiles."""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.shapes.loops import solve
from microlith.imaging.typing import Array, Flags, Numbers, Phases

ABOUT = 1  # voxels to each side from which a normal is found
# Longest edges around a place within which a sphere is fitted at first, and how much farther each time; how far
# voxels' middles lie below the surface, and how far from that they count
REACH, WIDER, TURNS, FAR, BELOW, OFF = 5.0, 1.25, 10, 32.0, 0.35, 0.9
ALONG = 0.5  # cosine of the angle between the normals of a patch, and to those of the sphere, at least
LEAST, FEW = (12, 8), (24, 10)  # voxels for a fit, and of a patch; of spheres of any radius, and of a known one
ROUGH = 0.45  # root mean square residue, longest edges
CLAIMING = 60  # voxels of a patch from which on no other is begun there


@kept
def normals_at(phase: Phases, of: Flags, size: Array, voxels: Numbers, normals: Array) -> None:
    """Outward unit normals of a set of phases at some of its voxels: mean slopes of the indicator around them.

    Args:
        phase: (layers, rows, columns)
        of: (phases,) which are of the set.
        size: (3,) edges of voxels.
        voxels: (n, 3)
        normals: (n, 3) takes them; 0 where there is none.
    """
    shape = np.array(phase.shape)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for n in range(len(voxels)):
        for k in range(3):
            low[k], high[k] = max(voxels[n, k] - ABOUT, 0), min(voxels[n, k] + ABOUT + 1, shape[k])
        square = 0.0
        for k in range(3):
            # Sums of differences of neighbours along an axis are what the last has more than the first
            last, first = 0, 0
            a, b = (k + 1) % 3, (k + 2) % 3
            for i in range(low[a], high[a]):
                for j in range(low[b], high[b]):
                    for end in range(2):
                        at = low[k] if end == 0 else high[k] - 1
                        if k == 0:
                            inside = of[phase[at, i, j]]
                        elif k == 1:
                            inside = of[phase[j, at, i]]
                        else:
                            inside = of[phase[i, j, at]]
                        if end == 0:
                            first += inside
                        else:
                            last += inside
            slope = (first - last) / (max(high[k] - 1 - low[k], 1) * (high[a] - low[a]) * (high[b] - low[b]) * size[k])
            normals[n, k] = slope
            square += slope * slope
        if square > 0:
            normals[n] /= math.sqrt(square)


@compiled
def _system(
    points: Array,
    normals: Array,
    blocks: tuple[float, Numbers],
    place: Array,
    outward: Array,
    reach: float,
    sphere: tuple[Array, float, float],
    free: bool,
    matrix: Array,
    right: Array,
    taken: Numbers,
) -> tuple[int, float]:
    """Normal equations of the sphere that fits the voxels around a place, and which voxels these are.

    Without a radius yet (0), voxels beside the plane through the place count, and else those on the sphere with its
    normals. Unknowns are the middle, from the place, and what x^2 - 2 x.middle is on the sphere; with ``free`` false
    how far the middle of the sphere moves.

    Args:
        points: (n, 3) voxels' middles, ordered by blocks.
        normals: (n, 3) outward.
        blocks: Edge of the blocks, and (layers, rows, columns, 2) first point of each, and the first that is not.
        place: (3,)
        outward: (3,) the normal there.
        reach: How far from the place voxels count.
        sphere: Middle (3,), radius within which voxels' middles lie, and how far from that they count.
        free: Whether the radius is not known.
        matrix: (4, 4) takes the equations.
        right: (4,) takes their right side.
        taken: (n,) takes the voxels.

    Returns:
        Number of voxels, and the sum of their squared distances from the sphere.
    """
    block, starts = blocks
    middle, within, slack = sphere
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    row = np.empty(4)
    matrix[:] = 0
    right[:] = 0
    near, squares = 0, 0.0
    for k in range(3):
        low[k] = max(0, math.floor((place[k] - reach) / block))
        high[k] = min(starts.shape[k], math.floor((place[k] + reach) / block) + 1)
    for a in range(low[0], high[0]):
        for b in range(low[1], high[1]):
            for c in range(low[2], high[2]):
                for p in range(starts[a, b, c, 0], starts[a, b, c, 1]):
                    x, y, z = points[p, 0] - place[0], points[p, 1] - place[1], points[p, 2] - place[2]
                    away = x * x + y * y + z * z
                    if away > reach * reach:
                        continue
                    if within > 0:
                        u, v, w = points[p, 0] - middle[0], points[p, 1] - middle[1], points[p, 2] - middle[2]
                        apart = math.sqrt(u * u + v * v + w * w)
                        off = apart - within
                    else:
                        u, v, w, apart = outward[0], outward[1], outward[2], 1.0
                        off = x * u + y * v + z * w
                    if abs(off) > slack or u * normals[p, 0] + v * normals[p, 1] + w * normals[p, 2] < ALONG * apart:
                        continue
                    taken[near] = p
                    near += 1
                    squares += off * off
                    if free:
                        row[0], row[1], row[2], row[3], value = 2 * x, 2 * y, 2 * z, 1.0, away
                    else:
                        row[0], row[1], row[2], row[3], value = u / apart, v / apart, w / apart, 0.0, off
                    for i in range(4):
                        right[i] += row[i] * value
                        for j in range(4):
                            matrix[i, j] += row[i] * row[j]
    return near, squares


@kept
def grow_spheres(
    points: Array, normals: Array, block: float, starts: Numbers, seeds: Numbers, radius: float, found: Array
) -> int:
    """Fits spheres to the surface around some places, and farther and farther from these.

    Args:
        points: (n, 3) voxels' middles, ordered by blocks.
        normals: (n, 3) outward.
        block: Edge of the blocks.
        starts: (layers, rows, columns, 2) first point of each block, and the first one that is not.
        seeds: (k,) of the points, where to begin.
        radius: Of the spheres; 0 where it is not known.
        found: (k, 5) takes middles, radii, and the number of voxels.

    Returns:
        How many there are.
    """
    count = 0
    free = radius == 0
    least, few = (LEAST[0], FEW[0]) if free else (LEAST[1], FEW[1])
    matrix, right = np.empty((4, 4)), np.empty(4)
    claimed = np.zeros(len(points), np.bool_)
    taken = np.empty(len(points), np.int64)
    for seed in seeds:
        if claimed[seed]:
            continue
        place, outward = points[seed], normals[seed]
        within = 0.0 if free else radius - BELOW
        middle = place - within * outward
        reach, near, before, still, rough = REACH, 0, 0, 0, 0.0
        for turn in range(TURNS):
            # First voxels lie beside a plane, or on a sphere whose middle is a guess
            slack = OFF if within > 0 and (free or turn > 2) else 2 * OFF
            near, squares = _system(
                points,
                normals,
                (block, starts),
                place,
                outward,
                reach,
                (middle, within, slack),
                free,
                matrix,
                right,
                taken,
            )
            if near < least:
                break
            rough = math.sqrt(squares / near) if within > 0 else 0.0
            if not free:
                for i in range(3):
                    matrix[i, i] += 1e-3 * near
            if not solve(matrix, right, 4 if free else 3):
                break
            if free:
                square = right[3] + right[0] ** 2 + right[1] ** 2 + right[2] ** 2
                inwards = right[0] * outward[0] + right[1] * outward[1] + right[2] * outward[2] < 0
                within = math.sqrt(square) if square > 0 and inwards else 0.0
                middle = place + right[:3]
            else:
                middle += right[:3]
            if turn > 3 and near <= 1.02 * before:
                still += 1
                if still > 1:
                    break
            before = near
            reach = min(reach * WIDER, FAR)
        if within == 0 or near < few or rough > ROUGH:
            continue
        found[count, :3] = middle
        found[count, 3], found[count, 4] = within + BELOW if free else radius, near
        count += 1
        if near >= CLAIMING:
            for n in range(near):
                claimed[taken[n]] = True
    return count


@kept
def with_voxels_of_their_own(points: Array, normals: Array, spheres: Array, known: bool) -> Flags:
    """Which spheres (k, 4) have voxels at their surface, and most of these, that none before them has.

    Args:
        points: (n, 3) voxels' middles.
        normals: (n, 3) outward.
        spheres: (k, 4) middles and radii.
        known: Whether their radius is.
    """
    few = FEW[1] if known else FEW[0]
    out = np.zeros(len(spheres), np.bool_)
    claimed = np.zeros(len(points), np.bool_)
    taken = np.empty(len(points), np.int64)
    for n in range(len(spheres)):
        within = spheres[n, 3] - BELOW
        own, count = 0, 0
        for p in range(len(points)):
            u, v, w = points[p, 0] - spheres[n, 0], points[p, 1] - spheres[n, 1], points[p, 2] - spheres[n, 2]
            square = u * u + v * v + w * w
            if square < (within - OFF) ** 2 or square > (within + OFF) ** 2:
                continue
            apart = math.sqrt(square)
            if u * normals[p, 0] + v * normals[p, 1] + w * normals[p, 2] < ALONG * apart:
                continue
            taken[count] = p
            count += 1
            own += not claimed[p]
        out[n] = own >= few and 2 * own > count
        if out[n]:
            for p in range(count):
                claimed[taken[p]] = True
    return out
