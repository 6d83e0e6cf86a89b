"""A case solved once more in another way: another mesh, degree, tolerance or segmentation, the rest as it was."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.half_voxel import Shift, shifted
from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.meshing.methods import METHODS
from microlith.solver.keeping import Keeper
from microlith.solver.problem.problem import Problem, build
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import Shape
from microlith.solver.transient import Transient, solve
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.initial import start_of
from microlith.workflow.prepare.measured_regions import measured_regions
from microlith.workflow.prepare.meshed import Meshed, coarser_mesh, degree_of, file_named, with_areas
from microlith.workflow.results.particle_curves import ParticleCurves, particle_curves
from microlith.workflow.studies.moved_interfaces import moved_mesh

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    """What is done otherwise."""

    coarseness: float = 1.0  # of the elements, per what the case asks for
    degree: int | None = None  # None: the case's
    tolerance: float | None = None  # in time; None: the case's
    finer_image: bool = False  # whether the image is on voxels of half the edge
    shift: Shift | None = None  # of interfaces, by half a voxel; on finer voxels only
    at_corners: bool = False  # whether integrals over cells are taken by the values at their corners (see `build`)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a variant gives: curves and figures; the same on all ranks."""

    variant: Variant
    degree: int
    tolerance: float
    cells: int
    unknowns: int
    times: Array  # s
    curves: dict[str, Array]  # region -> mean concentration, mol/m^3
    reference: float  # concentration that counts as 1 in errors, mol/m^3
    holds: dict[str, float]  # region -> largest mean that it has, or would have in equilibrium, mol/m^3
    error_in_time: float  # estimated, per reference
    imbalance: float  # lithium unaccounted for, per amount exchanged
    particles: ParticleCurves | None  # None: not asked for, or there are none
    t50: dict[str, float | None]  # region -> s
    t90: dict[str, float | None]
    seconds: float
    lost: tuple[str, ...] = ()  # regions of the case of which this mesh has nothing, so that there is no curve
    phase_cells: tuple[int, ...] = ()  # cells in each phase, over all ranks

    @property
    def relative(self) -> dict[str, Array]:
        """Curves per reference concentration."""
        return {name: np.divide(curve, self.reference) for name, curve in self.curves.items()}


def outcome_of(
    variant: Variant,
    case: Case,
    cells: int,
    problem: Problem,
    means: Mapping[str, RegionMean],
    transient: Transient,
    seconds: float,
    particles: ParticleCurves | None = None,
) -> Outcome:
    """A solution as the outcome of a variant.

    Args:
        variant: What it is.
        case: As it was solved, with its degree.
        cells: Over all ranks.
        problem: That was solved.
        means: Its regions.
        transient: The solution.
        seconds: That it took.
        particles: What reaches particles, where that is asked for.
    """
    shares = {name: means[name].phase_shares for name in transient.curves}
    references = {name: problem.reference_of(share) for name, share in shares.items()}
    return Outcome(
        variant=variant,
        degree=case.degree or 0,
        tolerance=case.time.tolerance,
        cells=cells,
        unknowns=problem.unknowns,
        times=transient.times,
        curves=transient.curves,
        reference=problem.scales.concentration,
        holds={name: problem.held_at_most(shares[name], curve) for name, curve in transient.curves.items()},
        error_in_time=transient.error,
        imbalance=transient.balance.imbalance,
        particles=particles,
        t50={name: transient.first_time(name, 0.5 * full) for name, full in references.items()},
        t90={name: transient.first_time(name, 0.9 * full) for name, full in references.items()},
        seconds=seconds,
    )


