"""Which unknown is which on any number of ranks: by the cells of the mesh's file, and their order within a cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolfinx import fem

from microlith.imaging.typing import Array, Numbers
from microlith.solver.interfaces.broken_space import nodes_along

DIRECTION = (0.5377, 0.7351, 0.4129)  # along which no two nodes of a cell lie side by side
NEAR = 1e-6  # mesh units: places that are farther from each other are not those of one unknown


@dataclass(frozen=True, eq=False)
class Unknowns:
    """The unknowns of a rank."""

    cells: Numbers  # (m,) of this rank, ghosts included, by their number in the input of the mesh
    numbers: Numbers  # (m, k) of their unknowns over all ranks, by their place along DIRECTION
    places: Array  # (owned, 3) mesh units
    start: int  # number of the first that this rank owns
    size: Array  # (3,) edge lengths of the mesh: on periodic faces one unknown is at two places

    @classmethod
    def of(cls, space: fem.FunctionSpace) -> "Unknowns":
        """Those of a space."""
        mesh, index_map = space.mesh, space.dofmap.index_map
        x, corners = space.tabulate_dof_coordinates(), mesh.geometry.x
        dofs = np.asarray(space.dofmap.list)
        along = sum(share * nodes_along(space, axis) for axis, share in enumerate(DIRECTION))
        order = np.argsort(along, axis=1)
        ends = mesh.comm.allgather((corners.min(axis=0, initial=np.inf), corners.max(axis=0, initial=-np.inf)))
        size = np.max([high for _, high in ends], axis=0) - np.min([low for low, _ in ends], axis=0)
        numbers = index_map.local_to_global(np.take_along_axis(dofs, order, axis=1).ravel()).reshape(dofs.shape)
        cells = np.asarray(mesh.topology.original_cell_index, dtype=np.int64)
        start = int(index_map.local_range[0])
        return cls(cells, numbers.astype(np.int64), x[: index_map.size_local].copy(), start, size)

    def save(self, path: Path) -> None:
        """Write them to a file."""
        np.savez(path, cells=self.cells, numbers=self.numbers, places=self.places, start=self.start, size=self.size)

    @classmethod
    def load(cls, path: Path) -> "Unknowns":
        """Read them from a file."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["cells"], file["numbers"], file["places"], int(file["start"]), file["size"])


def same(one: Unknowns, other: Unknowns) -> bool:
    """Whether two ranks have the same unknowns in the same order."""
    return (
        one.start == other.start
        and np.array_equal(one.cells, other.cells)
        and np.array_equal(one.numbers, other.numbers)
        and one.places.shape == other.places.shape
    )


def numbers_then(mine: Unknowns, theirs: Iterable[Unknowns]) -> Numbers:
    """Number (n,) that each of my unknowns had in an earlier run, from the cells of all of its ranks; -1: in none."""
    found = np.full(len(mine.places), -1, np.int64)
    for other in theirs:
        order = np.argsort(other.cells)
        if not len(order):
            continue
        at = order[np.searchsorted(other.cells, mine.cells, sorter=order).clip(0, len(order) - 1)]
        both = other.cells[at] == mine.cells
        here = mine.numbers[both].ravel() - mine.start
        own = (here >= 0) & (here < len(found))
        found[here[own]] = other.numbers[at[both]].ravel()[own]
    return found


def places_at(mine: Unknowns, theirs: Unknowns, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Which of my unknowns another rank of an earlier run owned, and where, each (n,).

    Raises:
        ValueError: They are not at the same places.
    """
    here = np.flatnonzero((numbers >= theirs.start) & (numbers < theirs.start + len(theirs.places)))
    there = numbers[here] - theirs.start
    apart = np.abs(mine.places[here] - theirs.places[there])
    if len(here) and np.minimum(apart, np.abs(apart - mine.size)).max() > NEAR:
        raise ValueError("its unknowns are at other places of the mesh")
    return here, there
