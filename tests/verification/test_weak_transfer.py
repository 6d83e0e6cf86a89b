"""Terms that are small or large beside diffusion, against Laplace's transform: Biot numbers of 1e-14 to 1e14.

Whether a term is there is what the case says. Where it was dropped for being small beside the entries of K, a slab of
Biot number 1e-10 in a bath of 40 mol/m³ went to 120, with a stated error of 1.6e-31, and one that should empty stayed
full.
"""

import numpy as np
import pytest
from layers import Layer, ladder
from made_meshes import everywhere, rectangle, voxels_as_cells

from mpi4py import MPI

from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import Constant, DiffusivityExpression
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box, WholePhase
from microlith.solver.transient import solve

LENGTH, D = 1e-6, 1e-10
BIOT = [1e-14, 1e-10, 1e-5, 1.0, 1e5, 1e10, 1e14]
FOURIER = [1e-6, 1e-3, 1.0, 1e4, 1e8, 1e12]  # end / (L²/D)


def slab(columns, phases=1):
    """A row of slabs of 1 µm, with elements that get smaller towards x = 0 and the interface."""
    mesh = rectangle(
        MPI.COMM_SELF, (columns * phases, 1), (phases, 0.05), lambda x: x[0] // 1, ("near", "far")[:phases]
    )
    x = mesh.mesh.geometry.x
    whole = np.minimum(np.floor(x[:, 0] + 1e-9), phases - 1)
    x[:, 0] = whole + (x[:, 0] - whole) ** 3
    return mesh


def transport(name, **more):
    return PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=D, **more)


def lawful(name, **more):
    """The same diffusivity in the form of a law: solved step by step."""
    return transport(name, law=DiffusivityExpression(Constant(D), "as built by the test"), **more)


def final(mesh, physics, fourier, linear="auto", tolerance=1e-6):
    """Final mean of each phase, and the transient."""
    end = fourier * LENGTH**2 / D
    problem = build(mesh, physics, 2, end)
    shapes = {name: WholePhase(name) for name in mesh.names}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    transient = solve(problem, means, TimeSpan(end, tolerance), SolverOptions(linear))
    assert transient.converged
    return [float(curve[-1]) for curve in transient.curves.values()], transient


def check(found, expected, transient, what, verified):
    """Within the stated error, and within 2e-3 of what is small: early times see the elements."""
    error = abs(found - expected)
    verified(term=what, against="Laplace's transform, inverted", dim=2, cells="triangles", degree=2, error=error)
    assert error < transient.error + 2e-4 * expected
    assert error < 0.04 * expected + 1e-13


@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_mass_transfer_and_uptake(linear, verified):
    """Filled through a surface, and emptied by it: what one gains the other loses."""
    mesh = slab(40)
    for biot in BIOT:
        for fourier in FOURIER if linear == "mumps" else FOURIER[::5]:
            velocity = biot * D / LENGTH
            end = fourier * LENGTH**2 / D
            (expected,) = ladder([Layer(LENGTH, D)], [end], left=(1.0, velocity))[0]
            fed = Physics((transport("near"),), {"x_min": FaceCondition(1.0, velocity)})
            (found,), transient = final(mesh, fed, fourier, linear)
            check(found, expected, transient, "mass transfer, weak and strong", verified)
            emptied = Physics((transport("near", initial=1.0),), {"x_min": FaceCondition(0.0, velocity)})
            (found,), transient = final(mesh, emptied, fourier, linear)
            assert abs(1.0 - found - expected) < transient.error + 2e-4 * expected, (biot, fourier)


def test_exchange(verified):
    """Between a slab that is held on its far side and one that fills through the interface alone."""
    mesh = slab(20, phases=2)
    for biot in BIOT[:-1]:  # beyond, exchange is taken as equilibrium
        for fourier in FOURIER[1:]:
            velocity = biot * D / LENGTH
            end = fourier * LENGTH**2 / D
            law = InterfaceLaw("near", "far", exchange=velocity)
            _, expected = ladder([Layer(LENGTH, D), Layer(2 * LENGTH, D, exchange=velocity)], [end])[0]
            physics = Physics((transport("near"), transport("far")), {"x_min": FaceCondition(1.0)}, (law,))
            (_, found), transient = final(mesh, physics, fourier)
            check(found, expected, transient, "exchange, weak and strong", verified)


