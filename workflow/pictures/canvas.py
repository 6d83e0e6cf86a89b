"""The page around a picture of a sample, in 2D and 3D alike.

Title and time stand above the picture, colour bars beside it or, on a narrow page, below it, a legend and notes below
it; one pixel of the picture is one pixel of the file.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.figure import INCH, INK, name_entries, save, wrapped
from microlith.workflow.pictures.frames import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.image import AxesImage

Colour = tuple[float, float, float] | str

LONG_SIDE = {2: 16 / 3, 3: 5.0}  # inches of a picture's longer side, by dimension
TALLEST = 1.5  # times the width of a page, where that is given
LEAST_WIDTH = 4.6  # inches, of a page whose width is not given
LEAST_HEIGHT = 1.9  # inches, of a colour bar
BAR_GAP, BAR_WIDTH, BAR_STEP = 0.18, 0.16, 0.98  # inches
NO_BAR = 0.2  # inches right of a picture without a colour bar beside it
NARROW = 1.4  # inches: where bars beside a picture would leave it less, they go below it
BAR_ROW, BAR_LINE, BAR_LETTERS = 0.6, 0.15, 14  # inches of a bar below; of a line of its label; letters per inch
LEGEND_ROW, NOTE_ROW = 0.19, 0.13  # inches
LETTER = 0.075  # inches, of the legend, on average
NOTE_LETTERS = 18  # per inch


@dataclass(frozen=True)
class Margins:
    """Room around a picture with one colour bar, inches."""

    left: float
    right: float
    top: float
    bottom: float
    inset: float  # share of the height by which the bar is shorter at both ends
    numbers: float  # part of the bottom that is next to the picture


MARGINS = {2: Margins(0.6, 1.15, 0.65, 0.95, 0.0, 0.5), 3: Margins(0.4, 1.15, 0.6, 0.6, 0.08, 0.1)}  # by dimension


@dataclass(frozen=True)
class ColourBar:
    """What the colours of a picture stand for."""

    colours: "ScalarMappable"
    label: str  # with its unit
    extend: Literal["neither", "min", "max", "both"] = "neither"  # ends beyond which something lies

    @classmethod
    def of_scales(cls, scales: Sequence[ColourScale], colours: str) -> "list[ColourBar]":
        """A bar for each scale of concentrations.

        Args:
            scales: Of all phases.
            colours: Name of the colour map.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        bars = []
        for scale in scales:
            beyond = 1e-3 * (scale.high - scale.low)
            below, above = scale.lowest < scale.low - beyond, scale.highest > scale.high + beyond
            where = f" in {', '.join(scale.phases)}" if len(scales) > 1 else ""
            extend: Any = {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
                (below, above), "both"
            )
            mappable = ScalarMappable(Normalize(scale.low, scale.high), cmap=colours)
            bars.append(cls(mappable, f"concentration{where} / mol m⁻³", extend))
        return bars


def pixels_of(dim: int, aspect: float, bars: int, options: PictureOptions) -> tuple[int, int]:
    """Columns and rows of a picture.

    Args:
        dim: Number of space dimensions.
        aspect: Width over height.
        bars: Number of colour bars beside it.
        options: With width and resolution.
    """
    if options.width is None:
        wide = LONG_SIDE[dim] * min(1.0, aspect)
    else:
        page = options.width / INCH
        margins = MARGINS[dim]
        room = page - margins.left - _right(margins, 0 if _are_below(margins, bars, options) else bars)
        wide = min(max(room, 0.4), TALLEST * page * aspect)
    return max(1, round(wide * options.resolution)), max(1, round(wide / aspect * options.resolution))


def _right(margins: Margins, bars: int) -> float:
    """Room right of a picture, inches."""
    return margins.right + (bars - 1) * BAR_STEP if bars else NO_BAR


def _are_below(margins: Margins, bars: int, options: PictureOptions) -> bool:
    """Whether colour bars go below the picture, as a page of the width that is asked for has no room beside it."""
    if options.width is None:
        return False
    return bars > 0 and options.width / INCH - margins.left - _right(margins, bars) < NARROW


