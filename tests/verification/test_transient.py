"""The transient solve against closed forms (J. Crank, The Mathematics of Diffusion, 1975) and against itself."""

import numpy as np
import pytest
from closed_forms import robin_slab_mean, sink_slab_mean, slab_mean, slab_profile, two_sided_slab_mean
from made_meshes import COMM, everywhere, rectangle

from mpi4py import MPI

from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.transient import solve

MICRO = 1e-6
LENGTH = 10 * MICRO
D = 2e-14  # m²/s, effective
POROSITY = 0.5  # so that diffusion runs at D / 0.5
END = LENGTH**2 / (D / POROSITY)  # s: the slab is 92 % full
REGIONS = {"near": (0.0, 1.0), "middle": (4.0, 5.03), "far": (8.77, 10.0)}  # µm, some edges inside elements


def medium(**more):
    return PhasePhysics("medium", Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, porosity=POROSITY, **more)


def run(mesh, physics, degree, tolerance=1e-6, options=None, end=END, boxes=REGIONS, snapshots=()):
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in boxes.items()}
    problem = build(mesh, physics, degree, end)
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255))
    return problem, solve(problem, means, TimeSpan(end, tolerance, snapshots), options or SolverOptions())


def slab_mesh(comm=COMM, columns=40, rows=2):
    return rectangle(comm, (columns, rows), (10.0, 0.5))


FED = {"x_min": FaceCondition(1000.0)}


@pytest.mark.mpi
@pytest.mark.parametrize(("degree", "bound"), [(1, 4e-3), (2, 1.5e-4), (3, 2.5e-5)])
def test_slab_with_held_concentration(degree, bound):
    """Catches a lost porosity (curves twice as slow), a wrong scale of time or length, nodal initial values."""
    _, transient = run(slab_mesh(), Physics((medium(),), FED), degree)
    late = transient.times > 1e-2 * END  # before, the layer of sqrt(D t) spans fewer than four elements
    for name, (a, b) in REGIONS.items():
        exact = slab_mean(transient.times, a * MICRO, b * MICRO, LENGTH, D / POROSITY)
        error = np.abs(transient.curves[name] / 1000 - exact)[late].max()
        assert error < bound, (name, error)


@pytest.mark.parametrize("velocity", [1e-9, 1e-8])
def test_slab_with_mass_transfer(velocity):
    """Catches a Robin term that is scaled like a diffusivity or misses its right side."""
    physics = Physics((medium(),), {"x_min": FaceCondition(1000.0, velocity)})
    _, transient = run(slab_mesh(), physics, 2)
    for name, (a, b) in REGIONS.items():
        # ε ∂c/∂t = D ∂²c/∂x²: divided by ε, both D and k are larger by 1/ε.
        exact = robin_slab_mean(transient.times, a * MICRO, b * MICRO, LENGTH, D / POROSITY, velocity / POROSITY)
        assert np.abs(transient.curves[name] / 1000 - exact).max() < 2e-5, name


def test_slab_with_sink():
    """A sink phase at the far end takes up k c: catches a sink with the wrong sign or treated as a barrier."""
    velocity = 3e-9
    # Columns beyond 10 µm would be the sink's; its surface is the outer face here, tagged as the interface.
    mesh = slab_mesh()
    mesh = _retag(mesh, "x_max", 1)
    physics = Physics((medium(), PhasePhysics("silicon", Role.SINK, uptake=velocity)), FED)
    _, transient = run(mesh, physics, 2)
    late = transient.times > 1e-2 * END
    for name, (a, b) in REGIONS.items():
        exact = sink_slab_mean(transient.times, a * MICRO, b * MICRO, LENGTH, D / POROSITY, velocity / POROSITY)
        assert np.abs(transient.curves[name] / 1000 - exact)[late].max() < 1.5e-4, name
    assert transient.balance.inflow["silicon"] < 0 < transient.balance.inflow["x_min"]


def _retag(mesh, face, phase):
    """The mesh with an outer face turned into the surface of another phase."""
    from dataclasses import replace

    from dolfinx import mesh as dmesh

    from microlith.meshing.mesh.phasemesh import face_tag, interface_tag

    values = mesh.facet_tags.values.copy()
    values[values == face_tag(face)] = interface_tag(0, phase)
    tags = dmesh.meshtags(mesh.mesh, 1, mesh.facet_tags.indices, values)
    return replace(mesh, facet_tags=tags, names=(*mesh.names, "other"))


def test_two_sources_at_different_concentrations():
    """The steady state is no constant: catches an integrator that only handles one source concentration."""
    physics = Physics((medium(),), {"x_min": FaceCondition(1000.0), "x_max": FaceCondition(250.0)})
    _, transient = run(slab_mesh(), physics, 2)
    late = transient.times > 1e-2 * END
    for name, (a, b) in REGIONS.items():
        exact = two_sided_slab_mean(transient.times, a * MICRO, b * MICRO, LENGTH, D / POROSITY, 1.0, 0.25)
        assert np.abs(transient.curves[name] / 1000 - exact)[late].max() < 1.5e-4, name


