"""The linear equations of steady diffusion."""

from collections.abc import Callable, Sequence

from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.linear.solvers import choose_method, new_ksp, prepare_factors, refuse_lack_of_memory

# Relative error of CG in the energy norm. The figure has the square of it, the flux through a face it itself.
SOLVE_TOLERANCE = 1e-9
MOST_FACTORS = {2: 10_000_000, 3: 500_000}  # unknowns, by dimension, of which factors take a few GB


Precondition = Callable[[PETSc.PC], None]


def solved(
    matrix: PETSc.Mat,
    rights: Sequence[Array],
    linear: str,
    scale: float,
    dim: int,
    degree: int,
    multigrid: Callable[[], Precondition | None] | None = None,
) -> tuple[list[Array], str, int]:
    """Owned entries of K⁻¹ right for each right-hand side, how, and the iterations of CG in all; collective.

    Where the method is left to us, factors take over where CG gives up, as it may where phases differ by many orders
    of magnitude.

    Args:
        matrix: K, symmetric positive definite.
        rights: Each (owned,).
        linear: "mumps", "cg" or "auto".
        scale: Energy norm of the solutions, roughly; CG goes no further than is worth it.
        dim: Of the space.
        degree: Of the elements.
        multigrid: Makes what sets another preconditioner of CG up than BoomerAMG.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    unknowns = matrix.getSize()[0]
    method = choose_method(linear, dim, unknowns)
    precondition = multigrid() if method == "cg" and multigrid is not None else None
    try:
        found, iterations = _solved(matrix, rights, method, scale, dim, degree, precondition)
    except ArithmeticError:
        if method != "cg" or linear != "auto" or unknowns > MOST_FACTORS[dim]:
            raise
        method = "mumps"
        found, iterations = _solved(matrix, rights, method, scale, dim, degree, None)
    return found, method, iterations


def _solved(
    matrix: PETSc.Mat,
    rights: Sequence[Array],
    method: str,
    scale: float,
    dim: int,
    degree: int,
    multigrid: Precondition | None,
) -> tuple[list[Array], int]:
    """By one method, "mumps" or "cg": solutions, and the iterations of CG; collective."""
    matrix.setOption(PETSc.Mat.Option.SPD, True)
    ksp = new_ksp(matrix.comm, method, SOLVE_TOLERANCE, dim, degree, multigrid)
    if method == "cg":
        # With multigrid near the inverse of K, this norm of the residual is near the energy norm of the error.
        ksp.setNormType(PETSc.KSP.NormType.NATURAL)
        ksp.setTolerances(atol=0.1 * SOLVE_TOLERANCE * scale)
    ksp.setOperators(matrix)
    if method == "mumps":
        prepare_factors(ksp, dim)
    b, x = matrix.createVecLeft(), matrix.createVecRight()
    solutions, iterations, reason = [], 0, 0
    for right in rights:
        b.array[:] = right
        ksp.solve(b, x)
        reason = ksp.getConvergedReason()
        if reason < 0:
            break
        iterations += ksp.getIterationNumber()
        solutions.append(x.array_r.copy())
    if reason < 0:
        refuse_lack_of_memory(ksp)
    for held_by_petsc in (ksp, b, x):
        held_by_petsc.destroy()
    if reason < 0:
        raise ArithmeticError(f"the {method} solver of the steady diffusion gave up (PETSc reason {reason})")
    return solutions, iterations if method == "cg" else 0
