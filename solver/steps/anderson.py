"""Anderson's mixing: the next iterate of a fixed-point iteration from several of those before.

Anderson, J. ACM 12 (1965) 547-560, doi 10.1145/321296.321305; Walker and Ni, SIAM J. Numer. Anal. 49 (2011) 1715-1735,
doi 10.1137/10078356X.
"""

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array

DEPENDENT = 1e-10  # eigenvalue of the differences' Gram matrix, per largest, that counts as zero


class Mixing:
    """Looks at the differences of a few iterates and of what the iteration would change them by."""

    def __init__(self, depth: int, comm: MPI.Intracomm) -> None:
        """Remember `depth` differences."""
        self._depth, self._comm = depth, comm
        self._last: tuple[Array, Array] | None = None
        self._iterates: list[Array] = []  # differences of iterates
        self._residuals: list[Array] = []  # differences of their changes

    def next(self, x: Array, change: Array) -> Array:
        """The iterate after x, (owned,), which the iteration itself would take to x + change; collective."""
        if self._last is not None:
            self._iterates = [*self._iterates, x - self._last[0]][-self._depth :]
            self._residuals = [*self._residuals, change - self._last[1]][-self._depth :]
        self._last = (x, change)
        if not self._residuals:
            return x + change
        residuals = np.array(self._residuals)
        products = self._comm.allreduce(residuals @ np.column_stack([residuals.T, change]), op=MPI.SUM)
        values, vectors = np.linalg.eigh(products[:, :-1])
        kept = values > DEPENDENT * values[-1]
        weights = vectors[:, kept] @ ((vectors[:, kept].T @ products[:, -1]) / values[kept])
        return x + change - weights @ (np.array(self._iterates) + residuals)
