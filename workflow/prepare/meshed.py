"""From a case to its mesh: read the image, hold the case against it, mesh it, and compare mesh and image."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import LONGEST_SENTENCE, InputError, listed, printable
from microlith.imaging.image.load import label_volume, whole_on_root
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.microstructure.adjacency import Adjacency, adjacency
from microlith.imaging.microstructure.coarsening import coarsening
from microlith.imaging.options import DEGREE, MeshMethod, MeshOptions
from microlith.imaging.typing import Numbers
from microlith.meshing.distribution.compilation import share_compiled_forms
from microlith.meshing.fidelity.compare import fidelity
from microlith.meshing.fidelity.report import FidelityReport
from microlith.meshing.fidelity.surface_areas import SurfaceArea, surface_areas, with_areas_of_image
from microlith.meshing.mesh.phasemesh import ImageMesh, PhaseMesh
from microlith.meshing.methods import FOREIGN, METHODS, ImageToMesh, method_name
from microlith.solver.physics.phases import Physics
from microlith.solver.surfaces.passing import passing
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.checks import check_against_volume
from microlith.workflow.prepare.connectivity import as_loaded, with_connectivity
from microlith.workflow.prepare.initial import with_initial
from microlith.workflow.prepare.label_images import check_labels
from microlith.workflow.prepare.stored_mesh import (
    stored_coarser_mesh,
    stored_mesh,
    stored_recipe,
    with_options_of,
)
from microlith.workflow.storage.foreign_mesh import foreign_image_mesh

log = logging.getLogger(__name__)
COARSER = 2.0  # of the mesh that the error in space is told from, per size: at 1.6, with its r - 1 = 0.6, some curves
# of the demo were off by more than the estimate
# The same of degree 2 and more on a lattice, which errs less, but by how closely it follows the image
LESS_COARSE = 2.0**0.5
QUADRATIC = 30_000  # unknowns of degree 2 up to which these tell of the error of degree 1 as well
PER_SIMPLEX = 2  # of these unknowns, per triangle; fewer per tetrahedron
# Coefficient of a transfer through a surface, per what diffuses across a voxel, that leaves the surface nearly held:
# what a smooth mesh has too much of its area changes curves by some ten-thousandths of the source at most
AS_IF_HELD = 100.0
WORTH_TELLING = 1.005  # area of steps per that of the surface that they stand for


@dataclass(frozen=True, eq=False)
class CaseImage:
    """A case and its image, in agreement with each other."""

    case: Case  # as its image makes it: sources that are not all connected to their face are split
    volume: LabelVolume  # the image, read in windows
    image: LabelImage | None  # the whole image, in 2D and on rank 0 only
    neighbours: Adjacency | None = (
        None  # of its phases, periodic faces included; None: the case was not held against it
    )


@dataclass(frozen=True, eq=False)
class Meshed:
    """What meshing leaves."""

    case: Case  # as its image makes it, see CaseImage; its phases are those of volume and mesh
    volume: LabelVolume  # the image, read in windows
    image: LabelImage | None  # the whole image, in 2D and on rank 0 only
    method: MeshMethod  # that made the mesh
    image_mesh: ImageMesh | None  # this rank's cells of all phases; None where `mesh` is another one, of a variant
    report: FidelityReport | None  # on rank 0
    mesh: PhaseMesh
    coarser: dict[float, PhaseMesh] | None = None  # coarseness -> mesh, for cases that come after; None: none are kept
    # Of surfaces that lithium passes in proportion to their area, by their facet tags; None: of planes along voxels
    areas: Mapping[int, SurfaceArea | None] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Number of cells of `mesh`, over all ranks."""
        topology = self.mesh.mesh.topology
        return int(topology.index_map(topology.dim).size_global)

    def cells_of_phases(self) -> Numbers:
        """Number of cells of `mesh` in each phase, over all ranks; collective."""
        mesh, tags = self.mesh.mesh, self.mesh.cell_tags
        own = tags.values[tags.indices < mesh.topology.index_map(mesh.topology.dim).size_local]
        counts = np.bincount(own, minlength=len(self.mesh.names)).astype(np.int64)
        return np.asarray(mesh.comm.allreduce(counts, op=MPI.SUM))


