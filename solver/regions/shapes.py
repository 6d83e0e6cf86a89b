"""The kinds of regions: what each knows of itself, without a mesh. Reading a case file needs no more than this.

A kind is a class here with its key in the case file (workflow/schema, workflow/case/read.py), and if it is measured in
a new way a method of `Measures` (means.py has them).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array, Flags

Spans = Mapping[int, tuple[float, float]]  # low and high in metres, by the number of the axis, where bounded
LengthText = Callable[[float], str]  # metres -> number and unit
Distance = Callable[[Array], Array]  # points (n, dim) in mesh units -> (n,)
T = TypeVar("T", covariant=True)
ROUND = 180  # points of a circle, where one is drawn


@dataclass(frozen=True)
class LabelField:
    """A region given by the pixels of a label image, as functions of position (mesh units)."""

    inside: Callable[[Array], Flags]  # exact
    distance: Distance  # to the region's edge, at most the true one; its sign does not matter
    in_one_pixel: Callable[[Array], Flags]  # whether cells, by their corners (n, k, dim), lie in one pixel each


@dataclass(frozen=True)
class Misfit:
    """Why a shape is not for images of a dimension."""

    keys: tuple[str, ...]  # in its table of the case file
    why: str


class Measures(Protocol[T]):
    """The ways to measure a region on a mesh; each shape takes its own."""

    def of_box(self, spans: Spans) -> T:
        """What lies within spans along the axes."""

    def of_body(self, distance: Callable[[float], Distance], spans: Spans, thickness: float) -> T:
        """What lies where a signed distance is negative, which it is for a unit of length in metres.

        `thickness` is the measure of the body per measure of its edge, roughly: what a layer along the edge counts for.
        """

    def of_shell(self, around: str, distance: float) -> T:
        """What lies within a distance of the surface of a phase, outside of the phase."""

    def of_phase(self, phase: str) -> T:
        """All cells of a phase."""

    def of_labels(self) -> T:
        """What the pixels of a label image cover."""


class Shape(ABC):
    """A region whose mean concentration is wanted; lengths in metres."""

    is_surface: ClassVar[bool] = False  # whether the mean is one over a surface

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Its kind, as in the case file, and its values: data that JSON can hold, in SI, units at the end of keys."""

    @abstractmethod
    def words(self, length: LengthText) -> str:
        """What it is, in words."""

    def caption(self, length: LengthText) -> str:
        """What it is, in few words, beside a picture."""
        return self.words(length)

    def misfit(self, dim: int) -> Misfit | None:
        """Why it is not for images of a dimension; None where it is."""
        return None

    def outline(self, size: Array, plane: tuple[Array, Array]) -> list[Array]:
        """Lines, (points, dim) each, along its edge; none where it has no edge of its own.

        Args:
            size: (dim,) of the image; what of an unbounded region lies beyond is cut away.
            plane: Unit vectors, (dim,) each, that span the plane which a viewer looks onto: round bodies are outlined
                as they are seen.
        """
        return []


@dataclass(frozen=True)
class Region(Shape):
    """A region that takes up space: part of an image and of the mesh."""

    in_phase: str | None = field(default=None, kw_only=True)  # what of it is in this phase; None: in any

    def _of_phase(self) -> dict[str, str]:
        """The phase that it is limited to, as data."""
        return {} if self.in_phase is None else {"in_phase": self.in_phase}

    def _only(self) -> str:
        """The phase that it is limited to, at the end of words."""
        return "" if self.in_phase is None else f", only {self.in_phase}"

    @abstractmethod
    def measured(self, by: Measures[T]) -> T:
        """Measure it on a mesh."""


class Body(Region):
    """A region that is given by itself, whatever phases and image are."""

    @abstractmethod
    def spans(self) -> Spans:
        """Low and high along each axis along which it is bounded."""

    @abstractmethod
    def covers(self, axes: Sequence[Array]) -> Flags:
        """Which points of a grid it covers, (len of each axis).

        Args:
            axes: Coordinates in metres along ([z,] y, x); points outside of its spans need not be told right.
        """


def box_edges(low: Array, high: Array) -> Array:
    """The edges (n, 2, dim) of a box, four in 2D and twelve in 3D."""
    corners = np.array(list(product((0, 1), repeat=len(low))))
    pairs = [(a, b) for a in range(len(corners)) for b in range(a) if np.abs(corners[a] - corners[b]).sum() == 1]
    return np.where(corners, high, low)[np.array(pairs)]


