"""The smooth surface that faces of squares and cubes stand for.

Their steps reach farther out than the surface that they stand for, so that too much lies within a distance of them: of
a layer of one voxel around balls a third. So the corners of the faces are moved towards the mean of their neighbours
and as far back by what is found there (after Taubin, A signal processing approach to fair surface design, SIGGRAPH
1995), which takes the steps away and leaves what is wider than several of them, and the volume. No corner goes farther
than half a voxel along an axis, as that is what voxels leave open. Planes along the voxels stay as they are, and where
two of them meet and are straight for some voxels there is an edge, and no step: along it corners move as along a line.
Of what is one voxel wide along two axes nothing else is known, and its corners stay.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from scipy.sparse import csr_matrix

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Numbers

PASSES = 12  # there and back
PART = 0.6  # of the way to the mean of the neighbours
STRAIGHT = 3  # faces in a row on both sides of an edge between planes
FARTHEST = 0.5  # voxels, along each axis
REACH = 2 * PASSES + STRAIGHT  # voxels; faces farther from a corner have no influence on where it goes


def face_edges(facets: Array, voxel: Array, cell: Array, comm: MPI.Intracomm) -> Array:
    """Edges (dim,) of the faces that the surface is made of; collective.

    These are the voxel's, or where interfaces have been moved by a part of it, a part.

    Args:
        facets: (n, dim, dim) corners of faces of this rank's cells.
        voxel: (dim,) edges of a voxel of the image.
        cell: (dim,) edges of a cell, a voxel divided evenly; 0 on ranks without any.
        comm: All ranks.
    """
    edges = np.array(cell, np.float64)
    comm.Allreduce(MPI.IN_PLACE, edges, op=MPI.MAX)
    if not edges.all():
        return voxel
    axis, low = _faces(facets, edges)
    planes = int(np.gcd.reduce(np.take_along_axis(low, axis[:, None], axis=1), axis=None))
    return np.asarray(edges * max(gcd(round(float(voxel[0] / edges[0])), *comm.allgather(planes)), 1))


def smoothed(facets: Array, edges: Array) -> Array:
    """Corners (m, dim, dim) of the segments (triangles) of the smooth surface.

    Args:
        facets: (n, dim, dim) corners of segments (triangles, two a rectangle) along the grid of voxels.
        edges: (dim,) of the faces that they fill.
    """
    dim = len(edges)
    if not len(facets):
        return facets
    axis, low = _faces(facets, edges)
    grid = _Grid(low.min(axis=0) - STRAIGHT, low.max(axis=0) + 2 * STRAIGHT)
    surface = _Surface.of(grid, np.unique(grid.number(low) * dim + axis))
    x = _moved(surface.places, *_neighbours(surface)) * edges
    corners = surface.corners if dim == 2 else surface.corners[:, [[0, 1, 3], [0, 2, 3]]].reshape(-1, 3)
    return np.asarray(x[corners])


def _faces(facets: Array, edges: Array) -> tuple[Numbers, Numbers]:
    """Of faces of voxels, several perhaps of one: the axis (n,) that each is across, and its lowest corner (n, dim)."""
    at = facets / edges
    axis, row = np.ptp(at, axis=1).argmin(axis=1), np.arange(len(at))
    low = np.floor(at.mean(axis=1))
    low[row, axis] = np.rint(at[row, 0, axis])
    return axis, low.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Numbers of places, so that what is looked up is one number."""

    first: Numbers  # (dim,)
    last: Numbers  # (dim,) no place that is asked for lies beyond

    @cached_property
    def strides(self) -> Numbers:
        """(dim,) from a place to the next along each axis."""
        return np.cumprod(np.concatenate([[1], (self.last - self.first + 1)[:-1]]))

    def number(self, places: Numbers) -> Numbers:
        """Of places (n, dim)."""
        return np.asarray((places - self.first) @ self.strides)

    def places(self, number: Numbers) -> Numbers:
        """Of numbers (n,)."""
        return np.stack(np.unravel_index(number, self.last - self.first + 1, order="F"), axis=1) + self.first


