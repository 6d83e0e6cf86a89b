"""The concentration through the depth: means of each phase over equal slabs along an axis, as exact integrals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
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
        for slab in range(SLABS[dim]):
            near = cells.within({axis: (edges[slab], edges[slab + 1])})
            for i, phase in enumerate(solved):
                integrals = _within(cells, axis, edges, slab, near[of_phase[phase][near]])
                sums[i, :, slab] = u @ integrals.over_all_ranks()
                volumes[i, slab] = integrals.measures.sum()
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


def _within(cells: Cells, axis: int, edges: Array, slab: int, wanted: Index) -> Integrals:
    """Integrals over a slab of some cells; the outermost slabs have all that is beyond, too."""
    dim = cells.points.shape[1]
    low, high = np.full(dim, -np.inf), np.full(dim, np.inf)
    if slab > 0:
        low[axis] = edges[slab]
    if slab < len(edges) - 2:
        high[axis] = edges[slab + 1]
    cut = within_box(low, high)
    integrals = Integrals(cells, keep=False)
    for start in range(0, len(wanted), CELLS):
        chunk = wanted[start : start + CELLS]
        corners = cells.corners(chunk)
        for inside in cut(corners, np.empty(0)):
            integrals.add_whole(chunk[inside.whole], corners[inside.whole])
            integrals.add_parts(chunk[inside.cut], inside.parts)
    return integrals
