"""Courses over time by themselves, and the integrator with them against the exact solution of the discrete problem."""

from itertools import pairwise

import numpy as np
import pytest
from made_meshes import everywhere, rectangle
from scipy.linalg import eigh
from test_krylov import D, _dense

from mpi4py import MPI

from microlith.solver.krylov.phi import phi1, phi2, phi3
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course, course_of
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.transient import solve

SIDE = 10.0  # µm

# --- courses ---

CYCLE = Course((0.0, 10.0, 10.0, 20.0), (0.0, 1.0, 0.5, 0.5), 30.0)


def test_values_on_both_sides_of_knots():
    times = [0.0, 5.0, 10.0, 20.0, 30.0, 35.0, 40.0, 60.0]
    assert CYCLE.before(times) == pytest.approx([0.0, 0.5, 1.0, 0.5, 0.5, 0.5, 1.0, 0.5])
    assert CYCLE.after(times) == pytest.approx([0.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.0])
    late = Course((2.0, 4.0), (1.0, 3.0))
    assert late.after([0.0, 2.0, 3.0, 4.0, 9.0]) == pytest.approx([1.0, 1.0, 2.0, 3.0, 3.0])
    jump = Course((0.0, 0.0), (1.0, 3.0))
    assert (float(jump.before(0.0)), float(jump.after(0.0))) == (1.0, 3.0)
    assert float(course_of(7.0).after(3.0)) == 7.0


def test_repeats_meet_up_to_rounding():
    """A thousand periods of 0.1: i times 0.1 is not always what it should be, and the jump there must not slip."""
    saw = Course((0.0, 0.1), (1.0, 2.0), 0.1)
    knots = np.arange(1, 1000) * 0.1
    assert saw.after(knots) == pytest.approx(np.full(999, 1.0), abs=1e-9)
    assert saw.before(knots) == pytest.approx(np.full(999, 2.0), abs=1e-9)
    breaks = saw.breaks(0.0, 100.0)
    assert len(breaks.times) == 1000
    assert breaks.jumps[1:] == pytest.approx(np.full(999, -1.0), abs=1e-9)
    assert breaks.bends[0] == pytest.approx(10.0)
    assert np.all(breaks.bends[1:] == 0.0)


def test_breaks_rebuild_the_course():
    """Jumps and bends summed up give the values; a knot on a line is none, nor is one that the run does not reach."""
    for course in (
        CYCLE,
        Course((1.0, 2.0, 3.0, 3.0), (5.0, 6.0, 7.0, -2.0)),
        Course((0.0, 50.0, 50.0), (1.0, 2.0, 3.0)),
    ):
        breaks = course.breaks(0.0, 45.0)
        t = np.linspace(0.0, 45.0, 999)[1:] + 1e-3
        t = t[t < 45.0]
        since = np.maximum(t[:, None] - breaks.times, 0.0)
        rebuilt = course.after(0.0) + (since > 0) @ breaks.jumps + since @ breaks.bends
        assert rebuilt == pytest.approx(course.after(t), abs=1e-12)
    assert Course((0.0, 1.0, 2.0), (0.0, 1.0, 2.0)).kinks(10.0) == (2.0,)
    assert Course((0.0, 5.0), (1.0, 1.0)).kinks(10.0) == ()
    assert CYCLE.kinks(45.0) == pytest.approx((10.0, 30.0, 40.0))
    shifted = CYCLE.breaks(10.0, 31.0)
    assert shifted.times == pytest.approx([30.0])
    assert shifted.jumps == pytest.approx([-0.5])


def test_integrals_and_variation():
    t = np.array([0.0, 10.0, 25.0, 30.0, 40.0])
    assert CYCLE.integral(t) == pytest.approx([0.0, 5.0, 12.5, 15.0, 20.0])
    knots, until, after = CYCLE.variation(0.0, 65.0)
    assert knots[-1] == 65.0
    assert until[-1] == pytest.approx(2 * (1 + 0.5 + 0.5) + 0.5)
    assert after[knots == 10.0] == pytest.approx(1.5)


def test_stepwise():
    assert Course((0.0, 1.0, 1.0), (1.0, 1.0, 0.0)).is_stepwise
    assert Course((0.0, 1.0, 1.0), (1.0, 1.0, 0.0), 2.0).is_stepwise
    assert not CYCLE.is_stepwise


