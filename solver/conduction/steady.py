"""The linear equations of steady diffusion."""

from collections.abc import Callable, Sequence

from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.linear.solvers import new_ksp, prepare_factors, refuse_lack_of_memory

# Relative error of CG in the energy norm. The figure has the square of it, the flux through a face it itself.
SOLVE_TOLERANCE = 1e-9


def solved(
    matrix: PETSc.Mat,
    rights: Sequence[Array],
    method: str,
    scale: float,
    dim: int,
    degree: int,
    multigrid: Callable[[PETSc.PC], None] | None = None,
) -> tuple[list[Array], int]:
    """Owned entries of K⁻¹ right for each right-hand side, and the iterations of CG in all; collective.

    Args:
        matrix: K, symmetric positive definite.
        rights: Each (owned,).
        method: "mumps" or "cg".
        scale: Energy norm of the solutions, roughly; CG goes no further than is worth it.
        dim: Of the space.
        degree: Of the elements.
        multigrid: Sets another preconditioner of CG up than BoomerAMG.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
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
