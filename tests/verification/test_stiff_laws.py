"""Diffusivities by a law in one phase beside another that is up to fifteen orders of magnitude faster.

Newton's matrix M + s ∂F/∂u keeps sixteen digits as it is stored. With a law of 1e-14 m²/s beside a liquid of 1e-10 the
factors of it broke down, and the run ended with advice to look at the law, be it a constant in the form of a law.
"""

import numpy as np
import pytest
from made_meshes import COMM, brick, everywhere, rectangle

from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.solver.linear.weighted import WeightedDeflation
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.laws import Concentration, Constant, DiffusivityExpression, Operation
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import WholePhase
from microlith.solver.transient import solve

EDGE = 1e-6  # m, of each layer
SLOW = 1e-14  # m²/s
END = 3 * EDGE**2 / SLOW
HELD = {"x_min": FaceCondition(1000.0)}


def law(diffusivity, growth):
    """D (1 + growth c / (1000 mol/m³))."""
    share = Operation("multiply", (Constant(growth / 1000.0), Concentration()))
    grown = Operation("add", (Constant(1.0), share))
    return DiffusivityExpression(Operation("multiply", (Constant(diffusivity), grown)), "as built by the test")


def phase(name, diffusivity, growth=None, initial=0.0):
    if growth is None:
        return PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=diffusivity, initial=initial)
    largest = diffusivity * (1.0 + growth)
    return PhasePhysics(
        name, Role.TRANSPORT, effective_diffusivity=largest, law=law(diffusivity, growth), initial=initial
    )


def row(layout, dim, columns, comm=MPI.COMM_SELF, kind=None):
    """Layers of 1 µm each, in the phases that `layout` (layers,) numbers."""
    size = (float(len(layout)), 0.2, 0.2)[:dim]
    cells = (columns * len(layout), 1, 1)[:dim]
    names = ("slow", "fast")[: max(layout) + 1]

    def phases(x):
        return np.array(layout)[np.minimum(x[0].astype(int), len(layout) - 1)]

    if dim == 2:
        return rectangle(comm, cells, size, phases, names, kind=kind or CellType.triangle)
    return brick(comm, cells, size, kind or CellType.tetrahedron, phases, names)


def solved(mesh, physics, degree, linear="mumps", tolerance=1e-4):
    problem = build(mesh, physics, degree, END)
    shapes = {name: WholePhase(name) for name in mesh.names}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    transient = solve(problem, means, TimeSpan(END, tolerance), SolverOptions(linear))
    assert transient.converged
    # What came in is what is there: nothing to distrust
    assert transient.balance.imbalance < max(1e-6, transient.balance.expected)
    return transient


def off(found, expected):
    """Largest difference of curves, per 1000 mol/m³."""
    return max(np.abs(curve - expected.curves[name]).max() for name, curve in found.curves.items()) / 1000.0


@pytest.mark.parametrize(
    ("dim", "degree", "columns", "linear", "kind"),
    [
        (2, 1, 10, "mumps", CellType.triangle),
        (2, 2, 3, "cg", CellType.quadrilateral),
        (3, 1, 3, "cg", CellType.tetrahedron),
        (3, 2, 2, "mumps", CellType.tetrahedron),
        (3, 1, 4, "mumps", CellType.hexahedron),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_constant_in_the_form_of_a_law(dim, degree, columns, linear, kind, full, verified):
    """A slow layer between two fast ones, one of them held: step by step as in one piece, whatever the start."""
    mesh = row((1, 0, 1), dim, columns, kind=kind)
    for power in (15,) if full else (8, 15):
        fast = SLOW * 10.0**power
        start = 1000.0 if full else 0.0
        other = phase("fast", fast, initial=start)
        linearly = solved(mesh, Physics((phase("slow", SLOW), other), HELD), degree)
        stepwise = solved(mesh, Physics((phase("slow", SLOW, 0.0), other), HELD), degree, linear)
        error = off(stepwise, linearly)
        verified(
            term="diffusivity by a law, contrast of diffusivities", against=f"the same as a number, 1e{power}", dim=dim,
            cells={2: "triangles", 3: "tetrahedra"}[dim] if kind in (CellType.triangle, CellType.tetrahedron)
            else {2: "squares", 3: "cubes"}[dim],
            degree=degree, error=error,
        )  # fmt: skip
        assert stepwise.effort is not None
        assert stepwise.effort.failures == 0
        assert error < stepwise.error + linearly.error


@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_a_law_behind_a_fast_phase(linear, verified):
    """Behind what is in equilibrium at once, the slow layer is as it would be alone, held on that side."""
    alone = solved(row((0,), 2, 8), Physics((phase("slow", SLOW, 4.0),), HELD), 1)
    mesh = row((1, 0), 2, 8)
    for power in (9, 15):
        physics = Physics((phase("slow", SLOW, 4.0), phase("fast", SLOW * 10.0**power)), HELD)
        behind = solved(mesh, physics, 1, linear)
        error = float(np.abs(behind.curves["slow"] - alone.curves["slow"]).max()) / 1000.0
        verified(
            term="D(c), contrast of diffusivities", against=f"the slow layer alone, 1e{power}", dim=2,
            cells="triangles", degree=1, error=error,
        )  # fmt: skip
        assert error < behind.error + alone.error


@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_on_any_number_of_ranks(linear):
    """Fast layers on either side of a slow one, with partition and a film: step by step as in one piece."""
    mesh = row((1, 0, 1), 2, 4, COMM)
    contact = (InterfaceLaw("slow", "fast", partition=10.0, exchange=SLOW / EDGE),)
    fast = phase("fast", SLOW * 1e15, initial=500.0)
    linearly = solved(mesh, Physics((phase("slow", SLOW), fast), HELD, contact), 2, "mumps", 1e-2)
    stepwise = solved(mesh, Physics((phase("slow", SLOW, 0.0), fast), HELD, contact), 2, linear, 1e-2)
    assert off(stepwise, linearly) < stepwise.error + linearly.error


def test_what_ends_a_run_passes_through_petsc(monkeypatch):
    """A signal within an iteration ends the run as that, not as an error of PETSc."""

    def ends(self, x):
        raise KeyboardInterrupt

    monkeypatch.setattr(WeightedDeflation, "_balanced", ends)
    physics = Physics((phase("slow", SLOW, 0.0), phase("fast", SLOW * 1e15)), HELD)
    with pytest.raises(KeyboardInterrupt):
        solved(row((0, 1), 2, 4), physics, 1)
