"""Surfaces of a 3D mesh with one corner of the image taken away, which is what a picture of its inside shows.

Every rank takes what it has of them from its own cells and facets. Planes cut simplices, and each new point is a
weighted mean of vertices of the mesh, so that one sparse matrix gives the values of any field there. The first slice of
the image lies in front and y grows downwards, as in pictures of 2D runs; the corner at large x, small y and small z is
taken away.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array, vstack

from dolfinx import fem, mesh as dmesh

from microlith.imaging.typing import Array
from microlith.meshing.mesh import cells as corners
from microlith.meshing.mesh.frame_facets import off_frame, on_frame
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag

Indices = NDArray[np.int64]

TOWARDS = np.array((1.0, -1.0, -1.0))  # the viewer, along each axis, who sees these faces:
SEEN = ("x_max", "y_min", "z_min")


@dataclass(frozen=True, eq=False)
class Sheet:
    """Simplices of one rank: segments, triangles or, before they are cut, tetrahedra."""

    weights: csr_array  # (n, vertices) of this rank: what each point takes of which vertex
    cells: Indices  # (m, k) rows of `weights`

    def part(self, cells: Indices) -> "Sheet":
        """Other simplices of the same points."""
        return Sheet(self.weights, cells)

    def compact(self) -> "Sheet":
        """Without the points that no simplex uses."""
        used = np.zeros(self.weights.shape[0], dtype=bool)  # marked, which is faster than sorted
        used[self.cells] = True
        return Sheet(self.weights[np.flatnonzero(used)], (np.cumsum(used) - 1)[self.cells])


@dataclass(frozen=True, eq=False)
class Cutaway:
    """What there is to see, on each rank its share; the normals of triangles point out of what is solid."""

    flat: dict[int, Sheet]  # by solved phase, triangles: on the image's faces and on the cut
    walls: dict[int, Sheet]  # by solved phase, triangles: where it borders empty space
    grains: dict[int, Sheet]  # by phase, the same ones on all ranks, triangles: where it borders solved phases
    outlines: Sheet  # segments: where phases meet on the cut and on the image's faces


@dataclass(frozen=True, eq=False)
class Vertices:
    """Vertices of this rank: those of the mesh, then one more for each further side where a field jumps."""

    x: Array  # (n, 3)
    cells: NDArray[np.int32]  # (owned cells, corners) rows of x
    dofs: NDArray[np.int32]  # (n,) degree of freedom of a field there; 0 where no own cell is


def cutaway(
    mesh: PhaseMesh, solved: NDArray[np.bool_], empty: Collection[int], center: Array, vertices: Vertices | None = None
) -> Cutaway:
    """Surfaces of this rank's cells with the corner beyond `center` taken away; no communication.

    Args:
        mesh: Three-dimensional, of tetrahedra or cubes.
        solved: (phases,) whether the phase has cells on any rank.
        empty: Phases, not solved, that are drawn as empty space.
        center: (3,) where the three planes of the cut meet, in mesh units.
        vertices: To which the sheets refer; None: those of the mesh.
    """
    x = mesh.mesh.geometry.x if vertices is None else vertices.x
    cells = corners.cell_nodes(mesh.mesh) if vertices is None else vertices.cells
    points = eye_array(len(x), format="csr")
    level = (x - center) * TOWARDS  # (n, 3): along each axis not negative where taken away
    inner = [int(i) for i in np.flatnonzero(solved)]
    phase = np.zeros(len(cells), dtype=np.int64)
    mine = mesh.cell_tags.indices < len(cells)
    phase[mesh.cell_tags.indices[mine]] = mesh.cell_tags.values[mine]

    borders = {pair: _facets(mesh, [interface_tag(*pair)], cells) for pair in _pairs(len(mesh.names), solved)}
    none = np.empty((0, 3), dtype=np.int64)
    walls: dict[int, list[Indices]] = {of: [none] for of in inner}
    grains: dict[int, list[Indices]] = {}
    for (of, outer), triangles in borders.items():
        if outer in empty:
            walls[of].append(_facing_viewer(triangles, x))
        elif not solved[outer]:
            grains.setdefault(outer, []).append(triangles[:, ::-1])

    faces, behind = _on_faces(mesh, x, cells)
    flat = {}
    for of in inner:
        own = cells[phase == of]
        caps = [beyond(_section(_simplices(own, f), points, f), level, axis) for axis, f in enumerate(level.T)]
        flat[of] = _joined([kept(Sheet(points, faces[phase[behind] == of]), level), *caps])
    between = Sheet(points, np.concatenate([none, *borders.values()]))
    lines = [beyond(_section(between.cells, points, f), level, axis) for axis, f in enumerate(level.T)]

    def left(triangles: dict[int, list[Indices]]) -> dict[int, Sheet]:
        return {of: kept(Sheet(points, np.concatenate(found)), level).compact() for of, found in triangles.items()}

    rims = Sheet(points, _rims(between.cells, x, mesh.extent))
    return Cutaway(flat=flat, walls=left(walls), grains=left(grains), outlines=_joined([kept(rims, level), *lines]))


def vertices_of(space: fem.FunctionSpace) -> Vertices:
    """Vertices of this rank's own cells with their degrees of freedom in a Lagrange space, broken or not."""
    mesh = space.mesh
    nodes = corners.cell_nodes(mesh)
    layout = space.dofmap.dof_layout
    # Without continuity none belongs to a corner; the order is the same, with those at the corners first
    at_corner = [next(iter(layout.entity_dofs(0, i)), i) for i in range(nodes.shape[1])]
    there = space.dofmap.list[: len(nodes), at_corner]
    x = mesh.geometry.x
    dofs = np.zeros(len(x), dtype=np.int32)
    dofs[nodes] = there
    beyond_first = there != dofs[nodes]
    if not beyond_first.any():
        return Vertices(x, nodes, dofs)
    more, first, number = np.unique(there[beyond_first], return_index=True, return_inverse=True)
    cells = nodes.copy()
    cells[beyond_first] = len(x) + number
    return Vertices(np.concatenate([x, x[nodes[beyond_first][first]]]), cells, np.concatenate([dofs, more]))


