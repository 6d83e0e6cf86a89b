"""Thresholds found in stages, as for tomograms: first the darkest and the brightest phase, then what is between them.

In each stage the histogram is that of the voxels that no mask holds yet, nor one grown by a few voxels: at interfaces
voxels hold two phases, and their grey values would be taken for those of a third. In the end all thresholds are set to
the middle between the means of voxels that lie within their phase, away from interfaces, until they stay: at such a
threshold a blurred plane interface is where it is. What is thinner than the blur between a darker and a brighter phase
than itself is an interface of these two, and goes to the nearer of them.

How thin: where `rim` voxels on either side of an interface hold two phases, grey values pass from a quarter to three
quarters of the way between the two within a third of these 2 rim voxels, so a band of the third phase is at most `rim`
voxels wide. Where the blur is wider than that, so is the band, up to 2 rim voxels; a true layer of this width is told
from it by its slope. Through a layer grey values rise in two steps, by half of the way each, and a way of 2 rim voxels
meets one of them; at an interface they rise in one.

The stages are those of Vorauer et al. (2020) for synchrotron tomography; the iteration is Ridler and Calvard's (1978).
"""

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.segmentation.histogram import Histogram, bins_of, histogram
from microlith.imaging.segmentation.thresholds import MOST_OTSU, Cuts, Favoured, otsu, settled
from microlith.imaging.typing import Flags, Numbers, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, quiet

MOST_ROUNDS = 8  # in which thresholds are set anew from voxels within their phases
STILL = 1e-3  # change of thresholds, per contrast, below which they stay
LEAST_PURE = 50  # voxels away from interfaces from which a mean is taken
# Rise within 2 rim voxels, per difference of the two phases, from which a band is their interface and no layer. A layer
# of 2 voxels has up to 0.5 at rim = 1, whatever the blur; an interface blurred by one voxel 0.62 to 0.68, by 1.3 0.53
STEEP = 0.55


@dataclass(frozen=True)
class Stage:
    """What one stage found."""

    name: str
    phases: tuple[int, ...]  # indices of those that it tells from the rest
    thresholds: tuple[float, ...]
    voxels: int  # in its histogram


@dataclass(frozen=True, eq=False)
class ByStages:
    """Thresholds, and a rule for voxels at interfaces."""

    grey: DiskVolume
    cuts: Cuts
    rim: int  # voxels; 0: without that rule
    stages: tuple[Stage, ...] = ()

    @property
    def halo(self) -> int:
        """Of the openings."""
        return 2 * self.rim

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        return self._classed(layers, favoured)[0]

    def margin(self, layers: Layers) -> Singles:
        """See Decision."""
        grey = self.grey.values()[layers.write]
        margin = self.cuts.margin(grey)
        _, thin, low, high = self._classed(layers, None)
        means = np.array(self.cuts.means)
        below, above = means[low[thin]], means[high[thin]]
        margin[thin] = np.minimum(np.abs(grey[thin] - 0.5 * (below + above)) / (above - below), 1.0)
        return margin

    def _classed(self, layers: Layers, favoured: Favoured | None) -> tuple[Phases, Flags, Phases, Phases]:
        """Phases of a block, where they are by the rule for interfaces, and the phases on either side there."""
        grey = self.grey.values()[layers.read]
        phase = self.cuts.classed(grey, favoured)
        if not self.rim or len(self.cuts.means) < 3:
            own = phase[layers.own]
            return own, np.zeros(own.shape, bool), own, own
        low, high = _around(phase, 2 * self.rim)
        thin = np.zeros(phase.shape, bool)
        for k in range(1, len(self.cuts.means) - 1):
            mine = phase == k
            thin |= mine & ~_opened(mine, self.rim)
        thin &= (low < phase) & (phase < high)
        means = np.array(self.cuts.means)
        places = np.nonzero(thin & ~_narrow(phase, self.rim))
        thin[places] = _rise(grey, places, self.rim) >= STEEP * (means[high[places]] - means[low[places]])
        middle = 0.5 * (means[low] + means[high])
        if favoured is not None:
            reach = favoured.shift * (means[high] - means[low])
            middle += np.where(low == favoured.phase, reach, np.where(high == favoured.phase, -reach, 0.0))
            if favoured.phase not in (0, len(means) - 1) and favoured.shift > 0:
                thin &= ~((phase == favoured.phase) & (np.abs(grey - middle) < reach))  # what is doubtful stays in it
        phase = np.where(thin, np.where(grey < middle, low, high), phase).astype(np.uint8)
        inner = layers.own
        return phase[inner], thin[inner], low[inner], high[inner]


