"""The way of the data: case, image, mesh, problem, solution, results; each step hands its product to the next."""

import logging
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.meshing.collective import on_root
from microlith.meshing.distribute import distribute
from microlith.meshing.errors import InputError
from microlith.meshing.export import write_mesh
from microlith.meshing.fidelity import FidelityReport, fidelity
from microlith.meshing.fitted import fitted_triangulation
from microlith.meshing.image import LabelImage
from microlith.meshing.labels import label_image
from microlith.meshing.phasemesh import PhaseMesh, Triangulation
from microlith.solver.islands import Island, islands
from microlith.solver.problem import Problem, build, feeding_tags
from microlith.solver.regions import RegionMean, region_means
from microlith.solver.spec import Role, Shell
from microlith.solver.transient import Transient, solve
from microlith.workflow.case import Case
from microlith.workflow.fields import write_fields
from microlith.workflow.fit import check_against_image
from microlith.workflow.label_regions import check_labels, expanded
from microlith.workflow.outputs import CURVES, CURVES_PICTURE, FIELDS, SUMMARY, result_folder, write_summary
from microlith.workflow.progress import Stages
from microlith.workflow.report import fidelity_entries, fidelity_lines, print_fidelity
from microlith.workflow.summary import region_summary, versions
from microlith.workflow.table import interpreted

log = logging.getLogger(__name__)
THIN_SHELL = 2.0  # pixels: of a thinner shell, pixels can't tell how much lies in which phase
T = TypeVar("T")


@dataclass(frozen=True)
class Meshed:
    """What meshing leaves; image, triangulation and report on rank 0 only."""

    image: LabelImage | None
    triangulation: Triangulation | None
    report: FidelityReport | None
    mesh: PhaseMesh


def check(case: Case) -> None:
    """Raise InputError for everything wrong with a case that can be known without solving; serial."""
    _read(case)


