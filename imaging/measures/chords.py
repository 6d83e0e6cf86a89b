"""Chords: stretches of lines along the axes within one phase."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import share
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Numbers, Phases

LINES_AT_ONCE = 1 << 22  # voxels


@dataclass(frozen=True, eq=False)
class Chords:
    """Chords along one axis."""

    counts: Numbers  # (phases, n + 1) chords of each length in voxels that both ends lie within the image
    ends: Numbers  # (phases,) ends of chords within the image
    ends_at_frame: Numbers  # (phases,) those of them beside the first or the last voxel of a line
    voxels: Numbers  # (phases,)

    @property
    def mean(self) -> Array:
        """Mean chord (phases,) in voxels: twice the length of lines over their ends, infinite without any.

        Ends lie between voxels. Those beside the outermost ones stand for half a voxel more, in which none is seen.
        """
        ends = self.ends + 0.5 * self.ends_at_frame
        return np.asarray(np.divide(2 * self.voxels, ends, out=np.full(len(ends), np.inf), where=ends > 0))

    @property
    def unseen_ends(self) -> Array:
        """Ends (phases,) that lines through the voxels' middles lack, about, for chords shorter than a voxel.

        If a line has a + b l chords of a phase per length l, in voxels, a/2 + b/6 of those below one voxel have no
        middle in them, which is 5/6 of the chords that are seen as one voxel less 1/3 of those as two. Each that is
        missing lacks both its ends, and so does what is around it, in which two chords are seen as one: other phases
        as they have ends.
        """
        one, two = (self.counts[:, k] if self.counts.shape[1] > k else np.zeros(len(self.ends)) for k in (1, 2))
        missed = np.clip(5 / 6 * one - two / 3, 0, one)
        others = self.ends.sum() - self.ends
        around = np.outer(2 * missed / np.maximum(others, 1), self.ends)
        np.fill_diagonal(around, 2 * missed)
        return np.asarray(around.sum(axis=0))


def chords(volume: LabelVolume, axis: int, comm: MPI.Intracomm) -> Chords:
    """Chords of all phases along an axis of the array; collective.

    Args:
        volume: The image.
        axis: Of the array.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    phases, n = len(volume.names), volume.shape[axis]
    counts, ends = np.zeros((phases, n + 1), np.int64), np.zeros((2, phases), np.int64)
    # Lines are shared out along another axis, the first where that is not their own.
    across = 0 if axis else 1
    rows = volume.shape[across]
    step = max(1, LINES_AT_ONCE // (int(np.prod(volume.shape)) // rows))
    mine = share(rows, comm.rank, comm.size)
    largest = -(-rows // comm.size)  # of all shares: all ranks read as often
    for turn in range(-(-largest // step)):
        low = min(mine[0] + turn * step, mine[1])
        window = list(volume.whole_window)
        window[across] = (low, min(low + step, mine[1]))
        part = np.moveaxis(volume.read(tuple(window)).phase, axis, -1)
        together(comm, partial(_count, part, counts, ends))
    counts, ends = comm.allreduce(counts), comm.allreduce(ends)
    return Chords(counts, ends[0], ends[1], np.array(volume.counts, np.int64))


def _count(part: Phases, counts: Numbers, ends: Numbers) -> None:
    """Add the chords along the last axis; `ends` are all of each phase, and those beside the frame."""
    if not part.size:
        return
    n = part.shape[-1]
    lines = np.ascontiguousarray(part).reshape(-1, n)
    border = np.ones((len(lines), n + 1), bool)
    border[:, 1:-1] = lines[:, 1:] != lines[:, :-1]
    line, place = np.nonzero(border)
    first = place < n
    start_line, start = line[first], place[first]
    stop = place[place > 0]
    phase = lines[start_line, start]
    inside_low, inside_high = start > 0, stop < n
    at_frame = sum((place == 1).astype(float) + (place == n - 1) for place in (start, stop))
    for found, weight in zip(ends, (inside_low.astype(float) + inside_high, at_frame), strict=True):
        found += np.bincount(phase, weight, len(found)).astype(np.int64)
    whole = inside_low & inside_high
    np.add.at(counts, (phase[whole], (stop - start)[whole]), 1)
