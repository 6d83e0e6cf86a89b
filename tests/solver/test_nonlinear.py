"""Diffusivities that depend on the concentration, surfaces that fill up, and the integrator that solves for them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from finite_volumes import slab
from made_meshes import COMM, brick, everywhere, rectangle
from scipy.integrate import quad, solve_bvp, solve_ivp

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.meshing.mesh.phasemesh import face_tag, interface_tag
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.kirchhoff import Potential
from microlith.solver.physics.laws import (
    OPERATIONS,
    Concentration,
    Constant,
    DiffusivityExpression,
    DiffusivityTable,
    Operation,
    values_of,
)
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.steps.stage_matrix import LinearSolverFailed, NotConverged, StageMatrix
from microlith.solver.steps.tableaus import ESDIRK4, TRBDF2
from microlith.solver.transient import solve

MICRO = 1e-6
LENGTH = 10 * MICRO
D = 2e-14  # m²/s, largest
POROSITY = 0.5
END = LENGTH**2 / D
REGIONS = {"near": (0.0, 0.1), "middle": (0.4, 0.5), "far": (0.9, 1.0)}  # per length
C = Concentration()
FED = {"x_min": FaceCondition(1000.0)}
UNIT = D * END / LENGTH**2  # of the reference: length 1, time 1, concentration 1


def op(name, *arguments):
    return Operation(name, tuple(Constant(a) if isinstance(a, float) else a for a in arguments))


def expression(tree):
    return DiffusivityExpression(tree, "as built by the test")


CONSTANT = expression(Constant(D))
# Crystalline below 300 mol/m³, amorphous above: a hundredfold jump, most of it within 200 mol/m³.
JUMP = expression(
    op(
        "multiply",
        D / 10,
        op("exp", op("multiply", float(np.log(10)), op("tanh", op("divide", op("subtract", C, 300.0), 100.0)))),
    )
)
EXPONENTIAL = expression(op("multiply", D / float(np.exp(2)), op("exp", op("multiply", 0.002, C))))
TABLE = DiffusivityTable((0.0, 200.0, 500.0, 1000.0), (D / 20, D / 10, D, D / 2), logarithmic=True)


def scaled(law):
    """The law as a function for the reference, in units of 1 per length, END and 1000 mol/m³."""
    return lambda c: values_of(law, np.asarray(c) * 1000.0) * END / LENGTH**2


def medium(law, **more):
    given = {"diffusivity": D, "effective_diffusivity": D, "porosity": POROSITY, "law": law, **more}
    return PhasePhysics("medium", Role.TRANSPORT, **given)


def slab_mesh(columns=60, rows=1, comm=COMM):
    return rectangle(comm, (columns, rows), (10.0, 10.0 * rows / columns))


def with_sink(mesh, face="x_max", name="silicon"):
    """The mesh with an outer face turned into the surface of another phase."""
    values = mesh.facet_tags.values.copy()
    values[values == face_tag(face)] = interface_tag(0, len(mesh.names))
    tags = dmesh.meshtags(mesh.mesh, mesh.facet_tags.dim, mesh.facet_tags.indices, values)
    return replace(mesh, facet_tags=tags, names=(*mesh.names, name))


def run(mesh, physics, degree=2, tolerance=1e-4, snapshots=(), times=None, options=None, end=END):
    shapes = {name: Box({"x": (a * LENGTH, b * LENGTH)}) for name, (a, b) in REGIONS.items()}
    problem = build(mesh, physics, degree, end)
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    return solve(problem, means, TimeSpan(end, tolerance, snapshots, times), options or SolverOptions())


def curves_of(transient):
    return np.array(list(transient.curves.values())) / 1000.0


# --- the method ---


@pytest.mark.parametrize("tableau", [ESDIRK4, TRBDF2], ids=lambda t: t.name)
def test_conditions_of_order_and_l_stability(tableau):
    """Catches a mistyped coefficient."""
    a, c = tableau.a, tableau.c
    trees = [
        lambda b: (b.sum(), 1),
        lambda b: (b @ c, 1 / 2),
        lambda b: (b @ c**2, 1 / 3),
        lambda b: (b @ a @ c, 1 / 6),
        lambda b: (b @ c**3, 1 / 4),
        lambda b: ((b * c) @ a @ c, 1 / 8),
        lambda b: (b @ a @ c**2, 1 / 12),
        lambda b: (b @ a @ a @ c, 1 / 24),
    ]
    count = {2: 2, 3: 4, 4: 8}
    for b, order in ((a[-1], tableau.order), (tableau.embedded, tableau.embedded_order)):
        wrong = np.array([abs(value - exact) for value, exact in (tree(b) for tree in trees)])
        assert wrong[: count[order]].max() < 1e-14
        assert wrong.max() > 1e-5 or order == 4
    stable = 1 + 1e9 * -a[-1] @ np.linalg.solve(np.eye(len(c)) + 1e9 * a, np.ones(len(c)))
    assert abs(stable) < 1e-6
    on_axis = [
        abs(1 + z * a[-1] @ np.linalg.solve(np.eye(len(c)) - z * a, np.ones(len(c))))
        for z in 1j * np.geomspace(0.01, 1e4, 300)
    ]
    assert max(on_axis) <= 1 + 1e-9


def test_potential_of_laws():
    """Every operation's integral against SciPy's quadrature, with kinks, beyond both ends and without a known end."""
    shifted = op("divide", op("add", C, 10.0), 300.0)
    trees = {
        "add": op("add", C, shifted),
        "subtract": op("subtract", 5.0, shifted),
        "multiply": op("multiply", C, shifted),
        "divide": op("divide", 3.0, shifted),
        "power": op("power", shifted, op("multiply", 0.01, C)),
        "negative": op("negative", op("negative", op("power", C, 1.5))),
        "exp": op("exp", shifted),
        "log": op("log", op("add", 1.0, shifted)),
        "sqrt": op("sqrt", shifted),
        "tanh": op("tanh", shifted),
        "minimum": op("minimum", shifted, op("subtract", 2.0 + 1 / 30, op("divide", C, 1500.0))),
        "maximum": op("maximum", shifted, 1.7),
    }
    assert set(trees) == set(OPERATIONS)
    c = np.linspace(0.0, 1000.0, 12)
    kinks = (200.0, 500.0)  # of the tables and of maximum
    for law in [*map(expression, trees.values()), TABLE, replace(TABLE, logarithmic=False)]:
        for top, scale in ((1000.0, 1.0), (np.inf, 30.0)):
            potential = Potential(law, top, scale)
            at = potential.at(c)
            steps = [
                quad(lambda x, law=law: float(values_of(law, np.array([x]))[0]), a, b, epsabs=0, epsrel=1e-11,
                     points=[k for k in kinks if a < k < b] or None)[0]
                for a, b in pairwise(c)
            ]  # fmt: skip
            assert np.allclose(np.diff(at), steps, rtol=1e-7), law
            assert np.allclose(potential.diffusivity(c), values_of(law, c), rtol=1e-7, atol=1e-8 * at[-1] / 1000.0)
    outside = Potential(EXPONENTIAL, 1000.0, 1.0).at(np.array([-50.0, 0.0, 1000.0, 1100.0]))
    first, last = values_of(EXPONENTIAL, np.array([0.0, 1000.0]))
    assert np.diff(outside)[[0, 2]] == pytest.approx([50.0 * first, 100.0 * last], rel=1e-8)


def test_potential_far_beyond_all_that_occurs():
    """Where Newton's method goes astray: a number at once, not a law followed for ever."""
    for c in (1e40, 1e300):
        potential = Potential(expression(op("multiply", D, op("add", 1.0, op("divide", C, 1000.0)))), np.inf, 1000.0)
        at = potential.at(np.array([1.0, c]))
        assert np.isfinite(at).all()
        assert len(potential._d.x) < 1000
    assert np.isinf(potential.at(np.array([np.inf]))).all()


