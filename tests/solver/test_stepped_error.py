"""What solutions found step by step lack in space, from recovered gradients along the steps, against finer elements."""

import numpy as np
import pytest
from fed_slab import END, FED, JUMPS, LENGTH, REGIONS, D, means_of, mesh_of
from made_meshes import COMM, brick, rectangle

from dolfinx import mesh as dmesh
from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag, interface_tag
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.kirchhoff import Potential
from microlith.solver.physics.laws import DiffusivityTable
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.steps.stage_matrix import LinearSolverFailed, StageMatrix
from microlith.solver.transient import solve

LAWS = {
    "growing": lambda c: 0.1 + 0.9 * c,
    "falling": lambda c: 1.0 - 0.9 * c,
    "peak": lambda c: 0.05 + 0.95 * np.exp(-(((c - 0.5) / 0.15) ** 2)),
}
CONSTANT = DiffusivityTable((0.0, 1000.0), (D, D))
OPENS = Course((0.0, END), (0.2 * D / LENGTH, 20 * D / LENGTH))


def law(name):
    c = np.linspace(0.0, 1.0, 60)
    return DiffusivityTable(tuple(1000.0 * c), tuple(D * LAWS[name](c)))


def medium(depends, name="medium", **more):
    return PhasePhysics(name, Role.TRANSPORT, diffusivity=D, effective_diffusivity=D, law=depends, **more)


def slab(depends, faces=FED):
    return Physics((medium(depends),), faces)


def solved(mesh, physics, degree=1, tolerance=1e-4, *, told=True, linear="auto"):
    problem = build(mesh, physics, degree, END)
    options = SolverOptions(linear=linear)
    return solve(problem, means_of(problem, mesh), TimeSpan(END, tolerance), options, lacking=physics if told else None)


def compared(own, fine, least):
    """Largest error of each region from `least` on, what is told of it, and what is left, mol/m³."""
    late = own.times > least * END
    told = own.steps_lack(own.times)[:, late]
    true = np.array([(fine.curves[name] - own.curves[name])[late] for name in REGIONS])
    return [np.abs(some).max(axis=1) for some in (true, told, true - told)]


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", LAWS)
def test_what_a_slab_with_a_law_lacks(name, dim):
    """Size and sign; without what is stored between the nodes 0.4 of it would be told where D falls."""
    physics = slab(law(name))
    fine = solved(mesh_of(128), physics, degree=2, told=False)
    true, told, left = compared(solved(mesh_of(32, dim), physics), fine, 1e-2)
    for region, some, told_of_it, rest in zip(REGIONS, true, told, left, strict=True):
        assert 0.7 * some - 0.15 < told_of_it < 1.5 * some + 0.15, region
        assert rest < 0.35 * some + 0.15, f"{region}: the sign is right"


@pytest.mark.parametrize(
    "physics",
    [slab(law("growing"), {"x_min": FaceCondition(JUMPS)}), slab(None, {"x_min": FaceCondition(1000.0, OPENS)})],
    ids=["jump", "opening"],
)
def test_loads_that_jump_and_a_transfer_that_opens(physics):
    fine = solved(mesh_of(96), physics, degree=2, told=False)
    true, told, left = compared(solved(mesh_of(24), physics), fine, 1e-2)
    assert true.max() > 0.1
    assert np.all(left < 0.35 * true + 0.05)
    assert told == pytest.approx(true, rel=0.35, abs=0.05)


def test_a_surface_that_fills_up():
    """Both what it lacks and what the medium does; on a slab fed from the other side."""

    def filled(columns):
        tags = rectangle(COMM, (columns, 2), (10.0, 1.0))
        mesh = tags.mesh
        end = np.sort(dmesh.locate_entities_boundary(mesh, 1, lambda x: x[0] > 10.0 - 1e-9)).astype(np.int32)
        start = np.sort(dmesh.locate_entities_boundary(mesh, 1, lambda x: x[0] < 1e-9)).astype(np.int32)
        facets = np.concatenate([start, end])
        values = [face_tag("x_min")] * len(start) + [interface_tag(0, 1)] * len(end)
        order = np.argsort(facets)
        marks = dmesh.meshtags(mesh, 1, facets[order], np.array(values, np.int32)[order])
        return PhaseMesh(mesh, tags.cell_tags, marks, ("medium", "silicon"), tags.unit, tags.extent)

    sink = PhasePhysics("silicon", Role.SINK, uptake=3.0 * D / LENGTH, capacity=0.2 * 1000.0 * LENGTH)
    physics = Physics((medium(None), sink), FED)
    fine = solved(filled(64), physics, degree=2, tolerance=1e-5, told=False)
    true, told, left = compared(solved(filled(8), physics, tolerance=1e-5), fine, 3e-2)
    assert true.max() > 1.0
    assert np.all(left < 0.35 * true + 0.1)
    assert told == pytest.approx(true, rel=0.35, abs=0.1)


