"""How much of an image, and of each of its sections, each phase fills."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Numbers


@dataclass(frozen=True, eq=False)
class VolumeFractions:
    """Voxels of each phase over all voxels, of the whole and of each section."""

    whole: Array  # (phases,)
    sections: tuple[Array, ...]  # (n, phases) of the sections across z, y, x (in 2D y, x)


def volume_fractions(volume: LabelVolume, comm: MPI.Intracomm) -> VolumeFractions:
    """Count the voxels of each phase by section; collective.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    phases, shape = len(volume.names), volume.shape
    found = slab_sum(volume, comm, partial(_counted, volume))
    ends = np.cumsum([0, *shape]) * phases
    counts = [found[low:high].reshape(-1, phases) for low, high in pairwise(ends)]
    voxels = int(np.prod(shape))
    return VolumeFractions(
        counts[0].sum(axis=0) / voxels, tuple(table / (voxels // n) for table, n in zip(counts, shape, strict=True))
    )


def _counted(volume: LabelVolume, slab: Slab) -> Numbers:
    """In one row: voxels by section and phase, axis after axis."""
    phases, shape = len(volume.names), volume.shape
    tables = [np.zeros((n, phases), np.int64) for n in shape]
    rest = tuple(range(1, len(shape)))
    for phase in range(phases if not slab.empty else 0):
        mine = slab.inner == phase
        tables[0][slice(*slab.layers), phase] = np.count_nonzero(mine, axis=rest)
        layers = np.sum(mine, axis=0, dtype=np.int32)
        for axis in rest:
            others = tuple(other - 1 for other in rest if other != axis)
            tables[axis][:, phase] = layers.sum(axis=others, dtype=np.int64)
    return np.concatenate([table.ravel() for table in tables])
