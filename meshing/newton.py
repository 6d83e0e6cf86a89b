"""Steps of Newton's method on the smooth indicators, for points on their way to an interface."""

import numpy as np
from numpy.typing import NDArray

from microlith.meshing.simplices import dot

Floats = NDArray[np.float64]

LONGEST_STEP = 0.5  # voxels: the indicators are not linear over more


def stepped(points: Floats, step: Floats, extent: Floats) -> Floats:
    """Points (n, dim) after a step of theirs, none longer than LONGEST_STEP, none out of the image."""
    length = np.sqrt(dot(step.T, step.T))
    share = np.minimum(1.0, LONGEST_STEP / np.maximum(length, 1e-12))
    return np.asarray(np.clip(points + step * share[:, None], 0.0, extent))
