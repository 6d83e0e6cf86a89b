"""Picture of the regions' mean concentrations against time."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import COLOURS, figure_size, name_entries, save, time_unit, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")  # one after the other, when all colours are taken
LINE = 0.007  # width of a curve's line, per height of the axes
BAND_WIDTH = 13  # letters of the legend's line about the band
APART = 4.0  # times as much: curves that reach so much farther have axes of their own
MOST_ROWS = 4
WIDTH, HEIGHT, MORE = 9.0, 4.2, 2.4  # inches: with one row of axes, and for each further row


@dataclass(frozen=True, eq=False)
class RegionCurves:
    """Mean concentrations of regions, and what is known of their errors."""

    times: Array  # (n,) s
    means: Mapping[str, Array]  # region -> (n,) mol/m^3
    references: Mapping[str, float]  # region -> what counts as 100 %, mol/m^3; may lack some
    errors: Mapping[str, Array] = field(default_factory=dict)  # region -> (n,) estimated, mol/m^3; may lack some
    band: str = "estimated error in time"  # what the errors are, for the legend

    def scale(self, name: str) -> float:
        """What a curve may reach, mol/m^3."""
        return max(float(np.abs(self.means[name]).max(initial=0.0)), self.references.get(name, 0.0))


def draw_curves(path: Path, title: str, curves: RegionCurves, options: PictureOptions | None = None) -> None:
    """Draw curves.png: mean concentrations over logarithmic and linear time, side by side; for one rank.

    Curves that reach much farther than others have a row of axes of their own. Errors are drawn as bands where these
    are wider than the lines.

    Args:
        path: As a PNG file; each format of it appears whole or not at all.
        title: Of the case.
        curves: What is drawn.
        options: Formats, width and resolution.

    Raises:
        InputError: A file can't be written.
    """
    from matplotlib.figure import Figure

    options = options or PictureOptions()
    rows = _rows(curves)
    size = figure_size(options, WIDTH, HEIGHT + MORE * (len(rows) - 1))
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    axes = figure.subplots(len(rows), 2, sharex="col", sharey="row", squeeze=False)
    looks = {
        name: {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i // len(COLOURS) % len(DASHES)]}
        for i, name in enumerate(curves.means)
    }
    handles: dict[str, Any] = {}
    banded = False
    for (over_log, over_time), names in zip(axes, rows, strict=True):
        bands = _visible(curves, names)
        banded = banded or bool(bands)
        for name in names:
            handles[name] = _draw(over_log, curves, name, looks[name], bands)
            _draw(over_time, curves, name, looks[name], bands)
        over_log.set_ylabel("mean concentration / mol m⁻³" if len(rows) == 1 else "mean conc. / mol m⁻³")
        _add_percent(over_time, curves, names)
    _dress(axes, curves)
    _legend(figure, handles, curves.band if banded else None)
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, title, options)


def _rows(curves: RegionCurves) -> list[list[str]]:
    """Names of the curves that share axes, in the order of the curves."""
    by_scale = sorted(curves.means, key=curves.scale)
    groups: list[list[str]] = []
    for name in by_scale:
        if not groups or (curves.scale(name) > APART * curves.scale(groups[-1][0]) and len(groups) < MOST_ROWS):
            groups.append([])
        groups[-1].append(name)
    order = list(curves.means)
    rows = [sorted(group, key=order.index) for group in groups]
    return sorted(rows, key=lambda row: order.index(row[0])) or [[]]


def _draw(axes: "Axes", curves: RegionCurves, name: str, look: Mapping[str, str], bands: Mapping[str, Array]) -> Any:
    """One curve with its band; matplotlib's line."""
    scale, _ = time_unit(float(curves.times[-1]))
    t, c = curves.times / scale, curves.means[name]
    (line,) = axes.plot(t, c, linewidth=1.6, color=look["color"], linestyle=look["linestyle"])
    if name in bands:
        axes.fill_between(t, c - bands[name], c + bands[name], color=look["color"], alpha=0.25, linewidth=0)
    return line


def _dress(axes: Any, curves: RegionCurves) -> None:
    """Scales, grids and names of all axes."""
    _, unit = time_unit(float(curves.times[-1]))
    later = curves.times[curves.times > 0]
    for over_log, over_time in axes:
        if len(later):
            over_log.set_xscale("log")
            scale, _ = time_unit(float(curves.times[-1]))
            first, last = later[0] / scale, later[-1] / scale
            over_log.set_xlim(first / (last / first) ** 0.05, last * (last / first) ** 0.05 if last > first else None)
        for one in (over_log, over_time):
            one.grid(color="0.88", linewidth=0.6)
            one.set_axisbelow(True)
            one.spines[["top"]].set_visible(False)
        over_log.spines["right"].set_visible(False)
    for one in axes[-1]:
        one.set_xlabel(f"time / {unit}")


def _add_percent(axes: "Axes", curves: RegionCurves, names: Sequence[str]) -> None:
    """A second axis in per cent, where all curves here have the same reference and don't leave it far behind."""
    references = {float(f"{curves.references.get(name, 0.0):.6g}") for name in names}
    reference = references.pop() if len(references) == 1 else 0.0
    if reference <= 0 or max(curves.scale(name) for name in names) > 2 * reference:
        return

    def percent_of(c: Any) -> Any:
        return 100 * c / reference

    def concentration_at(percent: Any) -> Any:
        return percent * reference / 100

    percent = axes.secondary_yaxis("right", functions=(percent_of, concentration_at))
    percent.set_ylabel(f"% of {reference:g} mol m⁻³")


def _visible(curves: RegionCurves, names: Sequence[str]) -> dict[str, Array]:
    """Half widths of the bands, (n,), of the curves whose band is wider than the line itself."""
    every = [curves.means[name] for name in names]
    span = max((float(c.max(initial=0.0)) for c in every), default=0.0)
    span -= min((float(c.min(initial=0.0)) for c in every), default=0.0)
    halves = {name: np.asarray(curves.errors[name]) for name in names if name in curves.errors}
    return {name: half for name, half in halves.items() if 2 * float(half.max(initial=0.0)) > LINE * span}


def _legend(figure: "Figure", handles: Mapping[str, Any], band: str | None) -> None:
    """Legend beside the axes."""
    from matplotlib.patches import Patch

    if handles:
        bands = [] if band is None else [Patch(color="0.5", alpha=0.25, linewidth=0)]
        texts = [] if band is None else [textwrap.fill(f"band: {band}", BAND_WIDTH)]
        legend = figure.legend(
            [*handles.values(), *bands], ["-"] * (len(handles) + len(bands)), loc="outside right center", frameon=False
        )
        name_entries(legend, [*handles, *texts])
        if texts:
            legend.get_texts()[-1].set_fontsize(7)
