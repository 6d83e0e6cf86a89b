"""The way from grey values to labels, and how sure they are."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import axis_names
from microlith.imaging.columns.through import Through, seen_through
from microlith.imaging.errors import InputError, listed
from microlith.imaging.parallel.collective import of_root, on_first_rank, on_root
from microlith.imaging.segmentation import thresholds
from microlith.imaging.segmentation.classing import ByRegions, Classes, by_forest, by_rules
from microlith.imaging.segmentation.cleanup import Step, cleaned_all
from microlith.imaging.segmentation.deblurred import deblurred
from microlith.imaging.segmentation.filters import Filter, Filtered, filtered
from microlith.imaging.segmentation.grey_image import GreyImage, read_grey
from microlith.imaging.segmentation.histogram import Histogram, histogram
from microlith.imaging.segmentation.multistage import by_stages
from microlith.imaging.segmentation.options import SegmentOptions
from microlith.imaging.segmentation.regions import cut_and_described
from microlith.imaging.segmentation.rescaling import on_voxels, rescaled
from microlith.imaging.segmentation.scribbles import KEY as SCRIBBLES_KEY, read_scribbles
from microlith.imaging.segmentation.shine_through import by_columns, darkest
from microlith.imaging.segmentation.thresholds import ByThresholds, Decision, Favoured
from microlith.imaging.typing import Numbers, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, named, quiet
from microlith.imaging.volumes.outside import NO_LABEL, WIDE, Box, Doubt, Outside, Wanted, find_outside, largest_box

DARKEST = 0  # index of the phase: by thresholds phases go from dark to bright
PERCENT = 100  # of a margin, as it is stored
# Of phases, that say that what is outside is to be one
OUTSIDE_NAMES = frozenset(("outside", "exterior", "background", "surroundings"))


@dataclass(frozen=True, eq=False)
class Moved:
    """The labels with a phase that loses, and one that gets, what is doubtful."""

    smaller: DiskVolume
    larger: DiskVolume
    fewest: int  # voxels of the phase in the first
    most: int  # and in the second


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a segmentation gives; the volumes lie in the workshop's folder."""

    phases: tuple[str, ...]
    dim: int
    voxel_size: tuple[float, float, float]  # m, (z, y, x)
    raw: DiskVolume  # grey values before the filters
    grey: DiskVolume  # and after them
    labels: DiskVolume  # uint8, index of the phase
    margin: DiskVolume  # uint8, hundredths
    moved: dict[str, Moved]  # by phase
    counts: tuple[int, ...]  # voxels of each phase
    outside: Outside | None  # voxels that have no phase
    box: Box | None  # about the largest one without such voxels, where there are some
    doubt: Doubt | None  # whether there are some
    through: Through | None  # what shines through the darkest phase, where thresholds tell the labels of a volume
    doubtful: int  # voxels whose margin is below the shift
    cleaned: tuple[Step, ...]  # what clean-up changed in the labels
    histogram: Histogram  # after the filters
    filters: tuple[Filtered, ...]
    decision: Decision = field(repr=False)

    def as_image(self, volume: DiskVolume) -> NDArray[Any]:
        """A volume as an array ([z,] y, x) in memory."""
        values = volume.values()
        return np.array(values if self.dim == 3 else values[0])


