"""Picture of the regions' mean concentrations against time."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from microlith.imaging.typing import Array
from microlith.workflow.pictures.figure import COLOURS, DPI, name_entries, save, time_unit, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")  # one after the other, when all colours are taken
LINE = 0.007  # width of a curve's line, per height of the axes
BAND_WIDTH = 13  # letters of the legend's line about the band


def draw_curves(
    path: Path,
    title: str,
    times: ArrayLike,
    curves: Mapping[str, ArrayLike],
    reference: float,
    error: float | Mapping[str, ArrayLike] | None = None,
    band: str = "estimated error in time",
) -> None:
    """Draw curves.png: mean concentrations over logarithmic and linear time, side by side.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        title: Of the case.
        times: (n,) in s.
        curves: Region name -> (n,) in mol/m^3.
        reference: Concentration that counts as 100 %, mol/m^3.
        error: Estimated error of the curves, mol/m^3, one number or region name -> (n,); drawn as a band where it
            is wider than the line.
        band: What the error is, for the legend.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure

    t = np.asarray(times, dtype=np.float64)
    figure = Figure(figsize=(9.0, 4.2), dpi=DPI, layout="constrained")
    over_log, over_time = figure.subplots(1, 2, sharey=True)
    scale, unit = time_unit(float(t[-1]))
    lines = []
    bands = _visible(error, curves)
    for i, (name, values) in enumerate(curves.items()):
        c = np.asarray(values, dtype=np.float64)
        look: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
            "linewidth": 1.6,
        }
        for axes in (over_log, over_time):
            shown = t > 0 if axes is over_log else np.ones(len(t), dtype=bool)
            lines += axes.plot(t[shown] / scale, c[shown], **look)
            if name in bands:
                low, high = (c + bands[name] * side for side in (-1, 1))
                axes.fill_between(
                    t[shown] / scale, low[shown], high[shown], color=look["color"], alpha=0.25, linewidth=0
                )
    if (t > 0).any():
        over_log.set_xscale("log")
    for axes in (over_log, over_time):
        axes.set_xlabel(f"time / {unit}")
        axes.grid(color="0.88", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top"]].set_visible(False)
    over_log.set_ylabel("mean concentration / mol m⁻³")
    over_log.spines["right"].set_visible(False)
    if reference > 0:
        percent = over_time.secondary_yaxis(
            "right", functions=(lambda c: 100 * c / reference, lambda p: p * reference / 100)
        )
        percent.set_ylabel(f"% of {reference:g} mol m⁻³")
    _legend(figure, lines[::2], list(curves), f"band: {band}" if bands else None)
    figure.suptitle(wrapped(title, 9.0), parse_math=False, fontsize=11)
    save(figure, path, title)


def _visible(error: float | Mapping[str, ArrayLike] | None, curves: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Half widths of the bands, (n,), of the regions where a band is wider than the line itself."""
    if error is None or not curves:
        return {}
    every = [np.asarray(curve, dtype=np.float64) for curve in curves.values()]
    span = max(float(c.max(initial=0.0)) for c in every) - min(float(c.min(initial=0.0)) for c in every)
    each = error if isinstance(error, Mapping) else dict.fromkeys(curves, error)
    halves = {
        name: np.broadcast_to(np.asarray(each[name], np.float64), c.shape)
        for name, c in zip(curves, every, strict=True)
        if name in each
    }
    return {name: half for name, half in halves.items() if 2 * float(half.max(initial=0.0)) > LINE * span}


def _legend(figure: "Figure", handles: Sequence[Any], names: Sequence[str], band: str | None) -> None:
    """Legend beside the axes."""
    from matplotlib.patches import Patch

    if handles:
        bands = [] if band is None else [Patch(color="0.5", alpha=0.25, linewidth=0)]
        texts = [] if band is None else [textwrap.fill(band, BAND_WIDTH)]
        legend = figure.legend(
            [*handles, *bands], ["-"] * (len(handles) + len(bands)), loc="outside right center", frameon=False
        )
        name_entries(legend, [*names, *texts])
        if texts:
            legend.get_texts()[-1].set_fontsize(7)
