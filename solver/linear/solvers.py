"""What solves linear equations: sparse Cholesky or LU factors, or CG with algebraic multigrid."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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
# Incomplete Cholesky factors, in 3D where M weighs much: an iteration costs two fifths of one with BoomerAMG, but there
# are the more of them, the farther lithium gets in 1/pole. With more than MOST_INCOMPLETE BoomerAMG is faster.
FILL = 1  # level: of 0, 1 and 2 the cheapest, set-up and a few tens of solves together
STRICTER = 0.1  # their tolerance per multigrid's, whose residual says more of the error; for curves alike on any ranks
BAND = "rcm"  # the ordering for it: half as many iterations as in the mesher's order
MOST_INCOMPLETE = 45
# LU factors of so few unknowns are found and used two to four times faster by PETSc's plain loops than by MUMPS.
SMALL = 50_000
NO_MEMORY = (-7, -8, -9, -11, -13, -14, -17, -18, -19, -20, -22)  # INFOG(1) of MUMPS, where something did not fit
# Cholesky factors in 2D on one rank: CHOLMOD finds them as fast as MUMPS and uses them in two thirds to nine tenths of
# the time; Chen, Davis, Hager and Rajamanickam, ACM Trans. Math. Software 35 (2008) 22, doi 10.1145/1391989.1391995.
ON_ONE_RANK = "cholmod"  # PETSc may have been built without it
# The factors of up to so many unknowns entry by entry, not in the dense blocks in which CHOLMOD finds them: these are
# small in 2D, and one solve takes a quarter less. They take twice the memory, so not of more.
ENTRY_BY_ENTRY = {"final_asis": "0", "final_super": "0", "final_ll": "1", "final_pack": "1"}
MOST_ENTRY_BY_ENTRY = 500_000
SPARSEST = "amd"  # the ordering that fills least in; PETSc may have been built without it


def choose_method(wanted: str, dim: int, unknowns: int) -> str:
    """Resolve "auto" to "mumps" or "cg" for a problem in `dim` dimensions with `unknowns` unknowns."""
    if wanted != "auto":
        return wanted
    return "mumps" if unknowns <= FACTOR_LIMIT[dim] else "cg"


def choose_package(wanted: str, method: str, dim: int, ranks: int) -> str:
    """What makes Cholesky factors where `choose_method` says "mumps": for "auto" in 2D on one rank CHOLMOD if there."""
    suited = wanted == "auto" and method == "mumps" and dim == 2 and ranks == 1
    return ON_ONE_RANK if suited and _has_cholesky(ON_ONE_RANK) else method


def new_ksp(
    comm: MPI.Comm,
    method: str,
    tolerance: float,
    dim: int = 2,
    degree: int = 1,
    precondition: Callable[[PETSc.PC], None] | None = None,
) -> PETSc.KSP:
    """Solver for symmetric positive definite matrices, without operators so far.

    Args:
        comm: Of the matrices.
        method: "mumps", "cg" or, on one rank, "cholmod".
        tolerance: Relative residual at which CG stops.
        dim: Of the space; multigrid is set up for 2D or 3D.
        degree: Of the elements.
        precondition: Sets another preconditioner of CG up than BoomerAMG.
    """
    ksp = PETSc.KSP().create(comm)
    ksp.setErrorIfNotConverged(False)
    pc = ksp.getPC()
    if method != "cg":
        ksp.setType("preonly")
        pc.setType("cholesky")
        pc.setFactorSolverType(method)
    else:
        ksp.setType("cg")
        ksp.setTolerances(rtol=tolerance, atol=0.0, max_it=500)
        if precondition is not None:
            precondition(pc)
            return ksp
        pc.setType("hypre")
        pc.setHYPREType("boomeramg")
        if dim == 3:
            choose_boomeramg(pc, BOOMERAMG_3D | (AGGRESSIVE if degree == 1 else {}))
    return ksp


def new_incomplete(matrix: PETSc.Mat, tolerance: float) -> PETSc.KSP:
    """CG with incomplete Cholesky factors of each rank's block of a matrix, which gives up early; collective.

    Reverse Cuthill-McKee's order suits such factors: Duff and Meurant, BIT 29 (1989) 635, doi 10.1007/BF01932738.
    """
    ksp = PETSc.KSP().create(matrix.comm)
    ksp.setErrorIfNotConverged(False)
    ksp.setType("cg")
    ksp.setTolerances(rtol=STRICTER * tolerance, atol=0.0, max_it=MOST_INCOMPLETE)
    ksp.setOperators(matrix)
    pc = ksp.getPC()
    if matrix.comm.size > 1:
        pc.setType("asm")
        pc.setASMType(PETSc.PC.ASMType.BASIC)
        pc.setASMOverlap(0)
        pc.setUp()
        (own,) = pc.getASMSubKSP()
        own.setType("preonly")
        pc = own.getPC()
    pc.setType("icc")
    pc.setFactorLevels(FILL)
    pc.setFactorOrdering(BAND)
    return ksp


def choose_boomeramg(pc: PETSc.PC, options: dict[str, str]) -> None:
    """Set options of BoomerAMG, for which petsc4py has no functions; PETSc's database is left as it was."""
    with _options(PREFIX, {f"pc_hypre_boomeramg_{name}": value for name, value in options.items()}):
        pc.setOptionsPrefix(PREFIX)
        pc.setFromOptions()


