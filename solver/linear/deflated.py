"""Conjugate gradients for M + γK where phases differ so much in diffusivity that the sum loses one of its terms.

In a cluster of fast phases γK is larger than M, and than all that the cluster exchanges with the rest, by more than
the sixteen digits of the numbers: the matrix as it is stored no longer says how the mean of the cluster changes, and
factors of it say anything. So it is never asked:

* products with K are sums of differences (`differences`), and iterates are kept in two parts, w + Z y, where the
  columns of Z are the indicator functions of the stiff clusters (`clusters`): K w is then as small as w is even, and
  K Z has nothing but what the clusters exchange, without the large entries that cancel;
* the equations for y are solved by their own matrix, E = ZᵀAZ, which is made of those small terms alone;
* the preconditioner of the rest, factors or multigrid, is that of A with a part SHIFT of its diagonal added. That keeps
  it from being singular to rounding, and changes it for the means of the clusters only, which are not its business.

Both are put together by balancing, Q + (I − QA) B (I − AQ) with Q = Z E⁻¹ Zᵀ: Mandel, Comm. Numer. Meth. Engng 9 (1993)
233-241, doi 10.1002/cnm.1640090307; Nicolaides, SIAM J. Numer. Anal. 24 (1987) 355-365, doi 10.1137/0724027; Tang,
Nabben, Vuik and Erlangga, J. Sci. Comput. 39 (2009) 340-370, doi 10.1007/s10915-009-9272-6, who compare such methods
and find this one not to mind rounding. A few iterations do, whatever the contrast. The energy norm of the error, which
bounds its norm by M, follows from residual and preconditioner: it is what is left of rounding, and is told.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.linear.clusters import StiffClusters
from microlith.solver.linear.differences import Differences

SHIFT = 1e-11  # of the diagonal, added in the preconditioner
DENSE = 1000  # clusters up to which E is a dense matrix
MOST = 300  # iterations
FLOOR = 1e-14  # error in the energy norm, relative to that of x, that rounding leaves
WORST = 1e-6  # relative error in the energy norm at which it has failed


@dataclass(frozen=True)
class Solution:
    """Of A x = r."""

    x: Array  # (owned,)
    error: float  # of x in the energy norm, which bounds that by M, relative to the norm of x by M
    iterations: int


class Deflated:
    """Solver of A x = r, A = M + γK, with the means of stiff clusters solved for apart."""

    def __init__(self, mass: PETSc.Mat, graph: Differences, gamma: float, stiff: StiffClusters, pc: PETSc.PC) -> None:
        """Prepare; collective.

        Args:
            mass: M, of the pattern of K.
            graph: K.
            gamma: γ.
            stiff: Its stiff clusters, at least one.
            pc: Symmetric preconditioner, set up for A with SHIFT of its diagonal added.
        """
        self._mass, self._graph, self._gamma, self._pc = mass, graph, gamma, pc
        self._in, self._out = mass.createVecRight(), mass.createVecLeft()
        self._z = indicators(stiff, graph.owned)
        self._az = _times_indicators(mass, graph, gamma, stiff)
        self._zaz = _between_indicators(self._z, self._az, stiff, graph.comm)
        self._inverse = ScaledFactors(self._zaz, definite=True)

    def solve(self, right: Array, tolerance: float) -> Solution:
        """Solve for x, (owned,); collective.

        Args:
            right: (owned,)
            tolerance: Wanted error in the energy norm, relative to the norm of x by M; no more than rounding allows.

        Raises:
            ArithmeticError: On all ranks, where it does not converge.
        """
        wanted = self._sum(self._z.T @ right)
        w, y = np.zeros_like(right), self._inverse(wanted)
        residual = right - self._az @ y
        energy = float(y @ wanted)
        step_w, step_y = np.zeros_like(w), np.zeros_like(y)
        before, iterations = np.inf, 0
        while True:
            z_w, z_y, product = self._balanced(residual)
            size = self._stored(w + self._z @ y)
            enough = max(tolerance**2 * size, FLOOR**2 * energy)
            if not product > enough or iterations == MOST:
                break
            kept = product / before if iterations else 0.0
            step_w, step_y = z_w + kept * step_w, z_y + kept * step_y
            image = self._times(step_w) + self._az @ step_y
            sums = self._sum(np.append(self._az.T @ step_w, step_w @ image))
            curvature = float(sums[-1] + step_y @ (sums[:-1] + self._zaz @ step_y))
            if not curvature > 0.0:
                break
            length = product / curvature
            w, y = w + length * step_w, y + length * step_y
            residual = residual - length * image
            energy += length * product
            before = product
            iterations += 1
        size = self._stored(w + self._z @ y)
        error = float(np.sqrt(max(product, 0.0) / size)) if size > 0.0 else 0.0
        if max(product, 0.0) > WORST**2 * max(size, energy):
            raise ArithmeticError(f"deflated conjugate gradients stopped at a relative error of {error:.1e}")
        # What rounding has left of the equations for the means
        y = y + self._inverse(wanted - self._sum(self._az.T @ w) - self._zaz @ y)
        return Solution(w + self._z @ y, error, iterations)

    def _balanced(self, residual: Array) -> tuple[Array, Array, float]:
        """The preconditioned residual in two parts, and its product with the residual."""
        sums = self._sum(self._z.T @ residual)
        means = self._inverse(sums)
        balanced = residual - self._az @ means
        self._in.array[:] = balanced
        self._pc.apply(self._in, self._out)
        z = self._out.array_r.copy()
        products = self._sum(np.append(self._az.T @ z, balanced @ z))
        return z, means - self._inverse(products[:-1]), float(products[-1] + sums @ means)

    def _times(self, w: Array) -> Array:
        """A w, (owned,)."""
        self._in.array[:] = w
        self._mass.mult(self._in, self._out)
        return self._out.array_r + self._gamma * self._graph.times(w)

    def _stored(self, x: Array) -> float:
        """Square of the norm of x by M."""
        self._in.array[:] = x
        self._mass.mult(self._in, self._out)
        return float(self._graph.comm.allreduce(x @ self._out.array_r, op=MPI.SUM))

    def _sum(self, values: Array) -> Array:
        """Sum over all ranks."""
        return np.asarray(self._graph.comm.allreduce(values, op=MPI.SUM))

    def destroy(self) -> None:
        """Free what PETSc holds."""
        self._in.destroy()
        self._out.destroy()


class ScaledFactors:
    """Factors of a matrix whose diagonal may range over all orders of magnitude."""

    def __init__(self, matrix: Array | csc_array, *, definite: bool) -> None:
        """Factorise.

        Args:
            matrix: Without a 0 on its diagonal.
            definite: Whether it is symmetric and positive definite.
        """
        self._scale = 1.0 / np.sqrt(np.abs(matrix.diagonal()))
        if isinstance(matrix, np.ndarray):
            factorise, solve = (cho_factor, cho_solve) if definite else (lu_factor, lu_solve)
            dense = factorise(self._scale[:, None] * matrix * self._scale)
            self._solve: Callable[[Array], Array] = lambda right: solve(dense, right)
        else:
            scale = diags_array(self._scale)
            self._solve = splu(csc_array(scale @ matrix @ scale)).solve

    def __call__(self, right: Array) -> Array:
        """Solve with a right side."""
        return self._scale * self._solve(self._scale * right)


def indicators(stiff: StiffClusters, size: int) -> csr_array:
    """Z, (size, columns), of the first unknowns of this rank."""
    rows = np.concatenate([np.flatnonzero(label[:size] >= 0) for label in stiff.labels])
    columns = np.concatenate([label[:size][label[:size] >= 0] for label in stiff.labels])
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, stiff.count))


def _times_indicators(mass: PETSc.Mat, graph: Differences, gamma: float, stiff: StiffClusters) -> csr_array:
    """(M + γK) Z, (owned, columns): of K only what leaves a cluster, as within it differences are zero."""
    shape = (graph.owned, stiff.count)
    storage = graph.local(mass) @ indicators(stiff, graph.owned + graph.ghost_count)
    total = csr_array(storage)
    for label in stiff.labels:
        own, other = label[graph.rows], label[graph.columns]
        across = own != other
        leaves, enters = across & (own >= 0), across & (other >= 0)
        inside = np.flatnonzero(label[: graph.owned] >= 0)
        rows = np.concatenate([graph.rows[leaves], graph.rows[enters], inside])
        columns = np.concatenate([own[leaves], other[enters], label[inside]])
        values = np.concatenate([-graph.values[leaves], graph.values[enters], graph.sums[inside]])
        total = total + csr_array((gamma * values, (rows, columns)), shape=shape)
    return csr_array(total)


def _between_indicators(z: csr_array, az: csr_array, stiff: StiffClusters, comm: MPI.Intracomm) -> Array | csc_array:
    """ZᵀAZ, the same on all ranks, dense where it is small.

    Of a cluster and one within it the column of the larger counts: A times that is free of the large entries around the
    smaller one, which would cancel.
    """
    level = np.empty(stiff.count, np.intp)
    for k, label in enumerate(stiff.labels):
        level[label[label >= 0]] = k
    level = np.maximum.reduce(comm.allgather(level))
    own = coo_array(z.T @ az)
    counts = level[own.col] >= level[own.row]
    parts = comm.allgather((own.row[counts], own.col[counts], own.data[counts]))
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    mirrored = level[columns] > level[rows]
    shape = (stiff.count, stiff.count)
    whole = csc_array((values, (rows, columns)), shape=shape)
    whole = whole + csc_array((values[mirrored], (columns[mirrored], rows[mirrored])), shape=shape)
    whole = csc_array((whole + whole.T) / 2)
    return whole.toarray() if stiff.count <= DENSE else whole
