"""Which phase each region belongs to: by rules, or by a random forest that has learnt from scribbles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.columns.through import Through
from microlith.imaging.errors import InputError, listed
from microlith.imaging.segmentation.histogram import Histogram
from microlith.imaging.segmentation.regions import Regions
from microlith.imaging.segmentation.thresholds import Favoured
from microlith.imaging.typing import Array, Flags, Numbers, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers

TREES = 200
SEED = 20
LEAF = 2  # painted regions at the end of a branch, at least, where there are
MANY = 10  # of each phase
STEPS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)  # shifts at which rules are tried for the margin of a region
SHARES = ("above_",)  # how features begin that are shares

Place = tuple[NDArray[np.intp], ...]  # (rows, columns) of voxels in a slice


class Classes(Protocol):
    """The phase of each region, of a run of them at a time: a pass by blocks asks for those of each block."""

    def phases(self, favoured: Favoured | None, part: slice) -> Phases:
        """(regions,) index of each one's phase, with a phase favoured or not."""

    def margins(self, part: slice) -> Singles:
        """(regions,) how far each is from belonging to another."""


@dataclass(frozen=True, eq=False)
class ByRegions:
    """Decision: all voxels of a region belong to its phase.

    What is doubtful are regions, and voxels at borders of regions of different phases whose grey value is not clearly
    nearer to the mean of their own region.
    """

    grey: DiskVolume
    regions: Regions
    classes: Classes
    levels: tuple[float, ...] = ()  # grey values above which shares are features
    through: Through | None = None  # what shines through pores; None: not looked at
    halo: int = 0

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        phases = self.classes.phases(favoured, self._part(layers))
        mean = self._means(layers)
        return np.stack([self._layer(*layer, phases, mean, favoured) for layer in self._read(layers)])

    def margin(self, layers: Layers) -> Singles:
        """See Decision."""
        part, mean = self._part(layers), self._means(layers)
        margins, phases = self.classes.margins(part), self.classes.phases(None, part)
        out = []
        for grey, numbers in self._read(layers):
            margin = margins[numbers]
            for own, other, here in self._borders(numbers, phases):
                near = _nearness(grey[here], mean[own], mean[other])
                margin[here] = np.minimum(margin[here], np.maximum(0.5 - near, 0.0))
            out.append(margin)
        return np.stack(out)

    def _part(self, layers: Layers) -> slice:
        """The regions of a block, which follow each other."""
        return slice(int(self.regions.start[layers.first]), int(self.regions.start[layers.last]))

    def _means(self, layers: Layers) -> Array:
        """Mean grey values of the regions of a block."""
        return self.regions.features[self._part(layers), 0]

    def _read(self, layers: Layers) -> list[tuple[Singles, Numbers]]:
        """Grey values and numbers of regions, counted within the block, of each of its slices."""
        grey, regions = self.grey.values()[layers.write], self.regions.volume.values()[layers.write]
        starts = self.regions.start[layers.write] - self.regions.start[layers.first]
        return [(own, numbers + start) for own, numbers, start in zip(grey, regions, starts, strict=True)]

    def _layer(self, grey: Singles, numbers: Numbers, phases: Phases, mean: Array, favoured: Favoured | None) -> Phases:
        """Phases of a slice."""
        out = phases[numbers]
        if favoured is None:
            return out
        nearest = np.full(out.shape, 0.5 - abs(favoured.shift))
        for own, other, here in self._borders(numbers, phases):
            gaining = phases[other] if favoured.shift > 0 else phases[own]
            mine = np.flatnonzero(gaining == favoured.phase)
            place = tuple(axis[mine] for axis in here)
            near = _nearness(grey[place], mean[own[mine]], mean[other[mine]])
            closer = near > nearest[place]
            place = tuple(axis[closer] for axis in place)
            nearest[place] = near[closer]
            out[place] = phases[other[mine][closer]]
        return out

    def _borders(self, numbers: Numbers, phases: Phases) -> Iterator[tuple[Numbers, Numbers, Place]]:
        """Voxels beside a region of another phase, for each of four directions: own region, other region, place."""
        phase = phases[numbers]
        for axis in (0, 1):
            for step in (1, -1):
                here = [slice(None), slice(None)]
                there = [slice(None), slice(None)]
                here[axis], there[axis] = (slice(None, -1), slice(1, None))[::step]
                border = np.nonzero(phase[tuple(here)] != phase[tuple(there)])
                place = tuple(index + (part.start or 0) for index, part in zip(border, here, strict=True))
                beside = tuple(index + (part.start or 0) for index, part in zip(border, there, strict=True))
                yield numbers[place], numbers[beside], place


