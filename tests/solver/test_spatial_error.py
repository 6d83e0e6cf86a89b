"""What solutions lack in space, from recovered gradients, against closed forms."""

import numpy as np
import pytest
from closed_forms import robin_slab_mean, slab_mean
from fed_slab import END, FED, JUMPS, LENGTH, MICRO, REGIONS, D, means_of, mesh_of
from made_meshes import COMM, brick, rectangle

from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.solver.krylov.recovery import Excess, Recovery, is_recoverable
from microlith.solver.krylov.spatial_error import SHARE, spatial_deviation
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.transient import solve


def _physics(faces=FED, **more):
    return Physics((PhasePhysics("medium", Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, **more),), faces)


def _solved(mesh, physics, degree=1, tolerance=1e-6):
    problem = build(mesh, physics, degree, END)
    means = means_of(problem, mesh)
    found = solve(problem, means, TimeSpan(END, tolerance), SolverOptions())
    return problem, np.array([mean.weights for mean in means.values()]), found


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_what_a_slab_lacks(dim, tolerance):
    """In one segment of time and in several: size and sign; a factor of 3 while the layer is a quarter of a cell."""
    physics = _physics()
    _, rows, found = _solved(mesh_of(16, dim), physics, tolerance=tolerance)
    lacks = found.lacks(physics).cautious.of(rows, found.times) * 1000
    late, early = found.times > 1e-2 * END, found.times > 3e-4 * END
    for row, (name, (a, b)) in zip(lacks, REGIONS.items(), strict=True):
        true = 1000 * slab_mean(found.times, a * MICRO, b * MICRO, LENGTH, D) - found.curves[name]
        assert 0.7 < np.abs(row)[late].max() / np.abs(true)[late].max() < 1.7, name
        assert 1 / 3 < np.abs(row)[early].max() / np.abs(true)[early].max() < 3, name
        left = np.abs(true - row)[late].max()
        assert left < 0.7 * np.abs(true)[late].max() + 1000 * tolerance, f"{name}: the sign is right"


@pytest.mark.parametrize("velocity", [1e-8, 1e-6])
def test_what_a_slab_behind_a_transfer_lacks(velocity):
    """Energies of the basis lie above the rates of the shifted projection most where much goes through surfaces."""
    physics = _physics({"x_min": FaceCondition(1000.0, velocity)})
    _, rows, found = _solved(mesh_of(16, 3), physics, tolerance=1e-3)
    lacks = found.lacks(physics).cautious.of(rows, found.times) * 1000
    late = found.times > 1e-2 * END
    for row, (name, (a, b)) in zip(lacks, REGIONS.items(), strict=True):
        exact = 1000 * robin_slab_mean(found.times, a * MICRO, b * MICRO, LENGTH, D, velocity)
        true = np.abs(exact - found.curves[name])[late].max()
        assert true / 2 - 1 < np.abs(row)[late].max() < 2 * true + 1, name


RAMP = Course((0.0, END), (0.0, 1000.0))
CYCLE = Course((0.0, 0.1 * END, 0.2 * END), (0.0, 1000.0, 0.0), 0.2 * END)
CURRENT = Course((0.0, 0.4 * END, 0.4 * END, END), (4e-6, 4e-6, -2e-6, 0.0))  # mol/(m² s)


@pytest.mark.mpi
@pytest.mark.parametrize("face", [FaceCondition(1000.0), FaceCondition(CYCLE)], ids=["held", "cycle"])
def test_root_mean_squares_are_those_of_the_values_one_by_one(face):
    """Weighted as in the mean over the slab; of a start and of responses, on any number of ranks."""
    physics = _physics({"x_min": face})
    _, rows, found = _solved(mesh_of(6, 2), physics)
    deviation, times = found.lacks(physics).cautious, found.times[::20]
    several = deviation.root_mean_squares(rows, times)
    for row, squares in zip(rows, several, strict=True):
        total, expected = COMM.allreduce(row.sum()), np.zeros(len(times))
        for rank in range(COMM.size):
            for place in range(COMM.bcast(len(row), rank)):
                one = np.zeros((1, len(row)))
                weight = 0.0
                if rank == COMM.rank:
                    one[0, place], weight = 1.0, row[place]
                weight = COMM.bcast(weight, rank)
                if weight > 0.0:
                    expected += weight * deviation.of(one, times)[0] ** 2
        np.testing.assert_allclose(squares, np.sqrt(total * expected), rtol=1e-5, atol=1e-8 * squares.max())
    assert (several >= np.abs(deviation.of(rows, times)) * (1 - 1e-9)).all()


@pytest.mark.mpi
@pytest.mark.parametrize(
    "face",
    [
        FaceCondition(RAMP),
        FaceCondition(CYCLE),
        FaceCondition(JUMPS),
        FaceCondition(JUMPS, 1e-8),
        FaceCondition(flux=CURRENT),
    ],
    ids=["ramp", "cycle", "jumps", "jumps behind a transfer", "flux"],
)
def test_what_a_slab_lacks_whose_loads_change(face):
    """Superposed like the solution itself: against elements of degree 2 on cells a quarter as long."""
    physics = _physics({"x_min": face})
    problem, rows, found = _solved(mesh_of(16, 2), physics, tolerance=1e-4)
    _, _, fine = _solved(mesh_of(64, 2), physics, degree=2, tolerance=1e-5)
    late = found.times > 1e-2 * END
    lacking, times, scale = found.lacks(physics), found.times[late], problem.scales.concentration
    cautious, best = scale * lacking.cautious.of(rows, times), scale * lacking.best.of(rows, times)
    for row, added, name in zip(cautious, best, REGIONS, strict=True):
        true = (fine.curves[name] - found.curves[name])[late]
        largest = np.abs(true).max()
        assert largest / 2 - 0.05 < np.abs(row).max() < 2 * largest + 0.05, name
        assert np.abs(true - SHARE * added).max() < 0.6 * largest + 0.05, f"{name}: the sign is right"


