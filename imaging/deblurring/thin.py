"""Layers about as thin as the blur, which look the same as thinner layers of a phase that differs more.

A crack in a bright phase that blur fills up looks like a layer of a phase of medium brightness, and labels that change
one by one do not get from one to the other. So where a phase is a thin layer within brighter ones, thinner layers of a
darker phase are tried in its place, and likewise within darker ones; they are taken where they explain the image
better.
"""

from dataclasses import replace
from functools import partial
from math import sqrt

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, maximum_filter, uniform_filter
from scipy.special import erfinv

from microlith.imaging.deblurring.model import BlurModel, Widths
from microlith.imaging.deblurring.single import ALL, NONE
from microlith.imaging.deblurring.trial import Trial, differing
from microlith.imaging.typing import Array, Flags, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

HALF = sqrt(8 * np.log(2))  # width of a Gaussian at half its height, per standard deviation
MORE = 0.5  # voxels, added to half the width of a layer, for steps of voxels
FEW = 1e-4  # share of the voxels in such layers, below which nothing is tried
SWEEPS, AGAIN = 2, 1e-3  # all is done again where that changed this share of the voxels
BARRED, FREE, LAST = 8, 6, 3  # rounds without the phase that was there, with all, and of what is taken
AROUND = 2  # voxels around such a layer that change with it
WINDOW = 9  # voxels, edge of the box in which costs are compared
# What the misfit falls by in such a box, at least, and per voxel that changes. Chosen on phantoms: cracks of a voxel
# gain 0.1 to 1 for each, while thin layers of the phase itself lose about as much, as a rule
GAIN, GAIN_EACH = 10.0, 0.1
# What a voxel is: not near a thin layer; near one; in one within brighter phases, and in its middle; within darker ones
FAR, NEAR, BRIGHTER, BRIGHTER_CORE, DARKER, DARKER_CORE = range(6)


def resolved(trial: Trial, workshop: Workshop) -> tuple[Trial, DiskVolume | None]:
    """The labels with thinner layers where these explain the image better; collective.

    Args:
        trial: Labels, which are changed, and the model.
        workshop: Ranks and folder.

    Returns:
        The labels; and for each voxel of a thin layer that stayed the phase that it would be otherwise, NONE for all
        others. Without such layers no volume.
    """
    if len(trial.model.mean) < 3:  # no phase is between others
        return trial, None
    shape = trial.labels.shape
    kind = workshop.new("thin-kind", shape, np.uint8)
    instead: DiskVolume | None = None
    free: tuple[DiskVolume, ...] = ()  # three, as soon as there are thin layers
    for step in range(1, len(trial.model.mean) - 1):
        for _ in range(SWEEPS):
            finder = _Finder(trial, step)
            workshop.fill(kind, finder.kinds, finder.halo)
            count = sum(workshop.each(shape, lambda layers: int((kind.values()[layers.write] > NEAR).sum())))
            if count < FEW * np.prod(shape):
                break
            if instead is None:
                instead, *new = (workshop.new(f"thin-{k}", shape, np.uint8) for k in range(4))
                free = tuple(new)
                workshop.fill(instead, lambda layers: np.full_like(kind.values()[layers.write], NONE))
            before = trial
            trial, best, free = _swept(before, finder, kind, free, workshop)
            workshop.fill(instead, partial(_otherwise, instead, best, kind, before.labels, trial.labels))
            free = (*free, best, before.labels)
            if differing(trial.labels, before.labels, workshop) < AGAIN * np.prod(shape):
                break
    for volume in (kind, *free):
        workshop.remove(volume)
    return trial, instead


