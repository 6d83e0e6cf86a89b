"""The transient solve in 3D, on tetrahedra and cubes, against closed forms and against itself."""

from dataclasses import replace

import numpy as np
import pytest
from closed_forms import slab_mean, slab_profile, sphere_mean, two_layer_mean
from made_meshes import COMM, brick, everywhere

import ufl
from dolfinx import fem
from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.islands import islands
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Ball, Box, WholePhase
from microlith.solver.transient import solve

MICRO = 1e-6
D = 2e-14  # m²/s, effective
POROSITY = 0.5
CELLS = {CellType.tetrahedron: "tetrahedra", CellType.hexahedron: "cubes"}
KINDS = pytest.mark.parametrize("kind", [CellType.tetrahedron, CellType.hexahedron], ids=["tetrahedra", "cubes"])


def medium(name="medium", **more):
    return replace(PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=D, porosity=POROSITY), **more)


def run(mesh, physics, degree, end, shapes, tolerance=1e-6, linear="auto", inner=None):
    problem = build(mesh, physics, degree, end)
    means = region_means(problem.space, mesh, shapes, {}, everywhere(0))
    return problem, solve(problem, means, TimeSpan(end, tolerance), SolverOptions(linear, inner_tolerance=inner))


# --- closed forms ---


@KINDS
@pytest.mark.parametrize(("degree", "coarse"), [(1, 6), (2, 3), (3, 2)])
def test_order_of_convergence(verified, kind, degree, coarse):
    """A cube held at three faces: 1 − c is the product of three slabs' (Newman, Ind. Eng. Chem. 28 (1936) 545).

    The L2 error falls with h^(degree + 1); a wrong dof order or a lumped form costs an order.
    """
    end = 0.2 * MICRO**2 / (D / POROSITY)
    faces = {name: FaceCondition(1000.0) for name in ("x_min", "y_min", "z_min")}
    errors, balances = [], []
    for n in (coarse, 2 * coarse):
        mesh = brick(MPI.COMM_SELF, (n, n, n), (1.0, 1.0, 1.0), kind)
        problem, transient = run(mesh, Physics((medium(),), faces), degree, end, {}, 1e-8)
        found, exact = fem.Function(problem.space), fem.Function(fem.functionspace(mesh.mesh, ("Lagrange", degree + 2)))
        found.x.array[:] = transient.concentration(end) / 1000.0

        def product(x):
            return 1 - np.prod([slab_profile(x[k], 0.2, 1.0, 1.0) for k in range(3)], axis=0)

        exact.interpolate(product)
        errors.append(np.sqrt(fem.assemble_scalar(fem.form((found - exact) ** 2 * ufl.dx))))
        balances.append(transient.balance.imbalance)
    order = np.log2(errors[0] / errors[1])
    verified(
        term="storage and diffusion",
        against="cube held at three sides, product of slabs (Newman, Ind. Eng. Chem. 28 (1936) 545)",
        dim=3,
        cells=CELLS[kind],
        degree=degree,
        error=errors[1],
        of="concentration, root mean square",
        order_space=order,
        balance=max(balances),
    )
    assert order > degree + 0.8, (order, errors)
    assert errors[1] < {1: 5e-3, 2: 6e-4, 3: 1e-4}[degree]
    assert max(balances) < 1e-8, balances


@pytest.mark.mpi
@KINDS
def test_two_layers(kind):
    """Porosity and diffusivity differ threefold: catches a porosity or a diffusivity of the wrong layer."""
    length, end = 6 * MICRO, (6 * MICRO) ** 2 / D
    mesh = brick(COMM, (2, 2, 24), (0.5, 0.5, 6.0), kind, lambda x: x[2] > 2.0, ("near", "far"))
    layers = (medium("near"), medium("far", effective_diffusivity=D / 3, porosity=1.0))
    spans = {"near": (0.5, 1.5), "across": (1.7, 2.6), "far": (5.03, 6.0)}
    shapes = {name: Box({"z": (a * MICRO, b * MICRO)}) for name, (a, b) in spans.items()}
    _, transient = run(mesh, Physics(layers, {"z_min": FaceCondition(1000.0)}), 2, end, shapes)
    late = transient.times > 1e-2 * end
    for name, (a, b) in spans.items():
        exact = two_layer_mean(
            transient.times, a * MICRO, b * MICRO, (2 * MICRO, length - 2 * MICRO), (D, D / 3), (POROSITY, 1.0)
        )
        assert np.abs(transient.curves[name] / 1000.0 - exact)[late].max() < 3e-4, name


