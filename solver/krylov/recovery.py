"""How much too stiff linear elements are, from gradients that are recovered: Zienkiewicz and Zhu's estimate.

The gradient of a piecewise linear function jumps from cell to cell. Its mean over the cells around a vertex, weighted
by their measures and taken within one phase, is nearer to the gradient of the smooth function that it stands for
(Zienkiewicz and Zhu, Int. J. Numer. Meth. Eng. 24 (1987) 337, doi 10.1002/nme.1620240206). The energy of what lies
between the two is that by which the elements' function exceeds the smooth one.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.sparse import csr_array

import basix
from dolfinx import common, la
from mpi4py import MPI

from microlith.imaging.parallel.compiled import kept
from microlith.imaging.typing import Array, Indices, Numbers
from microlith.meshing.mesh.cells import cell_nodes, edges, inverses, measures
from microlith.solver.problem.problem import Problem

Inverse = Callable[[Array], Array]  # u of a potential

QUADRATURE = 2  # degree
CELLS = 20_000  # looked at together, which bounds the memory
TOGETHER = 8  # functions, which bounds the memory


def is_recoverable(problem: Problem) -> bool:
    """Whether gradients can be recovered: of degree 1 on triangles and tetrahedra."""
    mesh = problem.space.mesh
    return problem.discretization.degree == 1 and problem.space.dofmap.list.shape[1] == mesh.topology.dim + 1


class Excess:
    """How much too stiff elements are: E, with uᵀEv = ∫ D (G u − ∇u)·(G v − ∇v) dx, G the recovered gradient."""

    def __init__(self, problem: Problem, diffusivity: Array) -> None:
        """Prepare; collective.

        Args:
            problem: Of degree 1, on triangles or tetrahedra.
            diffusivity: (phases, dim) along each axis, scaled, times κ.
        """
        cells = _Cells(problem)
        self._comm = problem.space.mesh.comm
        self._held = la.vector(problem.space.dofmap.index_map, TOGETHER)  # making one takes all ranks
        self._phases = [cells.stiffer(i, along) for i, along in enumerate(diffusivity) if cells.are_there(i)]

    def forces(self, vectors: Array) -> Array:
        """E times functions, (m, owned), from their unknowns (m, owned); collective."""
        found = np.empty(vectors.shape)
        for start in range(0, len(vectors), TOGETHER):
            some = slice(start, start + TOGETHER)
            found[some] = self._forces(vectors[some])
        return found

    def energies(self, vectors: Array) -> Array:
        """uᵀEv of all pairs of functions, (m, m), from their unknowns (m, owned); collective."""
        total = self._comm.allreduce(vectors @ self.forces(vectors).T, op=MPI.SUM)
        return np.asarray((total + total.T) / 2)

    def _forces(self, vectors: Array) -> Array:
        count, owned = vectors.shape
        held = self._held.array.reshape(-1, TOGETHER)
        held[:owned, :count] = vectors.T
        self._held.scatter_forward()
        values = held[:, :count].copy()
        held[:] = 0.0
        for phase in self._phases:
            held[:, :count] += phase.forces(values)
        self._held.scatter_reverse(la.InsertMode.add)
        return held[:owned, :count].T.copy()


class Recovery:
    """What elements are off by at a state, told from recovered gradients: integrals with all test functions v."""

    def __init__(self, problem: Problem, weights: Array, capacities: Array) -> None:
        """Prepare; collective.

        Args:
            problem: Of degree 1, on triangles or tetrahedra.
            weights: (phases, dim) W along each axis, scaled: fluxes are W ∇p, p a potential of the unknown u.
            capacities: (phases,) what is stored per u, scaled; 0 where u is the potential, or nothing.
        """
        cells = _Cells(problem)
        self._weights, self._capacities = weights, capacities
        self._around = {i: cells.around(i) for i in range(len(weights)) if weights[i].any()}
        self._map = problem.space.dofmap.index_map
        kind = {3: basix.CellType.triangle, 4: basix.CellType.tetrahedron}[problem.space.dofmap.list.shape[1]]
        points, shares = basix.make_quadrature(kind, QUADRATURE)
        self._points = np.column_stack([1.0 - points.sum(axis=1), points])  # (points, corners), values of the basis
        self._shares = shares / shares.sum()

    def forces(self, potentials: Mapping[int, Array]) -> Array:
        """By how much fluxes are too stiff: ∫ W (G p − ∇p)·(G v − ∇v) dx for all v, (owned,); collective.

        Args:
            potentials: (owned,) p of each phase that has weights.
        """
        total = la.vector(self._map, 1)
        total.array[:] = 0.0
        for phase, around in self._around.items():
            potential = self._with_ghosts(potentials[phase])
            for axis, weight in enumerate(self._weights[phase]):  # one after the other, which bounds the memory
                total.array[:] += weight * around.excess(axis, potential)
        return self._summed(total)

    def between(self, u: Array, potentials: Mapping[int, Array], inverses: Mapping[int, Inverse]) -> Array:
        """What is stored between the nodes besides: ∫ ε (β(p) − u) v dx for all v, (owned,); collective.

        Within a cell p is nearly linear, so that the exact solution is nearer to β of what lies between the values of p
        at the corners than to u, which lies between their β.

        Args:
            u: (owned,) unknowns.
            potentials: (owned,) p of each phase with a capacity.
            inverses: β of each of these: u of p.
        """
        total = la.vector(self._map, 1)
        total.array[:] = 0.0
        u = self._with_ghosts(u)
        for phase, inverse in inverses.items():
            p = self._with_ghosts(potentials[phase])
            load = self._around[phase].between(u, p, inverse, self._points, self._shares)
            total.array[:] += self._capacities[phase] * load
        return self._summed(total)

    def _with_ghosts(self, owned: Array) -> Array:
        """Values at all of this rank's unknowns, (local,), from those at the owned ones; collective."""
        vector = la.vector(self._map, 1)
        vector.array[: len(owned)] = owned
        vector.scatter_forward()
        return np.asarray(vector.array)

    def _summed(self, total: la.Vector) -> Array:
        """Sums over all ranks, (owned,); collective."""
        total.scatter_reverse(la.InsertMode.add)
        return np.array(total.array[: self._map.size_local])