@dataclass(frozen=True)
class Box(Body):
    """Axis-parallel box; a missing axis is unbounded."""

    bounds: dict[str, tuple[float, float]]  # axis name -> (low, high)

    def spans(self) -> Spans:
        """Low and high along each axis along which it is bounded."""
        return {AXES.index(axis): ends for axis, ends in self.bounds.items()}

    def covers(self, axes: Sequence[Array]) -> Flags:
        """All points within its spans."""
        return np.ones([len(axis) for axis in axes], bool)

    def outline(self, size: Array, plane: tuple[Array, Array]) -> list[Array]:
        """Its edges within the image."""
        ends = [self.bounds.get(axis, (0.0, np.inf)) for axis in "xyz"[: len(size)]]
        return list(box_edges(*np.clip(np.array(ends).T, 0.0, size)))

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        bounds = {axis: list(ends) for axis, ends in self.bounds.items()}
        return {"kind": "box", "bounds_m": bounds, **self._of_phase()}

    def words(self, length: LengthText) -> str:
        """Its sides."""
        ends = (f"{axis} {length(low)} to {length(high)}" for axis, (low, high) in self.bounds.items())
        return f"box, {', '.join(ends)}{self._only()}"

    def misfit(self, dim: int) -> Misfit | None:
        """A side along z in 2D."""
        beyond = [axis for axis in self.bounds if axis not in AXES[:dim]]
        return Misfit(("box", beyond[0]), f"a 2D image has no axis {beyond[0]}; remove it") if beyond else None

    def measured(self, by: Measures[T]) -> T:
        """Exactly, within its sides."""
        return by.of_box(self.spans())


@dataclass(frozen=True)
class Ball(Body):
    """Disk in 2D, sphere in 3D."""

    center: tuple[float, ...]  # x, y[, z]
    radius: float

    @property
    def kind(self) -> str:
        """As in the case file."""
        return "disk" if len(self.center) == 2 else "sphere"

    def spans(self) -> Spans:
        """Low and high along each axis."""
        return {k: (c - self.radius, c + self.radius) for k, c in enumerate(self.center)}

    def covers(self, axes: Sequence[Array]) -> Flags:
        """Which points of a grid it covers."""
        square = sum((x - c) ** 2 for x, c in zip(np.ix_(*axes), self.center[::-1], strict=True))
        return np.asarray(square <= self.radius**2)

    def distance(self, unit: float) -> Distance:
        """Signed distance to its surface, in units of `unit` metres, of points in these: negative inside."""
        center = np.asarray(self.center) / unit
        return lambda x: np.sqrt(np.einsum("nk,nk->n", x - center, x - center)) - self.radius / unit

    def outline(self, size: Array, plane: tuple[Array, Array]) -> list[Array]:
        """The circle that a viewer sees."""
        angle = np.linspace(0.0, 2 * np.pi, ROUND + 1)[:, None]
        return [np.asarray(self.center + self.radius * (np.cos(angle) * plane[0] + np.sin(angle) * plane[1]))]

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        return {"kind": self.kind, "center_m": list(self.center), "radius_m": self.radius, **self._of_phase()}

    def words(self, length: LengthText) -> str:
        """Its center and radius."""
        return (
            f"{self.kind} of radius {length(self.radius)} about ({', '.join(map(length, self.center))}){self._only()}"
        )

    def misfit(self, dim: int) -> Misfit | None:
        """A center of another dimension."""
        if len(self.center) == dim:
            return None
        wanted = "disk" if dim == 2 else "sphere"
        return Misfit((self.kind,), f"a {self.kind} is not for {dim}D images; take a {wanted}")

    def measured(self, by: Measures[T]) -> T:
        """Within its surface."""
        return by.of_body(self.distance, self.spans(), self.radius / len(self.center))


