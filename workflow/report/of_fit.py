"""The report of a fit, from the files in its folder."""

from pathlib import Path
from typing import Any

import numpy as np

from microlith.workflow.pictures.figure import COLOURS
from microlith.workflow.report.of_run import table_of
from microlith.workflow.report.page import Page, Series, said
from microlith.workflow.report.sections import asked, begun, pictures, warnings
from microlith.workflow.results.folder import FIT_CURVES, FIT_TABLE

INTERVALS = (
    "The interval has two parts: what the scatter of the data leaves open, and how far curves that are off by their "
    "estimated errors in time and space can shift the value."
)


def fit_page(folder: Path, entries: dict[str, Any]) -> Page:
    """The report of a fit.

    Args:
        folder: With its files.
        entries: Of fit.json.
    """
    page = begun(entries, str(entries["case"].get("title") or ""), "Fit to measured curves")
    warnings(page, entries["warnings"])
    _parameters(page, entries)
    _curves(page, folder, entries)
    page.section("Data")
    data, residuals = entries["data"], entries["residuals"]
    rows = [
        ["file", said(data["file"])],
        ["values", said(data["values"])],
        ["times, s", f"{said(data['first_time_s'], 6)} to {said(data['last_time_s'], 6)}"],
        ["standard deviations given", said(data["standard_deviations"])],
        ["residuals, root mean square, mol/m³", said(residuals["root_mean_square_mol_per_m3"])],
        *([f"residuals of {name}, mol/m³", said(value)] for name, value in residuals["regions_mol_per_m3"].items()),
        ["residuals per standard deviation", said(residuals["per_standard_deviation"])],
        ["largest error of the computed curves, mol/m³", said(residuals["largest_error_of_curves_mol_per_m3"])],
        ["solves", said(entries["solves"])],
    ]
    page.table(["data and residuals", ""], rows)
    pictures(page, folder)
    asked(page, entries)
    return page


def _parameters(page: Page, entries: dict[str, Any]) -> None:
    page.section("Parameters")
    rows = []
    for key, one in entries["parameters"].items():
        state = "not determined" if not one["determined"] else f"at the {one['at_end_of_range']} end of its range"
        told = state if not one["determined"] or one["at_end_of_range"] else "yes"
        both, alone = (_range(one[name]) for name in ("interval", "interval_from_scatter"))
        rows.append([key, said(one["value"], 5), str(one["unit"]), both, alone, _range(one["range"]), told])
    head = ["key", "value", "unit", "95 % interval", "of the scatter alone", "looked for in", "determined"]
    page.table(head, rows, "With the values found, the rest of the case as it was: best.toml.")
    page.text(INTERVALS, "quiet")
    keys = list(entries["parameters"])
    if len(keys) > 1:
        table = zip(keys, entries["correlation"], strict=True)
        page.table(["correlation", *keys], [[key, *(said(value, 3) for value in row)] for key, row in table])


def _range(ends: list[float] | None) -> str:
    return "–" if ends is None else f"{said(ends[0])} to {said(ends[1])}"


def _curves(page: Page, folder: Path, entries: dict[str, Any]) -> None:
    """Curves with bands of their errors and the measured values; residuals."""
    fitted, table = table_of(folder / FIT_CURVES)[1], table_of(folder / FIT_TABLE)[1]
    page.section("Curves")
    shown, residuals = [], []
    for number, name in enumerate(entries["data"]["regions"]):
        colour = COLOURS[number % len(COLOURS)]
        curve, error = fitted[name], fitted[f"{name} error"]
        there = np.isfinite(table[f"{name} measured"])
        t, measured = table["time_s"][there], table[f"{name} measured"][there]
        low = high = None
        if f"{name} sd" in table:
            deviation = table[f"{name} sd"][there]
            low, high = measured - deviation, measured + deviation
        shown.append(Series(f"{name}, fitted", fitted["time_s"], curve, curve - error, curve + error, colour=colour))
        shown.append(Series(f"{name}, measured", t, measured, low, high, points=True, colour=colour))
        residuals.append(Series(name, t, table[f"{name} residual"][there], points=True))
    title = "What was measured, and the fitted curves with their errors in time and space"
    page.chart(title, "time (s)", "concentration (mol/m³)", shown)
    page.chart("Residuals", "time (s)", "fitted less measured (mol/m³)", residuals)
