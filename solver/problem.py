"""From a tagged mesh and its physics to M u' + K u = b, and back to concentrations."""

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

from microlith.meshing.phasemesh import PhaseMesh, face_tag, interface_tag

from . import forms
from .courses import Course, course_of
from .linear import matrix_times
from .spec import FARADAY, FaceCondition, Physics, Role
from .system import LinearSystem, Load

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scales:
    """Units of the solver's numbers, so that they are of order one: the only place where scaled meets SI."""

    length: float  # metres per mesh coordinate
    time: float  # seconds per unit of time
    concentration: float  # mol/m^3 per unit of concentration

    def diffusivity(self, value: float) -> float:
        """m^2/s to mesh units."""
        return value * self.time / self.length**2

    def velocity(self, value: float) -> float:
        """m/s to mesh units."""
        return value * self.time / self.length

    def flux(self, value: float) -> float:
        """mol/(m^2 s) to mesh units."""
        return self.velocity(value) / self.concentration

    def amount(self, dim: int) -> float:
        """Moles (3D) or moles per metre of depth (2D) per unit of amount."""
        return self.concentration * self.length**dim


@dataclass(frozen=True)
class Surface:
    """Flux into the domain through one surface, as a functional: rate·u' + level·u."""

    name: str  # phase or face
    rate: Array  # (owned,)
    level: Array  # (owned,)
    start: float  # part of the initial amount that rate·u stands for at time 0


@dataclass(frozen=True)
class Problem:
    """The discrete problem in scaled units."""

    space: fem.FunctionSpace
    system: LinearSystem
    amount: Array  # (owned,) functional: the amount ∫ ε c dx
    start_amount: float  # ∫ ε c dx at time 0
    start_of_phase: Array  # (phases,) initial concentration
    surfaces: tuple[Surface, ...]
    start_picture: Array  # (owned,) initial concentration at the nodes, as given (not projected)
    scales: Scales
    unknowns: int  # over all ranks


@dataclass(frozen=True)
class _Contact:
    """A surface of the mesh where something is exchanged."""

    name: str
    tags: tuple[int, ...]  # facet tags
    concentration: Course | None  # held there, or on the far side of the transfer; None: the flux is given
    coefficient: Course | None = None  # of the transfer, m/s; None: the concentration is held
    flux: Course | None = None  # mol/(m^2 s) into the domain
    whole_face: bool = False  # whether the flux counts per area of the whole face
    phases: tuple[int, ...] | None = None  # transport phases that it touches; None: all


def _contacts(physics: Physics) -> list[_Contact]:
    """All sources, sinks and fed faces. Barriers and other faces are where nothing happens."""
    solved = [i for i, phase in enumerate(physics.phases) if phase.role is Role.TRANSPORT]
    contacts = []
    for i, phase in enumerate(physics.phases):
        tags = tuple(interface_tag(i, s) for s in solved)
        if phase.role is Role.SOURCE:
            assert phase.concentration is not None  # as every case's sources have one
            transfer = None if phase.mass_transfer is None else course_of(phase.mass_transfer)
            contacts.append(_Contact(phase.name, tags, course_of(phase.concentration), transfer))
        elif phase.role is Role.SINK:
            assert phase.uptake is not None  # as every case's sinks have one
            contacts.append(_Contact(phase.name, tags, Course.constant(0.0), course_of(phase.uptake)))
    names = [phase.name for phase in physics.phases]
    return contacts + [_face_contact(name, face, names) for name, face in physics.faces.items()]


def _face_contact(name: str, face: FaceCondition, names: list[str]) -> _Contact:
    tags = (face_tag(name),)
    phases = None if face.phases is None else tuple(names.index(phase) for phase in face.phases)
    if face.concentration is not None:
        transfer = None if face.mass_transfer is None else course_of(face.mass_transfer)
        return _Contact(name, tags, course_of(face.concentration), transfer, phases=phases)
    if face.flux is not None:
        return _Contact(name, tags, None, flux=course_of(face.flux), phases=phases)
    assert face.current_density is not None  # as a condition says one of the three
    flux = course_of(face.current_density).scaled(1.0, FARADAY)  # Faraday's law, one electron per lithium
    return _Contact(name, tags, None, flux=flux, whole_face=True, phases=phases)


def feeding_tags(physics: Physics) -> set[int]:
    """Facet tags of all surfaces through which lithium enters or leaves."""
    return {tag for contact in _contacts(physics) for tag in contact.tags}


def per_phase(mesh: PhaseMesh, values: list[float]) -> fem.Function:
    """Cell-wise constant function with one value per phase."""
    function = fem.Function(fem.functionspace(mesh.mesh, ("DG", 0)))
    tags = mesh.cell_tags
    function.x.array[tags.indices] = np.asarray(values, dtype=np.float64)[tags.values]
    return function


