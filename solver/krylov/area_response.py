"""What a solution by rational Krylov changes by as surfaces that lithium passes in proportion to their area are larger.

A part e more of a surface's area adds e (S u − g p) to what leaves the phases (see `surfaces.passages`), that is e VᵀSV
to the projection of K on the basis V of the solution u = uL + Vy, and e Vᵀ(g p − S uL) to the right side. Both problems
are small and known in closed form: no other solve is needed. The basis was made for the solution, not for what it
changes by, so that this is not exact.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.krylov.deviation import Others, WithinBases
from microlith.solver.krylov.evolution import Evolution
from microlith.solver.krylov.tasks import units_of
from microlith.solver.krylov.trajectory import Segment
from microlith.solver.problem.problem import Problem
from microlith.solver.surfaces.passages import Passage

TRIED = 1e-3  # part by which areas are made larger


def area_responses(
    problem: Problem, states: Evolution, passages: Sequence[Passage], rows: Array | csr_array, times: Array
) -> Array | None:
    """Change of linear functionals per relative change of each area, (surfaces, functionals, times); collective.

    None where transfer coefficients change with time.

    Args:
        problem: That was solved.
        states: Its solution.
        passages: The surfaces, none that fills up.
        rows: (functionals, owned)
        times: Increasing, s.
    """
    within = WithinBases.of(problem, states)
    if within is None:
        return None
    found = []
    for passage in passages:
        # The loads by what they push through this surface only: those that change come together as they did
        none = np.empty(0, np.int32)
        loads = tuple(
            replace(
                load,
                push=passage.push if number == passage.load else np.zeros_like(load.push),
                drag=None,
                held=none,
                shares=1.0,
            )
            for number, load in enumerate(problem.system.loads)
        )
        alone = replace(problem.system, loads=loads)
        units = units_of(alone, 0.0, 1.0)
        (deviation,) = within.deviations(
            _larger(passage, alone.load_at(0.0), problem),
            [_larger(passage, unit.push, problem) for unit in units],
            (TRIED,),
        )
        found.append(deviation.of(rows, times))
    return np.array(found).reshape(len(passages), rows.shape[0], len(times))


def _larger(passage: Passage, push: Array, problem: Problem) -> Others:
    """The problem with a surface that is a little larger.

    Args:
        passage: The surface.
        push: (owned,) g p.
        problem: That was solved.
    """
    comm = problem.space.mesh.comm

    def others(segment: Segment, stiffness: Array) -> Sequence[tuple[Array, Array]]:
        basis = segment.basis
        rows = np.array([basis @ passage.leaving(vector) for vector in basis]).reshape(len(basis), len(basis))
        more = comm.allreduce(rows, op=MPI.SUM)
        added = comm.allreduce(basis @ (push - passage.leaving(segment.lift)), op=MPI.SUM)
        return [(stiffness + TRIED * (more + more.T) / 2, TRIED * added)]

    return others