class Canvas:
    """A page on which picture after picture of one sample is drawn; only the picture and the heading are exchanged."""

    def __init__(
        self,
        title: str,
        frame: Frame,
        bars: Sequence[ColourBar],
        legend: Mapping[str, Colour],
        notes: Sequence[str] = (),
        options: PictureOptions | None = None,
    ) -> None:
        """Lay the page out.

        Args:
            title: Of the case, above the picture.
            frame: Of the sample, with as many pixels as `pixels_of` says.
            bars: The colour bars.
            legend: Name -> colour, of patches below the picture.
            notes: Sentences below these.
            options: As for `pixels_of`.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import Normalize
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        self.title = title
        self.frame = frame
        self.options = options or PictureOptions()
        margins = MARGINS[len(frame.size)]
        wide, tall = (n / self.options.resolution for n in frame.pixels)
        below = _are_below(margins, len(bars), self.options)
        right = _right(margins, 0 if below else len(bars))
        width = max(wide + margins.left + right, LEAST_WIDTH)
        if self.options.width is not None:
            width = self.options.width / INCH
        room = width - margins.left - 0.1
        lines = wrapped(title, room)
        said = textwrap.wrap("; ".join(notes), max(20, int(NOTE_LETTERS * room)))
        columns, rows = _columns_and_rows(list(legend), room)
        top = margins.top + 0.17 * lines.count("\n")
        bottom = margins.bottom + NOTE_ROW * max(0, len(said) - 1) + LEGEND_ROW * max(0, rows - 1)
        labels = [textwrap.fill(bar.label, int(BAR_LETTERS * room)) if below else bar.label for bar in bars]
        rows_of_bars = [BAR_ROW + BAR_LINE * label.count("\n") for label in labels]
        bottom += sum(rows_of_bars) if below else 0.0
        height = tall if below else max(tall, LEAST_HEIGHT)
        self._width, self._height = width, height + top + bottom
        self.figure = Figure(figsize=(self._width, self._height), dpi=self.options.resolution)
        FigureCanvasAgg(self.figure)
        self.axes: Axes = self._add_axes(margins.left, bottom + height - tall, wide, tall)
        self._text(margins.left, self._height - 0.12, lines, fontsize=10, va="top")
        self._heading = self._text(margins.left, self._height - top + 0.08, "", fontsize=10, weight="bold", va="bottom")
        across, down = frame.drawn
        blank = np.full((*frame.pixels[::-1], 3), 255, dtype=np.uint8)
        self._over: _Over | None = None  # what is drawn over each picture and around it
        self._shown = _pixels(self.axes, blank, (0.0, across, down, 0.0))
        self.axes.set_xlim(0.0, across)
        self.axes.set_ylim(down, 0.0)
        frame.dress(self.axes, self.options.resolution)
        short = margins.inset * height
        self.bar_axes: list[Axis] = []
        for i, (bar, label) in enumerate(zip(bars, labels, strict=True)):
            if below:
                at = bottom - margins.numbers - sum(rows_of_bars[:i]) - BAR_WIDTH
                of_bar = self._add_axes(margins.left, at, width - margins.left - 2 * NO_BAR, BAR_WIDTH)
            else:
                left = margins.left + wide + BAR_GAP + i * BAR_STEP
                of_bar = self._add_axes(left, bottom + short, BAR_WIDTH, height - 2 * short)
            along = "horizontal" if below else "vertical"
            few = MaxNLocator(3) if below and type(bar.colours.norm) is Normalize else None  # else numbers overlap
            drawn = self.figure.colorbar(bar.colours, cax=of_bar, extend=bar.extend, orientation=along, ticks=few)
            drawn.set_label(label, fontsize=8)
            of_bar.tick_params(labelsize=8)
            self.bar_axes.append(of_bar.xaxis if below else of_bar.yaxis)
        self._text(margins.left, 0.1, "\n".join(said), fontsize=7, va="bottom")
        self._add_legend(legend, margins.left, 0.12 + NOTE_ROW * len(said), columns)

    def draw(self, path: Path, picture: NDArray[np.uint8], heading: str, what: str, *, only_one: bool = False) -> None:
        """Write one picture.

        Args:
            path: As a PNG file; each format of it appears whole or not at all.
            picture: (rows, columns, 3 or 4)
            heading: Above it.
            what: The picture in words, for the file's own title.
            only_one: Whether it is the only one on this page, so that layers would not pay.

        Raises:
            InputError: A file can't be written.
        """
        self._shown.set_data(picture if picture.shape[2] == 4 else _opaque(picture))
        self._heading.set_text(heading)
        save(self.figure, path, f"{self.title}, {what}", self.options, None if only_one else self._paint)

    def _paint(self, canvas: "FigureCanvasAgg") -> None:
        """Draw the page: what stays the same once, on nothing, so that from then on it is laid over each picture."""
        if self._over is None:
            self._over = self._drawn_without_picture(canvas)
        renderer = canvas.get_renderer()
        renderer.clear()
        for artist in (self.figure.patch, self._shown):
            artist.draw(renderer)
        self._over.lay_on(np.asarray(canvas.buffer_rgba()))
        self._heading.draw(renderer)

    def _drawn_without_picture(self, canvas: "FigureCanvasAgg") -> "_Over":
        hidden = (self.figure.patch, self.axes.patch, self._shown, self._heading)
        for artist in hidden:
            artist.set_visible(False)
        try:
            canvas.draw()
        finally:
            for artist in hidden:
                artist.set_visible(True)
        return _Over.of(np.asarray(canvas.buffer_rgba()))

    def _add_axes(self, left: float, bottom: float, wide: float, tall: float) -> "Axes":
        """Axes at a place in inches."""
        width, height = self._width, self._height
        return self.figure.add_axes((left / width, bottom / height, wide / width, tall / height))

    def _text(self, left: float, bottom: float, text: str, **look: Any) -> Any:
        """Text at a place in inches."""
        return self.figure.text(left / self._width, bottom / self._height, text, parse_math=False, **look)

    def _add_legend(self, legend: Mapping[str, Colour], left: float, bottom: float, columns: int) -> None:
        from matplotlib.patches import Patch

        if not legend:
            return
        handles: list[Any] = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.5) for colour in legend.values()]
        entries = self.figure.legend(
            handles,
            ["-"] * len(handles),
            loc="lower left",
            bbox_to_anchor=(left / self._width, bottom / self._height),
            ncols=columns,
            frameon=False,
            fontsize=8,
            borderpad=0,
            borderaxespad=0,
        )
        name_entries(entries, list(legend))


@dataclass(frozen=True, eq=False)
class _Over:
    """Pixels that are not transparent, and how they look over others."""

    full: NDArray[np.intp]  # (n,) row * columns + column, of those that hide what lies below
    pixels: NDArray[np.uint32]  # (n,) red, green, blue and opacity in one number
    part: NDArray[np.intp]  # (m,) of the others
    colours: NDArray[np.uint16]  # (m, 3) red, green, blue, times opacity
    below: NDArray[np.uint16]  # (m, 1) what is left of what lies below, of 255

    @classmethod
    def of(cls, page: NDArray[np.uint8]) -> "_Over":
        """Of a page, (rows, columns, 4) red, green, blue, opacity."""
        flat, opacity = page.reshape(-1, 4), page.reshape(-1, 4)[:, 3]
        full, part = np.flatnonzero(opacity == 255), np.flatnonzero(opacity % 255)
        partly = flat[part].astype(np.uint16)
        colours = partly[:, :3] * partly[:, 3:]
        return cls(full, flat.view(np.uint32)[full, 0], part, colours, np.uint16(255) - partly[:, 3:])

    def lay_on(self, page: NDArray[np.uint8]) -> None:
        """Draw on an opaque page, (rows, columns, 4), in place."""
        flat = page.reshape(-1, 4)
        flat.view(np.uint32)[self.full, 0] = self.pixels
        mixed = flat[self.part, :3] * self.below + self.colours + np.uint16(128)
        flat[self.part, :3] = (mixed + (mixed >> 8)) >> 8  # over 255, rounded


def _opaque(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With full opacity, as Matplotlib wants it; colour by colour, which is many times as fast as what it does."""
    found = np.full((*picture.shape[:2], 4), 255, np.uint8)
    for colour in range(3):
        found[:, :, colour] = picture[:, :, colour]
    return found


