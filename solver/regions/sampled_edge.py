"""Cells cut at a given distance from a surface: the distance where it is linear, corrected by points.

A shell along rough surfaces has its edge in most of the cells of a mesh, and in many of them the distance has kinks,
where another part of the surface becomes the nearest. To divide cells down to the kinks takes most of the time of a
run. Here each cell is cut once, where the linear function of the distance at its corners, shifted by its mean deviation
from that at the middles of the edges, is zero. What this misses or takes too much of is found at points spread evenly
over the cells: of the difference of the two regions these give an estimate without bias, whose variance falls with the
number of points (control variates; Hammersley and Handscomb, Monte Carlo Methods, 1964, chapter 5). The points follow
from the corners of the cells alone, so that any number of ranks takes the same.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags
from microlith.solver.regions.cut_cells import (
    Cut,
    Inside,
    at_middles,
    clip,
    deviation,
    in_simplices,
    reach_of,
    wholes,
)
from microlith.solver.regions.shapes import Distance

# Rows of numbers without a common measure: a place's products with them, without their whole parts, fill the unit cube
# evenly, and so do the multiples of the last row (Roberts' sequence in three dimensions).
ROTATIONS = 97.0 * np.sqrt(np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0], [17.0, 19.0, 23.0]]))
NEXT = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
DIRECTION = np.sqrt([1.0, 2.0, 3.0])  # along which no two corners of a cell lie at the same place


def within_surface_distance(distance: Distance, thickness: float, points: int) -> Cut:
    """Cut where the distance to a surface is a given one; in 3D.

    Args:
        distance: Less the thickness, so that it is negative inside; no less than minus the thickness.
        thickness: The distance up to which cells are inside.
        points: For each simplex that the edge may cut.
    """

    def cut(corners: Array, values: Array) -> Iterator[Inside]:
        whole, outside = _sure(values, reach_of(corners), thickness)
        yield wholes(np.flatnonzero(whole), corners)
        cell, simplices, at_corners = in_simplices(np.flatnonzero(~whole & ~outside), corners, values)
        nodal = np.concatenate([at_corners, at_middles(simplices, distance)], axis=1)
        # A child has a diameter of at most 1/sqrt(2) of its parent's.
        whole, outside = _sure(nodal, reach_of(simplices) / np.sqrt(2.0), thickness)
        yield Inside(np.empty(0, np.intp), cell[whole], simplices[whole])
        near = ~whole & ~outside
        cell, simplices, nodal = cell[near], simplices[near], nodal[near]
        linear = nodal[:, :4] + deviation(nodal, 4)[0][:, None]
        of, parts = clip(simplices, linear)
        yield Inside(np.empty(0, np.intp), cell[of], parts)
        if len(cell) == 0:
            return
        shares = spread_points(simplices, points)
        x = np.einsum("npk,nkd->npd", shares, simplices)
        inside: Flags = (distance(x.reshape(-1, 3)) < 0).reshape(shares.shape[:2])
        taken: Flags = np.einsum("npk,nk->np", shares, linear) < 0
        row, point = np.nonzero(inside != taken)
        sign = np.where(inside[row, point], 1.0, -1.0) / points
        yield Inside(np.empty(0, np.intp), cell[row], simplices[row], at=x[row, point], share=sign)

    return cut


def _sure(values: Array, reach: Array, thickness: float) -> tuple[Flags, Flags]:
    """Which cells lie inside as a whole, and which have no part inside.

    The square of the distance to a set less that to the origin is concave. So no point of a cell has a distance d with
    d² below the least d² at the corners less r², where r is the radius of a ball around the cell.
    """
    outside = np.maximum(values.min(axis=1) + thickness, 0.0) ** 2 - reach**2 >= thickness**2
    return values.max(axis=1) <= -reach, np.asarray(outside)


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
