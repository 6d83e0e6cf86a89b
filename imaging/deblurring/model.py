"""An image as means of phases, blurred by a Gaussian, with noise; and how wide the blur is."""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from microlith.imaging.deblurring.gaussian import blurred, weights
from microlith.imaging.deblurring.shading import Shading
from microlith.imaging.typing import Array, Phases, Singles

Widths = tuple[float, float, float]  # voxels, (z, y, x); 0 along an axis of one voxel


@dataclass(frozen=True, eq=False)
class BlurModel:
    """What the image looks like, given the labels; grey values are counted from `zero` in units of `unit`."""

    zero: float
    unit: float
    mean: Array  # (phases,)
    blur: Widths  # standard deviations
    single: float  # standard deviation of what the model leaves of single voxels
    noise: float  # as much as that, or more where neighbours share it
    shading: Shading  # how much brighter than that parts of the volume are

    @property
    def own(self) -> float:
        """What a voxel's own grey value counts of its change: the squares of the blur's weights."""
        return float(np.prod([(weights(width) ** 2).sum() for width in self.blur]))

    @property
    def reach(self) -> tuple[int, int, int]:
        """Voxels to either side, (z, y, x), over which the blur goes."""
        z, y, x = (len(weights(width)) // 2 for width in self.blur)
        return z, y, x

    @property
    def apart(self) -> tuple[int, int, int]:
        """Voxels, (z, y, x), within which only one changes at a time: farther ones hardly see each other's blur."""
        z, y, x = (max(1, ceil(2 * width) - 1) if width else 0 for width in self.blur)
        return z, y, x

    def left(self, grey: Singles, labels: Phases) -> Singles:
        """(z, y, x) what the image has more than the blurred means.

        It is right `reach` away from the ends of a block that are not those of the volume.
        """
        return self._left_of(grey, self.mean.astype(np.float32)[labels])

    def pull(self, grey: Singles, labels: Phases, low: int) -> Singles:
        """(z, y, x) what the image has more than the model, as a voxel counts it, per variance of the noise.

        It is right `reach` twice away from the ends of a block that are not those of the volume.

        Args:
            grey: (z, y, x) a block.
            labels: (z, y, x) its labels.
            low: Where it begins in the volume.
        """
        return self.pull_of(grey, self.mean.astype(np.float32)[labels], low)

    def pull_of(self, grey: Singles, expected: Singles, low: int) -> Singles:
        """The same for expected means (z, y, x), that may lie between those of phases."""
        return np.asarray(blurred(self._even(grey, expected, low), self.blur) * np.float32(1 / self.noise**2))

    def misfit(self, grey: Singles, labels: Phases, low: int) -> Singles:
        """(z, y, x) half the squares of what the image has more than the model, per variance of the noise.

        It is right `reach` away from the ends of a block that are not those of the volume; arguments as of `pull`.
        """
        left = self._even(grey, self.mean.astype(np.float32)[labels], low)
        return np.asarray(left**2 * np.float32(0.5 / self.noise**2))

    def _even(self, grey: Singles, expected: Singles, low: int) -> Singles:
        return self._left_of(grey, expected) - self.shading.of(low, low + len(grey), *grey.shape[1:])

    def _left_of(self, grey: Singles, expected: Singles) -> Singles:
        return np.asarray(scaled(grey, self.zero, self.unit) - blurred(expected, self.blur))

    def bonds(self, strength: float, edges: tuple[float, float, float]) -> Singles:
        """(3, 3, 3) what a neighbour of the same phase saves, falling with its distance.

        Args:
            strength: Of all together, per root of what a voxel's own grey value tells of a contrast of 1.
            edges: Of a voxel, (z, y, x).
        """
        found = np.zeros((3, 3, 3))
        for place in np.ndindex(3, 3, 3):
            steps = [k - 1 for k in place]
            inside = all(width or not step for width, step in zip(self.blur, steps, strict=True))
            if any(steps) and inside:
                found[place] = 1 / sqrt(sum((step * edge) ** 2 for step, edge in zip(steps, edges, strict=True)))
        return (strength * sqrt(self.own) / self.noise * found / found.sum()).astype(np.float32)


def scaled(grey: Singles, zero: float, unit: float) -> Singles:
    """Grey values counted from `zero` in units of `unit`; their differences may be beyond single precision."""
    return np.asarray(grey * np.float32(1 / unit) - np.float32(zero / unit))


def products(grey: Singles, labels: Phases, phases: int, layer: int, widths: Widths) -> Array:
    """Sums, over a layer of a block, of products of the blurred phases and the image; from them comes a `fit`.

    Args:
        grey: (z, y, x).
        labels: (z, y, x).
        phases: How many.
        layer: Which one.
        widths: Standard deviations of the blur.

    Returns:
        (phases + 1, phases + 1), the image last.
    """
    along = weights(widths[0])
    reach = len(along) // 2
    near = labels[np.clip(np.arange(layer - reach, layer + reach + 1), 0, len(labels) - 1)]
    parts = [
        blurred(np.tensordot(along, near == k, 1).astype(np.float32)[None], (0.0, *widths[1:])).ravel()
        for k in range(phases)
    ]
    stack = np.stack([*parts, grey[layer].ravel()]).astype(np.float64)
    return np.asarray(stack @ stack.T)


def fit(sums: Array) -> tuple[Array, float] | None:
    """Means of the phases that explain the image best, and the sum of squares that they leave; None: can't be told.

    Args:
        sums: As of `products`, added up.
    """
    try:
        mean: Array = np.linalg.solve(sums[:-1, :-1], sums[:-1, -1]).astype(np.float64)
    except np.linalg.LinAlgError:
        return None
    left = float(sums[-1, -1] - mean @ sums[:-1, -1])
    return (mean, left) if np.isfinite(mean).all() and np.isfinite(left) else None
