"""Means of the basis functions over cells and over parts of them, of which integrals over regions are made."""

import math
from dataclasses import dataclass

import numpy as np

import basix

from microlith.imaging.typing import Array, Numbers
from microlith.meshing.mesh.cells import as_simplices, edges, measures
from microlith.solver.regions.cut_cells import clip


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of some cells."""

    of: Numbers  # (m,) cell of each, row of those that were cut
    share: Array  # (m,) of its cell's area (volume)
    means: Array  # (m, dofs) of each basis function over it
    corners: Array | None  # (m, dim + 1, dim) of simplices, in coordinates of the reference cell; None: other parts,
    below: Array | None = None  # (m, corners) by the function, linear in the cell, that is negative there


class Averages:
    """Means over parts of the cells of one kind."""

    def __init__(self, element: basix.finite_element.FiniteElement) -> None:
        """For the basis of an element, of cells or boxes."""
        self._element = element
        self._reference = np.asarray(basix.geometry(element.cell_type), np.float64)
        dim = self._reference.shape[1]
        points, weights = basix.make_quadrature(element.cell_type, element.degree)
        self.of_whole = weights @ element.tabulate(0, points)[0, :, :, 0] / weights.sum()  # (dofs,), over a cell
        kind = basix.CellType.triangle if dim == 2 else basix.CellType.tetrahedron
        self.is_simplex = len(self._reference) == dim + 1
        # In the parts of a box its basis is a polynomial of the degree in each of the coordinates.
        self._points, weights = basix.make_quadrature(kind, element.degree * (1 if self.is_simplex else dim))
        self._weights = weights / weights.sum()

    def basis(self, x: Array) -> Array:
        """Basis functions (n, points, dofs) at points (n, points, dim) of the reference cell."""
        if x.size == 0:  # Basix takes no empty arrays
            return np.empty((*x.shape[:2], self._element.dim))
        values = self._element.tabulate(0, x.reshape(-1, x.shape[2]))[0, :, :, 0]
        return np.asarray(values.reshape(*x.shape[:2], -1))

    def of_simplices(self, corners: Array) -> Array:
        """Means (n, dofs) over simplices (n, dim + 1, dim) within the reference cell."""
        x = corners[:, :1] + self._points @ edges(corners)
        return np.asarray(np.einsum("nqi,q->ni", self.basis(x), self._weights))

    def below(self, values: Array, *, in_simplices: bool) -> Parts:
        """The parts of cells where the function that is linear between the corners is negative.

        Args:
            values: (n, corners) of the function. In boxes it is linear within each of the simplices that fill them.
            in_simplices: Whether parts have to be simplices; else each cell has one, where that takes less time.
        """
        if self.is_simplex and self._element.degree == 1 and not in_simplices:
            share, means = linear_parts(values)
            return Parts(np.arange(len(values)), share, means, None, values)
        dim = self._reference.shape[1]
        corners = np.broadcast_to(self._reference, (len(values), *self._reference.shape))
        of: Numbers = np.arange(len(values))
        scale = math.factorial(dim) if self.is_simplex else 1
        if not self.is_simplex:
            of = np.repeat(of, math.factorial(dim))
            corners = as_simplices(corners).reshape(-1, dim + 1, dim)
            values = as_simplices(values).reshape(-1, dim + 1)
        cut, parts = clip(corners, values)
        return Parts(of[cut], scale * measures(parts), self.of_simplices(parts), parts)


def linear_parts(values: Array) -> tuple[Array, Array]:
    """Where a linear function in a simplex is negative.

    Args:
        values: (n, dim + 1) at the corners of triangles or tetrahedra.

    Returns:
        (n,) share of the simplex, and (n, dim + 1) means of its barycentric coordinates there; 0 where it is nowhere.
    """
    count = values.shape[1]
    order = np.argsort(values, axis=1)
    f = np.ascontiguousarray(np.take_along_axis(values, order, axis=1).T)
    negative = (f < 0).sum(axis=0)
    share = np.zeros(len(values))
    share[negative == count] = 1.0
    sums = np.zeros_like(f)  # integrals of the coordinates, in the order of the values, per measure of the simplex
    sums[:, negative == count] = 1 / count
    tips = ((1, 0, (1, 2, 3)[: count - 1]), (count - 1, count - 1, (0, 1, 2)[: count - 1]))
    for number, tip, others in tips:  # a simplex at one corner, or all but one
        rows = np.flatnonzero(negative == number)
        at = f[:, rows]
        ways = np.stack([at[tip] / (at[tip] - at[k]) for k in others])  # along the edges from the tip
        size = ways.prod(axis=0)
        of_tip = np.empty_like(at)
        of_tip[list(others)] = ways / count
        of_tip[tip] = 1.0 - ways.sum(axis=0) / count
        inside = tip == 0
        share[rows] = size if inside else 1.0 - size
        sums[:, rows] = size * of_tip if inside else 1 / count - size * of_tip
    if count == 4:
        rows = np.flatnonzero(negative == 2)
        at = f[:, rows]
        a, b, c, d = (at[i] / (at[i] - at[j]) for i, j in ((0, 2), (0, 3), (1, 2), (1, 3)))
        # Three tetrahedra of a wedge: its corners are 0 and 1, and a, b and c, d along the edges to 2, 3.
        v = a * b * (1 - d), a * d * (1 - c), c * d
        share[rows] = v[0] + v[1] + v[2]
        sums[0, rows] = v[0] * (3 - a - b) + v[1] * (2 - a) + v[2]
        sums[1, rows] = v[0] * (1 - d) + v[1] * (2 - c - d) + v[2] * (3 - c - d)
        sums[2, rows] = v[0] * a + v[1] * (a + c) + v[2] * c
        sums[3, rows] = v[0] * (b + d) + (v[1] + v[2]) * d
        sums[:, rows] /= 4
    means = np.empty_like(values)
    np.put_along_axis(means, order, (sums / np.where(share > 0, share, 1.0)).T, axis=1)
    return share, means
