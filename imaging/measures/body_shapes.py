"""Sizes, shapes and neighbours of single bodies."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.bodies import Bodies
from microlith.imaging.measures.whole_faces import WholeFaces, faces_of
from microlith.imaging.microstructure.seen_whole import SeenWhole, seen_whole
from microlith.imaging.parallel.large_arrays import row_slices
from microlith.imaging.typing import Array, Flags, Indices, Numbers

SMOOTHED = {
    2: 4 / np.pi,
    3: 1.5,
}  # length (area) of stairs over that of what they stand for, on average over directions
SIGHTS = 60  # directions in which the ends of a body are looked for
HULL_SIGHTS = 600  # the same for the hull of a large one
SHAPED = 64  # voxels from which on a body has a shape
LARGE = 4000  # faces


@dataclass(frozen=True, eq=False)
class BodyShapes:
    """Of each body."""

    voxels: Numbers  # (n,)
    measure: Array  # (n,) area (volume), m^2 (m^3)
    diameter: Array  # (n,) of the disk (ball) as large, m
    center: Array  # (n, dim) centroid, m, x, y[, z]
    extent: Array  # (n,) farthest distance between two points of its surface, m
    on_frame: Flags  # (n,) whether the image's frame cuts it
    seen: SeenWhole  # how they count in means over them
    surface: Array  # (n, phases) length (area) of its surface towards each phase, m (m^2)
    cut: Array  # (n,) the same towards other bodies of its phase, where a watershed or labels part them
    sphericity: Array  # (n,) surface of the ball as large over its own; NaN of small ones and of those on the frame
    roughness: Array  # (n,) its surface over that of its convex hull; NaN as above


def body_shapes(image: LabelImage, bodies: Bodies, correction: Array, faces: WholeFaces | None = None) -> BodyShapes:
    """Measure bodies.

    Args:
        image: The whole image.
        bodies: In it.
        correction: (phases, phases) of areas, see `surfaces`.
        faces: Of the image; None: they are found here.
    """
    count, dim = len(bodies.phase), image.dim
    voxels, center = _places(image, bodies.label, count)
    measure: Array = np.multiply(voxels, image.voxel_measure, dtype=np.float64)
    diameter: Array = 2 * np.sqrt(measure / np.pi) if dim == 2 else np.cbrt(6 * measure / np.pi)
    surface = _surfaces(image, bodies, count, faces_of(image) if faces is None else faces) * correction[bodies.phase]
    points, of, cut = _faces(image, bodies.label, count)
    on_frame = _on_frame(bodies.label, count)
    seen = seen_whole(_widths(points, of, count, image.voxel_size), on_frame, measure, image.phase.shape)
    extent = np.maximum(_extents(points, of, count), diameter)  # of all bodies as large, balls extend least
    whole = np.where(on_frame | (voxels < SHAPED), np.nan, surface.sum(axis=1) + cut)
    ball = np.pi * diameter if dim == 2 else np.pi * diameter**2
    hull = _hulls(points, of, count, np.flatnonzero(~np.isnan(whole)))
    sphericity, roughness = np.asarray(ball / whole), np.asarray(whole / hull)
    return BodyShapes(voxels, measure, diameter, center, extent, on_frame, seen, surface, cut, sphericity, roughness)


def _places(image: LabelImage, label: Indices, count: int) -> tuple[Numbers, Array]:
    """Voxels of each body, and its centroid."""
    sums = np.zeros((1 + image.dim, count + 1))
    for part in row_slices(label.shape):
        at = np.nonzero(label[part])
        here = label[part][at]
        sums[0] += np.bincount(here, minlength=count + 1)
        for axis in range(image.dim):
            sums[1 + axis] += np.bincount(here, at[axis] + (part.start if axis == 0 else 0), count + 1)
    voxels = sums[0, 1:]
    center = (sums[:0:-1, 1:] / np.maximum(voxels, 1) + 0.5).T * np.array(image.voxel_size[::-1])
    return voxels.astype(np.int64), center


def _on_frame(label: Indices, count: int) -> Flags:
    found = np.zeros(count + 1, bool)
    for axis in range(label.ndim):
        for end in (0, -1):
            found[np.take(label, end, axis=axis).ravel()] = True
    return found[1:]


def _surfaces(image: LabelImage, bodies: Bodies, count: int, faces: WholeFaces) -> Array:
    """Area of each body's surface towards each phase, (n, phases), before it is corrected."""
    phases = len(image.names)
    found = np.zeros((count + 1) * phases)
    phase, label = image.phase.ravel(), bodies.label.ravel()
    for _, here, there, area in faces.in_turn():
        for mine, beyond in ((here, there), (there, here)):
            body = label[mine]
            inside = body > 0
            key = body[inside].astype(np.int64) * phases + phase[beyond][inside]
            found += np.bincount(key, area[inside], len(found))
    return found.reshape(-1, phases)[1:] * faces.unit


