"""What sources, sinks and fed faces add to the discrete problem, and the flux through each of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc
from ufl.core.expr import Expr

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.linear_solvers import matrix_times
from microlith.solver.physics.courses import Course
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import assembled, matrix_of, per_phase
from microlith.solver.problem.boundaries import Located, phases_at
from microlith.solver.problem.scales import Scales
from microlith.solver.problem.system import Load, Transfer


@dataclass(frozen=True)
class Surface:
    """Flux into the domain through one surface, as a functional: rate·u' + level·u."""

    name: str  # phase or face
    rate: Array  # (owned,)
    level: Array  # (owned,)
    start: float  # part of the initial amount that rate·u stands for at time 0
    rows: NDArray[np.int32]  # owned unknowns that are this surface's
    given: tuple[Course, float] | None = None  # a flux given here, and the amount it brings per unit of its course
    shared: tuple[tuple[Course, float], ...] = ()  # what of fluxes given at its edges counts in rate and level here


@dataclass(frozen=True)
class Side:
    """The part of a contact that lies at phases of one factor κ."""

    factor: float
    dofs: Indices  # owned unknowns that are the contact's there


def sides_of(space: fem.FunctionSpace, mesh: PhaseMesh, contacts: list[Located], factors: Array) -> list[list[Side]]:
    """Unknowns of each contact; where two of them meet, the first has them; where one has two κ, the smaller.

    Args:
        space: Of the unknowns u, c = κ u.
        mesh: The solved phases.
        contacts: In the order of precedence.
        factors: (phases,) κ.
    """
    facets = [_facets_by_factor(mesh, contact, factors) for contact in contacts]
    dofs = iter(_shared_out(space, [some for parts in facets for _, some in parts]))
    return [[Side(factor, next(dofs)) for factor, _ in parts] for parts in facets]


def _facets_by_factor(mesh: PhaseMesh, contact: Located, factors: Array) -> list[tuple[float, NDArray[np.int32]]]:
    """The facets of a contact by the factor κ of the phase that they bound, on all ranks in the same order."""
    different = np.unique(factors)
    if len(different) == 1:
        return [(float(different[0]), contact.facets)]
    of_facet = factors[phases_at(mesh, contact.facets)]
    return [(float(factor), contact.facets[of_facet == factor]) for factor in different]


