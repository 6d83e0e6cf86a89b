"""What sources, sinks and fed faces add to the discrete problem."""

from dataclasses import dataclass

import numpy as np

from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc
from ufl.core.expr import Expr

from microlith.imaging.typing import Array, Indices
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import Course
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import add_to, matrix_of, per_phase, vector_of
from microlith.solver.problem.boundaries import Boundary, phases_at
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.system import Load, Transfer


@dataclass(frozen=True)
class Side:
    """The part of a boundary that lies at phases of one factor κ."""

    factor: float
    dofs: Indices  # owned unknowns that are the boundary's there, and of no other
    held: Indices  # owned unknowns that it holds, alone or with others; none where it holds no concentration
    shares: Array  # (held,) by which each of these follows it; those of all sides are 1 together


def sides_of(on: Discretization, boundaries: list[Boundary]) -> list[list[Side]]:
    """Unknowns of each boundary; collective.

    Where two meet, they are of one that holds its concentration, if only one does, else of the first; where one has two
    κ, of the smaller.

    An unknown where several hold different concentrations gets their mean by area. What the elements make of the step
    then lacks as much on one side as it has too much on the other, and errs by the square of their size; with the value
    of one side it errs by their size, as if the step were half an element farther.
    """
    facets = [_facets_by_factor(on, boundary) for boundary in boundaries]
    holds = [boundary.holds for boundary, some in zip(boundaries, facets, strict=True) for _ in some]
    closures = [_touched(on.space, part) for some in facets for _, part in some]
    own = _shared_out(closures, holds, on.owned)
    count = np.zeros(on.owned, dtype=np.int64)
    for closure, is_held in zip(closures, holds, strict=True):
        count[closure] += is_held
    several = count > 1
    areas: list[Array] = []
    if on.mesh.mesh.comm.allreduce(bool(several.any()), op=MPI.LOR):
        pairs = [(boundary, factor) for boundary, some in zip(boundaries, facets, strict=True) for factor, _ in some]
        areas = [
            _areas(on, *pair) if is_held else np.zeros(on.owned) for pair, is_held in zip(pairs, holds, strict=True)
        ]
    whole = sum(areas, np.zeros(on.owned))
    parts = []
    for number, (dofs, closure) in enumerate(zip(own, closures, strict=True)):
        alone = dofs[~several[dofs]] if holds[number] else dofs[:0]
        together = closure[several[closure]] if holds[number] else dofs[:0]
        of_area = areas[number][together] / whole[together] if len(together) else np.empty(0)
        parts.append((dofs, np.append(alone, together), np.append(np.ones(len(alone)), of_area)))
    each = iter(parts)
    return [[Side(factor, *next(each)) for factor, _ in some] for some in facets]


def _facets_by_factor(on: Discretization, boundary: Boundary) -> list[tuple[float, Indices]]:
    """The facets of a boundary by the factor κ of the phase that they bound, on all ranks in the same order."""
    different = np.unique(on.factors)
    if len(different) == 1:
        return [(float(different[0]), boundary.facets)]
    of_facet = on.factors[phases_at(on.mesh, boundary.facets)]
    return [(float(factor), boundary.facets[of_facet == factor]) for factor in different]


def _touched(space: fem.FunctionSpace, facets: Indices) -> Indices:
    """Owned degrees of freedom at some facets, of any rank; collective."""
    dofs = fem.locate_dofs_topological(space, space.mesh.topology.dim - 1, facets)
    return np.asarray(dofs[dofs < space.dofmap.index_map.size_local])


def _shared_out(closures: list[Indices], holds: list[bool], owned: int) -> list[Indices]:
    """Owned degrees of freedom of each part of the surface: where two meet, of one that is held, else of the first."""
    taken = np.zeros(owned, dtype=bool)
    shared = [closure[:0] for closure in closures]
    for number in sorted(range(len(closures)), key=lambda number: not holds[number]):
        shared[number] = closures[number][~taken[closures[number]]]
        taken[shared[number]] = True
    return shared


def _areas(on: Discretization, boundary: Boundary, factor: float) -> Array:
    """∫ φ² ds of each owned unknown over the part of a boundary at phases of a factor κ; collective."""
    here = on.one if on.has_one_factor else per_phase(on.mesh, [float(kappa == factor) for kappa in on.factors])
    matrix = matrix_of(forms.transfer(here, on.trial, on.test, boundary.measure))
    diagonal = matrix.getDiagonal()
    found: Array = diagonal.array_r.copy()
    diagonal.destroy()
    matrix.destroy()
    return found


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
        rows[side.held] = side.shares
        push, drag = -matrix_times(stiffness, rows), -matrix_times(mass, rows)
        loads.append(Load(boundary.name, course, push, drag, side.held, shares=side.shares))
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
                rows[load.held] = load.shares
                push -= matrix_times(matrix, rows)
            elif load.name == boundary.name:
                push += vector_of(forms.transfer(on.one, on.one, on.test, boundary.measure))
        course = boundary.coefficient.scaled(on.scales.time, 1.0 / on.scales.velocity(1.0))
        found.append(Transfer(course, matrix, taken, pushes))
    return tuple(found)
