"""The error in space of a solution by rational Krylov, from how much too stiff its elements are.

Elements make K too large: an eigenvalue λ of the problem exceeds the exact one by the energy of what lies between the
gradients of the exact eigenfunction and of its elements. Of the basis V of the solution and of the lift uL, recovered
gradients tell these energies, E (see `recovery`). So two solutions within V are compared, u = uL + Vy and that with
K − E in the place of K,

    y' = −VᵀKV y − VᵀMw(0)/γ,     y' = −(VᵀKV − E) y − VᵀMw(0)/γ + E(V, uL),

with w(0) = u0 − uL. Both are small and known in closed form: no other mesh and no other solve is needed. Both are
Galerkin's projections. The shifted one, in which the solution itself is sought, is more accurate in time, but its
rates may be below the energies of V, and what E leaves of them below zero.

Where loads change with time, the response to a unit step of each lacks something to the exact one in the same way, and
what the solution lacks is their superposition (see `superposition`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags
from microlith.solver.krylov.evolution import Evolution
from microlith.solver.krylov.phi import phi1, phi2
from microlith.solver.krylov.recovery import excess_energies, is_recoverable
from microlith.solver.krylov.superposition import SuperpositionProjection
from microlith.solver.krylov.trajectory import Segment, Trajectory
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import Breaks
from microlith.solver.problem.problem import Problem

MOST = 0.95  # of a function's energy that may be missing
SHARE = 0.9  # of what curves lack that is added to them where they are corrected, see benchmarks/space_errors.py
NOTHING = 1e-12  # of the mean energy: counts as the energy of what is even


@dataclass(frozen=True, eq=False)
class _Small:
    """y' = −K y + s within a basis."""

    rates: Array  # (m,) eigenvalues of K
    shapes: Array  # (m, m) eigenvectors
    start: Array  # (m,) y(0) in these
    source: Array  # (m,) s in these

    @staticmethod
    def of(matrix: Array, start: Array, source: Array) -> "_Small":
        rates, shapes = np.linalg.eigh(matrix)
        return _Small(np.maximum(rates, 0.0), shapes, shapes.T @ start, shapes.T @ source)

    def at(self, s: Array) -> Array:
        """y(s), (m, times)."""
        x = self.rates[:, None] * s
        found = self.start[:, None] * np.exp(-x) + self.source[:, None] * s * phi1(x)
        return np.asarray(self.shapes @ found)

    def slopes(self, s: Array) -> Array:
        """y'(s), (m, times)."""
        decay = np.exp(-self.rates[:, None] * s)
        return np.asarray(self.shapes @ ((self.source - self.rates * self.start)[:, None] * decay))

    def integrals(self, s: Array) -> Array:
        """∫ y from 0 to s, (m, times)."""
        x = self.rates[:, None] * s
        found = self.start[:, None] * s * phi1(x) + self.source[:, None] * s**2 * phi2(x)
        return np.asarray(self.shapes @ found)


@dataclass(frozen=True, eq=False)
class _Part:
    """What is wrong in a segment."""

    segment: Segment
    stiff: _Small  # as the elements have it
    smooth: _Small  # without what is too much

    def lacks(self, s: Array) -> Array:
        """The one less the other at times since the segment's start, in the basis, (m, times)."""
        return self.smooth.at(s) - self.stiff.at(s)


@dataclass(frozen=True, eq=False)
class _Lacks:
    """Linear functionals of what a trajectory lacks, over time; the same on all ranks."""

    parts: tuple[_Part, ...]
    on_bases: tuple[Array, ...]  # of each part, (functionals, m)

    @staticmethod
    def of(parts: tuple[_Part, ...], rows: Array | csr_array, comm: MPI.Intracomm) -> "_Lacks":
        """Of rows (functionals, owned); collective."""
        on_bases = (comm.allreduce(np.asarray(rows @ part.segment.basis.T), op=MPI.SUM) for part in parts)
        return _Lacks(parts, tuple(on_bases))

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times and, with orders = 1, integrals from 0 to these, each (functionals, times)."""
        found = tuple(np.zeros((len(self.on_bases[0]), len(times))) for _ in range(1 + orders))
        integral: Array = np.zeros((len(self.on_bases[0]), 1))
        for part, on_basis, inside in self._each(times):
            s = np.append(times[inside] - part.segment.start, part.segment.end - part.segment.start)
            found[0][:, inside] = on_basis @ part.lacks(s[:-1])
            if orders:
                gained = integral + on_basis @ (part.smooth.integrals(s) - part.stiff.integrals(s))
                found[1][:, inside], integral = gained[:, :-1], gained[:, -1:]
        return found

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times)."""
        found = np.zeros((len(self.on_bases[0]), len(times)))
        for part, on_basis, inside in self._each(times):
            s = times[inside] - part.segment.start
            found[:, inside] = on_basis @ (part.smooth.slopes(s) - part.stiff.slopes(s))
        return found

    def _each(self, times: Array) -> Iterator[tuple[_Part, Array, Flags]]:
        """Each part, the functionals on its basis, and which times are in it."""
        for part, on_basis in zip(self.parts, self.on_bases, strict=True):
            first, last = part is self.parts[0], part is self.parts[-1]
            inside = (first | (times > part.segment.start)) & (last | (times <= part.segment.end))
            yield part, on_basis, inside


