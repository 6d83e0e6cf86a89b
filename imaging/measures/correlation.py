"""Two-point correlation: how likely it is that both ends of a step lie in one phase."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import fft

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers

FARTHEST = 48  # voxels of a step
SHARE = 3  # of the shortest edge of the image that a step has at most


@dataclass(frozen=True, eq=False)
class Correlation:
    """Two-point probability of each phase."""

    distance: Array  # (n,) m
    mean: Array  # (phases, n) over all directions
    along: tuple[Array, ...]  # (phases, k) for steps of 0, 1, ... voxels along each axis of the array


def correlation(volume: LabelVolume, comm: MPI.Intracomm) -> Correlation:
    """Two-point probabilities by fast Fourier transforms, slab by slab, without periodic images; collective.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    size = np.array(volume.voxel_size)
    farthest = min(FARTHEST * size.min(), (np.array(volume.shape) * size).min() / SHARE)
    reach = np.maximum(1, np.floor(farthest / size).astype(int))
    count = partial(_of_slab, phases=len(volume.names), reach=reach)
    total = slab_sum(volume, comm, count, halo=(0, int(reach[0])))
    steps = np.meshgrid(np.arange(reach[0] + 1), *(np.arange(-r, r + 1) for r in reach[1:]), indexing="ij")
    pairs = math.prod(n - np.abs(step) for n, step in zip(volume.shape, steps, strict=True))
    apart = np.sqrt(sum((step * h) ** 2 for step, h in zip(steps, size, strict=True)))
    width = float(size.max())
    inside = apart <= farthest  # in every shell up to there are steps, those along the longest edge
    shell = np.rint(apart[inside] / width).astype(int)
    # Opposite steps are one, but those in the plane of the first layer are both there.
    weight = (np.where(steps[0] > 0, 2.0, 1.0) * pairs)[inside]
    weights = np.bincount(shell, weight)
    share = total / np.maximum(pairs, 1)
    mean = np.stack([np.bincount(shell, weight * part[inside]) / weights for part in share])
    distance = np.bincount(shell, weight * apart[inside]) / weights
    middle = (0, *reach[1:])
    along = []
    for axis in range(volume.dim):
        index: list[int | slice] = list(middle)
        index[axis] = slice(middle[axis], None)
        along.append(share[(slice(None), *index)])
    return Correlation(distance, mean, tuple(along))


def _of_slab(slab: Slab, phases: int, reach: Numbers) -> Numbers:
    ahead = slab.phase[slab.own.start :]
    return np.stack([_pairs(slab.inner == phase, ahead == phase, reach) for phase in range(phases)])


def _pairs(here: Flags, ahead: Flags, reach: Numbers) -> Numbers:
    """Pairs of voxels of a phase, from a slab's own to those a step away, for each step."""
    if not here.size:
        return np.zeros((reach[0] + 1, *(2 * reach[1:] + 1)), np.int64)
    # Steps along the first axis lead ahead only: nothing comes round to what is asked for.
    shape = [len(here) + int(reach[0]), *(n + int(r) for n, r in zip(here.shape[1:], reach[1:], strict=True))]
    shape = [fft.next_fast_len(n, real=True) for n in shape]
    first, second = (fft.rfftn(part.astype(np.float64), shape) for part in (here, ahead))
    found = fft.irfftn(np.conj(first) * second, shape)
    rows = [np.arange(reach[0] + 1), *(np.arange(-r, r + 1) for r in reach[1:])]
    return np.rint(found[np.ix_(*rows)]).astype(np.int64)
