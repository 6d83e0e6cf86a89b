"""Interfaces of a 2D label image as smooth chains of points, shared exactly by the phases on both sides.

The chains run along the edges of the pixels (the graph of pixel corners). A Taubin filter (G. Taubin, "A signal
processing approach to fair surface design", SIGGRAPH 1995) smooths them while no point leaves the box of half a
pixel around its corner, which is why chains cannot cross; a final shift along the normals gives every chain back the
area that the pixels have on its two sides. Where smoothing would make a sharp angle, it is taken back.

Two pixels of one phase that touch only at a corner are not connected: the corner becomes a point where four chains
meet, so that pieces that share pixel edges (4-connected) are exactly the pieces whose triangles share edges.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.typing import Array, Flags, Numbers, Phases
from microlith.meshing.fitted.known import made_once

OUTSIDE = -1  # "phase" beyond the frame
SMOOTHING_PASSES = 12  # pairs of Taubin steps
SHRINK, INFLATE = 0.5, -0.53  # weights of a pair; their pass band leaves waves longer than about 10 pixels alone
REACH = 0.49  # how far a point may leave its corner, in pixels per axis
REACH_IN_GAP = 0.3  # the same where another chain passes one pixel away
SMALLEST_ANGLE = np.deg2rad(50.0)  # between chains that meet and between neighbours on a chain
SHORTEST_EDGE = 0.4  # distance kept between neighbours, in units of the smaller pixel edge


@dataclass(frozen=True)
class Outline:
    """Chains of points between the phases and along the frame, in units of the smallest pixel edge.

    Chain k runs through points[start[k]:start[k + 1]], both ends included, from node ends[k, 0] to node ends[k, 1].
    Nodes are the points where three or more chains meet, the corners of the frame, and one point of each closed loop.
    """

    points: Array  # (n, 2), x and y
    start: Numbers  # (chains + 1,)
    left: NDArray[np.int16]  # (chains,) phase on the left of the walking direction, OUTSIDE beyond the frame
    right: NDArray[np.int16]  # (chains,)
    ends: Numbers  # (chains, 2) first and last node
    nodes: Array  # (nodes, 2)
    loop_node: Flags  # (nodes,) the start of a closed loop, otherwise an ordinary point of its chain
    triple: Flags  # (nodes,) three phases or more meet here, beyond the frame not counted
    target: Array  # (chains,) integral of (x dy - y dx)/2, which summed around a region is its area
    areas: Array  # (phases,) area of each phase's pixels
    pixel: tuple[float, ...]  # edges of a pixel, x and y
    extent: tuple[float, ...]  # edges of the frame, x and y

    @property
    def on_frame(self) -> Flags:
        """(chains,) True for the straight chains along the frame."""
        return (self.left == OUTSIDE) | (self.right == OUTSIDE)


@dataclass(frozen=True)
class _CornerGraph:
    """Pixel edges between unlike pixels, and the corners that they join."""

    corner: Numbers  # (n, 2) x and y of the used corners, in pixels
    edge: Numbers  # (m, 2) indices into corner, in the direction of growing x or y
    left: NDArray[np.int16]  # (m,)
    right: NDArray[np.int16]  # (m,)
    degree: Numbers  # (n,)
    in_gap: Flags  # (n,) another chain passes one pixel away
    frame: Flags  # (n, 2) on a frame side of constant x, constant y
    out: Numbers  # (2m,) half-edges sorted by the corner they leave; 2e goes along edge e, 2e + 1 back
    first_out: Numbers  # (n + 1,) where the half-edges of each corner start in `out`

    @property
    def is_node(self) -> Flags:
        """(n,) True where a chain must end."""
        return (self.degree != 2) | self.frame.all(axis=1)


def trace_interfaces(image: LabelImage) -> Outline:
    """Trace and smooth the interfaces of a 2D image.

    Args:
        image: Phases per pixel, 2D.

    Returns:
        The outline in units of the smallest pixel edge. Each point lies within half a pixel of its corner (apart from
        the small shift that restores areas), points on the frame slide along it, its corners stay.
    """
    return made_once(image, "outline", None, lambda: _traced(image))


def _traced(image: LabelImage) -> Outline:
    graph = _corner_graph(image.phase)
    order, start, first = _walk(graph)
    visited = _visited_corners(graph, order, start)
    point_start = start + np.arange(len(start))  # a chain of n half-edges has n + 1 points
    forward = first % 2 == 0
    left = np.where(forward, graph.left[first // 2], graph.right[first // 2])
    right = np.where(forward, graph.right[first // 2], graph.left[first // 2])

    scale = np.array(image.pixel)
    home = graph.corner * scale
    moved = _smooth(graph, home, scale)
    moved = _restore_areas(graph, home, moved, scale, visited, point_start)
    moved = _open_sharp_angles(graph, home, moved)
    pixels = np.bincount(image.phase.ravel(), minlength=len(image.names))
    areas = pixels.astype(np.float64) * math.prod(image.pixel)
    low, high = _boxes(graph, home, scale)
    for _ in range(3):
        moved = restore_phase_areas(moved, graph.edge, graph.left, graph.right, graph.frame, areas)
        moved = np.clip(moved, low, high)

    tail, head = visited[point_start[:-1]], visited[point_start[1:] - 1]
    node_corner, ends = np.unique(np.stack([tail, head], axis=1), return_inverse=True)
    ends = ends.reshape(-1, 2)
    loop_node = ~graph.is_node[node_corner]
    return Outline(
        points=moved[visited],
        start=point_start,
        left=left,
        right=right,
        ends=ends,
        nodes=moved[node_corner],
        loop_node=loop_node,
        triple=_count_phases(ends, left, right, len(node_corner)) >= 3,
        target=chain_integrals(moved[visited], point_start),
        areas=areas,
        pixel=image.pixel,
        extent=image.frame,
    )


def chain_integrals(points: Array, start: Numbers) -> Array:
    """Integral of (x dy - y dx)/2 along each chain: summed around a region it gives the area.

    Args:
        points: (n, 2) points of all chains, one chain after the other.
        start: (chains + 1,) where each chain starts in `points`.
    """
    cross = np.append(_cross(points[:-1], points[1:]), 0.0)
    cross[start[1:] - 1] = 0.0  # from the end of one chain to the start of the next
    return 0.5 * np.add.reduceat(cross, start[:-1])


def _cross(a: Array, b: Array) -> Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _corner_graph(phase: Phases) -> _CornerGraph:
    rows, columns = phase.shape
    padded = np.pad(phase.astype(np.int16), 1, constant_values=OUTSIDE)
    along_x = padded[1:, 1:-1] != padded[:-1, 1:-1]  # (rows + 1, columns): edge from corner (i, j) to (i, j + 1)
    along_y = padded[1:-1, 1:] != padded[1:-1, :-1]  # (rows, columns + 1): edge from corner (i, j) to (i + 1, j)
    used = np.zeros((rows + 1, columns + 1), bool)
    used[:, :-1] |= along_x
    used[:, 1:] |= along_x
    used[:-1] |= along_y
    used[1:] |= along_y
    gap_x = used[:, :-1] & used[:, 1:] & ~along_x
    gap_y = used[:-1] & used[1:] & ~along_y
    in_gap = np.zeros_like(used)
    in_gap[:, :-1] |= gap_x
    in_gap[:, 1:] |= gap_x
    in_gap[:-1] |= gap_y
    in_gap[1:] |= gap_y

    y, x = np.nonzero(used)
    index = np.zeros(used.shape, np.int32)
    index[y, x] = np.arange(len(x), dtype=np.int32)
    i, j = np.nonzero(along_x)
    k, m = np.nonzero(along_y)
    edge = np.concatenate(
        [
            np.stack([index[i, j], index[i, j + 1]], axis=1),
            np.stack([index[k, m], index[k + 1, m]], axis=1),
        ]
    ).astype(np.int64)
    left = np.concatenate([padded[i + 1, j + 1], padded[k + 1, m]])
    right = np.concatenate([padded[i, j + 1], padded[k + 1, m + 1]])
    degree = np.bincount(edge.ravel(), minlength=len(x))
    return _CornerGraph(
        corner=np.stack([x, y], axis=1),
        edge=edge,
        left=left,
        right=right,
        degree=degree,
        in_gap=in_gap[y, x],
        frame=np.stack([(x == 0) | (x == columns), (y == 0) | (y == rows)], axis=1),
        out=np.argsort(edge.ravel(), kind="stable"),
        first_out=np.concatenate([[0], np.cumsum(degree)]),
    )


def _walk(graph: _CornerGraph) -> tuple[Numbers, Numbers, Numbers]:
    """Half-edges in walking order, where each chain starts in that list, and the first half-edge of each chain."""
    is_node = graph.is_node
    inner = np.flatnonzero(~is_node)
    one, other = graph.out[graph.first_out[inner]], graph.out[graph.first_out[inner] + 1]
    follow = np.full(2 * len(graph.edge), -1, np.int64)
    follow[one ^ 1] = other  # arriving against `one`, go on along `other`
    follow[other ^ 1] = one
    leaving_nodes = graph.out[is_node[graph.edge.ravel()[graph.out]]]

    # A chain is followed link by link, which has no array form: plain lists make it fast.
    links = follow.tolist()
    seen = bytearray(len(links))
    order: list[int] = []
    start = [0]
    for half in cast("list[int]", leaving_nodes.tolist()):
        if seen[half]:
            continue
        while half >= 0:
            order.append(half)
            seen[half] = seen[half ^ 1] = 1
            half = links[half]
        start.append(len(order))
    for half in cast("list[int]", np.flatnonzero(np.array(seen, np.uint8) == 0).tolist()):  # loops without a node
        if seen[half]:
            continue
        while not seen[half]:
            order.append(half)
            seen[half] = seen[half ^ 1] = 1
            half = links[half]
        start.append(len(order))
    walked = np.array(order, np.int64)
    starts = np.array(start, np.int64)
    return walked, starts, walked[starts[:-1]]


def _visited_corners(graph: _CornerGraph, order: Numbers, start: Numbers) -> Numbers:
    """Corners along all chains, both ends of each included."""
    ends = graph.edge.ravel()  # half-edge h leaves from ends[h] and arrives at ends[h ^ 1]
    return np.insert(ends[order], start[1:], ends[order[start[1:] - 1] ^ 1])


def _smooth(graph: _CornerGraph, home: Array, scale: Array) -> Array:
    count = len(home)
    ones = np.ones(len(graph.edge))
    adjacency = sparse.csr_array((ones, (graph.edge[:, 0], graph.edge[:, 1])), shape=(count, count))
    adjacency = (adjacency + adjacency.T).tocsr()
    weight = 1.0 / graph.degree[:, None]
    low, high = _boxes(graph, home, scale)
    points = home.copy()
    for _ in range(SMOOTHING_PASSES):
        for step in (SHRINK, INFLATE):
            points += step * (weight * (adjacency @ points) - points)
            np.clip(points, low, high, out=points)
    return points


def _boxes(graph: _CornerGraph, home: Array, scale: Array) -> tuple[Array, Array]:
    reach = np.where(graph.in_gap, REACH_IN_GAP, REACH)[:, None] * scale
    reach = np.where(graph.frame, 0.0, reach)  # points on the frame only slide along it
    return home - reach, home + reach


def _restore_areas(
    graph: _CornerGraph,
    home: Array,
    moved: Array,
    scale: Array,
    visited: Numbers,
    start: Numbers,
) -> Array:
    """Shift the inner points of every chain along their normals until the areas on its sides are the pixels' again."""
    low, high = _boxes(graph, home, scale)
    tail, head = visited[start[:-1]], visited[start[1:] - 1]
    wanted = chain_integrals(home[visited], start)
    wanted += 0.5 * (_cross(home[head], moved[head]) - _cross(home[tail], moved[tail]))
    chain = np.repeat(np.arange(len(start) - 1), np.diff(start))
    free = ~graph.is_node[visited]
    free[start[1:] - 1] = False  # the last point of a loop is its first one
    loops = ~graph.is_node[tail]
    before = np.arange(len(visited)) - 1
    before[start[:-1]] = np.where(loops, start[1:] - 2, start[:-1])
    after = np.minimum(np.arange(len(visited)) + 1, len(visited) - 1)
    for _ in range(3):
        p = moved[visited]
        chord = p[after] - p[before]
        length = np.where(free, np.hypot(chord[:, 0], chord[:, 1]), 0.0)
        lack = wanted - chain_integrals(p, start)
        total = np.add.reduceat(length, start[:-1])
        shift = np.divide(2.0 * lack, total, out=np.zeros_like(total), where=total > 0)
        normal = np.stack([chord[:, 1], -chord[:, 0]], axis=1) / np.maximum(length, 1e-300)[:, None]
        step = shift[chain, None] * normal
        moved = moved.copy()
        moved[visited[free]] += np.clip(step[free], -0.5 * scale, 0.5 * scale)
        np.clip(moved, low, high, out=moved)
    return moved


