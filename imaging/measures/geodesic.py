"""Lengths of the shortest ways within a phase from an outer face, as those of taut strings."""

import math
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
    """Number of connected pieces of a set in each section across its first axis, those that the frame cuts included."""
    return [count for count, _ in map(_pieces, there)]


def openings_of_frame(there: Flags) -> tuple[list[int], list[float]]:
    """The same, and how many pieces belong to the frame: as many as there are on an area of its size elsewhere.

    Along each axis a piece counts once if it is within the frame, half if it meets this at one side, and not at all if
    it does at both. One of w voxels along an axis of n lies in n - w - 1 places within the frame and in w at each
    side of it: on average it counts n - 1 times. So do all pieces but those that pass a corner without holding it
    (Miles 1974, Gundersen 1977). Therefore all count n / (n - 1) times, unless the frame cuts none in any section.
    """
    counts, belonging = (list(found) for found in zip(*map(_pieces, there), strict=True))
    if counts == belonging:
        return counts, belonging
    room = math.prod(n / max(n - 1, 1) for n in there.shape[1:])
    return counts, [room * number for number in belonging]


def _pieces(section: Flags) -> tuple[int, float]:
    """Number of pieces of a section, and how many belong to its frame."""
    if section.ndim == 1:
        starts = np.flatnonzero(np.diff(np.concatenate([[False], section]).astype(np.int8)) == 1)
        return len(starts), len(starts) - 0.5 * int(section[0]) - 0.5 * int(section[-1])
    label = cc3d.connected_components(section, connectivity=4)
    count = int(label.max(initial=0))
    weight = np.ones(count + 1)
    for across in (label, label.T):
        by_axis = np.ones(count + 1)
        for edge in (across[0], across[-1]):
            by_axis[np.unique(edge)] -= 0.5
        weight *= by_axis
    return count, float(weight[1:].sum())
