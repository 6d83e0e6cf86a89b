"""From a tagged mesh and its physics to M u' + K u = b, with c = κ u in each phase."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from dolfinx.mesh import meshtags
from mpi4py import MPI
from petsc4py import PETSc
from ufl.core.expr import Expr

from microlith.meshing.phasemesh import PhaseMesh

from . import forms
from .contacts import Located, area, contacts_of, located, phases_at
from .display import Display, spaces
from .linear import matrix_times
from .nonlinear import NonlinearTerms, nonlinear_terms
from .partition import Link, factors_of, largest_of, links_of
from .scales import Scales
from .spec import Physics, Role
from .system import LinearSystem, Load, Transfer

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """Flux into the domain through one surface, as a functional: rate·u' + level·u."""

    name: str  # phase or face
    rate: Array  # (owned,)
    level: Array  # (owned,)
    start: float  # part of the initial amount that rate·u stands for at time 0
    rows: NDArray[np.int32]  # owned unknowns that are this surface's


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


def per_phase(mesh: PhaseMesh, values: list[float]) -> fem.Function:
    """Cell-wise constant function with one value per phase."""
    function = fem.Function(fem.functionspace(mesh.mesh, ("DG", 0)))
    tags = mesh.cell_tags
    function.x.array[tags.indices] = np.asarray(values, dtype=np.float64)[tags.values]
    return function


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
    solved = [i for i, phase in enumerate(physics.phases) if phase.role is Role.TRANSPORT]
    space, display = spaces(fem.functionspace(mesh.mesh, ("Lagrange", degree)), mesh, links, factors, solved)
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    porosity = [p.porosity for p in physics.phases]
    capacity = per_phase(mesh, [e * k for e, k in zip(porosity, factors, strict=True)])
    start_of_phase = np.array([p.initial / scales.concentration for p in physics.phases])
    within = Transport(_diffusivity(mesh, physics, scales, factors), _exchanges(mesh, links, scales, factors))

    storage = forms.storage(capacity, u, v)
    for _, interface in within.exchanges:  # nothing; but both matrices are to have the same entries
        storage += forms.exchange(fem.Constant(mesh.mesh, 0.0), u, v, interface)
    mass = _matrix(storage)
    conduction = within.form(u, v)
    for contact in contacts:
        if contact.coefficient is not None and contact.capacity is None:
            conduction += forms.transfer(_coefficient(contact, mesh, scales, factors), u, v, contact.measure)
    stiffness = _matrix(conduction)
    start_amount = _assembled(forms.storage(per_phase(mesh, porosity), per_phase(mesh, list(start_of_phase)), v))
    amount = matrix_times(mass, np.ones_like(start_amount))
    whole_start = float(mesh.mesh.comm.allreduce(start_amount.sum(), op=MPI.SUM))

    sides = [_sides(mesh, contact, factors) for contact in contacts]
    shares = _shared_out(space, [facets for contact in sides for _, facets in contact])
    surfaces, loads = [], []
    for contact, here in zip(contacts, sides, strict=True):
        dofs, shares = shares[: len(here)], shares[len(here) :]
        indicator = _indicator(space, np.concatenate(dofs))
        surfaces.append(_surface(contact.name, within, indicator, mass, start_amount, v))
        parts = [(factor, some) for (factor, _), some in zip(here, dofs, strict=True)]
        loads += _loads(contact, parts, mass, stiffness, mesh, scales, v)
    held = np.full(len(start_amount), np.nan)
    for load in loads:
        held[load.held] = load.course.after(0.0)
    transfers = _transfers(contacts, loads, mesh, scales, factors, u, v)
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
        nonlinear=nonlinear_terms(mesh, physics, space, scales, factors, contacts),
    )


@dataclass(frozen=True)
class Transport:
    """What moves lithium within the solved phases."""

    diffusivity: Expr  # κ D_eff, scaled
    exchanges: tuple[tuple[fem.Constant, ufl.Measure], ...]  # κ_first k, scaled, and the interface

    def form(self, u: Expr, v: Expr) -> ufl.Form:
        """The bilinear form of diffusion and of exchange across interfaces."""
        total = forms.diffusion(self.diffusivity, u, v)
        for coefficient, interface in self.exchanges:
            total += forms.exchange(coefficient, u, v, interface)
        return total


