"""Curves of a solution held against what physics allows: bounds, and where it says that they only rise or fall."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.guard.allowed import Allowed
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean

ROUNDED = 1e-9  # of what a region may hold: never a breach
NONE = 1e-12  # share of a region below which a kind of part has none of it

Kind = Literal["above", "below", "falls", "rises", "undefined"]


@dataclass(frozen=True)
class Breach:
    """A curve where no exact solution can be, or go."""

    region: str
    kind: Kind
    time: float  # s, where it is farthest beyond its estimated error
    value: float  # mol/m^3, there
    limit: float  # mol/m^3: the bound, or from where it falls or rises
    stated: float  # mol/m^3: estimated error
    until: float  # s: from here on there is none of its kind

    @property
    def size(self) -> float:
        """How far it is beyond the limit, mol/m^3."""
        return abs(self.value - self.limit)


@dataclass(frozen=True, eq=False)
class Limits:
    """What physics says of the curve of one region."""

    low: Array  # (times,) mol/m^3, -inf where there is no bound
    high: Array
    rises: bool  # it never falls
    falls: bool


def limits_of(problem: Problem, bounds: Allowed, means: Mapping[str, RegionMean], times: Array) -> dict[str, Limits]:
    """Limits of each region; collective.

    Args:
        problem: What is solved.
        bounds: Of its parts, at the times among others.
        means: Regions.
        times: Increasing, s.
    """
    scale = problem.scales.concentration
    at = np.searchsorted(bounds.times, times)
    kinds = len(bounds.low)
    found = {}
    for name, mean in means.items():
        own = np.bincount(bounds.of_dof[: len(mean.weights)], mean.weights, minlength=kinds)
        share = problem.space.mesh.comm.allreduce(own, op=MPI.SUM)  # of the mean, per u of each kind
        there = np.abs(share) > NONE * np.abs(share).max(initial=0.0)
        low, high = (scale * (share[there] @ bound[np.ix_(there, at)]) for bound in (bounds.low, bounds.high))
        found[name] = Limits(low, high, bool(bounds.rises[there].all()), bool(bounds.falls[there].all()))
    return found


def breaches_of(
    times: Array,
    curves: Mapping[str, Array],
    errors: Mapping[str, Array],
    granted: Mapping[str, Array],
    limits: Mapping[str, Limits],
) -> tuple[Breach, ...]:
    """Where curves break their limits by more than is granted: of each region the worst on each side.

    Args:
        times: (times,) s.
        curves: Region -> (times,) mol/m^3.
        errors: Region -> (times,) estimated error, mol/m^3.
        granted: Region -> (times,) error that is let pass, mol/m^3.
        limits: Region -> limits at these times.
    """
    found: list[Breach] = []
    for name, curve in curves.items():
        error = errors[name]
        if np.isnan(curve).any():
            time = float(times[np.isnan(curve).argmax()])
            found.append(Breach(name, "undefined", time, np.nan, np.nan, float(error.max()), float(times[-1])))
            continue
        own: list[Breach] = []
        for kind, limit in _kinds(curve, granted[name], limits[name]):
            own += _breach(name, kind, times, curve, limit, error, granted[name])
        # What is beyond a bound has gone the wrong way as well: said once.
        bounds = [breach for breach in own if breach.kind in ("above", "below")]
        found += [one for one in own if one in bounds or all(one.time > bound.until for bound in bounds)]
    return tuple(found)


def raised(curves: Mapping[str, Array], errors: Mapping[str, Array], limits: Mapping[str, Limits]) -> dict[str, Array]:
    """Estimated errors (times,), no smaller than what curves are known to be off by, as they are beyond their limits.

    Args:
        curves: Region -> (times,) mol/m^3.
        errors: Region -> (times,) estimated error, mol/m^3.
        limits: Region -> limits at these times.
    """
    found = {}
    for name, curve in curves.items():
        known = errors[name]
        for kind, limit in _kinds(curve, errors[name], limits[name]):
            beyond = _beyond(kind, curve, limit)
            known = np.maximum(known, np.where(beyond > _rounded(curve, limit), beyond, 0.0))
        found[name] = known
    return found


def _kinds(curve: Array, granted: Array, limits: Limits) -> list[tuple[Kind, Array]]:
    """What may be broken, with the limit at each time."""
    kinds: list[tuple[Kind, Array]] = [("above", limits.high), ("below", limits.low)]
    # From the largest value before, of which the error counts as well.
    if limits.rises:
        kinds.append(("falls", np.maximum.accumulate(curve - granted)))
    if limits.falls:
        kinds.append(("rises", np.minimum.accumulate(curve + granted)))
    return kinds


def _beyond(kind: Kind, curve: Array, limit: Array) -> Array:
    return curve - limit if kind in ("above", "rises") else limit - curve


def _rounded(curve: Array, limit: Array) -> float:
    size = np.where(np.isfinite(limit), np.abs(limit), 0.0).max(initial=0.0)
    return float(ROUNDED * max(size, np.abs(curve).max(initial=0.0)))


def _breach(
    name: str, kind: Kind, times: Array, curve: Array, limit: Array, error: Array, granted: Array
) -> list[Breach]:
    """The breach of one limit, where there is one."""
    excess = _beyond(kind, curve, limit) - granted - _rounded(curve, limit)
    if not (excess > 0).any():
        return []
    worst = int(excess.argmax())
    after = int(np.flatnonzero(excess > 0)[-1]) + 1
    until = float(times[min(after, len(times) - 1)])
    return [
        Breach(name, kind, float(times[worst]), float(curve[worst]), float(limit[worst]), float(error[worst]), until)
    ]
