"""The concentration through the depth: means of each phase over equal slabs along an axis, as exact integrals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Array, Numbers
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.averages import Averages
from microlith.solver.regions.integrals import CELLS, Cells, Index

SLABS = {2: 50, 3: 20}  # by dimension, along each axis


@dataclass(frozen=True, eq=False)
class Profile:
    """Along one axis."""

    axis: int
    edges: Array  # (slabs + 1,) m
    phases: tuple[int, ...]  # solved for
    volumes: Array  # (phases, slabs) m^3 (m^2)
    means: Array  # (phases, states, slabs) mol/m^3; nan where a slab has nothing of the phase


def profiles(problem: Problem, solved: Sequence[int], states: Sequence[Array | None]) -> tuple[Profile, ...]:
    """Along all axes; collective.

    Args:
        problem: What was solved.
        solved: Phases that are solved for.
        states: Of each time the owned unknowns; None: the start, where each phase has its initial concentration.
    """
    mesh = problem.discretization.mesh
    comm, dim = mesh.mesh.comm, len(mesh.extent)
    cells = Cells.of(problem.space, mesh, problem.factors)
    start = np.array([state is None for state in states])
    field = _Field.of(cells, [state for state in states if state is not None])
    row = np.full(cells.phases, -1)
    row[list(solved)] = np.arange(len(solved))
    found = []
    for axis in range(dim):
        edges: Array = np.asarray(np.linspace(0.0, mesh.extent[axis], SLABS[dim] + 1), np.float64)
        # Rows: volumes, and amounts of each state
        sums = field.over_slabs(axis, edges, row, len(solved))
        comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
        volumes = sums[0]
        some = volumes > 1e-12 * volumes.sum() / SLABS[dim]
        means = np.empty((len(solved), len(states), SLABS[dim]))
        means[:, ~start] = (sums[1:] / np.where(some, volumes, np.nan)).transpose(1, 0, 2)
        at_start = np.where(some, problem.start_of_phase[list(solved)][:, None], np.nan)
        means[:, start] = at_start[:, None]
        found.append(
            Profile(
                axis,
                edges * mesh.unit,
                tuple(solved),
                np.where(some, volumes, 0.0) * mesh.unit**dim,
                means * problem.scales.concentration,
            )
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Field:
    """The states on the cells of this rank."""

    cells: Cells
    averages: Averages
    values: list[Array]  # of each state, (local unknowns,)
    measure: Array  # (cells,)
    amounts: Array  # (states, cells) integral of each state over each cell

    @staticmethod
    def of(cells: Cells, states: Sequence[Array]) -> "_Field":
        """Of states by their owned unknowns; collective."""
        index_map = cells.space.dofmap.index_map
        values = []
        for state in states:
            vector = la.vector(index_map, 1)
            vector.array[: len(state)] = state
            vector.scatter_forward()
            values.append(vector.array)
        averages = Averages(cells.space.element.basix_element)
        field = _Field(cells, averages, values, cells.measures, np.empty((len(states), len(cells.nodes))))
        for begin in range(0, len(cells.nodes), CELLS):
            chunk = np.arange(begin, min(begin + CELLS, len(cells.nodes)))
            weights = np.broadcast_to(averages.of_whole, (len(chunk), len(averages.of_whole)))
            field.amounts[:, chunk] = field._integrals(chunk, weights, field.measure[chunk])
        return field

    def _integrals(self, cell: Index, means: Array, measure: Array) -> Array:
        """Of each state over parts of cells, (states, n), from the means of the basis functions and the measures."""
        dofs, factors = self.cells.dofs[cell], self.cells.factors
        held = measure if factors is None else measure * factors[self.cells.tags[cell]]
        found = [held * np.einsum("nd,nd->n", means, values[dofs]) for values in self.values]
        return np.array(found).reshape(len(self.values), len(cell))

    def over_slabs(self, axis: int, edges: Array, row: Numbers, phases: int) -> Array:
        """Volume and amounts between edges along an axis, (1 + states, phases, slabs).

        Args:
            axis: Its number.
            edges: (slabs + 1,), mesh units; the outermost slabs have all that is beyond, too.
            row: (all phases,) row of each phase, -1: left out.
            phases: How many rows there are.
        """
        cells, slabs = self.cells, len(edges) - 1
        low, high = (ends[axis] for ends in cells.spans)
        first = np.searchsorted(edges[1:-1], low, side="right")
        last = np.searchsorted(edges[1:-1], high, side="left")
        own = row[cells.tags]
        there = np.flatnonzero(own >= 0)
        sums = _summed(own[there] * slabs + last[there], self.measure[there], self.amounts[:, there], phases * slabs)
        # What of a cell lies before an edge between slabs is taken to there, edge by edge.
        crossing = there[first[there] < last[there]]
        times = (last - first)[crossing]
        cell = np.repeat(crossing, times)
        slab = first[cell] + np.arange(len(cell)) - np.repeat(np.cumsum(times) - times, times)
        place = cells.points[:, axis].copy()
        for begin in range(0, len(cell), CELLS):
            chunk, at = cell[begin : begin + CELLS], slab[begin : begin + CELLS]
            parts = self.averages.below(place[cells.nodes[chunk]] - edges[at + 1][:, None], in_simplices=False)
            chunk, at = chunk[parts.of], at[parts.of]
            measure = self.measure[chunk] * parts.share
            amounts = self._integrals(chunk, parts.means, measure)
            moved = _summed(own[chunk] * slabs + at, measure, amounts, phases * slabs)
            sums += moved
            sums[:, 1:] -= moved[:, :-1]  # from the slab after, which is of the same phase
        return sums.reshape(-1, phases, slabs)


def _summed(place: Numbers, measure: Array, amounts: Array, count: int) -> Array:
    """Sums over what is at each of some places, (1 + states, count)."""
    return np.array([np.bincount(place, each, count) for each in (measure, *amounts)])
