"""The how-many-smallest of values that are spread over ranks."""

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array

BINS = 4096


def percentile(values: Array, percent: float, comm: MPI.Intracomm) -> float | None:
    """The value that `percent` of all values are below, one of them, exactly; collective.

    Counts of values in intervals travel, and not the values. Same as numpy.percentile with method "lower".

    Args:
        values: (n,) finite, of this rank.
        percent: From 0, the smallest, to 100, the largest value.
        comm: All ranks.

    Returns:
        None where no rank has a value.
    """
    total = comm.allreduce(len(values))
    if total == 0:
        return None
    place = int(percent / 100 * (total - 1))
    while True:
        low = comm.allreduce(float(values.min(initial=np.inf)), op=MPI.MIN)
        high = comm.allreduce(float(values.max(initial=-np.inf)), op=MPI.MAX)
        if place == 0 or low == high:
            return low
        if place == total - 1:
            return high
        bins = np.minimum(((values - low) * (BINS / (high - low))).astype(np.int64), BINS - 1)
        counts = np.zeros(BINS, np.int64)
        comm.Allreduce(np.bincount(bins, minlength=BINS), counts)
        below = np.concatenate([[0], np.cumsum(counts)])
        found = int(np.searchsorted(below, place, side="right")) - 1
        values = values[bins == found]
        place, total = place - int(below[found]), int(counts[found])
