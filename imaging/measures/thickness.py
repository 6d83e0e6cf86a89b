"""Local thickness: the largest ball within a phase that covers a place."""

from dataclasses import dataclass

import edt
import numpy as np

from microlith.imaging.axes import neighbours
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.typing import Array, Phases, Singles

SMALL, LARGE = 12, 12  # radii by half voxels, and larger ones


@dataclass(frozen=True, eq=False)
class Thickness:
    """How much of each phase is in balls of some diameters or larger."""

    diameter: Array  # (k,) m, increasing
    covered: Array  # (phases, k) share of the phase in balls of that diameter within it
    field: Singles  # ([z,] y, x) m, the largest of the diameters whose ball covers a voxel


def local_thickness(image: LabelImage) -> Thickness:
    """Cover each phase with balls within it, of diameter after diameter (Hildebrand and Rueegsegger 1997).

    The places of balls of a radius are those as far from the surface; a second distance tells what they cover. One pass
    does it for all phases: a ball around a place lies in the phase of that place. A quarter of a voxel is taken off the
    distance to the next phase's first centre, between that of an even plate's middle and of an odd one's. The image's
    frame is no surface.

    Args:
        image: The whole image.
    """
    size = np.array(image.voxel_size)
    half = 0.5 * float(size.mean())
    labels = image.phase.astype(np.uint16) + 1
    depth = np.asarray(edt.edt(labels, anisotropy=image.voxel_size), np.float32) - half / 2
    largest = float(depth[np.isfinite(depth)].max(initial=half))
    counts = np.bincount(image.phase.ravel(), minlength=len(image.names)).astype(np.float64)
    radii = _radii(largest, half)
    level = np.zeros(image.phase.shape, np.uint8)
    for number, radius in enumerate(radii[1:], 1):
        inside = depth < radius * (1 - 1e-6)
        # Places of balls have distance 0; what is nearer to one than its depth is covered, and of its phase.
        near = edt.edt(inside, anisotropy=image.voxel_size) < (radius + half / 2) * (1 - 1e-6)
        level[near] = number
    level = _one_voxel_on(level, image.phase)
    table = np.bincount(
        image.phase.ravel().astype(np.int64) * len(radii) + level.ravel(), minlength=len(counts) * len(radii)
    ).reshape(len(counts), -1)
    covered = table[:, ::-1].cumsum(axis=1)[:, ::-1] / np.maximum(counts, 1)[:, None]
    return Thickness(2 * radii, covered, (2 * radii).astype(np.float32)[level])


def _one_voxel_on(level: Phases, phase: Phases) -> Phases:
    """Balls of voxels leave a shell of a voxel below the surface: it gets what its neighbours in the phase have."""
    out = level.copy()
    for axis in range(level.ndim):
        low, high = neighbours(axis)
        same = phase[low] == phase[high]
        for mine, beside in ((low, high), (high, low)):
            np.maximum(out[mine], level[beside], out=out[mine], where=same)
    return out


def _radii(largest: float, half: float) -> Array:
    """Radii from half a voxel on, by half voxels first and by a constant factor then."""
    small = half * np.arange(1, SMALL + 1)
    if largest <= small[-1]:
        return np.asarray(small[small <= max(largest, half)])
    return np.concatenate([small, np.geomspace(small[-1], largest * 0.999, LARGE + 1)[1:]])


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
