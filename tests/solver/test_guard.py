"""What the maximum principle allows, and solutions held against it: broken ones are found, good ones are left alone."""

from dataclasses import replace

import numpy as np
import pytest
from made_meshes import COMM, brick, everywhere, pixels_as_triangles, rectangle

from dolfinx.mesh import CellType

from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.solver.guard.allowed import allowed
from microlith.solver.guard.curves import Limits, breaches_of, limits_of, raised
from microlith.solver.guard.fields import FieldWatch
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import DiffusivityTable
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.transient import solve

MICRO = 1e-6
D = 1e-14  # m²/s
END = 1000.0  # s: the slab of 10 µm is far from full
NAMES = ("pore", "sei", "particle", "binder")
PORE = PhasePhysics("pore", Role.SOURCE, concentration=1000.0)
PARTICLE = PhasePhysics("particle", Role.BARRIER)


def medium(name="medium", **more):
    return PhasePhysics(name, Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, **more)


def slab(cells=(40, 2), **more):
    return rectangle(COMM, cells, (10.0, 0.5), **more)


def bounds_of(mesh, physics, times=(0.0, 1.0, END)):
    problem = build(mesh, physics, 1, END)
    return problem, allowed(problem, physics, np.array(times))


def of_slab(times=(0.0, 1.0, END), initial=0.0, decay=0.0, **faces):
    """Bounds of a slab with conditions at its faces: low and high in mol/m³, whether it rises, whether it falls."""
    physics = Physics(
        (medium(initial=initial, decay=decay),), {name: FaceCondition(**face) for name, face in faces.items()}
    )
    problem, found = bounds_of(slab(), physics, times)
    assert found.low.shape == (1, len(times))
    scale = problem.scales.concentration
    return found.low[0] * scale, found.high[0] * scale, bool(found.rises[0]), bool(found.falls[0])


# --- what is allowed ---


def test_bounds_between_start_and_what_is_held():
    low, high, rises, falls = of_slab(x_min={"concentration": 1000.0}, x_max={"concentration": 30.0}, initial=20.0)
    assert low == pytest.approx(20.0)
    assert high == pytest.approx(1000.0)
    assert (rises, falls) == (True, False)
    low, high, rises, falls = of_slab(x_min={"concentration": 300.0, "mass_transfer": 1e-9}, initial=2000.0)
    assert low == pytest.approx(300.0)
    assert high == pytest.approx(2000.0)
    assert (rises, falls) == (False, True)
    *_, rises, falls = of_slab(x_min={"concentration": 10.0}, x_max={"concentration": 30.0}, initial=20.0)
    assert (rises, falls) == (False, False)


def test_bounds_with_decay():
    """Down to 0; closed it falls, fed from empty it rises, fed from above 0 nobody knows."""
    low, high, rises, falls = of_slab(initial=20.0, decay=1e-3)
    assert (low == 0.0).all()
    assert high == pytest.approx(20.0)
    assert (rises, falls) == (False, True)
    low, high, rises, falls = of_slab(x_min={"concentration": 1000.0}, initial=20.0, decay=1e-3)
    assert (low == 0.0).all()
    assert high == pytest.approx(1000.0)
    assert (rises, falls) == (False, False)
    *_, rises, falls = of_slab(x_min={"concentration": 1000.0}, decay=1e-3)
    assert (rises, falls) == (True, False)
    low, high, *_ = of_slab(x_min={"flux": 1e-6}, initial=20.0, decay=1e-3)
    assert (low == 0.0).all()
    assert np.isinf(high).all()


