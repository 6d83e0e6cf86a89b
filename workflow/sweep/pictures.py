"""Pictures of a sweep: curves of all cases over each other, and a map where two keys differ."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.pictures.figure import COLOURS, name_entries, panels_of, save, set_log_time, time_unit
from microlith.workflow.results.folder import SWEEP_MAP, SWEEP_PICTURE, SWEEP_TABLE
from microlith.workflow.sweep.plan import Plan
from microlith.workflow.sweep.table import Row, regions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_REGIONS = 8  # in one picture
COLUMNS = 2  # of the map
NAMED = 14  # cases that a legend names; of more, the first and the last
WIDTH, HEIGHT = 9.0, 2.9  # inches: of the picture, of a row of axes
MOST_PRINTED = 150  # cells of a map that have their number printed in them
QUANTITIES = (("t50_s", "t50", "s"), ("t90_s", "t90", "s"), ("final", "last concentration", "mol m⁻³"))


def draw_sweep(folder: Path, title: str, plan: Plan, rows: list[Row]) -> list[str]:
    """Draw all pictures that there is something for; returns their names.

    Raises:
        InputError: A file can't be written.
    """
    done = [row for row in rows if row.curves]
    if not done:
        return []
    draw_curves(folder / SWEEP_PICTURE, title, done)
    names = [SWEEP_PICTURE]
    if len(plan.keys) == 2 and _is_map(plan, done):
        draw_map(folder / SWEEP_MAP, title, plan, done)
        names.append(SWEEP_MAP)
    return names


# --- curves ---


def draw_curves(path: Path, title: str, rows: list[Row]) -> None:
    """The curve of each case in each region, with bands of its error, over logarithmic and linear time.

    Args:
        path: Of the picture.
        title: Of the case file.
        rows: Cases that are done.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    regions = regions_of(rows)[:MOST_REGIONS]
    few = len(rows) <= len(COLOURS)
    colours = COLOURS[: len(rows)] if few else colormaps["viridis"](np.linspace(0.0, 0.95, len(rows)))
    figure = Figure(figsize=(WIDTH, HEIGHT * len(regions) + 0.6), dpi=150, layout="constrained")
    scale, unit = time_unit(max(float(row.times[-1]) for row in rows if row.times is not None))
    panels = figure.subplots(len(regions), 2, sharey="row", squeeze=False)
    for (over_log, over_time), region in zip(panels, regions, strict=True):
        for axes in (over_log, over_time):
            for row, colour in zip(rows, colours, strict=True):
                _draw_curve(axes, row, region, colour, scale)
            _dress(axes, region, unit)
        _make_logarithmic(over_log, rows, scale)
        over_log.set_ylabel("mean concentration / mol m⁻³", fontsize=8)
    shown = list(range(len(rows))) if len(rows) <= NAMED else [0, len(rows) - 1]
    lines = [Line2D([], [], color=colours[i]) for i in shown]
    names = [rows[i].variation.label for i in shown]
    if len(rows) > NAMED:
        names[-1] = f"{names[-1]} (with {len(rows) - 2} between, in the order of {SWEEP_TABLE})"
    columns = 1 if max(len(rows[i].variation.label) for i in shown) > 50 else 2
    legend = figure.legend(
        lines, ["-"] * len(lines), loc="outside upper center", ncols=columns, frameon=False, fontsize=7
    )
    name_entries(legend, names)
    save(figure, path, f"{title}: sweep")


def _draw_curve(axes: "Axes", row: Row, region: str, colour: Any, scale: float) -> None:
    if row.times is None or row.curves is None or region not in row.curves:
        return
    curve, error = row.curves[region], (row.errors or {}).get(region)
    axes.plot(row.times / scale, curve, color=colour, linewidth=1.2)
    if error is not None:
        axes.fill_between(row.times / scale, curve - error, curve + error, color=colour, alpha=0.2, linewidth=0)


