"""How sharp the cells around vertices would be, were each vertex alone to move: many moves of each at once."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags, Indices, Numbers


@dataclass(frozen=True, eq=False)
class TrialMoves:
    """The same ways for some vertices, each as far as it may go."""

    start: Array  # (k, dim) where the vertices are
    reach: Array  # (k, dim) how far they may move
    ways: Array  # (ways, dim) in parts of the reach
    extent: Array  # (dim,) of the image

    def places(self, way: int) -> Array:
        """Where the vertices (k, dim) would be after one of the ways."""
        return np.asarray(self.start + self.ways[way] * self.reach)

    def inside(self) -> Flags:
        """Which moves (ways, k) end in the image."""
        found = [((at >= 0) & (at <= self.extent)).all(axis=1) for at in map(self.places, range(len(self.ways)))]
        return np.stack(found)


@dataclass(frozen=True, eq=False)
class CellsAround:
    """The cells around some vertices."""

    points: Array  # (n, dim) of all vertices
    cells: Indices  # (m, dim + 1)
    place: Numbers  # (m, dim + 1) of the vertices of the cells among those k; -1 where they are not
    cosine: Array  # (m,) of the cells as they are


def sharpest_after(around: CellsAround, moves: TrialMoves, now: Array, alone: Flags) -> Array:
    """Cosine (ways, k) of the sharpest cell around each vertex after each move; infinite where that leaves the image.

    Cells that are sharp already are looked at first: they turn down most moves. What is turned down has the cosine of a
    cell that does so, not of the sharpest.

    Args:
        around: The cells.
        moves: The vertices and where they may go.
        now: (k,) of the sharpest cell around each vertex, on whichever rank: moves that give more are turned down.
        alone: (k,) vertices that no other rank has: moves that give more than an earlier one are turned down.
    """
    from microlith.meshing.mesh.loops import try_moves

    worst = np.where(moves.inside(), -1.0, np.inf)
    cells = around.points, around.cells, around.place, around.cosine
    try_moves(*cells, moves.start, moves.reach, moves.ways, now, alone, worst)
    return worst
