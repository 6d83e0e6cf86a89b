"""Labels that explain the image: what deeper slices add to pores is learnt from the labels of regions, and taken off.

What is seen in a solid is the solid; what is seen in a pore is the nearest solid behind it, the darker the farther away
it is. How bright either is, is the mean over all voxels that the labels so far say so of, whatever the law; then it is
found how probable each label of each voxel is, by the sum over all labels of its column along z, exactly (Baum, Petrie,
Soules and Weiss 1970), while the probabilities of the columns beside it stay (mean field; Saul and Jordan 1996):
neighbours of one phase are likelier. The label with the least cost of a whole column would lose thin pores that differ
little from the solid behind them, as many labels say "a pore here" and each is a little worse than "none". First
without, then with the blur within slices, whose width is the one that explains the image best: a voxel at an interface
of a dark and a bright phase is as bright as one of a phase between them, but its neighbours say what it is.

Labels by which a solid begins a slice too late explain themselves: the pores just before it are then as bright as it.
Where brightness falls less from a solid to these pores than from there on, labels are found once more with the solid a
slice earlier, and those are taken that leave less of the image unexplained.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import ceil, sqrt

import numpy as np

from microlith.imaging.columns.appearance import CLEAN, Appearance, States, appearance, late_solids, sums_of
from microlith.imaging.columns.sweep import SURE, gaps, sweep
from microlith.imaging.columns.through import LEAST_CONTRAST, REACH, Through, sums_beside, through
from microlith.imaging.deblurring.gaussian import blurred, weights
from microlith.imaging.image.passes import share
from microlith.imaging.parallel.collective import together
from microlith.imaging.segmentation.classing import ByRegions
from microlith.imaging.segmentation.thresholds import Favoured
from microlith.imaging.typing import Array, Flags, Indices, Phases, Singles
from microlith.imaging.volumes.disk_volumes import VALUES, DiskVolume, Layers, Tell, Workshop, named, quiet

PLAIN, BLURRED = 3, 4  # rounds without and with the blur
PEELED = 3  # times that pores may lose their last slice to solids that begin too late
WIDTHS = np.arange(0.2, 2.05, 0.1)  # voxels, standard deviations of the blur that are tried
LOOKED_AT = 16  # slices at which they are
TRUNCATE = 4.0  # standard deviations at which the blur ends
# Deviations of the blur between columns that change at once: where they are nearer, all together change too much
APART = 2.5
BOND = 0.37  # likelihood that a neighbour of the same phase adds, per root of what a voxel's own grey value tells
PLAIN_BOND = 0.5, 1.0  # the same without the blur, and what a change along the column costs
ALIKE = 0.85  # power of the contrast of two phases that their bond goes with
LOOSE = 0.65  # of the bond, that counts for what is doubtful: columns beside one may change with it
OTHERWISE = 5  # hundredths of a shift, from which a voxel belongs to the phase that its region says otherwise
TENTH = 0.1
PERCENT = 100  # of a margin, as it is stored


@dataclass(frozen=True, eq=False)
class Model:
    """What the image looks like, given the labels."""

    states: States
    looks: Appearance
    blur: float  # voxels, standard deviation within slices; 0: none
    noise: float  # standard deviation of what it leaves of the grey values
    bond: float  # what a neighbour of another phase costs in a slice, if the phases differ as much as usual
    change: float  # the same along the column

    @property
    def contrast(self) -> float:
        """Difference of the brightest solid and of an empty pore, per step between phases."""
        n = self.states.phases - 1
        return float(abs(self.looks.mean[:n].max() - self.looks.mean[-1])) / n

    @property
    def parts(self) -> Singles:
        """(phases, phases) parts of the bond that two phases have, 1 at most, 0 for one phase.

        It is weaker where their brightness differs less, that of pores on average over what shines through: a bond that
        suits bright phases would close pores that look much like the solid behind them.
        """
        n, mean, voxels = self.states.phases - 1, self.looks.mean, self.looks.voxels
        apart = np.zeros((n + 1, n + 1))
        for i, solid in enumerate(self.states.solids):
            apart[solid, list(self.states.solids)] = np.abs(mean[:n] - mean[i])
            apart[solid, self.states.clear] = np.average(np.abs(mean[n:] - mean[i]), weights=voxels[n:])
        apart[self.states.clear] = apart[:, self.states.clear]
        return np.minimum((apart / (self.contrast or 1.0)) ** ALIKE, 1.0).astype(np.float32)

    @property
    def apart(self) -> int:
        """Columns from one that changes to the next that changes with it: so far that their blur hardly meets."""
        return max(2, ceil(APART * self.blur))

    @property
    def own(self) -> float:
        """What a voxel's own grey value counts of its change: the squares of the blur's weights."""
        return float((weights(self.blur, TRUNCATE) ** 2).sum() ** 2)


@dataclass(frozen=True, eq=False)
class ByColumns:
    """Decision: the labels that explain the image; doubtful is what other labels explain nearly as well."""

    regions: ByRegions
    model: Model
    changed: int  # voxels that have another label than their region
    gaps: tuple[DiskVolume, ...]  # of each phase, uint8: shift, in hundredths, from which a voxel belongs to it
    halo: int = 0

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        gap = self._gaps(layers)
        plain = gap.argmin(axis=0).astype(np.uint8)
        if favoured is None:
            return plain
        limit = PERCENT * abs(favoured.shift)
        if favoured.shift > 0:
            plain[gap[favoured.phase] < limit] = favoured.phase
            return plain
        others = gap.copy()
        others[favoured.phase] = 255
        lost = (plain == favoured.phase) & (others.min(axis=0) < limit)
        return np.where(lost, others.argmin(axis=0), plain).astype(np.uint8)

    def margin(self, layers: Layers) -> Singles:
        """See Decision."""
        second: Singles = np.partition(self._gaps(layers), 1, axis=0)[1] / np.float32(PERCENT)
        return np.minimum(second, np.float32(1.0))

    def _gaps(self, layers: Layers) -> Phases:
        return np.stack([volume.values()[layers.write] for volume in self.gaps])


@dataclass(frozen=True, eq=False)
class _Volumes:
    """What is worked on."""

    grey: DiskVolume  # not smoothed
    said: DiskVolume  # uint8, phases of the regions
    pull: DiskVolume  # float32, see `sweep`
    probable: tuple[DiskVolume, ...]  # of each phase, uint8: in parts of 255
    seen: DiskVolume  # float32, expected brightness
    state: DiskVolume  # int32, the most probable

    @property
    def own(self) -> tuple[DiskVolume, ...]:
        """Those of these labels alone."""
        return *self.probable, self.seen, self.state


@dataclass(frozen=True, eq=False)
class _Settled:
    """Labels that explain the image."""

    model: Model
    late: list[int]  # numbers of solids that began too late, before the rounds with a blur


def by_columns(
    grey: DiskVolume,
    regions: ByRegions,
    said: DiskVolume,
    phases: int,
    clear: int,
    depth: int,
    workshop: Workshop,
    tell: Tell = quiet,
) -> ByColumns | None:
    """Find the labels; collective.

    Args:
        grey: The volume, not smoothed, of at least two slices.
        regions: Says the labels to begin with.
        said: uint8, these labels.
        phases: How many.
        clear: Index of the phase through which deeper slices shine.
        depth: Slices behind it that are looked at, at least 1.
        workshop: Ranks and folder.
        tell: Hears how far it is.

    Returns:
        None: of a phase there are too few voxels away from others to learn from, or two phases are about as bright, so
        that only what regions have more than a grey value tells them apart.
    """
    states = States(phases, clear, min(depth, grey.shape[0]))
    pull = workshop.new("pull", grey.shape, np.float32)
    volumes = _new_volumes(grey, said, pull, "", phases, workshop)
    _begin(volumes, states, said, workshop)
    settled = _settled(volumes, states, (), False, workshop, tell)
    if settled is not None and settled.late:
        other = _new_volumes(grey, said, pull, "early-", phases, workshop)
        earlier = _earlier(volumes, other, states, settled.late, workshop, tell)
        if earlier is not None and earlier.model.noise < settled.model.noise:
            settled, volumes, other = earlier, other, volumes
        for volume in other.own:
            workshop.remove(volume)
    decision = None
    if settled is not None:
        _pulled(volumes, settled.model, workshop)
        found = tuple(workshop.new(f"gap-{k}", grey.shape, np.uint8) for k in range(phases))
        _gapped(volumes, settled.model, found, workshop)
        decision = ByColumns(regions, settled.model, 0, found)
        decision = replace(decision, changed=_changed(decision, said, workshop))
    for volume in (*volumes.own, pull):
        workshop.remove(volume)
    return decision


def _new_volumes(
    grey: DiskVolume, said: DiskVolume, pull: DiskVolume, name: str, phases: int, workshop: Workshop
) -> _Volumes:
    return _Volumes(
        grey,
        said,
        pull,
        tuple(workshop.new(f"{name}probable-{k}", grey.shape, np.uint8) for k in range(phases)),
        workshop.new(f"{name}seen", grey.shape, np.float32),
        workshop.new(f"{name}state", grey.shape, np.int32),
    )


def _changed(decision: ByColumns, said: DiskVolume, workshop: Workshop) -> int:
    def changed(layers: Layers) -> int:
        return int((decision.classed(layers) != said.values()[layers.write]).sum())

    return sum(workshop.each(said.shape, changed))


def _begin(volumes: _Volumes, states: States, labels: DiskVolume, workshop: Workshop) -> None:
    """States and probabilities where labels are taken for sure; collective."""

    def first(layers: Layers) -> Indices:
        behind = labels.values()[layers.first : layers.last + states.depth]
        return states.of(behind, layers.last - layers.first)

    workshop.fill(volumes.state, first)
    for k, volume in enumerate(volumes.probable):
        workshop.fill(volume, partial(_sure, labels, k))


def _settled(
    volumes: _Volumes, states: States, early: Collection[int], only_plain: bool, workshop: Workshop, tell: Tell
) -> _Settled | None:
    """Labels that explain the image, from those so far; collective.

    Args:
        volumes: Change.
        states: The states.
        early: See `appearance`.
        only_plain: Whether rounds end before those with a blur where solids begin too late.
        workshop: Ranks and folder.
        tell: Hears how far it is.

    Returns:
        None: see `by_columns`.
    """
    model: Model | None = None
    late: list[int] = []
    for number in range(PLAIN + BLURRED):
        tell("what shines through", number / (PLAIN + BLURRED + 1))
        model = _learnt(volumes, states, model, number >= PLAIN, early, workshop)
        if model is None:
            return None
        if number == PLAIN:
            late = late_solids(model.looks, states)
            if late and only_plain:
                break
        for row, column in product(range(model.apart), repeat=2):
            _pulled(volumes, model, workshop)
            _swept(volumes, model, row, column, workshop)
    assert model is not None
    return _Settled(model, late)


def _earlier(
    volumes: _Volumes, other: _Volumes, states: States, late: list[int], workshop: Workshop, tell: Tell
) -> _Settled | None:
    """The same, from labels by which pores before some solids lose the last slice to these; collective.

    Args:
        volumes: Of the labels so far.
        other: Change.
        states: The states.
        late: Numbers of the solids that begin too late.
        workshop: Ranks and folder.
        tell: Hears how far it is.
    """
    settled: _Settled | None = None
    again: set[int] = set()  # those that still began too late after that
    peeled: set[int] = set()
    for left in range(PEELED - 1, -1, -1):
        labels = workshop.new("peeled", volumes.grey.shape, np.uint8)
        workshop.fill(labels, partial(_peeled, volumes if settled is None else other, states, late))
        _begin(other, states, labels, workshop)
        workshop.remove(labels)
        again.update(peeled.intersection(late))
        peeled.update(late)
        settled = _settled(other, states, again, left > 0, workshop, tell)
        if settled is None or not settled.late or not left:
            break
        late = settled.late
    return settled


def _peeled(volumes: _Volumes, states: States, late: list[int], layers: Layers) -> Phases:
    """Labels of a block by which the last slice of pores before some solids belongs to these."""
    state = volumes.state.values()[layers.write]
    found = states.phase[state]
    for solid in late:
        found[state == states.phases - 1 + solid] = states.solids[solid]
    return found


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
        inner = np.stack([_inner(one) for one in label])
        return sums_beside(grey.values()[layers.read], label, inner, layers.own, phases, clear)

    return through(np.concatenate(workshop.each(grey.shape, summed, REACH, named(tell, "what shines through"))), clear)


def _sure(said: DiskVolume, phase: int, layers: Layers) -> Phases:
    """Probabilities of a phase, where labels are taken for sure."""
    return np.where(said.values()[layers.write] == phase, SURE, 0).astype(np.uint8)


def darkest(regions: ByRegions, phases: int) -> int:
    """Index of the phase of which a tenth lies within the darkest regions: of pores, what is not shone through."""
    features = regions.regions.features
    found = regions.classes.phases(None, slice(None))
    levels = np.full(phases, np.inf)
    for k in range(phases):
        mean, size = features[found == k, 0], features[found == k, -1]
        if len(mean):
            order = np.argsort(mean)
            place = np.searchsorted(np.cumsum(size[order]), TENTH * size.sum())
            levels[k] = mean[order][min(int(place), len(mean) - 1)]
    return int(levels.argmin())


def _learnt(
    volumes: _Volumes, states: States, before: Model | None, with_blur: bool, early: Collection[int], workshop: Workshop
) -> Model | None:
    """What the image looks like, from the labels so far; collective.

    Of the last slices it is not known what is behind them: they are left out, unless there are hardly others.
    """
    shape, phase = volumes.grey.shape, states.phase
    known = shape[0] - states.depth if shape[0] >= 2 * states.depth else shape[0]

    def summed(layers: Layers) -> list[Array]:
        grey, state = volumes.grey.values(), volumes.state.values()
        return [
            sums_of(grey[z], state[z], _inner(phase[state[z]]), states.count)
            for z in range(layers.first, min(layers.last, known))
        ]

    sums = np.sum([one for block in workshop.each(shape, summed) for one in block], axis=0)
    looks = appearance(sums, states, early)
    if looks is None:
        return None
    if not with_blur:
        noise = sqrt(float(np.median(looks.variance)))
        levels = np.sort([*looks.mean[: states.phases - 1], looks.mean[-1]])
        if np.diff(levels).min() < LEAST_CONTRAST * noise:
            return None
        return Model(states, looks, 0.0, noise, *PLAIN_BOND)
    widths = WIDTHS if before is None or not before.blur else WIDTHS[np.abs(WIDTHS - before.blur) < 0.25]
    mean = looks.mean.astype(np.float32)
    wanted = {int(z) for z in np.linspace(0, shape[0] - 1, min(LOOKED_AT, shape[0]))}

    def misfits(layers: Layers) -> list[list[float]]:
        grey, state = volumes.grey.values(), volumes.state.values()
        return [
            [
                float(((grey[z] - blurred(mean[state[z]], (width, width), TRUNCATE)) ** 2).mean(dtype=np.float64))
                for width in widths
            ]
            for z in range(layers.first, layers.last)
            if z in wanted
        ]

    left = np.mean([one for block in workshop.each(shape, misfits) for one in block], axis=0)
    best = int(np.argmin(left))
    noise = max(sqrt(float(left[best])), CLEAN * float(np.ptp(looks.mean)))
    model = Model(states, looks, float(widths[best]), noise, 0.0, 0.0)
    bond = BOND * sqrt(model.own) * model.contrast / noise
    return replace(model, bond=bond, change=bond)


def _inner(phase: Phases) -> Flags:
    """Voxels of a slice whose neighbours in it are of the same phase."""
    from scipy import ndimage

    return np.asarray(ndimage.minimum_filter(phase, 3) == ndimage.maximum_filter(phase, 3))


def _pulled(volumes: _Volumes, model: Model, workshop: Workshop) -> None:
    """What the image has more than what is expected; collective."""

    def pull(layers: Layers) -> Singles:
        grey, seen = volumes.grey.values()[layers.write], volumes.seen.values()[layers.write]
        widths = (0.0, model.blur, model.blur)
        return blurred(grey - blurred(seen, widths, TRUNCATE), widths, TRUNCATE)

    workshop.fill(volumes.pull, pull)


def _by_rows(shape: tuple[int, int, int], workshop: Workshop, work: Callable[[int, int], None]) -> None:
    """Do the work on blocks of rows, which are dealt to the ranks; collective."""

    def all_of_it() -> None:
        first, end = share(shape[1], workshop.comm.rank, workshop.comm.size)
        step = max(1, VALUES // (shape[0] * shape[2]))
        for row in range(first, end, step):
            work(row, min(row + step, end))

    together(workshop.comm, all_of_it)


def _rows(volumes: _Volumes, first: int, last: int) -> tuple[Phases, Singles, Singles]:
    """Probabilities of some rows with those beside them, what is expected there, and what the image has more."""
    rows = volumes.grey.shape[1]
    before, behind = max(first - 1, 0), min(last + 1, rows)
    beyond = (first - 1 < 0, last + 1 > rows)
    near = np.stack([volume.values()[:, before:behind] for volume in volumes.probable])
    probable = np.pad(near, ((0, 0), (0, 0), beyond, (0, 0)), mode="edge")
    return probable, np.array(volumes.seen.values()[:, first:last]), np.array(volumes.pull.values()[:, first:last])


def _terms(model: Model) -> tuple[Singles, Singles, Singles]:
    """Means, weights and logarithms of the states, as `sweep` takes them."""
    looks = model.looks
    variance = looks.variance if not model.blur else np.full_like(looks.variance, model.noise**2)
    log = 0.5 * np.log(variance / variance.max())
    return looks.mean.astype(np.float32), (1 / variance).astype(np.float32), log.astype(np.float32)


def _swept(volumes: _Volumes, model: Model, row: int, column: int, workshop: Workshop) -> None:
    """Columns of some rows anew, `model.apart` from each other; collective."""
    apart = model.apart
    bond, change = np.float32(model.bond) * model.parts, np.float32(model.change) * model.parts

    def work(first: int, last: int) -> None:
        probable, seen, pull = _rows(volumes, first, last)
        state = np.array(volumes.state.values()[:, first:last])
        start = (row - first) % apart
        terms, own = _terms(model), np.float32(model.own)
        sweep(probable, seen, state, pull, model.states.phase, *terms, own, bond, change, start, column, apart)
        targets = (*volumes.probable, volumes.seen, volumes.state)
        for volume, new in zip(targets, (*probable[:, :, 1:-1], seen, state), strict=True):
            target = volume.values(writable=True)
            target[:, first + start : last : apart, column::apart] = new[:, start::apart, column::apart]
            target.flush()  # type: ignore[attr-defined]

    _by_rows(volumes.grey.shape, workshop, work)


def _gapped(volumes: _Volumes, model: Model, found: tuple[DiskVolume, ...], workshop: Workshop) -> None:
    """From which shift on each voxel belongs to each phase; collective.

    A field that favours a phase by h moves a plane interface by h times its noise squared over its contrast squared and
    what the blur leaves of it, twice the root of pi standard deviations; thresholds moved by a shift of the contrast do
    so by the root of two pi. So a gap counts as the root of two times this variance per squared contrast. Where a
    region says otherwise, what it says is doubtful, too.
    """
    other = 1 - np.eye(model.states.phases, dtype=np.float32)
    bond, change = np.float32(LOOSE * model.bond) * other, np.float32(model.change) * other
    unit = sqrt(2.0) * (model.noise / (model.contrast or 1.0)) ** 2

    def work(first: int, last: int) -> None:
        probable, seen, pull = _rows(volumes, first, last)
        gap = np.empty((len(found), *pull.shape), np.float32)
        gaps(probable, seen, pull, model.states.phase, *_terms(model), np.float32(model.own), bond, change, gap)
        said, labels = volumes.said.values()[:, first:last], probable[:, :, 1:-1].argmax(axis=0)
        for k, volume in enumerate(found):
            shift = np.clip(np.ceil(PERCENT * unit * gap[k]), 1.0, 254.0)
            shift = np.where(said == k, np.minimum(shift, OTHERWISE), shift)
            target = volume.values(writable=True)
            target[:, first:last] = np.where(labels == k, 0.0, shift)
            target.flush()  # type: ignore[attr-defined]

    _by_rows(volumes.grey.shape, workshop, work)