@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_step_by_step(linear, verified):
    """The same of the adaptive steps: filled through a surface, emptied by it, filled through an interface."""
    mesh, both = slab(8), slab(8, phases=2)
    what = "mass transfer, uptake and exchange, weak and strong, step by step"
    for biot in BIOT[:: 2 if linear == "mumps" else 3]:
        for fourier in (1.0, 1e12):
            velocity = biot * D / LENGTH
            end = fourier * LENGTH**2 / D
            (expected,) = ladder([Layer(LENGTH, D)], [end], left=(1.0, velocity))[0]
            fed = Physics((lawful("near"),), {"x_min": FaceCondition(1.0, velocity)})
            (found,), transient = final(mesh, fed, fourier, linear, 1e-4)
            assert transient.effort is not None
            check(found, expected, transient, what, verified)
            emptied = Physics((lawful("near", initial=1.0),), {"x_min": FaceCondition(0.0, velocity)})
            (found,), transient = final(mesh, emptied, fourier, linear, 1e-4)
            assert abs(1.0 - found - expected) < transient.error + 2e-4 * expected + 1e-12, (biot, fourier)
    for biot in BIOT[:-1:2] if linear == "mumps" else BIOT[:1]:
        velocity = biot * D / LENGTH
        law = InterfaceLaw("near", "far", exchange=velocity)
        fourier = max(1.0, 1.0 / biot)
        end = fourier * LENGTH**2 / D
        _, expected = ladder([Layer(LENGTH, D), Layer(2 * LENGTH, D, exchange=velocity)], [end])[0]
        physics = Physics((lawful("near"), lawful("far")), {"x_min": FaceCondition(1.0)}, (law,))
        (_, found), transient = final(both, physics, fourier, linear, 1e-4)
        check(found, expected, transient, what, verified)


@pytest.mark.parametrize("biot", BIOT[:3])
def test_flux_against_weak_uptake(biot, verified):
    """What a given flux brings leaves through the other side in the end, however weakly that takes: j/k is reached.

    Taken for closed, the slab fills without end.
    """
    mesh = slab(10)
    velocity = biot * D / LENGTH
    for share in (1e-3, 1.0, 30.0):  # of the time that it takes
        end = share * LENGTH / velocity
        faces = {"x_min": FaceCondition(flux=velocity), "x_max": FaceCondition(0.0, velocity)}
        (found,), transient = final(mesh, Physics((transport("near"),), faces), end * D / LENGTH**2)
        error = abs(found - -np.expm1(-share))
        verified(
            term="uptake, weak, against a flux", against="well-mixed slab", dim=2, cells="triangles", degree=2,
            error=error,
        )  # fmt: skip
        assert error < transient.error + biot  # what is not mixed within


def test_transfer_for_a_while():
    """A weak transfer that starts late and ends early: nothing before, nothing after, and no more than it gives."""
    mesh = slab(10)
    velocity = 1e-10 * D / LENGTH
    while_open = LENGTH / velocity
    end = 4 * while_open
    course = Course((0.0, while_open, while_open, 2 * while_open, 2 * while_open), (0.0, 0.0, velocity, velocity, 0.0))
    problem = build(mesh, Physics((transport("near"),), {"x_min": FaceCondition(1.0, course)}), 2, end)
    means = region_means(problem.space, mesh, {"near": WholePhase("near")}, {}, everywhere(255), problem.factors)
    times = (0.5 * while_open, 1.5 * while_open, 2 * while_open, 3 * while_open, end)
    transient = solve(problem, means, TimeSpan(end, 1e-6, times=times), SolverOptions())
    filled = -np.expm1([-0.5, -1.0])
    expected = [0.0, *filled, filled[1], filled[1]]
    assert transient.curves["near"] == pytest.approx(expected, abs=max(transient.error, 1e-9))


@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_a_closed_part_beside_an_open_one(linear):
    """Two slabs on either side of a barrier: a flux fills the one, which is closed, a weak transfer the other."""
    labels = np.repeat([0, 1, 0], [6, 2, 6])[None, :]
    parts = voxels_as_cells(labels, ("slab", "wall"), "quadrilateral", MPI.COMM_SELF, np.zeros_like, (1 / 6, 0.1))
    mesh = mesh_in_place(parts, [0], MPI.COMM_SELF)
    velocity = 1e-12 * D / LENGTH
    end = LENGTH / velocity
    faces = {"x_min": FaceCondition(flux=velocity), "x_max": FaceCondition(1.0, velocity)}
    problem = build(mesh, Physics((transport("slab"), PhasePhysics("wall", Role.BARRIER)), faces), 2, end)
    shapes = {"left": Box({"x": (0.0, LENGTH)}), "right": Box({"x": (LENGTH * 8 / 6, LENGTH * 14 / 6)})}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    transient = solve(problem, means, TimeSpan(end, 1e-6), SolverOptions(linear))
    assert transient.curves["left"] == pytest.approx(transient.times / end, abs=1e-9)
    expected = -np.expm1(-transient.times / end)
    assert transient.curves["right"] == pytest.approx(expected, abs=max(transient.error, 1e-9))
