"""What a measurement gives: numbers, tables, charts of them, and maps; what analysis.json and its neighbours hold.

A number has a name such as "volume_fraction.pore": the quantity, then what it is of. Names are the same for every
image, so that those of several can be set side by side.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from microlith.imaging.typing import Array, Indices, Phases, Singles


@dataclass(frozen=True)
class Number:
    """A figure with its unit and definition."""

    name: str  # quantity, then what it is of, with points between
    value: float  # NaN or infinity where there is none
    unit: str  # in SI: "m", "1/m", "m^2"; "1" of ratios and counts
    definition: str  # a sentence
    error: float | None = None  # standard error for the whole sample; None: not known
    resolution: float = 0.0  # what voxels of this size leave open; the error is not smaller
    sampled: bool = True  # whether the scatter of parts of the image tells its error
    of_bodies: float | None = (
        None  # standard error of a mean over bodies, if these are independent; no error is smaller
    )
    # What the number lies between, where it may be wrong by more on one side; the error is then the larger one
    interval: tuple[float, float] | None = None
    no_error: str = ""  # why there is none, in part of a sentence

    @property
    def bounds(self) -> tuple[float, float] | None:
        """What the number lies between with its error, in its unit; None: not known."""
        if self.interval is not None or self.error is None:
            return self.interval
        return self.value - self.error, self.value + self.error


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table."""

    name: str
    values: Array  # (rows,) NaN where there is none
    unit: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table, which becomes a CSV file."""

    name: str  # of the file without its ending
    text: str  # what its rows are, a sentence
    kind: Literal[
        "profile", "distribution", "rows"
    ]  # against a place or depth, against a size, or a row for each thing
    columns: tuple[Column, ...]  # of profiles and distributions the first is what the others are against


@dataclass(frozen=True)
class Line:
    """A curve of a chart."""

    table: str  # name
    x: str  # name of a column
    y: str  # name of another
    label: str  # in the legend
    dashed: bool = False
    low: str = ""  # columns that bound a band around it
    high: str = ""


@dataclass(frozen=True)
class Panel:
    """Axes with curves."""

    x: str  # what is along the axis, in words
    y: str
    lines: tuple[Line, ...]
    log_x: bool = False
    log_y: bool = False
    steps: bool = False  # over classes whose upper ends are along the axis


@dataclass(frozen=True)
class Chart:
    """A picture of some curves."""

    name: str  # of the file without its ending
    panels: tuple[Panel, ...]


@dataclass(frozen=True, eq=False)
class Map:
    """A picture of a section (in 2D of the image) in which some pixels have a value."""

    name: str  # of the file without its ending
    heading: str
    values: Array  # (rows, columns) NaN where there is none
    phase: Phases  # (rows, columns)
    pixel: tuple[float, float]  # m, along rows' axis and columns' axis
    axes: tuple[str, str]  # names of the axis down and the axis across
    label: str  # of the colour bar, with its unit
    scale: float = 1.0  # that values are divided by, for that unit


@dataclass(frozen=True, eq=False)
class SurfaceMap:
    """A picture of a surface in space on which each point has a value."""

    name: str  # of the files without their ending
    heading: str
    points: Array  # (n, 3) m, x, y, z
    triangles: Indices  # (m, 3)
    values: Singles  # (n,) SI
    ends: tuple[float, float]  # of the colours
    unit: str  # of the values
    label: str  # of the colour bar, with its unit
    scale: float  # that values are divided by, for that unit
    block: int  # edge of the blocks of voxels that the surface is found in


@dataclass(frozen=True, eq=False)
class Field:
    """A value for each voxel, which becomes a TIFF file."""

    name: str  # of the file without its ending
    text: str
    values: Array | Singles  # ([z,] y, x) NaN where there is none
    unit: str


@dataclass(frozen=True, eq=False)
class Finding:
    """All that a measurement gives."""

    numbers: Sequence[Number] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    maps: Sequence[Map] = ()
    surfaces: Sequence[SurfaceMap] = ()
    fields: Sequence[Field] = ()
    notes: Sequence[str] = ()  # what to bear in mind, in sentences

    def joined(self, other: "Finding") -> "Finding":
        """All of both."""
        return Finding(*([*getattr(self, f.name), *getattr(other, f.name)] for f in dataclasses.fields(Finding)))