def by_stages(
    grey: DiskVolume, counted: Histogram, phases: int, rim: int, workshop: Workshop, tell: Tell = quiet
) -> ByStages:
    """Find the thresholds; collective.

    Args:
        grey: The volume.
        counted: Its histogram.
        phases: How many, from dark to bright.
        rim: Voxels on either side of an interface that may hold two phases.
        workshop: The ranks, and the folder for masks.
        tell: Hears how far it is.

    Raises:
        InputError: There are fewer distinct grey values than phases.
    """
    stages: list[Stage] = []
    values: dict[int, float] = {}  # threshold above a phase
    low, high, left = 0, phases - 1, counted
    while True:
        inner = high - low + 1
        cuts = on_first_rank(workshop.comm, lambda left=left, inner=inner: _first_guess(left, inner))  # type: ignore[misc]
        ends = {low: cuts.values[0], high - 1: cuts.values[-1]}
        values |= ends
        stages.append(Stage(f"stage {len(stages) + 1}", tuple(sorted({low, high})), tuple(ends.values()), left.voxels))
        low, high = low + 1, high - 1
        if low >= high:
            break
        tell(f"stage {len(stages) + 1}")
        left = _what_is_left(grey, ends, rim, workshop)
        if np.count_nonzero(left.counts) <= high - low:  # nothing but interfaces is left: all its voxels then
            left = _what_is_left(grey, ends, 0, workshop)
    if low == high == 0:  # two phases
        values = {0: stages[0].thresholds[0]}
    found = tuple(values[i] for i in range(phases - 1))
    cuts = _from_within(grey, found, counted, rim, workshop, tell)
    stages.append(Stage("from voxels within phases", tuple(range(phases)), cuts.values, counted.voxels))
    return ByStages(grey, cuts, rim, tuple(stages))


def _first_guess(counted: Histogram, phases: int) -> Cuts:
    if phases <= MOST_OTSU:
        return otsu(counted, phases)
    ends = counted.quantile(0.005), counted.quantile(0.995)
    return settled(tuple(float(value) for value in np.linspace(*ends, phases + 1)[1:-1]), counted)


def _what_is_left(grey: DiskVolume, ends: dict[int, float], rim: int, workshop: Workshop) -> Histogram:
    """Histogram of the voxels between two thresholds that are not near what is beyond; collective."""
    darker, brighter = min(ends.values()), max(ends.values())

    def masked(layers: Layers) -> Phases:
        values = grey.values()[layers.read]
        outside = (values < darker) | (values >= brighter)
        return _around(outside.astype(np.uint8), rim)[1][layers.own]

    mask = workshop.new("mask", grey.shape, np.uint8)
    workshop.fill(mask, masked, rim)
    found = histogram(grey, workshop, without=mask)
    workshop.remove(mask)
    return found


