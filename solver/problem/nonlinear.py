"""Diffusion whose diffusivity depends on the concentration: ∫ D_eff(c) ∇c·∇v dx, c = κ u, and its derivative.

D ∇c is the gradient of Kirchhoff's potential Φ(c), which stands here by its values at the nodes: ∫ ∇Φ·∇v dx = K Φ with
a K that does not change, and K diag(D) for the derivative. Such a product approximation has the order of the elements;
with linear ones, in one dimension, it is what exact quadrature gives. Christie, Griffiths, Mitchell and Sanz-Serna, IMA
J. Numer. Anal. 1 (1981) 253-266, doi 10.1093/imanum/1.3.253; Chen, Larsson and Zhang, IMA J. Numer. Anal. 9 (1989)
507-524, doi 10.1093/imanum/9.4.507.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import la
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.linear.weighted import WeightedTerm
from microlith.solver.physics.kirchhoff import Potential
from microlith.solver.physics.laws import DiffusivityLaw
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import SAME_PATTERN, matrix_like
from microlith.solver.problem.boundaries import Boundary
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.transport import along_axes
from microlith.solver.problem.uptake import SaturatingUptake


@dataclass(frozen=True)
class NonlinearTerms:
    """What M u' + K u = b leaves out."""

    diffusion: "NonlinearDiffusion | None" = None  # in phases whose diffusivity depends on the concentration
    uptakes: tuple[SaturatingUptake, ...] = ()  # by surfaces that fill up

    def __bool__(self) -> bool:
        return self.diffusion is not None or bool(self.uptakes)

    def destroy(self) -> None:
        """Free the matrices; collective."""
        if self.diffusion is not None:
            self.diffusion.destroy()


def nonlinear_terms(
    on: Discretization, physics: Physics, boundaries: Sequence[Boundary], stiffness: PETSc.Mat
) -> NonlinearTerms:
    """All nonlinear terms of a problem; collective.

    Args:
        on: What they are assembled on.
        physics: Phases in the order of the mesh's tags.
        boundaries: All surfaces where lithium enters or leaves.
        stiffness: A matrix with all entries that K has.
    """
    uptakes = []
    for boundary in boundaries:
        if boundary.capacity is not None:
            assert boundary.coefficient is not None  # as every sink has one
            velocity = on.scales.velocity(float(boundary.coefficient.after(0.0)))
            capacity = boundary.capacity / (on.scales.concentration * on.scales.length)
            uptakes.append(SaturatingUptake(boundary.name, on, boundary.facets, velocity, capacity))
    depends = any(phase.law is not None for phase in physics.phases)
    return NonlinearTerms(NonlinearDiffusion(on, physics, stiffness) if depends else None, tuple(uptakes))


@dataclass
class _Part:
    """Phases with the same law and the same κ."""

    members: tuple[int, ...]  # the phases
    potential: Potential
    unit: float  # c per u, mol/m^3
    matrix: PETSc.Mat  # ∫ D_eff/D ∇u·∇v dx over them, scaled
    here: NDArray[np.intp]  # owned unknowns of these phases
    diffusivity: Array  # (owned,) D at them where the derivative was last taken

    @cached_property
    def graph(self) -> Differences:
        """The matrix as differences; diffusion takes nothing from a constant."""
        return Differences(self.matrix, np.zeros_like(self.diffusivity))

    def times(self, x: Array, precise: bool) -> Array:
        """The matrix times x, (owned,); collective."""
        return self.graph.times(x) if precise else matrix_times(self.matrix, x)

    def destroy(self) -> None:
        """Free the matrix; collective."""
        if "graph" in self.__dict__:
            self.graph.destroy()
        self.matrix.destroy()


