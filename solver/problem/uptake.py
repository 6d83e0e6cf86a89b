"""Surfaces that fill up: flux k c (1 − q/q_max) with dq/dt the flux, q the amount per area, zero at first.

q lives at quadrature points of the surface. A stage of a diagonally implicit method asks for
q = q* + τ k c (1 − q/q_max), q* known, τ its step; that is solved for q where it stands, so that q adds no unknowns
and what the surface has is what the medium has lost, to the last digit of the solver.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

import basix
from dolfinx import la
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags, Indices
from microlith.meshing.mesh.cells import facet_corners
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.problem.boundaries import smooth_shares
from microlith.solver.problem.discretization import Discretization


@dataclass(frozen=True)
class Linearised:
    """What small changes of the unknowns and of q do to the flux into a surface at its points, (points,) each."""

    slope: Array  # change of the flux per change of the unknown there
    loss: Array  # fall of the flux per change of q


@dataclass(frozen=True)
class Rate:
    """Flux into a surface at its points, (points,), and its derivative with respect to the unknown there."""

    flux: Array
    slope: Array


class SaturatingUptake:
    """One sink's surface: its quadrature points, and what the flux into it adds to the equations."""

    def __init__(self, name: str, on: Discretization, facets: Indices, velocity: float, capacity: float) -> None:
        """Place the points.

        Args:
            name: Of the sink.
            on: Where the unknowns are.
            facets: Outer facets of this rank.
            velocity: k, scaled.
            capacity: q_max, scaled: concentration times length.
        """
        self.name = name
        self._velocity, self._capacity = velocity, capacity
        mesh, space = on.mesh, on.space
        self._comm = mesh.mesh.comm
        self._index_map = space.dofmap.index_map
        self._owned = self._index_map.size_local
        cells, local = cells_beside(mesh, facets)
        mine = cells < mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
        facets, cells, local = facets[mine], cells[mine], local[mine]
        element = space.element.basix_element
        table, shares = _tabulated(element)
        basis = table[local]  # (facets, points, dofs per cell)
        self._dofs = space.dofmap.list[cells]
        areas = facet_areas(mesh, facets) * smooth_shares(mesh, facets)
        self.weights = (areas[:, None] * shares[local]).ravel()
        phase = np.zeros(len(mesh.cell_tags.values), np.int32)  # every cell has a tag
        phase[mesh.cell_tags.indices] = mesh.cell_tags.values
        self._kappa = np.repeat(on.factors[phase[cells]], table.shape[1])
        rows = np.repeat(np.arange(basis.shape[0] * basis.shape[1]), basis.shape[2])
        columns = np.repeat(self._dofs, basis.shape[1], axis=0).ravel()
        count = self._owned + self._index_map.num_ghosts
        self._at_points = csr_array((basis.ravel(), (rows, columns)), shape=(len(self.weights), count))
        self._basis = basis

    def concentration(self, u: Array) -> Array:
        """The concentration c at the points, from the owned unknowns; collective."""
        vector = la.vector(self._index_map, 1)
        vector.array[: self._owned] = u
        vector.scatter_forward()
        return self._kappa * (self._at_points @ vector.array)

    def rate(self, u: Array, before: Array, step: float) -> Rate:
        """Flux at the points where q = before + step · flux; collective.

        Args:
            u: (owned,) unknowns.
            before: (points,) q*.
            step: τ; 0 gives the flux for q = q*.
        """
        c = self.concentration(u)
        room = 1.0 - before / self._capacity
        # Below zero, where only an overshoot of the discrete solution gets, the flux goes on as a straight line.
        fills = 1.0 + step * self._velocity / self._capacity * np.maximum(c, 0.0)
        flux = self._velocity * c * room / fills
        slope = self._velocity * room * np.where(c > 0, 1.0 / fills**2, 1.0)
        return Rate(flux, slope * self._kappa)

    def linearised(self, u: Array, q: Array, step: float) -> Linearised:
        """How the flux follows changes, q changing by what is given and by `step` times that of the flux; collective.

        Args:
            u: (owned,) unknowns.
            q: (points,)
            step: Over which q follows.
        """
        c = self.concentration(u)
        filling = self._velocity / self._capacity * np.maximum(c, 0.0)
        follows = 1.0 + step * filling
        slope = self._velocity * (1.0 - q / self._capacity) * self._kappa
        return Linearised(slope / follows, filling / follows)

    def times(self, slope: Array, change: Array) -> Array:
        """A slope (points,) times the change of the unknown there, (points,), from (owned,) changes; collective."""
        vector = la.vector(self._index_map, 1)
        vector.array[: self._owned] = change
        vector.scatter_forward()
        return slope * (self._at_points @ vector.array)

    def along(self, rate: Rate, change: Array) -> Array:
        """Change of the flux at the points with a change of the unknowns, (owned,); collective."""
        return self.times(rate.slope, change)

    def vector(self, flux: Array) -> Array:
        """∫ flux v ds for all v, (owned,); collective."""
        found = la.vector(self._index_map, 1)
        found.array[:] = self._at_points.T @ (self.weights * flux)
        found.scatter_reverse(la.InsertMode.add)
        return found.array[: self._owned].copy()

    def add_derivative(self, matrix: PETSc.Mat, rate: Rate, scale: float, free: Flags) -> None:
        """Add scale · ∂/∂u ∫ flux v ds to a matrix, which is left unassembled.

        Args:
            matrix: Of the pattern of K.
            rate: At the points.
            scale: What the derivative is multiplied with.
            free: (local dofs, ghosts included) False where rows and columns are left out.
        """
        if len(self._dofs) == 0:
            return
        weights = (scale * self.weights * rate.slope).reshape(self._basis.shape[:2])
        blocks = np.einsum("fq,fqi,fqj->fij", weights, self._basis, self._basis, optimize=True)
        there = free[self._dofs]
        blocks *= there[:, :, None] & there[:, None, :]
        dofs = self._dofs.astype(PETSc.IntType)
        matrix.setValuesLocalRCV(dofs, dofs, blocks.reshape(len(blocks), -1), addv=PETSc.InsertMode.ADD_VALUES)

    def amount(self, stored: Array) -> float:
        """∫ q ds over all ranks, from q at the points; collective."""
        return float(self._comm.allreduce(self.weights @ stored, op=MPI.SUM))