def test_two_layers_alike_are_one():
    """The closed form itself, against that of one slab."""
    times = np.array([0.01, 0.1, 0.5])
    for a, b in ((0.0, 0.3), (0.2, 0.9), (0.8, 1.0)):
        found = two_layer_mean(times, a, b, (0.4, 0.6), (2.0, 2.0), (0.5, 0.5))
        assert found == pytest.approx(slab_mean(times, a, b, 1.0, 4.0), abs=1e-6)


def ball_in_a_bath(radius, size, comm=COMM):
    """The lattice mesher's mesh of a ball of `radius` voxels, elements of `size` voxels at its surface."""
    edge = 2 * radius + 6
    x = np.arange(edge) + 0.5 - edge / 2
    inside = (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < radius**2).astype(np.uint8)
    image = LabelImage(inside, ("bath", "ball"), (1e-7,) * 3) if comm.rank == 0 else None
    options = MeshOptions(size={"bath": size * 1e-7}, size_max=2 * size * 1e-7)
    return mesh_in_place(lattice_mesh(volume_of(image, comm), options, (1,), comm), (1,), comm)


@pytest.mark.parametrize(
    ("degree", "per_radius"), [pytest.param(2, 1 / 6, marks=pytest.mark.mpi), pytest.param(1, 0.0)]
)
def test_ball_in_a_bath(verified, degree, per_radius):
    """From voxels to curves, 16 and 32 voxels radius: errors fall, elements as many per radius or of one voxel."""
    errors = []
    for radius in (16, 32):
        mesh = ball_in_a_bath(radius, per_radius * radius or 1.0)
        bath = PhasePhysics("bath", Role.SOURCE, concentration=1000.0)
        length = radius * 1e-7
        end = length**2 / (D / POROSITY)
        _, transient = run(mesh, Physics((bath, medium("ball"))), degree, end, {"ball": WholePhase("ball")}, 1e-8)
        late = transient.times > 1e-3 * end
        exact = sphere_mean(transient.times, length, D / POROSITY)
        errors.append(np.abs(transient.curves["ball"] / 1000.0 - exact)[late].max())
    verified(
        term="from voxels to curves",
        against="ball in a bath, 32 voxels radius (Crank 1975, eq. 6.20)",
        dim=3,
        cells="tetrahedra",
        degree=degree,
        error=errors[1],
        order_space=np.log2(errors[0] / errors[1]),
        balance=transient.balance.imbalance,
    )
    assert errors[1] < 5e-3, errors
    assert transient.balance.imbalance < 1e-8
    assert errors[1] < errors[0], errors


# --- balance, linear solvers, ranks ---


@KINDS
def test_what_is_stored_came_in(kind):
    """In mol: a full box holds ε c V; the tolerance of the inner solver is that of a run."""
    end = 40 * (4 * MICRO) ** 2 / (D / POROSITY)
    mesh = brick(MPI.COMM_SELF, (8, 6, 5), (4.0, 3.0, 2.5), kind)
    faces = {"z_min": FaceCondition(1000.0, 1e-7), "x_max": FaceCondition(1000.0)}
    for linear in ("mumps", "cg"):
        _, transient = run(mesh, Physics((medium(),), faces), 1, end, {}, 1e-6, linear)
        assert transient.balance.stored_change == pytest.approx(POROSITY * 1000.0 * 30.0 * MICRO**3, rel=1e-4)
        assert transient.balance.imbalance < 1e-5
        assert sum(transient.balance.inflow.values()) == pytest.approx(transient.balance.stored_change, rel=1e-5)


