"""Distances from the surface of one set of phases to the nearest place of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.whole_faces import WholeFaces, faces_of
from microlith.imaging.typing import Array, Singles


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances of the surface of some phases, face by face."""

    distance: Array  # (n,) m, from the middle of the voxel face
    area: Array  # (n,) m^2 (m in 2D) of the smooth surface that it stands for


def distance_to(image: LabelImage, phases: Sequence[int], threads: int = 1) -> Singles:
    """Distance of each voxel's centre to the nearest centre of a voxel of some phases, m; 0 within these.

    Args:
        image: The whole image.
        phases: That are sought.
        threads: At work.
    """
    sought = np.zeros(256, bool)
    sought[list(phases)] = True
    outside = (~sought)[image.phase]
    found = edt.edt(outside, anisotropy=image.voxel_size, black_border=False, parallel=threads)
    return np.asarray(found, np.float32)


def surface_distances(
    image: LabelImage, of: Sequence[int], distance: Singles, faces: WholeFaces | None = None
) -> SurfaceDistances:
    """Distances of the surface of some phases, from all other phases, to what `distance` leads to.

    The surface lies between voxels, so its distance is the mean of those of both voxels, less half of a voxel's edge:
    as far as the surface of what is sought lies before its first voxel's centre. That is the edge along the way, whose
    direction follows from how the distance changes across the face; the mean of the other edges counts for the rest.

    Args:
        image: The whole image.
        of: Phases whose surface it is.
        distance: ([z,] y, x) m, as `distance_to` gives.
        faces: Of the image; None: they are found here.
    """
    faces = faces_of(image) if faces is None else faces
    mine = np.isin(np.arange(len(image.names)), list(of))
    size = np.array(image.voxel_size)
    phase, values = image.phase.ravel(), distance.ravel()
    found: list[Array] = [np.empty(0)]
    areas: list[Array] = [np.empty(0)]
    for axis, here, there, area in faces.in_turn():
        edge = mine[phase[here]] != mine[phase[there]]
        before, behind = (values[at[edge]].astype(np.float64) for at in (here, there))
        between = 0.5 * (before + behind)
        straight = np.minimum(((behind - before) / size[axis]) ** 2, 1.0)  # squared cosine with the normal
        half = 0.5 * (straight * size[axis] + (1 - straight) * np.delete(size, axis).mean())
        found.append(np.where(between > half * (1 + 1e-6), between - half, 0.0))  # of floats of 32 bits
        areas.append(np.maximum(area[edge], 0.0) * faces.unit)
    return SurfaceDistances(np.concatenate(found), np.concatenate(areas))
