"""The error in space that a run states on tetrahedra of degree 1 and 2, against the closed form of a ball."""

import numpy as np
import pytest
from closed_forms import sphere_mean
from made_cases import BALL_IN_A_BATH, run_case, write_case

from mpi4py import MPI

from microlith.workflow.results.read import read_curves

VOXEL = 1e-8
RADIUS = 12 * VOXEL
D = 1e-14
END = RADIUS**2 / D
FACTOR = 3.0  # that the estimate is to be right to


def _ball():
    x = np.arange(28) + 0.5 - 14
    return (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < 12**2).astype(np.uint8)


@pytest.mark.parametrize("degree", [1, 2])
def test_the_error_of_a_ball_is_told_to_a_factor(tmp_path, degree, verified):
    """Few elements, and voxels whose surface is no sphere: what is told here is too small, by less than the factor."""
    mesh = f'[mesh]\nmethod = "lattice"\nsize = {{ bath = "30 nm" }}\ndegree = {degree}\n'
    time = f'[time]\nend = "{END:.12g} s"\ntolerance = 1e-5\nsnapshots = []\n'
    path = write_case(
        tmp_path, _ball(), phases=BALL_IN_A_BATH, mesh=mesh, time=time, regions='[regions.all]\nphase = "ball"\n'
    )
    results = run_case(path, comm=MPI.COMM_SELF)
    times, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    late = times >= 1e-3 * END
    true = np.abs(means["all"] - 1000 * sphere_mean(times, RADIUS, D))[late].max()
    stated = errors["all"][late].max()
    verified(
        term="error in space, tetrahedra", against="ball of voxels, Crank eq. 6.20", dim=3, cells="tetrahedra",
        degree=degree, error=abs(stated - true) / 1000, of="error",
    )  # fmt: skip
    assert true / FACTOR <= stated <= FACTOR * true
