"""What a state's results hold: the figures and tables of an analysis, a run or an effective diffusivity."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from microlith.imaging.errors import InputError, listed
from microlith.imaging.typing import Array
from microlith.workflow.comparison.diffusivities import diffusivities_of
from microlith.workflow.comparison.limits import limited
from microlith.workflow.measurements.findings import Number
from microlith.workflow.results.csv_file import csv_rows
from microlith.workflow.results.folder import (
    ANALYSIS,
    COMPARISON,
    CONDUCTION,
    CONVERGE,
    CURVES,
    FIT,
    SEGMENT,
    SUMMARY,
    SWEEP,
    Writer,
    finish_if_free,
)
from microlith.workflow.results.read import read_curves, read_errors, read_summary, refuse_case_file

EXPECTED = "a folder that microlith run, analyze or deff wrote, or a JSON file of microlith deff"
HOLD_NUMBERS = (SUMMARY, ANALYSIS, CONDUCTION)  # files that numbers are read from
# Files by which folders of other commands are told
OF_OTHERS: dict[str, Writer] = {
    SWEEP: "sweep",
    CONVERGE: "converge",
    FIT: "fit",
    SEGMENT: "segment",
    COMPARISON: "compare",
}

ALIKE = 1e-9  # relative, of numbers that are the same
DRAWN = ("profile", "distribution")  # kinds of tables whose columns are curves over the first one
OF_REGION = (  # keys of value and error in summary.json, unit, and name
    ("final", "final_error", "mol/m^3", "last mean concentration"),
    ("t50_s", "t50_error_s", "s", "t50"),
    ("t90_s", "t90_error_s", "s", "t90"),
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
    source: str = ""  # folders and files that it was read from, as given
    same_as: str = ""  # these folders and files, the same text for the same ones
    kinds: dict[str, str] = field(default_factory=dict)  # name of a quantity -> how it was found, in words


def state_of(name: str, paths: Sequence[Path]) -> State:
    """Read the results of one state.

    Args:
        name: Of the state.
        paths: Folders of `run`, `analyze` and `deff`, files of `deff`; at least one.

    Raises:
        InputError: One of them is none of these or can't be read, or two give the same number or curve.
    """
    first, *others = [_results(path) for path in paths]
    for other in others:
        twice = [key for key, number in other.numbers.items() if _differ(first.numbers.get(key, number), number)]
        twice += [key for key in other.curves if key in first.curves]
        if twice:
            raise InputError(
                f"{name}: {first.name} and {other.name} both hold {twice[0]}; one state has one of a kind, so give "
                "them names of their own, as in pristine=results/a aged=results/b"
            )
        first = State(
            first.name,
            first.numbers | {key: _better(first.numbers.get(key), number) for key, number in other.numbers.items()},
            first.curves | other.curves,
            first.voxel_size or other.voxel_size,
            kinds=first.kinds | other.kinds,
        )
    return replace(
        first, name=name, source=", ".join(map(str, paths)), same_as="\n".join(sorted(str(p.resolve()) for p in paths))
    )


def _differ(one: Number, other: Number) -> bool:
    """Whether two are not the same number; one may be known without its error."""
    if one.unit != other.unit or not _alike(one.value, other.value):
        return True
    if one.bounds is None or other.bounds is None:
        return False
    return not all(map(_alike, one.bounds, other.bounds))


def _alike(one: float, other: float) -> bool:
    """Whether two values are the same to rounding, such as on other numbers of ranks."""
    return math.isclose(one, other, rel_tol=ALIKE) or (math.isnan(one) and math.isnan(other))


def _better(one: Number | None, other: Number) -> Number:
    """Of two that are the same, the one whose error is known."""
    return other if one is None or one.bounds is None else one


def _results(path: Path) -> State:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; name {EXPECTED}")
    if path.is_file():
        _refuse_other_file(path)
        return _deff(path, _read(path))
    finish_if_free(path)
    found = [_analysis(path)] if (path / ANALYSIS).is_file() else []
    found += [_run(path)] if (path / SUMMARY).is_file() else []
    found += [_deff(path / CONDUCTION, _read(path / CONDUCTION))] if (path / CONDUCTION).is_file() else []
    if not found:
        _refuse_folder(path)
    numbers = {key: number for one in found for key, number in one.numbers.items()}
    curves = {key: curve for one in found for key, curve in one.curves.items()}
    kinds = {key: kind for one in found for key, kind in one.kinds.items()}
    return State(str(path), numbers, curves, found[0].voxel_size, kinds=kinds)


def _refuse_other_file(path: Path) -> None:
    """Refuse a file that can't be of `deff`, with what to name in its place."""
    refuse_case_file(path)
    folder = path.absolute().parent
    if path.name != CONDUCTION and any((folder / name).is_file() for name in HOLD_NUMBERS):
        raise InputError(f"{path}: this is one file of a folder of results; name the folder, {path.parent}")