@pytest.mark.parametrize("dim", [2, 3])
def test_a_function_with_an_even_gradient_has_no_excess(dim):
    problem = build(mesh_of(16, dim), _physics(), 1, END)
    x = problem.space.tabulate_dof_coordinates()[: problem.discretization.owned]
    even, square = x @ [1.0, 2.0, 3.0], x[:, 0] ** 2
    energies = Excess(problem, np.full((1, dim), 2.0)).energies(np.array([even, square]))
    assert np.abs(energies[0]).max() < 1e-10
    assert energies[0, 1] == pytest.approx(energies[1, 0])
    # Between u = x² and its interpolant there is D h²/3 in each unit of length; at the two ends it is told too low.
    assert energies[1, 1] == pytest.approx(2.0 * (10.0 / 16) ** 2 / 3 * 10.0, rel=0.15)


def test_each_phase_has_a_gradient_of_its_own():
    """Where D jumps so does the gradient, which is no error: two layers in a steady state."""
    layers = rectangle(COMM, (16, 2), (10.0, 1.0), lambda x: x[0] > 5.0, names=("one", "other"))
    fast = PhasePhysics("one", Role.TRANSPORT, diffusivity=D, effective_diffusivity=D)
    slow = PhasePhysics("other", Role.TRANSPORT, diffusivity=D / 10, effective_diffusivity=D / 10)
    problem = build(layers, Physics((fast, slow), FED), 1, END)
    x = problem.space.tabulate_dof_coordinates()[: problem.discretization.owned, 0]
    steady = np.where(x < 5.0, x, 5.0 + 10 * (x - 5.0))
    assert np.abs(Excess(problem, np.array([[10.0] * 2, [1.0] * 2])).energies(steady[None])).max() < 1e-10


@pytest.mark.mpi
def test_what_is_too_stiff_is_integrated_over_the_cells():
    """From matrices of the unknowns as from loops over the cells: two phases, a diffusivity for each axis."""
    layers = rectangle(COMM, (16, 5), (10.0, 1.0), lambda x: x[0] > 5.0, names=("one", "other"))
    media = [PhasePhysics(name, Role.TRANSPORT, diffusivity=D, effective_diffusivity=D) for name in ("one", "other")]
    problem = build(layers, Physics(tuple(media), FED), 1, END)
    along = np.array([[10.0, 2.0], [1.0, 3.0]])
    x = problem.space.tabulate_dof_coordinates()[: problem.discretization.owned]
    bent = np.array([np.sin((1 + k % 4) * x[:, 0]) * np.cos(k * x[:, 1]) for k in range(11)])
    found, loops = Excess(problem, along), Recovery(problem, along, np.zeros(2))
    forces = np.array([loops.forces({0: u, 1: u}) for u in bent])
    assert found.forces(bent) == pytest.approx(forces, rel=1e-9, abs=1e-9)
    assert found.energies(bent) == pytest.approx(COMM.allreduce(bent @ forces.T), rel=1e-9, abs=1e-9)


def test_an_axis_counts_by_its_own_diffusivity():
    physics = _physics(anisotropy=(0.25, 1.0))
    _, rows, found = _solved(mesh_of(16, 2), physics)
    alike = _physics()
    _, plain_rows, plain = _solved(mesh_of(16, 2), alike)
    times = np.geomspace(0.02, 1.0, 20) * END
    one, other = found.lacks(physics).cautious.of(rows, times), plain.lacks(alike).cautious.of(plain_rows, times / 4)
    assert one == pytest.approx(other, rel=0.1, abs=6e-4)


def test_where_nothing_is_told():
    boxes = brick(COMM, (4, 2, 2), (10.0, 1.0, 1.0), CellType.hexahedron)
    assert not is_recoverable(build(boxes, _physics(), 1, END))
    _, _, found = _solved(mesh_of(4, 2), _physics(), degree=2, tolerance=1e-3)
    assert found.lacks(_physics()) is None


@pytest.mark.parametrize("jump", [0.1 * END, 2 * END])
def test_nothing_is_told_where_a_transfer_coefficient_changes(jump):
    """The problem's stiffness is without such transfers: told from it, the error of the whole was 0.5 or 0 times it."""
    falls = _physics({"x_min": FaceCondition(1000.0, Course((0.0, jump, jump), (1e-8, 1e-8, 1e-10)))})
    problem, _, found = _solved(mesh_of(4, 2), falls, tolerance=1e-3)
    assert found.lacks(falls) is None
    assert spatial_deviation(problem, np.ones((1, 2)), found._states, found._solvers(), ()) is None


@pytest.mark.mpi
def test_ranks_tell_the_same():
    physics = _physics()
    _, rows, found = _solved(mesh_of(16, 2), physics, tolerance=1e-4)
    times = np.geomspace(1e-3, 1.0, 7) * END
    lacks = found.lacks(physics).cautious.of(rows, times)
    everyone = COMM.bcast(lacks)
    assert lacks == pytest.approx(everyone, rel=1e-12)
    if COMM.size > 1:  # the same mesh on one rank
        alone = rectangle(MPI.COMM_SELF, (16, 2), (10.0, 1.0))
        _, own_rows, own = _solved(alone, physics, tolerance=1e-4)
        assert lacks == pytest.approx(own.lacks(physics).cautious.of(own_rows, times), rel=1e-3, abs=1e-6)