def cells_beside(mesh: PhaseMesh, facets: Indices) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cell at each outer facet, and the facet's number in it."""
    topology = mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim - 1, dim)
    topology.create_connectivity(dim, dim - 1)
    to_cells, to_facets = topology.connectivity(dim - 1, dim), topology.connectivity(dim, dim - 1)
    cells = to_cells.array[to_cells.offsets[facets]].astype(np.intp)
    per_cell = to_facets.offsets[1] if len(to_facets.offsets) > 1 else 1
    around = to_facets.array.reshape(-1, per_cell)[cells]
    return cells, np.argmax(around == facets[:, None], axis=1)


def _tabulated(element: basix.finite_element.FiniteElement) -> tuple[Array, Array]:
    """Basis functions at points of each facet (facets, points, dofs), and their shares of its area (facets, points)."""
    kind = element.cell_type
    corners, topology = basix.geometry(kind), basix.topology(kind)
    dim = corners.shape[1]
    names = {2: "interval", 3: "triangle", 4: "quadrilateral"}
    tables, shares = [], []
    for vertices in topology[dim - 1]:
        # 2 more than what is exact for a linear flux, as the flux bends where the surface fills.
        points, weights = basix.make_quadrature(basix.CellType[names[len(vertices)]], 2 * element.degree + 2)
        origin, ends = corners[vertices[0]], corners[vertices[1:dim]]
        x = origin + points @ (ends - origin)
        tables.append(element.tabulate(0, x)[0, :, :, 0])
        shares.append(weights / weights.sum())
    return np.array(tables), np.array(shares)


def facet_areas(mesh: PhaseMesh, facets: Indices) -> Array:
    """Areas (lengths in 2D) of facets, in mesh units."""
    corners = facet_corners(mesh.mesh, facets)
    if len(corners) == 0:
        return np.empty(0)
    sides = corners[:, 1:] - corners[:, :1]
    if sides.shape[1] == 1:
        return np.linalg.norm(sides[:, 0], axis=1)
    area = 0.5 * np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    return area.reshape(len(facets), -1).sum(axis=1)  # a rectangle is two triangles
