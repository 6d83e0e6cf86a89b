"""Signed distances to regions: negative inside, zero on the edge, never larger than the true distance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .spec import Ball, Box, Polygon, Shape

Array = NDArray[np.float64]
Distance = Callable[[Array], Array]  # points (n, dim) in mesh units -> (n,)


@dataclass(frozen=True)
class LabelField:
    """A region given by the pixels of a label image, as functions of position (mesh units)."""

    inside: Callable[[Array], NDArray[np.bool_]]  # exact
    distance: Distance  # to the region's edge, at most the true one; its sign does not matter


def box_distance(box: Box, unit: float) -> Distance:
    """Of an axis-parallel box; missing axes are unbounded."""
    bounds = [("xyz".index(axis), low / unit, high / unit) for axis, (low, high) in box.bounds.items()]

    def distance(x: Array) -> Array:
        sides = [np.maximum(low - x[:, k], x[:, k] - high) for k, low, high in bounds]
        return np.max(sides, axis=0)

    return distance


def ball_distance(ball: Ball, unit: float) -> Distance:
    """Of a disk or sphere."""
    center = np.asarray(ball.center) / unit
    return lambda x: np.linalg.norm(x - center, axis=1) - ball.radius / unit


def polygon_distance(polygon: Polygon, unit: float) -> Distance:
    """Of a simple polygon in 2D; inside by the even-odd rule."""
    corners = np.asarray(polygon.corners) / unit

    def distance(x: Array) -> Array:
        nearest = np.full(len(x), np.inf)
        inside = np.zeros(len(x), dtype=bool)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            nearest = np.minimum(nearest, _to_segment(x, a, b))
            crosses = (a[1] > x[:, 1]) != (b[1] > x[:, 1])
            with np.errstate(divide="ignore", invalid="ignore"):
                at = a[0] + (x[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            inside ^= crosses & (x[:, 0] < at)
        return np.where(inside, -nearest, nearest)

    return distance


def surface_distance(facets: Array) -> Distance:
    """Distance to a surface given by its segments (n, 2, 2) or triangles (n, 3, 3).

    Exact for segments but where the nearest segment's midpoint is not among the eight nearest midpoints of segments of
    about its length; triangles are represented by their corners, edge midpoints and centroid.
    """
    if len(facets) == 0:
        return lambda x: np.full(len(x), np.inf)
    if facets.shape[1] == 3:
        middles = (facets + np.roll(facets, -1, axis=1)) / 2
        samples = np.concatenate([facets, middles, facets.mean(axis=1, keepdims=True)], axis=1)
        points = cKDTree(np.unique(samples.reshape(-1, 3), axis=0))
        return lambda x: points.query(x)[0]
    # Among segments of one length a near one has a near midpoint; a long one's may be farther than many short ones'.
    octave = np.floor(np.log2(np.maximum(np.linalg.norm(facets[:, 1] - facets[:, 0], axis=1), 1e-300)))
    groups = [facets[octave == o] for o in np.unique(octave)]
    trees = [cKDTree(group.mean(axis=1)) for group in groups]

    def distance(x: Array) -> Array:
        nearest = np.full(len(x), np.inf)
        for group, tree in zip(groups, trees, strict=True):
            count = min(8, len(group))
            near = tree.query(x, k=count)[1].reshape(len(x), count)
            to_group = _to_segment(x[:, None, :], group[near, 0], group[near, 1])
            np.minimum(nearest, to_group.min(axis=1), out=nearest)
        return nearest

    return distance


def _to_segment(x: Array, a: Array, b: Array) -> Array:
    """Distance of points to the segments ab, broadcast over all but the last axis."""
    along = b - a
    length2 = np.maximum((along * along).sum(axis=-1), 1e-300)
    s = np.clip(((x - a) * along).sum(axis=-1) / length2, 0.0, 1.0)
    return np.linalg.norm(x - a - s[..., None] * along, axis=-1)


def distance_to(shape: Shape, unit: float) -> Distance:
    """Signed distance of the shapes that need neither mesh nor image.

    Raises:
        TypeError: The shape is none of these.
    """
    if isinstance(shape, Box):
        return box_distance(shape, unit)
    if isinstance(shape, Ball):
        return ball_distance(shape, unit)
    if isinstance(shape, Polygon):
        return polygon_distance(shape, unit)
    raise TypeError(f"{type(shape).__name__} has no distance of its own")
