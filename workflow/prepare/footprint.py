"""Where a region's shape lies on the image: cheap answers before anything is meshed."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.image.load import dealt
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Flags
from microlith.solver.regions.shapes import Body, Shell

Bounds = tuple[tuple[float, float], ...]  # low and high in metres, x, y[, z]

MIN_SAMPLES = 64  # along each axis of a region, so that one smaller than a pixel is not missed
BLOCK = 4_000_000  # samples or voxels looked at in one go
MOST_FOR_DISTANCES = 60_000_000  # voxels among which distances are looked for, at about 16 bytes each


def bounds(shape: Body, volume: LabelVolume) -> Bounds:
    """Bounding box of a shape of the image's dimension."""
    spans = shape.spans()
    return tuple(spans.get(axis, (0.0, size)) for axis, size in enumerate(volume.extent))


def hits(shape: Body, volume: LabelVolume, wanted: Flags, comm: MPI.Intracomm) -> bool:
    """Whether a shape covers a point of a wanted phase, tried on a grid at least as fine as the pixels; collective.

    Args:
        shape: region, of the image's dimension.
        volume: the image.
        wanted: (phases,) whether a phase counts.
        comm: all ranks.
    """
    axes = [
        _samples(low, high, size, pixel)
        for (low, high), size, pixel in zip(bounds(shape, volume), volume.extent, volume.voxel_size[::-1], strict=True)
    ][::-1]
    if any(len(axis) == 0 for axis in axes):
        return False
    step = max(1, BLOCK // math.prod(len(axis) for axis in axes[1:]))
    for number in dealt(math.ceil(len(axes[0]) / step), comm):
        found = False
        part = axes if number is None else [axes[0][number * step : (number + 1) * step], *axes[1:]]
        index = [
            np.minimum((x / h).astype(np.int64), n - 1)
            for x, h, n in zip(part, volume.voxel_size, volume.shape, strict=True)
        ]
        window = tuple((int(i[0]), int(i[-1]) + 1) for i in index)
        phase = volume.read(volume.empty_window if number is None else window).phase
        if number is not None:
            within = np.ix_(*(i - i[0] for i in index))
            found = bool((wanted[phase[within]] & shape.covers(part)).any())
        if any(comm.allgather(found)):
            return True
    return False


def _samples(low: float, high: float, size: float, pixel: float) -> NDArray[np.float64]:
    """Midpoints of equal pieces, none longer than a pixel, of the part of [low, high] that is in [0, size]."""
    low, high = max(low, 0.0), min(high, size)
    if high <= low:
        return np.empty(0)
    count = max(MIN_SAMPLES, int(np.ceil((high - low) / pixel)))
    return low + (np.arange(count) + 0.5) * ((high - low) / count)


@dataclass(frozen=True, eq=False)
class Contacts:
    """Which phases share an edge of pixels (a face of voxels in 3D), and which reach the outer faces."""

    touching: Flags  # (phases, phases), symmetric; the diagonal counts for nothing
    faces: dict[str, Flags]  # outer face -> phases there

    def touch(self, a: Flags, b: Flags) -> bool:
        """Whether a phase in `a` touches another one in `b`."""
        return bool(self.touching[np.ix_(a, b)].any())


def contacts(volume: LabelVolume, comm: MPI.Intracomm) -> Contacts:
    """Look through the image for contacts of phases; collective."""
    count, depth = len(volume.names), volume.shape[0]
    touching = np.zeros((count, count), bool)
    names = [axis + end for axis in AXES[: volume.dim] for end in ("_min", "_max")]
    faces = np.zeros((len(names), count), bool)
    step = max(1, BLOCK // math.prod(volume.shape[1:]))
    for number in dealt(math.ceil(depth / step), comm):
        if number is None:
            volume.read(volume.empty_window)
            continue
        first, last = number * step, min((number + 1) * step, depth)
        layers = (first, min(last + 1, depth))  # one more: the pairs across the seam
        phase = volume.read((layers, *((0, n) for n in volume.shape[1:]))).phase
        for axis in range(volume.dim):
            low, high = (np.moveaxis(phase, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
            apart = low != high
            touching[low[apart], high[apart]] = True
            for end, place, there in (("_min", 0, first == 0), ("_max", -1, last == depth)):
                if axis > 0 or there:
                    layer = np.take(phase, place, axis=axis)
                    faces[names.index(AXES[volume.dim - 1 - axis] + end), np.unique(layer)] = True
    touching, faces = (np.logical_or.reduce(comm.allgather(found)) for found in (touching, faces))
    return Contacts(touching | touching.T, dict(zip(names, faces, strict=True)))


def shell_hits(shell: Shell, volume: LabelVolume, wanted: Flags, touching: Contacts, comm: MPI.Intracomm) -> bool:
    """Whether a wanted phase has a pixel within a shell's distance of its phase; collective.

    That phase itself counts. Where an answer would take layers of too many voxels at once, it is yes: the measure of
    the region on the mesh tells later.
    """
    around = np.zeros_like(wanted)
    around[volume.names.index(shell.around)] = True
    if (wanted & around).any() or touching.touch(around, wanted):
        return True
    reach = shell.distance + 0.5 * float(np.hypot.reduce(volume.voxel_size))  # to a centre, not a surface
    depth, layer = volume.shape[0], math.prod(volume.shape[1:])
    rim = min(depth, math.ceil(reach / volume.voxel_size[0]))
    step = max(1, rim, BLOCK // layer)
    if min(depth, step + 2 * rim) * layer > MOST_FOR_DISTANCES:
        return True
    for number in dealt(math.ceil(depth / step), comm):
        found = False
        if number is None:
            volume.read(volume.empty_window)
        else:
            first, last = number * step, min((number + 1) * step, depth)
            start = max(0, first - rim)
            phase = volume.read(((start, min(depth, last + rim)), *((0, n) for n in volume.shape[1:]))).phase
            inner = slice(first - start, last - start)
            near = around[phase]
            if near.any():
                far = ndimage.distance_transform_edt(~near, sampling=volume.voxel_size)
                found = bool((wanted[phase[inner]] & (far[inner] <= reach)).any())
        if any(comm.allgather(found)):
            return True
    return False
