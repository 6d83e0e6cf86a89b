"""What all terms of the discrete problem are assembled on: mesh, space, units, and factors of the unknowns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import ufl
from dolfinx import fem

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.concentration import Display, spaces
from microlith.solver.interfaces.partition import Link, factors_of, largest_of, links_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.assembly import per_phase
from microlith.solver.problem.boundaries import Boundary, phases_at
from microlith.solver.problem.scales import Scales


@dataclass(frozen=True, eq=False)
class Discretization:
    """Mesh, space and units of the discrete problem, and the factors κ by which c = κ u in each phase."""

    mesh: PhaseMesh
    space: fem.FunctionSpace  # of the unknowns u
    scales: Scales
    factors: Array  # (phases,) κ
    at_corners: bool = False  # whether integrals over cells are taken by the values at their corners

    @property
    def owned(self) -> int:
        """Number of this rank's unknowns."""
        return int(self.space.dofmap.index_map.size_local)

    @property
    def degree(self) -> int:
        """Of the Lagrange elements."""
        return int(self.space.element.basix_element.degree)

    @property
    def has_one_factor(self) -> bool:
        """Whether κ is the same in all phases: then it is 1."""
        return len(np.unique(self.factors)) == 1

    @cached_property
    def dx(self) -> ufl.Measure:
        """For integrals over the cells."""
        return ufl.dx(metadata={"quadrature_rule": "vertex", "quadrature_degree": 1}) if self.at_corners else ufl.dx

    @cached_property
    def trial(self) -> ufl.Argument:
        """Of bilinear forms."""
        return ufl.TrialFunction(self.space)

    @cached_property
    def test(self) -> ufl.Argument:
        """Of all forms."""
        return ufl.TestFunction(self.space)

    @cached_property
    def one(self) -> fem.Constant:
        """The number 1 in forms."""
        return fem.Constant(self.mesh.mesh, 1.0)

    @cached_property
    def kappa(self) -> fem.Constant | fem.Function:
        """The factor κ in forms."""
        return self.one if self.has_one_factor else per_phase(self.mesh, list(self.factors))


def discretized(
    mesh: PhaseMesh,
    physics: Physics,
    boundaries: list[Boundary],
    scales: Scales,
    degree: int,
    at_corners: bool = False,
) -> tuple[Discretization, Display, tuple[Link, ...]]:
    """Spaces and factors for a problem, and the interfaces between its phases; collective.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags.
        boundaries: Where lithium enters or leaves.
        scales: Units.
        degree: Of the Lagrange elements.
        at_corners: Whether integrals over cells are taken by the values at their corners.

    Raises:
        InputError: Partitions between phases contradict each other.
    """
    links = links_of(mesh, physics)
    factors: Array = np.ones(len(physics.phases))
    if links:
        factors = factors_of(links, mesh.names, _driving(mesh, physics, boundaries))
    plain = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    space, display = spaces(plain, mesh, links, factors, physics.solved)
    return Discretization(mesh, space, scales, factors, at_corners), display, links


def _driving(mesh: PhaseMesh, physics: Physics, boundaries: list[Boundary]) -> Array:
    """Largest concentration, mol/m^3, that is given at or in each phase, (phases,)."""
    driving = np.zeros(len(physics.phases))
    for i in physics.solved:
        driving[i] = physics.phases[i].initial
    for boundary in boundaries:
        if boundary.concentration is not None:
            at = np.unique(phases_at(mesh, boundary.facets))
            driving[at] = np.maximum(driving[at], boundary.concentration.largest)
    return largest_of(driving, mesh.mesh.comm)