def _shared_out(space: fem.FunctionSpace, parts: list[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Owned degrees of freedom of each part of the surface; where two of them meet, the first has them."""
    owned = space.dofmap.index_map.size_local
    taken = np.zeros(owned, dtype=bool)
    shared = []
    for facets in parts:
        dofs = fem.locate_dofs_topological(space, space.mesh.topology.dim - 1, facets)
        dofs = dofs[dofs < owned]
        dofs = dofs[~taken[dofs]]
        taken[dofs] = True
        shared.append(dofs)
    return shared


def surface(name: str, sides: list[Side], mass: PETSc.Mat, within: PETSc.Mat, start_amount: Array) -> Surface:
    """What enters through a surface is what its rows of storage and transport do not balance.

    That is exact for the discrete problem, held or not, where k (c_s − c) would cancel if k is large.

    Args:
        name: Of the contact.
        sides: Its unknowns.
        mass: Of storage.
        within: Stiffness of transport alone, without what is exchanged at surfaces.
        start_amount: (owned,) ∫ ε c v dx at time 0.
    """
    rows = np.zeros_like(start_amount)
    dofs = np.sort(np.concatenate([side.dofs for side in sides]))
    rows[dofs] = 1.0
    start = float(mass.comm.tompi4py().allreduce(rows @ start_amount, op=MPI.SUM))
    return Surface(name, matrix_times(mass, rows), matrix_times(within, rows), start, dofs)


def coefficient_of(contact: Located, mesh: PhaseMesh, scales: Scales, factors: Array) -> Expr:
    """κ times the coefficient of a transfer at time 0, in scaled units."""
    assert contact.coefficient is not None
    coefficient = fem.Constant(mesh.mesh, scales.velocity(float(contact.coefficient.after(0.0))))
    return coefficient if len(np.unique(factors)) == 1 else coefficient * per_phase(mesh, list(factors))


def loads_of(
    contact: Located,
    sides: list[Side],
    mass: PETSc.Mat,
    stiffness: PETSc.Mat,
    mesh: PhaseMesh,
    scales: Scales,
    v: ufl.Argument,
) -> list[Load]:
    """What a contact adds to the right side, one load for each κ of the unknowns it holds; the matrices are whole."""
    one = fem.Constant(mesh.mesh, 1.0)
    nothing = np.empty(0, np.int32)
    if contact.capacity is not None:
        return []
    if contact.flux is not None:
        course = contact.flux.scaled(scales.time, 1.0 / scales.flux(1.0))
        push = assembled(forms.transfer(one, one, v, contact.measure))
        return [Load(contact.name, course, push, None, nothing, is_flux=True)]
    assert contact.concentration is not None
    if contact.coefficient is not None:
        course = contact.concentration.scaled(scales.time, scales.concentration)
        velocity = fem.Constant(mesh.mesh, scales.velocity(float(contact.coefficient.after(0.0))))
        push = assembled(forms.transfer(velocity, one, v, contact.measure))
        return [Load(contact.name, course, push, None, nothing)]
    loads = []
    for side in sides:
        course = contact.concentration.scaled(scales.time, scales.concentration * side.factor)
        rows = np.zeros(v.ufl_function_space().dofmap.index_map.size_local)
        rows[side.dofs] = 1.0
        loads.append(Load(contact.name, course, -matrix_times(stiffness, rows), -matrix_times(mass, rows), side.dofs))
    return loads


def transfers_of(
    contacts: list[Located],
    loads: list[Load],
    mesh: PhaseMesh,
    scales: Scales,
    factors: Array,
    u: ufl.Argument,
    v: ufl.Argument,
) -> tuple[Transfer, ...]:
    """What follows each transfer coefficient that changes; the matrices are whole."""
    found = []
    one = fem.Constant(mesh.mesh, 1.0)
    kappa = one if len(np.unique(factors)) == 1 else per_phase(mesh, list(factors))
    for contact in contacts:
        if contact.coefficient is None or contact.coefficient.is_constant:
            continue
        matrix = matrix_of(forms.transfer(kappa, u, v, contact.measure))
        pushes = tuple(np.zeros_like(load.push) for load in loads)
        for load, push in zip(loads, pushes, strict=True):
            if load.drag is not None:
                rows = np.zeros_like(push)
                rows[load.held] = 1.0
                push -= matrix_times(matrix, rows)
            elif load.name == contact.name:
                push += assembled(forms.transfer(one, one, v, contact.measure))
        course = contact.coefficient.scaled(scales.time, 1.0 / scales.velocity(1.0))
        found.append(Transfer(course, matrix, pushes))
    return tuple(found)


def with_given(surfaces: list[Surface], loads: list[Load], comm: MPI.Comm) -> list[Surface]:
    """The surfaces with what is known of the fluxes given on faces; the loads are whole; collective."""
    given = [load for load in loads if load.is_flux]
    if not given:
        return surfaces
    shares = np.array([[load.push.sum(), *(load.push[s.rows].sum() for s in surfaces)] for load in given])
    shares = comm.allreduce(shares, op=MPI.SUM)
    found = []
    for i, surface in enumerate(surfaces, start=1):
        own = [
            (load.course, float(share[0]))
            for load, share in zip(given, shares, strict=True)
            if load.name == surface.name
        ]
        shared = [(load.course, float(share[i])) for load, share in zip(given, shares, strict=True) if share[i] != 0.0]
        found.append(replace(surface, given=own[0]) if own else replace(surface, shared=tuple(shared)))
    return found
