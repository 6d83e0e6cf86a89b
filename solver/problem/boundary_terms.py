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


@dataclass(frozen=True)
class _Part:
    """The facets of a boundary at phases of one factor κ."""

    boundary: Boundary
    factor: float
    touched: Indices  # owned unknowns at them


def sides_of(on: Discretization, boundaries: list[Boundary]) -> list[list[Side]]:
    """Unknowns of each boundary, as in `unknowns_of`, by the factors κ, and those that it holds; collective.

    An unknown where several hold different concentrations gets their mean by area. What the elements make of the step
    then lacks as much on one side as it has too much on the other, and errs by the square of their size; with the value
    of one side it errs by their size, as if the step were half an element farther.
    """
    parts = _parts_of(on, boundaries)
    every = [part for some in parts for part in some]
    touched = [part.touched for part in every if part.boundary.holds]
    several = np.bincount(np.concatenate([np.empty(0, np.int32), *touched]), minlength=on.owned) > 1
    areas: list[Array | None] = [None] * len(every)
    if on.mesh.mesh.comm.allreduce(bool(several.any()), op=MPI.LOR):
        areas = [_areas(on, part) if part.boundary.holds else None for part in every]
    whole = sum((area for area in areas if area is not None), np.zeros(on.owned))
    sides = []
    for part, dofs, area in zip(every, _shared_out(every, on.owned), areas, strict=True):
        held: Indices = dofs[:0]
        shares: Array = np.empty(0)
        if part.boundary.holds:
            alone, together = dofs[~several[dofs]], part.touched[several[part.touched]]
            held = np.append(alone, together)
            shares = np.ones(len(held))
            if area is not None:
                shares[len(alone) :] = area[together] / whole[together]
        sides.append(Side(part.factor, dofs, held, shares))
    each = iter(sides)
    return [[next(each) for _ in some] for some in parts]


def unknowns_of(on: Discretization, boundaries: list[Boundary]) -> list[Indices]:
    """Owned unknowns of each boundary, which share none; collective.

    Where two meet, they are of one that holds its concentration, if only one does, else of the first; where one has two
    κ, of the smaller.
    """
    parts = _parts_of(on, boundaries)
    each = iter(_shared_out([part for some in parts for part in some], on.owned))
    return [np.concatenate([np.empty(0, np.int32), *(next(each) for _ in some)]) for some in parts]


def _parts_of(on: Discretization, boundaries: list[Boundary]) -> list[list[_Part]]:
    """Parts of each boundary by the factor κ of the phase that they bound, the same on all ranks; collective."""
    dim, different = on.space.mesh.topology.dim, np.unique(on.factors)
    found = []
    for boundary in boundaries:
        of_facet = on.factors[phases_at(on.mesh, boundary.facets)] if len(different) > 1 else None
        parts = []
        for factor in different:
            facets = boundary.facets if of_facet is None else boundary.facets[of_facet == factor]
            dofs = fem.locate_dofs_topological(on.space, dim - 1, facets)  # also at facets of other ranks
            parts.append(_Part(boundary, float(factor), np.asarray(dofs[dofs < on.owned])))
        found.append(parts)
    return found


def _shared_out(parts: list[_Part], owned: int) -> list[Indices]:
    """Owned unknowns of each part of the surface: where two meet, of one that is held, else of the first."""
    taken = np.zeros(owned, dtype=bool)
    shared = [part.touched[:0] for part in parts]
    for number in sorted(range(len(parts)), key=lambda number: not parts[number].boundary.holds):
        dofs = parts[number].touched
        shared[number] = dofs[~taken[dofs]]
        taken[dofs] = True
    return shared


def _areas(on: Discretization, part: _Part) -> Array:
    """∫ φ² ds of each owned unknown over a part of a boundary; collective."""
    here = on.one if on.has_one_factor else per_phase(on.mesh, [float(kappa == part.factor) for kappa in on.factors])
    matrix = matrix_of(forms.transfer(here, on.trial, on.test, part.boundary.measure))
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
