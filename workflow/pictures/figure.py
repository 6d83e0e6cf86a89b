"""What all figures share: colours, units that people say, names in legends, and files that appear whole."""

import math
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.writing import whole_file
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.rendering.png import write_png
from microlith.workflow.results.folder import SNAPSHOT_PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

INCH = 0.0254  # m
LEAST_HEIGHT = 2.6  # inches, of a figure that is made narrower
# Okabe and Ito (2008): told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.")  # one after the other, when all colours are taken
INK = "#222222"
ALIKE = 1e-4  # relative difference up to which values of a scale are the same
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PLAIN_DECADES = 3.0  # of a logarithmic axis, below which its numbers are said as they are
SMALLEST_SAID, LARGEST_SAID = 9e-4, 1e5  # of such numbers
# Units in which people say what an analysis finds, by its SI unit: the factor, and the unit
IN_MICROMETRES = {"m": (1e6, "µm"), "1/m": (1e-6, "1/µm"), "m^2": (1e12, "µm²"), "1/m^2": (1e-12, "1/µm²")}
IN_MICROMETRES |= {"m^3": (1e18, "µm³"), "1/m^3": (1e-18, "1/µm³"), "1": (1.0, ""), "m^2/s": (1.0, "m²/s")}
# Units in which people say times, in s
TIMES = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))


def line_look(number: int) -> dict[str, Any]:
    """Colour and dashes of a line of several, as Matplotlib's `plot` takes them; each of 28 has its own."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def snapshot_names(times: Sequence[float]) -> list[str]:
    """File names of snapshots, such as snapshot-2s.png; with more digits where two would be the same."""
    for digits in (6, 9, 17):
        names = [f"{SNAPSHOT_PREFIX}{float(time):.{digits}g}s.png" for time in times]
        if len(set(names)) == len(set(times)):
            break
    return names


def panels_of(figure: "Figure", count: int, columns: int) -> "list[Axes]":
    """Axes for so many pictures in rows; what is left of the last row stays empty."""
    rows = math.ceil(count / columns)
    panels: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return panels[:count]


def set_apart(low: float, high: float, alike: float = ALIKE) -> tuple[float, float]:
    """Ends of a scale, in the unit it is shown in; a tenth to either side of values that are all the same.

    Args:
        low: The least value.
        high: The largest.
        alike: Difference, relative to the larger of both, up to which they are the same.
    """
    if high - low > alike * max(abs(low), abs(high)):
        return low, high
    middle = 0.5 * (low + high)
    return (middle - 0.1 * abs(middle), middle + 0.1 * abs(middle)) if middle else (0.0, 1.0)


def show_level(axes: "Axes") -> None:
    """Give lines that are level but for rounding an axis of y with numbers that can be told apart."""
    low, high = (float(end) for end in axes.dataLim.intervaly)
    if math.isfinite(high - low) and low < high:
        ends = set_apart(low, high)
        if ends != (low, high):
            axes.set_ylim(*ends)


def time_unit(time: float) -> tuple[float, str]:
    """Seconds in the unit in which people say a time, and the unit's sign."""
    if time <= 0.0:
        return 1.0, "s"
    # A time is said in minutes, hours, days from ten (days: three) of them on: "100 s", "20 min"
    starts = (0.0, 1e-6, 1e-3, 1.0, 600.0, 36000.0, 3 * 86400.0)
    return next(unit for unit, start in zip(reversed(TIMES), reversed(starts), strict=True) if time >= start)


def set_log_time(axes: "Axes") -> None:
    """Make the axis of times logarithmic; what is drawn at 0 is left out, which Matplotlib would draw as a level."""
    axes.set_xscale("log", nonpositive="mask")
    say_log_ticks(axes.xaxis)


def say_log_ticks(axis: "Axis") -> None:
    """Numbers of a logarithmic axis as people say them over few decades, 0.5 or 20, in place of 2×10¹; else powers."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation

    powers = LogFormatterSciNotation()
    powers.set_axis(axis)

    def text(value: float, is_minor: bool) -> str:
        low, high = sorted(axis.get_view_interval())
        decades = math.log10(high / low) if low > 0.0 else math.inf
        if decades >= PLAIN_DECADES or low < SMALLEST_SAID or high > LARGEST_SAID:
            return "" if is_minor else str(powers(value))
        first = f"{value:.6e}"[0]
        few = "25" if decades > 1.5 else "235" if decades > 0.7 else "123456789"
        return f"{value:g}" if not is_minor or first in few else ""

    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value, False)))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: text(value, True)))


def said_time(time: float) -> str:
    """A time in the unit in which people say it, such as "20 min", or a smaller one where that makes it shorter."""
    scale, unit = time_unit(time)
    exact = [(s, u) for s, u in TIMES if s <= scale and time / s < 1e5 and f"{time / s:.4g}" == f"{time / s:.9g}"]
    scale, unit = exact[-1] if exact else (scale, unit)
    return f"{time / scale:.6g} {unit}"


def length_unit(length: float) -> tuple[float, str]:
    """Metres in the unit in which people say a length, and the unit's sign."""
    units = ((1e-9, "nm"), (1e-6, "µm"), (1e-3, "mm"), (1.0, "m"))
    return next((unit for unit in reversed(units) if length >= unit[0]), units[0])


