"""Jumps of the concentration between phases: partition, finite exchange, films; and axes of diffusion."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from closed_forms import slab_profile, sphere_mean
from layers import Layer, TwoLayers, finite_volumes
from made_cases import run_case, write_case
from made_meshes import COMM, brick, everywhere, rectangle, voxels_as_cells

import ufl
from dolfinx import fem
from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.parallel.collective import on_root
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box, WholePhase
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare.assemble import check
from microlith.workflow.prepare.interfaces import interface_warnings

MICRO = 1e-6
D = 2e-14  # m²/s
LENGTH = 10 * MICRO
NEAR = 4 * MICRO  # thickness of the first layer
END = LENGTH**2 / D
FED = {"x_min": FaceCondition(1000.0)}
KINDS = {"triangles": "triangle", "squares": "quadrilateral", "tetrahedra": "tetrahedron", "cubes": "hexahedron"}
LAWS = {
    "partition": InterfaceLaw("near", "far", partition=3.0),
    "exchange": InterfaceLaw("near", "far", exchange=2e-9),
    "partition and exchange": InterfaceLaw("near", "far", partition=0.25, exchange=4e-9),
    "told from the other side": InterfaceLaw("far", "near", partition=0.25, exchange=1e-9),
}


def transport(name, diffusivity=D, porosity=1.0, **more):
    return PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=diffusivity, porosity=porosity, **more)


LAYERS = (transport("near", D, 0.5), transport("far", D / 3, 0.8))


def voxels(labels, names, kind, edge, comm=COMM, solved=None):
    """Each voxel of labels as cells of a kind; cells are dealt out to the ranks in short runs."""
    labels = np.asarray(labels)
    image_mesh = voxels_as_cells(labels, names, KINDS[kind], comm, lambda cell: cell // 5 % comm.size, edge)
    return mesh_in_place(image_mesh, sorted(set(labels.ravel())) if solved is None else solved, comm)


def layered(kind, columns, comm=COMM):
    """10 µm long, the first 4 of them phase 0."""
    shape = (1, columns) if KINDS[kind] in ("triangle", "quadrilateral") else (1, 1, columns)
    labels = np.broadcast_to((np.arange(columns) >= 0.4 * columns).astype(int), shape)
    return voxels(labels, ("near", "far"), kind, (10.0 / columns,) * len(shape), comm)


def run(mesh, physics, degree, end=END, tolerance=1e-7, shapes=None, linear="auto", inner=None, **time):
    shapes = {name: WholePhase(name) for name in mesh.names} if shapes is None else shapes
    problem = build(mesh, physics, degree, end)
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    transient = solve(problem, means, TimeSpan(end, tolerance, **time), SolverOptions(linear, inner_tolerance=inner))
    return problem, transient


def reference_of(law):
    """The series for a law between the two layers."""
    turned = law.first == "far"
    partition = 1 / law.partition if turned else law.partition
    # k (c_far − c_near/K) = (k/K) (K c_far − c_near): seen from the other side the velocity is k/K.
    exchange = np.inf if law.exchange is None else law.exchange / (law.partition if turned else 1.0)
    return TwoLayers((NEAR, LENGTH - NEAR), (D, D / 3), (0.5, 0.8), partition, exchange)


SERIES = "series of eigenfunctions of two layers (Carslaw and Jaeger 1959, with K and k at the contact)"
VOLUMES = "finite volumes in 1D, 800 in each layer, extrapolated; SciPy"


@pytest.mark.parametrize(("partition", "exchange"), [(1.0, np.inf), (3.0, np.inf), (0.2, 0.7), (20.0, 3.0)])
def test_references_agree(partition, exchange):
    """The series and the volumes know nothing of each other; volumes of a ball against Crank's series."""
    times = np.geomspace(1e-3, 3.0, 8)
    series = TwoLayers((0.4, 0.6), (1.0, 0.3), (0.5, 0.8), partition, exchange)
    layers = [Layer(0.4, 1.0, 0.5), Layer(1.0, 0.3, 0.8, partition, exchange)]
    volumes = finite_volumes(layers, times, left=(1.0, np.inf))
    assert np.abs(series.mean(times, 0.0, 0.4) - volumes[:, 0]).max() < 1e-9
    assert np.abs(series.mean(times, 0.4, 1.0) - volumes[:, 1]).max() < 1e-9 * max(1.0, partition)
    ball = finite_volumes([Layer(1.0, 1.0)], times, geometry=2, right=(1.0, np.inf))
    assert np.abs(ball[:, 0] - sphere_mean(times, 1.0, 1.0)).max() < 1e-7


# --- two layers ---


MESHES = [("triangles", 1, 2e-3), ("triangles", 2, 1e-5), ("triangles", 3, 5e-7), ("squares", 2, 1e-5)]
MESHES += [("cubes", 1, 2e-3), ("tetrahedra", 2, 1e-5)]


