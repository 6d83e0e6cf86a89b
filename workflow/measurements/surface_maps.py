"""Maps in space: a value on the surface of a part of the image, on a grid that pictures can show."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.typing import Array, Flags, Singles
from microlith.workflow.measurements.findings import SurfaceMap
from microlith.workflow.pictures.figure import length_unit

MOST_CELLS = 4_000_000  # of the grid that surfaces are found on: an image of more voxels is averaged in blocks
SMOOTH = 0.7  # cells: blur of the share of each cell that is inside, so that stairs of voxels do not show


def surface_map(
    image: LabelImage,
    name: str,
    heading: str,
    inside: Callable[[slice], Flags],
    values: Callable[[slice], Singles],
    label: str,
    unit: str = "m",
    *,
    closed: bool = False,
) -> SurfaceMap | None:
    """A value on a surface, layer after layer from the whole image: where half of a cell is inside.

    Args:
        image: The whole image, in 3D.
        name: Of the file.
        heading: Above the picture.
        inside: From some layers to whether their voxels are inside.
        values: From some layers to values of their voxels; where it is not finite there is none.
        label: Of the colour bar, without its unit.
        unit: Of the values, "m" or "1"; lengths below zero, as of voxels behind the surface, are zero on it.
        closed: Whether the image's frame closes the surface.

    Returns:
        The map; None where there is no surface with a value.
    """
    from skimage.measure import marching_cubes

    edge = 1
    while np.prod([n // edge for n in image.shape]) > MOST_CELLS:
        edge += 1
    if min(n // edge for n in image.shape) < 2:
        return None
    share, value = _in_blocks(image.shape, edge, inside, values)
    share = ndimage.gaussian_filter(share, SMOOTH, mode="nearest")
    if closed:
        share = np.pad(share, 1)
    if not share.min() < 0.5 < share.max() or not np.isfinite(value).any():
        return None
    size = np.array(image.voxel_size) * edge
    points, triangles, _, _ = marching_cubes(share, 0.5, allow_degenerate=False)
    points = points - closed  # in cells, from the centre of the first
    unknown = ~np.isfinite(value)
    if unknown.any():
        value = value[tuple(ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True))]
    at = ndimage.map_coordinates(value, points.T, order=1, mode="nearest").astype(np.float32)
    if unit == "m":
        np.maximum(at, 0, out=at)
    low, high = (np.percentile(at, share) for share in (0.5, 99.5))
    scale, sign = length_unit(float(high) or 1e-6) if unit == "m" else (1.0, "")
    place = np.clip((points + 0.5) * size, 0, np.array(image.shape) * image.voxel_size)
    return SurfaceMap(
        name=name,
        heading=heading,
        points=place[:, ::-1].astype(np.float64),
        triangles=triangles.astype(np.int32),
        values=at,
        ends=(float(low), float(high)),
        unit=unit,
        label=f"{label} / {sign}" if sign else label,
        scale=scale,
        block=edge,
    )


def _in_blocks(
    shape: tuple[int, ...], edge: int, inside: Callable[[slice], Flags], values: Callable[[slice], Singles]
) -> tuple[Singles, Singles]:
    """Share of each block that is inside, and the mean of the values in it."""
    grid = tuple(n // edge for n in shape)
    share, value = np.empty(grid, np.float32), np.full(grid, np.nan, np.float32)
    for row in range(grid[0]):
        layers = slice(row * edge, (row + 1) * edge)
        share[row] = _means(inside(layers).astype(np.float32), edge)
        found = values(layers)
        known = np.isfinite(found)
        count = _means(known.astype(np.float32), edge)
        np.divide(_means(np.where(known, found, 0).astype(np.float32), edge), count, out=value[row], where=count > 0)
    return share, value


def _means(layers: Singles, edge: int) -> Array:
    """Means of the blocks of some layers, one block deep."""
    _, rows, columns = (n // edge for n in layers.shape)
    flat = layers.mean(axis=0)[: rows * edge, : columns * edge]
    return np.asarray(flat.reshape(rows, edge, columns, edge).mean(axis=(1, 3)))
