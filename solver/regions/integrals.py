"""Integrals of the basis functions over parts of cells: what means over regions are made of."""

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

import basix
from dolfinx import fem, la
from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.meshing.mesh.cells import cell_nodes, diameters, edges, inverses, measures
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.regions.parts import PartsOfCells
from microlith.solver.regions.shapes import Spans

Index = NDArray[np.intp]

CELLS = 100_000  # looked at together, which bounds the memory


@dataclass(frozen=True)
class Cells:
    """Owned cells with what integration over parts of them needs."""

    space: fem.FunctionSpace
    points: Array  # (points of this rank, dim)
    nodes: NDArray[np.int32]  # (n, corners) rows of points
    dofs: NDArray[np.int32]  # (n, dofs per cell)
    tags: NDArray[np.int32]  # (n,) phase
    phases: int  # number of phases, solved or not
    factors: Array | None  # (phases,) κ of c = κ u; None: 1

    @staticmethod
    def of(space: fem.FunctionSpace, mesh: PhaseMesh, factors: Array | None) -> "Cells":
        """Those of a mesh that this rank owns."""
        dim = mesh.mesh.topology.dim
        owned = mesh.mesh.topology.index_map(dim).size_local
        tags = np.zeros(owned, dtype=np.int32)
        mine = mesh.cell_tags.indices < owned
        tags[mesh.cell_tags.indices[mine]] = mesh.cell_tags.values[mine]
        points = mesh.mesh.geometry.x[:, :dim]
        return Cells(space, points, cell_nodes(mesh.mesh), space.dofmap.list[:owned], tags, len(mesh.names), factors)

    def corners(self, cell: Index) -> Array:
        """Corners of some cells, (m, corners, dim)."""
        return self.points[self.nodes[cell]]

    @cached_property
    def spans(self) -> tuple[Array, Array]:
        """Least and largest coordinates of each cell, (n, dim) each."""
        corners = ([column[of_corner] for of_corner in self.nodes.T] for column in self.points.T)
        # A reduction over the few corners of a cell takes ten times as long.
        ends = [(reduce(np.minimum, x), reduce(np.maximum, x)) for x in corners]
        low, high = (np.stack(columns, axis=1) for columns in zip(*ends, strict=True))
        return low, high

    @cached_property
    def inverse_edges(self) -> Array:
        """Inverses of the edges of each cell, (n, dim, dim): from places to coordinates of the reference cell."""
        parts = range(0, len(self.nodes), CELLS)
        found = [inverses(edges(self.points[self.nodes[i : i + CELLS]])) for i in parts]
        return np.concatenate(found) if found else np.empty((0, *2 * self.points.shape[1:]))

    def within(self, bounds: Spans) -> Index:
        """Cells that may have a part within bounds along axes."""
        low, high = self.spans
        near = np.ones(len(self.nodes), bool)
        for axis, (first, last) in bounds.items():
            near &= (low[:, axis] < last) & (high[:, axis] > first)
        return np.flatnonzero(near)

    def largest(self) -> float:
        """Largest diameter of a cell over all ranks; collective."""
        parts = range(0, len(self.nodes), CELLS)
        own = max((float(diameters(self.points[self.nodes[i : i + CELLS]]).max()) for i in parts), default=0.0)
        return float(self.space.mesh.comm.allreduce(own, op=MPI.MAX))

    def crossed(self, at_points: Array, among: Index | None = None) -> int:
        """Number of (some) cells, over all ranks, at whose corners a function (points,) has either sign; collective."""
        count = 0
        nodes = self.nodes if among is None else self.nodes[among]
        for start in range(0, len(nodes), CELLS):
            values = at_points[nodes[start : start + CELLS]]
            count += int(np.count_nonzero((values.min(axis=1) < 0) & (values.max(axis=1) > 0)))
        return int(self.space.mesh.comm.allreduce(count, op=MPI.SUM))


