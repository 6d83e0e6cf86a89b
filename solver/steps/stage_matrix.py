"""The matrix M + s ∂F/∂u of a stage, and what solves with it.

Factors, or multigrid within CG or GMRES, as it is stored, which keeps sixteen digits. Where phases differ so much in
diffusivity that it loses what clusters of unknowns store and exchange, these are solved for apart (see
`linear.weighted`), and residuals are to be sums of differences.
"""

import numpy as np

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags
from microlith.solver.linear.clusters import StiffClusters, nested_clusters, stiff_clusters
from microlith.solver.linear.deflated import SHIFT
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.shifted import PRECISION
from microlith.solver.linear.solvers import (
    factorise_unsymmetric,
    matrix_times,
    new_ksp,
    prepare_factors,
    refuse_lack_of_memory,
)
from microlith.solver.linear.weighted import RESTART, WeightedDeflation
from microlith.solver.problem.uptake import Rate
from microlith.solver.steps.dynamics import Dynamics, Moment

# What a cluster stores and exchanges, per sum of its diagonal, below which it is solved for apart: per inverse of the
# tolerance, and the least and most of it
STIFF = 1e-12
STIFF_RANGE = (1e-7, 1e-3)
# Storage per diagonal of an unknown below which residuals are to be sums of differences, as rounding loses fluxes and
# means: per inverse of the tolerance, and the least and most of it
ROUNDED = 1e-12
ROUNDED_RANGE = (1e-8, 1e-3)
PRECISE = 1e-9  # relative residual of iterative linear solvers at most, where residuals are sums of differences
UNBALANCED = 1e-9  # of what all phases hold: residual of a stage that iterative linear solvers may leave
REFINED = 2  # repetitions for what they leave
PIVOT = 1e-200  # size up to which a pivot of PETSc's own factors counts as zero: entries have no size of their own


class NotConverged(ArithmeticError):
    """A stage could not be solved: its step is too long, or the linear solver gave up."""


class LinearSolverFailed(NotConverged):
    """The linear solver gave up."""


