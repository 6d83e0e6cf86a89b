"""Where to cut an image that comes again and again: at the planes that the surfaces of some phases meet least."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mpi4py.MPI import Comm

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers


def best_cuts(volume: LabelVolume, phases: Sequence[int], comm: Comm) -> tuple[int, ...]:
    """Planes at which fewest sides of voxels are surface of the phases, one along each axis; collective.

    Args:
        volume: The image.
        phases: Their indices.
        comm: All ranks.

    Returns:
        The layer, ([z,] y, x), that follows the plane: 0 where the image is cut no worse than anywhere else, else the
        one in the middle of the longest run of planes that are as good.
    """
    return tuple(map(_best, surface_at_planes(volume, phases, comm)))


def surface_at_planes(volume: LabelVolume, phases: Sequence[int], comm: Comm) -> list[Numbers]:
    """Sides of voxels that are surface of the phases, taken together, in the plane before each layer; collective.

    Args:
        volume: The image, which comes again: the plane before its first layer is the one behind its last.
        phases: Their indices.
        comm: All ranks.

    Returns:
        For each axis, ([z,] y, x), (layers,).
    """
    chosen = np.isin(np.arange(256), phases)
    ends = np.cumsum(volume.shape)
    counts = np.split(slab_sum(volume, comm, partial(_sides, volume, chosen), halo=(0, 1)), ends[:-1])
    for axis, count in enumerate(volume.shape):
        layers = [
            tuple((place, place + 1) if i == axis else span for i, span in enumerate(volume.whole_window))
            for place in (0, count - 1)
        ]
        first, last = (chosen[volume.read(one if comm.rank == 0 else volume.empty_window).phase] for one in layers)
        counts[axis][0] = comm.bcast(int(np.count_nonzero(first != last)))
    return counts


def first_layers(sections: Sequence[Array]) -> tuple[int, ...]:
    """The layers to begin with that are the same ones wherever an image that comes again is cut.

    Of all orders in which the layers can come, that which is first in the order of their values. Layers that differ but
    have the same values may be taken one for the other.

    Args:
        sections: For each axis what tells the layers apart, (layers, values).
    """
    found = []
    for values in sections:
        rank = np.unique(values, axis=0, return_inverse=True)[1].ravel()
        first = np.arange(len(rank))
        for step in range(len(rank)):
            there = rank[(first + step) % len(rank)]
            first = first[there == there.min()]
            if len(first) == 1:
                break
        found.append(int(first[0]))
    return tuple(found)


def _sides(volume: LabelVolume, chosen: Flags, slab: Slab) -> Numbers:
    """Sides of voxels between a chosen and another one, in each plane within the image, axis after axis."""
    counts = [np.zeros(count, np.int64) for count in volume.shape]
    if not slab.empty:
        for axis, step in enumerate(np.eye(volume.dim, dtype=int).tolist()):
            one, other = (chosen[side] for side in slab.pairs(step))
            found = np.count_nonzero(one != other, axis=tuple(i for i in range(volume.dim) if i != axis))
            start = slab.layers[0] + 1 if axis == 0 else 1
            counts[axis][start : start + len(found)] += found
    return np.concatenate(counts)


def _best(sides: Numbers) -> int:
    good = sides == sides.min()
    if good[0]:
        return 0
    # None of them goes on around the end, as the first plane is none of them
    edges = np.diff(np.concatenate([[0], good.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest] - 1) // 2)
