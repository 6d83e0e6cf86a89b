"""The report of a run, from the files in its folder."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.imaging.writing import write_text
from microlith.workflow.report.page import Page, Series, said
from microlith.workflow.results.csv_file import csv_rows
from microlith.workflow.results.folder import (
    CURVES,
    DISTANCE_PICTURE,
    FLUXES,
    PARTICLES,
    PARTICLES_PICTURE,
    PROFILE,
    REPORT,
    SCENE,
    SNAPSHOT_PREFIX,
    SPREAD,
    SUMMARY,
)
from microlith.workflow.results.read import read_curves, read_errors, read_summary

MOST_ROWS = 30  # of tables of regions and particles
TITLES = {True: "area, µm²", False: "volume, µm³"}


def write_run_report(folder: Path) -> None:
    """Write report.html into a folder that holds a run's other files.

    Raises:
        InputError: One of them can't be read, or the report can't be written.
    """
    write_text(folder / REPORT, run_page(folder).html())


def run_page(folder: Path) -> Page:
    """The report of a run.

    Args:
        folder: With its files.

    Raises:
        InputError: One of them can't be read.
    """
    summary = read_summary(folder)
    try:
        return _page(folder, summary)
    except InputError:  # names its file
        raise
    except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        raise InputError(
            f"{folder / SUMMARY}: can't be shown ({type(error).__name__}: {error}); it may be of another version of "
            "microlith: run the case again"
        ) from error


def _page(folder: Path, summary: dict[str, Any]) -> Page:
    run, versions = summary.get("run", {}), summary.get("versions", {})
    ranks = run.get("ranks", 1)
    below = (
        f"microlith {versions.get('microlith', '')} · {_date(run.get('started', ''))} · {run.get('host', '')}, "
        f"{ranks} {'rank' if ranks == 1 else 'ranks'} · {said(run.get('total_s'))} s"
    )
    page = Page(str(summary["case"]["title"] or "A run of microlith"), below)
    _verdict(page, summary)
    _regions(page, summary)
    _curves(page, folder)
    _fluxes(page, folder, summary)
    _profiles(page, folder)
    _pictures(page, folder)
    _particles(page, folder)
    _mesh(page, summary)
    _errors(page, summary)
    _asked(page, summary)
    _made(page, summary)
    return page


def _date(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC%z")
    except ValueError:
        return text


def _verdict(page: Page, summary: dict[str, Any]) -> None:
    if not summary.get("checks", {}).get("sound", True):
        page.text("Do not use these results: see the warnings.", "wrong")
    for sentence in summary.get("warnings", ()):
        page.text(str(sentence), "warning")
    if not summary.get("warnings"):
        page.text("No warnings.", "quiet")
    for note in summary.get("checks", {}).get("notes", ()):
        page.text(str(note), "quiet")


def _regions(page: Page, summary: dict[str, Any]) -> None:
    regions = summary["regions"]
    if not regions:
        return
    page.section("Regions")
    rows = []
    for name, entries in islice(regions.items(), MOST_ROWS):
        error = entries.get("error", {}).get("largest")
        cells = [
            _with_error(entries, key, f"{key.removesuffix('_s')}_error{'_s' if key.endswith('_s') else ''}")
            for key in ("final", "t50_s", "t90_s")
        ]
        rows.append([name, *cells, "–" if error is None else f"{100 * error:.2g} %"])
    head = ["region", "at the end, mol/m³", "t50, s", "t90, s", "largest error"]
    page.table(head, rows, "Means over regions; errors in time and, where estimated, in space.")
    if len(regions) > MOST_ROWS:
        page.text(f"{len(regions) - MOST_ROWS} more regions are in {SUMMARY}.", "quiet")


def _with_error(entries: dict[str, Any], key: str, error: str) -> str:
    value, off = entries.get(key), entries.get(error)
    if value is None:
        return "–"
    return said(value, 5) + ("" if off is None else f" ± {said(off, 2)}")


def _curves(page: Page, folder: Path) -> None:
    times, curves = read_curves(folder / CURVES)
    errors = read_errors(folder)
    if not curves:
        return
    page.section("Curves")
    series = [
        Series(name, times, y, *((y - errors[name], y + errors[name]) if name in errors else ()))
        for name, y in curves.items()
    ]
    page.chart("Mean concentration, with its error", "time (s)", "concentration (mol/m³)", series, log=True)
    if (folder / SPREAD).is_file():
        at, columns = _table(folder / SPREAD)
        bands = [
            Series(name, at, np.interp(at, times, curves[name]), columns[f"{name} 5 %"], columns[f"{name} 95 %"])
            for name in curves
            if f"{name} 5 %" in columns
        ]
        page.chart("Mean, and where 90 % of the region lies", "time (s)", "concentration (mol/m³)", bands, log=True)


def _fluxes(page: Page, folder: Path, summary: dict[str, Any]) -> None:
    page.section("Fluxes and balance")
    if (folder / FLUXES).is_file():
        times, columns = _table(folder / FLUXES)
        flat = "metre" in summary["mass_balance"]["unit"]
        rate, amount = ("mol/(m s)", "mol/m") if flat else ("mol/s", "mol")
        names = [name.removesuffix(" flux") for name in columns if name.endswith(" flux")]
        flux = [Series(name, times, columns[f"{name} flux"]) for name in names]
        total = [Series(name, times, columns[f"{name} cumulated"]) for name in names]
        page.chart("Flux", "time (s)", f"flux ({rate})", flux, log=True)
        page.chart(
            "Passed since the start",
            "time (s)",
            f"amount ({amount})",
            [*total, Series("stored", times, columns["stored"])],
            log=True,
        )
    balance = summary["mass_balance"]
    rows = [[f"through {name}", said(value, 6)] for name, value in balance["inflow"].items()]
    rows += [
        ["stored", said(balance["stored_change"], 6)],
        ["unaccounted for, of what is exchanged", said(balance["imbalance"], 2)],
    ]
    page.table(["lithium balance at the end", str(balance["unit"])], rows)


def _profiles(page: Page, folder: Path) -> None:
    if not (folder / PROFILE).is_file():
        return
    head, rows = _rows(folder / PROFILE)
    page.section("Profiles")
    phases = [name.removesuffix(" mean") for name in head if name.endswith(" mean")]
    for axis in dict.fromkeys(row[1] for row in rows):
        series = []
        for phase in phases:
            column = head.index(f"{phase} mean")
            for time in dict.fromkeys(row[0] for row in rows):
                mine = [row for row in rows if row[1] == axis and row[0] == time]
                x = np.array([0.5 * (float(row[2]) + float(row[3])) for row in mine])
                y = np.array([float(row[column] or "nan") for row in mine])
                series.append(Series(f"{phase}, {time} s", x, y))
        page.chart(f"Mean over slabs along {axis}", f"{axis} (µm)", "concentration (mol/m³)", series)


def _pictures(page: Page, folder: Path) -> None:
    snapshots = sorted(folder.glob(f"{SNAPSHOT_PREFIX}*.png"), key=_moment)
    if snapshots:
        page.section("Snapshots")
    for path in snapshots:
        page.picture(path, f"after {path.stem.removeprefix(SNAPSHOT_PREFIX)}", "snapshot")
    if (folder / SCENE).is_file():
        page.section("Surfaces to turn")
        page.scene(folder / SCENE)


def _moment(path: Path) -> float:
    try:
        return float(path.stem.removeprefix(SNAPSHOT_PREFIX).removesuffix("s"))
    except ValueError:
        return np.inf


def _particles(page: Page, folder: Path) -> None:
    if not (folder / PARTICLES).is_file():
        return
    page.section("Particles")
    for name, caption in ((PARTICLES_PICTURE, "t50 of each particle"), (DISTANCE_PICTURE, "t50 against the distance")):
        if (folder / name).is_file():
            page.picture(folder / name, caption)
    head, rows = _rows(folder / PARTICLES)
    shown = [[_short(cell) for cell in row] for row in rows[:MOST_ROWS]]
    page.table(head, shown, f"The first {len(shown)} of {len(rows)} particles; all are in {PARTICLES}.")


def _short(cell: str) -> str:
    try:
        return said(float(cell)) if "." in cell or "e" in cell else cell or "–"
    except ValueError:
        return cell


def _mesh(page: Page, summary: dict[str, Any]) -> None:
    page.section("Mesh against image")
    page.text(f"{summary['cells']:,} cells in solved phases, {summary['unknowns']:,} unknowns.")
    phases = summary.get("phases", {})
    flat = any("area_image_m2" in entries for entries in phases.values())
    key, unit = ("area", 1e12) if flat else ("volume", 1e18)
    rows = []
    for name, entries in phases.items():
        image, mesh = (entries.get(f"{key}_{where}_m{2 if flat else 3}") for where in ("image", "mesh"))
        row = [name, "yes" if entries.get("solved") else "no", said(entries.get("cells"))]
        row += ["–" if value is None else said(value * unit) for value in (image, mesh)]
        off = entries.get("relative_difference")
        row += ["–" if off is None else f"{100 * off:+.3f} %".replace("-", "−")]
        row += [said(entries.get(count)) for count in ("lost_count", "merged_count", "split_count")]
        rows.append(row)
    image, mesh = f"{TITLES[flat]}: image", "mesh"
    page.table(["phase", "solved", "cells", image, mesh, "difference", "pieces lost", "merged", "split"], rows)
    quality = summary.get("quality", {})
    page.table(["quality of cells", ""], [[words(name), said(value)] for name, value in quality.items()])


def _errors(page: Page, summary: dict[str, Any]) -> None:
    page.section("Errors")
    error = summary["error"]
    rows = [
        ["in time, of the reference concentration", said(error.get("estimate"), 2)],
        ["tolerance", said(error.get("tolerance"), 2)],
        ["reference concentration, mol/m³", said(error.get("reference_concentration_mol_per_m3"))],
    ]
    space = error.get("space")
    rows += [
        ["in space, of the reference concentration", "not estimated" if space is None else said(space["estimate"], 2)]
    ]
    rows += [] if space is None else [["how", str(space["how"])]]
    for kind in ("largest", "before"):
        worst = (error.get("curves") or {}).get(kind)
        if worst:
            when = "from a thousandth of the end on" if kind == "largest" else "before"
            told = f"{100 * worst['error']:.2g} % in {worst['region']} at {said(worst['at_s'])} s"
            rows.append([f"largest of the curves {when}", told])
    page.table(["error", ""], rows)


def _asked(page: Page, summary: dict[str, Any]) -> None:
    page.section("What was asked")
    page.text("The case as it was understood, in SI units.", "quiet")
    page.table(["key", "value"], flat(summary["case"]))


def flat(entries: dict[str, Any], before: str = "") -> Iterator[list[str]]:
    """Rows of a table with all entries that say something, those within others by both their names."""
    for key, value in entries.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and value:
            yield from flat(value, f"{name} · ")
        elif value not in (None, [], {}, ""):
            yield [name, said(value, 6)]


def _made(page: Page, summary: dict[str, Any]) -> None:
    page.section("How it was made")
    memory = summary.get("peak_memory_bytes")
    work = summary.get("cpu_timings_s", {})
    rows = [
        [words(name), said(value), said(work[name]) if name in work else ""]
        for name, value in summary.get("timings_s", {}).items()
    ]
    page.table(["stage", "s", "CPU s of all ranks"], rows)
    rows = [[words(name), said(value)] for name, value in summary.get("solver", {}).items()]
    rows += [] if memory is None else [["peak memory, GB", f"{np.sum(memory) / 1e9:.3g}"]]
    rows += [["CPU time, s", said(summary["cpu_s"])]] if "cpu_s" in summary else []
    page.table(["solver", ""], rows)
    page.table(["image", ""], [[words(name), said(value)] for name, value in summary.get("image", {}).items()])
    page.table(["versions", ""], [[name, str(value)] for name, value in summary.get("versions", {}).items()])


def words(key: str) -> str:
    """A key of a file as a reader sees it."""
    return key.replace("_", " ")


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of results."""
    rows = csv_rows(path)
    return rows[0], rows[1:]


def table_of(path: Path, text: Sequence[str] = ()) -> tuple[list[str], dict[str, Any]]:
    """Names and columns of a table: arrays of numbers, nan where there is none; lists for those of text."""
    head, rows = _rows(path)
    found: dict[str, Any] = {}
    for name, column in zip(head, zip(*rows, strict=True), strict=True):
        found[name] = list(column) if name in text else np.array([float(cell or "nan") for cell in column])
    return head, found


def _table(path: Path) -> tuple[Array, dict[str, Array]]:
    """Times and columns of a table of numbers against time."""
    columns = table_of(path)[1]
    return columns.pop("time_s"), columns