def half_widths(model: BlurModel, deep: int, middle: int, around: int) -> Widths:
    """Half the width, in voxels (z, y, x), up to which a layer may be a thinner one of another phase.

    Such a layer of width w in a blur of s gives erf(w / (sqrt(8) s)) of its contrast in its middle; that is nearer to
    the middle phase than to the deep one up to the w from which the width of the blurred layer follows.

    Args:
        model: Means and blur.
        deep: The phase of the thinner layer.
        middle: The phase that it looks like.
        around: The phase around it.
    """
    mean = model.mean
    share = 1 - 0.5 * float((mean[deep] - mean[middle]) / (mean[deep] - mean[around]))
    thickest = sqrt(8) * float(erfinv(min(share, 0.95)))
    z, y, x = (width and 0.5 * width * sqrt(thickest**2 + HALF**2) + MORE for width in model.blur)
    return z, y, x


class _Finder:
    """Finds thin layers, and what they would be otherwise: the phase `step` farther in brightness, and the nearest."""

    def __init__(self, trial: Trial, step: int) -> None:
        self.trial, self.step = trial, step
        self.order = np.argsort(trial.model.mean)
        self.rank = np.argsort(self.order)
        self.ways = [
            (middle, brighter, half_widths(trial.model, *(int(self.order[k]) for k in (deep, middle, around))))
            for middle in range(1, len(self.order) - 1)
            for brighter, deep, around in ((True, middle - step, middle + 1), (False, middle + step, middle - 1))
            if 0 <= deep < len(self.order)
        ]

    @property
    def halo(self) -> int:
        """Layers around a block on which its kinds depend."""
        return max(2 * int(widths[0]) + 3 for *_, widths in self.ways) + AROUND

    def kinds(self, layers: Layers) -> Phases:
        """What the voxels of a block are."""
        rank = self.rank[self.trial.labels.values()[layers.read]]
        found = np.zeros(rank.shape, np.uint8)
        for middle, brighter, widths in self.ways:
            thin, depth = _thin(rank == middle, (rank <= middle) if brighter else (rank >= middle), widths)
            thin &= found == FAR
            depth[~thin] = 0
            core = thin & (depth >= maximum_filter(depth, 3) - np.float32(1e-5))
            found[thin] = BRIGHTER if brighter else DARKER
            found[core] = BRIGHTER_CORE if brighter else DARKER_CORE
        if found.any():
            near = binary_dilation(found > NEAR, np.ones((3, 3, 3), bool), iterations=AROUND)
            found[near & (found == FAR)] = NEAR
        return found[layers.own]

    def thinner(self, kind: DiskVolume, layers: Layers) -> Phases:
        """Labels of a block with thinner layers of other phases."""
        label = np.array(self.trial.labels.values()[layers.write])
        which = kind.values()[layers.write]
        for one, shift in (
            (BRIGHTER, 1), (BRIGHTER_CORE, -self.step), (DARKER, -1), (DARKER_CORE, self.step),
        ):  # fmt: skip
            here = which == one
            label[here] = self.order[self.rank[label[here]] + shift]
        return label


def _thin(phase: Flags, free: Flags, widths: Widths) -> tuple[Flags, Singles]:
    """Where a phase is in layers no wider than twice the widths, and how deep in what is free of others.

    Args:
        phase: (z, y, x).
        free: (z, y, x) the phase, and those that may be with it in such a layer.
        widths: (z, y, x).
    """
    import edt

    if not phase.any():
        return np.zeros_like(phase), np.zeros(phase.shape, np.float32)
    reach = [int(width) for width in widths]
    sides = np.meshgrid(*(np.arange(-far, far + 1) for far in reach), indexing="ij")
    ball = sum((side / (width or 1.0)) ** 2 for side, width in zip(sides, widths, strict=True)) <= 1
    padded = np.pad(free, [(2 * far, 2 * far) for far in reach], mode="edge")
    inner = tuple(slice(2 * far, size - 2 * far) for far, size in zip(reach, padded.shape, strict=True))
    wide = binary_dilation(binary_erosion(padded, ball, border_value=1), ball)[inner]
    units = tuple(1 / (width or 1.0) for width in widths)
    depth: Singles = edt.edt(padded.astype(np.uint8), anisotropy=units, black_border=False)[inner]
    return phase & ~wide, depth


