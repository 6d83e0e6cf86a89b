"""The report of a sweep, from its table and the folders of its cases."""

import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from microlith.imaging.errors import InputError
from microlith.workflow.pictures.figure import COLOURS
from microlith.workflow.report.of_run import flat
from microlith.workflow.report.page import MOST_SERIES, Cell, Page, Series, said
from microlith.workflow.report.sections import begun
from microlith.workflow.results.csv_file import csv_records
from microlith.workflow.results.folder import CURVES, REPORT, SUMMARY, SWEEP_MAP, SWEEP_PICTURE, SWEEP_TABLE
from microlith.workflow.results.read import read_curves, read_errors, read_summary

SHOWN = 20  # curves of a chart that are drawn at first
MOST_CHARTS = 16  # regions
MOST_FAILED = 10  # cases whose message stands at the top
FIGURES = (("t50, s", "t50_s"), ("t90, s", "t90_s"), ("last concentration, mol/m³", "final_mol_per_m3"))
TIMES, MOLES = "_s", "_mol_per_m3"  # ends of the names of columns


def sweep_page(folder: Path, entries: dict[str, Any]) -> Page:
    """The report of a sweep.

    Args:
        folder: Of the sweep.
        entries: Of its sweep.json.

    Raises:
        InputError: Its table, or results of one of its cases, can't be read.
    """
    rows = csv_records(folder / SWEEP_TABLE)
    labels = {str(name): str(label) for name, label in entries["labels"].items()}
    varied = [str(key) for key in entries["varied"]]
    page = begun(entries, str(entries["title"]), f"A sweep of {len(rows)} cases")
    _ends(page, rows, labels)
    page.section("Cases")
    head = ["case", *varied, "ended", "largest error", "warnings", "cells", "unknowns", "took, s"]
    page.table(head, [_case(row, varied, folder) for row in rows], "The name of a case leads to its own report.")
    done = [row for row in rows if row["status"] == "done"]
    regions = [name.removesuffix(".t50_s") for name in rows[0] if name.endswith(".t50_s")] if rows else []
    _regions(page, done, labels, regions)
    _curves(page, folder, done, labels)
    _pictures(page, folder)
    page.section("What was asked")
    page.text(f"The case file {entries['case']}, of which each case changes the keys above.", "quiet")
    page.table(["key", "value"], flat(entries["tables"]))
    _made(page, folder, done)
    return page


def _ends(page: Page, rows: list[dict[str, str]], labels: dict[str, str]) -> None:
    """How many cases are done, and what became of the others."""
    of_status = {status: [row for row in rows if row["status"] == status] for status in ("done", "failed")}
    other = len(rows) - sum(len(some) for some in of_status.values())
    page.text(f"{len(of_status['done'])} of {len(rows)} cases are done.", "quiet")
    if other:
        page.text(f"{other} cases are not at their end yet: run the sweep again to go on with them.", "warning")
    for row in of_status["failed"][:MOST_FAILED]:
        page.text(f"{labels.get(row['case'], row['case'])} failed: {row['message']}", "wrong")
    if len(of_status["failed"]) > MOST_FAILED:
        page.text(f"{len(of_status['failed']) - MOST_FAILED} more failed: see {SWEEP_TABLE}.", "wrong")
    warned = sum(row["warnings"] not in ("", "0") for row in of_status["done"])
    if warned:
        page.text(f"{warned} of the cases that are done have warnings: see their own reports.", "warning")


def _case(row: dict[str, str], varied: list[str], folder: Path) -> list[str | Cell]:
    name = row["case"]
    link = f"{quote(name)}/{REPORT}" if (folder / name / REPORT).is_file() else ""
    errors = [_number(value) for key, value in row.items() if key.endswith(".largest_error")]
    worst = max((error for error in errors if not math.isnan(error)), default=math.nan)
    error = "–" if math.isnan(worst) else f"{100 * worst:.2g} %"
    figures = [said(_number(row[key])) if row[key] else "–" for key in ("warnings", "cells", "unknowns", "total_s")]
    return [Cell(name, link=link), *(row[key] for key in varied), Cell(row["status"], row["message"]), error, *figures]


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _regions(page: Page, rows: list[dict[str, str]], labels: dict[str, str], regions: list[str]) -> None:
    if rows and regions:
        page.section("Regions")
        page.text("Each figure with its estimated error in time and space. A dash: not reached by the end.", "quiet")
    for region in regions if rows else []:
        page.heading(region)
        page.table(
            ["case", *(words for words, _ in FIGURES)],
            [
                [labels.get(row["case"], row["case"]), *(_figure(row, region, key) for _, key in FIGURES)]
                for row in rows
            ],
        )


def _figure(row: dict[str, str], region: str, key: str) -> str:
    """A figure with its error."""
    end = TIMES if key.endswith(TIMES) else MOLES
    value, error = (_number(row.get(f"{region}.{name}", "")) for name in (key, f"{key.removesuffix(end)}_error{end}"))
    if math.isnan(value):
        return "–"
    return said(value, 5) + ("" if math.isnan(error) else f" ± {said(error, 2)}")


def _curves(page: Page, folder: Path, rows: list[dict[str, str]], labels: dict[str, str]) -> None:
    """Curves of all cases over each other, a chart for each region."""
    if not rows:
        return
    page.section("Curves")
    chosen = rows
    if len(rows) > MOST_SERIES:
        chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, MOST_SERIES).round().astype(int)]
        page.text(f"{MOST_SERIES} of the {len(rows)} cases that are done, from the first to the last.", "quiet")
    series: dict[str, list[Series]] = {}
    for row, colour in zip(chosen, _colours(len(chosen)), strict=True):
        own = folder / row["case"]
        times, curves = read_curves(own / CURVES)
        errors = read_errors(own)
        for region, curve in curves.items():
            error = errors.get(region)
            low, high = (None, None) if error is None else (curve - error, curve + error)
            one = Series(labels.get(row["case"], row["case"]), times, curve, low, high, colour=colour)
            series.setdefault(region, []).append(one)
    for region, some in list(series.items())[:MOST_CHARTS]:
        page.chart(region, "time (s)", "mean concentration (mol/m³)", some, log=True, shown=SHOWN)
    if len(series) > MOST_CHARTS:
        page.text(f"{len(series) - MOST_CHARTS} more regions are in the reports of the cases.", "quiet")


def _colours(count: int) -> list[str]:
    """Colours that are told apart of a few curves; from dark to light of many, in their order."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0.0, 0.92, count))]


def _pictures(page: Page, folder: Path) -> None:
    there = [(folder / name, text) for name, text in ((SWEEP_MAP, "map"), (SWEEP_PICTURE, "curves of all cases"))]
    if any(path.is_file() for path, _ in there):
        page.section("Pictures")
    for path, text in there:
        if path.is_file():
            page.picture(path, text)


def _made(page: Page, folder: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        try:
            summary = read_summary(folder / row["case"])
        except InputError:
            continue
        page.section("How it was made")
        versions = summary.get("versions", {})
        page.text(f"Versions, from {SUMMARY} of the first case.", "quiet")
        page.table(["versions", ""], [[name, str(value)] for name, value in versions.items()])
        return
