"""Picture of the regions' mean concentrations against time."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import (
    figure_size,
    line_look,
    name_entries,
    save,
    set_log_time,
    time_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.007  # width of a curve's line, per height of the axes
BAND_WIDTH = 13  # letters of the legend's line about the band
APART = 4.0  # times as much: curves that reach so much farther have axes of their own
MOST_ROWS = 4
WIDTH, HEIGHT, MORE = 9.0, 4.2, 2.4  # inches: with one row of axes, and for each further row
LEAST, BELOW = 0.9, 2.0  # inches: width of axes beside each other, and height of each of those below each other
NUMBERS = 1.8  # inches, that numbers and names of the axes take of the width
ENTRY, SAMPLE, LETTER = 0.21, 0.45, 0.085  # inches: height of an entry of the legend, its line, a letter of its name


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
    """Draw curves.png: mean concentrations over logarithmic and linear time, side by side if they fit; for one rank.

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
    place = _placement(list(curves.means), len(rows), options)
    figure = Figure(figsize=place.size, dpi=options.resolution, layout="constrained")
    if place.stacked:
        axes = figure.subplots(2 * len(rows), 1, squeeze=False).reshape(2, -1).T
    else:
        axes = figure.subplots(len(rows), 2, sharex="col", sharey="row", squeeze=False)
    looks = {name: line_look(i) for i, name in enumerate(curves.means)}
    handles: dict[str, Any] = {}
    banded = False
    for (over_log, over_time), names in zip(axes, rows, strict=True):
        bands = _visible(curves, names)
        banded = banded or bool(bands)
        for name in names:
            handles[name] = _draw(over_log, curves, name, looks[name], bands)
            _draw(over_time, curves, name, looks[name], bands)
        for one in (over_log, over_time) if place.stacked else (over_log,):
            one.set_ylabel("mean concentration / mol m⁻³" if place.roomy else "mean conc. / mol m⁻³")
        _add_percent(over_time, curves, names)
    _dress(axes, curves)
    _legend(figure, handles, curves.band if banded else None, place)
    figure.suptitle(wrapped(title, place.size[0]), parse_math=False, fontsize=11)
    save(figure, path, title, options)


@dataclass(frozen=True)
class _Placement:
    """Where axes and legend go."""

    size: tuple[float, float]  # of the figure, inches
    letters: int  # of a region's name on a line of the legend
    stacked: bool = False  # linear time below logarithmic time, not beside it
    columns: int = 0  # of the legend below the axes; 0: it is beside them
    roomy: bool = True  # names of axes are written in full


def _placement(names: Sequence[str], rows: int, options: PictureOptions) -> _Placement:
    """Where there is room for all.

    The legend goes below the axes where it leaves them no width or is too long; axes that would still be too narrow go
    below each other, and the figure gets higher.
    """
    width, height = figure_size(options, WIDTH, HEIGHT + MORE * (rows - 1))
    entry = SAMPLE + LETTER * max((*map(len, names), BAND_WIDTH))
    room = width - NUMBERS
    if room - entry >= 2 * LEAST and ENTRY * (len(names) + 2) <= height:
        return _Placement((width, height), max(map(len, names), default=1), roomy=rows == 1)
    columns = max(1, int(width / entry))
    letters = int((width - SAMPLE) / LETTER)
    lines = sum(len(textwrap.wrap(name, letters)) for name in names)
    stacked = room < 2 * LEAST
    height = (2 * rows * BELOW if stacked else height) + ENTRY * (math.ceil(lines / columns) + 2)
    return _Placement((width, height), letters, stacked, columns, rows == 1 and not stacked)


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
    marker = "o" if np.count_nonzero(t > 0) == 1 else None  # alone on a logarithmic axis, it makes no line
    (line,) = axes.plot(t, c, linewidth=1.6, color=look["color"], linestyle=look["linestyle"], marker=marker)
    if name in bands:
        axes.fill_between(t, c - bands[name], c + bands[name], color=look["color"], alpha=0.25, linewidth=0)
    return line


def _dress(axes: Any, curves: RegionCurves) -> None:
    """Scales, grids and names of all axes."""
    _, unit = time_unit(float(curves.times[-1]))
    later = curves.times[curves.times > 0]
    for over_log, over_time in axes:
        if len(later):
            set_log_time(over_log)
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


def _legend(figure: "Figure", handles: Mapping[str, Any], band: str | None, place: _Placement) -> None:
    """Legend beside the axes, or below them."""
    from matplotlib.patches import Patch

    if handles:
        bands = [] if band is None else [Patch(color="0.5", alpha=0.25, linewidth=0)]
        texts = [] if band is None else [textwrap.fill(f"band: {band}", BAND_WIDTH)]
        legend = figure.legend(
            [*handles.values(), *bands],
            ["-"] * (len(handles) + len(bands)),
            loc="outside lower center" if place.columns else "outside right center",
            ncols=max(1, place.columns),
            frameon=False,
        )
        name_entries(legend, [*(textwrap.fill(name, place.letters) for name in handles), *texts])
        if texts:
            legend.get_texts()[-1].set_fontsize(7)
