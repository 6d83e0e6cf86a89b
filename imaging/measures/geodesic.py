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
    wanted = np.zeros(256, bool)
    wanted[list(phases)] = True
    inside = np.moveaxis(wanted[image.phase], axis, 0)
    inside = np.ascontiguousarray(inside[::-1] if upper else inside)
    size = np.array(image.voxel_size)
    edges = [size[axis], *np.delete(size, axis)]
    there = reached(inside, (0, False))
    out = _lengths(there, inside, edges) if there.any() else np.full(inside.shape, np.inf, np.float32)
    out[~there & inside] = np.inf
    out[~inside] = np.nan
    out = out[::-1] if upper else out
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def _lengths(there: Flags, inside: Flags, edges: Sequence[float]) -> Singles:
    """Lengths from the first layer within a set, which some solid voxels beside it belong to; all else has any value.

    Marching takes 36 bytes a voxel and more: nothing else that is large is kept meanwhile.
    """
    # One layer more before the face, open where the phase is at the face: the front starts between both.
    closed = np.concatenate([there[:1], there])
    closed[1:] |= _beside(there, inside)
    np.logical_not(closed, out=closed)
    front = np.empty(closed.shape)
    front[:] = ((np.arange(len(closed)) - 0.5) * edges[0]).reshape(-1, *(1,) * (closed.ndim - 1))
    found: Any = skfmm.distance(np.ma.MaskedArray(front, closed), dx=edges, order=2)
    del front, closed
    lengths: Singles = np.ma.getdata(found)[1:].astype(np.float32)
    if np.ma.is_masked(found):
        lengths[np.ma.getmaskarray(found)[1:]] = np.inf
    return lengths


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
