"""Sources, transfers and fluxes that change with time: a slab against closed forms, amounts against integrals."""

import numpy as np
import pytest
from closed_forms import slab_mean
from course_forms import (
    flux_mean,
    flux_ramp_mean,
    periodic_mean,
    ramp_mean,
    robin_ramp_mean,
    robin_then_rest_mean,
)
from made_meshes import COMM, everywhere, rectangle, voxels_as_cells

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import FARADAY, FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.transient import solve

MICRO = 1e-6
LENGTH = 10 * MICRO
D = 2e-14  # m²/s, effective
POROSITY = 0.5
SPEED = D / POROSITY
END = LENGTH**2 / SPEED
REGIONS = {"near": (0.5, 2.0), "middle": (4.0, 5.5), "far": (9.0, 10.0)}  # µm, on edges of the elements
# cells, degree, elements along the slab, largest error expected per largest value
MESHES = [
    ("triangle", 1, 80, 3e-4),
    ("triangle", 2, 40, 2e-6),
    ("triangle", 3, 20, 1e-6),
    ("quadrilateral", 1, 80, 3e-4),
    ("quadrilateral", 2, 40, 2e-6),
    ("tetrahedron", 1, 40, 1e-3),
    ("tetrahedron", 2, 20, 2e-5),
    ("hexahedron", 1, 40, 1e-3),
    ("hexahedron", 2, 20, 2e-5),
]
NAMES = {"triangle": "triangles", "quadrilateral": "squares", "tetrahedron": "tetrahedra", "hexahedron": "cubes"}
mesh_kinds = pytest.mark.parametrize(("shape", "degree", "columns", "bound"), MESHES)


def medium(**more):
    return PhasePhysics("medium", Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, porosity=POROSITY, **more)


def slab(shape, columns, comm=COMM):
    """A slab of 10 µm along x, one element across."""
    dim = 3 if shape in ("tetrahedron", "hexahedron") else 2
    labels = np.zeros((1,) * (dim - 1) + (columns,), np.uint8)
    edge = (10.0 / columns, *(0.5,) * (dim - 1))
    parts = voxels_as_cells(labels, ("medium",), shape, comm, lambda cell: cell * comm.size // (6 * columns), edge)
    return mesh_in_place(parts, [0], comm)


def run(mesh, faces, degree, *, end=END, tolerance=1e-9, options=None, times=None, snapshots=(), phases=None):
    """The transient of a slab, and its problem."""
    problem = build(mesh, Physics(phases or (medium(),), faces), degree, end)
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in REGIONS.items()}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255))
    span = TimeSpan(end, tolerance, snapshots, times)
    return problem, solve(problem, means, span, options or SolverOptions())


def largest_error(transient, exact, scale, since=1e-3):
    """Over all regions and times from `since` of the end on, per scale; `since` may say it of each time."""
    late = since(transient.times) if callable(since) else transient.times > since * transient.times[-1]
    errors = [
        np.abs(transient.curves[name] - exact(transient.times, a * MICRO, b * MICRO))[late].max()
        for name, (a, b) in REGIONS.items()
    ]
    return max(errors) / scale


