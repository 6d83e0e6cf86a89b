"""How the concentration is spread over a region against time: least, largest, and quantiles by volume."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np

import basix
from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices, Numbers
from microlith.solver.problem.problem import Problem
from microlith.solver.regions import arrays
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.parts import PartsOfCells

QUANTILES = (0.05, 0.95)
BINS = 2000  # of the histogram from the least to the largest concentration, between which quantiles are linear
# Cells of a region and parts of cells, over all ranks, up to which each is looked at in the points of quadrature of a
# degree: on many of them few points say as much
POINTS = ((3_000, 10), (30_000, 4), (200_000, 2))
FEW = 1_000_000  # values on this rank up to which NumPy looks at them in less time than it takes to load numba
SPACING = 0.02  # of the decade or of the time since, between times that are looked at


@dataclass(frozen=True, eq=False)
class Spread:
    """Of one region; each (times,), mol/m^3."""

    least: Array
    largest: Array
    quantiles: Array  # (quantiles, times), those of QUANTILES


class SpreadWatch:
    """Takes down the spread over each region at all times that it sees."""

    def __init__(self, problem: Problem, means: Mapping[str, RegionMean]) -> None:
        """Prepare; collective.

        Args:
            problem: What is solved.
            means: Regions, with their parts.
        """
        self._problem = problem
        self._means = dict(means)
        space = problem.space
        mesh = problem.discretization.mesh
        dofs = space.dofmap.list
        tags = np.zeros(len(dofs), np.int32)
        tags[mesh.cell_tags.indices] = mesh.cell_tags.values
        factors = None if problem.discretization.has_one_factor else problem.factors[tags]
        comm = space.mesh.comm
        looked_at = [len(_parts(mean).cell) + len(_parts(mean).cut) for mean in means.values()]
        counts = comm.allreduce(np.array([0, *looked_at]))[1:]
        element = space.element.basix_element
        self._samples = [
            _Samples.of(_parts(mean), element, _degree(int(count)), dofs, factors)
            for mean, count in zip(means.values(), counts, strict=True)
        ]
        self._seen: dict[float, Array] = {}

    def see(self, time: float, owned: Array) -> None:
        """Look at the owned unknowns at a time (s); collective."""
        latest = max(self._seen, default=0.0)
        if time in self._seen or latest < time < latest * (1 + SPACING):
            return
        self.look(time, owned)

    def look(self, time: float, owned: Array) -> None:
        """Look at the owned unknowns at a time (s), however near to another; collective."""
        if (time == 0.0 and self._problem.start_values is None) or time in self._seen:
            return
        problem, comm = self._problem, self._problem.space.mesh.comm
        vector = la.vector(problem.space.dofmap.index_map, 1)
        vector.array[: len(owned)] = owned
        vector.scatter_forward()
        if not self._samples:
            return
        loops = self._loops
        ranges = [samples.take(vector.array, loops) for samples in self._samples]
        ends = np.array([(-low, high) for low, high in ranges])
        comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MAX)
        counts = np.array(
            [samples.histogram(-low, high, loops) for samples, (low, high) in zip(self._samples, ends, strict=True)]
        )
        comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
        found = [(-low, *_quantiles(count, -low, high), high) for count, (low, high) in zip(counts, ends, strict=True)]
        self._seen[time] = np.array(found) * problem.scales.concentration

    @cached_property
    def _loops(self) -> ModuleType:
        """What goes through the places: in compiled loops where there are many."""
        if sum(some.count for samples in self._samples for some in samples.places) <= FEW:
            return arrays
        from microlith.solver.regions import loops  # numba, late: not all runs need it

        return loops

    def state(self) -> list[Any]:
        """What was seen, as JSON can hold it; the same on all ranks."""
        return [[time, rows.tolist()] for time, rows in self._seen.items()]

    def take_up(self, state: list[Any]) -> None:
        """Take up what an earlier process has seen."""
        self._seen = {float(time): np.array(rows) for time, rows in state}

    def spreads(self) -> tuple[Array, dict[str, Spread]]:
        """Times (s), 0 among them, and the spread over each region."""
        problem = self._problem
        if problem.start_values is not None:
            self.look(0.0, problem.system.initial)
        later = sorted(time for time in self._seen if time > 0)
        times = np.array([0.0, *later])
        found = {}
        for i, (name, mean) in enumerate(self._means.items()):
            start = _of_phases(problem.start_of_phase * problem.scales.concentration, mean.phase_shares)
            start = self._seen[0.0][i] if 0.0 in self._seen else start
            rows = np.array([start, *(self._seen[time][i] for time in later)])
            found[name] = Spread(rows[:, 0], rows[:, -1], rows[:, 1:-1].T)
        return times, found


@dataclass(frozen=True, eq=False)
class _Places:
    """Some cells, or parts of cells, and where in them this rank looks."""

    cell: Numbers  # (n,)
    factors: Array  # (n,) κ of c = κ u; none: 1
    corners: Array  # (n, corners, dofs of a cell) basis functions there; none: what is taken is the dofs themselves
    weights: Array  # (places, corners) that make the value at a place of those at the corners
    volume: Array  # (n,)
    shares: Array  # (places,) of the volume, each that a place stands for
    values: Array  # (n, corners) concentrations, those looked at last
    below: Array  # (n, dofs of a cell) of a linear function: parts are where it is negative; none: it is not known

    @property
    def count(self) -> int:
        """Of the values that are looked at."""
        return self.values.size + len(self.values) * len(self.weights)

    def take(self, u: Array, dofs: Indices, loops: ModuleType) -> tuple[float, float]:
        """Look at unknowns (dofs,); the least and the largest concentration."""
        low, high = loops.take_corners(u, dofs, self.cell, self.corners, self.factors, self.values)
        if len(self.below):
            low, high = loops.ends_below(u, dofs, self.cell, self.below, self.factors)
        return float(low), float(high)

    def add_to(self, bins: Array, low: float, per_bin: float, loops: ModuleType) -> None:
        """Volume of the concentrations taken last in bins (bins,) from the lowest on, `per_bin` one by their length."""
        loops.fill_bins(self.values, self.weights, self.volume, self.shares, low, per_bin, bins)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Where this rank looks at the concentration in a region: made once, as all times are looked at in one way."""

    dofs: Indices  # (cells, dofs) of each cell of this rank
    places: tuple[_Places, _Places]  # in whole cells, and in parts of others

    @staticmethod
    def of(
        parts: PartsOfCells,
        element: basix.finite_element.FiniteElement,
        degree: int,
        dofs: Indices,
        factors: Array | None,
    ) -> "_Samples":
        """Of a region.

        Args:
            parts: That fill it.
            element: Of the unknowns.
            degree: Of the quadrature in whose points each part is looked at.
            dofs: (cells, dofs) of each cell.
            factors: (cells,) κ of c = κ u; None: 1.
        """

        def places(
            cell: Numbers, corners: Array, weights: Array, shares: Array, volume: Array, below: Array | None = None
        ) -> _Places:
            of_cells = np.empty(0) if factors is None else factors[cell]
            corners, weights = np.ascontiguousarray(corners), np.ascontiguousarray(weights)
            values = np.empty((len(cell), weights.shape[1]))
            below = np.empty((0, dofs.shape[1])) if below is None else below
            return _Places(cell, of_cells, corners, weights, volume, shares, values, below)

        basis, shares = _points(element, degree)
        whole = places(parts.cell, np.empty((0, *basis.shape)), basis, shares, parts.volume)
        if parts.corners is None:
            cut = places(parts.cut, parts.means[:, None], np.ones((1, 1)), np.ones(1), parts.cut_volume, parts.below)
        else:  # parts are so small that the field is linear in them
            cut = places(parts.cut, parts.corners, *_in_simplex(parts.corners.shape[1], degree), parts.cut_volume)
        return _Samples(dofs, (whole, cut))

    def take(self, u: Array, loops: ModuleType) -> tuple[float, float]:
        """Look at unknowns (dofs,); the least and the largest concentration."""
        lows, highs = zip(*(some.take(u, self.dofs, loops) for some in self.places), strict=True)
        return min(lows), max(highs)

    def histogram(self, low: float, high: float, loops: ModuleType) -> Array:
        """Volume of the concentrations taken last in BINS equal parts from the least to the largest."""
        bins, span = np.zeros(BINS), high - low
        if not np.isfinite(span) or span <= 0:
            bins[0] = sum(some.volume.sum() * some.shares.sum() for some in self.places)
            return bins
        for some in self.places:
            some.add_to(bins, low, BINS / span, loops)
        return bins


