"""Integrals of the basis functions over parts of cells: what means over regions are made of."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem, la
from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.meshing.mesh.cells import cell_nodes, diameters, edges, inverses, largest, least, measures
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.meshing.mesh.simplices import signed_measures
from microlith.solver.regions.averages import Averages
from microlith.solver.regions.parts import MOST_CORNERS, CutParts, PartsOfCells
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
        points = np.ascontiguousarray(mesh.mesh.geometry.x[:, :dim])
        return Cells(space, points, cell_nodes(mesh.mesh), space.dofmap.list[:owned], tags, len(mesh.names), factors)

    def corners(self, cell: Index) -> Array:
        """Corners of some cells, (m, corners, dim)."""
        return self.points[self.nodes[cell]]

    def edges_of_boxes(self) -> Array:
        """Edges (dim,) along the axes of cells that are boxes and all alike; 0 on ranks without any."""
        return np.asarray(np.abs(edges(self.corners(np.arange(len(self.nodes))[:1]))).sum(axis=(0, 1)))

    @cached_property
    def spans(self) -> tuple[Array, Array]:
        """Least and largest coordinates of each cell, (dim, n) each."""
        dim = self.points.shape[1]
        if dim == 2:
            ends = [[find(x[self.nodes]) for x in self.points.T] for find in (least, largest)]
            return np.array(ends[0]), np.array(ends[1])
        from microlith.solver.regions.cell_loops import find_spans  # numba, late: runs in 2D do without

        low, high = np.empty((dim, len(self.nodes))), np.empty((dim, len(self.nodes)))
        find_spans(self.points, self.nodes, low, high)
        return low, high

    @cached_property
    def diameters(self) -> Array:
        """Largest distance of two points of each cell, (n,)."""
        if self.points.shape[1] == 2:
            parts = range(0, len(self.nodes), CELLS)
            each = (diameters(self.points[self.nodes[i : i + CELLS]]) for i in parts)
            return np.concatenate([np.empty(0), *each])
        from microlith.solver.regions.cell_loops import find_diameters

        found = np.empty(len(self.nodes))
        find_diameters(self.points, self.nodes, found)
        return found

    @cached_property
    def measures(self) -> Array:
        """Area (volume) of each cell, (n,)."""
        if self.nodes.shape[1] == 4 and self.points.shape[1] == 3:
            return np.abs(signed_measures(self.points, self.nodes))
        parts = range(0, len(self.nodes), CELLS)
        return np.concatenate([np.empty(0), *(measures(self.points[self.nodes[i : i + CELLS]]) for i in parts)])

    def within(self, bounds: Spans) -> Index:
        """Cells that may have a part within bounds along axes."""
        low, high = self.spans
        near = np.ones(len(self.nodes), bool)
        for axis, (first, last) in bounds.items():
            near &= (low[axis] < last) & (high[axis] > first)
        return np.flatnonzero(near)

    def largest(self) -> float:
        """Largest diameter of a cell over all ranks; collective."""
        own = float(self.diameters.max(initial=0.0))
        return float(self.space.mesh.comm.allreduce(own, op=MPI.MAX))

    def crossed(self, at_points: Array, among: Index | None = None) -> int:
        """Number of (some) cells, over all ranks, at whose corners a function (points,) has either sign; collective."""
        count = 0
        nodes = self.nodes if among is None else self.nodes[among]
        for start in range(0, len(nodes), CELLS):
            values = at_points[nodes[start : start + CELLS]]
            count += int(np.count_nonzero((least(values) < 0) & (largest(values) > 0)))
        return int(self.space.mesh.comm.allreduce(count, op=MPI.SUM))


class Integrals:
    """∫ φ_i over a region, and its measure per phase, from the cells and parts of cells that fill it."""

    def __init__(self, cells: Cells, *, by_phase: bool = False) -> None:
        """Start with nothing.

        Args:
            cells: Of the mesh.
            by_phase: Whether each phase may be scaled afterwards.
        """
        self._cells = cells
        self._by_phase = by_phase
        self._whole: list[tuple[Index, Array]] = []  # cells and their measures
        self._cut: list[CutParts] = []
        self._element = cells.space.element.basix_element
        self._averages = Averages(self._element)
        self._sums: dict[int, Array] = {}  # phase, or 0 where none is scaled -> (local dofs,)
        self.measures = np.zeros(cells.phases)  # (phases,) of this rank

    def add_whole(self, cell: Index) -> None:
        """Take whole cells."""
        volume = self._cells.measures[cell]
        self._whole.append((cell, volume))
        self._add(cell, volume, self._averages.of_whole[None])

    def add_parts(self, cell: Index, parts: Array) -> None:
        """Take simplices (n, dim + 1, dim), each within its cell."""
        if len(cell) == 0:
            return
        corners, volume = self._reference(cell, parts), measures(parts)
        means = self._averages.of_simplices(corners)
        self._cut.append(CutParts(cell, volume, means, corners))
        self._add(cell, volume, means)

    def add_below(self, cell: Index, values: Array, *, in_simplices: bool) -> None:
        """Take of cells what lies where a function is negative, as `Averages.below` has it from values at corners."""
        parts = self._averages.below(values, in_simplices=in_simplices)
        volume = self._cells.measures[cell[parts.of]] * parts.share
        self._cut.append(CutParts(cell[parts.of], volume, parts.means, parts.corners, parts.below))
        self._add(cell[parts.of], volume, parts.means)

    def add_points(self, cell: Index, x: Array, volume: Array) -> None:
        """Take points (n, dim), each within its cell, that stand for volumes (n,), negative ones as well."""
        self._add(cell, volume, self._averages.basis(self._reference(cell, x[:, None]))[:, 0])

    def _reference(self, cell: Index, x: Array) -> Array:
        """Points (n, points, dim) of each cell in coordinates of the reference cell."""
        some, of = np.unique(cell, return_inverse=True)
        corners = self._cells.corners(some)
        # Rows of edges are edges, so a point of the reference cell times them is one of the cell.
        return np.asarray((x - corners[of, :1]) @ inverses(edges(corners))[of])

    def parts(self, scales: Array | None = None) -> PartsOfCells:
        """What was taken, to look at the field there; without points, which only correct volumes; collective.

        Args:
            scales: (phases,) on the volumes; None: 1.
        """
        count = self._cells.space.mesh.comm.allreduce(sum(len(part.cell) for part in self._cut))
        found = PartsOfCells.of(self._whole, self._cut, self._element, with_corners=count <= MOST_CORNERS)
        if scales is None:
            return found
        whole, cut = (scales[self._cells.tags[cell]] for cell in (found.cell, found.cut))
        return replace(found, volume=found.volume * whole, cut_volume=found.cut_volume * cut)

    def _add(self, cell: Index, volume: Array, means: Array) -> None:
        """Of parts of cells with some volume, from the means (n or 1, dofs) of the basis functions over them."""
        factors, tags = self._cells.factors, self._cells.tags[cell]
        weight = volume if factors is None else volume * factors[tags]
        values, dofs = means * weight[:, None], self._cells.dofs[cell]
        phases = [int(phase) for phase in np.unique(tags)] if self._by_phase else [0]
        for phase in phases:
            some = tags == phase if len(phases) > 1 else slice(None)
            np.add.at(self._sum_of(phase), dofs[some].ravel(), values[some].ravel())
        self.measures += np.bincount(tags, volume, self._cells.phases)

    def _sum_of(self, phase: int) -> Array:
        if phase not in self._sums:
            index_map = self._cells.space.dofmap.index_map
            self._sums[phase] = np.zeros(index_map.size_local + index_map.num_ghosts)
        return self._sums[phase]

    def over_all_ranks(self, scales: Array | None = None) -> Array:
        """The owned entries, (owned,); collective.

        Args:
            scales: (phases,) on what each phase adds, where the integrals are kept by phase; None: 1.
        """
        index_map = self._cells.space.dofmap.index_map
        total = la.vector(index_map, 1)
        total.array[:] = 0.0
        for phase, sums in self._sums.items():
            total.array[:] += sums if scales is None else scales[phase] * sums
        total.scatter_reverse(la.InsertMode.add)
        return total.array[: index_map.size_local].copy()
