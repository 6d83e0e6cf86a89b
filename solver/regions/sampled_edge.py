"""Cells cut at a given distance from a surface: the distance where it is linear, corrected by points.

A shell along rough surfaces has its edge in most of the cells of a mesh, and in many of them the distance has kinks,
where another part of the surface becomes the nearest. To divide cells down to the kinks takes most of the time of a
run. Here each cell is cut once, where the linear function of the distance at its corners, shifted by its mean deviation
as its gradients there tell, is zero. What this misses or takes too much of is found at points spread evenly
over the cells: of the difference of the two regions these give an estimate without bias, whose variance falls with the
number of points (control variates; Hammersley and Handscomb, Monte Carlo Methods, 1964, chapter 5). Most of them go
where most is missed: the variance is least where their number is as the cell's volume times the square root of the
share of it that is missed (Neyman, Journal of the Royal Statistical Society 97, 558, 1934), and that share grows with
how far the gradients are off the linear function. The points follow from the corners of the cells alone, so that any
number of ranks takes the same.
"""

from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.mesh.cells import as_simplices, largest, least
from microlith.meshing.mesh.distance import SurfaceDistance, from_facets, to_facets
from microlith.solver.regions.cut_cells import REACH
from microlith.solver.regions.integrals import CELLS, Cells, Integrals

ON_SURFACE = 1e-9  # times the distance that matters: nearer to it, the gradient of the distance is not known
# Rows of numbers without a common measure: a place's products with them, without their whole parts, fill the unit cube
# evenly, and so do the multiples of the last row (Roberts' sequence in three dimensions).
ROTATIONS = 97.0 * np.sqrt(np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0], [17.0, 19.0, 23.0]]))
NEXT = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
ROUNDING = 97.0 * np.sqrt([29.0, 31.0, 37.0])  # another, which tells how many points a cell gets
DIRECTION = np.sqrt([1.0, 2.0, 3.0])  # along which no two corners of a cell lie at the same place
# Points of all cells together, and of each on average at most: means of what changes by one concentration over the
# shell err by some 2e-4 of it, measures by 1e-3.
POINTS, MOST_POINTS = 320_000, 256
STRAIGHT = 0.02  # deviation of the distance from a linear function, per diameter, that counts for points at least
BESIDE = 0.125  # points of a cell that the linear function does not cut, per those of one that it does
LINEAR, OPEN = 1, 2  # bits of what is known of a point: that the linear function has it inside; that it may be so
MANY = 60_000  # cut cells of all ranks, from which on their parts are not divided into simplices


@dataclass(frozen=True, eq=False)
class AtPoints:
    """What is known of the distance at the points of a mesh."""

    surface: SurfaceDistance
    within: float  # distance beyond which none matters
    distance: Array  # (points,) no more than twice `within`
    facet: Numbers  # (points,) of the surface, that is so near
    gradient: Array  # (points, 3) of the distance, 0 where unknown

    @staticmethod
    def of(surface: SurfaceDistance, x: Array, within: float) -> "AtPoints":
        """At points (n, 3)."""
        facet = surface.facets_at(x)
        distance = np.zeros(len(x))
        others = np.flatnonzero(facet < 0)  # corners of the surface are not looked up
        distance[others], facet[others] = surface.nearest(x[others], within)
        gradient = np.zeros_like(x)
        near = np.flatnonzero(np.isfinite(distance) & (distance > ON_SURFACE * within))
        gradient[near] = from_facets(x[near], surface.facets, facet[near]) / distance[near, None]
        return AtPoints(surface, within, np.minimum(distance, 2 * within), facet, gradient)


def add_shell(integrals: Integrals, cells: Cells, known: AtPoints, among: Numbers, thickness: float) -> None:
    """Take what of some cells is within a distance of a surface, in 3D; collective.

    Args:
        integrals: What takes it.
        cells: Of this rank.
        known: The distance at the points of the mesh.
        among: The cells.
        thickness: The distance.
    """
    whole, cut = _sure(cells, known, among, thickness)
    integrals.add_whole(whole)
    chunks = [_Chunk.of(cells, known, cut[i : i + CELLS], thickness) for i in range(0, len(cut), CELLS)]
    own = (
        np.array([[chunk.worth.sum(), np.count_nonzero(chunk.crossed)] for chunk in chunks]).reshape(-1, 2).sum(axis=0)
    )
    worth, crossed = cells.space.mesh.comm.allreduce(own, op=MPI.SUM)
    per_worth = min(POINTS, MOST_POINTS * max(crossed, 1)) / max(worth, 1e-300)
    divided = crossed < MANY
    for chunk in chunks:
        linear = known.distance[cells.nodes[chunk.cell]] - thickness + chunk.shift[:: chunk.fold, None]
        most, lowest = largest(linear), least(linear)
        integrals.add_whole(chunk.cell[most < 0])
        parted = (most >= 0) & (lowest < 0)
        integrals.add_below(chunk.cell[parted], linear[parted], in_simplices=divided)
        integrals.add_points(*_corrections(cells, known, chunk, thickness, per_worth))


