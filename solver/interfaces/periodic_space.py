"""Spaces whose functions are the same on opposite outer faces of the box: their degrees of freedom there are one."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dolfinx import cpp, fem, la, mesh as dmesh
from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.mesh.index_map import index_map_of
from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag
from microlith.solver.interfaces.broken_space import space_of

NEAR = 1e-5  # of the shortest voxel edge: points closer than this are one


@dataclass(frozen=True, eq=False)
class OuterFacets:
    """Facets of this rank on the two outer faces across an axis, at some of the cells."""

    axis: int
    facets: Indices  # (n,) owned
    cells: Indices  # (n,) the cell at each
    high: Flags  # (n,) whether it is on the face at the end of the axis


def outer_facets(mesh: PhaseMesh, axis: int, chosen: Flags) -> OuterFacets:
    """Owned facets of chosen cells (of this rank, ghosts included) on the two outer faces across an axis."""
    topology = mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim - 1, dim)
    cells = topology.connectivity(dim - 1, dim)
    owned = topology.index_map(dim - 1).size_local
    tags = [face_tag(f"{AXES[axis]}_{end}") for end in ("min", "max")]
    here = np.isin(mesh.facet_tags.values, tags) & (mesh.facet_tags.indices < owned)
    facets, tag = mesh.facet_tags.indices[here], mesh.facet_tags.values[here]
    at = cells.array[cells.offsets[facets]]
    kept = chosen[at]
    return OuterFacets(axis, facets[kept], at[kept], tag[kept] == tags[1])


def opposite(mesh: PhaseMesh, outer: OuterFacets, numbers: Numbers) -> tuple[Numbers, float]:
    """Numbers of facets that lie opposite each other, the same on all ranks; collective.

    Facets of the outer faces, and of nothing within, are gathered.

    Args:
        mesh: The solved phases.
        outer: Facets of this rank.
        numbers: (n, k) what goes with each.

    Returns:
        (pairs, 2, k), the facet at the end of the axis first; share of the facets of all ranks that have none opposite.
    """
    dim, comm = mesh.mesh.topology.dim, mesh.mesh.comm
    middles = dmesh.compute_midpoints(mesh.mesh, dim - 1, outer.facets).reshape(-1, 3)[:, :dim]
    keys = np.delete(np.rint(middles / NEAR).astype(np.int64), outer.axis, axis=1)
    rows = np.concatenate(comm.allgather(np.hstack([keys, outer.high[:, None], numbers])))
    order = np.lexsort(rows[:, :dim].T[::-1])
    rows = rows[order]
    same = np.flatnonzero((rows[1:, : dim - 1] == rows[:-1, : dim - 1]).all(axis=1))  # low face first, then high
    pairs: Numbers = np.stack([rows[same + 1, dim:], rows[same, dim:]], axis=1)
    return pairs, 1.0 - 2 * len(pairs) / max(len(rows), 1)


def periodic(plain: fem.FunctionSpace, mesh: PhaseMesh, chosen: Flags) -> fem.FunctionSpace:
    """The space of the functions of another that are the same on opposite faces along all axes; collective.

    Facets that lie opposite each other are one, with their nodes; where a face has no cells on the other side nothing
    passes. Nodes that the mesh has parted at one place stay so.

    Args:
        plain: Scalar space with degrees of freedom at points.
        mesh: The solved phases.
        chosen: (cells of this rank, ghosts included) cells whose facets count.
    """
    comm, old = plain.mesh.comm, plain.dofmap.index_map
    owned, ghosts = old.size_local, old.num_ghosts
    first = old.local_range[0]
    chiefs = _chiefs(plain, mesh, chosen)  # (n, 2) of nodes that are one with others, increasing
    kept = np.ones(owned, dtype=bool)
    mine = chiefs[(chiefs[:, 0] >= first) & (chiefs[:, 0] < first + owned)]
    kept[mine[mine[:, 0] != mine[:, 1], 0] - first] = False
    size = int(kept.sum())
    start = comm.exscan(size, op=MPI.SUM) or 0
    number = start + np.cumsum(kept) - 1
    owner = np.full(owned, comm.rank, np.int64)
    own = mine[mine[:, 0] == mine[:, 1], 0]
    told = np.stack([own, number[own - first], np.full(len(own), comm.rank)], axis=1)
    everywhere = np.concatenate(comm.allgather(told))
    everywhere = everywhere[np.argsort(everywhere[:, 0])]
    row = np.searchsorted(everywhere[:, 0], mine[:, 1])
    number[mine[:, 0] - first], owner[mine[:, 0] - first] = everywhere[row, 1], everywhere[row, 2]

    both = la.vector(old, 2, dtype=np.int64)
    table = both.array.reshape(-1, 2)
    table[:owned, 0], table[:owned, 1] = number, owner
    both.scatter_forward()
    number, owner = table[: owned + ghosts].T
    here = owner == comm.rank
    beyond, first_of = np.unique(number[~here], return_index=True)
    local = np.empty(owned + ghosts, np.int32)
    local[here] = number[here] - start
    local[~here] = size + np.searchsorted(beyond, number[~here])
    owners = owner[~here][first_of].astype(np.int32)
    return space_of(plain, index_map_of(comm, size, beyond, owners), local[plain.dofmap.list])


def _chiefs(plain: fem.FunctionSpace, mesh: PhaseMesh, chosen: Flags) -> Numbers:
    """Nodes that are one with others and the first of these, (n, 2) global numbers, the same on all ranks."""
    dim = mesh.mesh.topology.dim
    points = plain.tabulate_dof_coordinates()[:, :dim]
    pairs = []
    for axis in range(dim):
        outer = outer_facets(mesh, axis, chosen)
        local = _nodes_of(plain, outer, points)
        numbers = plain.dofmap.index_map.local_to_global(local.ravel()).reshape(local.shape).astype(np.int64)
        pairs.append(opposite(mesh, outer, numbers)[0].transpose(0, 2, 1).reshape(-1, 2))
    every = np.concatenate(pairs)
    nodes, at = np.unique(every, return_inverse=True)
    at = at.reshape(every.shape)
    links = coo_array((np.ones(len(at), bool), (at[:, 0], at[:, 1])), shape=(len(nodes),) * 2)
    count, group = connected_components(links, directed=False)
    least = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(least, group, nodes)
    return np.stack([nodes, least[group]], axis=1) if len(nodes) else np.empty((0, 2), np.int64)


def _nodes_of(plain: fem.FunctionSpace, outer: OuterFacets, points: Array) -> Indices:
    """Local nodes of each facet, (n, k), in the order of their places on it."""
    topology = plain.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim, dim - 1)
    facets_of = topology.connectivity(dim, dim - 1)
    count = cpp.mesh.cell_num_entities(topology.cell_type, dim - 1)
    which = (facets_of.array.reshape(-1, count)[outer.cells] == outer.facets[:, None]).argmax(axis=1)
    closure = np.array([plain.dofmap.dof_layout.entity_closure_dofs(dim - 1, i) for i in range(count)])
    nodes = np.take_along_axis(plain.dofmap.list[outer.cells], closure[which], axis=1)
    keys = np.rint(np.delete(points, outer.axis, axis=1)[nodes] / NEAR)
    order = np.lexsort(tuple(keys[:, :, k] for k in range(keys.shape[2])), axis=1)
    found: Indices = np.take_along_axis(nodes, order, axis=1)
    return found
