"""Rows of tables to the ranks that know about them, and their answers back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.typing import Integers


class RowExchange:
    """Where the rows of a table go; several tables may take the same way."""

    def __init__(self, destination: Integers, comm: MPI.Intracomm) -> None:
        """Tell all ranks what to expect; collective.

        Args:
            destination: (n,) rank that each row goes to.
            comm: All ranks.
        """
        self._comm = comm
        self._order = np.argsort(destination, kind="stable")
        self._sent = np.bincount(destination, minlength=comm.size)
        self._received = np.empty_like(self._sent)
        comm.Alltoall(self._sent, self._received)

    def send(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Send rows (n, ...); what has come from all ranks, in their order (k, ...). Collective."""
        return self._moved(rows[self._order], self._sent, self._received)

    def answer(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Send an answer (k, ...) to each row that has come; the answers to this rank's rows (n, ...). Collective."""
        moved = self._moved(answers, self._received, self._sent)
        rows = np.empty_like(moved)
        rows[self._order] = moved
        return rows

    def _moved(self, rows: NDArray[Any], sent: Integers, received: Integers) -> NDArray[Any]:
        if self._comm.size == 1:
            return rows
        row = np.dtype((np.void, rows.dtype.itemsize * int(np.prod(rows.shape[1:]))))
        out = np.empty((int(received.sum()), *rows.shape[1:]), rows.dtype)
        one = MPI.BYTE.Create_contiguous(row.itemsize).Commit()  # counts in rows, which stay within 32 bits
        try:
            self._comm.Alltoallv(
                [np.ascontiguousarray(rows), sent, _starts(sent), one], [out, received, _starts(received), one]
            )
        finally:
            one.Free()
        return out


def _starts(counts: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(counts)[:-1]])
