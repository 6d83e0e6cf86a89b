"""Solvers of (M + γ K) x = r for many right sides: sparse Cholesky factors or CG with algebraic multigrid.

In 3D, with elements of degree 1, CG takes incomplete factors in the place of multigrid as long as iterations are few.

Where γK is so much larger than M somewhere that clusters of unknowns are stiff (see `clusters`), they are used as the
preconditioner of deflated conjugate gradients (see `deflated`). Where not, rounding changes the mean of a cluster by no
more than the machine's precision per that limit; either way it is told how much that can be.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.keeping import Found, Keeper
from microlith.solver.linear.clusters import Clusters, StiffClusters, nested_clusters, stiff_clusters
from microlith.solver.linear.deflated import SHIFT, Deflated
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.solvers import (
    entry_by_entry,
    matrix_times,
    new_incomplete,
    new_ksp,
    prepare_factors,
    refuse_lack_of_memory,
)

SAME = 1e-12  # relative difference up to which two γ are one: lengths of equal stretches differ by rounding
PRECISION = float(np.finfo(np.float64).eps)
SAFETY = 3.0  # of a measured error
DEFLATED = 1e-11  # relative error in the energy norm at which deflated conjugate gradients stop


@dataclass(eq=False)
class _Ready:
    """What is set up for one γ."""

    ksp: PETSc.KSP
    incomplete: bool  # whether its preconditioner is incomplete factors
    matrix: PETSc.Mat
    deflated: Deflated | None
    rounding: float  # of the mean of a cluster, relative, in one solve: a bound, or as measured,
    measured: bool = False

    def destroy(self) -> None:
        if self.deflated is not None:
            self.deflated.destroy()
        self.ksp.destroy()
        self.matrix.destroy()


@dataclass
class ShiftedSolvers:
    """Solver of (M + γ K) x = r, set up anew when γ changes; what depends on the pattern alone is kept then.

    Both matrices are symmetric, M + γ K is positive definite, and they share one sparsity pattern.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    taken: Array  # (owned,) K 1, as the terms of the case say it
    method: str  # "mumps", "cg" or, on one rank, "cholmod"
    inner_tolerance: float  # relative residual of CG; factors are exact to rounding
    dim: int = 2  # of the space
    degree: int = 1  # of the elements
    kept: int = 1  # values of γ that stay set up at a time
    stiff: float = 1e-7  # what a cluster stores and exchanges, per sum of its diagonal, below which it is deflated
    precondition: Callable[[PETSc.PC], None] | None = None  # sets another preconditioner of CG up than BoomerAMG
    keeper: Keeper | None = None  # of what solves find
    solves: int = 0
    iterations: int = 0  # of CG, over all solves
    used: list[str] = field(default_factory=list)  # what solved: methods, in their order, each once
    poles: list[float] = field(default_factory=list)  # the values of γ that were set up, in their order
    _lost_before: dict[float, float] = field(default_factory=dict)  # by γ, what earlier processes lost by rounding
    _ready: dict[float, _Ready] = field(default_factory=dict)  # by γ, the latest last
    _multigrid_from: float = np.inf  # γ from which on incomplete factors take too many iterations
    _graph: Differences | None = None  # K, where it was needed,
    _levels: list[Clusters] = field(default_factory=list)  # and its clusters

    def solve(self, gamma: float, right: PETSc.Vec, solution: Array) -> None:
        """Solve (M + γ K) x = right into the owned entries `solution`; collective.

        Raises:
            ArithmeticError: CG did not converge, or the factorisation broke down.
        """
        if self.keeper is not None:
            known = self.keeper.recalled("solve", gamma)
            if known is not None and known.vector is not None:
                self._recall(gamma, known)
                solution[:] = known.vector
                return
        before = self.iterations
        rounding = self._solve(gamma, right, solution)
        if self.keeper is not None:
            numbers = (float(self.iterations - before), rounding, float(gamma >= self._multigrid_from))
            self.keeper.take_down("solve", gamma, Found(numbers, solution))

    def _recall(self, gamma: float, known: Found) -> None:
        """Count a solve that an earlier process did."""
        iterations, rounding, by_multigrid = known.numbers
        self.solves += 1
        self.iterations += int(iterations)
        if by_multigrid:
            self._multigrid_from = min(self._multigrid_from, gamma)
        if not self.poles or abs(self.poles[-1] - gamma) > SAME * gamma:
            self.poles.append(gamma)
        self._lost_before[gamma] = max(self._lost_before.get(gamma, 0.0), rounding)

    def _solve(self, gamma: float, right: PETSc.Vec, solution: Array) -> float:
        """Solve; what rounding may have done to the mean of a cluster, relative."""
        ready = self._set_up(gamma)
        self.solves += 1
        if self.method not in self.used:
            self.used.append(self.method)
        if ready.deflated is not None:
            found = ready.deflated.solve(right.array_r.copy(), DEFLATED)
            ready.rounding = max(ready.rounding, found.error)
            self.iterations += found.iterations
            solution[:] = found.x
            return ready.rounding
        solution[:] = self._solved(ready, gamma, right)
        self.iterations += ready.ksp.getIterationNumber() if self.method == "cg" else 0
        return 0.0

    def _solved(self, ready: _Ready, gamma: float, right: PETSc.Vec) -> Array:
        """Solution, (owned,), as factors, whole or incomplete, or multigrid give it."""
        x = self.mass.createVecRight()
        ready.ksp.solve(right, x)
        reason = ready.ksp.getConvergedReason()
        if reason < 0 and ready.incomplete:
            self.iterations += ready.ksp.getIterationNumber()  # in vain, but done
            self._multigrid_from = min(self._multigrid_from, gamma)
            ready.ksp.destroy()
            ready.ksp, ready.incomplete = self._new_ksp(ready.matrix), False
            x.set(0.0)
            ready.ksp.solve(right, x)
            reason = ready.ksp.getConvergedReason()
        found = x.array_r.copy()
        x.destroy()
        if reason < 0:
            refuse_lack_of_memory(ready.ksp)
            raise ArithmeticError(
                f"the {self.method} solver of (M + γK) gave up (PETSc reason {reason}, γ = {gamma:g})"
            )
        return found

    def rounding(self, gamma: float, enough: float, settled: Callable[[Array], Array]) -> float:
        """Relative error that a solve with this γ may have of the mean of a cluster, by rounding; collective.

        A bound where that is enough, else what a solve makes of a constant, (M + γK)⁻¹ (M 1 + γ K 1) − 1.

        Args:
            gamma: γ.
            enough: Bound that will do.
            settled: From a solution (owned,) to what is made of it.
        """
        known = None if self.keeper is None else self.keeper.recalled("rounding", gamma)
        if known is not None:
            return known.numbers[0]
        found = self._rounding(gamma, enough, settled)
        if self.keeper is not None:
            self.keeper.take_down("rounding", gamma, Found((found,)))
        return found

    def _rounding(self, gamma: float, enough: float, settled: Callable[[Array], Array]) -> float:
        ready = self._set_up(gamma)
        if ready.rounding > enough and not ready.measured and ready.deflated is None:
            right = self.mass.createVecLeft()
            right.array[:] = matrix_times(self.mass, np.ones_like(self.taken)) + gamma * self.taken
            x = self._solved(ready, gamma, right)
            right.destroy()
            worst = float(np.abs(settled(x) - 1.0).max(initial=0.0))
            ready.rounding = SAFETY * self.mass.comm.tompi4py().allreduce(worst, op=MPI.MAX) + PRECISION
            ready.measured = True
        return ready.rounding

    def _set_up(self, gamma: float) -> _Ready:
        """What solves for this γ."""
        for known in self._ready:
            if abs(known - gamma) <= SAME * gamma:
                self._ready[known] = self._ready.pop(known)
                return self._ready[known]
        ksp = None
        if len(self._ready) < self.kept:
            shifted = self.stiffness.duplicate(copy=True)
        else:
            oldest = self._ready.pop(next(iter(self._ready)))
            ksp, shifted = oldest.ksp, oldest.matrix
            if oldest.deflated is not None:
                oldest.deflated.destroy()
            self.stiffness.copy(shifted, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        shifted.scale(gamma)
        shifted.axpy(1.0, self.mass, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        lost, stiff = self._lost(gamma, shifted)
        if stiff is not None:
            diagonal = shifted.getDiagonal()
            diagonal.scale(1.0 + SHIFT)
            shifted.setDiagonal(diagonal)
            diagonal.destroy()
        shifted.setOption(PETSc.Mat.Option.SPD, True)
        incomplete = self._may_be_incomplete(gamma) and stiff is None
        if ksp is not None and (incomplete or oldest.incomplete):
            ksp.destroy()
            ksp = None
        if incomplete:
            ksp = new_incomplete(shifted, self.inner_tolerance)
        elif ksp is None:
            ksp = self._new_ksp(shifted)
        else:
            ksp = self._set_operators(ksp, shifted)
        deflated = None
        if stiff is not None and self._graph is not None:
            deflated = Deflated(self.mass, self._graph, gamma, stiff, ksp.getPC())
        if not self.poles or gamma not in self._lost_before or self.poles[-1] != gamma:
            self.poles.append(gamma)
        self._ready[gamma] = _Ready(ksp, incomplete, shifted, deflated, max(lost, self._lost_before.get(gamma, 0.0)))
        return self._ready[gamma]

    def _may_be_incomplete(self, gamma: float) -> bool:
        """Whether incomplete factors are worth a try."""
        suited = self.method == "cg" and self.dim == 3 and self.degree == 1 and self.precondition is None
        return suited and gamma < self._multigrid_from * (1.0 - SAME)

    def _new_ksp(self, shifted: PETSc.Mat) -> PETSc.KSP:
        """Factors or multigrid, set up."""
        ksp = new_ksp(self.mass.comm, self.method, self.inner_tolerance, self.dim, self.degree, self.precondition)
        ksp.setOperators(shifted)
        if self.method == "mumps":
            prepare_factors(ksp, self.dim)
        with entry_by_entry(shifted) if self.method == "cholmod" else nullcontext():
            return self._set_operators(ksp, shifted)

    def _set_operators(self, ksp: PETSc.KSP, shifted: PETSc.Mat) -> PETSc.KSP:
        """A solver set up for a matrix; another one where CHOLMOD gives up, as MUMPS says why or does it."""
        try:
            ksp.setOperators(shifted)
            ksp.setUp()
        except PETSc.Error:
            if self.method != "cholmod":
                raise
            ksp.destroy()
            self.method = "mumps"
            return self._new_ksp(shifted)
        return ksp

    def _lost(self, gamma: float, shifted: PETSc.Mat) -> tuple[float, StiffClusters | None]:
        """How much rounding changes the means of clusters in one solve, and the clusters where that is too much."""
        comm = self.mass.comm.tompi4py()
        diagonal, storage = (matrix.getDiagonal().array_r.copy() for matrix in (shifted, self.mass))
        free = storage > 0.0
        ratio = comm.allreduce(float((diagonal[free] / storage[free]).max(initial=1.0)), op=MPI.MAX)
        if ratio * self.stiff < 1.0:  # no cluster can be stiff then
            return PRECISION * ratio, None
        if self._graph is None:
            self._graph = Differences(self.stiffness, self.taken)
            self._levels = nested_clusters(self._graph)
        stored = matrix_times(self.mass, np.ones_like(self.taken))
        stiff = stiff_clusters(self._levels, self._graph, gamma, stored, diagonal, self.stiff)
        if stiff.count == 0:
            return PRECISION / self.stiff, None
        return PRECISION, stiff

    def destroy(self) -> None:
        """Free the factors; they are the largest arrays of a run."""
        for ready in self._ready.values():
            ready.destroy()
        self._ready.clear()
        if self._graph is not None:
            self._graph.destroy()
            self._graph = None