@dataclass(frozen=True, eq=False)
class SpatialDeviation:
    """How far linear functionals of a solution are off, in space."""

    _base: tuple[_Part, ...]  # of the start and the loads at first; none: nothing is there
    _responses: tuple[tuple[tuple[_Part, ...], Breaks], ...]  # to unit steps of loads that change, and when they do
    _end: float  # scaled
    _time: float  # seconds per unit of time
    _comm: MPI.Intracomm

    def of(self, rows: Array | csr_array, times: Array) -> Array:
        """Exact value less that of the solution, (functionals, times), scaled; collective.

        Args:
            rows: (functionals, owned) linear functionals.
            times: Increasing, s.
        """
        return self.project(rows).evaluate(np.divide(times, self._time), 0)[0]

    def project(self, rows: Array | csr_array) -> SuperpositionProjection:
        """Linear functionals (functionals, owned) of what the solution lacks, over scaled time; collective."""
        base = _Lacks.of(self._base, rows, self._comm) if self._base else None
        responses = tuple((_Lacks.of(parts, rows, self._comm), breaks) for parts, breaks in self._responses)
        return SuperpositionProjection(0.0, self._end, base, responses, rows.shape[0])


def spatial_deviation(problem: Problem, diffusivity: Array, states: Evolution) -> SpatialDeviation | None:
    """What a solution lacks to the exact one in space; collective.

    None where it can't be told in this way: on squares and cubes, with elements of degree 2 and 3, and where transfer
    coefficients change with time, which are not in the problem's stiffness.

    Args:
        problem: That was solved.
        diffusivity: (phases, dim) along each axis, scaled, times κ.
        states: Its solution.
    """
    whole = states.whole()
    if whole is None or problem.system.transfers or not is_recoverable(problem):
        return None

    def parts(trajectory: Trajectory) -> tuple[_Part, ...]:
        return _parts(problem, diffusivity, trajectory.segments)

    return SpatialDeviation(
        () if whole.base is None else parts(whole.base),
        tuple((parts(response.trajectory), response.breaks) for response in whole.responses),
        whole.end,
        problem.scales.time,
        problem.space.mesh.comm,
    )


def _parts(problem: Problem, diffusivity: Array, segments: Sequence[Segment]) -> tuple[_Part, ...]:
    """What is wrong in each segment, one after the other; collective."""
    mass, comm = problem.system.mass, problem.space.mesh.comm
    parts: list[_Part] = []
    for segment in segments:
        start = None
        if parts:
            before = parts[-1]
            length = np.array([before.segment.end - before.segment.start])
            amount = matrix_times(mass, before.lacks(length)[:, 0] @ before.segment.basis)
            start = comm.allreduce(segment.basis @ amount, op=MPI.SUM)
        parts.append(_part(problem, diffusivity, segment, start))
    return tuple(parts)


def _part(problem: Problem, diffusivity: Array, segment: Segment, start: Array | None) -> _Part:
    """One segment, from δ at its start in terms of the basis, (m,); None: nothing."""
    basis, comm = segment.basis, problem.space.mesh.comm
    rows = [basis @ matrix_times(problem.system.stiffness, vector) for vector in basis]
    stiffness = comm.allreduce(np.array(rows).reshape(len(basis), len(basis)), op=MPI.SUM)
    stiffness = (stiffness + stiffness.T) / 2
    energies = excess_energies(problem, diffusivity, np.vstack([basis, segment.lift[None]]))
    begin = segment.modes.sum(axis=1)  # w(0)
    lacking = np.zeros(len(basis)) if start is None else start
    source = -begin / segment.gamma
    smooth = _Small.of(_less(stiffness, energies[:-1, :-1]), begin + lacking, source + energies[:-1, -1])
    return _Part(segment, _Small.of(stiffness, begin, source), smooth)


def _less(stiffness: Array, energies: Array) -> Array:
    """The stiffness without energies, of which it has more in each direction."""
    if len(stiffness) == 0:
        return stiffness
    least = NOTHING * float(np.trace(stiffness)) / len(stiffness)
    root = np.linalg.cholesky(stiffness + max(least, np.finfo(float).tiny) * np.eye(len(stiffness)))
    missing, shapes = np.linalg.eigh(np.linalg.solve(root, np.linalg.solve(root, energies).T))
    shapes = root @ shapes
    return stiffness - np.asarray((shapes * np.clip(missing, 0.0, MOST)) @ shapes.T)
