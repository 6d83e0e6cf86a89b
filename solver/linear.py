"""Solvers of (M + γ K) x = r for many right sides: sparse Cholesky factors or CG with algebraic multigrid."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI
from petsc4py import PETSc

# Above this many unknowns the factors of a 2D (3D) problem cost more memory and time than multigrid needs.
FACTOR_LIMIT = {2: 2_000_000, 3: 60_000}


def choose_method(wanted: str, dim: int, unknowns: int) -> str:
    """Resolve "auto" to "mumps" or "cg" for a problem in `dim` dimensions with `unknowns` unknowns."""
    if wanted != "auto":
        return wanted
    return "mumps" if unknowns <= FACTOR_LIMIT[dim] else "cg"


def new_ksp(comm: MPI.Comm, method: str, tolerance: float) -> PETSc.KSP:
    """Solver for symmetric positive definite matrices, without operators so far.

    Args:
        comm: Of the matrices.
        method: "mumps" or "cg".
        tolerance: Relative residual at which CG stops.
    """
    ksp = PETSc.KSP().create(comm)
    ksp.setErrorIfNotConverged(False)
    pc = ksp.getPC()
    if method == "mumps":
        ksp.setType("preonly")
        pc.setType("cholesky")
        pc.setFactorSolverType("mumps")
    else:
        ksp.setType("cg")
        ksp.setTolerances(rtol=tolerance, atol=0.0, max_it=500)
        pc.setType("hypre")
        pc.setHYPREType("boomeramg")
    return ksp


def give_workspace(ksp: PETSc.KSP) -> None:
    """Give MUMPS more memory than it foresees, before it factorises the first time: pivots may need it."""
    pc = ksp.getPC()
    pc.setFactorSetUpSolverType()
    pc.getFactorMatrix().setMumpsIcntl(14, 40)  # % of spare workspace


@dataclass
class ShiftedSolvers:
    """Solver of (M + γ K) x = r, set up anew when γ changes; what depends on the pattern alone is kept.

    Both matrices are symmetric, M + γ K is positive definite, and they share one sparsity pattern.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    method: str  # "mumps" or "cg"
    inner_tolerance: float  # relative residual of CG; factors are exact to rounding
    solves: int = 0
    iterations: int = 0  # of CG, over all solves
    poles: list[float] = field(default_factory=list)  # the values of γ that were set up, in their order
    _shifted: PETSc.Mat | None = None
    _ksp: PETSc.KSP | None = None

    def solve(self, gamma: float, right: PETSc.Vec, solution: NDArray[np.float64]) -> None:
        """Solve (M + γ K) x = right into the owned entries `solution`.

        Raises:
            ArithmeticError: CG did not converge, or the factorisation broke down.
        """
        ksp = self._set_up(gamma)
        x = self.mass.createVecRight()
        ksp.solve(right, x)
        reason = ksp.getConvergedReason()
        if reason < 0:
            raise ArithmeticError(
                f"the {self.method} solver of (M + γK) gave up (PETSc reason {reason}, γ = {gamma:g})"
            )
        self.solves += 1
        self.iterations += ksp.getIterationNumber() if self.method == "cg" else 0
        solution[:] = x.array_r
        x.destroy()

    def _set_up(self, gamma: float) -> PETSc.KSP:
        """The solver for this γ."""
        if self._shifted is None or self._ksp is None:
            self._shifted = self.stiffness.duplicate(copy=True)
            self._ksp = new_ksp(self.mass.comm, self.method, self.inner_tolerance)
        if self.poles and self.poles[-1] == gamma:
            return self._ksp
        self.stiffness.copy(self._shifted, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        self._shifted.scale(gamma)
        self._shifted.axpy(1.0, self.mass, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        self._shifted.setOption(PETSc.Mat.Option.SPD, True)
        self._ksp.setOperators(self._shifted)
        if self.method == "mumps" and not self.poles:
            give_workspace(self._ksp)
        self._ksp.setUp()
        self.poles.append(gamma)
        return self._ksp

    def destroy(self) -> None:
        """Free the factors; they are the largest arrays of a run."""
        for held in (self._ksp, self._shifted):
            if held is not None:
                held.destroy()


def matrix_times(matrix: PETSc.Mat, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Owned entries of matrix times vector, from the vector's owned entries."""
    x, y = matrix.createVecRight(), matrix.createVecLeft()
    x.array[:] = values
    matrix.mult(x, y)
    return y.array_r.copy()
