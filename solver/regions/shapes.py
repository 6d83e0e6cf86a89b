"""Signed distances to regions: negative inside, zero on the edge, never larger than the true distance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array


@dataclass(frozen=True)
class Box:
    """Axis-parallel box; a missing axis is unbounded."""

    bounds: dict[str, tuple[float, float]]  # axis name -> (low, high), metres


@dataclass(frozen=True)
class Ball:
    """Disk in 2D, sphere in 3D."""

    center: tuple[float, ...]  # metres, x, y[, z]
    radius: float  # metres


@dataclass(frozen=True)
class Polygon:
    """Simple polygon in 2D."""

    corners: tuple[tuple[float, float], ...]  # metres


@dataclass(frozen=True)
class Shell:
    """All within a distance of the surface of a phase."""

    around: str  # phase name
    distance: float  # metres


@dataclass(frozen=True)
class WholePhase:
    """All cells of one phase."""

    phase: str


@dataclass(frozen=True)
class LabelRegion:
    """Pixels of a second label image of the same shape as the first (before crop and coarsen)."""

    path: str  # absolute
    label: int | None  # None: each label but 0 becomes a region of its own, NAME_LABEL


@dataclass(frozen=True)
class SurfaceOf:
    """The surface that a phase turns to the other solved phases, particle by particle (connected components)."""

    phase: str
    threshold: float = 0.5  # of the reference concentration, above which a part of the surface counts as active


Shape = Box | Ball | Polygon | Shell | WholePhase | LabelRegion | SurfaceOf


Distance = Callable[[Array], Array]  # points (n, dim) in mesh units -> (n,)


@dataclass(frozen=True)
class LabelField:
    """A region given by the pixels of a label image, as functions of position (mesh units)."""

    inside: Callable[[Array], NDArray[np.bool_]]  # exact
    distance: Distance  # to the region's edge, at most the true one; its sign does not matter


def ball_distance(ball: Ball, unit: float) -> Distance:
    """Of a disk or sphere."""
    center = np.asarray(ball.center) / unit
    return lambda x: np.linalg.norm(x - center, axis=1) - ball.radius / unit


def polygon_distance(polygon: Polygon, unit: float) -> Distance:
    """Of a simple polygon in 2D; inside by the even-odd rule."""
    from microlith.meshing.mesh.distance import to_segment  # starts MPI, which a case file alone is not to do

    corners = np.asarray(polygon.corners) / unit

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


def distance_to(shape: Shape, unit: float) -> Distance:
    """Signed distance to the edge of the round and slanted shapes, which need neither mesh nor image.

    Raises:
        TypeError: The shape is none of these.
    """
    if isinstance(shape, Ball):
        return ball_distance(shape, unit)
    if isinstance(shape, Polygon):
        return polygon_distance(shape, unit)
    raise TypeError(f"{type(shape).__name__} has no distance of its own")
