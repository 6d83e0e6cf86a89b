"""scene.json: the surfaces of a 3D run with their concentrations, for a page that turns them."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root, together
from microlith.imaging.typing import Array
from microlith.imaging.writing import write_text
from microlith.workflow.pictures.figure import said_time
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.rendering.cutaway import vertices_of
from microlith.workflow.rendering.ranks import gathered
from microlith.workflow.scene.surfaces import Surface, smaller, surfaces

MOST_TRIANGLES = 100_000  # of all ranks: 3 MB in the file
FINEST = 400  # cubes along the diagonal in which one point is left, where there are more triangles
COARSER = 1.25
MOST_SNAPSHOTS = 6
LEVELS = 65535  # of coordinates and concentrations: 16 bits
MICROMETRE = 1e-6


def shown_times(times: Sequence[float]) -> list[int]:
    """Indices of the snapshots that a scene has: all, or the first, the last and some between."""
    count = min(len(times), MOST_SNAPSHOTS)
    return sorted({round(i) for i in np.linspace(0, len(times) - 1, count)}) if count else []


def write_scene(path: Path, sample: Sample, snapshots: Snapshots) -> None:
    """Write scene.json; collective.

    Each rank takes the surfaces of its own cells and leaves out points until all together have few enough triangles;
    only what is left travels to rank 0.

    Args:
        path: The file; it appears whole or not at all.
        sample: The mesh, in 3D.
        snapshots: Those to show.

    Raises:
        InputError: The file can't be written.
    """
    mesh, comm = sample.mesh, sample.mesh.mesh.comm
    vertices = together(comm, lambda: vertices_of(snapshots.space))
    found = together(comm, lambda: surfaces(mesh, sample.solved, sample.empty, vertices))
    before = _count(comm, found)
    found = _bounded(comm, found, vertices.x, float(np.linalg.norm(mesh.extent)))
    layers = [_layer(comm, one, vertices.x, sample, snapshots) for one in found]
    for concentration in snapshots.concentrations:
        local = np.asarray(concentration)
        for one, layer in zip(found, layers, strict=True):
            scale = snapshots.scale_of(mesh.names[one.phase])
            level = scale.level(one.sheet.weights @ local[vertices.dofs])
            values = gathered(comm, _sixteen_bits(level))
            if layer is not None and values is not None:
                layer["values"].append(_coded(values))
    after = _count(comm, found)
    on_root(comm, lambda: _write(path, sample, snapshots, [one for one in layers if one is not None], before, after))


def _count(comm: MPI.Intracomm, found: Sequence[Surface]) -> int:
    """Triangles of all ranks."""
    return int(comm.allreduce(sum(len(one.sheet.cells) for one in found)))


def _bounded(comm: MPI.Intracomm, found: list[Surface], x: Array, diagonal: float) -> list[Surface]:
    """With few enough triangles."""
    size = diagonal / FINEST
    while _count(comm, found) > MOST_TRIANGLES:
        found = together(comm, lambda found=found, size=size: smaller(found, x, size))  # type: ignore[misc]
        size *= COARSER
    return found


def _layer(comm: MPI.Intracomm, one: Surface, x: Array, sample: Sample, snapshots: Snapshots) -> dict[str, Any] | None:
    """A surface of all ranks, on rank 0; None elsewhere, and where there are no triangles."""
    mesh = sample.mesh
    points = one.sheet.weights @ x
    sizes = comm.allgather(len(points))
    places = gathered(comm, _sixteen_bits(points / max(mesh.extent)))
    cells = gathered(comm, (one.sheet.cells + sum(sizes[: comm.rank])).astype("<u4"))
    if places is None or cells is None or not len(cells):
        return None
    names = mesh.names
    phase = names[one.phase]
    of = next(i for i, scale in enumerate(snapshots.scales) if phase in scale.phases)
    towards = None if one.towards is None else names[one.towards]
    return {
        "phase": phase,
        "towards": towards,
        "name": f"{phase}, sources and faces" if towards is None else f"{towards}, in {phase}",
        "scale": of,
        "points": len(places),
        "triangles": len(cells),
        "position": _coded(places),
        "cells": _coded(cells),
        "values": [],
    }


def _sixteen_bits(shares: Array) -> NDArray[np.uint16]:
    """Numbers from 0 to 1, those beyond at its ends."""
    return np.rint(np.clip(shares, 0.0, 1.0) * LEVELS).astype("<u2")


def _coded(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _write(
    path: Path, sample: Sample, snapshots: Snapshots, layers: list[dict[str, Any]], before: int, after: int
) -> None:
    from matplotlib import colormaps

    mesh = sample.mesh
    colours = colormaps[sample.options.colours](np.linspace(0.0, 1.0, 256), bytes=True)[:, :3]
    size = np.array(mesh.extent) * mesh.unit / MICROMETRE
    scene = {
        "title": sample.title,
        "extent_um": [float(f"{edge:.6g}") for edge in size],
        "times": [said_time(time) for time in snapshots.times],
        "colours": _coded(colours),
        "scales": [{"phases": s.phases, "low": s.low, "high": s.high} for s in snapshots.scales],
        "unit": "mol/m³",
        "triangles_of_mesh": before,
        "triangles": after,
        "layers": layers,
    }
    write_text(path, json.dumps(scene, ensure_ascii=False, allow_nan=False))
