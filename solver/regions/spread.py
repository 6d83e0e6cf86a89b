"""How the concentration is spread over a region against time: least, largest, and quantiles by volume."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

import basix
from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices, Numbers
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.parts import PartsOfCells

QUANTILES = (0.05, 0.95)
BINS = 2000  # of the histogram from the least to the largest concentration, between which quantiles are linear
# Cells of a region and parts of cells, over all ranks, up to which each is looked at in the points of quadrature of a
# degree: on many of them few points say as much
POINTS = ((3_000, 10), (30_000, 4), (200_000, 2))
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
        size = space.dofmap.index_map.size_local + space.dofmap.index_map.num_ghosts
        self._samples = [
            _Samples.of(_parts(mean), element, _degree(int(count)), dofs, factors, size)
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
        ranges = [samples.ends(vector.array) for samples in self._samples]
        ends = np.array([(-low, high) for low, high in ranges])
        comm.Allreduce(MPI.IN_PLACE, ends, op=MPI.MAX)
        counts = np.array(
            [
                _histogram(samples.at @ vector.array, samples.volumes, -low, high)
                for samples, (low, high) in zip(self._samples, ends, strict=True)
            ]
        )
        comm.Allreduce(MPI.IN_PLACE, counts, op=MPI.SUM)
        found = [(-low, *_quantiles(count, -low, high), high) for count, (low, high) in zip(counts, ends, strict=True)]
        self._seen[time] = np.array(found) * problem.scales.concentration

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
class _Samples:
    """Where this rank looks at the concentration in a region: made once, as all times are looked at in one way."""

    at: csr_array  # (samples, dofs) concentration there
    volumes: Array  # (samples,) that they stand for
    extremes: csr_array  # (rows, dofs) concentrations of which one is the least and one the largest

    @staticmethod
    def of(
        parts: PartsOfCells,
        element: basix.finite_element.FiniteElement,
        degree: int,
        dofs: Indices,
        factors: Array | None,
        size: int,
    ) -> "_Samples":
        """Of a region.

        Args:
            parts: That fill it.
            element: Of the unknowns.
            degree: Of the quadrature in whose points each part is looked at.
            dofs: (cells, dofs) of each cell.
            factors: (cells,) κ of c = κ u; None: 1.
            size: Number of dofs of this rank.
        """
        basis, weights = _points(element, degree)
        inside = _matrix(np.broadcast_to(basis, (len(parts.cell), *basis.shape)), parts.cell, dofs, factors, size)
        shares: Array = np.ones(1)
        if parts.corners is None:
            within = at_corners = _matrix(parts.means[:, None], parts.cut, dofs, factors, size)
        else:  # parts are so small that the field is linear in them
            places, shares = _in_simplex(parts.corners.shape[1], degree)
            at_corners = _matrix(parts.corners, parts.cut, dofs, factors, size)
            within = _matrix(np.matmul(places, parts.corners), parts.cut, dofs, factors, size)
        # Each unknown of whole cells once: most have it in common with others
        cell = np.repeat(parts.cell, dofs.shape[1])
        dof = dofs[parts.cell].ravel()
        factor = np.ones(len(dof)) if factors is None else factors[cell]
        ends = np.unique(np.stack([dof, factor], axis=1), axis=0) if factors is not None else np.unique(dof)[:, None]
        value = ends[:, 1] if factors is not None else np.ones(len(ends))
        column = ends[:, 0].astype(np.int32)
        nodal = csr_array((value, column, np.arange(len(ends) + 1)), (len(ends), size))
        volumes = np.concatenate([np.outer(parts.volume, weights).ravel(), np.outer(parts.cut_volume, shares).ravel()])
        return _Samples(csr_array(vstack([inside, within])), volumes, csr_array(vstack([nodal, at_corners])))

    def ends(self, u: Array) -> tuple[float, float]:
        """The least and the largest concentration of unknowns (dofs,)."""
        values = self.extremes @ u
        return float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))


def _matrix(basis: Array, cell: Numbers, dofs: Indices, factors: Array | None, size: int) -> csr_array:
    """Concentrations (cells · points, dofs) where basis functions have values (cells, points, dofs of a cell)."""
    count, points, width = basis.shape
    of_cell = dofs[cell]
    values = basis if factors is None else basis * factors[cell][:, None, None]
    columns = np.broadcast_to(of_cell[:, None], (count, points, width))
    rows = np.arange(0, count * points * width + 1, width)
    return csr_array((values.ravel(), columns.ravel(), rows), (count * points, size))


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


def _histogram(values: Array, weights: Array, low: float, high: float) -> Array:
    """Volume of values in BINS equal parts from the least to the largest."""
    span = high - low
    if not np.isfinite(span) or span <= 0:
        everything: Array = np.zeros(BINS)
        everything[0] = weights.sum()
        return everything
    number = np.clip((values - low) * (BINS / span), 0, BINS - 1).astype(np.intp)
    return np.asarray(np.bincount(number, weights, BINS), np.float64)


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