def obstacle(comm, kind, n=10):
    """A cube fed from below, with a ball that takes lithium up 300 times as slowly."""

    def inside(x):
        return np.linalg.norm(x - np.array([[5.5], [5.0], [4.5]]), axis=0) < 3.0

    mesh = brick(comm, (n, n, n), (10.0, 10.0, 10.0), kind, inside, ("a", "b"))
    shapes = {
        "near": Box({"z": (0.0, 0.7e-6)}),
        "deep": Box({"z": (8e-6, 9e-6), "x": (1e-6, 3e-6)}),
        "inner": Ball((5.5e-6, 5e-6, 4.5e-6), 2e-6),
    }
    phases = (medium("a"), medium("b", effective_diffusivity=D / 300, porosity=1.0))
    return mesh, Physics(phases, {"z_min": FaceCondition(1000.0)}), shapes


@KINDS
@pytest.mark.parametrize("degree", [1, 2])
def test_inexact_multigrid_keeps_the_estimate(kind, degree):
    """Inner solves that stop early do not break the bound of the error: against factors at 1e-9."""
    mesh, physics, shapes = obstacle(MPI.COMM_SELF, kind, 10 // degree)
    end = (10 * MICRO) ** 2 / D
    reference = run(mesh, physics, degree, end, shapes, 1e-9, "mumps")[1]
    for tolerance in (1e-2, 1e-4, 1e-6):
        _, transient = run(mesh, physics, degree, end, shapes, tolerance, "cg")
        error = max(np.abs(transient.curves[name] - reference.curves[name]).max() for name in shapes) / 1000.0
        assert transient.converged
        assert error <= transient.error <= tolerance, (tolerance, error, transient.history)
        assert transient.inner_iterations < 20 * transient.solves


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
@KINDS
@pytest.mark.parametrize(("linear", "degree"), [("mumps", 1), ("cg", 1), ("cg", 2)])
def test_any_number_of_ranks_gives_the_same_curves(kind, linear, degree):
    """To 1e-8 of the source, as a run has it: multigrid differs with the ranks, so CG goes on past the tolerance."""
    found = []
    for comm in (COMM, MPI.COMM_SELF):
        mesh, physics, shapes = obstacle(comm, kind, 8 // degree)
        found.append(run(mesh, physics, degree, (10 * MICRO) ** 2 / D, shapes, 1e-4, linear)[1].curves)
    for name in found[0]:
        assert np.abs(found[0][name] - found[1][name]).max() < 1e-8 * 1000.0, name


@pytest.mark.mpi
@KINDS
def test_islands(kind):
    mesh = brick(COMM, (4, 3, 5), (4.0, 3.0, 2.5), kind)
    fed, closed = (build(mesh, Physics((medium(),), faces), 1, 1.0) for faces in ({"y_max": FaceCondition(1.0)}, {}))
    physics = Physics((medium(),), {"y_max": FaceCondition(1.0)})
    assert islands(fed.discretization, fed.system.parts, physics) == ()
    (island,) = islands(closed.discretization, closed.system.parts, Physics((medium(),)))
    assert island.measure == pytest.approx(30.0 * MICRO**3, rel=1e-12)
    assert island.center == pytest.approx((2e-6, 1.5e-6, 1.25e-6), rel=1e-12)


@pytest.mark.mpi
def test_ranks_without_cells():
    """One cube: all ranks but one have nothing, and give the same."""
    mesh = brick(COMM, (1, 1, 1), (1.0, 1.0, 1.0), CellType.hexahedron)
    shapes = {"half": Box({"x": (0.0, 0.5e-6)}), "ball": Ball((0.5e-6,) * 3, 0.3e-6), "all": WholePhase("medium")}
    physics = Physics((medium(),), {"z_min": FaceCondition(1000.0, 1e-8)})
    _, transient = run(mesh, physics, 2, MICRO**2 / D, shapes)
    for name in shapes:
        assert transient.curves[name][-1] == pytest.approx(transient.curves["all"][-1], rel=0.1)
