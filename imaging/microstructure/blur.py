"""Gaussian blurs of whole volumes by compiled loops: those of `scipy.ndimage.gaussian_filter` to the last bit, sooner.

A filter that takes one line of voxels after the other reads most of memory in strides. Here many neighbouring lines go
through together, which the processor adds up several at a time.
"""

from collections.abc import Sequence

import numpy as np

from microlith.imaging.parallel.compiled import kept
from microlith.imaging.typing import Array, Singles

TOGETHER = 1 << 15  # voxels of the lines that go through at once, so that they stay in the processor's cache
MOST_LINES = 256


def blur(values: Singles, widths: Sequence[float] | Array, cut: float, *, goes_on: bool) -> Singles:
    """Blur a volume in its place.

    Args:
        values: (..., y, x) without gaps in memory; becomes what it is after the blur.
        widths: Of the Gaussian along each axis, voxels.
        cut: Widths at which it is cut off.
        goes_on: Whether the volume goes on beyond its ends with what is there; else there is nothing.

    Returns:
        The values.
    """
    for axis, (count, width) in enumerate(zip(values.shape, widths, strict=True)):
        reach = int(cut * width + 0.5)
        weights = np.exp(-0.5 / width**2 * np.arange(-reach, reach + 1) ** 2)
        weights = (weights / weights.sum())[: reach + 1]
        lines = values.reshape(int(np.prod(values.shape[:axis])), count, -1)
        if lines.shape[2] == 1:
            _along_rows(lines[:, :, 0], weights, goes_on)
        else:
            some = max(16, min(TOGETHER // (count + 2 * reach), MOST_LINES, lines.shape[2]))
            _across_rows(lines, weights, goes_on, np.empty((count + 2 * reach, some)), np.empty(some))
    return values


@kept
def _across_rows(lines: Singles, weights: Array, goes_on: bool, taken: Array, total: Array) -> None:
    """Along the middle axis, some lines together.

    Args:
        lines: (parts, n, m)
        weights: (reach + 1,) from the farthest to the middle.
        goes_on: As in `blur`.
        taken: (n + 2 reach, k) for k lines.
        total: (k,)
    """
    parts, count, across = lines.shape
    reach, some = len(weights) - 1, len(total)
    for part in range(parts):
        for first in range(0, across, some):
            many = min(some, across - first)
            for row in range(-reach, count + reach):
                into = taken[row + reach]
                if 0 <= row < count or goes_on:
                    values = lines[part, min(max(row, 0), count - 1), first : first + many]
                    for line in range(many):
                        into[line] = values[line]
                else:
                    into[:] = 0.0
            for row in range(count):
                middle = taken[row + reach]
                for line in range(many):
                    total[line] = middle[line] * weights[reach]
                for far in range(reach):
                    before, behind, weight = taken[row + far], taken[row + 2 * reach - far], weights[far]
                    for line in range(many):
                        total[line] += (before[line] + behind[line]) * weight
                values = lines[part, row, first : first + many]
                for line in range(many):
                    values[line] = total[line]


@kept
def _along_rows(rows: Singles, weights: Array, goes_on: bool) -> None:
    """Along the last axis, in which voxels are next to each other in memory.

    Args:
        rows: (m, n)
        weights: (reach + 1,) from the farthest to the middle.
        goes_on: As in `blur`.
    """
    reach, count = len(weights) - 1, rows.shape[1]
    taken, total = np.zeros(count + 2 * reach), np.empty(count)
    middle = taken[reach : reach + count]
    for row in range(len(rows)):
        values = rows[row]
        for place in range(count):
            middle[place] = values[place]
        if goes_on:
            taken[:reach] = middle[0]
            taken[reach + count :] = middle[count - 1]
        for place in range(count):
            total[place] = middle[place] * weights[reach]
        for far in range(reach):
            before, behind, weight = taken[far:], taken[2 * reach - far :], weights[far]
            for place in range(count):
                total[place] += (before[place] + behind[place]) * weight
        for place in range(count):
            values[place] = total[place]
