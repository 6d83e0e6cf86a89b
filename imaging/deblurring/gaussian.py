"""Blur by a Gaussian, and its weights."""

import numpy as np

from microlith.imaging.typing import Array, Singles

TRUNCATE = 3.0  # standard deviations at which the blur ends, where nothing else is said


def weights(width: float, truncate: float = TRUNCATE) -> Array:
    """Weights of a Gaussian of a standard deviation in voxels; (1,) for 0."""
    if not width:
        return np.ones(1)
    reach = int(truncate * width + 0.5)
    found = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.asarray(found / found.sum())


def blurred(values: Singles, widths: tuple[float, ...], truncate: float = TRUNCATE) -> Singles:
    """An array blurred by a width along each axis; beyond its ends it goes on as it is there."""
    from scipy import ndimage

    for axis, width in enumerate(widths):
        if width:
            values = ndimage.correlate1d(values, weights(width, truncate), axis, mode="nearest")
    return values
