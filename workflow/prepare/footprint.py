"""Where a region's shape lies on the image: cheap answers before anything is meshed."""

import math

import numpy as np
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, any_slab, layers_of_slab
from microlith.imaging.image.repeated import repeated
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.adjacency import Adjacency
from microlith.imaging.parallel.large_arrays import row_slices
from microlith.imaging.typing import Array, Flags
from microlith.solver.regions.shapes import Body, Shell

Bounds = tuple[tuple[float, float], ...]  # low and high in metres, x, y[, z]

MIN_SAMPLES = 64  # along each axis of a region, so that one smaller than a pixel is not missed
SAMPLES = 1 << 22  # looked at together
MOST_FOR_DISTANCES = 60_000_000  # voxels among which distances are looked for, at about 16 bytes each


def bounds(shape: Body, volume: LabelVolume) -> Bounds:
    """Bounding box of a shape of the image's dimension."""
    spans = shape.spans()
    return tuple(spans.get(axis, (0.0, size)) for axis, size in enumerate(volume.extent))


def hits(shape: Body, volume: LabelVolume, wanted: Flags, comm: MPI.Intracomm) -> bool:
    """Whether a shape covers a point of a wanted phase, tried on a grid at least as fine as the pixels; collective.

    Args:
        shape: Region, of the image's dimension.
        volume: The image.
        wanted: (phases,) whether a phase counts.
        comm: All ranks.
    """
    axes = [
        _samples(low, high, size, pixel)
        for (low, high), size, pixel in zip(bounds(shape, volume), volume.extent, volume.voxel_size[::-1], strict=True)
    ][::-1]
    if any(len(axis) == 0 for axis in axes):
        return False
    index = [
        np.minimum((x / h).astype(np.int64), n - 1)
        for x, h, n in zip(axes, volume.voxel_size, volume.shape, strict=True)
    ]
    window = tuple((int(i[0]), int(i[-1]) + 1) for i in index)

    def covers(slab: Slab) -> bool:
        first, last = np.searchsorted(index[0], slab.layers)
        for part in row_slices((last - first, *(len(axis) for axis in axes[1:])), SAMPLES):
            rows = slice(first + part.start, min(first + part.stop, last))
            within = np.ix_(index[0][rows] - slab.window[0][0], *(i - i[0] for i in index[1:]))
            if (wanted[slab.phase[within]] & shape.covers([axes[0][rows], *axes[1:]])).any():
                return True
        return False

    return any_slab(volume, comm, covers, window=window)


def _samples(low: float, high: float, size: float, pixel: float) -> Array:
    """Midpoints of equal pieces, none longer than a pixel, of the part of [low, high] that is in [0, size]."""
    low, high = max(low, 0.0), min(high, size)
    if high <= low:
        return np.empty(0)
    count = max(MIN_SAMPLES, int(np.ceil((high - low) / pixel)))
    return low + (np.arange(count) + 0.5) * ((high - low) / count)


def shell_hits(shell: Shell, volume: LabelVolume, wanted: Flags, neighbours: Adjacency, comm: MPI.Intracomm) -> bool:
    """Whether a wanted phase has a pixel within a shell's distance of its phase; collective.

    That phase itself counts. Where an answer would take layers of too many voxels at once, it is yes: the measure of
    the region on the mesh tells later.
    """
    around = np.zeros_like(wanted)
    around[volume.names.index(shell.around)] = True
    if (wanted & around).any() or neighbours.touch(around, wanted):
        return True
    reach = shell.distance + 0.5 * float(np.hypot.reduce(volume.voxel_size))  # to a centre, not a surface
    image = repeated(volume, reach)
    volume = image.volume
    halo = (min(volume.shape[0], math.ceil(reach / volume.voxel_size[0])),) * 2
    layers = min(volume.shape[0], layers_of_slab(volume.whole_window, halo) + sum(halo))
    if layers * math.prod(volume.shape[1:]) > MOST_FOR_DISTANCES:
        return True

    def near(slab: Slab) -> bool:
        of_phase = around[slab.phase]
        if not of_phase.any():
            return False
        own = image.own(slab)
        distance = ndimage.distance_transform_edt(~of_phase, sampling=volume.voxel_size)[own]
        return bool((wanted[slab.phase[own]] & (distance <= reach)).any())

    return any_slab(volume, comm, near, halo)
