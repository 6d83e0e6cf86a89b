"""Solvers of (M + γ K) x = r for many right sides: sparse Cholesky factors or CG with algebraic multigrid."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI
from petsc4py import PETSc

# Above this many unknowns the factors of a 2D (3D) problem cost more memory and time than multigrid needs.
FACTOR_LIMIT = {2: 2_000_000, 3: 10_000}

# BoomerAMG in 3D: fewer strong couplings and short interpolation keep coarse matrices sparse, and polynomials of
# Chebyshev smooth with products of matrix and vector alone. A third of the time of the defaults, which suit 2D; see
# De Sterck, Yang and Heys, SIAM J. Matrix Anal. Appl. 27 (2006) 1019, doi 10.1137/040615729.
BOOMERAMG_3D = {
    "strong_threshold": "0.5",
    "coarsen_type": "HMIS",
    "interp_type": "ext+i",
    "P_max": "4",
    "relax_type_all": "Chebyshev",
}
AGGRESSIVE = {"agg_nl": "1"}  # first coarsening, of degree 1 only: at degree 2 it doubles the iterations
PREFIX = "microlith_3d_"  # of these options in PETSc's database
# LU factors of so few unknowns are found and used two to four times faster by PETSc's plain loops than by MUMPS.
SMALL = 50_000
SPARSEST = "amd"  # the ordering that fills least in; PETSc may have been built without it
SAME = 1e-12  # relative difference up to which two γ are one: lengths of equal stretches differ by rounding


def choose_method(wanted: str, dim: int, unknowns: int) -> str:
    """Resolve "auto" to "mumps" or "cg" for a problem in `dim` dimensions with `unknowns` unknowns."""
    if wanted != "auto":
        return wanted
    return "mumps" if unknowns <= FACTOR_LIMIT[dim] else "cg"


def new_ksp(comm: MPI.Comm, method: str, tolerance: float, dim: int = 2, degree: int = 1) -> PETSc.KSP:
    """Solver for symmetric positive definite matrices, without operators so far.

    Args:
        comm: Of the matrices.
        method: "mumps" or "cg".
        tolerance: Relative residual at which CG stops.
        dim: Of the space; multigrid is set up for 2D or 3D.
        degree: Of the elements.
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
        if dim == 3:
            _choose(pc, BOOMERAMG_3D | (AGGRESSIVE if degree == 1 else {}))
    return ksp


def _choose(pc: PETSc.PC, options: dict[str, str]) -> None:
    """Set options of BoomerAMG, for which petsc4py has no functions; PETSc's database is left as it was."""
    database = PETSc.Options(PREFIX)
    names = {f"pc_hypre_boomeramg_{name}": value for name, value in options.items()}
    for name, value in names.items():
        database[name] = value
    pc.setOptionsPrefix(PREFIX)
    pc.setFromOptions()
    for name in names:
        database.delValue(name)


def factorise_unsymmetric(ksp: PETSc.KSP, unknowns: int) -> None:
    """Let a direct solver take LU factors; MUMPS's, but PETSc's own where they are small and on one rank."""
    pc = ksp.getPC()
    pc.setType("lu")
    if ksp.comm.size == 1 and unknowns <= SMALL and _has_ordering(SPARSEST):
        pc.setFactorSolverType("petsc")
        pc.setFactorOrdering(SPARSEST)
    else:
        pc.setFactorSolverType("mumps")


def _has_ordering(name: str) -> bool:
    """Whether PETSc was built with an ordering."""
    one = PETSc.Mat().createAIJ(1, nnz=1, comm=PETSc.COMM_SELF)
    one.setValue(0, 0, 1.0)
    one.assemble()
    try:
        one.getOrdering(name)
    except PETSc.Error:
        return False
    finally:
        one.destroy()
    return True


def prepare_factors(ksp: PETSc.KSP, dim: int) -> None:
    """Give MUMPS more memory than it foresees, and the ordering to take, before it factorises the first time.

    In 2D minimum fill, found within a fifth of the time of a factorisation, where the nested dissection that MUMPS
    takes of itself is to be had as PORD only (Debian's builds) and costs twice what it orders for. In 3D that pays: it
    fills in less, and ranks have more to do at a time.
    """
    pc = ksp.getPC()
    pc.setFactorSetUpSolverType()
    factors = pc.getFactorMatrix()
    factors.setMumpsIcntl(14, 40)  # % of spare workspace: pivots may need it
    if dim == 2:
        factors.setMumpsIcntl(7, 2)  # approximate minimum fill


@dataclass
class ShiftedSolvers:
    """Solver of (M + γ K) x = r, set up anew when γ changes; what depends on the pattern alone is kept then.

    Both matrices are symmetric, M + γ K is positive definite, and they share one sparsity pattern.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    method: str  # "mumps" or "cg"
    inner_tolerance: float  # relative residual of CG; factors are exact to rounding
    dim: int = 2  # of the space
    degree: int = 1  # of the elements
    kept: int = 1  # values of γ that stay set up at a time
    solves: int = 0
    iterations: int = 0  # of CG, over all solves
    poles: list[float] = field(default_factory=list)  # the values of γ that were set up, in their order
    _ready: dict[float, tuple[PETSc.KSP, PETSc.Mat]] = field(default_factory=dict)  # by γ, the latest last

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
        for known in self._ready:
            if abs(known - gamma) <= SAME * gamma:
                self._ready[known] = self._ready.pop(known)
                return self._ready[known][0]
        new = len(self._ready) < self.kept
        if new:
            shifted = self.stiffness.duplicate(copy=True)
            ksp = new_ksp(self.mass.comm, self.method, self.inner_tolerance, self.dim, self.degree)
        else:
            ksp, shifted = self._ready.pop(next(iter(self._ready)))
            self.stiffness.copy(shifted, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        shifted.scale(gamma)
        shifted.axpy(1.0, self.mass, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        shifted.setOption(PETSc.Mat.Option.SPD, True)
        ksp.setOperators(shifted)
        if self.method == "mumps" and new:
            prepare_factors(ksp, self.dim)
        ksp.setUp()
        self.poles.append(gamma)
        self._ready[gamma] = (ksp, shifted)
        return ksp

    def destroy(self) -> None:
        """Free the factors; they are the largest arrays of a run."""
        for ksp, shifted in self._ready.values():
            ksp.destroy()
            shifted.destroy()
        self._ready.clear()


def matrix_times(matrix: PETSc.Mat, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Owned entries of matrix times vector, from the vector's owned entries."""
    x, y = matrix.createVecRight(), matrix.createVecLeft()
    x.array[:] = values
    matrix.mult(x, y)
    return y.array_r.copy()