def test_a_linear_problem_by_steps_lacks_what_it_lacks_by_krylov():
    by_steps, by_krylov = solved(mesh_of(16), slab(CONSTANT)), solved(mesh_of(16), slab(None))
    late = np.geomspace(1e-2, 1.0, 15) * END
    problem = build(mesh_of(16), slab(None), 1, END)
    rows = np.array([mean.weights for mean in means_of(problem, mesh_of(16)).values()])
    expected = 1000.0 * by_krylov.lacks(slab(None)).cautious.of(rows, late)
    apart = np.abs(by_steps.steps_lack(late) - expected).max(axis=1)
    assert np.all(apart < 0.35 * np.abs(expected).max(axis=1))


def test_two_phases_with_an_exchange_between_them():
    """Each recovers its own gradients, where the concentration jumps and only one has a law."""

    def layers(columns):
        return mesh_of(columns, phase_of=lambda x: x[0] > 5.0, names=("medium", "other"))

    other = medium(None, "other", porosity=0.5)
    between = (InterfaceLaw("medium", "other", partition=2.0, exchange=5 * D / LENGTH),)
    physics = Physics((medium(law("falling")), other), FED, between)
    fine = solved(layers(128), physics, degree=2, told=False)
    true, told, left = compared(solved(layers(32), physics), fine, 1e-2)
    assert np.all(left < 0.35 * true + 0.2)
    assert told == pytest.approx(true, rel=0.35, abs=0.2)


def test_newtons_method_does_the_same_with_and_without():
    physics = slab(law("growing"))
    one, other = solved(mesh_of(16), physics), solved(mesh_of(16), physics, told=False)
    assert one.effort == other.effort
    assert all(np.array_equal(curve, other.curves[name]) for name, curve in one.curves.items())
    assert other.steps_lack(other.times) is None, "it was not asked for"


def test_where_nothing_is_told():
    physics = slab(law("growing"))
    boxes = brick(COMM, (4, 2, 2), (10.0, 1.0, 1.0), CellType.hexahedron)
    assert solved(boxes, physics, tolerance=1e-2).steps_lack(np.array([END])) is None
    assert solved(mesh_of(4), physics, degree=2, tolerance=1e-2).steps_lack(np.array([END])) is None
    assert solved(mesh_of(4), slab(None)).steps_lack(np.array([END])) is None, "a linear problem takes no steps"


@pytest.mark.parametrize("failure", ["raises", "grows"])
def test_a_deviation_that_fails_is_not_told(monkeypatch, failure):
    """The run goes on without: the error in space comes from a coarser mesh then."""
    physics = slab(law("growing"))
    plain = solved(mesh_of(4), physics, tolerance=1e-2)

    def fails(self, right):
        if failure == "raises":
            raise LinearSolverFailed("as the test wants it")
        return 1e6 + 0.0 * right

    monkeypatch.setattr(StageMatrix, "solve_aside", fails)
    failed = solved(mesh_of(4), physics, tolerance=1e-2)
    assert plain.steps_lack(np.array([END])) is not None
    assert failed.steps_lack(np.array([END])) is None
    assert all(np.array_equal(curve, plain.curves[name]) for name, curve in failed.curves.items())


def test_the_inverse_of_a_potential():
    potential = Potential(law("peak"), 1000.0, 1000.0)
    c = np.array([[-50.0, 0.0, 3.0], [500.0, 1000.0, 1100.0]])
    assert potential.inverse(potential.at(c)) == pytest.approx(c, rel=1e-5, abs=1e-2)


@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_ranks_tell_the_same(linear):
    """With a law and a jump, from shared unknowns and cells."""
    physics = slab(law("falling"), {"x_min": FaceCondition(JUMPS)})
    times = np.geomspace(1e-3, 1.0, 7) * END
    told = solved(mesh_of(16), physics, linear=linear).steps_lack(times)
    assert np.array_equal(told, COMM.bcast(told))
    if COMM.size > 1:  # the same mesh on one rank
        alone = solved(mesh_of(16, comm=MPI.COMM_SELF), physics, linear=linear).steps_lack(times)
        assert told == pytest.approx(alone, rel=1e-3, abs=1e-3)
