"""Connectivity, chords, two-point correlation and local thickness of all phases."""

import numpy as np

from microlith.imaging.measures.chords import chords
from microlith.imaging.measures.connectivity import connectivity
from microlith.imaging.measures.correlation import correlation
from microlith.imaging.measures.thickness import COARSE, FINE, local_thickness, mean_and_deviation
from microlith.imaging.parallel.machine import threads
from microlith.imaging.typing import Array
from microlith.workflow.measurements.findings import Chart, Column, Finding, Line, Number, Panel, Table
from microlith.workflow.measurements.sections import section_map
from microlith.workflow.measurements.subject import Subject

RESOLVED = 0.7  # of the longest edge: root of the mean square of the errors of plates, rods and balls of 4 to 16 voxels


def measure_connectivity(subject: Subject) -> Finding:
    """Share of each phase that is connected to each face, and from face to face; collective."""
    found = connectivity(subject.volume, subject.comm)
    numbers = []
    for phase, name in enumerate(subject.volume.names):
        for face, share in found.at_face.items():
            told = f"share of {name} that is connected to {face}, within it"
            numbers.append(Number(f"connected_share.{name}@{face}", float(share[phase]), "1", told))
        for axis, share in found.through.items():
            told = f"share of {name} that is connected to both faces across {axis}"
            numbers.append(Number(f"connected_through.{name}@{axis}", float(share[phase]), "1", told))
        told = f"share of {name} in its largest connected piece"
        numbers.append(Number(f"connected_largest.{name}", float(found.largest[phase]), "1", told))
        told = f"number of connected pieces of {name}"
        numbers.append(Number(f"pieces.{name}", float(found.pieces[phase]), "1", told))
    return Finding(numbers)


def measure_chords(subject: Subject) -> Finding:
    """Mean chords along each axis and their distributions; collective."""
    volume = subject.volume
    numbers, tables, panels = [], [], []
    for number, (axis, edge) in enumerate(zip(subject.axes, volume.voxel_size, strict=True)):
        found = chords(volume, number, subject.comm)
        n = volume.shape[number]
        steps = np.arange(n + 1)
        columns = [Column("length", np.multiply(steps[1:], edge, dtype=np.float64), "m")]
        for phase, name in enumerate(volume.names):
            ends = float(found.ends[phase])
            mean = float(found.mean[phase]) * edge
            told = f"mean chord along {axis} within {name}: twice the length of lines in it over the number of its ends"
            unseen = mean * float(found.unseen_ends[phase]) / ends if ends else 0.0
            numbers.append(Number(f"chord_mean_{axis}.{name}", mean, "m", told, resolution=unseen))
            # The longer a chord is, the rarer both its ends lie within the image: weighted by its room.
            weight = found.counts[phase] / np.maximum(n - 1 - steps, 1)
            total = float(weight.sum()) or 1.0
            columns.append(Column(name, np.asarray(weight[1:] / total), "1"))
        if subject.numbers_only:
            continue
        table = f"chords-{axis}"
        text = f"share of the chords along {axis} of each length, corrected for those that the frame cuts"
        tables.append(Table(table, text, "distribution", tuple(columns)))
        lines = tuple(Line(table, "length", name, name) for name in volume.names)
        panels.append(Panel(f"chord along {axis}", "share of chords", lines, log_y=True))
    return Finding(numbers, tables, [Chart("chords", tuple(panels[::-1]))] if panels else [])


def measure_correlation(subject: Subject) -> Finding:
    """Two-point correlation of each phase; collective."""
    volume = subject.volume
    if min(volume.shape) < 6:
        return Finding()
    found = correlation(volume, subject.comm)
    numbers, columns = [], [Column("distance", found.distance, "m")]
    for phase, name in enumerate(volume.names):
        columns.append(Column(name, found.mean[phase], "1"))
        share = float(volume.counts[phase] / np.prod(volume.shape))
        length = _length(found.distance, found.covariance[phase], share)
        told = f"distance at which the covariance of {name} has fallen to 1/e of that at 0"
        numbers.append(Number(f"correlation_length.{name}", length, "m", told))
    if subject.numbers_only:
        return Finding(numbers)
    text = "probability that both ends of a step of that length lie in the phase, mean over all directions"
    tables = [Table("correlation", text, "profile", tuple(columns))]
    for axis, edge, along in zip(subject.axes, volume.voxel_size, found.along, strict=True):
        steps = Column("distance", np.multiply(np.arange(along.shape[1]), edge, dtype=np.float64), "m")
        values = (Column(name, along[phase], "1") for phase, name in enumerate(volume.names))
        tables.append(Table(f"correlation-{axis}", f"the same for steps along {axis}", "profile", (steps, *values)))
    lines = tuple(Line("correlation", "distance", name, name) for name in volume.names)
    return Finding(numbers, tables, [Chart("correlation", (Panel("distance", "two-point probability", lines),))])


def _length(distance: Array, covariance: Array, share: float) -> float:
    fallen = covariance / max(share - share**2, 1e-300)
    below = np.flatnonzero(fallen < np.exp(-1))
    if not len(below) or below[0] == 0:
        return float("nan")
    at = int(below[0])
    return float(np.interp(-np.exp(-1), [-fallen[at - 1], -fallen[at]], [distance[at - 1], distance[at]]))


def measure_thickness(subject: Subject) -> Finding:
    """Local thickness of all phases; collective, on the first rank, which holds the whole image."""
    return subject.from_root(thickness_alone)


def thickness_alone(subject: Subject) -> Finding:
    """The same, on one rank."""
    image = subject.image()
    found = local_thickness(image, threads(), COARSE if subject.numbers_only else FINE)
    resolution = RESOLVED * max(image.voxel_size)
    numbers, columns = [], [Column("diameter", found.diameter, "m")]
    ball = "disk" if image.dim == 2 else "ball"
    for phase, name in enumerate(image.names):
        mean, deviation = mean_and_deviation(found.diameter, found.covered[phase])
        told = f"diameter of the largest {ball} within {name} that covers a place of it"
        numbers.append(Number(f"thickness_mean.{name}", mean, "m", f"{told}, mean", resolution=resolution))
        numbers.append(Number(f"thickness_deviation.{name}", deviation, "m", f"{told}, standard deviation"))
        columns.append(Column(name, found.covered[phase], "1"))
    if subject.numbers_only:
        return Finding(numbers)
    text = f"share of each phase in {ball}s within it of that diameter or larger"
    table = Table("thickness", text, "distribution", tuple(columns))
    lines = tuple(Line("thickness", "diameter", name, name) for name in image.names)
    chart = Chart("thickness", (Panel(f"diameter of {ball}s", "share that is as thick", lines),))
    shown = section_map(
        image, "thickness-map", "local thickness", lambda part: found.diameter[found.level[part]], "local thickness"
    )
    return Finding(numbers, [table], [chart], [shown])
