"""The concentration through the depth: means of each phase over equal slabs along an axis, as exact integrals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Numbers
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.cut_cells import within_box
from microlith.solver.regions.integrals import CELLS, Cells, Index, Integrals

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
    cells = Cells.of(problem.space, mesh, problem.factors)
    dim = len(mesh.extent)
    of_phase = {phase: cells.tags == phase for phase in solved}
    start = np.array([state is None for state in states])
    u = np.array([np.zeros_like(problem.amount) if state is None else state for state in states])
    found = []
    for axis in range(dim):
        edges: Array = np.asarray(np.linspace(0.0, mesh.extent[axis], SLABS[dim] + 1), np.float64)
        volumes = np.zeros((len(solved), SLABS[dim]))
        sums = np.zeros((len(solved), len(states), SLABS[dim]))
        first, last = _slabs(cells, axis, edges)
        for i, phase in enumerate(solved):
            for slab in range(SLABS[dim]):
                inside = _whole(cells, np.flatnonzero(of_phase[phase] & (last == slab)))
                sums[i, :, slab] += u @ inside.over_all_ranks()
                volumes[i, slab] += inside.measures.sum()
                if slab == SLABS[dim] - 1:
                    break
                # What of cells that end in later slabs lies before is taken from there to here.
                crossing = np.flatnonzero(of_phase[phase] & (first <= slab) & (last > slab))
                before = _before(cells, axis, edges[slab + 1], crossing)
                amounts, measure = u @ before.over_all_ranks(), before.measures.sum()
                for of, sign in ((slab, 1.0), (slab + 1, -1.0)):
                    sums[i, :, of] += sign * amounts
                    volumes[i, of] += sign * measure
        comm = mesh.mesh.comm
        comm.Allreduce(MPI.IN_PLACE, volumes, op=MPI.SUM)
        comm.Allreduce(MPI.IN_PLACE, sums, op=MPI.SUM)
        some = volumes > 1e-12 * volumes.sum() / SLABS[dim]
        means = sums / np.where(some, volumes, np.nan)[:, None]
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


def _slabs(cells: Cells, axis: int, edges: Array) -> tuple[Numbers, Numbers]:
    """First and last slab in which each cell has a part; the outermost ones have all that is beyond, too."""
    low, high = (ends[:, axis] for ends in cells.spans)
    return np.searchsorted(edges[1:-1], low, side="right"), np.searchsorted(edges[1:-1], high, side="left")


def _whole(cells: Cells, wanted: Index) -> Integrals:
    """Integrals over some cells."""
    integrals = Integrals(cells, keep=False)
    for start in range(0, len(wanted), CELLS):
        chunk = wanted[start : start + CELLS]
        integrals.add_whole(chunk, cells.corners(chunk))
    return integrals


def _before(cells: Cells, axis: int, edge: float, wanted: Index) -> Integrals:
    """Integrals over the part of some cells before a place along an axis."""
    dim = cells.points.shape[1]
    high = np.full(dim, np.inf)
    high[axis] = edge
    cut = within_box(np.full(dim, -np.inf), high)
    integrals = Integrals(cells, keep=False)
    for start in range(0, len(wanted), CELLS):
        chunk = wanted[start : start + CELLS]
        corners = cells.corners(chunk)
        for inside in cut(corners, np.empty(0)):
            integrals.add_whole(chunk[inside.whole], corners[inside.whole])
            integrals.add_parts(chunk[inside.cut], inside.parts)
    return integrals
