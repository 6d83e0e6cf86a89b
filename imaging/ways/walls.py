"""Where the wall of a set of voxels is: between its voxels' centres, and without their stairs."""

import edt
import numpy as np
from scipy import ndimage
from scipy.special import ndtr, ndtri

from microlith.imaging.typing import Array, Bits, Flags, Singles

BLUR = 0.8  # voxels; takes the stairs from flat and bent walls, and moves one of radius 8 by 0.04 of a voxel
INSIDE_MOST = 0.45  # solidness of a voxel of the set: all of them are open
CUT = 2.5  # widths at which the blur is cut off
SLOPE_BLUR = 2.0  # voxels, for how walls meet the face
LAYERS = 3
STEEPEST = 3.0  # voxels aside for each that a wall goes up from the face
# What is thinner than three voxels is not blurred: its walls are at its voxels' faces.
THIN_INSIDE = 0.2
THIN_OUTSIDE = 1.2  # closed also along diagonals of voxels, where the mean of four counts
CLEAR = 200  # bytes above: the distance from here to where there is any solid


def solidness(inside: Flags) -> Bits:
    """How solid each place is: 0 in the set, 100 outside, 50 at the wall; with a voxel more around.

    The set's complement is blurred, so that its level at one half is where the wall would be that the voxels are of.
    The layer before the first one holds the values at the first voxels' outer faces, extrapolated.

    Args:
        inside: (nz, ny, nx) the set.

    Returns:
        (nz + 2, ny + 2, nx + 2). From 201 on: no solid within the distance less 200, voxels.
    """
    outside = np.pad(~inside, 1, mode="edge")
    solid = ndimage.gaussian_filter(outside.astype(np.float32), BLUR, mode="nearest", truncate=CUT)
    face, solid[1], solid[2] = _from_the_face(outside)
    np.minimum(solid, INSIDE_MOST, out=solid, where=~outside)
    np.minimum(solid, THIN_INSIDE, out=solid, where=_thin(~outside))
    solid[_thin(outside)] = THIN_OUTSIDE
    solid[0] = np.where(_thin_openings(outside[1], solid[1]), solid[1], face)
    out: Bits = np.rint(solid * 100).astype(np.uint8)
    clear = (solid < 0.03).view(np.uint8)
    del solid
    apart = edt.edt(clear)
    np.minimum(apart, 255 - CLEAR, out=apart)
    apart += CLEAR
    np.copyto(out, apart.astype(np.uint8), where=clear.view(bool))
    return out


def _from_the_face(outside: Flags) -> Singles:
    """Solidness at the face, half a voxel before the first layer, and at the first two layers.

    A blur that goes on beyond the face with the first layer would make walls there that stand upright on it. So the
    blur ends at the face. What it finds is then of the middle of its window, and the wall there is moved to the face
    along the slope that a wider blur tells.

    Args:
        outside: Of the image with a voxel more around.
    """
    near, middle = _ending_at_the_face(outside, BLUR, LAYERS)
    away = ndtri(np.clip(near, 0.003, 0.997))
    wide, where = _ending_at_the_face(outside, SLOPE_BLUR, 4)
    up = (wide[3] - wide[1]) / (where[3] - where[1])
    across = np.stack(np.gradient(wide[2]))
    slope = up * across / np.maximum((across**2).sum(axis=0), 1e-6)
    slope *= np.minimum(1.0, STEEPEST / np.maximum(np.sqrt((slope**2).sum(axis=0)), 1e-6))
    place = np.indices(away.shape[1:]).astype(np.float64)

    def at(layer: Singles, where: Array) -> Array:
        return ndimage.map_coordinates(layer, where, order=1, mode="nearest")

    def moved(to: float) -> Array:
        steep = np.stack([at(part, place) for part in slope])
        for _ in range(4):
            steep = np.stack([at(part, place - (where[2] - to) * steep) for part in slope])
        return ndtr(np.mean([at(v, place - (z - to) * steep) for v, z in zip(away, middle, strict=True)], axis=0))

    return np.stack([moved(-0.5), moved(0.0), ndtr(away[1])]).astype(np.float32)


def _thin_openings(outside: Flags, first: Singles) -> Flags:
    """Where the first layer is thin, and not only the tip of something wide."""
    thin = (first == np.float32(THIN_OUTSIDE)) | (first == np.float32(THIN_INSIDE))
    beside = [ndimage.maximum_filter((these & ~thin).view(np.uint8), 3, mode="nearest") for these in (~outside, outside)]
    return np.asarray(thin & ~np.where(outside, *beside[::-1]).view(bool))


def _ending_at_the_face(outside: Flags, blur: float, count: int) -> tuple[Singles, list[float]]:
    """The first layers after a blur that ends at the face, and where along the first axis the windows' middles are."""
    reach = int(CUT * blur + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
    near = outside[1 : 1 + count + reach].astype(np.float32)
    near = ndimage.gaussian_filter(near, blur, mode="nearest", truncate=CUT, axes=(1, 2))
    layers, middle = [], []
    for layer in range(count):
        first = max(layer - reach, 0)
        cut = weights[reach - layer + first :][: len(near) - first]
        layers.append(np.tensordot(cut / cut.sum(), near[first : first + len(cut)], 1))
        middle.append(float(np.average(np.arange(len(cut)) + first, weights=cut)))
    return np.stack(layers), middle


def _thin(these: Flags) -> Flags:
    """The voxels of a set that are in no block of three voxels along each axis within it."""
    wide = np.pad(these, 2, mode="edge").view(np.uint8)
    # box filters are cheaper than a morphological opening, and the same
    eroded = ndimage.minimum_filter(wide, 3, mode="nearest")
    opened = ndimage.maximum_filter(eroded, 3, mode="nearest").view(bool)
    return np.asarray(these & ~opened[(slice(2, -2),) * these.ndim])
