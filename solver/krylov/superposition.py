"""Linear problems whose loads change with time, by Duhamel's superposition of responses to unit steps.

M u' + K u = Σ g_i(t) push_i + g_i'(t) drag_i has a solution for each load alone: R_i(t), the response to a g_i that
jumps from 0 to 1 at time 0. Where g_i jumps by Δv and its slope by Δs at times t_j, that load contributes

    Σ_j Δv_j R_i(t − t_j) + Δs_j ∫ R_i from 0 to t − t_j,

and the start with the loads as they are at first adds its own solution. So rational Krylov need not start anew at each
kink: one set of segments serves all kinks, which a hundred cycles of charge, rest and discharge need no more solves for
than one. Where a concentration is held, M u of the free unknowns with what couples them to the held ones is what stays
continuous across a jump: that is what drag, −M χ, stands for.

The error is bounded by that of the response, at each lag, times the variation of the course at that lag:
|error(t)| ≤ ∫ |error of R_i at t − τ| |dg_i(τ)|.

See Carslaw and Jaeger, Conduction of Heat in Solids, 2nd ed., Oxford 1959, §1.14, for Duhamel's theorem.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from microlith.imaging.typing import Array
from microlith.solver.krylov.trajectory import Trajectory
from microlith.solver.physics.courses import NEAR, Breaks

BLOCK = 20_000_000  # numbers at a time that a superposition is made of


class Functionals(Protocol):
    """Linear functionals of one solution over time."""

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times and their integrals from 0, the first 1 + orders, each (functionals, times)."""

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times)."""


@dataclass(frozen=True)
class Response:
    """Solution for a unit step, and where steps and bends of its course put it."""

    trajectory: Trajectory
    breaks: Breaks  # times count from the stretch's start

    def state(self, time: float) -> Array:
        """Contribution to u, owned entries."""
        lag = time - self.breaks.times
        past = lag > NEAR
        return self.trajectory.combined(lag[past], self.breaks.jumps[past], self.breaks.bends[past])


@dataclass(frozen=True)
class Superposition:
    """Solution from `start` to `end` with one K: that of the start and of the loads at first, and of their changes."""

    start: float
    end: float
    base: Trajectory | None  # None: nothing is there at first
    responses: tuple[Response, ...]
    size: int  # owned unknowns

    def state(self, time: float) -> Array:
        """u(time), owned entries."""
        total = np.zeros(self.size) if self.base is None else self.base.state(time - self.start)
        for response in self.responses:
            total += response.state(time - self.start)
        return total

    def project(self, rows: Array | csr_array) -> "SuperpositionProjection":
        """Linear functionals (functionals, owned) on the stretch; collective."""
        return SuperpositionProjection(
            self.start,
            self.end,
            None if self.base is None else self.base.project(rows),
            tuple((response.trajectory.project(rows), response.breaks) for response in self.responses),
            rows.shape[0],
        )


@dataclass(frozen=True)
class SuperpositionProjection:
    """Linear functionals of u on a stretch; the same on all ranks."""

    start: float
    end: float
    base: Functionals | None
    responses: tuple[tuple[Functionals, Breaks], ...]
    count: int  # of functionals

    def evaluate(self, times: Array, orders: int = 1) -> tuple[Array, ...]:
        """Values at increasing times and, with orders = 1, integrals from `start`; each (functionals, times)."""
        return self._total(times, range(1 + orders))

    def slopes(self, times: Array) -> Array:
        """Rates of change at increasing times, (functionals, times)."""
        return self._total(times, range(-1, 0))[0]

    def _total(self, times: Array, orders: range) -> tuple[Array, ...]:
        """Rates of change (order -1), values (0) and integrals (1) at increasing times."""
        since = times - self.start
        total: tuple[Array, ...]
        if self.base is None:
            total = tuple(np.zeros((self.count, len(times))) for _ in orders)
        else:
            total = _evaluated(self.base, since, orders)
        for projection, breaks in self.responses:
            block = max(BLOCK // max(self.count * len(times), 1), 1)
            for first in range(0, len(breaks.times), block):
                some = slice(first, first + block)
                few = Breaks(breaks.times[some], breaks.jumps[some], breaks.bends[some])
                total = tuple(a + b for a, b in zip(total, _superposed(projection, few, since, orders), strict=True))
        return total


def _evaluated(projection: Functionals, times: Array, orders: range) -> tuple[Array, ...]:
    """Rates of change (order -1), values (0), integrals (1) and their integrals (2) at increasing times."""
    slopes = (projection.slopes(times),) if -1 in orders else ()
    return slopes + (projection.evaluate(times, orders[-1]) if orders[-1] >= 0 else ())


def _superposed(projection: Functionals, breaks: Breaks, times: Array, orders: range) -> tuple[Array, ...]:
    """Sum of the responses to some breaks, in each order (functionals, times)."""
    lags = times - breaks.times[:, None]
    cause, effect = np.nonzero(lags > NEAR)
    # Lags come again and again where a course is periodic.
    _, known, which = np.unique(np.round(lags[cause, effect] / NEAR), return_index=True, return_inverse=True)
    bent = bool(breaks.bends.any())
    parts = _evaluated(projection, lags[cause, effect][known], range(orders.start, orders.stop + bent))
    shape = (len(times), len(known))
    found = []
    for order in range(len(orders)):
        sums = csr_array((breaks.jumps[cause], (effect, which)), shape=shape) @ parts[order].T
        if bent:
            sums += csr_array((breaks.bends[cause], (effect, which)), shape=shape) @ parts[order + 1].T
        found.append(sums.T)
    return tuple(found)
