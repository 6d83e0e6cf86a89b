"""Whether deeper slices shine through pores: then pores before a solid are brighter than those behind it.

Both are as near to the solid, so what else makes them brighter is the same: blur along z, noise, wrong labels. They are
compared within each slice, so that steps of brightness between slices count on neither side.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from microlith.imaging.columns.appearance import FEWEST
from microlith.imaging.typing import Array, Flags, Indices, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, named, quiet

REACH = 6  # slices to a solid
BLOCKS = 16  # of slices, whose scatter tells the standard error; neighbouring slices show the same solids
FEWEST_BLOCKS = 4
# Share of a solid's contrast below which nothing shines through. On phantoms where much did, 14 % and more were found;
# where 10 % of it came through from the nearest slice, 5 %, and labels that leave it out were as good
LEAST = 0.05
UNSURE = 0.1  # the same where it may as well be none: of small images it is not known as well
OTHER_WAY = 0.1  # by which pores behind solids are brighter where z runs out of the depth
LEAST_CONTRAST = 1.0  # of two phases, per standard deviation of the noise


@dataclass(frozen=True, eq=False)
class Through:
    """What comes through pores, and how bright phases are, by labels of regions."""

    clear: int  # index of the phase that is the pores
    share: float  # of the contrast of the solids, by which pores before them are brighter than behind; nan: unknown
    error: float  # standard error
    means: tuple[float, ...]  # grey values of the phases, nan where none of its voxels is away from others
    contrast: float  # the least of two phases, per standard deviation of the noise; 0 where a phase has few voxels

    @property
    def nothing(self) -> bool:
        """Whether it is sure that next to nothing comes through."""
        most = self.share + 2 * self.error
        return most < LEAST or (self.share < 2 * self.error and most < UNSURE)

    @property
    def other_way(self) -> bool:
        """Whether it comes through from slices before."""
        return self.share + 3 * self.error < -OTHER_WAY

    @property
    def told_apart(self) -> bool:
        """Whether grey values tell the phases."""
        return self.contrast >= LEAST_CONTRAST


def seen_through(
    grey: DiskVolume, labels: DiskVolume, phases: int, clear: int, workshop: Workshop, tell: Tell = quiet
) -> Through:
    """What comes through pores; collective.

    Args:
        grey: The volume, not smoothed.
        labels: uint8, phases of the voxels.
        phases: How many.
        clear: Index of the phase through which deeper slices may shine.
        workshop: Ranks and folder.
        tell: Hears how far it is.
    """

    def summed(layers: Layers) -> Array:
        label = labels.values()[layers.read]
        inner = np.stack([away_from_others(one) for one in label])
        return sums_beside(grey.values()[layers.read], label, inner, layers.own, phases, clear)

    return through(np.concatenate(workshop.each(grey.shape, summed, REACH, named(tell, "what shines through"))), clear)


def sums_beside(grey: Singles, labels: Phases, inner: Flags, own: slice, phases: int, clear: int) -> Array:
    """Sums of the grey values of phases, and of pores before and behind solids.

    Args:
        grey: (z, y, x) layers of a block with REACH more to either side, where there are.
        labels: (z, y, x) their phases.
        inner: (z, y, x) voxels that are counted.
        own: The layers of the block.
        phases: How many.
        clear: Index of the pores.

    Returns:
        (layers, 3, 1 + 2 REACH, phases) number, sum, and sum of squares: of phases; of pores 1, 2, ... slices before
        the nearest solid, by its phase, with none as near before them; and of those behind one.
    """
    to_next, next_ = _nearest(labels[::-1], clear)
    (ahead, solid), (behind, other) = (to_next[::-1], next_[::-1]), _nearest(labels, clear)
    found = []
    for z in range(len(labels))[own]:
        counted, label = inner[z], labels[z]
        place = label.astype(np.int64)
        groups = [place[counted]]
        values = [grey[z][counted].astype(np.float64)]
        for first, away, farther, phase in ((0, ahead[z], behind[z], solid[z]), (REACH, behind[z], ahead[z], other[z])):
            near = counted & (label == clear) & (away <= REACH) & (away < farther)
            groups.append((first + away[near]) * phases + phase[near])
            values.append(grey[z][near].astype(np.float64))
        group, value = np.concatenate(groups), np.concatenate(values)
        count = (1 + 2 * REACH) * phases
        sums = [np.bincount(group, weight, count) for weight in (np.ones_like(value), value, value**2)]
        found.append(np.stack(sums).reshape(3, 1 + 2 * REACH, phases))
    return np.stack(found)


def _nearest(labels: Phases, clear: int) -> tuple[Indices, Indices]:
    """Slices from each pore to the nearest solid in a layer before it, REACH + 1 for farther ones, and its phase."""
    away, phase = np.empty(labels.shape, np.int32), np.empty(labels.shape, np.int32)
    last, own = np.full(labels.shape[1:], REACH + 1, np.int32), np.zeros(labels.shape[1:], np.int32)
    for z, label in enumerate(labels):
        away[z], phase[z] = last, own
        pore = label == clear
        last = np.where(pore, np.minimum(last + 1, REACH + 1), 1)
        own = np.where(pore, own, label)
    return away, phase


def through(sums: Array, clear: int) -> Through:
    """What comes through.

    Args:
        sums: (slices, 3, 1 + 2 REACH, phases) as of `sums_beside`, of all slices.
        clear: Index of the pores.
    """
    count, total, squares = sums[:, :, 0].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0)
    contrast = 0.0
    if (count >= FEWEST).all():
        noise = sqrt(float(np.median(variance)))
        least = float(np.diff(np.sort(mean)).min())
        contrast = least / noise if noise else (inf if least else 0.0)
    share, error = _share(sums, mean, clear)
    return Through(clear, share, error, tuple(float(value) for value in mean), contrast)


def _share(sums: Array, mean: Array, clear: int) -> tuple[float, float]:
    """Share that comes through, weighted as differences of means are known, and its standard error."""
    number, total = sums[:, 0, 1:], sums[:, 1, 1:]
    before, behind = number[:, :REACH], number[:, REACH:]
    voxels, dark = behind.sum(), total[:, REACH:].sum()
    if min(before.sum(), voxels) < FEWEST:
        return np.nan, np.nan
    full = np.where(np.isfinite(mean), mean, 0.0) - dark / voxels
    full[clear] = 0.0
    n, m = before.sum(axis=2), behind.sum(axis=2)
    both = (n > 0) & (m > 0)
    a, b = np.where(both, n, 1.0), np.where(both, m, 1.0)
    weight = np.where(both, n * m / np.maximum(n + m, 1.0), 0.0)
    # A dark solid makes pores darker: each difference counts with the sign of what is expected
    expected = 0.5 * (before @ full / a + behind @ full / b)
    found = total[:, :REACH].sum(axis=2) / a - total[:, REACH:].sum(axis=2) / b
    above = (weight * np.sign(expected) * found).sum(axis=1)
    below = (weight * np.abs(expected)).sum(axis=1)
    if not below.sum() > 0:
        return np.nan, np.nan
    share = float(above.sum() / below.sum())
    blocks = np.array_split(np.arange(len(sums)), min(BLOCKS, len(sums)))
    if len(blocks) < FEWEST_BLOCKS:
        return share, inf
    left = np.array([(above[block] - share * below[block]).sum() for block in blocks])
    return share, float(sqrt(len(left) / (len(left) - 1) * (left**2).sum()) / below.sum())


def away_from_others(phase: Phases) -> Flags:
    """Voxels of a slice whose neighbours in it are of the same phase."""
    from scipy import ndimage

    return np.asarray(ndimage.minimum_filter(phase, 3) == ndimage.maximum_filter(phase, 3))
