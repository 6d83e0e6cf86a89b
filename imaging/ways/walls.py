"""Where the wall of a set of voxels is: between its voxels' centres, and without their stairs."""

import edt
import numpy as np
from scipy import ndimage

from microlith.imaging.typing import Array, Bits, Flags, Singles

BLUR = 1.0  # voxels, of the narrower of two Gaussians; takes the stairs from flat and bent walls
FACE_BLUR = 0.8  # voxels, of the narrower of the two beside the face
SLOPE_BLUR = 1.5  # voxels, of the one that tells how walls go up from the face
CUT = 3.0  # widths at which they are cut off
SLOPE_FIT = 0.7  # voxels, around a place, whose walls tell together how they go up there
ALONG_WALL = 0.02  # of the changes across a wall: those along it that tell no slope
STEEPEST = 3.0  # voxels aside for each that a wall goes up from the face
INSIDE_MOST = 0.45  # solidness of a voxel of the set: all of them are open
# What is thinner than three voxels is not blurred: its walls are at its voxels' faces.
THIN_INSIDE = 0.2
EDGE = 1.3  # of a solid's right-angled edge
THIN_OUTSIDE = 1.2  # closed also along diagonals of voxels, where the mean of four counts
TINY = 1e-6  # slopes per voxel that tell no direction
CLEAR = 200  # bytes above: the distance from here to where there is any solid


def solidness(inside: Flags) -> Bits:
    """How solid each place is: 0 in the set, 100 outside, 50 at the wall; with a voxel more around.

    The set's complement is blurred, so that its level at one half is where the wall would be that the voxels are of.
    What is thin, and right-angled edges along the voxels, keep their walls at the voxels' faces.
    The layer before the first one holds the values at the first voxels' outer faces.

    Args:
        inside: (nz, ny, nx) the set.

    Returns:
        (nz + 2, ny + 2, nx + 2). From 201 on: no solid within the distance less 200, voxels.
    """
    from microlith.imaging.ways.edges import sharpen  # numba, late as in `path_lengths`

    outside = np.pad(~inside, 1, mode="edge")
    solid = _smoothed(outside)
    face, solid[1], solid[2] = _beside_the_face(outside)
    np.minimum(solid, INSIDE_MOST, out=solid, where=~outside)
    np.minimum(solid, THIN_INSIDE, out=solid, where=_thin(~outside))
    solid[_thin(outside)] = THIN_OUTSIDE
    solid[0] = np.where(_thin_openings(outside[1], solid[1]), solid[1], face)
    sharpen(solid, outside, EDGE, THIN_INSIDE)
    out: Bits = np.rint(solid * 100).astype(np.uint8)
    clear = (solid < 0.03).view(np.uint8)
    del solid
    apart = edt.edt(clear)
    np.minimum(apart, 255 - CLEAR, out=apart)
    apart += CLEAR
    np.copyto(out, apart.astype(np.uint8), where=clear.view(bool))
    return out


def _smoothed(outside: Flags) -> Singles:
    """The set's complement after a blur that takes its stairs, but leaves walls that are bent nearly where they are.

    A Gaussian moves them by half its variance times their curvature. Twice a narrow one less one of twice its variance
    moves them by 0.23 of it, and so its width may be larger.
    """
    from microlith.imaging.microstructure.blur import blur  # numba, late as in `path_lengths`

    narrow = blur(outside.astype(np.float32), (BLUR,) * outside.ndim, CUT, goes_on=True)
    solid = blur(narrow.copy(), (BLUR,) * outside.ndim, CUT, goes_on=True)
    narrow *= 2
    np.subtract(narrow, solid, out=solid)
    return np.clip(solid, 0, 1, out=solid)