class _Cells:
    """This rank's own cells, with the gradients of their basis functions."""

    def __init__(self, problem: Problem) -> None:
        mesh = problem.discretization.mesh
        nodes = cell_nodes(mesh.mesh)
        count, corners = nodes.shape
        self._gradients = np.empty((count, corners - 1, corners))  # (n, dim, corners)
        self._volumes = np.empty(count)
        for start in range(0, count, CELLS):
            some = slice(start, start + CELLS)
            places = mesh.mesh.geometry.x[nodes[some], : corners - 1]
            inverse = inverses(edges(places))
            self._gradients[some] = np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2)
            self._volumes[some] = measures(places)
        self._dofs: Indices = problem.space.dofmap.list[:count]
        self._index_map = problem.space.dofmap.index_map
        tags = np.full(count, -1)
        own = mesh.cell_tags.indices < count
        tags[mesh.cell_tags.indices[own]] = mesh.cell_tags.values[own]
        self._tags = tags
        self._comm = mesh.mesh.comm

    def are_there(self, phase: int) -> bool:
        """Whether any rank has cells of a phase; collective."""
        return bool(self._comm.allreduce(bool((self._tags == phase).any()), op=MPI.LOR))

    def around(self, phase: int) -> "_Around":
        """Means of gradients within one phase; collective."""
        cells = np.flatnonzero(self._tags == phase)
        return _Around(self._index_map, self._dofs[cells], self._volumes[cells], self._gradients[cells])

    def stiffer(self, phase: int, along: Array) -> "_Stiffer":
        """How much too stiff the cells of one phase are; collective.

        Args:
            phase: Its number.
            along: (dim,) D along each axis.
        """
        cells = np.flatnonzero(self._tags == phase)
        unknowns = self._index_map.size_local + self._index_map.num_ghosts
        return _Stiffer(
            self._index_map, unknowns, self._dofs[cells], self._volumes[cells], self._gradients[cells], along
        )


