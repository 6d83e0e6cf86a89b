"""Least and largest concentration of a solution in each phase, and how far they are beyond what physics allows."""

from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import cell_corners
from microlith.solver.guard.allowed import Allowed
from microlith.solver.problem.problem import Problem

ALIKE = 1e-6  # of the reference concentration: overshoots that differ by less, as by rounding on other ranks, are one
PLACES = 6  # decimals of a mesh unit within which places are the same on any ranks


@dataclass(frozen=True)
class Overshoot:
    """Where a field is farthest beyond what physics allows, on one side."""

    phase: str
    time: float  # s
    value: float  # mol/m^3
    limit: float  # mol/m^3, the bound there
    place: tuple[float, ...]  # m, x, y[, z]; of several alike the first in time, then along x, y, z
    element: float  # m, longest edge of the elements there

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
            alike = self._alike(i)
            least, largest = here.min(), here.max()
            at_most = (-least, largest, factor * low.max() - least, largest - factor * high.min())
            for k in range(4):
                if at_most[k] <= self._most[k, i]:  # as later on nearly always
                    continue
                values = -here if k == 0 else here if k == 1 else factor * low[at] - here
                if k == 3:
                    values = here - factor * high[at]
                worst = int(values.argmax())
                beyond = k >= 2 and values[worst] > alike
                if values[worst] > self._most[k, i] + (alike if beyond else 0.0):
                    if beyond:
                        several = np.flatnonzero(values >= values[worst] - alike)
                        worst = int(several[_first(self._points[dofs[several]])])
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
        mine, alike = float(self._most[k, phase]), self._alike(phase)
        most = comm.allreduce(mine, op=MPI.MAX)
        earlier = self._earlier.get((k, phase))
        if earlier is not None and earlier.most >= most - (alike if k >= 2 and most > alike else 0.0):
            return earlier
        if most == -np.inf:
            return None
        beyond = k >= 2 and most > alike
        last: tuple[float, ...] = (np.inf, comm.rank)
        if beyond and mine >= most - alike:
            point = np.round(self._points[self._dof[k, phase]], PLACES)
            last = (float(self._time[k, phase]), *point.tolist(), comm.rank)
        elif not beyond and mine == most:
            last = (-np.inf, comm.rank)
        *_, rank = comm.allreduce(last, op=MPI.MIN)
        seen = None
        if comm.rank == rank:
            value, time = float(self._value[k, phase]), float(self._time[k, phase])
            place = tuple(self._points[self._dof[k, phase]].tolist()) if k >= 2 and most > 0 else ()
            seen = _Seen(mine, time, value, value + mine if k == 2 else value - mine, place, 0.0)
        found: _Seen = comm.bcast(seen, root=rank)
        if not found.place:
            return found
        unit = self._problem.discretization.mesh.unit
        there = np.abs(self._points[self._dofs[phase]] - found.place).max(axis=1, initial=0.0) < 10.0**-PLACES
        longest = comm.allreduce(_longest_edge(self._problem, phase, self._dofs[phase][there]), op=MPI.MAX)
        return replace(found, place=tuple(unit * x for x in found.place), element=longest)

    def _alike(self, phase: int) -> float:
        """Overshoots of a phase that differ by less are one, mol/m^3."""
        return ALIKE * self._problem.scales.concentration * float(self._problem.factors[phase])

    @cached_property
    def _points(self) -> Array:
        """Of the dofs of the display space, (dofs, dim) in mesh units; only where a field is beyond the bounds."""
        space = self._problem.display.space
        return np.asarray(space.tabulate_dof_coordinates()[:, : space.mesh.topology.dim])


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
    dofmap = problem.display.space.dofmap
    there = np.zeros(dofmap.index_map.size_local + dofmap.index_map.num_ghosts, bool)
    there[dofmap.list[cells]] = True
    return np.flatnonzero(there).astype(np.int32)


def _first(points: Array) -> int:
    """The one that comes first along x, then y, then z, whatever their order is."""
    return int(np.lexsort(np.round(points, PLACES).T[::-1])[0])


def _longest_edge(problem: Problem, phase: int, dofs: Indices) -> float:
    """Of this rank's own cells of a phase that have one of some degrees of freedom, m; 0 where none has."""
    mesh = problem.discretization.mesh
    corners = cell_corners(mesh.mesh)
    tags = mesh.cell_tags
    cells = tags.indices[(tags.values == phase) & (tags.indices < len(corners))]
    cells = cells[np.isin(problem.display.space.dofmap.list[cells], dofs).any(axis=1)]
    if len(cells) == 0:
        return 0.0
    edges = (corners[cells][:, :, None] - corners[cells][:, None]) * mesh.unit
    of_cube = corners.shape[1] > corners.shape[2] + 1
    return float(np.abs(edges).max() if of_cube else np.linalg.norm(edges, axis=3).max())
