"""Distances from the surface of one set of phases to the nearest place of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.passes import slabs
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.surface_faces import face_halo, slab_faces
from microlith.imaging.typing import Array, Singles


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances of the surface of some phases, face by face."""

    distance: Array  # (n,) m, from the middle of the voxel face
    area: Array  # (n,) m^2 (m in 2D) of the smooth surface that it stands for


def distance_to(image: LabelImage, phases: Sequence[int]) -> Singles:
    """Distance of each voxel's centre to the nearest centre of a voxel of some phases, m; 0 within these."""
    outside = np.ascontiguousarray(~np.isin(image.phase, list(phases)))
    return np.asarray(edt.edt(outside, anisotropy=image.voxel_size, black_border=False), np.float32)


def surface_distances(image: LabelImage, of: Sequence[int], distance: Singles) -> SurfaceDistances:
    """Distances of the surface of some phases, from all other phases, to what `distance` leads to.

    The surface lies between voxels, so its distance is the mean of those of both voxels, less half of a voxel's mean
    edge: as far as the surface of what is sought lies before its first voxel's centre.

    Args:
        image: The whole image.
        of: Phases whose surface it is.
        distance: ([z,] y, x) m, as `distance_to` gives.
    """
    volume = volume_of(image, MPI.COMM_SELF)
    mine = np.isin(np.arange(len(image.names)), list(of))
    half = 0.5 * float(np.mean(image.voxel_size))
    found: list[Array] = [np.empty(0)]
    areas: list[Array] = [np.empty(0)]
    for slab in slabs(volume, MPI.COMM_SELF, face_halo(volume)):
        part = distance[slice(*slab.window[0])].ravel()
        for faces in slab_faces(volume, slab):
            edge = mine[faces.phase[0]] != mine[faces.phase[1]]
            between = 0.5 * (part[faces.here[edge]].astype(np.float64) + part[faces.there[edge]])
            found.append(np.maximum(between - half, 0.0))
            areas.append(np.maximum(faces.area[edge], 0.0))
    return SurfaceDistances(np.concatenate(found), np.concatenate(areas))