def check(verified, faces, exact, scale, mesh_kind, term, against, since=1e-3, **options):
    """Run on a mesh and on one of elements twice as long; record how both compare and assert it; the fine run."""
    shape, degree, columns, bound = mesh_kind
    errors = []
    for count in (columns // 2, columns):
        _, transient = run(slab(shape, count), faces, degree, **options)
        errors.append(largest_error(transient, exact, scale, since))
    balance, order = transient.balance.imbalance, np.log2(errors[0] / errors[1])
    verified(
        term=term,
        against=against,
        dim=3 if shape in ("tetrahedron", "hexahedron") else 2,
        cells=NAMES[shape],
        degree=degree,
        error=errors[1],
        order_space=order,
        balance=balance,
    )
    assert transient.converged
    assert errors[1] < bound, errors
    assert order > degree + 0.9, errors
    assert balance < 1e-8, balance
    return transient


# --- sources ---


@mesh_kinds
def test_source_that_rises_and_stays(verified, shape, degree, columns, bound):
    """Catches a ramp taken for a step, a bend forgotten, what a rising held value drags along left out."""
    rises = 0.3 * END
    faces = {"x_min": FaceCondition(Course((0.0, rises), (0.0, 1000.0)))}

    def exact(t, a, b):
        form = (a, b, LENGTH, SPEED)
        return 1000.0 / rises * (ramp_mean(t, *form) - ramp_mean(t - rises, *form))

    against = "rise of a held concentration, then constant: Carslaw and Jaeger (1959) §3.5"
    check(verified, faces, exact, 1000.0, (shape, degree, columns, bound), "courses", against)


@mesh_kinds
def test_source_that_is_switched_off_and_on(verified, shape, degree, columns, bound):
    """Jumps up and down: catches the amount of the free unknowns kept where that with the held ones is continuous."""
    off, on = 0.2 * END, 0.5 * END
    faces = {"x_min": FaceCondition(Course((0.0, off, off, on, on), (1000.0, 1000.0, 0.0, 0.0, 500.0)))}

    def exact(t, a, b):
        steps = [(0.0, 1000.0), (off, -1000.0), (on, 500.0)]
        return sum(h * np.where(t > s, slab_mean(np.maximum(t - s, 0.0), a, b, LENGTH, SPEED), 0.0) for s, h in steps)

    def settled(times):  # before, the layer that a jump makes spans few elements
        kinks = np.array([0.0, off, on])
        since = np.min(np.where(times[:, None] > kinks, times[:, None] - kinks, np.inf), axis=1)
        return since > 0.02 * END

    against = "held concentration switched off and on, from 2 % of the run after each jump: Crank (1975) eq. 4.17"
    check(verified, faces, exact, 1000.0, (shape, degree, columns, 3 * bound), "courses", against, settled)


@pytest.mark.parametrize("wave", ["square", "triangle"])
def test_periodic_source(verified, wave):
    """Twenty periods on, against the Fourier series of the steady oscillation: catches a period that drifts."""
    period = 0.5 * END
    n = np.arange(1, 20_000)
    amplitudes = np.zeros(20_000, complex)
    amplitudes[0] = 500.0
    if wave == "square":  # 1000 in the first half of the period
        course = Course((0.0, period / 2, period / 2), (1000.0, 1000.0, 0.0), period)
        amplitudes[1:] = np.where(n % 2, -2000.0j / (np.pi * n), 0.0)
    else:
        course = Course((0.0, period / 2, period), (0.0, 1000.0, 0.0), period)
        amplitudes[1:] = np.where(n % 2, -4000.0 / (np.pi * n) ** 2, 0.0)
    end = 20 * period
    times = tuple(np.linspace(19 * period, end, 50)[1:])
    check(
        verified,
        {"x_min": FaceCondition(course)},
        lambda t, a, b: periodic_mean(t, a, b, LENGTH, SPEED, period, amplitudes),
        1000.0,
        ("triangle", 2, 40, 1e-5),
        "courses",
        f"{wave} wave held, 20th period: Fourier series of the steady oscillation, Carslaw and Jaeger (1959) §3.6",
        end=end,
        times=times,
        tolerance=2e-9,  # rounding in the factors' solves alone adds up to 1e-9 in the estimate over twenty periods
    )


# --- transfers ---


@mesh_kinds
def test_rising_concentration_outside(verified, shape, degree, columns, bound):
    velocity, rises = 4e-9, 0.5 * END
    faces = {"x_min": FaceCondition(Course((0.0, rises), (0.0, 1000.0)), velocity)}

    def exact(t, a, b):
        form = (a, b, LENGTH, SPEED, velocity / POROSITY)
        return 1000.0 / rises * (robin_ramp_mean(t, *form) - robin_ramp_mean(t - rises, *form))

    against = "mass transfer from a concentration that rises, then stays: integral of Crank (1975) eq. 4.50"
    check(verified, faces, exact, 1000.0, (shape, degree, columns, bound), "courses", against)


@mesh_kinds
def test_transfer_that_stops(verified, shape, degree, columns, bound):
    """k jumps to 0: catches a stiffness that stays as it was, or a load that does."""
    velocity, stops = 1e-8, 0.1 * END
    faces = {"x_min": FaceCondition(1000.0, Course((0.0, stops, stops), (velocity, velocity, 0.0)))}
    assert build(slab(shape, 2), Physics((medium(),), faces), degree, END).system.is_stepwise

    def exact(t, a, b):
        return 1000.0 * robin_then_rest_mean(t, a, b, LENGTH, SPEED, velocity / POROSITY, stops)

    against = "mass transfer that stops: Crank (1975) eq. 4.50, then cosine series of the closed slab"
    check(verified, faces, exact, 1000.0, (shape, degree, columns, bound), "courses", against)


def test_transfer_that_comes_and_goes():
    """Many stretches: curves at any time, fields at snapshots only, the balance over all; the amount at rest stays."""
    period = 0.1 * END
    course = Course((0.0, 0.5 * period, 0.5 * period), (1e-8, 1e-8, 0.0), period)
    asked = 0.33 * END
    problem, transient = run(
        slab("triangle", 20), {"x_min": FaceCondition(1000.0, course)}, 2, snapshots=(0.0, asked), tolerance=1e-8
    )
    assert len(transient.poles) < 10  # of 20 stretches: solvers are taken up again
    assert transient.balance.imbalance < 1e-8
    field = transient.concentration(asked)
    owned = problem.space.dofmap.index_map.size_local
    mean = COMM.allreduce(problem.amount @ field[:owned]) / COMM.allreduce(problem.amount.sum())
    assert 100.0 < mean < 900.0
    with pytest.raises(ValueError, match="fields were asked for"):
        transient.concentration(0.5 * END)


# --- fluxes ---


@mesh_kinds
def test_constant_flux(verified, shape, degree, columns, bound):
    """Nothing is held: catches a scale that is 0, a flux per the wrong area, a porosity left out."""
    flux = 1e-6
    faces = {"x_min": FaceCondition(flux=flux)}
    filled = flux * END / (POROSITY * LENGTH)
    problem = build(slab(shape, 2), Physics((medium(),), faces), degree, END)
    assert problem.scales.concentration == pytest.approx(filled, rel=1e-9)

    def exact(t, a, b):
        return flux / POROSITY * flux_mean(t, a, b, LENGTH, SPEED)

    against = "constant flux into a slab: Carslaw and Jaeger (1959) §3.8"
    transient = check(verified, faces, exact, filled, (shape, degree, columns, bound), "fluxes", against)
    assert np.abs(transient.balance.imbalance) < 1e-10


@mesh_kinds
def test_flux_that_rises_and_turns(verified, shape, degree, columns, bound):
    flux, turns = 1e-6, 0.4 * END
    course = Course((0.0, turns, turns, END), (0.0, flux, -flux / 2, 0.0))
    faces = {"x_max": FaceCondition(flux=course)}

    def exact(t, a, b):
        form = (LENGTH - b, LENGTH - a, LENGTH, SPEED)
        up, down = flux / turns, 0.5 * flux / (END - turns)
        rise = up * flux_ramp_mean(t, *form) + (down - up) * flux_ramp_mean(t - turns, *form)
        return (rise - 1.5 * flux * flux_mean(t - turns, *form)) / POROSITY

    against = "flux that rises, jumps below 0 and fades: integrals of Carslaw and Jaeger (1959) §3.8"
    scale = flux * END / (POROSITY * LENGTH)
    check(verified, faces, exact, scale, (shape, degree, columns, bound), "fluxes", against)


@pytest.mark.parametrize("linear", ["mumps", pytest.param("cg", marks=pytest.mark.mpi)])
@pytest.mark.parametrize(
    "course",
    [
        Course.constant(2.0),
        Course((0.0, 0.3), (0.0, 2.0)),
        Course((0.0, 0.25, 0.25, 0.5), (1.0, 1.0, -3.0, 0.5)),
        Course((0.0, 0.04, 0.04, 0.05, 0.05, 0.09, 0.09), (1.0, 1.0, 0.0, 0.0, -1.0, -1.0, 0.0), 0.1),
    ],
    ids=["constant", "ramp", "steps", "cycles"],
)
def test_amount_is_the_integral_of_the_current(verified, linear, course):
    """A face that is covered in part: the current is that of the whole face, through what the condition holds for.

    Exact at an ordinary tolerance: catches a current per covered area (here half of it), a wrong charge number, a mean
    that is integrated only as well as the rest.
    """
    in_seconds = Course(tuple(t * END for t in course.times), course.values, course.period and course.period * END)
    mesh = rectangle(COMM, (10, 8), (10.0, 4.0), lambda x: np.where(x[1] > 2.0, 0, 1), ("medium", "other"))
    other = PhasePhysics("other", Role.TRANSPORT, effective_diffusivity=3 * D, porosity=0.3)
    faces = {"x_min": FaceCondition(current_density=in_seconds, phases=("medium",))}
    options = SolverOptions(linear)
    _, transient = run(mesh, faces, 2, tolerance=1e-4, options=options, phases=(medium(), other))
    # Midpoints of cells that have the knots on their ends: exact for pieces that are linear.
    cells = 200_000
    middles = (np.arange(cells) + 0.5) / cells * END
    amounts = np.cumsum(in_seconds.after(middles)) * (END / cells) * 4.0 * MICRO / FARADAY
    exchanged = np.abs(amounts).max()
    error = abs(transient.balance.stored_change - amounts[-1]) / exchanged
    verified(
        term="fluxes",
        against="amount stored: integral of the current by Faraday's law",
        dim=2,
        cells="triangles",
        degree=2,
        error=error,
        of="amount exchanged",
        balance=transient.balance.imbalance,
    )
    assert transient.balance.inflow["x_min"] == pytest.approx(amounts[-1], abs=1e-10 * exchanged)
    assert error < 1e-10
    assert transient.balance.imbalance < 1e-10


@pytest.mark.mpi
def test_flux_beside_a_source(verified):
    """Two faces that meet: what the flux brings is told from what the source takes, and nothing is lost."""
    mesh = rectangle(COMM, (12, 12), (10.0, 10.0))
    course = Course((0.0, 0.5 * END, 0.5 * END), (2e-6, 0.0, 1e-6))
    faces = {"x_min": FaceCondition(Course((0.0, 0.7 * END), (200.0, 1000.0))), "y_max": FaceCondition(flux=course)}
    _, transient = run(mesh, faces, 2, tolerance=1e-10)
    brought = float(course.integral(np.array([END]))[0]) * LENGTH
    balance = transient.balance
    error = abs(balance.inflow["y_max"] - brought) / brought
    verified(
        term="fluxes",
        against="flux beside a source: integral of the flux",
        dim=2,
        cells="triangles",
        degree=2,
        error=error,
        of="amount exchanged",
        balance=balance.imbalance,
    )
    assert error < 1e-10
    assert balance.imbalance < 1e-8


# --- any course ---


@pytest.mark.mpi
def test_any_number_of_ranks_gives_the_same_curves():
    cycle = Course((0.0, 0.1 * END, 0.1 * END), (1000.0, 400.0, 0.0), 0.3 * END)
    switch = Course((0.0, 0.5 * END, 0.5 * END), (1e-8, 1e-8, 0.0))
    faces = {"x_min": FaceCondition(cycle), "x_max": FaceCondition(500.0, switch)}
    _, shared = run(slab("triangle", 30), faces, 2, tolerance=1e-6)
    _, alone = run(slab("triangle", 30, MPI.COMM_SELF), faces, 2, tolerance=1e-6)
    for name in REGIONS:
        assert np.abs(shared.curves[name] - alone.curves[name]).max() < 1e-8 * 1000.0


def test_first_time_of_a_curve_that_comes_back():
    """The first of several crossings, within a pulse much shorter than the run."""
    pulse = 0.01 * END
    course = Course((0.4 * END, 0.4 * END, 0.4 * END + pulse, 0.4 * END + pulse), (0.0, 1000.0, 1000.0, 0.0))
    _, transient = run(slab("triangle", 40), {"x_min": FaceCondition(course)}, 2, times=(END,), tolerance=1e-6)
    early = transient.first_time("near", 100.0)
    assert 0.4 * END < early < 0.4 * END + pulse
    assert transient.first_time("near", 999.0) is None
    assert transient.first_time("far", 100.0) is None


def test_periods_in_the_wrong_unit():
    """A period a million times too short is refused with a sentence, not followed for days."""
    course = Course((0.0, 5e-7 * END), (1000.0, 0.0), 1e-6 * END)
    with pytest.raises(InputError, match="bend or jump 1999999 times until 2500 s"):
        run(slab("triangle", 4), {"x_min": FaceCondition(course)}, 1)


def test_times_see_each_stretch():
    """Default times: as ever for constant courses; with kinks, some in each stretch, and the kinks themselves."""
    from microlith.solver.times import output_times

    plain = output_times(TimeSpan(100.0))
    assert len(plain) == 200
    kinks = (20.0, 20.5, 60.0)
    times = output_times(TimeSpan(100.0), kinks)
    assert set(kinks) <= set(times)
    for start, end in zip((0.0, *kinks), (*kinks, 100.0), strict=True):
        inside = (times > start) & (times <= end)
        assert inside.sum() >= 20
        assert times[inside][0] <= start + 2e-3 * (end - start)
    many = output_times(TimeSpan(100.0), tuple(np.linspace(0, 100, 1001)[1:-1]))
    assert 3000 < len(many) < 6000
    assert output_times(TimeSpan(100.0, times=(5.0, 1.0)), kinks).tolist() == [1.0, 5.0]
    later = output_times(TimeSpan(100.0, first=0.5, snapshots=(0.0, 0.2, 3.0)))
    assert later[:3].tolist() == [0.0, 0.2, 0.5]
    assert len(later) == 203
