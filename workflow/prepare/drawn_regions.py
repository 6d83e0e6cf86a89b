"""A region that is drawn in a label image: which points it has, and how far they are from its edge."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from microlith.imaging.formats.stored import Window, everything
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.regions.shapes import LabelField

ROUNDING = 1e-6  # of a voxel's edge, by which a cell may protrude from a voxel and still lie in it


@dataclass(frozen=True, eq=False)
class _DrawnRegion:
    """What is known of a region in a window of the image, in the box of the voxels that it has there.

    Distances are never too large: a point may be half a diagonal off its voxel's centre, and so may the edge be.
    """

    member: Flags  # ([z,] y, x) voxels of the box: whether the region has them
    away: Array  # ([z,] y, x) distance of each to the edge, mesh units
    first: Numbers  # (dim,) first voxel of the box in the image, x first
    pixel: Array  # (dim,) edges of a voxel, mesh units, x first
    grid: Numbers  # (dim,) voxels of the image, x first
    sides: tuple[tuple[int, float], ...]  # axis and place of the sides of the window beyond which nothing is known

    def contains(self, x: Array) -> Flags:
        """Whether the region has points (n, dim)."""
        within, index = self._places(x)
        found = np.zeros(len(x), bool)
        found[within] = self.member[index]
        return found

    def distance(self, x: Array) -> Array:
        """Distance (n,) of points to the edge of the region, or to where nothing is known of it."""
        within, index = self._places(x)
        last = self.first + np.array(self.member.shape[::-1])
        # The box has all voxels of the region: from outside they are not nearer than it.
        outside = np.maximum(self.first * self.pixel - x, x - last * self.pixel)
        found = np.linalg.norm(np.maximum(outside, 0.0), axis=1)
        found[within] = self.away[index]
        return _limited(found, x, self.sides)

    def _places(self, x: Array) -> tuple[Flags, tuple[Numbers, ...]]:
        """Which points are in the box, and the voxels of the box that hold them."""
        index = np.clip((x / self.pixel).astype(np.int64), 0, self.grid - 1) - self.first
        within: Flags = np.all((index >= 0) & (index < self.member.shape[::-1]), axis=1)
        return within, tuple(index[within].T[::-1])


def label_field(
    member: Flags, pixel: Array, window: Window | None = None, shape: tuple[int, ...] | None = None
) -> LabelField:
    """Membership and distance to the edge at points in mesh units.

    Args:
        member: ([z,] y, x) of the voxels of a window: whether the region has them.
        pixel: (dim,) edges of a voxel in mesh units, x first.
        window: Where `member` is; None for the whole image.
        shape: Of the whole image, ([z,] y, x).
    """
    whole = member.shape if shape is None else shape
    ends = everything(member.shape) if window is None else window
    sides = tuple(
        (axis, float(end * pixel[axis]))
        for axis, ((low, high), count) in enumerate(zip(ends[::-1], whole[::-1], strict=True))
        for end, cut in ((low, low > 0), (high, high < count))
        if cut
    )
    (box,) = ndimage.find_objects(member.astype(np.uint8), max_label=1)
    if box is None:
        return LabelField(
            lambda x: np.zeros(len(x), bool),
            lambda x: _limited(np.full(len(x), np.inf), x, sides),
            partial(_in_one_pixel, pixel),
        )
    box = tuple(slice(max(0, s.start - 1), min(n, s.stop + 1)) for s, n in zip(box, member.shape, strict=True))
    region = _DrawnRegion(
        member=member[box],
        away=_distances(member[box], pixel),
        first=np.array([s.start + low for s, (low, _) in zip(box, ends, strict=True)])[::-1],
        pixel=pixel,
        grid=np.array(whole[::-1]),
        sides=sides,
    )
    return LabelField(region.contains, region.distance, partial(_in_one_pixel, pixel))


def _in_one_pixel(pixel: Array, corners: Array) -> Flags:
    """Whether cells, by their corners (n, k, dim) in mesh units, lie in one pixel each."""
    first = np.floor(corners.min(axis=1) / pixel + ROUNDING)
    last = np.floor(corners.max(axis=1) / pixel - ROUNDING)
    found: Flags = np.all(first >= last, axis=1)
    return found


def _distances(member: Flags, pixel: Array) -> Array:
    """Distance of each voxel to the edge of the region, less the diagonal of a voxel."""
    if member.all():
        return np.full(member.shape, np.inf)
    sampling = tuple(pixel[::-1])
    inside = ndimage.distance_transform_edt(member, sampling=sampling)
    outside = ndimage.distance_transform_edt(~member, sampling=sampling)
    return np.maximum(np.where(member, inside, outside) - np.linalg.norm(pixel), 0.0)


def _limited(distance: Array, x: Array, sides: tuple[tuple[int, float], ...]) -> Array:
    """Distances (n,) of points (n, dim), but none farther than from a side beyond which nothing is known."""
    for axis, side in sides:
        distance = np.minimum(distance, np.abs(x[:, axis] - side))
    return distance
