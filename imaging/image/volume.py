"""A segmented image of which each rank holds only the part that it needs, and the grid of its voxels."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from microlith.imaging.formats.stored import Window, everything
from microlith.imaging.image.origin import Origin
from microlith.imaging.typing import Array, Numbers, Phases

RATIO_DIGITS = 12  # of the sizes in mesh units: so the unit in which an image was measured leaves no trace in its mesh


class VoxelGrid:
    """Where the voxels of an image are: their sizes in metres and in mesh units.

    Arrays run ([z,] y, x), and with them `shape`, `voxel_size` and windows. All the rest runs x, y[, z], as
    coordinates do. Voxel [.., j, i] fills [i, i + 1] x [j, j + 1] voxel edges, so y grows with the row.
    """

    if TYPE_CHECKING:  # fields of the subclasses, or properties of theirs

        @property
        def shape(self) -> tuple[int, ...]:
            """Voxels along each axis of the array."""

        @property
        def voxel_size(self) -> tuple[float, ...]:
            """Edges of a voxel in metres, in the order of the array."""

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return len(self.shape)

    @property
    def unit(self) -> float:
        """The mesh unit in metres: the shortest edge of a voxel."""
        return min(self.voxel_size)

    @property
    def pixel(self) -> tuple[float, ...]:
        """Edges of a voxel in mesh units, x, y[, z]; the shortest is 1."""
        return tuple(round(size / self.unit, RATIO_DIGITS) for size in self.voxel_size[::-1])

    @property
    def grid(self) -> tuple[int, ...]:
        """Voxels along x, y[, z]."""
        return self.shape[::-1]

    @property
    def extent(self) -> tuple[float, ...]:
        """Edge lengths of the image in metres, x, y[, z]."""
        return tuple(n * h for n, h in zip(self.shape[::-1], self.voxel_size[::-1], strict=True))

    @property
    def frame(self) -> tuple[float, ...]:
        """Edge lengths of the image in mesh units, x, y[, z]."""
        return tuple(n * edge for n, edge in zip(self.grid, self.pixel, strict=True))

    @property
    def voxel_measure(self) -> float:
        """Area (volume) of a voxel, m^2 (m^3)."""
        return math.prod(self.voxel_size)

    @property
    def whole_window(self) -> Window:
        """The window that is the whole image."""
        return everything(self.shape)

    @property
    def empty_window(self) -> Window:
        """A window without voxels: what a rank reads that wants none while others read."""
        return ((0, 0),) * self.dim

    def window(self, low: ArrayLike, high: ArrayLike, rim: int = 0) -> Window:
        """Window around a box, of a voxel at least, and no larger than the image.

        Args:
            low: (dim,) lowest corner of the box in mesh units, x, y[, z].
            high: (dim,) its highest corner.
            rim: Voxels more on each side.
        """
        grid, pixel = np.array(self.grid), np.array(self.pixel)
        first = np.clip(np.floor(np.asarray(low) / pixel).astype(np.int64) - rim, 0, grid - 1)
        last = np.clip(np.ceil(np.asarray(high) / pixel).astype(np.int64) + rim, first + 1, grid)
        return tuple((int(a), int(b)) for a, b in zip(first[::-1], last[::-1], strict=True))

    def places(self, points: Array) -> Numbers:
        """Voxels (dim, n) that hold points, as indices of an array of the whole image; the nearest for points outside.

        Args:
            points: (n, dim) in mesh units, x, y[, z].
        """
        index = (points / np.array(self.pixel)).astype(np.int64)
        return np.clip(index, 0, np.array(self.grid) - 1).T[::-1]


@dataclass(frozen=True, eq=False)
class Portion:
    """The phases of the voxels in a window of the image."""

    phase: Phases  # ([z,] y, x), index into the names of the volume
    window: Window  # within the image: shape of `phase` is the lengths of these ranges

    @property
    def start(self) -> tuple[int, ...]:
        """First voxel of the window in the image, x, y[, z]."""
        return tuple(first for first, _ in self.window[::-1])


@dataclass(frozen=True, eq=False)
class LabelVolume(VoxelGrid):
    """What all ranks know of a segmented image, and the way to the voxels; ready for use by every mesher."""

    shape: tuple[int, ...]  # voxels, array order ([z,] y, x), after crop and coarsen
    names: tuple[str, ...]  # phase names
    voxel_size: tuple[float, ...]  # metres, array order ([z,] y, x), after coarsen
    counts: tuple[int, ...]  # voxels of each phase in the whole image
    stored_shape: tuple[int, ...]  # of the array in the file
    read: Callable[[Window], Portion]  # collective: each rank asks for its own window, within the image
    origin: Origin = field(default_factory=Origin)
    periodic: tuple[int, ...] = ()  # axes, x first, along which the image comes again and again: pieces go on across
    before: "LabelVolume | None" = None  # the image before it was coarsened, as long as somebody may want it


@dataclass(frozen=True, eq=False)
class LabelImage(VoxelGrid):
    """Phase of each voxel of a whole image."""

    phase: Phases  # ([z,] y, x), index into names
    names: tuple[str, ...]  # phase names
    voxel_size: tuple[float, ...]  # metres, array order ([z,] y, x)
    stored_shape: tuple[int, ...] = ()  # of the array in the file, before crop and coarsen; () where there is no file

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis of the array."""
        return self.phase.shape
