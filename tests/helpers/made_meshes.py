"""Meshes made by hand for tests: no image, no mesher, sizes that can be counted."""

import itertools

import numpy as np

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.meshing.mesh.phasemesh import ImageMesh, PhaseMesh, face_tag, interface_tag, no_triangles

EPS = 1e-9


def rectangle(comm, cells, size, phase_of=None, names=("medium",), unit=1e-6, kind=dmesh.CellType.triangle):
    """Rectangle [0, size] of triangles or squares, all solved; phase_of(x (2, n)) -> phase index, one by default."""
    shared = dmesh.GhostMode.shared_facet
    mesh = dmesh.create_rectangle(comm, [[0.0, 0.0], list(size)], list(cells), kind, ghost_mode=shared)
    index_map = mesh.topology.index_map(2)
    count = index_map.size_local + index_map.num_ghosts
    middles = dmesh.compute_midpoints(mesh, 2, np.arange(count, dtype=np.int32))
    phases = np.zeros(count, np.int32) if phase_of is None else np.asarray(phase_of(middles.T[:2]), dtype=np.int32)
    cell_tags = dmesh.meshtags(mesh, 2, np.arange(count, dtype=np.int32), phases)
    mesh.topology.create_connectivity(1, 2)
    tags = {}
    for name, axis, at in (("x_min", 0, 0.0), ("x_max", 0, size[0]), ("y_min", 1, 0.0), ("y_max", 1, size[1])):
        for facet in dmesh.locate_entities_boundary(mesh, 1, lambda x, a=axis, v=at: np.abs(x[a] - v) < EPS):
            tags[facet] = face_tag(name)
    links = mesh.topology.connectivity(1, 2)
    for facet in range(mesh.topology.index_map(1).size_local + mesh.topology.index_map(1).num_ghosts):
        sides = phases[links.links(facet)]
        if len(sides) == 2 and sides[0] != sides[1]:
            tags[facet] = interface_tag(*sides)
    facets = np.array(sorted(tags), dtype=np.int32)
    values = np.array([tags[f] for f in facets], dtype=np.int32)
    return PhaseMesh(mesh, cell_tags, dmesh.meshtags(mesh, 1, facets, values), tuple(names), unit, tuple(size))


def brick(comm, cells, size, kind, phase_of=None, names=("medium",), unit=1e-6):
    """Box [0, size] of tetrahedra or cubes, all solved, with tags on faces and interfaces; phases as in rectangle()."""
    shared = dmesh.GhostMode.shared_facet
    mesh = dmesh.create_box(comm, [[0.0, 0.0, 0.0], list(size)], list(cells), kind, ghost_mode=shared)
    count = mesh.topology.index_map(3).size_local + mesh.topology.index_map(3).num_ghosts
    cell = np.arange(count, dtype=np.int32)
    phases = np.zeros(count, np.int32)
    if phase_of is not None:
        phases[:] = phase_of(dmesh.compute_midpoints(mesh, 3, cell).T)
    mesh.topology.create_connectivity(2, 3)
    sides = mesh.topology.connectivity(2, 3)
    tags = np.zeros(len(sides.offsets) - 1, np.int32)
    for i, name in enumerate(("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")):
        axis, at = i // 2, (i % 2) * size[i // 2]
        tags[dmesh.locate_entities_boundary(mesh, 2, lambda x, a=axis, v=at: np.abs(x[a] - v) < EPS)] = face_tag(name)
    two = np.flatnonzero(np.diff(sides.offsets) == 2)
    one, other = (phases[sides.array[sides.offsets[two] + k]] for k in range(2))
    low, high = np.minimum(one, other), np.maximum(one, other)
    tags[two[low < high]] = [interface_tag(a, b) for a, b in zip(low[low < high], high[low < high], strict=True)]
    facets = np.flatnonzero(tags).astype(np.int32)
    cell_tags = dmesh.meshtags(mesh, 3, cell, phases)
    return PhaseMesh(mesh, cell_tags, dmesh.meshtags(mesh, 2, facets, tags[facets]), tuple(names), unit, tuple(size))


def pixels_as_triangles(labels, names, comm, unit=1e-6):
    """Each pixel of labels (y, x) as two triangles, on rank 0: stair-stepped, but every area is known exactly."""
    rows, columns = labels.shape
    extent = (float(columns), float(rows))
    if comm.rank > 0:
        return no_triangles(tuple(names), unit, extent)
    y, x = np.mgrid[0 : rows + 1, 0 : columns + 1]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(float)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    a, b, c, d = corner, corner + 1, corner + columns + 2, corner + columns + 1
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    phase = np.tile(labels.ravel(), 2).astype(np.uint8)
    vertex = np.arange(len(points))
    return ImageMesh(points, vertex, triangles, phase, "triangle", tuple(names), unit, extent)


def _in_box(shape):
    """Cells that fill a box, as corners of it (bit i of a corner is its place along axis i)."""
    if shape in ("quadrilateral", "hexahedron"):
        return [list(range(4 if shape == "quadrilateral" else 8))]
    dim = 2 if shape == "triangle" else 3
    cells = []
    for order in itertools.permutations(range(dim)):  # Kuhn: from the first corner to the last, axis after axis
        path = [0, *np.cumsum([1 << axis for axis in order]).tolist()]
        if np.linalg.det(np.eye(dim)[list(order)]) < 0:
            path[-2:] = path[:-3:-1]
        cells.append(path)
    return cells


def voxels_as_cells(labels, names, shape, comm, rank_of, edge=None, unit=1e-6):
    """Every voxel of labels ([z,] y, x) as cells of a shape, each on the rank that rank_of (m,) -> (m,) says."""
    dim = labels.ndim
    edge = np.ones(dim) if edge is None else np.asarray(edge, float)
    voxel = np.stack(np.unravel_index(np.arange(labels.size), labels.shape)[::-1], axis=1)
    corner = (np.arange(1 << dim)[:, None] >> np.arange(dim)) & 1
    at = voxel[:, None] + corner
    number = np.ravel_multi_index(tuple(at[..., ::-1].transpose(2, 0, 1)), tuple(n + 1 for n in labels.shape))
    cells = number[:, _in_box(shape)].reshape(-1, len(_in_box(shape)[0]))
    phase = np.repeat(labels.ravel(), len(_in_box(shape))).astype(np.uint8)
    mine = np.asarray(rank_of(np.arange(len(cells)))) == comm.rank
    vertex, rows = np.unique(cells[mine], return_inverse=True)
    place = np.stack(np.unravel_index(vertex, tuple(n + 1 for n in labels.shape))[::-1], axis=1)
    extent = tuple((np.array(labels.shape[::-1]) * edge).tolist())
    rows = rows.reshape(-1, cells.shape[1]).astype(np.int32)
    return ImageMesh(place * edge, vertex * 5 + 11, rows, phase[mine], shape, tuple(names), unit, extent)


def image_as_cells(image, shape, comm, owner=None):
    """Every voxel of an image as cells of a shape; `owner` (voxels,) has its rank, -1 where it is left out."""
    each = len(_in_box(shape))
    owner = np.zeros(image.phase.size, int) if owner is None else owner
    return voxels_as_cells(
        image.phase, image.names, shape, comm, lambda cell: owner[cell // each], image.pixel, image.unit
    )


def everywhere(index):
    """phase_at that knows one phase only."""
    return lambda x: np.full(len(x), index, np.uint8)


COMM = MPI.COMM_WORLD