def _from_within(
    grey: DiskVolume, values: tuple[float, ...], counted: Histogram, rim: int, workshop: Workshop, tell: Tell
) -> Cuts:
    """Thresholds in the middle between the means of voxels away from interfaces; collective."""
    phases = len(values) + 1
    edges = counted.edges
    step = float(edges[1] - edges[0])
    means = np.zeros(phases)
    for number in range(MOST_ROUNDS):
        tell(f"thresholds from within phases, round {number + 1}")
        cuts = Cuts(values, tuple(means))

        def within(layers: Layers, cuts: Cuts = cuts) -> Numbers:
            block = grey.values()[layers.read]
            phase = cuts.classed(block)
            low, high = _around(phase, rim)
            pure = (low == high)[layers.own]
            own, inside = block[layers.own], phase[layers.own]
            bins = bins_of(own, edges)[pure] + inside[pure].astype(np.int64) * (len(edges) - 1)
            return np.bincount(bins, minlength=phases * (len(edges) - 1)).reshape(phases, -1)

        pure = np.sum(workshop.each(grey.shape, within, rim), axis=0)
        ends = (-np.inf, *values, np.inf)
        for k, (a, b) in enumerate(pairwise(ends)):
            count = pure[k].sum()
            means[k] = pure[k] @ counted.centres / count if count >= LEAST_PURE else counted.mean(a, b)
        before, values = values, tuple(0.5 * (a + b) for a, b in pairwise(means.tolist()))
        contrast = min(Cuts(values, tuple(means)).contrasts)
        if max(abs(a - b) for a, b in zip(before, values, strict=True)) < max(STILL * contrast, 0.5 * step * STILL):
            break
    return Cuts(values, tuple(float(m) for m in means))


def _around(values: Phases, radius: int) -> tuple[Phases, Phases]:
    """Lowest and highest value in a cube around each voxel."""
    from scipy import ndimage

    if not radius:
        return values, values
    size = tuple(2 * radius + 1 if n > 1 else 1 for n in values.shape)
    return (
        ndimage.minimum_filter(values, size, mode="nearest"),
        ndimage.maximum_filter(values, size, mode="nearest"),
    )


def _opened(mask: Flags, radius: int) -> Flags:
    """The mask without what is thinner than a cube."""
    eroded = _around(mask.astype(np.uint8), radius)[0]
    return _around(eroded, radius)[1] > 0


def _narrow(phase: Phases, most: int) -> Flags:
    """Where a phase is no wider than some voxels along some axis; beyond its ends an image goes on as it is there."""
    narrow = np.zeros(phase.shape, bool)
    for axis, n in enumerate(phase.shape):
        if n == 1:
            continue
        beyond = [(most, most) if other == axis else (0, 0) for other in range(phase.ndim)]
        along = np.moveaxis(np.pad(phase, beyond, mode="edge"), axis, 0)
        same = along[1:] == along[:-1]
        wide = np.zeros((n, *along.shape[1:]), bool)
        for first in range(most + 1):  # of a window of most + 1 voxels, before the voxel
            joined = np.ones_like(wide)
            for step in range(most):
                joined &= same[first + step : first + step + n]
            wide |= joined
        narrow |= np.moveaxis(~wide, 0, axis)
    return narrow


def _rise(grey: Singles, places: tuple[NDArray[np.intp], ...], reach: int) -> Singles:
    """How much grey values rise along their gradient from `reach` voxels before a place to as many behind it.

    Across the gradient they are averaged with the weights 1, 2, 1 (Sobel's), against noise.
    """
    axes = [axis for axis, n in enumerate(grey.shape) if n > 1]
    total: Singles = np.zeros(len(places[0]), np.float32)
    for axis in axes:
        rise: Singles = np.zeros_like(total)
        for steps in product(*((-reach, reach) if other == axis else (-1, 0, 1) for other in axes)):
            weight = np.prod(
                [
                    np.sign(step) if other == axis else (2 - abs(step)) / 4
                    for other, step in zip(axes, steps, strict=True)
                ]
            )
            moved = list(places)
            for other, step in zip(axes, steps, strict=True):
                moved[other] = np.clip(places[other] + step, 0, grey.shape[other] - 1)
            rise += np.float32(weight) * grey[tuple(moved)]
        total = np.hypot(total, rise)  # squares of what single precision holds may be beyond it
    return total