def thinned(sheet: Sheet, x: Array, size: float) -> Sheet:
    """The sheet with one point left of those in each cube of edge `size`, and without the triangles that collapse.

    Rossignac and Borrel (1993), Multi-resolution 3D approximations for rendering complex scenes.
    VTK's clustering (vtkQuadricClustering) makes new points; those left here are rows of `weights`, so that fields are
    taken to them as before. The cubes lie alike on all ranks, so no rank needs to know of another's surfaces.

    Args:
        sheet: Triangles.
        x: (vertices, 3) of this rank.
        size: In the unit of x.
    """
    cube = np.floor((sheet.weights @ x) / size).astype(np.int64)
    _, first, number = np.unique(_keys(cube - cube.min(axis=0, initial=0)), return_index=True, return_inverse=True)
    cells = first[number[sheet.cells]]
    a, b, c = cells.T
    cells = cells[(a != b) & (b != c) & (c != a)]
    _, once = np.unique(_keys(np.sort(cells, axis=1)), return_index=True)
    return Sheet(sheet.weights, cells[once]).compact()


def _keys(rows: Indices) -> Indices:
    """A number (n,) for each row (n, k) of small numbers that are not negative, in the order of the rows."""
    width = int(rows.max(initial=0)) + 1
    if width ** rows.shape[1] >= 1 << 63:
        return np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return reduce(lambda key, column: key * width + column, rows.T)


