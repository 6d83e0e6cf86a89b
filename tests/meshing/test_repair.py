"""The moves that the repair of sharp cells tries."""

import numpy as np
import pytest
from scipy.spatial import Delaunay

from microlith.meshing.lattice.trial_moves import CellsAround, TrialMoves, sharpest_after
from microlith.meshing.mesh.simplices import oriented, sharpness


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_best_move_is_found_without_looking_at_all_cells(dim, shared):
    """Against every cell around every vertex, for each way alike; what is turned down is never the better move."""
    generator = np.random.default_rng(3)
    points = generator.random((300, dim))
    cells = oriented(points, Delaunay(points).simplices.astype(np.int32))
    rows = np.flatnonzero(generator.random(len(points)) < 0.3)
    row = np.full(len(points), -1)
    row[rows] = np.arange(len(rows))
    cells = cells[(row[cells] >= 0).any(axis=1)]
    ways = generator.standard_normal((12, dim))
    moves = TrialMoves(points[rows], 0.04 * generator.random((len(rows), dim)), ways, np.ones(dim))
    cosine = sharpness(points, cells)

    now = np.full(len(rows), -1.0)
    every = np.full((len(ways), len(rows)), -1.0)
    for vertex, number in enumerate(rows):
        around = cells[(cells == number).any(axis=1)]
        now[vertex] = sharpness(points, around).max()
        for way, direction in enumerate(ways):
            moved = points.copy()
            moved[number] += direction * moves.reach[vertex]
            inside = moved[number].min() >= 0 and moved[number].max() <= 1
            every[way, vertex] = sharpness(moved, around).max() if inside else np.inf
    alone = generator.random(len(rows)) >= shared
    found = sharpest_after(CellsAround(points, cells, row[cells], cosine), moves, now, alone)

    best = np.minimum(every.min(axis=0), now)
    improves = every.min(axis=0) < now
    assert 0.1 < improves.mean() < 1
    assert np.minimum(found.min(axis=0), now)[alone] == pytest.approx(best[alone], abs=1e-12)
    assert (found <= every + 1e-12).all()
    # Another rank may hold the cell that decides: all moves that better what is known here are known exactly.
    open_ = every < now - 1e-12
    open_[:, alone] = False
    assert found[open_] == pytest.approx(every[open_], abs=1e-12)
