"""The report of an analysis of an image, from the files in its folder."""

from pathlib import Path
from typing import Any

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
    rows = [
        [name, said(number["value"]), said(number.get("error"), 2), str(number["unit"]), str(number["definition"])]
        for name, number in entries["numbers"].items()
    ]
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
    unit = str(units.get(x, "1"))
    along, unit = (1e6 * columns[x], "µm") if unit == "m" else (columns[x], unit)
    series = [Series(name, along, columns[name]) for name in head[1:] if units.get(name) != "m"]
    y_units = sorted({str(units.get(one.name, "1")) for one in series} - {"1"})
    page.chart(str(table["text"]), f"{words(x)} ({unit})" if unit != "1" else words(x), ", ".join(y_units), series)
