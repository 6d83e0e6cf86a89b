"""From a triangulation on one rank to the DOLFINx mesh of the solved phases on all ranks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

import basix.ufl
import dolfinx.graph
import dolfinx.io
import dolfinx.mesh
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI

from microlith.imaging.axes import FACES
from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.meshing.mesh.phasemesh import PhaseMesh, Triangulation, face_tag, interface_tag


def distribute(triangulation: Triangulation | None, solved: Sequence[int], comm: MPI.Intracomm) -> PhaseMesh:
    """Make the distributed mesh of the solved phases; collective.

    Where a solved phase touches itself only in one point (two pixels that share a corner and no edge), that point is
    doubled: nothing diffuses through a contact of no width.

    Args:
        triangulation: all triangles, on rank 0; None on the other ranks.
        solved: indices of the phases whose triangles become cells.
        comm: communicator of the mesh.

    Returns:
        Mesh with the phase of every cell and the tags of outer faces and interfaces, those to phases that are not
        solved included.

    Raises:
        InputError: no triangle belongs to a solved phase (on all ranks).
    """
    parts = on_root(comm, _solved_part, triangulation, tuple(solved))
    about = (triangulation.names, triangulation.unit, triangulation.extent) if triangulation is not None else None
    names, unit, extent = comm.bcast(about)
    points, cells, phase, facets, tags = _nothing() if parts is None else parts
    mesh = create_mesh(comm, cells, points, "triangle")
    return PhaseMesh(
        mesh=mesh,
        cell_tags=spread_tags(mesh, 2, cells, phase),
        facet_tags=spread_tags(mesh, 1, facets, tags),
        names=names,
        unit=unit,
        extent=extent,
    )


def create_mesh(comm: MPI.Intracomm, cells: NDArray[np.int64], points: NDArray[np.float64], shape: str) -> Mesh:
    """Affine mesh with shared-facet ghosts, from cells and points that any rank may hold; collective."""
    mode = dolfinx.mesh.GhostMode.shared_facet
    try:
        partitioner = dolfinx.mesh.create_cell_partitioner(mode)
    except TypeError:  # DOLFINx 0.11 also wants to know how many cells meet at a facet
        partitioner = dolfinx.mesh.create_cell_partitioner(mode, 2)
    return affine_mesh(comm, cells, points, shape, partitioner)


def affine_mesh(
    comm: MPI.Intracomm, cells: NDArray[np.int64], points: NDArray[np.float64], shape: str, partitioner: Any
) -> Mesh:
    """Mesh of straight cells, each on the ranks that the partitioner names; collective.

    Args:
        comm: Communicator of the mesh.
        cells: (m, k) numbers of points, on whichever rank.
        points: (n, dim) points, numbered on through all ranks.
        shape: Of the cells, as DOLFINx names them.
        partitioner: As `dolfinx.mesh.create_mesh` takes it.
    """
    element = basix.ufl.element("Lagrange", shape, 1, shape=(points.shape[1],), dtype=np.float64)
    return dolfinx.mesh.create_mesh(comm, cells=cells, e=element, x=points, partitioner=partitioner)


def spread_tags(mesh: Mesh, dim: int, entities: NDArray[np.int64], values: NDArray[np.int32]) -> MeshTags:
    """Tags of entities given by the input numbers of their vertices, on whichever rank; collective.

    Args:
        mesh: a mesh from `create_mesh`.
        dim: dimension of the entities.
        entities: (n, dim + 1) numbers of points as passed to `create_mesh`.
        values: (n,) tags.
    """
    mesh.topology.create_connectivity(dim, 0)
    mesh.topology.create_connectivity(dim, mesh.topology.dim)
    mesh.topology.create_connectivity(0, mesh.topology.dim)
    local, tags = _distribute_entity_data(mesh, dim, np.ascontiguousarray(entities), values)
    adjacency = dolfinx.graph.adjacencylist(local)
    return dolfinx.mesh.meshtags_from_entities(mesh, dim, adjacency, np.asarray(tags, np.int32))


def _distribute_entity_data(mesh: Mesh, dim: int, entities: NDArray[np.int64], values: NDArray[np.int32]) -> Any:
    function = getattr(dolfinx.io, "distribute_entity_data", None)
    if function is None:
        function = dolfinx.io.utils.distribute_entity_data
    return function(mesh, dim, entities, values)


Part = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]


def _nothing() -> Part:
    """What the ranks without the triangulation contribute."""
    none = np.empty(0, np.int32)
    return np.empty((0, 2)), np.empty((0, 3), np.int64), none, np.empty((0, 2), np.int64), none


def _solved_part(triangulation: Triangulation | None, solved: tuple[int, ...]) -> Part:
    """Points, cells, phase per cell, tagged facets and their tags of the solved phases."""
    if triangulation is None:
        raise ValueError("expected the triangulation on rank 0, got None; pass None on the other ranks only.")
    inside = np.isin(triangulation.phase, solved)
    if not inside.any():
        names = ", ".join(triangulation.names[i] for i in solved) or "none given"
        raise InputError(f"[phases] no triangle of the image belongs to a phase that is solved for ({names}).")
    triangles = triangulation.triangles.astype(np.int64)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    key = edges.min(axis=1) * len(triangulation.points) + edges.max(axis=1)
    order = np.argsort(key, kind="stable")
    twin = np.zeros(len(order), bool)
    twin[:-1] = key[order][1:] == key[order][:-1]
    single = ~twin
    single[1:] &= ~twin[:-1]

    pair = np.flatnonzero(twin)
    one, other = order[pair], order[pair + 1]  # edge e belongs to triangle e % n and starts at its corner e // n
    count = len(triangles)
    phase = triangulation.phase.astype(np.int64)
    inner, outer = inside[one % count], inside[other % count]
    corner = _split_point_contacts(triangles, inside, one[inner & outer], other[inner & outer])
    ends = np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]])

    a, b = phase[one % count], phase[other % count]
    border = (a != b) & (inner | outer)
    kinds, kind = np.unique(a[border] * 256 + b[border], return_inverse=True)
    border_tags = np.array([interface_tag(k // 256, k % 256) for k in kinds.tolist()], np.int32)[kind.ravel()]
    borders = ends[np.where(inner, one, other)[border]]

    rim = order[single]
    rim = rim[inside[rim % count]]
    _, source = np.unique(corner[inside], return_index=True)
    points = triangulation.points[triangles[inside].ravel()[source]]
    return (
        points,
        corner[inside],
        triangulation.phase[inside].astype(np.int32),
        np.concatenate([borders, ends[rim]]),
        np.concatenate([border_tags, _face_tags(triangulation, edges[rim])]),
    )


def _split_point_contacts(
    triangles: NDArray[np.int64], inside: NDArray[np.bool_], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    """New point numbers (n, 3) per triangle and corner: one point for each fan of triangles joined by edges.

    Args:
        triangles: (n, 3) counter-clockwise.
        inside: (n,) triangles that stay; the others' numbers mean nothing.
        one: numbers of the edges that two staying triangles share, as seen from one of them.
        other: the same edges as seen from the other one, where they run backwards.
    """
    count = len(triangles)
    first, second = (one // count), (other // count)
    a, b = one % count, other % count
    joins = np.concatenate(
        [
            np.stack([3 * a + first, 3 * b + (second + 1) % 3]),
            np.stack([3 * a + (first + 1) % 3, 3 * b + second]),
        ],
        axis=1,
    )
    graph = sparse.coo_array((np.ones(joins.shape[1], bool), (joins[0], joins[1])), shape=(3 * count, 3 * count))
    _, fan = csgraph.connected_components(graph, directed=False)
    number = np.zeros(fan.max() + 1, np.int64)
    staying = np.unique(fan.reshape(-1, 3)[inside])
    number[staying] = np.arange(len(staying))
    return number[fan].reshape(-1, 3)


def _face_tags(triangulation: Triangulation, edges: NDArray[np.int64]) -> NDArray[np.int32]:
    middle = triangulation.points[edges].mean(axis=1)
    width, height = triangulation.extent
    gaps = np.stack([middle[:, 0], width - middle[:, 0], middle[:, 1], height - middle[:, 1]], axis=1)
    tags = np.array([face_tag(name) for name in FACES[: 2 * len(triangulation.extent)]], np.int32)
    return tags[np.abs(gaps).argmin(axis=1)]