def said_length(length: float) -> str:
    """A length in the unit in which people say it, such as "50 nm"."""
    scale, unit = length_unit(length)
    return f"{length / scale:.4g} {unit}"


def round_length(length: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above the length."""
    power = 10.0 ** math.floor(math.log10(length) + 1e-9)
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= length * (1 + 1e-9))


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


def figure_size(options: PictureOptions, width: float, height: float) -> tuple[float, float]:
    """Width and height in inches of a figure that has this size unless the case asks for another width.

    Letters keep their size, so that a narrow figure is not made flatter than they allow.
    """
    if options.width is None:
        return width, height
    asked = options.width / INCH
    return asked, max(height * asked / width, min(height, LEAST_HEIGHT))


def files_of(path: Path, options: PictureOptions) -> list[Path]:
    """Files of a picture, one for each format.

    Args:
        path: Of the picture as a PNG file.
        options: With the formats.
    """
    return [path.with_suffix(f".{ending}") for ending in options.formats]


def save(
    figure: "Figure",
    path: Path,
    title: str,
    options: PictureOptions | None = None,
    paint: "Callable[[FigureCanvasAgg], None] | None" = None,
) -> None:
    """Write a picture in each format, every file whole or not at all.

    Args:
        figure: What is drawn.
        path: Of the picture as a PNG file; of other formats the ending is another.
        title: Of the picture, kept in the file.
        options: With formats and resolution.
        paint: Draws the figure as pixels; left out: Matplotlib does.

    Raises:
        InputError: A file can't be written.
    """
    import matplotlib

    _write_powers_plainly(figure)
    options = options or PictureOptions()
    # The same picture is the same file: no date, and names within it that are not random
    about: dict[str, dict[str, Any]] = {
        "svg": {"metadata": {"Title": title, "Creator": "microlith", "Date": None}},
        "pdf": {"metadata": {"Title": title, "Creator": "microlith", "CreationDate": None}},
    }
    for file in files_of(path, options):
        ending = file.suffix[1:]
        with (
            whole_file(file) as temporary,
            warnings.catch_warnings(),
            matplotlib.rc_context({"svg.hashsalt": "microlith", "svg.fonttype": "none", "pdf.fonttype": 42}),
        ):
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box in a title is no reason to speak up
            if ending == "png":
                _write_png(figure, temporary, title, options.resolution, paint)
            else:
                figure.savefig(temporary, format=ending, dpi=options.resolution, **about[ending])


def _write_powers_plainly(figure: "Figure") -> None:
    """Letters in the place of formulas on logarithmic axes: to start those takes as long as half of a figure."""
    from matplotlib.ticker import LogFormatterSciNotation

    class Plain(LogFormatterSciNotation):
        def __call__(self, x: float, pos: Any = None) -> str:
            return plain_power(super().__call__(x, pos))

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is LogFormatterSciNotation:
                axis.set_major_formatter(Plain())
            if type(axis.get_minor_formatter()) is LogFormatterSciNotation:
                axis.set_minor_formatter(Plain())


def plain_power(formula: str) -> str:
    r"""A formula such as `$\mathdefault{-2\times10^{-3}}$` in letters, −2×10⁻³; others stay as they are."""
    found = re.fullmatch(r"\$\\mathdefault\{(-?)([\d.]+\\times)?(10\^\{(-?\d+)\}|0)\}\$", formula)
    if found is None:
        return formula
    sign, factor, power, exponent = found.groups(default="")
    number = f"10{exponent.translate(RAISED)}" if exponent else power
    return sign.replace("-", "−") + factor.replace("\\times", "×") + number


def _write_png(
    figure: "Figure", file: Path, title: str, resolution: int, paint: "Callable[[FigureCanvasAgg], None] | None"
) -> None:
    """As matplotlib would, but without opacity, which is full everywhere, and drawn once for layout and all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(resolution)
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    (paint or FigureCanvasAgg.draw)(canvas)
    picture = np.asarray(canvas.buffer_rgba())[:, :, :3]
    write_png(file, picture, {"Title": title, "Software": "microlith"}, resolution)
