"""Volumes that lie in files while they are worked on: no rank holds more of one than a block of layers.

Each rank has a run of layers of its own, as in `imaging/image/passes`, and works on them block by block. What is
written by one pass is read by the next, by any rank; the files therefore lie where all ranks see them.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.image.passes import share
from microlith.imaging.parallel.collective import on_first_rank, together
from microlith.imaging.writing import cannot_write

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

VALUES = 1 << 22  # in a block without its halo, at least one layer


class Tell(Protocol):
    """Hears how far the work is."""

    def __call__(self, detail: str, done: float | None = None) -> None:
        """What is done, and the share of it that is done, where it is known."""


def quiet(detail: str, done: float | None = None) -> None:
    """Say nothing."""


def named(tell: Tell, name: str) -> Tell:
    """What tells how far a part of the work is, under a name."""
    return lambda _, done=None: tell(name, done)


@dataclass(frozen=True)
class Layers:
    """A block of layers, and those around it that are read with it."""

    first: int
    last: int  # exclusive
    low: int  # of what is read
    high: int  # exclusive

    @property
    def own(self) -> slice:
        """Where the block is in what is read."""
        return slice(self.first - self.low, self.last - self.low)

    @property
    def read(self) -> slice:
        """What is read, in the volume."""
        return slice(self.low, self.high)

    @property
    def write(self) -> slice:
        """The block, in the volume."""
        return slice(self.first, self.last)


@dataclass(frozen=True)
class DiskVolume:
    """An array (z, y, x) in a file; an image of two dimensions has one layer."""

    path: Path
    shape: tuple[int, int, int]

    def values(self, writable: bool = False) -> NDArray[Any]:
        """The array, mapped: only what is looked at is read."""
        found: NDArray[Any] = np.load(self.path, mmap_mode="r+" if writable else "r")
        return found


@dataclass(frozen=True)
class Workshop:
    """The folder for such files, and the ranks that work on them."""

    folder: Path  # seen by all ranks
    comm: "Comm"

    def new(self, name: str, shape: tuple[int, int, int], dtype: Any) -> DiskVolume:
        """An empty volume; one of the same name is overwritten; collective.

        Raises:
            InputError: The file can't be made, or the disk has no space for it.
        """
        volume = DiskVolume(self.folder / f"{name}.npy", shape)

        def make() -> None:
            try:
                np.lib.format.open_memmap(volume.path, "w+", np.dtype(dtype), shape).flush()
                # Without its blocks the file is a hole, and a full disk would end the process where it is filled.
                with volume.path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, volume.path.stat().st_size)
            except OSError as error:
                raise cannot_write(volume.path, error) from error

        on_first_rank(self.comm, make)
        return volume

    def remove(self, volume: DiskVolume) -> None:
        """Remove a volume that nobody reads any more; collective."""
        on_first_rank(self.comm, lambda: volume.path.unlink(missing_ok=True))

    def blocks(self, shape: tuple[int, ...], halo: int = 0) -> Iterator[Layers]:
        """The blocks of this rank."""
        start, end = share(shape[0], self.comm.rank, self.comm.size)
        step = max(1, halo, VALUES // max(1, math.prod(shape[1:])))
        for first in range(start, end, step):
            last = min(first + step, end)
            yield Layers(first, last, max(0, first - halo), min(shape[0], last + halo))

    def fill(
        self,
        target: DiskVolume,
        work: Callable[[Layers], NDArray[Any]],
        halo: int = 0,
        tell: Tell = quiet,
    ) -> None:
        """Fill a volume block by block; collective, but the work must not communicate.

        Args:
            target: What is filled.
            work: From a block to its values, without the halo.
            halo: Layers before and behind each block that the work reads.
            tell: Hears how far it is.

        Raises:
            InputError: As the work raises it.
        """

        def filled() -> None:
            values = target.values(writable=True)
            for layers in self._told(target.shape, halo, tell):
                values[layers.write] = work(layers)
            values.flush()  # type: ignore[attr-defined]

        together(self.comm, filled)

    def each(
        self, shape: tuple[int, int, int], work: Callable[[Layers], Any], halo: int = 0, tell: Tell = quiet
    ) -> list[Any]:
        """What the work finds in each block, those of all ranks, from the first layer to the last; collective.

        Args:
            shape: Of the volumes that the work looks at.
            work: Of a block; must not communicate, and what it gives is small.
            halo: As in `fill`.
            tell: Hears how far it is.
        """
        own = together(self.comm, lambda: [work(layers) for layers in self._told(shape, halo, tell)])
        return [found for of_rank in self.comm.allgather(own) for found in of_rank]

    def _told(self, shape: tuple[int, ...], halo: int, tell: Tell) -> Iterator[Layers]:
        start, end = share(shape[0], self.comm.rank, self.comm.size)
        for layers in self.blocks(shape, halo):
            yield layers
            tell("", (layers.last - start) / max(1, end - start))
