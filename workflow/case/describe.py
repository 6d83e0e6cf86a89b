"""The case as understood: as plain data for summary.json and as a table for people."""

import math
from typing import Any

from microlith.imaging.errors import LONGEST_SENTENCE, listed, printable
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import PhaseLabels
from microlith.workflow.case.case import Case
from microlith.workflow.case.describe_physics import (
    face_data,
    face_text,
    interface_data,
    interface_name,
    interface_text,
    phase_data,
    phase_text,
)
from microlith.workflow.case.labels import in_ranges, label_texts
from microlith.workflow.console.terminal import table_console
from microlith.workflow.schema.units import length_text


def interpreted(case: Case) -> dict[str, Any]:
    """The case as data that JSON can hold; SI units, named at the end of each key."""
    return {
        "file": str(case.path),
        "title": case.title,
        "image": _image(case),
        "phases": {
            labels.name: {"labels": label_texts(labels)} | phase_data(phase)
            for labels, phase in zip(case.labels, case.physics.phases, strict=True)
        },
        "mesh": {
            "file": case.mesh.file or None,
            "unit_m": case.mesh.unit,
            "method": case.mesh.method,
            "size_m": dict(case.mesh.size),
            "size_in_m": {part.region: part.size for part in case.mesh.size_in},
            "size_max_m": case.mesh.size_max,
            "growth": case.mesh.growth,
            "gap_elements": case.mesh.gap_elements,
            "junction_size_m": case.mesh.junction_size,
            "size_factor": case.mesh.size_factor,
            "degree": case.degree,
            "estimate": case.mesh.estimate,
            "correct": case.correct,
            "periodic_axes": list(case.mesh.periodic),
        },
        "time": {
            "end_s": case.time.end,
            "tolerance": case.time.tolerance,
            "snapshots_s": list(case.time.snapshots),
            "times_s": None if case.time.times is None else list(case.time.times),
            "first_s": case.time.first,
        },
        "regions": {name: shape.data() for name, shape in case.regions.items()},
        "faces": {name: face_data(face) for name, face in case.physics.faces.items()},
        "interfaces": [interface_data(law) for law in case.physics.interfaces],
        "solver": vars(case.solver).copy(),
        "pictures": {
            "formats": list(case.pictures.formats),
            "width_m": case.pictures.width,
            "resolution_per_inch": case.pictures.resolution,
            "colours": case.pictures.colours,
            "ranges_mol_per_m3": {name: list(ends) for name, ends in case.pictures.ranges.items()},
        },
        "analysis": vars(case.analysis).copy(),
    }


def _image(case: Case) -> dict[str, Any]:
    image = case.image
    return {
        "file": image.path,
        "voxel_size_m": None if image.voxel_size is None else list(image.voxel_size),
        "crop_voxels": {axis: list(ends) for axis, ends in image.crop.items()},
        "coarsen": image.coarsen,
        "raw": None if image.raw is None else vars(image.raw) | {"shape": list(image.raw.shape)},
    }


# --- for people ---


def _lengths(values: Any) -> str:
    return ", ".join(length_text(value) for value in values)


