"""Layers and gradients of an image: its parts side by side in one layer are no independent samples.

Where layers differ from each other by more than their parts do, the scatter of parts tells too small an error, as parts
of one layer have in common what is special to it; what counts is the scatter of the layers. A steady change from one
face to the other is no scatter: other images of the same depth have it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from mpi4py import MPI

from microlith.imaging.axes import axis_names
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Numbers

BLOCKS = 4  # along each axis, whose volume fractions are looked at
BY_CHANCE = 1e-3  # probability of so much scatter of layers above which they are taken for independent parts
ALONE = 5.0  # times that of layers across the other axes, else the structure is large in all directions
STEADY = 5.0  # variance of layers about a straight line, over that from their parts, up to which they lie on it


@dataclass(frozen=True)
class Layering:
    """How an image changes along an axis."""

    axis: int  # in the order of arrays
    steady: bool  # on a straight line from face to face; else layer by layer
    told: str  # a sentence


def layering(volume: LabelVolume, comm: MPI.Intracomm, cut: Sequence[int]) -> Layering | None:
    """Whether volume fractions of layers differ by more than those of blocks within them tell; collective.

    An analysis of variance of blocks of a quarter of the edges, for each phase and axis.

    Args:
        volume: The image.
        comm: All ranks.
        cut: Axes that blocks are cut along.
    """
    if len(cut) < 2:
        return None
    ends = [
        [n * i // BLOCKS for i in range(BLOCKS + 1)] if axis in cut else [0, n] for axis, n in enumerate(volume.shape)
    ]

    def count(slab: Slab) -> Numbers:
        found = np.zeros((*(len(along) - 1 for along in ends), len(volume.names)), np.int64)
        for block in np.ndindex(found.shape[:-1]):
            spans = [(along[i], along[i + 1]) for along, i in zip(ends, block, strict=True)]
            rows = slice(*(min(max(end - slab.layers[0], 0), len(slab.inner)) for end in spans[0]))
            voxels = slab.inner[(rows, *(slice(*span) for span in spans[1:]))]
            found[block] = np.bincount(voxels.ravel(), minlength=len(volume.names))
        return found

    counts = slab_sum(volume, comm, count)
    shares = counts / counts.sum(axis=-1, keepdims=True)
    found = [[_of_layers(shares[..., phase], axis) for axis in cut] for phase in range(len(volume.names))]
    ratio, bent = np.moveaxis(np.array(found), 2, 0)
    most = ratio.max(axis=0)
    at = int(most.argmax())
    blocks = BLOCKS ** len(cut)
    chance = fdtrc(BLOCKS - 1, blocks - BLOCKS, most[at])
    if chance > BY_CHANCE or most[at] < ALONE * np.delete(most, at).max():
        return None
    name = volume.names[int(ratio[:, at].argmax())]
    axis = axis_names(volume.dim)[cut[at]]
    if bent[:, at].max() <= STEADY:
        told = f"{name} changes steadily along {axis}; errors are those among images that all change so along it"
        return Layering(cut[at], True, told)
    return Layering(cut[at], False, f"layers across {axis} differ, so that errors follow from their scatter")


def _of_layers(shares: Array, axis: int) -> tuple[float, float]:
    """Variance of layers, and that of layers about a straight line, each over what parts within layers tell of it."""
    layers = np.moveaxis(shares, axis, 0).reshape(BLOCKS, -1)
    means = layers.mean(axis=1)
    within = ((layers - means[:, None]) ** 2).sum() / (layers.size - BLOCKS) / layers.shape[1]
    if within <= 0:
        return 0.0, 0.0
    off, steps = means - means.mean(), np.arange(BLOCKS) - (BLOCKS - 1) / 2
    along = (steps @ off) ** 2 / (steps @ steps)
    return float(off @ off / (BLOCKS - 1) / within), float((off @ off - along) / (BLOCKS - 2) / within)


def of_layers(values: Array, layer: Numbers, count: int) -> float | None:
    """Standard error of a mean over layers from that of each of them; None: a layer has no value.

    Args:
        values: (n,) of parts.
        layer: (n,) in which each lies.
        count: Of layers.
    """
    parts = np.bincount(layer, minlength=count)
    if not parts.all():
        return None
    means = np.bincount(layer, values, count) / parts
    return float(means.std(ddof=1) / np.sqrt(count))


def about_line(values: Array, layer: Numbers) -> float | None:
    """Standard deviation of values about the straight line that fits them best, by layer; None: there is one only."""
    steps, off = layer - layer.mean(), values - values.mean()
    squares = float(steps @ steps)
    if squares == 0 or len(values) < 3:
        return None
    left = off - (steps @ off) / squares * steps
    return float(np.sqrt(left @ left / (len(values) - 2)))