@contextmanager
def _options(prefix: str, options: dict[str, str]) -> Iterator[None]:
    """Options in PETSc's database for as long as something is set up."""
    database = PETSc.Options(prefix)
    for name, value in options.items():
        database[name] = value
    try:
        yield
    finally:
        for name in options:
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


def _one() -> PETSc.Mat:
    """The matrix (1)."""
    one = PETSc.Mat().createAIJ(1, nnz=1, comm=PETSc.COMM_SELF)
    one.setValue(0, 0, 1.0)
    one.assemble()
    return one


def _has_cholesky(package: str) -> bool:
    """Whether PETSc was built with a package that makes Cholesky factors."""
    one, pc = _one(), PETSc.PC().create(PETSc.COMM_SELF)
    try:
        pc.setOperators(one)
        pc.setType("cholesky")
        pc.setFactorSolverType(package)
        pc.setUp()
    except PETSc.Error:
        return False
    finally:
        pc.destroy()
        one.destroy()
    return True


def _has_ordering(name: str) -> bool:
    """Whether PETSc was built with an ordering."""
    one = _one()
    try:
        one.getOrdering(name)
    except PETSc.Error:
        return False
    finally:
        one.destroy()
    return True


def entry_by_entry(matrix: PETSc.Mat) -> AbstractContextManager[None]:
    """Within it a solver that is set up for the first time lets CHOLMOD keep factors entry by entry, where that pays.

    CHOLMOD takes up the options with the pattern of the matrix, and keeps them for all that have the same.
    """
    prefix = "mat_cholmod_"
    given = PETSc.Options(prefix)  # the user's own
    pays = matrix.getSize()[0] <= MOST_ENTRY_BY_ENTRY
    return _options(prefix, {name: v for name, v in ENTRY_BY_ENTRY.items() if pays and not given.hasName(name)})


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


def refuse_lack_of_memory(ksp: PETSc.KSP) -> None:
    """Say so where a solver gave up because its factors did not fit into memory.

    Raises:
        MemoryError: They did not.
    """
    pc = ksp.getPC()
    lacking = pc.getFailedReason() == PETSc.PC.FailedReason.FACTOR_OUTMEMORY
    if pc.getType() in ("lu", "cholesky") and pc.getFactorSolverType() == "mumps":
        lacking = lacking or pc.getFactorMatrix().getMumpsInfog(1) in NO_MEMORY
    if lacking:
        raise MemoryError("the factors of the matrix do not fit into memory")


def matrix_times(matrix: PETSc.Mat, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Owned entries of matrix times vector, from the vector's owned entries."""
    x, y = matrix.createVecRight(), matrix.createVecLeft()
    x.array[:] = values
    matrix.mult(x, y)
    found = y.array_r.copy()
    x.destroy()  # here, as PETSc keeps what Python lets go of where there are several ranks
    y.destroy()
    return found