def build(mesh: PhaseMesh, physics: Physics, degree: int, end: float) -> Problem:
    """Assemble the transient problem.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags, and faces.
        degree: Of the Lagrange elements, 1 to 3.
        end: Length of the run in seconds: the unit of time.
    """
    contacts = _located(mesh, _contacts(physics))
    scales = Scales(mesh.unit, end, physics.reference_concentration or _filled_by(mesh, physics, contacts, end))
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    porosity = per_phase(mesh, [p.porosity for p in physics.phases])
    diffusivity = _diffusivity(mesh, physics, scales)
    start_of_phase = np.array([p.initial / scales.concentration for p in physics.phases])

    mass = _matrix(forms.storage(porosity, u, v))
    diffusion = forms.diffusion(diffusivity, u, v)
    for contact in contacts:
        if contact.coefficient is not None:
            diffusion += forms.transfer(_coefficient(contact, mesh, scales), u, v, contact.measure)
    stiffness = _matrix(diffusion)
    start_amount = _assembled(forms.storage(porosity, per_phase(mesh, list(start_of_phase)), v))
    amount = matrix_times(mass, np.ones_like(start_amount))
    whole_start = float(mesh.mesh.comm.allreduce(start_amount.sum(), op=MPI.SUM))

    dofs = _shared_out(space, contacts)
    surfaces = tuple(
        _surface(contact, _indicator(space, on), diffusivity, mass, start_amount, v)
        for contact, on in zip(contacts, dofs, strict=True)
    )
    loads = tuple(
        _load(contact, on, mass, stiffness, mesh, scales, v) for contact, on in zip(contacts, dofs, strict=True)
    )
    nodal = _nodal(space, mesh, start_of_phase)
    for load in loads:
        nodal[load.held] = load.course.after(0.0)
    system = _reduced(mass, stiffness, loads, start_amount)
    unknowns = space.dofmap.index_map.size_global
    return Problem(space, system, amount, whole_start, start_of_phase, surfaces, nodal, scales, unknowns)


@dataclass(frozen=True)
class _Located:
    """A contact on the mesh."""

    name: str
    facets: NDArray[np.int32]  # of this rank
    measure: ufl.Measure
    concentration: Course | None  # mol/m^3, held there or on the far side of the transfer
    coefficient: Course | None  # of the transfer, m/s
    flux: Course | None  # mol/(m^2 s) into the domain, per area of the facets

    @property
    def holds(self) -> bool:
        """Whether the concentration is given there."""
        return self.concentration is not None and self.coefficient is None


def _located(mesh: PhaseMesh, contacts: list[_Contact]) -> list[_Located]:
    """Where the contacts lie; a facet belongs to one of them at most."""
    facets = [_facets(mesh, contact) for contact in contacts]
    every = np.concatenate([np.empty(0, np.int32), *facets]).astype(np.int32)
    number = np.repeat(np.arange(len(facets), dtype=np.int32), [len(some) for some in facets])
    order = np.argsort(every)
    marks = meshtags(mesh.mesh, mesh.mesh.topology.dim - 1, every[order], number[order])
    ds = ufl.Measure("ds", domain=mesh.mesh, subdomain_data=marks)
    located = []
    for i, contact in enumerate(contacts):
        flux = contact.flux
        if flux is not None and contact.whole_face:
            axis = "xyz".index(contact.name[0])
            whole = float(np.prod([edge for k, edge in enumerate(mesh.extent) if k != axis]))
            area = _integral(fem.Constant(mesh.mesh, 1.0) * ds(i), mesh)
            flux = flux.scaled(1.0, area / whole) if area > 0 else flux
        located.append(_Located(contact.name, facets[i], ds(i), contact.concentration, contact.coefficient, flux))
    return located


def _facets(mesh: PhaseMesh, contact: _Contact) -> NDArray[np.int32]:
    """Facets of this rank on which a contact lies."""
    topology = mesh.mesh.topology
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, contact.tags)]
    if contact.phases is None:
        return facets
    topology.create_connectivity(topology.dim - 1, topology.dim)
    cells = topology.connectivity(topology.dim - 1, topology.dim)
    phase = np.zeros(len(mesh.cell_tags.values), np.int32)  # every cell has a tag
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    return facets[np.isin(phase[cells.array[cells.offsets[facets]]], contact.phases)]


def _filled_by(mesh: PhaseMesh, physics: Physics, contacts: list[_Located], end: float) -> float:
    """Mean concentration, mol/m^3, to which given fluxes fill the solved phases until the end; 1 where there is none.

    The scale of a problem that no concentration drives.
    """
    room = _integral(per_phase(mesh, [p.porosity for p in physics.phases]) * ufl.dx(mesh.mesh), mesh) * mesh.unit
    filled = 0.0
    for contact in contacts:
        if contact.flux is not None:
            flux = max(abs(contact.flux.largest), abs(contact.flux.smallest))
            filled += flux * end * _integral(fem.Constant(mesh.mesh, 1.0) * contact.measure, mesh) / room
    return filled or 1.0


