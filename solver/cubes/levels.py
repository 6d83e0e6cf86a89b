"""Cubes of a regular grid and their coarser and coarser elements, each on the rank that has its layers.

An element of a coarser level is what is connected within a block of 2 x 2 x 2 places of the finer one, with the eight
corners of the block; two elements in neighbouring blocks share the unknowns of their common side where a face of the
cubes in one meets a face in the other. So unknowns are told apart wherever nothing conducts, on all levels alike:
walls and gaps thinner than a block stay what they are, and each space lies within the finer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Bits, Indices, Numbers
from microlith.solver.cubes.kernels import Links, coordinates, corner_sets, marked, merged, renumbered
from microlith.solver.cubes.ranks import Shared

MOST = 2**31 // 8  # cubes of a rank, whose corners are counted


@dataclass(frozen=True, eq=False)
class Slab:
    """The layers of this rank, with those around them that it looks at."""

    conducts: Bits  # (z, y, x) of each place: bit k where it belongs to a part that joins the faces across axis k
    shape: tuple[int, int, int]  # (z, y, x) of the whole grid
    first: int  # layer of the grid that `conducts` begins with
    own: tuple[int, int]  # [first, last) of this rank


@dataclass(frozen=True, eq=False)
class Level:
    """Elements of one level on this rank."""

    grid: tuple[int, int, int]  # places along x, y and z
    block: Numbers  # (n,) place of each element on the grid, flattened, x fastest
    bits: Bits  # (n,) as in `Slab`
    corners: Indices  # (n, 8) unknowns
    seat: Indices  # (unknowns,) a corner of each: 8 element + corner
    shared: Shared
    parent: Indices | None  # (n,) element of the next level; None: there is none
    kind: Bits  # (n,) how it lies in it, see `merged`

    @property
    def unknowns(self) -> int:
        """Of this rank, shared ones included."""
        return len(self.seat)

    def held(self, axis: int) -> tuple[Indices, Indices, Indices]:
        """Unknowns on the first and on the last face across an axis, and those of parts that do not join the two."""
        at = coordinates(self.seat, self.block, self.grid, axis)
        joins = (self.bits[self.seat >> 3] >> axis & 1).astype(bool)
        ends = np.flatnonzero((at == 0) & joins), np.flatnonzero((at == self.grid[axis]) & joins)
        return ends[0].astype(np.int32), ends[1].astype(np.int32), np.flatnonzero(~joins).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Cubes:
    """All levels, the finest one first, and the neighbours among the cubes."""

    levels: tuple[Level, ...]
    links: Links  # pairs of cubes of this rank
    beside: Shared  # cubes with a neighbour on the rank below and on the one above, in the same order there


def layers_of_ranks(counts: Sequence[int] | Numbers, ranks: int, depth: int) -> list[tuple[int, int]]:
    """Layers [first, last) of each rank, in whole blocks of 2^depth, of about as many cubes; the last may have none.

    Args:
        counts: Cubes in each layer.
        ranks: How many there are.
        depth: Levels beyond the finest one.
    """
    layers, block = len(counts), 1 << depth
    blocks = -(-layers // block)
    each: Numbers = np.add.reduceat(np.asarray(counts, np.int64), np.arange(0, layers, block))
    up_to = np.concatenate([[0], np.cumsum(each)])
    cuts = [0]
    for rank in range(1, ranks):
        wanted = int(np.abs(up_to - up_to[-1] * rank / ranks).argmin())
        cuts.append(min(blocks, max(wanted, cuts[-1] + 1)))  # none without layers before one with some
    cuts.append(blocks)
    return [(min(layers, a * block), min(layers, b * block)) for a, b in pairwise(cuts)]


def levels_of(slab: Slab, depth: int, comm: MPI.Intracomm) -> Cubes:
    """Number the unknowns of all levels; no rank tells another anything.

    Args:
        slab: With 2^depth layers around its own, as far as there are any.
        depth: Levels beyond the finest one.
        comm: All ranks.
    """
    block, links = _numbered(slab)
    layer = slab.shape[1] * slab.shape[2]
    ends = tuple(int(np.searchsorted(block, layer * end)) for end in slab.own)
    bits = slab.conducts.ravel()[block - layer * slab.first]
    mine, beside = _own_links(links, ends, comm)
    grid = slab.shape[::-1]
    levels = []
    for number in range(depth + 1):
        corners, seat, shared = _unknowns(len(block), links, ends, comm)
        own = slice(*ends)
        here = (grid, block[own].copy(), bits[own].copy(), corners, seat, shared)
        if number == depth:
            levels.append(Level(*here, None, np.empty(0, np.uint8)))
            break
        parent, kind, block, links = merged(block, grid, links)
        above = np.zeros(len(block), np.uint8)
        above[parent] = bits
        bits = above
        grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2, (grid[2] + 1) // 2)
        layers = block // (grid[0] * grid[1])
        cut = [-(-end // (1 << (number + 1))) for end in slab.own]
        ends = tuple(int(np.searchsorted(layers, end)) for end in cut)
        levels.append(Level(*here, parent[own] - np.int32(ends[0]), kind[own].copy()))
    return Cubes(tuple(levels), mine, beside)


def _numbered(slab: Slab) -> tuple[Numbers, Links]:
    """Place of each cube in the whole grid, and neighbours across x, y and z."""
    there = slab.conducts != 0
    place = np.flatnonzero(there)
    number = np.cumsum(there, dtype=np.int32).reshape(there.shape)
    number -= 1
    links = []
    for axis in (2, 1, 0):
        low, high = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        both = there[low] & there[high]
        links.append(np.stack([number[low][both], number[high][both]], axis=1))
    return place + slab.first * slab.shape[1] * slab.shape[2], (links[0], links[1], links[2])


def _own_links(links: Links, ends: tuple[int, ...], comm: MPI.Intracomm) -> tuple[Links, Shared]:
    first, last = ends
    inside = []
    for link in links:
        own = link[(link[:, 0] >= first) & (link[:, 1] < last)]
        own -= np.int32(first)
        inside.append(own)
    along = links[2]
    low = along[(along[:, 0] < first) & (along[:, 1] >= first), 1] - np.int32(first)
    high = along[(along[:, 0] < last) & (along[:, 1] >= last), 0] - np.int32(first)
    if first == last:
        low, high = low[:0], high[:0]
    return (inside[0], inside[1], inside[2]), Shared(comm, low, high)


def _unknowns(count: int, links: Links, ends: tuple[int, ...], comm: MPI.Intracomm) -> tuple[Indices, Indices, Shared]:
    """Corners of this rank's elements, a seat of each unknown, and which unknowns are shared.

    Sets of corners are numbered by their first member. On a plane between two ranks that is one of an element below
    it, and elements and corners come in the same order on both ranks: so do the sets.
    """
    flat, every = corner_sets(count, links)
    first, last = 8 * ends[0], 8 * ends[1]
    below = int(flat[:first].max(initial=-1)) + 1
    above = np.flatnonzero(marked(flat[last:], every))
    corners = flat[first:last].reshape(-1, 8)
    new, seat = renumbered(corners, every)
    low, high = new[:below], new[above]
    return corners, seat, Shared(comm, low[low >= 0], high[high >= 0])