class Integrals:
    """∫ φ_i over a region, and its measure per phase, from the cells and parts of cells that fill it."""

    def __init__(self, cells: Cells, *, keep: bool = True) -> None:
        """Start with nothing; `keep` what `parts` gives."""
        self._cells = cells
        self._keep = keep
        self._whole: list[tuple[Index, Array]] = []  # cells and their measures
        self._cut: list[tuple[Index, Array, Array, Array]] = []  # cells, measures of parts, their means and corners
        self._element = cells.space.element.basix_element
        self._vector = la.vector(cells.space.dofmap.index_map, 1)
        self._vector.array[:] = 0.0
        self.measures = np.zeros(cells.phases)  # (phases,) of this rank
        dim = cells.points.shape[1]
        points, weights = basix.make_quadrature(self._element.cell_type, self._element.degree)
        basis = self._element.tabulate(0, points)[0, :, :, 0]
        self._of_whole = weights @ basis / weights.sum()  # mean of each basis function over a cell
        kind = basix.CellType.triangle if dim == 2 else basix.CellType.tetrahedron
        simplex = cells.nodes.shape[1] == dim + 1
        # In the parts of a box its basis is a polynomial of the degree in each of the coordinates.
        degree = self._element.degree * (1 if simplex else dim)
        self._points, weights = basix.make_quadrature(kind, degree)
        self._weights = weights / weights.sum()

    def add_whole(self, cell: Index, corners: Array) -> None:
        """Take whole cells, with their corners (n, corners, dim)."""
        volume = measures(corners)
        if self._keep:
            self._whole.append((cell, volume))
        self._add(cell, volume, np.broadcast_to(self._of_whole, (len(cell), len(self._of_whole))))

    def add_parts(self, cell: Index, parts: Array) -> None:
        """Take simplices (n, dim + 1, dim), each within its cell."""
        if len(cell) == 0:
            return
        x = parts[:, :1] + np.einsum("qk,nkd->nqd", self._points, edges(parts))
        means, volume = np.einsum("nqi,q->ni", self._basis(cell, x), self._weights), measures(parts)
        if self._keep:
            self._cut.append((cell, volume, means, self._reference(cell, parts)))
        self._add(cell, volume, means)

    def add_points(self, cell: Index, x: Array, volume: Array) -> None:
        """Take points (n, dim), each within its cell, that stand for volumes (n,), negative ones as well."""
        if len(cell):
            self._add(cell, volume, self._basis(cell, x[:, None])[:, 0])

    def _basis(self, cell: Index, x: Array) -> Array:
        """Basis functions of each cell at points of it, (n, points, basis) from (n, points, dim)."""
        values = self._element.tabulate(0, self._reference(cell, x).reshape(-1, x.shape[2]))[0, :, :, 0]
        return np.asarray(values.reshape(len(cell), x.shape[1], -1))

    def _reference(self, cell: Index, x: Array) -> Array:
        """Points (n, points, dim) of each cell in coordinates of the reference cell."""
        cells = self._cells
        # Rows of edges are edges, so a point of the reference cell times them is one of the cell.
        return np.asarray((x - cells.points[cells.nodes[cell, 0]][:, None]) @ cells.inverse_edges[cell])

    def parts(self) -> PartsOfCells:
        """What was taken, to look at the field there; without points, which only correct volumes."""
        return PartsOfCells.of(self._whole, self._cut, self._element)

    def _add(self, cell: Index, volume: Array, means: Array) -> None:
        array, dofs = self._vector.array, self._cells.dofs[cell]
        factors = self._cells.factors
        weight = volume if factors is None else volume * factors[self._cells.tags[cell]]
        np.add.at(array, dofs.ravel(), (means * weight[:, None]).ravel())
        self.measures += np.bincount(self._cells.tags[cell], volume, self._cells.phases)

    def over_all_ranks(self) -> Array:
        """The owned entries, (owned,); collective, once, at the end."""
        self._vector.scatter_reverse(la.InsertMode.add)
        return self._vector.array[: self._cells.space.dofmap.index_map.size_local].copy()