def _integral(form: ufl.Form, mesh: PhaseMesh) -> float:
    return float(mesh.mesh.comm.allreduce(fem.assemble_scalar(fem.form(form)), op=MPI.SUM))


def _diffusivity(mesh: PhaseMesh, physics: Physics, scales: Scales) -> Expr:
    """Effective diffusivity in scaled units: a number for each cell, or a diagonal tensor where a phase has axes."""
    values = [scales.diffusivity(p.effective_diffusivity or 0.0) for p in physics.phases]
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


def _coefficient(contact: _Located, mesh: PhaseMesh, scales: Scales) -> fem.Constant:
    """Coefficient of a transfer at time 0, in scaled units."""
    assert contact.coefficient is not None
    return fem.Constant(mesh.mesh, scales.velocity(float(contact.coefficient.after(0.0))))


def _shared_out(space: fem.FunctionSpace, contacts: list[_Located]) -> list[NDArray[np.int32]]:
    """Owned degrees of freedom of each contact; where two of them meet, the first named has them."""
    owned = space.dofmap.index_map.size_local
    taken = np.zeros(owned, dtype=bool)
    shared = []
    for contact in contacts:
        dofs = fem.locate_dofs_topological(space, space.mesh.topology.dim - 1, contact.facets)
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
    contact: _Located,
    indicator: fem.Function,
    diffusivity: Expr,
    mass: PETSc.Mat,
    start_amount: Array,
    v: ufl.Argument,
) -> Surface:
    """What enters through a surface is what its rows of storage and diffusion do not balance.

    That is exact for the discrete problem, held or not, where k (c_s − c) would cancel if k is large.
    """
    rows = indicator.x.array[: len(start_amount)]
    level = _assembled(forms.diffusion(diffusivity, indicator, v))
    start = float(indicator.function_space.mesh.comm.allreduce(rows @ start_amount, op=MPI.SUM))
    return Surface(contact.name, matrix_times(mass, rows), level, start)


def _load(
    contact: _Located,
    dofs: NDArray[np.int32],
    mass: PETSc.Mat,
    stiffness: PETSc.Mat,
    mesh: PhaseMesh,
    scales: Scales,
    v: ufl.Argument,
) -> Load:
    """What a contact adds to the right side; the matrices are whole still."""
    one = fem.Constant(mesh.mesh, 1.0)
    nothing = np.empty(0, np.int32)
    if contact.flux is not None:
        course = contact.flux.scaled(scales.time, 1.0 / scales.flux(1.0))
        return Load(contact.name, course, _assembled(forms.transfer(one, one, v, contact.measure)), None, nothing)
    assert contact.concentration is not None
    course = contact.concentration.scaled(scales.time, scales.concentration)
    if not contact.holds:
        push = _assembled(forms.transfer(_coefficient(contact, mesh, scales), one, v, contact.measure))
        return Load(contact.name, course, push, None, nothing)
    rows = np.zeros(v.ufl_function_space().dofmap.index_map.size_local)
    rows[dofs] = 1.0
    return Load(contact.name, course, -matrix_times(stiffness, rows), -matrix_times(mass, rows), dofs)


def _reduced(mass: PETSc.Mat, stiffness: PETSc.Mat, loads: tuple[Load, ...], start_amount: Array) -> LinearSystem:
    """The system with held unknowns taken out; changes the matrices."""
    fixed = np.concatenate([np.empty(0, np.int32), *(load.held for load in loads)]).astype(np.int32)
    start_amount = start_amount.copy()
    for load in loads:
        load.push[fixed] = 0.0
        if load.drag is not None:
            start_amount += float(load.course.after(0.0)) * load.drag
            load.drag[fixed] = 0.0
    start_amount[fixed] = 0.0
    for matrix, diagonal in ((mass, 0.0), (stiffness, 1.0)):
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        matrix.zeroRowsColumnsLocal(fixed, diagonal)
    start = _project(mass, start_amount)
    for load in loads:
        start[load.held] = load.course.after(0.0)
    return LinearSystem(mass, stiffness, loads, start_amount, start, fixed)


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


def _project(mass: PETSc.Mat, right: Array) -> Array:
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


def _nodal(space: fem.FunctionSpace, mesh: PhaseMesh, values: Array) -> Array:
    """Nodal values of a phase-wise constant; where phases meet, the last cell's."""
    nodal = fem.Function(space)
    dofs = space.dofmap.list[mesh.cell_tags.indices]
    nodal.x.array[dofs] = values[mesh.cell_tags.values][:, None]
    return nodal.x.array[: space.dofmap.index_map.size_local].copy()
