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

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array
from microlith.meshing.distribution.compilation import share_compiled_forms
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.methods import METHODS, PERIODIC, ImageToMesh
from microlith.solver.krylov.evolution import evolve
from microlith.solver.krylov.joined import joined
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.options import TimeSpan
from microlith.solver.physics.phases import Role
from microlith.solver.problem.problem import Problem, build
from microlith.solver.problem.system import LinearSystem
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import LabelRegion, Region, Shape, Shell
from microlith.solver.steps.solve import is_needed
from microlith.solver.times import EARLIEST, output_times
from microlith.solver.transient import solve
from microlith.workflow.case.case import Case
from microlith.workflow.estimate import costs, excerpt
from microlith.workflow.estimate.solves import is_stepped, transfers
from microlith.workflow.prepare.first_time import LATEST, LAYER
from microlith.workflow.prepare.initial import start_of
from microlith.workflow.prepare.measured_regions import measured_regions
from microlith.workflow.prepare.meshed import CaseImage, Meshed

# By dimension and degree. More of them change the number of solves by a few
MOST_CELLS = {(2, 1): 4000, (2, 2): 2000, (2, 3): 800, (3, 1): 3000, (3, 2): 600, (3, 3): 200}
MOST_STEPPED = {(2, 1): 1200, (2, 2): 600, (2, 3): 250, (3, 1): 500, (3, 2): 150, (3, 3): 60}  # of nonlinear problems
MORE = 1.5  # times as many cells as these may be in the whole image for a part to be of no use
LONGEST = 3**0.5  # edge of a cell's longest side, a cube's diagonal, per the distance of its vertices
MOST_STEPS = 1000  # in a trial; of longer ones the rest is taken to be like that
RESTARTS = 4  # jumps of transfer coefficients that take as long as the rest
INNER = 1e-9  # unused tolerance of iterations: trials are solved by factors
STIFF = 1e-7  # as of runs with a tolerance of 1e-5 and more

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What a case took on a few cells."""

    solves: float  # linear ones, or iterations of Newton's method
    steps: float = 0.0  # those repeated included; 0 where it is not solved step by step
    set_ups: float = 0.0  # factorisations of these steps


@dataclass(frozen=True)
class _Course:
    """Iterations of a nonlinear trial against time."""

    times: Array  # (steps + 1,) s, from 0
    solves: Array  # (steps + 1,) up to there
    trial: Trial


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


def tried(found: CaseImage, mesh: ExpectedMesh) -> Trial | None:
    """Solve a case on a few cells; serial. None where that fails, or nothing is solved.

    Args:
        found: The case, in agreement with its image, with its degree.
        mesh: As it is expected to be.
    """
    share_compiled_forms()
    ready: list[_Ready] = []
    try:
        for case, volume in _excerpts(found, mesh):
            ready.append(_built(case, volume))
        return _tried(ready, found.volume.dim) if ready else None
    except (InputError, ArithmeticError, np.linalg.LinAlgError) as error:
        log.debug("solves are not counted on a few cells: %s", error)
        return None
    finally:
        for one in ready:
            one.problem.destroy()


def _excerpts(found: CaseImage, mesh: ExpectedMesh) -> list[tuple[Case, LabelVolume]]:
    """The whole image coarsely, and a part of it unless that is as fine already; with what of the case is for it."""
    case, volume = found.case, found.volume
    solved, dim, degree = case.physics.solved, volume.dim, case.degree or 1
    share = sum(volume.counts[i] for i in solved) / max(1, sum(volume.counts))
    if share <= 0 or mesh.entities[0] <= 0:
        return []
    edge = float((share * np.prod(volume.frame) / mesh.entities[0]) ** (1 / dim))
    jumps = sum(len(course.kinks(case.time.end)) for course in transfers(case.physics))
    most = (MOST_STEPPED if is_stepped(case.physics) else MOST_CELLS)[dim, degree] * RESTARTS // (RESTARTS + jumps)
    kept = {name: shape for name, shape in case.regions.items() if _is_quick(shape, dim)}
    case = replace(
        case,
        mesh=replace(case.mesh, method=PERIODIC, file="", unit=None, coarseness=1.0),
        time=_with_first(case, edge * volume.unit, dim),
        regions=kept,
    )
    images = [(case, excerpt.whole(volume, edge, most))]
    if excerpt.cells(volume, edge) > MORE * most:
        sources = [i for i, phase in enumerate(case.physics.phases) if phase.role is Role.SOURCE]
        part = excerpt.part(volume, edge, most, solved, sources)
        images.append((replace(case, regions={}, initial=None), part))
    return images


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
    solved, comm = case.physics.solved, MPI.COMM_SELF
    image = excerpt.image_of(volume) if volume.dim == 2 else None
    method = METHODS[PERIODIC]
    image_mesh = method.image_mesh(ImageToMesh(volume, case.mesh, solved, comm, image))
    mesh = method.phase_mesh(image_mesh, solved, comm)
    problem = build(mesh, case.physics, case.degree or 1, case.time.end, start=start_of(case, mesh))
    means = measured_regions(case, Meshed(case, volume, image, PERIODIC, image_mesh, None, mesh), problem).means
    return _Ready(case, problem, {name: mean for name, mean in means.items() if mean.solved_measure > 0})


def _tried(ready: list[_Ready], dim: int) -> Trial:
    if is_needed(ready[0].problem):
        return _together([_stepped(one) for one in ready])
    if len(ready) == 1:
        return _linear(ready[0], ready[0].problem.system, ready[0].watch, dim)
    whole, part = ready
    weight = float(whole.problem.amount.sum() / part.problem.amount.sum())
    system = joined(whole.problem.system, part.problem.system, weight)
    try:
        of_whole, of_part = whole.watch, part.watch
        watch = np.zeros((len(of_whole) + len(of_part), len(system.initial)))
        watch[: len(of_whole), : of_whole.shape[1]] = of_whole
        watch[len(of_whole) :, of_whole.shape[1] :] = of_part
        return _linear(whole, system, watch, dim)
    finally:
        system.destroy()


def _linear(ready: _Ready, system: LinearSystem, watch: Array, dim: int) -> Trial:
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
    return Trial(found.solves)


def _stepped(ready: _Ready) -> _Course:
    """Iterations of a nonlinear problem against time."""
    case = ready.case
    reached = [(0, 0.0)]
    options = replace(case.solver, linear="mumps", max_steps=min(MOST_STEPS, case.solver.max_steps))
    try:
        found = solve(ready.problem, ready.means, case.time, options, reached=lambda *now: reached.append(now))
    except ArithmeticError:
        steps, time = reached[-1]
        if steps < MOST_STEPS // 2:  # it came to a stop for another reason
            raise
        count = steps * case.time.end / time
        times, solves = np.array([0.0, case.time.end]), np.array([0.0, costs.OF_STEP * count])
        return _Course(times, solves, Trial(costs.OF_STEP * count, count, count))
    effort = found.effort
    assert effort is not None
    times, solves = np.array([time for _, time in reached]), np.array([0, *(count for count, _ in found.history)])
    tries = effort.steps + effort.rejected + effort.failures
    return _Course(times, solves.astype(float), Trial(effort.newton_iterations, tries, effort.set_ups))


def _together(courses: list[_Course]) -> Trial:
    """The larger number of iterations at each time."""
    most = max(courses, key=lambda course: course.trial.solves)
    times = np.unique(np.concatenate([course.times for course in courses]))
    rates = [np.diff(np.interp(times, course.times, course.solves)) for course in courses]
    more = float(np.max(rates, axis=0).sum()) / max(1.0, most.solves[-1])
    return Trial(more * most.trial.solves, more * most.trial.steps, more * most.trial.set_ups)
