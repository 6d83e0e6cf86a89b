"""From a tagged mesh and its physics to M u' + K u = b, with c = κ u in each phase."""

from dataclasses import dataclass

import numpy as np

import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.concentration import Display, spaces
from microlith.solver.interfaces.partition import factors_of, largest_of, links_of
from microlith.solver.linear_solvers import matrix_times
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import add_to, assembled, matrix_like, matrix_of, per_phase, project
from microlith.solver.problem.boundaries import Located, area, contacts_of, located, phases_at
from microlith.solver.problem.loads import (
    Surface,
    coefficient_of,
    loads_of,
    sides_of,
    surface,
    transfers_of,
    with_given,
)
from microlith.solver.problem.nonlinear import NonlinearTerms, nonlinear_terms
from microlith.solver.problem.scales import Scales
from microlith.solver.problem.system import LinearSystem, Load, Transfer
from microlith.solver.problem.transport import transport


@dataclass(frozen=True)
class Problem:
    """The discrete problem in scaled units."""

    space: fem.FunctionSpace  # of the unknowns u, c = κ u
    display: Display  # space and values of concentrations
    factors: Array  # (phases,) κ
    system: LinearSystem
    amount: Array  # (owned,) functional: the amount ∫ ε c dx = ∫ ε κ u dx
    start_amount: float  # ∫ ε c dx at time 0
    start_of_phase: Array  # (phases,) initial concentration
    surfaces: tuple[Surface, ...]
    start_picture: Array  # (local dofs of display.space) initial concentration, as given (not projected)
    scales: Scales
    unknowns: int  # over all ranks
    nonlinear: NonlinearTerms  # what else there is in the equations; nothing where they are linear

    def share_held(self, phase_shares: Array) -> float:
        """Mean concentration of a region, of which phases have shares, per reference concentration in equilibrium."""
        if (self.factors == 1.0).all():
            return 1.0
        return float(phase_shares @ self.factors) or 1.0

    def reference_of(self, phase_shares: Array) -> float:
        """Mean concentration, mol/m^3, of a region in equilibrium with the largest concentration that drives all."""
        return self.scales.concentration * self.share_held(phase_shares)


def build(mesh: PhaseMesh, physics: Physics, degree: int, end: float) -> Problem:
    """Assemble the transient problem; collective.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags, and faces.
        degree: Of the Lagrange elements, 1 to 3.
        end: Length of the run in seconds: the unit of time.

    Raises:
        InputError: Partitions between phases contradict each other.
    """
    # A surface that fills up says itself what it takes: unknowns that it shares are the other surface's.
    contacts = located(mesh, sorted(contacts_of(physics), key=lambda contact: contact.capacity is not None))
    scales = Scales(mesh.unit, end, physics.reference_concentration or _filled_by(mesh, physics, contacts, end))
    links = links_of(mesh, physics)
    factors: Array = np.ones(len(physics.phases))
    if links:
        factors = factors_of(links, mesh.names, _driving(mesh, physics, contacts))
    space, display = spaces(fem.functionspace(mesh.mesh, ("Lagrange", degree)), mesh, links, factors, physics.solved)
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    porosity = [p.porosity for p in physics.phases]
    capacity = per_phase(mesh, [e * k for e, k in zip(porosity, factors, strict=True)])
    start_of_phase = np.array([p.initial / scales.concentration for p in physics.phases])

    stiffness = matrix_of(transport(mesh, physics, links, scales, factors, u, v))
    mass = matrix_like(stiffness, forms.storage(capacity, u, v))  # both have the same entries
    start_amount = assembled(forms.storage(per_phase(mesh, porosity), per_phase(mesh, list(start_of_phase)), v))
    amount = matrix_times(mass, np.ones_like(start_amount))
    whole_start = float(mesh.mesh.comm.allreduce(start_amount.sum(), op=MPI.SUM))

    sides = sides_of(space, mesh, contacts, factors)
    surfaces = [
        surface(contact.name, some, mass, stiffness, start_amount)
        for contact, some in zip(contacts, sides, strict=True)
    ]
    for contact in contacts:
        if contact.coefficient is not None and contact.capacity is None:
            add_to(stiffness, forms.transfer(coefficient_of(contact, mesh, scales, factors), u, v, contact.measure))
    loads = [
        load
        for contact, some in zip(contacts, sides, strict=True)
        for load in loads_of(contact, some, mass, stiffness, mesh, scales, v)
    ]
    held = np.full(len(start_amount), np.nan)
    for load in loads:
        held[load.held] = load.course.after(0.0)
    surfaces = with_given(surfaces, loads, mesh.mesh.comm)
    transfers = transfers_of(contacts, loads, mesh, scales, factors, u, v)
    system = _reduced(mass, stiffness, tuple(loads), transfers, start_amount)
    return Problem(
        space=space,
        display=display,
        factors=factors,
        system=system,
        amount=amount,
        start_amount=whole_start,
        start_of_phase=start_of_phase,
        surfaces=tuple(surfaces),
        start_picture=display.start(mesh, start_of_phase, held),
        scales=scales,
        unknowns=space.dofmap.index_map.size_global,
        nonlinear=nonlinear_terms(mesh, physics, space, scales, factors, contacts, stiffness),
    )


