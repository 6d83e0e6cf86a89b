"""The page around a picture of a sample, in 2D and 3D alike.

Title and time stand above the picture, a colour bar beside it, a legend and notes below it; one pixel of the picture is
one pixel of the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.workflow.pictures.figure import BLUE_TO_RED, DPI, INK, name_entries, save, wrapped
from microlith.workflow.pictures.frames import Frame

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

Colour = tuple[float, float, float] | str
LEAST_WIDTH = 4.6  # inches, of the page
LEAST_HEIGHT = 1.9  # inches, of the colour bar
BAR_GAP, BAR_WIDTH = 0.18, 0.16  # inches
LEGEND_COLUMNS = 3


@dataclass(frozen=True)
class Margins:
    """Room around a picture, inches; and how much shorter than it the colour bar is at both ends, as a share."""

    left: float
    right: float
    top: float
    bottom: float
    inset: float


MARGINS = {2: Margins(0.75, 1.25, 0.65, 0.95, 0.0), 3: Margins(0.3, 1.15, 0.6, 0.5, 0.08)}  # by dimension


@dataclass(frozen=True)
class ColourBar:
    """What the colours of a picture stand for."""

    colours: "ScalarMappable"
    label: str  # with its unit

    @classmethod
    def of_concentrations(cls, c_range: tuple[float, float]) -> "ColourBar":
        """Between two concentrations, mol/m^3."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return cls(ScalarMappable(Normalize(*c_range), cmap=BLUE_TO_RED), "concentration / mol m⁻³")


class Canvas:
    """A page on which picture after picture of one sample is drawn; only the picture and the heading are exchanged."""

    def __init__(
        self, title: str, frame: Frame, bar: ColourBar, legend: Mapping[str, Colour], notes: Sequence[str] = ()
    ) -> None:
        """Lay the page out.

        Args:
            title: Of the case, above the picture.
            frame: Of the sample.
            bar: The colour bar.
            legend: Name -> colour, of patches below the picture.
            notes: Sentences below these.
        """
        from matplotlib.figure import Figure

        margins = MARGINS[len(frame.size)]
        wide, tall = (n / DPI for n in frame.pixels)
        width = max(wide + margins.left + margins.right, LEAST_WIDTH)
        lines = wrapped(title, width)
        top = margins.top + 0.17 * lines.count("\n")
        room = max(tall, LEAST_HEIGHT)
        height = room + top + margins.bottom
        self.title = title
        self.frame = frame
        self.figure: Figure = Figure(figsize=(width, height), dpi=DPI)
        self.axes = self.figure.add_axes(
            (margins.left / width, (margins.bottom + room - tall) / height, wide / width, tall / height)
        )
        self.left = margins.left / width  # edge of the picture, as a share of the width
        self.figure.text(self.left, 1 - 0.12 / height, lines, fontsize=10, va="top", parse_math=False)
        self._heading = self.figure.text(
            self.left, 1 - (top - 0.08) / height, "", fontsize=10, weight="bold", va="bottom"
        )
        across, down = frame.drawn
        blank = np.full((*frame.pixels[::-1], 3), 255, dtype=np.uint8)
        self._shown = self.axes.imshow(blank, extent=(0.0, across, down, 0.0), interpolation="nearest", aspect="auto")
        self.axes.set_xlim(0.0, across)
        self.axes.set_ylim(down, 0.0)
        frame.dress(self.axes)
        short = margins.inset * room
        of_bar = self.figure.add_axes(
            (
                (margins.left + wide + BAR_GAP) / width,
                (margins.bottom + short) / height,
                BAR_WIDTH / width,
                (room - 2 * short) / height,
            )
        )
        self.figure.colorbar(bar.colours, cax=of_bar).set_label(bar.label, fontsize=8)
        of_bar.tick_params(labelsize=8)
        self.bar_axis = of_bar.yaxis
        self._add_legend(legend)
        self.figure.text(self.left, 0.1 / height, "; ".join(notes), fontsize=7, va="bottom", parse_math=False)

    def draw(self, path: Path, picture: NDArray[np.uint8], heading: str, what: str) -> None:
        """Write one picture.

        Args:
            path: The file; it appears whole or not at all.
            picture: (rows, columns, 3 or 4)
            heading: Above it.
            what: The picture in words, for the file's own title.

        Raises:
            InputError: The file can't be written.
        """
        self._shown.set_data(picture)
        self._heading.set_text(heading)
        save(self.figure, path, f"{self.title}, {what}")

    def _add_legend(self, legend: Mapping[str, Colour]) -> None:
        from matplotlib.patches import Patch

        if not legend:
            return
        handles: list[Any] = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.5) for colour in legend.values()]
        _, height = self.figure.get_size_inches()
        entries = self.figure.legend(
            handles,
            ["-"] * len(handles),
            loc="lower left",
            bbox_to_anchor=(self.left, 0.24 / height),
            ncols=min(LEGEND_COLUMNS, len(handles)),
            frameon=False,
            fontsize=8,
            borderpad=0,
            borderaxespad=0,
        )
        name_entries(entries, list(legend))
