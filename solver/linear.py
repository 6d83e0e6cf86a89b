"""Solvers of (M + γ K) x = r for many right sides: sparse Cholesky factors or CG with algebraic multigrid."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI  # noqa: F401  (PETSc needs MPI first)
from petsc4py import PETSc

# Above this many unknowns the factors of a 2D (3D) problem cost more memory and time than multigrid needs.
FACTOR_LIMIT = {2: 2_000_000, 3: 60_000}


def choose_method(wanted: str, dim: int, unknowns: int) -> str:
    """Resolve "auto" to "mumps" or "cg" for a problem in `dim` dimensions with `unknowns` unknowns."""
    if wanted != "auto":
        return wanted
    return "mumps" if unknowns <= FACTOR_LIMIT[dim] else "cg"


@dataclass
class ShiftedSolvers:
    """Solvers of (M + γ K) x = r, one set up per γ at its first use and kept.

    Both matrices are symmetric, M + γ K is positive definite, and they share one sparsity pattern.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    method: str  # "mumps" or "cg"
    inner_tolerance: float  # relative residual of CG; factors are exact to rounding
    solves: int = 0
    iterations: int = 0  # of CG, over all solves
    _solvers: dict[float, PETSc.KSP] = field(default_factory=dict)

    @property
    def poles(self) -> list[float]:
        """The values of γ that were set up, in order of first use."""
        return list(self._solvers)

    def solve(self, gamma: float, right: PETSc.Vec, solution: NDArray[np.float64]) -> None:
        """Solve (M + γ K) x = right into the owned entries `solution`.

        Raises:
            ArithmeticError: CG did not converge, or the factorisation broke down.
        """
        if gamma not in self._solvers:
            self._solvers[gamma] = self._set_up(gamma)
        ksp = self._solvers[gamma]
        x = self.mass.createVecRight()
        ksp.solve(right, x)
        reason = ksp.getConvergedReason()
        if reason < 0:
            raise ArithmeticError(f"the {self.method} solver of (M + γK) gave up (PETSc reason {reason}, γ = {gamma:g})")
        self.solves += 1
        self.iterations += ksp.getIterationNumber() if self.method == "cg" else 0
        solution[:] = x.array_r
        x.destroy()

    def _set_up(self, gamma: float) -> PETSc.KSP:
        shifted = self.stiffness.copy()
        shifted.scale(gamma)
        shifted.axpy(1.0, self.mass, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        shifted.setOption(PETSc.Mat.Option.SPD, True)
        ksp = PETSc.KSP().create(shifted.comm)
        ksp.setOperators(shifted)
        ksp.setErrorIfNotConverged(False)
        pc = ksp.getPC()
        if self.method == "mumps":
            ksp.setType("preonly")
            pc.setType("cholesky")
            pc.setFactorSolverType("mumps")
            pc.setFactorSetUpSolverType()
            factors = pc.getFactorMatrix()
            factors.setMumpsIcntl(14, 40)  # % of spare workspace: an unlucky pivot order must not end the run
        else:
            ksp.setType("cg")
            ksp.setTolerances(rtol=self.inner_tolerance, atol=0.0, max_it=500)
            pc.setType("hypre")
            pc.setHYPREType("boomeramg")
        ksp.setUp()
        return ksp

    def destroy(self) -> None:
        """Free the factors; they are the largest arrays of a run."""
        for ksp in self._solvers.values():
            ksp.destroy()