@dataclass(frozen=True)
class Polygon(Body):
    """Simple polygon in 2D."""

    corners: tuple[tuple[float, float], ...]

    def spans(self) -> Spans:
        """Low and high along each axis."""
        return {k: (min(values), max(values)) for k, values in enumerate(zip(*self.corners, strict=True))}

    def covers(self, axes: Sequence[Array]) -> Flags:
        """Which points of a grid it covers, by the even-odd rule: each edge toggles what is right of it."""
        y, x = axes
        toggles = np.zeros((len(y), len(x) + 1), np.int32)
        corners = np.array(self.corners)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            rows = np.flatnonzero((y >= min(y0, y1)) & (y < max(y0, y1)))
            if len(rows):
                crossing = x0 + (y[rows] - y0) * ((x1 - x0) / (y1 - y0))
                np.add.at(toggles, (rows, np.searchsorted(x, crossing)), 1)
        return np.asarray(np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1)

    def crosses_itself(self) -> bool:
        """Whether two edges that are not neighbours cross."""
        start = np.array(self.corners)
        start = start - start[0]
        edge = np.roll(start, -1, axis=0) - start
        count = len(start)
        for i in range(count - 2):
            others = np.arange(i + 2, count - (i == 0))
            a, b = start[others] - start[i], start[others] + edge[others] - start[i]
            side = _cross(edge[i], a) * _cross(edge[i], b)
            back = _cross(edge[others], -a) * _cross(edge[others], edge[i] - a)
            if ((side < 0) & (back < 0)).any():
                return True
        return False

    def distance(self, unit: float) -> Distance:
        """Signed distance to its edge, in units of `unit` metres, of points in these: negative inside (even-odd)."""
        from microlith.meshing.mesh.distance import to_segment  # starts MPI, which a case file alone is not to do

        corners = np.asarray(self.corners) / unit

        def distance(x: Array) -> Array:
            nearest = np.full(len(x), np.inf)
            inside = np.zeros(len(x), dtype=bool)
            for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                nearest = np.minimum(nearest, to_segment(x, a, b))
                crosses = (a[1] > x[:, 1]) != (b[1] > x[:, 1])
                with np.errstate(divide="ignore", invalid="ignore"):
                    at = a[0] + (x[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
                inside ^= crosses & (x[:, 0] < at)
            return np.where(inside, -nearest, nearest)

        return distance

    def outline(self, size: Array, plane: tuple[Array, Array]) -> list[Array]:
        """Its edge."""
        return [np.array([*self.corners, self.corners[0]])]

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        return {"kind": "polygon", "corners_m": [list(corner) for corner in self.corners], **self._of_phase()}

    def words(self, length: LengthText) -> str:
        """Its corners."""
        corners = (f"({', '.join(map(length, corner))})" for corner in self.corners)
        return f"polygon of {len(self.corners)} corners, {', '.join(corners)}{self._only()}"

    def misfit(self, dim: int) -> Misfit | None:
        """Any image in 3D, and edges that cross."""
        if dim != 2:
            return Misfit(("polygon",), "a polygon is for 2D images; take a box or a sphere")
        if self.crosses_itself():
            return Misfit(("polygon",), "the edges cross each other; list the corners in their order around it")
        return None

    def measured(self, by: Measures[T]) -> T:
        """Within its edge."""
        return by.of_body(self.distance, self.spans(), min(high - low for low, high in self.spans().values()) / 4)


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


@dataclass(frozen=True)
class Shell(Region):
    """All within a distance of the surface of a phase."""

    around: str  # phase name
    distance: float

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        return {"kind": "shell", "around": self.around, "distance_m": self.distance, **self._of_phase()}

    def words(self, length: LengthText) -> str:
        """Its phase and thickness."""
        return f"within {length(self.distance)} of {self.around}{self._only()}"

    def measured(self, by: Measures[T]) -> T:
        """By the distance to the phase."""
        return by.of_shell(self.around, self.distance)


@dataclass(frozen=True)
class WholePhase(Region):
    """All cells of one phase."""

    phase: str

    def data(self) -> dict[str, Any]:
        """Kind and phase."""
        return {"kind": "phase", "phase": self.phase}

    def words(self, length: LengthText) -> str:
        """Its phase."""
        return f"all of {self.phase}"

    def measured(self, by: Measures[T]) -> T:
        """By its cells."""
        return by.of_phase(self.phase)


@dataclass(frozen=True)
class LabelRegion(Region):
    """Pixels of a second label image of the same shape as the first (before crop and coarsen)."""

    path: str  # absolute
    label: int | None  # None: each label but 0 becomes a region of its own, NAME_LABEL

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        return {"kind": "labels", "file": self.path, "label": self.label, **self._of_phase()}

    def words(self, length: LengthText) -> str:
        """Its file and label."""
        return f"{'each label but 0' if self.label is None else f'label {self.label}'} of {self.path}{self._only()}"

    def caption(self, length: LengthText) -> str:
        """Its label and the name of its file."""
        label = "each label but 0" if self.label is None else f"label {self.label}"
        return f"{label} of {Path(self.path).name}{self._only()}"

    def measured(self, by: Measures[T]) -> T:
        """By its pixels."""
        return by.of_labels()


@dataclass(frozen=True)
class SurfaceOf(Shape):
    """The surface that a phase turns to the other solved phases, particle by particle (connected components)."""

    phase: str
    threshold: float = 0.5  # of the reference concentration, above which a part of the surface counts as active
    is_surface: ClassVar[bool] = True

    def data(self) -> dict[str, Any]:
        """Kind and values."""
        return {"kind": "surface", "phase": self.phase, "threshold": self.threshold}

    def words(self, length: LengthText) -> str:
        """Its phase and threshold."""
        return f"surface of {self.phase}, active above {100 * self.threshold:g} % of the reference concentration"

    def caption(self, length: LengthText) -> str:
        """Its phase."""
        return f"surface of {self.phase}"


def shape_of(data: Mapping[str, Any]) -> Shape:
    """The shape whose `data` these are.

    Raises:
        KeyError, TypeError, ValueError: They are none of a shape.
    """
    kind = data["kind"]
    made: dict[str, Callable[[], Shape]] = {
        "box": lambda: Box({axis: (float(low), float(high)) for axis, (low, high) in data["bounds_m"].items()}),
        **dict.fromkeys(
            ("disk", "sphere"), lambda: Ball(tuple(float(x) for x in data["center_m"]), float(data["radius_m"]))
        ),
        "polygon": lambda: Polygon(tuple((float(x), float(y)) for x, y in data["corners_m"])),
        "shell": lambda: Shell(str(data["around"]), float(data["distance_m"])),
        "phase": lambda: WholePhase(str(data["phase"])),
        "labels": lambda: LabelRegion(str(data["file"]), data["label"]),
        "surface": lambda: SurfaceOf(str(data["phase"]), float(data["threshold"])),
    }
    shape = made[kind]()
    return replace(shape, in_phase=str(data["in_phase"])) if isinstance(shape, Region) and "in_phase" in data else shape
