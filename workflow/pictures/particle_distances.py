"""Picture of the time at which a particle's surface has half against its distance to the nearest source."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import (
    COLOURS,
    INK,
    figure_size,
    length_unit,
    name_entries,
    save,
    time_unit,
    wrapped,
)
from microlith.workflow.pictures.particle_page import NEVER
from microlith.workflow.results.particles import ParticleTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_distances(
    path: Path, title: str, tables: Sequence[ParticleTable], end: float, options: PictureOptions | None = None
) -> bool:
    """Draw particles-distance.png: t50 of each particle against its distance to the nearest source; for one rank.

    Args:
        path: As a PNG file; each format of it appears whole or not at all.
        title: Of the case.
        tables: What is known of the particles.
        end: Of the run, s.
        options: Formats, width and resolution.

    Returns:
        Whether there was something to draw: a particle with a distance.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    there = [np.isfinite(table.distance) & (table.surface > 0) for table in tables]
    if not any(chosen.any() for chosen in there):
        return False
    options = options or PictureOptions()
    size = figure_size(options, 7.2, 4.6)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    axes = figure.subplots()
    farthest = max(float(table.distance[chosen].max(initial=0.0)) for table, chosen in zip(tables, there, strict=True))
    across, unit = length_unit(farthest)
    scale, time_sign = time_unit(end)
    largest = max(float(table.diameter[chosen].max(initial=0.0)) for table, chosen in zip(tables, there, strict=True))
    ceiling = 1.35 * end / scale
    for i, (table, chosen) in enumerate(zip(tables, there, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        x, y = np.divide(table.distance[chosen], across), np.divide(table.t50[chosen], scale)
        sizes = _marker(table.diameter[chosen], largest)
        reached = np.isfinite(y) & (y > 0)
        axes.scatter(x[reached], y[reached], sizes[reached], color=colour, alpha=0.55, linewidths=0)
        never = np.isinf(y)
        axes.scatter(
            x[never], np.full(never.sum(), ceiling), np.maximum(sizes[never], 8), marker="^", color=NEVER, alpha=0.7
        )
        _trend(axes, x, y, colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(left=0.0 - 0.02 * farthest / across)
    axes.set_xlabel(f"distance to the nearest source / {unit}")
    axes.set_ylabel(f"t50 of the particle's surface / {time_sign}")
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if any(np.isinf(table.t50[chosen]).any() for table, chosen in zip(tables, there, strict=True)):
        axes.axhline(end / scale, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_ylim(top=1.8 * end / scale)
    _legend(axes, tables, largest, f"not half within {end / scale:g} {time_sign}", there)
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, f"{title}, t50 against distance", options)
    return True


def _marker(diameter: Array, largest: float) -> Array:
    """Areas of markers as wide as the particles, the largest of them a sixth of an inch, none invisible."""
    return np.maximum((12.0 * diameter / largest) ** 2, 2.0)


def _trend(axes: "Axes", x: Array, y: Array, colour: str) -> None:
    """Median of particles at like distances, and the range of the middle half of them."""
    count = min(10, len(x) // 8)
    if count < 3:
        return
    order = np.argsort(x, kind="stable")
    middles, quarters = [], []
    for part in np.array_split(order, count):
        middles.append(np.median(x[part]))
        quarters.append(np.quantile(y[part], (0.25, 0.5, 0.75), method="inverted_cdf"))
    low, median, high = np.array(quarters).T
    shown = np.isfinite(median) & (median > 0)
    at = np.array(middles)
    axes.plot(at[shown], median[shown], color=INK, linewidth=2.0)
    top = np.where(np.isfinite(high), high, np.nanmax(y[np.isfinite(y)], initial=1.0) * 10)
    axes.fill_between(at[shown], np.maximum(low[shown], 1e-300), top[shown], color=colour, alpha=0.15, linewidth=0)


def _legend(
    axes: "Axes", tables: Sequence[ParticleTable], largest: float, never: str, there: Sequence[NDArray[np.bool_]]
) -> None:
    """Regions where there are several, sizes of markers, and what line and triangles mean."""
    from matplotlib.lines import Line2D

    none: dict[str, Any] = {"linestyle": "none"}
    handles: list[Any] = []
    names: list[str] = []
    if len(tables) > 1:
        handles += [Line2D([], [], marker="o", color=COLOURS[i % len(COLOURS)], **none) for i in range(len(tables))]
        names += [table.region for table in tables]
    scale, unit = length_unit(largest)
    for share in (1.0, 0.5, 0.2):
        diameter = float(f"{share * largest / scale:.1g}")
        width = float(np.sqrt(_marker(np.array([diameter * scale]), largest)[0]))
        handles.append(Line2D([], [], marker="o", color="0.6", markersize=width, markeredgewidth=0, **none))
        body = "disk" if tables[0].center.shape[1] == 2 else "sphere"
        names.append(f"as large as a {body} of {diameter:g} {unit}" if share == 1.0 else f"{diameter:g} {unit}")
    handles.append(Line2D([], [], color=INK, linewidth=2.0))
    names.append("median at like distances, and middle half")
    if any(np.isinf(table.t50[chosen]).any() for table, chosen in zip(tables, there, strict=True)):
        handles.append(Line2D([], [], marker="^", color=NEVER, **none))
        names.append(never)
    name_entries(axes.legend(handles, ["-"] * len(handles), fontsize=8, frameon=False, loc="best"), names)
