"""An image that comes again and again, seen with what lies beyond its periodic faces."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.formats.stored import Window, lengths
from microlith.imaging.image.volume import LabelVolume, Portion

if TYPE_CHECKING:
    from microlith.imaging.image.passes import Slab


@dataclass(frozen=True, eq=False)
class Repeated:
    """An image and, along its periodic axes, a margin of its copies on either side."""

    volume: LabelVolume  # with the margins; read as any other
    within: Window  # the image in it

    def own(self, slab: "Slab") -> tuple[slice, ...]:
        """Where in the phases of a slab of `volume` its layers are, without halo and margins."""
        layers = tuple(np.clip(slab.layers, *self.within[0]) - slab.window[0][0])
        return tuple(slice(*ends) for ends in (layers, *self.within[1:]))


def repeated(volume: LabelVolume, reach: float, *, nearest: bool = True) -> Repeated:
    """An image with all that lies within a distance beyond its periodic faces.

    Args:
        volume: The image; where it is not periodic, it has no margins.
        reach: The distance, m.
        nearest: Whether half a period is enough, as it is for distances: what is farther on one side is nearer on the
            other.
    """
    margins = [
        min(math.ceil(reach / size), count // 2 + 1 if nearest else sys.maxsize)
        if volume.dim - 1 - axis in volume.periodic
        else 0
        for axis, (count, size) in enumerate(zip(volume.shape, volume.voxel_size, strict=True))
    ]
    if not any(margins):
        return Repeated(volume, volume.whole_window)
    read = _reading_copies(volume, margins)
    shape = tuple(count + 2 * margin for count, margin in zip(volume.shape, margins, strict=True))
    within = tuple((margin, margin + count) for count, margin in zip(volume.shape, margins, strict=True))
    return Repeated(replace(volume, shape=shape, read=read, before=None, periodic=()), within)


def cut_elsewhere(volume: LabelVolume, planes: Sequence[int]) -> LabelVolume:
    """A periodic image that begins with another layer: the same one, cut at other planes.

    Args:
        volume: The image.
        planes: ([z,] y, x) layer of it that is the first one then.
    """
    if not any(planes):
        return volume
    margins = [-plane % count for plane, count in zip(planes, volume.shape, strict=True)]
    return replace(volume, read=_reading_copies(volume, margins), before=None)


def _reading_copies(volume: LabelVolume, margins: Sequence[int]) -> Callable[[Window], Portion]:
    """What reads windows that count from so many layers before the image, in which its copies lie; collective."""

    def read(window: Window) -> Portion:
        phase = np.empty(lengths(window), np.uint8)
        counts = volume.shape
        # Where the image has fewer layers than are wanted before it, all of them are read at once, for all copies
        few = [margin > count for margin, count in zip(margins, counts, strict=True)]
        spans = [
            [((0, ends[1] - ends[0]), (0, count))] if all_of else _spans(ends, margin, count)
            for ends, margin, count, all_of in zip(window, margins, counts, few, strict=True)
        ]
        for pieces in product(*spans):  # as many on every rank
            into = tuple(slice(*there) for there, _ in pieces)
            some = all(part.stop > part.start for part in into)
            part = volume.read(tuple(here for _, here in pieces) if some else volume.empty_window).phase
            for axis in np.flatnonzero(few) if some else ():
                part = part.take((np.arange(*window[axis]) - margins[axis]) % counts[axis], axis=axis)
            if some:
                phase[into] = part
        return Portion(phase, window)

    return read


def with_layers(volume: LabelVolume, least: int) -> LabelVolume:
    """An image with itself beside it along axes on which it has less than `least` voxels, until it has as many."""
    times = [1 if count >= least else -(-least // count) for count in volume.shape]
    if math.prod(times) == 1:
        return volume

    def read(window: Window) -> Portion:
        some = 0 not in lengths(window)
        once = tuple((0, n) if k > 1 else ends for ends, n, k in zip(window, volume.shape, times, strict=True))
        phase = volume.read(once if some else volume.empty_window).phase
        for axis, (ends, count) in enumerate(zip(window, volume.shape, strict=True)):
            if times[axis] > 1 and some:
                phase = phase.take(np.arange(*ends) % count, axis=axis)
        return Portion(phase, window)

    shape = tuple(count * k for count, k in zip(volume.shape, times, strict=True))
    counts = tuple(count * math.prod(times) for count in volume.counts)
    return replace(volume, shape=shape, counts=counts, read=read, before=None)


def _spans(ends: Sequence[int], margin: int, count: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The parts of a range that lie in one copy each: where in the range, and where in the image."""
    found = []
    copies = -(-margin // count)
    for copy in range(-copies, copies + 1):
        start = margin + copy * count
        low, high = max(ends[0], start), min(ends[1], start + count)
        high = max(low, high)
        found.append(((low - ends[0], high - ends[0]), (low - start, high - start)))
    return found
