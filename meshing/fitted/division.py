"""Triangles divided in four, with points on the outline where an edge of it is halved.

Each triangle is replaced by four that are similar to it (R. E. Bank and others, "Some refinement algorithms and data
structures for regular local mesh refinement", 1983), so that a mesh of many triangles costs little more than one of a
quarter of them.
"""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Indices, Integers, Numbers, Phases
from microlith.meshing.fitted.segments import Halved
from microlith.meshing.mesh.quality import sicn

DISTORTED = 0.3  # SICN below which a triangle beside a halved edge is not left
ROUNDS = 6  # of moving points back to the edges that they halve
FEW = 0.01  # share of these points that may be moved: each changes the areas of phases a little
# Halves that come out shorter than wanted, where an outline winds, are this many more at most than edges cut to the
# wanted length.
MORE = 1.1


@dataclass(frozen=True)
class Divided:
    """A mesh of four times as many triangles."""

    points: Array  # (n, 2), those of the halved segments first
    triangles: Indices  # (4 m, 3)
    phase: Phases  # (4 m,)


def divided(points: Array, triangles: Indices, phase: Phases, segments: Halved) -> Divided | None:
    """Divide each triangle in four; None where too many are distorted.

    Args:
        points: (n, 2), those of the whole segments first.
        triangles: (m, 3), counter-clockwise; all whole segments are edges of them.
        phase: (m,) phase of each triangle.
        segments: The edges that follow the outline.
    """
    whole, halves = segments.whole, segments.halves
    given, kept = len(whole.points), len(halves.points)
    number = np.concatenate([segments.same, kept + np.arange(len(points) - given)])
    edge, of_triangle = _edges(triangles, len(points))
    place = np.searchsorted(_keys(edge, len(points)), _keys(np.sort(whole.ends, axis=1), len(points)))
    free = np.ones(len(edge), bool)
    free[place] = False
    middle = np.empty(len(edge), np.int64)
    middle[place] = segments.middle
    middle[free] = kept + len(points) - given + np.arange(np.count_nonzero(free))

    known = np.concatenate([halves.points, points[given:]])
    straight = 0.5 * (known[number[edge[:, 0]]] + known[number[edge[:, 1]]])
    corner, side = number[triangles], middle[of_triangle]  # side i lies between the corners i and i + 1
    quarters = np.stack(
        [
            np.stack([corner[:, 0], side[:, 0], side[:, 2]], axis=1),
            np.stack([corner[:, 1], side[:, 1], side[:, 0]], axis=1),
            np.stack([corner[:, 2], side[:, 2], side[:, 1]], axis=1),
            side,
        ],
        axis=1,
    )
    found = quarters.reshape(-1, 3).astype(np.int32)
    everywhere = np.concatenate([known, straight[free]])
    if not _is_straightened(everywhere, found, segments.middle, straight[place]):
        return None
    return Divided(everywhere, found, np.repeat(phase, 4))


def _is_straightened(points: Array, triangles: Indices, middle: Numbers, straight: Array) -> bool:
    """Move middles of edges on the outline towards these, in place, where triangles are distorted; whether few were.

    Args:
        points: (n, 2).
        triangles: (m, 3).
        middle: (k,) points that halve edges on the outline.
        straight: (k, 2) middles of these edges.
    """
    of = np.full(len(points), -1)
    of[middle] = np.arange(len(middle))
    beside = triangles[(of[triangles] >= 0).any(axis=1)]
    for _ in range(ROUNDS):
        distorted = beside[sicn(points, beside) < DISTORTED]
        edges = np.unique(of[distorted])
        edges = edges[edges >= 0]
        if len(edges) == 0:
            return True
        if len(edges) > FEW * len(middle):
            return False
        points[middle[edges]] = 0.5 * (points[middle[edges]] + straight[edges])
    return False


def _edges(triangles: Indices, count: int) -> tuple[Numbers, Numbers]:
    """Edges (k, 2) in the order of their keys, and those of each triangle (m, 3): i runs from corner i to i + 1."""
    ends = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2)
    keys, back = np.unique(_keys(np.sort(ends, axis=1), count), return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), back.reshape(-1, 3)


def _keys(edges: Integers, count: int) -> Numbers:
    """One number for each edge (k, 2), the lower end first."""
    return edges[:, 0].astype(np.int64) * count + edges[:, 1]
