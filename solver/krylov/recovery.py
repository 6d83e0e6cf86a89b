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
from microlith.meshing.mesh.cells import cell_corners, edges, inverses, measures
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
    cells = _Cells(problem, diffusivity)
    total = np.zeros((len(vectors), len(vectors)))
    for phase in range(len(diffusivity)):
        total += cells.of_phase(phase, vectors)
    return np.asarray(problem.space.mesh.comm.allreduce(total, op=MPI.SUM))


class _Cells:
    """This rank's own cells, with the gradients of their basis functions."""

    def __init__(self, problem: Problem, diffusivity: Array) -> None:
        mesh = problem.discretization.mesh
        corners = cell_corners(mesh.mesh)
        inverse = inverses(edges(corners))
        self._dim = corners.shape[2]
        self._gradients = np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2)  # (n, dim, corners)
        self._volumes = measures(corners)
        self._dofs: Indices = problem.space.dofmap.list[: len(corners)]
        self._index_map = problem.space.dofmap.index_map
        self._diffusivity = diffusivity
        tags = np.full(len(corners), -1)
        own = mesh.cell_tags.indices < len(corners)
        tags[mesh.cell_tags.indices[own]] = mesh.cell_tags.values[own]
        self._tags = tags

    def of_phase(self, phase: int, vectors: Array) -> Array:
        """The integrals over the own cells of one phase; collective."""
        cells = np.flatnonzero(self._tags == phase).astype(np.int32)
        values = self._ghosted(vectors.T)
        recovered = self._recovered(cells, values)
        total = np.zeros((len(vectors), len(vectors)))
        for start in range(0, len(cells), CELLS):
            some = cells[start : start + CELLS]
            dofs = self._dofs[some]
            gradients = np.einsum("cdk,ckm->cdm", self._gradients[some], values[dofs], optimize=True)
            apart = recovered[dofs] - gradients[:, None]  # (cells, corners, dim, m)
            count = self._dim + 1
            # The integral of products of linear functions: of all pairs of corners, those of one corner twice.
            weight = np.sqrt(self._volumes[some, None] * self._diffusivity[phase] / (count * (count + 1)))
            for part in (apart * weight[:, None, :, None], apart.sum(axis=1) * weight[:, :, None]):
                rows = part.reshape(-1, len(vectors))
                total += rows.T @ rows
        return total

    def _recovered(self, cells: Indices, values: Array) -> Array:
        """Recovered gradients at the local unknowns (unknowns, dim, m) from the values there (unknowns, m)."""
        local, count = len(values), self._dim + 1
        vertex, cell = self._dofs[cells].ravel(), np.repeat(np.arange(len(cells)), count)
        around = csr_array((np.repeat(self._volumes[cells], count), (vertex, cell)), shape=(local, len(cells)))
        sums = np.empty((local, self._dim, values.shape[1]))
        for axis in range(self._dim):
            entries = (self._gradients[cells, axis].ravel(), (cell, vertex))
            sums[:, axis] = (around @ csr_array(entries, shape=(len(cells), local))) @ values
        volume = self._summed(np.asarray(around.sum(axis=1)).reshape(local, 1))
        mean = self._summed(sums.reshape(local, -1)) / np.where(volume > 0, volume, 1.0)
        return mean.reshape(local, self._dim, -1)

    def _ghosted(self, owned: Array) -> Array:
        """Values (unknowns, m) of this rank and of its ghosts."""
        vector = la.vector(self._index_map, owned.shape[1])
        found = vector.array.reshape(-1, owned.shape[1])
        found[: len(owned)] = owned
        vector.scatter_forward()
        return found.copy()

    def _summed(self, parts: Array) -> Array:
        """Sums (unknowns, m) over all ranks of what each has found at its local unknowns."""
        vector = la.vector(self._index_map, parts.shape[1])
        vector.array[:] = parts.ravel()
        vector.scatter_reverse(la.InsertMode.add)
        vector.scatter_forward()
        return np.asarray(vector.array.reshape(parts.shape).copy())
