"""Charts of an analysis: curves of its tables, panel beside panel."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.measurements.findings import Chart, Line, Panel, Table
from microlith.workflow.pictures.figure import (
    figure_size,
    length_unit,
    line_look,
    name_entries,
    save,
    say_log_ticks,
    show_level,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, TALL = 3.4, 2.9  # inches of a panel
INVERSE = {"1/m": 1, "1/m^2": 2, "1/m^3": 3}
POWER = {"m": 1, "m^2": 2, "m^3": 3}
SUPERSCRIPT = {1: "", 2: "²", 3: "³"}


def draw_chart(
    path: Path, title: str, chart: Chart, tables: Mapping[str, Table], options: PictureOptions | None = None
) -> None:
    """Draw a chart.

    Args:
        path: The PNG file; each format of it appears whole or not at all. For one rank.
        title: Of the case.
        chart: What to draw.
        tables: Name -> table that its lines are from.
        options: How pictures look.

    Raises:
        InputError: A file can't be written.
    """
    from matplotlib.figure import Figure

    options = options or PictureOptions()
    size = figure_size(options, WIDE * len(chart.panels) + 1.6, TALL + 0.6)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    named: dict[str, Any] = {}
    looks: dict[str, dict[str, Any]] = {}
    for axes, panel in zip(figure.subplots(1, len(chart.panels), squeeze=False)[0], chart.panels, strict=True):
        _draw_panel(axes, panel, tables, looks, named)
    legend = figure.legend(
        list(named.values()), ["-"] * len(named), loc="outside right center", frameon=False, fontsize=8
    )
    name_entries(legend, list(named))
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, f"{title}, {chart.name}", options)


def _draw_panel(
    axes: "Axes",
    panel: Panel,
    tables: Mapping[str, Table],
    looks: dict[str, dict[str, Any]],
    named: dict[str, Any],
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    units = ["", ""]
    scales = [1.0, 1.0]
    for i, pick in enumerate((_x, _y)):
        unit = pick(tables, panel.lines[0])[1] if panel.lines else "1"
        scales[i], sign = said_unit(unit, [pick(tables, line)[0] for line in panel.lines])
        units[i] = f" / {sign}" if sign else ""
    for line in panel.lines:
        look = looks.setdefault(line.label, line_look(len(looks)))
        x, y = _x(tables, line)[0] / scales[0], _y(tables, line)[0] / scales[1]
        dashes = {"linestyle": "--"} if line.dashed else {}
        steps = "steps-pre" if panel.steps else "default"
        (drawn,) = axes.plot(x, y, **(look | dashes), linewidth=1.2, drawstyle=steps)
        if line.low and line.high:
            low, high = (_of(tables, line.table, name)[0] / scales[1] for name in (line.low, line.high))
            axes.fill_between(x, low, high, color=look["color"], alpha=0.25, linewidth=0)
        named.setdefault(line.label, drawn)
    axes.set_xlabel(panel.x + units[0])
    axes.set_ylabel(panel.y + units[1])
    if panel.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if panel.log_y and any((_y(tables, line)[0] > 0).any() for line in panel.lines):
        axes.set_yscale("log")
        say_log_ticks(axes.yaxis)
    else:
        show_level(axes)
    axes.grid(color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def said_unit(unit: str, curves: Iterable[Array]) -> tuple[float, str]:
    """What SI values of curves are divided by, and the unit that they then have, so that people read them easily."""
    largest = max(map(_largest, curves), default=0.0)
    if unit in POWER:
        power = POWER[unit]
        scale, sign = length_unit(largest ** (1 / power) if largest > 0 else 1.0)
        return scale**power, f"{sign}{SUPERSCRIPT[power]}"
    if unit in INVERSE:
        return 1e6 ** INVERSE[unit], f"µm⁻{'¹²³'[INVERSE[unit] - 1]}"
    return 1.0, "" if unit == "1" else unit


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0))


def _of(tables: Mapping[str, Table], table: str, name: str) -> tuple[Array, str]:
    column = next(column for column in tables[table].columns if column.name == name)
    return column.values, column.unit


def _x(tables: Mapping[str, Table], line: Line) -> tuple[Array, str]:
    return _of(tables, line.table, line.x)


def _y(tables: Mapping[str, Table], line: Line) -> tuple[Array, str]:
    return _of(tables, line.table, line.y)