def _pairs(phases: int, solved: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs of phases between which there may be facets, a solved one first."""
    inner = [phase for phase in range(phases) if solved[phase]]
    return [(a, b) for a in inner for b in range(phases) if a != b and (a < b or not solved[b])]


def _on_faces(mesh: PhaseMesh, x: Array, cells: NDArray[np.int32]) -> tuple[Indices, Indices]:
    """Triangles (n, 3) of this rank's own cells on the image's faces in view, facing outwards, and their cells (n,)."""
    facets = on_frame(mesh, SEEN)
    nodes, cell = facets.corners(mesh, cells).astype(np.int64), facets.cell.astype(np.int64)
    if nodes.shape[1] == 4:
        nodes, cell = corners.as_simplices(nodes).reshape(-1, 3), np.repeat(cell, 2)
    return _facing_away(nodes, x, x[cells[cell]].mean(axis=1)), cell


def _facing_away(triangles: Indices, x: Array, points: Array) -> Indices:
    """The triangles (n, 3), turned where their front faces a point (n, 3)."""
    p, q, r = (x[triangles[:, i]] for i in range(3))
    towards = (np.cross(q - p, r - p) * (points - p)).sum(axis=1) > 0
    triangles[towards] = triangles[towards, ::-1]
    return triangles


def _facets(mesh: PhaseMesh, tags: Sequence[int], cells: NDArray[np.int32]) -> Indices:
    """Vertices (n, 3) of this rank's own facets within the image with these tags, as triangles.

    Those of one cell face away from it.

    Args:
        mesh: The mesh.
        tags: Of facets.
        cells: (owned cells, corners) vertices of the cells, of which facets of one cell take theirs.
    """
    domain, found = mesh.mesh, mesh.facet_tags
    mine = found.indices < domain.topology.index_map(2).size_local
    facets = off_frame(mesh, found.indices[mine & np.isin(found.values, tags)])
    if len(facets) == 0:  # DOLFINx 0.9 divides by their number
        return np.empty((0, 3), dtype=np.int64)
    domain.topology.create_connectivity(2, 3)
    nodes = dmesh.entities_to_geometry(domain, 2, facets).astype(np.int64)
    links = domain.topology.connectivity(2, 3)
    cell = links.array[links.offsets[facets]]
    if nodes.shape[1] == 4:
        nodes, cell, facets = (
            corners.as_simplices(nodes).reshape(-1, 3).astype(np.int64),
            np.repeat(cell, 2),
            facets.repeat(2),
        )
    nodes = _facing_away(nodes, domain.geometry.x, dmesh.compute_midpoints(domain, 3, cell))
    alone = (np.diff(links.offsets)[facets] == 1) & (cell < len(cells))
    own = cell[alone]
    corner = (corners.cell_nodes(domain)[own, None] == nodes[alone][:, :, None]).argmax(axis=2)
    nodes[alone] = np.take_along_axis(cells[own], corner, axis=1)
    return nodes


def _facing_viewer(triangles: Indices, x: Array) -> Indices:
    """Those whose front may be seen; the others lie behind what they belong to."""
    p, q, r = (x[triangles[:, i]] for i in range(3))
    return triangles[(np.cross(q - p, r - p) * TOWARDS > 0).any(axis=1)]


def _rims(triangles: Indices, x: Array, extent: Sequence[float]) -> Indices:
    """Edges (n, 2) of interfaces that lie on the image's faces in view."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for axis in range(3):
        at = extent[axis] if TOWARDS[axis] > 0 else 0.0
        on = np.abs(x[triangles, axis] - at) < 1e-6 * max(extent)
        found += [triangles[on[:, i] & on[:, i - 1]][:, [i - 1, i]] for i in range(3)]
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _simplices(cells: NDArray[np.int32], f: Array) -> Indices:
    """Tetrahedra (n, 4) of the cells through which the plane f = 0 goes."""
    cut = np.zeros(len(cells), dtype=bool)
    for chunk in np.array_split(np.arange(len(cells)), max(1, len(cells) // 500_000)):
        near = f[cells[chunk]] < 0
        cut[chunk] = near.any(axis=1) & ~near.all(axis=1)
    straddling = cells[cut].astype(np.int64)
    return straddling if cells.shape[1] == 4 else corners.as_simplices(straddling).reshape(-1, 4).astype(np.int64)


def _section(cells: Indices, vertices: csr_array, f: Array) -> Sheet:
    """Where the plane f = 0 cuts tetrahedra (triangles of it), or triangles (segments)."""
    near = f[cells] < 0
    order = np.argsort(~near, axis=1, kind="stable")  # the near corners first
    sorted_, count = np.take_along_axis(cells, order, axis=1), near.sum(axis=1)
    k = cells.shape[1]
    pieces = []  # corners of each piece as pairs of ends, (m, k - 1, 2)
    for alone, ways in ((1, [[(0, j) for j in range(1, k)]]), (k - 1, [[(j, k - 1) for j in range(k - 1)]])):
        pieces += [sorted_[count == alone][:, way] for way in ways]
    if k == 4:  # two corners on each side: a quadrilateral, as two triangles
        pieces += [sorted_[count == 2][:, way] for way in (((0, 2), (0, 3), (1, 3)), ((0, 2), (1, 3), (1, 2)))]
    ends = np.concatenate([piece.reshape(-1, 2) for piece in pieces])
    weights, number = _on_edges(vertices, f, ends)
    return Sheet(weights, number.reshape(-1, k - 1))


def _split(sheet: Sheet, level: Array) -> tuple[Sheet, Sheet]:
    """Segments or triangles on the near side of a plane, where the level of the vertices is negative, and beyond it."""
    f = sheet.weights @ level
    near = f[sheet.cells] < 0
    k, count = near.shape[1], near.sum(axis=1)
    mixed = (count > 0) & (count < k)
    alone_near = count[mixed] == 1
    first = np.argmax(near[mixed] == alone_near[:, None], axis=1)  # the corner alone on its side
    turned = np.take_along_axis(sheet.cells[mixed], (first[:, None] + np.arange(k)) % k, axis=1)
    weights, new = _on_edges(sheet.weights, f, np.stack([np.repeat(turned[:, :1], k - 1, axis=1), turned[:, 1:]], 2))
    new = new.reshape(-1, k - 1) + len(f)
    tip = np.concatenate([turned[:, :1], new], axis=1)
    if k == 2:
        rests = [np.concatenate([new, turned[:, 1:]], axis=1)]
    else:
        rests = [np.column_stack([new[:, 0], turned[:, 1:]]), np.column_stack([new[:, 0], turned[:, 2], new[:, 1]])]
    both = Sheet(vstack([sheet.weights, weights], format="csr"), sheet.cells)
    return (
        both.part(np.concatenate([sheet.cells[count == k], tip[alone_near], *(r[~alone_near] for r in rests)])),
        both.part(np.concatenate([sheet.cells[count == 0], tip[~alone_near], *(r[alone_near] for r in rests)])),
    )


def _on_edges(weights: csr_array, f: Array, ends: Indices) -> tuple[csr_array, Indices]:
    """Points where f, linear between the two ends (..., 2), vanishes: their weights, and the row of each."""
    a, b = np.sort(ends.reshape(-1, 2).astype(np.int64, copy=False), axis=1).T
    pairs, number = np.unique(a * len(f) + b, return_inverse=True)
    a, b = np.divmod(pairs, max(1, len(f)))
    t = f[a] / np.where(len(a) > 0, f[a] - f[b], 1.0)
    rows = np.arange(len(pairs))
    mean = csr_array(
        (np.concatenate([1 - t, t]), (np.concatenate([rows, rows]), np.concatenate([a, b]))), shape=(len(pairs), len(f))
    )
    return mean @ weights, number.ravel()


def kept(sheet: Sheet, level: Array) -> Sheet:
    """What is left of segments or triangles when the part beyond all three planes is taken away."""
    parts, rest = [], sheet
    for axis in range(3):
        near, rest = _split(rest, level[:, axis])
        parts.append(near.compact())
    return _joined(parts)


def beyond(sheet: Sheet, level: Array, axis: int) -> Sheet:
    """What of a section along one plane lies beyond the two others."""
    for other in {0, 1, 2} - {axis}:
        sheet = _split(sheet, level[:, other])[1]
    return sheet.compact()


def _joined(sheets: Sequence[Sheet]) -> Sheet:
    shifts = np.cumsum([0, *(sheet.weights.shape[0] for sheet in sheets[:-1])])
    cells = [sheet.cells + shift for sheet, shift in zip(sheets, shifts, strict=True)]
    return Sheet(vstack([sheet.weights for sheet in sheets], format="csr"), np.concatenate(cells))
