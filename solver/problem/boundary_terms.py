"""What sources, sinks and fed faces add to the discrete problem."""

from dataclasses import dataclass

import numpy as np

from dolfinx import fem
from petsc4py import PETSc
from ufl.core.expr import Expr

from microlith.imaging.typing import Array, Indices
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import Course
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import add_to, matrix_of, vector_of
from microlith.solver.problem.boundaries import Boundary, phases_at
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.system import Load, Transfer


@dataclass(frozen=True)
class Side:
    """The part of a boundary that lies at phases of one factor κ."""

    factor: float
    dofs: Indices  # owned unknowns that are the boundary's there


def sides_of(on: Discretization, boundaries: list[Boundary]) -> list[list[Side]]:
    """Unknowns of each boundary; where two of them meet, the first has them; where one has two κ, the smaller."""
    facets = [_facets_by_factor(on, boundary) for boundary in boundaries]
    dofs = iter(_shared_out(on.space, [some for parts in facets for _, some in parts]))
    return [[Side(factor, next(dofs)) for factor, _ in parts] for parts in facets]


def _facets_by_factor(on: Discretization, boundary: Boundary) -> list[tuple[float, Indices]]:
    """The facets of a boundary by the factor κ of the phase that they bound, on all ranks in the same order."""
    different = np.unique(on.factors)
    if len(different) == 1:
        return [(float(different[0]), boundary.facets)]
    of_facet = on.factors[phases_at(on.mesh, boundary.facets)]
    return [(float(factor), boundary.facets[of_facet == factor]) for factor in different]


def _shared_out(space: fem.FunctionSpace, parts: list[Indices]) -> list[Indices]:
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


def add_transfers(on: Discretization, boundaries: list[Boundary], stiffness: PETSc.Mat) -> Array:
    """Add first-order transfer through surfaces, where its coefficient does not change, to the matrix of transport.

    Returns:
        (owned,) What it takes from a constant: the products of the matrix with 1, as diffusion takes nothing.
    """
    taken = np.zeros(on.owned)
    for boundary in boundaries:
        if boundary.coefficient is not None and boundary.coefficient.is_constant and boundary.capacity is None:
            coefficient = scaled_coefficient(on, boundary.coefficient)
            if not on.has_one_factor:
                coefficient = coefficient * on.kappa
            add_to(stiffness, forms.transfer(coefficient, on.trial, on.test, boundary.measure))
            taken += vector_of(forms.transfer(coefficient, on.one, on.test, boundary.measure))
    return taken


def scaled_coefficient(on: Discretization, coefficient: Course) -> Expr:
    """A transfer coefficient that does not change, in scaled units."""
    return fem.Constant(on.mesh.mesh, on.scales.velocity(float(coefficient.after(0.0))))


def loads_of(
    on: Discretization, boundary: Boundary, sides: list[Side], mass: PETSc.Mat, stiffness: PETSc.Mat
) -> list[Load]:
    """What a boundary adds to the right side, one load for each κ of the unknowns it holds; the matrices are whole."""
    none = np.empty(0, np.int32)
    scales = on.scales
    if boundary.capacity is not None:
        return []
    if boundary.flux is not None:
        course = boundary.flux.scaled(scales.time, 1.0 / scales.flux(1.0))
        push = vector_of(forms.transfer(on.one, on.one, on.test, boundary.measure))
        return [Load(boundary.name, course, push, None, none, is_flux=True)]
    assert boundary.concentration is not None
    if boundary.coefficient is not None:
        course = boundary.concentration.scaled(scales.time, scales.concentration)
        push = np.zeros(on.owned)  # of a coefficient that changes its transfer has it
        if boundary.coefficient.is_constant:
            coefficient = scaled_coefficient(on, boundary.coefficient)
            push = vector_of(forms.transfer(coefficient, on.one, on.test, boundary.measure))
        return [Load(boundary.name, course, push, None, none)]
    loads = []
    for side in sides:
        course = boundary.concentration.scaled(scales.time, scales.concentration * side.factor)
        rows = np.zeros(on.owned)
        rows[side.dofs] = 1.0
        loads.append(Load(boundary.name, course, -matrix_times(stiffness, rows), -matrix_times(mass, rows), side.dofs))
    return loads


def transfers_of(on: Discretization, boundaries: list[Boundary], loads: list[Load]) -> tuple[Transfer, ...]:
    """What follows each transfer coefficient that changes; the matrices are whole."""
    found = []
    for boundary in boundaries:
        if boundary.coefficient is None or boundary.coefficient.is_constant:
            continue
        matrix = matrix_of(forms.transfer(on.kappa, on.trial, on.test, boundary.measure))
        taken = vector_of(forms.transfer(on.kappa, on.one, on.test, boundary.measure))
        pushes = tuple(np.zeros_like(load.push) for load in loads)
        for load, push in zip(loads, pushes, strict=True):
            if load.drag is not None:
                rows = np.zeros_like(push)
                rows[load.held] = 1.0
                push -= matrix_times(matrix, rows)
            elif load.name == boundary.name:
                push += vector_of(forms.transfer(on.one, on.one, on.test, boundary.measure))
        course = boundary.coefficient.scaled(on.scales.time, 1.0 / on.scales.velocity(1.0))
        found.append(Transfer(course, matrix, taken, pushes))
    return tuple(found)
