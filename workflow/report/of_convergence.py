"""The report of a study of convergence, from the files in its folder."""

from pathlib import Path
from typing import Any

import numpy as np

from microlith.workflow.report.of_run import flat, table_of, words
from microlith.workflow.report.page import Page, Series, said
from microlith.workflow.report.sections import asked, begun, pictures, warnings
from microlith.workflow.results.folder import CONVERGE_TABLE

RUN_KEYS = ("coarseness", "degree", "tolerance", "cells", "unknowns", "error_in_time", "imbalance", "seconds")


def convergence_page(folder: Path, entries: dict[str, Any]) -> Page:
    """The report of a study of convergence.

    Args:
        folder: With its files.
        entries: Of converge.json.
    """
    page = begun(entries, str(entries["case"].get("title") or ""), "Convergence of the curves with the mesh")
    warnings(page, entries.get("warnings", []))
    _regions(page, entries)
    _curves(page, entries)
    page.section("Meshes")
    page.table([words(key) for key in RUN_KEYS], [[said(run.get(key)) for key in RUN_KEYS] for run in entries["runs"]])
    _times(page, entries)
    if (folder / CONVERGE_TABLE).is_file():
        _errors(page, folder)
    if entries.get("segmentation"):
        _segmentation(page, entries["segmentation"])
    pictures(page, folder)
    asked(page, entries)
    return page


def _regions(page: Page, entries: dict[str, Any]) -> None:
    page.section("Regions")
    page.text(str(entries["errors_are"]), "quiet")
    rows = [
        [
            name,
            said(one.get("order"), 3),
            said(one.get("error_in_space"), 2),
            said(one.get("error_in_space_of_what_it_holds"), 2),
            said(one.get("error_in_time"), 2),
            said(one.get("asymptotic")),
        ]
        for name, one in entries["regions"].items()
    ]
    head = ["region", "observed order", "error in space", "of what it holds", "error in time"]
    page.table([*head, "in the range of that order"], rows)
    if entries.get("sizes"):
        page.table(["sizes", ""], flat(entries["sizes"]))


def _curves(page: Page, entries: dict[str, Any]) -> None:
    """Curves of the case as given, with their errors, and what they are extrapolated to."""
    times, full = np.array(entries["times_s"], float), entries["reference_concentration_mol_per_m3"]
    series, limits = [], []
    for name, one in entries["regions"].items():
        if one.get("curve_mol_per_m3") is None:
            continue
        curve = np.array(one["curve_mol_per_m3"], float)
        error = full * (np.array(one.get("errors_over_time") or np.zeros_like(curve), float) + one["error_in_time"])
        series.append(Series(name, times, curve, curve - error, curve + error))
        if one.get("extrapolated") is not None:
            limits.append(Series(f"{name}, extrapolated", times, full * np.array(one["extrapolated"], float)))
    if series:
        page.section("Curves")
        title = "Mean concentration of the case as given, with its error in space and time"
        page.chart(title, "time (s)", "concentration (mol/m³)", [*series, *limits], log=True)


def _times(page: Page, entries: dict[str, Any]) -> None:
    """When each region is half full, mesh by mesh."""
    runs, regions = entries["runs"], list(entries["regions"])
    if any(value is not None for run in runs for value in run.get("t50_s", {}).values()):
        head = ["unknowns", *(f"t50 of {name}, s" for name in regions)]
        page.table(head, [[said(run["unknowns"]), *(said(run["t50_s"].get(r), 6) for r in regions)] for run in runs])


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


def _segmentation(page: Page, entries: dict[str, Any]) -> None:
    """What happens to the curves when interfaces move."""
    page.section("Interfaces moved")
    rows = []
    for name, found in entries["regions"].items():
        ways = {way: found[way] or {} for way in ("smaller", "as_is", "larger")}
        changes = [said(ways[way].get("largest_change"), 2) for way in ("smaller", "larger")]
        rows.append([name, *changes, *(said(ways[way].get("t50_s"), 5) for way in ("smaller", "as_is", "larger"))])
    head = ["region", "change, smaller", "change, larger", "t50, smaller, s", "t50 as it is, s", "t50, larger, s"]
    page.table(head, rows, f"Moved: {said(entries['moved'])}, by {said(entries['by'])}")
