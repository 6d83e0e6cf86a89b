"""Passes over an image of which no rank holds all: slab by slab, each with layers around it, all ranks in step.

What is measured in an image goes through it here. The layers of the first axis (z, in 2D y) are shared out: each rank
has a run of layers of its own, and passes through them in slabs of so many voxels that memory stays bounded. As reading
is collective, every rank gets as many slabs as every other; where a rank has no layer left, its slab is empty.

Three ways through an image: `slab_sum` adds up what is counted in each slab; `any_slab` asks until one slab says yes;
and a loop over `slabs` does all else, communication included:

    for slab in slabs(volume, comm, halo=(reach, reach)):
        distance = ndimage.distance_transform_edt(slab.phase != 0, sampling=volume.voxel_size)[slab.own]
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.formats.stored import Window, lengths
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Phases

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

VOXELS = 1 << 22  # in a slab without its halo, more where the halo is thick
Halo = tuple[int, int]  # layers wanted before a slab and behind it
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, eq=False)
class Slab:
    """Some layers of an image, and its halo: layers before and behind them, as many as wanted and as there are."""

    phase: Phases  # ([z,] y, x) of the layers and of the halo
    window: Window  # where `phase` is in the image
    layers: tuple[int, int]  # [first, last) without the halo, counted in the image

    @property
    def empty(self) -> bool:
        """Whether it has no layers; `phase` then has none either, but the other axes as ever."""
        return self.layers[0] == self.layers[1]

    @property
    def own(self) -> slice:
        """Where the layers without the halo are along the first axis of `phase`."""
        start = self.window[0][0]
        return slice(self.layers[0] - start, self.layers[1] - start)

    @property
    def inner(self) -> Phases:
        """The phases without the halo."""
        return self.phase[self.own]

    def within(self, halo: Halo) -> "Slab":
        """The same layers with a narrower halo, as far as this one reaches."""
        own, (start, _) = self.own, self.window[0]
        first, last = max(0, own.start - halo[0]), min(len(self.phase), own.stop + halo[1])
        if self.empty:
            return self
        return Slab(self.phase[first:last], ((start + first, start + last), *self.window[1:]), self.layers)

    def pairs(self, offset: Sequence[int]) -> tuple[Phases, Phases]:
        """The voxels of the slab that have a neighbour at an offset, and these neighbours: views of one shape.

        Taken over all slabs, each pair of the image is met once, if the halo behind has `offset[0]` layers.

        Args:
            offset: Steps along ([z,] y, x), the first of them not negative.
        """
        low, high = self.own.start, min(self.own.stop, len(self.phase) - offset[0])
        rows = slice(low, max(low, high)), slice(low + offset[0], max(low, high) + offset[0])
        here, there = [rows[0]], [rows[1]]
        for step, count in zip(offset[1:], self.phase.shape[1:], strict=True):
            here.append(slice(max(0, -step), max(0, count - max(0, step))))
            there.append(slice(max(0, step), max(0, count - max(0, -step))))
        return self.phase[tuple(here)], self.phase[tuple(there)]


def share(count: int, rank: int, size: int) -> tuple[int, int]:
    """First and last (exclusive) of `count` things that a rank of `size` has; the last rank's end is `count`."""
    return count * rank // size, count * (rank + 1) // size


def slabs(
    volume: LabelVolume, comm: "Comm", halo: Halo = (0, 0), window: Window | None = None, *, at_once: bool = False
) -> Iterator[Slab]:
    """Pass through this rank's layers, slab by slab; collective.

    All ranks must take all slabs, or leave off after as many; what is done with a slab must not fail on one rank only
    (see `slab_sum` and `any_slab`, which see to that).

    Args:
        volume: The image.
        comm: All ranks.
        halo: How many layers are wanted before and behind each slab; those that there are.
        window: The part of the image to pass through, the same on all ranks; the halo stays within it. None: all.
        at_once: Whether all layers of a rank are one slab.

    Yields:
        The slabs of this rank in order, empty ones where it has no layers left.

    Raises:
        InputError: The image can't be read.
    """
    whole = volume.whole_window if window is None else window
    low, high = whole[0]
    first, last = (low + end for end in share(high - low, comm.rank, comm.size))
    largest = -(-(high - low) // comm.size)
    step = largest if at_once else layers_of_slab(whole, halo)
    for turn in range(-(-largest // max(1, step)) if largest else 0):
        a = min(first + turn * step, last)
        b = min(a + step, last)
        around = (max(low, a - halo[0]), min(high, b + halo[1])) if a < b else (a, a)
        portion = volume.read((around, *whole[1:]))
        yield Slab(portion.phase, portion.window, (a, b))


def layers_of_slab(window: Window, halo: Halo = (0, 0)) -> int:
    """How many layers a slab of a window has without its halo: so many that no layer is read more than three times."""
    return max(1, *halo, VOXELS // max(1, math.prod(lengths(window)[1:])))


def slab_sum(
    volume: LabelVolume, comm: "Comm", count: Callable[[Slab], NDArray[Number]], halo: Halo = (0, 0)
) -> NDArray[Number]:
    """Add up what is counted in each slab of the image; collective, the same on all ranks.

    Count in whole numbers, and take them times lengths afterwards: then nothing depends on the number of ranks, to the
    last bit.

    Args:
        volume: The image.
        comm: All ranks.
        count: From a slab to an array, always of one shape; of an empty slab, too. Must not communicate; where it fails
            on one rank, all hear of it.
        halo: As in `slabs`.

    Raises:
        InputError: The image can't be read.
    """
    total: NDArray[Number] | None = None
    for slab in slabs(volume, comm, halo):
        found = together(comm, partial(count, slab))
        total = found if total is None else total + found
    if total is None:
        raise ValueError("the image has no voxels")
    result: NDArray[Number] = comm.allreduce(total)
    return result


def any_slab(
    volume: LabelVolume,
    comm: "Comm",
    test: Callable[[Slab], bool],
    halo: Halo = (0, 0),
    window: Window | None = None,
) -> bool:
    """Whether a test holds in one of the slabs; collective, the same on all ranks, and no longer than it takes.

    Args:
        volume: The image.
        comm: All ranks.
        test: Of a slab that is not empty. Must not communicate; where it fails on one rank, all hear of it.
        halo: As in `slabs`.
        window: As in `slabs`.

    Raises:
        InputError: The image can't be read.
    """
    for slab in slabs(volume, comm, halo, window):
        found = together(comm, partial(_holds, test, slab))
        if any(comm.allgather(found)):
            return True
    return False


def _holds(test: Callable[[Slab], bool], slab: Slab) -> bool:
    return not slab.empty and bool(test(slab))


def read_in_turn(volume: LabelVolume, windows: Sequence[Window], comm: "Comm") -> Iterator[tuple[int, Portion]]:
    """Read windows that are dealt to the ranks in turn; collective, to be taken to the end.

    Args:
        volume: The image.
        windows: The same on all ranks.
        comm: All ranks.

    Yields:
        Number of each window that falls to this rank, and what is in it.

    Raises:
        InputError: The image can't be read.
    """
    for first in range(0, len(windows), comm.size):
        number = first + comm.rank
        if number < len(windows):
            yield number, volume.read(windows[number])
        else:
            volume.read(volume.empty_window)
