"""The space in which rational Krylov looks for the solution, and how far its newest iterate is from the solution."""

from collections.abc import Callable

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.closed_parts import ClosedParts
from microlith.solver.problem.system import LinearSystem

WINDOW = 4  # iterates compared: Krylov errors fall in steps, and two neighbours may agree by chance
SAFETY = 2.0
EXHAUSTED = 1e-13  # relative size at which a vector counts as zero


class KrylovSpace:
    """An M-orthonormal basis that grows by a vector at a time, and the projections of S and of functionals on it."""

    def __init__(self, system: LinearSystem, watch: Array, most: int, closed: ClosedParts | None = None) -> None:
        """In closed parts all vectors are kept at mean 0."""
        self._system = system
        self._closed = closed
        self._watch = watch
        self._comm = system.mass.comm.tompi4py()
        self._storage = np.empty((most, system.initial.size))  # pages that are never written cost nothing
        self._x = system.mass.createVecRight()
        self.mass_x = system.mass.createVecLeft()  # M times the newest vector
        self.basis = self._storage[:0]  # V, (m, owned)
        self.smoothed: Array = np.empty((0, 0))  # H = VᵀMSV, one row less than V
        self.watched: Array = np.empty((len(watch), 0))

    def destroy(self) -> None:
        """Free what PETSc holds; basis and projections stay."""
        self._x.destroy()
        self.mass_x.destroy()

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

    def _even(self, z: Array) -> Array:
        """The vector without its mean in closed parts."""
        return z if self._closed is None else self._closed.with_amounts(z, np.zeros(len(self._closed.whole)))

    def add(self, z: Array, smallest: float) -> bool:
        """Take up S v of the newest v (or the first vector); False where it adds nothing to the span."""
        z = self._even(z)
        norm, before = self.norm(z), np.inf
        threshold = max(EXHAUSTED * norm, smallest if not len(self.basis) else 0.0)
        column = None
        # Gram-Schmidt, repeated until little cancels: what is left would not be orthogonal to rounding, and the loss
        # would grow from vector to vector.
        while len(self.basis) and norm > threshold and norm < 0.7 * before:
            along = self.dots(self.basis, self.mass_x.array_r)
            column = along if column is None else column
            z = self._even(z - along @ self.basis)
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


class ErrorEstimate:
    """Error of the newest iterate from its differences to the WINDOW before it."""

    def __init__(self, gauge: Callable[[Array], float] | None = None) -> None:
        """`gauge` makes one number of the differences (functionals, times); left out: the largest."""
        self._gauge = gauge or largest
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
            differences.append(max(self._gauge(np.abs(curves - old_curves)), float(worst)))
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


def largest(differences: Array) -> float:
    """Largest of the differences (functionals, times)."""
    return float(differences.max(initial=0.0))


def _bordered(matrix: Array, column: Array) -> Array:
    """A symmetric matrix with one more row and column."""
    grown = np.empty((len(column), len(column)))
    grown[:-1, :-1] = matrix
    grown[-1], grown[:, -1] = column, column
    return grown
