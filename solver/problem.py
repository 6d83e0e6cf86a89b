"""From a tagged mesh and its physics to M u' + K u = b, and back to concentrations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from mpi4py import MPI
from petsc4py import PETSc

from microlith.meshing.phasemesh import PhaseMesh, face_tag, interface_tag

from . import forms
from .krylov import LinearSystem
from .linear import matrix_times
from .spec import Physics, Role

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
    concentration: float  # held there, or on the far side of the transfer
    coefficient: float | None  # of the transfer, m/s; None: the concentration is held


def _contacts(physics: Physics) -> list[_Contact]:
    """All sources, sinks and fed faces. Barriers and other faces are where nothing happens."""
    solved = [i for i, phase in enumerate(physics.phases) if phase.role is Role.TRANSPORT]
    contacts = []
    for i, phase in enumerate(physics.phases):
        tags = tuple(interface_tag(i, s) for s in solved)
        if phase.role is Role.SOURCE:
            assert phase.concentration is not None  # as every case's sources have one
            contacts.append(_Contact(phase.name, tags, phase.concentration, phase.mass_transfer))
        elif phase.role is Role.SINK:
            contacts.append(_Contact(phase.name, tags, 0.0, phase.uptake))
    for name, face in physics.faces.items():
        contacts.append(_Contact(name, (face_tag(name),), face.concentration, face.mass_transfer))
    return contacts


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
    scales = Scales(mesh.unit, end, physics.reference_concentration or 1.0)
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    porosity = per_phase(mesh, [p.porosity for p in physics.phases])
    diffusivity = per_phase(mesh, [scales.diffusivity(p.effective_diffusivity or 0.0) for p in physics.phases])
    start_of_phase = np.array([p.initial / scales.concentration for p in physics.phases])
    contacts = _located(space, mesh, physics, scales)

    stiffness_form = forms.diffusion(diffusivity, u, v)
    for contact in contacts:
        if contact.coefficient is not None:
            stiffness_form += forms.transfer(contact.coefficient, u, v, contact.measure)
    mass = _matrix(forms.storage(porosity, u, v))
    stiffness = _matrix(stiffness_form)
    start_amount = _assembled(forms.storage(porosity, per_phase(mesh, list(start_of_phase)), v))
    load = np.zeros_like(start_amount)
    for contact in contacts:
        if contact.coefficient is not None:
            one = fem.Constant(mesh.mesh, 1.0)
            load += contact.outside * _assembled(forms.transfer(contact.coefficient, one, v, contact.measure))

    amount = matrix_times(mass, np.ones_like(load))
    whole_start = float(mesh.mesh.comm.allreduce(start_amount.sum(), op=MPI.SUM))
    surfaces = tuple(_surface(contact, diffusivity, mass, start_amount, v) for contact in contacts)
    nodal = _nodal(space, mesh, start_of_phase)
    for contact in contacts:
        if contact.coefficient is None:
            nodal[contact.dofs] = contact.outside
    system = _reduced(mass, stiffness, load, start_amount, contacts)
    unknowns = space.dofmap.index_map.size_global
    return Problem(space, system, amount, whole_start, start_of_phase, surfaces, nodal, scales, unknowns)


@dataclass(frozen=True)
class _Located:
    """A contact on the mesh, in scaled units."""

    name: str
    dofs: NDArray[np.int32]  # owned; where two contacts meet, the first named has them
    indicator: fem.Function  # 1 on dofs, 0 elsewhere
    outside: float  # concentration held there, or on the far side of the transfer
    coefficient: fem.Constant | None  # of the transfer; None: the concentration is held
    measure: ufl.Measure


def _located(space: fem.FunctionSpace, mesh: PhaseMesh, physics: Physics, scales: Scales) -> list[_Located]:
    ds = ufl.Measure("ds", domain=mesh.mesh, subdomain_data=mesh.facet_tags)
    taken = np.zeros(space.dofmap.index_map.size_local, dtype=bool)
    located = []
    for contact in _contacts(physics):
        dofs = _dofs_on(space, mesh, contact.tags)
        dofs = dofs[~taken[dofs]]
        taken[dofs] = True
        indicator = fem.Function(space)
        indicator.x.array[dofs] = 1.0
        indicator.x.scatter_forward()
        coefficient = None
        if contact.coefficient is not None:
            coefficient = fem.Constant(mesh.mesh, scales.velocity(contact.coefficient))
        outside = contact.concentration / scales.concentration
        located.append(_Located(contact.name, dofs, indicator, outside, coefficient, ds(contact.tags)))
    return located


def _surface(
    contact: _Located, diffusivity: fem.Function, mass: PETSc.Mat, start_amount: Array, v: ufl.Argument
) -> Surface:
    """What enters through a surface is what its rows of storage and diffusion do not balance.

    That is exact for the discrete problem, held or not, where k (c_s − c) would cancel if k is large.
    """
    rows = contact.indicator.x.array[: len(start_amount)]
    level = _assembled(forms.diffusion(diffusivity, contact.indicator, v))
    start = float(contact.indicator.function_space.mesh.comm.allreduce(rows @ start_amount, op=MPI.SUM))
    return Surface(contact.name, matrix_times(mass, rows), level, start)


def _reduced(
    mass: PETSc.Mat, stiffness: PETSc.Mat, load: Array, start_amount: Array, contacts: list[_Located]
) -> LinearSystem:
    """The system with held unknowns taken out; changes the matrices."""
    values = np.zeros_like(load)
    held = [contact for contact in contacts if contact.coefficient is None]
    fixed = np.concatenate([np.empty(0, np.int32), *(contact.dofs for contact in held)]).astype(np.int32)
    for contact in held:
        values[contact.dofs] = contact.outside
    load = load - matrix_times(stiffness, values)
    start_amount = start_amount - matrix_times(mass, values)
    load[fixed] = values[fixed]
    start_amount[fixed] = 0.0
    for matrix, diagonal in ((mass, 0.0), (stiffness, 1.0)):
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        matrix.zeroRowsColumnsLocal(fixed, diagonal)
    start = _project(mass, start_amount)
    start[fixed] = values[fixed]
    return LinearSystem(mass, stiffness, load, start_amount, start, fixed)


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


def _dofs_on(space: fem.FunctionSpace, mesh: PhaseMesh, tags: tuple[int, ...]) -> NDArray[np.int32]:
    """Owned degrees of freedom on the facets with these tags."""
    fdim = mesh.mesh.topology.dim - 1
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    dofs = fem.locate_dofs_topological(space, fdim, facets)
    return dofs[dofs < space.dofmap.index_map.size_local]


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