def solved_variant(
    meshed: Meshed,
    variant: Variant,
    comm: MPI.Intracomm,
    tell: Tell | None = None,
    *,
    particles: bool = False,
    keeper: Keeper | None = None,
    partly: bool = False,
) -> Outcome:
    """Mesh and solve a variant of a case; collective.

    Args:
        meshed: The case with its image, and its own mesh, which is taken where the variant does not ask for another.
        variant: What is done otherwise.
        comm: All ranks.
        tell: Called with a short sentence on how far it is.
        particles: Whether the curves of the particles of regions `surface` are wanted.
        keeper: Of what the integration finds.
        partly: Whether to go on without regions that miss the solved phases on this mesh, as long as others don't.

    Raises:
        InputError: A region misses the solved phases on this mesh, or its label image is at fault.
        Exception: What meshing or integration raise where they fail.
    """
    say = tell or (lambda _: None)
    start = time.perf_counter()
    case = _case_of(meshed, variant)
    with file_named(case):
        if variant.coarseness != 1.0 or variant.finer_image:
            say("meshing")
            meshed = _on_its_mesh(with_areas(meshed, case.physics), case, variant, comm)
        meshed = with_areas(meshed, case.physics)
        say("assembling")
        degree, at_corners = degree_of(case, meshed.volume.dim), variant.at_corners
        problem = build(
            meshed.mesh, case.physics, degree, case.time.end, at_corners=at_corners, start=start_of(case, meshed.mesh)
        )
    measured = measured_regions(case, meshed, problem, as_imaged=not variant.finer_image)
    means, surfaces = measured.means, measured.surfaces if particles else None
    lost = tuple(name for name, mean in means.items() if mean.solved_measure <= 0)
    if lost and not (partly and len(lost) < len(means)):
        raise InputError(f"{case.path}: [regions.{lost[0]}]: no part of it lies in a solved phase")
    means = {name: mean for name, mean in means.items() if name not in lost}
    transient = solve(
        problem,
        means,
        case.time,
        case.solver,
        lambda solves, error: say(f"{solves} solves, error about {error:.0e}"),
        extra=None if surfaces is None else surfaces.rows,
        reached=lambda steps, t, _: say(f"{steps} steps, {t:.3g} of {case.time.end:.3g} s"),
        keeper=keeper,
    )
    found = None if surfaces is None else particle_curves(surfaces, transient, case.time.end)
    lacks = transient.lacks(case.physics) if case.correct else None
    if lacks is not None:
        transient = transient.corrected(lacks, correctable(means, measured.shapes))
    seconds = comm.allreduce(time.perf_counter() - start, op=MPI.MAX)
    outcome = outcome_of(variant, case, meshed.cells, problem, means, transient, seconds, found)
    problem.destroy()
    return replace(outcome, lost=lost, phase_cells=tuple(int(n) for n in meshed.cells_of_phases()))


def correctable(means: Mapping[str, RegionMean], shapes: Mapping[str, Shape]) -> dict[str, RegionMean]:
    """Regions whose curves recovered gradients make better: not surfaces, at which they know less."""
    return {name: mean for name, mean in means.items() if not shapes[name].is_surface}


def _case_of(meshed: Meshed, variant: Variant) -> Case:
    """The case with what the variant does otherwise, but for the mesh."""
    case = meshed.case
    tolerance = variant.tolerance or case.time.tolerance
    return replace(
        case,
        degree=variant.degree or degree_of(case, meshed.volume.dim),
        mesh=replace(case.mesh, method=meshed.method, coarseness=variant.coarseness),
        time=replace(case.time, tolerance=tolerance),
    )


def _on_its_mesh(meshed: Meshed, case: Case, variant: Variant, comm: MPI.Intracomm) -> Meshed:
    """The case on the variant's mesh, with areas of the image, which is another one where interfaces are moved."""
    mesh = _mesh(meshed, case, variant, comm)
    if variant.shift is None:
        return replace(meshed, mesh=replace(mesh, smooth=meshed.mesh.smooth), image_mesh=None)
    moved = shifted(meshed.volume, variant.shift, comm)
    found = with_areas(replace(meshed, mesh=mesh, volume=moved, areas={}), case.physics)
    return replace(meshed, mesh=found.mesh, areas=found.areas, image_mesh=None)


def _mesh(meshed: Meshed, case: Case, variant: Variant, comm: MPI.Intracomm) -> PhaseMesh:
    solved, method = list(case.physics.solved), METHODS[meshed.method]
    if not variant.finer_image:
        kept = meshed.coarser
        if kept is not None and variant.coarseness in kept:
            return kept[variant.coarseness]
        found = method.phase_mesh(coarser_mesh(meshed, case.mesh, solved, comm), solved, comm)
        if kept is not None:
            kept[variant.coarseness] = found
        return found
    moved = moved_mesh(meshed, case.mesh, solved, variant.shift, comm)
    if moved is None:
        raise InputError("nothing is left of the solved phases where interfaces move by half a voxel")
    return moved


def is_everywhere(error: Exception, comm: MPI.Intracomm) -> bool:
    """Whether all ranks have this error of `solved_variant`, so that they can go on without its outcome.

    Of any but these the other ranks may know nothing, and would wait for this one for ever.
    """
    return comm.size == 1 or isinstance(error, InputError | ArithmeticError)
