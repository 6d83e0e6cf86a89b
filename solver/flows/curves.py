"""What passes through each surface where lithium enters or leaves, and between phases, against time.

Fluxes are those of the rows of the discrete equations (see `problem.surface_fluxes`), so that their sum is exactly what
is stored. Gradients of the field at the surface would be less accurate by an order, and would not add up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.krylov.evolution import Record
from microlith.solver.physics.courses import NEAR, Course
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.surface_fluxes import SurfaceFlux


class Flows(Protocol):
    """Fluxes at any time, in scaled units, the same on all ranks."""

    def cumulated(self, times: Array) -> Array:
        """What came through from 0 to increasing times, (fluxes, times)."""

    def rates(self, times: Array) -> Array:
        """Fluxes at increasing times > 0, (fluxes, times); at a jump those before it."""

    def stored(self, times: Array) -> Array:
        """Change of all that is stored, (times,)."""


@dataclass(frozen=True, eq=False)
class LinearFlows:
    """Fluxes of a linear problem, from its solution in closed form."""

    fluxes: Sequence[SurfaceFlux]
    record: Record  # of the amount, and of rate and level of each of the fluxes
    start_amount: float

    @staticmethod
    def rows(problem: Problem, between: Sequence[SurfaceFlux]) -> Array:
        """Functionals to record, (1 + 2 fluxes, owned)."""
        return np.array([problem.amount, *(f for s in (*problem.fluxes, *between) for f in (s.rate, s.level))])

    def cumulated(self, times: Array) -> Array:
        """What came through from 0 to increasing times, (fluxes, times)."""
        value, integral = self.record.evaluate(times)
        start = np.array([flux.start for flux in self.fluxes]).reshape(-1, 1)
        return with_known(self.fluxes, times, value[1::2] - start + integral[2::2])

    def rates(self, times: Array) -> Array:
        """Fluxes at increasing times > 0, (fluxes, times); at a jump those before it."""
        found = self.record.slopes(times)[1::2] + self.record.values(times)[2::2]
        return _with_courses(self.fluxes, found, lambda course: course.before(times))

    def stored(self, times: Array) -> Array:
        """Change of all that is stored, (times,)."""
        return np.asarray(self.record.values(times)[0] - self.start_amount)


@dataclass(frozen=True, eq=False)
class SteppedFlows:
    """Fluxes of a problem that is solved step by step: those over the steps, between their ends by interpolation.

    The interpolation keeps what only rises or falls as it is (F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput.
    5 (1984) 300-304), in the logarithm of the time since the last jump, as early on fluxes are powers of it.
    """

    times: Array  # (ends,) of steps; the end before a jump and the one after it are one time
    through: Array  # (fluxes, ends) from time 0
    change: Array  # (ends,) of all that is stored

    def cumulated(self, times: Array) -> Array:
        """What came through from 0 to increasing times, (fluxes, times)."""
        return self._interpolated(self.through, times, 0)

    def rates(self, times: Array) -> Array:
        """Fluxes at increasing times > 0, (fluxes, times); at a jump those before it."""
        return self._interpolated(self.through, times, 1)

    def stored(self, times: Array) -> Array:
        """Change of all that is stored, (times,)."""
        return np.asarray(self._interpolated(self.change[None], times, 0)[0])

    def _interpolated(self, values: Array, times: Array, order: int) -> Array:
        from scipy.interpolate import PchipInterpolator  # late, as it takes longer to load than linear problems need

        found = np.zeros((len(values), len(times)))
        cuts = [0, *(np.flatnonzero(np.diff(self.times) <= NEAR) + 1), len(self.times)]
        for first, last in pairwise(cuts):
            if last - first < 2:
                continue
            since = self.times[first:last] - self.times[first]
            inside = (times > self.times[first] + (NEAR if first else -1.0)) & (times <= self.times[last - 1] + NEAR)
            if not inside.any() or not len(values):
                continue
            s = np.clip(times[inside] - self.times[first], 0.0, since[-1])
            curve = PchipInterpolator(np.log1p(since / since[1]), values[:, first:last], axis=1)
            at = curve(np.log1p(s / since[1]), nu=order)
            found[:, inside] = at / (s + since[1]) if order else at
        return found


def with_known(fluxes: Sequence[SurfaceFlux], times: Array, through: Array) -> Array:
    """What came through from 0 to times, with what is known of it.

    Args:
        fluxes: In the order of the rows.
        times: (times,) increasing, scaled.
        through: (fluxes, times) by their rates and levels alone.
    """
    return _with_courses(fluxes, through, lambda course: course.integral(times))


def _with_courses(fluxes: Sequence[SurfaceFlux], found: Array, of: Callable[[Course], Array]) -> Array:
    """Fluxes, or what came through, (fluxes, times), with what `of` makes of the courses that are known."""
    found = found.copy()
    for i, flux in enumerate(fluxes):
        for course, amount in flux.pushed:
            found[i] += amount * of(course)
        if flux.given is not None:
            course, amount = flux.given
            found[i] = amount * of(course)
        for course, amount in flux.shared:
            found[i] -= amount * of(course)
    return found


@dataclass(frozen=True, eq=False)
class FluxCurves:
    """Fluxes against time, in mol/s and mol (3D), or per metre of depth (2D)."""

    times: Array  # (times,) s
    rates: dict[str, Array]  # (times,) into the solved phases, or from the first phase into the second; nan at time 0
    cumulated: dict[str, Array]  # (times,) from time 0
    stored: Array  # (times,) change of all that is stored in the solved phases
    total: tuple[str, ...]  # those whose sum is what is stored; the others are parts of these, or between phases


def flux_curves(problem: Problem, flows: Flows, between: Sequence[SurfaceFlux], times: Array) -> FluxCurves:
    """Fluxes at times.

    Args:
        problem: What was solved.
        flows: Of its solution, those of the problem first.
        between: Fluxes that were recorded besides.
        times: Increasing, s.
    """
    scaled = np.divide(times, problem.scales.time)
    unit = problem.scales.amount(problem.space.mesh.topology.dim)
    names = [flux.name for flux in (*problem.fluxes, *between)]
    cumulated = flows.cumulated(scaled) * unit
    rates = np.full_like(cumulated, np.nan)
    later = scaled > 0  # right at the start the flux through a surface that is held has no bound
    rates[:, later] = flows.rates(scaled[later]) * (unit / problem.scales.time)
    stored = flows.stored(scaled) * unit
    stored[~later] = 0.0
    cumulated[:, ~later] = 0.0
    return FluxCurves(
        np.asarray(times, np.float64),
        dict(zip(names, rates, strict=True)),
        dict(zip(names, cumulated, strict=True)),
        stored,
        tuple(flux.name for flux in problem.fluxes),
    )
