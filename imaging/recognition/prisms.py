"""Images that are the same along an axis but for flat ends across it: what their sections tell of their surfaces.

Of a cylinder along the voxels' edges every section is the same disk, whose voxels are too many or too few all along it.
Its surface is better known from the section, where disks are recognised, than from the faces of all voxels. So is that
of boxes, whose ends are flat.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.shapes.found import Balls, sizes
from microlith.imaging.typing import Array, Flags, Numbers, Phases

SHORTEST = 4  # layers that are the same; of surfaces that rise less steeply, terraces may be as high
THICK = 2  # voxels from the rim of what changes between two layers to its middle: terraces may be narrower
PLACE = 12**-0.5  # layers, standard deviation of where an end lies between two of them
RING = 1.5  # longest edges to either side of a disk's rim
COUNT = 0.5  # standard error of a number of pixels per root of the number at its rim


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines between phases in a section."""

    length: Array  # (phases, phases) m
    error: Array  # (phases, phases) m, standard error
    disks: Balls  # that are recognised


@dataclass(frozen=True, eq=False)
class _Ends:
    """Flat ends between two layers, each (phases, phases) by the phases on either side."""

    area: Array  # m^2
    error: Array  # m^2, standard error of that of disks
    rim: Array  # m, of disks


@dataclass(frozen=True, eq=False)
class Prism:
    """Layers of a volume that are the same, one run after the other."""

    axis: int  # of the array, across the layers
    starts: Numbers  # (runs + 1,) first layer of each run, and the number of all layers


def prism_of(image: LabelImage) -> Prism | None:
    """The axis along which an image changes least often, if it does so at flat ends only; None if there is none.

    It takes little time where there is none: a few layers are looked at along each axis.

    Args:
        image: In 3D.
    """
    found = [Prism(axis, starts) for axis in range(3) if (starts := _runs(image, axis)) is not None]
    return min(found, key=lambda prism: (len(prism.starts), -int(np.diff(prism.starts).min())), default=None)


def _runs(image: LabelImage, axis: int) -> Numbers | None:
    layers = np.moveaxis(image.phase, axis, 0)
    starts = [0]
    for k in range(1, len(layers)):
        changed = layers[k] != layers[k - 1]
        if changed.any():
            if k - starts[-1] < SHORTEST or not _is_flat_end(changed):
                return None
            starts.append(k)
    if len(starts) > 1 and len(layers) - starts[-1] < SHORTEST:
        return None
    return np.array([*starts, len(layers)])


def _is_flat_end(changed: Flags) -> bool:
    """Whether all that changes from a layer (rows, columns) to the next is thick, and no narrow terrace of a slope."""
    pieces, count = ndimage.label(changed, np.ones((3, 3)))
    core = ndimage.binary_erosion(changed, np.ones((3, 3)), THICK, border_value=1)
    return len(np.unique(pieces[core])) == count


def prism_areas(
    volume: LabelVolume, image: LabelImage | None, comm: MPI.Intracomm, measure: Callable[[LabelVolume], Lines]
) -> tuple[Array, Array] | None:
    """Areas between phases and their standard errors, (phases, phases), m^2; collective.

    None where the image is no prism, and where sections tell nothing more: neither disks nor ends across them.

    Args:
        volume: In 3D.
        image: The same on rank 0.
        comm: All ranks.
        measure: What measures a section; collective.
    """
    prism = comm.bcast(None if image is None else prism_of(image))
    if prism is None:
        return None
    axis, phases = prism.axis, len(volume.names)
    height = volume.voxel_size[axis]
    size = tuple(edge for k, edge in enumerate(volume.voxel_size) if k != axis)
    area, error = np.zeros((phases, phases)), np.zeros((phases, phases))
    before: Lines | None = None
    square, disks = np.zeros((phases, phases)), 0
    for start, stop in zip(prism.starts[:-1], prism.starts[1:], strict=True):
        section = None if image is None else LabelImage(image.phase.take(start, axis), volume.names, size)
        lines = measure(volume_of(section, comm))
        area += lines.length * (stop - start) * height
        error += lines.error * (stop - start) * height  # of the same causes in all runs
        disks += len(lines.disks)
        if before is not None:
            ends = comm.bcast(None if image is None else _ends(image, prism, int(start), before.disks, lines.disks))
            area += ends.area
            error += ends.error
            rim = np.maximum(lines.length, before.length)
            rim = np.maximum(rim, 2 * np.sqrt(np.pi * ends.area))  # at least that of a disk
            rim = np.maximum(rim - ends.rim, 0)
            pixel = float(np.prod(size))
            square += COUNT**2 * pixel**1.5 * rim + (PLACE * height * (lines.length - before.length)) ** 2
        before = lines
    if disks == 0 and len(prism.starts) == 2 and volume.shape[axis] > 1:
        return None
    return area, np.sqrt(error**2 + square)


