"""Connected parts of the cells of a distributed mesh."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dolfinx import la, mesh as dmesh
from dolfinx.common import IndexMap
from mpi4py import MPI

from microlith.imaging.typing import Flags, Numbers


@dataclass(frozen=True, eq=False)
class Components:
    """Parts of the chosen cells, numbered over all ranks from 0."""

    count: int
    of_cell: Numbers  # (cells of this rank, ghosts included) number of the part; -1: not chosen
    of_link: Numbers  # (linking entities of this rank, ghosts included); -1: at no chosen cell that is here


def components(mesh: dmesh.Mesh, chosen: Flags, through: int) -> Components:
    """Find which of the chosen cells are connected; collective, and nothing gathers the mesh.

    Each rank finds the parts of what it has; only pairs of numbers of parts that meet at a rank border are gathered.

    Args:
        mesh: Cells of one kind.
        chosen: (cells of this rank, ghosts included) which cells count.
        through: Dimension of the entities that join two cells which share one: 0 for vertices, dim - 1 for facets.
    """
    comm, topology = mesh.comm, mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim, through)
    per_cell = topology.connectivity(dim, through).array.reshape(len(chosen), -1) if len(chosen) else np.empty((0, 1))
    mine = per_cell[chosen].astype(np.int64)
    count, of_link = linked(comm, topology.index_map(through), [mine])
    of_cell = np.full(len(chosen), -1, np.int64)
    of_cell[chosen] = of_link[mine[:, 0]]
    return Components(count, of_cell, of_link)


def linked(comm: MPI.Intracomm, index_map: IndexMap, groups: Sequence[Numbers]) -> tuple[int, Numbers]:
    """Connected parts of distributed things, such as vertices or degrees of freedom; collective.

    Args:
        comm: Of the index map.
        index_map: Of the things.
        groups: Each (groups, members), local numbers, ghosts included: the members of a group are linked.

    Returns:
        The number of parts over all ranks, and of each thing of this rank, ghosts included, the number of its part from
        0; -1 where none of its groups is here.
    """
    links = index_map.size_local + index_map.num_ghosts
    # An owner numbers what only groups of other ranks touch, too: these are connected through it.
    touched = la.vector(index_map, 1, dtype=np.int64)
    touched.array[:] = 0
    for group in groups:
        touched.array[group.ravel()] = 1
    touched.scatter_reverse(la.InsertMode.add)
    used = np.flatnonzero(touched.array > 0)
    node = np.full(links, -1, np.int64)
    node[used] = np.arange(len(used))

    first = np.concatenate([np.repeat(node[group[:, 0]], group.shape[1] - 1) for group in groups])
    others = np.concatenate([node[group[:, 1:]].ravel() for group in groups])
    local_count, local = _connected(first, others, len(used))
    counts = comm.allgather(local_count)
    part = np.full(links, -1, np.int64)  # numbered over all ranks, parts on two ranks twice
    part[used] = local + sum(counts[: comm.rank])

    at_owner = la.vector(index_map, 1, dtype=np.int64)
    at_owner.array[:] = part
    at_owner.scatter_forward()
    shared = np.stack([part, at_owner.array], axis=1)[index_map.size_local :]
    shared = np.unique(shared[shared[:, 0] >= 0], axis=0)
    pairs = np.concatenate(comm.allgather(shared))
    count, merged = _connected(pairs[:, 0], pairs[:, 1], sum(counts))

    found = np.full(links, -1, np.int64)
    found[used] = merged[part[used]]
    return count, found


def _connected(a: Numbers, b: Numbers, size: int) -> tuple[int, Numbers]:
    """Number of connected parts of an undirected graph of `size` nodes with edges a-b, and the part of each node."""
    if size == 0:
        return 0, np.empty(0, np.int64)
    graph = coo_array((np.ones(len(a), dtype=bool), (a, b)), shape=(size, size))
    count, part = connected_components(graph, directed=False)
    return int(count), part.astype(np.int64)