def test_potential_of_a_law_without_values():
    """Nan from where the law ends or falls below zero, numbers before."""
    ends = op("sqrt", op("subtract", 1.0, op("divide", C, 500.0)))
    for tree in (ends, op("subtract", 1.0, op("divide", C, 500.0))):
        at = Potential(expression(tree), 1000.0, 1.0).at(np.array([100.0, 400.0, 520.0, 900.0]))
        assert np.isfinite(at[:2]).all()
        assert np.isnan(at[2:] if tree is ends else at[3:]).all()
    assert np.isnan(Potential(expression(op("power", C, -0.5)), 1000.0, 1.0).at(np.array([10.0]))).all()


@pytest.mark.parametrize("tableau", [ESDIRK4, TRBDF2], ids=lambda t: t.name)
def test_order_in_time(tableau, verified):
    """Fixed steps on a coarse mesh, whose discrete problem is smooth."""
    from microlith.solver.steps.dynamics import Dynamics
    from microlith.solver.steps.stepper import State, Stepper

    mesh = with_sink(rectangle(MPI.COMM_SELF, (2, 1), (10.0, 5.0)))
    sink = PhasePhysics("silicon", Role.SINK, uptake=3e-9, capacity=2e-3)
    face = {"x_min": FaceCondition(Course((0.0, END), (1000.0, 400.0)), 5e-9)}
    problem = build(mesh, Physics((medium(EXPONENTIAL, initial=200.0), sink), face), 1, END)
    ends, amounts = [], []
    for steps in (10, 20, 40, 160):
        dynamics = Dynamics(problem)
        stepper = Stepper(dynamics, StageMatrix(dynamics, "mumps", 0.0, 1e-4))
        zero = tuple(np.zeros_like(uptake.weights) for uptake in dynamics.uptakes)
        moment = dynamics.moment(0.0, 0.0, 1.0)
        start = problem.system.initial
        forces = dynamics.forces(start, moment)
        rates = tuple(up.rate(start, q, 0.0).flux for up, q in zip(dynamics.uptakes, zero, strict=True))
        for uptake, flux in zip(dynamics.uptakes, rates, strict=True):
            forces += uptake.vector(flux)
        state = State(start, zero, _solved(problem.system.mass, -forces), rates)
        for step in range(steps):
            state = stepper.step(tableau, state, (0.0, 1.0), step / steps, 1.0 / steps, 1e-13).state
        ends.append(state.u)
        amounts.append(dynamics.uptakes[0].amount(state.q[0]))
        stepper.destroy()
    wrong = [np.abs(u - ends[-1]).max() for u in ends[:-1]]
    orders = np.log2(np.array(wrong[:-1]) / wrong[1:])
    taken = np.log2(np.abs(np.array(amounts[:-2]) - amounts[-1]) / np.abs(np.array(amounts[1:-1]) - amounts[-1]))
    verified(
        term="adaptive integrator", against="itself with 160 steps", dim=2, cells="triangles", degree=1,
        error=wrong[-1], order_time=float(orders[-1]),
    )  # fmt: skip
    assert orders[-1] > tableau.order - 0.3, (wrong, orders)
    assert taken[-1] > tableau.order - 0.5, taken


