"""Smooth indicators of the phases: where two of them are equal, there is the interface of a smooth body."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from microlith.meshing.interpolation import VoxelFields

SMOOTHING = 1.5  # standard deviation of the narrower Gaussian, voxels
CUT = 3.0  # standard deviations after which a Gaussian is cut off
REACH = 10  # voxels on each side on which the value in a voxel depends
MARGIN = 0.06  # by which the phase of a voxel leads at its centre
LONE = 0.5  # more of its indicator per further axis along which a voxel is alone: else interpolation makes it too small


def indicators(
    phase: NDArray[np.uint8], phases: int, start: tuple[int, ...], voxel: tuple[float, ...], thin: NDArray[np.bool_]
) -> VoxelFields:
    """Smooth the indicator of each phase, yet so that the phase of each voxel leads at its centre.

    A Gaussian moves an interface of mean curvature H by H times its variance towards the centre of curvature. In
    2 G(s) - G(2 s), s their standard deviations, the moves of both cancel: at the interface, the narrower one weighs
    twice as much per curvature, and is twice as steep. Parts that are too thin to be smoothed are left as they are.
    Where the smooth indicators would give a voxel's centre to another phase, that of its own is raised (after R. T.
    Whitaker, Reducing aliasing artifacts in iso-surfaces of binary volumes, IEEE Symp. Volume Visualization 2000, 23).

    Args:
        phase: Phases of the voxels of a window, ([z,] y, x).
        phases: Number of phases.
        start: First voxel of the window, x first.
        voxel: Edges of a voxel, x first.
        thin: Voxels in parts that are too thin, shaped as `phase`.

    Returns:
        One field per phase.
    """
    values = np.empty((phases, *phase.shape), np.float32)
    sharp = ndimage.gaussian_filter(ndimage.binary_dilation(thin).astype(np.float32), 0.5, truncate=CUT)
    own = np.empty(phase.shape, np.float32)
    other = np.full(phase.shape, -np.inf, np.float32)
    for index in range(phases):
        inside = phase == index
        if not inside.any():
            values[index] = 0.0
            np.maximum(other, 0.0, out=other)
            continue
        exact = inside.astype(np.float32)
        smooth = 2 * ndimage.gaussian_filter(exact, SMOOTHING, mode="nearest", truncate=CUT)
        smooth -= ndimage.gaussian_filter(exact, 2 * SMOOTHING, mode="nearest", truncate=CUT)
        smooth += sharp * (exact - smooth)
        values[index] = smooth
        np.copyto(own, smooth, where=inside)
        np.maximum(other, smooth, out=other, where=~inside)
    raised = np.maximum(own, other + MARGIN)
    raised += np.where(thin, LONE * np.maximum(_lone_axes(phase) - 1, 0), 0.0).astype(np.float32)
    for index in range(phases):
        np.copyto(values[index], raised, where=phase == index)
    return VoxelFields(values, start, voxel)


def _lone_axes(phase: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Number of axes along which both neighbours of a voxel are of other phases; shaped as `phase`."""
    alone = np.zeros(phase.shape, np.int8)
    for axis in range(phase.ndim):
        along = np.moveaxis(phase, axis, 0)
        differ = along[1:] != along[:-1]
        np.moveaxis(alone, axis, 0)[1:-1] += differ[1:] & differ[:-1]
    return alone
