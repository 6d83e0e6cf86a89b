"""FESTIM 2.x on the mesh of a prepared linear case: region curves at its own steps; used by nonlinear.py --festim.

Backward Euler with steps that grow by a factor each, from 1e-4 of the end on (FESTIM grows its step where Newton's
method takes few iterations, as it always does here), and either FESTIM's own default linear solver or conjugate
gradients with BoomerAMG.
"""

import festim as F
import numpy as np

from dolfinx import mesh as dmesh

from microlith.imaging.typing import Array
from microlith.solver.physics.phases import Role
from microlith.workflow.prepare.assemble import Prepared

FIRST_STEP = 1e-4  # per end
LINEAR = {"lu": None, "cg": {"ksp_type": "cg", "ksp_rtol": 1e-9, "pc_type": "hypre", "pc_hypre_type": "boomeramg"}}


def run(prepared: Prepared, linear: str, growth: float) -> tuple[Array, Array]:
    """Times per end (n,) and region means per reference concentration (regions, n); one transport phase; serial."""
    problem, mesh, case = prepared.problem, prepared.meshed.mesh, prepared.case
    scales, physics = problem.scales, case.physics
    transport = next(phase for phase in physics.phases if phase.role is Role.TRANSPORT)
    source = next(phase for phase in physics.phases if phase.role is Role.SOURCE)
    index = [phase.name for phase in physics.phases].index(source.name)
    fed = mesh.facet_tags.indices[mesh.facet_tags.values == _tag(prepared, index)]
    cells = mesh.mesh.topology.index_map(mesh.mesh.topology.dim)
    every = np.arange(cells.size_local + cells.num_ghosts, dtype=np.int32)

    # ε ∂c/∂t = D_eff Δc, in the solver's units: lengths per mesh unit, times per end, concentrations per reference.
    assert transport.effective_diffusivity is not None
    diffusivity = scales.diffusivity(transport.effective_diffusivity) / transport.porosity
    medium = F.VolumeSubdomain(id=1, material=F.Material(D_0=diffusivity, E_D=0.0))
    surface = F.SurfaceSubdomain(id=2)
    model = F.HydrogenTransportProblem()
    model.mesh = F.Mesh(mesh.mesh)
    model.volume_meshtags = dmesh.meshtags(mesh.mesh, mesh.mesh.topology.dim, every, np.ones(len(every), np.int32))
    dim = mesh.mesh.topology.dim - 1
    model.facet_meshtags = dmesh.meshtags(mesh.mesh, dim, np.sort(fed), np.full(len(fed), 2, np.int32))
    model.subdomains = [medium, surface]
    lithium = F.Species("Li")
    model.species = [lithium]
    model.temperature = 300.0
    model.boundary_conditions = [F.FixedConcentrationBC(subdomain=surface, value=1.0, species=lithium)]
    step = F.Stepsize(FIRST_STEP, growth_factor=growth, cutback_factor=0.5, target_nb_iterations=10)
    model.settings = F.Settings(atol=1e-10, rtol=1e-8, final_time=1.0, stepsize=step)
    model.petsc_options = LINEAR[linear]
    model.show_progress_bar = False
    model.initialise()
    order = _same_dofs(model.u.function_space, problem.space)
    times, curves = [], []
    while model.t.value < 1.0 - 1e-12:
        model.dt.value = min(float(model.dt.value), 1.0 - float(model.t.value))
        model.iterate()
        times.append(float(model.t.value))
        curves.append(prepared.watch @ model.u.x.array[order])
    return np.array(times), np.array(curves).T


def _tag(prepared: Prepared, source: int) -> int:
    from microlith.meshing.mesh.phasemesh import interface_tag

    solved = next(i for i, p in enumerate(prepared.case.physics.phases) if p.role is Role.TRANSPORT)
    return interface_tag(source, solved)


def _same_dofs(theirs: object, ours: object) -> np.ndarray:
    """Their number of each of our degrees of freedom, by the cells; linear elements on one mesh."""
    order = np.empty(ours.dofmap.index_map.size_local, dtype=np.int64)
    order[ours.dofmap.list.ravel()] = theirs.dofmap.list.ravel()
    return order