def _beside_the_face(outside: Flags) -> tuple[Array, Array, Array]:
    """Solidness at the face, half a voxel before the first layer, and at the first two layers.

    A blur that goes on beyond the face with the first layer would make walls there that stand upright on it. So the
    blur ends at the face. What it finds then is of the middle of its window, from where the wall is moved along the
    slope that a wider blur tells. There are two blurs, as in `_smoothed`: one alone makes openings narrower.

    Args:
        outside: Of the image with a voxel more around.
    """
    narrow, middle = _ending_at_the_face(outside, FACE_BLUR, 2)
    broad, higher = _ending_at_the_face(outside, np.sqrt(2) * FACE_BLUR, 2)
    wide, heights = _ending_at_the_face(outside, SLOPE_BLUR, 4)
    up = np.asarray((wide[3] - wide[1]) / (heights[3] - heights[1]))
    slope = _slopes(up, *(np.asarray(across) for across in np.gradient(wide[2])))
    place = np.indices(narrow[0].shape).astype(np.float64)

    def at(layer: Array, where: Array) -> Array:
        return ndimage.map_coordinates(layer, where, order=1, mode="nearest")

    def moved(height: float) -> Array:
        steep = slope
        for _ in range(4):  # that of the wall to which a place belongs, where the slope is known
            steep = np.stack([at(part, place - (heights[2] - height) * steep) for part in slope])
        near, far = (place - (height_of[0] - height) * steep for height_of in (middle, higher))
        return np.clip(2 * at(narrow[0], near) - at(broad[0], far), 0, 1)

    return moved(-0.5), moved(0.0), narrow[1]


def _slopes(up: Array, down: Array, right: Array) -> Array:
    """How far aside walls go for each voxel up from the face: those slopes that fit best around each place.

    A single place tells the slope across the wall alone. Where the wall of a narrow, inclined channel is bent, the part
    along it counts as well: the place from where the wall comes is then beside another part of the rim.

    Args:
        up: (ny, nx) change of solidness per voxel away from the face.
        down: (ny, nx) per voxel along y.
        right: (ny, nx) per voxel along x.

    Returns:
        (2, ny, nx) voxels along y and x, from the wall back to the place above it.
    """
    around = [ndimage.gaussian_filter(a * b, SLOPE_FIT, mode="nearest") for a, b in ((down, down), (right, right))]
    mixed, by_down, by_right = (
        ndimage.gaussian_filter(a * b, SLOPE_FIT, mode="nearest") for a, b in ((down, right), (up, down), (up, right))
    )
    least = ALONG_WALL * (around[0] + around[1]) + TINY
    of_down, of_right = around[0] + least, around[1] + least
    slope = np.stack([of_right * by_down - mixed * by_right, of_down * by_right - mixed * by_down])
    slope *= (1 + ALONG_WALL) / (of_down * of_right - mixed**2)
    slope *= np.minimum(1.0, STEEPEST / np.maximum(np.sqrt((slope**2).sum(axis=0)), TINY))
    return np.asarray(slope)


def _ending_at_the_face(outside: Flags, blur: float, count: int) -> tuple[list[Array], list[float]]:
    """The first layers after a blur that ends at the face, and at which of them the windows' middles are."""
    reach = int(CUT * blur + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
    near = outside[1 : 1 + count + reach].astype(np.float32)
    near = ndimage.gaussian_filter(near, blur, mode="nearest", truncate=CUT, axes=(1, 2))
    layers, middles = [], []
    for layer in range(count):
        first = max(layer - reach, 0)
        cut = weights[reach - layer + first :][: len(near) - first]
        layers.append(np.tensordot(cut / cut.sum(), near[first : first + len(cut)], 1))
        middles.append(float(np.average(np.arange(len(cut)) + first, weights=cut)))
    return layers, middles


def _thin_openings(outside: Flags, first: Singles) -> Flags:
    """Where the first layer is thin, and not only the tip of something wide."""
    thin = (first == np.float32(THIN_OUTSIDE)) | (first == np.float32(THIN_INSIDE))
    solid, there = (
        ndimage.maximum_filter((these & ~thin).view(np.uint8), 3, mode="nearest") for these in (outside, ~outside)
    )
    return np.asarray(thin & (np.where(outside, solid, there) == 0))


def _thin(these: Flags) -> Flags:
    """The voxels of a set that are in no block of three voxels along each axis within it."""
    wide = np.pad(these, 2, mode="edge")
    # Along one axis after the other, with neighbours both ways: cheaper than filters of voxels, and the same.
    for widened in (np.logical_and, np.logical_or):
        for axis in range(these.ndim):
            lines = np.moveaxis(wide, axis, 0)
            wide = np.moveaxis(widened(widened(lines[:-2], lines[1:-1]), lines[2:]), 0, axis)
    return np.asarray(these & ~wide)
