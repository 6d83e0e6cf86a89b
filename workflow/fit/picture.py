"""Picture of a fit: what was measured, the fitted curves with bands, and the residuals below."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.fit.fitted import Fit
from microlith.workflow.fit.intervals import LEVEL
from microlith.workflow.pictures.figure import (
    COLOURS,
    figure_size,
    name_entries,
    save,
    set_log_time,
    time_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 7.0, 5.4  # inches
MOST_REGIONS = len(COLOURS)  # in the picture
NORMAL = 1.96  # standard deviations of a 95 % band
MARKERS = "osD^v<>"


def draw_fit(path: Path, found: Fit) -> None:
    """Draw fit.png; for one rank.

    Args:
        path: As a PNG file; each format of it appears whole or not at all.
        found: What is drawn.

    Raises:
        InputError: A file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    options = found.case.pictures
    size = figure_size(options, WIDTH, HEIGHT)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    scale, unit = time_unit(float(found.measured.times[-1]))
    handles = []
    names = list(found.measured.regions[:MOST_REGIONS])
    for index, _ in enumerate(names):
        handles.append(_draw(above, below, found, index, scale))
    below.axhline(0.0, color="0.4", linewidth=0.8)
    if _is_logarithmic(found.measured.times):
        set_log_time(above)
        above.set_xlim(left=0.3 * float(found.measured.times[found.measured.times > 0][0]) / scale)
    for axes in (above, below):
        axes.grid(color="0.88", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    above.set_ylabel("mean concentration / mol m⁻³")
    below.set_ylabel("fitted − measured")
    below.set_xlabel(f"time / {unit}")
    patch = Patch(color="0.5", alpha=0.25, linewidth=0)
    percent = f"{100 * LEVEL:.0f} %"
    texts = [*names, f"band: {percent} of the fit, and errors of the curves"]
    legend = figure.legend(
        [*handles, patch], ["-"] * len(texts), loc="outside lower center", ncols=2, frameon=False, fontsize=8
    )
    name_entries(legend, texts)
    title = "\n".join([found.title, *(_said(found, k) for k in range(len(found.estimates)))][:6])
    lines = "\n".join(wrapped(line, size[0]) for line in title.splitlines())
    figure.suptitle(lines, parse_math=False, fontsize=9)
    save(figure, path, found.title, options)


def _said(found: Fit, k: int) -> str:
    one = found.estimates[k]
    low, high = one.interval
    ends = f"95 % {low:.4g} to {high:.4g}" if np.isfinite([low, high]).all() else "not determined"
    return f"{one.parameter.key} = {one.parameter.said(one.value)} ({ends})"


def _is_logarithmic(times: Array) -> bool:
    later = times[times > 0]
    return bool(len(later) > 2 and later[-1] > 30 * later[0] and np.median(later) < 0.3 * later[-1])


def _draw(above: "Axes", below: "Axes", found: Fit, index: int, scale: float) -> Any:
    measured, name = found.measured, found.measured.regions[index]
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    mine = measured.region == index
    t = measured.times[measured.moment[mine]] / scale
    (line,) = above.plot(found.times / scale, found.curves[name], color=colour, linewidth=1.4)
    low, high = band(found, name)
    above.fill_between(found.times / scale, low, high, color=colour, alpha=0.25, linewidth=0)
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 3.5, "capsize": 1.5}
    bars = None if measured.deviations is None else measured.deviations[mine]
    above.errorbar(t, measured.values[mine], bars, elinewidth=0.7, **look)
    below.errorbar(t, found.residuals[mine], bars, elinewidth=0.7, **look)
    error = np.interp(t, found.times / scale, found.curve_errors[name])
    below.fill_between(t, -error, error, color=colour, alpha=0.15, linewidth=0)
    return line


def band(found: Fit, name: str) -> tuple[Array, Array]:
    """Where the fitted curve of a region lies, at `found.times`: 95 % of the fit's own scatter, and its errors.

    Between the times of the data the scatter is interpolated.
    """
    measured = found.measured
    mine = measured.region == measured.regions.index(name)
    at = measured.times[measured.moment[mine]]
    spread = NORMAL * found.scatter_of_fit[mine]
    half = np.interp(found.times, at, spread) + found.curve_errors[name]
    return found.curves[name] - half, found.curves[name] + half
