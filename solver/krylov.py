"""Rational Krylov integration of the linear problem M u' + K u = b, u(0) = u0, with constant b.

One solve of (M + γK) uL = M u0 + γ b (a step of backward Euler) takes up load and initial state together: with
A = M⁻¹K and w = u − uL,

    w' = −A w − w(0)/γ,   so   u(t) = uL + f_t(A) w(0),   f_t(λ) = exp(−tλ) − (t/γ) φ1(tλ),   φ1(x) = (1 − exp(−x))/x.

No steady state is needed, so K may be singular (islands that no source reaches). f_t(A) acts within the span of
w(0), S w(0), S² w(0), ... with S = (M + γK)⁻¹M. Two projections of A onto it are used:

- with one γ, that of S: A ≈ (H⁻¹ − I)/γ, H = VᵀMSV (shift-and-invert Lanczos). It is Galerkin's in the span of
  S^½V, smoother than V by half a step, and so does not suffer from the rough start that a suddenly filled surface
  gives (measured: error 1e-4 after 18 solves where Galerkin's in V stays above 3e-4 up to 40);
- with several, Galerkin's: A ≈ VᵀKV.

See Güttel, GAMM-Mitteilungen 36 (2013) 8-31, doi 10.1002/gamm.201310002, and van den Eshof and Hochbruck, SIAM J. Sci.
Comput. 27 (2006) 1438-1457, doi 10.1137/040605461, for the method; Hochbruck and Ostermann, Acta Numerica 19 (2010)
209-286, doi 10.1017/S0962492910000048, for the φ functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from mpi4py import MPI
from petsc4py import PETSc

from .linear import ShiftedSolvers

Array = NDArray[np.float64]


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
class LinearSystem:
    """M u' + K u = b, u(0) = u0, distributed; rows and columns of held unknowns are zero in M, unit in K."""

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    load: Array  # (owned,) b, with what the held unknowns add; the held value on held rows
    initial_amount: Array  # (owned,) M u0, zero on held rows
    initial: Array  # (owned,) u0, with the held values
    held: NDArray[np.int32]  # owned rows that are held


@dataclass(frozen=True)
class Trajectory:
    """u(t) = lift + basisᵀ y(t) at every t in [0, end], y known in closed form in the eigenvectors of the projection."""

    lift: Array  # (owned,) uL
    basis: Array  # (m, owned)
    eigenvalues: Array  # (k,) of the projected A, 1/time
    modes: Array  # (m, k) coefficients of the modes in the basis, times their weight in w(0)
    gamma: float  # time, of the lift

    def coefficients(self, times: Array) -> Array:
        """y(t), shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, times)
        return self.modes @ (np.exp(-x) - (times / self.gamma) * phi1(x))

    def integrals(self, times: Array) -> Array:
        """∫ y dt from 0 to t, shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, times)
        return self.modes @ (times * phi1(x) - (times**2 / self.gamma) * phi2(x))

    def state(self, time: float) -> Array:
        """u(t), owned entries."""
        return self.lift + self.coefficients(np.array([time]))[:, 0] @ self.basis


@dataclass(frozen=True)
class Integration:
    """A trajectory with what it cost and how accurate it is."""

    trajectory: Trajectory
    watched: Array  # (functionals, m) values of the watched functionals on the basis
    watched_lift: Array  # (functionals,) on the lift
    error: float  # estimated error of the watched functionals over the times, absolute
    converged: bool  # whether the estimate is below the tolerance
    history: tuple[tuple[int, float], ...]  # (solves, estimate)

    def curves(self, times: Array) -> Array:
        """Values of the watched functionals, shape (functionals, times)."""
        return self.watched_lift[:, None] + self.watched @ self.trajectory.coefficients(times)


