"""Two solutions in one basis that rational Krylov has found, and how far linear functionals of them are apart.

Where loads change with time, the responses to a unit step of each differ in the same way, and what the solutions
differ by is their superposition (see `superposition`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags
from microlith.solver.krylov.evolution import Evolution
from microlith.solver.krylov.phi import phi1, phi2
from microlith.solver.krylov.superposition import SuperpositionProjection
from microlith.solver.krylov.trajectory import Segment, Trajectory
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import Breaks
from microlith.solver.problem.problem import Problem

NOTHING = 1e-12  # of the largest mean square of a combination of vectors: is rounding

# The stiffness of each of some other problems in the basis of a segment, (m, m), given that of the own one, and what it
# adds to the right side there, (m,); collective
Others = Callable[[Segment, Array], Sequence[tuple[Array, Array]]]
# The same segment in a larger basis, given what the other solutions are apart from it at its start, (owned,) each;
# collective
Grown = Callable[[Segment, Sequence[Array]], Segment]


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
    """A segment, and how another problem goes on in its basis."""

    segment: Segment
    own: _Small  # as it was solved
    other: _Small

    def apart(self, s: Array) -> Array:
        """The other less the own at times since the segment's start, in the basis, (m, times)."""
        return self.other.at(s) - self.own.at(s)

    def apart_at_end(self) -> Array:
        """The same where the segment ends, (owned,)."""
        length = np.array([self.segment.end - self.segment.start])
        return np.asarray(self.apart(length)[:, 0] @ self.segment.basis)


@dataclass(frozen=True, eq=False)
class _Apart:
    """Linear functionals of what two trajectories are apart, over time; the same on all ranks."""

    parts: tuple[_Part, ...]
    on_bases: tuple[Array, ...]  # of each part, (functionals, m)

    @staticmethod
    def of(parts: tuple[_Part, ...], rows: Array | csr_array, comm: MPI.Intracomm) -> "_Apart":
        """Of rows (functionals, owned); collective."""
        on_bases = (comm.allreduce(np.asarray(rows @ part.segment.basis.T), op=MPI.SUM) for part in parts)
        return _Apart(parts, tuple(on_bases))

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times and, with orders = 1, integrals from 0 to these, each (functionals, times)."""
        found = tuple(np.zeros((len(self.on_bases[0]), len(times))) for _ in range(1 + orders))
        integral: Array = np.zeros((len(self.on_bases[0]), 1))
        for part, on_basis, inside in self._each(times):
            s = np.append(times[inside] - part.segment.start, part.segment.end - part.segment.start)
            found[0][:, inside] = on_basis @ part.apart(s[:-1])
            if orders:
                gained = integral + on_basis @ (part.other.integrals(s) - part.own.integrals(s))
                found[1][:, inside], integral = gained[:, :-1], gained[:, -1:]
        return found

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times)."""
        found = np.zeros((len(self.on_bases[0]), len(times)))
        for part, on_basis, inside in self._each(times):
            s = times[inside] - part.segment.start
            found[:, inside] = on_basis @ (part.other.slopes(s) - part.own.slopes(s))
        return found

    def _each(self, times: Array) -> Iterator[tuple[_Part, Array, Flags]]:
        """Each part, the functionals on its basis, and which times are in it."""
        for part, on_basis in zip(self.parts, self.on_bases, strict=True):
            first, last = part is self.parts[0], part is self.parts[-1]
            inside = (first | (times > part.segment.start)) & (last | (times <= part.segment.end))
            yield part, on_basis, inside


@dataclass(frozen=True, eq=False)
class Deviation:
    """How far linear functionals of another solution are from those of a solution."""

    _base: tuple[_Part, ...]  # of the start and the loads at first; none: nothing is there
    _responses: tuple[tuple[tuple[_Part, ...], Breaks], ...]  # to unit steps of loads that change, and when they do
    _end: float  # scaled
    _time: float  # seconds per unit of time
    _part: float  # of what makes the other problem differ that it was solved with
    _comm: MPI.Intracomm

    def of(self, rows: Array | csr_array, times: Array) -> Array:
        """That of the other less that of the solution, (functionals, times), scaled; collective.

        Args:
            rows: (functionals, owned) linear functionals.
            times: Increasing, s.
        """
        return self.project(rows).evaluate(np.divide(times, self._time), 0)[0]

    def root_mean_squares(self, rows: Array, times: Array) -> Array:
        """Root of the mean square of how far values are apart, with the weights of some means; collective.

        It is no less than what the mean is apart, as what is apart to both sides does not cancel.

        Args:
            rows: (means, owned) weights of the unknowns, not negative.
            times: Increasing, s.

        Returns:
            (means, times), scaled.
        """
        trajectories = (self._base, *(parts for parts, _ in self._responses))
        every = [part.segment.basis for parts in trajectories for part in parts]
        return np.array([self._root_mean_square(row, every, times) for row in rows]).reshape(len(rows), len(times))

    def _root_mean_square(self, weights: Array, bases: Sequence[Array], times: Array) -> Array:
        """Of one mean, (times,); collective.

        With the vectors V of all bases, orthonormal combinations of them in the inner product of the weights W make the
        mean square a sum of few squares: with VWVᵀ = EΛEᵀ it is the sum of those of Λ^(−1/2) EᵀVW.
        """
        at = np.flatnonzero(weights)
        vectors = np.vstack([np.empty((0, len(at))), *(basis[:, at] for basis in bases)])
        weighted = vectors * weights[at]
        sizes, shapes = np.linalg.eigh(self._comm.allreduce(weighted @ vectors.T, op=MPI.SUM))
        kept = sizes > NOTHING * sizes.max(initial=0.0)
        values = (shapes[:, kept] / np.sqrt(sizes[kept])).T @ weighted
        columns, starts = np.tile(at, len(values)), len(at) * np.arange(len(values) + 1)
        rows = csr_array((values.ravel(), columns, starts), shape=(len(values), len(weights)))
        total = self._comm.allreduce(float(weights.sum()), op=MPI.SUM)
        return np.sqrt(total * (self.of(rows, times) ** 2).sum(axis=0))

    def project(self, rows: Array | csr_array) -> SuperpositionProjection:
        """Linear functionals (functionals, owned) of the other solution less this one, over scaled time; collective."""
        rows = rows / self._part
        base = _Apart.of(self._base, rows, self._comm) if self._base else None
        responses = tuple((_Apart.of(parts, rows, self._comm), breaks) for parts, breaks in self._responses)
        return SuperpositionProjection(0.0, self._end, base, responses, rows.shape[0])


