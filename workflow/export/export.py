"""`microlith export`: the results of a run in a file of another program; the ending of its name says which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.meshing.mesh.export import write_cells
from microlith.workflow.export.fields import NAMES, write_vtu, write_xdmf
from microlith.workflow.export.source import Source, source_of
from microlith.workflow.export.surfaces import write_glb, write_stl, write_vtp
from microlith.workflow.export.voxels import write_nrrd, write_tiff


def _write_mesh(path: Path, source: Source) -> None:
    """The mesh without concentrations: the cells that were solved on, straight."""
    grid = source.mesh()
    kind = NAMES[int(grid.celltypes[0])]
    cells = grid.cell_connectivity.reshape(grid.n_cells, -1)
    points = np.asarray(grid.points[:, : source.results.dim], dtype=np.float64)
    write_cells(path, points, kind, cells, np.asarray(grid.cell_data["phase"]), source.results.names)


WRITERS = {
    ".vtu": write_vtu,
    ".xdmf": write_xdmf,
    ".vtp": write_vtp,
    ".stl": write_stl,
    ".glb": write_glb,
    ".tif": write_tiff,
    ".nrrd": write_nrrd,
    ".msh": _write_mesh,
    ".inp": _write_mesh,
    ".bdf": _write_mesh,
    ".med": _write_mesh,
}
COURSES = (".xdmf", ".tif")  # can hold all snapshots


def export(
    folder: Path, path: Path, time: float | None = None, every: bool = False, phases: Sequence[str] = ()
) -> None:
    """Write results to a file of another program.

    Args:
        folder: That a run wrote.
        path: The file; its ending is one of `WRITERS`.
        time: s, of a snapshot; None: the last one, or all where the format is for courses in time (.xdmf).
        every: All snapshots, for `COURSES`.
        phases: Names of solved phases; none: all.

    Raises:
        InputError: There are no such results, or the file can't be written.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"--to {path}: expected a file name ending in {', '.join(WRITERS)}")
    if every and path.suffix not in COURSES:
        raise InputError(f"--time all: a {path.suffix} file holds one snapshot; take {' or '.join(COURSES)}")
    every |= path.suffix == ".xdmf" and time is None
    WRITERS[path.suffix](path, source_of(folder, time, every, phases))
