"""Element sizes asked for in parts of the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from microlith.imaging.axes import AXES
from microlith.imaging.options import MeshOptions
from microlith.imaging.typing import Array

SHELLS = 400  # around a part, over which the elements asked for are summed up


@dataclass(frozen=True)
class LocalSize:
    """A size in all within a distance of a box, which may be a point; in units of the mesh, x first."""

    size: float
    low: tuple[float, ...]  # of the box
    high: tuple[float, ...]
    radius: float  # the distance
    periods: tuple[float, ...]  # after which it comes again along each axis; inf where it does not

    def distance(self, axes: Sequence[Array]) -> Array:
        """From the part, of the points of a grid; 0 within it. Shaped by the axes.

        Args:
            axes: Coordinates along ([z,] y, x).
        """
        sides = zip(axes, self.low[::-1], self.high[::-1], self.periods[::-1], strict=True)
        squares = np.ix_(*(np.square(_beyond(*side)) for side in sides))
        return np.asarray(np.maximum(np.sqrt(reduce(np.add, squares)) - self.radius, 0.0))

    def distance_at(self, points: Array) -> Array:
        """From the part, of points (n, dim), x first; 0 within it. Shaped (n,)."""
        sides = zip(points.T, self.low, self.high, self.periods, strict=True)
        squares = (np.square(_beyond(*side)) for side in sides)
        return np.asarray(np.maximum(np.sqrt(reduce(np.add, squares)) - self.radius, 0.0))

    def added(self, extent: Sequence[float], scale: float, growth: float, largest: float) -> float:
        """Volume in terms of the edges of cells, to the power of the dimension, that it has more than without it.

        Args:
            extent: Edges of the image, x first.
            scale: Edge of a cell per size.
            growth: Of edges per distance from the part.
            largest: Edge far away.
        """
        finest = scale * self.size
        if finest >= largest:
            return 0.0
        reach = np.linspace(0.0, (largest - finest) / growth, SHELLS)
        edges = np.append(finest, finest + 0.5 * growth * (reach[1:] + reach[:-1]))
        shells = np.diff([self._within(away, extent) for away in reach], prepend=0.0)
        return float(shells @ (edges ** -float(len(extent)) - largest ** -float(len(extent))))

    def _within(self, away: float, extent: Sequence[float]) -> float:
        """Volume of what lies within a distance of the part and within the image (of its corners about as much)."""
        far = self.radius + away
        edges = np.subtract(self.high, self.low)
        if len(edges) == 2:
            whole = edges.prod() + 2 * far * edges.sum() + math.pi * far**2
        else:
            sides = edges[0] * edges[1] + edges[1] * edges[2] + edges[2] * edges[0]
            whole = edges.prod() + 2 * far * sides + math.pi * far**2 * edges.sum() + 4 / 3 * math.pi * far**3
        spans = edges + 2 * far
        inside = np.minimum(np.add(self.high, far), extent) - np.maximum(np.subtract(self.low, far), 0.0)
        return float(whole * np.prod(np.maximum(inside, 0.0) / spans)) if far > 0 or edges.all() else 0.0


def _beyond(x: Array, low: float, high: float, period: float) -> Array:
    """How far places are from the nearest end of a span that may come again and again; 0 within it."""
    away = np.abs(x - 0.5 * (low + high))
    if math.isfinite(period):
        away = np.abs(np.remainder(away + 0.5 * period, period) - 0.5 * period)
    return np.asarray(np.maximum(away - 0.5 * (high - low), 0.0))


def local_sizes(options: MeshOptions, unit: float, extent: Sequence[float]) -> tuple[LocalSize, ...]:
    """What is asked for in parts of an image.

    Args:
        options: In metres.
        unit: Metres per unit of the mesh.
        extent: Edges of the image in such units, x first.
    """
    periods = tuple(edge if axis in options.periodic else math.inf for axis, edge in zip(AXES, extent, strict=False))
    found = []
    for part in options.size_in:
        low, high = (np.array(ends[: len(extent)]) / unit for ends in (part.low, part.high))
        if part.radius == 0.0:  # a box, which may have no end
            low, high = np.clip(low, 0.0, extent), np.clip(high, 0.0, extent)
        size = float(f"{options.times * part.size / unit:.12g}")  # the same whatever the case file's unit is
        found.append(LocalSize(size, tuple(map(float, low)), tuple(map(float, high)), part.radius / unit, periods))
    return tuple(found)
