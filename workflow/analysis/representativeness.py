"""How representative an image is: the numbers of its parts, and from their scatter the standard error of each number.

The image is cut into parts of 1/4 and of 1/2 of its edges; edges that are too short for halves are left whole. Of
independent parts the variance goes as 1/volume, so that the whole's follows from that of the parts; where parts are not
yet independent it falls more slowly, as V^-a, and a is found from both sizes (Kanit et al. 2003). Images with layers or
gradients along an axis see `layering`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.passes import read_in_turn
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Numbers
from microlith.workflow.analysis.layering import Layering, about_line, layering, of_layers
from microlith.workflow.measurements.findings import Column, Finding, Number, Table
from microlith.workflow.measurements.scatter import ALIKE, PARTS, SMALLEST, Scatter, standard_error
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.table import MEASUREMENTS

REPRESENTATIVENESS = "representativeness"  # name of the measurement
MOST = 16  # parts of a size that are measured, drawn evenly
# Quantities that do not grow with the image and are no extremes: only of these the scatter of parts tells an error
QUANTITIES = (
    *("volume_fraction", "specific_surface", "specific_interface", "specific_triple_line", "particle_density"),
    *("particle_diameter_mean", "particle_diameter_median", "particle_diameter_mean_by_volume"),
    *("particle_diameter_median_by_volume", "particle_extent_mean", "particle_sphericity", "particle_roughness"),
    *("particle_contact", "section_density", "section_diameter_mean", "thickness_mean", "thickness_deviation"),
    *("chord_mean_x", "chord_mean_y", "chord_mean_z", "correlation_length", "distance_mean"),
    *("distance_10_percent", "distance_50_percent", "distance_90_percent", "tortuosity_geodesic", "connections_mean"),
    *("relative_diffusivity_x", "relative_diffusivity_y", "relative_diffusivity_z"),
    *("tortuosity_factor_x", "tortuosity_factor_y", "tortuosity_factor_z"),
)


@dataclass(frozen=True, eq=False)
class _Sample:
    """A number in the parts of one size: each value, and where."""

    parts: int  # along each axis
    values: Array  # (n,)
    place: Numbers  # (n, dim) of each part, counted in parts

    @property
    def scatter(self) -> Scatter:
        """How the values scatter."""
        return Scatter(self.parts, len(self.values), float(self.values.mean()), float(self.values.std(ddof=1)))

    def about_line(self, axis: int) -> Scatter:
        """How they scatter about a straight line along an axis."""
        left = about_line(self.values, self.place[:, axis])
        return self.scatter if left is None else replace(self.scatter, deviation=left)


def representativeness(
    subject: Subject, names: Sequence[str], numbers: Sequence[Number]
) -> tuple[Finding, dict[str, float]]:
    """Standard errors of numbers, and the numbers of parts; collective. Parts are shared out among the ranks.

    Args:
        subject: The whole image.
        names: Of the measurements that were made.
        numbers: That they gave.

    Returns:
        A table, and name of a number -> its standard error.
    """
    wanted = [number for number in numbers if number.sampled and number.name.split(".")[0] in QUANTITIES]
    samples: dict[str, list[_Sample]] = {number.name: [] for number in wanted}
    shape = subject.volume.shape
    cut = [axis for axis, edge in enumerate(shape) if _is_cut(edge)]
    for parts in PARTS:
        if not cut or min(shape[axis] for axis in cut) // parts < SMALLEST:
            continue
        places = _places(shape, parts)
        found = _of_parts(subject, names, parts)
        for number in wanted:
            values = np.array([one.get(number.name, np.nan) for one in found])
            if np.isinf(values).any():  # without these parts the others would tell too small an error
                continue
            there = np.isfinite(values)
            if np.count_nonzero(there) >= 4:
                samples[number.name].append(_Sample(parts, values[there], places[there]))
    if not any(samples.values()):
        return Finding(notes=("representativeness: the image is too small to be cut into parts",)), {}
    layers = layering(subject.volume, subject.comm, cut)
    scatters = {name: [one.scatter for one in of] for name, of in samples.items()}
    errors: dict[str, float] = {}
    for number in wanted:
        error = _error(samples[number.name], len(cut), layers)
        if error is None and scatters[number.name] and number.resolution > 0:
            error = 0.0  # parts that are all alike: what voxels leave open is the error
        if error is not None:
            errors[number.name] = error
    notes = () if layers is None else (f"representativeness: {layers.told}",)
    return Finding(tables=[_table(wanted, scatters, errors)], notes=notes), errors


def with_errors(subject: Subject, findings: dict[str, Finding]) -> dict[str, Finding]:
    """Findings whose numbers have their errors, and the numbers of parts; collective.

    Numbers that can only be as fine as the voxels, such as quantiles of distances, may be the same in all parts. What
    the voxels leave open is added to the scatter's error as to an independent one.
    """
    numbers = [number for found in findings.values() for number in found.numbers]
    table, errors = representativeness(subject, list(findings), numbers)
    told = {
        name: replace(found, numbers=[_with_error(n, errors) for n in found.numbers])
        for name, found in findings.items()
    }
    return told | {REPRESENTATIVENESS: table}


def _with_error(number: Number, errors: dict[str, float]) -> Number:
    known = [error for error in (errors.get(number.name), number.of_bodies) if error is not None]
    return number if not known else replace(number, error=float(np.hypot(max(known), number.resolution)))


def _error(samples: Sequence[_Sample], cut: int, layers: Layering | None) -> float | None:
    """That of `standard_error`, or what layers that differ tell, if it is larger; without a steady change."""
    if layers and layers.steady:
        return standard_error([one.about_line(layers.axis) for one in samples], cut)
    error = standard_error([one.scatter for one in samples], cut)
    if layers is None or not samples:
        return error
    finest = samples[0]
    across = of_layers(finest.values, finest.place[:, layers.axis], finest.parts)
    if across is None or across <= ALIKE * abs(finest.scatter.mean):
        return error
    return across if error is None else max(error, across)


def _is_cut(edge: int) -> bool:
    """Whether parts are cut along an edge of so many voxels."""
    return edge // PARTS[-1] >= SMALLEST


def _places(shape: tuple[int, ...], parts: int) -> Numbers:
    """Where the parts of one size are that are measured, (n, dim), counted in parts."""
    every = np.array(list(product(*(range(parts if _is_cut(n) else 1) for n in shape))))
    if len(every) <= MOST:
        return every
    drawn = np.random.default_rng(0).permutation(len(every))[:MOST]
    return every[np.sort(drawn)]


def _window(shape: tuple[int, ...], parts: int, place: Numbers) -> Window:
    """What of the image a part is."""
    spans = ((n * int(i) // parts, n * (int(i) + 1) // parts) for n, i in zip(shape, place, strict=True))
    return tuple(span if _is_cut(n) else (0, n) for n, span in zip(shape, spans, strict=True))


def _of_parts(subject: Subject, names: Sequence[str], parts: int) -> list[dict[str, float]]:
    volume, comm = subject.volume, subject.comm
    windows = [_window(volume.shape, parts, place) for place in _places(volume.shape, parts)]
    mine = [
        LabelImage(portion.phase.copy(), volume.names, volume.voxel_size)
        for _, portion in read_in_turn(volume, windows, comm)
    ]
    known: list[dict[str, Any]] = [{"image": image} for image in mine]
    if subject.options.particle_labels and "particles" in names:
        known = [{**one, "labels": labels} for one, labels in zip(known, subject.dealt_labels(windows), strict=True)]

    def measured() -> list[dict[str, float]]:
        return [_numbers(subject, one, names) for one in known]

    in_order: list[dict[str, float]] = [{} for _ in windows]
    for rank, of_rank in enumerate(comm.allgather(together(comm, measured))):  # as they were dealt
        in_order[rank :: comm.size] = of_rank
    return in_order


def _numbers(subject: Subject, known: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    alone = MPI.COMM_SELF
    part = replace(
        subject,
        volume=volume_of(known["image"], alone),
        comm=alone,
        source=None,
        numbers_only=True,
        whole_surfaces=subject.known_surfaces(),
        _known=known,
    )
    return {number.name: number.value for name in names for number in MEASUREMENTS[name][0](part).numbers}


def _table(wanted: Sequence[Number], scatters: dict[str, list[Scatter]], errors: dict[str, float]) -> Table:
    rows = [(i, number, scatter) for i, number in enumerate(wanted) for scatter in scatters[number.name]]

    def column(name: str, values: list[float], unit: str = "1") -> Column:
        return Column(name, np.array(values, np.float64), unit)

    columns = (
        column("number", [i for i, _, _ in rows]),
        column("share_of_edge", [1 / scatter.parts for _, _, scatter in rows]),
        column("parts", [scatter.count for _, _, scatter in rows]),
        column("mean", [scatter.mean for _, _, scatter in rows], "as of the number"),
        column("deviation", [scatter.deviation for _, _, scatter in rows], "as of the number"),
        column("whole", [number.value for _, number, _ in rows], "as of the number"),
        column("error_of_whole", [errors.get(number.name, np.nan) for _, number, _ in rows], "as of the number"),
    )
    named = "; ".join(f"{i} {number.name}" for i, number in enumerate(wanted))
    return Table("representativeness", f"numbers of parts of the image; numbers are {named}", "rows", columns)
