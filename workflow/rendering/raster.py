"""Finite element fields on a raster of square pixels, each rank its own cells, so that nothing is gathered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem, mesh as dmesh
from mpi4py import MPI

from microlith.imaging.typing import Array

EDGE = 1e-9  # barycentric; pixel centres this far outside a cell count as on its edge
PIXELS_AT_ONCE = 1 << 18  # pixel centres treated at a time, to keep the memory small
DRAWN_AT_ONCE = 1 << 14  # pixels drawn at a time: their values stay in the cache


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


@dataclass(frozen=True)
class PixelMap:
    """Owned cells under pixel centres and their basis functions there; made once, used for every field."""

    raster: Raster
    pixel: NDArray[np.int32]  # (n,) row * columns + column
    cell: NDArray[np.int32]  # (n,)
    weights: NDArray[np.float32]  # (n, dofs per cell)
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
        for start in range(0, len(self.pixel), DRAWN_AT_ONCE):
            part = slice(start, start + DRAWN_AT_ONCE)
            here = at_dofs.take(self.cell[part], axis=0)
            picture[self.pixel[part]] = np.einsum("pk,pk->p", self.weights[part], here)
        return picture.reshape(self.raster.rows, self.raster.columns)

    def of_cells(self, values: NDArray[np.integer]) -> NDArray[np.float32]:
        """A number of each of this rank's cells, (owned cells,), at the pixel centres; -inf elsewhere.

        Returns:
            (rows, columns)
        """
        picture = np.full(self.raster.rows * self.raster.columns, -np.inf, dtype=np.float32)
        picture[self.pixel] = values[self.cell]
        return picture.reshape(self.raster.rows, self.raster.columns)


def pixel_map(space: fem.FunctionSpace, raster: Raster) -> PixelMap:
    """Find the owned triangle under each pixel centre, and the basis functions there.

    Triangles are taken in groups whose bounding boxes span the same power of two of pixels, so that there is no loop
    over cells: each pixel centre of the box is tested by its barycentric coordinates. Triangles between the centres
    have no pixel; a centre on a common edge goes to one of the two cells, which agree there.

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
    width, height = raster.pixel
    # In units where the centre of pixel (row, column) is at (column, row)
    corners = corners / (width, height) - 0.5
    last = (raster.columns - 1, raster.rows - 1)
    low = np.clip(np.ceil(corners.min(axis=1) - EDGE), 0, None).astype(np.int64)
    high = np.minimum(np.floor(corners.max(axis=1) + EDGE), last).astype(np.int64)
    spans = high - low + 1
    near = np.flatnonzero((spans > 0).all(axis=1))
    sizes = np.ceil(np.log2(np.maximum(spans[near], 1))).astype(np.int64)  # exponents of the groups' boxes
    groups = sizes[:, 0] * 64 + sizes[:, 1]
    origin = corners[:, 0]
    along, across = corners[:, 1] - origin, corners[:, 2] - origin  # edges from corner 0
    determinant = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    of_triangles = mesh.topology.cell_type == dmesh.CellType.triangle

    found: list[tuple[NDArray[np.int32], NDArray[np.int32], Array]] = []
    for group in np.unique(groups):
        members = near[groups == group]
        wide, tall = 1 << int(group // 64), 1 << int(group % 64)
        step = max(1, PIXELS_AT_ONCE // (wide * tall))
        for start in range(0, len(members), step):
            cells = members[start : start + step]
            column = low[cells, 0, None] + np.arange(wide)  # (cells, columns)
            row = low[cells, 1, None] + np.arange(tall)  # (cells, rows)
            x, y = column - origin[cells, 0, None], row - origin[cells, 1, None]
            # Cramer's rule: many times as fast as a solver of general systems
            (ax, ay), (bx, by) = (edge[cells].T[:, :, None] / determinant[cells, None] for edge in (along, across))
            first = (by * x)[:, None, :] - (bx * y)[:, :, None]  # (cells, rows, columns)
            second = (ax * y)[:, :, None] - (ay * x)[:, None, :]
            farthest = first + second if of_triangles else np.maximum(first, second)
            inside = (first >= -EDGE) & (second >= -EDGE) & (farthest <= 1.0 + EDGE)
            inside &= (column <= high[cells, 0, None])[:, None, :]
            inside &= (row <= high[cells, 1, None])[:, :, None]
            of, i, j = np.nonzero(inside)
            pixel = (row[of, i] * raster.columns + column[of, j]).astype(np.int32)
            local = np.stack([first[inside], second[inside]], axis=1)
            found.append((pixel, cells[of].astype(np.int32), local))
    element = space.element.basix_element
    dofs = np.asarray(space.dofmap.list[:owned])
    if not found:
        none = np.zeros(0, dtype=np.int32)
        return PixelMap(raster, none, none, np.zeros((0, dofs.shape[1]), dtype=np.float32), dofs)
    weights = [element.tabulate(0, local)[0, :, :, 0].astype(np.float32) for _, _, local in found]
    pixels, cells_under, _ = zip(*found, strict=True)
    return PixelMap(raster, np.concatenate(pixels), np.concatenate(cells_under), np.concatenate(weights), dofs)


def reduce_raster(comm: MPI.Comm, picture: NDArray[np.float32], root: int = 0) -> NDArray[np.float32] | None:
    """The pictures of all ranks as one, NaN where no rank has a value; on the root only, None elsewhere."""
    whole = np.empty_like(picture) if comm.rank == root else None
    comm.Reduce(picture, whole, op=MPI.MAX, root=root)
    if whole is not None:
        whole[np.isneginf(whole)] = np.nan
    return whole
