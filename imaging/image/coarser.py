"""An image as it is after a majority vote in blocks, read as the image itself is read: window by window."""

from dataclasses import replace
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.formats.stored import Window, lengths
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.sampling import majority
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.typing import Numbers


def coarser(volume: LabelVolume, edge: int, comm: MPI.Intracomm) -> LabelVolume:
    """The image with one voxel for each block of voxels, of the phase that most of them have; collective.

    What fills no whole block at the upper ends is left out.

    Args:
        volume: The image, at least a block wide along each axis.
        edge: Voxels along an edge of a block; 1: the image itself.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    if edge == 1:
        return volume
    coarse = replace(
        volume,
        shape=tuple(n // edge for n in volume.shape),
        voxel_size=tuple(h * edge for h in volume.voxel_size),
        read=partial(_voted, volume, edge),
        before=None,
    )
    counts = slab_sum(coarse, comm, partial(_counts, len(volume.names)))
    return replace(coarse, counts=tuple(int(n) for n in counts))


def _voted(volume: LabelVolume, edge: int, window: Window) -> Portion:
    """A window of the coarser image; collective."""
    if 0 in lengths(window):
        volume.read(volume.empty_window)
        return Portion(np.empty(lengths(window), np.uint8), window)
    fine = volume.read(tuple((a * edge, b * edge) for a, b in window)).phase
    return Portion(majority(fine, edge, ""), window)


def _counts(phases: int, slab: Slab) -> Numbers:
    return np.bincount(slab.phase.ravel(), minlength=phases)