def _pixels(axes: "Axes", picture: NDArray[np.uint8], extent: tuple[float, float, float, float]) -> "AxesImage":
    """A picture in axes, which is not resampled where its pixels are those of the file: that takes most of the time."""
    from matplotlib.image import AxesImage

    class Pixels(AxesImage):
        """Has no other pixels than those of the file where there are as many."""

        def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
            rows, columns = self.get_size()
            there = np.multiply(self.axes.bbox.size, magnification)
            if unsampled or not np.allclose(there, (columns, rows), rtol=0.0, atol=0.01):
                return super().make_image(renderer, magnification, unsampled)
            image, left, bottom, transform = super().make_image(renderer, magnification, unsampled=True)
            return np.ascontiguousarray(image[::-1]), left, bottom, transform  # renderers begin with the lowest row

    shown = Pixels(axes, interpolation="nearest", extent=extent, origin="upper")
    shown.set_data(picture)
    shown.set_clip_path(axes.patch)
    axes.add_image(shown)
    return shown


def add_outlines(axes: "Axes", lines: Sequence[Array]) -> None:
    """Draw the lines between phases; a faint light rim keeps them legible on dark colours.

    Args:
        axes: Of the picture.
        lines: (points, 2) each, in the drawing.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path as Line

    if not lines:
        return
    # One path: an object for each edge of the mesh would take longer than drawing it
    codes = np.full(sum(len(line) for line in lines), Line.LINETO, dtype=Line.code_type)
    codes[np.cumsum([0, *(len(line) for line in lines[:-1])])] = Line.MOVETO
    path = Line(np.concatenate(lines), codes)
    for colour, width in (((1.0, 1.0, 1.0, 0.35), 1.0), (INK, 0.45)):
        drawn = PathCollection([path], facecolors="none", edgecolors=colour, linewidths=width, zorder=2)
        axes.add_collection(drawn, autolim=False)


def _columns_and_rows(names: Sequence[str], room: float) -> tuple[int, int]:
    """Of a legend, so that it fits into a width in inches."""
    if not names:
        return 1, 0
    entry = 0.55 + LETTER * max(len(name) for name in names)
    columns = max(1, min(len(names), int(room / entry)))
    return columns, -(-len(names) // columns)
