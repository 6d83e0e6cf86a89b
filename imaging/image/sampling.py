"""Which voxels are used: crop, and a majority vote in blocks."""

import logging
import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window, cut
from microlith.imaging.parallel.large_arrays import VALUES_AT_ONCE, count_values
from microlith.imaging.typing import Flags, Numbers

log = logging.getLogger(__name__)


def cropped(values: NDArray[Any], crop: dict[str, tuple[int, int]], path: str) -> NDArray[Any]:
    """View of the voxels from first to before last along each axis named.

    Args:
        values: The whole image.
        crop: Axis name -> first, last + 1.
        path: Of the image, for messages.

    Raises:
        InputError: An axis the image doesn't have, or a range that is empty or leaves the image.
    """
    return cut(values, crop_window(values.shape, crop, path))


def crop_window(shape: tuple[int, ...], crop: dict[str, tuple[int, int]], path: str) -> Window:
    """The window of an image of the given shape that a crop leaves; arguments and errors as in `cropped`."""
    names = axis_names(len(shape))
    for axis, (first, last) in crop.items():
        if axis not in names:
            raise InputError(f"[image] crop.{axis}: {path} has only {', '.join(names[::-1])}; leave {axis} out")
        size = shape[names.index(axis)]
        if not 0 <= first < last <= size:
            raise InputError(
                f"[image] crop.{axis}: expected 0 <= first < last <= {size}, the size of {path} along {axis}, "
                f"got [{first}, {last}]"
            )
    return tuple(crop.get(axis, (0, n)) for axis, n in zip(names, shape, strict=True))


def majority(values: NDArray[Any], edge: int, path: str) -> NDArray[Any]:
    """One value for each block of `edge` voxels along every axis: the one that most of its voxels have.

    In a tie the voxel behind the block's centre decides where it has one of the tied values, else the lowest value
    wins: always taking the lowest would make that phase grow wherever an even block straddles a straight interface.
    Voxels at the upper ends that fill no whole block are left out, which is logged.

    Args:
        values: Integers with 2 or 3 axes.
        edge: Voxels along a block's edge, at least 1.
        path: Of the image, for messages.

    Raises:
        InputError: `edge` is less than 1 or more than the image's size along an axis.
    """
    shape = coarse_shape(values.shape, edge, path)
    if edge == 1:
        return values
    whole = values[tuple(slice(n * edge) for n in shape)]
    out = np.empty(shape, values.dtype)
    rows = max(1, VALUES_AT_ONCE // math.prod((edge, *whole.shape[1:])))
    for first in range(0, shape[0], rows):
        out[first : first + rows] = _vote(whole[first * edge : (first + rows) * edge], edge)
    return out


def coarse_shape(shape: tuple[int, ...], edge: int, path: str) -> tuple[int, ...]:
    """How many blocks there are along each axis; arguments, errors and what is logged as in `majority`."""
    if edge == 1:
        return shape
    smallest = min(shape)
    if not 1 < edge <= smallest:
        raise InputError(
            f"[image] coarsen: expected 1 to {smallest}, the shortest edge of {path} after crop, got {edge}"
        )
    names = axis_names(len(shape))
    rest = [f"{n % edge} along {axis}" for axis, n in zip(names, shape, strict=True) if n % edge]
    if rest:
        log.warning(
            "[image] coarsen = %d left out the last voxels of %s, which fill no block: %s", edge, path, ", ".join(rest)
        )
    return tuple(n // edge for n in shape)


def _vote(values: NDArray[Any], edge: int) -> NDArray[Any]:
    """Majority in the blocks of a piece that holds whole blocks only."""
    centre = values[(slice(edge // 2, None, edge),) * values.ndim]
    winner, best = centre.copy(), np.zeros(centre.shape, np.int64)
    for value in count_values(values) or ():
        votes = _block_sums(values == value, edge) * 2 + (centre == value)
        better = votes > best
        winner[better] = value
        best[better] = votes[better]
    return winner


def _block_sums(mask: Flags, edge: int) -> Numbers:
    offsets = product(range(edge), repeat=mask.ndim)
    total = np.zeros(tuple(n // edge for n in mask.shape), np.int64)
    for offset in offsets:
        total += mask[tuple(slice(first, None, edge) for first in offset)]
    return total
