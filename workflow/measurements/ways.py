"""Ways through the pores from an outer face: geodesic tortuosity and connections against depth."""

import math

import numpy as np

from microlith.imaging.axes import face_axis
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.geodesic import openings_of_frame, paths
from microlith.imaging.typing import Array, Singles
from microlith.workflow.measurements.findings import (
    Chart,
    Column,
    Field,
    Finding,
    Line,
    Number,
    Panel,
    SurfaceMap,
    Table,
)
from microlith.workflow.measurements.scatter import error_of_section
from microlith.workflow.measurements.sections import section_map
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.surface_maps import surface_map

# Of the longest edge: where walls are, root of the mean square from bent, helical and inclined channels of known length
WALL_OPEN = 0.1


def measure_ways(subject: Subject) -> Finding:
    """Geodesic tortuosity and connections of the pores; collective, on the first rank, which holds the whole image."""
    return subject.from_root(ways_alone)


def ways_alone(subject: Subject) -> Finding:
    """The same, on one rank."""
    if not subject.pores:
        return Finding(notes=("tortuosity: no phase counts as pores; name some in [analysis] pores",))
    image, face = subject.image(), subject.face
    name = subject.names(subject.pores)
    axis, upper = face_axis(face, image.dim)
    length, turned = paths(image, subject.pores, face)
    from_face = np.moveaxis(length, axis, 0)
    from_face = from_face[::-1] if upper else from_face
    edge = image.voxel_size[axis]
    depth = (np.arange(len(from_face)) + 0.5) * edge
    inside = ~np.isnan(from_face)
    reached = np.isfinite(from_face)
    if not reached.any():
        if subject.numbers_only:
            return Finding()
        return Finding(notes=(f"tortuosity: no voxel of {name} lies at {face}; name another face in [analysis] face",))
    rows = tuple(range(1, image.dim))
    of_layer = inside.sum(axis=rows), reached.sum(axis=rows)
    area = image.voxel_measure / edge
    frame = area * np.prod(from_face.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.array(
            [_sums(layer[there], place) for layer, there, place in zip(from_face, reached, depth, strict=True)]
        )
        mean, square = (sums / of_layer[1][:, None]).T
        lost = 1.0 - of_layer[1] / of_layer[0]
    counted, belonging = openings_of_frame(reached)
    connections, per_area = np.array(counted, float), np.array(belonging) / frame
    left_open = WALL_OPEN * max(image.voxel_size) * float((turned / depth).sum()) / reached.sum()
    at_end = None
    if image.dim == 3:  # along a line the scatter tells a third of the error
        at_end = error_of_section(np.where(reached[-1], from_face[-1] / depth[-1], np.nan))
    if at_end is not None:
        at_end = math.hypot(at_end, WALL_OPEN * max(image.voxel_size) * float(turned[-1] / depth[-1]) / of_layer[1][-1])
    numbers = _numbers(subject, name, mean, left_open, at_end, of_layer[0], of_layer[1], per_area)
    if subject.numbers_only:
        return Finding(numbers)
    columns = (
        Column("depth", depth, "m"),
        Column("tortuosity", mean, "1"),
        Column("tortuosity_deviation", np.sqrt(np.maximum(square - mean**2, 0.0)), "1"),
        Column("share_not_reached", lost, "1"),
        Column("connections", connections, "1"),
        Column("connections_per_area", per_area, "1/m^2" if image.dim == 3 else "1/m"),
        Column("pore_area", of_layer[0] * area, "m^2" if image.dim == 3 else "m"),
        Column("reached_area", of_layer[1] * area, "m^2" if image.dim == 3 else "m"),
    )
    text = f"ways through {name} from {face}, in sections at a depth below it"
    table = Table("ways", text, "profile", columns)
    panels = (
        Panel("depth", "geodesic tortuosity", (Line("ways", "depth", "tortuosity", "mean of what is reached"),)),
        Panel("depth", "share not reached", (Line("ways", "depth", "share_not_reached", "share not reached"),)),
        Panel("depth", "connections", (Line("ways", "depth", "connections", "connections"),), log_y=True),
        Panel(
            "depth",
            "area of the section",
            (Line("ways", "depth", "pore_area", "pores"), Line("ways", "depth", "reached_area", "reached pores")),
        ),
    )
    tau = _ratio(image, length, axis, upper)
    one = section_map(
        image,
        "tortuosity-map",
        f"ways from {face}",
        lambda part: np.where(np.isfinite(tau[part]), tau[part], np.nan),
        "geodesic tortuosity",
        "1",
    )
    field = Field("tortuosity", "length of the shortest way from the face over the depth; infinite: no way", tau, "1")
    return Finding(
        numbers, [table], [Chart("tortuosity", panels)], [one], surfaces=_surface(image, tau, face), fields=[field]
    )


def _surface(image: LabelImage, tau: Singles, face: str) -> list[SurfaceMap]:
    """The tortuosity on the surface of what is reached, in 3D."""
    if image.dim == 2:
        return []
    found = surface_map(
        image,
        "tortuosity-surface",
        f"ways from {face}, on the surface of the pores that are reached",
        lambda layers: np.isfinite(tau[layers]),
        lambda layers: tau[layers],
        "geodesic tortuosity",
        "1",
        closed=True,
    )
    return [found] if found else []


def _sums(length: Singles, depth: float) -> tuple[float, float]:
    """Sum and sum of squares of the tortuosities of the voxels of a layer."""
    ratio = length.astype(np.float64) / depth
    return float(ratio.sum()), float(ratio @ ratio)


def _ratio(image: LabelImage, length: Singles, axis: int, upper: bool) -> Singles:
    """Length of way over depth, of each voxel; in the place of the lengths."""
    n = image.shape[axis]
    depth = (np.arange(n, dtype=np.float32) + np.float32(0.5)) * np.float32(image.voxel_size[axis])
    shape = [1] * image.dim
    shape[axis] = n
    length /= (depth[::-1] if upper else depth).reshape(shape)
    return length


def _numbers(
    subject: Subject,
    name: str,
    mean: Array,
    left_open: float,
    at_end: float | None,
    inside: Array,
    reached: Array,
    per_area: Array,
) -> list[Number]:
    key, way = f"{name}@{subject.face}", "shortest way through the pores over the straight distance"
    unit = "1/m^2" if subject.volume.dim == 3 else "1/m"
    there = reached > 0
    whole = float((mean[there] * reached[there]).sum() / reached.sum())
    to_end = float(mean[-1]) if reached[-1] else float("inf")
    pieces = np.where(inside > 0, per_area, 0.0)
    told = "separate openings of the pores that are reached in a section at constant depth, per area"
    cut = "those that the image's frame cuts count half, and not at all from side to side"
    return [
        Number(
            f"tortuosity_geodesic.{key}",
            whole,
            "1",
            f"{way} from the face, mean over all pore voxels that are reached",
            resolution=left_open,
        ),
        Number(
            f"tortuosity_geodesic_through.{key}",
            to_end,
            "1",
            f"{way}, mean over the pore voxels at the opposite face that are reached; null: none is",
            error=at_end,
        ),
        Number(
            f"tortuosity_not_reached.{key}",
            float(1 - reached.sum() / inside.sum()),
            "1",
            "share of the pore voxels to which no way leads from the face",
        ),
        Number(
            f"connections_mean.{key}",
            float(pieces.mean()),
            unit,
            f"{told}, mean over depth; {cut}",
        ),
        Number(f"connections_end.{key}", float(pieces[-1]), unit, "the same in the last section"),
    ]