class NonlinearDiffusion:
    """What the phases with a law add to K u: nonlinear in u."""

    def __init__(self, on: Discretization, physics: Physics, stiffness: PETSc.Mat) -> None:
        """Assemble the matrices; collective.

        Args:
            on: What they are assembled on.
            physics: Phases in the order of the mesh's tags, at least one of them with a law.
            stiffness: A matrix with all entries that K has.
        """
        # Without given fluxes no concentration exceeds what is given at first or at surfaces, in u.
        driven = all(face.flux is None and face.current_density is None for face in physics.faces.values())
        self._comm = on.mesh.mesh.comm
        self._concentration = on.scales.concentration
        together: dict[tuple[DiffusivityLaw, float], list[int]] = {}
        for i, phase in enumerate(physics.phases):
            if phase.law is not None:
                together.setdefault((phase.law, float(on.factors[i])), []).append(i)
        self._parts = []
        for (law, factor), members in together.items():
            unit = factor * on.scales.concentration
            part = _Part(
                tuple(members),
                Potential(law, unit if driven else np.inf, unit),
                unit,
                matrix_like(stiffness, _stiffness_of(on, physics, members)),
                _owned_of(on, members),
                np.zeros(on.owned),
            )
            self._parts.append(part)
        self._work = stiffness.duplicate()

    def destroy(self) -> None:
        """Free the matrices; collective."""
        for part in self._parts:
            part.destroy()
        self._work.destroy()

    def everywhere(self, u: Array, precise: bool = False) -> Array:
        """∫ D_eff(c) ∇c·∇v dx for all v, (owned,), scaled; collective.

        Args:
            u: (owned,) unknowns.
            precise: Whether to sum differences, so that what leaves one unknown enters others to the last digit.

        Raises:
            ArithmeticError: On all ranks, where the diffusivity is not a positive number.
        """
        potentials = [self._potential(part, u) for part in self._parts]
        self._check(potentials)
        return sum(
            (part.times(phi, precise) for part, phi in zip(self._parts, potentials, strict=True)),
            np.zeros_like(u),
        )

    def potentials(self, u: Array) -> dict[int, Array]:
        """Φ(c) at the unknowns of each phase with a law, (owned,), scaled; 0 at those of other phases."""
        found = [(part, self._potential(part, u)) for part in self._parts]
        return {phase: phi for part, phi in found for phase in part.members}

    def inverses(self) -> dict[int, Callable[[Array], Array]]:
        """U of the scaled Φ(c), for each phase with a law."""
        return {phase: partial(self._inverse, part) for part in self._parts for phase in part.members}

    def _inverse(self, part: _Part, phi: Array) -> Array:
        return np.divide(part.potential.inverse(phi * self._concentration), part.unit)

    def derivative_times(self, u: Array, change: Array, precise: bool = False) -> Array:
        """The derivative at u times a change of the unknowns, (owned,); collective."""
        return sum(
            (part.times(self._diffusivity(part, u) * change, precise) for part in self._parts), np.zeros_like(change)
        )

    def add_derivative(self, matrix: PETSc.Mat, u: Array, scale: float, free: Flags) -> None:
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
            part.diffusivity[:] = self._diffusivity(part, u)
        self._check([part.diffusivity for part in self._parts])
        for part in self._parts:
            columns.array[:] = scale * free * part.diffusivity
            part.matrix.copy(self._work, structure=SAME_PATTERN)
            self._work.diagonalScale(rows, columns)
            matrix.axpy(1.0, self._work, structure=SAME_PATTERN)
        rows.destroy()
        columns.destroy()

    def along(self, change: Array, precise: bool = False) -> Array:
        """The derivative, where it was last taken, times a change of the unknowns, (owned,); collective."""
        return sum((part.times(part.diffusivity * change, precise) for part in self._parts), np.zeros_like(change))

    def terms(self) -> list[WeightedTerm]:
        """The derivative, where it was last taken, part by part; collective."""
        return [WeightedTerm(part.graph, part.diffusivity.copy()) for part in self._parts]

    def add_couplings(self, matrix: PETSc.Mat, free: Flags) -> Array:
        """Add how strongly the derivative couples unknowns, as a symmetric matrix; collective.

        Args:
            matrix: Of the pattern of K, assembled.
            free: (owned,) False where rows and columns are left out.

        Returns:
            (owned,) What unknowns that are left out take from a constant.
        """
        scale = matrix.createVecRight()
        taken = np.zeros(len(free))
        for part in self._parts:
            roots = np.sqrt(np.maximum(part.diffusivity, 0.0))
            taken -= roots * matrix_times(part.matrix, roots * ~free)
            scale.array[:] = roots * free
            part.matrix.copy(self._work, structure=SAME_PATTERN)
            self._work.diagonalScale(scale, scale)
            matrix.axpy(1.0, self._work, structure=SAME_PATTERN)
        scale.destroy()
        return taken * free

    def _potential(self, part: _Part, u: Array) -> Array:
        """Φ at the part's unknowns, (owned,), scaled."""
        phi = np.zeros_like(u)
        phi[part.here] = part.potential.at(u[part.here] * part.unit) / self._concentration
        return phi

    def _diffusivity(self, part: _Part, u: Array) -> Array:
        """dΦ/du at the part's unknowns, (owned,), scaled."""
        found = np.zeros_like(u)
        found[part.here] = part.potential.diffusivity(u[part.here] * part.unit) * (part.unit / self._concentration)
        return found

    def _check(self, values: Sequence[Array]) -> None:
        sound = all(bool(np.isfinite(some).all()) for some in values)
        if not self._comm.allreduce(sound, op=MPI.LAND):
            raise ArithmeticError("the diffusivity that a law gives is not a positive number")


def _stiffness_of(on: Discretization, physics: Physics, members: Sequence[int]) -> ufl.Form:
    """∫ D_eff/D ∇u·∇v dx over some phases, scaled."""
    shares = [on.scales.diffusivity(p.effective_factor) if i in members else 0.0 for i, p in enumerate(physics.phases)]
    return forms.diffusion(along_axes(on.mesh, physics, shares), on.trial, on.test, on.dx)


def _owned_of(on: Discretization, members: Sequence[int]) -> NDArray[np.intp]:
    """Owned unknowns of some phases; collective."""
    marked = la.vector(on.space.dofmap.index_map, 1)
    marked.array[:] = 0.0
    cells = on.mesh.cell_tags.indices[np.isin(on.mesh.cell_tags.values, members)]
    marked.array[on.space.dofmap.list[cells]] = 1.0
    marked.scatter_reverse(la.InsertMode.add)
    return np.flatnonzero(marked.array[: on.owned])
