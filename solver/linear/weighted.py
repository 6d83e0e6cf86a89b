"""Newton's equations where phases differ so much in diffusivity that their matrix loses one of its terms.

With a diffusivity that depends on the concentration the matrix of a step is A = B + s Σ K_k diag(d_k): B has what is
stored and what surfaces exchange, K_k the shape of some phases and d_k their diffusivities at the nodes. It is not
symmetric, and so not a case for deflated conjugate gradients (see `deflated`), but what is done about stiff clusters is
the same: products are sums of differences, and the means of clusters are solved for apart, with a matrix that is made
of what clusters store and exchange alone. Each K_k maps constants to 0 and so do the sums of its columns; with Z the
indicators of the clusters, A Z and ZᵀA are therefore free of the large entries that cancel. What is left,
(I − A Z E⁻¹ Zᵀ) A w = (I − A Z E⁻¹ Zᵀ) r with E = ZᵀAZ, is solved by GMRES, preconditioned by factors or multigrid of A
with a part SHIFT of its diagonal added and then by I − Z E⁻¹ ZᵀA.

Deflation of matrices that are not symmetric: Erlangga and Nabben, SIAM J. Matrix Anal. Appl. 30 (2008) 684-699, doi
10.1137/060678257.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags
from microlith.solver.linear.clusters import StiffClusters
from microlith.solver.linear.deflated import DENSE, ScaledFactors, indicators
from microlith.solver.linear.differences import Differences

RESTART = 60  # iterations of GMRES that are kept
MOST = 300  # iterations


@dataclass(frozen=True, eq=False)
class WeightedTerm:
    """A stiffness matrix times a diagonal one, K diag(d)."""

    graph: Differences  # K
    weights: Array | None = None  # (owned,) d; None: 1

    def times(self, x: Array) -> Array:
        """K diag(d) x, (owned,); collective."""
        return self.graph.times(x if self.weights is None else self.weights * x)


class WeightedDeflation:
    """Solver of A x = r by GMRES, with the means of stiff clusters solved for apart."""

    def __init__(
        self,
        base: PETSc.Mat,
        terms: Sequence[WeightedTerm],
        step: float,
        stiff: StiffClusters,
        free: Flags,
        preconditioner: PETSc.PC,
    ) -> None:
        """Prepare; collective.

        Args:
            base: B, of the pattern of all K.
            terms: K diag(d) of each part, at least one.
            step: s.
            stiff: Stiff clusters of A, at least one.
            free: (owned,) False on rows that are held.
            preconditioner: Set up for A with SHIFT of its diagonal added.
        """
        self._base, self._terms, self._step, self._free = base, terms, step, free
        self._preconditioner = preconditioner
        graph = terms[0].graph
        self._comm = graph.comm
        self._x, self._y = base.createVecRight(), base.createVecLeft()
        self._z = indicators(stiff, graph.owned)
        stored = graph.local(base) @ indicators(stiff, graph.owned + graph.ghost_count)
        held = diags_array(free.astype(np.float64))
        images, transposed = (_times_indicators(terms, step, stiff, turned) for turned in (False, True))
        self._az = csr_array(held @ (stored + images))
        self._za = csr_array((held @ (stored + transposed)).T)  # ZᵀA, (columns, owned)
        self._inverse = ScaledFactors(self._between(stiff), definite=False)
        size = (base.getLocalSize()[0], PETSc.DETERMINE)
        self._raised: list[BaseException] = []  # within PETSc, which would make it an error of its own
        self._operator = PETSc.Mat().createPython((size, size), _Operator(self._kept(self._deflated)), base.comm)
        self._ksp = PETSc.KSP().create(base.comm)
        self._ksp.setErrorIfNotConverged(False)
        self._ksp.setType("gmres")
        self._ksp.setGMRESRestart(RESTART)
        self._ksp.setOperators(self._operator)
        self._ksp.getPC().setType("python")
        self._ksp.getPC().setPythonContext(_Preconditioner(self._kept(self._balanced)))

    def solve(self, right: Array, tolerance: float) -> tuple[Array, int]:
        """Solve for x, (owned,); also the number of iterations; collective.

        Args:
            right: (owned,) r, 0 on rows that are held.
            tolerance: Relative residual, preconditioned, at which to stop.

        Raises:
            ArithmeticError: On all ranks, where it does not converge.
        """
        means = self._inverse(self._sum(self._z.T @ right))
        self._ksp.setTolerances(rtol=tolerance, atol=0.0, max_it=MOST)
        b, w = self._base.createVecLeft(), self._base.createVecRight()
        b.array[:] = right - self._az @ means
        try:
            self._ksp.solve(b, w)
        except PETSc.Error:
            if self._raised:  # such as the end of the run by a signal
                raise self._raised.pop() from None
            raise
        found, reason = w.array_r.copy(), self._ksp.getConvergedReason()
        b.destroy()
        w.destroy()
        if reason < 0:
            raise ArithmeticError(f"deflated GMRES gave up (PETSc reason {reason})")
        return self._without_means(found) + self._z @ means, self._ksp.getIterationNumber()

    def destroy(self) -> None:
        """Free what PETSc holds."""
        for held in (self._ksp, self._operator, self._x, self._y, self._base):
            held.destroy()

    def _kept(self, times: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """The same function, which takes down what it raises."""

        def keeping(x: Array) -> Array:
            try:
                return times(x)
            except BaseException as error:
                self._raised.append(error)
                raise

        return keeping

    def _deflated(self, x: Array) -> Array:
        """(I − A Z E⁻¹ Zᵀ) A x, (owned,)."""
        return self.times(x) - self._az @ self._inverse(self._sum(self._za @ x))

    def _balanced(self, x: Array) -> Array:
        """X preconditioned, without what that makes of the means, (owned,): they would be rounding, much enlarged."""
        self._y.array[:] = x
        self._preconditioner.apply(self._y, self._x)
        return self._without_means(self._x.array_r)

    def _without_means(self, x: Array) -> Array:
        """(I − Z E⁻¹ Zᵀ A) x, (owned,)."""
        return x - self._z @ self._inverse(self._sum(self._za @ x))

    def times(self, x: Array) -> Array:
        """A x, (owned,), 0 on held rows; collective."""
        self._x.array[:] = x
        self._base.mult(self._x, self._y)
        return np.where(self._free, self._y.array_r + self._step * sum(term.times(x) for term in self._terms), 0.0)

    def _sum(self, values: Array) -> Array:
        return np.asarray(self._comm.allreduce(values, op=MPI.SUM))

    def _between(self, stiff: StiffClusters) -> Array | csc_array:
        """E = ZᵀAZ, the same on all ranks.

        Of two clusters the larger counts by its product with A, and by that with the transposed of A where both are of
        a level: these are free of the large entries around and within the smaller one, which would cancel.
        """
        level = np.full(stiff.count, -1, np.intp)
        for k, label in enumerate(stiff.labels):
            level[label[label >= 0]] = k
        level = np.maximum.reduce(self._comm.allgather(level))
        parts = []
        for product, of_row in ((coo_array(self._za @ self._z), True), (coo_array(self._z.T @ self._az), False)):
            counts = (level[product.row] >= level[product.col]) == of_row
            parts.append((product.row[counts], product.col[counts], product.data[counts]))
        every = [part for of_rank in self._comm.allgather(parts) for part in of_rank]
        rows, columns, values = (np.concatenate(each) for each in zip(*every, strict=True))
        whole = csc_array((values, (rows, columns)), shape=(stiff.count, stiff.count))
        return whole.toarray() if stiff.count <= DENSE else whole


@dataclass(frozen=True)
class _Operator:
    """A product as PETSc asks for it."""

    times: Callable[[Array], Array]

    def mult(self, _: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Put the product with x into y."""
        y.array[:] = self.times(x.array_r.copy())


