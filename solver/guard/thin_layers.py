"""How far means over regions are off while the layer that fills is thinner than the elements at the surface.

There all ways to estimate an error in space may agree on what is wrong: the nodes of the surface are held, or soon as
full as if they were, and what lies between them and the next ones is taken up at once. How much that is comes from the
mesh, how it fades from a half space of the same elements (see `half_space`). Nothing is solved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Numbers
from microlith.solver.guard.contacts import contact_errors
from microlith.solver.guard.half_space import RESOLVED, HalfSpace
from microlith.solver.guard.layer_sides import Sides, class_of, diffusivity_across, of_class, phase_of_cells
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import BoundaryCondition, boundary_conditions, facets_of
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.uptake import cells_beside
from microlith.solver.regions.means import RegionMean

# On all errors: elements beside a surface differ in thickness, and regions may end within them
SAFETY = 1.25
LAGS: Array = RESOLVED * np.concatenate([[0.0], np.geomspace(1e-7, 1.0, 80)])  # D t/h² since something changed


@dataclass(frozen=True)
class _Drive:
    """One condition at the surface of one phase, at elements of about one thickness."""

    condition: BoundaryCondition
    phase: int
    thickness: float  # of the elements, m
    across: float  # D_eff across the surface per effective_diffusivity


def layer_errors(problem: Problem, physics: Physics, means: Mapping[str, RegionMean], times: Array) -> dict[str, Array]:
    """Error of the mean over each region from layers that elements don't follow, (times,), mol/m^3; collective.

    0 at time 0, and once layers are thicker than the elements at the surface.

    Args:
        problem: That was solved.
        physics: Of the problem.
        means: Regions.
        times: (times,) s.
    """
    if not means:
        return {}
    conditions = [c for c in boundary_conditions(physics) if c.concentration is not None and not c.is_idle]
    sides, drives = _surfaces(problem, physics, conditions)
    rows = np.array([mean.weights for mean in means.values()])
    found = contact_errors(problem, physics, means, times)
    every = np.ones(len(drives), dtype=bool)
    for key in sides.keys(drives):
        drive = _Drive(conditions[key[0]], key[1], problem.scales.length * of_class(key[2]), of_class(key[3]))
        which = (drives == key).all(axis=1), every, rows
        found += _faded(drive, physics, problem, sides.starts(*which), sides.levels(*which), times)
    found[:, times <= 0.0] = 0.0
    return dict(zip(means, SAFETY * found, strict=True))


def _faded(drive: _Drive, physics: Physics, problem: Problem, starts: Array, levels: Array, times: Array) -> Array:
    """What one drive adds, (regions, times), mol/m^3.

    Args:
        drive: At the surface.
        physics: Of the problem.
        problem: That was solved.
        starts: (regions,) what the mean would jump by at first, if the nodes of the surface did, mol/m^3.
        levels: (regions,) the same per change of what is given there.
        times: s.
    """
    phase, condition, end = physics.phases[drive.phase], drive.condition, problem.scales.time
    course, coefficient = condition.concentration, condition.coefficient
    assert course is not None  # as fluxes drive nothing here
    diffusivity = drive.across * diffusivity_across(phase, course)
    if diffusivity <= 0.0:
        return np.zeros((len(starts), len(times)))
    biot, opens = np.inf, 0.0
    if coefficient is not None:
        biot = max(coefficient.largest, 0.0) * drive.thickness / diffusivity
        opens = _first_open(coefficient, end)
    space = HalfSpace.of(
        problem.discretization.degree, of_class(float(class_of(biot))) if 0.0 < biot < np.inf else biot
    )
    unit = drive.thickness**2 * phase.porosity / diffusivity  # s per D t/h²
    lasting = float(space.error(np.array([phase.lifetime / unit]))[0])  # while layers don't grow, as lithium decays

    def error(since: Array) -> Array:
        return np.maximum(space.error(np.maximum(since, 0.0)), lasting)

    since = np.asarray((times - opens) / unit, dtype=np.float64)
    total: Array = starts[:, None] * np.where(since > 0.0, error(since), 0.0)
    if not course.is_constant:
        knots, before, after = course.variation(0.0, end)
        back = times[:, None] - unit * LAGS
        varied = _variation(knots, before, after, back)
        changed = -np.diff(varied, axis=1)  # between one lag and the next
        total += np.outer(levels, changed @ (error(LAGS[:-1]) - lasting))
        total += lasting * np.outer(levels, np.abs(course.before(times) - course.after(0.0)))
    return total


def _first_open(coefficient: Course, end: float) -> float:
    """When a transfer first lets something pass, s."""
    cuts = np.array([0.0, *coefficient.kinks(end), end])
    passing = (coefficient.after(cuts) > 0.0) | np.append(coefficient.before(cuts[1:]) > 0.0, False)
    return float(cuts[int(np.argmax(passing))]) if passing.any() else end


def _variation(knots: Array, before: Array, after: Array, times: Array) -> Array:
    """Total variation of a course from 0 up to times, right before what jumps there; before 0: none."""
    i = np.clip(np.searchsorted(knots, times, side="left") - 1, 0, len(knots) - 2)
    share = np.clip((times - knots[i]) / (knots[i + 1] - knots[i]), 0.0, 1.0)
    return np.where(times > 0.0, after[i] + share * (before[i + 1] - after[i]), 0.0)


def _surfaces(problem: Problem, physics: Physics, conditions: Sequence[BoundaryCondition]) -> tuple[Sides, Numbers]:
    """Where lithium may come through, and (n, 4) condition, phase, classes of thickness and of D across; collective."""
    mesh = problem.discretization.mesh
    topology = mesh.mesh.topology
    some = [facets_of(mesh, condition) for condition in conditions]
    facets = np.concatenate([np.empty(0, np.int32), *some]).astype(np.int32)
    which = np.repeat(np.arange(len(some)), [len(few) for few in some])
    cells, local = cells_beside(mesh, facets)
    own = cells < topology.index_map(topology.dim).size_local
    which, facets, cells, local = which[own], facets[own], cells[own], local[own]
    sides = Sides(problem, physics, facets, cells, local, _gap(problem, conditions, which, cells))
    return sides, np.column_stack([which, sides.phase, sides.classes])


def _gap(problem: Problem, conditions: Sequence[BoundaryCondition], which: Numbers, cells: Numbers) -> Array:
    """How far unknowns of each facet's cell are at first from what is given there, times c per u, mol/m^3."""
    phase = phase_of_cells(problem)[cells]
    scale, factor = problem.scales.concentration, problem.factors[phase][:, None]
    levels = np.array([float(c.concentration.after(0.0)) for c in conditions if c.concentration is not None])
    start = scale * problem.start_of_phase[phase][:, None]
    if problem.start_values is not None:
        start = scale * problem.start_values[problem.display.space.dofmap.list[cells]]
    return np.asarray(np.abs(levels[which][:, None] - start) / factor)
