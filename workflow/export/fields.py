"""Concentrations with their mesh: one snapshot as .vtu, a course in time as .xdmf."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.writing import UNFINISHED, ForHdf5, cannot_write, replace_file
from microlith.workflow.export.source import Source
from microlith.workflow.export.vtk_file import write_xml

NAMES = {5: "triangle", 9: "quad", 10: "tetra", 12: "hexahedron"}  # by VTK's number


def write_vtu(path: Path, source: Source) -> None:
    """One snapshot: point data `concentration` in mol/m^3, cell data `phase`, field data `phases`, `time_s`, `unit`.

    Cells keep the degree solved with; points are in µm.

    Raises:
        InputError: The file can't be written.
    """
    grid = source.grid(source.steps[0])
    grid.field_data["phases"] = list(source.results.names)
    grid.field_data["time_s"] = np.array([source.times[0]])
    grid.field_data["unit"] = ["points in um, concentration in mol/m^3"]
    write_xml(path, grid)


def write_xdmf(path: Path, source: Source) -> tuple[Path, Path]:
    """All chosen snapshots, on linear cells; the numbers lie in a file of the same name that ends in .h5.

    Returns:
        Both files.

    Raises:
        InputError: A file can't be written.
    """
    results = source.results
    cells = results.cells[source.cells()]
    used, corner = np.unique(cells, return_inverse=True)
    data = path.with_suffix(".h5")
    try:
        stage = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with _series(stage / path.name) as writer:
            writer.write_points_cells(results.points[used], [(NAMES[results.cell_type], corner.reshape(cells.shape))])
            phase = results.phase[source.cells()].astype(np.int32)
            for step, time in zip(source.steps, source.times, strict=True):
                values = results.concentration(step)[used]
                writer.write_data(time, {"concentration": values}, {"phase": [phase]})
        replace_file(stage / data.name, data)
        replace_file(stage / path.name, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return path, data


def _series(path: Path) -> Any:
    """The XDMF series of meshio, with the numbers in a file beside: its own makes that in the working folder."""
    import h5py
    import meshio

    class Series(meshio.xdmf.TimeSeriesWriter):
        def __enter__(self) -> Any:
            self.h5_filename = str(path.with_suffix(".h5"))
            self.kept = ForHdf5(path.with_suffix(".h5"))
            self.h5_file = h5py.File(self.kept, "w")
            return self

        def __exit__(self, *raised: Any) -> None:
            with self.kept:
                self.h5_file.close()
            super().__exit__(*raised)

    return Series(path)
