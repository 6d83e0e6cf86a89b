"""When the curves of a run start: where the mesh follows the layers into which lithium comes first."""

from dataclasses import replace

import numpy as np

from microlith.imaging.typing import Array, Numbers
from microlith.meshing.mesh.cells import cell_nodes, edges_of, measures
from microlith.solver.options import TimeSpan
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import boundary_conditions, facets_of
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.uptake import cells_beside, facet_areas
from microlith.solver.times import EARLIEST

LATEST = 1e-3  # of the end: default times start there at the latest
# √(D t) per distance of nodes, from which on a layer is followed: curves of a ball err by 2e-2 then on tetrahedra
LAYER = 0.25


def element_length(problem: Problem, physics: Physics, phase: int | None = None) -> float:
    """Longest edge of the elements at which lithium enters and leaves, m, on average over these surfaces; collective.

    There it matters first whether elements follow it, and small ones elsewhere, or at a small part of the surfaces, say
    nothing of that. Where a phase has no such surface, the average is over its volume; 0 where there is nothing of it.

    Args:
        problem: The physics on a mesh.
        physics: Of the case.
        phase: Whose elements count; None: of all.
    """
    mesh = problem.discretization.mesh
    comm, tags = mesh.mesh.comm, mesh.cell_tags
    here = np.sort(tags.indices[(tags.values == phase) | (phase is None)])
    here = here[here < len(cell_nodes(mesh.mesh))]
    conditions = [facets_of(mesh, condition) for condition in boundary_conditions(physics) if not condition.is_idle]
    facets = np.unique(np.concatenate([np.empty(0, np.int32), *conditions])).astype(np.int32)
    cells, _ = cells_beside(mesh, facets)
    counts = np.isin(cells, here)
    sizes = facet_areas(mesh, facets[counts])
    total, whole = comm.allreduce(np.array([(sizes * _longest_edges(problem, cells[counts])).sum(), sizes.sum()]))
    if whole == 0.0:
        sizes = measures(mesh.mesh.geometry.x[cell_nodes(mesh.mesh)[here], : mesh.mesh.topology.dim])
        total, whole = comm.allreduce(np.array([(sizes * _longest_edges(problem, here)).sum(), sizes.sum()]))
    return float(total / whole) * problem.scales.length if whole else 0.0


def _longest_edges(problem: Problem, cells: Numbers) -> Array:
    """Of cells (n,), in units of the mesh, (n,)."""
    mesh = problem.space.mesh
    nodes, squares = cell_nodes(mesh)[cells].T, np.zeros(len(cells))
    for first, second in edges_of(len(nodes), mesh.topology.dim):
        one, other = nodes[first], nodes[second]
        square = sum((x[one] - x[other]) ** 2 for x in mesh.geometry.x[:, : mesh.topology.dim].T)
        squares = np.maximum(squares, square)
    return np.asarray(np.sqrt(squares))


def resolved_from(problem: Problem, physics: Physics) -> float:
    """When lithium has come a quarter of the distance of nodes far in the fastest phase, s, in two digits; collective.

    Args:
        problem: The physics on a mesh.
        physics: Of the case.
    """
    rates = [(phase.effective_diffusivity or 0.0) / phase.porosity for phase in physics.phases]
    fastest = max((rates[i] for i in physics.solved), default=0.0)
    if fastest <= 0.0:
        return 0.0
    apart = element_length(problem, physics) / problem.discretization.degree
    return float(f"{(LAYER * apart) ** 2 / fastest:.2g}")


def with_first(time: TimeSpan, problem: Problem, physics: Physics, dim: int) -> TimeSpan:
    """The time of a run with the first of its default times, where the case leaves that open; collective.

    In 2D elements can be so small that it stays at a share EARLIEST of the end; in 3D they can't.
    """
    if dim == 2 or time.times is not None or time.first is not None:
        return time
    return replace(time, first=min(max(resolved_from(problem, physics), EARLIEST * time.end), LATEST * time.end))