def test_bounds_follow_courses():
    course = Course((0.0, 100.0, 200.0, 300.0), (100.0, 500.0, 500.0, 50.0))
    low, high, rises, falls = of_slab((0.0, 50.0, 150.0, 1000.0), x_min={"concentration": course}, initial=100.0)
    assert low == pytest.approx([100.0, 100.0, 100.0, 50.0])
    assert high == pytest.approx([100.0, 300.0, 500.0, 500.0])
    assert (rises, falls) == (False, False)
    step = Course((0.0, 10.0, 10.0), (100.0, 100.0, 900.0))
    _, high, rises, _ = of_slab((0.0, 5.0, 10.0, 20.0), x_min={"concentration": step}, initial=100.0)
    assert high == pytest.approx([100.0, 100.0, 900.0, 900.0])  # what jumps at 10 s is there at 10 s
    assert rises
    again = Course((0.0, 10.0), (0.0, 100.0), period=10.0)
    assert of_slab(x_min={"concentration": again})[2] is False


def test_coefficients_that_change_keep_the_bounds_and_no_direction():
    course = Course((0.0, 10.0), (1e-9, 2e-9))
    low, high, rises, _ = of_slab(x_min={"concentration": 1000.0, "mass_transfer": course})
    assert (low[-1], high[-1], rises) == (0.0, pytest.approx(1000.0), False)


def test_given_fluxes_take_away_a_bound():
    late = Course((0.0, 500.0, 500.0), (0.0, 0.0, 1e-6))
    low, high, rises, _ = of_slab((0.0, 400.0, 1000.0), x_min={"flux": late}, initial=10.0)
    assert low == pytest.approx(10.0)
    assert high == pytest.approx([10.0, 10.0, np.inf])
    assert rises
    low, high, rises, falls = of_slab(x_min={"flux": -1e-6}, initial=10.0)
    assert low.tolist()[-1] == -np.inf
    assert high == pytest.approx(10.0)
    assert (rises, falls) == (False, True)
    assert of_slab(x_min={"flux": -1e-6}, x_max={"concentration": 10.0}, initial=10.0)[3]


def test_sinks():
    """One that fills up takes less and less: what it starts to empty may fill again."""
    mesh = mesh_partitioned(pixels_as_triangles(np.array([[1, 1, 1, 2]] * 2), NAMES, COMM), (1,), COMM)
    for capacity, initial, directions in ((None, 40.0, (False, True)), (1e-6, 40.0, (False, False))):
        sink = PhasePhysics("particle", Role.SINK, uptake=1e-9, capacity=capacity)
        physics = Physics((PORE, medium("sei", initial=initial), sink, medium("binder")))
        problem, found = bounds_of(mesh, physics)
        assert found.low.min() == 0.0
        assert found.high.max() * problem.scales.concentration == pytest.approx(40.0)
        assert (bool(found.rises[0]), bool(found.falls[0])) == directions


@pytest.mark.mpi
def test_each_part_has_its_own():
    """Two parts with a barrier between them, and one that nothing feeds."""
    labels = np.full((6, 12), 2)
    labels[:, 0], labels[:, 1:4], labels[:, 7:] = 0, 1, 3
    labels[2, 5] = 1
    physics = Physics((PORE, medium("sei"), PARTICLE, medium("binder", initial=50.0)), {"x_max": FaceCondition(200.0)})
    mesh = mesh_partitioned(pixels_as_triangles(labels, NAMES, COMM), (1, 3), COMM)
    problem = build(mesh, physics, 1, END)
    times = np.array([0.0, END])
    found = allowed(problem, physics, times)
    scale = problem.scales.concentration
    ends = sorted(zip(found.low[:, -1] * scale, found.high[:, -1] * scale, strict=True))
    assert np.array(ends) == pytest.approx(np.array([(0.0, 0.0), (0.0, 1000.0), (50.0, 200.0)]))
    boxes = {"fed": (1, 4), "alone": (5, 6), "right": (7, 12), "both": (3, 8)}
    means = region_means(
        problem.space,
        mesh,
        {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in boxes.items()},
        {},
        everywhere(2),
    )
    limits = limits_of(problem, found, means, times)
    highest = {name: limit.high[-1] for name, limit in limits.items()}
    # `both` is a column of 6 pixels that is fed, one of 6 at the right, and the pixel alone
    assert highest == pytest.approx({"fed": 1000.0, "alone": 0.0, "right": 200.0, "both": (6000 + 1200) / 13})
    assert limits["both"].low[-1] == pytest.approx(6 * 50 / 13)
    assert limits["alone"].rises
    assert limits["alone"].falls
    assert limits["both"].rises
    assert not limits["both"].falls