def _ends(image: LabelImage, prism: Prism, layer: int, under: Balls, over: Balls) -> _Ends:
    """Pixels that have one phase before a layer and another one in it, and what disks have more or less than these.

    Args:
        image: In 3D.
        prism: Its layers.
        layer: The first one beyond the ends.
        under: Disks in the layer before it.
        over: Disks in the layer.
    """
    phases = len(image.names)
    below, above = (np.asarray(image.phase.take(k, prism.axis)) for k in (layer - 1, layer))
    one, other = (phase.astype(np.int64).ravel() for phase in (below, above))
    size = tuple(edge for k, edge in enumerate(image.voxel_size) if k != prism.axis)
    pairs = np.bincount((one * phases + other)[one != other], minlength=phases**2).reshape(phases, phases)
    area, error, rim = np.prod(size) * pairs.astype(float), np.zeros((phases, phases)), np.zeros((phases, phases))
    edges, unit = sizes(LabelImage(below, image.names, size))[1:], max(size)
    for disks, mine, theirs in ((under, below, above), (over, above, below)):
        for place, of, gap in zip(disks.place[:, 1:], disks.of, disks.gap, strict=True):
            beside = _beside_rim(mine, theirs, of, place, edges)
            if beside is None:
                continue
            count, within, without = beside
            for (here, there), sign in ((within, 1), (without, -1)):
                if here != there:
                    area[here, there] += sign * unit**2 * (np.pi * place[2] ** 2 - count * np.prod(edges))
                    error[here, there] += 2 * np.pi * place[2] * gap * unit**2
                    rim[here, there] += 2 * np.pi * place[2] * unit
    return _Ends(*(part + part.T for part in (area, error, rim)))


def _beside_rim(
    mine: Phases, theirs: Phases, of: Flags, place: Array, edges: Array
) -> tuple[int, tuple[int, int], tuple[int, int]] | None:
    """Pixels of a disk, and the phases on either side of a flat end just within its rim and just without.

    None where the frame cuts the disk and where there are several phases just within or without.

    Args:
        mine: (rows, columns) phases in the layer of the disk.
        theirs: The same on the other side of the end.
        of: (phases,) those within.
        place: (3,) middle and radius, in longest edges.
        edges: (2,) of pixels in these.
    """
    *middle, radius = place
    first = np.floor((middle - radius - RING) / edges - 0.5).astype(int)
    last = np.ceil((middle + radius + RING) / edges + 0.5).astype(int)
    if (middle - radius < 0).any() or (middle + radius > edges * mine.shape).any():
        return None
    window = tuple(slice(max(0, a), b) for a, b in zip(first, last, strict=True))
    rows, columns = (
        (np.arange(n)[part] + 0.5) * edge - x
        for n, part, edge, x in zip(mine.shape, window, edges, middle, strict=True)
    )
    away = np.hypot(rows[:, None], columns) - radius
    near, far = mine[window], theirs[window]
    held = of[near] & (away < RING / 3)
    found: list[tuple[int, int]] = []
    for ring in (held & (away > -RING), ~of[near] & (np.abs(away) < RING)):
        here, there = np.unique(near[ring]), np.unique(far[ring])
        if len(here) != 1 or len(there) != 1:
            return None
        found.append((int(here[0]), int(there[0])))
    within, without = found
    return int(held.sum()), within, without