def _solved(mass, right):
    from microlith.solver.problem.assembly import project

    return project(mass, right)


# --- diffusivity that depends on the concentration ---


MESHES = {
    "triangles": lambda: slab_mesh(30),
    "squares": lambda: _box_of((30, 1), dmesh.CellType.quadrilateral),
    "tetrahedra": lambda: brick(COMM, (10, 1, 1), (10.0, 1.0, 1.0), dmesh.CellType.tetrahedron),
    "cubes": lambda: brick(COMM, (10, 1, 1), (10.0, 1.0, 1.0), dmesh.CellType.hexahedron),
}


def _box_of(cells, kind):
    from microlith.meshing.mesh.phasemesh import PhaseMesh

    size = (10.0, 10.0 * cells[1] / cells[0])
    mesh = dmesh.create_rectangle(COMM, [[0.0, 0.0], size], cells, kind, ghost_mode=dmesh.GhostMode.shared_facet)
    index_map = mesh.topology.index_map(2)
    every = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    tags = {}
    for name, at in (("x_min", 0.0), ("x_max", 10.0)):
        for facet in dmesh.locate_entities_boundary(mesh, 1, lambda x, v=at: np.abs(x[0] - v) < 1e-9):
            tags[facet] = face_tag(name)
    facets = np.array(sorted(tags), dtype=np.int32)
    values = np.array([tags[f] for f in facets], dtype=np.int32)
    cell_tags = dmesh.meshtags(mesh, 2, every, np.zeros(len(every), np.int32))
    return PhaseMesh(mesh, cell_tags, dmesh.meshtags(mesh, 1, facets, values), ("medium",), MICRO, size)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("cells", "degree"),
    [("triangles", 1), ("triangles", 2), ("triangles", 3), ("squares", 2), ("tetrahedra", 1), ("cubes", 2)],
)
def test_constant_law_is_the_linear_problem(cells, degree, verified):
    """Steps and rational Krylov agree where both can solve it: catches a wrong form, scale or stage."""
    mesh = MESHES[cells]()
    by_steps = run(mesh, Physics((medium(CONSTANT),), FED), degree, 1e-4)
    by_krylov = run(mesh, Physics((medium(None),), FED), degree, 1e-7)
    error = np.abs(curves_of(by_steps) - curves_of(by_krylov)).max()
    verified(
        term="diffusivity by a law", against="rational Krylov at 1e-7, constant law", dim=len(mesh.extent), cells=cells,
        degree=degree, error=error, balance=by_steps.balance.imbalance,
    )  # fmt: skip
    assert by_steps.converged
    assert error < 3e-5
    assert by_steps.balance.imbalance < 1e-8
    assert by_steps.effort is not None
    assert by_krylov.effort is None


