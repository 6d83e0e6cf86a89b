"""Particles: bodies in 3D, their sections, sizes, shapes, and what their surfaces meet."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.axes import AXES, face_axis
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.bodies import Bodies, connected_bodies, labelled_bodies, split_bodies
from microlith.imaging.measures.body_shapes import BodyShapes, body_shapes
from microlith.imaging.measures.connectivity import reached
from microlith.imaging.microstructure.sections import sections
from microlith.imaging.microstructure.seen_whole import SeenWhole, seen_whole
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array, Flags
from microlith.workflow.measurements.distributions import (
    distribution,
    error_of_mean,
    error_of_quantile,
    weighted_median,
    weighted_quantile,
)
from microlith.workflow.measurements.findings import Chart, Column, Finding, Line, Map, Number, Panel, Table
from microlith.workflow.measurements.sections import section_map
from microlith.workflow.measurements.subject import Subject

SHARE_OF = {2: "share of their area", 3: "share of their volume"}
BODY = {2: "connected area of the phase", 3: "connected body of the phase"}
UNLABELLED = 0.1  # of a phase of particles, worth a word; lines between them, as a watershed leaves, are less
CUT_HALF = "those that the image's frame cuts count half"


@dataclass(frozen=True, eq=False)
class _Found:
    """The particles of one phase."""

    shapes: BodyShapes
    meets: dict[str, Array]  # "PHASE@FACE" -> (n,) voxel faces towards what is connected to the face, over all to PHASE
    others: dict[str, int]  # "PHASE@FACE" -> phase

    def shares(self, key: str) -> Array:
        """Share (n,) of the surface of each particle that meets what of a phase is connected to a face."""
        total = self.shapes.surface.sum(axis=1)
        return self.meets[key] * self.shapes.surface[:, self.others[key]] / np.where(total > 0, total, np.inf)


def measure_particles(subject: Subject) -> Finding:
    """Particles of each particle phase; collective. Bodies are found on the first rank, which holds the whole image."""
    if not subject.particles:
        return Finding(notes=("particles: no phase counts as particles; name some in [analysis] particles",))
    found, notes = Finding(), []
    subject.find_surfaces_and_faces()
    correction = subject.surfaces().correction
    for phase in subject.particles:
        root = on_root(subject.comm, _bodies_on_root, subject, phase, correction)
        shapes, meets, told = subject.comm.bcast(None if root is None else root[1:])
        notes += told
        others = {f"{subject.volume.names[other]}@{face}": other for other, face in subject.reach.items()}
        one = _finding(subject, phase, _Found(shapes, meets, others))
        maps = [] if root is None or subject.numbers_only else [_map(subject, phase, root[0], shapes)]
        found = found.joined(one).joined(Finding(maps=maps))
    return found.joined(Finding(notes=notes))


def _bodies_on_root(
    subject: Subject, phase: int, correction: Array
) -> tuple[Bodies, BodyShapes, dict[str, Array], list[str]]:
    image = subject.image()
    options = subject.options
    if options.particle_labels:
        bodies = labelled_bodies(image, [phase], subject.particle_labels())
    else:
        bodies = connected_bodies(image, [phase])
        if options.split:
            bodies = split_bodies(image, bodies, options.split)
    shapes = body_shapes(image, bodies, correction, subject.faces())
    meets, notes = {}, []
    if options.particle_labels and not subject.numbers_only:
        left = 1 - shapes.voxels.sum() / np.count_nonzero(image.phase == phase)
        if left > UNLABELLED:
            notes.append(
                f"particles: {100 * left:.3g} % of {image.names[phase]} has the label 0 in [analysis] particle_labels, "
                "and is of no particle; label these places too, if they are of some"
            )
    if not shapes.seen.known and not subject.numbers_only:
        notes.append(
            f"particles: the frame cuts bodies that hold most of {image.names[phase]}; diameters and extents are of "
            "what the image shows of them, and have no error"
        )
    for other, face in subject.reach.items():
        if other == phase:
            continue
        mask = reached(image.phase == other, face_axis(face, image.dim))
        name = f"{image.names[other]}@{face}"
        if not mask.any() and not subject.numbers_only:
            notes.append(
                f"particles: no voxel of {image.names[other]} lies at {face}, so that no particle meets any that is "
                "connected to it; name another face in [analysis] reach"
            )
        meets[name] = _contact(bodies, mask, other, image, len(bodies.phase))
    return bodies, shapes, meets, notes


def _contact(bodies: Bodies, mask: Flags, other: int, image: LabelImage, count: int) -> Array:
    """Share (n,) of the voxel faces of each body, towards another phase, that lie on a mask of this phase."""
    at, of = np.zeros(count + 1), np.zeros(count + 1)
    sizes = image.voxel_measure / np.array(image.voxel_size)
    for axis in range(image.dim):
        label = np.moveaxis(bodies.label, axis, 0)
        there, phase = np.moveaxis(mask, axis, 0), np.moveaxis(image.phase, axis, 0)
        for mine, beyond in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            edge = (label[mine] != 0) & (phase[beyond] == other)
            body = label[mine][edge]
            of += np.bincount(body, minlength=count + 1) * sizes[axis]
            at += np.bincount(body, there[beyond][edge], count + 1) * sizes[axis]
    return at[1:] / np.maximum(of[1:], sizes.min())


def _finding(subject: Subject, phase: int, found: _Found) -> Finding:
    volume, name, shapes = subject.volume, subject.volume.names[phase], found.shapes
    numbers = [*_counts(subject, name, shapes), *_shapes(name, shapes, subject), *_contacts(subject, phase, found)]
    of_sections = _sections(subject, phase) if volume.dim == 3 else Finding()
    numbers.extend(of_sections.numbers)
    if subject.numbers_only:
        return Finding(numbers)
    sizes = distribution(
        f"particle-sizes-{name}",
        f"sizes of the particles of {name}",
        "diameter",
        shapes.diameter,
        shapes.seen.weight,
        shapes.measure,
    )
    rows = _rows(subject, found)
    table = Table(f"particles-{name}", f"a row for each particle of {name}", "rows", tuple(rows))
    lines = (
        Line(sizes.name, "diameter", "cumulative_number", "share of their number"),
        Line(sizes.name, "diameter", "cumulative_volume", SHARE_OF[volume.dim]),
    )
    panels = [Panel("equivalent diameter", "share that is smaller", lines, log_x=True)]
    panels += [panel for chart in of_sections.charts for panel in chart.panels]
    return Finding(numbers, [table, sizes, *of_sections.tables], [Chart(f"particles-{name}", tuple(panels))])


def _counts(subject: Subject, name: str, shapes: BodyShapes) -> list[Number]:
    volume = subject.volume
    flat = volume.dim == 2
    body, unit = BODY[volume.dim], "1/m^2" if flat else "1/m^3"
    count = len(shapes.voxels) - 0.5 * np.count_nonzero(shapes.on_frame)
    size = volume.voxel_measure * np.prod(volume.shape)
    what = "area" if flat else "volume"
    disk = "disk of the same area" if flat else "ball of the same volume"
    diameters, seen = shapes.diameter, shapes.seen
    if not len(diameters):
        return [Number(f"particle_number.{name}", 0.0, "1", f"number of particles, each a {body}")]
    by_volume = seen.weight * shapes.measure
    of_sizes: dict[str, tuple[float, float | None, str]] = {
        "diameter_mean": (
            float(np.average(diameters, weights=seen.weight)),
            error_of_mean(diameters, seen.weight),
            f"mean diameter of the {disk}",
        ),
        "diameter_median": (
            weighted_median(diameters, seen.weight),
            error_of_quantile(diameters, seen.weight, 0.5),
            f"median diameter of the {disk}",
        ),
        "diameter_mean_by_volume": (
            float(np.average(diameters, weights=by_volume)),
            error_of_mean(diameters, by_volume),
            f"mean diameter of the {disk}, each particle weighted by its {what}",
        ),
        "diameter_median_by_volume": (
            weighted_quantile(diameters, by_volume, 0.5),
            error_of_quantile(diameters, by_volume, 0.5),
            f"diameter of the {disk} below which half of the {what} is",
        ),
        "extent_mean": (
            float(np.average(shapes.extent, weights=seen.weight)),
            error_of_mean(shapes.extent, seen.weight),
            "mean of the farthest distance between two points of a particle's surface",
        ),
    }
    return [
        Number(f"particle_number.{name}", float(count), "1", f"number of particles, each a {body}; {CUT_HALF}"),
        Number(f"particle_density.{name}", count / size, unit, f"the same over the {what} of the image"),
        *(
            _of_seen(f"particle_{of}.{name}", value, told, seen, subject, error)
            for of, (value, error, told) in of_sizes.items()
        ),
        Number(f"particle_diameter_largest.{name}", float(diameters.max()), "m", f"largest diameter of the {disk}"),
        Number(f"particle_extent_largest.{name}", float(shapes.extent.max()), "m", "largest of these distances"),
    ]


def _of_seen(
    name: str, value: float, told: str, seen: SeenWhole, subject: Subject, error: float | None = None
) -> Number:
    """A mean or median over bodies, m, with the error that their scatter tells.

    Where the frame of a part of an image changes it, parts of this size tell nothing: the others hold no large bodies.
    """
    shown = value if seen.known or not subject.numbers_only else np.inf
    # The places of a surface are known to half a voxel; the volumes of bodies are means over many
    resolution = 0.5 * max(subject.volume.voxel_size) if "extent" in name.split(".")[0] else 0.0
    told = f"{told}; {seen.as_told}"
    of_bodies = error if seen.known else None
    return Number(name, float(shown), "m", told, resolution=resolution, sampled=seen.known, of_bodies=of_bodies)


def _shapes(name: str, shapes: BodyShapes, subject: Subject) -> list[Number]:
    flat = subject.volume.dim == 2
    known = ~np.isnan(shapes.sphericity)
    weight = (shapes.seen.weight * shapes.measure)[known]
    what = "area" if flat else "volume"
    which = f"mean weighted by {what}, of particles of 64 voxels or more that the frame does not cut"
    disk = "outline of the disk of the same area" if flat else "surface of the ball of the same volume"

    def mean(values: Array) -> tuple[float, float | None]:
        there = ~np.isnan(values[known])
        if not there.any():
            return np.nan, None
        values, weights = values[known][there], weight[there]
        return float(np.average(values, weights=weights)), error_of_mean(values, weights)

    areas, phase = subject.surfaces(), subject.volume.names.index(name)
    open_to = float(areas.error_of_phase[phase] / areas.of_phase[phase]) if known.any() else 0.0  # by the voxels
    told = {
        "sphericity": f"{disk} over the particle's own; {which}",
        "roughness": f"surface of the particle over that of its convex hull; {which}",
    }
    means = {what: mean(getattr(shapes, what)) for what in told}
    return [
        Number(
            f"particle_{what}.{name}",
            value,
            "1",
            told[what],
            resolution=0.0 if np.isnan(value) else open_to * value,
            of_bodies=error,
        )
        for what, (value, error) in means.items()
    ]


def _contacts(subject: Subject, phase: int, found: _Found) -> list[Number]:
    volume, name, shapes = subject.volume, subject.volume.names[phase], found.shapes
    total, numbers = shapes.surface.sum(), []
    for other, beside in enumerate(volume.names):
        if other != phase and total > 0:
            share = float(shapes.surface[:, other].sum() / total)
            told = f"share of the surface of {name} that meets {beside}"
            numbers.append(Number(f"particle_contact.{name}+{beside}", share, "1", told))
    everything = np.ones(len(shapes.voxels), bool)
    for key, part in found.meets.items():
        outside, face = key.rsplit("@", 1)
        reached = f"{outside} that is connected to {face}"
        everything &= part > 0
        numbers += _meeting(name, key, part > 0, shapes, f"that meet {reached}")
        if total > 0:
            area = shapes.surface.sum(axis=1)
            told = f"share of the surface of {name} that meets {reached}"
            share = float(area @ found.shares(key) / total)
            numbers.append(Number(f"particle_contact.{name}+{key}", share, "1", told))
    if len(found.meets) > 1:
        numbers += _meeting(
            name, "+".join(found.meets), everything, shapes, f"that meet all of {', '.join(found.meets)}"
        )
    return numbers


def _meeting(name: str, key: str, flags: Flags, shapes: BodyShapes, which: str) -> list[Number]:
    if not len(flags):
        return []
    by_volume = float(shapes.measure[flags].sum() / shapes.measure.sum())
    return [
        Number(f"particle_share_meeting.{name}+{key}", float(flags.mean()), "1", f"share of the particles {which}"),
        Number(
            f"particle_volume_meeting.{name}+{key}", by_volume, "1", f"share of the volume of the particles {which}"
        ),
    ]


def _rows(subject: Subject, found: _Found) -> list[Column]:
    volume, shapes = subject.volume, found.shapes
    flat = volume.dim == 2
    size, area = ("m^2", "m") if flat else ("m^3", "m^2")
    columns = [Column("particle", 1.0 + np.arange(len(shapes.voxels), dtype=np.float64), "1")]
    columns += [Column(axis, shapes.center[:, i], "m") for i, axis in enumerate(AXES[: volume.dim])]
    columns += [
        Column("voxels", shapes.voxels.astype(float), "1"),
        Column("area" if flat else "volume", shapes.measure, size),
        Column("diameter", shapes.diameter, "m"),
        Column("extent", shapes.extent, "m"),
        Column("surface", shapes.surface.sum(axis=1), area),
        Column("sphericity", shapes.sphericity, "1"),
        Column("roughness", shapes.roughness, "1"),
        Column("on_frame", shapes.on_frame.astype(float), "1"),
        Column("weight", shapes.seen.weight, "1"),
    ]
    total = shapes.surface.sum(axis=1)
    with np.errstate(invalid="ignore"):
        for phase, name in enumerate(volume.names):
            if shapes.surface[:, phase].any():
                columns.append(Column(f"share_of_surface_to_{name}", shapes.surface[:, phase] / total, "1"))
    columns += [Column(f"share_of_surface_to_{key}", found.shares(key), "1") for key in found.meets]
    return columns


def _sections(subject: Subject, phase: int) -> Finding:
    """What sections across z show; collective."""
    volume, name = subject.volume, subject.volume.names[phase]
    found = sections(volume, [phase], subject.comm)
    edge = volume.voxel_size
    layers, area = volume.shape[0], found.pixels * edge[1] * edge[2]
    diameter = 2 * np.sqrt(area / np.pi)
    frame = volume.shape[1] * edge[1] * volume.shape[2] * edge[2]
    count = np.bincount(found.section, 1.0 - 0.5 * found.on_frame, layers) / frame
    if not len(area):
        return Finding()
    mean: Array
    seen = seen_whole(found.widths, found.on_frame, area, volume.shape[1:])
    mean_diameter = float(np.average(diameter, weights=seen.weight))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(found.section, seen.weight * diameter, layers) / np.bincount(
            found.section, seen.weight, layers
        )
    what = f"particles of {name} in sections across z"
    numbers = [
        Number(f"section_density.{name}", float(count.mean()), "1/m^2", f"number of {what} per area; {CUT_HALF}"),
        Number(f"section_density_most.{name}", float(count.max()), "1/m^2", "the same in the section with most"),
        _of_seen(
            f"section_diameter_mean.{name}", mean_diameter, f"mean diameter of disks as large as {what}", seen, subject
        ),
        Number(f"section_diameter_largest.{name}", float(diameter.max()), "m", "largest of these diameters"),
    ]
    if subject.numbers_only:
        return Finding(numbers)
    sizes = distribution(f"section-sizes-{name}", f"sizes of {what}", "diameter", diameter, seen.weight, area)
    place = (np.arange(layers) + 0.5) * edge[0]
    columns = Column("z", place, "m"), Column("number_per_area", count, "1/m^2"), Column("diameter_mean", mean, "m")
    profile = Table(f"sections-{name}", what, "profile", columns)
    panels = (
        Panel("z", "sections per area", (Line(profile.name, "z", "number_per_area", "in sections across z"),)),
        Panel(
            "diameter of sections",
            "share that is smaller",
            (
                Line(sizes.name, "diameter", "cumulative_number", "share of their number"),
                Line(sizes.name, "diameter", "cumulative_volume", SHARE_OF[2], dashed=True),
            ),
            log_x=True,
        ),
    )
    return Finding(numbers, [profile, sizes], [Chart("", panels)])


def _map(subject: Subject, phase: int, bodies: Bodies, shapes: BodyShapes) -> Map:
    name = subject.volume.names[phase]
    diameter = np.concatenate([[np.nan], shapes.diameter])
    image = subject.image()
    return section_map(
        image,
        f"particles-{name}-map",
        f"particles: {name}",
        lambda part: diameter[bodies.label[part]],
        "equivalent diameter",
    )