def test_third_phi_function():
    """Against its power series, near and far from the switch at 0.5."""
    from fractions import Fraction
    from math import factorial

    x = np.array([0.0, 1e-9, 0.3, 0.499, 0.501, 2.0, 30.0])
    terms = [float(sum(Fraction(-v) ** n / factorial(n + 3) for n in range(160))) for v in x]
    assert phi3(x) == pytest.approx(terms, rel=1e-11)


# --- the integrator ---


def physics(kind, end):
    """Problems with loads of each sort: held, transferred, given as a flux; transfers that jump."""
    soft = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D, porosity=0.6)
    hard = PhasePhysics("b", Role.TRANSPORT, effective_diffusivity=D / 300, porosity=1.0, initial=100.0)
    ramp = Course((0.1 * end, 0.6 * end), (0.0, 1000.0))
    cycle = Course(
        tuple(t * end for t in (0, 0.1, 0.1, 0.15, 0.15, 0.25)), (1e3, 1e3, 0.0, 0.0, 500.0, 0.0), 0.25 * end
    )
    switch = Course(tuple(t * end for t in (0, 0.2, 0.2, 0.4, 0.4)), (1e-9, 1e-9, 0.0, 0.0, 3e-9), 0.5 * end)
    current = Course(tuple(t * end for t in (0, 0.1, 0.1, 0.2, 0.2)), (1.0, 1.0, 0.0, 0.0, -1.0), 0.3 * end)
    faces = {
        "ramp": {"x_min": FaceCondition(ramp)},
        "cycles": {"x_min": FaceCondition(cycle)},
        "two courses": {"x_min": FaceCondition(cycle), "y_max": FaceCondition(ramp, 1e-9)},
        "one course twice": {"x_min": FaceCondition(cycle), "y_max": FaceCondition(cycle.scaled(1.0, 2.0))},
        "current": {"x_min": FaceCondition(current_density=current)},
        "flux and source": {"x_min": FaceCondition(flux=current.scaled(1.0, 1e6)), "y_max": FaceCondition(ramp)},
        "switched": {"x_min": FaceCondition(cycle, switch), "y_max": FaceCondition(ramp)},
        "switched alone": {"x_min": FaceCondition(1000.0, switch)},
    }
    return Physics((soft, hard), faces[kind])


def exact(problem, weights, times):
    """weights · u(t), scaled, by dense eigendecompositions, stretch by stretch between kinks; also the final amount."""
    mass = _dense(problem.system.mass)
    free = mass.diagonal() > 0
    amount = problem.system.initial_amount[free]
    found = np.empty((len(weights), len(times)))
    cuts = [0.0, *problem.system.kinks, 1.0]
    for start, end in pairwise(cuts):
        system = problem.system.at(start)
        stiffness = _dense(system.stiffness)
        eigenvalues, modes = eigh(stiffness[np.ix_(free, free)], mass[np.ix_(free, free)])
        loads = [(load, float(load.course.after(start))) for load in system.loads]
        constant, slope = np.zeros(len(free)), np.zeros(len(free))
        held, held_slope = np.zeros(len(free)), np.zeros(len(free))
        for load, value in loads:
            rate = (float(load.course.before(end)) - value) / (end - start)
            constant += value * load.push
            slope += rate * load.push
            if load.drag is not None:
                constant += rate * load.drag
                if start > 0:
                    amount = amount + (value - float(load.course.before(start))) * load.drag[free]
            held[load.held] += value * load.shares
            held_slope[load.held] += rate * load.shares
        parts = [modes.T @ part for part in (amount, constant[free], slope[free])]

        def state(t, parts=parts, eigenvalues=eigenvalues, modes=modes):
            x = np.multiply.outer(np.maximum(eigenvalues, 0.0), t)
            weight = (np.exp(-x), t * phi1(x), t**2 * phi2(x))
            return modes @ sum(w * p[:, None] for w, p in zip(weight, parts, strict=True))

        inside = (times <= end + 1e-12) & ((times > start + 1e-12) | (start == 0))
        t = times[inside] - start
        given = (weights @ held)[:, None] + np.outer(weights @ held_slope, t)
        found[:, inside] = weights[:, free] @ state(t) + given
        amount = mass[np.ix_(free, free)] @ state(np.array([end - start]))[:, 0]
    return found


