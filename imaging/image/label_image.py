"""The segmented image as the mesher sees it: one phase index per voxel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AXES = ("x", "y", "z")  # x is the last array axis, y the one before, z the first of three


@dataclass(frozen=True, eq=False)
class RawImage:
    """An image as found in its file, before anybody knows what its values mean."""

    values: NDArray[Any]  # ([z,] y, x), any integer type: stored values, palette indices, or 0xRRGGBB where colour
    voxel_size: tuple[float | None, ...] = ()  # metres, array order; None for an axis of which the file says nothing
    colour: bool = False  # values are 0xRRGGBB
    palette: NDArray[np.uint8] | None = None  # (n, 3) red, green, blue of value n, where the file has a palette


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