ON_RANKS = {("partition", "triangles", 2), ("exchange", "cubes", 1), ("partition and exchange", "tetrahedra", 1)}
TWO_LAYERS = [(law, *mesh) for law in ("partition", "exchange") for mesh in MESHES]
TWO_LAYERS += [("partition and exchange", "triangles", 2, 1e-5), ("partition and exchange", "tetrahedra", 1, 2e-3)]
TWO_LAYERS += [("told from the other side", "triangles", 2, 1e-5)]


@pytest.mark.parametrize(
    ("law", "kind", "degree", "bound"),
    [pytest.param(*each, marks=[pytest.mark.mpi] if each[:3] in ON_RANKS else []) for each in TWO_LAYERS],
)
def test_two_layers(law, kind, degree, bound, verified):
    """Catches K for 1/K, k of the wrong side, a jump that leaks (balance), and means of u in place of c."""
    mesh = layered(kind, 20)
    regions = {"first": (1.0, 2.6), "before": (3.3, 4.0), "after": (4.0, 4.9), "last": (8.77, 10.0)}
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in regions.items()}
    times = tuple(np.geomspace(0.02, 1.0, 9) * END)
    problem, transient = run(
        mesh, Physics(LAYERS, FED, (LAWS[law],)), degree, shapes=shapes, times=times, tolerance=1e-8
    )
    series = reference_of(LAWS[law])
    error = max(
        np.abs(transient.curves[name] / 1000.0 - series.mean(np.array(times), a * MICRO, b * MICRO)).max()
        for name, (a, b) in regions.items()
    )
    error /= max(1.0, series.partition)  # what the second layer holds in the end
    verified(
        term=law if law in ("partition", "exchange") else "partition and exchange",
        against=SERIES, dim=mesh.mesh.topology.dim, cells=kind, degree=degree, error=error,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < bound
    assert transient.balance.imbalance < 1e-8
    doubled = LAWS[law].exchange is not None
    across = (
        problem.space.dofmap.index_map.size_global
        - fem.functionspace(mesh.mesh, ("Lagrange", degree)).dofmap.index_map.size_global
    )
    assert (across > 0) == doubled


@pytest.mark.parametrize("law", ["partition", "exchange", "partition and exchange"])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_order_across_a_jump(degree, law, verified):
    """The L2 error of the field falls like h^(p+1) although it jumps; a smeared jump would leave h^½."""
    series, time = reference_of(LAWS[law]), 0.3 * END
    errors = []
    for columns in (5, 10, 20) if degree > 1 else (10, 20, 40):
        mesh = layered("triangles", columns, MPI.COMM_SELF)
        physics = Physics(LAYERS, FED, (LAWS[law],))
        problem, transient = run(mesh, physics, degree, shapes={}, tolerance=1e-9, snapshots=(time,))
        found = fem.Function(problem.display.space)
        found.x.array[:] = transient.concentration(time) / 1000.0
        exact = fem.Function(fem.functionspace(mesh.mesh, ("DG", degree + 3)))
        for layer in range(2):
            cells = mesh.cell_tags.find(layer)
            exact.interpolate(lambda x, i=layer: series.profile(x[0] * MICRO, time, i), cells)
        errors.append(np.sqrt(fem.assemble_scalar(fem.form((found - exact) ** 2 * ufl.dx)) / np.prod(mesh.extent)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    verified(
        term=law, against=SERIES, dim=2, cells="triangles", degree=degree, error=errors[-1], order_space=orders[-1],
        of="concentration, rms over the field", balance=transient.balance.imbalance,
    )  # fmt: skip
    assert orders[-1] > degree + 1 - 0.25, (errors, orders)
    assert transient.balance.imbalance < 1e-8


@pytest.mark.parametrize("kind", ["triangles", "cubes"])
def test_steady_flow_through_resistances_in_series(kind, verified):
    """J = (c_1 − c_2/K) / (l1/D1 + 1/k + l2/(K D2)), exact for straight profiles at any degree."""
    law = InterfaceLaw("near", "far", partition=2.5, exchange=3e-9)
    faces = {"x_min": FaceCondition(1000.0), "x_max": FaceCondition(300.0)}
    mesh = layered(kind, 10)
    flows = []
    for end in (12 * END, 16 * END):
        _, transient = run(mesh, Physics(LAYERS, faces, (law,)), 1, end, 1e-9)
        flows.append(transient.balance)
    resistance = NEAR / D + 1 / law.exchange + (LENGTH - NEAR) / (2.5 * D / 3)
    section = np.prod(mesh.extent[1:]) * MICRO ** (len(mesh.extent) - 1)
    flow = (1000.0 - 300.0 / 2.5) / resistance * section * 4 * END
    error = max(
        abs((flows[1].inflow[f] - flows[0].inflow[f]) / flow - sign) for f, sign in (("x_min", 1), ("x_max", -1))
    )
    verified(
        term="partition and exchange", against="resistances in series, steady", dim=mesh.mesh.topology.dim, cells=kind,
        degree=1, error=error, of="flow", balance=max(b.imbalance for b in flows),
    )  # fmt: skip
    assert error < 1e-6
    assert max(b.imbalance for b in flows) < 1e-8


@pytest.mark.parametrize("velocity", [1e-9, 1e-8])
def test_mass_transfer_into_a_phase_that_holds_more(velocity, verified):
    """k (c_s − c) with c = κ u: a κ forgotten in the transfer, or in what is held, fills to the wrong level."""
    mesh = layered("triangles", 40)
    law = InterfaceLaw("near", "far", partition=0.2)
    layers = (Layer(4.0, 1.0, 0.5, initial=0.3), Layer(10.0, 1 / 3, 0.8, partition=0.2, initial=0.1))
    matter = (replace(LAYERS[0], initial=300.0), replace(LAYERS[1], initial=100.0))
    faces = {"x_min": FaceCondition(500.0), "x_max": FaceCondition(400.0, velocity)}
    times = np.geomspace(0.02, 1.0, 9) * END
    _, transient = run(mesh, Physics(matter, faces, (law,)), 2, times=tuple(times), tolerance=1e-8)
    exact = finite_volumes(layers, times * D / MICRO**2, left=(0.5, np.inf), right=(0.4, velocity * MICRO / D))
    error = max(np.abs(transient.curves[n] / 1000.0 - exact[:, i]).max() / 0.5 for i, n in enumerate(("near", "far")))
    verified(
        term="partition", against=VOLUMES, dim=2, cells="triangles", degree=2, error=error,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 3e-5
    assert transient.balance.imbalance < 1e-8


def test_film(verified):
    """A film of 10 nm as an exchange D/δ against the same film resolved in 1D, which stores lithium, too."""
    diffusivity, errors = 2e-17, []
    for thickness in (40e-9, 10e-9):
        law = InterfaceLaw("near", "far", exchange=diffusivity / thickness)
        times = np.geomspace(0.02, 1.0, 9) * END
        mesh = layered("triangles", 40)
        _, transient = run(mesh, Physics(LAYERS, FED, (law,)), 2, times=tuple(times), tolerance=1e-8)
        thin = thickness / MICRO
        layers = (
            Layer(4.0, 1.0, 0.5), Layer(4.0 + thin, diffusivity / D), Layer(10.0 + thin, 1 / 3, 0.8),
        )  # fmt: skip
        exact = finite_volumes(layers, times * D / MICRO**2, left=(1.0, np.inf))[:, [0, 2]]
        errors.append(
            max(np.abs(transient.curves[n] / 1000.0 - exact[:, i]).max() for i, n in enumerate(("near", "far")))
        )
    verified(
        term="film", against="the film resolved by " + VOLUMES, dim=2, cells="triangles", degree=2, error=errors[1],
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)  # what the film itself holds, in proportion to it
    assert transient.balance.imbalance < 1e-8


# --- curved interfaces ---


def ring(columns, rows, comm=COMM):
    """Quarter of a ring from 2 to 10 µm, the phases meeting at 5 µm, in polar triangles."""
    mesh = rectangle(comm, (columns, rows), (8.0, 1.0), lambda x: x[0] > 3.0, ("core", "shell"))
    x = mesh.mesh.geometry.x
    radius, angle = x[:, 0] + 2.0, x[:, 1] * np.pi / 2
    x[:, 0], x[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
    return mesh


def cone(layers, across, comm=COMM):
    """Part of a ball from 2 to 10 µm radius between four planes through its centre, in tetrahedra; phases as before."""
    mesh = brick(
        comm, (across, across, layers), (1.0, 1.0, 8.0), CellType.tetrahedron, lambda x: x[2] > 3.0, ("core", "shell")
    )
    x = mesh.mesh.geometry.x
    direction = np.stack([0.6 * x[:, 0] - 0.3, 0.6 * x[:, 1] - 0.3, np.ones(len(x))], axis=1)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x[:] = (x[:, 2:] + 2.0) * direction
    return mesh


@pytest.mark.parametrize("shape", ["cylinder", "sphere"])
def test_curved_interface(shape, verified):
    """Catches a jump term that takes the wrong area. Straight elements: second order."""
    law = InterfaceLaw("shell", "core", partition=4.0, exchange=3e-9)
    matter = (transport("core", D / 2, 0.9), transport("shell", D, 0.5))
    times = np.geomspace(0.01, 0.5, 7) * END
    face = "x_max" if shape == "cylinder" else "z_max"
    layers = (Layer(5.0, 0.5, 0.9), Layer(10.0, 1.0, 0.5, partition=0.25, exchange=3e-9 / 4 * MICRO / D))
    # The law's k counts from the shell; seen from the core it is k/K.
    exact = finite_volumes(layers, times * D / MICRO**2, 2.0, 1 if shape == "cylinder" else 2, right=(1.0, np.inf))
    errors = []
    for mesh in (ring(8, 8), ring(16, 16)) if shape == "cylinder" else (cone(8, 2), cone(16, 4)):
        physics = Physics(matter, {face: FaceCondition(1000.0)}, (law,))
        _, transient = run(mesh, physics, 1 if shape == "sphere" else 2, times=tuple(times), tolerance=1e-8)
        errors.append(
            max(
                np.abs(transient.curves[n] / 1000.0 - exact[:, i]).max() / (4.0, 1.0)[i]
                for i, n in enumerate(mesh.names)
            )
        )
    order = np.log2(errors[0] / errors[1])
    verified(
        term="partition and exchange", against=f"{shape} of two layers: {VOLUMES}", dim=mesh.mesh.topology.dim,
        cells="triangles" if shape == "cylinder" else "tetrahedra", degree=2 if shape == "cylinder" else 1,
        error=errors[1], order_space=order, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert errors[1] < (1e-3 if shape == "cylinder" else 5e-3), errors
    assert order > 1.7, errors
    assert transient.balance.imbalance < 1e-8


@pytest.mark.parametrize("kind", ["triangles", "cubes"])
def test_very_fast_and_very_slow_exchange(kind, verified):
    """k to infinity is equilibrium and k to 0 is none; factors and multigrid bear both, and nothing is lost.

    The two fastest lie on either side of where exchange is taken as equilibrium, for D = 2e-14 m²/s and 1 µm.
    """
    mesh = layered(kind, 20, MPI.COMM_SELF)
    velocities = (None, 0.5, 0.1, 1e-3, 1e-6, 1e-9, 1e-16)
    ends, balances = {}, []
    times = tuple(np.geomspace(0.02, 1.0, 5) * END)
    for velocity in velocities:
        physics = Physics(LAYERS, FED, (InterfaceLaw("near", "far", partition=3.0, exchange=velocity),))
        for linear in ("mumps", "cg"):
            problem, transient = run(mesh, physics, 1, linear=linear, times=times, inner=1e-12)
            ends[velocity, linear] = np.array([transient.curves[name] for name in mesh.names]) / 1000.0
            balances.append(transient.balance.imbalance)
            assert transient.converged
            assert transient.inner_iterations < 15 * transient.solves, (velocity, linear)
            assert (problem.space is problem.display.space) == (velocity not in (None, 0.5))
    error = np.abs(ends[0.1, "mumps"] - ends[None, "mumps"]).max()
    verified(
        term="partition and exchange", against="equilibrium, the limit of fast exchange (0.1 m/s)",
        dim=mesh.mesh.topology.dim, cells=kind, degree=1, error=error, balance=max(balances),
    )  # fmt: skip
    assert error < 1e-6
    assert np.abs(ends[1e-16, "mumps"][1]).max() < 1e-6
    for velocity in velocities:
        assert np.abs(ends[velocity, "mumps"] - ends[velocity, "cg"]).max() < 3e-7, velocity
    assert max(balances) < 1e-8, balances


def test_full_is_what_a_phase_holds_in_equilibrium():
    """What counts as full is what a region holds in equilibrium: half of the source would never be reached."""
    mesh = layered("triangles", 20, MPI.COMM_SELF)
    physics = Physics(LAYERS, FED, (InterfaceLaw("near", "far", partition=1e-3, exchange=1e-9),))
    times = tuple(np.geomspace(0.01, 1.0, 20) * END)
    problem, rough = run(mesh, physics, 1, times=times, tolerance=1e-3)
    _, exact = run(mesh, physics, 1, times=times, tolerance=1e-10)
    assert np.abs(rough.curves["far"] - exact.curves["far"]).max() < 1e-3 * 1.0
    assert problem.reference_of(np.array([0.0, 1.0])) == pytest.approx(1.0)
    half = exact.first_time("far", 0.5 * problem.reference_of(np.array([0.0, 1.0])))
    assert np.interp(half, times, exact.curves["far"]) == pytest.approx(0.5, rel=0.02)
    assert problem.reference_of(np.array([1.0, 0.0])) == pytest.approx(1000.0)


# --- several phases ---


def quarters(kind, n, comm=COMM):
    """Four phases that meet in one point (line): a b / c d, over n voxels each way."""
    dim = 2 if KINDS[kind] in ("triangle", "quadrilateral") else 3
    y, x = np.mgrid[0:n, 0:n] >= n // 2
    labels = (2 * y + x).astype(int)
    labels = labels if dim == 2 else np.broadcast_to(labels, (n // 2, n, n))
    return voxels(labels, "abcd", kind, (10.0 / n,) * dim, comm)


FOUR = tuple(transport(name, D * f, e) for name, f, e in zip("abcd", (1, 0.5, 2, 0.3), (1, 0.5, 0.8, 0.6), strict=True))


def copies(problem, mesh, degree):
    """Degrees of freedom more than the plain space has, of the unknowns and of the picture."""
    plain = fem.functionspace(mesh.mesh, ("Lagrange", degree)).dofmap.index_map.size_global
    return tuple(s.dofmap.index_map.size_global - plain for s in (problem.space, problem.display.space))


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["triangles", "cubes"])
def test_copies_where_phases_meet(kind):
    """Counted by hand: a copy on each point of an interface that jumps, at the junction one for each group."""
    mesh = quarters(kind, 4)
    line = 1 if mesh.mesh.topology.dim == 2 else 3  # points of the junction, of 2 cells in 3D
    on_side = 2 * line  # of half an interface, without the junction
    slow = {pair: InterfaceLaw(*pair, exchange=1e-9) for pair in ("ab", "ac", "bd", "cd")}
    for laws, unknowns, shown in (
        ((), 0, 0),
        ((slow["ab"],), on_side, on_side),  # at the junction a - c - d - b are connected
        ((slow["ab"], slow["cd"]), 2 * on_side + line, 2 * on_side + line),
        (tuple(slow.values()), 4 * on_side + 3 * line, 4 * on_side + 3 * line),
        ((slow["ab"], InterfaceLaw("c", "d", partition=1.0)), on_side, on_side),
        ((slow["ab"], InterfaceLaw("a", "c", 2.0), InterfaceLaw("b", "d", 2.0)), on_side, 3 * on_side + 2 * line),
    ):
        problem = build(mesh, Physics(FOUR, {"x_min": FaceCondition(1000.0)}, laws), 1, END)
        assert copies(problem, mesh, 1) == (unknowns, shown), laws
        assert (problem.space is problem.display.space) == (unknowns == shown)


MIXED = (
    InterfaceLaw("a", "b", 2.0, 3e-9),
    InterfaceLaw("c", "a", 0.5),
    InterfaceLaw("c", "d", 6.0, 1e-8),
    InterfaceLaw("b", "d", 6.0),
)  # κ = 1, 2, 2, 12


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
@pytest.mark.parametrize(
    ("kind", "degree", "linear"),
    [("triangles", 3, "mumps"), ("squares", 2, "cg"), ("tetrahedra", 2, "cg"), ("cubes", 1, "mumps")],
)
def test_four_phases_on_any_number_of_ranks(kind, degree, linear):
    """The same curves, picture and balance however the cells are dealt out, held, with transfer and with a flux."""
    laws = (*MIXED[:3], InterfaceLaw("b", "d", 6.0))
    faces = {
        "x_min": FaceCondition(1000.0),
        "y_max": FaceCondition(500.0, 2e-8),
        "x_max": FaceCondition(flux=1e-6),
    }
    found = []
    for comm in (COMM, MPI.COMM_SELF):
        mesh = quarters(kind, 8 if kind != "cubes" else 6, comm)
        problem, transient = run(mesh, Physics(FOUR, faces, laws), degree, linear=linear)
        assert transient.balance.imbalance < 1e-8
        means = [comm.allreduce(p, op=MPI.SUM) for p in picture_means(problem, transient, mesh)]
        found.append((transient.curves, means))
    for name in "abcd":
        assert np.abs(found[0][0][name] - found[1][0][name]).max() < 1e-8 * 1000.0, name
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-7)


def picture_means(problem, transient, mesh, time=END):
    """Mean of the picture in each phase: this rank's part."""
    c = fem.Function(problem.display.space)
    c.x.array[:] = transient.concentration(time)
    dx = ufl.Measure("dx", domain=mesh.mesh, subdomain_data=mesh.cell_tags)
    one = fem.Constant(mesh.mesh, 1.0)
    whole = [
        mesh.mesh.comm.allreduce(fem.assemble_scalar(fem.form(one * dx(i))), op=MPI.SUM) for i in range(len(mesh.names))
    ]
    return [fem.assemble_scalar(fem.form(c * dx(i))) / whole[i] for i in range(len(mesh.names))]


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["triangles", "cubes"])
def test_picture_and_curves_agree(kind):
    """The concentration of the picture integrates to the curves in each phase, and is what was given at time 0."""
    mesh = quarters(kind, 4)
    matter = tuple(replace(p, initial=100.0 * (i + 1)) for i, p in enumerate(FOUR))
    problem, transient = run(mesh, Physics(matter, {"x_min": FaceCondition(1000.0)}, MIXED), 2)
    means = [COMM.allreduce(p, op=MPI.SUM) for p in picture_means(problem, transient, mesh)]
    assert means == pytest.approx([transient.curves[n][-1] for n in "abcd"], rel=1e-9)
    c = fem.Function(problem.display.space)
    c.x.array[:] = transient.concentration(0.0)
    cells = mesh.cell_tags
    inside = {i: c.x.array[problem.display.space.dofmap.list[cells.find(i)]] for i in range(4)}
    assert set(np.unique(inside[1])) <= {200.0}
    assert set(np.unique(inside[3])) <= {400.0}
    x = problem.display.space.tabulate_dof_coordinates()
    for phase in (0, 2):  # on the fed face; where both meet, one of them decides
        dofs = np.unique(problem.display.space.dofmap.list[cells.find(phase)])
        fed = dofs[(x[dofs, 0] < 1e-9) & (np.abs(x[dofs, 1] - 5.0) > 1e-9)]
        assert set(np.unique(c.x.array[fed])) <= {1000.0}, phase


def test_equilibrium_everywhere(verified):
    """After long the levels are as the partitions say, in a loop of four phases with and without resistance."""
    mesh = quarters("triangles", 8, MPI.COMM_SELF)
    _, transient = run(mesh, Physics(FOUR, {"y_min": FaceCondition(1000.0, 1e-8, phases=("a",))}, MIXED), 2, 400 * END)
    levels = np.array([transient.curves[n][-1] for n in "abcd"]) / 1000.0
    error = np.abs(levels / (1, 2, 2, 12) - 1).max()
    verified(
        term="partition and exchange", against="equilibrium of four phases around a point", dim=2, cells="triangles",
        degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 1e-6
    assert transient.balance.imbalance < 1e-8


@pytest.mark.mpi
def test_partitions_that_contradict_each_other():
    laws = (InterfaceLaw("a", "b", 2.0), InterfaceLaw("b", "d", 3.0), InterfaceLaw("a", "c", 5.0))
    with pytest.raises(InputError, match=r"(?s)\[\[interfaces\]\].*partition.*(1\.2|0\.8).*expected"):
        build(quarters("triangles", 4), Physics(FOUR, FED, laws), 1, END)
    apart = layered("triangles", 10)  # the same in two phases only is no loop
    build(apart, Physics(LAYERS, FED, (InterfaceLaw("far", "near", 7.0),)), 1, END)


def test_without_laws_the_space_is_plain():
    """Nothing is looked for, copied or scaled in a plain case."""
    mesh = quarters("triangles", 4, MPI.COMM_SELF)
    problem = build(mesh, Physics(FOUR, FED), 1, END)
    assert problem.display.unknown is None
    assert problem.display.space is problem.space
    assert (problem.factors == 1.0).all()


# --- whole runs ---

CASE = """
[phases.pore]
label = 0
role = "source"
concentration = "1000 mol/m^3"
[phases.sei]
label = 1
role = "transport"
diffusivity = "2e-14 m^2/s"
[phases.particle]
label = 2
role = "transport"
diffusivity = "2e-14 m^2/s"
[phases.binder]
label = 3
role = "transport"
diffusivity = "2e-14 m^2/s"
"""
PARTITION = """
[[interfaces]]
between = ["sei", "particle"]
partition = 2.0
"""


@pytest.mark.mpi
@pytest.mark.parametrize(("law", "degree"), [("", 3), ('exchange = "1e-7 m/s"\n', 2)])
def test_a_run_shows_either_side(tmp_path, law, degree):
    """In equilibrium each point of fields.vtkhdf has the concentration of the cells it belongs to."""
    image = np.ones((8, 12), np.uint8)
    image[:, 0], image[2:6, 5:9], image[7, 11] = 0, 2, 3
    folder = Path(COMM.bcast(str(tmp_path)))
    time = '[time]\nend = "100 s"\nsnapshots = ["0 s", "100 s"]\n'
    mesh = f'[mesh]\nmethod = "voxel"\ndegree = {degree}\n'
    on_root(COMM, write_case, folder, image, phases=CASE + PARTITION + law, mesh=mesh, time=time, regions="")
    results = run_case(folder / "case.toml")
    summary = json.loads((results / "summary.json").read_text())
    assert summary["concentration_range_mol_per_m3"] == [0.0, 2000.0]
    assert summary["regions"]["particle"]["t50_s"] < summary["regions"]["particle"]["t90_s"] < 100.0
    with h5py.File(results / "fields.vtkhdf") as file:
        root = file["VTKHDF"]
        phase, x = root["CellData/phase"][:], root["Points"][:]
        cells = root["Connectivity"][:].reshape(len(phase), -1)
        c = root["PointData/concentration"][len(x) :]
    for number, level in ((1, 1000.0), (2, 2000.0)):
        assert c[cells[phase == number]] == pytest.approx(level, rel=1e-3)
        assert np.ptp(x[cells[phase == number]], axis=1).max() == pytest.approx(10e-3)  # µm: points lie at their cells
    assert len(set(cells[phase == 2].ravel()) & set(cells[phase == 1].ravel())) == 0
    assert (results / "snapshot-100s.png").exists()


@pytest.mark.parametrize("apart", [False, True])
def test_partitions_are_held_against_each_other_before_meshing(tmp_path, apart):
    """All three phases meet: in equilibrium particle = 2 sei and binder = sei, but particle = 5 binder."""
    image = np.ones((8, 12), np.uint8)
    image[:, 0], image[2:6, 3:6], image[2:6, (7 if apart else 6) : 9] = 0, 2, 3
    law = '[[interfaces]]\nbetween = ["binder", "particle"]\npartition = 5.0\n'
    path = write_case(tmp_path, image, phases=CASE + PARTITION + law, time='[time]\nend = "1 s"\n', regions="")
    if apart:
        check(load_case(path))
        return
    with pytest.raises(InputError, match=r"(?s)\[\[interfaces\]\]: partition.*expected partitions that agree"):
        check(load_case(path))


def test_contradictions_are_told(tmp_path, caplog):
    """A law between phases that do not touch, and a pore that holds two phases out of equilibrium."""
    image = np.ones((8, 12), np.uint8)
    image[:, 0], image[2:6, 1:5], image[7, 11] = 0, 2, 3
    law = '[[interfaces]]\nbetween = ["particle", "binder"]\nexchange = "1e-9 m/s"\n'
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    path = write_case(
        tmp_path, image, phases=CASE + PARTITION + law, mesh='[mesh]\nmethod = "voxel"\n', time=time, regions=""
    )
    with caplog.at_level(logging.WARNING):
        run_case(path, comm=MPI.COMM_SELF)
    said = [r.getMessage() for r in caplog.records]
    told = [s for s in said if "particle and binder" in s]
    assert len(told) == 1, said
    assert told[0].endswith("[[interfaces]], number 2: particle and binder do not touch"), said
    assert any("pore holds its concentration on phases that are not in equilibrium" in s for s in said), said


@pytest.mark.parametrize(
    ("law", "meet", "told"),
    [
        pytest.param("", True, "the flow has no limit as the mesh gets finer", marks=pytest.mark.mpi),
        ('exchange = "1e-9 m/s"\n', True, "pore feeds sei and particle, which are not in equilibrium"),
        ('exchange = "1e-4 m/s"\n', True, "only elements of less than 8.5e-05 µm follow the flow between them"),
        pytest.param("", False, "pore feeds sei and particle, which are not in equilibrium", marks=pytest.mark.mpi),
    ],
)
def test_what_a_held_concentration_does_to_a_partition_is_told(tmp_path, caplog, law, meet, told):
    """A flow without limit in equilibrium alone, and where the phases meet: an exchange bounds it by k Δc per area.

    D = 2e-14 m²/s and K = 2: arcs of π/2 r in both phases and the exchange are in series,
    r = 2 / (π k (1 / D + 1 / (2 D))).
    """
    image = np.ones((8, 14), np.uint8)
    image[:, 0], image[7, 6] = 0, 3
    if meet:
        image[2:6, 1:5] = 2
    else:
        image[:, 11:13], image[:, 13] = 2, 0
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    mesh = '[mesh]\nmethod = "voxel"\nestimate = false\n'
    folder = Path(COMM.bcast(str(tmp_path)))
    on_root(COMM, write_case, folder, image, phases=CASE + PARTITION + law, mesh=mesh, time=time, regions="")
    with caplog.at_level(logging.WARNING):
        run_case(folder / "case.toml")
    said = [r.getMessage() for r in caplog.records if "equilibrium with each other" in r.getMessage()]
    if COMM.rank == 0:
        assert len(said) == 1, said
        assert told in said[0]


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("second", "gap", "law", "told"),
    [
        ("500 mol/m^3", 0, "", True),
        ("1000 mol/m^3", 0, "", False),
        ("500 mol/m^3", 1, "", False),
        ("2000 mol/m^3", 0, PARTITION, False),
        ("1000 mol/m^3", 0, PARTITION, True),
        ("1000 mol/m^3", 0, PARTITION + 'exchange = "1e-9 m/s"\n', False),
    ],
)
def test_surfaces_that_hold_different_concentrations_where_they_meet_are_told(tmp_path, caplog, second, gap, law, told):
    """A pore above another source at x_min, beside SEI or, with a law, with a particle below it, K = 2."""
    image = np.ones((8, 12), np.uint8)
    image[:4, 0], image[4:, 0], image[0, 11], image[7, 11] = 0, 3, 2, 4
    if law:
        image[4:, 1:11] = 2
    if gap:
        image[4, 0] = 4
    phases = (
        CASE[: CASE.index("[phases.binder]")]
        + f"""
[phases.other]
label = 3
role = "source"
concentration = "{second}"
[phases.barrier]
label = 4
role = "barrier"
"""
    )
    folder, mesh = Path(COMM.bcast(str(tmp_path))), '[mesh]\nmethod = "voxel"\nestimate = false\n'
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    on_root(COMM, lambda: write_case(folder, image, phases=phases, mesh=mesh, time=time, regions="", more=law))
    with caplog.at_level(logging.WARNING):
        run_case(folder / "case.toml")
    said = [r.getMessage() for r in caplog.records if "hold different concentrations" in r.getMessage()]
    assert COMM.rank > 0 or len(said) == told, said


@pytest.mark.mpi
@pytest.mark.parametrize("periodic", [(), ("x",)])
def test_an_interface_that_the_mesh_lost_is_told(periodic):
    """In the mesh the second phase lies between the others; in the image these touch where it repeats along x only."""
    names = "near", "middle", "far"
    labels = np.repeat([[0, 1, 2]], 4, axis=0)
    mesh = voxels(labels, names, "triangles", (1.0, 1.0))
    laws = InterfaceLaw("near", "far", 2.0), InterfaceLaw("near", "middle", 2.0)
    physics = Physics(tuple(transport(name) for name in names), FED, laws)
    image = volume_of(LabelImage(labels.astype(np.uint8), names, (1e-6, 1e-6)) if COMM.rank == 0 else None, COMM)
    said = interface_warnings(build(mesh, physics, 1, END), mesh, physics, image, periodic)
    assert len(said) == len(periodic), said
    assert all("between near and far has no effect: they touch in the image" in sentence for sentence in said)


@pytest.mark.mpi
@pytest.mark.parametrize("apart", [False, True])
def test_flow_round_through_a_source_is_told(tmp_path, caplog, apart):
    """A pore with a mass transfer towards one concentration, at SEI and at a particle that holds twice as much."""
    image = np.ones((8, 12), np.uint8)
    image[:, 0], image[2:6, 2 if apart else 1 : 5], image[7, 11] = 0, 2, 3
    phases = (
        CASE.replace('concentration = "1000 mol/m^3"', 'concentration = "1000 mol/m^3"\nmass_transfer = "1e-6 m/s"')
        + PARTITION
    )
    time = '[time]\nend = "1000 s"\nsnapshots = []\n'
    mesh = '[mesh]\nmethod = "voxel"\nestimate = false\n'
    folder = Path(COMM.bcast(str(tmp_path)))
    on_root(COMM, write_case, folder, image, phases=phases, mesh=mesh, time=time, regions="")
    with caplog.at_level(logging.WARNING):
        results = run_case(folder / "case.toml")
    final = json.loads((results / "summary.json").read_text())["regions"]["particle"]["final"]
    assert (final > 1999.9) == apart
    said = [r.getMessage() for r in caplog.records]
    told = any("pore feeds sei and particle, which are not in equilibrium" in s for s in said)
    assert COMM.rank > 0 or told != apart, said


@pytest.mark.parametrize(
    ("method", "law", "slanted", "told"),
    [
        pytest.param("voxel", 'exchange = "1e-7 m/s"', True, True, marks=pytest.mark.mpi),
        ("voxel", 'exchange = "1e-7 m/s"', False, False),
        ("voxel", "partition = 2.0", True, False),
        ("lattice", 'exchange = "1e-7 m/s"', True, False),
    ],
)
def test_areas_of_the_image_count_where_there_are_steps(tmp_path, caplog, method, law, slanted, told):
    """Steps of voxels make surfaces too large: what passes in proportion to their area would be too much."""
    image = np.ones((8, 12), np.uint8)
    image[:, 0], image[:, 8:], image[7, 2] = 0, 2, 3
    if slanted:
        image[4:, 6:] = 2
    phases = CASE + f'[[interfaces]]\nbetween = ["sei", "particle"]\n{law}\n'
    mesh = f'[mesh]\nmethod = "{method}"\nestimate = false\n'
    folder = Path(COMM.bcast(str(tmp_path)))
    on_root(COMM, write_case, folder, image, phases=phases, mesh=mesh, regions="")
    with caplog.at_level(logging.INFO, "microlith"):
        results = run_case(folder / "case.toml")
    said = [r.getMessage() for r in caplog.records]
    there = any("lithium passes surfaces by their areas in the image" in s for s in said)
    assert COMM.rank > 0 or there == told, said
    found = json.loads((results / "summary.json").read_text())["surface_areas"]
    assert bool(found) == told
    if told:
        assert found[0]["phases"] == ["sei", "particle"]
        assert found[0]["counts_as_length_m"] == pytest.approx(found[0]["image_length_m"])
        assert found[0]["counts_as_length_m"] < found[0]["mesh_length_m"]


# --- axes ---


@pytest.mark.parametrize(
    ("kind", "degree"), [("triangles", 1), ("triangles", 3), ("squares", 2), ("tetrahedra", 2), ("cubes", 1)]
)
def test_axes_of_diffusion(kind, degree, verified):
    """1 − c is a product of slabs, each with the diffusivity of its axis: catches swapped axes, or a mean of them."""
    dim = 2 if KINDS[kind] in ("triangle", "quadrilateral") else 3
    axes, time = (1.0, 0.15, 0.4)[:dim], 0.15
    errors = []
    for n in (6, 12) if dim == 2 else (3, 6):
        mesh = voxels(np.zeros((n,) * dim, int), ("medium",), kind, (10.0 / n,) * dim)
        faces = {name: FaceCondition(1000.0) for name in ("x_min", "y_min", "z_min")[:dim]}
        physics = Physics((transport("medium", D, 0.5, anisotropy=axes),), faces)
        problem, transient = run(mesh, physics, degree, tolerance=1e-7, times=(time * END,), snapshots=(time * END,))
        found = fem.Function(problem.display.space)
        found.x.array[:] = transient.concentration(time * END) / 1000.0
        exact = fem.Function(fem.functionspace(mesh.mesh, ("Lagrange", degree + 2)))
        exact.interpolate(
            lambda x: 1 - np.prod([slab_profile(x[k], time, 10.0, f * 100.0 / 0.5) for k, f in enumerate(axes)], axis=0)
        )
        squared = COMM.allreduce(fem.assemble_scalar(fem.form((found - exact) ** 2 * ufl.dx)), op=MPI.SUM)
        errors.append(np.sqrt(squared / 10.0**dim))
    order = np.log2(errors[0] / errors[1])
    verified(
        term="axes of diffusion", against="product of slabs (Newman 1936; Crank 1975, eq. 4.17)", dim=dim, cells=kind,
        degree=degree, error=errors[1], order_space=order, of="concentration, rms over the field",
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert errors[1] < {1: 5e-3, 2: 5e-4, 3: 2e-6}[degree], errors
    assert order > degree + 0.7, errors
    assert transient.balance.imbalance < 1e-8
