"""Rational Krylov integration of the linear problem M u' + K u = b, u(0) = u0, with constant b.

One solve of (M + γK) uL = M u0 + γ b (a step of backward Euler) takes up load and initial state together: with
A = M⁻¹K and w = u − uL,

    w' = −A w − w(0)/γ,   so   u(t) = uL + f_t(A) w(0),   f_t(λ) = exp(−tλ) − (t/γ) φ1(tλ),   φ1(x) = (1 − exp(−x))/x.

No steady state is needed, so K may be singular (islands that no source reaches). f_t(A) acts within the span of
w(0), S w(0), S² w(0), ... with S = (M + γK)⁻¹M, on which A is taken as (H⁻¹ − I)/γ, H = VᵀMSV (shift-and-invert
Lanczos). That is Galerkin's projection in the span of S^½V, smoother than V by half a step, which suits the rough start
that a suddenly filled surface gives: on the demo case its error is a tenth of that of Galerkin's in V.

One γ serves two to three decades of time. So the time is cut into segments that grow a thousandfold, each with its own
γ, which starts from the end of the one before: the first, with the rough start, resolves the thin early layers; the
later ones start smooth. On the demo case that takes 35 solves for five decades at 1e-4, where one takes over 60.

See van den Eshof and Hochbruck, SIAM J. Sci. Comput. 27 (2006) 1438-1457, doi 10.1137/040605461, and Güttel,
GAMM-Mitteilungen 36 (2013) 8-31, doi 10.1002/gamm.201310002, for the method; Hochbruck and Ostermann, Acta Numerica 19
(2010) 209-286, doi 10.1017/S0962492910000048, for the φ functions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mpi4py import MPI

from .linear import ShiftedSolvers, matrix_times
from .system import LinearSystem

Array = NDArray[np.float64]
Progress = Callable[[int, float], None]

# Where to cut the time, and γ per length of segment: fewest solves at 1e-4 on the demo case, and near it elsewhere.
FIRST_SEGMENT = 100.0  # end of the first segment per first time of interest
NEXT_SEGMENT = 1000.0  # end of each further segment per its start
FIRST_POLE, NEXT_POLE = 15.0, 33.0  # segment's length per γ

WINDOW = 4  # iterates compared: Krylov errors fall in steps, and two neighbours may agree by chance
SAFETY = 2.0
FEWEST = 8  # solves in a segment before the estimate is believed
FIELD = 10.0  # tolerance of a field's rms per tolerance of the curves: fields are looked at, curves are used
EXHAUSTED = 1e-13  # relative size at which a vector counts as zero


def phi1(x: Array) -> Array:
    """(1 − exp(−x))/x, 1 at x = 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, -np.expm1(-safe) / safe)


def phi2(x: Array) -> Array:
    """(1 − φ1(x))/x, 1/2 at x = 0; its Taylor series where the difference would cancel."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    series = 0.5 - x / 6 + x**2 / 24 - x**3 / 120 + x**4 / 720
    return np.where(small, series, (1.0 - phi1(safe)) / safe)


@dataclass(frozen=True)
class Segment:
    """u(start + s) = lift + basisᵀ y(s) for 0 ≤ s ≤ end − start, y known in closed form in the projection's modes."""

    start: float
    end: float
    gamma: float
    lift: Array  # (owned,) uL
    basis: Array  # (m, owned)
    eigenvalues: Array  # (m,) of the projected A, 1/time
    modes: Array  # (m, m) coefficients of the modes in the basis, times their weight in w(0)

    def coefficients(self, s: Array) -> Array:
        """y(s), shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, s)
        return self.modes @ (np.exp(-x) - (s / self.gamma) * phi1(x))

    def integrals(self, s: Array) -> Array:
        """∫ y from 0 to s, shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, s)
        return self.modes @ (s * phi1(x) - (s**2 / self.gamma) * phi2(x))

    def state(self, s: float) -> Array:
        """u(start + s), owned entries."""
        return self.lift + self.coefficients(np.array([s]))[:, 0] @ self.basis


