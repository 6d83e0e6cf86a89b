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
    times: Array, curves: Mapping[str, Array], errors: Mapping[str, Array], limits: Mapping[str, Limits]
) -> tuple[Breach, ...]:
    """Where curves break their limits by more than their estimated error, one breach of a kind for each region.

    Args:
        times: (times,) s.
        curves: Region -> (times,) mol/m^3.
        errors: Region -> (times,) estimated error, mol/m^3.
        limits: Region -> limits at these times.
    """
    found = []
    for name, curve in curves.items():
        limit, error = limits[name], errors[name]
        if np.isnan(curve).any():
            time = float(times[np.isnan(curve).argmax()])
            found.append(Breach(name, "undefined", time, np.nan, np.nan, float(error.max()), float(times[-1])))
            continue
        found += [
            *_breach(name, "above", times, curve, limit.high, error),
            *_breach(name, "below", times, curve, limit.low, error),
        ]
        # From the largest value before, of which the error counts as well.
        if limit.rises:
            found += _breach(name, "falls", times, curve, np.maximum.accumulate(curve - error), error)
        if limit.falls:
            found += _breach(name, "rises", times, curve, np.minimum.accumulate(curve + error), error)
    return tuple(found)


def _breach(name: str, kind: Kind, times: Array, curve: Array, limit: Array, error: Array) -> list[Breach]:
    """The breach of one limit, where there is one."""
    beyond = curve - limit if kind in ("above", "rises") else limit - curve
    size = np.where(np.isfinite(limit), np.abs(limit), 0.0).max(initial=0.0)
    excess = beyond - error - ROUNDED * max(size, np.abs(curve).max(initial=0.0))
    if not (excess > 0).any():
        return []
    worst = int(excess.argmax())
    after = int(np.flatnonzero(excess > 0)[-1]) + 1
    until = float(times[min(after, len(times) - 1)])
    return [
        Breach(name, kind, float(times[worst]), float(curve[worst]), float(limit[worst]), float(error[worst]), until)
    ]
