"""Chains of an outline cut into segments of the wanted length: the edges that the mesh must have."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.fitted.outline import Outline, restore_phase_areas
from microlith.meshing.fitted.sizing import SizeField

CLEARANCE = 0.7  # least distance of a segment's middle to points of other segments, in lengths of the segment
# Largest distance of an outline point from its segment, in units of the smaller pixel edge. Two chains between the same
# nodes have a pixel or more between them, so that one of them strays further and is cut: no segment comes twice.
DEVIATION = 0.35
MOST_DEVIATION = 1.0  # the same in meshes that are made coarser than asked for
OF_WHOLE = 2.0  # the same of segments that are halved, per that of their halves: 4 on circles, less where outlines wind
LONGEST_RATIO = 2.2  # of the lengths of segments that meet; above 2, or one halving would set off the next
TOO_LONG = 1.5  # length of a segment in wanted sizes at its middle
SMALLEST_ANGLE = np.deg2rad(40.0)  # between segments that meet, where the outline allows it
SHORTEST = 0.06  # segments of fewer units, and below half the wanted size, are left as they are
ROUNDS = 25
TAPER = 1.5  # length over which the shift that restores areas falls to zero at the end of a chain
STEEPEST_SHIFT = 0.25  # how fast it may fall there


@dataclass(frozen=True)
class Segments:
    """Straight edges along all chains of an outline."""

    points: Array  # (n, 2) corners of the segments; the outline's nodes come first
    ends: Numbers  # (m, 2) indices into points
    chain: Numbers  # (m,) chain of the outline that each segment is part of, ascending
    left: NDArray[np.int16]  # (m,) phase on the left
    right: NDArray[np.int16]  # (m,)

    @property
    def lengths(self) -> Array:
        """(m,) lengths."""
        return segment_lengths(self.points, self.ends)


@dataclass(frozen=True)
class Halved:
    """Segments, and the halves of all of them, whose points lie on the outline as well."""

    whole: Segments
    halves: Segments
    same: Numbers  # (n,) where each point of the whole ones is among those of the halves
    middle: Numbers  # (m,) where the middle of each whole one is among them


@dataclass(frozen=True)
class _Line:
    """All chains laid out one behind the other on one axis of arc length, so that one array holds all parameters."""

    points: Array  # (n, 2)
    arc: Array  # (n,) strictly growing; chain k + 1 starts one unit behind the end of chain k
    first: Array  # (chains,) arc length where a chain starts
    last: Array  # (chains,)

    def at(self, arc: Array) -> Array:
        """Points at arc lengths (k,), shape (k, 2)."""
        return np.stack([np.interp(arc, self.arc, self.points[:, i]) for i in (0, 1)], axis=1)


def segment_lengths(points: Array, ends: Numbers) -> Array:
    """Lengths (m,) of the edges `ends` (m, 2) between `points` (n, 2)."""
    span = points[ends[:, 1]] - points[ends[:, 0]]
    return np.hypot(span[:, 0], span[:, 1])


def cut_chains(outline: Outline, field: SizeField, coarseness: float = 1.0) -> Segments:
    """Cut the chains into segments that neither cross nor crowd each other.

    Starts from the wanted sizes and halves every segment that strays from the outline, comes too near to another
    one, is much longer than its neighbours, or makes a sharp angle. No foreign point is left in the circle on a
    segment as diameter, hence no two segments cross (as in Ruppert's refinement, J. Algorithms 18, 1995).

    Args:
        outline: Smooth chains.
        field: Wanted sizes.
        coarseness: Factor that is in them; chords of curves stray from these as its square.
    """
    line = _lay_out(outline)
    arc = _cut(outline, line, field, min(DEVIATION * coarseness**2, max(DEVIATION, MOST_DEVIATION)))
    return _of_right_areas(outline, _connect(outline, line, arc))


def cut_and_halved(outline: Outline, field: SizeField, coarseness: float = 1.0) -> Halved:
    """Cut the chains as `cut_chains` does, and once more with each segment in two halves.

    Args:
        outline: Smooth chains.
        field: Wanted sizes of the whole segments.
        coarseness: Factor that is in them; chords of halves stray from curves as its square where it is below one.
    """
    line = _lay_out(outline)
    arc = _cut(outline, line, field, DEVIATION * min(1.0, OF_WHOLE * coarseness**2))
    middle = 0.5 * (arc[:-1] + arc[1:])[_inner(arc, line)]
    both = np.concatenate([arc, middle])
    order = np.argsort(both, kind="stable")
    place = np.empty(len(both), np.int64)
    place[order] = np.arange(len(both))
    whole, halves = (_of_right_areas(outline, _connect(outline, line, arcs)) for arcs in (arc, both[order]))
    # Points that are no nodes are numbered in the order of their arc lengths.
    nodes = len(outline.nodes)
    inner = ~(np.isin(both, line.first) | np.isin(both, line.last))
    number = nodes + np.cumsum(inner[order]) - 1
    free = inner[: len(arc)]
    same = np.concatenate([np.arange(nodes), number[place[: len(arc)]][free]])
    return Halved(whole, halves, same, number[place[len(arc) :]])


def _cut(outline: Outline, line: _Line, field: SizeField, deviation: float) -> Array:
    """Arc lengths of the segment ends, both ends of each chain included."""
    arc = _first_cut(outline, line, field)
    for _ in range(ROUNDS):
        segments = _connect(outline, line, arc)
        middle = 0.5 * (arc[:-1] + arc[1:])[_inner(arc, line)]
        split = _must_split(line, arc, segments, field, deviation)
        if not split.any():
            break
        arc = np.sort(np.concatenate([arc, middle[split]]))
    return arc


def _of_right_areas(outline: Outline, segments: Segments) -> Segments:
    """Segments moved such that each phase has its area."""
    pinned = np.zeros((len(segments.points), 2), bool)
    for axis in (0, 1):
        pinned[:, axis] = (segments.points[:, axis] == 0) | (segments.points[:, axis] == outline.extent[axis])
    points = segments.points
    for _ in range(2):
        points = restore_phase_areas(points, segments.ends, segments.left, segments.right, pinned, outline.areas)
    return replace(segments, points=points)


def _lay_out(outline: Outline) -> _Line:
    step = np.append(np.hypot(*np.diff(outline.points, axis=0).T), 0.0)
    step[outline.start[1:] - 1] = 1.0
    arc = np.concatenate([[0.0], np.cumsum(step[:-1])])
    return _Line(outline.points, arc, arc[outline.start[:-1]], arc[outline.start[1:] - 1])


def _first_cut(outline: Outline, line: _Line, field: SizeField) -> Array:
    """Arc lengths of the segment ends by the size field alone, both ends of each chain included."""
    # Points of the outline stand too far apart to see the sizes around the centres: these are left to the halving.
    density = 1.0 / field.without_centres().at(line.points)
    between = 0.5 * (density[1:] + density[:-1]) * np.diff(line.arc)
    between[outline.start[1:-1] - 1] = 0.0
    amount = np.concatenate([[0.0], np.cumsum(between)])
    first, last = amount[outline.start[:-1]], amount[outline.start[1:] - 1]
    closed = outline.ends[:, 0] == outline.ends[:, 1]
    count = np.maximum(np.rint(last - first).astype(np.int64), np.where(closed, 4, 1))
    chain = np.repeat(np.arange(len(count)), count - 1)
    k = np.arange(len(chain)) - np.repeat(np.cumsum(count - 1) - (count - 1), count - 1) + 1
    wanted = first[chain] + k * ((last - first) / count)[chain]
    # The amount does not grow between chains: a tiny slope keeps it invertible chain by chain.
    lift = np.repeat(np.arange(len(count)), np.diff(outline.start)) * 1.0
    inner = np.interp(wanted + chain, amount + lift, line.arc)
    inner = np.clip(inner, line.first[chain], line.last[chain])
    return np.sort(np.concatenate([line.first, line.last, inner]))


def _inner(arc: Array, line: _Line) -> Flags:
    """(len(arc) - 1,) False for the jumps from one chain to the next."""
    inner = np.ones(len(arc) - 1, bool)
    inner[np.searchsorted(arc, line.last[:-1])] = False
    return inner


def _connect(outline: Outline, line: _Line, arc: Array) -> Segments:
    """Segments between neighbouring arc lengths, with the area on the sides of each chain restored."""
    chain_of = np.searchsorted(line.last, arc)
    tail = arc == line.first[chain_of]
    head = arc == line.last[chain_of]
    free = ~(tail | head)
    vertex = np.empty(len(arc), np.int64)
    vertex[tail] = outline.ends[:, 0]
    vertex[head] = outline.ends[:, 1]
    vertex[free] = len(outline.nodes) + np.arange(np.count_nonzero(free))
    points = np.concatenate([outline.nodes, line.at(arc[free])])
    inner = _inner(arc, line)
    ends = np.stack([vertex[:-1][inner], vertex[1:][inner]], axis=1)
    chain = chain_of[:-1][inner]
    weight = np.ones(len(points))
    run = np.minimum(TAPER, 0.5 * (line.last - line.first))
    to_end = np.minimum(arc - line.first[chain_of], line.last[chain_of] - arc)
    weight[vertex[free]] = np.minimum(1.0, to_end / run[chain_of])[free]
    weight[vertex[outline.loop_node[outline.ends[chain_of, 0]]]] = 1.0  # closed loops have no ends
    points = _restore_areas(outline, points, ends, chain, weight, STEEPEST_SHIFT * run)
    return Segments(points, ends, chain, outline.left[chain], outline.right[chain])


def _restore_areas(
    outline: Outline,
    points: Array,
    ends: Numbers,
    chain: Numbers,
    weight: Array,
    largest: Array,
) -> Array:
    """Shift the inner points of each chain along their normals: chords of curves would cut their areas short.

    The shift of a chain is one number, at most `largest` (chains,), times `weight` (n,), which falls to zero at its
    ends.
    """
    count = len(points)
    chain_of = np.full(count, -1)
    chain_of[ends[:, 0]] = chain
    chain_of[ends[:, 1]] = chain
    fixed = np.zeros(count, bool)
    fixed[: len(outline.nodes)] = ~outline.loop_node
    fixed[ends[outline.on_frame[chain]]] = True
    free = np.flatnonzero(~fixed)
    of = chain_of[free]
    weight = weight[free]
    done = np.zeros(len(outline.target))
    for _ in range(3):
        a, b = points[ends[:, 0]], points[ends[:, 1]]
        integral = 0.5 * np.bincount(chain, a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], minlength=len(outline.target))
        lack = outline.target - integral
        slope = np.zeros((count, 2))  # gradient of the integral
        for i, sign in ((0, 0.5), (1, -0.5)):
            slope[:, i] += sign * np.bincount(ends[:, 0], b[:, 1 - i], minlength=count)
            slope[:, i] -= sign * np.bincount(ends[:, 1], a[:, 1 - i], minlength=count)
        size = np.hypot(slope[free, 0], slope[free, 1])
        total = np.bincount(of, weight * size, minlength=len(lack))
        shift = np.divide(lack, total, out=np.zeros(len(lack)), where=total > 0)
        shift = np.clip(done + shift, -largest, largest) - done
        done += shift
        step = weight * shift[of] / np.maximum(size, 1e-300)
        points = points.copy()
        points[free] += step[:, None] * slope[free]
    return points


def _must_split(line: _Line, arc: Array, segments: Segments, field: SizeField, deviation: float) -> Flags:
    points, ends = segments.points, segments.ends
    a, b = points[ends[:, 0]], points[ends[:, 1]]
    length = segments.lengths
    middle = 0.5 * (a + b)
    wanted = field.at(middle)
    split = length > TOO_LONG * wanted
    split |= _strays(line, arc, segments, deviation)
    if deviation > DEVIATION:
        split |= _doubled(ends)
    split |= _crowded(points, ends, middle, length)

    shortest = np.full(len(points), np.inf)
    np.minimum.at(shortest, ends.ravel(), np.repeat(length, 2))
    split |= length > LONGEST_RATIO * shortest[ends].min(axis=1)
    split |= _sharp(points, ends, length)
    return split & ((length > 2 * SHORTEST) | (length > wanted))


def _doubled(ends: Numbers) -> Flags:
    """Segments that another one has both its ends in common with: two chains that are straight at once."""
    _, which, count = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[which.ravel()] > 1)


def _strays(line: _Line, arc: Array, segments: Segments, deviation: float = DEVIATION) -> Flags:
    """Segments that leave a point of the outline further away than the tolerance."""
    inner = _inner(arc, line)
    number = np.cumsum(inner) - 1  # segment behind each interval of arc
    interval = np.clip(np.searchsorted(arc, line.arc, side="right") - 1, 0, len(arc) - 2)
    own = inner[interval]
    of = number[interval[own]]
    p = line.points[own]
    a, b = segments.points[segments.ends[of, 0]], segments.points[segments.ends[of, 1]]
    d = b - a
    t = np.clip(((p - a) * d).sum(axis=1) / np.maximum((d * d).sum(axis=1), 1e-300), 0, 1)
    gap = p - a - t[:, None] * d
    strays = np.zeros(len(segments.ends), bool)
    strays[of[np.hypot(gap[:, 0], gap[:, 1]) > deviation]] = True
    return strays


def _crowded(points: Array, ends: Numbers, middle: Array, length: Array) -> Flags:
    """Segments with a point of a segment that they do not meet too near to their middle."""
    tree = cKDTree(points)
    reach = CLEARANCE * length
    distance, near = tree.query(middle, k=3)
    foreign = (near != ends[:, :1]) & (near != ends[:, 1:]) & (distance < reach[:, None])
    at = np.flatnonzero(foreign.any(axis=1))
    if len(at) == 0:
        return np.zeros(len(ends), bool)
    # Neighbours along a chain may stand nearer: their angle and their length are looked after elsewhere.
    k = min(8, len(points))
    distance, near = tree.query(middle[at], k=k)
    pair = np.stack([ends, ends[:, ::-1]]).reshape(-1, 2)
    order = np.argsort(pair[:, 0], kind="stable")
    first = np.searchsorted(pair[order, 0], np.arange(len(points) + 1))
    other = pair[order, 1]
    meets = (near == ends[at, :1]) | (near == ends[at, 1:])
    for side in (0, 1):
        node = ends[at, side]
        for step in range(4):
            exists = first[node] + step < first[node + 1]
            neighbour = other[np.minimum(first[node] + step, len(other) - 1)]
            meets |= exists[:, None] & (near == neighbour[:, None])
    crowded = np.zeros(len(ends), bool)
    crowded[at] = ((distance < reach[at, None]) & ~meets).any(axis=1)
    return crowded


def _sharp(points: Array, ends: Numbers, length: Array) -> Flags:
    """Segments that make a sharp angle with another one at one of their ends."""
    count = len(ends)
    out = np.argsort(ends.ravel(), kind="stable")  # half-edge 2s leaves ends[s, 0], 2s + 1 leaves ends[s, 1]
    degree = np.bincount(ends.ravel(), minlength=len(points))
    first = np.concatenate([[0], np.cumsum(degree)])
    flat = ends.ravel()
    direction = (points[flat[out ^ 1]] - points[flat[out]]) / np.maximum(length[out // 2], 1e-300)[:, None]
    sharp = np.zeros(count, bool)
    for n in (2, 3, 4):
        at = first[:-1][degree == n]
        for i in range(n):
            for j in range(i):
                cosine = np.einsum("ij,ij->i", direction[at + i], direction[at + j])
                bad = at[cosine > np.cos(SMALLEST_ANGLE)]
                sharp[out[bad + i] // 2] = True
                sharp[out[bad + j] // 2] = True
    return sharp
