"""Lagrange spaces whose functions may jump between phases: degrees of freedom there have one copy for each side.

A copy belongs to a group of phases: those present at the degree of freedom that interfaces without a jump connect. So
where A and B meet with a jump and C touches both without one, all three share one copy.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import basix
from dolfinx import cpp, fem, la
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.index_map import compiled_lists, index_map_of
from microlith.meshing.mesh.phasemesh import PhaseMesh

NEAR = 1e-9  # of the extent: what is so near to a face is on it
Pair = tuple[int, int]  # phases, the lower index first


@dataclass(frozen=True, eq=False)
class Presence:
    """Which phases have cells at which degree of freedom of a space, over all ranks."""

    phases: tuple[int, ...]  # solved phases
    at: NDArray[np.bool_]  # (local dofs, ghosts included; phases)

    @property
    def lowest(self) -> NDArray[np.int32]:
        """The present phase of lowest index at each local dof."""
        return np.array(self.phases, dtype=np.int32)[self.at.argmax(axis=1)]


@dataclass(frozen=True, eq=False)
class _Copies:
    """Where the copies of each local dof of the plain space are among the local dofs of the broken one."""

    phases: tuple[int, ...]
    first: Indices  # (plain local dofs)
    following: Indices  # (plain local dofs) the second copy; the others follow it
    row: Indices  # (plain local dofs) row of `number`; -1: one copy only
    number: Indices  # (rows, phases) which copy each phase has, from 0

    def dof(self, plain: NDArray[np.integer], phase: NDArray[np.integer]) -> Indices:
        if len(self.number) == 0:
            return self.first[plain]
        row = self.row[plain]
        number = np.where(row >= 0, self.number[row, np.searchsorted(self.phases, phase)], 0)
        return np.where(number == 0, self.first[plain], self.following[plain] + number - 1)


@dataclass(frozen=True, eq=False)
class Broken:
    """A space with copies, and how its degrees of freedom go with those of the plain space it is made from."""

    space: fem.FunctionSpace
    plain: Indices  # (local dofs) local dof of the plain space that each one is a copy of
    phase: Indices  # (local dofs) the phase of lowest index in its group
    _copies: _Copies

    def dof(self, plain: NDArray[np.integer], phase: NDArray[np.integer]) -> Indices:
        """Local dofs of the copies that phases have of local dofs of the plain space; shapes broadcast."""
        return self._copies.dof(plain, phase)


def presence(space: fem.FunctionSpace, mesh: PhaseMesh, phases: Collection[int]) -> Presence:
    """Find which of the solved phases have cells at each degree of freedom; collective."""
    solved = tuple(sorted(phases))
    dofmap = space.dofmap
    vector = la.vector(dofmap.index_map, len(solved), dtype=np.int32)
    vector.array[:] = 0
    there = vector.array.reshape(-1, len(solved))
    there[dofmap.list[mesh.cell_tags.indices], np.searchsorted(solved, mesh.cell_tags.values)[:, None]] = 1
    vector.scatter_reverse(la.InsertMode.add)
    vector.scatter_forward()
    return Presence(solved, vector.array.reshape(-1, len(solved)) > 0)


def broken(
    plain: fem.FunctionSpace, mesh: PhaseMesh, present: Presence, joined: Collection[Pair], apart: Collection[Pair]
) -> Broken:
    """Copy the degrees of freedom of a space where phases meet with a jump; collective.

    Args:
        plain: Scalar Lagrange space on mesh.mesh.
        mesh: The solved phases.
        present: Of the plain space.
        joined: Pairs of phases that share an interface without a jump, somewhere in the mesh.
        apart: Pairs between which functions may jump.
    """
    phase = np.zeros(len(plain.dofmap.list), dtype=np.int32)
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    return _copied(plain, present, joined, apart, phase[:, None])


def unwrapped(plain: fem.FunctionSpace, mesh: PhaseMesh) -> Broken:
    """Copy the degrees of freedom on periodic faces, so that each is at one place; collective.

    Args:
        plain: Scalar Lagrange space on mesh.mesh, broken or not.
        mesh: A mesh that closes on itself.
    """
    ends = _upper_ends(plain, mesh)
    codes = tuple(range(1 << len(mesh.extent)))
    vector = la.vector(plain.dofmap.index_map, len(codes), dtype=np.int32)
    vector.array[:] = 0
    there = vector.array.reshape(-1, len(codes))
    there[plain.dofmap.list, ends] = 1
    vector.scatter_reverse(la.InsertMode.add)
    vector.scatter_forward()
    present = Presence(codes, vector.array.reshape(-1, len(codes)) > 0)
    return _copied(plain, present, (), list(combinations(codes, 2)), ends)


def _upper_ends(space: fem.FunctionSpace, mesh: PhaseMesh) -> Indices:
    """For each node of each cell of this rank (cells, k) a bit for each periodic axis at whose upper end it is."""
    ends = np.zeros(space.dofmap.list.shape, np.int32)
    for axis in mesh.periodic:
        ends |= (nodes_along(space, axis) > (1 - NEAR) * mesh.extent[axis]).astype(np.int32) << axis
    return ends


def nodes_along(space: fem.FunctionSpace, axis: int) -> Array:
    """Coordinate (cells, k) of each node of each cell of this rank, ghosts included, seen from the cell.

    Where a mesh closes on itself, a node of the space is at one place seen from one cell and at another from the next.
    """
    geometry, element = space.mesh.geometry, space.element.basix_element
    corners = geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap
    straight = basix.create_element(basix.ElementFamily.P, element.cell_type, 1)
    shares = straight.tabulate(0, element.points)[0, :, :, 0]  # of the corners in each node
    along: Array = geometry.x[:, axis][corners] @ shares.T
    return along


def _copied(
    plain: fem.FunctionSpace,
    present: Presence,
    joined: Collection[Pair],
    apart: Collection[Pair],
    phase: NDArray[np.int32],
) -> Broken:
    """The space with the copies that `_groups` finds; `phase` is the one on whose side each cell's dofs are."""
    old = plain.dofmap.index_map
    owned, ghosts = old.size_local, old.num_ghosts
    row, number_of = _groups(present, joined, apart)
    more = np.zeros(owned + ghosts, dtype=np.int64)  # copies of each dof beyond its first
    more[row >= 0] = number_of.max(axis=1, initial=0)[row[row >= 0]]

    size = owned + int(more[:owned].sum())
    start = plain.mesh.comm.exscan(size, op=MPI.SUM) or 0
    # Each rank's dofs: its old ones, their copies, the old ghosts, the copies of these.
    first = np.concatenate([np.arange(owned), size + np.arange(ghosts)])
    following = np.concatenate([owned + _starts(more[:owned]), size + ghosts + _starts(more[owned:])])
    numbers = la.vector(old, 2, dtype=np.int64)
    number = numbers.array.reshape(-1, 2)
    number[:owned, 0], number[:owned, 1] = start + first[:owned], start + following[:owned]
    numbers.scatter_forward()
    beyond = more[owned:]
    within = np.arange(beyond.sum()) - np.repeat(_starts(beyond), beyond)
    ghost = np.concatenate([number[owned:, 0], np.repeat(number[owned:, 1], beyond) + within])
    owners = np.concatenate([old.owners, np.repeat(old.owners, beyond)]).astype(np.int32)

    of_owned, of_ghosts = np.arange(owned), owned + np.arange(ghosts)
    origin = np.concatenate([of_owned, np.repeat(of_owned, more[:owned]), of_ghosts, np.repeat(of_ghosts, beyond)])
    lowest = present.lowest[origin]
    split = np.flatnonzero(row >= 0)
    for column in reversed(range(len(present.phases))):  # so that the lowest phase of a group is the last to be put
        here = split[present.at[split, column]]
        which = number_of[row[here], column]
        lowest[np.where(which == 0, first[here], following[here] + which - 1)] = present.phases[column]

    copies = _Copies(present.phases, first.astype(np.int32), following.astype(np.int32), row, number_of)
    dofs = copies.dof(plain.dofmap.list, phase)
    space = space_of(plain, index_map_of(plain.mesh.comm, size, ghost, owners), dofs)
    return Broken(space, origin.astype(np.int32), lowest, copies)