def mesh_of(
    case: Case,
    solved: Sequence[int],
    stages: Stages,
    comm: MPI.Intracomm,
    *,
    check: bool = True,
    seen: Callable[[LabelVolume], None] | None = None,
    like: Meshed | None = None,
    image: CaseImage | None = None,
) -> Meshed:
    """Read the image of a case and mesh it; collective.

    Args:
        case: What to mesh and how; `auto` means fitted in 2D and lattice in 3D.
        solved: Indices of the phases that the mesh is for.
        stages: Takes the times.
        comm: The ranks that share the mesh.
        check: Whether physics, regions and sizes are held against the image first.
        seen: Gets the image before it is meshed; collective.
        like: Another case, meshed by the same ranks: where neither image nor mesh differ, its mesh is taken.
        image: What `read_image` found for the case, where that has been done.

    Raises:
        InputError: The image or what the case says of it is at fault.
    """
    share_compiled_forms()
    with file_named(case):
        found = image
        if found is None:
            with stages.stage("image", "reading the image"):
                found = read_image(case, comm, check)
        if seen is not None:
            seen(found.volume)
        case, volume, whole = found.case, found.volume, found.image
        if like is not None and _is_same_mesh(like, case, volume, solved):
            log.info("the mesh is that of the case before")
            return replace(like, case=case, volume=volume, image=whole)
        if case.mesh.file and case.mesh.unit is not None:
            name = FOREIGN
            with stages.stage("mesh", "reading the mesh"):
                path, unit = Path(case.mesh.file), case.mesh.unit
                image_mesh = foreign_image_mesh(path, unit, *of_tags(case), volume.names, volume.unit, comm)
        elif case.mesh.file:
            with stages.stage("mesh", "reading the mesh"):
                recipe = stored_recipe(case, volume, solved, comm)
                case = with_options_of(case, recipe)
                image_mesh = stored_mesh(case, recipe, comm)
            name = recipe.method
        else:
            name = method_name(case.mesh, volume.dim)
            with stages.stage("mesh", "meshing") as tell:
                given = ImageToMesh(volume, case.mesh, solved, comm, whole, tell, case.check_memory)
                image_mesh = METHODS[name].image_mesh(given)
        with stages.stage("fidelity", "comparing mesh and image"):
            report = fidelity(volume, image_mesh, solved, comm)
        with stages.stage("distribution", "distributing the mesh"):
            mesh = METHODS[name].phase_mesh(image_mesh, solved, comm)
    return Meshed(case, volume, whole, name, image_mesh, report, mesh)


def _is_same_mesh(like: Meshed, case: Case, volume: LabelVolume, solved: Sequence[int]) -> bool:
    """Whether a case has the image and the mesh of another, and solves for the same phases on it."""
    other = like.case
    return (
        like.image_mesh is not None
        and (case.image, case.labels) == (other.image, other.labels)
        and case.image.held is other.image.held
        and replace(case.mesh, estimate=True) == replace(other.mesh, estimate=True)
        and list(solved) == list(other.physics.solved)
        and [phase.connected_to for phase in case.physics.phases]
        == [phase.connected_to for phase in other.physics.phases]
        and (volume.shape, volume.voxel_size, tuple(volume.counts))
        == (like.volume.shape, like.volume.voxel_size, tuple(like.volume.counts))
    )


def of_tags(case: Case) -> tuple[dict[int, int], int | None]:
    """Tag -> index of the phase, of cells in a mesh of another program; and that of the phase that takes the rest."""
    found: dict[int, int] = {}
    for index, labels in enumerate(case.labels):
        found |= {int(label): index for label in labels.labels if isinstance(label, int)}
        found |= {label: index for first, last in labels.ranges for label in range(first, last + 1)}
    return found, next((index for index, labels in enumerate(case.labels) if labels.rest), None)


def coarser_mesh(meshed: Meshed, options: MeshOptions, solved: Sequence[int], comm: MPI.Intracomm) -> ImageMesh:
    """The mesh of a case with other sizes: from the file of its mesh where it is there; collective."""
    if meshed.case.mesh.file and options.coarseness == COARSER:
        found = stored_coarser_mesh(meshed.case, comm)
        if found is not None:
            return found
    given = ImageToMesh(meshed.volume, options, solved, comm, meshed.image, check_memory=meshed.case.check_memory)
    return METHODS[meshed.method].image_mesh(given)


