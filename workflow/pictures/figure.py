"""What pictures of 2D and 3D runs share: colours, units that people say, legends, and files that appear whole."""

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.solver.regions.shapes import LabelRegion, Shape, SurfaceOf, WholePhase
from microlith.workflow.results.folder import SNAPSHOT_PREFIX, whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from microlith.meshing.mesh.phasemesh import PhaseMesh

DPI = 300
# Okabe and Ito (2008): told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE_TO_RED = "RdYlBu_r"  # by way of yellow, so that no concentration looks like a grey phase
GREYS = (0.93, 0.45)  # first and last of the phases that are not solved
INK = "#222222"


def snapshot_names(times: Sequence[float]) -> list[str]:
    """File names of snapshots, such as snapshot-2s.png; with more digits where two would be the same."""
    for digits in (6, 9, 17):
        names = [f"{SNAPSHOT_PREFIX}{float(time):.{digits}g}s.png" for time in times]
        if len(set(names)) == len(set(times)):
            break
    return names


def time_unit(time: float) -> tuple[float, str]:
    """Seconds in the unit in which people say a time, and the unit's sign."""
    if time <= 0.0:
        return 1.0, "s"
    units = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))
    # A time is said in minutes, hours, days from ten (days: three) of them on: "100 s", "20 min"
    starts = (0.0, 1e-6, 1e-3, 1.0, 600.0, 36000.0, 3 * 86400.0)
    return next(unit for unit, start in zip(reversed(units), reversed(starts), strict=True) if time >= start)


def length_unit(length: float) -> tuple[float, str]:
    """Metres in the unit in which people say a length, and the unit's sign."""
    units = ((1e-9, "nm"), (1e-6, "µm"), (1e-3, "mm"), (1.0, "m"))
    return next((unit for unit in reversed(units) if length >= unit[0]), units[0])


