"""Diffusion whose diffusivity depends on the concentration: ∫ D_eff(c) ∇c·∇v dx, c = κ u, and its derivative.

D is evaluated in NumPy at the quadrature points of the cells, which fits laws of every kind; the forms are the same for
all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import basix
import basix.ufl
import ufl
from dolfinx import fem, la
from dolfinx.mesh import meshtags
from mpi4py import MPI
from petsc4py import PETSc

from microlith.meshing.phasemesh import PhaseMesh

from .contacts import Located
from .law_values import diffusivity_of, values_of
from .scales import Scales
from .spec import Physics
from .uptake import SaturatingUptake

Array = NDArray[np.float64]
CHUNK = 200_000  # quadrature points looked at together, which bounds the memory


@dataclass(frozen=True)
class NonlinearTerms:
    """What M u' + K u = b leaves out."""

    diffusion: "LawfulDiffusion | None" = None  # in phases whose diffusivity depends on the concentration
    uptakes: tuple[SaturatingUptake, ...] = ()  # by surfaces that fill up

    def __bool__(self) -> bool:
        return self.diffusion is not None or bool(self.uptakes)


def nonlinear_terms(
    mesh: PhaseMesh,
    physics: Physics,
    space: fem.FunctionSpace,
    scales: Scales,
    factors: Array,
    contacts: Sequence[Located],
) -> NonlinearTerms:
    """All nonlinear terms of a problem; collective.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags.
        space: Of the unknowns.
        scales: Their units.
        factors: (phases,) κ.
        contacts: All surfaces where something is exchanged.
    """
    lawful = any(phase.law is not None for phase in physics.phases)
    uptakes = []
    for contact in contacts:
        if contact.capacity is not None:
            assert contact.coefficient is not None  # as every sink has one
            velocity = scales.velocity(float(contact.coefficient.after(0.0)))
            capacity = contact.capacity / (scales.concentration * scales.length)
            uptakes.append(SaturatingUptake(contact.name, mesh, space, contact.facets, factors, velocity, capacity))
    return NonlinearTerms(LawfulDiffusion(mesh, physics, space, scales, factors) if lawful else None, tuple(uptakes))


