"""Distance to a surface of segments or triangles that is spread over ranks."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mpi4py import MPI

Array = NDArray[np.float64]
CANDIDATES = 8  # facets whose middles are the nearest; the nearest facet is among them, see SurfaceDistance
CHUNK = 100_000  # points at a time, which bounds the memory


class SurfaceDistance:
    """Distance to segments (n, 2, 2) or triangles (n, 3, 3) from points (m, dim).

    Exact but where the nearest facet's middle is not among the eight nearest middles of facets of about its size: in a
    plane eight middles are nearer only in meshes of needles.
    """

    def __init__(self, facets: Array) -> None:
        # Among facets of one size a near one has a near middle; a large one's may be farther than many small ones'.
        size = np.sqrt(((facets - np.roll(facets, 1, axis=1)) ** 2).sum(axis=2).max(axis=1, initial=0.0))
        octave = np.floor(np.log2(np.maximum(size, 1e-300)))
        self._groups = [facets[octave == o] for o in np.unique(octave)]
        self._sizes = [float(2.0 ** (o + 1)) for o in np.unique(octave)]  # no facet of the group is larger
        self._trees = [cKDTree(group.mean(axis=1)) for group in self._groups]

    def __call__(self, x: Array, within: float = np.inf) -> Array:
        """Distances, shape (m,); infinite, or too large, where nothing is `within` reach."""
        found = np.full(len(x), np.inf)
        for start in range(0, len(x), CHUNK):
            chunk = slice(start, start + CHUNK)
            for group, size, tree in zip(self._groups, self._sizes, self._trees, strict=True):
                np.minimum(found[chunk], _to_group(x[chunk], group, size, tree, within), out=found[chunk])
        return found


def _to_group(x: Array, group: Array, size: float, tree: cKDTree, within: float) -> Array:
    """Distance to the nearest of the candidates among facets of about one size."""
    count = min(CANDIDATES, len(group))
    to_middle, near = tree.query(x, k=list(range(1, count + 1)), distance_upper_bound=within + size)
    nearest = np.full(len(x), np.inf)
    for j in range(count):
        # No point of a facet is farther from its middle than its size.
        open_ = np.flatnonzero(to_middle[:, j] - size < nearest)
        open_ = open_[np.isfinite(to_middle[open_, j])]
        facet = group[near[open_, j]]
        to_facet = to_segment(x[open_], facet[:, 0], facet[:, 1]) if x.shape[1] == 2 else _to_triangle(x[open_], facet)
        nearest[open_] = np.minimum(nearest[open_], to_facet)
    return nearest


def to_segment(x: Array, a: Array, b: Array) -> Array:
    """Distance of points to the segments ab, broadcast over all but the last axis."""
    along = b - a
    length2 = np.maximum((along * along).sum(axis=-1), 1e-300)
    s = np.clip(((x - a) * along).sum(axis=-1) / length2, 0.0, 1.0)
    return np.linalg.norm(x - a - s[..., None] * along, axis=-1)


def _to_triangle(x: Array, corners: Array) -> Array:
    """Distance of each point (n, 3) to its triangle (n, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ax = b - a, c - a, x - a
    bb, bc, cc, xb, xc = ((p * q).sum(axis=1) for p, q in ((ab, ab), (ab, ac), (ac, ac), (ax, ab), (ax, ac)))
    gram = np.maximum(bb * cc - bc * bc, 1e-300)
    v, w = (cc * xb - bc * xc) / gram, (bb * xc - bc * xb) / gram  # foot of the perpendicular: a + v ab + w ac
    foot = np.linalg.norm(ax - v[:, None] * ab - w[:, None] * ac, axis=1)
    out = np.flatnonzero((v < 0) | (w < 0) | (v + w > 1))
    sides = ((a, b), (b, c), (c, a))
    foot[out] = np.min([to_segment(x[out], p[out], q[out]) for p, q in sides], axis=0) if len(out) else foot[out]
    return foot


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
