"""Two linear problems side by side: each has the solution that it has alone."""

import numpy as np
import pytest
from made_meshes import rectangle

from mpi4py import MPI

from microlith.solver.krylov.evolution import evolve
from microlith.solver.krylov.joined import joined
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build

TIMES = np.geomspace(1e-4, 1.0, 40)
RISE = Course((0.0, 20.0, 40.0), (0.0, 1000.0, 400.0))
STEP = Course((0.0, 30.0, 30.0, 100.0), (2e-9, 2e-9, 1e-8, 1e-8))


def problem(cells, size, face):
    """A rectangle that is fed from its left side."""
    mesh = rectangle(MPI.COMM_SELF, cells, size, lambda x: np.zeros(len(x[0]), int), ("a",))
    phase = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=1e-14, porosity=0.6, initial=50.0)
    return build(mesh, Physics((phase,), {"x_min": face}), 1, 100.0)


def curves(system, watch):
    found = evolve(
        system,
        lambda s: ShiftedSolvers(s.mass, s.stiffness, s.taken, "mumps", 1e-9, 2, 1),
        [watch],
        TIMES,
        1e-7,
        400,
        TIMES[-1:],
    )
    return found.records[0].values(TIMES)


@pytest.mark.parametrize(
    "face",
    [FaceCondition(1000.0), FaceCondition(RISE), FaceCondition(flux=1e-6), FaceCondition(1000.0, STEP)],
    ids=["held", "held by a course", "flux", "transfer by steps"],
)
@pytest.mark.parametrize("weight", [1.0, 0.02, 70.0])
def test_each_has_the_solution_that_it_has_alone(face, weight):
    """Also where concentrations are held: rows of these count once, whatever the weight."""
    problems = problem((20, 3), (2.0, 0.3), face), problem((7, 4), (0.2, 0.1), face)
    watches = [(one.amount / one.amount.sum())[None] for one in problems]
    both = joined(problems[0].system, problems[1].system, weight)
    n, m = (watch.shape[1] for watch in watches)
    watch = np.vstack(
        [np.append(watches[0], np.zeros((1, m)), axis=1), np.append(np.zeros((1, n)), watches[1], axis=1)]
    )
    alone = np.vstack([curves(one.system, watch) for one, watch in zip(problems, watches, strict=True)])
    assert np.ptp(alone) > 0.1
    assert np.abs(curves(both, watch) - alone).max() < 1e-6
