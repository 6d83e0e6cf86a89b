"""Errors of layers that elements don't follow: of elements in line, and of meshes."""

import numpy as np
import pytest
from closed_forms import slab_mean
from fed_slab import END, FED, JUMPS, LENGTH, D, means_of, mesh_of

from microlith.solver.guard.half_space import RESOLVED, HalfSpace, at_surface
from microlith.solver.guard.layer_sides import NEXT
from microlith.solver.guard.thin_layers import SAFETY, layer_errors
from microlith.solver.guard.two_half_spaces import Beyond, TwoHalfSpaces
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.transient import solve

COLUMNS = 8
THICKNESS = LENGTH / COLUMNS  # of elements
UNIT = THICKNESS**2 / D  # s: a layer is as thick as an element
TIMES = UNIT * np.array([0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.5])


def _physics(faces=FED, **more):
    return Physics((PhasePhysics("medium", Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, **more),), faces)


def _errors(physics, degree=1, dim=2, times=TIMES):
    mesh = mesh_of(COLUMNS, dim)
    problem = build(mesh, physics, degree, END)
    return layer_errors(problem, physics, means_of(problem, mesh), times)


def test_elements_in_line():
    """What is held at first is less by the projection of the start: h/√12 of h/2 for degree 1."""
    assert [at_surface(degree) for degree in (1, 2, 3)] == pytest.approx([1 / 2, 1 / 6, 1 / 8])
    first = HalfSpace.of(1, np.inf).error(np.array([0.0]))
    assert first == pytest.approx(2 / np.sqrt(12), rel=1e-3)
    times = np.array([1e-3, 1e-2, 0.1])
    held, fast = (HalfSpace.of(1, biot).error(times) for biot in (np.inf, 1e6))
    assert fast == pytest.approx(held, rel=0.02)
    slow = HalfSpace.of(1, 1.0).error(times)
    assert (slow < 0.2 * held).all()
    assert (HalfSpace.of(1, np.inf).error(RESOLVED * np.array([1.0, 10.0])) == 0.0).all()


def test_two_half_spaces_in_line():
    """Alike: half of the jump, held, on either side. What is far faster or stores far more is as good as held."""
    times = np.array([1e-3, 1e-2, 0.1])
    held = HalfSpace.of(1, np.inf).error(times)
    assert TwoHalfSpaces.of(1, Beyond(1.0, 1.0, 1.0)).error(times) == pytest.approx(held / 2, rel=1e-3)
    assert TwoHalfSpaces.of(1, Beyond(1.0, 1e6, 1e6)).error(times) == pytest.approx(held, rel=0.01)
    # The same from the other side, in its own elements
    here, there = Beyond(2.0, 0.3, 0.5), Beyond(0.5, 1 / 0.3, 2.0)
    amounts = [TwoHalfSpaces.of(2, one).error(t) for one, t in ((here, times), (there, times / here.unit))]
    assert amounts[0] == pytest.approx(amounts[1] * here.thickness * here.storage, rel=0.02)
    through = TwoHalfSpaces.of(1, Beyond(1.0, 1.0, 1.0, biot=1.0)).error(times)
    assert (through < 0.2 * held).all()
    fast = TwoHalfSpaces.of(1, Beyond(1.0, 1.0, 1.0, biot=1e6)).error(times)
    assert fast == pytest.approx(held / 2, rel=0.02)


@pytest.mark.mpi
@pytest.mark.parametrize(("dim", "degree"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_a_slab(dim, degree):
    """Against its closed form: of the whole, what is told is the error, times factors that are meant to be there."""
    physics = _physics()
    mesh = mesh_of(COLUMNS, dim)
    problem = build(mesh, physics, degree, END)
    means = means_of(problem, mesh)
    found = solve(problem, means, TimeSpan(END, 1e-6, times=tuple(TIMES[1:4])), SolverOptions())
    told = layer_errors(problem, physics, means, found.times)["all"]
    true = np.abs(found.curves["all"] - 1000 * slab_mean(found.times, 0.0, LENGTH, LENGTH, D))
    factor = SAFETY * (1 + 2 * NEXT if degree == 1 else 1)
    assert told[:2] / true[:2] == pytest.approx([factor, factor], rel=0.3)
    assert (told > true).all()


@pytest.mark.mpi
def test_where_it_is_nothing():
    errors = _errors(_physics())
    assert (errors["all"][1:-1] > 0).all()
    assert errors["all"][0] == errors["all"][-1] == 0.0
    assert (errors["middle"] == 0.0).all(), "no node of a surface counts there"
    full = _errors(_physics(initial=1000.0))
    flux = _errors(_physics({"x_min": FaceCondition(flux=1e-6)}))
    closed = _errors(_physics({"x_min": FaceCondition(1000.0, mass_transfer=0.0)}))
    assert all((found["all"] == 0.0).all() for found in (full, flux, closed))


@pytest.mark.mpi
def test_what_is_given_changes():
    """A jump counts as one at first; what goes on for much longer than a layer needs to grow, as little."""
    after = JUMPS.times[1]
    jumps = _errors(_physics({"x_min": FaceCondition(JUMPS)}), times=after + TIMES)
    assert jumps["all"][1:] == pytest.approx(0.8 * _errors(_physics())["all"][1:], rel=0.05)
    ramp = Course((0.0, END), (0.0, 1000.0))
    slow = _errors(_physics({"x_min": FaceCondition(ramp)}), times=np.array([0.5 * END]))
    lasting = 1000 * UNIT / END  # what changes while a layer gets as thick as an element
    assert 0.01 * lasting / COLUMNS < slow["all"][0] < 0.5 * lasting / COLUMNS


def test_a_transfer_that_opens_later():
    opens = 10 * UNIT
    coefficient = Course((0.0, opens, opens, END), (0.0, 0.0, 1e-3, 1e-3))
    errors = _errors(
        _physics({"x_min": FaceCondition(1000.0, coefficient)}), times=np.append(0.5 * opens, opens + TIMES)
    )
    assert errors["all"][0] == 0.0
    assert errors["all"][3:] == pytest.approx(_errors(_physics())["all"][2:], rel=0.1)


def test_diffusivity_along_the_axis_and_pores_count():
    """Four times as fast: a quarter of the time; a quarter of the pores: as well."""
    plain = _errors(_physics(), times=4 * TIMES)["all"]
    for faster in (_physics(anisotropy=(4.0, 1.0)), _physics(porosity=0.25)):
        assert _errors(faster)["all"] == pytest.approx(plain, rel=1e-6)


def test_decay_keeps_layers_thin():
    """A layer of a third of an element stays as it is."""
    errors = _errors(_physics(decay=10 / UNIT), times=UNIT * np.array([0.1, 1.0, 100.0]))["all"]
    assert errors[0] > 0
    assert errors[1:] == pytest.approx(errors[[0, 0]])
