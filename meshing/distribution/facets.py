"""Facets of cells that are spread over ranks: which two cells share one, and which lie on the image's frame.

Only the facets that matter are looked at: those at vertices where solved and other phases meet, those between solved
phases, and those that another rank may have too. All else is inside one phase, where nothing is to be found out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import together
from microlith.imaging.parallel.row_exchange import RowExchange
from microlith.imaging.typing import Bits, Flags, Indices, Integers, Numbers, Phases
from microlith.meshing.mesh.mesh_pieces import FACETS, frame_bits
from microlith.meshing.mesh.phasemesh import ImageMesh

CONTACT = np.uint8(1)  # a vertex that both solved cells and others touch
MIXED = np.uint8(2)  # a vertex that cells of several phases touch
SHARED = np.uint8(4)  # a vertex that several ranks have, or two points opposite each other on periodic faces
SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)


@dataclass(frozen=True, eq=False)
class Facets:
    """Facets as seen from a cell each."""

    cell: Indices  # (n,)
    local: NDArray[np.uint8]  # (n,) place in FACETS of the cell's shape

    def __getitem__(self, chosen: Integers | Flags) -> "Facets":
        return Facets(self.cell[chosen], self.local[chosen])

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True, eq=False)
class Abroad:
    """Facets of solved cells that a cell of another rank shares, and what is known of that cell."""

    mine: Facets  # (n,)
    rank: Numbers  # (n,) of the other cell
    phase: Numbers  # (n,) of the other cell
    solved: Flags  # (n,) whether the other cell is
    route: RowExchange  # to the ranks where both sides meet, and back
    place: Numbers  # (n,) of these facets among all that took the route
    sent: int  # number of those
    partner: Numbers  # (k,) for each facet that arrived here, place of its other side; its own where there is none

    def exchanged(self, values: Numbers) -> Numbers:
        """What the other side says of each facet (n, ...), given what this side says; collective."""
        rows = np.zeros((self.sent, *values.shape[1:]), values.dtype)
        rows[self.place] = values
        return self.route.answer(self.route.send(rows)[self.partner])[self.place]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The facets that matter; cells are counted among the solved ones of this rank."""

    at_frame: Facets
    face: NDArray[np.uint8]  # (n,) which face of the frame each of these is on, as in FACES
    one: Facets  # facets between two solved cells of this rank, as seen from either of them
    other: Facets
    aside: Facets  # facets that a cell of this rank that is not solved shares
    aside_phase: Phases  # (n,) of that cell
    abroad: Abroad


def mixing(vertex: Numbers, salt: int) -> NDArray[np.uint64]:
    """Numbers that look random, the same for the same vertex; their sum tells a set of vertices from others."""
    x = vertex.astype(np.uint64) + np.uint64(salt)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def vertex_bits(image_mesh: ImageMesh, inside: Flags, home: RowExchange, comm: MPI.Intracomm) -> Bits:
    """Which vertices are CONTACT, MIXED and SHARED (n,), on whichever rank their cells are; collective.

    Args:
        image_mesh: The mesh.
        inside: (m,) cells that are solved.
        home: Way of the vertices to the rank that knows of them; unused on one rank, unless faces are periodic.
        comm: All ranks.
    """
    solved, others, mixed = np.uint8(1), np.uint8(2), np.uint8(4)
    of_vertex = np.zeros(len(image_mesh.points), np.uint8)
    of_vertex[image_mesh.cells] = image_mesh.phase[:, None]  # one of them
    seen: Bits = np.zeros(len(image_mesh.points), np.uint8)
    seen[image_mesh.cells[inside]] = solved
    touched = np.zeros(len(image_mesh.points), bool)
    touched[image_mesh.cells[~inside]] = True
    seen[touched] |= others
    touched[:] = False
    touched[image_mesh.cells[of_vertex[image_mesh.cells] != image_mesh.phase[:, None]]] = True
    seen[touched] |= mixed
    shared: Flags = np.zeros(len(image_mesh.points), bool)
    if comm.size > 1 or image_mesh.periodic:
        arrived = home.send(np.stack([seen, of_vertex], axis=1))
        place, count = grouped(home.send(image_mesh.vertex))
        all_seen = np.zeros(count, np.uint8)
        np.bitwise_or.at(all_seen, place, arrived[:, 0])
        one_of = np.zeros(count, np.uint8)
        one_of[place] = arrived[:, 1]
        np.bitwise_or.at(all_seen, place[one_of[place] != arrived[:, 1]], mixed)
        times = np.bincount(place, minlength=count)
        answers = home.answer(np.stack([all_seen[place], (times > 1)[place].astype(np.uint8)], axis=1))
        seen, shared = answers[:, 0], answers[:, 1].astype(bool)
    bits = np.zeros(len(image_mesh.points), np.uint8)
    bits[seen & (solved | others) == (solved | others)] = CONTACT
    bits[seen & mixed != 0] |= MIXED
    bits[shared] |= SHARED
    return bits


