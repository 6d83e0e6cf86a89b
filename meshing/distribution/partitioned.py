"""From triangles on one rank to the DOLFINx mesh of the solved phases on all ranks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mpi4py import MPI

from microlith.imaging.axes import FACES
from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.distribution.dolfinx_mesh import create_mesh, spread_cell_tags, spread_tags
from microlith.meshing.mesh.phasemesh import ImageMesh, PhaseMesh, face_tag, interface_tag


def mesh_partitioned(image_mesh: ImageMesh, solved: Sequence[int], comm: MPI.Intracomm) -> PhaseMesh:
    """Make the mesh of the solved phases of triangles that rank 0 has, spread over all ranks; collective.

    DOLFINx's graph partitioner shares out the cells.

    Where a solved phase touches itself only in one point (two pixels that share a corner and no edge), that point is
    doubled: nothing diffuses through a contact of no width.

    Args:
        image_mesh: All triangles, on rank 0; the other ranks have none.
        solved: Indices of the phases whose triangles become cells.
        comm: Communicator of the mesh.

    Returns:
        Mesh with the phase of every cell and the tags of outer faces and interfaces, those to phases that are not
        solved included.

    Raises:
        InputError: No triangle belongs to a solved phase (on all ranks).
    """
    of_solved = on_root(comm, _solved_triangles, image_mesh, tuple(solved)) or _no_triangles()
    mesh = create_mesh(comm, of_solved.cells, of_solved.points, "triangle")
    return PhaseMesh(
        mesh=mesh,
        cell_tags=spread_cell_tags(mesh, of_solved.cells, of_solved.phase),
        facet_tags=spread_tags(mesh, 1, of_solved.facets, of_solved.tags),
        names=image_mesh.names,
        unit=image_mesh.unit,
        extent=image_mesh.extent,
    )


@dataclass(frozen=True, eq=False)
class _Triangles:
    """The triangles of the solved phases, and the facets of theirs that get tags."""

    points: Array  # (n, 2)
    cells: Numbers  # (m, 3) rows of `points`
    phase: Indices  # (m,)
    facets: Numbers  # (k, 2) rows of `points`
    tags: Indices  # (k,)


def _no_triangles() -> _Triangles:
    none = np.empty(0, np.int32)
    return _Triangles(np.empty((0, 2)), np.empty((0, 3), np.int64), none, np.empty((0, 2), np.int64), none)


def _solved_triangles(image_mesh: ImageMesh, solved: tuple[int, ...]) -> _Triangles:
    inside = np.isin(image_mesh.phase, solved)
    if not inside.any():
        names = ", ".join(image_mesh.names[i] for i in solved) or "none given"
        raise InputError(f"[phases]: no triangle of the mesh belongs to a phase that is solved for ({names})")
    triangles = image_mesh.cells.astype(np.int64)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    key = edges.min(axis=1) * len(image_mesh.points) + edges.max(axis=1)
    order = np.argsort(key, kind="stable")
    twin = np.zeros(len(order), bool)
    twin[:-1] = key[order][1:] == key[order][:-1]
    single = ~twin
    single[1:] &= ~twin[:-1]

    pair = np.flatnonzero(twin)
    one, other = order[pair], order[pair + 1]  # edge e belongs to triangle e % n and starts at its corner e // n
    count = len(triangles)
    phase = image_mesh.phase.astype(np.int64)
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
    at = corner[inside].ravel()
    points = np.empty((int(at.max()) + 1, image_mesh.points.shape[1]))
    points[at] = image_mesh.points[triangles[inside].ravel()]  # from several corners the same
    return _Triangles(
        points=points,
        cells=corner[inside],
        phase=image_mesh.phase[inside].astype(np.int32),
        facets=np.concatenate([borders, ends[rim]]),
        tags=np.concatenate([border_tags, _face_tags(image_mesh, edges[rim])]),
    )


def _split_point_contacts(triangles: Numbers, inside: Flags, one: Numbers, other: Numbers) -> Numbers:
    """New point numbers (n, 3) per triangle and corner: one point for each fan of triangles joined by edges.

    Args:
        triangles: (n, 3) counter-clockwise.
        inside: (n,) triangles that stay; the others' numbers mean nothing.
        one: Numbers of the edges that two staying triangles share, as seen from one of them.
        other: The same edges as seen from the other one, where they run backwards.
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
    stays = np.zeros(len(number), bool)
    stays[fan.reshape(-1, 3)[inside]] = True
    number[stays] = np.arange(np.count_nonzero(stays))
    return number[fan].reshape(-1, 3)


def _face_tags(image_mesh: ImageMesh, edges: Numbers) -> Indices:
    middle = image_mesh.points[edges].mean(axis=1)
    width, height = image_mesh.extent
    gaps = np.stack([middle[:, 0], width - middle[:, 0], middle[:, 1], height - middle[:, 1]], axis=1)
    tags = np.array([face_tag(name) for name in FACES[: 2 * len(image_mesh.extent)]], np.int32)
    return tags[np.abs(gaps).argmin(axis=1)]
