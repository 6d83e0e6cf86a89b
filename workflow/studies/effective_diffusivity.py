"""Effective diffusivity of one phase of a case: mesh it alone, drive a flux along each axis, tell what gets through."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.solver.conduction import AXES, Conduction, conduction
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages, table_console
from microlith.workflow.prepare.assemble import log_report
from microlith.workflow.prepare.meshed import Meshed, mesh_of
from microlith.workflow.results.folder import versions, write_summary
from microlith.workflow.schema.kinds import nearest

log = logging.getLogger(__name__)

# Fluxes that differ by more were not solved well enough to print eight digits.
AGREEMENT = 1e-6


def phase_index(case: Case, name: str) -> int:
    """Index of the phase of that name.

    Raises:
        InputError: There is none.
    """
    names = [labels.name for labels in case.labels]
    if name not in names:
        raise InputError(f'--phase {name}: {case.path} has no phase "{name}"; {nearest(name, names, "phases")}')
    return names.index(name)


def deff(
    case: Case,
    phase: str,
    axes: Sequence[str],
    output: Path | None,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
) -> tuple[Conduction, ...]:
    """Find the effective diffusivity of a phase, print it, and write it to a JSON file if one is given; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter.
        axes: Any of "x", "y" and "z"; none means all that the image has.
        output: The JSON file.
        show: Whether to print a table.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image, the phase or an axis is at fault.
    """
    index = phase_index(case, phase)
    stages = Stages()
    meshed = mesh_of(case, (index,), stages, comm, check=False)
    dim = meshed.volume.dim
    for axis in axes:
        if axis not in AXES[:dim]:
            raise InputError(f"--axis {axis}: {case.path}: the image is 2D and has the axes x and y only")
    on_root(comm, log_report, meshed)
    degree = case.degree or (2 if dim == 2 else 1)
    with stages.stage("solve", "solving"):
        found = conduction(meshed.mesh, index, axes or AXES[:dim], degree, case.solver)
    for along in found:
        if along.disagreement > AGREEMENT and comm.rank == 0:
            log.warning(
                "along %s the fluxes through the two faces differ from the energy by %.1e: trust no more digits",
                along.axis,
                along.disagreement,
            )
    physics = case.physics.phases[index]
    if comm.rank == 0 and physics.anisotropy is not None:
        log.warning(
            "the diffusivity of %s differs along the axes: the figures are for the shape of the phase alone", phase
        )
    if comm.rank == 0 and physics.law is not None:
        log.info("the diffusivity of %s depends on c: D_eff is D of c times the share that is told", phase)
    if show:
        on_root(comm, _print, phase, _bulk(case, index), found)
    if output is not None:
        on_root(comm, write_summary, output, _entries(case, index, meshed, degree, found, stages))
        if comm.rank == 0:
            log.info("effective diffusivity: %s", output)
    return found


def _bulk(case: Case, index: int) -> float | None:
    """Diffusivity in the phase as the case gives it, porosity included, in m^2/s; None where it gives no single one."""
    phase = case.physics.phases[index]
    if phase.law is not None or phase.anisotropy is not None:
        return None  # there is no one value to multiply
    return phase.effective_diffusivity


def _print(phase: str, bulk: float | None, found: Sequence[Conduction]) -> None:
    from rich.table import Table

    columns = ["along", "D_eff / D", "tortuosity factor", "joined to both faces"]
    if bulk is not None:
        columns.insert(2, "D_eff in m²/s")
    table = Table(*columns, title=f"{phase}: {found[0].fraction:.5f} of the box", title_justify="left")
    for along in found:
        cells = [along.axis, f"{along.relative:.6g}", f"{along.tortuosity:.6g}", f"{100 * along.connected:.3f} %"]
        if bulk is not None:
            cells.insert(2, f"{along.relative * bulk:.6g}")
        table.add_row(*cells)
    table_console().print(table)


def _entries(
    case: Case, index: int, meshed: Meshed, degree: int, found: Sequence[Conduction], stages: Stages
) -> dict[str, Any]:
    mesh = meshed.mesh.mesh
    bulk = _bulk(case, index)
    return {
        "versions": versions(),
        "case": case.path,
        "image": case.image.path,
        "phase": case.labels[index].name,
        "volume_fraction": found[0].fraction,
        "diffusivity_m2_per_s": bulk,
        "axes": {along.axis: _axis_entries(along, bulk) for along in found},
        "mesh": {
            "method": meshed.method,
            "degree": degree,
            "cells": mesh.topology.index_map(mesh.topology.dim).size_global,
            "unknowns": found[0].unknowns,
        },
        "ranks": mesh.comm.size,
        "timings_s": stages.timings,
    }


def _axis_entries(along: Conduction, bulk: float | None) -> dict[str, Any]:
    return {
        "relative_effective_diffusivity": along.relative,
        "effective_diffusivity_m2_per_s": None if bulk is None else along.relative * bulk,
        "tortuosity_factor": along.tortuosity,  # null where nothing gets through
        "connected_share": along.connected,
        "flux_disagreement": along.disagreement,
        "solver": along.method,
        "iterations": along.iterations,
    }
