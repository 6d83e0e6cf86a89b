"""Cells of the lattice cut along the interfaces, so that each lies in one phase.

After F. Labelle and J. R. Shewchuk, Isosurface stuffing: fast tetrahedral meshes with good dihedral angles, ACM Trans.
Graph. 26 (2007) 57, for the simplices of bisection instead of their templates, and for any number of phases: lattice
points near an interface are moved onto it, then every edge with ends in two phases is cut where its phase changes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags, Indices, Integers, Numbers, Phases
from microlith.meshing.lattice.bisection import Keys, Rows, in_order
from microlith.meshing.lattice.newton import crossings, followed
from microlith.meshing.lattice.rank_boxes import RankBoxes, SharedVertices
from microlith.meshing.lattice.voxel_fields import VoxelFields
from microlith.meshing.mesh.simplices import EDGES, dot, oriented, shortest_edges

NEAR = 0.33  # of the shortest edge at a vertex: how far it may be from an interface to be moved onto it
STEPS = 6  # of Newton's method onto an interface
ARRIVED = 1e-5  # voxels: shorter steps are not taken
END = 0.2  # of the shortest edge at a vertex: an edge cut closer to its end than that is not cut, its end moved there
ON_INTERFACE = 0.02  # difference of the leading indicators that passes for none


@dataclass(frozen=True)
class NearSeams:
    """Vertices of periodic faces that count as on an interface where they are, if an edge of theirs is cut near them.

    Across faces that do not match, interfaces run along the face and leave flat cells at such vertices, which may not
    move off the face.
    """

    numbers: Keys  # (k,) of this rank's vertices, as in `CutCells`
    near: float  # of the shortest edge at a vertex: how far from it the cut may be


@dataclass(frozen=True)
class CutCells:
    """Cells that each lie in one phase."""

    numbers: Keys  # (n,) of the vertices, sorted, the same on all ranks
    doubled: Numbers  # (n, dim) twice their coordinates on the lattice
    points: Array  # (n, dim)
    cells: Indices  # (m, dim + 1) rows of `points`, positively oriented
    phase: Phases  # (m,)


def cut_cells(
    keys: Keys, cells: Rows, indicators: VoxelFields, where: RankBoxes, seams: NearSeams | None = None
) -> CutCells:
    """Cut the cells of this rank's box; collective.

    Args:
        keys: Of the vertices (n,), sorted.
        cells: Rows of the vertices (m, dim + 1).
        indicators: One for each phase.
        where: The lattice and the boxes of the ranks.
        seams: What left sharp cells when they were cut before.
    """
    lattice = where.lattice
    places = lattice.points(keys)
    points = lattice.places(keys)
    cells = oriented(points, cells)
    shared = where.shared(2 * keys, 2 * places)
    shortest = shared.combined(shortest_edges(points, cells), np.minimum)
    extent = np.array(lattice.extent)
    fixed = (points == 0) | (points == extent)
    points, phase, free = _moved(points, shortest, indicators, extent)
    if lattice.periodic:
        far = np.where((places == lattice.top) & np.isin(np.arange(lattice.dim), lattice.periodic), extent, 0.0)
        points, phase, free = _alike(points, phase, free, far, shared)
    lowest, highest = _range(cells, phase, free)
    ends, middles = _cuts(cells[lowest < highest], points, phase, free, indicators)
    closed = fixed & ~np.isin(np.arange(lattice.dim), lattice.periodic)
    points, free = _ends_moved(points, free, shortest, fixed, closed, ends, middles, shared)
    if seams is not None:
        chosen = np.isin(2 * keys, seams.numbers) & (fixed & ~closed).any(axis=1)
        free = free & ~_cut_nearby(points, seams.near * shortest, chosen, ends, middles, shared)

    lowest, highest = _range(cells, phase, free)
    mixed = lowest < highest
    still = free[ends].all(axis=1)  # no end of theirs has moved
    ends, middles = ends[still], middles[still]
    rank = np.empty(len(ends), np.int64)
    length = ((places[ends[:, 0]] - places[ends[:, 1]]) ** 2).sum(axis=1)
    rank[np.lexsort((keys[ends].sum(axis=1), length))] = np.arange(len(ends))
    pieces = _split(cells[mixed], ends, rank, len(keys))

    numbers = np.concatenate([2 * keys, keys[ends].sum(axis=1)])
    doubled = np.concatenate([2 * places, places[ends].sum(axis=1)])
    points = np.concatenate([points, middles])
    free = np.concatenate([free, np.zeros(len(ends), bool)])
    phase = np.concatenate([phase, np.zeros(len(ends), np.uint8)])
    order = np.argsort(numbers)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    points, phase, free = points[order], phase[order], free[order]
    cells = in_order(place[np.concatenate([cells[~mixed], pieces])])
    lowest, highest = _range(cells, phase, free)
    label = highest.astype(np.uint8)
    undecided = lowest > highest
    label[undecided] = indicators.at(points[cells[undecided]].mean(axis=1)).argmax(axis=0)
    return CutCells(numbers[order], doubled[order], points, cells, label)


def _moved(points: Array, shortest: Array, indicators: VoxelFields, extent: Array) -> tuple[Array, Phases, Flags]:
    """Move vertices onto an interface near them.

    Returns:
        Points, their phases, and which of them are in a phase and not on an interface.
    """
    values = indicators.at(points)
    first = values.argmax(axis=0)
    best = np.take_along_axis(values, first[None], axis=0)[0]
    np.put_along_axis(values, first[None], -np.inf, axis=0)
    second = values.argmax(axis=0)
    lead = best - np.take_along_axis(values, second[None], axis=0)[0]
    del values
    near = np.flatnonzero(lead < 0.9)
    a, b = first[near], second[near]
    start = points[near]
    fixed = (start == 0) | (start == extent)

    def step(going: Numbers, here: Array) -> Array:
        difference, slope = indicators.difference_and_gradient(a[going], b[going], here)
        slope[fixed[going]] = 0.0
        return -(difference / np.maximum(dot(slope.T, slope.T), 1e-3))[:, None] * slope

    at = followed(start, STEPS, ARRIVED, extent, step)
    way = at - start
    close = np.sqrt((way * way).sum(axis=1)) < NEAR * shortest[near]
    close &= np.abs(indicators.difference(a, b, at)) < ON_INTERFACE
    moved = points.copy()
    moved[near[close]] = at[close]
    free = np.ones(len(points), bool)
    free[near[close]] = False
    return moved, first.astype(np.uint8), free


def _alike(
    points: Array, phase: Phases, free: Flags, far: Array, shared: SharedVertices
) -> tuple[Array, Phases, Flags]:
    """What `_moved` gave, the same for vertices opposite each other, whose values differ by rounding; collective.

    Args:
        points: (n, dim).
        phase: (n,).
        free: (n,).
        far: (n, dim) how far each is from the one at the lower ends of the periodic axes.
        shared: Vertices that are there more than once.
    """
    target = shared.combined(np.where(free[:, None], np.inf, points - far), np.minimum)
    free = shared.combined(free, np.logical_and)
    return np.where(free[:, None], points, target + far), shared.combined(phase, np.minimum), free


def _ends_moved(
    points: Array,
    free: Flags,
    shortest: Array,
    fixed: Flags,
    closed: Flags,
    ends: Numbers,
    middles: Array,
    shared: SharedVertices,
) -> tuple[Array, Flags]:
    """Move vertices to where an edge of theirs changes its phase very close to them; collective.

    Newton's method may have led to another interface, or to none. Of several such edges the closest cut counts.
    Interfaces meet the image's outer faces at right angles, but not periodic ones: where one runs so close to a vertex
    of these, the vertex counts as on it where it is.
    """
    own = np.full(len(points), np.inf)
    near: list[tuple[Numbers, Array, Array]] = []
    for side in (0, 1):
        vertex = ends[:, side]
        way = middles - points[vertex]
        distance = np.sqrt((way * way).sum(axis=1))
        allowed = (distance < END * shortest[vertex]) & ~(closed[vertex] & (way != 0)).any(axis=1)
        near.append((vertex[allowed], distance[allowed], middles[allowed]))
        np.minimum.at(own, vertex[allowed], distance[allowed])
    closest = shared.combined(own, np.minimum)
    places = np.full(points.shape, np.inf)
    for vertex, distance, place in near:
        chosen = distance == closest[vertex]
        places[vertex[chosen]] = place[chosen]
    target = shared.combined(places, np.minimum)
    moved = np.isfinite(target).all(axis=1)
    return np.where(moved[:, None] & ~fixed, target, points), free & ~moved


def _cut_nearby(
    points: Array, near: Array, chosen: Flags, ends: Numbers, middles: Array, shared: SharedVertices
) -> Flags:
    """Which of the chosen vertices (n,) have an edge that is cut nearer to them than `near` (n,); collective."""
    found = np.zeros(len(points), bool)
    for side in (0, 1):
        vertex = ends[:, side]
        way = middles - points[vertex]
        found[vertex[dot(way.T, way.T) < near[vertex] ** 2]] = True
    return shared.combined(found, np.logical_or) & shared.combined(chosen, np.logical_or)


def _range(cells: Rows, phase: Phases, free: Flags) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Lowest and highest phase (m,) of the vertices of each cell that are not on an interface; 256 and -1 for none."""
    wide = phase.astype(np.int16)
    low, high = np.where(free, wide, np.int16(256)), np.where(free, wide, np.int16(-1))
    lowest, highest = low[cells[:, 0]], high[cells[:, 0]]
    for corner in range(1, cells.shape[1]):
        lowest = np.minimum(lowest, low[cells[:, corner]])
        highest = np.maximum(highest, high[cells[:, corner]])
    return lowest, highest


