"""From cells that are spread over ranks to the DOLFINx mesh of the solved phases, each cell left where it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import dolfinx.la
import dolfinx.mesh
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.row_exchange import RowExchange
from microlith.imaging.typing import Array, Bits, Flags, Indices, Numbers, Phases
from microlith.meshing.distribution.dolfinx_mesh import affine_mesh, with_nodes
from microlith.meshing.distribution.facets import (
    SHARED,
    Abroad,
    Neighbours,
    find_neighbours,
    grouped,
    vertex_bits,
)
from microlith.meshing.distribution.fans import fans
from microlith.meshing.mesh.index_map import compiled_lists
from microlith.meshing.mesh.mesh_pieces import FACETS, frame_ends
from microlith.meshing.mesh.phasemesh import ImageMesh, PhaseMesh, interface_tag


def mesh_in_place(image_mesh: ImageMesh, solved: Sequence[int], comm: MPI.Intracomm) -> PhaseMesh:
    """Make the distributed mesh of the solved phases; collective.

    Every cell stays on its rank. Where a solved phase touches itself only in a point or along an edge, the vertices
    there are doubled: nothing diffuses through a contact of no width.

    Args:
        image_mesh: The cells of this rank. Those of phases that are not solved may be left out where they share no
            facet with a solved one. A rank may be without cells.
        solved: Indices of the phases whose cells the mesh gets.
        comm: Communicator of the mesh.

    Returns:
        Mesh with the phase of every cell and the tags of outer faces and interfaces, those to phases that are not
        solved included.

    Raises:
        InputError: No cell belongs to a solved phase (on all ranks).
        RuntimeError: The mesh does not conform (on all ranks).
    """
    inside = np.isin(image_mesh.phase, np.array(sorted(solved), np.int64))
    if not comm.allreduce(bool(inside.any()), MPI.LOR):
        names = ", ".join(image_mesh.names[i] for i in solved) or "none given"
        raise InputError(f"[phases]: no {image_mesh.shape} of the mesh belongs to a phase that is solved for ({names})")
    home = RowExchange(_home(image_mesh.vertex, comm), comm)
    bits = vertex_bits(image_mesh, inside, home, comm)
    neighbours = find_neighbours(image_mesh, inside, bits, comm)
    copies = _copies(image_mesh, inside, bits, neighbours, comm)
    numbered = _numbered(image_mesh, copies, np.zeros(len(image_mesh.points), np.uint8), comm)
    destinations = _destinations(len(numbered.cells), neighbours.abroad, comm)
    mesh = affine_mesh(comm, numbered.cells, numbered.points, image_mesh.shape, lambda *_: destinations)
    if image_mesh.periodic:
        nodes = _numbered(image_mesh, copies, frame_ends(image_mesh), comm)
        mesh = with_nodes(mesh, nodes.cells, nodes.points)
    phase = image_mesh.phase[inside]
    cell_tags, facet_tags = _tags(mesh, phase, _facet_tags(image_mesh, phase, neighbours), image_mesh.shape, comm)
    return PhaseMesh(
        mesh, cell_tags, facet_tags, image_mesh.names, image_mesh.unit, image_mesh.extent, image_mesh.periodic
    )


def _home(vertex: Numbers, comm: MPI.Intracomm) -> Numbers:
    """The rank that knows of each vertex: numbers of neighbours go to different ranks."""
    return (vertex ^ vertex >> 7 ^ vertex >> 17) % comm.size


@dataclass(frozen=True, eq=False)
class _Copies:
    """The vertices of the solved cells of this rank, several where there are several fans."""

    cells: Indices  # (m, k) rows of what follows
    source: Numbers  # (n,) point of the image mesh that each is a copy of
    label: Numbers  # (n,) tells copies of one vertex apart, the same on all ranks; -1: there is one
    shared: Flags  # (n,) those that may be there more than once


def _copies(image_mesh: ImageMesh, inside: Flags, bits: Bits, neighbours: Neighbours, comm: MPI.Intracomm) -> _Copies:
    """Vertices of the solved cells, one for each fan; collective."""
    cells = image_mesh.cells[inside]
    at_contact, fan, label = fans(cells, image_mesh.vertex, bits, neighbours, FACETS[image_mesh.shape], comm)
    corners = cells[at_contact]
    copy, first = fan, np.zeros(len(label), np.int64)
    first[fan] = np.arange(len(fan))
    if image_mesh.periodic:  # a fan that goes on through periodic faces has a point on either of them
        key = fan * np.int64(256) + frame_ends(image_mesh)[corners]
        _, first, copy = np.unique(key, return_index=True, return_inverse=True)
    used = np.zeros(len(image_mesh.points), bool)
    used[cells[~at_contact]] = True
    plain = np.flatnonzero(used)
    row = np.full(len(image_mesh.points), -1, np.int32)
    row[plain] = np.arange(len(plain))
    local = row[cells]
    local[at_contact] = len(plain) + copy.ravel()
    source = np.concatenate([plain, corners[first]])
    return _Copies(
        local, source, np.concatenate([np.full(len(plain), -1), label[fan[first]]]), bits[source] & SHARED != 0
    )


@dataclass(frozen=True, eq=False)
class _Numbered:
    """The solved cells with numbers of points as DOLFINx wants them: contiguous over all ranks."""

    cells: Numbers  # (m, k)
    points: Array  # (n, dim) this rank's share of the points, numbered on from those of the rank before


def _numbered(image_mesh: ImageMesh, copies: _Copies, ends: Bits, comm: MPI.Intracomm) -> _Numbered:
    """Number the copies of the vertices; the first rank that has one numbers it; collective.

    Args:
        image_mesh: The mesh.
        copies: Of its vertices.
        ends: (points) by which points of one number are told apart.
        comm: All ranks.
    """
    shared = np.flatnonzero(copies.shared)
    source, vertex = copies.source, image_mesh.vertex[copies.source[shared]]
    mine = np.ones(len(source), bool)
    route = RowExchange(_home(vertex, comm), comm)
    arrived = route.send(np.stack([vertex, copies.label[shared], ends[source[shared]]], axis=1))
    one_of = grouped(arrived[:, 0])[0]
    for column in arrived.T[1:]:
        one_of = grouped(one_of * np.int64(len(arrived) + 1) + grouped(column)[0])[0]
    count = int(one_of.max(initial=-1)) + 1
    first = np.full(count, len(arrived))
    np.minimum.at(first, one_of, np.arange(len(arrived)))  # rows have come in the order of the ranks
    owned_here = first[one_of] == np.arange(len(arrived))
    mine[shared] = route.answer(owned_here)
    owned = int(np.count_nonzero(mine))
    number = np.cumsum(mine, dtype=np.int64) - 1 + (comm.scan(owned) - owned)
    given = np.zeros(count, np.int64)
    told = route.send(number[shared])
    given[one_of[owned_here]] = told[owned_here]
    number[shared] = route.answer(given[one_of])
    return _Numbered(number[copies.cells], image_mesh.points[source[mine]])


def _destinations(count: int, abroad: Abroad, comm: MPI.Intracomm) -> Any:
    """Ranks that get each cell: its own, and those of the cells that share a facet with it, as a ghost."""
    pairs = np.unique(abroad.mine.cell[abroad.solved] * np.int64(comm.size) + abroad.rank[abroad.solved])
    cell, rank = pairs // comm.size, pairs % comm.size
    more = np.bincount(cell, minlength=count)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(1 + more, out=offsets[1:])
    ranks = np.full(count + len(pairs), comm.rank, np.int32)
    ghost = np.ones(len(ranks), bool)
    ghost[offsets[:-1]] = False
    ranks[ghost] = rank
    return compiled_lists(ranks, offsets)


def _facet_tags(image_mesh: ImageMesh, phase: Phases, neighbours: Neighbours) -> Indices:
    """Tags (m, facets) of the facets of each solved cell; 0 where there is none."""
    tags = np.zeros((len(phase), len(FACETS[image_mesh.shape])), np.int32)
    at = neighbours.at_frame
    tags[at.cell, at.local] = neighbours.face + 1  # as face_tag
    tag = np.array(
        [[interface_tag(a, b) for b in range(len(image_mesh.names))] for a in range(len(image_mesh.names))], np.int32
    )
    np.fill_diagonal(tag, 0)
    one, other, aside, abroad = neighbours.one, neighbours.other, neighbours.aside, neighbours.abroad
    between = tag[phase[one.cell], phase[other.cell]]
    tags[one.cell, one.local] = between
    tags[other.cell, other.local] = between
    tags[aside.cell, aside.local] = tag[phase[aside.cell], neighbours.aside_phase]
    tags[abroad.mine.cell, abroad.mine.local] = tag[phase[abroad.mine.cell], abroad.phase]
    return tags


def _tags(mesh: Mesh, phase: Phases, of_facets: Indices, shape: str, comm: MPI.Intracomm) -> tuple[MeshTags, MeshTags]:
    """Tags of cells and facets of the mesh from those of the cells that went into it; collective."""
    topology = mesh.topology
    dim = topology.dim
    cells = topology.index_map(dim)
    facets = of_facets.shape[1]
    about = dolfinx.la.vector(cells, 1 + facets, dtype=np.int32)
    rows = about.array.reshape(-1, 1 + facets)
    start = comm.scan(len(phase)) - len(phase)
    source = topology.original_cell_index[: cells.size_local] - start
    rows[: cells.size_local, 0] = phase[source]
    rows[: cells.size_local, 1:] = of_facets[source]
    about.scatter_forward()
    every = np.arange(len(rows), dtype=np.int32)
    cell_tags = dolfinx.mesh.meshtags(mesh, dim, every, np.ascontiguousarray(rows[:, 0]))

    topology.create_entities(dim - 1)
    topology.create_connectivity(dim - 1, dim)
    facet = topology.connectivity(dim, dim - 1).array.reshape(-1, facets)
    local = topology.index_map(dim - 1)
    tags = np.zeros(local.size_local + local.num_ghosts, np.int32)
    of_cells = rows[:, 1:]
    tags[facet[of_cells != 0]] = of_cells[of_cells != 0]  # where two cells say something, they say the same
    tagged = np.flatnonzero(tags).astype(np.int32)
    return cell_tags, dolfinx.mesh.meshtags(mesh, dim - 1, tagged, tags[tagged])
