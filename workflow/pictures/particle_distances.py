"""Picture of the time at which a particle's surface has half against its distance to the nearest source."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array, Flags
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import (
    COLOURS,
    INK,
    figure_size,
    length_unit,
    name_entries,
    said_time,
    save,
    say_log_ticks,
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

    shown = [_Points.of(table) for table in tables]
    if not any(points.reached.any() for points in shown):
        return False
    options = options or PictureOptions()
    size = figure_size(options, 7.2, 4.6)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    axes = figure.subplots()
    reach = max(float(points.distance.max(initial=0.0)) for points in shown)
    largest = max(float(points.diameter.max(initial=0.0)) for points in shown)
    across, unit = length_unit(reach or largest)
    scale, time_sign = time_unit(end)
    first = min(float(points.t50[points.reached].min(initial=end)) for points in shown) / scale
    floor, ceiling = 0.6 * first, 1.35 * end / scale
    trends = False
    for i, points in enumerate(shown):
        colour = COLOURS[i % len(COLOURS)]
        x, y = np.divide(points.distance, across), np.divide(points.t50, scale)
        sizes = _marker(points.diameter, largest)
        reached, start, never = points.reached, points.start, points.never
        axes.scatter(x[reached], y[reached], sizes[reached], color=colour, alpha=0.55, linewidths=0)
        for which, at, marker in ((never, ceiling, "^"), (start, floor, "v")):
            at_end = np.full(np.count_nonzero(which), at)
            axes.scatter(x[which], at_end, np.maximum(sizes[which], 8), marker=marker, color=NEVER, alpha=0.7)
        trends = _trend(axes, x, y, colour) or trends
    axes.set_yscale("log")
    say_log_ticks(axes.yaxis)
    # Where all of them touch a source, as wide as they are: no scale of nothing, and no mark cut by the axis
    axes.set_xlim(left=-0.02 * (reach or largest) / across, right=None if reach > 0 else largest / across)
    axes.set_xlabel(f"distance to the nearest source / {unit}")
    axes.set_ylabel(f"t50 of the particle's surface / {time_sign}")
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if any(points.never.any() for points in shown):
        axes.axhline(end / scale, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_ylim(top=1.8 * end / scale)
    if any(points.start.any() for points in shown):
        axes.set_ylim(bottom=0.45 * first)
    _legend(axes, tables, shown, end, trends)
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, f"{title}, t50 against distance", options)
    return True


@dataclass(frozen=True, eq=False)
class _Points:
    """Particles of one region whose surfaces and distances are known."""

    distance: Array  # (n,) m
    t50: Array  # (n,) s
    diameter: Array  # (n,) m

    @classmethod
    def of(cls, table: ParticleTable) -> "_Points":
        there = np.isfinite(table.distance) & (table.surface > 0)
        return cls(table.distance[there], table.t50[there], table.diameter[there])

    @property
    def reached(self) -> Flags:
        return np.isfinite(self.t50) & (self.t50 > 0)

    @property
    def start(self) -> Flags:
        return self.t50 <= 0

    @property
    def never(self) -> Flags:
        return np.isinf(self.t50)


def _marker(diameter: Array, largest: float) -> Array:
    """Areas of markers as wide as the particles, the largest of them a sixth of an inch, none invisible."""
    return np.maximum((12.0 * diameter / largest) ** 2, 2.0)


def _trend(axes: "Axes", x: Array, y: Array, colour: str) -> bool:
    """Median of particles at like distances, and the range of the middle half of them; whether there are enough."""
    count = min(10, len(x) // 8)
    if count < 3:
        return False
    order = np.argsort(x, kind="stable")
    middles, quarters = [], []
    for part in np.array_split(order, count):
        middles.append(np.median(x[part]))
        quarters.append(np.quantile(y[part], (0.25, 0.5, 0.75), method="inverted_cdf"))
    low, median, high = np.array(quarters).T
    shown = np.isfinite(median) & (median > 0)
    if not shown.any():
        return False
    at = np.array(middles)
    axes.plot(at[shown], median[shown], color=INK, linewidth=2.0)
    top = np.where(np.isfinite(high), high, np.nanmax(y[np.isfinite(y)], initial=1.0) * 10)
    axes.fill_between(at[shown], np.maximum(low[shown], 1e-300), top[shown], color=colour, alpha=0.15, linewidth=0)
    return True


def _legend(axes: "Axes", tables: Sequence[ParticleTable], shown: Sequence[_Points], end: float, trends: bool) -> None:
    """Regions where there are several, sizes of markers, and what line and triangles mean, where they are there."""
    from matplotlib.lines import Line2D

    none: dict[str, Any] = {"linestyle": "none"}
    handles: list[Any] = []
    names: list[str] = []
    if len(tables) > 1:
        handles += [Line2D([], [], marker="o", color=COLOURS[i % len(COLOURS)], **none) for i in range(len(tables))]
        names += [table.region for table in tables]
    largest = max(float(points.diameter.max(initial=0.0)) for points in shown)
    scale, unit = length_unit(largest)
    for share in (1.0, 0.5, 0.2):
        diameter = float(f"{share * largest / scale:.1g}")
        width = float(np.sqrt(_marker(np.array([diameter * scale]), largest)[0]))
        handles.append(Line2D([], [], marker="o", color="0.6", markersize=width, markeredgewidth=0, **none))
        body = "disk" if tables[0].center.shape[1] == 2 else "sphere"
        names.append(f"as large as a {body} of {diameter:g} {unit}" if share == 1.0 else f"{diameter:g} {unit}")
    if trends:
        handles.append(Line2D([], [], color=INK, linewidth=2.0))
        names.append("median at like distances, and middle half")
    for marker, words, there in (
        ("^", f"not half within {said_time(end)}", any(points.never.any() for points in shown)),
        ("v", "half from the start", any(points.start.any() for points in shown)),
    ):
        if there:
            handles.append(Line2D([], [], marker=marker, color=NEVER, **none))
            names.append(words)
    name_entries(axes.legend(handles, ["-"] * len(handles), fontsize=8, frameon=False, loc="best"), names)
