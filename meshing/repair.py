"""Cells too sharp made better by moving their vertices a little, wherever they lie."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from microlith.meshing.cutting import CutCells
from microlith.meshing.placing import Vertices
from microlith.meshing.simplices import sharpness, sharpness_at

Floats = NDArray[np.float64]

SHARP = float(np.cos(np.radians(12.5)))  # cells sharper than that are repaired
CLOSE = float(np.cos(np.radians(30.0)))  # a cell less sharp than that is not made better at the cost of others
REACHES = (0.04, 0.1, 0.2)  # of the shortest edge at a vertex: how far it is moved
SWEEPS = 25


def repaired(points: Floats, cut: CutCells, about: Vertices, extent: Floats) -> tuple[Floats, int]:
    """Move vertices of sharp cells to where the sharpest cell around them is least sharp; collective.

    In each sweep, those vertices move that gain most among all vertices of their cells, so that no two of them have a
    cell in common and none gets worse.

    Args:
        points: (n, dim) of the vertices.
        cut: The cells.
        about: What the vertices lie on.
        extent: Edge lengths of the image.

    Returns:
        Points (n, dim), and how many cells of this rank stay sharp.
    """
    comm = about.shared.comm
    cosine = sharpness(points, cut.cells)
    points = points.copy()
    ways = _ways(points.shape[1])
    for _ in range(SWEEPS):
        sharp = np.flatnonzero(cosine > SHARP)
        if comm.allreduce(len(sharp)) == 0:
            break
        active = np.zeros(len(points), bool)
        active[cut.cells[sharp]] = True
        active = about.shared.combined(active, np.logical_or)
        rows = np.flatnonzero(active)
        shared = about.shared.among(active)
        number = np.full(len(points), -1)
        number[rows] = np.arange(len(rows))
        near = np.flatnonzero((number[cut.cells] >= 0).any(axis=1))
        cells, place = cut.cells[near], number[cut.cells[near]]

        now = _worst(cosine[near], place, len(rows))
        now = shared.combined(now, np.maximum)
        best, best_at = now.copy(), points[rows]
        for way in ways:
            move = np.where(about.fixed[rows], 0.0, way * about.shortest[rows][:, None])
            there = points[rows] + move
            worst = np.full(len(rows), -1.0)
            for corner in range(cells.shape[1]):
                has = np.flatnonzero(place[:, corner] >= 0)
                corners = [points[cells[has, i]] for i in range(cells.shape[1])]
                corners[corner] = there[place[has, corner]]
                np.maximum.at(worst, place[has, corner], sharpness_at(corners))
            worst = shared.combined(worst, np.maximum)
            inside = ((there >= 0) & (there <= extent)).all(axis=1)
            better = (worst < best) & inside
            best = np.where(better, worst, best)
            best_at = np.where(better[:, None], there, best_at)
        gain = np.maximum(now - np.maximum(best, CLOSE), 0.0) * (1 + 1e-6 * _scatter(cut.numbers[rows]))
        rival = np.where(place >= 0, gain[place], 0.0).max(axis=1)
        greatest = shared.combined(_worst(rival, place, len(rows)), np.maximum)
        moves = (gain > 1e-7) & (gain >= greatest)
        if not comm.allreduce(int(moves.sum())):
            break
        points[rows[moves]] = best_at[moves]
        cosine[near] = sharpness(points, cells)
    return points, int((cosine > SHARP).sum())


def _ways(dim: int) -> list[Floats]:
    signs = [np.array(s, float) for s in product((-1, 0, 1), repeat=dim) if any(s)]
    return [reach * way / np.sqrt(way @ way) for reach in REACHES for way in signs]


def _worst(of_cell: Floats, place: NDArray[np.int64], count: int) -> Floats:
    """Largest value (count,) of the cells around each vertex."""
    worst = np.full(count, -1.0)
    for corner in range(place.shape[1]):
        has = place[:, corner] >= 0
        np.maximum.at(worst, place[has, corner], of_cell[has])
    return worst


def _scatter(numbers: NDArray[np.int64]) -> Floats:
    """A fraction for each number that decides between equals, the same on all ranks."""
    return np.asarray(((numbers * 2654435761) % 1048573) / 1048573)