def _nearness(grey: Singles, own: Array, other: Array) -> Array:
    """Where grey values are between the means of their own region, 0, and of another, 1."""
    span = other - own
    return (grey - own) / np.where(span == 0, np.inf, span)


# --- rules ---


@dataclass(frozen=True)
class Rule:
    """Regions that belong to a phase: all whose features are within bounds; without bounds all that are left."""

    phase: int
    bounds: tuple[tuple[str, float, float], ...]  # feature, lowest and highest


@dataclass(frozen=True, eq=False)
class ByRules:
    """The first rule that a region fits says its phase."""

    rules: tuple[Rule, ...]
    features: Array  # (regions, features)
    names: tuple[str, ...]
    contrast: float  # that shifts of grey values are counted in

    def phases(self, favoured: Favoured | None, part: slice) -> Phases:
        """See Classes. Bounds of a favoured phase are widened, those of the others narrowed."""
        plain = self._first_fit(None, part)
        if favoured is None:
            return plain
        return np.where(self._fits(favoured, part), self._first_fit(favoured, part), plain)

    def margins(self, part: slice) -> Singles:
        """See Classes: the largest of some shifts that changes nothing."""
        plain = self.phases(None, part)
        margin = np.zeros(len(plain), np.float32)
        same = np.ones(len(plain), bool)
        for step in STEPS:
            for phase in range(max(rule.phase for rule in self.rules) + 1):
                for sign in (-1, 1):
                    same &= self.phases(Favoured(phase, sign * step), part) == plain
            margin[same] = step
        margin[same] = 1.0
        return margin

    def _first_fit(self, favoured: Favoured | None, part: slice) -> Phases:
        out = np.zeros(len(self.features[part]), np.uint8)
        for rule in self.rules[::-1]:
            out[self._fit(rule, favoured, part)] = rule.phase
        return out

    def _fits(self, favoured: Favoured | None, part: slice) -> Flags:
        return np.any([self._fit(rule, favoured, part) for rule in self.rules], axis=0)

    def _fit(self, rule: Rule, favoured: Favoured | None, part: slice) -> Flags:
        fits = np.ones(len(self.features[part]), bool)
        for name, low, high in rule.bounds:
            value = self.features[part, self.names.index(name)]
            unit = 0.0 if name == "size" else 1.0 if name.startswith(SHARES) else self.contrast
            wider = 0.0
            if favoured is not None:
                wider = (favoured.shift if rule.phase == favoured.phase else -favoured.shift) * unit
            fits &= (value >= low - wider) & (value <= high + wider)
        return fits


def by_rules(rules: tuple[Rule, ...], regions: Regions, counted: Histogram, phases: int) -> ByRules:
    """Class regions by rules.

    Args:
        rules: In the order in which they are tried.
        regions: With their features.
        counted: Histogram of the volume, for the contrast.
        phases: How many there are.

    Raises:
        InputError: A feature does not exist, or some regions fit no rule.
    """
    for number, rule in enumerate(rules, 1):
        for name, _, _ in rule.bounds:
            if name not in regions.names:
                raise InputError(
                    f"[[rules]], number {number}: regions have no feature {name}; they have {listed(regions.names, 40)}"
                )
    contrast = (counted.quantile(0.95) - counted.quantile(0.05)) / max(1, phases - 1)
    classes = ByRules(rules, regions.features, regions.names, contrast)
    left = ~classes._fits(None, slice(None))
    if left.any():
        example = ", ".join(
            f"{name} = {value:.4g}" for name, value in zip(regions.names, regions.features[left][0], strict=True)
        )
        raise InputError(
            f"[[rules]]: {int(left.sum())} of {len(left)} regions fit no rule, the first with {example}; add a last "
            "rule without bounds, or widen the others"
        )
    return classes


# --- forest ---


