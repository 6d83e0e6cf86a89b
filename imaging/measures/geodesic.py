"""Lengths of the shortest ways within a phase from an outer face, as those of taut strings."""

from collections.abc import Sequence

import cc3d
import numpy as np

from microlith.imaging.axes import face_axis
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.connectivity import reached
from microlith.imaging.typing import Array, Flags, Singles
from microlith.imaging.ways.walls import solidness


def path_lengths(image: LabelImage, phases: Sequence[int], face: str) -> Singles:
    """The lengths of `paths`."""
    return paths(image, phases, face)[0]


def paths(image: LabelImage, phases: Sequence[int], face: str) -> tuple[Singles, Array]:
    """Length of the shortest way to each voxel from an outer face, within some phases, and how ways turn.

    Ways are strings pulled taut: straight, and bent at walls, which are where the smoothed phases have them (see
    `taut_ways` and `solidness`).

    Args:
        image: The whole image.
        phases: That ways may lead through, together.
        face: Outer face such as "z_min".

    Returns:
        ([z,] y, x) m from the face to the voxel's centre; infinite where no way leads, NaN outside the phases. And
        (depths,) from the face on, the sum of the angles that the ways to the voxels at this depth turn by.
    """
    from microlith.imaging.ways.front import taut_ways  # numba, which takes 0.1 s; not all that measures needs it

    axis, upper = face_axis(face, image.dim)
    wanted = np.zeros(256, bool)
    wanted[list(phases)] = True
    inside = np.moveaxis(wanted[image.phase], axis, 0)
    inside = np.ascontiguousarray(inside[::-1] if upper else inside)
    size = np.array(image.voxel_size)
    edges = [size[axis], *np.delete(size, axis)]
    there = reached(inside, (0, False))
    if image.dim == 2:  # one layer of a volume
        long, turned = taut_ways(there[:, None], solidness(inside[:, None]), (edges[0], edges[1], edges[1]))
        out = long[:, 0]
    else:
        out, turned = taut_ways(there, solidness(inside), (edges[0], edges[1], edges[2]))
    # Straight to the face through voxels of the phase nothing is in the way, nor shorter, where the blur closes corners
    straight = np.float32(edges[0]) * (np.arange(len(out), dtype=np.float32) + np.float32(0.5))
    straight = straight.reshape(-1, *(1,) * (out.ndim - 1))
    np.minimum(out, straight, out=out, where=np.logical_and.accumulate(inside, axis=0))
    out[~there & inside] = np.inf
    out[~inside] = np.nan
    out = out[::-1] if upper else out
    return np.ascontiguousarray(np.moveaxis(out, 0, axis)), turned


def openings(there: Flags) -> list[int]:
    """Number of connected pieces of a set in each section across its first axis."""
    if there.ndim == 2:  # sections are rows
        return [
            int(np.count_nonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)) == 1))
            for row in there
        ]
    return [int(cc3d.connected_components(layer, connectivity=4).max(initial=0)) for layer in there]
