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

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from microlith.imaging.columns.appearance import States, late_solids
from microlith.imaging.columns.model import Model, learnt
from microlith.imaging.columns.rounds import PERCENT, gapped, pulled, swept
from microlith.imaging.columns.volumes import Volumes, begin, new_volumes
from microlith.imaging.segmentation.classing import ByRegions
from microlith.imaging.segmentation.thresholds import Favoured
from microlith.imaging.typing import Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, quiet

PLAIN, BLURRED = 3, 4  # rounds without and with the blur
PEELED = 3  # times that pores may lose their last slice to solids that begin too late
TENTH = 0.1


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
    volumes = new_volumes(grey, said, pull, "", phases, workshop)
    begin(volumes, states, said, workshop)
    settled = _settled(volumes, states, (), False, workshop, tell)
    if settled is not None and settled.late:
        other = new_volumes(grey, said, pull, "early-", phases, workshop)
        earlier = _earlier(volumes, other, states, settled.late, workshop, tell)
        if earlier is not None and earlier.model.noise < settled.model.noise:
            settled, volumes, other = earlier, other, volumes
        for volume in other.own:
            workshop.remove(volume)
    decision = None
    if settled is not None:
        pulled(volumes, settled.model, workshop)
        found = tuple(workshop.new(f"gap-{k}", grey.shape, np.uint8) for k in range(phases))
        gapped(volumes, settled.model, found, workshop)
        decision = ByColumns(regions, settled.model, 0, found)
        decision = replace(decision, changed=_changed(decision, said, workshop))
    for volume in (*volumes.own, pull):
        workshop.remove(volume)
    return decision


def _changed(decision: ByColumns, said: DiskVolume, workshop: Workshop) -> int:
    def changed(layers: Layers) -> int:
        return int((decision.classed(layers) != said.values()[layers.write]).sum())

    return sum(workshop.each(said.shape, changed))


def _settled(
    volumes: Volumes, states: States, early: Collection[int], only_plain: bool, workshop: Workshop, tell: Tell
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
        model = learnt(volumes, states, model, number >= PLAIN, early, workshop)
        if model is None:
            return None
        if number == PLAIN:
            late = late_solids(model.looks, states)
            if late and only_plain:
                break
        for row, column in product(range(model.apart), repeat=2):
            pulled(volumes, model, workshop)
            swept(volumes, model, row, column, workshop)
    assert model is not None
    return _Settled(model, late)


def _earlier(
    volumes: Volumes, other: Volumes, states: States, late: list[int], workshop: Workshop, tell: Tell
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
        begin(other, states, labels, workshop)
        workshop.remove(labels)
        again.update(peeled.intersection(late))
        peeled.update(late)
        settled = _settled(other, states, again, left > 0, workshop, tell)
        if settled is None or not settled.late or not left:
            break
        late = settled.late
    return settled


def _peeled(volumes: Volumes, states: States, late: list[int], layers: Layers) -> Phases:
    """Labels of a block by which the last slice of pores before some solids belongs to these."""
    state = volumes.state.values()[layers.write]
    found = states.phase[state]
    for solid in late:
        found[state == states.phases - 1 + solid] = states.solids[solid]
    return found


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