def _sure(cells: Cells, known: AtPoints, among: Numbers, thickness: float) -> tuple[Numbers, Numbers]:
    """Of some cells those that lie inside as a whole, and those that may do in part."""
    from microlith.solver.regions.cell_loops import find_sure  # numba, late: not all that imports this needs it

    inside, cut = np.empty(len(among), bool), np.empty(len(among), bool)
    find_sure(known.distance, cells.nodes[among], REACH[3], cells.diameters[among], thickness, inside, cut)
    return among[inside], among[cut]


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Cells that may be cut, and the simplices that fill them."""

    cell: Numbers  # (n,)
    simplices: Indices  # (m, 4) points of the mesh at their corners, one cell after the other
    shift: Array  # (m,) of the linear function in each simplex
    crossed: Flags  # (m,) whether that is zero within
    volume: Array  # (m,)
    worth: Array  # (m,) points that each should get, in proportion

    @staticmethod
    def of(cells: Cells, known: AtPoints, cell: Numbers, thickness: float) -> "_Chunk":
        """Some cells of this rank."""
        from microlith.solver.regions.cell_loops import look_at_simplices

        nodes = cells.nodes[cell]
        # Of cubes' facets more are equally near than are looked at: which counts would be up to the number of ranks
        gradient = known.gradient if nodes.shape[1] == 4 else np.empty((0, 3))
        nodes = np.ascontiguousarray(nodes if nodes.shape[1] == 4 else as_simplices(nodes).reshape(-1, 4))
        chunk = _Chunk(cell, nodes, *(np.empty(len(nodes), kind) for kind in (float, bool, float, float)))
        look_at_simplices(
            cells.points,
            known.distance,
            gradient,
            nodes,
            cells.diameters[cell],
            thickness,
            STRAIGHT,
            BESIDE,
            chunk.shift,
            chunk.crossed,
            chunk.volume,
            chunk.worth,
        )
        return chunk

    @property
    def fold(self) -> int:
        """Simplices of a cell."""
        return max(len(self.simplices) // max(len(self.cell), 1), 1)


def _corrections(
    cells: Cells, known: AtPoints, chunk: _Chunk, thickness: float, per_worth: float
) -> tuple[Numbers, Array, Array]:
    """Where the linear function errs: cells (k,), points (k, 3), and volumes (k,) that these stand for.

    Looked up are only points that neither a facet near a corner nor a bound from below tells of.
    """
    from microlith.solver.regions.cell_loops import count_points, spread_points

    wanted = chunk.worth * per_worth
    count = np.empty(len(wanted), np.int64)
    count_points(cells.points, chunk.simplices, wanted, ROUNDING, count)
    total = int(count.sum())
    of, nearest = np.empty(total, np.int64), np.empty(total, np.int64)
    x, state = np.empty((total, 3)), np.empty(total, np.uint8)
    at_corners = (cells.points, known.distance, chunk.simplices)
    ways = (DIRECTION, ROTATIONS, NEXT)
    spread_points(*at_corners, count, *ways, thickness, chunk.shift, of, x, state, nearest)
    linear = (state & LINEAR) > 0
    inside: Flags = np.zeros(total, bool)
    rest = np.flatnonzero(state & OPEN)
    near = to_facets(x[rest], known.surface.facets, known.facet[nearest[rest]]) < thickness
    inside[rest[near]] = True
    rest = rest[~near]
    inside[rest] = known.surface.nearest(x[rest], thickness)[0] < thickness
    wrong = np.flatnonzero(inside != linear)
    row = of[wrong]
    volume = np.where(inside[wrong], 1.0, -1.0) * chunk.volume[row] / wanted[row]
    return chunk.cell[row // chunk.fold], x[wrong], volume
