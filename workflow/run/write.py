"""The files of a run: tables, fields, pictures, the summary."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array
from microlith.workflow.console.terminal import Tell
from microlith.workflow.report.of_run import write_run_report
from microlith.workflow.results.fields import write_fields
from microlith.workflow.results.folder import (
    CURVES,
    CURVES_PICTURE,
    DISTANCE_PICTURE,
    ERRORS,
    FIELDS,
    FLUXES,
    PARTICLES,
    PARTICLES_PICTURE,
    PHASES,
    PROFILE,
    SCENE,
    SPREAD,
    SUMMARY,
)
from microlith.workflow.results.json_file import write_summary
from microlith.workflow.results.particles import ids_of, write_particles
from microlith.workflow.results.phases import write_phases
from microlith.workflow.run.phase_values import scales_of
from microlith.workflow.run.solved import Solved
from microlith.workflow.run.summary import summary

if TYPE_CHECKING:
    from microlith.workflow.pictures.colour_scales import ColourScale
    from microlith.workflow.pictures.sample import Sample


def write(solved: Solved, folder: Path, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
    """Write everything that a run leaves into a folder that is there; collective.

    Args:
        solved: What the run found.
        folder: The same on all ranks.
        comm: The ranks that solved it.

    Raises:
        InputError: A file can't be written.
    """
    with solved.stages.stage("results", "writing results") as tell:
        _write_curves(solved, folder, comm)
        _write_tables(solved, folder, comm)
        scales, sample = scales_of(solved), _sample(solved)
        _write_snapshots(solved, folder, sample, scales, tell)
        _write_particles(solved, folder, sample, comm)
        _write_phases(solved, folder, comm)
    entries = summary(solved, comm) | {"colour_scales": [scale.entry() for scale in scales]}
    on_root(comm, write_summary, folder / SUMMARY, entries)
    on_root(comm, write_run_report, folder)


def _write_curves(solved: Solved, folder: Path, comm: MPI.Intracomm) -> None:
    from microlith.workflow.pictures.curves import RegionCurves, draw_curves
    from microlith.workflow.results.curves import write_curves, write_errors

    transient, errors = solved.transient, solved.errors
    title = solved.verdict.marked(solved.case.title)
    on_root(comm, write_curves, folder / CURVES, title, transient.times, transient.curves)
    holds = {figures.name: figures.holds for figures in solved.figures}
    on_root(comm, write_errors, folder / ERRORS, title, transient.times, errors, solved.errors_are, holds)
    ready = solved.ready
    curves = RegionCurves(
        transient.times,
        transient.curves,
        {name: ready.problem.reference_of(mean.phase_shares) for name, mean in ready.means.items()},
        errors,
        f"estimated error {solved.errors_are}",
    )
    on_root(comm, draw_curves, folder / CURVES_PICTURE, title, curves, solved.case.pictures)


def _write_tables(solved: Solved, folder: Path, comm: MPI.Intracomm) -> None:
    """Fluxes, spreads and profiles."""
    from microlith.workflow.results.tables import write_fluxes, write_profiles, write_spread

    title, mesh = solved.verdict.marked(solved.case.title), solved.ready.meshed.mesh
    dim = len(mesh.extent)
    on_root(comm, write_fluxes, folder / FLUXES, title, solved.transient.fluxes(), dim)
    if solved.spreads:
        on_root(comm, write_spread, folder / SPREAD, title, solved.spread_times, solved.spreads)
    if solved.profiles:
        moments = solved.case.time.snapshots
        on_root(comm, write_profiles, folder / PROFILE, title, moments, solved.profiles, mesh.names, dim)


def _write_snapshots(
    solved: Solved, folder: Path, sample: "Sample", scales: "tuple[ColourScale, ...]", tell: Tell
) -> None:
    """Fields and their pictures."""
    moments = solved.case.time.snapshots
    if not moments:
        return
    from microlith.workflow.pictures.sample import Snapshots
    from microlith.workflow.pictures.snapshots import draw_snapshots

    transient, space = solved.transient, solved.ready.problem.display.space
    mesh = solved.ready.meshed.mesh

    def concentrations(doing: str, start: float) -> Iterator[Array]:
        for number, moment in enumerate(moments):
            tell(f"{doing} of snapshot {number + 1} of {len(moments)}", start + 0.5 * number / len(moments))
            yield transient.concentration(moment)

    if sample.dim == 3:
        _write_scene(solved, folder / SCENE, sample, scales, tell)
    write_fields(folder / FIELDS, mesh, space, moments, concentrations("field", 0.0))
    draw_snapshots(folder, sample, Snapshots(space, moments, concentrations("picture", 0.5), scales))


def _write_scene(solved: Solved, path: Path, sample: "Sample", scales: "tuple[ColourScale, ...]", tell: Tell) -> None:
    """Surfaces for the report, at some of the snapshots."""
    from microlith.workflow.pictures.sample import Snapshots
    from microlith.workflow.scene.scene import shown_times, write_scene

    every = solved.case.time.snapshots
    moments = [every[i] for i in shown_times(every)]
    tell("surfaces for the report")
    concentrations = (solved.transient.concentration(moment) for moment in moments)
    write_scene(path, sample, Snapshots(solved.ready.problem.display.space, moments, concentrations, scales))


def _write_particles(solved: Solved, folder: Path, sample: "Sample", comm: MPI.Intracomm) -> None:
    """Table and pictures of the particles, where some region is of their surfaces."""
    surfaces, tables = solved.ready.surfaces, solved.tables
    if surfaces is None:
        return
    from microlith.workflow.pictures.particle_distances import draw_distances
    from microlith.workflow.pictures.particles import draw_particles

    title, end = solved.case.title, solved.case.time.end
    on_root(comm, write_particles, folder / PARTICLES, title, tables)
    on_root(comm, draw_distances, folder / DISTANCE_PICTURE, title, tables, end, solved.case.pictures)
    draw_particles(folder / PARTICLES_PICTURE, sample, surfaces, tables, end)


def _write_phases(solved: Solved, folder: Path, comm: MPI.Intracomm) -> None:
    """The image as it was taken, with the ids of the particles where there are some; goes with the fields."""
    if not solved.case.time.snapshots:
        return
    volume, surfaces = solved.ready.meshed.volume, solved.ready.surfaces
    if surfaces is None:
        write_phases(folder / PHASES, volume, comm)
    else:
        ids = ids_of(solved.tables, len(surfaces.particles))
        write_phases(folder / PHASES, volume, comm, surfaces.particles, ids)


def _sample(solved: Solved) -> "Sample":
    """What pictures of the run show."""
    from microlith.workflow.pictures.sample import Sample

    case, meshed = solved.case, solved.ready.meshed
    roles = tuple(phase.role for phase in case.physics.phases)
    return Sample(case.title, meshed.mesh, roles, meshed.image, meshed.volume, solved.ready.shapes, case.pictures)