class PoleSchedule:
    """Which γ the next solve takes.

    Factors cost as much as dozens of solves, and one γ lets the better projection be used: so one serves as long as the
    error falls, smaller for tighter tolerances (end/33 at 1e-2, end/100 at 1e-4: the fewest solves measured). A second,
    for the early times, joins when more than PATIENCE further solves would be needed; below TIGHT it is always needed,
    and joins at once.
    """

    FEWEST = 30  # solves with one pole

    PATIENCE = 20
    LOOK_BACK = 12
    TIGHT = 2e-5

    def __init__(self, end: float, tolerance: float) -> None:
        one = [end / max(33.0 * (np.log10(1.0 / tolerance) - 1.0), 33.0)]
        self._poles = one if tolerance > self.TIGHT else [end / 50.0, end / 5000.0]
        self._spare = [end / 5000.0] if tolerance > self.TIGHT else []
        self._tolerance = tolerance
        self._count = 0

    def next(self, history: Sequence[tuple[int, float]]) -> float:
        """γ of the next solve, given the (solves, error estimate) so far."""
        if self._spare and len(history) > self.FEWEST:
            now, before = history[-1][1], history[-1 - self.LOOK_BACK][1]
            decline = np.log(before / now) / self.LOOK_BACK  # per solve
            if np.log(now / self._tolerance) > self.PATIENCE * max(decline, 0.0):
                self._poles.append(self._spare.pop())
                self._count = 1
        gamma = self._poles[self._count % len(self._poles)]
        self._count += 1
        return gamma


EXHAUSTED = 1e-13  # relative size at which a vector counts as zero


class _Space:
    """An M-orthonormal basis that grows by a vector at a time, and the projections of A and of functionals on it."""

    def __init__(self, system: LinearSystem, watch: Array, most: int) -> None:
        self._system = system
        self._watch = watch
        self._comm = system.mass.comm.tompi4py()
        self._storage = np.empty((most, system.load.size))  # pages that are never written cost nothing
        self._x = system.mass.createVecRight()
        self._stiff_x = system.mass.createVecLeft()
        self.mass_x = system.mass.createVecLeft()  # M times the newest vector
        self.basis = self._storage[:0]  # V, (m, owned)
        self.gram = np.empty((0, 0))  # VᵀMV: the identity but for rounding
        self.stiffness = np.empty((0, 0))  # VᵀKV
        self.smoothed = np.empty((0, 0))  # VᵀMSV, one row less than V
        self.watched = np.empty((len(watch), 0))

    def dots(self, rows: Array, vector: Array) -> Array:
        """Rows times a distributed vector: one reduction for all of them."""
        return self._comm.allreduce(rows @ vector, op=MPI.SUM)

    def norm(self, z: Array) -> float:
        """√(zᵀMz); leaves Mz in mass_x."""
        self._x.array[:] = z
        self._system.mass.mult(self._x, self.mass_x)
        return float(np.sqrt(max(self._comm.allreduce(z @ self.mass_x.array_r, op=MPI.SUM), 0.0)))

    def add(self, z: Array, smallest: float) -> bool:
        """Take up S v of the newest v (or the first vector); False where it adds nothing to the span."""
        norm, before = self.norm(z), np.inf
        threshold = max(EXHAUSTED * norm, smallest)
        column = None
        # Gram-Schmidt, repeated where most of z cancels: what is left would not be orthogonal to rounding.
        while len(self.basis) and norm > threshold and norm < 0.1 * before:
            along = self.dots(self.basis, self.mass_x.array_r)
            column = along if column is None else column
            z = z - along @ self.basis
            norm, before = self.norm(z), norm
        if column is not None:
            self.smoothed = _bordered(self.smoothed, column)
        if norm <= threshold:
            return False
        self._x.array[:] = z / norm
        self.mass_x.scale(1.0 / norm)
        self._system.stiffness.mult(self._x, self._stiff_x)
        newest = self._x.array_r
        self._storage[len(self.basis)] = newest
        self.basis = self._storage[: len(self.basis) + 1]
        self.gram = _bordered(self.gram, self.dots(self.basis, self.mass_x.array_r))
        self.stiffness = _bordered(self.stiffness, self.dots(self.basis, self._stiff_x.array_r))
        self.watched = np.column_stack([self.watched, self.dots(self._watch, newest)])
        return True

    def modes(self, gamma: float, single: bool) -> tuple[Array, Array]:
        """Eigenvalues of the projected A, and per eigenvector its coefficients in V times its share of the first v."""
        if single:  # the projection of S, on all vectors that S was applied to
            values, vectors = np.linalg.eigh(self.smoothed)
            eigenvalues = (1.0 / np.clip(values, EXHAUSTED, 1.0) - 1.0) / gamma
            shares = vectors[0]
        else:
            eigenvalues, vectors = eigh(self.stiffness, self.gram)
            eigenvalues = np.maximum(eigenvalues, 0.0)
            shares = vectors.T @ self.gram[:, 0]
        return eigenvalues, vectors * shares