def _exchanges(
    mesh: PhaseMesh, links: tuple[Link, ...], scales: Scales, factors: Array
) -> tuple[tuple[fem.Constant, ufl.Measure], ...]:
    slow = [link for link in links if link.exchange is not None]
    if not slow:
        return ()
    # Numbered from 0, as forms are compiled anew for other numbers.
    tags = np.array([link.tag for link in slow])
    order = np.argsort(tags)
    place = np.minimum(np.searchsorted(tags[order], mesh.facet_tags.values), len(tags) - 1)
    number = order[place].astype(np.int32)
    there = tags[number] == mesh.facet_tags.values
    marks = meshtags(mesh.mesh, mesh.mesh.topology.dim - 1, mesh.facet_tags.indices[there], number[there])
    between = ufl.Measure("dS", domain=mesh.mesh, subdomain_data=marks)
    return tuple(
        (fem.Constant(mesh.mesh, scales.velocity(link.exchange or 0.0) * float(factors[link.first])), between(i))
        for i, link in enumerate(slow)
    )


def _driving(mesh: PhaseMesh, physics: Physics, contacts: list[Located]) -> Array:
    """Largest concentration, mol/m^3, that is given at or in each phase, (phases,)."""
    driving = np.array([phase.initial if phase.role is Role.TRANSPORT else 0.0 for phase in physics.phases])
    for contact in contacts:
        if contact.concentration is not None:
            at = np.unique(phases_at(mesh, contact.facets))
            driving[at] = np.maximum(driving[at], contact.concentration.largest)
    return largest_of(driving, mesh.mesh.comm)


def _sides(mesh: PhaseMesh, contact: Located, factors: Array) -> list[tuple[float, NDArray[np.int32]]]:
    """The facets of a contact by the factor κ of the phase that they bound, on all ranks in the same order."""
    different = np.unique(factors)
    if len(different) == 1:
        return [(float(different[0]), contact.facets)]
    of_facet = factors[phases_at(mesh, contact.facets)]
    return [(float(factor), contact.facets[of_facet == factor]) for factor in different]


def _filled_by(mesh: PhaseMesh, physics: Physics, contacts: list[Located], end: float) -> float:
    """Mean concentration, mol/m^3, to which given fluxes fill the solved phases until the end; 1 where there is none.

    The scale of a problem that no concentration drives.
    """
    porosity = per_phase(mesh, [p.porosity for p in physics.phases])
    room = mesh.mesh.comm.allreduce(fem.assemble_scalar(fem.form(porosity * ufl.dx)), op=MPI.SUM) * mesh.unit
    filled = 0.0
    for contact in contacts:
        if contact.flux is not None:
            flux = max(abs(contact.flux.largest), abs(contact.flux.smallest))
            filled += flux * end * area(mesh, contact.measure) / room
    return filled or 1.0


def _diffusivity(mesh: PhaseMesh, physics: Physics, scales: Scales, factors: Array) -> Expr:
    """κ D_eff in scaled units: a number for each cell, or a diagonal tensor where a phase has axes.

    Zero where D depends on c: that is a nonlinear term.
    """
    values = [
        scales.diffusivity((p.effective_diffusivity or 0.0) if p.law is None else 0.0) * float(k)
        for p, k in zip(physics.phases, factors, strict=True)
    ]
    if all(p.anisotropy is None for p in physics.phases):
        return per_phase(mesh, values)
    dim = mesh.mesh.topology.dim
    axes = [
        per_phase(
            mesh, [d * (p.anisotropy[i] if p.anisotropy else 1.0) for d, p in zip(values, physics.phases, strict=True)]
        )
        for i in range(dim)
    ]
    return ufl.diag(ufl.as_vector(axes))


