"""How large a mesh will be: what meshers tell of it before they make it, and how many unknowns it gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.mesh.simplices import single_facets

# Vertices of a mesh of tetrahedra, per tetrahedron and per facet of its surface: fitted to twelve meshes of bisected
# lattices cut at interfaces, which they meet within 3 %. Inside there are 5.5 tetrahedra for each vertex.
PER_TETRAHEDRON, PER_FACET = 0.1825, 0.2717


@dataclass(frozen=True)
class ExpectedMesh:
    """About how many cells a mesh has, and how many vertices, edges and faces its solved part."""

    shape: str  # of the cells: "triangle", "tetrahedron", "quadrilateral" or "hexahedron"
    cells: float  # of all phases that are meshed
    entities: tuple[float, ...]  # of the solved part, by dimension: vertices, edges, [faces,] cells

    @property
    def solved(self) -> float:
        """Cells of the solved phases."""
        return self.entities[-1]

    @property
    def facets(self) -> float:
        """At the surface of the solved part."""
        sides = {"triangle": 3, "quadrilateral": 4, "tetrahedron": 4, "hexahedron": 6}[self.shape]
        return max(0.0, 2 * self.entities[-2] - sides * self.solved)

    def nodes(self, degree: int) -> int:
        """Of each cell."""
        dim = len(self.entities) - 1
        return math.comb(dim + degree, dim) if self.shape in ("triangle", "tetrahedron") else (degree + 1) ** dim

    def unknowns(self, degree: int) -> float:
        """Of Lagrange elements of a degree on the solved part."""
        if self.shape in ("triangle", "tetrahedron"):
            inside = [float(math.comb(degree - 1, dim)) for dim in range(len(self.entities))]
        else:
            inside = [float(degree - 1) ** dim for dim in range(len(self.entities))]
        return sum(count * nodes for count, nodes in zip(self.entities, inside, strict=True))


def of_triangles(cells: float, solved: float, edges: float) -> ExpectedMesh:
    """A mesh of triangles, by Euler's formula.

    Args:
        cells: All of them.
        solved: Those of the solved phases.
        edges: At the surface of the solved part.
    """
    return ExpectedMesh("triangle", cells, (0.5 * (solved + edges), 0.5 * (3 * solved + edges), solved))


def of_tetrahedra(cells: float, solved: float, facets: float) -> ExpectedMesh:
    """A mesh of tetrahedra, by Euler's formula and the usual number of vertices.

    Args:
        cells: All of them.
        solved: Those of the solved phases.
        facets: At the surface of the solved part.
    """
    facets = min(facets, 2.0 * solved)  # more would be single tetrahedra
    return _of_tetrahedra(cells, solved, facets, PER_TETRAHEDRON * solved + PER_FACET * facets)


def _of_tetrahedra(cells: float, solved: float, facets: float, vertices: float) -> ExpectedMesh:
    return ExpectedMesh(
        "tetrahedron", cells, (vertices, vertices + solved + 0.5 * facets, 2 * solved + 0.5 * facets, solved)
    )


def of_mesh(mesh: ImageMesh, solved: Sequence[int]) -> ExpectedMesh:
    """A mesh of simplices that is there already, counted.

    Args:
        mesh: All cells on one rank.
        solved: Indices of the solved phases.
    """
    cells = mesh.cells[np.isin(mesh.phase, list(solved))]
    facets = float(len(single_facets(cells, len(mesh.points))))
    if mesh.shape == "triangle":
        return of_triangles(float(len(mesh.cells)), float(len(cells)), facets)
    vertices = float(len(np.unique(cells)))
    return _of_tetrahedra(float(len(mesh.cells)), float(len(cells)), facets, vertices)
