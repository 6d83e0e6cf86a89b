"""Where a region's shape lies on the image: cheap answers before anything is meshed."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from microlith.meshing.image import AXES, LabelImage
from microlith.solver.spec import Ball, Box, Polygon, Shell

Bounds = tuple[tuple[float, float], ...]  # low and high in metres, x, y[, z]
Flags = NDArray[np.bool_]  # by phase index

MIN_SAMPLES = 64  # along each axis of a region, so that one smaller than a pixel is not missed
BLOCK = 4_000_000  # samples looked at in one go


def bounds(shape: Box | Ball | Polygon, image: LabelImage) -> Bounds:
    """Bounding box of a shape of the image's dimension."""
    match shape:
        case Box():
            return tuple(shape.bounds.get(axis, (0.0, size)) for axis, size in zip(AXES, image.extent, strict=False))
        case Ball():
            return tuple((c - shape.radius, c + shape.radius) for c in shape.center)
    return tuple((min(values), max(values)) for values in zip(*shape.corners, strict=True))


def hits(shape: Box | Ball | Polygon, image: LabelImage, wanted: Flags) -> bool:
    """Whether a shape covers a point of a wanted phase, tried on a grid at least as fine as the pixels.

    Args:
        shape: region, of the image's dimension.
        image: the image.
        wanted: (phases,) whether a phase counts.
    """
    axes = [
        _samples(low, high, size, pixel)
        for (low, high), size, pixel in zip(bounds(shape, image), image.extent, image.voxel_size[::-1], strict=True)
    ]
    inside = _inside(shape)
    for part in _blocks(axes[::-1]):
        index = [
            np.minimum((x / h).astype(np.int64), n - 1)
            for x, h, n in zip(part, image.voxel_size, image.phase.shape, strict=True)
        ]
        if (wanted[image.phase[np.ix_(*index)]] & inside(part)).any():
            return True
    return False


def _samples(low: float, high: float, size: float, pixel: float) -> NDArray[np.float64]:
    """Midpoints of equal pieces, none longer than a pixel, of the part of [low, high] that is in [0, size]."""
    low, high = max(low, 0.0), min(high, size)
    if high <= low:
        return np.empty(0)
    count = max(MIN_SAMPLES, int(np.ceil((high - low) / pixel)))
    return low + (np.arange(count) + 0.5) * ((high - low) / count)


def _blocks(axes: list[NDArray[np.float64]]) -> Iterator[list[NDArray[np.float64]]]:
    """The grid of the axes in slabs along the first."""
    others = int(np.prod([len(axis) for axis in axes[1:]]))
    step = max(1, BLOCK // max(1, others))
    for start in range(0, len(axes[0]), step):
        yield [axes[0][start : start + step], *axes[1:]]


def _inside(shape: Box | Ball | Polygon) -> Callable[[list[NDArray[np.float64]]], Flags]:
    """Test of the points of a grid, given as coordinates along ([z,] y, x)."""
    match shape:
        case Box():
            return lambda axes: np.ones([len(axis) for axis in axes], bool)  # the grid spans the box
        case Ball():
            return lambda axes: _in_ball(shape, axes)
    return lambda axes: _in_polygon(np.array(shape.corners), axes[1], axes[0])


def _in_ball(ball: Ball, axes: list[NDArray[np.float64]]) -> Flags:
    grid = np.ix_(*axes)
    square = sum((x - c) ** 2 for x, c in zip(grid, ball.center[::-1], strict=True))
    return np.asarray(square <= ball.radius**2)


def _in_polygon(corners: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> Flags:
    """Even-odd rule for all points of a grid, shape (len(y), len(x)); each edge toggles what is right of it."""
    toggles = np.zeros((len(y), len(x) + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        rows = np.flatnonzero((y >= min(y0, y1)) & (y < max(y0, y1)))
        if len(rows):
            crossing = x0 + (y[rows] - y0) * ((x1 - x0) / (y1 - y0))
            np.add.at(toggles, (rows, np.searchsorted(x, crossing)), 1)
    return np.asarray(np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1)


def crosses_itself(polygon: Polygon) -> bool:
    """Whether two edges of a polygon that are not neighbours cross."""
    start = np.array(polygon.corners)
    start = start - start[0]
    edge = np.roll(start, -1, axis=0) - start
    count = len(start)
    for i in range(count - 2):
        others = np.arange(i + 2, count - (i == 0))
        a, b = start[others] - start[i], start[others] + edge[others] - start[i]
        side = _cross(edge[i], a) * _cross(edge[i], b)
        back = _cross(edge[others], -a) * _cross(edge[others], edge[i] - a)
        if ((side < 0) & (back < 0)).any():
            return True
    return False


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def touch(image: LabelImage, a: Flags, b: Flags) -> bool:
    """Whether a pixel of a phase in `a` shares an edge (a face in 3D) with one of a phase in `b`."""
    phase = image.phase
    step = max(1, BLOCK * phase.shape[0] // max(1, phase.size))
    for start in range(0, len(phase), step):
        block = phase[start : start + step + 1]  # one more layer: the pairs across the seam
        for axis in range(phase.ndim):
            low, high = (np.moveaxis(block, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
            if (a[low] & b[high]).any() or (b[low] & a[high]).any():
                return True
    return False


def shell_hits(shell: Shell, image: LabelImage, wanted: Flags) -> bool:
    """Whether a wanted phase has a pixel within a shell's distance of its phase; that phase itself counts."""
    around = np.zeros_like(wanted)
    around[image.names.index(shell.around)] = True
    if (wanted & around).any() or touch(image, around, wanted):
        return True
    far = ndimage.distance_transform_edt(~around[image.phase], sampling=image.voxel_size)
    reach = shell.distance + 0.5 * float(np.hypot.reduce(image.voxel_size))  # the distance to a centre, not a surface
    return bool((wanted[image.phase] & (far <= reach)).any())
