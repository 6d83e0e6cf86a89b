"""Where layers may be thinner than elements: the elements at some facets, and what the nodes there count for."""

import numpy as np
from numpy.typing import ArrayLike

from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.mesh.cells import facet_corners, is_simplex, measures, nodes_of_cells
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import values_of
from microlith.solver.physics.phases import PhasePhysics, Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.uptake import facet_areas

# Degree 1: the projection of the start takes what is held at the surface down by so much at the nodes next to it, and
# regions that begin there lack that: 2 − √3 of elements in line
NEXT = 2.0 - 3.0**0.5
CLASSES = 4  # of the thickness of elements, and of diffusivities that differ along the axes, per factor of 2
CONCENTRATIONS = 33  # at which a law is looked at


class Sides:
    """Facets, each with a cell of this rank on one side of it; a facet may be there twice, from either side."""

    def __init__(
        self, problem: Problem, physics: Physics, facets: Indices, cells: Numbers, local: Numbers, gaps: Array
    ) -> None:
        """Measure them; collective.

        Args:
            problem: That is solved.
            physics: Of the problem.
            facets: (n,) of this rank.
            cells: (n,) at them; owned, unless only their thickness is asked for.
            local: (n,) numbers of the facets in their cells.
            gaps: (n, unknowns per cell) or (n, 1) how far the unknowns are at first from what they are drawn to.
        """
        mesh = problem.discretization.mesh
        self.phase: Numbers = phase_of_cells(problem)[cells].astype(np.int64)
        self._areas = facet_areas(mesh, facets)
        corners = mesh.mesh.geometry.x[nodes_of_cells(mesh.mesh)[cells], : mesh.mesh.topology.dim]
        # Of a simplex the height above its facet, of a box the edge across
        self.thickness = measures(corners) * (mesh.mesh.topology.dim if is_simplex(corners) else 1) / self._areas
        sides = facet_corners(mesh.mesh, facets)
        across = _across(physics, self.phase, sides[:: max(len(sides) // max(len(facets), 1), 1)])
        self.classes = np.stack([class_of(self.thickness), class_of(across)], axis=1)  # (n, 2)
        self._comm = mesh.mesh.comm
        self._dofs = problem.space.dofmap.list[cells]
        closures = problem.space.element.basix_element.entity_closure_dofs[mesh.mesh.topology.dim - 1]
        at_facet = np.zeros((len(closures), self._dofs.shape[1]), dtype=bool)
        for number, closure in enumerate(closures):
            at_facet[number, closure] = True
        self._at_facet = at_facet[local]
        self._gaps = np.broadcast_to(gaps, self._dofs.shape)
        self._per_factor = np.broadcast_to(1.0 / problem.factors[self.phase][:, None], self._dofs.shape)
        self._follows = problem.discretization.degree == 1
        self._map = problem.space.dofmap.index_map
        self._latest: tuple[Flags, tuple[Array, Array]] | None = None

    def keys(self, drives: Numbers) -> list[tuple[int, ...]]:
        """Rows (n, k) of all ranks, each once, in order; collective."""
        rows = self._comm.allgather(np.unique(drives, axis=0))
        return sorted({tuple(row) for some in rows for row in some.tolist()})

    def starts(self, here: Flags, among: Flags, rows: Array) -> Array:
        """What functionals jump by at first, mol/m^3, if the nodes of some of the facets do; collective.

        Args:
            here: (n,) which of the facets.
            among: (n,) those that share the nodes with them, themselves too.
            rows: (functionals, owned) of the unknowns.
        """
        return self._jumps(self._gaps, here, among, rows)

    def levels(self, here: Flags, among: Flags, rows: Array) -> Array:
        """The same per change of the concentration there."""
        return self._jumps(self._per_factor, here, among, rows)

    def _jumps(self, values: Array, here: Flags, among: Flags, rows: Array) -> Array:
        all_beside, all_behind = self._shared(among)
        beside = self._summed(values * (here[:, None] & self._at_facet))
        at_nodes = np.where(all_beside > 0, beside / np.where(all_beside > 0, all_beside, 1.0), 0.0)
        if self._follows:
            behind = self._summed(values * (here[:, None] & ~self._at_facet))
            only = (all_beside == 0) & (all_behind > 0)
            at_nodes += NEXT * np.where(only, behind / np.where(only, all_behind, 1.0), 0.0)
        owned = self._map.size_local
        return np.abs(np.asarray(self._comm.allreduce(rows @ at_nodes[:owned], op=MPI.SUM)))

    def _shared(self, among: Flags) -> tuple[Array, Array]:
        """Areas at each node of the facets that share the nodes, and of those it lies behind, which degree 1 follows.

        Kept, as drive after drive asks for the same.
        """
        if self._latest is None or self._latest[0] is not among:
            beside = self._summed((among[:, None] & self._at_facet).astype(np.float64))
            behind = self._summed((among[:, None] & ~self._at_facet).astype(np.float64)) if self._follows else beside
            self._latest = among, (beside, behind)
        return self._latest[1]

    def _summed(self, values: Array) -> Array:
        """Sums at each node over the facets' cells, weighted by the areas, (local,); collective."""
        total = la.vector(self._map, 1)
        weights = (values * self._areas[:, None]).ravel()
        total.array[:] = np.bincount(self._dofs.ravel(), weights, minlength=len(total.array))
        total.scatter_reverse(la.InsertMode.add)
        return np.array(total.array)


def phase_of_cells(problem: Problem) -> Indices:
    """Phase of each of this rank's cells, ghosts included."""
    tags = problem.discretization.mesh.cell_tags
    phase = np.zeros(len(tags.values), np.int32)  # every cell has a tag
    phase[tags.indices] = tags.values
    return phase


def diffusivity_across(phase: PhasePhysics, course: Course) -> float:
    """D_eff of a phase, m^2/s.

    Where it follows a law, its mean over the concentrations that meet at the surface, or what it is at the surface if
    that is less: there the layer is steepest.
    """
    if phase.law is None:
        return phase.effective_diffusivity or 0.0
    least = phase.initial if phase.initial_least is None else phase.initial_least
    low, high = min(least, course.smallest), max(phase.initial, course.largest)
    levels = np.asarray(np.linspace(max(low, 0.0), high, CONCENTRATIONS), dtype=np.float64)
    mean = float(np.mean(values_of(phase.law, levels)))
    there = float(values_of(phase.law, np.array([max(course.largest, 0.0)]))[0])
    return phase.effective_factor * min(mean, there)


def _across(physics: Physics, phases: Numbers, sides: Array) -> Array:
    """D_eff across facets per effective_diffusivity of their phase, (n,), from corners (n, dim, dim) of a part each."""
    dim = sides.shape[-1]
    along = np.ones((len(physics.phases), dim))
    for i, phase in enumerate(physics.phases):
        if phase.anisotropy is not None:
            along[i] = phase.anisotropy[:dim]
    edges = sides[:, 1:] - sides[:, :1]
    normals = np.cross(edges[:, 0], edges[:, 1]) if dim == 3 else edges[:, 0][:, ::-1]
    squares = normals**2 / (normals**2).sum(axis=1, keepdims=True)
    return np.asarray((squares * along[phases]).sum(axis=1))


def class_of(value: ArrayLike) -> Numbers:
    """Number of the class of a positive value."""
    return np.round(CLASSES * np.log2(value)).astype(np.int64)


def of_class(number: float) -> float:
    """The value in the middle of a class."""
    return float(2.0 ** (number / CLASSES))