def test_partition_widens_what_a_phase_may_hold():
    names = ("sei", "silicon")
    mesh = slab(phase_of=lambda x: x[0] > 5.0, names=names)
    physics = Physics(
        (medium("sei"), medium("silicon")),
        {"x_min": FaceCondition(1000.0)},
        (InterfaceLaw("sei", "silicon", partition=20.0),),
    )
    problem, found = bounds_of(mesh, physics)
    means = region_means(problem.space, mesh, {"silicon": Box({"x": (6e-6, 9e-6)})}, {}, everywhere(1), problem.factors)
    limits = limits_of(problem, found, means, np.array([0.0, END]))["silicon"]
    assert limits.high == pytest.approx([20000.0, 20000.0])
    assert limits.rises


# --- curves ---

TIMES = np.array([0.0, 1.0, 2.0, 3.0])
WIDE = Limits(np.zeros(4), np.full(4, 40.0), False, False)
RISES = Limits(np.zeros(4), np.full(4, np.inf), True, False)


@pytest.mark.parametrize(
    ("curve", "limits", "expected"),
    [
        ([0, 10, 40, 120], WIDE, [("above", 3.0, 80.0, 3.0)]),
        ([0, -12, 41, 0], WIDE, [("below", 1.0, 12.0, 2.0)]),  # the 1 above is within the error
        ([0, -1, 41, 0], WIDE, []),
        ([0, 30, 20, 50], RISES, [("falls", 2.0, 8.5, 3.0)]),  # the error of the larger value counts as well
        ([0, 30, 28, 50], RISES, []),
([0, np.nan, 20, 50], RISES, [("undefined", 1.0, np.nan, 3.0)]),
    ],
)  # fmt: skip
def test_breaches(curve, limits, expected):
    error = {"gas": np.full(4, 1.5)}
    found = breaches_of(TIMES, {"gas": np.array(curve, float)}, error, error, {"gas": limits})
    np.testing.assert_equal([(b.kind, b.time, b.size, b.until) for b in found], expected)


def test_what_is_beyond_a_bound_is_said_once():
    curve, error = np.array([0.0, 20.0, -10.0, 30.0, 60.0, 25.0]), np.ones(6)
    limits = Limits(np.zeros(6), np.full(6, 100.0), True, False)
    found = breaches_of(np.arange(6.0), {"gas": curve}, {"gas": error}, {"gas": error}, {"gas": limits})
    assert [(one.kind, one.time, one.until) for one in found] == [("below", 2.0, 3.0), ("falls", 5.0, 5.0)]
    limits = Limits(np.zeros(4), np.full(4, 100.0), True, False)
    few = {"gas": error[:4]}
    (only,) = breaches_of(np.arange(4.0), {"gas": curve[:4]}, few, few, {"gas": limits})
    assert (only.kind, only.size) == ("below", 10.0)


def test_errors_are_no_less_than_what_is_known():
    curve = np.array([0.0, -3.0, 41.0, 30.0])
    found = raised({"gas": curve}, {"gas": np.array([1.0, 1.0, 2.0, 1.0])}, {"gas": WIDE})["gas"]
    assert found.tolist() == [1.0, 3.0, 2.0, 1.0]
    rises = replace(WIDE, rises=True)
    found = raised({"gas": curve}, {"gas": np.array([1.0, 1.0, 2.0, 1.0])}, {"gas": rises})["gas"]
    assert found.tolist() == [1.0, 3.0, 2.0, 9.0]  # the 41 may be 39


# --- solutions ---


