"""A case on its mesh, ready for integration: checked, meshed, assembled, its regions measured."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import of_root, on_root
from microlith.imaging.typing import Array
from microlith.meshing.mesh.export import contents, write_mesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.methods import method_name
from microlith.solver.problem.islands import Island, islands
from microlith.solver.problem.problem import Problem, build
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import Shape, Shell
from microlith.solver.times import EARLIEST
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.fidelity import fidelity_lines, print_fidelity
from microlith.workflow.prepare.first_time import with_first
from microlith.workflow.prepare.initial import start_of
from microlith.workflow.prepare.interfaces import interface_warnings
from microlith.workflow.prepare.measured_regions import measured_regions
from microlith.workflow.prepare.meshed import (
    COARSER,
    CaseImage,
    Meshed,
    coarser_mesh,
    degree_of,
    file_named,
    is_less_coarse,
    mesh_of,
    read_image,
    with_areas,
)
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.prepare.region_shares import shell_share, solved_flags
from microlith.workflow.prepare.stored_mesh import recipe_of, stored_recipe, with_options_of
from microlith.workflow.storage.mesh_file import SUFFIX, write_mesh_file

log = logging.getLogger(__name__)
ALL = {2: 0.999, 3: 0.99}  # by dimension: share of a region that counts as all of it, as far as chords measure bodies
LITTLE = 1e-3  # of the solved part of the smallest region: a part of no more that nothing feeds is told in a note
MOST_TOLD = 5  # parts that nothing feeds
THIN_SHELL = 2.0  # pixels: of a thinner shell, pixels can't tell how much lies in which phase


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case up to where integration starts."""

    case: Case  # with the method and the degree that were taken
    meshed: Meshed
    problem: Problem
    means: dict[str, RegionMean]  # by region name
    shapes: dict[str, Shape]  # regions by name, one label each
    apart: tuple[Island, ...]  # parts that nothing feeds
    surfaces: ParticleSurfaces | None  # of the regions `surface`
    stages: Stages  # with the times so far

    @property
    def timings(self) -> dict[str, float]:
        """Stage -> s."""
        return self.stages.timings

    @property
    def watch(self) -> Array:
        """Functionals of the region means, (regions, owned)."""
        return np.array([mean.weights for mean in self.means.values()])


def check(case: Case) -> CaseImage:
    """Raise InputError for everything wrong with a case that can be known without solving; serial.

    Args:
        case: As loaded.

    Returns:
        The image, and the case with the method and the degree that a run would take.
    """
    with file_named(case):
        found = read_image(case, MPI.COMM_SELF)
        dim = found.volume.dim
        solved = found.case.physics.solved
        if case.mesh.file and case.mesh.unit is None:
            mesh = with_options_of(found.case, stored_recipe(found.case, found.volume, solved, MPI.COMM_SELF)).mesh
        else:
            mesh = replace(found.case.mesh, method=method_name(case.mesh, dim))
    return replace(found, case=replace(found.case, mesh=mesh, degree=degree_of(case, dim)))


def mesh(case: Case, output: Path | None, comm: MPI.Intracomm = MPI.COMM_WORLD, *, show: bool = True) -> Meshed:
    """Mesh the case's image, print the fidelity report, and write the mesh to `output` if given; collective.

    Without `show` the report is told in the log, of which a silent command shows nothing.
    """
    meshed = mesh_of(case, case.physics.solved, Stages(), comm)
    on_root(comm, _print_report if show else log_report, meshed)
    if output is not None:
        write_cells_of(meshed, output, comm)
        if comm.rank == 0:
            log.info("mesh: %s (%s)", output, contents(output, meshed.mesh.names))
    return meshed


def write_cells_of(meshed: Meshed, path: Path, comm: MPI.Intracomm) -> None:
    """Write all cells of a mesh, of unsolved phases too, to one file; collective.

    A file for `[mesh] file` gets the mesh of larger cells as well that the error in space is told from.

    Raises:
        InputError: The file can't be written.
    """
    assert meshed.image_mesh is not None  # only variants are without
    if path.suffix == SUFFIX:
        recipe = recipe_of(meshed.case, meshed.volume, meshed.method, meshed.case.physics.solved, comm)
        write_mesh_file(path, recipe, meshed.image_mesh, _coarser(meshed, comm), comm)
    else:
        write_mesh(path, meshed.image_mesh, comm)


def _coarser(meshed: Meshed, comm: MPI.Intracomm) -> ImageMesh | None:
    """The mesh that the error in space is told from, where it is told from a mesh; collective."""
    case = meshed.case
    if not case.mesh.estimate or meshed.method == "voxel" or case.mesh.unit is not None:
        return None
    if is_less_coarse(meshed.method, degree_of(case, meshed.volume.dim)):
        return None  # files of meshes have one that is twice as coarse
    options = replace(case.mesh, method=meshed.method, coarseness=COARSER)
    try:
        return coarser_mesh(meshed, options, case.physics.solved, comm)
    except (InputError, ArithmeticError):  # which the run tells when it comes to that
        return None