class StageMatrix:
    """M + s ∂F/∂u where it was last made, with factors or multigrid."""

    def __init__(self, dynamics: Dynamics, method: str, inner_tolerance: float, tolerance: float) -> None:
        """Prepare; collective.

        Args:
            dynamics: The problem.
            method: "mumps" or "cg".
            inner_tolerance: Relative residual at which iterative linear solvers stop.
            tolerance: Of the functionals that steps are made for.
        """
        self._limit = float(np.clip(STIFF / tolerance, *STIFF_RANGE))
        self.step = 0.0  # s; 0: not made
        self.rates: tuple[Rate, ...] = ()  # of the uptakes, where it was made
        self._rounded = float(np.clip(ROUNDED / tolerance, *ROUNDED_RANGE))
        self.precise = False  # whether residuals have to be sums of differences
        self.rounding = 0.0  # of means in residuals, relative
        self.solves = self.set_ups = self.iterations = 0
        self._dynamics, self._inner = dynamics, inner_tolerance
        self._dim = dynamics.problem.space.mesh.topology.dim
        system = dynamics.system
        self._comm = system.mass.comm.tompi4py()
        self._direct = method == "mumps"
        self._matrix = system.stiffness.duplicate(copy=True)
        self._matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        self._ksp = new_ksp(
            system.mass.comm, method, inner_tolerance, self._dim, dynamics.problem.discretization.degree
        )
        if not dynamics.symmetric and self._direct:
            factorise_unsymmetric(self._ksp, dynamics.problem.unknowns)
            self._ksp.getPC().setFactorPivot(PIVOT)
        elif not dynamics.symmetric:
            self._ksp.setType("gmres")
            self._ksp.setGMRESRestart(RESTART)
        self._right, self._change = system.mass.createVecLeft(), system.mass.createVecRight()
        self._deflation: WeightedDeflation | None = None
        self._free: Flags = np.ones(len(system.initial), dtype=bool)
        self._free[system.held] = False

    @property
    def solver(self) -> str:
        """What solves the linear equations."""
        return str(self._ksp.getPC().getFactorSolverType()) if self._direct else "boomeramg"

    def make(self, u: Array, moment: Moment, step: float, rates: tuple[Rate, ...]) -> None:
        """Set up the solver of M + step ∂F/∂u at u; collective.

        Raises:
            ArithmeticError: On all ranks, where the diffusivity is not a positive number.
        """
        self.step, self.rates = 0.0, rates
        self._dynamics.shifted(self._matrix, u, moment, step, rates)
        if self._deflation is not None:
            self._deflation.destroy()
            self._deflation = None
        self.precise, stiff = self._stiff(step)
        if stiff is not None:
            diagonal = self._matrix.getDiagonal()
            diagonal.scale(1.0 + SHIFT)
            self._matrix.setDiagonal(diagonal)
            diagonal.destroy()
        if self._dynamics.symmetric:
            self._matrix.setOption(PETSc.Mat.Option.SPD, True)
        self._ksp.setOperators(self._matrix)
        if self._direct and self.set_ups == 0:
            prepare_factors(self._ksp, self._dim)
        self._ksp.setUp()
        if stiff is not None:
            base = self._matrix.duplicate()
            self._dynamics.exchanged(base, moment, step, rates)
            terms = self._dynamics.terms()
            self._deflation = WeightedDeflation(base, terms, step, stiff, self._free, self._ksp.getPC())
        self.set_ups += 1
        self.step = step

    def solve(self, right: Array) -> Array:
        """Solve with a right side, (owned,); collective.

        Raises:
            LinearSolverFailed: On all ranks.
        """
        self.solves += 1
        return self._solved(right)

    def solve_aside(self, right: Array) -> Array:
        """The same for what is not Newton's method, which does not count as one of its iterations; collective.

        Raises:
            LinearSolverFailed: On all ranks.
        """
        return self._solved(right)

    def _solved(self, right: Array) -> Array:
        found = self._once(right)
        if self.precise and not self._direct:
            limit = UNBALANCED * self._dynamics.whole
            for _ in range(REFINED):
                left = right - self._times(found)
                left[~self._free] = 0.0
                if self._comm.allreduce(float(np.abs(left).sum()), op=MPI.SUM) <= limit:
                    break
                found = found + self._once(left)
        return found

    def _once(self, right: Array) -> Array:
        tolerance = min(self._inner, PRECISE) if self.precise else self._inner
        if self._deflation is not None:
            try:
                found, iterations = self._deflation.solve(right, tolerance)
            except ArithmeticError as error:
                raise LinearSolverFailed(str(error)) from error
            self.iterations += 0 if self._direct else iterations
            return found
        self._right.array[:] = right
        self._ksp.setTolerances(rtol=tolerance)
        self._ksp.solve(self._right, self._change)
        self.iterations += 0 if self._direct else self._ksp.getIterationNumber()
        reason = self._ksp.getConvergedReason()
        if reason < 0:
            refuse_lack_of_memory(self._ksp)
            raise LinearSolverFailed(f"the linear solver gave up (PETSc reason {reason})")
        return self._change.array_r.copy()

    def _times(self, x: Array) -> Array:
        """The matrix times x, (owned,); collective."""
        return matrix_times(self._matrix, x) if self._deflation is None else self._deflation.times(x)

    def _stiff(self, step: float) -> tuple[bool, StiffClusters | None]:
        """Whether the matrix loses something, and the clusters whose means it loses; collective."""
        system = self._dynamics.system
        diagonal, storage = (matrix.getDiagonal().array_r.copy() for matrix in (self._matrix, system.mass))
        largest = float((diagonal[self._free] / storage[self._free]).max(initial=1.0))
        largest = self._comm.allreduce(largest, op=MPI.MAX)
        self.rounding = PRECISION * largest
        if largest * max(self._limit, self._rounded) < 1.0:
            return False, None
        couplings = system.stiffness.copy()
        taken = system.taken.copy()
        if self._dynamics.diffusion is not None:
            taken += self._dynamics.diffusion.add_couplings(couplings, self._free)
        graph = Differences(couplings, taken)
        diagonal[~self._free] = step  # as what held unknowns take says
        found = stiff_clusters(nested_clusters(graph), graph, step, self._dynamics.stored, diagonal, self._limit)
        graph.destroy()
        couplings.destroy()
        precise = found.count > 0 or largest * self._rounded > 1.0
        if precise:
            self.rounding = PRECISION
        return precise, found if found.count else None

    def destroy(self) -> None:
        """Free the factors."""
        if self._deflation is not None:
            self._deflation.destroy()
        for held in (self._ksp, self._matrix, self._right, self._change):
            held.destroy()
