"""Values at the centres of voxels, and between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
        from microlith.meshing.lattice.loops import find_values  # numba, late: not all that imports this needs it

        found = np.empty((len(self.values), len(points)))
        find_values(*self._window, np.ascontiguousarray(points), found)
        return found

    def difference(self, one: Integers, other: Integers, points: Array) -> Array:
        """By how much one field is above another (n,), two for each point (n, dim)."""
        return self._differences(one, other, points, gradients=False)[0]

    def difference_and_gradient(self, one: Integers, other: Integers, points: Array) -> tuple[Array, Array]:
        """As `difference`, and its gradients (n, dim)."""
        return self._differences(one, other, points, gradients=True)

    def _differences(self, one: Integers, other: Integers, points: Array, *, gradients: bool) -> tuple[Array, Array]:
        from microlith.meshing.lattice.loops import find_differences

        found, slopes = np.empty(len(points)), np.empty((len(points) if gradients else 0, points.shape[1]))
        fields = np.asarray(one, np.int64), np.asarray(other, np.int64)
        find_differences(*self._window, *fields, np.ascontiguousarray(points), found, slopes)
        return found, slopes

    @property
    def _window(self) -> tuple[Singles, Numbers, Array]:
        """Fields (fields, z, y, x), the first voxel, and the edges of one."""
        values = self.values if self.values.ndim == 4 else self.values[:, None]
        return np.ascontiguousarray(values), np.array(self.start, np.int64), np.array(self.voxel, np.float64)


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
