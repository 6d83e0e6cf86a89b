"""The space in which to look for what a solution lacks: that of the solution itself holds little of it.

What elements lack, d, obeys M d' = −K d + E u to first order, E being how much too stiff they are (see `recovery`).
Where E is a like part of K everywhere, as on even meshes, the basis of u serves d as well. Where elements are small in
one place and large in another, d is somewhere that no combination of that basis is alone: a region with small elements
was told what its surroundings lack. So a few vectors are added, of Krylov's method for d with the γ of the segment:
(M + γK)⁻¹ E u and what (M + γK)⁻¹ M makes of that, for those combinations of u at several times of which E has most.

What is asked for are means wᵀd over regions, each with a dual problem, M z' = −K z from M z = w on (Becker and
Rannacher, Acta Numerica 10 (2001) 1-102). What Galerkin's method errs by in a mean is the product of what its space
lacks of d and of z: one vector for each mean, (M + γK)⁻¹ w, does for a small region what dozens for d did not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.closed_parts import closed_parts
from microlith.solver.krylov.recovery import Excess
from microlith.solver.krylov.trajectory import Segment
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.problem.problem import Problem

DEPTHS = (4, 2, 1)  # solves that start from each of the combinations of which E has most
TIMES = 6  # of a segment, at which u is looked at
EARLIEST = 3e-3  # the first of them, per length of the segment
MOST = 16  # means that have a vector of their own
NOTHING = 1e-6  # relative size at which a vector is in the space already


@dataclass(frozen=True, eq=False)
class LackingSpace:
    """Makes the basis of a segment larger by what the solution lacks."""

    problem: Problem
    excess: Excess  # E
    solvers: ShiftedSolvers
    means: Sequence[Array]  # (owned,) each, weights of the unknowns in the means asked for, the smallest regions first

    def grown(self, segment: Segment, lacking: Sequence[Array]) -> Segment:
        """The same solution in a larger M-orthonormal basis; collective.

        Args:
            segment: Of the solution.
            lacking: (owned,) each, what it may lack where the segment starts.

        Raises:
            ArithmeticError: A solve failed.
        """
        system = self.problem.system
        length = segment.end - segment.start
        at: Array = np.array(np.geomspace(EARLIEST * length, length, TIMES), dtype=np.float64)
        states: Array = segment.lift + segment.coefficients(at).T @ segment.basis
        comm = self.problem.space.mesh.comm
        forces = self.excess.forces(states)
        _, shapes = np.linalg.eigh(comm.allreduce(states @ forces.T, op=MPI.SUM))
        closed = closed_parts(system)
        right, found = system.mass.createVecLeft(), np.empty_like(segment.lift)
        vectors = list(segment.basis)

        def add(vector: Array, solves: int) -> None:
            for left in range(solves, -1, -1):
                new = _orthonormal(vector, vectors, self._mass, comm)
                if new is None:
                    return
                vectors.append(new)
                if left:
                    right.array[:] = self._mass(new)
                    vector = solved()

        def solved() -> Array:
            right.array[system.held] = 0.0
            self.solvers.solve(segment.gamma, right, found)
            found[system.held] = 0.0
            if closed is None:
                return found
            return closed.with_amounts(found, np.zeros(len(closed.whole)))  # E takes nothing away

        for vector in lacking:
            add(vector, 0)
        for depth, shape in zip(DEPTHS, shapes.T[::-1], strict=False):
            right.array[:] = shape @ forces
            add(solved(), depth - 1)
        for weights in self.means[:MOST]:
            right.array[:] = weights
            add(solved(), 0)
        right.destroy()
        more = np.zeros((len(vectors) - len(segment.modes), segment.modes.shape[1]))
        basis = np.reshape(vectors, (len(vectors), len(segment.lift)))  # none where nothing happens
        return replace(segment, basis=basis, modes=np.vstack([segment.modes, more]))

    def _mass(self, vector: Array) -> Array:
        return matrix_times(self.problem.system.mass, vector)


def _orthonormal(
    vector: Array, others: list[Array], mass: Callable[[Array], Array], comm: MPI.Intracomm
) -> Array | None:
    """What a vector has besides M-orthonormal others, of norm 1; None where that is nothing; collective."""
    whole = _norm(vector, mass, comm)
    found = vector.copy()
    for _ in range(2):
        weighted = mass(found)
        shares = comm.allreduce(np.array([other @ weighted for other in others]), op=MPI.SUM)
        for share, other in zip(shares, others, strict=True):
            found -= share * other
    left = _norm(found, mass, comm)
    return np.asarray(found / left) if left > NOTHING * whole else None


def _norm(vector: Array, mass: Callable[[Array], Array], comm: MPI.Intracomm) -> float:
    return float(np.sqrt(max(comm.allreduce(float(vector @ mass(vector)), op=MPI.SUM), 0.0)))
