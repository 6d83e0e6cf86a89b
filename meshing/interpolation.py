"""Values at the centres of voxels, and between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VoxelFields:
    """Fields on the centres of the voxels of a window, between them by (bi-, tri-)linear interpolation.

    What comes out for a point does not depend on the window, to the last bit, as long as the window has the point.
    """

    values: NDArray[np.float32]  # (fields, [z,] y, x)
    start: tuple[int, ...]  # first voxel of the window, x first
    voxel: tuple[float, ...]  # edges of a voxel in the units of points, x first

    def at(self, points: Floats) -> Floats:
        """All fields (fields, n) at points (n, dim)."""
        index, fraction = self._cells(points)
        return np.stack([_interpolated(field.ravel(), index, fraction, self._steps) for field in self.values])

    def of(self, field: NDArray[np.integer], points: Floats) -> tuple[Floats, Floats]:
        """One field for each point (n, dim): values (n,) and gradients (n, dim)."""
        index, fraction = self._cells(points)
        index = index + field.astype(np.int64) * self.values[0].size
        value, slope = _with_gradient(self.values.ravel(), index, fraction, self._steps)
        return value, slope / np.array(self.voxel)

    @property
    def _steps(self) -> tuple[int, ...]:
        """Distance in memory of neighbours along x, y[, z]."""
        shape = self.values.shape[:0:-1]
        return tuple(int(step) for step in np.concatenate([[1], np.cumprod(shape[:-1])]))

    def _cells(self, points: Floats) -> tuple[NDArray[np.int64], list[Floats]]:
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


def _interpolated(
    field: NDArray[np.float32], index: NDArray[np.int64], fraction: list[Floats], steps: tuple[int, ...]
) -> Floats:
    if not steps:
        return field[index].astype(np.float64)
    low = _interpolated(field, index, fraction[:-1], steps[:-1])
    high = _interpolated(field, index + steps[-1], fraction[:-1], steps[:-1])
    return np.asarray(low + fraction[-1] * (high - low))


def _with_gradient(
    field: NDArray[np.float32], index: NDArray[np.int64], fraction: list[Floats], steps: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Value (n,) and derivatives (n, len(steps)) per voxel."""
    if not steps:
        return field[index].astype(np.float64), np.empty((len(index), 0))
    low, low_slope = _with_gradient(field, index, fraction[:-1], steps[:-1])
    high, high_slope = _with_gradient(field, index + steps[-1], fraction[:-1], steps[:-1])
    part = fraction[-1]
    slope = low_slope + part[:, None] * (high_slope - low_slope)
    return low + part * (high - low), np.column_stack([slope, high - low])


def on_borders(phase: NDArray[np.uint8], chosen: Sequence[int] | None = None) -> NDArray[np.bool_]:
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