def test_initial_concentration():
    """Filled at 0.4 and fed at 1, the slab is the empty slab's solution scaled by 0.6 and lifted by 0.4."""
    _, transient = run(slab_mesh(), Physics((medium(initial=400.0),), FED), 2, snapshots=(0.0,))
    assert transient.times[0] == 0.0
    for name in REGIONS:  # as given, though the field of the discrete problem is 1000 on the face already
        assert transient.curves[name][0] == pytest.approx(400.0, rel=1e-12)
    assert transient.balance.stored_change < 600.0 * POROSITY * LENGTH * 0.5 * MICRO
    late = transient.times > 1e-2 * END
    for name, (a, b) in REGIONS.items():
        exact = 0.4 + 0.6 * slab_mean(transient.times, a * MICRO, b * MICRO, LENGTH, D / POROSITY)
        assert np.abs(transient.curves[name] / 1000 - exact)[late].max() < 1e-4, name


@pytest.mark.mpi
def test_two_media_in_contact(verified):
    """Two transport phases, nothing fed: both end at the amount-weighted mean, and no lithium is lost."""
    mesh = rectangle(COMM, (40, 4), (10.0, 1.0), lambda x: x[0] > 2.5, ("left", "right"))
    left = PhasePhysics("left", Role.TRANSPORT, effective_diffusivity=D, porosity=0.8, initial=1000.0)
    right = PhasePhysics("right", Role.TRANSPORT, effective_diffusivity=5 * D, porosity=0.2)
    _, transient = run(mesh, Physics((left, right)), 2, end=10 * END)
    mean = 1000.0 * 0.8 * 2.5 / (0.8 * 2.5 + 0.2 * 7.5)
    verified(
        term="two media",
        against="end of a closed box: all that was stored, by the capacities of the media",
        dim=2,
        cells="triangles",
        degree=2,
        error=max(abs(transient.curves[name][-1] - mean) for name in REGIONS) / 1000.0,
        balance=abs(transient.balance.stored_change) / (1000.0 * 0.8 * 2.5e-12),
    )
    for name in REGIONS:
        assert transient.curves[name][-1] == pytest.approx(mean, rel=1e-6), name
    assert abs(transient.balance.stored_change) < 1e-9 * 1000.0 * 0.8 * 2.5e-12
    assert transient.curves["near"][0] == pytest.approx(1000.0, rel=1e-4)


def test_field_is_what_the_closed_form_says():
    """Fields and curves come by different ways from the basis: both are to be right."""
    problem, transient = run(slab_mesh(MPI.COMM_SELF), Physics((medium(),), FED), 2, snapshots=(0.1 * END,))
    x = problem.space.tabulate_dof_coordinates()[:, 0] * MICRO
    exact = 1 - slab_profile(x, 0.1 * END, LENGTH, D / POROSITY)
    assert np.abs(transient.concentration(0.1 * END) / 1000 - exact).max() < 1e-4
    start = transient.concentration(0.0)
    assert set(np.unique(start)) == {0.0, 1000.0}


@pytest.mark.parametrize("cells", ["triangles", "squares"])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_order_in_space(verified, degree, cells):
    """L2 error of a product solution falls like h^(p+1): catches under-integration and a lost mapping."""
    import ufl
    from dolfinx import fem
    from dolfinx.mesh import CellType

    kind = {"triangles": CellType.triangle, "squares": CellType.quadrilateral}[cells]
    time = 0.1  # in units of L²/D
    errors, balances = [], []
    for n in (4, 8, 16):
        mesh = rectangle(MPI.COMM_SELF, (n, n), (10.0, 10.0), kind=kind)
        faces = {"x_min": FaceCondition(1.0), "y_min": FaceCondition(1.0)}
        problem = build(mesh, Physics((medium(),), faces), degree, END)
        transient = solve(problem, {}, TimeSpan(END, 1e-8, (time * END,)), SolverOptions())
        # A finer space holds the exact solution: interpolating it into `problem.space` would hide the error.
        fine = fem.functionspace(mesh.mesh, ("Lagrange", degree + 3))
        exact = fem.Function(fine)
        exact.interpolate(
            lambda x: (
                1
                - slab_profile(x[0] * MICRO, time * END, LENGTH, D / POROSITY)
                * slab_profile(x[1] * MICRO, time * END, LENGTH, D / POROSITY)
            )
        )
        found = fem.Function(problem.space)
        found.x.array[:] = transient.concentration(time * END)
        errors.append(np.sqrt(fem.assemble_scalar(fem.form((found - exact) ** 2 * ufl.dx)) / 10.0**2))
        balances.append(transient.balance.imbalance)
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    verified(
        term="storage and diffusion",
        against="square held at two sides, product of slabs (Newman, Ind. Eng. Chem. 28 (1936) 545)",
        dim=2,
        cells=cells,
        degree=degree,
        error=errors[-1],
        of="concentration, root mean square",
        order_space=orders[-1],
        balance=max(balances),
    )
    assert orders[-1] > degree + 1 - 0.25, (errors, orders)
    assert max(balances) < 1e-8, balances


