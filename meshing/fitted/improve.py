"""Better shapes: smoothing for all triangles, local cures for the few bad ones near complicated interfaces."""

import numpy as np
from scipy import sparse

from microlith.imaging.typing import Array, Indices, Numbers, Phases
from microlith.meshing.mesh.quality import sicn

RELAXATIONS = 3  # rounds of smoothing
GOOD = 0.45  # SICN below which a triangle is worked on
SWEEPS = 12  # over all bad triangles
RINGS = np.array([0.02, 0.05, 0.12, 0.25])  # trial moves, in lengths of the shortest edge around
INTERFACE_RINGS = RINGS[:3]  # interfaces move less: they carry the geometry
DIRECTIONS = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1)
FURTHEST = 0.15  # that an interface point may move from its place, in units of the smallest pixel edge


def smooth_free_points(points: Array, triangles: Indices, edges: Numbers) -> Array:
    """Move free points to the mean of their neighbours (Laplacian smoothing), except where that spoils a triangle.

    Args:
        points: (n, 2).
        triangles: (m, 3), counter-clockwise.
        edges: (k, 2) edges whose points stay.

    Returns:
        Moved points; no triangle below `GOOD` is worse than before, and none has fallen below it.
    """
    count = len(points)
    free = np.ones(count, bool)
    free[edges.ravel()] = False
    tail, head = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    # Each inner edge is met twice, once in each direction: around a free point that gives each neighbour once.
    neighbours = sparse.csr_array((np.ones(len(tail)), (tail, head)), shape=(count, count))
    weight = 1.0 / np.maximum(np.diff(neighbours.indptr), 1)[:, None]
    quality = sicn(points, triangles)
    for _ in range(RELAXATIONS):
        moved = np.where(free[:, None], weight * (neighbours @ points), points)
        for _ in range(4):
            after = sicn(moved, triangles)
            spoilt = after < np.minimum(quality, GOOD)
            if not spoilt.any():
                break
            back = np.unique(triangles[spoilt])
            moved[back] = points[back]
        else:
            after = sicn(moved, triangles)
            if (after < np.minimum(quality, GOOD)).any():
                break  # what was spoilt spreads: leave it at the round before
        points, quality = moved, after
    return points


def improve_worst(
    points: Array,
    triangles: Indices,
    phase: Phases,
    edges: Numbers,
    extent: tuple[float, ...],
    good: float = GOOD,
) -> tuple[Array, Indices]:
    """Raise the worst triangles by flipping edges and moving points; nothing happens where all are good.

    A change is made only if the worst triangle that it touches gets better. Flips stay within a phase, so that they
    leave interfaces alone (these have unlike phases on their two sides). Points of interfaces move by at most
    `FURTHEST`, those of the frame only along it, its corners not at all.

    Args:
        points: (n, 2).
        triangles: (m, 3), counter-clockwise.
        phase: (m,) phase of each triangle.
        edges: (k, 2) edges of interfaces and frame, which stay edges.
        extent: Edges of the frame.
        good: SICN below which a triangle is worked on.

    Returns:
        Points and triangles, in the same order and with the same phases.
    """
    if not (sicn(points, triangles) < good).any():
        return points, triangles
    points, triangles = points.copy(), triangles.copy()
    home = points.copy()
    fixed = np.zeros(len(points), bool)
    fixed[edges.ravel()] = True
    for _ in range(SWEEPS):
        quality = sicn(points, triangles)
        bad = np.flatnonzero(quality < good)
        if len(bad) == 0:
            break
        # Only the surroundings of bad triangles are looked at: there are few, so a plain loop serves.
        star = _stars(triangles, np.unique(triangles[bad]))
        changed = False
        stale: set[int] = set()
        for t in map(int, bad[np.argsort(quality[bad])]):
            corners = [int(v) for v in triangles[t]]
            if stale.intersection(corners):
                continue
            flipped = _flip(points, triangles, phase, t, star)
            if flipped:
                stale.update(flipped)
                changed = True
                continue
            for v in corners:
                changed |= _move(points, triangles, star[v], v, home, bool(fixed[v]), extent)
        if not changed:
            break
    return points, triangles


def _stars(triangles: Indices, corners: Indices) -> dict[int, Numbers]:
    """Triangles around each of the corners."""
    touching = np.flatnonzero(np.isin(triangles, corners).any(axis=1))
    flat = triangles[touching].ravel()
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], corners)
    last = np.searchsorted(flat[order], corners, side="right")
    owner = touching[order // 3]
    return {int(c): owner[i:j] for c, i, j in zip(corners, first, last, strict=True)}


def _flip(
    points: Array,
    triangles: Indices,
    phase: Phases,
    t: int,
    star: dict[int, Numbers],
) -> tuple[int, ...]:
    """Flip the edge of triangle t that gains most; the corners of the changed triangles, empty if none gains."""
    best, choice = float(sicn(points, triangles[t : t + 1])[0]) + 1e-3, None
    for k in range(3):
        a, b, c = (int(triangles[t, (k + i) % 3]) for i in range(3))
        pair = np.intersect1d(star[a], star[b])
        pair = pair[pair != t]
        if len(pair) != 1 or phase[pair[0]] != phase[t]:
            continue
        d = int(next(v for v in triangles[pair[0]].tolist() if v not in (a, b)))
        trial = np.array([[a, d, c], [d, b, c]], np.int32)
        before = min(best, float(sicn(points, triangles[pair])[0]) + 1e-3)
        after = float(sicn(points, trial).min())
        if after > before and (choice is None or after > choice[0]):
            choice = (after, int(pair[0]), trial, (a, b, c, d))
    if choice is None:
        return ()
    triangles[t], triangles[choice[1]] = choice[2]
    return choice[3]


def _move(
    points: Array,
    triangles: Indices,
    star: Numbers,
    v: int,
    home: Array,
    fixed: bool,
    extent: tuple[float, ...],
) -> bool:
    """Move one point to where the worst triangle around it is best; whether it moved."""
    cells = triangles[star]
    here = points[v]
    ring = np.unique(cells[cells != v])
    radius = np.hypot(*(points[ring] - here).T).min()
    rings = INTERFACE_RINGS if fixed else RINGS
    trials = here + radius * (rings[:, None, None] * DIRECTIONS).reshape(-1, 2)
    if not fixed:
        trials = np.vstack([trials, points[ring].mean(axis=0)])
    else:
        for axis in (0, 1):
            if home[v, axis] in (0.0, extent[axis]):
                trials[:, axis] = home[v, axis]
        trials = trials[np.hypot(*(trials - home[v]).T) <= FURTHEST]
    if len(trials) == 0:
        return False
    corners = np.repeat(points[cells][None], len(trials), axis=0)
    corners[:, cells == v] = trials[:, None]
    flat = corners.reshape(-1, 2)
    worst = sicn(flat, np.arange(len(flat)).reshape(-1, 3)).reshape(len(trials), -1).min(axis=1)
    best = int(worst.argmax())
    if worst[best] <= float(sicn(points, cells).min()) + 1e-3:
        return False
    points[v] = trials[best]
    return True
