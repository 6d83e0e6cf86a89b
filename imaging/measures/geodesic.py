"""Lengths of the shortest ways within a phase from an outer face, by the fast marching method."""

from collections.abc import Sequence
from typing import Any

import cc3d
import numpy as np
import skfmm
from scipy import ndimage

from microlith.imaging.axes import face_axis
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.connectivity import reached
from microlith.imaging.typing import Flags, Singles


def path_lengths(image: LabelImage, phases: Sequence[int], face: str) -> Singles:
    """Length of the shortest way to each voxel from an outer face, within some phases.

    |grad T| = 1 is solved by the fast marching method of second order (Sethian 1999; scikit-fmm), with voxels' own
    edges. A way that bends round a wall would have to keep a voxel and more from its stairs, and be too long by as
    much. So ways may also use the solid voxels beside the phase, where the solid is at least three voxels thick: there
    no wall is opened by that.

    Args:
        image: The whole image.
        phases: That ways may lead through, together.
        face: Outer face such as "z_min".

    Returns:
        ([z,] y, x) m from the face to the voxel's centre; infinite where no way leads, NaN outside the phases.
    """
    axis, upper = face_axis(face, image.dim)
    inside = np.moveaxis(np.isin(image.phase, list(phases)), axis, 0)
    inside = np.ascontiguousarray(inside[::-1] if upper else inside)
    size = np.array(image.voxel_size)
    edges = [size[axis], *np.delete(size, axis)]
    there = reached(inside, (0, False))
    out = np.where(inside, np.float32(np.inf), np.float32(np.nan)).astype(np.float32)
    if there.any():
        open_ = there | _beside(there, inside)
        # One layer more before the face, open where the phase is at the face: the front starts between both.
        wide = np.concatenate([there[:1], open_])
        depth = (np.arange(len(wide)) - 0.5) * edges[0]
        front: Any = np.ma.MaskedArray(
            np.broadcast_to(depth.reshape(-1, *(1,) * (image.dim - 1)), wide.shape).copy(), ~wide
        )
        found = np.ma.filled(skfmm.distance(front, dx=edges, order=2), np.inf)[1:]
        out[there] = found[there]
    out = out[::-1] if upper else out
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def _beside(there: Flags, inside: Flags) -> Flags:
    """Solid voxels beside a set, where the solid is three voxels thick or more in all directions."""
    thick = np.pad(~inside, 2, mode="edge")
    block = 3  # a box filter is cheaper than a morphological opening, and the same
    eroded = ndimage.minimum_filter(thick.view(np.uint8), block, mode="nearest")
    opened = ndimage.maximum_filter(eroded, block, mode="nearest").astype(bool)
    opened = opened[(slice(2, -2),) * inside.ndim]
    near = ndimage.binary_dilation(there, ndimage.generate_binary_structure(inside.ndim, 2))
    return np.asarray(opened & near)


def openings(there: Flags) -> list[int]:
    """Number of connected pieces of a set in each section across its first axis."""
    if there.ndim == 2:  # sections are rows
        return [
            int(np.count_nonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)) == 1))
            for row in there
        ]
    return [int(cc3d.connected_components(layer, connectivity=4).max(initial=0)) for layer in there]