def _coefficient(contact: Located, mesh: PhaseMesh, scales: Scales, factors: Array) -> Expr:
    """κ times the coefficient of a transfer at time 0, in scaled units."""
    assert contact.coefficient is not None
    coefficient = fem.Constant(mesh.mesh, scales.velocity(float(contact.coefficient.after(0.0))))
    return coefficient if len(np.unique(factors)) == 1 else coefficient * per_phase(mesh, list(factors))


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


def _indicator(space: fem.FunctionSpace, dofs: NDArray[np.int32]) -> fem.Function:
    """1 on some owned degrees of freedom, 0 elsewhere."""
    indicator = fem.Function(space)
    indicator.x.array[dofs] = 1.0
    indicator.x.scatter_forward()
    return indicator


def _surface(
    name: str, within: Transport, indicator: fem.Function, mass: PETSc.Mat, start_amount: Array, v: ufl.Argument
) -> Surface:
    """What enters through a surface is what its rows of storage and transport do not balance.

    That is exact for the discrete problem, held or not, where k (c_s − c) would cancel if k is large.
    """
    rows = indicator.x.array[: len(start_amount)].copy()
    level = _assembled(within.form(indicator, v))
    start = float(indicator.function_space.mesh.comm.allreduce(rows @ start_amount, op=MPI.SUM))
    return Surface(name, matrix_times(mass, rows), level, start, np.flatnonzero(rows).astype(np.int32))


def _loads(
    contact: Located,
    parts: list[tuple[float, NDArray[np.int32]]],
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
        return [Load(contact.name, course, _assembled(forms.transfer(one, one, v, contact.measure)), None, nothing)]
    assert contact.concentration is not None
    if contact.coefficient is not None:
        course = contact.concentration.scaled(scales.time, scales.concentration)
        velocity = fem.Constant(mesh.mesh, scales.velocity(float(contact.coefficient.after(0.0))))
        push = _assembled(forms.transfer(velocity, one, v, contact.measure))
        return [Load(contact.name, course, push, None, nothing)]
    loads = []
    for factor, dofs in parts:
        course = contact.concentration.scaled(scales.time, scales.concentration * factor)
        rows = np.zeros(v.ufl_function_space().dofmap.index_map.size_local)
        rows[dofs] = 1.0
        loads.append(Load(contact.name, course, -matrix_times(stiffness, rows), -matrix_times(mass, rows), dofs))
    return loads


def _transfers(
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
        matrix = _matrix(forms.transfer(kappa, u, v, contact.measure))
        pushes = tuple(np.zeros_like(load.push) for load in loads)
        for load, push in zip(loads, pushes, strict=True):
            if load.drag is not None:
                rows = np.zeros_like(push)
                rows[load.held] = 1.0
                push -= matrix_times(matrix, rows)
            elif load.name == contact.name:
                push += _assembled(forms.transfer(one, one, v, contact.measure))
        course = contact.coefficient.scaled(scales.time, 1.0 / scales.velocity(1.0))
        found.append(Transfer(course, matrix, pushes))
    return tuple(found)


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


def _matrix(form: ufl.Form) -> PETSc.Mat:
    matrix = assemble_matrix(fem.form(form))
    matrix.assemble()
    return matrix


def _assembled(form: ufl.Form) -> Array:
    """Owned entries of the vector of a linear form."""
    vector = assemble_vector(fem.form(form))
    vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    entries = vector.array_r.copy()
    vector.destroy()
    return entries


def project(mass: PETSc.Mat, right: Array) -> Array:
    """Solve M x = right: the L2 projection, which starts with the right amount (nodal values would not)."""
    b, x = mass.createVecLeft(), mass.createVecRight()
    b.array[:] = right
    ksp = PETSc.KSP().create(mass.comm)
    ksp.setOperators(mass)
    ksp.setType("cg")
    ksp.getPC().setType("jacobi")
    ksp.setTolerances(rtol=1e-13, atol=0.0, max_it=1000)
    ksp.solve(b, x)
    ksp.destroy()
    return x.array_r.copy()
