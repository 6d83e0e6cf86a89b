"""When the curves of a run start: where the mesh follows the layers into which lithium comes first."""

from dataclasses import replace

import numpy as np

from microlith.meshing.mesh.cells import cell_nodes, edges_of
from microlith.solver.options import TimeSpan
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.times import EARLIEST

LATEST = 1e-3  # of the end: default times start there at the latest
# √(D t) per distance of nodes, from which on a layer is followed: curves of a ball err by 2e-2 then on tetrahedra
LAYER = 0.25


def element_length(problem: Problem, phase: int | None = None) -> float:
    """Longest edge of an element, on average, m, of all or of those of a phase; 0 where there is none; collective."""
    mesh = problem.space.mesh
    nodes, squares = cell_nodes(mesh).T, np.zeros(0)
    if phase is not None:
        tags = problem.discretization.mesh.cell_tags
        here = tags.indices[tags.values == phase]
        nodes = nodes[:, here[here < nodes.shape[1]]]
    for first, second in edges_of(len(nodes), mesh.topology.dim):
        one, other = nodes[first], nodes[second]
        square = sum((x[one] - x[other]) ** 2 for x in mesh.geometry.x[:, : mesh.topology.dim].T)
        squares = np.maximum(squares, square) if len(squares) else square
    longest = np.sqrt(squares)
    total, count = mesh.comm.allreduce(np.array([longest.sum(), len(longest)]))
    return float(total / count) * problem.scales.length if count else 0.0


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
    apart = element_length(problem) / problem.discretization.degree
    return float(f"{(LAYER * apart) ** 2 / fastest:.2g}")


def with_first(time: TimeSpan, problem: Problem, physics: Physics, dim: int) -> TimeSpan:
    """The time of a run with the first of its default times, where the case leaves that open; collective.

    In 2D elements can be so small that it stays at a share EARLIEST of the end; in 3D they can't.
    """
    if dim == 2 or time.times is not None or time.first is not None:
        return time
    return replace(time, first=min(max(resolved_from(problem, physics), EARLIEST * time.end), LATEST * time.end))