def _driving(mesh: PhaseMesh, physics: Physics, contacts: list[Located]) -> Array:
    """Largest concentration, mol/m^3, that is given at or in each phase, (phases,)."""
    driving = np.array([phase.initial if phase.role is Role.TRANSPORT else 0.0 for phase in physics.phases])
    for contact in contacts:
        if contact.concentration is not None:
            at = np.unique(phases_at(mesh, contact.facets))
            driving[at] = np.maximum(driving[at], contact.concentration.largest)
    return largest_of(driving, mesh.mesh.comm)


def _filled_by(mesh: PhaseMesh, physics: Physics, contacts: list[Located], end: float) -> float:
    """Largest mean concentration, mol/m^3, to which given fluxes fill the solved phases; 1 where there is none.

    The scale of a problem that no concentration drives; of cycles that charge and discharge, what one of them moves.
    """
    porosity = per_phase(mesh, [p.porosity for p in physics.phases])
    room = mesh.mesh.comm.allreduce(fem.assemble_scalar(fem.form(porosity * ufl.dx)), op=MPI.SUM) * mesh.unit
    filled = 0.0
    for contact in contacts:
        if contact.flux is not None:
            times = np.union1d(np.linspace(0.0, end, 1001), contact.flux.kinks(end))
            brought = float(np.abs(contact.flux.integral(times)).max())
            filled += brought * area(mesh, contact.measure) / room
    return filled or 1.0


def _reduced(
    mass: PETSc.Mat,
    stiffness: PETSc.Mat,
    loads: tuple[Load, ...],
    transfers: tuple[Transfer, ...],
    start_amount: Array,
) -> LinearSystem:
    """The system with held unknowns taken out; changes the matrices."""
    fixed = np.concatenate([np.empty(0, np.int32), *(load.held for load in loads)]).astype(np.int32)
    start_amount = start_amount.copy()
    for load in loads:
        load.push[fixed] = 0.0
        if load.drag is not None:
            start_amount += float(load.course.after(0.0)) * load.drag
            load.drag[fixed] = 0.0
    start_amount[fixed] = 0.0
    for push in (push for transfer in transfers for push in transfer.pushes):
        push[fixed] = 0.0
    for matrix, diagonal in ((mass, 0.0), (stiffness, 1.0), *((transfer.matrix, 0.0) for transfer in transfers)):
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        matrix.zeroRowsColumnsLocal(fixed, diagonal)
    start = project(mass, start_amount)
    for load in loads:
        start[load.held] = load.course.after(0.0)
    return LinearSystem(mass, stiffness, loads, start_amount, start, fixed, transfers)