def segmented(
    image: GreyImage,
    rescale: dict[str, float],
    filters: tuple[Filter, ...],
    options: SegmentOptions,
    workshop: Workshop,
    few_is_grey: bool = False,
    outside: Wanted = "auto",
    tell: Tell = quiet,
) -> Segmented:
    """Segment an image; collective.

    Args:
        image: The image.
        rescale: Wanted edges of the voxels, m, by axis; before all filters.
        filters: In their order.
        options: Method, clean-up, certainty.
        workshop: Where volumes lie, and the ranks.
        few_is_grey: As of `read_grey`.
        outside: As of `find_outside`.
        tell: Hears how far it is.

    Raises:
        InputError: The image or an option is at fault.
    """
    _refuse_faces(image, options)
    scribbles = None
    if options.scribbles is not None:  # what is wrong with them is told before the filters run
        after = on_voxels(image, rescale)
        scribbles = on_root(workshop.comm, read_scribbles, options.scribbles, after, options.phases)
    raw = read_grey(image, workshop, few_is_grey, named(tell, "reading"))
    if few_is_grey or not OUTSIDE_NAMES.isdisjoint(name.lower() for name in options.phases):
        outside = "none" if outside == "auto" else outside  # values without noise say nothing; or it is a phase
    beyond = _beyond(raw, outside, image, workshop)
    doubt, none = (beyond, None) if isinstance(beyond, Doubt) else (None, beyond)
    image, raw, rescaled_as = rescaled(image, raw, rescale, workshop)
    none = none and none.on_voxels(image.shape, workshop)
    if none is not None and options.scribbles is not None:
        scribbles = on_root(workshop.comm, _within, scribbles, none, options.phases)
    unsmoothed = options.deblur or (options.method == "regions" and options.depth > 0 and raw.shape[0] > 1)
    grey, sharp, done = _filtered(raw, filters, image.voxel_size, unsmoothed, workshop, tell)
    counted = histogram(grey, workshop, tell=named(tell, "histogram"))
    decision = decided(grey, sharp, counted, options, scribbles, image.voxel_size, workshop, tell)
    count = len(options.phases)
    labels = _labels("labels", decision, None, image, workshop, tell)
    counts = counts_of(labels, count, none, workshop)
    instead = "correct thresholds, rules or scribbles"
    if none is not None and none.found:
        instead += ', or say outside = "none" under [image] where it is what is outside of the sample'
    _refuse_empty(counts, options, "[segmentation] phases", instead)
    through = None
    if options.method != "regions" and image.shape[0] > 1:
        through = seen_through(sharp, labels, count, DARKEST, workshop, tell)
    margin = workshop.new("margin", image.shape, np.uint8)
    workshop.fill(margin, lambda layers: _percent(decision.margin(layers)), decision.halo)
    pairs = {}
    for phase in options.moved:
        index = options.phases.index(phase)
        smaller, larger = (
            _labels(f"{side}-{index}", decision, Favoured(index, sign * options.certainty.shift), image, workshop, tell)
            for side, sign in (("smaller", -1), ("larger", 1))
        )
        pairs[phase] = smaller, larger
    cleaned: tuple[Step, ...] = ()
    if options.cleanup:
        tell("cleaning up")
        volumes = [labels, *(volume for pair in pairs.values() for volume in pair)]
        cleaned = cleaned_all(volumes, options.cleanup, options.phases, image.dim, image.voxel_size, workshop)[0]
        counts = counts_of(labels, count, none, workshop)
        _refuse_empty(counts, options, "[cleanup]", "clean up less")
    moved = {
        phase: Moved(*pair, *(counts_of(volume, count, none, workshop)[options.phases.index(phase)] for volume in pair))
        for phase, pair in pairs.items()
    }
    if none is not None:
        for volume in (labels, *(volume for pair in pairs.values() for volume in pair)):
            none.overwrite(volume, NO_LABEL, workshop)
        none.overwrite(margin, PERCENT, workshop)
    limit = round(PERCENT * options.certainty.shift)
    doubtful = sum(workshop.each(image.shape, lambda layers: int((margin.values()[layers.write] < limit).sum())))
    return Segmented(
        phases=options.phases,
        dim=image.dim,
        voxel_size=image.voxel_size,
        raw=raw,
        grey=grey,
        labels=labels,
        margin=margin,
        moved=moved,
        counts=counts,
        outside=none,
        box=None if none is None else largest_box(none, workshop),
        doubt=doubt,
        through=through,
        doubtful=doubtful,
        cleaned=cleaned,
        histogram=counted,
        filters=(*rescaled_as, *done),
        decision=decision,
    )


def _filtered(
    raw: DiskVolume,
    filters: tuple[Filter, ...],
    voxel_size: tuple[float, float, float],
    unsmoothed: bool,
    workshop: Workshop,
    tell: Tell,
) -> tuple[DiskVolume, DiskVolume, tuple[Filtered, ...]]:
    """The filtered volume, and where it is asked for that without the filters that smooth; collective.

    What comes before the first filter that smooths is done once.
    """
    first = next((number for number, one in enumerate(filters) if one.smooths), len(filters))
    if not unsmoothed or first == len(filters):
        grey, done = filtered(raw, filters, voxel_size, workshop, tell)
        return grey, grey, done
    sharp, done = filtered(raw, filters[:first], voxel_size, workshop, tell)
    grey, more = filtered(sharp, filters[first:], voxel_size, workshop, tell, "smooth")
    corrections = tuple(one for one in filters[first:] if not one.smooths)
    if corrections:
        sharp = filtered(sharp, corrections, voxel_size, workshop, tell, "sharp")[0]
    return grey, sharp, done + more


def decided(
    grey: DiskVolume,
    sharp: DiskVolume,
    counted: Histogram,
    options: SegmentOptions,
    scribbles: Phases | None,
    voxel_size: tuple[float, float, float],
    workshop: Workshop,
    tell: Tell,
) -> Decision:
    """What a method decides by; collective.

    Args:
        grey: The volume, filtered.
        sharp: The same without the filters that smooth.
        counted: Histogram of the filtered one.
        options: The method.
        scribbles: (z, y, x) those that the options name, on the first rank.
        voxel_size: m, (z, y, x).
        workshop: Ranks and folder.
        tell: Hears how far it is.

    Raises:
        InputError: Thresholds, rules or the number of phases are at fault.
    """
    if options.method == "multistage":
        stages = by_stages(grey, counted, len(options.phases), options.rim, workshop, tell)
        means = stages.cuts.means
        return (options.deblur and deblurred(sharp, stages, means, voxel_size, workshop, tell, sharp=True)) or stages
    if options.method == "regions":
        return _by_regions(grey, sharp, counted, options, scribbles, voxel_size, workshop, tell)
    return on_first_rank(workshop.comm, lambda: _by_thresholds(grey, counted, options))