class _Stiffer:
    """E of one phase, of products of sparse matrices of the unknowns, which are fewer than the cells.

    With k values r at the corners of a cell, the integral of (r − g)² is V ((r̄ − g)² + Σ (r − r̄)²/(k (k + 1))).
    """

    def __init__(
        self, index_map: common.IndexMap, unknowns: int, dofs: Indices, volumes: Array, gradients: Array, along: Array
    ) -> None:
        """Prepare; collective.

        Args:
            index_map: Which rank has which unknowns.
            unknowns: Number of local ones.
            dofs: (n, corners) unknowns at the corners.
            volumes: (n,)
            gradients: (n, dim, corners) of the basis functions.
            along: (dim,) D along each axis.
        """
        count, corners = dofs.shape
        number = np.tile(np.arange(corners), count)
        cells = csr_array((number, dofs.ravel(), np.arange(0, dofs.size + 1, corners)), (count, unknowns)).T.tocsr()
        around: Array = np.array(np.bincount(dofs.ravel(), np.repeat(volumes, corners), unknowns), float)
        rows = np.zeros(unknowns + 1, dofs.dtype)
        count_neighbours(cells.indptr, cells.indices, dofs, rows[1:])
        np.cumsum(rows, out=rows)
        columns = np.empty(rows[-1], dofs.dtype)
        shared, steepness, sums = (np.zeros((n, rows[-1])) for n in (1, 1, len(along)))
        sum_over_cells(
            cells.indptr,
            cells.indices,
            cells.data,
            dofs,
            volumes,
            gradients,
            along,
            rows,
            columns,
            shared[0],
            steepness[0],
            sums,
        )

        def of_unknowns(entries: Array) -> csr_array:
            return csr_array((entries, columns, rows), (unknowns, unknowns))

        self._corners, self._along = corners, along
        self._steepness = of_unknowns(steepness[0])
        self._sums = [of_unknowns(entries) for entries in sums]  # of V ∂ around unknowns
        # What makes Σ V (r̄² + Σ (r − r̄)²/(k (k + 1))) of all cells: r̄² and r² twice are the same but for a factor
        self._shared = of_unknowns(shared[0] / (corners * (corners + 1)))
        self._alone = around[:, None] / (corners * (corners + 1))
        self._held = la.vector(index_map, TOGETHER)
        whole = self._everywhere(around[:, None])
        self._per_volume = 1.0 / np.where(whole > 0, whole, 1.0)

    def forces(self, values: Array) -> Array:
        """E times functions: this rank's cells' part of it, (local, m), from values at the unknowns; collective."""
        total = self._steepness @ values
        for sums, factor in zip(self._sums, self._along, strict=True):
            slopes = sums @ values
            recovered = self._mean(slopes)
            squares = self._shared @ recovered + self._alone * recovered
            back = self._mean(squares - slopes / self._corners) - recovered / self._corners
            total += factor * (sums.T @ back)
        return total

    def _mean(self, sums: Array) -> Array:
        """Sums (local, m) over the own cells around each unknown, over all ranks' and per their volume; collective."""
        return self._everywhere(sums) * self._per_volume

    def _everywhere(self, sums: Array) -> Array:
        held = self._held.array.reshape(-1, TOGETHER)
        held[:, : sums.shape[1]] = sums
        self._held.scatter_reverse(la.InsertMode.add)
        self._held.scatter_forward()
        return held[:, : sums.shape[1]].copy()


