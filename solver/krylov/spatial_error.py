"""The error in space of a solution by rational Krylov, from how much too stiff its elements are.

Elements make K too large: an eigenvalue λ of the problem exceeds the exact one by the energy of what lies between the
gradients of the exact eigenfunction and of its elements. Of the basis V of the solution and of the lift uL, recovered
gradients tell these energies, E (see `recovery`). So two solutions within V are compared, u = uL + Vy and that with
K − E in the place of K,

    y' = −VᵀKV y − VᵀMw(0)/γ,     y' = −(VᵀKV − βE) y − VᵀMw(0)/γ + βE(V, uL),

with w(0) = u0 − uL. Both are small and known in closed form: no other mesh is needed. What u lacks is their difference
over β, d, for which M d' = −K d + E (u + βd) to second order. d is as rough as the elements, so that nearly all of its
energy is E: with β = 1 it counts itself, the more so the more of it V holds. That is cautious, and for what is told;
what is added to curves is found with β = PART. V is made larger before by vectors for what u lacks (see
`lacking_space`). Both are Galerkin's projections. The shifted one, in which the solution
itself is sought, is more accurate in time, but its rates may be below the energies of V, and what E leaves of them
below zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.krylov.deviation import Deviation, WithinBases
from microlith.solver.krylov.evolution import Evolution
from microlith.solver.krylov.lacking_space import LackingSpace
from microlith.solver.krylov.recovery import Excess, is_recoverable
from microlith.solver.krylov.trajectory import Segment
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.problem.problem import Problem

MOST = 0.95  # of a function's energy that may be missing
PART = 0.7  # β of what is added, see benchmarks/README.md
SHARE = 0.9  # of what curves lack that is added to them where they are corrected, see benchmarks/space_errors.py
NOTHING = 1e-12  # of the mean energy: counts as the energy of what is even


@dataclass(frozen=True, eq=False)
class Lacking:
    """What a solution lacks to the exact one in space."""

    cautious: Deviation  # it counts itself: rather too much
    best: Deviation  # of the right size, rather than too much or too little


def spatial_deviation(
    problem: Problem, diffusivity: Array, states: Evolution, solvers: ShiftedSolvers, means: Sequence[Array]
) -> Lacking | None:
    """What a solution lacks to the exact one in space; collective.

    None where it can't be told in this way: on squares and cubes, with elements of degree 2 and 3, and where transfer
    coefficients change with time, which are not in the problem's stiffness.

    Args:
        problem: That was solved.
        diffusivity: (phases, dim) along each axis, scaled, times κ.
        states: Its solution.
        solvers: Of its system.
        means: (owned,) each, weights of the unknowns in the means asked for, the smallest regions first.

    Raises:
        ArithmeticError: A solve failed.
    """
    if not is_recoverable(problem):
        return None

    excess = Excess(problem, diffusivity)

    def smooth(segment: Segment, stiffness: Array) -> list[tuple[Array, Array]]:
        energies = excess.energies(np.vstack([segment.basis, segment.lift[None]]))
        within, lifting = energies[:-1, :-1], energies[:-1, -1]
        return [(_less(stiffness, part * within), part * lifting) for part in (1.0, PART)]

    within = WithinBases.of(problem, states, LackingSpace(problem, excess, solvers, means).grown)
    return None if within is None else Lacking(*within.deviations(smooth, [smooth] * within.responses, (1.0, PART)))


def _less(stiffness: Array, energies: Array) -> Array:
    """The stiffness without energies, of which it has more in each direction."""
    if len(stiffness) == 0:
        return stiffness
    least = NOTHING * float(np.trace(stiffness)) / len(stiffness)
    root = np.linalg.cholesky(stiffness + max(least, np.finfo(float).tiny) * np.eye(len(stiffness)))
    missing, shapes = np.linalg.eigh(np.linalg.solve(root, np.linalg.solve(root, energies).T))
    shapes = root @ shapes
    return stiffness - np.asarray((shapes * np.clip(missing, 0.0, MOST)) @ shapes.T)
