"""Least and largest concentration of a solution in each phase, and how far they are beyond what physics allows."""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import cell_corners
from microlith.solver.guard.allowed import Allowed
from microlith.solver.problem.problem import Problem


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


class FieldWatch:
    """Takes down how far fields reach in each solved phase that is there, over all the times that it sees."""

    def __init__(self, problem: Problem, bounds: Allowed) -> None:
        """Start with nothing seen.

        Args:
            problem: What is solved.
            bounds: Of its parts; at times between those it has, those of the next one count, which are wider.
        """
        self._problem, self._bounds = problem, bounds
        self._dofs = [_dofs_of(problem, phase) for phase in range(len(problem.factors))]
        # Lowest (sign turned) and highest, and farthest below and above the bounds, of this rank.
        shape = (4, len(self._dofs))
        self._earlier: dict[tuple[int, int], _Seen] = {}  # of an earlier process, the same on all ranks
        self._most, self._time = np.full(shape, -np.inf), np.full(shape, np.nan)
        self._dof, self._value = np.zeros(shape, np.int32), np.full(shape, np.nan)

    def see(self, time: float, owned: Array) -> None:
        """Look at the owned unknowns at a time (s); collective."""
        problem = self._problem
        self.look(time, problem.display.concentration(owned) * problem.scales.concentration)

    def look(self, time: float, c: Array) -> None:
        """Look at the concentration at a time (s), mol/m^3: local dofs of the display space, ghosts included."""
        problem = self._problem
        low, high = (bound * problem.scales.concentration for bound in self._bounds.at(time))
        unknown = problem.display.unknown
        for i, dofs in enumerate(self._dofs):
            if len(dofs) == 0:
                continue
            at = dofs if unknown is None else unknown[dofs]
            factor, here = float(problem.factors[i]), c[dofs]
            for k, values in enumerate((-here, here, factor * low[at] - here, here - factor * high[at])):
                worst = int(values.argmax())
                if values[worst] > self._most[k, i]:
                    self._most[k, i], self._time[k, i] = values[worst], time
                    self._dof[k, i], self._value[k, i] = dofs[worst], here[worst]

    def state(self) -> list[Any]:
        """What was seen, as JSON can hold it; the same on all ranks; collective."""
        return [
            None if (one := self._farthest(k, i)) is None else list(astuple(one))
            for k in range(4)
            for i in range(len(self._dofs))
        ]

    def take_up(self, state: list[Any]) -> None:
        """Take up what an earlier process has seen; without communication."""
        for number, one in enumerate(state):
            if one is not None:
                most, time, value, limit, place, element = one
                key = divmod(number, len(self._dofs))
                self._earlier[key] = _Seen(most, time, value, limit, tuple(place), element)

    def ranges(self) -> tuple[FieldRange, ...]:
        """What was seen, the same on all ranks; nothing where no time was; collective."""
        found = []
        for i, name in enumerate(self._problem.discretization.mesh.names):
            lowest, highest, under, over = (self._farthest(k, i) for k in range(4))
            if lowest is None or highest is None:
                continue
            found.append(
                FieldRange(
                    *(name, lowest.value, lowest.time, highest.value, highest.time),
                    *(None if side is None or side.most <= 0 else side.beyond(name) for side in (under, over)),
                )
            )
        return tuple(found)

    def _farthest(self, k: int, phase: int) -> "_Seen | None":
        """The largest of all ranks; collective."""
        comm = self._problem.space.mesh.comm
        most, rank = comm.allreduce((float(self._most[k, phase]), -comm.rank), op=MPI.MAX)
        earlier = self._earlier.get((k, phase))
        if earlier is not None and earlier.most >= most:
            return earlier
        if most == -np.inf:
            return None
        seen = None
        if comm.rank == -rank:
            place, element = _cell(self._problem, int(self._dof[k, phase]))
            value, time = float(self._value[k, phase]), float(self._time[k, phase])
            seen = _Seen(most, time, value, value + most if k == 2 else value - most, place, element)
        found: _Seen | None = comm.bcast(seen, root=-rank)
        return found


@dataclass(frozen=True)
class _Seen:
    """The largest of one kind."""

    most: float
    time: float
    value: float
    limit: float  # where it is one beyond the bounds
    place: tuple[float, ...]
    element: float

    def beyond(self, phase: str) -> Overshoot:
        return Overshoot(phase, self.time, self.value, self.limit, self.place, self.element)


def _dofs_of(problem: Problem, phase: int) -> Indices:
    """Degrees of freedom of the display space in this rank's own cells of a phase."""
    mesh = problem.discretization.mesh
    tags, owned = mesh.cell_tags, mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
    cells = tags.indices[(tags.values == phase) & (tags.indices < owned)]
    return np.unique(problem.display.space.dofmap.list[cells]).astype(np.int32)


def _cell(problem: Problem, dof: int) -> tuple[tuple[float, ...], float]:
    """Middle and longest edge of a cell of this rank that has a degree of freedom, m."""
    mesh = problem.discretization.mesh
    corners = cell_corners(mesh.mesh)
    there = (problem.display.space.dofmap.list[: len(corners)] == dof).any(axis=1)
    cell = corners[int(there.argmax())] * mesh.unit
    edges = cell[:, None] - cell
    longest = np.abs(edges).max() if len(cell) > cell.shape[1] + 1 else np.linalg.norm(edges, axis=2).max()
    return tuple(cell.mean(axis=0).tolist()), float(longest)
