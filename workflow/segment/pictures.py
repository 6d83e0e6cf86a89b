"""Pictures of a segmentation: sections as they were, filtered, labelled and how sure; and the histogram."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.segmentation.segment import PERCENT, Segmented
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import (
    COLOURS,
    INK,
    name_entries,
    round_length,
    said_length,
    save,
    wrapped,
)
from microlith.workflow.segment.report import method_entries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESOLUTION = 150  # pixels per inch
SAMPLE = 1 << 20  # voxels from which the ends of the greys are taken
WIDTH = 3.0  # inches of a section
TALLEST, LEAST_TALL = 4.5, 0.8
BENEATH = 8  # points from a section to its scale bar


def phase_colours(count: int) -> list[str]:
    """Colours of phases: the first is the colour of pores in other pictures, white-ish grey; the rest are distinct."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if count <= 1 + len(COLOURS):
        return ["#e8e8e8", *COLOURS][:count]
    return ["#e8e8e8", *(to_hex(colour) for colour in colormaps["turbo"](np.linspace(0.0, 1.0, count - 1)))]


def draw_sections(path: Path, title: str, found: Segmented) -> None:
    """Draw segment.png: the middle section across z, and in 3D that across y, in four views each.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        title: Of the picture.
        found: The segmentation.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    cuts = [("z", 0)] + ([("y", 1)] if found.dim == 3 else [])
    heights = [_height(found, axis) for _, axis in cuts]
    size = (4 * WIDTH + 1.2, sum(heights) + 0.45 * len(cuts) + 1.0)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    places: Any = figure.subplots(len(cuts), 4, squeeze=False, height_ratios=heights)
    colours = ListedColormap(phase_colours(len(found.phases)))
    step = max(1, round((found.raw.values().size / SAMPLE) ** (1 / 3)))
    darkest, brightest = np.quantile(found.raw.values()[::step, ::step, ::step], (0.002, 0.998))
    surest = min(PERCENT // 2, max(1, int(np.quantile(found.margin.values()[::step, ::step, ::step], 0.95))))
    low, high = (found.histogram.quantile(q) for q in (0.002, 0.998))
    for row, (name, axis) in zip(places, cuts, strict=True):
        middle = found.labels.shape[axis] // 2
        where = f"{name} = {said_length((middle + 0.5) * found.voxel_size[axis])}" if found.dim == 3 else ""
        views = [(v, section(v, axis, middle)) for v in (found.raw, found.grey, found.labels, found.margin)]
        look = [
            {"cmap": "gray", "vmin": darkest, "vmax": brightest},
            {"cmap": "gray", "vmin": low, "vmax": high},
            {"cmap": colours, "vmin": -0.5, "vmax": len(found.phases) - 0.5},
            {"cmap": "magma", "vmin": 0, "vmax": surest},
        ]
        names = ("grey values", "filtered", "labels", "margin")
        nowhere = found.outside is not None and section(found.outside.mask, axis, middle) != 0
        for axes, (_, values), options, what in zip(row, views, look, names, strict=True):
            values = np.ma.masked_where(np.broadcast_to(nowhere, values.shape), values)
            shown = axes.imshow(values, interpolation="nearest", aspect=_aspect(found, axis), **options)
            axes.set_axis_off()
            axes.set_title(f"{what}{', ' + where if where and what == 'grey values' else ''}", fontsize=9, color=INK)
        _scale_bar(row[0], found.labels.shape[2], found.voxel_size[2])
    # One bar for all rows, which show the same colours: beside a flat section there is no room for what it says.
    figure.colorbar(shown, ax=list(places[:, -1]), label="margin / %", fraction=0.05, extend="max")
    legend = figure.legend(
        handles=[Patch(facecolor=colours(i), edgecolor="0.4") for i in range(len(found.phases))],
        labels=["-"] * len(found.phases),
        loc="outside lower center",
        ncols=min(6, len(found.phases)),
        frameon=False,
        fontsize=9,
    )
    name_entries(legend, found.phases)
    figure.suptitle(wrapped(title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, title, PictureOptions(resolution=RESOLUTION))


def section(volume: Any, axis: int, at: int) -> NDArray[Any]:
    """The layer of a volume at one place of an axis."""
    return np.asarray(np.take(volume.values(), at, axis=axis))


def _height(found: Segmented, axis: int) -> float:
    rows = 1 if axis == 0 else 0
    tall = found.labels.shape[rows] * found.voxel_size[rows]
    return float(np.clip(WIDTH * tall / (found.labels.shape[2] * found.voxel_size[2]), LEAST_TALL, TALLEST))


def _aspect(found: Segmented, axis: int) -> float:
    return found.voxel_size[1 if axis == 0 else 0] / found.voxel_size[2]


def _scale_bar(axes: "Axes", columns: int, edge: float) -> None:
    """A bar beneath a section, where it hides nothing however flat or narrow that is."""
    from matplotlib.transforms import ScaledTranslation

    length, limits = round_length(0.35 * columns * edge), (axes.get_xlim(), axes.get_ylim())
    below = axes.get_xaxis_transform() + ScaledTranslation(0, -BENEATH / 72, axes.figure.dpi_scale_trans)
    ends = [-0.5, length / edge - 0.5]
    axes.plot(ends, [0, 0], color=INK, linewidth=2.5, solid_capstyle="butt", transform=below, clip_on=False)
    axes.text(ends[1], 0, f" {said_length(length)}", color=INK, ha="left", va="center", fontsize=8, transform=below)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])


def draw_histogram(path: Path, title: str, found: Segmented) -> None:
    """Draw histogram.png: how often each grey value is, of each phase, and the thresholds.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        title: Of the picture.
        found: The segmentation.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    shown = found.histogram.coarse(256)
    width = float(shown.edges[1] - shown.edges[0])
    share = shown.counts / max(1, shown.voxels)
    cuts = method_entries(found).get("thresholds", ())
    place = np.digitize(shown.centres, cuts) if len(cuts) == len(found.phases) - 1 else np.zeros(len(share), int)
    colours = phase_colours(len(found.phases)) if len(cuts) == len(found.phases) - 1 else ["0.6"]
    bars = []
    for index, colour in enumerate(colours):
        mine = place == index
        bars.append(
            axes.bar(shown.centres[mine], 100 * share[mine], width, color=colour, edgecolor="0.35", linewidth=0.2)
        )
    for cut in cuts:
        axes.axvline(cut, color=INK, linewidth=1.0)
        axes.annotate(
            f"{cut:.4g}", (cut, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
        )
    if len(colours) == len(found.phases):
        legend = axes.legend(bars, ["-"] * len(found.phases), frameon=False, fontsize=8)
        name_entries(legend, found.phases)
    axes.set_xlabel("grey value after the filters")
    axes.set_ylabel("voxels / %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(wrapped(title, 6.5), parse_math=False, fontsize=10)
    save(figure, path, title, PictureOptions(resolution=RESOLUTION))