@dataclass(frozen=True, eq=False)
class WithinBases:
    """A solution with one K at all times, in the bases of whose segments other problems can be solved."""

    problem: Problem
    # Of the start and of each response: segments with VᵀKV, (m, m), None where their bases grow
    _base: Sequence[tuple[Segment, Array | None]]
    _responses: Sequence[tuple[Sequence[tuple[Segment, Array | None]], Breaks]]
    _end: float  # scaled
    _grown: Grown | None

    @staticmethod
    def of(problem: Problem, states: Evolution, grown: Grown | None = None) -> "WithinBases | None":
        """None where transfer coefficients change with time, which are not in the stiffness; collective.

        Args:
            problem: That was solved.
            states: Its solution.
            grown: Makes the bases larger; None: they stay as they are.
        """
        whole = states.whole()
        if whole is None or problem.system.transfers:
            return None

        def projected(trajectory: Trajectory) -> Sequence[tuple[Segment, Array | None]]:
            stiff = [None if grown is not None else _stiffness(problem, segment) for segment in trajectory.segments]
            return list(zip(trajectory.segments, stiff, strict=True))

        base = [] if whole.base is None else projected(whole.base)
        responses = [(projected(response.trajectory), response.breaks) for response in whole.responses]
        return WithinBases(problem, base, responses, whole.end, grown)

    @property
    def responses(self) -> int:
        """Number of loads that change with time."""
        return len(self._responses)

    def deviations(self, base: Others, responses: Sequence[Others], parts: Sequence[float]) -> tuple[Deviation, ...]:
        """How far the solution of each of some other problems is from this one; collective.

        Args:
            base: The other problems, with the loads as they are at first.
            responses: The same for the response to the unit step of each load that changes.
            parts: Of what makes each of them differ; its solution is told to be as much farther away.
        """
        bases = self._parts(self._base, base, len(parts))
        of_loads = [
            (self._parts(segments, others, len(parts)), breaks)
            for (segments, breaks), others in zip(self._responses, responses, strict=True)
        ]
        time, comm = self.problem.scales.time, self.problem.space.mesh.comm
        return tuple(
            Deviation(bases[i], tuple((found[i], breaks) for found, breaks in of_loads), self._end, time, part, comm)
            for i, part in enumerate(parts)
        )

    def _parts(
        self, segments: Sequence[tuple[Segment, Array | None]], others: Others, count: int
    ) -> tuple[tuple[_Part, ...], ...]:
        """One segment after the other, of each of the other problems; collective."""
        mass, comm = self.problem.system.mass, self.problem.space.mesh.comm
        parts: list[list[_Part]] = [[] for _ in range(count)]
        for solved, known in segments:
            apart = [found[-1].apart_at_end() for found in parts if found]
            segment = solved if self._grown is None else self._grown(solved, apart)
            stiffness = _stiffness(self.problem, segment) if known is None else known
            begin = segment.modes.sum(axis=1)  # w(0)
            more = np.zeros((count, len(begin)))
            for i, vector in enumerate(apart):
                more[i] = comm.allreduce(segment.basis @ matrix_times(mass, vector), op=MPI.SUM)
            source = -begin / segment.gamma
            own = _Small.of(stiffness, begin, source)
            for found, (changed, added), start in zip(parts, others(segment, stiffness), begin + more, strict=True):
                found.append(_Part(segment, own, _Small.of(changed, start, source + added)))
        return tuple(tuple(found) for found in parts)


def _stiffness(problem: Problem, segment: Segment) -> Array:
    """VᵀKV, (m, m); collective."""
    basis = segment.basis
    rows = [basis @ matrix_times(problem.system.stiffness, vector) for vector in basis]
    found = problem.space.mesh.comm.allreduce(np.array(rows).reshape(len(basis), len(basis)), op=MPI.SUM)
    return np.asarray((found + found.T) / 2)
