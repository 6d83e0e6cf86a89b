"""The files of a comparison: a table, pictures, and one page that needs nothing else."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.writing import write_text
from microlith.workflow.analysis.charts import said_unit
from microlith.workflow.comparison.along_axes import COLUMNS, PANELS, add_legend, draw_along_axes
from microlith.workflow.comparison.comparison import Change, Comparison, Row
from microlith.workflow.comparison.sources import Curve
from microlith.workflow.measurements.findings import Number
from microlith.workflow.pictures.figure import IN_MICROMETRES, line_look, panels_of, save, show_level
from microlith.workflow.report.page import Cell, Page, Series
from microlith.workflow.results.csv_file import write_csv
from microlith.workflow.results.folder import COMPARISON, COMPARISON_PAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUPERSCRIPTS = str.maketrans({"^": "", "2": "²", "3": "³"})
MOST_CHARTS = 24  # of curves on the page
MOST_TICKS = 9  # powers of ten that have room beside each other


def write_comparison(folder: Path, found: Comparison) -> list[str]:
    """Write all files to a folder; returns their names.

    Raises:
        InputError: A file can't be written.
    """
    _write_table(folder / COMPARISON, found)
    pictures = _draw(folder, found)
    write_text(folder / COMPARISON_PAGE, _page(found, [folder / name for name in pictures]))
    return [COMPARISON, COMPARISON_PAGE, *pictures]


def _write_table(path: Path, found: Comparison) -> None:
    head = ["name", "unit"]
    for i, state in enumerate(found.states):
        head += [state.name, f"{state.name} error", f"{state.name} low", f"{state.name} high"]
        if i != found.reference:
            head += [f"{state.name} change", f"{state.name} exceeds"]
    what = (
        "a number a row; low, high: what it lies between with its error; error: the larger of both distances; "
        f"change: against {found.states[found.reference].name}, relative; exceeds: whether the difference is larger "
        "than both errors together, empty where one is not known"
    )
    title = " · ".join(state.name for state in found.states)
    write_csv(path, title, what, head, [_entries(row, found.reference) for row in found.rows])


def _entries(row: Row, reference: int) -> list[str]:
    cells = [row.name, row.unit]
    for i, (number, change) in enumerate(zip(row.numbers, row.changes, strict=True)):
        low, high = (None, None) if number is None or number.bounds is None else number.bounds
        cells += [""] * 4 if number is None else [_number(one) for one in (number.value, number.error, low, high)]
        if i != reference:
            cells += ["", ""] if change is None else [_number(change.relative), _said(change.exceeds)]
    return cells


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _said(exceeds: bool | None) -> str:
    return "" if exceeds is None else "yes" if exceeds else "no"


# --- pictures ---


def _draw(folder: Path, found: Comparison) -> list[str]:
    """Curves and diffusivities that two states or more have, some panels a picture."""
    names = list(dict.fromkeys(name for state in found.states for name in state.curves))
    shared = [name for name in names if sum(name in state.curves for state in found.states) > 1]
    groups: dict[str, list[str]] = {}
    for name in shared:
        groups.setdefault(name.partition(": ")[0], []).append(name)
    written = []
    for group, members in groups.items():
        for start in range(0, len(members), PANELS):
            number = "" if len(members) <= PANELS else f"-{start // PANELS + 1}"
            path = folder / f"{group}{number}.png"
            _draw_page(path, found, members[start : start + PANELS])
            written.append(path.name)
    return [*written, *draw_along_axes(folder, found)]


def _draw_page(path: Path, found: Comparison, names: list[str]) -> None:
    from matplotlib.figure import Figure

    rows = math.ceil(len(names) / COLUMNS)
    page = Figure(figsize=(9.0, 2.9 * rows + 0.5), dpi=150, layout="constrained")
    for axes, name in zip(panels_of(page, len(names), COLUMNS), names, strict=True):
        _draw_panel(axes, found, name)
    add_legend(page, found)
    save(page, path, f"comparison, {path.stem}")


def _draw_panel(axes: "Axes", found: Comparison, name: str) -> None:
    from matplotlib.ticker import SymmetricalLogLocator

    curves, x_label, y_label = _shown(found, name)
    for number, state in enumerate(found.states):
        curve = curves.get(state.name)
        if curve is None:
            continue
        look = line_look(number)
        axes.plot(curve.x, curve.y, **look, linewidth=1.2)
        if curve.error is not None:
            low, high = curve.y - curve.error, curve.y + curve.error
            axes.fill_between(curve.x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    some = next(iter(curves.values()))
    axes.set_title(name.partition(": ")[2].replace("_", " "), fontsize=9, parse_math=False)
    axes.set_xlabel(x_label, fontsize=8, parse_math=False)
    axes.set_ylabel(y_label, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=8)
    show_level(axes)
    if some.x_unit == "s" and len(some.x) > 1:
        axes.set_xscale("symlog", linthresh=min(map(_first_time, curves.values())))
        locator = SymmetricalLogLocator(axes.xaxis.get_transform())
        locator.set_params(numticks=MOST_TICKS)
        axes.xaxis.set_major_locator(locator)


def _first_time(curve: Curve) -> float:
    """From which time on a curve is shown over the logarithm."""
    return max(float(np.min(curve.x[curve.x > 0.0], initial=np.inf)), 1e-3 * float(curve.x[-1]))


def _shown(found: Comparison, name: str) -> tuple[dict[str, Curve], str, str]:
    """A curve of the states that have it, in units that people read easily, and the labels of both axes."""
    there = {state.name: state.curves[name] for state in found.states if name in state.curves}
    some = next(iter(there.values()))
    x_scale, x_unit = said_unit(some.x_unit, [curve.x for curve in there.values()])
    y_scale, y_unit = said_unit(some.y_unit, [curve.y for curve in there.values()])
    curves = {
        state: replace(
            curve,
            x=np.asarray(curve.x / x_scale),
            y=np.asarray(curve.y / y_scale),
            error=None if curve.error is None else np.asarray(curve.error / y_scale),
        )
        for state, curve in there.items()
    }
    x_label = some.x_name.replace("_", " ") + (f" ({x_unit.translate(SUPERSCRIPTS)})" if x_unit else "")
    return curves, x_label, y_unit.translate(SUPERSCRIPTS)


# --- the page ---


def _page(found: Comparison, pictures: list[Path]) -> str:
    """The page: table, curves to zoom, and the pictures; no network."""
    page = Page(
        " · ".join(state.name for state in found.states),
        f"Changes against {found.states[found.reference].name}. In bold: differences larger than both errors together. "
        "± is the error of a number where it is known; square brackets hold what a number lies between, where its "
        "error is not the same on both sides.",
    )
    for note in found.notes:
        page.text(f"Note: {note}.", "quiet")
    page.section("Numbers")
    rows = [
        [Cell(_named(row), row.definition), *(_cell(row, *both) for both in zip(row.numbers, row.changes, strict=True))]
        for row in found.rows
    ]
    page.table(["number", *(state.name for state in found.states)], rows)
    names = list(dict.fromkeys(name for state in found.states for name in state.curves))
    shared = [name for name in names if sum(name in state.curves for state in found.states) > 1]
    if shared:
        page.section("Curves")
    for name in shared[:MOST_CHARTS]:
        _chart(page, found, name)
    if len(shared) > MOST_CHARTS:
        page.text(f"{len(shared) - MOST_CHARTS} more are in the pictures.", "quiet")
    if pictures:
        page.section("Pictures")
    for path in pictures:
        page.picture(path, path.stem)
    return page.html()


def _chart(page: Page, found: Comparison, name: str) -> None:
    there, x_label, y_label = _shown(found, name)
    series = [
        Series(state, c.x, c.y, *(() if c.error is None else (c.y - c.error, c.y + c.error)))
        for state, c in there.items()
    ]
    seconds = next(iter(there.values())).x_unit == "s"
    page.chart(name.replace("_", " "), x_label, y_label, series, log=seconds)


def _named(row: Row) -> str:
    unit = unit_of(row)
    return f"{row.name}, {unit}" if unit else row.name


def _cell(row: Row, number: Number | None, change: Change | None) -> Cell:
    return Cell(said(row, number, change), bold=change is not None and bool(change.exceeds))


def unit_of(row: Row) -> str:
    """The unit in which people say the numbers of a row; nothing for pure numbers."""
    return IN_MICROMETRES.get(row.unit, (1.0, row.unit))[1]


def said(row: Row, number: Number | None, change: Change | None) -> str:
    """A number in that unit with its error and its change, such as "3.62 ± 0.05 (−12.3 %)" or "0.11 [0.09, 0.12]"."""
    if number is None or not math.isfinite(number.value):
        return ""
    scale = IN_MICROMETRES.get(row.unit, (1.0, ""))[0]
    text = f"{scale * number.value:.4g}"
    if number.interval is not None:
        text += f" [{', '.join(_end(scale * end) for end in number.interval)}]"
    elif number.error is not None:
        text += f" ± {scale * number.error:.2g}"
    if change is not None and change.relative is not None:
        text += f" ({100.0 * change.relative:+.1f} %)"
    return text.replace("-", "−")


def _end(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "∞"
