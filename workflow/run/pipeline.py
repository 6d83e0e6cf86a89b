"""The way of the data: case, image, mesh, problem, solution, results; each step hands its product to the next."""

import logging
import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root
from microlith.solver.physics.phases import Role
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.shapes import SurfaceOf
from microlith.solver.transient import Transient, solve
from microlith.workflow.case.case import Case
from microlith.workflow.case.describe import interpreted
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.assemble import Prepared, assembled, log_report
from microlith.workflow.prepare.fidelity import fidelity_entries
from microlith.workflow.prepare.meshed import (
    file_named,
    mesh_of,
)
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.results.fields import write_fields
from microlith.workflow.results.folder import (
    CURVES,
    CURVES_PICTURE,
    DISTANCE_PICTURE,
    ERRORS,
    FIELDS,
    PARTICLES,
    PARTICLES_PICTURE,
    SUMMARY,
    result_folder,
    versions,
    write_summary,
)
from microlith.workflow.results.particles import ParticleTable, particle_summary, particle_tables, write_particles
from microlith.workflow.run.shown_range import ShownRange, shown_range
from microlith.workflow.run.summary import AREA_OR_VOLUME, error_in_space, region_summary
from microlith.workflow.studies.spatial_error import SpatialError, spatial_error

log = logging.getLogger(__name__)
EMPTIED = 1e-3  # of the reference concentration: further below 0 than errors go