@dataclass(frozen=True)
class Trajectory:
    """The solution at all times from 0 to the end of the last segment."""

    segments: tuple[Segment, ...]
    comm: MPI.Intracomm

    def state(self, time: float) -> Array:
        """u(time), owned entries."""
        segment = next((s for s in self.segments if time <= s.end), self.segments[-1])
        return segment.state(time - segment.start)

    def project(self, rows: Array | csr_array) -> "Projection":
        """Linear functionals (functionals, owned), dense or sparse, on the trajectory; collective."""
        return Projection(self.segments, tuple(_projected(rows, segment, self.comm) for segment in self.segments))


@dataclass(frozen=True)
class Projection:
    """Linear functionals of u(t), at any time without more communication; the same on all ranks."""

    segments: tuple[Segment, ...]
    parts: tuple[tuple[Array, Array], ...]  # per segment: on the lift (functionals,), on the basis (functionals, m)

    def values(self, times: Array) -> Array:
        """Values at increasing times, (functionals, times)."""
        return self.evaluate(times)[0]

    def evaluate(self, times: Array) -> tuple[Array, Array]:
        """Values at increasing times and integrals from 0 to these, each (functionals, times)."""
        count = len(self.parts[0][0])
        values, integrals = np.empty((count, len(times))), np.empty((count, len(times)))
        so_far = np.zeros(count)
        for segment, (on_lift, on_basis) in zip(self.segments, self.parts, strict=True):
            first, last = segment is self.segments[0], segment is self.segments[-1]
            inside = (first | (times > segment.start)) & (last | (times <= segment.end))
            s = np.append(times[inside] - segment.start, segment.end - segment.start)
            values[:, inside] = on_lift[:, None] + on_basis @ segment.coefficients(s[:-1])
            gained = on_lift[:, None] * s + on_basis @ segment.integrals(s)
            integrals[:, inside] = so_far[:, None] + gained[:, :-1]
            so_far = so_far + gained[:, -1]
        return values, integrals


def _projected(rows: Array | csr_array, segment: Segment, comm: MPI.Intracomm) -> tuple[Array, Array]:
    """Functionals of the lift (functionals,) and of the basis (functionals, m)."""
    both = comm.allreduce(rows @ np.vstack([segment.lift[None], segment.basis]).T, op=MPI.SUM)
    return both[:, 0], both[:, 1:]


@dataclass(frozen=True)
class Integration:
    """A trajectory with how accurate it is."""

    trajectory: Trajectory
    error: float  # estimated error of the watched functionals over the times, absolute
    converged: bool  # whether the estimate is below the tolerance
    history: tuple[tuple[int, float], ...]  # (solves, estimate) within each segment


def segment_ends(times: Array) -> list[float]:
    """Where the time is cut: [0, 100 t1], then a thousandfold each, t1 the first of the times; the last is the end."""
    end = float(times[-1])
    first = float(times[times > 0][0])
    ends = [end]
    cut = FIRST_SEGMENT * first
    if cut * 10 < end:
        ends = [cut]
        while ends[-1] * NEXT_SEGMENT * 3 < end:
            ends.append(ends[-1] * NEXT_SEGMENT)
        ends.append(end)
    return ends


