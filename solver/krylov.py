"""Rational Krylov integration of the linear problem M u' + K u = b, u(0) = u0, with constant b.

One solve of (M + γK) uL = M u0 + γ b (a step of backward Euler) takes up load and initial state together: with
A = M⁻¹K and w = u − uL,

    w' = −A w − w(0)/γ,   so   u(t) = uL + f_t(A) (u0 − uL),   f_t(λ) = exp(−tλ) − (t/γ) φ1(tλ),   φ1(x) = (1 − exp(−x))/x.

No steady state is needed, so K may be singular (islands that no source reaches). f_t(A) acts within the span of
w(0), (M + γK)⁻¹M w(0), ...: the rational Krylov space, on which M and K are projected (Galerkin), so that an inexact
inner solve merely changes the space. See Güttel, GAMM-Mitteilungen 36 (2013) 8-31, doi 10.1002/gamm.201310002, for
the method and Hochbruck and Ostermann, Acta Numerica 19 (2010) 209-286 for the φ functions.
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

    Factors cost as much as dozens of solves, so one pole, end/100, serves as long as the error falls; a second, for the
    early times, joins when more than PATIENCE further solves would be needed. Multigrid is set up in the time of a
    solve: two poles from the start, which needs a fifth fewer solves at 1e-4 and half as many at 1e-6.
    """

    PATIENCE = 15
    LOOK_BACK = 8

    def __init__(self, end: float, method: str) -> None:
        self._poles = [end / 100.0] if method == "mumps" else [end / 33.0, end / 3000.0]
        self._spare = [end / 3000.0] if method == "mumps" else []
        self._count = 0

    def next(self, history: Sequence[tuple[int, float]], tolerance: float) -> float:
        """γ of the next solve, given the (solves, error estimate) so far."""
        if self._spare and len(history) > 2 * self.LOOK_BACK:
            now, before = history[-1][1], history[-1 - self.LOOK_BACK][1]
            rate = np.log(before / now) / self.LOOK_BACK  # decline per solve
            if np.log(now / tolerance) > self.PATIENCE * max(rate, 0.0):
                self._poles.append(self._spare.pop())
                self._count = 1
        gamma = self._poles[self._count % len(self._poles)]
        self._count += 1
        return gamma


WINDOW = 4  # iterates compared: Krylov errors fall in steps, and two neighbours may agree by chance
SAFETY = 2.0  # measured on 2D and 3D problems: the true error stayed below it times the spread of the window
EXHAUSTED = 1e-13  # relative size at which a vector counts as zero
FEWEST = 8  # solves before the estimate is believed


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
        WINDOW before it, divided by 1 − (observed contraction) where that is worse.

    Raises:
        ArithmeticError: An inner solver failed.
    """
    comm = system.mass.comm.tompi4py()
    poles = PoleSchedule(float(times[-1]), solvers.method)
    gamma = poles.next(history=(), tolerance=tolerance)

    def dots(rows: Array, vector: Array) -> Array:
        """Rows times a distributed vector: one reduction for all of them."""
        return comm.allreduce(rows @ vector, op=MPI.SUM)

    lift = np.empty_like(system.load)
    right = system.mass.createVecLeft()
    right.array[:] = system.initial_amount + gamma * system.load
    solvers.solve(gamma, right, lift)
    lift[system.held] = system.initial[system.held]
    start = system.initial - lift
    watched_lift = dots(watch, lift)

    storage = np.empty((max_solves + 1, lift.size))  # pages that are never written cost nothing
    basis = storage[:0]
    gram = np.empty((0, 0))  # VᵀMV: the identity but for rounding
    projected = np.empty((0, 0))  # VᵀKV
    watched = np.empty((len(watch), 0))
    recent: list[Array] = []
    spreads: list[float] = []
    history: list[tuple[int, float]] = []
    error, previous = np.inf, 0.0
    z = start
    x, mass_x, stiff_x = system.mass.createVecRight(), system.mass.createVecLeft(), system.mass.createVecLeft()
    beta = 0.0

    def mass_norm(vector: Array) -> float:
        """√(zᵀMz); leaves Mz in mass_x."""
        x.array[:] = vector
        system.mass.mult(x, mass_x)
        return float(np.sqrt(max(comm.allreduce(vector @ mass_x.array_r, op=MPI.SUM), 0.0)))

    start_size = mass_norm(system.initial) + mass_norm(lift)
    while True:
        norm, before = mass_norm(z), np.inf
        if not len(basis):
            beta = norm
        whole = norm
        # Gram-Schmidt, repeated where most of z cancels: what is left would not be orthogonal to rounding.
        while len(basis) and norm > EXHAUSTED * whole and norm < 0.1 * before:
            z = z - dots(basis, mass_x.array_r) @ basis
            norm, before = mass_norm(z), norm
        if norm <= EXHAUSTED * whole or norm <= EXHAUSTED * start_size:
            error = 0.0  # the space holds the solution
            break
        x.array[:] = z / norm
        mass_x.scale(1.0 / norm)
        system.stiffness.mult(x, stiff_x)
        storage[len(basis)] = x.array_r
        basis = storage[: len(basis) + 1]
        gram = _bordered(gram, dots(basis, mass_x.array_r))
        projected = _bordered(projected, dots(basis, stiff_x.array_r))
        watched = np.column_stack([watched, dots(watch, x.array_r)])

        eigenvalues, vectors = eigh(projected, gram)
        weights = beta * (vectors.T @ gram[:, 0])
        trajectory = Trajectory(lift, basis, np.maximum(eigenvalues, 0.0), vectors * weights, gamma)
        curves = watched_lift[:, None] + watched @ trajectory.coefficients(times)
        recent.append(curves)
        if len(recent) > WINDOW:
            spread = max(float(np.abs(curves - old).max()) for old in recent[-1 - WINDOW : -1])
            del recent[0]
            spreads.append(spread)
            contraction = spread / spreads[-1 - WINDOW] if len(spreads) > WINDOW else 0.5
            latest = spread * max(SAFETY, 1.0 / max(1.0 - contraction, 0.1))
            # A sudden drop is half believed: the part of the error that falls slowly shows only in the next iterates.
            error = max(latest, np.sqrt(latest * previous))
            previous = latest
            history.append((solvers.solves, error))
            if progress is not None:
                progress(solvers.solves, error)
            if error <= tolerance and solvers.solves >= FEWEST:
                break
        if solvers.solves >= max_solves:
            break
        z = np.empty_like(lift)
        solvers.solve(poles.next(history, tolerance), mass_x, z)
        z[system.held] = 0.0  # CG leaves traces there, which M would not see and K would
    if not len(basis):
        trajectory = Trajectory(lift, basis, np.empty(0), np.empty((0, 0)), gamma)
    return Integration(trajectory, watched, watched_lift, float(error), error <= tolerance, tuple(history))


def _bordered(matrix: Array, column: Array) -> Array:
    """A symmetric matrix with one more row and column."""
    grown = np.empty((len(column), len(column)))
    grown[:-1, :-1] = matrix
    grown[-1], grown[:, -1] = column, column
    return grown
