"""Cells too sharp made better by moving their vertices a little, wherever they lie."""

from itertools import product

import numpy as np

from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.lattice.cutting import CutCells
from microlith.meshing.lattice.placing import VertexSurroundings
from microlith.meshing.lattice.rank_boxes import SharedVertices
from microlith.meshing.lattice.trial_moves import CellsAround, TrialMoves, sharpest_after
from microlith.meshing.mesh.simplices import sharpness, touching

SHARP = float(np.cos(np.radians(12.7)))  # cells sharper than that are repaired
CLOSE = float(np.cos(np.radians(30.0)))  # a vertex whose cells are all less sharp than that needs no more
REACHES = ((0.06, 0.16), (0.03, 0.1), (0.2, 0.35))  # of the shortest edge: how far vertices move, sweep by sweep
SWEEPS = 25
ATTEMPTS = 4


def repaired(points: Array, cut: CutCells, about: VertexSurroundings, extent: Array) -> Array:
    """Move vertices of sharp cells to where the sharpest cell around them is least sharp; collective.

    In each sweep, those vertices move that gain most among all vertices of their cells, so that no two of them have a
    cell in common and none gets worse. Vertices two cells away from those that are sharp at first may move.

    Args:
        points: (n, dim) of the vertices.
        cut: The cells.
        about: What the vertices lie on.
        extent: Edge lengths of the image.

    Returns:
        Points (n, dim).
    """
    comm = about.shared.comm
    cosine = sharpness(points, cut.cells)
    if not comm.allreduce(int((cosine > SHARP).sum())):
        return points
    region = _vertices_of(cosine > SHARP, cut.cells, len(points))
    for _ in range(2):
        region = _spread(region, cut.cells, about.shared)
    kept = touching(cut.cells, region)
    cells, cosine = cut.cells[kept], cosine[kept]
    points = points.copy()
    for attempt in range(ATTEMPTS):
        for number in range(SWEEPS):
            active = about.shared.combined(_vertices_of(cosine > SHARP, cells, len(points)), np.logical_or) & region
            moved = comm.allreduce(_sweep(points, cells, cosine, active, number + attempt, cut, about, extent))
            if not moved and number >= len(REACHES):
                break
        stuck = about.shared.combined(_vertices_of(cosine > SHARP, cells, len(points)), np.logical_or) & region
        if attempt == ATTEMPTS - 1 or not comm.allreduce(int(stuck.sum())):
            break
        # Another start: where the vertices were when their cells were cut, but not quite.
        towards = 1 - 0.3 * attempt - 0.2 * _scatter(about.numbers[stuck])
        points[stuck] += towards[:, None] * (cut.points[stuck] - points[stuck])
        cosine = sharpness(points, cells)
    return points


def _vertices_of(chosen: Flags, cells: Indices, count: int) -> Flags:
    """Vertices (count,) of the chosen cells."""
    found = np.zeros(count, bool)
    found[cells[chosen]] = True
    return found


def _spread(start: Flags, cells: Indices, shared: SharedVertices) -> Flags:
    """Vertices with a cell in common with those flagged, on all ranks."""
    start = shared.combined(start, np.logical_or)
    return shared.combined(_vertices_of(touching(cells, start), cells, len(start)), np.logical_or)


def _sweep(
    points: Array,
    cells: Indices,
    cosine: Array,
    active: Flags,
    number: int,
    cut: CutCells,
    about: VertexSurroundings,
    extent: Array,
) -> int:
    """Move some of the active vertices, and bring the cosines of their cells up to date; returns how many."""
    rows = np.flatnonzero(active)
    shared = about.shared.among(active)
    row = np.full(len(points), -1)
    row[rows] = np.arange(len(rows))
    near = np.flatnonzero(touching(cells, active))
    cells = cells[near]
    place = row[cells]
    now = shared.combined(_worst(cosine[near], place, len(rows)), np.maximum)
    reach = np.where(about.fixed[rows], 0.0, about.shortest[rows][:, None])
    moves = TrialMoves(points[rows], reach, _ways(points.shape[1], number), extent)
    own = sharpest_after(CellsAround(points, cells, place, cosine[near]), moves, now, shared.alone(len(rows)))
    best, best_at = now, moves.start
    for way, found in enumerate(shared.combined(own.T, np.maximum).T):
        better = found < best
        best = np.where(better, found, best)
        best_at = np.where(better[:, None], moves.places(way), best_at)
    gain = np.maximum(now - np.maximum(best, CLOSE), 0.0) * (1 + 1e-6 * _scatter(about.numbers[rows]))
    rival = np.where(place >= 0, gain[place], 0.0).max(axis=1) if len(rows) else np.empty(0)
    greatest = shared.combined(_worst(rival, place, len(rows)), np.maximum)
    moves = (gain > 1e-7) & (gain >= greatest)
    points[rows[moves]] = best_at[moves]
    cosine[near] = sharpness(points, cells)
    return int(moves.sum())


def _ways(dim: int, number: int) -> Array:
    """Moves (ways, dim) to try in a sweep, in parts of the shortest edge at a vertex; other ways in the next one."""
    turn = number / 3.0
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if dim == 3:
        flat = np.eye(3)
        flat[:2, :2] = rotation
        tilted = np.eye(3)
        tilted[1:, 1:] = rotation
        rotation = flat @ tilted
    signs = [np.array(s, float) for s in product((-1, 0, 1), repeat=dim) if any(s) and sum(map(abs, s)) != 2]
    if dim == 2:
        signs = [np.array(s, float) for s in product((-1, 0, 1), repeat=2) if any(s)]
    reaches = REACHES[number % len(REACHES)]
    return np.array([reach * rotation @ way / np.sqrt(way @ way) for reach in reaches for way in signs])


def _worst(of_cell: Array, place: Numbers, count: int) -> Array:
    """Largest value (count,) of the cells around each vertex."""
    from microlith.meshing.mesh.loops import find_worst

    worst = np.full(count, -1.0)
    find_worst(of_cell, place, worst)
    return worst


def _scatter(numbers: Numbers) -> Array:
    """A fraction for each number that decides between equals, the same on all ranks."""
    return np.asarray(((numbers * 2654435761) % 1048573) / 1048573)