def test_law_with_axes_and_partition(verified):
    """Constant laws in two phases with a partition and axes: catches a lost κ, axis or effective factor."""
    mesh = rectangle(COMM, (16, 8), (10.0, 5.0), lambda x: x[1] > 2.5, ("left", "right"))
    found = []
    for law in (CONSTANT, None):
        left = replace(medium(law, anisotropy=(1.0, 0.2)), name="left")
        factor = {"effective_diffusivity": 0.3 * D, "effective_factor": 0.3}
        right = replace(medium(law, **factor), name="right")
        jump = (InterfaceLaw("left", "right", partition=2.5),)
        held = {"y_min": FaceCondition(1000.0)}
        found.append(run(mesh, Physics((left, right), held, jump), 2, 1e-4 if law else 1e-7, end=4 * END))
    error = np.abs(curves_of(found[0]) - curves_of(found[1])).max()
    verified(
        term="diffusivity by a law, with axes and partition", against="rational Krylov at 1e-7, constant law", dim=2,
        cells="triangles", degree=2, error=error, balance=found[0].balance.imbalance,
    )  # fmt: skip
    assert curves_of(found[1]).max() > 1.2
    assert error < 3e-5
    assert found[0].balance.imbalance < 1e-8


@pytest.mark.parametrize(
    ("name", "law", "tolerance", "cells", "bound"),
    [
        ("jump", JUMP, 1e-3, 100, 2e-3),
        ("exponential", EXPONENTIAL, 1e-4, 200, 1e-4),
        ("table", TABLE, 2e-4, 200, 2e-4),
    ],
)
def test_laws_against_finite_volumes(name, law, tolerance, cells, bound, verified):
    """A hundredfold jump, a smooth law and a table with kinks against an independent discretisation."""
    end = END if name != "jump" else 2 * END
    transient = run(slab_mesh(40), Physics((medium(law),), FED), 2, tolerance, end=end)
    late = transient.times > 0.02 * END
    reference, _ = slab(
        scaled(law), cells, transient.times[late] / END, REGIONS.values(), porosity=POROSITY, held=lambda t: 1.0
    )
    error = np.abs(curves_of(transient)[:, late] - reference).max()
    verified(
        term=f"diffusivity by a law: {name}", against=f"finite volumes ({cells} cells) with SciPy's BDF", dim=2,
        cells="triangles", degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert transient.converged
    assert error < bound
    assert transient.balance.imbalance < 1e-8


def _self_similar(law, times):
    """Means over the first tenth of a slab whose end is not felt, where c is a function of x/√t.

    Crank, The Mathematics of Diffusion, §7.2.
    """
    decades = 12.0

    def of(c):
        return values_of(law, c * 1000.0) / D

    def equations(s, y):  # s = x / √(D t / ε), y = c and its flux
        d = of(y[0])
        return np.vstack([y[1] / d, -0.5 * s * y[1] / d])

    s = np.linspace(0.0, decades, 200)
    found = solve_bvp(
        equations, lambda a, b: [a[0] - 1.0, b[0]], s, [np.exp(-s), -np.exp(-s)], tol=1e-9, max_nodes=100_000
    )
    assert found.success
    fine = np.linspace(0.0, decades, 200_001)
    at = found.sol(fine)[0]
    content = np.append(0.0, np.cumsum(0.5 * (at[1:] + at[:-1]) * np.diff(fine)))
    scale = np.sqrt(UNIT * np.array(times) / END / POROSITY)
    return np.interp(0.1 / scale, fine, content) * scale / 0.1


EARLY = tuple(np.array([0.002, 0.004, 0.008]) * END)


@pytest.mark.mpi
def test_self_similar_solution(verified):
    transient = run(slab_mesh(120), Physics((medium(EXPONENTIAL),), FED), 2, 1e-4, times=EARLY, end=EARLY[-1])
    error = np.abs(curves_of(transient)[0] - _self_similar(EXPONENTIAL, EARLY)).max()
    verified(
        term="diffusivity by a law: exponential",
        against="self-similar solution (Crank, ch. 7), by a boundary value problem",
        dim=2, cells="triangles", degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 3e-5


@pytest.mark.parametrize("degree", [1, 2])
def test_order_in_space_with_a_law(degree, verified):
    """Halved elements, the later two times: the potentials at the nodes cost no order."""
    exact = _self_similar(EXPONENTIAL, EARLY)[1:]
    errors = []
    for count in (40, 80):
        mesh = slab_mesh(count)
        transient = run(mesh, Physics((medium(EXPONENTIAL),), FED), degree, 1e-6, times=EARLY, end=EARLY[-1])
        errors.append(np.abs(curves_of(transient)[0, 1:] - exact).max())
    order = float(np.log2(errors[0] / errors[1]))
    verified(
        term="diffusivity by a law: exponential",
        against="self-similar solution (Crank, ch. 7), by a boundary value problem",
        dim=2, cells="triangles", degree=degree, error=errors[-1], order_space=order,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert order > 2 * degree - 0.3, errors


def test_periodic_source_with_law(verified):
    """Charge and rest in turns: held values that jump and slope, a law, and a balance that closes over the jumps."""
    course = Course((0.0, 0.2 * END, 0.2 * END, 0.5 * END), (1000.0, 1000.0, 100.0, 400.0), period=0.5 * END)
    face = {"x_min": FaceCondition(course)}
    transient = run(slab_mesh(40), Physics((medium(EXPONENTIAL),), face), 2, 1e-3)
    kinks = course.kinks(END)
    away = (transient.times > 0.02 * END) & np.all([np.abs(transient.times - k) > 0.005 * END for k in kinks], axis=0)
    away &= np.all([(transient.times < k) | (transient.times > k + 0.02 * END) for k in kinks], axis=0)
    reference, _ = slab(
        scaled(EXPONENTIAL), 200, transient.times / END, REGIONS.values(), porosity=POROSITY,
        held=lambda t: float(course.after(t * END)) / 1000.0, kinks=tuple(k / END for k in kinks),
    )  # fmt: skip
    error = np.abs(curves_of(transient) - reference)[:, away].max()
    verified(
        term="periodic source with a law", against="finite volumes (200 cells) with SciPy's BDF", dim=2,
        cells="triangles", degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 2e-4
    assert transient.balance.imbalance < 1e-8


# --- surfaces that fill up ---


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("cells", "degree"), [("triangles", 1), ("triangles", 3), ("squares", 2), ("tetrahedra", 2), ("cubes", 1)]
)
def test_uptake_of_a_well_mixed_box(cells, degree, verified):
    """Diffusion so fast that c is nearly uniform: V ε c' = −A k c (1 − q/q_max). Catches a wrong area or scale."""
    velocity, capacity, start = 2e-9, 2e-3, 1000.0
    mesh = with_sink(MESHES[cells]())
    end = 2 * POROSITY * LENGTH / velocity
    fast = {"effective_diffusivity": 1e3 * velocity * LENGTH, "diffusivity": 1e3 * velocity * LENGTH}
    sink = PhasePhysics("silicon", Role.SINK, uptake=velocity, capacity=capacity)
    physics = Physics((medium(None, initial=start, **fast), sink))
    transient = run(mesh, physics, degree, 1e-4, end=end)

    def rates(t, y):
        flux = velocity * y[0] * (1.0 - y[1] / capacity)
        return [-flux / (POROSITY * LENGTH), flux]

    exact = solve_ivp(rates, (0.0, end), [start, 0.0], "LSODA", transient.times, rtol=1e-10, atol=1e-14)
    error = max(np.abs(curve - exact.y[0]).max() / start for curve in transient.curves.values())
    area = np.prod(mesh.extent[1:]) * MICRO ** len(mesh.extent[1:])
    taken = -transient.balance.inflow["silicon"] / area
    verified(
        term="uptake until the surface is full", against="two ordinary differential equations (fast diffusion)",
        dim=len(mesh.extent), cells=cells, degree=degree, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 6e-4  # diffusion at 1e3 k L leaves differences of some 3e-4
    assert taken == pytest.approx(exact.y[1, -1], rel=1e-3)
    assert taken > 0.8 * capacity
    assert transient.balance.imbalance < 5e-8  # rounding, as diffusion is a thousand times as fast as uptake


@pytest.mark.parametrize("law", [None, EXPONENTIAL], ids=["constant", "law"])
def test_uptake_at_the_end_of_a_slab(law, verified):
    """Fed at one end, filling the other: after the surface is full it is closed. Two sinks share what one had."""
    velocity, capacity = 3.0 * D / LENGTH, 0.5 * 1000.0 * LENGTH
    mesh = with_sink(slab_mesh(40))
    sink = PhasePhysics("silicon", Role.SINK, uptake=velocity, capacity=capacity)
    transient = run(mesh, Physics((medium(law), sink), FED), 2, 1e-4, end=3 * END)
    late = transient.times > 0.02 * END
    reference, taken = slab(
        scaled(law or CONSTANT), 200, transient.times[late] / END, REGIONS.values(), porosity=POROSITY,
        held=lambda t: 1.0, uptake=3.0 * UNIT, capacity=0.5,
    )  # fmt: skip
    error = np.abs(curves_of(transient)[:, late] - reference).max()
    width = mesh.extent[1] * MICRO
    verified(
        term="uptake until the surface is full", against="finite volumes (200 cells) with SciPy's BDF", dim=2,
        cells="triangles", degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 1e-4
    assert -transient.balance.inflow["silicon"] / (1000.0 * LENGTH * width) == pytest.approx(taken[-1], rel=1e-3)
    assert transient.balance.imbalance < 1e-8


# --- coefficients that change gradually ---


def test_mass_transfer_that_grows(verified):
    """A transfer coefficient that rises from nothing, and falls again: linear, but no case for Krylov."""
    course = Course((0.0, 0.4 * END, 0.8 * END), (0.0, 4 * D / LENGTH, D / LENGTH))
    physics = Physics((medium(None),), {"x_min": FaceCondition(1000.0, course)})
    transient = run(slab_mesh(40), physics, 2, 1e-4)
    late = transient.times > 0.02 * END
    reference, _ = slab(
        scaled(CONSTANT), 300, transient.times[late] / END, REGIONS.values(), porosity=POROSITY, held=lambda t: 1.0,
        transfer=lambda t: float(course.after(t * END)) * END / LENGTH, kinks=(0.4, 0.8),
    )  # fmt: skip
    error = np.abs(curves_of(transient)[:, late] - reference).max()
    verified(
        term="mass transfer that changes gradually", against="finite volumes (300 cells) with SciPy's BDF", dim=2,
        cells="triangles", degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert transient.effort is not None
    assert error < 3e-5
    assert transient.balance.imbalance < 1e-8


# --- how far to trust it ---


@pytest.mark.parametrize(
    "law", [EXPONENTIAL, TABLE, expression(op("multiply", D, op("power", op("divide", C, 1000.0), 2.0)))]
)
def test_estimate_bounds_the_error(law):
    """The estimate is above the true error of the curves, and not by far."""
    physics = Physics((medium(law),), FED)
    exact = run(slab_mesh(10), physics, 2, 1e-5)
    for tolerance in (1e-2, 2e-3, 3e-4):
        transient = run(slab_mesh(10), physics, 2, tolerance)
        error = np.abs(curves_of(transient) - curves_of(exact)).max()
        assert error < transient.error < tolerance
        assert transient.error < 50 * error, (transient.error, error)


def test_fields_and_first_times_agree_with_curves():
    """Snapshots are ends of steps; first times come from between them."""
    transient = run(slab_mesh(30), Physics((medium(EXPONENTIAL),), FED), 2, 1e-4, snapshots=(0.0, 0.1 * END, END))
    for time in (0.1 * END, END):
        field = transient.concentration(time)
        assert -1.0 < field.min() < field.max() < 1000.0 + 1e-6
    at = transient.first_time("middle", 500.0)
    assert np.interp(at, transient.times, transient.curves["middle"]) == pytest.approx(500.0, abs=2.0)
    with pytest.raises(ValueError, match="one of the times asked for"):
        transient.concentration(0.2345 * END)


def test_says_where_and_why_it_stops():
    """A law without a value beyond half full, and too few steps: never a silent stall."""
    broken = expression(op("multiply", D, op("sqrt", op("subtract", 1.0, op("divide", C, 500.0)))))
    physics = Physics((medium(broken),), {"x_min": FaceCondition(1000.0, 1e-9)})
    with pytest.raises(
        ArithmeticError, match=r"came to a stop at .* of 5000 s: steps shorter than .* law of the diffusivity"
    ):
        run(slab_mesh(10), physics, 1, 1e-3)
    with pytest.raises(ArithmeticError, match=r"used up its 10 steps at .*max_steps"):
        run(slab_mesh(10), Physics((medium(JUMP),), FED), 1, 1e-3, options=SolverOptions(max_steps=10))


@pytest.mark.mpi
def test_multigrid_and_factors_agree():
    """Iterative linear solvers, as in 3D, give the same curves."""
    mesh = brick(COMM, (10, 2, 2), (10.0, 2.0, 2.0), dmesh.CellType.tetrahedron)
    sink = PhasePhysics("silicon", Role.SINK, uptake=1e-9, capacity=2e-3)
    physics = Physics((medium(EXPONENTIAL), sink), FED)
    found = [run(with_sink(mesh), physics, 1, 1e-3, options=SolverOptions(linear)) for linear in ("mumps", "cg")]
    assert np.abs(curves_of(found[0]) - curves_of(found[1])).max() < 1e-5
    assert found[1].inner_iterations > 0 == found[0].inner_iterations
    assert found[1].balance.imbalance < 1e-8


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3])
def test_lithium_balances_whatever_newton_leaves(tolerance, monkeypatch):
    """Iterations that stop a thousand times too early cost accuracy, not lithium."""
    from microlith.solver.steps import integrator as implicit

    monkeypatch.setattr(implicit, "NEWTON_SHARE", 30.0)
    monkeypatch.setattr(implicit, "NEWTON_MOST", np.inf)
    sink = PhasePhysics("silicon", Role.SINK, uptake=3.0 * D / LENGTH, capacity=0.5 * 1000.0 * LENGTH)
    found = run(with_sink(slab_mesh(20)), Physics((medium(JUMP), sink), FED), 2, tolerance, end=2 * END)
    assert found.effort.newton_iterations < 4 * found.effort.steps * 5
    assert found.balance.imbalance < 1e-10


def test_factors_of_both_kinds_agree(monkeypatch):
    """PETSc's own factors and MUMPS's, which it takes where PETSc was built without the ordering."""
    from microlith.solver.linear import solvers as linear

    found = [run(slab_mesh(20), Physics((medium(EXPONENTIAL),), FED), 2, 1e-3)]
    monkeypatch.setattr(linear, "SPARSEST", "none-such")
    found.append(run(slab_mesh(20), Physics((medium(EXPONENTIAL),), FED), 2, 1e-3))
    assert [f.method.split(", ")[1] for f in found] == ["petsc", "mumps"]
    assert np.abs(curves_of(found[0]) - curves_of(found[1])).max() < 1e-8


@pytest.mark.mpi
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3])
def test_same_curves_on_any_number_of_ranks(tolerance):
    """Against the same problem on one rank: iterations that stop early must stop at the same point."""
    physics = Physics((medium(TABLE),), FED)
    found = [run(slab_mesh(20, 2, comm), physics, 1, tolerance) for comm in (COMM, MPI.COMM_SELF)]
    assert np.abs(curves_of(found[0]) - curves_of(found[1])).max() < 1e-8


def test_law_fed_by_a_flux():
    """No largest concentration is known: laws are followed as far as it goes; a constant one is the linear problem."""
    face = {"x_min": FaceCondition(flux=Course((0.0,), (4.0 * POROSITY * 1000.0 * LENGTH / END,)))}
    constant, linear = (run(slab_mesh(20), Physics((medium(law),), face), 2, 1e-4) for law in (CONSTANT, None))
    assert np.abs(curves_of(constant) - curves_of(linear)).max() < 1e-4 * curves_of(linear).max()
    grows = expression(op("multiply", D, op("add", 1.0, op("divide", C, 1000.0))))
    found = run(slab_mesh(20), Physics((medium(grows),), face), 2, 1e-4)
    assert curves_of(found)[:, -1].mean() == pytest.approx(4.0, rel=0.1)
    assert np.ptp(curves_of(found)[:, -1]) < 0.5 * np.ptp(curves_of(linear)[:, -1])
    assert found.balance.imbalance < 1e-8


@pytest.mark.parametrize("gives_up", [True, False])
def test_the_law_is_not_blamed_for_the_linear_solver(gives_up, monkeypatch):
    """What is said where steps become too short: of the linear solver where that gave up, else of the law."""

    def fails(self, right):
        raise (LinearSolverFailed if gives_up else NotConverged)("as the test says")

    monkeypatch.setattr(StageMatrix, "solve", fails)
    mesh = rectangle(MPI.COMM_SELF, (4, 1), (1.0, 0.2), unit=LENGTH)
    problem = build(mesh, Physics((medium(JUMP),), FED), 1, END)
    with pytest.raises(ArithmeticError, match="as the test says") as caught:
        solve(problem, {}, TimeSpan(END, 1e-3), SolverOptions())
    assert ("law" in str(caught.value)) != gives_up
    assert ("[solver] linear" in str(caught.value)) == gives_up
