"""Vertices doubled where a solved phase touches itself in a point or along an edge: a contact of no width.

The cells around a vertex that are joined through facets are a fan. Where there are several, each gets a vertex of its
own, else something would flow from one to the other through nothing.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mpi4py import MPI

from microlith.imaging.typing import Bits, Flags, Indices, Numbers
from microlith.meshing.distribution.facets import CONTACT, Abroad, Facets, Neighbours


def fans(
    cells: Indices,
    vertex: Numbers,
    bits: Bits,
    neighbours: Neighbours,
    corners: tuple[tuple[int, ...], ...],
    comm: MPI.Intracomm,
) -> tuple[Flags, Indices, Numbers]:
    """Fan of each corner of a cell at a vertex where solved cells and others meet; collective.

    Args:
        cells: (m, k) solved cells of this rank, rows of vertices.
        vertex: (n,) number of each vertex on all ranks.
        bits: (n,) from `vertex_bits`.
        neighbours: The facets that two solved cells share.
        corners: Places of the vertices of each facet in its cell.
        comm: All ranks.

    Returns:
        (m, k) which corners these are; for each of them, in order, the fan as counted on this rank; for each fan of
        this rank a number that no other fan around the vertex has, the same on all ranks.
    """
    at_contact = (bits[cells] & CONTACT) != 0
    node = np.cumsum(at_contact, dtype=np.int64).reshape(cells.shape) - 1
    count = int(np.count_nonzero(at_contact))
    one, other = _joints(cells, vertex, bits, neighbours.one, neighbours.other, corners)
    one, other = node.ravel()[one], node.ravel()[other]
    graph = sparse.coo_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    number, fan = csgraph.connected_components(graph, directed=False)
    start = comm.scan(number) - number
    label = np.arange(start, start + number, dtype=np.int64)
    if comm.size > 1:
        _agree(label, fan, node, cells, vertex, bits, neighbours.abroad, corners, comm)
    return at_contact, fan, label


def _in_order(
    facets: Facets, cells: Indices, vertex: Numbers, corners: tuple[tuple[int, ...], ...]
) -> tuple[Numbers, Indices]:
    """Corners (n, k) of facets, counted through all cells, and their vertices, in the order of these on all ranks."""
    table = np.array(corners, np.int8)
    place = facets.cell[:, None].astype(np.int64) * cells.shape[1] + table[facets.local]
    rows = cells.ravel()[place]
    order = np.argsort(vertex[rows], axis=1)
    return np.take_along_axis(place, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _joints(
    cells: Indices,
    vertex: Numbers,
    bits: Bits,
    one: Facets,
    other: Facets,
    corners: tuple[tuple[int, ...], ...],
) -> tuple[Numbers, Numbers]:
    """Pairs of corners that facets join at vertices where solved cells and others meet."""
    mine, rows = _in_order(one, cells, vertex, corners)
    theirs, _ = _in_order(other, cells, vertex, corners)
    chosen = (bits[rows] & CONTACT) != 0
    return mine[chosen], theirs[chosen]


def _agree(
    label: Numbers,
    fan: Indices,
    node: Numbers,
    cells: Indices,
    vertex: Numbers,
    bits: Bits,
    abroad: Abroad,
    corners: tuple[tuple[int, ...], ...],
    comm: MPI.Intracomm,
) -> None:
    """Give the parts of a fan on several ranks one label, the least of theirs; collective."""
    place, rows = _in_order(abroad.mine, cells, vertex, corners)
    chosen = ((bits[rows] & CONTACT) != 0) & abroad.solved[:, None]
    here = fan[node.ravel()[place[chosen]]]
    least = np.full(rows.shape, np.iinfo(np.int64).max)
    while True:
        least[chosen] = label[here]
        theirs = abroad.exchanged(least)[chosen]
        before = label.copy()
        np.minimum.at(label, here, theirs)
        if not comm.allreduce(bool((label != before).any()), MPI.LOR):
            return