def _by_regions(
    grey: DiskVolume,
    sharp: DiskVolume,
    counted: Histogram,
    options: SegmentOptions,
    scribbles: Phases | None,
    voxel_size: tuple[float, float, float],
    workshop: Workshop,
    tell: Tell,
) -> Decision:
    """Regions classed by rules or by a forest, which one rank grows; labels that explain the image; collective."""
    phases, asked, sure = len(options.phases), options.regions, options.certainty
    if not asked.levels and phases <= thresholds.MOST_OTSU:
        levels = on_first_rank(workshop.comm, lambda: thresholds.otsu(counted, phases).values)
        asked = replace(asked, levels=levels)
    regions = cut_and_described(grey, counted, asked, workshop, tell)
    tell("classes of regions")

    def classes() -> Classes:
        if options.scribbles is None:
            return by_rules(options.rules, regions, counted, phases)
        return by_forest(of_root(scribbles), regions, options.phases, sure.votes / sure.shift)

    plain = ByRegions(grey, regions, on_first_rank(workshop.comm, classes), asked.levels)
    if not options.depth or grey.shape[0] == 1:
        return plain
    named_clear = options.transparent
    clear = darkest(plain, phases) if named_clear is None else options.phases.index(named_clear)
    said = workshop.new("said", grey.shape, np.uint8)
    workshop.fill(said, plain.classed)
    through = seen_through(sharp, said, phases, clear, workshop, tell)
    plain = replace(plain, through=through)
    columns = None
    if not through.nothing:
        columns = by_columns(sharp, plain, said, phases, clear, options.depth, workshop, tell)
    workshop.remove(said)
    if not through.nothing:
        return columns or plain
    return (through.told_apart and deblurred(sharp, plain, through.means, voxel_size, workshop, tell)) or plain


def _by_thresholds(grey: DiskVolume, counted: Histogram, options: SegmentOptions) -> Decision:
    if options.method == "thresholds":
        cuts = thresholds.given(options.thresholds, counted)
    else:
        cuts = thresholds.otsu(counted, len(options.phases))
    return ByThresholds(grey, cuts)


def _percent(margin: Singles) -> Phases:
    return np.minimum(np.floor(margin * PERCENT), PERCENT).astype(np.uint8)


def _labels(
    name: str, decision: Decision, favoured: Favoured | None, image: GreyImage, workshop: Workshop, tell: Tell
) -> DiskVolume:
    """Labels of all voxels; collective."""
    volume = workshop.new(name, image.shape, np.uint8)
    work = partial(decision.classed, favoured=favoured)
    workshop.fill(volume, work, decision.halo, named(tell, f"labels, {name}"))
    return volume


def _beyond(raw: DiskVolume, wanted: Wanted, image: GreyImage, workshop: Workshop) -> Outside | Doubt | None:
    """What is outside; collective."""
    found = find_outside(raw, wanted, workshop)
    if found is None and not isinstance(wanted, str):
        raise InputError(
            f"[image] outside: no square of {WIDE} x {WIDE} pixels at the edges of the slices of {image.origin.path} "
            f"has the value {wanted:g}, or all have; name the value that fills what is outside, or leave the key out"
        )
    return found


def _within(scribbles: Phases | None, outside: Outside, phases: tuple[str, ...]) -> Phases:
    """Scribbles without those outside, as what is mirrored there says nothing of what was painted; on one rank."""
    kept: Phases = np.where(outside.mask.values() != 0, np.uint8(0), of_root(scribbles))
    there = np.bincount(kept.ravel(), minlength=len(phases) + 1)[1:]
    lost = [name for name, count in zip(phases, there, strict=True) if not count]
    if lost:
        raise InputError(
            f"{SCRIBBLES_KEY}: all that is painted as {listed(lost)} is outside of the sample; paint within it, or say "
            'outside = "none" under [image] where what is outside is to be a phase'
        )
    return kept


def counts_of(volume: DiskVolume, phases: int, outside: Outside | None, workshop: Workshop) -> tuple[int, ...]:
    """Voxels of each phase; collective.

    Args:
        volume: Of their indices.
        phases: How many.
        outside: What is not counted.
        workshop: The ranks.
    """

    def counted(layers: Layers) -> Numbers:
        values = volume.values()[layers.write]
        return np.bincount(values.ravel() if outside is None else values[~outside.at(layers)], minlength=phases)

    return tuple(int(n) for n in np.sum(workshop.each(volume.shape, counted), axis=0))


def _refuse_faces(image: GreyImage, options: SegmentOptions) -> None:
    names = axis_names(image.dim)
    for phase, faces in options.cleanup.unreached.items():
        for face in faces:
            if face[0] not in names:
                raise InputError(
                    f"[cleanup] unreached.{phase}: {image.origin.path} has no face {face}, only those across "
                    f"{' and '.join(names[::-1])}; name one of them"
                )


def _refuse_empty(counts: tuple[int, ...], options: SegmentOptions, where: str, instead: str) -> None:
    empty = [name for name, count in zip(options.phases, counts, strict=True) if not count]
    if empty:
        raise InputError(f"{where}: no voxel is left for {', '.join(empty)}; {instead}, or leave the phase out")
