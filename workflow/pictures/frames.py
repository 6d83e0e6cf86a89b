"""How places in a sample come to a picture, in 2D as the image has them and in 3D in a parallel projection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags
from microlith.workflow.pictures.figure import INK, halo, length_unit, round_length
from microlith.workflow.rendering.projection import View
from microlith.workflow.rendering.raster import Raster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORD = 0.6  # inches, of an edge's name with its length; beyond a picture's right side there may be a colour bar
LINE = 0.15  # inches, from one line of such names to the next
BAR = 0.25  # inches: a shorter scale bar is a dot, and its length runs into the names of edges, which tell as much
FLAT = 0.5  # inches: a picture that is narrower or lower has no room for a scale bar
NEAR = 0.008  # of half the height of a picture: what lies no deeper behind a surface lies on it


class Frame(Protocol):
    """The sample's frame in a picture."""

    @property
    def pixels(self) -> tuple[int, int]:
        """Columns and rows of the picture."""

    @property
    def size(self) -> Array:
        """Edge lengths of the sample, (dim,), m."""

    @property
    def plane(self) -> tuple[Array, Array]:
        """Unit vectors, (dim,) each, along the picture's rows and columns."""

    @property
    def drawn(self) -> tuple[float, float]:
        """Width and height of the picture in the coordinates of the drawing; y grows downwards."""

    def project(self, x: Array) -> Array:
        """Coordinates in the drawing, (n, 2), of points (n, dim) in metres."""

    def visible(self, x: Array) -> Flags:
        """Whether nothing that is drawn lies before points (n, dim) in metres, (n,)."""

    def dress(self, axes: "Axes", resolution: int) -> None:
        """Draw axes or edges with their lengths, and a scale bar.

        Args:
            axes: Of the picture.
            resolution: Its pixels per inch.
        """


@dataclass(frozen=True, eq=False)
class FlatFrame:
    """A 2D image as it is, in round units of length."""

    raster: Raster
    size: Array  # (2,) m

    @property
    def pixels(self) -> tuple[int, int]:
        """Columns and rows of the picture."""
        return self.raster.columns, self.raster.rows

    @property
    def plane(self) -> tuple[Array, Array]:
        """Unit vectors along the picture's rows and columns."""
        return np.array((1.0, 0.0)), np.array((0.0, 1.0))

    @property
    def drawn(self) -> tuple[float, float]:
        """Width and height in the drawing's unit of length."""
        width, height = self.size / self._unit[0]
        return float(width), float(height)

    @property
    def _unit(self) -> tuple[float, str]:
        return length_unit(float(self.size.max()))

    def project(self, x: Array) -> Array:
        """Coordinates in the drawing's unit of length, (n, 2), of points (n, 2) in metres."""
        return np.asarray(x / self._unit[0])

    def visible(self, x: Array) -> Flags:
        """All points are."""
        return np.ones(len(x), dtype=bool)

    def dress(self, axes: "Axes", resolution: int) -> None:
        """Axes with numbers, or their lengths where they are too short; a scale bar in the lower left corner."""
        from matplotlib.ticker import MaxNLocator, NullLocator

        unit = self._unit[1]
        axes.tick_params(labelsize=8, direction="out")
        for name, axis, pixels, size in zip("xy", (axes.xaxis, axes.yaxis), self.pixels, self.size, strict=True):
            inches = pixels / resolution
            numbered = inches > 0.8
            axis.set_major_locator(
                MaxNLocator(min(9, int(inches / 0.4)), steps=[1, 2, 5, 10]) if numbered else NullLocator()
            )
            axis.set_label_text(f"{name} / {unit}" if numbered else _named(name, float(size)), fontsize=8)
            if name == "x" and not numbered:
                axis.labelpad = 9.0  # below the lowest number of the other axis
            if name == "y" and inches < FLAT:
                axis.label.set(rotation=0, ha="right", va="center")
        if min(self.pixels) >= FLAT * resolution:
            self._scale_bar(axes)

    def _scale_bar(self, axes: "Axes") -> None:
        """About a fifth of the width."""
        width, height = self.drawn
        scale, _ = self._unit
        metres = round_length(0.3 * width * scale)
        shown, sign = length_unit(metres)
        length = metres / scale
        inset = 0.03 * max(width, height)
        x, y = min(inset, 0.1 * width), height - min(inset, 0.12 * height)
        axes.plot([x, x + length], [y, y], color="black", linewidth=3, solid_capstyle="butt", path_effects=halo(5))
        axes.annotate(
            f"{metres / shown:g} {sign}",
            (x + length / 2, y),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            path_effects=halo(2.5),
        )


