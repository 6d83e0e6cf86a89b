"""How many solves a run takes, counted on a few cells of its image with the same physics, loads and times.

What decides about them are the law and the loads, the times, the tolerance, and the rates of the modes that are there:
from the slowest one of the image to the fastest one that the elements resolve. A few cells have either the one or the
other, so there are two trials, on squares or cubes: the whole image coarsely, and a part of it with as many unknowns
per volume as the mesh will have. Rational Krylov needs as many solves as the modes of both together ask for: a linear
problem is solved with both trials side by side as one. Steps are as short as the trial asks for that needs the shorter
ones at that time: of a nonlinear problem the larger number of iterations counts, time by time.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.options import MeshMethod
from microlith.imaging.typing import Array
from microlith.meshing.distribution.compilation import share_compiled_forms
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.methods import FOREIGN, METHODS, PERIODIC, ImageToMesh
from microlith.solver.krylov.evolution import evolve
from microlith.solver.krylov.joined import joined
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.options import TimeSpan
from microlith.solver.physics.courses import Course, course_of
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.problem.problem import Problem, build
from microlith.solver.problem.system import LinearSystem
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import LabelRegion, Region, Shape, Shell
from microlith.solver.times import EARLIEST, output_times
from microlith.solver.transient import solve
from microlith.workflow.case.case import Case
from microlith.workflow.estimate import costs, excerpt
from microlith.workflow.estimate.progress import Progress
from microlith.workflow.prepare.first_time import LATEST, LAYER
from microlith.workflow.prepare.initial import start_of
from microlith.workflow.prepare.measured_regions import measured_regions
from microlith.workflow.prepare.meshed import CaseImage, Meshed

# By dimension and degree. More of them change the number of solves by a few
MOST_CELLS = {(2, 1): 4000, (2, 2): 2000, (2, 3): 800, (3, 1): 3000, (3, 2): 600, (3, 3): 200}
MOST_STEPPED = {(2, 1): 1200, (2, 2): 600, (2, 3): 250, (3, 1): 500, (3, 2): 150, (3, 3): 60}  # of nonlinear problems
OWN = {2: 30_000, 3: 6000}  # unknowns on the mesh of another program that is taken itself, by dimension;
OWN_STEPPED = {2: 2000, 3: 600}  # of nonlinear problems
MORE = 1.5  # times as many cells as these may be in the whole image for a part to be of no use
LONGEST = 3**0.5  # edge of a cell's longest side, a cube's diagonal, per the distance of its vertices
MOST_ITERATIONS = 1500  # of Newton's method in a trial; of longer ones the rest is taken to be like that
RESTARTS = 4  # jumps of transfer coefficients that take as long as the rest
INNER = 1e-9  # unused tolerance of iterations: trials are solved by factors
STIFF = 1e-7  # as of runs with a tolerance of 1e-5 and more

log = logging.getLogger(__name__)


class _Enough(Exception):
    """A trial took as long as it may."""


@dataclass(frozen=True)
class _Course:
    """Iterations of a nonlinear trial against time."""

    times: Array  # (steps + 1,) s, from 0
    solves: Array  # (steps + 1,) up to there
    set_ups: float  # of what solves linear equations, per iteration


@dataclass(frozen=True)
class Tried:
    """What a trial took."""

    solves: float  # linear ones, or iterations of Newton's method
    set_ups: float = 0.0  # of these, such that need new factors or multigrid; of nonlinear problems only


@dataclass(frozen=True)
class _Ready:
    """A case on a few cells."""

    case: Case
    problem: Problem
    means: dict[str, RegionMean]

    @property
    def watch(self) -> Array:
        """Functionals (regions and the whole, unknowns) that are to be right."""
        whole = self.problem.amount / self.problem.amount.sum()
        return np.array([*(mean.weights for mean in self.means.values()), whole])


def tried(found: CaseImage, mesh: ExpectedMesh, foreign: ImageMesh | None = None) -> Tried | None:
    """What a case takes on a few cells; serial.

    None where nothing is solved, or where that fails for whatever reason: the case can be checked and run all the same.

    Args:
        found: The case, in agreement with its image, with its degree.
        mesh: As it is expected to be.
        foreign: Where it is that of another program.
    """
    share_compiled_forms()
    ready: list[_Ready] = []
    dim = found.volume.dim
    try:
        if foreign is not None and _is_small(found, mesh):
            ready.append(_on_its_mesh(found, foreign))
        for case, volume in [] if ready else _excerpts(found, mesh):
            ready.append(_built(case, volume))
        if not ready:
            return None
        if found.case.physics.is_stepped:
            return _together([_stepped(one, dim) for one in ready])
        return Tried(_linear(ready, dim))
    except Exception as error:
        log.debug("solves are not counted on a few cells: %s: %s", type(error).__name__, error)
        return None
    finally:
        for one in ready:
            one.problem.destroy()


def _is_small(found: CaseImage, mesh: ExpectedMesh) -> bool:
    """Whether the mesh of another program is as quickly solved on as a few cells of an image."""
    case, dim = found.case, found.volume.dim
    most = OWN_STEPPED[dim] if case.physics.is_stepped else OWN[dim]
    return 0 < mesh.unknowns(case.degree or 1) <= most


def _on_its_mesh(found: CaseImage, image_mesh: ImageMesh) -> _Ready:
    """A case on the mesh of another program."""
    case, volume = found.case, found.volume
    kept = {name: shape for name, shape in case.regions.items() if _is_quick(shape, volume.dim)}
    return _on(replace(case, regions=kept), volume, found.image, FOREIGN, image_mesh)


def _excerpts(found: CaseImage, mesh: ExpectedMesh) -> list[tuple[Case, LabelVolume]]:
    """The whole image coarsely, and a part of it unless that is as fine already; with what of the case is for it."""
    case, volume = found.case, found.volume
    solved, dim, degree = case.physics.solved, volume.dim, case.degree or 1
    share = sum(volume.counts[i] for i in solved) / max(1, sum(volume.counts))
    if share <= 0 or mesh.entities[0] <= 0:
        return []
    edge = float((share * np.prod(volume.frame) / mesh.entities[0]) ** (1 / dim))
    jumps = sum(len(course.kinks(case.time.end)) for course in case.physics.transfers)
    most = (MOST_STEPPED if case.physics.is_stepped else MOST_CELLS)[dim, degree] * RESTARTS // (RESTARTS + jumps)
    kept = {name: shape for name, shape in case.regions.items() if _is_quick(shape, dim)}
    case = replace(
        case,
        mesh=replace(case.mesh, method=PERIODIC, file="", unit=None, coarseness=1.0, size_in=()),
        time=_with_first(case, edge * volume.unit, dim),
        regions=kept,
    )
    images = [(case, excerpt.whole(volume, edge, most))]
    if excerpt.cells(volume, edge) > MORE * most:
        sources = [i for i, phase in enumerate(case.physics.phases) if phase.role is Role.SOURCE]
        part = excerpt.part(volume, edge, most, solved, sources)
        case = replace(case, regions={}, initial=None)
        if case.physics.is_stepped:
            case = replace(case, physics=_filled_alike(case.physics, np.divide(part.extent, volume.extent)))
        images.append((case, part))
    return images


def _filled_alike(physics: Physics, shares: Array) -> Physics:
    """Physics of a part of an image that given fluxes fill as fast as they fill all of it.

    With the same fluxes a part that is less deep would come to other concentrations, for which a law of the diffusivity
    is not meant.

    Args:
        physics: Of the whole image.
        shares: (dim,) of its edges along x, y[, z] that the part has.
    """

    def less(given: float | Course | None, share: float) -> Course | None:
        return None if given is None else course_of(given).scaled(1.0, 1.0 / share)

    faces = {}
    for name, face in physics.faces.items():
        share = float(shares[AXES.index(name[0])])
        faces[name] = replace(face, flux=less(face.flux, share), current_density=less(face.current_density, share))
    return replace(physics, faces=faces)


def _is_quick(shape: Shape, dim: int) -> bool:
    """Whether a region is measured in no time, and means the same on coarser voxels."""
    return (
        isinstance(shape, Region) and not isinstance(shape, LabelRegion) and (dim == 2 or not isinstance(shape, Shell))
    )


def _with_first(case: Case, apart: float, dim: int) -> TimeSpan:
    """The time of a run with the first of its default times, as `first_time.with_first` takes it on the mesh itself."""
    time, physics = case.time, case.physics
    if dim == 2 or time.times is not None or time.first is not None:
        return time
    rates = [(physics.phases[i].effective_diffusivity or 0.0) / physics.phases[i].porosity for i in physics.solved]
    if max(rates, default=0.0) <= 0:
        return time
    first = (LAYER * LONGEST * apart / (case.degree or 1)) ** 2 / max(rates)
    return replace(time, first=min(max(first, EARLIEST * time.end), LATEST * time.end))


def _built(case: Case, volume: LabelVolume) -> _Ready:
    """A case on squares or cubes of an image."""
    image = excerpt.image_of(volume) if volume.dim == 2 else None
    given = ImageToMesh(volume, case.mesh, case.physics.solved, MPI.COMM_SELF, image)
    return _on(case, volume, image, PERIODIC, METHODS[PERIODIC].image_mesh(given))


def _on(case: Case, volume: LabelVolume, image: LabelImage | None, method: MeshMethod, image_mesh: ImageMesh) -> _Ready:
    """A case on a mesh."""
    mesh = METHODS[method].phase_mesh(image_mesh, case.physics.solved, MPI.COMM_SELF)
    problem = build(mesh, case.physics, case.degree or 1, case.time.end, start=start_of(case, mesh))
    means = measured_regions(case, Meshed(case, volume, image, method, image_mesh, None, mesh), problem).means
    return _Ready(case, problem, {name: mean for name, mean in means.items() if mean.solved_measure > 0})


def _linear(ready: list[_Ready], dim: int) -> float:
    """Solves of a linear problem, on the whole image and a part of it side by side where there are both."""
    whole = ready[0]
    if len(ready) == 1:
        return _evolved(whole, whole.problem.system, whole.watch, dim)
    part = ready[1]
    weight = float(whole.problem.amount.sum() / part.problem.amount.sum())
    system = joined(whole.problem.system, part.problem.system, weight)
    try:
        return _evolved(whole, system, block_diag(whole.watch, part.watch), dim)
    finally:
        system.destroy()


def _evolved(ready: _Ready, system: LinearSystem, watch: Array, dim: int) -> float:
    """Solves of a linear problem, as `transient.solve` asks for them."""
    case, end = ready.case, ready.case.time.end
    snapshots = np.array(case.time.snapshots) / end
    times = np.divide(output_times(case.time, tuple(kink * end for kink in system.kinks)), end)
    found = evolve(
        system,
        lambda s: ShiftedSolvers(s.mass, s.stiffness, s.taken, "mumps", INNER, dim, case.degree or 1, stiff=STIFF),
        [watch],
        np.unique(np.concatenate([times, snapshots, [1.0]])),
        case.time.tolerance,
        case.solver.max_solves,
        snapshots,
    )
    return float(found.solves)


def _stepped(ready: _Ready, dim: int) -> _Course:
    """Iterations of a nonlinear problem against time."""
    case = ready.case
    times, solves, set_ups = [0.0], [0.0], costs.SET_UPS

    def note(_: int, time: float, iterations: int) -> None:
        times.append(time)
        solves.append(float(iterations))
        if iterations >= MOST_ITERATIONS:
            raise _Enough

    try:
        found = solve(ready.problem, ready.means, case.time, replace(case.solver, linear="mumps"), reached=note)
        if found.effort is not None and found.solves > 0:
            set_ups = found.effort.set_ups / found.solves
    except _Enough:
        times.append(case.time.end)
        solves.append(solves[-1] / Progress(case.physics, case.time, dim).at(times[-2]))
    return _Course(np.array(times), np.array(solves), set_ups)


def _together(courses: list[_Course]) -> Tried:
    """The larger number of iterations at each time."""
    times = np.unique(np.concatenate([course.times for course in courses]))
    rates = [np.diff(np.interp(times, course.times, course.solves)) for course in courses]
    number = float(np.max(rates, axis=0).sum())
    return Tried(number, number * float(np.mean([course.set_ups for course in courses])))
