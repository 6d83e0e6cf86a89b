"""Least and largest concentration of a solution in each phase, and how far they are beyond what physics allows."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import cell_corners
from microlith.solver.guard.allowed import Allowed
from microlith.solver.problem.problem import Problem
from microlith.solver.transient import Transient

NOWHERE = -1  # instead of a degree of freedom


@dataclass(frozen=True)
class Overshoot:
    """Where a field is farthest beyond what physics allows, on one side."""

    phase: str
    time: float  # s
    value: float  # mol/m^3
    limit: float  # mol/m^3, the bound there
    place: tuple[float, ...]  # m, x, y[, z] of a cell that has it
    element: float  # m, its longest edge

    @property
    def beyond(self) -> float:
        """From the bound on, mol/m^3."""
        return abs(self.value - self.limit)

    @property
    def below(self) -> bool:
        """Whether it is below the least possible."""
        return self.value < self.limit


@dataclass(frozen=True)
class FieldRange:
    """What the field of a phase reaches to over some times."""

    phase: str
    lowest: float  # mol/m^3
    lowest_at: float  # s
    highest: float
    highest_at: float
    under: Overshoot | None  # None: nothing is below what is allowed
    over: Overshoot | None


def field_ranges(
    problem: Problem, bounds: Allowed, transient: Transient, times: Iterable[float]
) -> tuple[FieldRange, ...]:
    """Ranges of the fields at some times, of each solved phase that is there; collective.

    Args:
        problem: What is solved.
        bounds: Of its parts, at the times among others.
        transient: The solution.
        times: s, at which the solution is known; none of them 0.
    """
    mesh, display, scale = problem.discretization.mesh, problem.display, problem.scales.concentration
    moments = list(times)
    phases = [_dofs_of(problem, phase) for phase in range(len(mesh.names))]
    shape = (4, len(phases), len(moments))  # lowest and highest (signs turned for the first), and beyond the bounds
    found, where, there = np.full(shape, -np.inf), np.full(shape, NOWHERE), np.full(shape, np.nan)
    for j, time in enumerate(moments):
        c = transient.concentration(time)
        low, high = (bound * scale for bound in bounds.at(time))
        for i, dofs in enumerate(phases):
            if len(dofs) == 0:
                continue
            at = dofs if display.unknown is None else display.unknown[dofs]
            factor, here = float(problem.factors[i]), c[dofs]
            for k, values in enumerate((-here, here, factor * low[at] - here, here - factor * high[at])):
                worst = int(values.argmax())
                found[k, i, j], where[k, i, j], there[k, i, j] = values[worst], dofs[worst], here[worst]
    best = np.empty_like(found)
    problem.space.mesh.comm.Allreduce(found, best, op=MPI.MAX)
    ranges = []
    for i, name in enumerate(mesh.names):
        if len(moments) == 0 or not np.isfinite(best[0, i]).any():
            continue
        least, most = int(best[0, i].argmax()), int(best[1, i].argmax())
        under, over = (
            _overshoot(problem, name, moments, turn, best[k, i], found[k, i], where[k, i], there[k, i])
            for k, turn in ((2, 1.0), (3, -1.0))
        )
        ranges.append(
            FieldRange(
                name, -float(best[0, i, least]), moments[least], float(best[1, i, most]), moments[most], under, over
            )
        )
    return tuple(ranges)


def _dofs_of(problem: Problem, phase: int) -> Indices:
    """Degrees of freedom of the display space in this rank's own cells of a phase."""
    mesh = problem.discretization.mesh
    tags, owned = mesh.cell_tags, mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
    cells = tags.indices[(tags.values == phase) & (tags.indices < owned)]
    return np.unique(problem.display.space.dofmap.list[cells]).astype(np.int32)


def _overshoot(
    problem: Problem, phase: str, moments: list[float], turn: float, best: Array, own: Array, dof: Indices, value: Array
) -> Overshoot | None:
    """The largest over the times, where it is above 0; collective."""
    worst = int(best.argmax())
    if not best[worst] > 0:
        return None
    mine = own[worst] == best[worst]
    found = (float(value[worst]), *_cell(problem, int(dof[worst]))) if mine else None
    there, place, element = next(one for one in problem.space.mesh.comm.allgather(found) if one is not None)
    return Overshoot(phase, moments[worst], there, there + turn * float(best[worst]), place, element)


def _cell(problem: Problem, dof: int) -> tuple[tuple[float, ...], float]:
    """Middle and longest edge of a cell of this rank that has a degree of freedom, m."""
    mesh = problem.discretization.mesh
    corners = cell_corners(mesh.mesh)
    there = (problem.display.space.dofmap.list[: len(corners)] == dof).any(axis=1)
    cell = corners[int(there.argmax())] * mesh.unit
    edges = cell[:, None] - cell
    longest = np.abs(edges).max() if len(cell) > cell.shape[1] + 1 else np.linalg.norm(edges, axis=2).max()
    return tuple(cell.mean(axis=0).tolist()), float(longest)