def restore_phase_areas(
    points: Array,
    edges: Numbers,
    left: NDArray[np.int16],
    right: NDArray[np.int16],
    pinned: Flags,
    wanted: Array,
) -> Array:
    """Give every phase its area by the smallest move of all points together that does it.

    This is what is left to do where chains are too short to have inner points that could restore their areas.

    Args:
        points: (n, 2).
        edges: (m, 2) indices into points, all around every phase.
        left: (m,) phase on the left of each edge, OUTSIDE beyond the frame.
        right: (m,) phase on its right.
        pinned: (n, 2) coordinates that stay.
        wanted: (phases,) areas.

    Returns:
        Moved points; the areas are right to second order in the move.
    """
    # The area of a phase is the sum of cross(u, v)/2 over its edges, positive where it lies on their left.
    u, v = edges.T
    a, b = points[u], points[v]
    cross = 0.5 * _cross(a, b)
    lack = wanted.copy()
    rows, columns, slopes = [], [], []
    for side, sign in ((left, 1.0), (right, -1.0)):
        inside = side >= 0
        phase = side[inside].astype(np.int64)
        lack -= sign * np.bincount(phase, cross[inside], minlength=len(wanted))
        for end, turned in ((u, np.stack([b[:, 1], -b[:, 0]], axis=1)), (v, np.stack([-a[:, 1], a[:, 0]], axis=1))):
            slope = np.where(pinned[end], 0.0, 0.5 * sign * turned)[inside]
            for axis in (0, 1):
                rows.append(2 * end[inside] + axis)
                columns.append(phase)
                slopes.append(slope[:, axis])
    gradient = sparse.csr_array(
        (np.concatenate(slopes), (np.concatenate(rows), np.concatenate(columns))), shape=(2 * len(points), len(wanted))
    )
    # All areas together are the frame's: the matrix has that null vector, which least squares leaves alone.
    factor, *_ = np.linalg.lstsq((gradient.T @ gradient).toarray(), lack, rcond=1e-10)
    return points + np.asarray(gradient @ factor).reshape(-1, 2)


