"""Images made to be measured, and what an analysis finds in them."""

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage, LabelVolume


def volume_from(phase, voxel=1.0, names=None, comm=MPI.COMM_WORLD) -> LabelVolume:
    """A volume of phases 0, 1, ...; `voxel` one edge in metres or one for each axis of the array."""
    phase = np.asarray(phase, np.uint8)
    size = (voxel,) * phase.ndim if np.isscalar(voxel) else tuple(voxel)
    names = names or tuple("abcdefgh"[: int(phase.max()) + 1])
    return volume_of(LabelImage(phase, names, size), comm)


def centres(shape, voxel=1.0):
    """Coordinates of the voxels' centres along each axis of the array, m, as arrays that fit together."""
    size = (voxel,) * len(shape) if np.isscalar(voxel) else voxel
    return np.meshgrid(*((np.arange(n) + 0.5) * h for n, h in zip(shape, size, strict=True)), indexing="ij")


def ball(shape, radius, centre, voxel=1.0):
    """Voxels whose centres are within a radius, m."""
    return sum((x - c) ** 2 for x, c in zip(centres(shape, voxel), centre, strict=True)) < radius**2
