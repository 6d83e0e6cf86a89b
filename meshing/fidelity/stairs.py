"""Between which areas (in 2D lengths) a surface lies that goes along the steps of voxels, within half of one of them.

It is no larger than the steps. A corner between two faces of voxels can be cut off by half an edge of a voxel on one
side, and on the other by half of how far the step goes on; what that saves is less than the half edge. So a surface has
no less than the area of the steps without half an edge for each corner: planes along the voxels are known well by that,
surfaces with steps everywhere not at all.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.surface_faces import face_areas
from microlith.imaging.typing import Array, Numbers, Phases


def stairs(volume: LabelVolume, comm: MPI.Intracomm) -> tuple[Array, Array]:
    """Least and largest area between each pair of phases, (phases, phases), m^2 (m in 2D); collective.

    The image's frame is no surface.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    dim, phases = volume.dim, len(volume.names)
    counted = slab_sum(volume, comm, partial(_counted, phases), halo=(0, 1)).reshape(-1, phases, phases)
    both_ways = counted + counted.swapaxes(1, 2)
    areas, edges = face_areas(volume), np.array(volume.voxel_size)
    largest = np.asarray(np.tensordot(areas, both_ways[:dim], 1), np.float64)
    saved = np.zeros((phases, phases))
    for corners, axes in zip(both_ways[dim:], combinations(range(dim), 2), strict=True):
        along = np.delete(edges, axes).prod()  # 1 in 2D
        saved += 0.5 * edges[list(axes)].max() * along * corners
    return np.maximum(largest - saved, 0.0), largest


def _counted(phases: int, slab: Slab) -> Numbers:
    """In one row, each by pairs of phases: faces across each axis, and corners in each pair of axes."""
    dim = slab.phase.ndim
    steps = [[int(axis == other) for other in range(dim)] for axis in range(dim)]
    rows = [_pairs(phases, *slab.pairs(step)) for step in steps]
    for one, other in combinations(range(dim), 2):
        rows.append(_corners(phases, *_quads(slab, steps[one], steps[other])))
    return np.concatenate(rows)


def _pairs(phases: int, here: Phases, there: Phases) -> Numbers:
    """Faces between each pair of phases, (phases^2,), the lower phase first."""
    differ = here != there
    a, b = here[differ].astype(np.int64), there[differ].astype(np.int64)
    return np.bincount(np.minimum(a, b) * phases + np.maximum(a, b), minlength=phases**2)


def _quads(slab: Slab, one: Sequence[int], other: Sequence[int]) -> Iterator[Phases]:
    """The voxels around each edge: one, its neighbours along the first and the second axis, and that along both."""
    whole = slab.pairs([a + b for a, b in zip(one, other, strict=True)])
    shape = whole[0].shape
    yield whole[0]
    for step in (one, other):
        yield slab.pairs(step)[1][tuple(slice(count) for count in shape)]
    yield whole[1]


def _corners(phases: int, here: Phases, first: Phases, second: Phases, both: Phases) -> Numbers:
    """Corners between each pair of phases, (phases^2,), the lower phase first: edges where faces across both axes meet.

    Where two faces of a pair meet across one axis, none do across the other, or two: there are two corners then.
    """
    uneven = (here != first) | (here != second) | (here != both)
    origin, along, aside, opposite = (some[uneven].astype(np.int64) for some in (here, first, second, both))

    def pair(a: Numbers, b: Numbers) -> Numbers:
        return np.where(a == b, -1, np.minimum(a, b) * phases + np.maximum(a, b))

    across = pair(origin, aside), pair(along, opposite)
    found: Numbers = np.zeros(phases**2, np.int64)
    for faces in (pair(origin, along), pair(aside, opposite)):
        meets = (faces >= 0) & ((faces == across[0]) | (faces == across[1]))
        found += np.bincount(faces[meets], minlength=phases**2)
    return found
