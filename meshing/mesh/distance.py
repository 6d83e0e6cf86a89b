"""Distance to a surface of segments or triangles that is spread over ranks, from points and from groups of points."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from mpi4py import MPI

from microlith.imaging.typing import Array, Integers, Numbers
from microlith.meshing.mesh.cells import largest

CANDIDATES = 4  # samples whose facets are looked at
ALIKE = 4.0  # facets larger than this many times the median are sampled in pieces: a near one is to have a near sample
PIECES = (4, 20_000)  # at most so many per facet, or so many
EVEN = 1e-9  # relative difference of distances that is rounding
LEAF = 32  # samples in a leaf of the tree
POINTS_AT_ONCE = 300_000  # points at a time, which bounds the memory
CUBES = (4, 16)  # along the longest edge of the box around a group of points, from step to step
# Samples of a facet, as shares of its corners: near the corners, and the middle. They keep off the edges, so that each
# tells its facet.
SAMPLES = {
    2: np.array([[0.5, 0.5], [0.95, 0.05], [0.05, 0.95]]),
    3: np.concatenate([np.full((1, 3), 1 / 3), 0.05 + 0.85 * np.eye(3)]),
}


class SurfaceDistance:
    """Distance to segments (n, 2, 2) or triangles (n, 3, 3) from points (m, dim).

    The least of the exact distances to the facets that own the nearest of the samples. That is exact but where the
    nearest facet has none among them, which happens beyond sharp edges. No point of a facet is farther than a third of
    its size s from a sample, so that it is then too large by (s/3)²/2d at most, d the distance.
    """

    def __init__(self, facets: Array) -> None:
        dim = facets.shape[2]
        pieces, owner = _pieces(facets)
        samples = SAMPLES[dim] @ pieces
        self.facets = np.ascontiguousarray(facets)
        self._owner = np.repeat(owner, len(SAMPLES[dim]))
        self._size = float(_sizes(pieces).max(initial=0.0))
        self._tree = cKDTree(samples.reshape(-1, dim), leafsize=LEAF, compact_nodes=False, balanced_tree=False)
        self._place = facets.mean(axis=1) @ np.sqrt([1.0, 2.0, 3.0])[:dim]

    def excess(self, distance: Array) -> Array:
        """What distances may be too large by."""
        third = self._size / 3
        return np.asarray(np.minimum(third, third**2 / (2 * np.maximum(distance, 1e-300))))

    def __call__(self, x: Array, within: float = np.inf) -> Array:
        """Distances, shape (m,); infinite, or too large, where nothing is `within` reach."""
        some, back = _unique(x)
        return self.nearest(some, within)[0][back]

    def nearest(self, x: Array, within: float = np.inf) -> tuple[Array, Numbers]:
        """Distances (m,) of points that are best not there twice, and the facet (m,) that is so near."""
        found, facet = np.full(len(x), np.inf), np.zeros(len(x), np.int64)
        for start in range(0, len(x) if len(self.facets) else 0, POINTS_AT_ONCE):
            part = slice(start, start + POINTS_AT_ONCE)
            found[part], facet[part] = self._nearest(x[part], within)
        return found, facet

    def _nearest(self, x: Array, within: float) -> tuple[Array, Numbers]:
        # Of a facet within reach a piece has a sample so near, see above.
        limit = (within + self._size / 3) * (1 + EVEN)
        to_sample, sample = self._tree.query(x, k=list(range(1, CANDIDATES + 1)), distance_upper_bound=limit)
        if x.shape[1] == 2:
            return self._nearest_segments(x, to_sample, sample)
        from microlith.meshing.mesh.distance_loops import find_nearest  # numba, late: runs in 2D do without

        found, facet = np.empty(len(x)), np.zeros(len(x), np.int64)
        x = np.ascontiguousarray(x)
        find_nearest(x, self.facets, self._place, EVEN, sample, to_sample, self._owner, found, facet)
        return found, facet

    def _nearest_segments(self, x: Array, to_sample: Array, sample: Numbers) -> tuple[Array, Numbers]:
        """As `distance_loops.find_nearest`, in 2D."""
        near = self._owner[np.minimum(sample, len(self._owner) - 1)]
        nearest, owner = np.full(len(x), np.inf), near[:, 0].copy()
        for j in range(CANDIDATES):
            new = np.isfinite(to_sample[:, j])
            for before in range(j):
                new &= near[:, before] != near[:, j]
            points, facet = np.flatnonzero(new), near[new, j]
            to_facet = to_segment(x[points], self.facets[facet, 0], self.facets[facet, 1])
            # Of two facets as near as each other, as in symmetric meshes, the same on any number of ranks
            even = np.abs(to_facet - nearest[points]) <= EVEN * to_facet
            better = np.where(even, self._place[facet] < self._place[owner[points]], to_facet < nearest[points])
            nearest[points] = np.minimum(to_facet, nearest[points])
            owner[points[better]] = facet[better]
        return nearest, owner

    def facets_at(self, x: Array) -> Numbers:
        """A triangle (m,) of each point (m, 3) that is the corner of one, to the last bit; -1 of others."""
        from microlith.meshing.mesh.distance_loops import find_facets_at

        found = np.full(len(x), -1)
        table = np.full(1 << int(2 * len(x)).bit_length(), -1)
        find_facets_at(np.ascontiguousarray(x), _keys(x), self.facets, _keys(self.facets), self._place, table, found)
        return found


def _keys(x: Array) -> Numbers:
    """Numbers (...) that are the same for points (..., dim) of the same coordinates."""
    key = np.zeros(x.shape[:-1])
    for k, factor in enumerate(np.sqrt([1.0, 2.0, 3.0])[: x.shape[-1]]):
        key += factor * x[..., k]
    return key.view(np.int64)


def _sizes(facets: Array) -> Array:
    """Longest edge of each facet."""
    edges = facets - facets[:, [-1, *range(facets.shape[1] - 1)]]
    return np.sqrt(largest(np.einsum("nkd,nkd->nk", edges, edges)))


def _pieces(facets: Array) -> tuple[Array, Numbers]:
    """The facets, the largest in pieces of about the size of the others; also the facet of each piece."""
    owner = np.arange(len(facets))
    most = max(PIECES[0] * len(facets), PIECES[1])
    bound = ALIKE * float(np.median(_sizes(facets))) if len(facets) else 0.0
    pieces = facets
    while True:
        large = _sizes(pieces) > bound
        count = 2 if facets.shape[2] == 2 else 4
        if not large.any() or len(pieces) + (count - 1) * np.count_nonzero(large) > most:
            return pieces, owner
        whole, corners = pieces[~large], pieces[large]
        middles = (corners + np.roll(corners, -1, axis=1)) / 2  # of the edges 01, 12, 20
        if facets.shape[2] == 2:
            parts = np.stack([corners[:, 0], middles[:, 0], middles[:, 0], corners[:, 1]], axis=1)
        else:
            (a, b, c), (ab, bc, ca) = corners.transpose(1, 0, 2), middles.transpose(1, 0, 2)
            parts = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1)
        pieces = np.concatenate([whole, parts.reshape(-1, *facets.shape[1:])])
        owner = np.concatenate([owner[~large], np.repeat(owner[large], count)])


def _unique(x: Array) -> tuple[Array, Numbers]:
    """The points without (most of) their repetitions, and where each is in these: many cells share a middle."""
    scale = 1e12 / max(float(np.abs(x).max(initial=0.0)), 1e-300)
    key = np.round(x @ np.sqrt([1.0, 2.0, 3.0])[: x.shape[1]] * scale)
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    some = x[first]
    strangers = np.flatnonzero(np.abs(x - some[back]).max(axis=1) * scale > 10.0)  # of the same key by chance
    back[strangers] = len(some) + np.arange(len(strangers))
    return np.concatenate([some, x[strangers]]), back


def to_segment(x: Array, a: Array, b: Array) -> Array:
    """Distance of points to the segments ab, broadcast over all but the last axis."""
    along, from_a = b - a, x - a
    s = np.clip(_dot(from_a, along) / np.maximum(_dot(along, along), 1e-300), 0.0, 1.0)
    rest = from_a - s[..., None] * along
    return np.asarray(np.sqrt(_dot(rest, rest)))


def _dot(a: Array, b: Array) -> Array:
    """Products of vectors along the last axis; much faster than a sum over so few components."""
    return np.asarray(np.einsum("...i,...i->...", a, b))


def to_facets(x: Array, facets: Array, facet: Numbers) -> Array:
    """Distance of each point (n, 3) to its triangle (n,) of some (m, 3, 3)."""
    way = from_facets(x, facets, facet)
    return np.asarray(np.sqrt(_dot(way, way)))


def from_facets(x: Array, facets: Array, facet: Numbers) -> Array:
    """The way (n, 3) to each point from the nearest point of its triangle (n,) of some (m, 3, 3)."""
    from microlith.meshing.mesh.distance_loops import find_ways

    found = np.empty(x.shape)
    find_ways(np.ascontiguousarray(x), facets, facet, found)
    return found


def within_reach(comm: MPI.Comm, facets: Array, points: Array, reach: float) -> Array:
    """The facets of all ranks that may lie within `reach` of this rank's points; collective, nothing is gathered.

    Args:
        comm: All ranks.
        facets: (n, corners, dim) of this rank.
        points: (m, dim) of this rank.
        reach: Distance that matters.
    """
    dim = points.shape[1]
    box = np.stack([points.min(axis=0, initial=np.inf) - reach, points.max(axis=0, initial=-np.inf) + reach])
    boxes = np.empty((comm.size, 2, dim))
    comm.Allgather(box, boxes)
    low, high = facets.min(axis=1), facets.max(axis=1)
    chosen = [facets[np.all((low <= b[1]) & (high >= b[0]), axis=1)] for b in boxes]
    sent = np.array([c.size for c in chosen])
    received = np.empty_like(sent)
    comm.Alltoall(sent, received)
    buffer = np.empty(received.sum())
    comm.Alltoallv([np.concatenate([c.ravel() for c in chosen]), sent], [buffer, received])
    return buffer.reshape(-1, *facets.shape[1:])


def periods(extent: Sequence[float], periodic: Sequence[int]) -> Array:
    """The ways (copies, dim) from an image to its nearest copies; the first is the image itself.

    Args:
        extent: Edge lengths of the image.
        periodic: Axes along which it comes again and again.
    """
    steps = [(0, 1, -1) if axis in periodic else (0,) for axis in range(len(extent))]
    return np.array(list(product(*steps))) * np.asarray(extent, np.float64)


def with_copies(facets: Array, extent: Sequence[float], periodic: Sequence[int], reach: float) -> Array:
    """Facets of an image, and of its copies those that may lie within a distance of the image.

    Args:
        facets: (n, corners, dim).
        extent: Edge lengths of the image.
        periodic: Axes along which it comes again and again.
        reach: The distance.
    """
    found = [facets]
    for way in periods(extent, periodic)[1:]:
        copy = facets + way
        near = (copy.min(axis=1) <= np.asarray(extent) + reach) & (copy.max(axis=1) >= -reach)
        found.append(copy[near.all(axis=1)])
    return np.concatenate(found)


def smallest_distances(
    points: Array, group: Integers, count: int, facets: Array, comm: MPI.Intracomm, ways: Array | None = None
) -> Array:
    """Distance of the nearest point of each group to the nearest facet, (count,), infinite where none is; collective.

    The facets of one rank after the other pass by, so that no rank holds more than the largest share of them; those
    too far to matter are not looked at.

    Args:
        points: (n, dim) of this rank.
        group: (n,) of each point.
        count: Number of groups.
        facets: (m, dim, dim) segments (triangles) of this rank.
        comm: All ranks.
        ways: (copies, dim) from the facets to their copies, which count as well; None: there is only themselves.
    """
    ways = np.zeros((1, points.shape[1])) if ways is None else ways
    best = np.full(count, np.inf)
    passing = facets
    for _ in range(comm.size):
        if len(passing) and len(points):
            low, high = passing.min(axis=(0, 1)), passing.max(axis=(0, 1))
            distance = None
            for way in ways:
                seen = points - way
                outside = np.maximum(np.maximum(low - seen, seen - high), 0.0)
                near = np.flatnonzero(np.linalg.norm(outside, axis=1) < best[group])
                if len(near):
                    distance = distance or SurfaceDistance(passing)
                    for cubes in CUBES:
                        near = near[_may_be_nearest(seen[near], group[near], best, distance, cubes)]
                    np.minimum.at(best, group[near], distance(seen[near]))
        comm.Allreduce(MPI.IN_PLACE, best, op=MPI.MIN)
        passing = _from_the_next(passing, comm)
    return best


def _may_be_nearest(points: Array, group: Integers, best: Array, surface: SurfaceDistance, cubes: int) -> Numbers:
    """Rows of the points that may be the nearest of their groups; what is far from a surface takes long to look up.

    Of the points of a group in a cube one is looked up: the others are nearer by no more than the way to them. `best`
    of each group is lowered to what is found.
    """
    low, high = np.full((len(best), points.shape[1]), np.inf), np.full((len(best), points.shape[1]), -np.inf)
    np.minimum.at(low, group, points)
    np.maximum.at(high, group, points)
    edge = np.maximum((high - low).max(axis=1), 1e-300) / cubes
    place = ((points - low[group]) / edge[group, None]).astype(np.int64)
    key = group.astype(np.int64)
    for along in place.T:
        key = key * (cubes + 1) + along
    _, first, cube = np.unique(key, return_index=True, return_inverse=True)
    away = np.linalg.norm(points - points[first][cube], axis=1)
    reach = np.zeros(len(first))
    np.maximum.at(reach, cube, away)
    found = surface(points[first])
    np.minimum.at(best, group[first], found)
    return np.flatnonzero((found - reach - surface.excess(found) <= best[group[first]])[cube])


def _from_the_next(facets: Array, comm: MPI.Intracomm) -> Array:
    """The facets that the next rank has, while ours go to the one before."""
    if comm.size == 1:
        return facets
    before, after = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    count = comm.sendrecv(len(facets), dest=before, source=after)
    arrived = np.empty((count, *facets.shape[1:]))
    comm.Sendrecv(np.ascontiguousarray(facets), dest=before, recvbuf=arrived, source=after)
    return arrived
