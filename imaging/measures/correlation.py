"""Two-point correlation: how likely it is that both ends of a step lie in one phase."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from mpi4py import MPI

from microlith.imaging.image.passes import share
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import together
from microlith.imaging.parallel.machine import threads
from microlith.imaging.typing import Array, Flags, Numbers, Phases, Singles

Spectrum = NDArray[np.complex128] | NDArray[np.complex64]

FARTHEST = 48  # voxels of a step
AT_ONCE = 1 << 19  # voxels that one rank transforms in one piece, in single precision: counts are exact to 0.15
ROUNDING = 1e-9  # of lengths that are equal but for it
SHARE = 3  # of the shortest edge of the image that a step has at most


@dataclass(frozen=True, eq=False)
class Correlation:
    """Two-point probability of each phase."""

    distance: Array  # (n,) m
    mean: Array  # (phases, n) over all directions
    covariance: (
        Array  # (phases, n) the mean less that of the product of the shares of the phase where steps begin and end
    )
    along: tuple[Array, ...]  # (phases, k) for steps of 0, 1, ... voxels along each axis of the array


def correlation(volume: LabelVolume, comm: MPI.Intracomm) -> Correlation:
    """Two-point probabilities by fast Fourier transforms, block by block, without periodic images; collective.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    size = np.array(volume.voxel_size)
    farthest = min(FARTHEST * size.min(), (np.array(volume.shape) * size).min() / SHARE)
    reach = np.maximum(1, np.floor(farthest / size * (1.0 + ROUNDING)).astype(int))
    rows = _steps(reach)
    if comm.size == 1 and math.prod(volume.shape) <= AT_ONCE:
        image = volume.read(volume.whole_window).phase
        total = _pairs_at_once(image, np.array(volume.counts), reach)
        by_chance = [_by_chance(image == phase, rows) for phase in range(len(volume.names))]
    else:
        found = [_pairs(volume, phase, reach, comm) for phase in range(len(volume.names))]
        total, by_chance = np.stack([pairs for pairs, _ in found]), [chance for _, chance in found]
    steps = np.meshgrid(*rows, indexing="ij")
    pairs = np.maximum(1, math.prod(n - np.abs(step) for n, step in zip(volume.shape, steps, strict=True)))
    apart = np.sqrt(sum((step * h) ** 2 for step, h in zip(steps, size, strict=True)))
    inside = apart <= farthest * (1.0 + ROUNDING)
    # In oblong voxels wider shells would put steps of which the covariance differs much with that of none; narrow ones
    # may be empty. Half a width from two shells, rounding is not to decide.
    width = float(size.min())
    _, shell = np.unique(np.floor(apart[inside] / width + 0.5 + ROUNDING), return_inverse=True)
    # Opposite steps are one, but those in the plane of the first layer are both there.
    weight = (np.where(steps[0] > 0, 2.0, 1.0) * pairs)[inside]
    weights = np.bincount(shell, weight)
    probability = total / pairs
    mean = np.stack([np.bincount(shell, weight * part[inside]) / weights for part in probability])
    chance = np.stack([np.bincount(shell, weight * (part / pairs**2.0)[inside]) / weights for part in by_chance])
    distance = np.bincount(shell, weight * apart[inside]) / weights
    middle = (0, *reach[1:])
    along = []
    for axis in range(volume.dim):
        index: list[int | slice] = list(middle)
        index[axis] = slice(middle[axis], None)
        along.append(probability[(slice(None), *index)])
    return Correlation(distance, mean, mean - chance, tuple(along))


def _pairs_at_once(image: Phases, counts: Numbers, reach: Numbers) -> Numbers:
    """As `_pairs` gives, of all phases of a small image, which goes through in one piece.

    The most frequent phase needs no transform: that of all others is the sum of theirs. Of the pairs in the image, both
    ends are in it less those of which one end is in another phase, less those of which the other end is, but with those
    of which both are, which were taken away twice.
    """
    rows = _steps(reach)
    out: Numbers = np.zeros((len(counts), *map(len, rows)), np.int64)
    most = int(counts.argmax())
    wide = [int(n + r) for n, r in zip(image.shape, reach, strict=True)]
    shape = [*map(fft.next_fast_len, wide[:-1]), fft.next_fast_len(wide[-1], real=True)]
    others = None
    for phase in np.flatnonzero(counts):
        if phase != most:
            found = _transformed((image == phase).astype(np.float32), shape)
            out[phase] = _back(found.real**2 + found.imag**2, shape, rows)
            others = found if others is None else others + found
    both = out.sum(axis=0)
    if others is not None and np.count_nonzero(counts) > 2:
        both = _back(others.real**2 + others.imag**2, shape, rows)
    pairs = math.prod(np.ix_(*(n - np.abs(row) for n, row in zip(image.shape, rows, strict=True))))
    rest = image != most
    out[most] = pairs - _ends(rest, rows) - _ends(rest, [-row for row in rows]) + both
    return out


def _steps(reach: Numbers) -> list[Numbers]:
    """Along each axis: ahead along the first one, both ways along the others; opposite steps are the same pairs."""
    return [np.arange(reach[0] + 1), *(np.arange(-r, r + 1) for r in reach[1:])]


def _by_chance(there: Flags | Numbers, rows: Sequence[Numbers]) -> Array:
    """How many of the steps of each kind begin in a set, times how many end in it: pairs by chance, times pairs.

    The share of the whole image does not do instead of that of where steps begin and end: the difference, times twice
    the share, would count in a frequent phase for more than its covariance with few places left.
    """
    return np.multiply(_ends(there, rows), _ends(there, [-row for row in rows]), dtype=np.float64)


