"""What a run of a case will take, before anything is made: `estimate(case, ranks)`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from microlith.meshing.mesh.expected import ExpectedMesh, of_mesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.solver.linear.solvers import choose_package
from microlith.solver.regions.shapes import Shell, SurfaceOf
from microlith.workflow.case.case import Case
from microlith.workflow.estimate import costs, model
from microlith.workflow.estimate.size import expected_mesh, foreign_mesh, interface_faces, is_there, mesh_method
from microlith.workflow.estimate.solves import Solves, expected_solves
from microlith.workflow.estimate.trial import tried
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import COARSER, LESS_COARSE, CaseImage, is_less_coarse, is_told_by_quadratic


@dataclass(frozen=True)
class Estimate:
    """About what a run takes on some ranks: within a factor of 1.5 for most cases; no bound."""

    ranks: int
    method: str  # that makes the mesh
    degree: int
    cells: int  # that are solved
    meshed_cells: int  # of all phases that are meshed
    unknowns: int
    solves: int  # linear ones; iterations of Newton's method where `stepped`
    stepped: bool  # whether the problem is nonlinear, and solved step by step
    linear: str  # "mumps", "cg" or, on one rank, "cholmod"
    memory_per_rank: int  # bytes at the peak, of the rank that needs most
    memory: int  # bytes at the peak, of all ranks together
    cpu_seconds: float  # of all ranks, waiting not counted, on the machine of `reference`
    wall_seconds: float  # the same, where each rank has a core
    disk: int  # bytes of the result folder
    checkpoint: int  # bytes of checkpoints while it runs, where there are any
    reference: str = costs.REFERENCE


def estimate(case: Case, ranks: int = 1) -> Estimate:
    """What a run takes; serial: no mesh is made.

    Args:
        case: The case.
        ranks: On which it is to run.

    Raises:
        InputError: The case, or its image, is at fault.
    """
    return estimates(case, (ranks,))[0]


def estimates(case: Case, ranks: Sequence[int]) -> tuple[Estimate, ...]:
    """What a run takes on each of some numbers of ranks; serial: no mesh is made.

    Args:
        case: The case.
        ranks: Numbers of ranks.

    Raises:
        InputError: The case, or its image, is at fault.
    """
    run = expected_run(assemble.check(replace(case, check_memory=False)))  # larger machines are what these are for
    return tuple(_on(run, count) for count in ranks)


def of_checked(found: CaseImage, ranks: int = 1) -> Estimate:
    """The same of a case that is checked already, with its method and degree."""
    return _on(expected_run(found), ranks)


def expected_run(found: CaseImage) -> model.Run:
    """What the costs of a run depend on, of a case that is checked already, with its method and degree."""
    case, volume = found.case, found.volume
    degree = case.degree
    assert degree is not None  # a checked case has one
    foreign = foreign_mesh(found)
    mesh = expected_mesh(found) if foreign is None else of_mesh(foreign, case.physics.solved)
    solves, looser = _solves(found, mesh, foreign)
    sides = sorted(volume.frame, reverse=True)
    own = model.Run(
        dim=volume.dim,
        voxels=float(math.prod(volume.shape)),
        sides=(sides[0], sides[1]),
        faces=interface_faces(volume),
        method=mesh_method(found),
        mesh=mesh,
        degree=degree,
        solves=solves,
        snapshots=len(case.time.snapshots),
        regions=len(case.regions),
        surfaces=any(isinstance(shape, SurfaceOf) for shape in case.regions.values()),
        shells=sum(isinstance(shape, Shell) for shape in case.regions.values()),
        solver=case.solver,
        other=None,
        read=is_there(found),
        foreign=foreign is not None,
    )
    if not case.mesh.estimate:
        return own
    # As `Transient.lacks`, `Transient.steps_lack` and `spatial_error` do it
    simplices = own.method != "voxel"
    if degree == 1 and simplices and (own.solves.stepped or not case.physics.transfers_change):
        return replace(own, recovered=True)
    if degree == 1 and own.foreign:  # there is no estimate
        return own
    quadratic = None
    if is_told_by_quadratic(case.physics, own.method, degree, own.mesh.solved, found.volume.dim):
        quadratic = replace(own, degree=2, solves=looser, remeshed=False)
    if not own.foreign and is_less_coarse(own.method, degree):
        linear = replace(own, degree=1, solves=looser)
        mesh = expected_mesh(found, LESS_COARSE)
        coarser = replace(own, mesh=mesh, solves=looser, other=linear, remeshed=False, read=False)
        return replace(own, other=coarser)
    if simplices and not own.foreign:
        coarser = replace(own, mesh=expected_mesh(found, COARSER), solves=looser, read=is_there(found, COARSER))
        return replace(own, other=replace(coarser, other=quadratic))
    less = replace(own, degree=max(1, degree - 1), solves=looser, differences=degree == 1)
    return replace(own, other=replace(less, other=quadratic), remeshed=False)


def _solves(found: CaseImage, mesh: ExpectedMesh, foreign: ImageMesh | None) -> tuple[Solves, Solves]:
    """Solves of a run, and of the one that its error in space is told from."""
    physics, tolerance, dim = found.case.physics, found.case.time.tolerance, found.volume.dim
    rule, looser = (expected_solves(physics, t, dim) for t in (tolerance, min(0.5, costs.LOOSER * tolerance)))
    trial = tried(found, mesh, foreign)
    if trial is None:
        return rule, looser
    fewer = looser.number / rule.number
    return (
        replace(rule, number=trial.solves, set_ups=trial.set_ups, counted=True),
        replace(looser, number=fewer * trial.solves, set_ups=fewer * trial.set_ups, counted=True),
    )


def _on(run: model.Run, ranks: int) -> Estimate:
    linear = run.linear if run.solves.stepped else choose_package(run.solver.linear, run.linear, run.dim, ranks)
    work, memory = model.work(run), model.memory(run, linear)
    return Estimate(
        ranks=ranks,
        method=run.method,
        degree=run.degree,
        cells=round(run.mesh.solved),
        meshed_cells=round(run.mesh.cells),
        unknowns=round(run.unknowns),
        solves=round(run.solves.number),
        stepped=run.solves.stepped,
        linear=linear,
        memory_per_rank=round(memory.fullest(ranks)),
        memory=round(memory.total(ranks)),
        cpu_seconds=work.shared + work.alone,
        wall_seconds=work.shared / ranks + work.alone,
        disk=round(model.disk(run)),
        checkpoint=round(model.checkpoint(run)),
    )