def solved(mesh, physics, degree=1, times=None, tolerance=1e-5):
    shapes = {"near": Box({"x": (0.0, 2e-6)}), "far": Box({"x": (8e-6, 10e-6)}), "all": Box({})}
    problem = build(mesh, physics, degree, END)
    means = region_means(problem.space, mesh, shapes, {}, everywhere(0), problem.factors)
    time = TimeSpan(END, tolerance, (10.0, END), times)
    return problem, means, solve(problem, means, time, SolverOptions())


def breaches(problem, means, physics, transient, in_space=1.0):
    """With an error of `in_space` mol/m³ for elements."""
    times = transient.times
    limits = limits_of(problem, allowed(problem, physics, times), means, times)
    error = transient.error * problem.scales.concentration + in_space
    errors = {name: np.full(len(times), error) for name in limits}
    return breaches_of(times, transient.curves, errors, errors, limits)


FED = {"x_min": FaceCondition(1000.0)}
THROUGH = {"x_min": FaceCondition(1000.0, 1e-7), "x_max": FaceCondition(100.0)}
CYCLE = {"x_min": FaceCondition(Course((0.0, 100.0, 100.0, 200.0), (1000.0, 1000.0, 0.0, 0.0), period=200.0))}
GOOD = [
    (slab, 1, Physics((medium(),), FED)),
    (slab, 2, Physics((medium(),), THROUGH)),
    (slab, 1, Physics((medium(initial=500.0),), CYCLE)),
    (slab, 2, Physics((medium(initial=500.0),), {"x_max": FaceCondition(flux=1e-6)})),
    (slab, 2, Physics((medium(initial=500.0),))),
    (slab, 1, Physics((medium(law=DiffusivityTable((0.0, 1000.0), (1e-15, 1e-14))),), FED)),
    (lambda: slab(kind=CellType.quadrilateral), 2, Physics((medium(),), FED)),
    (lambda: brick(COMM, (20, 2, 2), (10.0, 1.0, 1.0), CellType.tetrahedron), 1, Physics((medium(),), FED)),
    (lambda: brick(COMM, (20, 2, 2), (10.0, 1.0, 1.0), CellType.hexahedron), 2, Physics((medium(),), THROUGH)),
]


@pytest.mark.parametrize("case", range(len(GOOD)))
def test_good_solutions_are_left_alone(case):
    make, degree, physics = GOOD[case]
    problem, means, transient = solved(make(), physics, degree)
    assert breaches(problem, means, physics, transient) == ()


def scaled_rows(problem, factor):
    """K with the coupling of the unknowns in the middle to all others scaled: they give what nobody gets."""
    matrix = problem.system.stiffness
    left = matrix.createVecLeft()
    x = problem.space.tabulate_dof_coordinates()[: problem.system.initial.size, 0]
    left.array[:] = np.where(np.abs(x - 5.0) < 0.1, factor, 1.0)
    matrix.diagonalScale(left, None)


@pytest.mark.mpi
def test_a_source_that_is_not_there_is_found():
    """A load half as large again as its term in K asks for: c settles at 60, where nothing above 40 acts."""
    physics = Physics((medium(),), {"x_min": FaceCondition(40.0, 1e-8)})
    problem = build(slab(), physics, 1, 1e5)
    for load in problem.system.loads:
        load.push[:] *= 1.5  # of the concentration beyond the transfer, 60 for 40
    means = region_means(problem.space, problem.discretization.mesh, {"all": Box({})}, {}, everywhere(0))
    transient = solve(problem, means, TimeSpan(1e5, 1e-5), SolverOptions())
    (breach,) = breaches(problem, means, physics, transient, in_space=0.1)
    assert (breach.region, breach.kind, breach.time) == ("all", "above", 1e5)
    assert breach.limit == pytest.approx(40.0)
    assert breach.size == pytest.approx(20.0, rel=0.05)


