"""The solution that rational Krylov finds, as functions of time in closed form, and linear functionals of it."""

from dataclasses import dataclass, replace
from math import factorial

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.phi import phi1, phi2, phi3


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

    def slopes(self, s: Array) -> Array:
        """y'(s), shape (m, times)."""
        decay = np.exp(-np.multiply.outer(self.eigenvalues, s))
        return self.modes @ (-(self.eigenvalues + 1.0 / self.gamma)[:, None] * decay)

    def integrals(self, s: Array) -> Array:
        """∫ y from 0 to s, shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, s)
        return self.modes @ (s * phi1(x) - (s**2 / self.gamma) * phi2(x))

    def second_integrals(self, s: Array) -> Array:
        """The integrals' own integrals from 0 to s, shape (m, times)."""
        x = np.multiply.outer(self.eigenvalues, s)
        return self.modes @ (s**2 * phi2(x) - (s**3 / self.gamma) * phi3(x))

    def state(self, s: float) -> Array:
        """u(start + s), owned entries."""
        return self.lift + self.coefficients(np.array([s]))[:, 0] @ self.basis


@dataclass(frozen=True)
class Trajectory:
    """The solution at all times from 0 to the end of the last segment."""

    segments: tuple[Segment, ...]
    comm: MPI.Intracomm
    drift: Array | None = None  # (owned,) rate at which u grows besides what the segments say

    def state(self, time: float) -> Array:
        """u(time), owned entries."""
        segment = next((s for s in self.segments if time <= s.end), self.segments[-1])
        state = segment.state(time - segment.start)
        return state if self.drift is None else state + self.drift * time

    def combined(self, times: Array, values: Array, integrals: Array) -> Array:
        """Sum of values[i] u(times[i]) + integrals[i] ∫ u from 0 to times[i], owned entries."""
        total = np.zeros_like(self.segments[0].lift)
        if self.drift is not None:
            total += float(values @ times + integrals @ times**2 / 2) * self.drift
        for segment in self.segments:
            s = np.clip(times, segment.start, segment.end) - segment.start
            here = (times > segment.start) & ((times <= segment.end) | (segment is self.segments[-1]))
            s[here] = times[here] - segment.start
            now = np.where(here, values, 0.0)
            total += (now.sum() + integrals @ s) * segment.lift
            total += (segment.coefficients(s) @ now + segment.integrals(s) @ integrals) @ segment.basis
        return total

    def project(self, rows: Array | csr_array) -> "Projection":
        """Linear functionals (functionals, owned), dense or sparse, on the trajectory; collective."""
        parts = tuple(_projected(rows, segment, self.comm) for segment in self.segments)
        nothing = np.empty((0, 0))
        bare = tuple(replace(segment, lift=nothing.ravel(), basis=nothing) for segment in self.segments)
        if self.drift is None:
            return Projection(bare, parts)
        return Projection(bare, parts, self.comm.allreduce(rows @ self.drift, op=MPI.SUM))


@dataclass(frozen=True)
class Projection:
    """Linear functionals of u(t), at any time without more communication; the same on all ranks."""

    segments: tuple[Segment, ...]  # without lift and basis
    parts: tuple[tuple[Array, Array], ...]  # per segment: on the lift (functionals,), on the basis (functionals, m)
    drift: Array | None = None  # (functionals,) rate at which they grow besides

    def values(self, times: Array) -> Array:
        """Values at increasing times, (functionals, times)."""
        return self.evaluate(times, 0)[0]

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times)."""
        found = np.empty((len(self.parts[0][0]), len(times)))
        for segment, (_, on_basis) in zip(self.segments, self.parts, strict=True):
            first, last = segment is self.segments[0], segment is self.segments[-1]
            inside = (first | (times > segment.start)) & (last | (times <= segment.end))
            found[:, inside] = on_basis @ segment.slopes(times[inside] - segment.start)
        return found if self.drift is None else found + self.drift[:, None]

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times, integrals from 0 to these, and integrals of the integrals: the first 1 + orders.

        Each is of shape (functionals, times).
        """
        count = len(self.parts[0][0])
        found = tuple(np.empty((count, len(times))) for _ in range(1 + orders))
        integral, second = np.zeros((count, 1)), np.zeros((count, 1))  # from 0 to the start of the segment
        for segment, (on_lift, on_basis) in zip(self.segments, self.parts, strict=True):
            first, last = segment is self.segments[0], segment is self.segments[-1]
            inside = (first | (times > segment.start)) & (last | (times <= segment.end))
            lift = on_lift[:, None]
            s = np.append(times[inside] - segment.start, segment.end - segment.start)
            found[0][:, inside] = lift + on_basis @ segment.coefficients(s[:-1])
            if orders > 1:
                gained = lift * (s**2 / 2) + on_basis @ segment.second_integrals(s)
                found[2][:, inside] = second + integral * s[:-1] + gained[:, :-1]
                second = second + integral * s[-1] + gained[:, -1:]
            if orders > 0:
                gained = lift * s + on_basis @ segment.integrals(s)
                found[1][:, inside] = integral + gained[:, :-1]
                integral = integral + gained[:, -1:]
        if self.drift is not None:
            for order, values in enumerate(found):
                values += np.multiply.outer(self.drift, times ** (order + 1) / factorial(order + 1))
        return found


def _projected(rows: Array | csr_array, segment: Segment, comm: MPI.Intracomm) -> tuple[Array, Array]:
    """Functionals of the lift (functionals,) and of the basis (functionals, m)."""
    lift, basis = segment.lift, segment.basis
    if isinstance(rows, csr_array):  # those of surfaces ask for few of the unknowns
        asked = np.zeros(len(lift), bool)
        asked[rows.indices] = True
        at = np.flatnonzero(asked)
        place = np.zeros(len(lift), rows.indices.dtype)
        place[at] = np.arange(len(at))
        rows = csr_array((rows.data, place[rows.indices], rows.indptr), shape=(rows.shape[0], len(at)))
        lift, basis = lift[at], basis[:, at]
    return comm.allreduce(rows @ lift, op=MPI.SUM), comm.allreduce(rows @ basis.T, op=MPI.SUM)
