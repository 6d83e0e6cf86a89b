"""What a state's results hold: the figures and tables of an analysis, a run or an effective diffusivity."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.measurements.findings import Number
from microlith.workflow.results.csv_file import csv_rows
from microlith.workflow.results.folder import ANALYSIS, CURVES, ERRORS, SUMMARY, finish_if_free
from microlith.workflow.results.read import read_curves, read_summary

DRAWN = ("profile", "distribution")  # kinds of tables whose columns are curves over the first one
OF_REGION = (  # keys of value and error in summary.json, unit, and name
    ("final", "final_error", "mol/m^3", "last mean concentration"),
    ("t50_s", "t50_error_s", "s", "t50"),
    ("t90_s", "t90_error_s", "s", "t90"),
)
ALONG_AXIS = (  # key in the file of deff, unit, and name
    ("relative_effective_diffusivity", "1", "D_eff / D_phase"),
    ("effective_diffusivity_m2_per_s", "m^2/s", "D_eff"),
    ("tortuosity_factor", "1", "tortuosity factor"),
)


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
    numbers: dict[str, Number]  # by their names
    curves: dict[str, Curve]
    voxel_size: tuple[float, ...] | None  # m, in the order of arrays
    source: str = ""  # folders and files that it was read from


def state_of(name: str, paths: Sequence[Path]) -> State:
    """Read the results of one state.

    Args:
        name: Of the state.
        paths: Folders of `analyze` and `run`, files of `deff`; at least one.

    Raises:
        InputError: One of them is none of these or can't be read, or two give the same number or curve.
    """
    first, *others = [_results(path) for path in paths]
    for other in others:
        twice = [key for key, number in other.numbers.items() if first.numbers.get(key, number) != number]
        twice += [key for key in other.curves if key in first.curves]
        if twice:
            raise InputError(
                f"{name}: {first.name} and {other.name} both hold {twice[0]}; one state has one of a kind, so give "
                "them names of their own, as in pristine=results/a aged=results/b"
            )
        first = State(
            first.name,
            first.numbers | other.numbers,
            first.curves | other.curves,
            first.voxel_size or other.voxel_size,
        )
    return replace(first, name=name, source=", ".join(map(str, paths)))


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
    numbers = {key: number for one in found for key, number in one.numbers.items()}
    curves = {key: curve for one in found for key, curve in one.curves.items()}
    return State(str(path), numbers, curves, found[0].voxel_size)


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
        numbers = _by_name(
            Number(
                str(name),
                float("nan") if entry["value"] is None else float(entry["value"]),
                str(entry["unit"]),
                str(entry["definition"]),
                _float(entry["error"]),
            )
            for name, entry in entries["numbers"].items()
        )
        curves: dict[str, Curve] = {}
        for name, table in entries["tables"].items():
            if table["kind"] in DRAWN:
                curves |= _columns(folder / str(table["file"]), str(name), table["units"])
        voxels = tuple(float(edge) for edge in entries["voxel_size_m"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / ANALYSIS, error) from error
    return State(str(folder), numbers, curves, voxels)


def _columns(path: Path, name: str, units: Mapping[str, str]) -> dict[str, Curve]:
    """The columns of a table over its first one."""
    try:
        rows = csv_rows(path)
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
    try:
        numbers = _by_name(
            Number(f"{name}: {word}", float(region[key]), unit, "", _float(region.get(error)))
            for name, region in summary["regions"].items()
            for key, error, unit, word in OF_REGION
            if region.get(key) is not None
        )
        edges = summary.get("image", {}).get("voxel_size_m")
        voxels = None if edges is None else tuple(float(edge) for edge in edges)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / SUMMARY, error) from error
    lines = {
        f"concentration: {name}": Curve(times, curve, "time", "s", "mol/m^3", errors.get(name))
        for name, curve in curves.items()
    }
    return State(str(folder), numbers, lines, voxels)


def _deff(path: Path, entries: dict[str, Any]) -> State:
    try:
        phase = str(entries["phase"])
        along = _by_name(
            Number(f"{phase}: {word} along {axis}", float(found[key]), unit, "")
            for axis, found in entries["axes"].items()
            for key, unit, word in ALONG_AXIS
            if found.get(key) is not None
        )
        share = Number(f"{phase}: volume fraction (deff)", float(entries["volume_fraction"]), "1", "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(path, error) from error
    return State(str(path), {share.name: share} | along, {}, None)


def _by_name(numbers: Iterable[Number]) -> dict[str, Number]:
    return {number.name: number for number in numbers}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