def with_areas(meshed: Meshed, physics: Physics) -> Meshed:
    """A mesh with the areas of surfaces that lithium passes in proportion to these; collective.

    On squares and cubes the image's areas count. Nothing is measured on meshes of other programs, of which the image
    is made, nor where there are no such surfaces, or errors are not asked for.

    Args:
        meshed: The image and its mesh.
        physics: With transfers, sinks and exchanges.

    Raises:
        InputError: The image can't be read.
    """
    if meshed.case.mesh.unit is not None:
        return meshed
    if meshed.method != "voxel" and not meshed.case.mesh.estimate:
        return meshed
    below = np.inf
    if meshed.method != "voxel":  # whose areas are nearly right: no more is asked than whether they matter
        fastest = max((physics.phases[i].effective_diffusivity or np.inf for i in physics.solved), default=np.inf)
        below = AS_IF_HELD * fastest / meshed.volume.unit
    tags = sorted({tag for some in passing(meshed.mesh, physics, below).values() for tag in some})
    if all(tag in meshed.areas for tag in tags):
        return meshed
    found = surface_areas(meshed.volume, meshed.mesh, tags, meshed.mesh.mesh.comm)
    mesh = with_areas_of_image(meshed.mesh, found) if meshed.method == "voxel" else meshed.mesh
    larger = max((1.0 / share for share in mesh.smooth.values()), default=1.0)
    if larger > WORTH_TELLING and mesh.mesh.comm.rank == 0:
        log.info(
            "lithium passes surfaces by their areas in the image: those of the %s are up to %.2f times as large",
            "pixels" if meshed.volume.dim == 2 else "voxels",
            larger,
        )
    return replace(meshed, mesh=mesh, areas=found)


@contextmanager
def file_named(case: Case) -> Iterator[None]:
    """Put the case file before messages that begin with a key: meshing knows the keys, but not the file."""
    try:
        yield
    except InputError as error:
        if not str(error).startswith("["):
            raise
        raise InputError(f"{case.path}: {error}") from error


def is_less_coarse(method: str, degree: int) -> bool:
    """Whether the mesh that the error in space is told from is LESS_COARSE, and linear elements are compared, too."""
    return method == "lattice" and degree > 1


def is_told_by_quadratic(physics: Physics, method: str, degree: int, cells: float, dim: int) -> bool:
    """Whether elements of degree 2 tell of the error of degree 1, besides finite differences or a coarser mesh.

    Args:
        physics: Of the case.
        method: Of the mesh.
        degree: Of the elements.
        cells: Of the mesh.
        dim: Of the image.
    """
    if method == "voxel":
        return degree == 1 and cells * 2**dim <= QUADRATIC and stays_bent(physics)
    return degree == 1 and cells * PER_SIMPLEX <= QUADRATIC


def stays_bent(physics: Physics) -> bool:
    """Whether a concentration bends between nodes even when all has settled, which finite differences lack as well."""
    phases = [physics.phases[i] for i in physics.solved]
    return physics.changes or any(phase.law is not None or phase.decay > 0.0 for phase in phases)


def degree_of(case: Case, dim: int) -> int:
    """Degree of the elements for an image of `dim` dimensions."""
    return case.degree or DEGREE[dim]


def read_image(case: Case, comm: MPI.Intracomm, check: bool = True) -> CaseImage:
    """The image of a case, and the case with the phases of the image; collective.

    Args:
        case: With its image.
        comm: All ranks.
        check: Whether the roles of the phases count: the case is then held against the image, what of a source is not
            connected to its face becomes a phase of its own, and rank 0 logs what is perhaps not meant.

    Raises:
        InputError: The image can't be read, or the case does not fit it.
    """
    case = as_loaded(case)
    volume = _with_coarsening(case, label_volume(case.image, case.labels, comm), comm)
    beyond = tuple(AXES.index(axis) for axis in case.mesh.periodic if axis in AXES[: volume.dim])
    volume = replace(volume, periodic=beyond)
    _warn([f"{case.path}: {sentence}" for sentence in volume.origin.warnings], comm)
    if check:
        case, volume = with_connectivity(case, volume, comm)
    if check:
        case = with_initial(case, volume.extent, comm)
    image = whole_on_root(volume, comm) if volume.dim == 2 else None
    if not check:
        return CaseImage(case, volume, image)
    within = adjacency(volume, comm)
    warnings = check_against_volume(case, volume, comm, image, within)
    check_labels(case, volume, comm)
    _warn(warnings, comm)
    return CaseImage(case, volume, image, within.repeated(case.mesh.periodic))


def _warn(sentences: Sequence[str], comm: MPI.Intracomm) -> None:
    for sentence in sentences if comm.rank == 0 else ():
        log.warning("%s", printable(sentence, LONGEST_SENTENCE))


def _with_coarsening(case: Case, volume: LabelVolume, comm: MPI.Intracomm) -> LabelVolume:
    """The volume with what is to be said of its having been coarsened, and without the finer one; collective."""
    changes = coarsening(volume, comm)
    much = [change.words() for change in changes if change.much]
    key = f"[image] coarsen = {case.image.coarsen} loses or joins thin parts of phases"
    warnings = [f"{key}: {listed(much)}; coarsen less if these matter"] if much else []
    origin = replace(
        volume.origin,
        coarsening=tuple(change.words() for change in changes),
        warnings=(*volume.origin.warnings, *warnings),
    )
    return replace(volume, origin=origin, before=None)