@dataclass(frozen=True)
class _Preconditioner:
    """A preconditioner as PETSc asks for it."""

    times: Callable[[Array], Array]

    def apply(self, _: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Put x preconditioned into y."""
        y.array[:] = self.times(x.array_r.copy())


def _times_indicators(terms: Sequence[WeightedTerm], step: float, stiff: StiffClusters, turned: bool) -> csr_array:
    """The sum of s K diag(d) Z, or if turned of its transposed s diag(d) K Z, (owned, columns), by differences."""
    shape = (terms[0].graph.owned, stiff.count)
    total = csr_array(shape)
    for term in terms:
        graph = term.graph
        ones = np.ones(graph.owned)
        weights = graph.with_ghosts(ones if term.weights is None else term.weights)
        at_row = weights[graph.rows]
        at_column = at_row if turned else weights[graph.columns]
        for label in stiff.labels:
            own, other = label[graph.rows], label[graph.columns]
            within = (own == other) & (own >= 0) & (at_row != at_column)
            leaves, enters = (own != other) & (own >= 0), (own != other) & (other >= 0)
            inside = np.flatnonzero(label[: graph.owned] >= 0)
            rows = [graph.rows[within], graph.rows[leaves], graph.rows[enters], inside]
            columns = [own[within], own[leaves], other[enters], label[inside]]
            values = [
                graph.values[within] * (at_column[within] - at_row[within]),
                -graph.values[leaves] * at_row[leaves],
                graph.values[enters] * at_column[enters],
                graph.sums[inside] * weights[inside],
            ]
            entries = step * np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
            total = total + csr_array(entries, shape=shape)
    return csr_array(total)