def grouped(keys: Numbers) -> tuple[Numbers, int]:
    """Number of each key among the distinct ones, and how many these are."""
    distinct, place = np.unique(keys, return_inverse=True)
    return place.ravel(), len(distinct)


def find_neighbours(image_mesh: ImageMesh, inside: Flags, bits: Bits, comm: MPI.Intracomm) -> Neighbours:
    """Find what lies on the other side of the facets that matter; collective.

    Args:
        image_mesh: The mesh; where it leaves out cells, then only some that share no facet with a solved one.
        inside: (m,) cells that are solved.
        bits: (n,) of the vertices, from `vertex_bits`.
        comm: All ranks.

    Raises:
        RuntimeError: A facet inside the image has a cell on one side only: the mesh does not conform (on all ranks).
    """
    corners = FACETS[image_mesh.shape]
    cells = image_mesh.cells[inside]
    phase = image_mesh.phase[inside]
    at_frame, face = _on_frame(image_mesh, cells)
    solved = _wanted(cells, bits, corners, np.uint8(CONTACT), np.uint8(MIXED | SHARED), (at_frame, face))
    rest = np.flatnonzero(~inside)
    rest = rest[(bits[image_mesh.cells[rest]] & CONTACT).sum(axis=1) >= len(corners[0])]
    outside = _wanted(image_mesh.cells[rest], bits, corners, np.uint8(0), CONTACT, None)

    own = len(cells)
    cells = np.concatenate([cells, image_mesh.cells[rest]])
    phase = np.concatenate([phase, image_mesh.phase[rest]])
    facets = Facets(
        np.concatenate([solved.cell, outside.cell + np.int32(own)]), np.concatenate([solved.local, outside.local])
    )
    first, second, single = together(comm, lambda: _matched(facets, cells, image_mesh.vertex, corners))
    turned = facets.cell[first] >= own  # the solved cell first
    first, second = np.where(turned, second, first), np.where(turned, first, second)
    within = facets.cell[second] < own
    border = (facets.cell[first] < own) & ~within
    return Neighbours(
        at_frame=at_frame,
        face=face,
        one=facets[first[within]],
        other=facets[second[within]],
        aside=facets[first[border]],
        aside_phase=phase[facets.cell[second[border]]],
        abroad=_abroad(facets[single], cells, phase, own, image_mesh.vertex, bits, corners, comm),
    )


def vertices_of(facets: Facets, cells: Indices, corners: tuple[tuple[int, ...], ...]) -> Indices:
    """Vertices (n, k) of facets."""
    table = np.array(corners, np.int8)
    return cells[facets.cell[:, None], table[facets.local]]


def _on_frame(image_mesh: ImageMesh, cells: Indices) -> tuple[Facets, NDArray[np.uint8]]:
    """Facets on the frame, and the face of it that each is on."""
    frame = frame_bits(image_mesh)
    for axis in image_mesh.periodic:
        frame &= ~np.uint8(3 << 2 * axis)
    corners = FACETS[image_mesh.shape]
    near = np.flatnonzero((frame[cells] != 0).sum(axis=1) >= len(corners[0])).astype(np.int32)
    of_near = frame[cells[near]]
    found, faces = [], []
    for local, places in enumerate(corners):
        common = np.bitwise_and.reduce(of_near[:, places], axis=1)
        chosen = np.flatnonzero(common)
        found.append(Facets(near[chosen], np.full(len(chosen), local, np.uint8)))
        faces.append(np.log2(common[chosen]).astype(np.uint8))  # one bit: a facet lies on one face of a box
    return _joined(found), np.concatenate(faces)


def _joined(found: list[Facets]) -> Facets:
    return Facets(np.concatenate([f.cell for f in found]), np.concatenate([f.local for f in found]))