def _open_sharp_angles(graph: _CornerGraph, home: Array, moved: Array) -> Array:
    """Take smoothing back, locally, where chains would meet at sharp angles or points would nearly coincide."""
    moved = moved.copy()
    for _ in range(12):
        bad = _sharp_corners(graph, moved)
        span = moved[graph.edge[:, 1]] - moved[graph.edge[:, 0]]
        short = np.hypot(span[:, 0], span[:, 1]) < SHORTEST_EDGE
        bad[graph.edge[short].ravel()] = True
        if not bad.any():
            break
        touched = bad.copy()
        near = graph.edge[bad[graph.edge].any(axis=1)]
        touched[near.ravel()] = True
        moved[touched] += 0.5 * (home[touched] - moved[touched])  # on the pixel corners all angles are 90 degrees
    return moved


def _sharp_corners(graph: _CornerGraph, points: Array) -> Flags:
    ends = graph.edge.ravel()
    direction = points[ends[graph.out ^ 1]] - points[ends[graph.out]]
    direction /= np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-300)[:, None]
    sharp = np.zeros(len(points), bool)
    for degree in (2, 3, 4):
        at = np.flatnonzero(graph.degree == degree)
        first = graph.first_out[at]
        for i in range(degree):
            for j in range(i):
                cosine = np.einsum("ij,ij->i", direction[first + i], direction[first + j])
                sharp[at] |= cosine > np.cos(SMALLEST_ANGLE)
    return sharp


def _count_phases(ends: Numbers, left: NDArray[np.int16], right: NDArray[np.int16], nodes: int) -> Numbers:
    """Number of different phases around each node, the outside not counted."""
    node = np.concatenate([ends[:, 0], ends[:, 1]] * 2)
    phase = np.concatenate([left, left, right, right]).astype(np.int64)
    pairs = np.unique(node[phase >= 0] * 256 + phase[phase >= 0])
    return np.bincount(pairs // 256, minlength=nodes)
