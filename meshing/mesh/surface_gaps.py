"""Smallest distances between groups of points and a surface that is spread over ranks."""

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.meshing.mesh.distance import SurfaceDistance


def smallest_distances(
    points: Array, group: NDArray[np.integer], count: int, facets: Array, comm: MPI.Intracomm
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
    """
    best = np.full(count, np.inf)
    passing = facets
    for _ in range(comm.size):
        if len(passing) and len(points):
            low, high = passing.min(axis=(0, 1)), passing.max(axis=(0, 1))
            outside = np.maximum(np.maximum(low - points, points - high), 0.0)
            near = np.flatnonzero(np.linalg.norm(outside, axis=1) < best[group])
            if len(near):
                np.minimum.at(best, group[near], SurfaceDistance(passing)(points[near]))
        comm.Allreduce(MPI.IN_PLACE, best, op=MPI.MIN)
        passing = _from_the_next(passing, comm)
    return best


def _from_the_next(facets: Array, comm: MPI.Intracomm) -> Array:
    """The facets that the next rank has, while ours go to the one before."""
    if comm.size == 1:
        return facets
    before, after = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    count = comm.sendrecv(len(facets), dest=before, source=after)
    arrived = np.empty((count, *facets.shape[1:]))
    comm.Sendrecv(np.ascontiguousarray(facets), dest=before, recvbuf=arrived, source=after)
    return arrived