def _cuts(
    cells: Rows,
    points: Array,
    phase: Phases,
    free: Flags,
    indicators: VoxelFields,
) -> tuple[Numbers, Array]:
    """Edges between two phases: their ends (k, 2), lower number first, and points (k, dim) where the phase changes."""
    count = len(points)
    found = []
    for a, b in EDGES[points.shape[1]]:
        one, other = cells[:, a], cells[:, b]
        cut = free[one] & free[other] & (phase[one] != phase[other])
        found.append(_packed(one[cut], other[cut], count))
    packed = np.unique(np.concatenate(found))
    ends = np.stack([packed // count, packed % count], axis=1)
    start, way = points[ends[:, 0]], points[ends[:, 1]] - points[ends[:, 0]]
    before, after = phase[ends[:, 0]], phase[ends[:, 1]]

    def difference(which: Numbers, share: Array) -> Array:
        return indicators.difference(before[which], after[which], start[which] + share[:, None] * way[which])

    return ends, start + crossings(difference, len(ends))[:, None] * way


def _split(cells: Rows, ends: Numbers, rank: Numbers, first: int) -> Rows:
    """Bisect cells at all cut edges, that of the highest rank first, so that neighbours cut their common facet alike.

    Args:
        cells: (m, dim + 1).
        ends: (k, 2) vertices of the cut edges, sorted.
        rank: (k,).
        first: Number of the vertex that the first cut edge gets; the others follow.
    """
    pairs = np.array(EDGES[cells.shape[1] - 1])
    touching = (pairs == np.arange(cells.shape[1])[:, None, None]).any(axis=2)  # (corners, edges)
    edge = _cut_edges(cells, ends, first)
    done = [cells[:0]]
    while len(cells) and len(ends):
        order = np.where(edge >= 0, rank[edge], -1)
        column = order.argmax(axis=1)
        chosen = edge[np.arange(len(cells)), column]
        whole = chosen < 0
        done.append(cells[whole])
        cells, edge, column, chosen = (values[~whole] for values in (cells, edge, column, chosen))
        halves = []
        for side in (1, 0):  # the new vertex stands for one end, then for the other, and no edge at it is cut
            half, left = cells.copy(), edge.copy()
            gone = pairs[column, side]
            half[np.arange(len(half)), gone] = first + chosen
            left[touching[gone]] = -1
            halves.append((half, left))
        cells, edge = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    return np.concatenate([*done, cells])


def _cut_edges(cells: Rows, ends: Numbers, first: int) -> Indices:
    """Which cut edge each edge of the cells is (m, edges); -1 for none."""
    packed = _packed(ends[:, 0], ends[:, 1], first)
    pairs = EDGES[cells.shape[1] - 1]
    edge = np.full((len(cells), len(pairs)), -1, np.int32)
    if len(ends):
        for column, (a, b) in enumerate(pairs):
            wanted = _packed(cells[:, a], cells[:, b], first)
            place = np.minimum(np.searchsorted(packed, wanted), len(packed) - 1)
            edge[:, column] = np.where(packed[place] == wanted, place, -1)
    return edge


def _packed(one: Integers, other: Integers, count: int) -> Numbers:
    """A number for each pair of vertices, whichever comes first; `count` is larger than both."""
    return np.minimum(one, other).astype(np.int64) * count + np.maximum(one, other)
