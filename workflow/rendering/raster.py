"""Finite element fields on a raster of square pixels, each rank its own cells, so that nothing is gathered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem, mesh as dmesh
from mpi4py import MPI

from microlith.imaging.typing import Array

EDGE = 1e-9  # barycentric; pixel centres this far outside a cell count as on its edge
PIXELS_AT_ONCE = 1 << 16  # pixels in the boxes around cells that are treated at a time: their values stay in the cache


@dataclass(frozen=True)
class Raster:
    """Pixels over the rectangle [0, width] x [0, height] in mesh units; row 0 is at y = 0."""

    rows: int
    columns: int
    extent: tuple[float, float]  # width, height

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a pixel in mesh units."""
        return self.extent[0] / self.columns, self.extent[1] / self.rows

    def places(self, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row (rows, 1) and column (1, columns) of an image of this shape, over the same rectangle, at each pixel."""
        row, column = (
            ((np.arange(n) + 0.5) * of / n).astype(np.int64)
            for n, of in zip((self.rows, self.columns), shape, strict=True)
        )
        return row[:, None], column[None, :]

    def sampled(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image over the same rectangle, (rows, columns), at the pixels' centres."""
        return image[self.places(image.shape)]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Some pixels, the cells under their centres, and the basis functions there."""

    pixel: NDArray[np.int32]  # (n,) row * columns + column
    cell: NDArray[np.int32]  # (n,)
    weights: NDArray[np.float32]  # (n, dofs per cell)


@dataclass(frozen=True, eq=False)
class PixelMap:
    """Owned cells under pixel centres and their basis functions there; made once, used for every field."""

    raster: Raster
    parts: tuple[Pixels, ...]  # few pixels each, so that what is drawn stays in the cache
    dofs: NDArray[np.int32]  # (owned cells, dofs per cell)

    def draw(self, values: Array) -> NDArray[np.float32]:
        """Field at the pixel centres of this rank's cells, -inf elsewhere.

        Args:
            values: Local dofs, ghosts included.

        Returns:
            (rows, columns)
        """
        picture = np.full(self.raster.rows * self.raster.columns, -np.inf, dtype=np.float32)
        at_dofs = values.astype(np.float32)[self.dofs]  # as the picture is
        for part in self.parts:
            picture[part.pixel] = np.einsum("pk,pk->p", part.weights, at_dofs.take(part.cell, axis=0))
        return picture.reshape(self.raster.rows, self.raster.columns)

    def of_cells(self, values: NDArray[np.integer]) -> NDArray[np.float32]:
        """A number of each of this rank's cells, (owned cells,), at the pixel centres; -inf elsewhere.

        Returns:
            (rows, columns)
        """
        picture = np.full(self.raster.rows * self.raster.columns, -np.inf, dtype=np.float32)
        for part in self.parts:
            picture[part.pixel] = values[part.cell]
        return picture.reshape(self.raster.rows, self.raster.columns)


def pixel_map(space: fem.FunctionSpace, raster: Raster) -> PixelMap:
    """Find the owned triangle under each pixel centre, and the basis functions there.

    Each row of pixels that crosses a cell is cut where it enters and leaves it, for many cells at once. Cells between
    the centres have no pixel; a centre on a common edge goes to one of the two cells, which agree there.

    Args:
        space: Lagrange space on straight-sided triangles or on rectangles, in two dimensions.
        raster: Where the pixels are.
    """
    mesh = space.mesh
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    nodes = np.zeros((0, 3), dtype=np.int32)
    if owned > 0:  # DOLFINx 0.9 divides by their number
        nodes = dmesh.entities_to_geometry(mesh, mesh.topology.dim, np.arange(owned, dtype=np.int32))
    corners = mesh.geometry.x[:, :2][nodes]  # (m, 3 or 4, 2)
    # In units where the centre of pixel (row, column) is at (column, row)
    corners = corners / raster.pixel - 0.5
    low = np.maximum(np.ceil(corners.min(axis=1) - EDGE), 0.0)
    high = np.minimum(np.floor(corners.max(axis=1) + EDGE), (raster.columns - 1, raster.rows - 1))
    spans = np.maximum(high - low + 1.0, 0.0).astype(np.int64)
    near = np.flatnonzero(spans.prod(axis=1))
    part = (np.cumsum(spans[near].prod(axis=1)) - 1) // PIXELS_AT_ONCE
    of_triangles = mesh.topology.cell_type == dmesh.CellType.triangle
    element = space.element.basix_element
    parts = []
    for cells in np.split(near, np.flatnonzero(np.diff(part)) + 1):
        line, step = _runs(spans[cells, 1])  # lines: rows of pixels across cells
        row = low[cells, 1].take(line) + step
        ends = low[cells, 0].take(line), high[cells, 0].take(line)
        left, right, entry, slope = _across(corners[cells], line, row, ends, of_triangles)
        run, step = _runs(np.maximum(right - left + 1.0, 0.0).astype(np.int64))
        local = np.stack(
            [at.take(run) + grows.take(run) * step for at, grows in zip(entry, slope, strict=True)], axis=1
        )
        parts.append(
            Pixels(
                (row * raster.columns + left).astype(np.int32).take(run) + step.astype(np.int32),
                cells.astype(np.int32).take(line.take(run)),
                element.tabulate(0, local)[0, :, :, 0].astype(np.float32),
            )
        )
    return PixelMap(raster, tuple(parts), np.asarray(space.dofmap.list[:owned]))


def _across(
    corners: Array, cell: NDArray[np.int64], row: Array, ends: tuple[Array, Array], of_triangles: bool
) -> tuple[Array, Array, tuple[Array, Array], tuple[Array, Array]]:
    """Where rows of pixels enter cells and leave them.

    Args:
        corners: (cells, 3 or 4, 2) in pixels.
        cell: (n,) which of these each row crosses.
        row: (n,)
        ends: First and last column, (n,) each, of the box around the cell.
        of_triangles: Whether cells are triangles, not parallelograms.

    Returns:
        The first and the last column whose centre is inside, (n,) each, the last before the first where there is none;
        both coordinates in the cell at the first one, (n,) each; what they grow by from column to column, (n,) each.
    """
    (x, y), (ax, ay), (bx, by) = corners[:, 0].T, *(corners[:, 1:3] - corners[:, :1]).transpose(1, 2, 0)
    # Cramer's rule: many times as fast as a solver of general systems
    determinant = ax * by - ay * bx
    x, down = x.take(cell), row - y.take(cell)
    slope = (by / determinant).take(cell), (-ay / determinant).take(cell)
    there = (-bx / determinant).take(cell) * down, (ax / determinant).take(cell) * down  # in this row, at x
    bounds = [*zip(there, slope, strict=True)]  # neither is below 0 in the cell,
    if of_triangles:  # nor the third,
        bounds.append((1.0 - there[0] - there[1], -slope[0] - slope[1]))
    else:  # nor is one above 1
        bounds += [(1.0 - at, -grows) for at, grows in bounds]
    left, right = ends[0] - x, ends[1] - x
    for at, grows in bounds:
        with np.errstate(divide="ignore", invalid="ignore"):
            end = (at + EDGE) / -grows
        np.maximum(left, end, out=left, where=grows > 0)
        np.minimum(right, end, out=right, where=grows < 0)
        right[(grows == 0) & (at < -EDGE)] = -np.inf
    left, right = np.ceil(left + x), np.floor(right + x)
    start = left - x
    return left, right, (there[0] + slope[0] * start, there[1] + slope[1] * start), slope


def _runs(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the runs of these lengths each of their entries is in, and its place there."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return run, np.arange(len(run)) - starts.take(run)


def reduce_raster(comm: MPI.Comm, picture: NDArray[np.float32], root: int = 0) -> NDArray[np.float32] | None:
    """The pictures of all ranks as one, NaN where no rank has a value; on the root only, None elsewhere."""
    whole = np.empty_like(picture) if comm.rank == root else None
    comm.Reduce(picture, whole, op=MPI.MAX, root=root)
    if whole is not None:
        whole[np.isneginf(whole)] = np.nan
    return whole