def run(case: Case, output: Path, force: bool, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
    """Do all of it and leave the results in the folder `output`; collective.

    Args:
        case: What to do.
        output: The result folder.
        force: Whether the results of an earlier run are overwritten.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image or the folder is at fault.
    """
    stages = Stages()
    with result_folder(output, force, comm) as folder:
        meshed = mesh_of(case, case.physics.solved, stages, comm)
        on_root(comm, log_report, meshed)
        ready = assembled(meshed.case, meshed, stages)
        transient = _solution(ready, comm)
        space = _error_in_space(ready, transient, comm) if case.mesh.estimate else None
        tables: tuple[ParticleTable, ...] = ()
        if ready.surfaces is not None:
            with stages.stage("particles", "measuring particles"):
                tables = _particles(folder, ready, ready.surfaces, transient, comm)
        with stages.stage("results", "writing results"):
            limits = shown_range(ready.problem, case.physics, transient, case.time.snapshots, comm)
            _write(folder, ready, transient, space, limits, comm)
        if any(face.concentration is None for face in case.physics.faces.values()):
            _warn_of_emptied(ready.problem, transient, limits)
        summary = _summary(ready, transient, space, tables, limits, comm)
        on_root(comm, write_summary, folder / SUMMARY, summary)
    log.info("curves: %s", output / CURVES)
    snapshots = [str(output / "snapshot-*.png")] if case.time.snapshots else []
    if tables:
        log.info("particles: %s", output / PARTICLES)
        snapshots += [str(output / name) for name in (PARTICLES_PICTURE, DISTANCE_PICTURE) if (output / name).exists()]
    log.info("pictures: %s", ", ".join([str(output / CURVES_PICTURE), *snapshots]))
    if case.time.snapshots:
        log.info("fields: %s", output / FIELDS)


def _solution(ready: Prepared, comm: MPI.Intracomm) -> Transient:
    case, problem, means, stages = ready.case, ready.problem, ready.means, ready.stages
    with stages.stage("integration", "integrating") as tell, file_named(case):
        transient = solve(
            problem,
            means,
            case.time,
            case.solver,
            lambda solves, error: tell(f"{solves} solves, error about {error:.0e}"),
            extra=None if ready.surfaces is None else ready.surfaces.rows,
            reached=lambda steps, t: tell(f"{steps} steps, {t:.3g} s reached"),
        )
    _warn_of_unresolved(case, problem)
    log.info(
        "%d unknowns, %s: %s, error in time at most %.1e of the reference concentration (estimated), "
        "lithium balance closed to %.1e",
        problem.unknowns,
        transient.method,
        _effort(transient),
        transient.error,
        transient.balance.imbalance,
    )
    if transient.balance.imbalance > 0.01:
        log.warning(
            "the lithium balance is off by %.0f %% of what is exchanged: distrust the amounts in summary.json",
            100 * transient.balance.imbalance,
        )
    for name, mean in means.items():
        early = transient.first_time(name, 0.5 * problem.reference_of(mean.phase_shares))
        first = transient.times[transient.times > 0][0]
        if early is not None and 0 < early < first:
            log.warning(
                "region %s is half full before the first time of its curve, %.3g s, so its t50 is rough; shorten "
                "[time] end or give earlier times",
                name,
                first,
            )
    if not transient.converged and transient.effort is not None:
        log.warning(
            "the tolerance %g is not reached: between steps the curves are known to %.1e only; lower [time] tolerance",
            case.time.tolerance,
            transient.error,
        )
    elif not transient.converged:
        log.warning(
            "the tolerance %g is not reached after %d solves; raise [solver] max_solves or [time] tolerance",
            case.time.tolerance,
            transient.solves,
        )
    return transient


def _effort(transient: Transient) -> str:
    """What a solution took, in words."""
    effort = transient.effort
    if effort is None:
        return f"{transient.solves} solves"
    repeated = effort.rejected + effort.failures
    return f"{effort.steps} steps, {repeated} repeated, {effort.newton_iterations} iterations of Newton's method"


def _warn_of_emptied(problem: Problem, transient: Transient, shown: ShownRange) -> None:
    """Say so where a flux takes out more lithium than there is: of a whole region, or else of a part of it."""
    lowest = {name: float(curve.min()) for name, curve in transient.curves.items()}
    worst = min(lowest, key=lambda name: lowest[name], default=None)
    if worst is not None and lowest[worst] < -EMPTIED * problem.scales.concentration:
        where = f"of region {worst} falls to {lowest[worst]:.3g} mol/m^3"
    elif shown.emptied_at is not None:
        where = f"falls to {shown.low:.3g} mol/m^3 in places at {shown.emptied_at:.3g} s"
    else:
        return
    log.warning(
        "the concentration %s: a flux or current takes out more lithium than there is; check its sign, its duration "
        "and the initial concentration",
        where,
    )


def _warn_of_unresolved(case: Case, problem: Problem) -> None:
    """Say so where lithium comes no further than an element until the end: the curves show the mesh then."""
    from microlith.meshing.mesh.cells import cell_corners

    mesh = problem.space.mesh
    corners = cell_corners(mesh)
    longest = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(axis=1)
    total, count = mesh.comm.allreduce(np.array([longest.sum(), len(longest)]))
    element = float(total / count) * problem.scales.length
    for phase in (case.physics.phases[i] for i in case.physics.solved):
        if phase.effective_diffusivity is not None:
            reach = np.sqrt(phase.effective_diffusivity / phase.porosity * case.time.end)
            if reach < element:
                log.warning(
                    "in %s lithium diffuses %.2g µm until the end, less than an element, %.2g µm: the curves show the "
                    "mesh; check diffusivity and end, or choose smaller elements",
                    phase.name,
                    reach * 1e6,
                    element * 1e6,
                )


def _error_in_space(ready: Prepared, transient: Transient, comm: MPI.Intracomm) -> SpatialError | None:
    """Estimate and tell it."""
    with ready.stages.stage("spatial_error", "estimating the error in space") as tell:
        space = spatial_error(ready.meshed, transient.curves, comm, tell)
    if space is not None:
        worst = max(space.curves, key=space.largest)
        log.info(
            "error in space about %.1e of the reference concentration (region %s), estimated %s (%d unknowns)",
            space.largest(worst) / ready.problem.scales.concentration,
            worst,
            space.how,
            space.unknowns,
        )
    return space


def _errors(ready: Prepared, transient: Transient, space: SpatialError | None) -> dict[str, NDArray[np.float64]]:
    """Estimated error of each curve in time and space, mol/m^3."""
    in_time = transient.error * ready.problem.scales.concentration
    zero = np.zeros_like(transient.times)
    return {name: in_time + (zero if space is None else space.curves[name]) for name in transient.curves}


def _write(
    folder: Path,
    ready: Prepared,
    transient: Transient,
    space: SpatialError | None,
    shown: ShownRange,
    comm: MPI.Intracomm,
) -> None:
    from microlith.workflow.pictures.snapshots import draw_curves, draw_snapshots
    from microlith.workflow.results.curves import write_curves, write_errors

    case = ready.case
    reference = ready.problem.scales.concentration
    errors = _errors(ready, transient, space)
    on_root(comm, write_curves, folder / CURVES, case.title, transient.times, transient.curves)
    on_root(comm, write_errors, folder / ERRORS, case.title, transient.times, errors)
    on_root(
        comm,
        draw_curves,
        folder / CURVES_PICTURE,
        case.title,
        transient.times,
        transient.curves,
        reference,
        errors,
        "estimated error in time" if space is None else "estimated error in time and space",
    )
    moments = case.time.snapshots
    if not moments:
        return
    meshed, space = ready.meshed, ready.problem.display.space
    write_fields(folder / FIELDS, meshed.mesh, space, moments, (transient.concentration(t) for t in moments))
    drawn = (transient.concentration(t) for t in moments)
    limits = shown.low, shown.high
    if meshed.volume.dim == 2:
        draw_snapshots(folder, case.title, meshed.image, meshed.mesh, space, moments, drawn, ready.shapes, limits)
        return
    from microlith.workflow.pictures.snapshots3d import draw_snapshots_3d

    pores = [i for i, phase in enumerate(case.physics.phases) if phase.role is Role.SOURCE]
    draw_snapshots_3d(
        folder, case.title, meshed.mesh, space, moments, drawn, ready.shapes, limits, pores, meshed.volume
    )


def _particles(
    folder: Path, ready: Prepared, surfaces: ParticleSurfaces, transient: Transient, comm: MPI.Intracomm
) -> tuple[ParticleTable, ...]:
    """Measure, write and draw what reaches each particle."""
    from microlith.workflow.pictures.particle_distances import draw_distances
    from microlith.workflow.pictures.particles import draw_particles

    case, mesh = ready.case, ready.meshed.mesh
    tables = particle_tables(surfaces, mesh, case.physics, ready.problem, transient, case.time.end, case.time.snapshots)
    on_root(comm, write_particles, folder / PARTICLES, case.title, tables)
    on_root(comm, draw_distances, folder / DISTANCE_PICTURE, case.title, tables, case.time.end)
    image, path = ready.meshed.image, folder / PARTICLES_PICTURE
    draw_particles(path, case.title, case.physics, image, mesh, surfaces, tables, case.time.end)
    return tables


def _summary(
    ready: Prepared,
    transient: Transient,
    space: SpatialError | None,
    tables: tuple[ParticleTable, ...],
    shown: ShownRange,
    comm: MPI.Intracomm,
) -> dict[str, Any]:
    case, meshed = ready.case, ready.meshed
    dim = meshed.volume.dim
    memory = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    report = fidelity_entries(meshed.report) if meshed.report is not None else {}
    balance = transient.balance
    return {
        "versions": versions(),
        "case": interpreted(case),
        "cells": ready.cells,
        "unknowns": ready.problem.unknowns,
        **report,
        "solver": {
            "method": transient.method,
            "degree": case.degree,
            "poles_s": transient.poles,
            "solves": transient.solves,
            **({} if transient.effort is None else asdict(transient.effort)),
            "inner_iterations": transient.inner_iterations,
            "ranks": comm.size,
        },
        "error": {
            "of": "the region curves, in time, relative to the reference concentration",
            "estimate": transient.error,
            "tolerance": case.time.tolerance,
            "converged": transient.converged,
            "reference_concentration_mol_per_m3": ready.problem.scales.concentration,
            "space": None if space is None else error_in_space(space, ready.problem.scales.concentration),
        },
        "mass_balance": {
            "unit": "mol per metre of depth" if dim == 2 else "mol",
            "stored_change": balance.stored_change,
            "inflow": balance.inflow,
            "imbalance": balance.imbalance,
        },
        "concentration_range_mol_per_m3": (shown.low, shown.high),
        "islands": [{"phases": i.phases, AREA_OR_VOLUME[dim]: i.measure, "center_m": i.center} for i in ready.apart],
        "regions": {
            name: region_summary(
                transient,
                name,
                ready.means[name],
                ready.problem.reference_of(ready.means[name].phase_shares),
                dim,
                isinstance(ready.shapes[name], SurfaceOf),
            )
            for name in transient.curves
        },
        **({"particles": {table.region: particle_summary(table) for table in tables}} if tables else {}),
        "timings_s": ready.stages.timings,
        "peak_memory_bytes": memory,
    }