def _faces(image: LabelImage, label: Indices, count: int) -> tuple[Array, Indices, Array]:
    """Points of bodies' surfaces, the bodies that they are of, and areas of cuts.

    A quarter of a voxel under the middles of voxel faces: these stick out of curved surfaces, and voxel centres lie
    within.

    Returns:
        (m, dim) in m, x, y[, z]; (m,), sorted; (n,).
    """
    size = np.array(image.voxel_size)
    areas = image.voxel_measure / size
    points: list[Array] = [np.empty((0, image.dim))]
    of: list[Indices] = [np.empty(0, np.int32)]
    cut = np.zeros(count + 1)
    for axis in range(image.dim):
        wide = [(1, 1) if a == axis else (0, 0) for a in range(image.dim)]
        padded = np.moveaxis(np.pad(label, wide), axis, 0)
        low, high = padded[:-1], padded[1:]
        at = np.nonzero(low != high)
        place = np.empty((len(at[0]), image.dim))
        rest = [a for a in range(image.dim) if a != axis]
        place[:, axis] = at[0] * size[axis]
        for a, index in zip(rest, at[1:], strict=True):
            place[:, a] = (index + 0.5) * size[a]
        one, other = low[at], high[at]
        for mine, inwards in ((one, -size[axis] / 4), (other, size[axis] / 4)):
            inside = place[mine > 0]
            inside[:, axis] += inwards
            points.append(inside[:, ::-1])
            of.append(mine[mine > 0] - 1)
        both = (one > 0) & (other > 0)
        for mine in (one, other):
            cut += np.bincount(mine[both], minlength=count + 1) * areas[axis] / SMOOTHED[image.dim]
    body = np.concatenate(of)
    order = np.argsort(body, kind="stable")
    return np.concatenate(points)[order], body[order], cut[1:]


def directions(dim: int, count: int) -> Array:
    """Unit vectors (count, dim), evenly over half of all directions."""
    if dim == 2:
        angle = (np.arange(count) + 0.5) * np.pi / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    up = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    wide = np.sqrt(1 - up**2)
    return np.stack([wide * np.cos(turn), wide * np.sin(turn), up], axis=1)


def _extents(points: Array, of: Indices, count: int) -> Array:
    """Farthest distance between two points of each body, of those that are its ends in many directions."""
    from microlith.imaging.measures.loops import find_extents  # numba, late as in `path_lengths`

    extent = np.zeros(count)
    if len(points):
        starts = np.searchsorted(of, np.arange(count + 1))
        find_extents(points, starts, directions(points.shape[1], SIGHTS), extent)
    return extent


def _widths(points: Array, of: Indices, count: int, voxel_size: tuple[float, ...]) -> Numbers:
    """Voxels of each body along each axis of the array, (n, dim): its faces are a quarter of one inwards."""
    if not count:
        return np.empty((0, len(voxel_size)), np.int64)
    starts = np.searchsorted(of, np.arange(count))
    far = np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)
    return np.rint(far[:, ::-1] / voxel_size + 0.5).astype(np.int64)


def _hulls(points: Array, of: Indices, count: int, wanted: Numbers) -> Array:
    """Surface of the convex hull of some bodies; NaN of all others."""
    hull = np.full(count, np.nan)
    bounds = np.searchsorted(of, np.arange(count + 1))
    sights = directions(points.shape[1], HULL_SIGHTS)
    for body in wanted:
        mine = points[bounds[body] : bounds[body + 1]]
        if len(mine) > LARGE:
            along = mine @ sights.T
            mine = mine[np.unique(np.concatenate([along.argmax(axis=0), along.argmin(axis=0)]))]
        try:
            hull[body] = ConvexHull(mine).area
        except QhullError:  # flat
            continue
    return hull
