"""A field on cells as a file has it: its values at places, and its means against the functions of other cells."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import basix

from microlith.imaging.typing import Array, Flags, Indices, Numbers

ON_NODE = 1e-9  # of the largest coordinate: places that near to a node have its own value
OUTSIDE = 1e-7  # of it: places that little outside a cell are within; the same on all ranks, whatever cells they have
FOLLOWED = 1e-2  # of the field's spread: cells that follow it to that are not looked at more closely
FINE = {2: 24, 3: 14}  # degrees of the rule for the others, 169 and 512 places in a simplex
SHAPES = {  # VTK's numbers of kinds of cells
    "triangle": (5, 22, 69),
    "tetrahedron": (10, 24, 71),
    "quadrilateral": (9, 70),
    "hexahedron": (12, 72),
}
CORNERS = {  # of a cell, in Basix's order, among its nodes in VTK's
    "triangle": (0, 1, 2),
    "tetrahedron": (0, 1, 2, 3),
    "quadrilateral": (0, 1, 3, 2),
    "hexahedron": (0, 1, 3, 2, 4, 5, 7, 6),
}
MOST = 4_000_000  # such places; where there would be more, the rule is less fine
AT_ONCE = 1_000_000  # places whose values are found together


@dataclass(frozen=True)
class CellField:
    """A continuous field on cells of one kind."""

    points: Array  # (points, 3) nodes
    values: Array  # (points)
    nodes: Indices  # (cells, nodes per cell), in VTK's order
    kind: int  # VTK's number of the kind of cells

    @cached_property
    def _used(self) -> tuple[Numbers, Numbers]:
        used, rows = np.unique(self.nodes.astype(np.int64), return_inverse=True)
        return used, rows.reshape(self.nodes.shape)

    @cached_property
    def _grid(self) -> Any:
        import pyvista

        used, rows = self._used
        cells = np.column_stack([np.full(len(rows), rows.shape[1]), rows])
        grid = pyvista.UnstructuredGrid(cells.ravel(), np.full(len(rows), self.kind, np.uint8), self.points[used])
        grid.point_data["c"] = self.values[used]
        return grid

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self.points[self._used[0]])

    def at(self, x: Array) -> Array:
        """Values at places (n, 3): within a cell by its own functions, elsewhere that of the nearest node."""
        return self._found(x)[0]

    def _found(self, x: Array) -> tuple[Array, Numbers]:
        """Values at places (n, 3), and the number of the node where a place is on one, else -1."""
        import pyvista

        used, _ = self._used
        distance, nearest = self._tree.query(x)
        found, on = self.values[used][nearest], used[nearest]
        reach = np.abs(self.points).max()
        between = np.flatnonzero(distance > ON_NODE * reach)
        on[between] = -1
        for some in np.array_split(between, len(between) // AT_ONCE + 1):
            if len(some):
                sampled = pyvista.PolyData(x[some]).sample(self._grid, tolerance=OUTSIDE * reach)
                inside = sampled.point_data["vtkValidPointMask"].astype(bool)
                found[some[inside]] = np.asarray(sampled.point_data["c"])[inside]
        return np.asarray(found, dtype=np.float64), on

    def integral(self) -> float:
        """Over all cells, which are straight, in 2D per length in depth: values times points' unit to the dimension."""
        if not len(self.nodes):
            return 0.0
        shape = next(name for name, kinds in SHAPES.items() if self.kind in kinds)
        cell_type, order = getattr(basix.CellType, shape), list(CORNERS[shape])
        even = basix.LagrangeVariant.equispaced
        degrees = (basix.create_element(basix.ElementFamily.P, cell_type, degree, even) for degree in (1, 2, 3))
        element = next(one for one in degrees if one.dim == self.nodes.shape[1])
        first = self.points[self.nodes[0].astype(np.int64)]  # which tells where in a cell its nodes are
        edges = _edges(element, first[order][None])[0]
        places = np.linalg.lstsq(edges.T, (first - first[order[0]]).T, rcond=None)[0].T
        of_functions = _integrals(element)
        weights = np.linalg.solve(element.tabulate(0, places)[0, :, :, 0].T, of_functions)
        sizes = _sizes(element, self.points[self.nodes[:, order].astype(np.int64)])
        return float(sizes @ (self.values[self.nodes] @ weights))

    def within(self, element: Any, corners: Array, spread: float) -> Array:
        """The field within other cells, by functions of these: in each its projection, which keeps its integral.

        A field that changes within a cell has another integral than the function through its values at the nodes: a
        layer at the side of a cell that is a tenth as thick would hold five times as much. Cells that the field's own
        cells are among have the field itself.

        Args:
            element: Basix's Lagrange element, on simplices, rectangles or cuboids.
            corners: (cells, corners, 3) of the other cells, in Basix's order.
            spread: Between the least and the largest value that the whole field has.

        Returns:
            (cells, functions) coefficients.
        """
        at_nodes = _places(element, corners, element.points)
        values, on = self._found(at_nodes.reshape(-1, 3))
        found = values.reshape(at_nodes.shape[:2])
        others = np.flatnonzero(~self._own(on.reshape(found.shape)))
        if not len(others):
            return found
        dim = element.points.shape[1]
        rule = _Rule.of(element, 2 * element.degree + 2)
        projected, unlike = self._projected(rule, corners[others])
        unlike = np.maximum(unlike, np.abs(projected - found[others]).max(axis=1))
        found[others] = projected
        rough = others[unlike > FOLLOWED * spread]
        degree = FINE[dim]
        while degree > 2 * element.degree + 4 and len(rough) * (degree // 2 + 1) ** dim > MOST:
            degree -= 2
        if len(rough):
            fine = _Rule.of(element, degree)
            for some in np.array_split(rough, len(rough) * len(fine.weights) // AT_ONCE + 1):
                found[some] = self._projected(fine, corners[some])[0]
        return found

    def _own(self, on: Numbers) -> Flags:
        """Whether cells, by the nodes that theirs are on, are cells of this field."""
        if on.shape[1] != self.nodes.shape[1]:
            return np.zeros(len(on), bool)
        rows = np.sort(np.concatenate([self.nodes.astype(np.int64), on]), axis=1)
        which = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
        return np.isin(which[len(self.nodes) :], which[: len(self.nodes)]) & (on >= 0).all(axis=1)

    def _projected(self, rule: "_Rule", corners: Array) -> tuple[Array, Array]:
        """Coefficients of the projection in cells, and how far it is from the field at most, at the rule's places."""
        x = _places(rule.element, corners, rule.points)
        values = self.at(x.reshape(-1, 3)).reshape(x.shape[:2])
        found = values @ rule.projection.T
        return found, np.abs(values - found @ rule.functions.T).max(axis=1)


def integrals(element: Any, corners: Array, coefficients: Array) -> Array:
    """Of functions over straight cells, (cells,).

    Args:
        element: Basix's Lagrange element, on simplices, parallelograms or parallelepipeds.
        corners: (cells, corners, 3), in Basix's order; in 2D the last coordinate does not count.
        coefficients: (cells, functions).
    """
    return np.asarray(_sizes(element, corners) * (coefficients @ _integrals(element)))


def _integrals(element: Any) -> Array:
    """Of the functions over the reference cell."""
    rule = _Rule.of(element, 2 * element.degree)
    return np.asarray(rule.weights @ rule.functions)


def _edges(element: Any, corners: Array) -> Array:
    """From the first corner of each cell, (cells, dim, 3): the reference cell's axes there."""
    is_simplex = element.cell_type in (basix.CellType.triangle, basix.CellType.tetrahedron)
    ends = [axis + 1 if is_simplex else 2**axis for axis in range(element.points.shape[1])]
    return np.asarray(corners[:, ends] - corners[:, :1])


def _sizes(element: Any, corners: Array) -> Array:
    """Of cells, per size of the reference cell's square or cube, (cells,)."""
    edges = _edges(element, corners)
    return np.asarray(np.abs(np.linalg.det(edges[:, :, : edges.shape[1]])))


@dataclass(frozen=True)
class _Rule:
    """A rule of integration on a reference cell, with the projection to an element's functions by it."""

    element: Any
    points: Array  # (n, dim)
    weights: Array  # (n)
    functions: Array  # (n, functions) at the points
    projection: Array  # (functions, n): values at the points to coefficients

    @classmethod
    def of(cls, element: Any, degree: int) -> "_Rule":
        points, weights = basix.make_quadrature(element.cell_type, degree)
        functions = element.tabulate(0, points)[0, :, :, 0]
        weighted = functions.T * weights
        return cls(element, points, weights, functions, np.linalg.solve(weighted @ functions, weighted))


def _places(element: Any, corners: Array, points: Array) -> Array:
    """Points of the reference cell in each cell, (cells, points, 3)."""
    linear = basix.create_element(basix.ElementFamily.P, element.cell_type, 1)
    return np.asarray(np.einsum("pc,ncx->npx", linear.tabulate(0, points)[0, :, :, 0], corners))
