"""The phases that are not meshed, as the image has them on its own faces and on the cut of a 3D picture.

The mesh knows of these phases only where they border solved ones. The voxels close them where they are cut open, also
towards pores.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import eye_array

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array
from microlith.workflow.rendering.cutaway import TOWARDS, Indices, Sheet, beyond, kept


def solids(
    volume: LabelVolume,
    unit: float,
    center: Array,
    solved: NDArray[np.bool_],
    phases: Collection[int],
    comm: MPI.Intracomm,
) -> dict[int, tuple[Array, Indices]]:
    """Points (n, 3) and triangles (m, 3) of each of the phases, on rank 0; empty elsewhere; collective.

    Six layers of voxels are read, no more: three of the image's faces, and the three of the cut on the side that stays.

    Args:
        volume: The image, in 3D.
        unit: Metres per unit of the points.
        center: (3,) where the planes of the cut meet; the corner beyond it is taken away.
        solved: (phases,) whether the phase is meshed.
        phases: Indices of those wanted, not meshed.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    edge = np.array(volume.voxel_size[::-1]) / unit
    count = np.array(volume.shape[::-1])
    found: dict[int, list[tuple[Array, Indices]]] = {phase: [] for phase in phases}
    for axis in range(3):
        far = TOWARDS[axis] > 0
        of_cut = int(np.ceil(center[axis] / edge[axis])) - 1 if far else int(center[axis] / edge[axis])
        of_face = int(count[axis]) - 1 if far else 0
        face = float(count[axis] * edge[axis]) if far else 0.0
        for index, at, cut in ((of_face, face, False), (of_cut, float(center[axis]), True)):
            layer = _layer(volume, axis, index, comm)

            def surfaces(layer: NDArray[np.uint8] = layer, axis: int = axis, at: float = at, cut: bool = cut) -> None:
                spread = nearest_of(layer, solved)
                for phase, surface in found.items():
                    points, triangles = runs(spread == phase, axis, at, edge)
                    sheet = Sheet(eye_array(len(points), format="csr"), triangles)
                    level = (points - center) * TOWARDS
                    left = (beyond(sheet, level, axis) if cut else kept(sheet, level)).compact()
                    surface.append((left.weights @ points, left.cells))

            together(comm, surfaces)
    return {phase: _one(surface) for phase, surface in found.items()}


def _layer(volume: LabelVolume, axis: int, index: int, comm: MPI.Intracomm) -> NDArray[np.uint8]:
    """One layer of voxels across an axis, on rank 0; array order."""
    window = [(0, n if comm.rank == 0 else 0) for n in volume.shape]
    window[2 - axis] = (index, index + 1 if comm.rank == 0 else index)
    phase: NDArray[np.uint8] = volume.read(tuple(window)).phase
    return phase.reshape([n for i, n in enumerate(phase.shape) if i != 2 - axis])


def nearest_of(
    layer: NDArray[np.uint8], solved: NDArray[np.bool_], pixel: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """The nearest phase that is not meshed, also where one is: behind its smooth edge no gap is left.

    Args:
        layer: (rows, columns) phase of each pixel.
        solved: (phases,) that are meshed.
        pixel: Its height and width, in any unit.
    """
    inside = solved[layer]
    if inside.all() or not inside.any():
        return layer
    nearest = distance_transform_edt(inside, sampling=pixel, return_distances=False, return_indices=True)
    return layer[tuple(nearest)]


def runs(mask: NDArray[np.bool_], axis: int, at: float, edge: Array) -> tuple[Array, Indices]:
    """Rectangles that cover the pixels of a mask, one for each run along a row.

    Args:
        mask: (rows, columns) of a layer across the axis.
        axis: 0 for x, 1 for y, 2 for z.
        at: Where on it the layer is.
        edge: Of a voxel along x, y and, unless that is the axis, z.

    Returns:
        Corners (n, 3) and two triangles of each rectangle (m, 3).
    """
    rows, columns = (a for a in (2, 1, 0) if a != axis)
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    corners = np.empty((len(row), 4, 3))
    corners[..., axis] = at
    corners[..., rows] = (row[:, None] + (0, 0, 1, 1)) * edge[rows]
    corners[..., columns] = np.stack([first, last, last, first], axis=1) * edge[columns]
    triangles = np.arange(4 * len(row)).reshape(-1, 4)[:, [[0, 1, 2], [0, 2, 3]]]
    return corners.reshape(-1, 3), triangles.reshape(-1, 3)


def _one(surfaces: list[tuple[Array, Indices]]) -> tuple[Array, Indices]:
    starts = np.cumsum([0, *(len(points) for points, _ in surfaces[:-1])])
    cells = [triangles + start for (_, triangles), start in zip(surfaces, starts, strict=True)]
    return np.concatenate([points for points, _ in surfaces]), np.concatenate(cells)
