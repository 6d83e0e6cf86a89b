"""The files of a fit: fit.json, fit.csv, fit.png, best.toml, report.html; and what is printed."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.imaging.writing import write_text
from microlith.workflow.case.describe import interpreted
from microlith.workflow.console.terminal import table_console
from microlith.workflow.fit.case_file import case_text, for_folder
from microlith.workflow.fit.fitted import Estimate, Fit
from microlith.workflow.fit.picture import draw_fit
from microlith.workflow.pictures.figure import files_of
from microlith.workflow.report.of_folder import write_report
from microlith.workflow.results.csv_file import write_csv
from microlith.workflow.results.folder import FIT, FIT_CASE, FIT_CURVES, FIT_PICTURE, FIT_TABLE, REPORT
from microlith.workflow.results.json_file import versions, write_summary

INTERVALS_ARE = (
    "interval: 95 %, with the scatter of the data and the estimated errors of the computed curves; "
    "interval_from_scatter: 95 %, of the scatter alone; interval_cut_off: ends at which they lie where the case file "
    "allows no more; errors_of_curves_shift: largest relative shift (of a parameter "
    "varied in its logarithm) or shift that curves off by no more than their errors can make; null: the data say "
    "nothing"
)


def write_fit(found: Fit, folder: Path, home: Path) -> list[str]:
    """Write all files of a fit; for one rank.

    Args:
        found: The fit.
        folder: That they go to.
        home: Where they will be in the end.

    Returns:
        Names of the files.

    Raises:
        InputError: A file can't be written.
    """
    write_summary(folder / FIT, entries(found))
    _write_table(folder / FIT_TABLE, found)
    _write_curves(folder / FIT_CURVES, found)
    draw_fit(folder / FIT_PICTURE, found)
    write_text(folder / FIT_CASE, _best(found, home))
    write_report(folder, "fit")
    pictures = [file.name for file in files_of(folder / FIT_PICTURE, found.case.pictures)]
    return [FIT, FIT_TABLE, FIT_CURVES, *pictures, FIT_CASE, REPORT]


def entries(found: Fit) -> dict[str, Any]:
    """What fit.json holds."""
    unsure, measured = found.uncertainty, found.measured
    return {
        "versions": versions(),
        "case": interpreted(found.case),
        "data": {
            "file": measured.name,
            "values": measured.size,
            "regions": measured.regions,
            "first_time_s": measured.times[0],
            "last_time_s": measured.times[-1],
            "standard_deviations": measured.deviations is not None,
        },
        "warnings": found.warnings,
        "intervals_are": INTERVALS_ARE,
        "parameters": {one.parameter.key: _of_parameter(one, found, k) for k, one in enumerate(found.estimates)},
        "correlation": unsure.correlation,
        "residuals": {
            "root_mean_square_mol_per_m3": float(np.sqrt(np.mean(found.residuals**2))),
            "regions_mol_per_m3": found.summary_of_regions,
            "per_standard_deviation": None if measured.deviations is None else unsure.scatter,
            "degrees_of_freedom": unsure.freedom,
            "largest_error_of_curves_mol_per_m3": float(found.errors.max(initial=0.0)),
        },
        "solves": found.solves,
        "timings_s": found.seconds,
    }


def _of_parameter(one: Estimate, found: Fit, k: int) -> dict[str, Any]:
    parameter = one.parameter
    return {
        "value": one.value,
        "unit": parameter.unit or "1",
        "interval": _pair(one.interval),
        "interval_from_scatter": _pair(one.statistical),
        "interval_cut_off": list(one.cut),
        "errors_of_curves_shift": float(found.uncertainty.of_curves[k] * parameter.span),
        "varied_in_logarithm": parameter.is_logarithmic,
        "range": [parameter.low, parameter.high],
        "start": parameter.start,
        "determined": one.determined,
        "at_end_of_range": one.at_end or None,
    }


def _pair(ends: tuple[float, float]) -> list[float] | None:
    return list(ends) if all(map(math.isfinite, ends)) else None


def _write_table(path: Path, found: Fit) -> None:
    """A row for each time of the data."""
    measured = found.measured
    given = measured.deviations is not None
    columns = ["measured", *(["sd"] if given else []), "fitted", "error", "residual"]
    header = ["time_s", *(f"{name} {column}" for name in measured.regions for column in columns)]
    rows = []
    for moment, time in enumerate(measured.times):
        at = np.flatnonzero(measured.moment == moment)
        for repeat in range(max(np.bincount(measured.region[at]), default=0)):
            row = [f"{time:.12g}"]
            for index in range(len(measured.regions)):
                mine = at[measured.region[at] == index]
                row += _cells(found, int(mine[repeat])) if repeat < len(mine) else [""] * len(columns)
            rows.append(row)
    what = (
        "time_s in s; of each region what was measured, its standard deviation where given, the fitted curve, the "
        "estimated error of that in time and space, and the residual (fitted less measured), in mol/m^3"
    )
    write_csv(path, found.title, what, header, rows)


def _cells(found: Fit, i: int) -> list[str]:
    measured = found.measured
    deviations = [] if measured.deviations is None else [measured.deviations[i]]
    numbers = [measured.values[i], *deviations, found.values[i], found.errors[i], found.residuals[i]]
    return [f"{number:.9g}" for number in numbers]


def _write_curves(path: Path, found: Fit) -> None:
    """The fitted curves at more times, with bands."""
    header = ["time_s"]
    columns: list[Array] = [found.times]
    for name, curve in found.curves.items():
        header += [name, f"{name} error"]
        columns += [curve, found.curve_errors[name]]
    what = "time_s in s; mean concentration of each region with the fitted values, and its estimated error, in mol/m^3"
    rows = ([f"{value:.12g}" for value in row] for row in np.stack(columns, axis=1))
    write_csv(path, found.title, what, header, rows)


def _best(found: Fit, home: Path) -> str:
    subject = found.subject
    comments = [f"{subject.path} with the values that microlith fit found for {found.measured.name}"]
    comments += [
        f"{one.parameter.key}: {one.parameter.said(one.value)}, 95 % {_range(one.interval)}" for one in found.estimates
    ]
    if subject.image is not None:
        comments.append("the labels were in memory: name their file in [image]")
    return case_text(for_folder(found.tables, subject.path.parent, home), comments)


def _range(ends: tuple[float, float]) -> str:
    if not all(map(math.isfinite, ends)):
        return "not determined"
    return f"{ends[0]:.4g} to {ends[1]:.4g}"


def print_fit(found: Fit) -> None:
    """Print values and intervals."""
    console = table_console()
    for line in lines_of(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines_of(found: Fit) -> list[str]:
    """Values, intervals, residuals and correlations in words."""
    lines = [found.title]
    for one in found.estimates:
        alone = f" ({_range(one.statistical)} of the scatter alone)" if np.isfinite(one.statistical).all() else ""
        cut = f"; cut off at the {' and '.join(one.cut)} end, where the case file allows no more" if one.cut else ""
        lines.append(f"{one.parameter.key} = {one.parameter.said(one.value)}, 95 %: {_range(one.interval)}{alone}{cut}")
    rms = float(np.sqrt(np.mean(found.residuals**2)))
    lines.append(f"{found.measured.size} values, residuals {rms:.4g} mol/m³ (root mean square), {found.solves} solves")
    names = [one.parameter.key for one in found.estimates]
    lines += [
        f"correlation of {names[i]} and {names[j]}: {found.uncertainty.correlation[i, j]:+.3f}"
        for i in range(len(names))
        for j in range(i)
    ]
    return lines
