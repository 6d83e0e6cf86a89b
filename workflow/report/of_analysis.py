"""The report of an analysis of an image, from the files in its folder."""

from pathlib import Path
from typing import Any

from microlith.workflow.pictures.figure import IN_MICROMETRES
from microlith.workflow.report.of_run import table_of, words
from microlith.workflow.report.page import Page, Series, said
from microlith.workflow.report.sections import asked, begun, pictures, warnings

CURVES = ("profile", "distribution")  # kinds of an analysis's tables whose columns are curves over the first one


def analysis_page(folder: Path, entries: dict[str, Any]) -> Page:
    """The report of an analysis.

    Args:
        folder: With its files.
        entries: Of analysis.json.
    """
    page = begun(entries, str(entries["case"].get("title") or ""), "Analysis of an image")
    warnings(page, [note for some in entries.get("notes", {}).values() for note in some])
    page.section("Numbers")
    rows = []
    for name, number in entries["numbers"].items():
        scale, unit = _in_micrometres(str(number["unit"]))
        value, error = (None if of is None else scale * of for of in (number["value"], number.get("error")))
        told = f"no error told: {number['no_error']}" if error is None and number.get("no_error") else said(error, 2)
        rows.append([name, said(value), told, unit, str(number["definition"])])
    page.table(["number", "value", "error", "unit", "what it is"], rows)
    page.section("Curves")
    for table in entries["tables"].values():
        if table["kind"] in CURVES:
            _curves(page, folder, table)
    pictures(page, folder)
    asked(page, entries)
    return page


def _curves(page: Page, folder: Path, table: dict[str, Any]) -> None:
    path = folder / str(table["file"])
    if not path.is_file():
        return
    head, columns = table_of(path)
    units = table.get("units", {})
    x = head[0]
    scale, unit = _in_micrometres(str(units.get(x, "1")))
    along = scale * columns[x]
    shown = {name: _in_micrometres(str(units.get(name, "1"))) for name in head[1:] if units.get(name) != "m"}
    series = [Series(name, along, scale * columns[name]) for name, (scale, _) in shown.items()]
    y_units = sorted({unit for _, unit in shown.values()} - {""})
    page.chart(str(table["text"]), f"{words(x)} ({unit})" if unit else words(x), ", ".join(y_units), series)


def _in_micrometres(unit: str) -> tuple[float, str]:
    """What a number in an SI unit is multiplied by for people, and the unit that it then has."""
    return IN_MICROMETRES.get(unit, (1.0, unit))
