"""Connected pieces of the phases of a mesh, and the interfaces between them, without a table of all facets.

Around a vertex that only one phase touches the cells are connected through facets, since the mesh conforms and fills
the image. So facets with such a vertex need no look: what remains are the facets all of whose vertices lie on
interfaces, on the image's frame or on the border of a rank.
"""

from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.parallel.row_exchange import RowExchange
from microlith.imaging.typing import Array, Bits, Flags, Indices, Integers, Numbers, Phases
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.mesh.simplices import matched_facets

FACETS = {  # of a cell, in the order of DOLFINx, by the places of their vertices in it
    "triangle": ((1, 2), (0, 2), (0, 1)),
    "tetrahedron": ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)),
    "quadrilateral": ((0, 1), (0, 2), (1, 3), (2, 3)),
    "hexahedron": ((0, 1, 2, 3), (0, 1, 4, 5), (0, 2, 4, 6), (1, 3, 5, 7), (2, 3, 6, 7), (4, 5, 6, 7)),
}
ON_FRAME = 1e-9  # of the extent


@dataclass(frozen=True, eq=False)
class MeshPieces:
    """The pieces of the cells of one rank; numbered on through all ranks."""

    piece: Indices  # (m,) of each cell, counted from 0 on this rank
    phase: Phases  # (n,) of each piece of this rank
    faces: Bits  # (n,) outer faces on which it has facets: bit i for FACES[i]
    links: Numbers  # (k, 2) numbers that stand for one piece, n of the ranks before added
    across: Indices  # (k, dim) of each link, x first: periods from where the first has cells to where the second has
    interfaces: Array  # (phases, phases) length (area), lower index first; the sum over ranks counts


@dataclass(frozen=True, eq=False)
class _Facets:
    """Facets as seen from a cell each."""

    cell: Numbers  # (n,)
    vertices: Indices  # (n, k) rows of the points

    def __getitem__(self, chosen: Integers | Flags) -> "_Facets":
        return _Facets(self.cell[chosen], self.vertices[chosen])


def mesh_pieces(image_mesh: ImageMesh, whole: bool, comm: MPI.Intracomm) -> MeshPieces:
    """Find connected pieces and interfaces; collective.

    Args:
        image_mesh: The mesh.
        whole: Whether its cells fill the image; where they don't, all facets are looked at.
        comm: All ranks.
    """
    inner = _inner_vertices(image_mesh, comm) if whole else np.zeros(len(image_mesh.points), bool)
    frame = frame_bits(image_mesh)
    facets = _doubtful_facets(image_mesh, inner, frame)
    one, other, single = matched_facets(facets.vertices, len(image_mesh.points))
    unlike = image_mesh.phase[facets.cell[one]] != image_mesh.phase[facets.cell[other]]
    interfaces = np.zeros((len(image_mesh.names),) * 2)
    _add(interfaces, image_mesh, facets[one[unlike]], image_mesh.phase[facets.cell[other[unlike]]])
    piece, count = _local_pieces(image_mesh, inner, facets.cell[one[~unlike]], facets.cell[other[~unlike]])
    phase = np.empty(count, np.uint8)
    phase[piece] = image_mesh.phase
    start = int(np.sum(comm.allgather(count)[: comm.rank]))
    numbers, dim = piece + np.int64(start), image_mesh.points.shape[1]
    links = [_between_ranks(image_mesh, facets[single], numbers, interfaces, comm)]
    across = [np.zeros((len(links[0]), dim), np.int32)]
    for axis in image_mesh.periodic:
        links.append(_links_around(image_mesh, frame, numbers, axis, comm))
        across.append(np.zeros((len(links[-1]), dim), np.int32))
        across[-1][:, axis] = 1
    faces = _faces_of_pieces(image_mesh, frame, piece, count)
    return MeshPieces(piece, phase, faces, np.concatenate(links), np.concatenate(across), interfaces)


