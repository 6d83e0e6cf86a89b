"""A case solved: its image read, meshed, assembled and integrated, its errors estimated, its particles measured.

Nothing is written here, and nothing told but through the log.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array
from microlith.solver.flows.phase_fluxes import phase_fluxes
from microlith.solver.guard.faces import FaceWatch
from microlith.solver.guard.thin_layers import layer_errors
from microlith.solver.keeping import Keeper
from microlith.solver.regions.profiles import Profile, profiles
from microlith.solver.regions.spread import Spread, SpreadWatch
from microlith.solver.steps.solve import is_needed
from microlith.solver.surfaces.passages import Passage
from microlith.solver.transient import Transient, solve
from microlith.workflow.case.case import Case
from microlith.workflow.checkpoints.checkpoints import Checkpoints
from microlith.workflow.console.terminal import Stages
from microlith.workflow.estimate.progress import Progress
from microlith.workflow.prepare.assemble import Prepared, assembled, log_report
from microlith.workflow.prepare.first_time import element_length
from microlith.workflow.prepare.meshed import Meshed, file_named, mesh_of
from microlith.workflow.results.particle_curves import ParticleCurves, particle_curves
from microlith.workflow.results.particles import ParticleTable, particle_tables
from microlith.workflow.run.cut_off import BEHIND_CUTS, cut_off_errors
from microlith.workflow.run.excess import WHERE_IT_LIES, excess_errors
from microlith.workflow.run.guard import Guard, Verdict
from microlith.workflow.run.provenance import Provenance
from microlith.workflow.run.region_figures import RegionFigures, figure_lines, region_figures
from microlith.workflow.run.shown_range import ShownRange, shown_range
from microlith.workflow.run.surface_areas import AREAS, area_errors, area_errors_of_particles, areas_off, followed
from microlith.workflow.run.warnings import warnings_of
from microlith.workflow.studies.spatial_error import SpatialError, corrected, recovered_error, spatial_error

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Solved:
    """Everything that a run finds."""

    ready: Prepared  # the case on its mesh
    transient: Transient
    space: SpatialError | None  # None: not asked for, or it can't be told
    tables: tuple[ParticleTable, ...]  # one per region `surface`
    shown: ShownRange  # concentrations that pictures reach to
    verdict: Verdict  # whether it can be right
    warnings: tuple[str, ...]  # what to hear before the results are taken for right, in sentences
    provenance: Provenance  # where, when and from which image
    profiles: tuple[Profile, ...]  # through the depth at the snapshots, along each axis; none without snapshots
    spread_times: Array  # (k,) s
    spreads: dict[str, Spread]  # of each region at these times

    @property
    def case(self) -> Case:
        """The case with the method and the degree that were taken."""
        return self.ready.case

    @property
    def stages(self) -> Stages:
        """With the times so far."""
        return self.ready.stages

    @cached_property
    def errors(self) -> dict[str, Array]:
        """Estimated error of each curve in time and space, (times,), mol/m^3."""
        return dict(self.verdict.errors)

    @property
    def errors_are(self) -> str:
        """In what the errors are."""
        return "in time" if self.space is None else "in time and space"

    @cached_property
    def figures(self) -> tuple[RegionFigures, ...]:
        """What there is to quote of each region, with its error."""
        ready, snapshots = self.ready, self.case.time.snapshots
        return tuple(
            region_figures(name, self.transient, ready.means[name], ready.problem, errors, snapshots)
            for name, errors in self.errors.items()
        )


def solved(
    case: Case,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    kept: Checkpoints | None = None,
    like: Meshed | None = None,
    *,
    keep_meshes: bool = False,
) -> Solved:
    """Do all of a case but writing; collective.

    Args:
        case: What to do.
        comm: The ranks that share the work.
        kept: Checkpoints to write, and to go on from.
        like: Another case, meshed by the same ranks: where neither image nor mesh differ, its mesh is taken.
        keep_meshes: Whether the mesh of the error in space is kept as well, for a case that takes the mesh of this one.

    Raises:
        InputError: The case or its image is at fault.
    """
    stages = Stages()
    provenance = Provenance.begin(comm)

    def seen(volume: LabelVolume) -> None:
        nonlocal provenance
        provenance = provenance.of_image(volume, comm)
        if kept is not None:
            kept.safe(False)

    meshed = _meshed(case, stages, comm, seen, kept, like)
    if keep_meshes and meshed.coarser is None:
        meshed = replace(meshed, coarser={})
    on_root(comm, log_report, meshed)
    ready = assembled(meshed.case, meshed, stages)
    guard = Guard(ready)
    spread = SpreadWatch(ready.problem, ready.means)
    faces = FaceWatch(ready.problem, ready.case.physics, element_length(ready.problem, ready.case.physics))
    channel = None if kept is None else kept.channel("run")
    if channel is not None:
        channel.watches(guard.watch.state, guard.watch.take_up)
        channel.watches(spread.state, spread.take_up)
        channel.watches(faces.state, faces.take_up)
    off = areas_off(ready)
    passages = followed(ready, off)
    transient = _integrated(ready, (guard, spread, faces), channel, passages)
    shown = shown_range(ready.problem, ready.case.physics, transient, ready.case.time.snapshots, comm)
    warnings = warnings_of(ready, transient, shown, faces.emptied())
    for sentence in warnings:
        log.warning("%s", sentence)
    of_particles = None if ready.surfaces is None else particle_curves(ready.surfaces, transient, ready.case.time.end)
    excess = excess_errors(ready, transient)
    areas = area_errors(ready, transient, off, passages)
    areas_of_particles = area_errors_of_particles(ready, transient, off, passages, of_particles)
    for passage in passages:
        passage.destroy()
    transient, space = _with_error_in_space(ready, transient, of_particles, comm, kept)
    layers = layer_errors(ready.problem, ready.case.physics, ready.means, transient.times)
    if space is not None:
        space = space.at_least(layers).at_least(cut_off_errors(ready, transient.curves), BEHIND_CUTS)
        space = space.with_more(excess, WHERE_IT_LIES).with_more(areas, AREAS)
        if space.particles is not None and areas_of_particles is not None:
            space = replace(space, particles=space.particles + areas_of_particles)
    verdict = guard.judged(transient, _errors(ready, transient, space), layers, in_space=space is not None)
    warnings = (*verdict.sentences(), *warnings)
    tables = _particles(ready, transient, of_particles, space)
    depth = _through_depth(ready, transient, spread)
    found = Solved(ready, transient, space, tables, shown, verdict, warnings, provenance, *depth)
    if kept is not None:
        kept.solved()
    for line in figure_lines(found.figures, found.errors_are):
        log.info("%s", line)
    _tell(verdict)
    return found


def _meshed(
    case: Case,
    stages: Stages,
    comm: MPI.Intracomm,
    seen: Callable[[LabelVolume], None],
    kept: Checkpoints | None,
    like: Meshed | None,
) -> Meshed:
    """The mesh, that of a checkpoint where there is one, or of another case that has the same."""
    if kept is None or not kept.resumed:
        found = mesh_of(case, case.physics.solved, stages, comm, seen=seen, like=like)
        return found if kept is None else kept.meshed(found)
    try:
        found = mesh_of(kept.with_mesh(case), case.physics.solved, stages, comm, seen=seen)
    except InputError as error:
        if "[mesh] file" not in str(error) or case.mesh.file:
            raise
        raise InputError(
            f"--resume: {kept.folder} is a checkpoint of another image than {case.path} names now; take back the "
            "change, or run without --resume"
        ) from error
    return kept.meshed(found)


def _errors(ready: Prepared, transient: Transient, space: SpatialError | None) -> dict[str, Array]:
    """Estimated error of each curve in time and, where it is known, in space, (times,), mol/m^3."""
    problem, zero = ready.problem, np.zeros_like(transient.times)
    in_time = transient.error * problem.scales.concentration
    return {
        # What holds little in equilibrium is integrated to the tolerance times that.
        name: in_time * min(1.0, problem.share_held(ready.means[name].phase_shares))
        + (zero if space is None else space.curves[name])
        for name in transient.curves
    }


def _tell(verdict: Verdict) -> None:
    """What the guard has found."""
    for note in verdict.notes():
        log.info("%s", note)
    for sentence in verdict.sentences():
        log.warning("%s", sentence)


def _integrated(
    ready: Prepared,
    watches: tuple[Guard, SpreadWatch, FaceWatch],
    keeper: Keeper | None,
    passages: Sequence[Passage],
) -> Transient:
    """The solution, with a line on what it took."""
    case, problem, stages = ready.case, ready.problem, ready.stages
    between = () if is_needed(problem) else phase_fluxes(problem, case.physics)

    def seen(time: float, owned: Array) -> None:
        for watch in watches:
            watch.see(time, owned)

    share = Progress(case.physics, case.time, ready.meshed.volume.dim)
    with stages.stage("integration", "integrating") as tell, file_named(case):
        transient = solve(
            problem,
            ready.means,
            case.time,
            case.solver,
            lambda solves, error: tell(f"{solves} solves, error about {error:.0e}", share.of_solves(solves)),
            extra=None if ready.surfaces is None else ready.surfaces.rows,
            reached=lambda steps, t, _: tell(f"{steps} steps, {t:.3g} of {case.time.end:.3g} s", share.at(t)),
            seen=seen,
            between=between,
            keeper=keeper,
            lacking=case.physics if case.mesh.estimate else None,
            passages=passages,
        )
    log.info(
        "%d unknowns, %s: %s, error in time at most %.1e of %.4g mol/m³ (estimated), lithium balance closed to %.1e",
        problem.unknowns,
        transient.method,
        _effort(transient),
        transient.error,
        problem.scales.concentration,
        transient.balance.imbalance,
    )
    return transient


def _effort(transient: Transient) -> str:
    """What a solution took, in words."""
    effort = transient.effort
    if effort is None:
        return f"{transient.solves} solves"
    repeated = effort.rejected + effort.failures
    return f"{effort.steps} steps, {repeated} repeated, {effort.newton_iterations} iterations of Newton's method"


def _with_error_in_space(
    ready: Prepared,
    transient: Transient,
    of_particles: ParticleCurves | None,
    comm: MPI.Intracomm,
    kept: Checkpoints | None,
) -> tuple[Transient, SpatialError | None]:
    """The solution, with corrected curves where that is asked for, and the estimate; told in lines."""
    if not ready.case.mesh.estimate:
        return transient, None
    if ready.case.correct:
        with ready.stages.stage("spatial_error", "correcting the curves"):
            found = corrected(ready, transient, of_particles)
        if found is not None:
            if found[0] is not transient:  # there are regions whose curves are corrected
                log.info("%s", _told_correction(transient, found[0]))
            return found
        log.warning("curves are not corrected: recovered gradients don't tell what they lack")
    return transient, _error_in_space(ready, transient, of_particles, comm, kept)


def _told_correction(own: Transient, found: Transient) -> str:
    """By how much curves were corrected, and what was not."""
    added = {name: np.abs(found.curves[name] - curve) for name, curve in own.curves.items()}
    name = max(added, key=lambda one: float(added[one].max()))
    time = float(own.times[int(added[name].argmax())])
    return (
        f"curves corrected from recovered gradients, by {added[name].max():.2g} mol/m³ at most (region {name}, at "
        f"{time:.3g} s); fields, pictures, fluxes, spreads, profiles, particles and means over surfaces are those of "
        "the elements"
    )


def _error_in_space(
    ready: Prepared,
    transient: Transient,
    of_particles: ParticleCurves | None,
    comm: MPI.Intracomm,
    kept: Checkpoints | None,
) -> SpatialError | None:
    """Estimate and tell it."""
    with ready.stages.stage("spatial_error", "estimating the error in space") as tell:
        space = recovered_error(ready, transient, of_particles)
        if space is not None:
            log.info("error in space estimated %s", space.how)
            return space
        keeper = None if kept is None else kept.channel("error-in-space")
        space = spatial_error(ready.meshed, transient.curves, comm, tell, of_particles, keeper)
    if space is not None:
        log.info("error in space estimated %s (%d unknowns)", space.how, space.unknowns)
    return space


def _through_depth(
    ready: Prepared, transient: Transient, spread: SpreadWatch
) -> tuple[tuple[Profile, ...], Array, dict[str, Spread]]:
    """Profiles at the snapshots, and how the concentration is spread over each region; collective."""
    times = ready.case.time.snapshots
    with ready.stages.stage("profiles", "measuring profiles"):
        states = [None if time == 0.0 else transient.owned(time) for time in times]
        for time, owned in zip(times, states, strict=True):
            if owned is not None:
                spread.look(time, owned)
        found = profiles(ready.problem, ready.case.physics.solved, states) if times else ()
    return found, *spread.spreads()


def _particles(
    ready: Prepared, transient: Transient, of_particles: ParticleCurves | None, space: SpatialError | None
) -> tuple[ParticleTable, ...]:
    """What reaches each particle of the regions `surface`."""
    if ready.surfaces is None:
        return ()
    case, mesh = ready.case, ready.meshed.mesh
    with ready.stages.stage("particles", "measuring particles"):
        return particle_tables(
            ready.surfaces,
            mesh,
            case.physics,
            ready.problem,
            transient,
            case.time.end,
            case.time.snapshots,
            of_particles,
            None if space is None else space.particles,
        )
