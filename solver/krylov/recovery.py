"""How much too stiff linear elements are, from gradients that are recovered: Zienkiewicz and Zhu's estimate.

The gradient of a piecewise linear function jumps from cell to cell. Its mean over the cells around a vertex, weighted
by their measures and taken within one phase, is nearer to the gradient of the smooth function that it stands for
(Zienkiewicz and Zhu, Int. J. Numer. Meth. Eng. 24 (1987) 337, doi 10.1002/nme.1620240206). The energy of what lies
between the two is that by which the elements' function exceeds the smooth one.
"""

import numpy as np
from scipy.sparse import csr_array

from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import cell_nodes, edges, inverses, measures
from microlith.solver.problem.problem import Problem

CELLS = 20_000  # looked at together, which bounds the memory


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
        for axis, factor in enumerate(along):  # one after the other, so that one component is held at a time
            total += factor * cells.energies(phase, axis, values)
    return np.asarray(problem.space.mesh.comm.allreduce(total, op=MPI.SUM))


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

    def vector(self, count: int) -> la.Vector:
        """For values (local unknowns, count) of functions, ghosts included, flat."""
        return la.vector(self._index_map, count)

    def energies(self, phase: int, axis: int, values: la.Vector) -> Array:
        """∫ (G u_i − ∂u_i)(G u_j − ∂u_j) dx over the own cells of one phase, ∂ along one axis, (m, m); collective."""
        cells = np.flatnonzero(self._tags == phase).astype(np.int32)
        at_dofs = values.array.reshape(-1, values.block_size)
        holder = self._recovered(cells, axis, values)
        recovered = holder.array.reshape(at_dofs.shape)
        total = np.zeros((values.block_size, values.block_size))
        corners = self._dofs.shape[1]
        for start in range(0, len(cells), CELLS):
            some = cells[start : start + CELLS]
            dofs = self._dofs[some]
            gradients = np.einsum("ck,ckm->cm", self._gradients[some, axis], at_dofs[dofs], optimize=True)
            apart = recovered[dofs] - gradients[:, None]  # (cells, corners, m)
            # The integral of products of linear functions: of all pairs of corners, those of one corner twice.
            weight = np.sqrt(self._volumes[some] / (corners * (corners + 1)))
            for part in (apart * weight[:, None, None], apart.sum(axis=1) * weight[:, None]):
                rows = part.reshape(-1, values.block_size)
                total += rows.T @ rows
        return total

    def _recovered(self, cells: Indices, axis: int, values: la.Vector) -> la.Vector:
        """Recovered gradients along one axis from values, 0 at unknowns that no cell of these has; collective."""
        found, volume = self.vector(values.block_size), self.vector(1)
        count, corners = len(volume.array), self._dofs.shape[1]
        dofs, rows = self._dofs[cells].ravel(), np.arange(0, corners * len(cells) + 1, corners)
        slopes = csr_array((self._gradients[cells, axis].ravel(), dofs, rows), shape=(len(cells), count))
        around = csr_array((np.repeat(self._volumes[cells], corners), dofs, rows), shape=slopes.shape).T
        found.array[:] = ((around @ slopes) @ values.array.reshape(count, -1)).ravel()
        volume.array[:] = around.sum(axis=1)
        for vector in (found, volume):
            vector.scatter_reverse(la.InsertMode.add)
            vector.scatter_forward()
        means = found.array.reshape(count, -1)
        means /= np.where(volume.array > 0, volume.array, 1.0)[:, None]
        return found