@pytest.mark.parametrize(
    "kind",
    ["ramp", "cycles", "two courses", "one course twice", "current", "flux and source", "switched", "switched alone"],
)
@pytest.mark.parametrize("duration", [0.02, 1.0, 100.0])
def test_estimate_bounds_the_error(kind, duration):
    """Over kinks of all sorts, at tolerances from 1e-2 to 1e-7, still filling or long full.

    Catches a bend taken up with the wrong sign or late by a stretch, and a bound that leaves one part of the
    superposition out. The balance closes at least as well as the curves are known.
    """
    end = duration * (SIDE * 1e-6) ** 2 / D
    mesh = rectangle(MPI.COMM_SELF, (12, 12), (SIDE, SIDE), lambda x: np.hypot(x[0] - 6, x[1] - 5) < 2.2, ("a", "b"))
    problem = build(mesh, physics(kind, end), 1, end)
    shapes = {
        "near": Box({"x": (0.0, 0.7e-6)}),
        "deep": Box({"x": (8e-6, 9e-6), "y": (1e-6, 3e-6)}),
        "inner": Box({"x": (5e-6, 6.5e-6), "y": (4e-6, 5e-6)}),
    }
    means = region_means(problem.space, mesh, shapes, {}, everywhere(0))
    weights = np.array([m.weights for m in means.values()])
    reference = None
    for tolerance in (1e-2, 1e-4, 1e-7):
        transient = solve(problem, means, TimeSpan(end, tolerance), SolverOptions("mumps"))
        if reference is None:
            reference = exact(problem, weights, transient.times / end)
        found = np.array(list(transient.curves.values())) / problem.scales.concentration
        error = np.abs(found - reference).max()
        assert transient.converged, (tolerance, transient.history)
        assert error <= transient.error <= tolerance, (tolerance, error)
        assert transient.balance.imbalance < tolerance


def test_cycles_cost_no_more_than_one():
    """A hundred cycles take about as many solves as a single step: one response serves all kinks."""
    end = 3.0 * (SIDE * 1e-6) ** 2 / D
    medium = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D)
    mesh = rectangle(MPI.COMM_SELF, (12, 12), (SIDE, SIDE))
    solves = []
    for cycles in (1, 100):
        period = end / cycles
        course = Course((0.0, 0.4 * period, 0.4 * period, 0.7 * period), (1000.0, 1000.0, 0.0, 500.0), period)
        problem = build(mesh, Physics((medium,), {"x_min": FaceCondition(course)}), 1, end)
        transient = solve(problem, {}, TimeSpan(end, 1e-4), SolverOptions("mumps"))
        assert transient.converged
        solves.append(transient.solves)
    assert solves[1] < 2 * solves[0]


def test_one_shape_is_one_response():
    """Sources that follow one course, up to a factor, share their solves."""
    end = 1.0 * (SIDE * 1e-6) ** 2 / D
    medium = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D)
    mesh = rectangle(MPI.COMM_SELF, (12, 12), (SIDE, SIDE))
    course = Course((0.0, 0.5 * end), (0.0, 1000.0))
    solves = {}
    for name, other in (("same", course.scaled(1.0, 3.0)), ("different", Course((0.0, 0.6 * end), (0.0, 1000.0)))):
        faces = {"x_min": FaceCondition(course), "x_max": FaceCondition(other)}
        problem = build(mesh, Physics((medium,), faces), 1, end)
        solves[name] = solve(problem, {}, TimeSpan(end, 1e-4), SolverOptions("mumps")).solves
    assert solves["same"] < 0.7 * solves["different"]


def test_constant_courses_cost_what_numbers_do():
    """A table whose values are all the same is a number: the same solves, the same bits."""
    end = 1.0 * (SIDE * 1e-6) ** 2 / D
    medium = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D)
    mesh = rectangle(MPI.COMM_SELF, (12, 12), (SIDE, SIDE))
    found = []
    for value in (1000.0, Course((0.0, end / 2), (1000.0, 1000.0))):
        problem = build(mesh, Physics((medium,), {"x_min": FaceCondition(value)}), 1, end)
        means = region_means(problem.space, mesh, {"all": Box({})}, {}, everywhere(0))
        found.append(solve(problem, means, TimeSpan(end, 1e-4), SolverOptions("mumps")))
    assert found[0].solves == found[1].solves
    assert np.array_equal(found[0].curves["all"], found[1].curves["all"])
