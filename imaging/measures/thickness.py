"""Local thickness: the largest ball within a phase that covers a place."""

from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import neighbours
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.microstructure.ball_cover import covered_levels, fits
from microlith.imaging.parallel.large_arrays import row_slices
from microlith.imaging.typing import Array, Phases, Singles

SMALL = 6  # voxels, up to which radii are evenly spaced
FINE, COARSE = 2, 1  # radii per voxel; the coarse ones give means to about a tenth of a voxel


@dataclass(frozen=True, eq=False)
class Thickness:
    """How much of each phase is in balls of some diameters or larger."""

    diameter: Array  # (k,) m, increasing
    covered: Array  # (phases, k) share of the phase in balls of that diameter within it
    level: Phases  # ([z,] y, x) number of the largest of the diameters whose ball covers a voxel


def local_thickness(image: LabelImage, threads: int = 1, fineness: int = FINE) -> Thickness:
    """Cover each phase with balls within it, of diameter after diameter (Hildebrand and Rueegsegger 1997).

    The places of balls of a radius are those as far from the surface; a second distance tells what they cover. One pass
    does it for all phases: a ball around a place lies in the phase of that place. A quarter of a voxel is taken off the
    distance to the next phase's first centre, between that of an even plate's middle and of an odd one's. The image's
    frame is no surface.

    Args:
        image: The whole image.
        threads: At work.
        fineness: Radii per voxel up to six voxels, and six times as many of larger balls.
    """
    size = np.array(image.voxel_size)
    half = 0.5 * float(size.mean())
    depth = _distance(image.phase.astype(np.uint16) + np.uint16(1), image, threads)
    depth -= np.float32(half / 2)
    largest = float(np.max(depth, where=np.isfinite(depth), initial=half))
    radii = _radii(largest, half, fineness)
    level = _covered(depth, radii, half, image, threads)
    del depth
    level = _one_voxel_on(level, image.phase)
    table = np.zeros((len(image.names), len(radii)), np.int64)
    for part in row_slices(level.shape):
        key = image.phase[part].ravel().astype(np.int64) * len(radii) + level[part].ravel()
        table += np.bincount(key, minlength=table.size).reshape(table.shape)
    covered = table[:, ::-1].cumsum(axis=1)[:, ::-1] / np.maximum(table.sum(axis=1), 1)[:, None]
    return Thickness(2 * radii, covered, level)


def _covered(depth: Singles, radii: Array, half: float, image: LabelImage, threads: int) -> Phases:
    """Number of the largest ball that covers each voxel: of small ones by bits, of large ones by distances."""
    least, reach = radii * (1 - 1e-6), (radii + half / 2) * (1 - 1e-6)
    small = sum(fits(far, image.voxel_size) for far in reach[1:])
    level = covered_levels(depth, image.voxel_size, least[1 : small + 1], reach[1 : small + 1])
    for number in range(small + 1, len(radii)):
        inside = depth < least[number]
        # Places of balls have distance 0; what is nearer to one than its depth is covered, and of its phase.
        near = _distance(inside, image, threads)
        level[near < reach[number]] = number
        del near  # before the next one is made
    return level


def _distance(labels: NDArray[Any], image: LabelImage, threads: int) -> Singles:
    return np.asarray(edt.edt(labels, anisotropy=image.voxel_size, parallel=threads), np.float32)


def _one_voxel_on(level: Phases, phase: Phases) -> Phases:
    """Balls of voxels leave a shell of a voxel below the surface: it gets what its neighbours in the phase have."""
    out = level.copy()
    for axis in range(level.ndim):
        low, high = neighbours(axis)
        same = phase[low] == phase[high]
        for mine, beside in ((low, high), (high, low)):
            np.maximum(out[mine], level[beside], out=out[mine], where=same)
    return out


def _radii(largest: float, half: float, fineness: int) -> Array:
    """Radii from half a voxel on, by even steps up to `SMALL` voxels and by a constant factor then."""
    step = 2 * half / fineness
    small = half + step * np.arange(fineness * SMALL - fineness // 2 + 1)
    small = small[small <= 2 * half * SMALL * (1 + 1e-9)]
    if largest <= small[-1]:
        return np.asarray(small[small <= max(largest, half)])
    return np.concatenate([small, np.geomspace(small[-1], largest * 0.999, fineness * SMALL + 1)[1:]])


def mean_and_deviation(diameter: Array, covered: Array) -> tuple[float, float]:
    """Mean and standard deviation of the local thickness, m, from the shares in balls of some diameters or larger.

    Between two diameters the thickness is spread evenly.

    Args:
        diameter: (k,) m, increasing.
        covered: (k,) share covered by balls of that diameter; the first is 1.
    """
    share = -np.diff(np.append(covered, 0.0))
    ends = np.append(diameter[1:], diameter[-1])
    middle = 0.5 * (diameter + ends)
    mean = float(share @ middle)
    square = float(share @ (middle**2 + (ends - diameter) ** 2 / 12))
    return mean, float(np.sqrt(max(square - mean**2, 0.0)))