def round_length(length: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above the length."""
    power = 10.0 ** math.floor(math.log10(length) + 1e-9)
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= length * (1 + 1e-9))


def phases_with_cells(mesh: "PhaseMesh") -> NDArray[np.bool_]:
    """Whether each phase has cells on any rank, (phases,)."""
    here = np.bincount(mesh.cell_tags.values, minlength=len(mesh.names)) > 0
    everywhere: NDArray[np.bool_] = np.logical_or.reduce(mesh.mesh.comm.allgather(here))
    return everywhere


def greys_of(solved: NDArray[np.bool_]) -> dict[int, float]:
    """Grey of each phase that is not solved, from light to dark in their order."""
    unsolved = np.flatnonzero(~solved)
    levels = np.linspace(*GREYS, len(unsolved))
    return {int(phase): float(level) for phase, level in zip(unsolved, levels, strict=True)}


def described(shape: Shape) -> str:
    """A region without an edge in words.

    Raises:
        TypeError: The shape is another one.
    """
    if isinstance(shape, WholePhase):
        return f"all of {shape.phase}"
    if isinstance(shape, LabelRegion):
        return f"label {shape.label} of {Path(shape.path).name}"
    if isinstance(shape, SurfaceOf):
        return f"surface of {shape.phase}"
    raise TypeError(f"expected a region without an edge, got {type(shape).__name__}")


def phase_legend(
    figure: "Figure", left: float, greys: Mapping[int, float], names: Sequence[str], notes: Sequence[str]
) -> None:
    """Grey patches with the names of the phases, and notes on regions, under the picture."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=str(level), edgecolor=INK, linewidth=0.5) for level in greys.values()]
    _, height = figure.get_size_inches()
    if handles:
        labels = [names[phase] for phase in greys]
        legend = figure.legend(
            handles,
            ["-"] * len(handles),
            loc="lower left",
            bbox_to_anchor=(left, 0.24 / height),
            ncols=len(handles),
            frameon=False,
            fontsize=8,
            borderpad=0,
            borderaxespad=0,
        )
        name_entries(legend, labels)
    figure.text(left, 0.1 / height, "; ".join(notes), fontsize=7, va="bottom", parse_math=False)


def name_entries(legend: Any, names: Sequence[str]) -> None:
    """Names as they are: as labels, "_x" would be left out and "$x$" set as a formula."""
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def halo(width: float) -> list[Any]:
    """White rim that keeps lines and letters legible on any colour."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground="white")]


def wrapped(title: str, width: float) -> str:
    """Title on as many lines as a figure of this width (inches) needs."""
    return "\n".join(textwrap.wrap(title, max(20, int(12 * width)))) or " "


def save(figure: "Figure", path: Path, title: str) -> None:
    """Write a PNG file, whole or not at all.

    Raises:
        InputError: The file can't be written.
    """
    with whole_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box in a title is no reason to speak up
        figure.savefig(
            temporary,
            format="png",
            dpi=DPI,
            metadata={"Title": title, "Software": "microlith"},
            pil_kwargs={"compress_level": 4},
        )


@dataclass(frozen=True)
class Page:
    """A figure around a picture: room for title and time above it, a colour bar beside it, a legend below it."""

    figure: "Figure"
    axes: "Axes"  # of the picture, one pixel of it to one of the file
    heading: Any  # matplotlib's text, for the time
    left: float  # edge of the picture, as a share of the figure's width


def page(
    title: str,
    pixels: tuple[int, int],
    margins: tuple[float, float, float, float],
    least_width: float,
    c_range: tuple[float, float],
    inset: float = 0.0,
    colours: "ScalarMappable | None" = None,
    of_bar: str = "concentration / mol m⁻³",
) -> Page:
    """Lay a figure out so that one pixel of a picture is one pixel of the file.

    Args:
        title: Above the picture.
        pixels: Columns and rows of the picture.
        margins: Left, right, top and bottom of it, inches.
        least_width: Of the figure, inches.
        c_range: Concentrations at the ends of the colour bar, mol/m^3.
        inset: Share of the height by which the colour bar is shorter at both ends.
        colours: Of the colour bar, where they are others than those of concentrations.
        of_bar: What the colours stand for, with its unit.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    left, right, top, bottom = margins
    wide, tall = pixels[0] / DPI, pixels[1] / DPI
    width = max(wide + left + right, least_width)
    lines = wrapped(title, width)
    top += 0.17 * lines.count("\n")
    room = max(tall, 1.9)  # the colour bar wants as much
    height = room + top + bottom
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes((left / width, (bottom + room - tall) / height, wide / width, tall / height))
    short = inset * room
    bar = figure.add_axes(
        ((left + wide + 0.18) / width, (bottom + short) / height, 0.16 / width, (room - 2 * short) / height)
    )
    mappable = colours or ScalarMappable(Normalize(*c_range), cmap=BLUE_TO_RED)
    figure.colorbar(mappable, cax=bar).set_label(of_bar, fontsize=8)
    bar.tick_params(labelsize=8)
    figure.text(left / width, 1 - 0.12 / height, lines, fontsize=10, va="top", parse_math=False)
    heading = figure.text(left / width, 1 - (top - 0.08) / height, "", fontsize=10, weight="bold", va="bottom")
    return Page(figure, axes, heading, left / width)


def scale_bar(axes: "Axes", extent: tuple[float, float], unit: str) -> None:
    """A bar of round length, about a fifth of the width, in the lower left corner."""
    length = round_length(0.3 * extent[0])
    shown, sign = length, unit
    if length < 1.0:  # of the drawing's unit: say it in the next smaller one
        smaller = {"m": "mm", "mm": "µm", "µm": "nm"}
        shown, sign = (length * 1000, smaller[unit]) if unit in smaller else (length, unit)
    inset = 0.03 * max(extent)
    x, y = min(inset, 0.1 * extent[0]), extent[1] - min(inset, 0.12 * extent[1])
    axes.plot([x, x + length], [y, y], color="black", linewidth=3, solid_capstyle="butt", path_effects=halo(5))
    axes.annotate(
        f"{shown:g} {sign}",
        (x + length / 2, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9,
        path_effects=halo(2.5),
    )