def test_same_numbers_in_nanometres_and_in_metres():
    """An image a billion times larger, with coefficients to match, gives the same curves to 1e-10."""
    from dataclasses import replace

    curves = []
    for factor in (1.0, 1e9):
        mesh = replace(slab_mesh(), unit=MICRO * factor)
        matter = replace(medium(), effective_diffusivity=D * factor**2)
        physics = Physics((matter,), {"x_min": FaceCondition(1000.0, 1e-8 * factor)})
        boxes = {name: (a * factor, b * factor) for name, (a, b) in REGIONS.items()}
        curves.append(run(mesh, physics, 2, boxes=boxes)[1].curves)
    for name in REGIONS:
        assert np.abs(curves[0][name] - curves[1][name]).max() < 1e-10 * 1000.0


@pytest.mark.parametrize(
    ("faces", "bound"),
    [(FED, 1e-8), ({"x_min": FaceCondition(1000.0, 1e-8)}, 1e-8), ({**FED, "x_max": FaceCondition(0.0)}, 1e-8)],
)
def test_mass_balance(faces, bound):
    """What is stored came in through the surfaces. The flux of a held surface is its rows' residual."""
    _, transient = run(slab_mesh(), Physics((medium(),), faces), 2, tolerance=1e-7)
    assert transient.balance.imbalance < bound
    if "x_max" in faces:  # steady state: D c/L per depth of 0.5 µm, less what filled the slab
        late = run(slab_mesh(), Physics((medium(),), faces), 2, end=2 * END)[1].balance
        early = run(slab_mesh(), Physics((medium(),), faces), 2, end=END)[1].balance
        flow = D * 1000.0 / LENGTH * 0.5 * MICRO * END
        assert late.inflow["x_max"] - early.inflow["x_max"] == pytest.approx(-flow, rel=1e-3)


@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_any_number_of_ranks_gives_the_same_curves(linear):
    physics = Physics((medium(),), FED)
    options = SolverOptions(linear)
    _, shared = run(slab_mesh(COMM), physics, 2, options=options)
    _, alone = run(slab_mesh(MPI.COMM_SELF), physics, 2, options=options)
    for name in REGIONS:
        assert np.abs(shared.curves[name] - alone.curves[name]).max() < 1e-8 * 1000.0


def test_multigrid_and_factors_agree():
    physics = Physics((medium(),), FED)
    _, factors = run(slab_mesh(), physics, 2, options=SolverOptions("mumps"))
    _, multigrid = run(slab_mesh(), physics, 2, options=SolverOptions("cg"))
    assert multigrid.inner_iterations > 0 == factors.inner_iterations
    for name in REGIONS:
        assert np.abs(factors.curves[name] - multigrid.curves[name]).max() < 3e-6 * 1000.0


@pytest.mark.parametrize("times", [None, (0.5 * END, END)])
def test_first_time_is_the_solution_s_own(times):
    """t50 does not depend on the times of the curves: a line between their points would miss by tens of per cent."""
    from scipy.optimize import brentq

    problem = build(slab_mesh(), Physics((medium(),), FED), 2, END)
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in REGIONS.items()}
    means = region_means(problem.space, slab_mesh(), shapes, {}, everywhere(255))
    transient = solve(problem, means, TimeSpan(END, 1e-6, times=times), SolverOptions())
    for name, (a, b) in REGIONS.items():
        edges = (a * MICRO, b * MICRO, LENGTH, D / POROSITY)
        exact = brentq(lambda t, e=edges: slab_mean([t], *e)[0] - 0.5, 1e-4 * END, END)
        assert transient.first_time(name, 500.0) == pytest.approx(exact, rel=2e-3), name
        assert transient.first_time(name, 1001.0) is None


@pytest.mark.parametrize("rounding", [-1e-13, 0.0, 1e-13])
def test_what_starts_at_a_value_reaches_it_at_once(rounding):
    """Whether the mean at the start is rounded up or down decides nothing, though the curve only falls from there."""
    _, transient = run(slab_mesh(), Physics((medium(initial=1000.0),), {"x_min": FaceCondition(0.0)}), 2)
    for name in ("middle", "far"):
        assert transient.first_time(name, 1000.0 * (1 + rounding)) == 0.0


def test_fast_mass_transfer_keeps_the_balance():
    """With k_f so large that k_f (c_s - c) is lost to rounding, the inflow still is what is stored."""
    _, transient = run(slab_mesh(), Physics((medium(),), {"x_min": FaceCondition(1000.0, 1e6)}), 2)
    assert transient.balance.imbalance < 1e-4


def test_giving_up_is_said():
    """With too few solves the estimate stays above the tolerance and `converged` says so."""
    _, transient = run(slab_mesh(), Physics((medium(),), FED), 2, options=SolverOptions(max_solves=12))
    assert not transient.converged
    assert transient.error > 1e-6
