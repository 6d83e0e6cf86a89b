"""Cells cut at a given distance from a surface: the distance where it is linear, corrected by points.

A shell along rough surfaces has its edge in most of the cells of a mesh, and in many of them the distance has kinks,
where another part of the surface becomes the nearest. To divide cells down to the kinks takes most of the time of a
run. Here each cell is cut once, where the linear function of the distance at its corners, shifted by its mean deviation
as its gradients there tell, is zero. What this misses or takes too much of is found at points spread evenly
over the cells: of the difference of the two regions these give an estimate without bias, whose variance falls with the
number of points (control variates; Hammersley and Handscomb, Monte Carlo Methods, 1964, chapter 5). The points follow
from the corners of the cells alone, so that any number of ranks takes the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.distance import SurfaceDistance, feet, to_facets
from microlith.solver.regions.cut_cells import (
    Cut,
    Inside,
    clip,
    in_simplices,
    reach_of,
    wholes,
)

ON_SURFACE = 1e-9  # times the distance that matters: nearer to it, the gradient of the distance is not known
# Rows of numbers without a common measure: a place's products with them, without their whole parts, fill the unit cube
# evenly, and so do the multiples of the last row (Roberts' sequence in three dimensions).
ROTATIONS = 97.0 * np.sqrt(np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0], [17.0, 19.0, 23.0]]))
NEXT = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
DIRECTION = np.sqrt([1.0, 2.0, 3.0])  # along which no two corners of a cell lie at the same place


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
        distance, facet = surface.nearest(x, within)
        gradient = np.zeros_like(x)
        near = np.flatnonzero(np.isfinite(distance) & (distance > ON_SURFACE * within))
        away = x[near] - feet(x[near], surface.facets[facet[near]])
        gradient[near] = away / distance[near, None]
        return AtPoints(surface, within, np.minimum(distance, 2 * within), facet, gradient)


def within_surface_distance(known: AtPoints, thickness: float, points: int) -> Cut:
    """Cut where the distance to a surface is a given one; in 3D. It takes the numbers of the points at corners.

    Args:
        known: The distance at the points of the mesh.
        thickness: The distance up to which cells are inside.
        points: For each simplex that the edge may cut.
    """

    def cut(corners: Array, nodes: Numbers) -> Iterator[Inside]:
        whole, outside = _sure(known.distance[nodes], reach_of(corners), thickness)
        yield wholes(np.flatnonzero(whole), corners)
        cell, simplices, nodes = in_simplices(np.flatnonzero(~whole & ~outside), corners, nodes)
        if len(cell) == 0:
            return
        linear = known.distance[nodes] - thickness
        # Of cubes' facets more are equally near than are looked at: which counts would be up to the number of ranks
        if corners.shape[1] == 4:
            linear += _bend(simplices, known.distance[nodes], known.gradient[nodes])[:, None]
        of, parts = clip(simplices, linear)
        yield Inside(np.empty(0, np.intp), cell[of], parts)
        shares = spread_points(simplices, points)
        taken: Flags = np.einsum("npk,nk->np", shares, linear) < 0
        inside, x = _inside(known, simplices, nodes, shares, thickness)
        row, point = np.nonzero(inside != taken)
        sign = np.where(inside[row, point], 1.0, -1.0) / points
        yield Inside(np.empty(0, np.intp), cell[row], simplices[row], at=x[row, point], share=sign)

    return cut


def _bend(simplices: Array, distance: Array, gradient: Array) -> Array:
    """Mean difference (n,) of the distance from its linear interpolant, from its gradients at the corners.

    Along an edge the cubic with the values and slopes of both ends stands for it, or where one has no gradient, the
    parabola with the slope of the other.
    """
    total = np.zeros(len(simplices))
    known = (gradient != 0).any(axis=2)
    for i in range(4):
        for j in range(i + 1, 4):
            along = simplices[:, j] - simplices[:, i]
            at_i, at_j = np.einsum("nk,nk->n", gradient[:, i], along), np.einsum("nk,nk->n", gradient[:, j], along)
            rise = distance[:, j] - distance[:, i]
            from_i, from_j = known[:, i] * (at_i - rise), known[:, j] * (rise - at_j)
            total += (from_i + from_j) / (4 * np.maximum(1, known[:, i].astype(int) + known[:, j]))
    return total / 5  # the mean of 4 d_ij λ_i λ_j is d_ij / 5


def _inside(known: AtPoints, simplices: Array, nodes: Numbers, shares: Array, thickness: float) -> tuple[Flags, Array]:
    """Which points (n, points) of simplices are nearer than the thickness; and the points (n, points, 3).

    Looked up are only those that neither a facet near a corner nor a bound from below tells of.
    """
    x = np.einsum("npk,nkd->npd", shares, simplices)
    squares = known.distance[nodes] ** 2 - np.einsum("nkd,nkd->nk", simplices, simplices)
    least = np.einsum("npk,nk->np", shares, squares) + np.einsum("npd,npd->np", x, x)  # see `_sure`
    inside: Flags = np.zeros(least.shape, bool)
    row, point = np.nonzero(least < thickness**2)
    facet = known.facet[nodes[row, shares[row, point].argmax(axis=1)]]
    near = to_facets(x[row, point], known.surface.facets[facet]) < thickness
    inside[row[near], point[near]] = True
    row, point = row[~near], point[~near]
    inside[row, point] = known.surface.nearest(x[row, point], known.within)[0] < thickness
    return inside, x


def _sure(values: Array, reach: Array, thickness: float) -> tuple[Flags, Flags]:
    """Which cells lie inside as a whole, and which have no part inside.

    The square of the distance to a set less that to the origin is concave. So no point of a cell has a distance d with
    d² below the least d² at the corners less r², where r is the radius of a ball around the cell.
    """
    # A reduction over the few corners of a cell takes ten times as long.
    least, most = (reduce(best, values.T) for best in (np.minimum, np.maximum))
    return most <= thickness - reach, np.asarray(least**2 - reach**2 >= thickness**2)


def spread_points(simplices: Array, count: int) -> Array:
    """Points in tetrahedra, (n, count, 4) shares of their corners: evenly spread, within one and over many.

    Each follows from the places of the corners, whatever their order.
    """
    turned = np.mod(simplices.mean(axis=1) @ ROTATIONS.T, 1.0)
    unit = np.sort(np.mod(turned[:, None] + np.arange(count)[:, None] * NEXT, 1.0), axis=2)
    gaps = np.diff(unit, axis=2, prepend=0.0, append=1.0)  # of three even numbers: evenly spread over the simplex
    place: NDArray[np.intp] = np.argsort(np.argsort(simplices @ DIRECTION, axis=1), axis=1)
    return np.asarray(np.take_along_axis(gaps, np.broadcast_to(place[:, None], gaps.shape), axis=2))


def points_each(cells: int, wanted: int, most: int) -> int:
    """Points for each cell, so that all of them have about `wanted` together."""
    return int(np.clip(np.ceil(wanted / max(cells, 1)), 1, most))