class _Around:
    """Gradients in the own cells of one phase, and their means around vertices."""

    def __init__(self, unknowns: common.IndexMap, dofs: Indices, volumes: Array, gradients: Array) -> None:
        """Prepare; collective.

        Args:
            unknowns: Which rank has which.
            dofs: (n, corners) unknowns at the corners.
            volumes: (n,)
            gradients: (n, dim, corners) of the basis functions.
        """
        self._dofs, self._volumes, self._gradients = dofs, volumes, gradients
        self._held = la.vector(unknowns, 1)
        whole = self._summed(np.repeat(volumes[:, None], dofs.shape[1], axis=1))
        self._per_volume = 1.0 / np.where(whole > 0, whole, 1.0)

    def excess(self, axis: int, values: Array) -> Array:
        """∫ (G p − ∂p)(G v − ∂v) dx for all v, this rank's cells' part of it, (local,); collective.

        Args:
            axis: Along which ∂ and G are taken.
            values: (local,) p at the unknowns, ghosts included.
        """
        corners = self._dofs.shape[1]
        basis, volumes = self._gradients[:, axis], self._volumes
        slopes = np.einsum("ck,ck->c", basis, values[self._dofs])
        apart = self._mean(np.repeat((volumes * slopes)[:, None], corners, axis=1))[self._dofs] - slopes[:, None]
        # The integral of products of linear functions: of all pairs of corners, those of one corner twice.
        load = (apart + apart.sum(axis=1, keepdims=True)) * (volumes / (corners * (corners + 1)))[:, None]
        back = volumes * self._mean(load)[self._dofs].sum(axis=1) - load.sum(axis=1)
        return np.asarray(np.bincount(self._dofs.ravel(), (basis * back[:, None]).ravel(), len(values)), dtype=float)

    def between(self, u: Array, p: Array, inverse: Inverse, points: Array, weights: Array) -> Array:
        """∫ (β(p) − u) v dx for all v, this rank's cells' part of it, (local,).

        Args:
            u: (local,) at the unknowns, ghosts included.
            p: (local,)
            inverse: β.
            points: (points, corners) values of the basis functions.
            weights: (points,) that add up to 1.
        """
        found = np.zeros_like(u)
        for start in range(0, len(self._dofs), CELLS):
            dofs, volumes = self._dofs[start : start + CELLS], self._volumes[start : start + CELLS]
            more = inverse(p[dofs] @ points.T) - u[dofs] @ points.T  # (cells, points)
            load = volumes[:, None] * ((more * weights) @ points)
            found += np.bincount(dofs.ravel(), load.ravel(), len(u))
        return found

    def _mean(self, at_corners: Array) -> Array:
        """Sums over the corners at each vertex, per volume of the cells around it, (local,); collective."""
        return self._summed(at_corners) * self._per_volume

    def _summed(self, at_corners: Array) -> Array:
        """Sums over the corners at each vertex, on all ranks that have it, (local,); collective."""
        held = self._held
        held.array[:] = np.bincount(self._dofs.ravel(), at_corners.ravel(), len(held.array))
        held.scatter_reverse(la.InsertMode.add)
        held.scatter_forward()
        return np.asarray(held.array.copy())


@kept
def count_neighbours(starts: Indices, cells: Indices, dofs: Indices, found: Indices) -> None:
    """Number of unknowns, (n,), that share a cell with each, itself among them.

    Args:
        starts: (n + 1,) where each unknown's cells start in the next.
        cells: Around each unknown.
        dofs: (cells, corners)
        found: (n,), changed.
    """
    last = np.full(len(found), -1)  # unknown that each was last seen beside
    for row in range(len(found)):
        found[row] = 0
        for k in range(starts[row], starts[row + 1]):
            for j in range(dofs.shape[1]):
                other = dofs[cells[k], j]
                if last[other] != row:
                    last[other] = row
                    found[row] += 1


@kept
def sum_over_cells(
    starts: Indices,
    cells: Indices,
    corners: Numbers,
    dofs: Indices,
    volumes: Array,
    gradients: Array,
    along: Array,
    rows: Indices,
    columns: Indices,
    shared: Array,
    steepness: Array,
    sums: Array,
) -> None:
    """Sums over the cells that two unknowns share, for sparse matrices of one pattern.

    Args:
        starts: See above.
        cells: See above.
        corners: Which corner of each of these cells the unknown is.
        dofs: See above.
        volumes: Of the cells.
        gradients: (cells, dim, corners) of the basis functions.
        along: (dim,) D along each axis.
        rows: (n + 1,) where the rows of the matrices start.
        columns: (entries,) of the matrices, changed.
        shared: (entries,) V, changed.
        steepness: (entries,) ∫ D ∇u·∇v of the basis functions, changed.
        sums: (dim, entries) V ∂ of the column's basis function, changed.
    """
    place = np.full(len(rows) - 1, -1)
    for row in range(len(rows) - 1):
        end = rows[row]
        for k in range(starts[row], starts[row + 1]):
            cell = cells[k]
            for j in range(dofs.shape[1]):
                other = dofs[cell, j]
                if place[other] < rows[row]:
                    place[other], columns[end] = end, other
                    end += 1
                entry = place[other]
                shared[entry] += volumes[cell]
                for axis in range(len(along)):
                    slope = volumes[cell] * gradients[cell, axis, j]
                    sums[axis, entry] += slope
                    steepness[entry] += along[axis] * gradients[cell, axis, corners[k]] * slope
