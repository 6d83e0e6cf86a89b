"""Backward Euler with equal steps and Newton's method as DOLFINx has it; used by nonlinear.py --plain. DOLFINx 0.9.

As one writes it first: forms with D(c) in UFL, assembled and factorised (LU by MUMPS) in every iteration.
"""

from collections.abc import Callable

import numpy as np

import ufl
from dolfinx import fem
from dolfinx.fem.petsc import NonlinearProblem
from dolfinx.nls.petsc import NewtonSolver

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import interface_tag
from microlith.solver.physics.phases import Role
from microlith.workflow.prepare.assemble import Prepared


def run(prepared: Prepared, diffusivity: Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr], steps: int) -> Array:
    """Region means per reference concentration after each step, (regions, steps); collective.

    Args:
        prepared: A case with one transport phase, and a source with mass transfer.
        diffusivity: D_eff in m^2/s of the concentration per reference concentration, in UFL.
        steps: Equal steps to the end.

    Raises:
        RuntimeError: Newton's method did not converge.
    """
    problem, mesh, case = prepared.problem, prepared.meshed.mesh, prepared.case
    scales, phases = problem.scales, case.physics.phases
    medium = next(phase for phase in phases if phase.role is Role.TRANSPORT)
    source = next(phase for phase in phases if phase.role is Role.SOURCE)
    tag = interface_tag(phases.index(source), phases.index(medium))
    ds = ufl.Measure("ds", domain=mesh.mesh, subdomain_data=mesh.facet_tags)(tag)
    c, before, v = fem.Function(problem.space), fem.Function(problem.space), ufl.TestFunction(problem.space)
    assert isinstance(source.mass_transfer, float)
    k, outside = scales.velocity(source.mass_transfer), float(source.concentration) / scales.concentration
    flux = scales.diffusivity(1.0) * diffusivity(c) * ufl.grad(c)
    form = medium.porosity * (c - before) * v * ufl.dx + (1.0 / steps) * (
        ufl.inner(flux, ufl.grad(v)) * ufl.dx + k * (c - outside) * v * ds
    )
    solver = NewtonSolver(mesh.mesh.comm, NonlinearProblem(form, c))
    solver.rtol, solver.atol, solver.max_it = 1e-6, 1e-12, 50
    ksp = solver.krylov_solver
    ksp.setType("preonly")
    ksp.getPC().setType("lu")
    ksp.getPC().setFactorSolverType("mumps")
    owned = problem.space.dofmap.index_map.size_local
    values = []
    for _ in range(steps):
        before.x.array[:] = c.x.array
        solver.solve(c)
        values.append(mesh.mesh.comm.allreduce(prepared.watch @ c.x.array[:owned]))
    return np.array(values).T
