"""How sharp the cells around vertices would be, were each vertex alone to move: many moves of each at once."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.parallel.large_arrays import cached_slices
from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.mesh.simplices import sharpness_of

LIKELY = 2  # turns of looking at 1, 2, 4, ... cells around a vertex, after which the best of its moves is likely known
PAIRS = 1 << 16  # of a cell and a vertex at a time
# The corners of a cell in another order, of which each is the last once; its measure keeps its sign.
TURNED = {
    3: np.array([[1, 2, 0], [2, 0, 1], [0, 1, 2]]),
    4: np.array([[3, 2, 1, 0], [2, 3, 0, 1], [1, 0, 3, 2], [0, 1, 2, 3]]),
}


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

    Cells that are sharp already are looked at first: they turn down most moves. The most likely of what is left is
    looked at to its end, and turns down most of the others. What is turned down has the cosine of a cell that does so,
    not of the sharpest.

    Args:
        around: The cells.
        moves: The vertices and where they may go.
        now: (k,) of the sharpest cell around each vertex, on whichever rank: moves that give no less are turned down.
        alone: (k,) vertices that no other rank has: moves that give no less than another one are turned down.
    """
    count = len(moves.start)
    cell, corner = np.nonzero(around.place >= 0)
    vertex = around.place[cell, corner]
    order = np.lexsort((-around.cosine[cell], vertex))
    cell, corner, vertex = cell[order], corner[order], vertex[order]
    turn = np.arange(len(vertex)) - np.searchsorted(vertex, np.arange(count))[vertex]
    turn = np.log2(turn + 1).astype(np.int8)  # one cell, then two, then four, ...
    worst = np.where(moves.inside(), -1.0, np.inf)

    def look(chosen: Numbers, limit: Array, only: Numbers | None = None) -> None:
        for first in range(0, len(chosen), PAIRS):
            part = chosen[first : first + PAIRS]
            wanted = worst[:, vertex[part]] <= limit[vertex[part]]
            if only is not None:
                wanted &= np.arange(len(worst))[:, None] == only[vertex[part]]
            _look(around, moves, (cell[part], corner[part], vertex[part]), np.flatnonzero(wanted), worst)

    limit = now
    for number in range(int(turn.max(initial=-1)) + 1):
        if number == LIKELY:
            likely = worst.argmin(axis=0)
            look(np.flatnonzero((turn >= number) & alone[vertex]), limit, likely)
            limit = np.where(alone, np.minimum(limit, worst[likely, np.arange(count)]), limit)
        look(np.flatnonzero(turn == number), limit)
    return worst


def _look(
    around: CellsAround, moves: TrialMoves, pairs: tuple[Numbers, Numbers, Numbers], wanted: Numbers, worst: Array
) -> None:
    """Bring `worst` up to date with some cells.

    Args:
        around: The cells.
        moves: The vertices and where they may go.
        pairs: Cells, the corners of theirs that move, and the vertices there.
        wanted: Numbers of the moves of the pairs to look at, way by way.
        worst: (ways, k), changed.
    """
    cell, corner, vertex = pairs
    count, dim = moves.start.shape
    others = around.cells[cell[:, None], TURNED[dim + 1][corner, :dim]]
    still = around.points[others].reshape(len(cell), dim * dim)
    of_pair = np.concatenate([still, moves.start[vertex], moves.reach[vertex]], axis=1).T.copy()
    ways = moves.ways.T.copy()
    for some in cached_slices(len(wanted)):
        way, row = np.divmod(wanted[some], len(cell))
        values, along = of_pair.take(row, axis=1), ways.take(way, axis=1)
        corners = [list(values[i * dim : (i + 1) * dim]) for i in range(dim + 1)]
        for axis in range(dim):
            corners[dim][axis] += along[axis] * values[(dim + 1) * dim + axis]
        np.maximum.at(worst.reshape(-1), way * count + vertex[row], sharpness_of(corners))
