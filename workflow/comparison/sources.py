"""What a state's results hold: the figures and tables of an analysis, a run or an effective diffusivity."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.results.folder import ANALYSIS, CURVES, ERRORS, SUMMARY, finish_if_free
from microlith.workflow.results.read import read_curves, read_summary

DRAWN = ("profile", "distribution")  # kinds of tables whose columns are curves over the first one


@dataclass(frozen=True)
class Figure:
    """A number of one state."""

    value: float
    unit: str
    error: float | None = None  # of its own; None: not known
    definition: str = ""


@dataclass(frozen=True, eq=False)
class Curve:
    """A column of a table over another."""

    x: Array  # (n,)
    y: Array  # (n,)
    x_name: str
    x_unit: str
    y_unit: str
    error: Array | None = None  # (n,) in the unit of y; None: not known


@dataclass(frozen=True, eq=False)
class State:
    """All that is known of one state."""

    name: str
    figures: dict[str, Figure]
    curves: dict[str, Curve]
    voxel_size: tuple[float, ...] | None  # m, in the order of arrays


def state_of(name: str, paths: Sequence[Path]) -> State:
    """Read the results of one state.

    Args:
        name: Of the state.
        paths: Folders of `analyze` and `run`, files of `deff`; at least one.

    Raises:
        InputError: One of them is none of these, or can't be read.
    """
    figures: dict[str, Figure] = {}
    curves: dict[str, Curve] = {}
    voxels: tuple[float, ...] | None = None
    for path in paths:
        found = _results(path)
        figures |= found.figures
        curves |= found.curves
        voxels = voxels or found.voxel_size
    return State(name, figures, curves, voxels)


def _results(path: Path) -> State:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; name results of analyze, run or deff")
    if path.is_file():
        return _deff(path, _read(path))
    finish_if_free(path)
    found = [_analysis(path)] if (path / ANALYSIS).is_file() else []
    found += [_run(path)] if (path / SUMMARY).is_file() else []
    if not found:
        raise InputError(
            f"{path}: there is neither {ANALYSIS} nor {SUMMARY}; name a folder that microlith analyze or run wrote, or "
            "a file of microlith deff"
        )
    figures = {key: figure for one in found for key, figure in one.figures.items()}
    curves = {key: curve for one in found for key, curve in one.curves.items()}
    return State(str(path), figures, curves, found[0].voxel_size)


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(entries, dict):
            return entries
        reason = "it holds no table"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise InputError(f"{path}: can't be read as results of microlith ({reason}); make them again")


def _wrong(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: expected results of microlith ({type(error).__name__}: {error}); make them again")


def _analysis(folder: Path) -> State:
    entries = _read(folder / ANALYSIS)
    try:
        figures = {
            str(name): Figure(
                float("nan") if entry["value"] is None else float(entry["value"]),
                str(entry["unit"]),
                None if entry["error"] is None else float(entry["error"]),
                str(entry["definition"]),
            )
            for name, entry in entries["numbers"].items()
        }
        curves: dict[str, Curve] = {}
        for name, table in entries["tables"].items():
            if table["kind"] in DRAWN:
                curves |= _columns(folder / str(table["file"]), str(name), table["units"])
        voxels = tuple(float(edge) for edge in entries["voxel_size_m"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / ANALYSIS, error) from error
    return State(str(folder), figures, curves, voxels)


def _columns(path: Path, name: str, units: Mapping[str, str]) -> dict[str, Curve]:
    """The columns of a table over its first one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(line for line in file if not line.startswith("#")))
        values = np.array([[float(value or "nan") for value in row] for row in rows[1:]], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise _wrong(path, error) from error
    if len(values) < 2:
        return {}
    first, *others = rows[0]
    return {
        f"{name}: {other}": Curve(values[:, 0], values[:, k], first, units[first], units[other])
        for k, other in enumerate(others, 1)
    }


def _run(folder: Path) -> State:
    summary = read_summary(folder)
    times, curves = read_curves(folder / CURVES)
    errors = read_curves(folder / ERRORS)[1] if (folder / ERRORS).is_file() else {}
    figures = {}
    try:
        for name, region in summary["regions"].items():
            for key, unit, word in (
                ("final", "mol/m^3", "last mean concentration"),
                ("t50_s", "s", "t50"),
                ("t90_s", "s", "t90"),
            ):
                if region.get(key) is not None:
                    error = region.get(f"{key.removesuffix('_s')}_error{'_s' if unit == 's' else ''}")
                    figures[f"{name}: {word}"] = Figure(
                        float(region[key]), unit, None if error is None else float(error)
                    )
        image = summary.get("image", {}).get("voxel_size_m")
        voxels = None if image is None else tuple(float(edge) for edge in image)
        of_error = {name: errors[name] for name in curves if name in errors}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / SUMMARY, error) from error
    lines = {
        f"concentration: {name}": Curve(times, curve, "time", "s", "mol/m^3", of_error.get(name))
        for name, curve in curves.items()
    }
    return State(str(folder), figures, lines, voxels)


def _deff(path: Path, entries: dict[str, Any]) -> State:
    try:
        phase = str(entries["phase"])
        figures = {f"{phase}: volume fraction (deff)": Figure(float(entries["volume_fraction"]), "1")}
        for axis, along in entries["axes"].items():
            for key, unit, word in (
                ("relative_effective_diffusivity", "1", "D_eff / D_phase"),
                ("effective_diffusivity_m2_per_s", "m^2/s", "D_eff"),
                ("tortuosity_factor", "1", "tortuosity factor"),
            ):
                if along.get(key) is not None:
                    figures[f"{phase}: {word} along {axis}"] = Figure(float(along[key]), unit)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(path, error) from error
    return State(str(path), figures, {}, None)