def frame_bits(image_mesh: ImageMesh) -> Bits:
    """Outer faces (n,) of the image that each point is on: bit i for FACES[i]."""
    frame = np.zeros(len(image_mesh.points), np.uint8)
    for axis, size in enumerate(image_mesh.extent):
        at = image_mesh.points[:, axis]
        frame |= (np.abs(at) <= ON_FRAME * size).astype(np.uint8) << np.uint8(2 * axis)
        frame |= (np.abs(at - size) <= ON_FRAME * size).astype(np.uint8) << np.uint8(2 * axis + 1)
    return frame


def frame_ends(image_mesh: ImageMesh) -> Bits:
    """Which points (n,) are at the ends of the image along its periodic axes: the bits of their upper faces."""
    return frame_bits(image_mesh) & np.uint8(sum(2 << 2 * axis for axis in image_mesh.periodic))


def point_numbers(image_mesh: ImageMesh) -> Numbers:
    """Number (n,) of each point, the same on every rank: that of its vertex, and on periodic faces one for either face.

    Only meshes of voxels and lattices are periodic, whose numbers of vertices leave room for that.
    """
    return image_mesh.vertex << 6 | frame_ends(image_mesh) if image_mesh.periodic else image_mesh.vertex


def _faces_of_pieces(image_mesh: ImageMesh, frame: Bits, piece: Indices, count: int) -> Bits:
    faces = np.zeros(count, np.uint8)
    cells = np.flatnonzero((frame != 0)[image_mesh.cells].sum(axis=1) >= image_mesh.points.shape[1])
    bits = frame[image_mesh.cells[cells]]
    for corners in FACETS[image_mesh.shape]:
        np.bitwise_or.at(faces, piece[cells], np.bitwise_and.reduce(bits[:, corners], axis=1))
    return faces


def _inner_vertices(image_mesh: ImageMesh, comm: MPI.Intracomm) -> Flags:
    """Vertices that only cells of one phase and of this rank touch."""
    of_vertex = np.empty(len(image_mesh.points), np.uint8)
    of_vertex[image_mesh.cells] = image_mesh.phase[:, None]  # one of them
    inner = np.ones(len(image_mesh.points), bool)
    inner[image_mesh.cells[of_vertex[image_mesh.cells] != image_mesh.phase[:, None]]] = False
    if comm.size > 1:
        route = RowExchange(image_mesh.vertex % comm.size, comm)
        asked = route.send(image_mesh.vertex)
        _, place, ranks = np.unique(asked, return_inverse=True, return_counts=True)
        inner &= route.answer(ranks[place.ravel()] == 1)
    return inner


def _doubtful_facets(image_mesh: ImageMesh, inner: Flags, frame: Bits) -> _Facets:
    """Facets without an inner vertex that are not on the frame."""
    cells = np.flatnonzero((~inner)[image_mesh.cells].sum(axis=1) >= image_mesh.points.shape[1])
    of_cells = image_mesh.cells[cells]
    doubtful = (~inner)[of_cells]
    bits = frame[of_cells]
    found: list[_Facets] = []
    for corners in FACETS[image_mesh.shape]:
        chosen = doubtful[:, corners].all(axis=1) & (np.bitwise_and.reduce(bits[:, corners], axis=1) == 0)
        found.append(_Facets(cells[chosen], of_cells[chosen][:, corners]))
    return _Facets(np.concatenate([f.cell for f in found]), np.concatenate([f.vertices for f in found]))


def _add(into: Array, image_mesh: ImageMesh, facets: _Facets, other: Phases) -> None:
    """Add the sizes of facets between their cells' and other phases."""
    size = _sizes(image_mesh.points, facets.vertices)
    mine = image_mesh.phase[facets.cell]
    kind = np.minimum(mine, other).astype(np.int64) * len(into) + np.maximum(mine, other)
    into += np.bincount(kind, size, minlength=into.size).reshape(into.shape)


def _sizes(points: Array, vertices: Indices) -> Array:
    """Length (area) of edges, triangles and parallelograms."""
    corner = points[vertices[:, 0]]
    along = points[vertices[:, 1]] - corner
    if points.shape[1] == 2:
        return np.hypot(along[:, 0], along[:, 1])
    twice = np.linalg.norm(np.cross(along, points[vertices[:, 2]] - corner), axis=1)
    return twice if vertices.shape[1] == 4 else twice / 2


