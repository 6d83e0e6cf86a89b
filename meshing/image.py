"""The segmented image as the mesher sees it: one phase index per voxel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = ("x", "y", "z")  # x is the last array axis, y the one before, z the first of three


@dataclass(frozen=True)
class LabelImage:
    """Phase of each voxel. Space: voxel [.., j, i] fills [i, i+1] x [j, j+1] voxel sizes; y grows with the row."""

    phase: NDArray[np.uint8]  # ([z,] y, x), index into names
    names: tuple[str, ...]  # phase names
    voxel_size: tuple[float, ...]  # metres, array order ([z,] y, x)

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return self.phase.ndim

    @property
    def extent(self) -> tuple[float, ...]:
        """Edge lengths of the image in metres, in the order x, y[, z]."""
        return tuple(n * h for n, h in zip(self.phase.shape[::-1], self.voxel_size[::-1], strict=True))
