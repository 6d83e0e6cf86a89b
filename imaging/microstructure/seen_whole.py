"""Which bodies an image shows whole, and how many each of them stands for."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags, Numbers

LEAST = 0.5  # of the measure of all bodies that those seen whole have to stand for


@dataclass(frozen=True, eq=False)
class SeenWhole:
    """How bodies count in means over them."""

    weight: Array  # (n,)
    known: bool  # whether they stand for all; else bodies count as the image shows them, each once

    @property
    def as_told(self) -> str:
        """How they count, in words."""
        if not self.known:
            return "of what the image shows, as its frame cuts most"
        return (
            "of those that the frame does not cut, weighted against its choice"
            if (self.weight == 0).any()
            else "of all"
        )


def seen_whole(widths: Numbers, on_frame: Flags, measure: Array, shape: tuple[int, ...]) -> SeenWhole:
    """Weights that make means over bodies those of bodies that no frame cuts (Miles 1974).

    The larger a body is, the rarer it lies whole in the image: one of w voxels has n - 1 - w places for that along an
    axis of n. So each that does counts n / (n - 1 - w) times. Where the frame cuts none, the image is taken to show all
    there are, and each counts once.

    Args:
        widths: (n, dim) voxels along each axis of the array.
        on_frame: (n,) whether the frame cuts a body.
        measure: (n,) areas or volumes, in any unit.
        shape: Of the image.
    """
    once = np.ones(len(measure))
    if not on_frame.any():
        return SeenWhole(once, known=True)
    size = np.array(shape)
    places = np.maximum(size - 1 - widths, 1)
    weight = np.where(on_frame, 0.0, np.prod(size / places, axis=1))
    if weight @ measure < LEAST * measure.sum():
        return SeenWhole(once, known=False)
    return SeenWhole(weight, known=True)