def _refuse_folder(path: Path) -> NoReturn:
    """Refuse a folder that holds nothing to compare, with what it holds."""
    writer = next((writer for name, writer in OF_OTHERS.items() if (path / name).is_file()), None)
    what = f"there is neither {', '.join(HOLD_NUMBERS[:-1])} nor {HOLD_NUMBERS[-1]}"
    if writer is not None:
        what = f"this is a folder of microlith {writer}, which compare does not take"
    within = sorted(entry.name for entry in path.iterdir() if any((entry / name).is_file() for name in HOLD_NUMBERS))
    if within:
        what += f"; there are results in folders within it: {listed(within, 5)}"
    raise InputError(f"{path}: {what}; name {EXPECTED}")


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if path.suffix == ".json":
            raise InputError(f"{path}: can't be read as results of microlith ({error}); make them again") from error
        raise InputError(f"{path}: this is no file of results; name {EXPECTED}") from error
    if isinstance(entries, dict):
        return entries
    raise InputError(f"{path}: this file holds no results of microlith; name {EXPECTED}")


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
        kinds = _kinds_of_analysis(numbers, entries.get("case", {}).get("analysis", {}))
    except InputError:  # of a table, whose sentence says all
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / ANALYSIS, error) from error
    return State(str(folder), numbers, curves, voxels, kinds=kinds)


def _kinds_of_analysis(numbers: Iterable[str], settings: Mapping[str, Any]) -> dict[str, str]:
    """What particles are, if any were measured."""
    if not any(name.startswith("particle_") for name in numbers):
        return {}
    if settings.get("particle_labels"):
        return {"particles": "those of [analysis] particle_labels"}
    split = settings.get("split")
    return {"particles": "connected bodies" if split is None else f"cut apart with split = {split:.6g}"}


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
    errors = read_errors(folder)
    try:
        numbers = _by_name(
            Number(f"{name}: {word}", float(region[key]), unit, "", _float(region.get(error)))
            for name, region in summary["regions"].items()
            for key, error, unit, word in OF_REGION
            if region.get(key) is not None
        )
        edges = summary.get("image", {}).get("voxel_size_m")
        voxels = None if edges is None else tuple(float(edge) for edge in edges)
        kinds = _kinds_of_run(numbers, times, summary["error"].get("reference_concentration_mol_per_m3"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(folder / SUMMARY, error) from error
    lines = {
        f"concentration: {name}": Curve(times, curve, "time", "s", "mol/m^3", errors.get(name))
        for name, curve in curves.items()
    }
    return State(str(folder), numbers, lines, voxels, kinds=kinds)


def _kinds_of_run(numbers: Iterable[str], times: Array, reference: float | None) -> dict[str, str]:
    """Which time last concentrations are of, and which concentrations half-times are: runs may differ in both."""
    found = {"last mean concentration": f"at {times[-1]:.6g} s"}
    if reference is not None and any(name.endswith((": t50", ": t90")) for name in numbers):
        found["t50 and t90"] = f"times of 50 and 90 % of {reference:.6g} mol/m³"
    return found


def _deff(path: Path, entries: dict[str, Any]) -> State:
    try:
        numbers, kinds = diffusivities_of(entries)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if path.name != CONDUCTION:  # whatever the user has named
            raise InputError(f"{path}: this file is not of microlith deff; name {EXPECTED}") from error
        raise _wrong(path, error) from error
    return State(str(path), _by_name(numbers), {}, None, kinds=kinds)


def _by_name(numbers: Iterable[Number]) -> dict[str, Number]:
    return {number.name: limited(number) for number in numbers}


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