def _ends(there: Flags | Numbers, rows: Sequence[Numbers]) -> Numbers:
    """How many steps of each kind begin in a set, whose middle may be put together, and end in the image."""
    found: Numbers = there.astype(np.int64)
    for axis, row in enumerate(rows):
        sums = np.cumsum(found, axis=axis)
        sums = np.insert(sums, 0, 0, axis=axis)
        n = there.shape[axis]
        found = np.take(sums, np.minimum(n, n - row), axis) - np.take(sums, np.maximum(0, -row), axis)
    return found


def _transformed(values: Array | Singles, shape: list[int]) -> Spectrum:
    """With zeros behind along each axis: one axis after the other, so that no line of zeros is."""
    found = fft.rfft(values, shape[-1], axis=-1, workers=threads())
    for axis in reversed(range(len(shape) - 1)):
        found = fft.fft(found, shape[axis], axis=axis, overwrite_x=True, workers=threads())
    return np.asarray(found)


def _back(found: Spectrum | Array | Singles, shape: list[int], rows: Sequence[Numbers]) -> Numbers:
    """What is transformed, in whole numbers, for some steps along each axis."""
    for axis, row in enumerate(rows[:-1]):
        found = np.take(fft.ifft(found, axis=axis, overwrite_x=True, workers=threads()), row, axis, mode="wrap")
    lines = fft.irfft(found, shape[-1], axis=-1, workers=threads())
    return np.rint(np.take(lines, rows[-1], -1, mode="wrap")).astype(np.int64)


def _middle_as_one(part: Flags, first: int, shape: tuple[int, ...], reach: Numbers) -> Numbers:
    """How many voxels of a set there are: along each axis one by one within the reach of both faces, between as one.

    Args:
        part: Some layers of the image.
        first: Number of the first of them.
        shape: Of the image.
        reach: Voxels along each axis.
    """
    found: Numbers = part.view(np.uint8)
    for axis in reversed(range(1, part.ndim)):
        n, r = shape[axis], reach[axis]
        found = np.add.reduceat(found, np.r_[: r + 1, n - r : n], axis=axis, dtype=np.int64)
    n, r = shape[0], reach[0]
    out = np.zeros((2 * r + 1, *found.shape[1:]), np.int64)
    layers = np.arange(first, first + len(part))
    places = np.minimum(layers, r) + np.maximum(layers - (n - r) + 1, 0)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    out[places[starts]] = np.add.reduceat(found, starts, axis=0)
    return out


def _pairs(volume: LabelVolume, phase: int, reach: Numbers, comm: MPI.Intracomm) -> tuple[Numbers, Array]:
    """Pairs of voxels of a phase a step apart, for each step of no or some layers ahead, and `_by_chance`; collective.

    A rank's layers go through in blocks, each transformed once: a step leads into the same block or into the next one.
    Products of transforms add up over the blocks, and are transformed back once.
    """
    count, rest = volume.shape[0], volume.whole_window[1:]
    products = _Products(volume.shape[1:], reach)
    there = np.zeros(2 * reach + 1, np.int64)
    most = products.block
    first, last = share(count, comm.rank, comm.size)
    ends = [first, *range(last, first, -most)[::-1], min(last + most, count)]  # only the first block may be short
    largest = math.ceil(count / comm.size)  # of all shares: all ranks read as often
    for turn in range(math.ceil(largest / most) + 1):
        rows = (ends[turn], ends[turn + 1]) if first < last and turn + 1 < len(ends) else (last, last)
        part = volume.read((rows, *rest)).phase == phase
        own = rows[0] < last
        together(comm, partial(products.add, part, own=own))
        if own:
            there += _middle_as_one(part, rows[0], volume.shape, reach)
    found: Numbers = comm.allreduce(together(comm, products.back))
    return found, _by_chance(comm.allreduce(there), _steps(reach))


class _Products:
    """Sum over blocks of a transform's conjugate times the transform of the block and what follows."""

    def __init__(self, across: tuple[int, ...], reach: Numbers) -> None:
        self._reach = reach
        self.block = fft.next_fast_len(int(reach[0]))
        wide = [n + int(r) for n, r in zip(across, reach[1:], strict=True)]  # nothing comes round to what is asked for
        self._shape = [2 * self.block, *map(fft.next_fast_len, wide[:-1]), fft.next_fast_len(wide[-1], real=True)]
        self._sum: Spectrum | None = None
        self._before: tuple[Spectrum, int] | None = None  # transform of the block before, and its layers

    def add(self, part: Flags, *, own: bool) -> None:
        """The next block; one that is not the rank's `own` only follows, and is the last."""
        now = _transformed(part.astype(np.float64), self._shape) if len(part) else None
        if self._before is not None:
            before, layers = self._before
            if self._sum is None:
                self._sum = np.zeros_like(before)
            turned = np.exp(-2j * np.pi * layers * fft.fftfreq(len(before)))
            for row, one in enumerate(before):
                ahead = one if now is None else one + turned[row] * now[row]
                self._sum[row] += one.conj() * ahead
        self._before = (now, len(part)) if own and now is not None else None

    def back(self) -> Numbers:
        """What the sum is the transform of, for steps of none or some layers ahead and both ways along other axes."""
        rows = _steps(self._reach)
        if self._sum is None:
            return np.zeros([len(row) for row in rows], np.int64)
        found, self._sum = self._sum, None
        return _back(found, self._shape, rows)
