"""The integrator against the exact solution of the discrete problem, over five decades of time."""

from fractions import Fraction
from math import factorial

import numpy as np
import pytest
from made_meshes import everywhere, rectangle
from scipy.linalg import eigh

from mpi4py import MPI

from microlith.solver.krylov.phi import phi1, phi2
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.transient import solve

D = 1e-14
SIDE = 10.0  # µm


def physics(kind):
    """Problems of different spectra: smooth, two-material with contrast, two sources, a leaky surface, an island."""
    soft = PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D, porosity=0.6)
    hard = PhasePhysics("b", Role.TRANSPORT, effective_diffusivity=D / 300, porosity=1.0)
    if kind == "plain":
        return Physics((soft, soft), {"x_min": FaceCondition(1000.0)})
    if kind == "contrast":
        return Physics((soft, hard), {"x_min": FaceCondition(1000.0)})
    if kind == "two sources":
        return Physics((soft, hard), {"x_min": FaceCondition(1000.0), "y_max": FaceCondition(300.0)})
    if kind == "leak":
        return Physics((soft, hard), {"x_min": FaceCondition(1000.0, 2e-9), "x_max": FaceCondition(0.0, 1e-10)})
    if kind == "closed":
        return Physics((PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=D, initial=500.0), hard))
    raise KeyError(kind)


def exact(problem, weights, times):
    """weights · u(t) by the dense eigendecomposition of K and M on the free unknowns."""
    system = problem.system
    mass = _dense(system.mass)
    stiffness = _dense(system.stiffness)
    free = mass.diagonal() > 0
    eigenvalues, modes = eigh(stiffness[np.ix_(free, free)], mass[np.ix_(free, free)])
    start = modes.T @ system.initial_amount[free]
    load = modes.T @ system.load[free]
    x = np.multiply.outer(np.maximum(eigenvalues, 0.0), times)
    states = np.exp(-x) * start[:, None] + times * phi1(x) * load[:, None]
    return weights[:, free] @ modes @ states + (weights[:, ~free] @ system.initial[~free])[:, None]


def _dense(matrix):
    rows, columns, values = matrix.getValuesCSR()
    dense = np.zeros(matrix.size)
    for i in range(matrix.size[0]):
        dense[i, columns[rows[i] : rows[i + 1]]] = values[rows[i] : rows[i + 1]]
    return dense


@pytest.mark.parametrize("kind", ["plain", "contrast", "two sources", "leak", "closed"])
@pytest.mark.parametrize("linear", ["mumps", "cg"])
@pytest.mark.parametrize("duration", [0.02, 1.0, 100.0])
def test_estimate_bounds_the_error(verified, kind, linear, duration):
    """Over end/1e5 to end, for problems that are still filling or long full, at tolerances from 1e-2 to 1e-6.

    A stopping test by the difference of two neighbouring iterates fails here (true error up to ten times larger).
    """
    end = duration * (SIDE * 1e-6) ** 2 / D
    mesh = rectangle(MPI.COMM_SELF, (22, 22), (SIDE, SIDE), lambda x: np.hypot(x[0] - 6, x[1] - 5) < 2.2, ("a", "b"))
    problem = build(mesh, physics(kind), 1, end)
    shapes = {
        "near": Box({"x": (0.0, 0.7e-6)}),
        "deep": Box({"x": (8e-6, 9e-6), "y": (1e-6, 3e-6)}),
        "inner": Box({"x": (5e-6, 6.5e-6), "y": (4e-6, 5e-6)}),
    }
    means = region_means(problem.space, mesh, shapes, {}, everywhere(0))
    weights = np.array([m.weights for m in means.values()])
    reference = None
    for tolerance in (1e-2, 3e-3, 1e-3, 1e-4, 1e-6):
        transient = solve(problem, means, TimeSpan(end, tolerance), SolverOptions(linear))
        if reference is None:
            reference = exact(problem, weights, transient.times / end) * problem.scales.concentration
        found = np.array(list(transient.curves.values()))
        error = np.abs(found - reference).max() / problem.scales.concentration
        verified(
            term="integration in time, linear",
            against=f"exact solution of the discrete problem, by eigenvectors; tolerance {tolerance:.0e}",
            dim=2,
            cells="triangles",
            degree=1,
            error=error,
        )
        assert transient.converged, (tolerance, transient.history)
        assert error <= transient.error <= tolerance, (tolerance, error, transient.history)
        assert (len(transient.poles) == 1) == (tolerance >= 1e-3)  # loose ones are content with one factorisation


def test_phi_functions():
    """Against their power series, near and far from the switch at 1e-2."""
    x = np.array([0.0, 1e-9, 9.9e-3, 1.01e-2, 0.5, 30.0])
    terms = [float(sum(Fraction(-v) ** n / factorial(n + 1) for n in range(160))) for v in x]
    assert phi1(x) == pytest.approx(terms, rel=1e-9)
    terms = [float(sum(Fraction(-v) ** n / factorial(n + 2) for n in range(160))) for v in x]
    assert phi2(x) == pytest.approx(terms, rel=1e-8)
