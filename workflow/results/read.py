"""The folder that a run left, read again."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.results.csv_file import csv_rows
from microlith.workflow.results.folder import ERRORS, FIELDS, SUMMARY, finish_if_free
from microlith.workflow.storage.hdf5 import check_mesh, read_hdf5

if TYPE_CHECKING:
    import h5py
    import pyvista


# Linear cells, by VTK's number, that a cell of any degree is shown as: its corners, or those of the four triangles of a
# quadratic one. Corners come first in all of them.
_FOUR = [[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]]
_SHOWN = {
    **{5: (5, [[0, 1, 2]]), 22: (5, _FOUR), 69: (5, [[0, 1, 2]])},
    **dict.fromkeys((10, 24, 71), (10, [[0, 1, 2, 3]])),
    **dict.fromkeys((9, 70), (9, [[0, 1, 2, 3]])),
    **dict.fromkeys((12, 72), (12, [[0, 1, 2, 3, 4, 5, 6, 7]])),
}


SAME = 1e-3  # relative distance of two times at which they are one


@dataclass(frozen=True, eq=False)
class Results:
    """What a run left, but for the concentrations, which are read one snapshot at a time."""

    fields: Path
    title: str
    names: tuple[str, ...]  # of all phases
    times: Array  # (k,) of the snapshots, s
    c_range: tuple[float, float]  # concentrations at the two ends of the colour map, mol/m^3
    points: Array  # (n, 3) in micrometres
    cells: NDArray[np.int64]  # (m, corners) rows of `points`, linear
    cell_type: int  # VTK's number
    phase: NDArray[np.uint8]  # (m,)

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return 2 if self.cell_type in (5, 9) else 3

    def step_at(self, time: float, said: str) -> int:
        """The snapshot at a time, of which three digits count.

        Args:
            time: s.
            said: The time in words, for what is said where there is none.

        Raises:
            InputError: There is no snapshot at that time.
        """
        nearest = int(np.argmin(np.abs(self.times - time)))
        if not np.isclose(self.times[nearest], time, rtol=SAME, atol=0.0):
            known = ", ".join(f"{t:g}" for t in self.times)
            raise InputError(f"--time: the results hold snapshots at {known} s, and none at {said}; choose one of them")
        return nearest

    def concentration(self, step: int) -> Array:
        """Of one snapshot at the points, (n,), mol/m^3.

        Raises:
            InputError: The file can't be read.
        """
        n = len(self.points)
        values: Array = read_hdf5(self.fields, lambda root: root["PointData/concentration"][step * n : (step + 1) * n])
        return values

    def grid(self, step: int) -> "pyvista.UnstructuredGrid":
        """One snapshot as a grid: point data `concentration`, cell data `phase`, field data `phases`; points in µm.

        Raises:
            InputError: The file can't be read.
        """
        import pyvista

        grid = pyvista.UnstructuredGrid({self.cell_type: self.cells}, self.points)
        grid.point_data["concentration"] = self.concentration(step)
        grid.cell_data["phase"] = self.phase
        grid.field_data["phases"] = list(self.names)
        return grid


def read_summary(folder: Path) -> dict[str, Any]:
    """The entries of a run's summary.json.

    Raises:
        InputError: The folder is not there or is not that of a run, or the file can't be read.
    """
    _check_folder(folder)
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        summary["case"]["title"], summary["error"], summary["regions"]  # a run's, and no other's
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / SUMMARY}: expected the summary of a run ({type(error).__name__}: {error}); run it again"
        ) from error
    entries: dict[str, Any] = summary
    return entries


def read_curves(path: Path) -> tuple[Array, dict[str, Array]]:
    """Times (n,) in s and columns (n,) in mol/m^3 of curves.csv or errors.csv.

    Raises:
        InputError: The file can't be read.
    """
    try:
        rows = csv_rows(path)
        values = np.array([[float(value) for value in row] for row in rows[1:]], dtype=np.float64)
        columns = dict(zip(rows[0], values.T, strict=True))
        times = columns.pop("time_s")
        if not (np.isfinite(times).all() and (np.diff(times) >= 0).all()):
            raise ValueError("times do not increase")
        return times, columns
    except (OSError, ValueError, KeyError, IndexError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read as the curves of a run ({reason}); run the case again") from error


def read_errors(folder: Path) -> dict[str, Array]:
    """Columns (n,) of errors.csv of a run in mol/m^3; none where the file is not there.

    Raises:
        InputError: The file can't be read.
    """
    path = folder / ERRORS
    return read_curves(path)[1] if path.is_file() else {}


def load_results(folder: Path) -> Results:
    """Read what `microlith run` left in a folder.

    Raises:
        InputError: The folder is not there, is not that of a run, has no fields, or can't be read.
    """
    _check_folder(folder)
    fields = folder / FIELDS
    if not fields.is_file():
        raise InputError(
            f"{folder}: there is no {FIELDS}, which a run writes where [time] snapshots are given; add some to the "
            "case file and run it again"
        )
    title, c_range = _of_summary(folder / SUMMARY)
    return read_hdf5(fields, lambda root: _results(fields, root, title, c_range))


def refuse_case_file(path: Path) -> None:
    """Refuse a case file where results are asked for, with the command that makes them.

    Raises:
        InputError: It is a TOML file.
    """
    if path.suffix.lower() == ".toml" and path.is_file():
        raise InputError(
            f"{path}: this is a case file, expected results; make them, such as with "
            f"{shlex.join(['microlith', 'run', str(path)])}, and name the folder that they are written to"
        )


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise InputError(
            f"{folder}: there is no such folder; name one that microlith run wrote, such as results/my-case"
        )
    if not folder.is_dir():
        refuse_case_file(folder)
        raise InputError(f"{folder}: this is a file; name the folder that microlith run wrote")
    finish_if_free(folder)
    if not (folder / SUMMARY).is_file():
        raise InputError(f"{folder}: there is no {SUMMARY}, so this is no folder of results; name one that a run wrote")


def _of_summary(path: Path) -> tuple[str, tuple[float, float]]:
    """Title of the case, and the range of its concentrations."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        case = summary["case"]
        initial = [phase.get("initial_mol_per_m3") or 0.0 for phase in case["phases"].values()]
        reference = float(summary["error"]["reference_concentration_mol_per_m3"])
        low, high = summary.get("concentration_range_mol_per_m3", (min([0.0, *initial]), reference))
        return str(case["title"] or ""), (float(low), float(high))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the summary of a run ({type(error).__name__}: {error}); run it again"
        ) from error


def _results(fields: Path, root: "h5py.Group", title: str, c_range: tuple[float, float]) -> Results:
    cell_type, pieces = _SHOWN[int(root["Types"][0])]
    points, phase = root["Points"][:], root["CellData/phase"][:]
    names = tuple(str(name) for name in root["CellData/phase"].attrs["names"])
    connectivity = root["Connectivity"][:].reshape(-1, int(root["Offsets"][1]))
    check_mesh(points, connectivity, phase, names)
    return Results(
        fields=fields,
        title=title,
        names=names,
        times=np.asarray(root["Steps/Values"][:], dtype=np.float64),
        c_range=c_range,
        points=points,
        cells=connectivity[:, pieces].reshape(-1, len(pieces[0])),
        cell_type=cell_type,
        phase=np.repeat(phase, len(pieces)),
    )
