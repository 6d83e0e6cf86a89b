"""Maps of an analysis: values in colour on a section, where there is none the phases in grey."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microlith.workflow.case.case import PictureOptions
from microlith.workflow.measurements.findings import Map
from microlith.workflow.pictures.figure import figure_size, length_unit, name_entries, save, set_apart, wrapped

LIGHTEST, DARKEST = 0.95, 0.45  # greys of the first and of the last phase
LONG_SIDE = 4.6  # inches


def draw_map(path: Path, title: str, one: Map, names: Sequence[str], options: PictureOptions | None = None) -> None:
    """Draw a map.

    Args:
        path: The PNG file; each format of it appears whole or not at all. For one rank.
        title: Of the case.
        one: What to draw.
        names: Of the phases.
        options: How pictures look.

    Raises:
        InputError: A file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    options = options or PictureOptions()
    tall, wide = (n * edge for n, edge in zip(one.values.shape, one.pixel, strict=True))
    scale, unit = length_unit(max(tall, wide))
    inches = LONG_SIDE / max(tall, wide)
    size = figure_size(options, max(wide * inches, 1.5) + 1.9, max(tall * inches, 1.5) + 1.2)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    axes = figure.subplots()
    extent = (0.0, wide / scale, tall / scale, 0.0)
    greys = np.linspace(LIGHTEST, DARKEST, max(2, len(names)))[: len(names)]
    axes.imshow(greys[one.phase], cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    finite = one.values[np.isfinite(one.values)]
    if finite.size:
        values = np.ma.masked_invalid(one.values / one.scale)
        low, high = set_apart(float(values.min()), float(values.max()))
        colours = axes.imshow(values, cmap=options.colours, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        figure.colorbar(colours, ax=axes, shrink=0.9).set_label(one.label)
    axes.set_xlabel(f"{one.axes[1]} / {unit}")
    axes.set_ylabel(f"{one.axes[0]} / {unit}")
    axes.set_title(one.heading, fontsize=9, parse_math=False)
    shown = [phase for phase in range(len(names)) if (np.isnan(one.values) & (one.phase == phase)).any()]
    handles = [Patch(facecolor=str(greys[phase]), edgecolor="0.2", linewidth=0.5) for phase in shown]
    legend = figure.legend(
        handles, ["-"] * len(handles), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    name_entries(legend, [names[phase] for phase in shown])
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=10)
    save(figure, path, f"{title}, {one.heading}", options)
