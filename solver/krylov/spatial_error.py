"""The error in space of a solution by rational Krylov, from how much too stiff its elements are.

Elements make K too large: an eigenvalue λ of the problem exceeds the exact one by the energy of what lies between the
gradients of the exact eigenfunction and of its elements. Of the basis of the solution and of the lift, recovered
gradients tell these energies, E (see `recovery`). So the solution is compared with that of

    M v' + (K − E) v = b

in the same space: with v = uL + Vᵀy, A the projected M⁻¹K and w(0) = u0 − uL,

    y' = −(A − E) y − VᵀMw(0)/γ + E(V, uL),

which is small and known in closed form. No other mesh and no other solve is needed, and the sign of v − u tells whether
a curve is too low or too high. A − E is kept positive: of functions as rough as the elements allow, recovered gradients
know next to nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.evolution import Evolution
from microlith.solver.krylov.phi import phi1
from microlith.solver.krylov.recovery import excess_energies, is_recoverable
from microlith.solver.krylov.trajectory import Segment
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.problem.problem import Problem

NONE = 1e-13  # share of a mode in the start, per largest, below which it has none
SLOWEST = 1e-9  # rates below this count as this, per unit of time: parts that nothing feeds
MOST = 0.9  # of a function's energy that may be missing


@dataclass(frozen=True, eq=False)
class _Part:
    """What is wrong in a segment, in the modes of A and in those of A − E."""

    segment: Segment
    directions: Array  # (m, m) modes of A in the basis
    turned: Array  # (m, m) modes of A − E in those of A
    slower: Array  # (m,) rates of A − E
    start: Array  # (m,) y(0) of the comparison, in the modes of A − E
    source: Array  # (m,) what drives it

    def modes(self, s: Array) -> Array:
        """How v exceeds u at times since the segment's start, in the modes of A, (m, times)."""
        x = self.slower[:, None] * s
        found = self.start[:, None] * np.exp(-x) + self.source[:, None] * s * phi1(x)
        return np.asarray(self.turned @ found - self.directions.T @ self.segment.coefficients(s))


@dataclass(frozen=True, eq=False)
class SpatialDeviation:
    """How far linear functionals of a solution are off, in space."""

    _parts: tuple[_Part, ...]
    _time: float  # seconds per unit of time
    _comm: MPI.Intracomm

    def of(self, rows: Array | csr_array, times: Array) -> Array:
        """Exact value less that of the solution, (functionals, times), scaled; collective.

        Args:
            rows: (functionals, owned) linear functionals.
            times: Increasing, s.
        """
        scaled = np.divide(times, self._time)
        found = np.zeros((rows.shape[0], len(scaled)))
        for number, part in enumerate(self._parts):
            segment = part.segment
            first, last = number == 0, number == len(self._parts) - 1
            inside = (first | (scaled > segment.start)) & (last | (scaled <= segment.end))
            on_basis = self._comm.allreduce(np.asarray(rows @ segment.basis.T), op=MPI.SUM)
            found[:, inside] = on_basis @ (part.directions @ part.modes(scaled[inside] - segment.start))
        return found


def spatial_deviation(problem: Problem, diffusivity: Array, states: Evolution) -> SpatialDeviation | None:
    """What a solution lacks to the exact one in space; collective.

    None where it can't be told in this way: on squares and cubes, with elements of degree 2 and 3, and where loads
    change with time.

    Args:
        problem: That was solved.
        diffusivity: (phases, dim) along each axis, scaled, times κ.
        states: Its solution.
    """
    segments = states.segments()
    if not segments or not is_recoverable(problem):
        return None
    mass, comm = problem.system.mass, problem.space.mesh.comm
    parts: list[_Part] = []
    for segment in segments:
        start = None
        if parts:
            before = parts[-1]
            length = np.array([before.segment.end - before.segment.start])
            amount = matrix_times(mass, (before.directions @ before.modes(length)[:, 0]) @ before.segment.basis)
            start = comm.allreduce(segment.basis @ amount, op=MPI.SUM)
        parts.append(_part(problem, diffusivity, segment, start))
    return SpatialDeviation(tuple(parts), problem.scales.time, comm)


def _part(problem: Problem, diffusivity: Array, segment: Segment, start: Array | None) -> _Part:
    """One segment, from δ at its start in terms of the basis, (m,); None: nothing."""
    share = np.linalg.norm(segment.modes, axis=0)
    known = share > NONE * share.max(initial=0.0)
    directions = np.where(known, segment.modes / np.where(known, share, 1.0), 0.0)
    share = np.where(known, share, 0.0)
    rates = np.maximum(segment.eigenvalues, SLOWEST)
    energies = excess_energies(problem, diffusivity, np.vstack([segment.basis, segment.lift[None]]))
    root = np.sqrt(rates)
    missing, shapes = np.linalg.eigh((directions.T @ energies[:-1, :-1] @ directions) / np.outer(root, root))
    left = (shapes * (1.0 - np.clip(missing, 0.0, MOST))) @ shapes.T
    slower, turned = np.linalg.eigh(left * np.outer(root, root))
    begin = share if start is None else share + directions.T @ start
    source = directions.T @ energies[:-1, -1] - share / segment.gamma
    return _Part(segment, directions, turned, slower, turned.T @ begin, turned.T @ source)