def _swept(
    before: Trial, finder: _Finder, kind: DiskVolume, free: tuple[DiskVolume, ...], workshop: Workshop
) -> tuple[Trial, DiskVolume, tuple[DiskVolume, ...]]:
    """Thinner layers tried, and taken where they explain the image better; collective.

    Args:
        before: The labels, which stay as they are.
        finder: Says what is tried.
        kind: What each voxel is.
        free: Three volumes to use.
        workshop: Ranks and folder.

    Returns:
        The new labels; those where no thin layer stayed the phase that it was; the volume that is still free.
    """
    first, second, third = free
    workshop.fill(first, lambda layers: finder.thinner(kind, layers))
    best, second = _rounds(replace(before, labels=first), BARRED, kind, before.labels, (second, first), workshop)
    tried, third = _rounds(replace(before, labels=best), FREE, kind, None, (second, third), workshop)
    after = replace(before, labels=tried)
    workshop.fill(third, partial(_better, before, after), before.model.reach[0] + 1 + WINDOW // 2)
    kept, left = _rounds(replace(before, labels=third), LAST, kind, None, (tried, third), workshop)
    return replace(before, labels=kept), best, (left,)


def _rounds(
    trial: Trial,
    count: int,
    kind: DiskVolume,
    barred: DiskVolume | None,
    free: tuple[DiskVolume, DiskVolume],
    workshop: Workshop,
) -> tuple[DiskVolume, DiskVolume]:
    """Labels after some rounds in and near thin layers, and the volume that is free then; collective.

    Args:
        trial: The labels.
        count: Rounds.
        kind: What each voxel is.
        barred: Labels that voxels of thin layers don't take; None: they take all.
        free: Volumes that the rounds are written into in turns; the second may be that of the labels.
        workshop: Ranks and folder.
    """
    now, (new, other) = trial.labels, free

    def changed(layers: Layers) -> Phases:
        which = kind.values()[layers.read]
        if not which.any():
            return np.array(now.values()[layers.write])
        closed = np.where(which == FAR, np.uint8(ALL), np.uint8(NONE))
        if barred is not None:
            closed = np.where(which > NEAR, barred.values()[layers.read], closed)
        return replace(trial, labels=now).changed(layers, closed)

    for _ in range(count):
        workshop.fill(new, changed, trial.halo)
        now, new, other = new, other, new
    return now, new


def _better(before: Trial, after: Trial, layers: Layers) -> Phases:
    """Labels of a block: those after, where they explain the image better than those before, else these."""
    old, new = (one.labels.values()[layers.read] for one in (before, after))
    if (old == new).all():
        return np.array(old[layers.own])
    (misfit, parts), (new_misfit, new_parts) = before.costs(layers), after.costs(layers)
    fall = np.float64(misfit) - new_misfit
    box = [WINDOW if width else 1 for width in before.model.blur]

    def summed(values: Array) -> Array:
        return np.asarray(np.prod(box) * uniform_filter(values, box, mode="constant"))

    gain, voxels = summed(fall), summed((old != new).astype(np.float64))
    taken = (gain > np.maximum(GAIN, GAIN_EACH * voxels)) & (gain + summed(np.float64(parts) - new_parts) > 0)
    return np.where(taken, new, old)[layers.own]


def _otherwise(
    instead: DiskVolume, best: DiskVolume, kind: DiskVolume, before: DiskVolume, kept: DiskVolume, layers: Layers
) -> Phases:
    """What voxels of thin layers that keep their phase would be otherwise; what is known of others that do, stays."""
    known, found, old, label = (volume.values()[layers.write] for volume in (instead, best, before, kept))
    same = label == old
    new = same & (kind.values()[layers.write] > NEAR) & (found != label) & (known == NONE)
    return np.where(new, found, np.where(same, known, np.uint8(NONE)))
