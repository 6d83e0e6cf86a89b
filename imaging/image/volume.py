"""A segmented image of which each rank holds only the part that it needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.formats.stored import Window


@dataclass(frozen=True, eq=False)
class Portion:
    """The phases of the voxels in a window of the image."""

    phase: NDArray[np.uint8]  # ([z,] y, x), index into the names of the volume
    window: Window  # within the image: shape of `phase` is the lengths of these ranges


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """What all ranks know of a segmented image, and the way to the voxels; ready for use by every mesher."""

    shape: tuple[int, ...]  # voxels, array order ([z,] y, x), after crop and coarsen
    names: tuple[str, ...]  # phase names
    voxel_size: tuple[float, ...]  # metres, array order ([z,] y, x), after coarsen
    counts: tuple[int, ...]  # voxels of each phase in the whole image
    stored_shape: tuple[int, ...]  # of the array in the file
    read: Callable[[Window], Portion]  # collective: each rank asks for its own window, within the image

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return len(self.shape)

    @property
    def extent(self) -> tuple[float, ...]:
        """Edge lengths of the image in metres, in the order x, y[, z]."""
        return tuple(n * h for n, h in zip(self.shape[::-1], self.voxel_size[::-1], strict=True))


@dataclass(frozen=True)
class LabelImage:
    """Phase of each voxel. Space: voxel [.., j, i] fills [i, i+1] x [j, j+1] voxel sizes; y grows with the row."""

    phase: NDArray[np.uint8]  # ([z,] y, x), index into names
    names: tuple[str, ...]  # phase names
    voxel_size: tuple[float, ...]  # metres, array order ([z,] y, x)
    stored_shape: tuple[int, ...] = ()  # of the array in the file, before crop and coarsen; () where there is no file

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return self.phase.ndim

    @property
    def extent(self) -> tuple[float, ...]:
        """Edge lengths of the image in metres, in the order x, y[, z]."""
        return tuple(n * h for n, h in zip(self.phase.shape[::-1], self.voxel_size[::-1], strict=True))