def _wanted(
    cells: Indices,
    bits: Bits,
    corners: tuple[tuple[int, ...], ...],
    with_one: np.uint8,
    with_all: np.uint8,
    without: tuple[Facets, NDArray[np.uint8]] | None,
) -> Facets:
    """Facets of which a vertex has a bit of `with_one`, or of which all vertices have one of `with_all`."""
    near = np.flatnonzero((bits[cells] & (with_one | with_all)).any(axis=1)).astype(np.int32)
    of_near = bits[cells[near]]
    found = []
    for local, places in enumerate(corners):
        here = of_near[:, places]
        chosen = (np.bitwise_or.reduce(here, axis=1) & with_one) | (np.bitwise_and.reduce(here, axis=1) & with_all)
        if without is not None:
            barred = np.zeros(len(cells), bool)
            barred[without[0].cell[without[0].local == local]] = True
            chosen[barred[near]] = 0
        kept = near[chosen != 0]
        found.append(Facets(kept, np.full(len(kept), local, np.uint8)))
    return _joined(found)


def _keys(
    facets: Facets, cells: Indices, mixed: NDArray[np.uint64], corners: tuple[tuple[int, ...], ...]
) -> NDArray[np.uint64]:
    """A number for each facet that depends on the set of its vertices only."""
    key = np.zeros(len(facets), np.uint64)
    table = np.array(corners, np.int8)
    for place in range(table.shape[1]):
        key += mixed[cells[facets.cell, table[facets.local, place]]]
    return key


def _matched(
    facets: Facets, cells: Indices, vertex: Numbers, corners: tuple[tuple[int, ...], ...]
) -> tuple[Numbers, Numbers, Numbers]:
    """Places of the two sides of each facet that is there twice, and of those that are there once."""
    for salt in SALTS:  # two sets of vertices with one key are a matter of a chance in 10^5 for ten million facets
        key = _keys(facets, cells, mixing(vertex, salt), corners)
        order = np.argsort(key)
        key = key[order]
        twin = key[1:] == key[:-1]
        pair = np.flatnonzero(twin)
        one, other = order[pair], order[pair + 1]
        single = np.ones(len(order), bool)
        single[1:] &= ~twin
        single[:-1] &= ~twin
        if (np.diff(pair) > 1).all() and _same(facets, cells, vertex, one, other, corners):
            return one, other, order[single]
    raise RuntimeError("more than two cells of the mesh share a facet.")


def _same(
    facets: Facets,
    cells: Indices,
    vertex: Numbers,
    one: Numbers,
    other: Numbers,
    corners: tuple[tuple[int, ...], ...],
) -> bool:
    mine = vertex[vertices_of(facets[one], cells, corners)]
    theirs = vertex[vertices_of(facets[other], cells, corners)]
    return bool(
        (mine.min(axis=1) == theirs.min(axis=1)).all()
        and (mine.max(axis=1) == theirs.max(axis=1)).all()
        and (mine.sum(axis=1, dtype=np.int64) == theirs.sum(axis=1, dtype=np.int64)).all()
    )


def _abroad(
    single: Facets,
    cells: Indices,
    phase: Phases,
    own: int,
    vertex: Numbers,
    bits: Bits,
    corners: tuple[tuple[int, ...], ...],
    comm: MPI.Intracomm,
) -> Abroad:
    """Match the facets that are there once on this rank with those of other ranks; collective."""
    shared = (np.bitwise_and.reduce(bits[vertices_of(single, cells, corners)], axis=1) & SHARED) != 0
    lonely = int(np.count_nonzero(single.cell[~shared] < own))
    single = single[shared]
    key = np.stack([_keys(single, cells, mixing(vertex, salt), corners) for salt in SALTS[:2]], axis=1)
    route = RowExchange((key[:, 0] % np.uint64(comm.size)).astype(np.int64), comm)
    arrived = route.send(key)
    mine = single.cell < own
    about = np.stack([np.full(len(single), comm.rank), phase[single.cell], mine], axis=1).astype(np.int64)
    told = route.send(about)
    order = np.lexsort(arrived.T)
    pair = np.flatnonzero((arrived[order][1:] == arrived[order][:-1]).all(axis=1))
    partner = np.arange(len(arrived))
    partner[order[pair]], partner[order[pair + 1]] = order[pair + 1], order[pair]
    found = np.concatenate([told[partner], (partner != np.arange(len(arrived)))[:, None]], axis=1)
    found = route.answer(found)
    met = found[:, 3] != 0
    lonely += int(np.count_nonzero(mine & ~met))
    if comm.allreduce(lonely):
        raise RuntimeError("the mesh does not conform: facets inside the image have a cell on one side only.")
    place = np.flatnonzero(mine & met)
    return Abroad(
        mine=single[place],
        rank=found[place, 0],
        phase=found[place, 1],
        solved=found[place, 2] != 0,
        route=route,
        place=place,
        sent=len(single),
        partner=partner,
    )