def _parts(mean: RegionMean) -> PartsOfCells:
    assert mean.parts is not None  # as measured regions have them
    return mean.parts


def _degree(count: int) -> int:
    return next((degree for most, degree in POINTS if count <= most), 1)


def _points(element: basix.finite_element.FiniteElement, degree: int) -> tuple[Array, Array]:
    """The basis (points, dofs) at points within a cell, and their weights, which sum to 1."""
    points, weights = basix.make_quadrature(element.cell_type, degree)
    return element.tabulate(0, points)[0, :, :, 0], weights / weights.sum()


@cache
def _in_simplex(corners: int, degree: int) -> tuple[Array, Array]:
    """Barycentric coordinates (points, corners) of points in a simplex, and their weights, which sum to 1."""
    kind = (basix.CellType.interval, basix.CellType.triangle, basix.CellType.tetrahedron)[corners - 2]
    points, weights = basix.make_quadrature(kind, degree)
    return np.column_stack([1.0 - points.sum(axis=1), points]), weights / weights.sum()


def _quantiles(count: Array, low: float, high: float) -> list[float]:
    """Where the volume below is a share of all, linear within the bins."""
    until = np.append(0.0, np.cumsum(count))
    if not np.isfinite(high - low) or until[-1] <= 0:
        return [np.nan for _ in QUANTILES]
    rising = np.append(True, np.diff(until) > 0)
    edges = np.linspace(low, high, len(until))
    found = []
    for share in QUANTILES:
        last = max(int(np.searchsorted(until, share * until[-1], side="left")), 1)
        before, after = until[last - 1], until[last]
        part = (share * until[-1] - before) / (after - before) if rising[last] else 0.0
        found.append(float(edges[last - 1] + part * (edges[last] - edges[last - 1])))
    return found


def _of_phases(values: Array, shares: Array) -> list[float]:
    """Least, quantiles and largest where each phase has one value."""
    there = shares > 0
    if not there.any():
        return [np.nan] * (2 + len(QUANTILES))
    order = np.argsort(values[there])
    v, s = values[there][order], np.cumsum(shares[there][order])
    at = [float(v[min(int(np.searchsorted(s, share * s[-1])), len(v) - 1)]) for share in QUANTILES]
    return [float(v[0]), *at, float(v[-1])]