@dataclass(frozen=True, eq=False)
class SolidFrame:
    """A 3D image in a parallel projection; the drawing's coordinates are columns and rows."""

    view: View
    unit: float  # metres per unit of the view
    heights: NDArray[np.float32] | None = None  # (rows, columns) of what is drawn, towards the viewer; None: not known

    @property
    def pixels(self) -> tuple[int, int]:
        """Columns and rows of the picture."""
        return self.view.columns, self.view.rows

    @property
    def size(self) -> Array:
        """Edge lengths of the sample, (3,), m."""
        return self.view.extent * self.unit

    @property
    def plane(self) -> tuple[Array, Array]:
        """Unit vectors along the picture's rows and columns."""
        return self.view.right, -self.view.up

    @property
    def drawn(self) -> tuple[float, float]:
        """Columns and rows."""
        return float(self.view.columns), float(self.view.rows)

    def project(self, x: Array) -> Array:
        """Columns and rows, (n, 2), of points (n, 3) in metres."""
        return self.view.project(np.asarray(x / self.unit))

    def visible(self, x: Array) -> Flags:
        """Whether points (n, 3) in metres lie before all that is drawn, or on it."""
        if self.heights is None:
            return np.ones(len(x), dtype=bool)
        column, row = np.floor(self.project(x)).astype(np.int64).T
        last = np.array(self.heights.shape) - 1
        drawn = self.heights[np.clip(row, 0, last[0]), np.clip(column, 0, last[1])]
        nearer: Flags = self.view.heights(np.asarray(x / self.unit)) >= drawn - NEAR * self.view.half_height
        return nearer

    def dress(self, axes: "Axes", resolution: int) -> None:
        """Names and lengths of the frame's edges, outside of it, and a scale bar along x below it, if x has room."""
        axes.set_axis_off()
        self._name_edges(axes, resolution)
        self._scale_bar(axes, resolution)

    def _name_edges(self, axes: "Axes", resolution: int) -> None:
        x, y, z = self.size
        word, line = WORD * resolution, LINE * resolution
        along_x, corner, top, along_z = self.project(np.array([(x * 0.62, y, 0), (0, y, 0), (0, 0, 0), (x, y, z / 2)]))
        has_room = along_z[0] + word < self.view.columns
        start = along_z[0] if has_room else along_z[0] - word
        beside = start > along_x[0] + word / 2 or start + word < along_x[0] - word / 2
        if not beside and abs(along_z[1] - along_x[1]) < line:  # z below x
            along_z[1] = along_x[1] + line
        if corner[1] - top[1] > word:
            along_y, up = (corner + top) / 2, "center"
        else:  # from the corner upwards, not down to the name of x
            along_y, up = corner, "bottom"
        largest = float(self.size.max())
        edges = (  # at the edge, from which side it is seen
            ("x", x, along_x, (0, -4), {"ha": "center", "va": "top"}),
            ("y", y, along_y, (-4, 0), {"ha": "right", "va": up, "rotation": 90}),
            ("z", z, along_z, (4, -4), {"ha": "left" if has_room else "right", "va": "top"}),
        )
        for name, length, at, offset, alignment in edges:
            axes.annotate(
                _named(name, float(length), largest),
                tuple(at),
                xytext=offset,
                textcoords="offset points",
                fontsize=8,
                color=INK,
                annotation_clip=False,
                **alignment,
            )

    def _scale_bar(self, axes: "Axes", resolution: int) -> None:
        length = round_length(0.3 * float(self.size[0]))
        scale, sign = length_unit(length)
        start = np.array((0.0, self.size[1], 0.0))
        ends = self.project(np.stack([start, start + np.array((length, 0.0, 0.0))]))
        if ends[1, 0] - ends[0, 0] < BAR * resolution:
            return
        ends[:, 1] += 0.035 * self.view.rows
        axes.plot(*ends.T, color="black", linewidth=3, solid_capstyle="butt")
        axes.annotate(
            f"{length / scale:g} {sign}",
            tuple(ends.mean(axis=0)),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
        )


def _named(name: str, length: float, largest: float | None = None) -> str:
    """An edge with its length in metres, in the unit of the largest one."""
    scale, sign = length_unit(largest or length)
    return f"{name}: {length / scale:.3g} {sign}"
