"""Faces between unlike voxels of a whole image with their areas, found once for all that is measured on surfaces."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.passes import Slab, slabs
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.measures.surface_faces import Faces, exact_unit, face_halo, slab_faces
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Integers

AT_ONCE = 1 << 21  # faces
Found = list[tuple[Integers, NDArray[np.int32]]]  # by axis: places of voxels, areas per unit


@dataclass(frozen=True, eq=False)
class WholeFaces:
    """Faces of the whole image, 8 bytes each, in the order of their places."""

    parts: tuple[Found, ...]  # of each slab
    strides: tuple[int, ...]  # by axis: from the voxel before a face to the one behind
    unit: float  # of areas, m^2 (m in 2D)

    def in_turn(self) -> Iterator[tuple[int, Integers, Integers, Array]]:
        """Some faces at a time: axis, places of voxels before and behind in the flattened image, areas per unit."""
        for axis, stride in enumerate(self.strides):  # so that their order does not depend on the slabs
            for place, area in (part[axis] for part in self.parts):
                for first in range(0, len(place), AT_ONCE):
                    here = place[first : first + AT_ONCE]
                    yield axis, here, here + here.dtype.type(stride), area[first : first + AT_ONCE].astype(np.float64)


class GatheredFaces:
    """Takes the faces of an image slab by slab, each rank those of its layers, and has them on rank 0."""

    def __init__(self, volume: LabelVolume, comm: MPI.Intracomm) -> None:
        self._volume, self._comm = volume, comm
        self._of_ranks: list[list[Found]] = [[] for _ in range(comm.size)]

    def add(self, found: Found) -> None:
        """What `found_faces` gives of the next slab; collective."""
        for rank, part in enumerate(self._comm.gather(found) or ()):
            self._of_ranks[rank].append(part)

    def whole(self) -> WholeFaces | None:
        """All of them on rank 0, None elsewhere."""
        if self._comm.rank:
            return None
        volume = self._volume
        strides = tuple(math.prod(volume.shape[axis + 1 :]) for axis in range(volume.dim))
        parts = tuple(part for parts in self._of_ranks for part in parts if part)
        return WholeFaces(parts, strides, exact_unit(volume))


def found_faces(volume: LabelVolume, slab: Slab, faces: Faces) -> tuple[Integers, NDArray[np.int32]]:
    """Of the faces of a slab across one axis, what is kept of them: places in the image and areas per unit."""
    kind = np.int32 if math.prod(volume.shape) <= np.iinfo(np.int32).max else np.int64
    start = slab.window[0][0] * math.prod(volume.shape[1:])
    return (faces.here + start).astype(kind), np.rint(faces.area / exact_unit(volume)).astype(np.int32)


def faces_on_root(volume: LabelVolume, comm: MPI.Intracomm) -> WholeFaces | None:
    """The faces of an image on rank 0, None elsewhere; collective. Each rank finds those of its layers.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    gathered = GatheredFaces(volume, comm)
    for slab in slabs(volume, comm, face_halo(volume)):

        def found(slab: Slab = slab) -> Found:
            return [found_faces(volume, slab, faces) for faces in slab_faces(volume, slab)]

        gathered.add(together(comm, found))
    return gathered.whole()


def faces_of(image: LabelImage) -> WholeFaces:
    """The faces of an image that this rank holds alone."""
    found = faces_on_root(volume_of(image, MPI.COMM_SELF), MPI.COMM_SELF)
    assert found is not None
    return found