def with_element(space: fem.FunctionSpace, element: Any) -> fem.FunctionSpace:
    """A space with the degrees of freedom of another and an element that has its own on the same entities.

    Args:
        space: Lagrange, broken or not.
        element: Lagrange of the same degree, with other nodes (basix.ufl).
    """
    other = fem.functionspace(space.mesh, element)
    return _of_dofmap(other, space.dofmap._cpp_object)


def owned_values(space: fem.FunctionSpace, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (owned dofs, k) from those (local dofs, k) that were set cell by cell, the same by all ranks; collective.

    Of a broken space a rank may own copies that only cells of other ranks have.
    """
    count, width = values.shape
    vector = la.vector(space.dofmap.index_map, width + 1)
    seen = np.zeros(count)
    seen[space.dofmap.list] = 1.0
    vector.array[:] = np.column_stack([np.where(seen[:, None] > 0, values, 0.0), seen]).ravel()
    vector.scatter_reverse(la.InsertMode.add)
    owned = space.dofmap.index_map.size_local
    sums = vector.array.reshape(-1, width + 1)[:owned]
    means: NDArray[np.float64] = sums[:, :-1] / sums[:, -1:]
    return np.where(seen[:owned, None] > 0, values[:owned], means)


def _groups(present: Presence, joined: Collection[Pair], apart: Collection[Pair]) -> tuple[Indices, Indices]:
    """Row (local dofs) of dofs with more than one copy, else -1; which copy each phase has there (rows, phases)."""
    column = {phase: i for i, phase in enumerate(present.phases)}
    affected = np.zeros(len(present.at), dtype=bool)
    for a, b in apart:
        affected |= present.at[:, column[a]] & present.at[:, column[b]]
    where = np.flatnonzero(affected)
    patterns, pattern = np.unique(present.at[where], axis=0, return_inverse=True)
    groups = np.zeros(patterns.shape, dtype=np.int32)
    for i, there in enumerate(patterns):
        links = [(column[a], column[b]) for a, b in joined if there[column[a]] and there[column[b]]]
        ends = np.array(links, dtype=np.int64).reshape(-1, 2).T
        edges = coo_array((np.ones(len(links), dtype=bool), (ends[0], ends[1])), shape=(len(there), len(there)))
        label = connected_components(edges, directed=False)[1]
        _, groups[i, there] = np.unique(label[there], return_inverse=True)
    row = np.full(len(present.at), -1, dtype=np.int32)
    copy = groups[pattern.ravel()]
    several = copy.max(axis=1, initial=0) > 0
    row[where[several]] = np.arange(several.sum())
    return row, copy[several]


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of all counts before each."""
    return np.cumsum(counts) - counts


def space_of(plain: fem.FunctionSpace, index_map: cpp.common.IndexMap, dofs: Indices) -> fem.FunctionSpace:
    """The plain space with other degrees of freedom, (cells, dofs per cell)."""
    return _of_dofmap(plain, cpp.fem.DofMap(plain.dofmap.dof_layout, index_map, 1, compiled_lists(dofs), 1))


def _of_dofmap(like: fem.FunctionSpace, dofmap: cpp.fem.DofMap) -> fem.FunctionSpace:
    mesh, element = like.mesh._cpp_object, like._cpp_object.element
    try:
        space = cpp.fem.FunctionSpace_float64(mesh, element, dofmap)
    except TypeError:  # DOLFINx 0.9 wants the shape of the values too
        space = cpp.fem.FunctionSpace_float64(mesh, element, dofmap, [])
    return fem.FunctionSpace(like.mesh, like.ufl_element(), space)
