"""Labels whose blurred image explains the grey values, beginning with those of thresholds or regions.

The image is taken for the phases' means, blurred by a Gaussian, with noise, and each layer may be brighter than others;
means, width of the blur along each axis and noise are those that explain it best, given the labels. After a few rounds
labels are found anew by mean field annealing, which forgets most of what was said before. In each round voxels change
their labels where that explains the image better, given all others, as in Besag's iterated conditional modes (1986);
neighbours of one phase are likelier. Each round looks at all voxels at once and changes those that gain most around
them, so nothing depends on an order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from microlith.imaging.deblurring.annealed import anneal
from microlith.imaging.deblurring.gaussian import blurred
from microlith.imaging.deblurring.model import BlurModel, Widths, fit, products, scaled
from microlith.imaging.deblurring.shading import Shading, across, moments, none
from microlith.imaging.deblurring.single import NONE, shifts
from microlith.imaging.deblurring.thin import resolved
from microlith.imaging.deblurring.trial import Trial, differing
from microlith.imaging.segmentation.thresholds import Decision, Favoured
from microlith.imaging.typing import Array, Numbers, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, quiet

ROUNDS = 24
ANNEALED = 4  # round before which labels are found anew through probabilities
# Times what labels cost before, above which those that are found anew are not taken: on phantoms they cost 0.99 to 1.02
# times that, and 1.15 and 1.24 times where noise as large as the contrast has them lose a phase
DEARER = 1.05
LEARNT = 0, 3, 7  # rounds before which the model is found anew
# Contrasts by which brightness differs across layers, above which the model is found anew in each of the first rounds
UNEVEN, UNEVEN_ROUNDS = 0.3, 10
FOLLOWED = 0.4  # contrasts of the noise, above which labels follow it so much that blur looks smaller than it is
# Contrasts of the noise, and of brightness across layers, above which that says nothing: wrong labels make it so, and
# it makes them worse
NOISY, RUNAWAY = 1.5, 1.5
STILL = 1e-5  # share of the voxels that change in a round, below which it is the last
LOOKED_AT = 16  # layers from which the model is found
WIDTHS = np.arange(0.3, 2.55, 0.1)  # voxels, that are tried
NEAR = np.arange(-0.2, 0.25, 0.1)  # voxels, around a width, when each axis is looked at
EASE = 1.3  # times what a voxel costs, for it changes together with its neighbours
LEAST_NOISE = 0.01  # per contrast
# Times the squared noise of single voxels, up to which what neighbours share is taken for that of wrong labels: on
# phantoms of fine structures with white noise these left 0.9 to 2.5 times, noise smoothed by 0.6 voxels 6
SHARED = 2.5
NORMAL = 0.6745  # median of a normal distribution's absolute values, per standard deviation
PERCENT = 100  # of a shift, as it is stored
OTHERWISE = 0.05  # shift from which a voxel belongs to the phase that the method before says otherwise


@dataclass(frozen=True, eq=False)
class ByBlur:
    """Decision: the labels that explain the image."""

    begun: Decision  # by the method before
    labels: DiskVolume
    shifts: tuple[DiskVolume, ...]  # of each phase, uint8: shift, in hundredths, from which a voxel belongs to it
    model: BlurModel
    changed: int  # voxels that have another label than by the method before
    thin: tuple[float, ...] = ()  # share of all voxels, of each phase, in layers that may be narrower ones of others
    halo: int = 0

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        label = np.array(self.labels.values()[layers.write])
        if favoured is None:
            return label
        limit = round(PERCENT * abs(favoured.shift), 6)  # 0.07 is seven hundredths, and no more
        if favoured.shift > 0:
            label[self.shifts[favoured.phase].values()[layers.write] < limit] = favoured.phase
            return label
        others = self._others(layers, label)
        lost = (label == favoured.phase) & (others.min(axis=0) < limit)
        rank = np.argsort(np.argsort(self.model.mean))  # from dark to bright
        nearest = np.argsort(np.abs(rank - rank[favoured.phase]), kind="stable")  # of equal shifts
        return np.where(lost, nearest[others[nearest].argmin(axis=0)], label).astype(np.uint8)

    def margin(self, layers: Layers) -> Singles:
        """See Decision; the middle between two hundredths."""
        least = self._others(layers, self.labels.values()[layers.write]).min(axis=0)
        return np.minimum((least + np.float32(0.5)) / np.float32(PERCENT), np.float32(1.0))

    def _others(self, layers: Layers, label: Phases) -> Phases:
        """(phases, z, y, x) shifts to other labels."""
        found = np.stack([volume.values()[layers.write] for volume in self.shifts])
        np.put_along_axis(found, label[None], 255, axis=0)
        return found


def deblurred(
    grey: DiskVolume,
    begun: Decision,
    means: tuple[float, ...],
    voxel_size: tuple[float, float, float],
    workshop: Workshop,
    tell: Tell = quiet,
    sharp: bool = False,
) -> ByBlur | None:
    """Find the labels; collective.

    Args:
        grey: The volume, not smoothed.
        begun: Says the labels to begin with.
        means: Grey values of the phases by these.
        voxel_size: m, (z, y, x).
        workshop: Ranks and folder.
        tell: Hears how far it is.
        sharp: Whether these labels were found voxel by voxel; borders of regions are rough, which looks like more blur.

    Returns:
        None: the phases' grey values don't come out in the same order, so that the model does not fit.
    """
    said, now, other = (workshop.new(f"deblurred-{k}", grey.shape, np.uint8) for k in range(3))
    workshop.fill(said, begun.classed, begun.halo)
    workshop.fill(now, lambda layers: np.array(said.values()[layers.write]))
    edges = _relative(voxel_size)
    model: BlurModel | None = None
    least: Widths | None = None
    for number in range(ROUNDS):
        tell("blur", number / ROUNDS)
        if number == ANNEALED:
            assert model is not None
            workshop.fill(other, lambda layers, now=now: np.array(now.values()[layers.write]))  # type: ignore[misc]
            before, after = (Trial(grey, one, model, edges) for one in (other, now))
            anneal(grey, now, model, after.bonds, workshop)
            if after.cost(workshop) > DEARER * before.cost(workshop):
                now, other = other, now
        if number in LEARNT or (model is not None and number < UNEVEN_ROUNDS and model.shading.range > UNEVEN):
            model = _learnt(grey, now, np.array(means), model, least, workshop)
            if model is None:
                for volume in (said, now, other):
                    workshop.remove(volume)
                return None
            if sharp and number == 0 and model.noise > FOLLOWED:  # once more with what is uneven, which looks like blur
                model = _learnt(grey, now, np.array(means), model, least, workshop) or model
                least = model.blur
        assert model is not None
        trial = Trial(grey, now, model, edges)
        workshop.fill(other, trial.changed, trial.halo)
        count = differing(now, other, workshop)
        now, other = other, now
        if number >= ANNEALED and count < STILL * np.prod(grey.shape):
            break
    assert model is not None
    workshop.remove(other)
    tell("thin layers")
    trial, instead = resolved(Trial(grey, now, model, edges), workshop)
    found = _shifted(trial, said, instead, workshop)
    changed = differing(said, trial.labels, workshop)
    thin = tuple(0.0 for _ in means)
    if instead is not None:
        thin = _thin_shares(trial.labels, instead, len(means), workshop)
        workshop.remove(instead)
    workshop.remove(said)
    return ByBlur(begun, trial.labels, found, model, changed, thin)


def _relative(voxel_size: tuple[float, float, float]) -> tuple[float, float, float]:
    z, y, x = (edge / min(voxel_size) for edge in voxel_size)
    return z, y, x


def _shifted(trial: Trial, said: DiskVolume, instead: DiskVolume | None, workshop: Workshop) -> tuple[DiskVolume, ...]:
    """From which shift on each voxel belongs to each phase; collective.

    A field that favours a phase by h moves a plane interface by h times the squared noise over the squared contrast
    and what the blur leaves of it, twice the root of pi standard deviations; thresholds moved by a shift of the
    contrast do so by the root of two pi. So what a label costs counts as the root of two times this variance per
    squared contrast; for voxels that change together it counts EASE times that, chosen on phantoms.

    Args:
        trial: Labels and model.
        said: Labels of the method before.
        instead: What thin layers would be otherwise, of each voxel, or NONE.
        workshop: Ranks and folder.
    """
    model = replace(trial.model, noise=trial.model.single)  # what is shared may be the sample: it does not make surer
    sure = replace(trial, model=model)
    bond, unit = sure.bonds, np.float32(EASE * sqrt(2.0) * model.noise**2)
    volumes = tuple(workshop.new(f"shift-{k}", trial.labels.shape, np.uint8) for k in range(len(model.mean)))

    def shifted(layers: Layers) -> None:
        label, pull, mean, own = sure.block(layers.low, layers.high, layers.own)
        found = np.empty((len(mean), *pull.shape), np.uint8)
        before = np.array(said.values()[layers.write])
        shifts(label, before, pull, mean, own, bond, unit, np.float32(OTHERWISE), found)
        if instead is not None:
            thin = instead.values()[layers.write]
            for phase, shift in enumerate(found):
                shift[thin == phase] = 0  # whatever the shift: it is not noise that leaves them open
        for volume, new in zip(volumes, found, strict=True):
            target = volume.values(writable=True)
            target[layers.write] = new
            target.flush()  # type: ignore[attr-defined]

    workshop.each(trial.labels.shape, shifted, 2 * model.reach[0] + 1)
    return volumes


def _thin_shares(labels: DiskVolume, instead: DiskVolume, phases: int, workshop: Workshop) -> tuple[float, ...]:
    def counted(layers: Layers) -> Numbers:
        thin = instead.values()[layers.write] != NONE
        return np.asarray(np.bincount(labels.values()[layers.write][thin], minlength=phases), np.int64)

    counts = np.sum(workshop.each(labels.shape, counted), axis=0)
    return tuple(float(count) / float(np.prod(labels.shape)) for count in counts)


def _learnt(
    grey: DiskVolume,
    labels: DiskVolume,
    means: Array,
    before: BlurModel | None,
    least: Widths | None,
    workshop: Workshop,
) -> BlurModel | None:
    """The model that explains some layers best, given the labels; collective.

    Labels that have changed voxel by voxel follow the noise, which looks like less blur than there is: so it is no less
    than `least`, what the first labels say.
    """
    order = np.argsort(means)
    zero, unit = float(means.min()), float(np.ptp(means)) / (len(means) - 1)
    if not (np.isfinite(unit) and unit > float(np.finfo(np.float32).tiny)):
        return None
    flat = grey.shape[0] == 1
    plane = grey.shape[1:]
    shading = none(grey.shape[0]) if before is None else before.shading
    wanted = {int(z) for z in np.linspace(0, grey.shape[0] - 1, min(LOOKED_AT, grey.shape[0]))}

    def best_of(tried: list[Widths]) -> tuple[Widths, Array, float] | None:
        def summed(layers: Layers) -> list[Array]:
            values, own = grey.values(), labels.values()
            found = []
            for z in range(layers.first, layers.last):
                if z in wanted:
                    low, high = max(0, z - 8), z + 9
                    block = scaled(values[low:high], zero, unit)
                    block -= shading.of(low, low + len(block), *plane)
                    found.append(
                        np.stack([products(block, own[low:high], len(means), z - low, widths) for widths in tried])
                    )
            return found

        sums = np.sum([one for block in workshop.each(grey.shape, summed) for one in block], axis=0)
        fits = [(widths, fit(one)) for widths, one in zip(tried, sums, strict=True)]
        right = [(widths, *one) for widths, one in fits if one is not None and (np.diff(one[0][order]) > 0).all()]
        return min(right, key=lambda one: one[2]) if right else None

    def along(width: float) -> Widths:
        return (0.0 if flat else float(width), float(width), float(width))

    best = best_of([before.blur] if before else [along(float(width)) for width in WIDTHS])
    for axis in range(1 if flat else 0, 3):
        if best is None:
            return None
        best = best_of(list(_around(best[0], axis, WIDTHS[0] if least is None else least[axis])))
    if best is None:
        return None
    voxels = len(wanted) * grey.shape[1] * grey.shape[2]
    contrast = float(np.ptp(best[1])) / (len(means) - 1)
    noise = max(sqrt(max(best[2], 0.0) / voxels), LEAST_NOISE * contrast)
    model = BlurModel(zero, unit, best[1], best[0], noise, noise, shading)

    def seen(layers: Layers) -> tuple[Array, Array]:
        left = model.left(grey.values()[layers.read], labels.values()[layers.read])
        smooth = blurred(left - shading.of(layers.low, layers.high, *plane), model.blur)[layers.own]
        mean = left[layers.own].mean(axis=(1, 2), dtype=np.float64)
        return (
            np.stack([mean, np.median(np.abs(smooth), axis=(1, 2))]),
            np.stack([moments(one) for one in left[layers.own]]),
        )

    found = workshop.each(grey.shape, seen, 2 * model.reach[0])
    mean, spread = np.concatenate([one[0] for one in found], axis=1)
    sums = np.concatenate([one[1] for one in found]).sum(axis=0)
    # Noise that neighbours share is not lost in the blur as that of single voxels is
    noise = max(noise, float(np.median(spread)) / NORMAL / sqrt(SHARED * model.own))
    offset = np.zeros_like(mean) if flat else mean - mean.mean()
    found_now = Shading(offset.astype(np.float32), across(sums, *grey.shape))
    if noise > NOISY * contrast or found_now.range > RUNAWAY * contrast:
        found_now = replace(found_now, across=none(1).across)
    return replace(model, noise=noise, shading=found_now)


def _around(widths: Widths, axis: int, least: float) -> Iterable[Widths]:
    for step in NEAR:
        other = list(widths)
        other[axis] = float(np.clip(widths[axis] + step, least, WIDTHS[-1]))
        yield other[0], other[1], other[2]
