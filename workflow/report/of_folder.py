"""The report of whatever a command left in a folder: a run, an analysis of an image, or a study of convergence."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.workflow.report.of_run import flat, run_page, table_of, words
from microlith.workflow.report.page import Page, Series, said
from microlith.workflow.results.folder import ANALYSIS, CONVERGE, CONVERGE_TABLE, SUMMARY, Writer, finish_if_free

CURVES = ("profile", "distribution")  # kinds of an analysis's tables whose columns are curves over the first one


def folder_page(folder: Path) -> tuple[Page, Writer]:
    """The report of a folder, and the command whose results it shows: those of a run where there are several.

    Raises:
        InputError: There is no such folder, nothing in it that has a report, or it can't be read.
    """
    if folder.is_dir():
        finish_if_free(folder)
    kinds: tuple[tuple[Writer, str, Callable[[Path, dict[str, Any]], Page]], ...] = (
        ("analyze", ANALYSIS, _analysis),
        ("converge", CONVERGE, _convergence),
    )
    if folder.is_dir() and not (folder / SUMMARY).is_file():
        for writer, name, made in kinds:
            if (folder / name).is_file():
                return _made(folder / name, made), writer
    return run_page(folder), "run"


def _made(path: Path, page: Callable[[Path, dict[str, Any]], Page]) -> Page:
    try:
        return page(path.parent, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: can't be shown ({type(error).__name__}: {error}); it may be of another version of microlith: "
            "make it again"
        ) from error


def _begun(entries: dict[str, Any], what: str) -> Page:
    version = entries.get("versions", {}).get("microlith", "")
    return Page(str(entries["case"].get("title") or what), f"{what} · microlith {version}")


def _analysis(folder: Path, entries: dict[str, Any]) -> Page:
    page = _begun(entries, "Analysis of an image")
    page.section("Numbers")
    rows = [
        [name, said(number["value"]), said(number.get("error"), 2), str(number["unit"]), str(number["definition"])]
        for name, number in entries["numbers"].items()
    ]
    page.table(["number", "value", "error", "unit", "what it is"], rows)
    notes = [note for some in entries.get("notes", {}).values() for note in some]
    for note in notes:
        page.text(str(note), "quiet")
    page.section("Curves")
    for table in entries["tables"].values():
        if table["kind"] in CURVES:
            _curves(page, folder, table)
    _pictures(page, folder)
    _asked(page, entries)
    return page


def _curves(page: Page, folder: Path, table: dict[str, Any]) -> None:
    path = folder / str(table["file"])
    if not path.is_file():
        return
    head, columns = table_of(path)
    units = table.get("units", {})
    x = head[0]
    unit = str(units.get(x, "1"))
    along, unit = (1e6 * columns[x], "µm") if unit == "m" else (columns[x], unit)
    series = [Series(name, along, columns[name]) for name in head[1:] if units.get(name) != "m"]
    y_units = sorted({str(units.get(one.name, "1")) for one in series} - {"1"})
    page.chart(str(table["text"]), f"{words(x)} ({unit})" if unit != "1" else words(x), ", ".join(y_units), series)


def _convergence(folder: Path, entries: dict[str, Any]) -> Page:
    page = _begun(entries, "Convergence of the curves with the mesh")
    page.section("Regions")
    page.text(str(entries["errors_are"]), "quiet")
    rows = [
        [name, said(one.get("order"), 3), said(one.get("error_in_space"), 2), said(one.get("asymptotic"))]
        for name, one in entries["regions"].items()
    ]
    page.table(["region", "observed order", "error in space", "in the range of that order"], rows)
    if entries.get("sizes"):
        page.table(["sizes", ""], flat(entries["sizes"]))
    page.section("Meshes")
    keys = ("coarseness", "degree", "tolerance", "cells", "unknowns", "error_in_time", "imbalance")
    page.table([words(key) for key in keys], [[said(run.get(key)) for key in keys] for run in entries["runs"]])
    if (folder / CONVERGE_TABLE).is_file():
        _errors(page, folder)
    _pictures(page, folder)
    _asked(page, entries)
    return page


def _errors(page: Page, folder: Path) -> None:
    """Estimated errors against the number of unknowns."""
    _, columns = table_of(folder / CONVERGE_TABLE, text=("region",))
    regions = np.array(columns["region"], dtype=object)
    series = []
    for region in dict.fromkeys(regions.tolist()):
        mine = regions == region
        order = np.argsort(columns["unknowns"][mine])
        errors = np.log10(np.where(columns["error"][mine] > 0, columns["error"][mine], np.nan))
        series.append(Series(str(region), columns["unknowns"][mine][order], errors[order]))
    page.chart("Error in space", "unknowns", "log10 of the error, per reference concentration", series, log=True)


def _pictures(page: Page, folder: Path) -> None:
    pictures = sorted(folder.glob("*.png"))
    if pictures:
        page.section("Pictures")
    for path in pictures:
        page.picture(path, words(path.stem.replace("-", " ")))


def _asked(page: Page, entries: dict[str, Any]) -> None:
    page.section("What was asked")
    page.table(["key", "value"], flat(entries["case"]))
    page.section("How it was made")
    page.table(["stage", "s"], _timings(entries))
    page.table(["versions", ""], [[name, str(value)] for name, value in entries.get("versions", {}).items()])


def _timings(entries: dict[str, Any]) -> Iterator[list[str]]:
    for name, value in entries.get("timings_s", {}).items():
        yield [words(name), said(value)]
