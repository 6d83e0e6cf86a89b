"""Which phases of an image are neighbours, and which reach its outer faces."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES, FACES, face_axis
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Flags, Numbers


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Faces of voxels (edges of pixels in 2D) between the phases of an image, and its voxels at the outer faces."""

    between: Numbers  # (dim, phases, phases) faces across z, y, x (in 2D y, x) between two phases; symmetric
    at_faces: dict[str, Numbers]  # outer face -> (phases,) voxels there

    @property
    def touching(self) -> Flags:
        """Which phases share a face (phases, phases); the diagonal is False."""
        return np.asarray(self.between.any(axis=0))

    def unlike(self, axis: str, shape: tuple[int, ...]) -> float:
        """Share of the pairs of neighbours along an axis that are of two phases.

        Args:
            axis: Name of the axis.
            shape: ([z,] y, x) of the image.
        """
        at = len(shape) - 1 - AXES.index(axis)
        pairs = math.prod(shape) // shape[at] * (shape[at] - 1)
        return float(self.between[at].sum()) / 2 / max(pairs, 1)

    def repeated(self, axes: Iterable[str]) -> "Adjacency":
        """The same where the image comes again along axes: what is at opposite faces may touch, if it lies opposite."""
        between = self.between.copy()
        for axis in axes:
            ends = np.minimum.outer(self.at_faces[f"{axis}_min"], self.at_faces[f"{axis}_max"])
            ends = ends + ends.T
            np.fill_diagonal(ends, 0)
            between[len(between) - 1 - AXES.index(axis)] += ends
        return Adjacency(between, self.at_faces)

    def touch(self, a: Flags, b: Flags) -> bool:
        """Whether a phase in `a` shares a face with another one in `b`, both (phases,)."""
        return bool(self.touching[np.ix_(a, b)].any())


def adjacency(volume: LabelVolume, comm: MPI.Intracomm) -> Adjacency:
    """Count the faces between phases; collective.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    phases, dim = len(volume.names), volume.dim
    found = slab_sum(volume, comm, partial(_counted, volume), halo=(0, 1))
    between = found[: dim * phases**2].reshape(dim, phases, phases)
    at_faces = found[dim * phases**2 :].reshape(2 * dim, phases)
    return Adjacency(between + between.swapaxes(1, 2), dict(zip(FACES, at_faces, strict=False)))


def _counted(volume: LabelVolume, slab: Slab) -> Numbers:
    """In one row: pairs of unlike voxels by axis and by their phases, then voxels at the outer faces by phase."""
    phases, dim = len(volume.names), volume.dim
    between = np.zeros((dim, phases**2), np.int64)
    at_faces = np.zeros((2 * dim, phases), np.int64)
    if not slab.empty:
        for axis, step in enumerate(np.eye(dim, dtype=int).tolist()):
            one, other = slab.pairs(step)
            unlike = one != other
            between[axis] = np.bincount(one[unlike].astype(np.int64) * phases + other[unlike], minlength=phases**2)
        for row, face in zip(at_faces, FACES, strict=False):
            axis, upper = face_axis(face, dim)
            if axis > 0 or slab.layers[upper] == (volume.shape[0] if upper else 0):
                row[:] = np.bincount(np.take(slab.inner, -1 if upper else 0, axis=axis).ravel(), minlength=phases)
    return np.concatenate([between.ravel(), at_faces.ravel()])
