"""How good a tetrahedral mesh is, and how well it renders the image that it was made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.percentile import percentile
from microlith.imaging.typing import Array
from microlith.meshing.fidelity.agreement import agreement
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.mesh.simplices import EDGES, angles, sharpness, signed_measures

NEAR, FAR = 2, 6  # voxels from a surface: what counts as near to it and as far from it
CELLS_AT_ONCE = 1 << 16  # cells at a time


@dataclass(frozen=True)
class MeshFigures:
    """Figures of a mesh of all phases; of all ranks together."""

    cells: int
    inverted: int  # of them, with no positive volume
    worst: float  # smallest dihedral angle, degrees; 0 where a cell is inverted
    permille: float  # 0.1 % of the cells have a smaller one
    percent: float  # and 1 %
    volume_errors: tuple[float, ...]  # of each phase, relative to its volume in the image
    meshed: float  # share of the image's volume in cells
    agreement: float  # share of all voxels whose centre lies in a cell of their phase
    agreement_inside: float  # and of those voxels whose centre lies in any cell
    agreement_centroids: float  # share of the cells whose centroid lies in a voxel of their phase

    @property
    def volume_error(self) -> float:
        """The largest, without its sign."""
        return max(abs(error) for error in self.volume_errors)


def mesh_figures(volume: LabelVolume, image_mesh: ImageMesh, comm: MPI.Intracomm) -> MeshFigures:
    """Measure a mesh of tetrahedra; collective.

    Cells may be turned inside out or flat, as those of other meshers sometimes are. They may lie outside the image,
    too; what is there counts for the volumes, and not for the agreement.
    """
    measure = signed_measures(image_mesh.points, image_mesh.cells)
    angle = angles(sharpness(image_mesh.points, image_mesh.cells))
    amounts = comm.allreduce(np.bincount(image_mesh.phase, measure, minlength=len(volume.names)))
    wanted = np.array(volume.counts) * np.prod(volume.voxel_size) / image_mesh.unit**3
    solid = np.abs(measure) > 1e-12  # of the smallest voxel; flatter ones hold no centre
    right, inside = agreement(volume, _chosen(image_mesh, solid), comm)
    return MeshFigures(
        cells=comm.allreduce(len(measure)),
        inverted=comm.allreduce(int(np.count_nonzero(measure <= 0))),
        worst=percentile(angle, 0.0, comm) or 0.0,
        permille=percentile(angle, 0.1, comm) or 0.0,
        percent=percentile(angle, 1.0, comm) or 0.0,
        volume_errors=tuple(float(a / w - 1) for a, w in zip(amounts, wanted, strict=True) if w),
        meshed=float(amounts.sum() / wanted.sum()),
        agreement=right,
        agreement_inside=right / inside if inside else 0.0,
        agreement_centroids=_centroid_agreement(volume, image_mesh, comm),
    )


def sizes_around(
    volume: LabelVolume, image_mesh: ImageMesh, phase: int, comm: MPI.Intracomm
) -> tuple[float | None, float | None]:
    """Mean edge length, in the smallest voxel edges, of the cells near the surfaces of a phase, and far from them.

    Near and far are NEAR and FAR voxels, from the centroid to the surface as the voxels have it. None where no cell is
    near or far. Collective.
    """
    window = _around(volume, image_mesh, FAR + 2)
    inside = volume.read(window).phase == phase
    distance = np.full(inside.shape, np.inf)
    sampling = tuple(size / image_mesh.unit for size in volume.voxel_size)
    for side in (inside, ~inside):
        if side.any() and not side.all():
            depth = np.asarray(ndimage.distance_transform_edt(side, sampling=sampling))
            np.copyto(distance, depth - 0.5 * min(sampling), where=side)
    place, within = _voxels(volume, image_mesh, window)
    of_cells = np.where(within, distance[place], np.nan)
    length = _mean_edges(image_mesh)
    found: list[float | None] = []
    for chosen in (of_cells <= NEAR, of_cells > FAR):
        total, count = comm.allreduce(np.array([length[chosen].sum(), np.count_nonzero(chosen)]))
        found.append(float(total / count) if count else None)
    return found[0], found[1]


def interface_area(image_mesh: ImageMesh) -> float:
    """Area between all phases, in squares of the smallest voxel edge; serial."""
    phases = np.zeros((len(image_mesh.points), len(image_mesh.names)), bool)
    for corner in range(4):
        phases[image_mesh.cells[:, corner], image_mesh.phase] = True
    between = phases.sum(axis=1) > 1
    facets, sides = [], []
    for corner in range(4):
        facet = np.delete(image_mesh.cells, corner, axis=1)
        chosen = between[facet].all(axis=1)
        facets.append(np.sort(facet[chosen], axis=1))
        sides.append(image_mesh.phase[chosen])
    facet, side = np.concatenate(facets), np.concatenate(sides)
    order = np.lexsort(facet.T)
    facet, side = facet[order], side[order]
    shared = (facet[1:] == facet[:-1]).all(axis=1) & (side[1:] != side[:-1])
    a, b, c = (image_mesh.points[facet[1:][shared, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def voxel_face_area(volume: LabelVolume) -> float:
    """Area of the voxel faces between all phases, in squares of the smallest voxel edge; serial."""
    phase = volume.read(tuple((0, count) for count in volume.shape)).phase
    edge = np.array(volume.voxel_size) / min(volume.voxel_size)
    faces = [np.count_nonzero(np.diff(phase.astype(np.int16), axis=axis)) for axis in range(3)]
    return float(np.dot(faces, np.prod(edge) / edge))


def _mean_edges(image_mesh: ImageMesh) -> Array:
    length = np.zeros(len(image_mesh.cells))
    for start in range(0, len(image_mesh.cells), CELLS_AT_ONCE):
        part = slice(start, start + CELLS_AT_ONCE)
        corners = image_mesh.points[image_mesh.cells[part]]
        for a, b in EDGES[3]:
            length[part] += np.linalg.norm(corners[:, a] - corners[:, b], axis=1) / len(EDGES[3])
    return length


def _centroid_agreement(volume: LabelVolume, image_mesh: ImageMesh, comm: MPI.Intracomm) -> float:
    window = _around(volume, image_mesh, 0)
    phase = volume.read(window).phase
    place, within = _voxels(volume, image_mesh, window)
    right = int(np.count_nonzero(within & (phase[place] == image_mesh.phase)))
    return comm.allreduce(right) / max(1, comm.allreduce(len(image_mesh.cells)))


def _voxels(
    volume: LabelVolume, image_mesh: ImageMesh, window: Window
) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.bool_]]:
    """Place in a window of the voxel of each cell's centroid, and whether there is one."""
    within = np.ones(len(image_mesh.cells), bool)
    place = []
    for axis, (first, last) in zip((2, 1, 0), window, strict=True):
        centroid = image_mesh.points[:, axis][image_mesh.cells].mean(axis=1)
        index = np.floor(centroid * (image_mesh.unit / volume.voxel_size[2 - axis])).astype(np.int64)
        within &= (index >= first) & (index < last)
        place.append(np.clip(index - first, 0, max(0, last - first - 1)))
    return tuple(place), within


def _around(volume: LabelVolume, image_mesh: ImageMesh, rim: int) -> Window:
    """The voxels around this rank's cells."""
    if len(image_mesh.cells) == 0:
        return tuple((0, min(1, count)) for count in volume.shape)
    low, high = image_mesh.points.min(axis=0)[::-1], image_mesh.points.max(axis=0)[::-1]
    window = []
    for first, last, count, edge in zip(low, high, volume.shape, volume.voxel_size, strict=True):
        scale = image_mesh.unit / edge
        begin = int(np.clip(np.floor(first * scale) - rim, 0, count - 1))
        window.append((begin, int(np.clip(np.ceil(last * scale) + rim, begin + 1, count))))
    return tuple(window)


def _chosen(image_mesh: ImageMesh, chosen: NDArray[np.bool_]) -> ImageMesh:
    if chosen.all():
        return image_mesh
    return ImageMesh(
        points=image_mesh.points,
        vertex=image_mesh.vertex,
        cells=image_mesh.cells[chosen],
        phase=image_mesh.phase[chosen],
        shape=image_mesh.shape,
        names=image_mesh.names,
        unit=image_mesh.unit,
        extent=image_mesh.extent,
    )