def _dress(axes: "Axes", region: str, unit: str) -> None:
    axes.set_title(region.replace("_", " "), fontsize=9, parse_math=False)
    axes.set_xlabel(f"time / {unit}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(color="0.88", linewidth=0.6)


def _make_logarithmic(axes: "Axes", rows: list[Row], scale: float) -> None:
    ends = [float(row.times[-1]) for row in rows if row.times is not None]
    first = min(
        (float(row.times[row.times > 0].min(initial=np.inf)) for row in rows if row.times is not None), default=1.0
    )
    if first < max(ends):
        set_log_time(axes)
        axes.set_xlim(max(first, 1e-4 * max(ends)) / scale, max(ends) / scale)


# --- map ---


def _is_map(plan: Plan, rows: list[Row]) -> bool:
    """Whether each pair of values is there at most once, and either key has two values or more."""
    pairs = [tuple(row.variation.shown(key) for key in plan.keys) for row in rows]
    return len(set(pairs)) == len(pairs) and all(len({pair[i] for pair in pairs}) > 1 for i in (0, 1))


def draw_map(path: Path, title: str, plan: Plan, rows: list[Row]) -> None:
    """A figure of each region against both keys: t50 where cases reach it, or else the last concentration.

    Args:
        path: Of the picture.
        title: Of the case file.
        plan: Two keys differ.
        rows: Cases that are done.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure

    regions = regions_of(rows)[:MOST_REGIONS]
    across, up = plan.keys
    columns, lines = (list(dict.fromkeys(row.variation.shown(key) for row in rows)) for key in (across, up))
    count = math.ceil(len(regions) / COLUMNS)
    height = max(HEIGHT, 0.3 * len(lines) + 1.2)
    figure = Figure(figsize=(WIDTH, height * count + 0.4), dpi=150, layout="constrained")
    for axes, region in zip(panels_of(figure, len(regions), min(COLUMNS, len(regions))), regions, strict=True):
        key, words, unit = _quantity(rows, region)
        values = np.full((len(lines), len(columns)), np.nan)
        for row in rows:
            value = row.region(region).get(key)
            place = lines.index(row.variation.shown(up)), columns.index(row.variation.shown(across))
            values[place] = np.nan if value is None else value
        _draw_values(axes, values, columns, lines)
        axes.set_title(f"{region.replace('_', ' ')}: {words} / {unit}", fontsize=9, parse_math=False)
        axes.set_xlabel(across, fontsize=8, parse_math=False)
        axes.set_ylabel(up, fontsize=8, parse_math=False)
    save(figure, path, f"{title}: sweep, map")


def _quantity(rows: list[Row], region: str) -> tuple[str, str, str]:
    """What is drawn of a region: the first figure that most cases have."""
    for found in QUANTITIES:
        if 2 * sum(row.region(region).get(found[0]) is not None for row in rows) > len(rows):
            return found
    return QUANTITIES[-1]


def _draw_values(axes: "Axes", values: Array, columns: list[str], lines: list[str]) -> None:
    from matplotlib.colors import LogNorm

    known = values[np.isfinite(values)]
    wide = len(known) > 0 and float(known.min()) > 0 and float(known.max()) > 20 * float(known.min())
    axes.set_facecolor("0.9")  # of a case that has no such figure
    drawn = axes.imshow(
        values, cmap="viridis", norm=LogNorm() if wide else None, origin="lower", aspect="auto", interpolation="nearest"
    )
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02).ax.tick_params(labelsize=7)
    axes.set_xticks(
        range(len(columns)), columns, fontsize=7, rotation=30 if max(map(len, columns)) > 8 else 0, ha="right"
    )
    axes.set_yticks(range(len(lines)), lines, fontsize=7)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    if values.size > MOST_PRINTED:
        return
    shades = np.ma.filled(drawn.norm(np.ma.masked_invalid(values)), 1.0)
    for (line, column), value in np.ndenumerate(values):
        text = f"{value:.4g}" if np.isfinite(value) else "–"
        colour = "black" if shades[line, column] > 0.6 else "white"
        axes.text(column, line, text, ha="center", va="center", fontsize=7, color=colour)
