"""Boxes of the lattice, one per rank, and what ranks with a common border tell each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.typing import Flags, Numbers
from microlith.meshing.lattice.bisection import BoxRange, Keys, Lattice


def boxes_of_ranks(weights: Numbers, ranks: int) -> list[BoxRange]:
    """Cut the lattice into one box per rank, of about the same weight, by halving it again and again.

    Args:
        weights: Work (x, y[, z]) that each coarse box makes.
        ranks: Number of boxes wanted; where there are more ranks than coarse boxes, some get an empty one.
    """
    return _split(weights, (0,) * weights.ndim, weights.shape, ranks)


def _split(weights: Numbers, first: tuple[int, ...], last: tuple[int, ...], ranks: int) -> list[BoxRange]:
    if ranks == 1:
        return [BoxRange(first, last)]
    shape = np.array(last) - np.array(first)
    axis = int(shape.argmax())
    if shape[axis] < 2:
        return [BoxRange(first, last), *(BoxRange(first, first) for _ in range(ranks - 1))]
    part = weights[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    layers = part.sum(axis=tuple(i for i in range(part.ndim) if i != axis))
    few = ranks // 2
    done = np.cumsum(layers)
    cut = first[axis] + 1 + int(np.abs(done[:-1] * ranks - done[-1] * few).argmin())
    middle_last = tuple(cut if i == axis else value for i, value in enumerate(last))
    middle_first = tuple(cut if i == axis else value for i, value in enumerate(first))
    return _split(weights, first, middle_last, few) + _split(weights, middle_first, last, ranks - few)


@dataclass(frozen=True)
class RankBoxes:
    """This rank's box among those of the others."""

    comm: MPI.Intracomm
    lattice: Lattice
    boxes: Sequence[BoxRange]  # one per rank

    @property
    def own(self) -> BoxRange:
        """This rank's box."""
        return self.boxes[self.comm.rank]

    def exchange(self, keys: Keys) -> Keys:
        """Bring lattice points to all ranks whose closed box has them; returns those of this rank's box; collective.

        Points on periodic faces go to the opposite places as well.
        """
        if self.lattice.periodic:
            keys = self.lattice.with_opposite(keys)
        if self.comm.size == 1:
            return keys
        points = self.lattice.points(keys)
        parcels = [keys[box.holds(self.lattice, points)] for box in self.boxes]
        return np.concatenate(self.comm.alltoall(parcels))

    def shared(self, numbers: Keys, doubled: Numbers) -> "SharedVertices":
        """Find the vertices that other ranks have too, or that lie on periodic faces.

        Args:
            numbers: (n,) sorted, the same for a vertex on every rank.
            doubled: (n, dim) twice the coordinates of the vertices on the lattice.
        """
        fine = Lattice(self.lattice.boxes, self.lattice.depth + 1, self.lattice.extent)
        one_of = None
        anywhere = [doubled]
        if self.lattice.periodic:
            _, first, one_of = np.unique(self.lattice.united(numbers, doubled), return_index=True, return_inverse=True)
            anywhere = _opposite(doubled[first], fine.top, self.lattice.periodic)
        places: dict[int, Numbers] = {}
        for rank, box in enumerate(self.boxes):
            if rank != self.comm.rank:
                common = np.flatnonzero(np.logical_or.reduce([box.holds(fine, points) for points in anywhere]))
                if len(common):
                    places[rank] = common
        return SharedVertices(self.comm, places, one_of)


def _opposite(points: Numbers, top: Numbers, periodic: Sequence[int]) -> list[Numbers]:
    """All places (n, dim) of some points, each time those opposite on some of the periodic faces."""
    found = [points]
    for axis in periodic:
        turned = [at.copy() for at in found]
        for at in turned:
            column = at[:, axis]
            at[:, axis] = np.where(column == 0, top[axis], np.where(column == top[axis], 0, column))
        found += turned
    return found


@dataclass(frozen=True)
class SharedVertices:
    """The vertices that this rank has in common with others, in the same order on both."""

    comm: MPI.Intracomm
    places: dict[int, Numbers]  # rows of this rank's vertices, or numbers of `one_of`, by the other rank
    one_of: Numbers | None = None  # (n,) on periodic lattices: a number from 0 that opposite vertices have in common

    def among(self, chosen: Flags) -> "SharedVertices":
        """The same for an array of the chosen vertices only; ranks must have chosen the same of those they share."""
        one_of = None
        if self.one_of is not None:
            one_of = self.one_of[chosen]
            chosen = np.zeros(int(self.one_of.max(initial=-1)) + 1, bool)
            chosen[one_of] = True
        place = np.cumsum(chosen) - 1
        places = {rank: place[rows[chosen[rows]]] for rank, rows in self.places.items()}
        return SharedVertices(self.comm, places, None if one_of is None else place[one_of])

    def alone(self, count: int) -> Flags:
        """Which of this rank's vertices (count,) are there once, on no other rank and not on another periodic face."""
        mask = np.ones(count, bool) if self.one_of is None else np.bincount(self.one_of) == 1
        for rows in self.places.values():
            mask[rows] = False
        return mask if self.one_of is None else mask[self.one_of]

    def combined(self, values: NDArray[Any], combine: np.ufunc) -> NDArray[Any]:
        """Values (n, ...) of this rank's vertices combined with those of other ranks and opposite faces; collective.

        Args:
            values: One row for each vertex.
            combine: A ufunc for which neither order nor repetition matters: minimum, maximum, bitwise_or, logical_or.
        """
        if self.one_of is not None:
            united = SharedVertices(self.comm, self.places).combined(_united(values, self.one_of, combine), combine)
            return united[self.one_of]
        if self.comm.size == 1:
            return values
        mine = {rank: np.ascontiguousarray(values[rows]) for rank, rows in self.places.items()}
        theirs = {rank: np.empty_like(part) for rank, part in mine.items()}
        requests = [self.comm.Irecv(_bytes(part), source=rank) for rank, part in theirs.items()]
        requests += [self.comm.Isend(_bytes(part), dest=rank) for rank, part in mine.items()]
        MPI.Request.Waitall(requests)
        result = values.copy()
        for rank, rows in self.places.items():
            result[rows] = combine(result[rows], theirs[rank])
        return result


def _united(values: NDArray[Any], one_of: Numbers, combine: np.ufunc) -> NDArray[Any]:
    """Values (k, ...) of what rows have in common: of their numbers 0 ... k - 1."""
    if len(values) == 0:
        return values
    order = np.argsort(one_of, kind="stable")
    first = np.flatnonzero(np.diff(one_of[order], prepend=-1))
    united: NDArray[Any] = combine.reduceat(values[order], first, axis=0)
    return united


def _bytes(array: NDArray[Any]) -> Any:
    return [array.view(np.uint8).reshape(-1), MPI.BYTE]