def prepared(case: Case, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Prepared:
    """Mesh and assemble a case, ready for integration; collective.

    Raises:
        InputError: The case or its image is at fault.
    """
    stages = Stages()
    meshed = mesh_of(case, case.physics.solved, stages, comm)
    return assembled(meshed.case, meshed, stages)


def _print_report(meshed: Meshed) -> None:
    report = of_root(meshed.report)
    print_fidelity(report)
    for note in report.notes():
        log.info("%s", note)
    for warning in report.warnings(meshed.case.mesh):
        log.warning("%s", warning)


def log_report(meshed: Meshed) -> None:
    """Tell in a few lines how well the mesh renders the image; on rank 0."""
    report = of_root(meshed.report)
    for line in (*fidelity_lines(report), *report.notes()):
        log.info("%s", line)
    for warning in report.warnings(meshed.case.mesh):
        log.warning("%s", warning)


def assembled(case: Case, meshed: Meshed, stages: Stages) -> Prepared:
    """Assemble a case on its mesh and find what its regions need; collective.

    Raises:
        InputError: A region misses the solved phases, or its label image is at fault.
    """
    with stages.stage("surface_areas", "measuring surfaces"), file_named(case):
        meshed = with_areas(meshed, case.physics)
    mesh = meshed.mesh
    dim = len(mesh.extent)
    degree = degree_of(case, dim)
    case = replace(case, degree=degree, mesh=replace(case.mesh, method=meshed.method))
    with stages.stage("assembly", "assembling"), file_named(case):
        problem = build(mesh, case.physics, degree, case.time.end, start=start_of(case, mesh))
        case, meshed = _with_first_time(case, meshed, problem)
    with stages.stage("regions", "measuring regions"):
        regions = measured_regions(case, meshed, problem)
        shapes = regions.shapes
        means = regions.means
        shares = regions.shares | _shell_shares(case, meshed, shapes, regions.of_shells)
        means |= {name: replace(means[name], solved_share=share) for name, share in shares.items()}
        for name, mean in means.items():
            if mean.solved_measure <= 0:
                raise InputError(f"{case.path}: [regions.{name}]: no part of it lies in a solved phase; move it")
            if mean.solved_share < ALL[dim] and not shapes[name].is_surface:
                log.info("region %s: %.1f %% of it is solved for", name, 100 * mean.solved_share)
        apart = islands(problem.discretization, problem.system.parts, case.physics)
        if case.initial is not None:  # what they settle at is not told by the largest concentrations
            none = tuple(np.nan for _ in case.physics.phases)
            apart = tuple(
                replace(one, initial=none[: len(one.phases)], settles=none[: len(one.phases)]) for one in apart
            )
    for sentence in interface_warnings(problem, mesh, case.physics, meshed.volume, case.mesh.periodic):
        log.warning("%s", sentence)
    _tell_islands(apart, [mean for name, mean in means.items() if not shapes[name].is_surface], dim)
    return Prepared(case, meshed, problem, means, shapes, apart, regions.surfaces, stages)


def _with_first_time(case: Case, meshed: Meshed, problem: Problem) -> tuple[Case, Meshed]:
    """The case, and that of its mesh, which variants are made of, with the first of the default times; collective."""
    time = with_first(case.time, problem, case.physics, meshed.volume.dim)
    if time.first != case.time.first and time.first is not None and time.first > EARLIEST * time.end:
        log.info(
            "curves start at %.2g s, when lithium has come a quarter of an element far; [time] first or times ask for "
            "earlier ones",
            time.first,
        )
    return replace(case, time=time), replace(meshed, case=replace(meshed.case, time=time))


def _tell_islands(apart: Sequence[Island], means: Sequence[RegionMean], dim: int) -> None:
    """Parts that nothing feeds: warnings of what counts in some region, and in a note how much the rest is."""
    whole = min((mean.solved_measure for mean in means), default=0.0)
    much = [island for island in apart if island.measure > LITTLE * whole]
    for island in much[:MOST_TOLD]:
        log.warning("%s", _told(island, dim))
    if len(much) > MOST_TOLD:
        log.warning("and %d more such parts: see islands in summary.json", len(much) - MOST_TOLD)
    little = apart[len(much) :]  # the largest come first
    if little:
        size = f"{sum(island.measure for island in little) * 1e6**dim:.2g} {'µm²' if dim == 2 else 'µm³'}"
        log.info(
            "no source reaches %d %s, %s together: see islands in summary.json",
            len(little),
            "small part" if len(little) == 1 else "small parts",
            size,
        )


def _told(island: Island, dim: int) -> str:
    """That nothing feeds a part, and what becomes of the lithium in it."""
    where = ", ".join(f"{x * 1e6:.3g}" for x in island.center)
    size = f"{island.measure * 1e6**dim:.3g} {'µm²' if dim == 2 else 'µm³'}"
    if island.decays:
        kept = "the lithium in it decays"
    elif island.is_even:
        kept = "it keeps its initial concentration"
    elif np.isnan(island.settles).any():
        kept = "it keeps its lithium, which evens out"
    else:
        levels = [f"{c:.4g} mol/m³" for c in island.settles]
        evens = [f"{level} in {name}" for level, name in zip(levels, island.phases, strict=True)]
        kept = f"it keeps its lithium, which evens out to {levels[0] if len(set(levels)) == 1 else _and(evens)}"
    return f"no source reaches the part of {_and(island.phases)} around ({where}) µm, {size}: {kept}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _shell_shares(
    case: Case, meshed: Meshed, shapes: Mapping[str, Shape], known: Mapping[str, float]
) -> dict[str, float]:
    """What the voxels say of the shells: in 3D the share that is solved for; in 2D the means know it."""
    shares: dict[str, float] = {}
    for name, shape in shapes.items():
        if not isinstance(shape, Shell) or shape.in_phase is not None:
            continue
        if shape.distance < THIN_SHELL * meshed.mesh.unit:
            shares[name] = np.nan
        elif meshed.volume.dim == 3:
            solved, comm = solved_flags(case), meshed.mesh.mesh.comm
            shares[name] = known[name] if name in known else shell_share(meshed.volume, shape, solved, comm)
    return shares
