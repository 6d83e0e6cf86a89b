"""Values at the centres of voxels, and between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.parallel.large_arrays import cached_slices
from microlith.imaging.typing import Array, Flags, Integers, Numbers, Phases, Singles


@dataclass(frozen=True, eq=False)
class VoxelFields:
    """Fields on the centres of the voxels of a window, between them by (bi-, tri-)linear interpolation.

    What comes out for a point does not depend on the window, to the last bit, as long as the window has the point.
    """

    values: Singles  # (fields, [z,] y, x)
    start: tuple[int, ...]  # first voxel of the window, x first
    voxel: tuple[float, ...]  # edges of a voxel in the units of points, x first

    def at(self, points: Array) -> Array:
        """All fields (fields, n) at points (n, dim)."""
        result = np.empty((len(self.values), len(points)))
        for part in cached_slices(len(points)):
            index, fraction = self._cells(points[part])
            for field, row in zip(self.values, result, strict=True):
                row[part] = _interpolated(_values(field, index, self._steps), fraction)
        return result

    def difference(self, one: Integers, other: Integers, points: Array) -> Array:
        """By how much one field is above another (n,), two for each point (n, dim)."""
        result = np.empty(len(points))
        for part in cached_slices(len(points)):
            index, fraction = self._cells(points[part])
            result[part] = _interpolated(self._gaps(one[part], other[part], index), fraction)
        return result

    def difference_and_gradient(self, one: Integers, other: Integers, points: Array) -> tuple[Array, Array]:
        """As `difference`, and its gradients (n, dim)."""
        values, slopes = np.empty(len(points)), np.empty(points.shape)
        for part in cached_slices(len(points)):
            index, fraction = self._cells(points[part])
            values[part], slope = _with_gradient(self._gaps(one[part], other[part], index), fraction)
            for axis, (column, edge) in enumerate(zip(slope, self.voxel, strict=True)):
                slopes[part, axis] = column / edge
        return values, slopes

    def _gaps(self, one: Integers, other: Integers, index: Numbers) -> list[Array]:
        """Differences of two fields for each point at the voxels around it."""
        places = (index + field.astype(np.int64) * self.values[0].size for field in (one, other))
        above, below = (_values(self.values, place, self._steps) for place in places)
        return [a - b for a, b in zip(above, below, strict=True)]

    @property
    def _steps(self) -> tuple[int, ...]:
        """Distance in memory of neighbours along x, y[, z]."""
        shape = self.values.shape[:0:-1]
        return tuple(int(step) for step in np.concatenate([[1], np.cumprod(shape[:-1])]))

    def _cells(self, points: Array) -> tuple[Numbers, list[Array]]:
        """The lowest of the voxels around each point, and the place between it and the next along each axis."""
        index = np.zeros(len(points), np.int64)
        fraction = []
        for axis, (step, count) in enumerate(zip(self._steps, self.values.shape[:0:-1], strict=True)):
            at = points[:, axis] / self.voxel[axis] - 0.5  # from the corner of the image, not of the window
            whole = np.floor(at)
            low = whole.astype(np.int64) - self.start[axis]
            part = at - whole
            part[low < 0] = 0.0  # constant beyond the outermost centres
            part[low >= count - 1] = 1.0
            index += np.clip(low, 0, count - 2) * step
            fraction.append(part)
        return index, fraction


def _values(field: Singles, index: Numbers, steps: tuple[int, ...]) -> list[Array]:
    """At the 2^dim voxels from these on: along x first, then along y, then along z."""
    flat = field.reshape(-1)
    places = [index]
    for step in steps:
        places += [place + step for place in places]
    return [flat[place].astype(np.float64) for place in places]


def _interpolated(corners: list[Array], fraction: list[Array]) -> Array:
    for part in fraction:
        corners = [low + part * (high - low) for low, high in zip(corners[::2], corners[1::2], strict=True)]
    return corners[0]


def _with_gradient(corners: list[Array], fraction: list[Array]) -> tuple[Array, list[Array]]:
    """Value (n,) and derivatives (n,) per voxel along each axis."""
    slopes: list[list[Array]] = []
    for part in fraction:
        slopes = [
            [low + part * (high - low) for low, high in zip(slope[::2], slope[1::2], strict=True)] for slope in slopes
        ]
        slopes.append([high - low for low, high in zip(corners[::2], corners[1::2], strict=True)])
        corners = [low + part * gap for low, gap in zip(corners[::2], slopes[-1], strict=True)]
    return corners[0], [slope[0] for slope in slopes]


def on_borders(phase: Phases, chosen: Sequence[int] | None = None) -> Flags:
    """Voxels with a face between two phases, one of them among the chosen if given; shaped as `phase`."""
    inside = None if chosen is None else np.isin(np.arange(256), chosen)
    border = np.zeros(phase.shape, bool)
    for axis in range(phase.ndim):
        low, high = (_cut(phase.ndim, axis, part) for part in (slice(None, -1), slice(1, None)))
        differ = phase[low] != phase[high]
        if inside is not None:
            differ &= inside[phase[low]] | inside[phase[high]]
        border[low] |= differ
        border[high] |= differ
    return border


def _cut(dim: int, axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if i == axis else slice(None) for i in range(dim))