def print_case(case: Case, volume: LabelVolume) -> None:
    """Prints the case as understood to standard output.

    Args:
        case: With the method that its mesh is made by.
        volume: Its image.
    """
    from rich.table import Table
    from rich.text import Text

    console = table_console()
    table = Table(show_header=False, show_edge=False, pad_edge=False, title=Text(case.title), title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("value", overflow="fold")
    for part, rows in _rows(case, volume):
        for i, (name, value) in enumerate(rows):
            table.add_row(Text(part if i == 0 else ""), Text(name), Text(value), end_section=i + 1 == len(rows))
    console.print(table)


def _rows(case: Case, volume: LabelVolume) -> list[tuple[str, list[tuple[str, str]]]]:
    """Parts of the table, each with rows of name and value."""
    phases = zip(case.labels, case.physics.phases, volume.counts, strict=True)
    voxels = math.prod(volume.shape)
    parts = [
        ("image", _image_rows(case, volume)),
        (
            "phases",
            [
                (p.name, f"{phase_text(p)}; {_labels_text(labels)}{100 * n / voxels:.4g} % of the image")
                for labels, p, n in phases
            ],
        ),
        ("faces", [(name, face_text(face)) for name, face in case.physics.faces.items()]),
        ("beyond", [(axis, "periodic") for axis in case.mesh.periodic]),
        ("interfaces", [(interface_name(law), interface_text(law)) for law in case.physics.interfaces]),
        ("mesh", _mesh_rows(case)),
        ("time", _time_rows(case)),
        ("regions", [(name, shape.words(length_text)) for name, shape in case.regions.items()]),
        ("solver", [(name, str(value)) for name, value in vars(case.solver).items() if value is not None]),
    ]
    return [part for part in parts if part[1]]


def _image_rows(case: Case, volume: LabelVolume) -> list[tuple[str, str]]:
    image, origin = case.image, volume.origin
    kind = "pixels" if volume.dim == 2 else "voxels"
    edges = " x ".join(length_text(edge) for edge in volume.voxel_size[::-1])
    extent = " x ".join(length_text(edge) for edge in volume.extent)
    shape = f"{' x '.join(str(n) for n in volume.shape[::-1])} {kind} of {edges}, {extent}"
    rows = [("file", printable(image.path, LONGEST_SENTENCE))]
    if len(origin.files) > 1:
        names = [printable(path.name) for path in origin.files]
        rows.append(("files", f"{len(names)}, from {names[0]} to {names[-1]}"))
    rows.append(("shape", shape))
    if origin.size_sources:
        stated = " x ".join(length_text(edge) for edge in origin.voxel_size[::-1])
        rows.append(("voxel size", f"{stated}, from {origin.size_source}"))
    if origin.labels:
        counts = [f"{label}: {count:,}" for label, count in origin.labels]
        rows.append(("labels", f"{listed(counts)} {kind}"))
    if image.crop:
        rows.append(("crop", ", ".join(f"{axis} {first} to {last}" for axis, (first, last) in image.crop.items())))
    if image.coarsen > 1:
        rows.append(("coarsen", f"{image.coarsen}{''.join(f'; {words}' for words in origin.coarsening)}"))
    if image.raw is not None:
        rows.append(("raw", f"{image.raw.dtype}, shape {image.raw.shape}, from byte {image.raw.offset}"))
    return rows


def _labels_text(labels: PhaseLabels) -> str:
    """Labels of a phase, and nothing of one that was split off another."""
    return f"label {listed(label_texts(in_ranges(labels)))}, " if labels.any else ""


def _mesh_rows(case: Case) -> list[tuple[str, str]]:
    mesh = case.mesh
    sizes = [f"{length_text(size)} at {name}" for name, size in mesh.size.items()]
    sizes += [f"{length_text(part.size)} in region {part.region}" for part in mesh.size_in]
    sizes += [f"{length_text(size)} at junctions" for size in [mesh.junction_size] if size is not None]
    sizes += [f"at most {length_text(mesh.size_max)}" if mesh.size_max is not None else "largest chosen by the mesher"]
    sizes += [f"all of them times {mesh.size_factor:g}"] if mesh.size_factor != 1.0 else []
    degree = "2 in 2D, 1 in 3D" if case.degree is None else str(case.degree)
    return [("method", mesh.method), ("element size", ", ".join(sizes)), ("degree", degree)]


def _time_rows(case: Case) -> list[tuple[str, str]]:
    time = case.time
    first = f"{time.end / 1e5:g} s (in 3D perhaps later)" if time.first is None else f"{time.first:g} s"
    curves = f"200 from {first} to the end, and the snapshots"
    if case.physics.changes:
        curves = curves.replace(", and", ",") + ", and some in each stretch between kinks of courses"
    if time.times is not None:
        curves = f"{len(time.times)} from {time.times[0]:g} s to {time.times[-1]:g} s"
    snapshots = ", ".join(f"{t:g}" for t in time.snapshots)
    reference = case.physics.reference_concentration
    driving = f"{reference:g} mol/m³" if reference else "the mean concentration to which the fluxes fill the phases"
    return [
        ("end", f"{time.end:g} s"),
        ("tolerance", f"{time.tolerance:g} of {driving}"),
        ("snapshots", f"{snapshots} s" if snapshots else "none"),
        ("curve times", curves),
    ]