@dataclass(frozen=True, eq=False)
class ByForest:
    """The phase that most trees vote for."""

    votes: Singles  # (regions, phases), shares
    painted: tuple[int, ...]  # regions of each phase that it has learnt from
    mixed: int  # regions painted with several phases
    right: float | None  # share of the painted regions that trees that have not seen them class right; see `_right`
    importance: dict[str, float]  # of each feature
    unit: float  # votes that count as much as a shift of 1

    def phases(self, favoured: Favoured | None, part: slice) -> Phases:
        """See Classes."""
        votes = self.votes[part]
        if favoured is not None:
            votes = votes.copy()
            votes[:, favoured.phase] += np.float32(2 * self.unit * favoured.shift)
        return votes.argmax(axis=1).astype(np.uint8)

    def margins(self, part: slice) -> Singles:
        """See Classes: half the difference of the votes of the first and the second phase, per unit."""
        ordered = np.sort(self.votes[part], axis=1)
        return (0.5 / self.unit * (ordered[:, -1] - ordered[:, -2])).astype(np.float32)


def painted_regions(scribbles: NDArray[Any], regions: Regions, phases: int) -> tuple[Numbers, Phases, int]:
    """Regions that scribbles touch, and the phase that most of the painted voxels of each have.

    Args:
        scribbles: (z, y, x); 0 where nothing is painted, else label of a phase, from 1.
        regions: Of the same volume.
        phases: How many there are.

    Returns:
        Numbers (n,) of regions, index (n,) of the phase of each, and how many are painted with several phases.
    """
    numbers, labels, mixed = [], [], 0
    for z, layer in enumerate(scribbles):
        there = layer > 0
        if not there.any():
            continue
        number = regions.numbers(z)[there]
        own, place = np.unique(number, return_inverse=True)
        count = np.bincount(place * phases + (layer[there].astype(np.int64) - 1), minlength=len(own) * phases)
        table = count.reshape(-1, phases)
        mixed += int(((table > 0).sum(axis=1) > 1).sum())
        numbers.append(own)
        labels.append(table.argmax(axis=1).astype(np.uint8))
    return np.concatenate(numbers), np.concatenate(labels), mixed


def by_forest(scribbles: NDArray[Any], regions: Regions, phases: Sequence[str], unit: float = 1.0) -> ByForest:
    """Class regions by a random forest (Breiman 2001) that learns from those that scribbles touch; on one rank.

    Args:
        scribbles: As of `painted_regions`; of every phase some.
        regions: With their features.
        phases: Their names.
        unit: Votes that count as much as a shift of 1.

    Raises:
        InputError: A phase is painted only within regions that are painted more with others.
    """
    from sklearn.ensemble import RandomForestClassifier

    numbers, labels, mixed = painted_regions(scribbles, regions, len(phases))
    counts = np.bincount(labels, minlength=len(phases))
    lost = [name for name, count in zip(phases, counts, strict=True) if not count]
    if lost:
        raise InputError(
            f"[segmentation] scribbles: what is painted as {listed(lost)} lies only in regions that are painted more "
            "with other phases, so that a forest can't learn it; paint more of it, or cut smaller regions "
            "([segmentation] scale or regions)"
        )
    leaf = LEAF if counts.min() >= MANY else 1
    forest = RandomForestClassifier(
        TREES, random_state=SEED, oob_score=True, class_weight="balanced_subsample", n_jobs=1, min_samples_leaf=leaf
    )
    forest.fit(regions.features[numbers], labels)
    votes = np.zeros((len(regions.features), len(phases)), np.float32)
    votes[:, forest.classes_.astype(int)] = forest.predict_proba(regions.features)
    return ByForest(
        votes=votes,
        painted=tuple(int(n) for n in counts),
        mixed=mixed,
        right=_right(forest.oob_decision_function_, labels, counts),
        unit=unit,
        importance=dict(zip(regions.names, (float(v) for v in forest.feature_importances_), strict=True)),
    )


def _right(votes: Array, labels: Phases, counts: Numbers) -> float | None:
    """Share of the painted regions that trees that have not seen them class right.

    Trees that have not seen the only region of a phase don't know the phase: such regions are left aside.

    Args:
        votes: (n, phases) of these trees; not a number for regions that all trees have seen.
        labels: (n,) what the regions are painted as.
        counts: (phases,) regions of each phase.

    Returns:
        The share; None: each phase has one region.
    """
    known = (counts[labels] > 1) & np.isfinite(votes).all(axis=1)
    return float((votes[known].argmax(axis=1) == labels[known]).mean()) if known.any() else None
