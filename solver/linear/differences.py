"""A stiffness matrix times a vector, as a sum of differences: what diffusion makes of a constant is 0, not rounding.

K u is written as Σ_j K_ij (u_j − u_i) + s_i u_i with s = K 1, what surfaces take from a constant. The terms of the
case say what s is; sums of rows have lost it in the rounding of the diagonal where diffusion is fast. Off-diagonals and
s determine the problem to its last digit, diagonals and off-diagonals do not: Alfa, Xue and Ye, Math. Comp. 71 (2002)
217-236, doi 10.1090/S0025-5718-01-01325-4; Ye, Math. Comp. 77 (2008) 2195-2230, doi 10.1090/S0025-5718-08-02112-1.
"""

import numpy as np
from scipy.sparse import coo_array, csr_array

from petsc4py import PETSc

from microlith.imaging.typing import Array, Indices


class Differences:
    """A symmetric matrix by its off-diagonal entries and its products with 1."""

    def __init__(self, matrix: PETSc.Mat, sums: Array) -> None:
        """Copy the entries; collective.

        Args:
            matrix: Symmetric, distributed by rows.
            sums: (owned,) matrix times 1.
        """
        self.comm = matrix.comm.tompi4py()
        self.sums = sums
        self.owned = len(sums)
        self._start, end = matrix.getOwnershipRange()
        columns = matrix.getValuesCSR()[1]
        self._ghosts = np.unique(columns[(columns < self._start) | (columns >= end)])
        self.ghost_count = len(self._ghosts)
        local = coo_array(self.local(matrix))
        couples = (local.row != local.col) & (local.data != 0.0)
        self.rows: Indices = local.row[couples].astype(np.int32)
        self.columns: Indices = local.col[couples].astype(np.int32)  # owned, then ghosts
        self.values: Array = local.data[couples]
        self._vector = matrix.createVecRight()
        self._at_ghosts = PETSc.Vec().createSeq(self.ghost_count, comm=PETSc.COMM_SELF)
        places = PETSc.IS().createGeneral(self._ghosts.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self._vector, places, self._at_ghosts, None)
        places.destroy()

    def local(self, matrix: PETSc.Mat) -> csr_array:
        """This rank's rows of a matrix of the same pattern, (owned, owned + ghosts)."""
        offsets, columns, values = matrix.getValuesCSR()
        inside = (columns >= self._start) & (columns < self._start + self.owned)
        place = np.where(inside, columns - self._start, self.owned + np.searchsorted(self._ghosts, columns))
        return csr_array((values, place, offsets), shape=(self.owned, self.owned + self.ghost_count))

    def with_ghosts(self, x: Array) -> Array:
        """Values (owned + ghosts,) from those (owned,) of all ranks; collective."""
        self._vector.array[:] = x
        self._scatter.scatter(self._vector, self._at_ghosts)
        return np.concatenate([x, self._at_ghosts.array_r])

    def times(self, x: Array, sums: Array | None = None) -> Array:
        """The matrix times x, (owned,), or one with other products with 1; collective."""
        flows = self.with_ghosts(x)[self.columns]
        flows -= x[self.rows]
        flows *= self.values
        return np.bincount(self.rows, flows, minlength=self.owned) + (self.sums if sums is None else sums) * x

    def destroy(self) -> None:
        """Free what PETSc holds."""
        for held in (self._vector, self._at_ghosts, self._scatter):
            held.destroy()


class RowSum:
    """The sum over some rows of a matrix times a vector: as a sum of differences."""

    def __init__(self, matrix: PETSc.Mat, rows: Indices, sums: Array) -> None:
        """Copy the entries; collective.

        Args:
            matrix: Symmetric, distributed by rows.
            rows: Owned rows of this rank.
            sums: (owned,) matrix times 1.
        """
        self._own, self._sums = rows, sums[rows]
        start, end = matrix.getOwnershipRange()
        every = PETSc.IS().createStride(end - start, first=start, step=1, comm=matrix.comm)
        chosen = PETSc.IS().createGeneral((rows + start).astype(PETSc.IntType), comm=matrix.comm)
        part = matrix.createSubMatrix(chosen, every)
        offsets, columns, self._values = part.getValuesCSR()
        self._rows = np.repeat(rows, np.diff(offsets))
        self._vector = matrix.createVecRight()
        self._at_columns = PETSc.Vec().createSeq(len(columns), comm=PETSc.COMM_SELF)
        places = PETSc.IS().createGeneral(columns, comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self._vector, places, self._at_columns, None)
        for held in (every, chosen, part, places):
            held.destroy()

    def of(self, x: Array) -> float:
        """The sum over the rows of this rank, from the vector's owned entries; collective."""
        self._vector.array[:] = x
        self._scatter.scatter(self._vector, self._at_columns)
        return float(self._values @ (self._at_columns.array_r - x[self._rows]) + self._sums @ x[self._own])