class LawfulDiffusion:
    """What the phases with a law add to K u: nonlinear in u."""

    def __init__(
        self, mesh: PhaseMesh, physics: Physics, space: fem.FunctionSpace, scales: Scales, factors: Array
    ) -> None:
        """Prepare the forms; collective.

        Args:
            mesh: The solved phases.
            physics: Phases in the order of the mesh's tags, at least one of them with a law.
            space: Of the unknowns.
            scales: Their units.
            factors: (phases,) κ.
        """
        dim = mesh.mesh.topology.dim
        element = space.element.basix_element
        # Exact where D is as smooth as a polynomial of the elements' degree.
        degree = 3 * element.degree - 1
        points, _ = basix.make_quadrature(element.cell_type, degree)
        self._basis = element.tabulate(0, points)[0, :, :, 0]  # (points, dofs per cell)
        self._physics, self._scales, self._factors = physics, scales, factors
        # Without given fluxes no concentration exceeds what is given at first or at surfaces, in u.
        driven = all(face.flux is None and face.current_density is None for face in physics.faces.values())
        self._top = 1.0 if driven else np.inf

        lawful = [i for i, phase in enumerate(physics.phases) if phase.law is not None]
        owned = mesh.mesh.topology.index_map(dim).size_local
        tags = np.full(owned, -1, dtype=np.int32)
        inside = mesh.cell_tags.indices < owned
        tags[mesh.cell_tags.indices[inside]] = mesh.cell_tags.values[inside]
        self._cells = {i: np.flatnonzero(tags == i) for i in lawful}
        self._near: dict[int, NDArray[np.intp]] = {}
        self._dofs = space.dofmap.list

        quadrature = basix.ufl.quadrature_element(element.cell_type.name, degree=degree)
        samples = fem.functionspace(mesh.mesh, quadrature)
        self._sample_dofs = samples.dofmap.list
        self._diffusivity, self._slope = fem.Function(samples), fem.Function(samples)
        self._u = fem.Function(space)
        self._owned = space.dofmap.index_map.size_local
        self._index_map = space.dofmap.index_map

        du, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        axes = _axes(mesh, physics)
        flux = axes * (self._diffusivity * ufl.grad(self._u))
        change = axes * (self._diffusivity * ufl.grad(du) + self._slope * du * ufl.grad(self._u))
        self._scale = fem.Constant(mesh.mesh, 1.0)
        self._mesh, self._metadata = mesh, {"quadrature_degree": degree}
        where = ufl.Measure("dx", domain=mesh.mesh, subdomain_data=mesh.cell_tags, metadata=self._metadata)
        dx = where(tuple(lawful))
        self._flux = ufl.inner(flux, ufl.grad(v))
        self._residual = fem.form(self._flux * dx)
        self._jacobian = fem.form(self._scale * ufl.inner(change, ufl.grad(v)) * dx)
        self._residual_near: fem.Form | None = None

    def watch(self, dofs: NDArray[np.int32]) -> None:
        """Name the owned unknowns whose entries `near` is to give; collective.

        Args:
            dofs: Owned rows; all cells that touch them are looked at.
        """
        marked = la.vector(self._index_map, 1)
        marked.array[:] = 0.0
        marked.array[dofs] = 1.0
        marked.scatter_forward()
        touching = marked.array[self._dofs].any(axis=1)
        self._near = {i: cells[touching[cells]] for i, cells in self._cells.items()}
        every = np.sort(np.concatenate([np.empty(0, np.intp), *self._near.values()])).astype(np.int32)
        dim = self._mesh.mesh.topology.dim
        tags = meshtags(self._mesh.mesh, dim, every, np.ones(len(every), np.int32))
        where = ufl.Measure("dx", domain=self._mesh.mesh, subdomain_data=tags, metadata=self._metadata)
        self._residual_near = fem.form(self._flux * where(1))

    def everywhere(self, u: Array) -> Array:
        """∫ D_eff(c) ∇c·∇v dx for all v, (owned,), scaled; collective.

        Args:
            u: (owned,) unknowns.

        Raises:
            ArithmeticError: On all ranks, where the diffusivity is not a positive number.
        """
        self._take(u, self._cells)
        return self._assembled(self._residual)

    def near(self, u: Array) -> Array:
        """The same, right on the rows named to `watch` only; collective."""
        assert self._residual_near is not None
        self._take(u, self._near)
        return self._assembled(self._residual_near)

    def add_derivative(self, matrix: PETSc.Mat, u: Array, scale: float, held: Sequence[fem.DirichletBC]) -> None:
        """Add scale times the derivative at u to a matrix, which is left unassembled; collective.

        Args:
            matrix: Of the pattern of K.
            u: (owned,) unknowns.
            scale: What the derivative is multiplied with.
            held: Conditions whose rows and columns are left out; 1 is put on their diagonal.
        """
        from dolfinx.fem.petsc import assemble_matrix

        self._take(u, self._cells, slopes=True)
        self._scale.value = scale
        assemble_matrix(matrix, self._jacobian, held, 1.0)

    def _assembled(self, form: fem.Form) -> Array:
        vector = la.vector(self._index_map, 1)
        vector.array[:] = 0.0
        fem.assemble_vector(vector.array, form)
        vector.scatter_reverse(la.InsertMode.add)
        return vector.array[: self._owned].copy()

    def _take(self, u: Array, cells: dict[int, NDArray[np.intp]], *, slopes: bool = False) -> None:
        """Set u, and from it the diffusivity and, if wanted, its slope in some cells."""
        self._u.x.array[: self._owned] = u
        self._u.x.scatter_forward()
        sound = True
        for phase, here in cells.items():
            for start in range(0, len(here), CHUNK // len(self._basis)):
                sound = self._evaluate(phase, here[start : start + CHUNK // len(self._basis)], slopes) and sound
        if not self._mesh.mesh.comm.allreduce(sound, op=MPI.LAND):
            raise ArithmeticError("the diffusivity that a law gives is not a positive number")

    def _evaluate(self, index: int, cells: NDArray[np.intp], slopes: bool) -> bool:
        """Diffusivity and slope at the quadrature points of some cells of a phase; whether all are sound."""
        phase = self._physics.phases[index]
        assert phase.law is not None
        c = float(self._factors[index]) * self._scales.concentration  # mol/m^3 per unit of u
        values = self._u.x.array[self._dofs[cells]] @ self._basis.T
        if slopes:
            found, slope = diffusivity_of(phase.law, values * c, self._top * c)
        else:
            found, slope = values_of(phase.law, values * c, self._top * c), None
        unit = self._scales.diffusivity(phase.effective_factor) * float(self._factors[index])
        into = self._sample_dofs[cells]
        self._diffusivity.x.array[into] = found * unit
        if slope is not None:
            self._slope.x.array[into] = slope * (unit * c)
            if not np.isfinite(slope).all():
                return False
        return bool(np.isfinite(found).all() and (found >= 0.0).all())


def _axes(mesh: PhaseMesh, physics: Physics) -> ufl.core.expr.Expr:
    """The anisotropy of the phases: a diagonal tensor for each cell; the number 1 where no phase with a law has one."""
    phases = physics.phases
    if all(phase.law is None or phase.anisotropy is None for phase in phases):
        return ufl.as_ufl(1)
    constants = fem.functionspace(mesh.mesh, ("DG", 0))
    tags = mesh.cell_tags
    along = []
    for i in range(mesh.mesh.topology.dim):
        function = fem.Function(constants)
        shares = np.array([phase.anisotropy[i] if phase.anisotropy else 1.0 for phase in phases])
        function.x.array[tags.indices] = shares[tags.values]
        along.append(function)
    return ufl.diag(ufl.as_vector(along))