def _local_pieces(image_mesh: ImageMesh, inner: Flags, one: Numbers, other: Numbers) -> tuple[Indices, int]:
    """Piece of each cell, and their number; `one` and `other` are cells that share a facet."""
    cells = image_mesh.cells
    known = inner[cells]
    place = known.argmax(axis=1)
    node = cells[np.arange(len(cells)), place].astype(np.int64)  # an inner vertex stands for all cells around it
    without = np.flatnonzero(~known.any(axis=1))
    node[without] = len(inner) + np.arange(len(without))
    joined = [np.stack([node[one], node[other]], axis=1)]
    for corner in range(1, cells.shape[1]):
        more = np.flatnonzero(known[:, corner] & (place != corner))
        joined.append(np.stack([node[more], cells[more, corner].astype(np.int64)], axis=1))
    _, of_node = connected_sets(np.concatenate(joined), len(inner) + len(without))
    piece = of_node[node]
    used = np.zeros(int(of_node.max(initial=-1)) + 1, bool)
    used[piece] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return number[piece], int(np.count_nonzero(used))


def _between_ranks(
    image_mesh: ImageMesh, facets: _Facets, piece: Numbers, interfaces: Array, comm: MPI.Intracomm
) -> Numbers:
    """Pairs of pieces of one phase that meet at the facets of two ranks; adds their interfaces. Collective."""
    vertices = np.sort(image_mesh.vertex[facets.vertices], axis=1)[:, :3]
    route = RowExchange(vertices[:, 0] % comm.size, comm)
    keys = route.send(vertices)
    about = route.send(np.stack([piece[facets.cell], image_mesh.phase[facets.cell].astype(np.int64)], axis=1))
    size = route.send(_sizes(image_mesh.points, facets.vertices))
    order = np.lexsort(keys.T)
    pair = np.flatnonzero((keys[order][1:] == keys[order][:-1]).all(axis=1))
    one, other = about[order[pair]], about[order[pair + 1]]
    unlike = one[:, 1] != other[:, 1]
    kind = np.minimum(one[unlike, 1], other[unlike, 1]) * len(interfaces) + np.maximum(one[unlike, 1], other[unlike, 1])
    interfaces += np.bincount(kind, size[order[pair]][unlike], interfaces.size).reshape(interfaces.shape)
    return np.unique(np.stack([one[~unlike, 0], other[~unlike, 0]], axis=1), axis=0)


def _links_around(image_mesh: ImageMesh, frame: Bits, piece: Numbers, axis: int, comm: MPI.Intracomm) -> Numbers:
    """Pairs of pieces of one phase, at the upper end of a periodic axis and at its lower one; collective.

    Points opposite each other are one vertex, and so are facets.
    """
    dim = image_mesh.points.shape[1]
    rows: list[Numbers] = [np.empty((0, min(dim, 3) + 3), np.int64)]
    for upper in (0, 1):
        on_face = frame >> np.uint8(2 * axis + upper) & 1 == 1
        cells = np.flatnonzero(on_face[image_mesh.cells].sum(axis=1) >= dim)
        of_cells = image_mesh.cells[cells]
        for corners in FACETS[image_mesh.shape]:
            there = on_face[of_cells[:, corners]].all(axis=1)
            vertices = np.sort(image_mesh.vertex[of_cells[there][:, corners]], axis=1)[:, :3]
            about = [np.full(len(vertices), upper), image_mesh.phase[cells[there]], piece[cells[there]]]
            rows.append(np.column_stack([vertices, *about]).astype(np.int64))
    own = np.concatenate(rows)
    found = RowExchange(own[:, 0] % comm.size, comm).send(own)
    found = found[np.lexsort(found.T[-3::-1])]
    pair = np.flatnonzero((found[1:, :-3] == found[:-1, :-3]).all(axis=1))
    low, high = found[pair], found[pair + 1]
    same = low[:, -2] == high[:, -2]
    return np.unique(np.stack([high[same, -1], low[same, -1]], axis=1), axis=0)