def integrate(
    system: LinearSystem,
    solvers: ShiftedSolvers,
    watch: Array,
    times: Array,
    tolerance: float,
    max_solves: int,
    field_times: Array,
    progress: Progress | None = None,
) -> Integration:
    """Integrate until the watched functionals are known within the tolerance at all times.

    Args:
        system: The problem.
        solvers: Solvers of (M + γK) x = r.
        watch: (functionals, owned) linear functionals of u whose error counts.
        times: Times at which it counts; the last is the end.
        tolerance: Wanted absolute error of the watched functionals.
        max_solves: Solves at which to stop, converged or not.
        field_times: Times at which the rms of the field's error is to be below FIELD times the tolerance.
        progress: Called with the number of solves and the estimate.

    Returns:
        The trajectory and its error estimate: the sum of the segments'.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    comm = system.mass.comm.tompi4py()
    ends = segment_ends(times)
    segments: list[Segment] = []
    history: list[tuple[int, float]] = []
    error, start = 0.0, 0.0
    amount, state = system.initial_amount, system.initial
    for number, end in enumerate(ends):
        last = number == len(ends) - 1
        pole = FIRST_POLE if number == 0 and not last else NEXT_POLE
        within = times[(times > start) & (times <= end)] - start
        # What is wrong at the end of a segment and not yet in the regions may still get there.
        fields = field_times[(field_times > start) & (field_times <= end)] - start
        fields = fields if last else np.append(fields, end - start)
        allowed = max(tolerance - error, 0.25 * tolerance) if last else 0.5 * tolerance / (len(ends) - 1)
        segment, share, steps = _integrate_segment(
            system, solvers, watch, np.append(within, end - start), fields, (start, end), (end - start) / pole,
            amount, state, allowed, max_solves * (number + 1) // len(ends), progress,
        )  # fmt: skip
        segments.append(segment)
        history.extend(steps)
        error += share
        start = end
        if not last:
            state = segment.state(end - segment.start)
            amount = matrix_times(system.mass, state)
    return Integration(Trajectory(tuple(segments), comm), error, error <= tolerance, tuple(history))


def _integrate_segment(
    system: LinearSystem,
    solvers: ShiftedSolvers,
    watch: Array,
    times: Array,
    field_times: Array,
    span: tuple[float, float],
    gamma: float,
    amount: Array,
    state: Array,
    tolerance: float,
    max_solves: int,
    progress: Progress | None,
) -> tuple[Segment, float, list[tuple[int, float]]]:
    """One segment from M u and u at its start; `times` count from there. Also its error and (solves, estimate)."""
    first_solve = solvers.solves
    load = system.load
    right = system.mass.createVecLeft()
    right.array[:] = amount + gamma * load
    lift = np.empty_like(state)
    solvers.solve(gamma, right, lift)
    lift[system.held] = state[system.held]

    most = max(max_solves, first_solve + FEWEST)
    space = _Space(system, watch, most - first_solve)
    watched_lift = space.dots(watch, lift)
    smallest = EXHAUSTED * (space.norm(state) + space.norm(lift))
    whole = np.sqrt(space.total_mass())
    beta = space.norm(state - lift)
    segment = Segment(*span, gamma, lift, space.basis, np.empty(0), np.empty((0, 0)))
    estimate, error = _Estimate(), np.inf
    history: list[tuple[int, float]] = []
    grown = space.add(state - lift, smallest)
    while grown and error > tolerance and solvers.solves < most:
        z = np.empty_like(lift)
        solvers.solve(gamma, space.mass_x, z)
        z[system.held] = 0.0  # CG leaves traces there, which M would not see and K would
        grown = space.add(z, smallest)
        eigenvalues, modes = space.modes(gamma)
        segment = Segment(*span, gamma, lift, space.basis[: len(modes)], eigenvalues, beta * modes)
        curves = watched_lift[:, None] + space.watched[:, : len(modes)] @ segment.coefficients(times)
        error = estimate.of(curves, segment.coefficients(field_times) / (FIELD * whole))
        if np.isfinite(error):
            history.append((solvers.solves, error))
            if progress is not None:
                progress(solvers.solves, error)
        if solvers.solves - first_solve < FEWEST:
            error = np.inf
    return segment, error if grown else 0.0, history  # a space that grows no more holds the solution


class _Space:
    """An M-orthonormal basis that grows by a vector at a time, and the projections of S and of functionals on it."""

    def __init__(self, system: LinearSystem, watch: Array, most: int) -> None:
        self._system = system
        self._watch = watch
        self._comm = system.mass.comm.tompi4py()
        self._storage = np.empty((most, system.initial.size))  # pages that are never written cost nothing
        self._x = system.mass.createVecRight()
        self.mass_x = system.mass.createVecLeft()  # M times the newest vector
        self.basis = self._storage[:0]  # V, (m, owned)
        self.smoothed: Array = np.empty((0, 0))  # H = VᵀMSV, one row less than V
        self.watched: Array = np.empty((len(watch), 0))

    def dots(self, rows: Array, vector: Array) -> Array:
        """Rows times a distributed vector: one reduction for all of them."""
        return self._comm.allreduce(rows @ vector, op=MPI.SUM)

    def norm(self, z: Array) -> float:
        """√(zᵀMz); leaves Mz in mass_x."""
        self._x.array[:] = z
        self._system.mass.mult(self._x, self.mass_x)
        return float(np.sqrt(max(self._comm.allreduce(z @ self.mass_x.array_r, op=MPI.SUM), 0.0)))

    def total_mass(self) -> float:
        """1ᵀM1 over what is not held: the square of the norm of the constant 1."""
        return self.norm(np.ones(self._system.initial.size)) ** 2

    def add(self, z: Array, smallest: float) -> bool:
        """Take up S v of the newest v (or the first vector); False where it adds nothing to the span."""
        norm, before = self.norm(z), np.inf
        threshold = max(EXHAUSTED * norm, smallest if not len(self.basis) else 0.0)
        column = None
        # Gram-Schmidt, repeated until little cancels: what is left would not be orthogonal to rounding, and the loss
        # would grow from vector to vector.
        while len(self.basis) and norm > threshold and norm < 0.7 * before:
            along = self.dots(self.basis, self.mass_x.array_r)
            column = along if column is None else column
            z = z - along @ self.basis
            norm, before = self.norm(z), norm
        if column is not None:
            self.smoothed = _bordered(self.smoothed, column)
        if norm <= threshold:
            return False
        self.mass_x.scale(1.0 / norm)
        newest = self._storage[len(self.basis)]
        np.divide(z, norm, out=newest)
        self.basis = self._storage[: len(self.basis) + 1]
        self.watched = np.column_stack([self.watched, self.dots(self._watch, newest)])
        return True

    def modes(self, gamma: float) -> tuple[Array, Array]:
        """Eigenvalues of the projected A, and per eigenvector its coefficients in V times its share of the first v."""
        values, vectors = np.linalg.eigh(self.smoothed)
        return np.divide(1.0 / np.clip(values, EXHAUSTED, 1.0) - 1.0, gamma), vectors * vectors[0]


class _Estimate:
    """Error of the newest iterate from its differences to the WINDOW before it."""

    def __init__(self) -> None:
        self._recent: list[tuple[Array, Array]] = []
        self._spreads: list[float] = []
        self._latest = 0.0

    def of(self, curves: Array, fields: Array) -> float:
        """Estimated error of curves and of fields (coefficients, times) in the 2-norm; inf after too few iterates."""
        differences = []
        for old_curves, old_fields in self._recent:
            change = fields.copy()
            change[: len(old_fields)] -= old_fields
            worst = np.linalg.norm(change, axis=0).max(initial=0.0)
            differences.append(max(float(np.abs(curves - old_curves).max(initial=0.0)), float(worst)))
        self._recent.append((curves, fields))
        if len(self._recent) <= WINDOW:
            return np.inf
        del self._recent[0]
        self._spreads.append(max(differences))
        if len(self._spreads) <= WINDOW:
            contraction = 0.5
        else:
            contraction = min(self._spreads[-1] / max(self._spreads[-1 - WINDOW], 1e-300), 1.0)
        # The error is what the differences still to come add up to: less than the last ones where they fall fast.
        factor = SAFETY * np.clip(np.sqrt(contraction) / (1.0 - contraction + 1e-3), 0.5, 2.0)
        previous, self._latest = self._latest, self._spreads[-1] * float(factor)
        # A sudden drop is half believed: the part of the error that falls slowly shows only in the next iterates.
        return max(self._latest, float(np.sqrt(self._latest * previous)))


def _bordered(matrix: Array, column: Array) -> Array:
    """A symmetric matrix with one more row and column."""
    grown = np.empty((len(column), len(column)))
    grown[:-1, :-1] = matrix
    grown[-1], grown[:, -1] = column, column
    return grown
