"""Unknowns that stand on the planes between the slabs of two ranks: both have them, and the lower one counts them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.typing import Array, Indices

UP, DOWN = 1, 2  # tags of messages


@dataclass(frozen=True, eq=False)
class Shared:
    """What a rank shares with those below and above it, in the same order on both sides."""

    comm: MPI.Intracomm
    low: Indices  # places of the values that the rank below has, too, and counts
    high: Indices  # of those that the rank above has, too

    def exchanged(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """What the ranks below and above have for `low` and `high`; collective."""
        from_below, from_above = np.empty_like(low), np.empty_like(high)
        self._send(high, True, from_below)
        self._send(low, False, from_above)
        return from_below, from_above

    def add(self, values: NDArray[Any]) -> None:
        """Add to what stands on the planes what the other ranks have there; collective."""
        if self.comm.size > 1:
            below, above = self.exchanged(values[self.low], values[self.high])
            values[self.low] += below
            values[self.high] += above

    def take(self, values: NDArray[Any]) -> None:
        """Take from the rank below what it counts; collective."""
        if self.comm.size > 1:
            below = np.empty(len(self.low), values.dtype)
            self._send(values[self.high], True, below)
            values[self.low] = below

    def dot(self, a: Array, b: NDArray[Any]) -> float:
        """Scalar product, over all ranks; collective."""
        own = float(np.dot(a, b)) - float(np.dot(a[self.low], b[self.low]))
        return self.comm.allreduce(own, op=MPI.SUM)

    def _send(self, values: NDArray[Any], up: bool, into: NDArray[Any]) -> None:
        rank, size, step = self.comm.rank, self.comm.size, 1 if up else -1
        to, source = (place if 0 <= place < size else MPI.PROC_NULL for place in (rank + step, rank - step))
        tag = UP if up else DOWN
        self.comm.Sendrecv(np.ascontiguousarray(values), to, tag, into, source, tag)