WINDOW = 4  # iterates compared: Krylov errors fall in steps, and two neighbours may agree by chance
SAFETY = 2.0  # measured: the true error stays below it times the spread of the window
FEWEST = 8  # solves before the estimate is believed


class _Estimate:
    """Error of the newest iterate from its differences to the WINDOW before it."""

    def __init__(self) -> None:
        self._recent: list[Array] = []
        self._spreads: list[float] = []
        self._latest = 0.0

    def of(self, curves: Array) -> float:
        """Estimated error of these curves, inf while there are too few iterates to tell."""
        spread = max((float(np.abs(curves - old).max()) for old in self._recent), default=np.inf)
        self._recent.append(curves)
        if len(self._recent) <= WINDOW:
            return np.inf
        del self._recent[0]
        self._spreads.append(spread)
        contraction = spread / max(self._spreads[-1 - WINDOW], 1e-300) if len(self._spreads) > WINDOW else 0.5
        previous, self._latest = self._latest, spread * max(SAFETY, 1.0 / max(1.0 - contraction, 0.25))
        # A sudden drop is half believed: the part of the error that falls slowly shows only in the next iterates.
        return max(self._latest, float(np.sqrt(self._latest * previous)))


def integrate(
    system: LinearSystem,
    solvers: ShiftedSolvers,
    watch: Array,
    times: Array,
    tolerance: float,
    max_solves: int,
    progress: Callable[[int, float], None] | None = None,
) -> Integration:
    """Integrate until the watched functionals are known within the tolerance at all times.

    Args:
        system: The problem.
        solvers: Solvers of (M + γK) x = r.
        watch: (functionals, owned) linear functionals of u whose error counts.
        times: Times at which it counts; the last is the largest.
        tolerance: Wanted absolute error of the watched functionals.
        max_solves: Solves at which to stop, converged or not.
        progress: Called with the number of solves and the estimate.

    Returns:
        The trajectory and its error estimate: SAFETY times the largest difference between the last iterate and the
        WINDOW before it, or more where these fall slowly.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    poles = PoleSchedule(float(times[-1]), tolerance)
    gamma = poles.next(())
    lift = np.empty_like(system.load)
    right = system.mass.createVecLeft()
    right.array[:] = system.initial_amount + gamma * system.load
    solvers.solve(gamma, right, lift)
    lift[system.held] = system.initial[system.held]

    space = _Space(system, watch, max_solves + 1)
    start = system.initial - lift
    smallest = EXHAUSTED * (space.norm(system.initial) + space.norm(lift))
    beta = space.norm(start)
    watched_lift = space.dots(watch, lift)
    trajectory = Trajectory(lift, space.basis, np.empty(0), np.empty((0, 0)), gamma)
    estimate, error = _Estimate(), np.inf
    history: list[tuple[int, float]] = []
    grown = space.add(start, smallest)
    while grown and solvers.solves < max_solves and error > tolerance:
        z = np.empty_like(lift)
        solvers.solve(poles.next(history), space.mass_x, z)
        z[system.held] = 0.0  # CG leaves traces there, which M would not see and K would
        grown = space.add(z, smallest)
        eigenvalues, modes = space.modes(gamma, single=len(solvers.poles) == 1)
        trajectory = Trajectory(lift, space.basis[: len(modes)], eigenvalues, beta * modes, gamma)
        watched = space.watched[:, : len(modes)]
        error = estimate.of(watched_lift[:, None] + watched @ trajectory.coefficients(times))
        if np.isfinite(error):
            history.append((solvers.solves, error))
            if progress is not None:
                progress(solvers.solves, error)
        if solvers.solves < FEWEST:
            error = np.inf
    if not grown:
        error = 0.0  # the space holds the solution
    watched = space.watched[:, : len(trajectory.basis)]
    return Integration(trajectory, watched, watched_lift, error, error <= tolerance, tuple(history))


def _bordered(matrix: Array, column: Array) -> Array:
    """A symmetric matrix with one more row and column."""
    grown = np.empty((len(column), len(column)))
    grown[:-1, :-1] = matrix
    grown[-1], grown[:, -1] = column, column
    return grown
