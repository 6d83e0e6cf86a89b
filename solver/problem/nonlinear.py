"""Diffusion whose diffusivity depends on the concentration: ∫ D_eff(c) ∇c·∇v dx, c = κ u, and its derivative.

D ∇c is the gradient of Kirchhoff's potential Φ(c), which stands here by its values at the nodes: ∫ ∇Φ·∇v dx = K Φ with
a K that does not change, and K diag(D) for the derivative. Such a product approximation has the order of the elements;
with linear ones, in one dimension, it is what exact quadrature gives. Christie, Griffiths, Mitchell and Sanz-Serna, IMA
J. Numer. Anal. 1 (1981) 253-266, doi 10.1093/imanum/1.3.253; Chen, Larsson and Zhang, IMA J. Numer. Anal. 9 (1989)
507-524, doi 10.1093/imanum/9.4.507.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.linear_solvers import matrix_times
from microlith.solver.physics.kirchhoff import Potential
from microlith.solver.physics.laws import DiffusivityLaw
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import matrix_like, per_phase
from microlith.solver.problem.boundaries import Located
from microlith.solver.problem.scales import Scales
from microlith.solver.problem.uptake import SaturatingUptake

SAME = PETSc.Mat.Structure.SAME_NONZERO_PATTERN


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
    stiffness: PETSc.Mat,
) -> NonlinearTerms:
    """All nonlinear terms of a problem; collective.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags.
        space: Of the unknowns.
        scales: Their units.
        factors: (phases,) κ.
        contacts: All surfaces where something is exchanged.
        stiffness: A matrix with all entries that K has.
    """
    lawful = any(phase.law is not None for phase in physics.phases)
    uptakes = []
    for contact in contacts:
        if contact.capacity is not None:
            assert contact.coefficient is not None  # as every sink has one
            velocity = scales.velocity(float(contact.coefficient.after(0.0)))
            capacity = contact.capacity / (scales.concentration * scales.length)
            uptakes.append(SaturatingUptake(contact.name, mesh, space, contact.facets, factors, velocity, capacity))
    diffusion = LawfulDiffusion(mesh, physics, space, scales, factors, stiffness) if lawful else None
    return NonlinearTerms(diffusion, tuple(uptakes))


@dataclass
class _Part:
    """Phases with the same law and the same κ."""

    potential: Potential
    unit: float  # c per u, mol/m^3
    matrix: PETSc.Mat  # ∫ D_eff/D ∇u·∇v dx over them, scaled
    here: NDArray[np.intp]  # owned unknowns of these phases
    diffusivity: Array  # (owned,) D at them where the derivative was last taken


class LawfulDiffusion:
    """What the phases with a law add to K u: nonlinear in u."""

    def __init__(
        self,
        mesh: PhaseMesh,
        physics: Physics,
        space: fem.FunctionSpace,
        scales: Scales,
        factors: Array,
        stiffness: PETSc.Mat,
    ) -> None:
        """Assemble the matrices; collective.

        Args:
            mesh: The solved phases.
            physics: Phases in the order of the mesh's tags, at least one of them with a law.
            space: Of the unknowns.
            scales: Their units.
            factors: (phases,) κ.
            stiffness: A matrix with all entries that K has.
        """
        # Without given fluxes no concentration exceeds what is given at first or at surfaces, in u.
        driven = all(face.flux is None and face.current_density is None for face in physics.faces.values())
        self._comm = mesh.mesh.comm
        self._concentration = scales.concentration
        together: dict[tuple[DiffusivityLaw, float], list[int]] = {}
        for i, phase in enumerate(physics.phases):
            if phase.law is not None:
                together.setdefault((phase.law, float(factors[i])), []).append(i)
        self._parts = []
        for (law, factor), members in together.items():
            unit = factor * scales.concentration
            form = _stiffness_of(mesh, physics, space, scales, members)
            part = _Part(
                Potential(law, unit if driven else np.inf, unit),
                unit,
                matrix_like(stiffness, form),
                _owned_of(mesh, space, members),
                np.zeros(space.dofmap.index_map.size_local),
            )
            self._parts.append(part)
        self._work = stiffness.duplicate()

    def everywhere(self, u: Array) -> Array:
        """∫ D_eff(c) ∇c·∇v dx for all v, (owned,), scaled; collective.

        Args:
            u: (owned,) unknowns.

        Raises:
            ArithmeticError: On all ranks, where the diffusivity is not a positive number.
        """
        potentials = []
        for part in self._parts:
            phi = np.zeros_like(u)
            phi[part.here] = part.potential.at(u[part.here] * part.unit) / self._concentration
            potentials.append(phi)
        self._check(potentials)
        return sum(
            (matrix_times(part.matrix, phi) for part, phi in zip(self._parts, potentials, strict=True)),
            np.zeros_like(u),
        )

    def add_derivative(self, matrix: PETSc.Mat, u: Array, scale: float, free: NDArray[np.bool_]) -> None:
        """Add scale times the derivative at u to a matrix; collective.

        Args:
            matrix: Of the pattern of K, assembled.
            u: (owned,) unknowns.
            scale: What the derivative is multiplied with.
            free: (owned,) False where rows and columns are left out.

        Raises:
            ArithmeticError: On all ranks, where the diffusivity is not a positive number.
        """
        rows, columns = matrix.createVecLeft(), matrix.createVecRight()
        rows.array[:] = free
        for part in self._parts:
            part.diffusivity[part.here] = part.potential.diffusivity(u[part.here] * part.unit) * (
                part.unit / self._concentration
            )
        self._check([part.diffusivity for part in self._parts])
        for part in self._parts:
            columns.array[:] = scale * free * part.diffusivity
            part.matrix.copy(self._work, structure=SAME)
            self._work.diagonalScale(rows, columns)
            matrix.axpy(1.0, self._work, structure=SAME)

    def along(self, change: Array) -> Array:
        """The derivative, where it was last taken, times a change of the unknowns, (owned,); collective."""
        return sum(
            (matrix_times(part.matrix, part.diffusivity * change) for part in self._parts), np.zeros_like(change)
        )

    def _check(self, values: Sequence[Array]) -> None:
        sound = all(bool(np.isfinite(some).all()) for some in values)
        if not self._comm.allreduce(sound, op=MPI.LAND):
            raise ArithmeticError("the diffusivity that a law gives is not a positive number")


def _stiffness_of(
    mesh: PhaseMesh, physics: Physics, space: fem.FunctionSpace, scales: Scales, members: Sequence[int]
) -> ufl.Form:
    """∫ D_eff/D ∇u·∇v dx over some phases, scaled."""
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    phases = physics.phases
    shares = [scales.diffusivity(p.effective_factor) if i in members else 0.0 for i, p in enumerate(phases)]
    if all(phases[i].anisotropy is None for i in members):
        return forms.diffusion(per_phase(mesh, shares), u, v)
    axes = [[p.anisotropy[k] if p.anisotropy else 1.0 for p in phases] for k in range(mesh.mesh.topology.dim)]
    along = [per_phase(mesh, [s * a for s, a in zip(shares, axis, strict=True)]) for axis in axes]
    return forms.diffusion(ufl.diag(ufl.as_vector(along)), u, v)


def _owned_of(mesh: PhaseMesh, space: fem.FunctionSpace, members: Sequence[int]) -> NDArray[np.intp]:
    """Owned unknowns of some phases; collective."""
    index_map = space.dofmap.index_map
    marked = la.vector(index_map, 1)
    marked.array[:] = 0.0
    cells = mesh.cell_tags.indices[np.isin(mesh.cell_tags.values, members)]
    marked.array[space.dofmap.list[cells]] = 1.0
    marked.scatter_reverse(la.InsertMode.add)
    return np.flatnonzero(marked.array[: index_map.size_local])
