"""Smooth indicators of the phases: where two of them are equal, there is the interface of a smooth body."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from microlith.imaging.typing import Flags, Phases, Singles
from microlith.meshing.lattice.voxel_fields import VoxelFields

SMOOTHING = 1.5  # standard deviation of the narrower Gaussian, voxels
FALLBACK = 0.4  # the same around voxels that it would give to another phase
CUT = 3.0  # standard deviations after which a Gaussian is cut off
REACH = 16  # voxels on each side on which the value in a voxel depends
LOST = -0.02  # lead of a voxel's own phase below which the voxel counts as given away
MARGIN = 0.12  # lead that each voxel's phase gets at its centre in the end
LONE = 0.5  # more of its indicator per further axis along which a voxel is alone: else interpolation makes it too small


def indicators(
    phase: Phases,
    phases: int,
    start: tuple[int, ...],
    voxel: tuple[float, ...],
    thin_voxels: Flags,
) -> VoxelFields:
    """Smooth the indicator of each phase, yet so that the phase of each voxel leads at its centre.

    A Gaussian moves an interface of mean curvature H by H times its variance towards the centre of curvature. In
    2 G(s) - G(2 s), s their standard deviations, the moves of both cancel: at the interface, the narrower one weighs
    twice as much per curvature, and is twice as steep. Where that would give voxels to another phase, they and their
    neighbours are smoothed less, then not at all, and in the end their own indicator is raised (the aim is that of
    R. T. Whitaker, Reducing aliasing artifacts in iso-surfaces of binary volumes, IEEE Symp. Volume Visualization 2000,
    23). Parts that are too thin to be smoothed are left as they are.

    Args:
        phase: Phases of the voxels of a window, ([z,] y, x).
        phases: Number of phases.
        start: First voxel of the window, x first.
        voxel: Edges of a voxel, x first.
        thin_voxels: Voxels in parts that are too thin, shaped as `phase`.

    Returns:
        One field per phase.
    """
    values = np.empty((phases, *phase.shape), np.float32)
    for index in range(phases):
        values[index] = _smoothed(phase == index, SMOOTHING)
    for deviation in (FALLBACK, 0.0):
        own, other = _lead(values, phase)
        lost = own - other < LOST
        weight = _weight(lost | thin_voxels if deviation == 0 else lost & ~thin_voxels)
        for index in range(phases):
            inside = phase == index
            narrow = _smoothed(inside, deviation) if deviation else inside
            values[index] += weight * (narrow - values[index])
    own, other = _lead(values, phase)
    raised = np.maximum(own, other + MARGIN)
    raised += np.where(thin_voxels, LONE * np.maximum(_lone_axes(phase) - 1, 0), 0.0).astype(np.float32)
    for index in range(phases):
        np.copyto(values[index], raised, where=phase == index)
    return VoxelFields(values, start, voxel)


def _smoothed(inside: Flags, deviation: float) -> Singles:
    exact = inside.astype(np.float32)
    if not inside.any():
        return exact
    smooth = 2 * ndimage.gaussian_filter(exact, deviation, mode="nearest", truncate=CUT)
    smooth -= ndimage.gaussian_filter(exact, 2 * deviation, mode="nearest", truncate=CUT)
    return np.asarray(smooth)


def _lead(values: Singles, phase: Phases) -> tuple[Singles, Singles]:
    """Indicator of each voxel's own phase, and the largest of the others; shaped as `phase`."""
    own = np.empty(phase.shape, np.float32)
    other = np.full(phase.shape, -np.inf, np.float32)
    for index, field in enumerate(values):
        inside = phase == index
        np.copyto(own, field, where=inside)
        np.maximum(other, field, out=other, where=~inside)
    return own, other


def _weight(voxels: Flags) -> Singles:
    """One on these voxels and their neighbours, smoothly zero a little farther away."""
    wide = ndimage.binary_dilation(voxels).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(wide, 0.5, truncate=CUT))


def _lone_axes(phase: Phases) -> NDArray[np.int8]:
    """Number of axes along which both neighbours of a voxel are of other phases; shaped as `phase`."""
    alone = np.zeros(phase.shape, np.int8)
    for axis in range(phase.ndim):
        along = np.moveaxis(phase, axis, 0)
        differ = along[1:] != along[:-1]
        np.moveaxis(alone, axis, 0)[1:-1] += differ[1:] & differ[:-1]
    return alone