@pytest.mark.mpi
def test_a_loss_that_is_not_there_is_found():
    """Diffusion towards 0 of one unknown in the middle: what has risen falls again, or less than nothing is there."""
    physics = Physics((medium(initial=10.0),), FED)
    problem, means, good = solved(slab(), physics)
    assert breaches(problem, means, physics, good) == ()
    scaled_rows(problem, -3.0)
    bad = solve(problem, means, TimeSpan(END, 1e-5), SolverOptions())
    assert breaches(problem, means, physics, bad)


def test_undershoots_of_fields_are_found_with_their_place():
    """Elements of 2.5 µm where lithium has come 0.3 µm far; fine ones follow it."""
    physics = Physics((medium(),), FED)
    for cells, least in (((4, 1), 100.0), ((400, 1), 0.0)):
        problem, _, transient = solved(slab(cells), physics)
        watch = FieldWatch(problem, allowed(problem, physics, np.array([0.0, 10.0])))
        assert watch.ranges() == ()
        for time in (10.0, END):
            watch.look(time, transient.concentration(time))
        (found,) = watch.ranges()
        assert found.highest == pytest.approx(1000.0)
        if least:
            assert found.under is not None
            assert found.under.beyond > least
            assert found.under.value == found.lowest < 0.0
            assert found.under.time == 10.0
            assert 0.0 < found.under.place[0] < 5.0e-6
        else:
            assert found.lowest > -0.1  # what the integration in time may leave of a field
        assert found.over is None or found.over.beyond < 1e-3


@pytest.mark.mpi
def test_of_places_that_rounding_alone_tells_apart_any_ranks_name_the_same():
    physics = Physics((medium(),), FED)
    problem = build(slab(), physics, 1, END)
    watch = FieldWatch(problem, allowed(problem, physics, np.array([0.0, 10.0, END])))
    points = problem.display.space.tabulate_dof_coordinates()
    c = np.full(len(points), 500.0)
    far = (points[:, 0] > 5.1) & (points[:, 0] < 8.6)
    c[far] = 1100.0 + 1e-9 * np.random.default_rng(COMM.rank).standard_normal(np.count_nonzero(far))
    watch.look(10.0, c)
    watch.look(END, c + 1e-8)
    (found,) = watch.ranges()
    assert found.over is not None
    assert found.over.place == pytest.approx((5.25e-6, 0.0), abs=1e-12)
    assert found.over.time == 10.0
    assert found.over.value == pytest.approx(1100.0)
    assert found.over.element == pytest.approx(np.hypot(0.25e-6, 0.25e-6))


LAW = DiffusivityTable((0.0, 1000.0), (1e-15, 1e-14))
JUMPS = FaceCondition(1000.0, Course((0.0, 100.0, 100.0, 200.0), (1e-8, 1e-8, 0.0, 0.0), period=200.0))


@pytest.mark.parametrize(
    ("conditions", "law"), [(FED, None), (CYCLE, None), ({"x_min": JUMPS}, None), (FED, LAW)],
    ids=["one stretch", "a course", "several stretches", "steps"],
)  # fmt: skip
def test_fields_are_looked_at_on_the_way(conditions, law):
    """However a problem is solved: the largest that is seen is what the case holds, the lowest an undershoot or 0."""
    physics = Physics((medium(law=law),), conditions)
    problem = build(slab((10, 1)), physics, 1, END)
    watch = FieldWatch(problem, allowed(problem, physics, np.linspace(0.0, END, 101)))
    seen = []

    def see(time, u):
        seen.append(time)
        watch.see(time, u)

    solve(problem, {}, TimeSpan(END, 1e-4), SolverOptions(), seen=see)
    assert len(seen) > 15
    assert seen == sorted(seen)
    assert 0.999e-5 < seen[0] / END < 5e-5
    (found,) = watch.ranges()
    if JUMPS in conditions.values():
        assert 0.0 < found.highest < 1000.0
    else:
        assert 999.0 < found.highest < 1100.0  # where the source falls, elements overshoot
        assert found.under is not None
        assert found.lowest < -10.0
        assert found.under.time < 20.0 or conditions is CYCLE