@dataclass(frozen=True, eq=False)
class _Surface:
    """Faces, and their corners."""

    grid: _Grid
    faces: Numbers  # (n,) sorted, number of the lowest corner · dim + the axis that the face is across
    corners: Numbers  # (n, 2^(dim - 1)) rows of `places`, the first axis fastest
    places: Numbers  # (m, dim) of the corners, voxels

    @staticmethod
    def of(grid: _Grid, faces: Numbers) -> "_Surface":
        """From the numbers of the faces."""
        dim = len(grid.first)
        along = np.array([[a for a in range(dim) if a != k] for k in range(dim)])[faces % dim]
        found = (faces // dim)[:, None]
        for axis in along.T:
            found = np.concatenate([found, found + grid.strides[axis][:, None]], axis=1)
        numbers, corners = np.unique(found, return_inverse=True)
        return _Surface(grid, faces, corners.reshape(found.shape), grid.places(numbers))

    def has(self, faces: Numbers) -> Flags:
        """Which faces are there."""
        at = np.minimum(np.searchsorted(self.faces, faces), len(self.faces) - 1)
        return np.asarray(self.faces[at] == faces)


def _neighbours(surface: _Surface) -> tuple[Numbers, Numbers]:
    """Corners (m,) that move, and for each a neighbour (m,): in pairs, of which some may be there twice."""
    count, dim = len(surface.places), len(surface.grid.first)
    if dim == 2:
        sides, lines = surface.corners, np.ones(len(surface.corners), bool)
    else:
        ends = surface.corners[:, [[0, 1], [2, 3], [0, 2], [1, 3]]].reshape(-1, 2)
        order = np.argsort(ends[:, 0] * count + ends[:, 1], kind="stable")
        first = np.flatnonzero(np.diff((ends[:, 0] * count + ends[:, 1])[order], prepend=-1))
        faces = np.diff(first, append=len(order))  # that have each side
        sides, one, other = ends[order[first]], order[first] // 4, order[first + faces - 1] // 4
        lines = (faces == 1) | ((faces == 2) & _between_planes(surface, one, other))
    on_line = np.bincount(sides[lines].ravel(), minlength=count)
    fixed = _of_specks(surface) | _turns(surface, sides[lines])
    fixed |= (on_line > 0) & (on_line != 2)  # ends of lines, and where several meet
    here, there = np.concatenate([sides, sides[:, ::-1]]).T
    moves = ~fixed[here] & ((on_line[here] == 0) | np.tile(lines, 2))
    return here[moves], there[moves]


def _between_planes(surface: _Surface, one: Numbers, other: Numbers) -> Flags:
    """Whether two faces (n,) each that meet are the first of `STRAIGHT` in a row, in planes at right angles."""
    grid, dim = surface.grid, len(surface.grid.first)
    axis, low = surface.faces % dim, grid.places(surface.faces // dim)
    found = axis[one] != axis[other]
    for here, there in ((one, other), (other, one)):
        across = axis[there]
        row = np.arange(len(across))
        # From the other's plane on
        way = np.where(low[here][row, across] >= low[there][row, across], 1, -1) * grid.strides[across] * dim
        for step in range(1, STRAIGHT):
            found &= surface.has(surface.faces[here] + step * way)
    return np.asarray(found)


def _turns(surface: _Surface, lines: Numbers) -> Flags:
    """Which corners (n,) are those of lines, sides (m, 2), that are straight for `STRAIGHT` voxels on both sides."""
    grid, dim = surface.grid, len(surface.grid.first)
    places = surface.places[lines]
    along = np.abs(places[:, 1] - places[:, 0]).argmax(axis=1)
    number = grid.number(places.min(axis=1)) * dim + along
    straight_along = np.zeros((len(surface.places), dim), bool)
    for end in (0, 1):
        way = np.sign((places[:, 1 - end] - places[:, end]).sum(axis=1)) * grid.strides[along] * dim
        straight: Flags = np.ones(len(lines), bool)
        for step in range(1, STRAIGHT):
            straight &= np.isin(number + step * way, number)
        straight_along[lines[straight, end], along[straight]] = True
    return np.asarray(np.count_nonzero(straight_along, axis=1) > 1)


def _of_specks(surface: _Surface) -> Flags:
    """Which corners (n,) are those of a voxel that has faces on both sides along two axes."""
    dim, strides = len(surface.grid.first), surface.grid.strides
    axis, lowest = surface.faces % dim, surface.faces // dim
    thin = surface.has(surface.faces + strides[axis] * dim)  # so is the voxel that this face is the first of
    voxel, axes = np.unique(lowest[thin], return_counts=True)
    found = voxel[axes > 1]
    for step in strides:
        found = np.concatenate([found, found + step])
    return np.asarray(np.isin(surface.grid.number(surface.places), found))


def _moved(places: Numbers, corner: Numbers, neighbour: Numbers) -> Array:
    """Where corners (n, dim) go that have these neighbours (m,), given with each."""
    start = places.astype(np.float64)
    count = len(places)
    mean = csr_matrix((np.ones(len(corner)), (corner, neighbour)), shape=(count, count))
    mean.data[:] = 1.0  # pairs that were there twice
    weight = np.diff(mean.indptr)
    mean.data /= np.repeat(weight, weight)
    moves = (weight > 0)[:, None]
    x = start.copy()
    for _ in range(PASSES):
        for part in (PART, -PART):
            x += part * np.where(moves, mean @ x - x, 0.0)
        x = start + np.clip(x - start, -FARTHEST, FARTHEST)
    return x
