"""Distances between the surfaces of pores and particles."""

import math

import numpy as np

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.distances import SurfaceDistances, distance_to, surface_distances
from microlith.imaging.parallel.machine import threads
from microlith.imaging.typing import Array, Singles
from microlith.workflow.measurements.distributions import weighted_quantiles
from microlith.workflow.measurements.findings import Chart, Column, Finding, Line, Map, Number, Panel, SurfaceMap, Table
from microlith.workflow.measurements.sections import Part, section_map
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.surface_maps import surface_map

QUANTILES = (0.1, 0.5, 0.9)
CLASSES = 60  # at most, of the distribution


def measure_distances(subject: Subject) -> Finding:
    """Distances from pores' surface to the nearest particle and back; collective, on the first rank."""
    if subject.pores and subject.particles:
        subject.find_faces()
    found = subject.from_root(distances_alone)
    subject.forget("faces")  # no other measurement comes that needs them
    return found


def distances_alone(subject: Subject) -> Finding:
    """The same, on one rank that has the faces."""
    if not (subject.pores and subject.particles):
        what = "pores" if not subject.pores else "particles"
        return Finding(notes=(f"distances: no phase counts as {what}; name some in [analysis] {what}",))
    image = subject.image()
    pores, particles = subject.names(subject.pores), subject.names(subject.particles)
    numbers: list[Number] = []
    tables, lines, maps, surfaces, largest = [], [], [], [], []
    for of, to, key, back in (
        (subject.pores, subject.particles, f"{pores}>{particles}", False),
        (subject.particles, subject.pores, f"{particles}>{pores}", True),
    ):
        counts = subject.volume.counts
        if not (any(counts[phase] for phase in of) and any(counts[phase] for phase in to)):
            return Finding()  # of a part of the image without one of both
        distance = distance_to(image, to, threads())
        found = surface_distances(image, of, distance, subject.faces())
        if not found.area.sum() > 0:
            return Finding(numbers)
        numbers += _numbers(key, found, 0.5 * max(image.voxel_size))
        largest.append(float(found.distance.max()))
        if subject.numbers_only:
            continue
        name = "distances-back" if back else "distances"
        tables.append(_table(name, key, found, max(image.voxel_size)))
        words = f"{subject.names(of)} to {subject.names(to)}"
        lines.append(Line(name, "distance", "density", words, dashed=back))
        surfaces += _surface(image, f"{name}-surface", of, distance, words)
        if not back:
            maps.append(_map(image, of, distance, words))
    told = "largest distance from a place of either surface to the nearest place of the other phase, both ways"
    numbers.append(Number(f"distance_hausdorff.{pores}+{particles}", max(largest), "m", told))
    if subject.numbers_only:
        return Finding(numbers)
    cumulated = tuple(Line(line.table, "distance", "cumulative", line.label, line.dashed) for line in lines)
    panels = (
        Panel("distance", "share of the surface per distance", tuple(lines), steps=True),
        Panel("distance", "share of the surface that is nearer", cumulated),
    )
    return Finding(numbers, tables, [Chart("distances", panels)], maps, surfaces)


def _numbers(key: str, found: SurfaceDistances, resolution: float) -> list[Number]:
    of, to = key.split(">")
    told = f"distance from the surface of {of} to the nearest place of {to}"
    numbers = [
        Number(
            f"distance_mean.{key}",
            float(np.average(found.distance, weights=found.area)),
            "m",
            f"{told}, mean weighted by area",
            resolution=resolution,
        ),
        Number(
            f"distance_largest.{key}", float(found.distance.max()), "m", f"{told}, the largest (Hausdorff, one way)"
        ),
    ]
    values = weighted_quantiles(found.distance, found.area, QUANTILES)
    for share, value in zip(QUANTILES, values, strict=True):
        numbers.append(
            Number(
                f"distance_{100 * share:.0f}_percent.{key}",
                value,
                "m",
                f"{told} within which {share:.0%} of the area is",
                resolution=resolution,
            )
        )
    return numbers


def _table(name: str, key: str, found: SurfaceDistances, voxel: float) -> Table:
    """The distribution, in classes that are no narrower than what voxels of some edge resolve.

    Distances along the axes are whole voxels: these are in the middle of classes, whose first begins at 0.
    """
    largest = float(found.distance.max())
    width = voxel * math.ceil(max(largest / (CLASSES * voxel), 1.0))
    edges: Array = np.concatenate([[0.0], width * (np.arange(math.ceil(largest / width + 0.5 + 1e-6)) + 0.5)])
    share: Array = np.asarray(np.histogram(found.distance, edges, weights=found.area)[0] / found.area.sum())
    of, to = key.split(">")
    text = f"distances from the surface of {of} to the nearest {to}, weighted by area; a class a row, its upper end"
    columns = (
        Column("distance", edges[1:], "m"),
        Column("share_of_area", share, "1"),
        Column("density", share / np.diff(edges), "1/m"),
        Column("cumulative", np.cumsum(share, dtype=np.float64), "1"),
    )
    return Table(name, text, "distribution", columns)


def _surface(image: LabelImage, name: str, of: tuple[int, ...], distance: Singles, words: str) -> list[SurfaceMap]:
    """The distance on the surface, in 3D."""
    if image.dim == 2:
        return []
    mine = np.zeros(256, bool)
    mine[list(of)] = True
    half = np.float32(0.5 * np.mean(image.voxel_size))
    found = surface_map(
        image,
        name,
        f"distance on the surface, {words}",
        lambda layers: mine[image.phase[layers]],
        lambda layers: distance[layers] - half,
        "distance",
    )
    return [found] if found else []


def _map(image: LabelImage, of: tuple[int, ...], distance: Singles, words: str) -> Map:
    def values(part: Part) -> Array:
        from scipy import ndimage

        inside = np.isin(image.phase[part], of)
        width = max(1, max(inside.shape) // 150)
        rim = inside & ~ndimage.binary_erosion(inside, iterations=width, border_value=1)
        nearest = ndimage.distance_transform_edt(
            ~(inside & ~ndimage.binary_erosion(inside, border_value=1)), return_distances=False, return_indices=True
        )
        return np.where(rim, distance[part][tuple(nearest)], np.nan)

    return section_map(image, "distances-map", f"distance on the surface, {words}", values, "distance")