def mesh(case: Case, output: Path | None, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
    """Mesh the case's image, print the fidelity report, and write the mesh to `output` if given; collective."""
    meshed = _meshed(case, Stages(), comm)
    on_root(comm, _report_mesh, meshed, output)


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
        meshed = _meshed(case, stages, comm)
        on_root(comm, _log_report, meshed)
        problem, means, shapes, apart = _problem(case, meshed, stages)
        transient = _solution(case, problem, means, stages, comm)
        with stages.stage("results", "writing results"):
            _write(case, folder, meshed, problem, transient, shapes, comm)
        summary = _summary(case, meshed, problem, means, transient, apart, stages, comm)
        on_root(comm, write_summary, folder / SUMMARY, summary)
    log.info("curves: %s", output / CURVES)
    snapshots = [str(output / "snapshot-*.png")] if case.time.snapshots else []
    log.info("pictures: %s", ", ".join([str(output / CURVES_PICTURE), *snapshots]))
    if case.time.snapshots:
        log.info("fields: %s", output / FIELDS)


@contextmanager
def _file_named(case: Case) -> Iterator[None]:
    """Put the case file before messages that begin with a key: meshing knows the keys, but not the file."""
    try:
        yield
    except InputError as error:
        if not str(error).startswith("["):
            raise
        raise InputError(f"{case.path}: {error}") from error


def _read(case: Case) -> LabelImage:
    with _file_named(case):
        image = label_image(case.image, case.labels)
    for warning in check_against_image(case, image):
        log.warning("%s", warning)
    if image.dim != 2:
        raise InputError(
            f"{case.path}: [image] file: this version meshes 2D images, and {case.image.path} holds "
            f"{' x '.join(map(str, image.phase.shape[::-1]))} voxels; take one slice of it, as with "
            "crop = { z = [0, 1] }"
        )
    if case.mesh.method not in ("auto", "fitted"):
        raise InputError(
            f"{case.path}: [mesh] method: {case.mesh.method!r} is not available in this version; expected 'fitted' "
            "or 'auto'"
        )
    check_labels(case, image)
    return image


def _meshed(case: Case, stages: Stages, comm: MPI.Intracomm) -> Meshed:
    solved = [i for i, phase in enumerate(case.physics.phases) if phase.role is Role.TRANSPORT]
    with stages.stage("image", "reading the image"):
        image = on_root(comm, _read, case)
    with _file_named(case), stages.stage("mesh", "meshing") as tell:
        triangulation = on_root(comm, lambda: fitted_triangulation(_there(image), case.mesh, solved, tell))
    with stages.stage("fidelity", "comparing mesh and image"):
        report = on_root(comm, lambda: fidelity(_there(image), _there(triangulation), solved))
    with _file_named(case), stages.stage("distribution", "distributing the mesh"):
        mesh = distribute(triangulation, solved, comm)
    return Meshed(image, triangulation, report, mesh)


def _there(product: T | None) -> T:
    """What rank 0 has, on rank 0."""
    assert product is not None
    return product


def _report_mesh(meshed: Meshed, output: Path | None) -> None:
    report = _there(meshed.report)
    print_fidelity(report)
    for warning in report.warnings():
        log.warning("%s", warning)
    if output is not None:
        write_mesh(output, _there(meshed.triangulation))
        log.info("mesh: %s", output)


def _log_report(meshed: Meshed) -> None:
    report = _there(meshed.report)
    for line in fidelity_lines(report):
        log.info("%s", line)
    warnings = report.warnings()
    for warning in warnings[:5]:
        log.warning("%s", warning)
    if len(warnings) > 5:
        log.warning("and %d more differences between image and mesh: see phases in summary.json", len(warnings) - 5)


def _problem(
    case: Case, meshed: Meshed, stages: Stages
) -> tuple[Problem, dict[str, RegionMean], Mapping[str, Any], tuple[Island, ...]]:
    mesh = meshed.mesh
    comm = mesh.mesh.comm
    with stages.stage("assembly", "assembling"):
        problem = build(mesh, case.physics, case.degree or 2, case.time.end)
    with stages.stage("regions", "measuring regions"):
        shapes, labels = expanded(case, meshed.image, mesh, comm)
        means = region_means(problem.space, mesh, shapes, labels, _phase_at(meshed))
        for name, shape in shapes.items():
            if isinstance(shape, Shell) and shape.distance < THIN_SHELL * mesh.unit:
                means[name] = replace(means[name], solved_share=np.nan)
        for name, mean in means.items():
            if mean.solved_measure <= 0:
                raise InputError(f"{case.path}: [regions.{name}]: no part of it lies in a solved phase; move it")
            if mean.solved_share < 0.999:
                log.info("region %s: %.1f %% of it is solved for", name, 100 * mean.solved_share)
        apart = islands(mesh, feeding_tags(case.physics))
    for island in apart[:5]:
        log.warning(
            "no source reaches the part of %s around (%s) µm, %.3g µm²: it keeps its initial concentration",
            " and ".join(island.phases),
            ", ".join(f"{x * 1e6:.3g}" for x in island.center),
            island.measure * 1e12,
        )
    if len(apart) > 5:
        log.warning("and %d more such parts: see islands in summary.json", len(apart) - 5)
    return problem, means, shapes, apart


def _phase_at(meshed: Meshed) -> Any:
    """Phase of points in mesh units, looked up in the image; on rank 0 only."""
    image = meshed.image
    if image is None:
        return None
    pixel = np.array(image.voxel_size[::-1]) / meshed.mesh.unit

    def phase_at(x: NDArray[np.float64]) -> NDArray[np.uint8]:
        index = np.clip((x / pixel).astype(np.int64), 0, np.array(image.phase.shape[::-1]) - 1)
        return image.phase[tuple(index.T[::-1])]

    return phase_at


def _solution(
    case: Case, problem: Problem, means: Mapping[str, RegionMean], stages: Stages, comm: MPI.Intracomm
) -> Transient:
    with stages.stage("integration", "integrating") as tell:
        transient = solve(
            problem,
            means,
            case.time,
            case.solver,
            lambda solves, error: tell(f"{solves} solves, error about {error:.0e}"),
        )
    _warn_of_unresolved(case, problem)
    log.info(
        "%d unknowns, %s: %d solves, error in time at most %.1e of the source concentration (estimated), "
        "lithium balance closed to %.1e",
        problem.unknowns,
        transient.method,
        transient.solves,
        transient.error,
        transient.balance.imbalance,
    )
    if transient.balance.imbalance > 0.01:
        log.warning(
            "the lithium balance is off by %.0f %% of what is exchanged: distrust the amounts in summary.json",
            100 * transient.balance.imbalance,
        )
    for name in means:
        early = transient.first_time(name, 0.5 * case.physics.reference_concentration)
        first = transient.times[transient.times > 0][0]
        if early is not None and 0 < early < first:
            log.warning(
                "region %s is half full before the first time of its curve, %.3g s, so its t50 is rough; shorten "
                "[time] end or give earlier times",
                name,
                first,
            )
    if not transient.converged:
        log.warning(
            "the tolerance %g is not reached after %d solves; raise [solver] max_solves or [time] tolerance",
            case.time.tolerance,
            transient.solves,
        )
    return transient


def _warn_of_unresolved(case: Case, problem: Problem) -> None:
    """Say so where lithium comes no further than an element until the end: the curves show the mesh then."""
    from microlith.solver.corners import cell_corners

    mesh = problem.space.mesh
    corners = cell_corners(mesh)
    longest = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(axis=1)
    total, count = mesh.comm.allreduce(np.array([longest.sum(), len(longest)]))
    element = float(total / count) * problem.scales.length
    for phase in case.physics.phases:
        if phase.role is Role.TRANSPORT and phase.effective_diffusivity is not None:
            reach = np.sqrt(phase.effective_diffusivity / phase.porosity * case.time.end)
            if reach < element:
                log.warning(
                    "in %s lithium diffuses %.2g µm until the end, less than an element, %.2g µm: the curves show the "
                    "mesh; check diffusivity and end, or choose smaller elements",
                    phase.name,
                    reach * 1e6,
                    element * 1e6,
                )


def _write(
    case: Case,
    folder: Path,
    meshed: Meshed,
    problem: Problem,
    transient: Transient,
    shapes: Mapping[str, Any],
    comm: MPI.Intracomm,
) -> None:
    from microlith.workflow.curves import write_curves
    from microlith.workflow.pictures import draw_curves, draw_snapshots

    reference = case.physics.reference_concentration
    on_root(comm, write_curves, folder / CURVES, case.title, transient.times, transient.curves)
    on_root(
        comm,
        draw_curves,
        folder / CURVES_PICTURE,
        case.title,
        transient.times,
        transient.curves,
        reference,
        transient.error * reference,
    )
    moments = case.time.snapshots
    if not moments:
        return
    write_fields(folder / FIELDS, meshed.mesh, problem.space, moments, (transient.concentration(t) for t in moments))
    draw_snapshots(
        folder,
        case.title,
        meshed.image,
        meshed.mesh,
        problem.space,
        moments,
        (transient.concentration(t) for t in moments),
        shapes,
        (min([0.0, *(p.initial for p in case.physics.phases)]), reference),
    )


def _summary(
    case: Case,
    meshed: Meshed,
    problem: Problem,
    means: Mapping[str, RegionMean],
    transient: Transient,
    apart: tuple[Island, ...],
    stages: Stages,
    comm: MPI.Intracomm,
) -> dict[str, Any]:
    memory = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    cells = meshed.mesh.mesh.topology.index_map(meshed.mesh.mesh.topology.dim).size_global
    report = fidelity_entries(meshed.report) if meshed.report is not None else {}
    balance = transient.balance
    return {
        "versions": versions(),
        "case": interpreted(replace(case, degree=case.degree or 2, mesh=replace(case.mesh, method="fitted"))),
        "cells": cells,
        "unknowns": problem.unknowns,
        **report,
        "solver": {
            "method": transient.method,
            "degree": case.degree or 2,
            "poles_s": transient.poles,
            "solves": transient.solves,
            "inner_iterations": transient.inner_iterations,
            "ranks": comm.size,
        },
        "error": {
            "of": "the region curves, in time, relative to the reference concentration",
            "estimate": transient.error,
            "tolerance": case.time.tolerance,
            "converged": transient.converged,
            "reference_concentration_mol_per_m3": case.physics.reference_concentration,
        },
        "mass_balance": {
            "unit": "mol per metre of depth",
            "stored_change": balance.stored_change,
            "inflow": balance.inflow,
            "imbalance": balance.imbalance,
        },
        "islands": [{"phases": i.phases, "area_m2": i.measure, "center_m": i.center} for i in apart],
        "regions": {
            name: region_summary(transient, name, means[name], case.physics.reference_concentration)
            for name in transient.curves
        },
        "timings_s": stages.timings,
        "peak_memory_bytes": memory,
    }
