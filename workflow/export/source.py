"""What of a run's results is to be exported: which snapshots, and which phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Numbers
from microlith.workflow.results.folder import FIELDS
from microlith.workflow.results.grid import grid_of, grid_of_cells
from microlith.workflow.results.read import Results, load_results
from microlith.workflow.results.stored_fields import StoredFields, stored_fields
from microlith.workflow.schema.kinds import nearest

if TYPE_CHECKING:
    import pyvista


@dataclass(frozen=True, eq=False)
class Source:
    """Some snapshots and some phases of a run."""

    folder: Path
    results: Results
    steps: tuple[int, ...]  # snapshots
    phases: tuple[int, ...]  # by their index in `results.names`

    @cached_property
    def fields(self) -> StoredFields:
        """As the solver had them."""
        return stored_fields(self.folder / FIELDS)

    @property
    def times(self) -> tuple[float, ...]:
        """Of the snapshots, s."""
        return tuple(float(self.results.times[step]) for step in self.steps)

    def grid(self, step: int, phases: Sequence[int] = ()) -> "pyvista.UnstructuredGrid":
        """A snapshot with cells of the degree solved with: `concentration` in mol/m^3, `phase`; points in µm.

        Args:
            step: The snapshot.
            phases: To be there; none: all of `self.phases`.
        """
        stored = self.fields
        return _part(grid_of(stored.mesh, stored.space, stored.concentration(step)), phases or self.phases)

    def mesh(self) -> "pyvista.UnstructuredGrid":
        """The straight cells of the phases with their `phase`; points in µm."""
        return _part(grid_of_cells(self.fields.mesh), self.phases)

    def cells(self) -> Numbers:
        """Rows of the results' linear cells that lie in the phases."""
        return np.flatnonzero(np.isin(self.results.phase, self.phases))


def source_of(folder: Path, time: float | None, every: bool, phases: Sequence[str]) -> Source:
    """Choose from the results of a run.

    Args:
        folder: That a run wrote.
        time: s, of a snapshot; None: the last one.
        every: All snapshots instead.
        phases: Names of solved phases; none: all.

    Raises:
        InputError: There are no such results, snapshots or phases.
    """
    results = load_results(folder)
    steps = tuple(range(len(results.times))) if every else (_step(results, time),)
    there = [int(i) for i in np.unique(results.phase)]
    known = [results.names[i] for i in there]
    for name in phases:
        if name not in known:
            raise InputError(f"--phase {name}: fields have no such phase; {nearest(name, known, 'phases')}")
    chosen = tuple(i for i in there if not phases or results.names[i] in phases)
    return Source(folder, results, steps, chosen)


def _part(whole: "pyvista.UnstructuredGrid", phases: Sequence[int]) -> "pyvista.UnstructuredGrid":
    """The cells of some phases, without the numbers that they had in the whole."""
    part = whole.extract_cells(np.flatnonzero(np.isin(whole.cell_data["phase"], phases)))
    for data, name in ((part.point_data, "vtkOriginalPointIds"), (part.cell_data, "vtkOriginalCellIds")):
        if name in data:
            del data[name]
    return part


def _step(results: Results, time: float | None) -> int:
    return len(results.times) - 1 if time is None else results.step_at(time, f"{time:g} s")
