"""Where the wall of a set of voxels is: between its voxels' centres, and without their stairs."""

import edt
import numpy as np
from scipy import ndimage
from scipy.special import ndtr, ndtri

from microlith.imaging.typing import Bits, Flags, Singles

BLUR = 0.8  # voxels; takes the stairs from flat and bent walls, and moves one of radius 8 by 0.04 of a voxel
INSIDE_MOST = 0.45  # solidness of a voxel of the set: all of them are open
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
    solid = ndimage.gaussian_filter(outside.astype(np.float32), BLUR, mode="nearest", truncate=2.5)
    np.minimum(solid, INSIDE_MOST, out=solid, where=~outside)
    np.minimum(solid, THIN_INSIDE, out=solid, where=_thin(~outside))
    solid[_thin(outside)] = THIN_OUTSIDE
    solid[0] = _at_face(solid[1], solid[2])
    out: Bits = np.rint(solid * 100).astype(np.uint8)
    clear = (solid < 0.03).view(np.uint8)
    del solid
    apart = edt.edt(clear)
    np.minimum(apart, 255 - CLEAR, out=apart)
    apart += CLEAR
    np.copyto(out, apart.astype(np.uint8), where=clear.view(bool))
    return out


def _at_face(first: Singles, second: Singles) -> Singles:
    """Solidness half a voxel before the first layer: that of the distance from the wall, extrapolated."""
    away = [ndtri(np.clip(layer, 0.003, 0.997)) for layer in (first, second)]
    return np.where(first == THIN_OUTSIDE, first, ndtr(1.5 * away[0] - 0.5 * away[1])).astype(np.float32)


def _thin(these: Flags) -> Flags:
    """The voxels of a set that are in no block of three voxels along each axis within it."""
    wide = np.pad(these, 2, mode="edge").view(np.uint8)
    # box filters are cheaper than a morphological opening, and the same
    eroded = ndimage.minimum_filter(wide, 3, mode="nearest")
    opened = ndimage.maximum_filter(eroded, 3, mode="nearest").view(bool)
    return np.asarray(these & ~opened[(slice(2, -2),) * these.ndim])
