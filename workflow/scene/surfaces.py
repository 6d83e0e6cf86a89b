"""Surfaces of solved phases, each towards what borders it, on each rank its share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import eye_array

from dolfinx import mesh as dmesh

from microlith.imaging.axes import FACES
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh import cells as corners
from microlith.meshing.mesh.frame_facets import off_frame, on_frame
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.workflow.rendering.cutaway import Indices, Sheet, Vertices, thinned


@dataclass(frozen=True, eq=False)
class Surface:
    """Part of the surface of a solved phase."""

    phase: int  # that it is of, and whose concentration it shows
    towards: int | None  # phase on the other side: a barrier, a sink, or solved; None: sources and faces of the image
    sheet: Sheet  # triangles of this rank


def surfaces(mesh: PhaseMesh, solved: Flags, empty: Sequence[int], vertices: Vertices) -> list[Surface]:
    """The surfaces of all solved phases, the same ones in the same order on all ranks; no communication.

    Args:
        mesh: Three-dimensional, of tetrahedra or cubes.
        solved: (phases,) whether the phase has cells on any rank.
        empty: Phases, not solved, that count as empty space: sources.
        vertices: To which the sheets refer.
    """
    phases = range(len(mesh.names))
    points = eye_array(len(vertices.x), format="csr")
    found = []
    for of in (int(phase) for phase in np.flatnonzero(solved)):
        others = [other for other in phases if other != of and other not in empty]
        for other in others:
            triangles = _sides(mesh, of, [interface_tag(of, other)], vertices)
            found.append(Surface(of, other, Sheet(points, triangles)))
        fed = _sides(mesh, of, [interface_tag(of, source) for source in empty], vertices)
        found.append(Surface(of, None, Sheet(points, np.concatenate([fed, _on_faces(mesh, of, vertices)]))))
    return [replace(one, sheet=one.sheet.compact()) for one in found]


def smaller(found: Sequence[Surface], x: Array, size: float) -> list[Surface]:
    """With one point left of those in each cube of an edge `size`, in the unit of x."""
    return [replace(one, sheet=thinned(one.sheet, x, size)) for one in found]


def _on_faces(mesh: PhaseMesh, of: int, vertices: Vertices) -> Indices:
    """Triangles (n, 3) of this rank's own cells of a phase on the outer faces of the image."""
    facets = on_frame(mesh, FACES)
    mine = _phase_of_cells(mesh)[facets.cell] == of
    return _triangles(facets.corners(mesh, vertices.cells)[mine])


def _phase_of_cells(mesh: PhaseMesh) -> Array:
    cells = mesh.mesh.topology.index_map(3)
    phase = np.full(cells.size_local + cells.num_ghosts, -1)
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    return phase


def _triangles(facets: Indices) -> Indices:
    """Vertices (n, 3) of facets, of which those of cubes are two triangles each."""
    found = facets.astype(np.int64)
    return found if found.shape[1] == 3 else corners.as_simplices(found).reshape(-1, 3).astype(np.int64)


def _sides(mesh: PhaseMesh, of: int, tags: Sequence[int], vertices: Vertices) -> Indices:
    """Triangles (n, 3) of facets within the image with these tags, by the vertices of this rank's cell behind."""
    domain, found = mesh.mesh, mesh.facet_tags
    facets = off_frame(mesh, found.indices[np.isin(found.values, tags)])
    if len(facets) == 0:
        return np.empty((0, 3), dtype=np.int64)
    domain.topology.create_connectivity(2, 3)
    links = domain.topology.connectivity(2, 3)
    counts = np.diff(links.offsets)[facets]
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    cell = links.array[np.repeat(links.offsets[facets], counts) + within]  # all cells at each of the facets
    facet = np.repeat(facets, counts)
    owned = len(vertices.cells)
    mine = (cell < owned) & (_phase_of_cells(mesh)[cell] == of)
    facet, cell = facet[mine].astype(np.int32), cell[mine]
    if len(facet) == 0:
        return np.empty((0, 3), dtype=np.int64)
    nodes = dmesh.entities_to_geometry(domain, 2, facet)
    corner = (corners.cell_nodes(domain)[cell][:, None, :] == nodes[:, :, None]).argmax(axis=2)
    return _triangles(vertices.cells[cell[:, None], corner])
