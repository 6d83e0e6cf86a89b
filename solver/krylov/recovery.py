"""How much too stiff linear elements are, from gradients that are recovered: Zienkiewicz and Zhu's estimate.

The gradient of a piecewise linear function jumps from cell to cell. Its mean over the cells around a vertex, weighted
by their measures and taken within one phase, is nearer to the gradient of the smooth function that it stands for
(Zienkiewicz and Zhu, Int. J. Numer. Meth. Eng. 24 (1987) 337, doi 10.1002/nme.1620240206). The energy of what lies
between the two is that by which the elements' function exceeds the smooth one.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.sparse import csr_array, diags_array

import basix
from dolfinx import common, la
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import cell_nodes, edges, inverses, measures
from microlith.solver.problem.problem import Problem

Inverse = Callable[[Array], Array]  # u of a potential

QUADRATURE = 2  # degree
CELLS = 20_000  # looked at together, which bounds the memory
ROWS = 1_000  # of some tens of numbers, which plain libraries of linear algebra take from memory again and again


def is_recoverable(problem: Problem) -> bool:
    """Whether gradients can be recovered: of degree 1 on triangles and tetrahedra."""
    mesh = problem.space.mesh
    return problem.discretization.degree == 1 and problem.space.dofmap.list.shape[1] == mesh.topology.dim + 1


def excess_energies(problem: Problem, diffusivity: Array, vectors: Array) -> Array:
    """∫ D (G u_i − ∇u_i)·(G u_j − ∇u_j) dx for all pairs of functions, G the recovered gradient, (m, m); collective.

    Args:
        problem: Of degree 1, on triangles or tetrahedra.
        diffusivity: (phases, dim) along each axis, scaled, times κ.
        vectors: (m, owned) unknowns.
    """
    cells = _Cells(problem)
    values = cells.vector(len(vectors))
    values.array[: vectors.size] = vectors.T.ravel()
    values.scatter_forward()
    total = np.zeros((len(vectors), len(vectors)))
    for phase, along in enumerate(diffusivity):
        if cells.are_there(phase):
            total += cells.energies(phase, along, values)
    total = problem.space.mesh.comm.allreduce(total, op=MPI.SUM)
    return np.asarray((total + total.T) / 2)


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

    def vector(self, count: int) -> la.Vector:
        """For values (local unknowns, count) of functions, ghosts included, flat."""
        return la.vector(self._index_map, count)

    def energies(self, phase: int, along: Array, values: la.Vector) -> Array:
        """∫ D (G u_i − ∇u_i)·(G u_j − ∇u_j) dx over the own cells of one phase, (m, m); collective.

        With k values r at the corners of a cell, the integral of (r − g)² is V ((r̄ − g)² + Σ (r − r̄)²/(k (k + 1))).
        Multiplied out it is made of products of sparse matrices of the unknowns, which are fewer than the cells.

        Args:
            phase: Its number.
            along: (dim,) D along each axis.
            values: Those of functions at the unknowns, as `vector` has them.
        """
        cells = np.flatnonzero(self._tags == phase)
        corners, volumes = self._dofs.shape[1], self._volumes[cells]
        at_dofs = values.array.reshape(-1, values.block_size)
        dofs, rows = self._dofs[cells].ravel(), np.arange(0, corners * len(cells) + 1, corners)

        def of_cells(entries: Array) -> csr_array:
            return csr_array((entries.ravel(), dofs, rows), (len(cells), len(at_dofs)))

        at_corners = of_cells(np.repeat(volumes, corners)).T.tocsr()  # sums over the cells around each unknown
        around = np.asarray(at_corners.sum(axis=1)).ravel()
        mean = at_corners @ of_cells(np.full(len(dofs), 1.0 / corners))
        # What makes Σ V (r̄² + Σ (r − r̄)²/(k (k + 1))) of all cells
        squares = mean / corners + (diags_array(around) - mean) / (corners * (corners + 1))
        total = np.zeros((values.block_size, values.block_size))
        steepness = csr_array((len(at_dofs), len(at_dofs)))
        for axis, factor in enumerate(along):  # one after the other, so that one component is held at a time
            slopes = of_cells(self._gradients[cells, axis])
            steepness += factor * (of_cells(self._gradients[cells, axis] * volumes[:, None]).T @ slopes)
            gradients = (at_corners @ slopes) @ at_dofs
            recovered = self._recovered(around, gradients)
            crossed = _products(recovered, gradients)
            total += factor * (_products(recovered, squares @ recovered) - (crossed + crossed.T) / corners)
        return total + _products(at_dofs, steepness @ at_dofs)

    def _recovered(self, around: Array, gradients: Array) -> Array:
        """Recovered gradients (unknowns, m), 0 at unknowns that no cell of these has; collective.

        Args:
            around: (unknowns,) volume of the own cells around each.
            gradients: (unknowns, m) sums of theirs, each times the volume.
        """
        found, volume = self.vector(gradients.shape[1]), self.vector(1)
        found.array[:], volume.array[:] = gradients.ravel(), around
        for vector in (found, volume):
            vector.scatter_reverse(la.InsertMode.add)
            vector.scatter_forward()
        means = found.array.reshape(gradients.shape)  # also where a rank has no cells
        return np.asarray(means / np.where(volume.array > 0, volume.array, 1.0)[:, None])


def _products(one: Array, other: Array) -> Array:
    """Sums over the rows of the products of columns (n, m), (m, m); by rows that fit the processor's cache."""
    found = np.zeros((one.shape[1], other.shape[1]))
    for start in range(0, len(one), ROWS):
        some = slice(start, start + ROWS)
        found += one[some].T @ other[some]
    return found


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
