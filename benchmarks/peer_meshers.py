"""Other meshers of label images, each in a process of its own; run by meshing.py in the environment that has them.

    python peer_meshers.py NAME IMAGE.npy MESH.npz

reads phases (z, y, x), numbered from 0, and writes `points` (n, 3; x, y, z in voxels from the image's corner), `cells`
(m, 4), `phase` (m,), seconds of `wall` and `cpu` time of the mesher alone, and a `remark`.

What each is asked for: all phases, elements about as large near the interfaces, and about as many, as the lattice makes
with size 2. CGAL takes the values of an image to be at grid points, so that its mesh goes from the first to the last
voxel centre and leaves out half a voxel of the box on each side.

Only NumPy and the mesher itself are needed here.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float64], NDArray[Any], NDArray[Any], str]  # points, cells, phase, remark
Work = Callable[[], Mesh]

# Of CGAL, in voxels: the largest radius of a facet's surface ball and of a cell's sphere, and how far a facet may be
# from the surface; angle and ratio as in CGAL's own example for label images.
FACET, CELL, DISTANCE = 1.1, 1.2, 0.25
FACET_ANGLE, RATIO = 30.0, 3.0
# Of Mmg, in voxels: edges, and how far the surface may move, enough to take the steps of the voxels away.
SHORTEST, LONGEST, HAUSDORFF, GROWTH = 1.5, 4.0, 1.0, 1.3


def cgal(phase: NDArray[np.uint8], *, perturb: bool, exude: bool) -> Work:
    """CGAL's refinement of a Delaunay triangulation, through pygalmesh."""
    import pygalmesh

    # Label 0 is outside to CGAL; arrays are (x, y, z).
    image = np.asfortranarray(phase.T + np.uint8(1))

    def work() -> Mesh:
        mesh = pygalmesh.generate_from_array(
            image,
            (1.0, 1.0, 1.0),
            perturb=perturb,
            exude=exude,
            min_facet_angle=FACET_ANGLE,
            max_radius_surface_delaunay_ball=FACET,
            max_facet_distance=DISTANCE,
            max_circumradius_edge_ratio=RATIO,
            max_cell_circumradius=CELL,
            verbose=False,
            seed=0,
        )
        cells = mesh.cells_dict["tetra"]
        label = mesh.cell_data_dict["medit:ref"]["tetra"]
        return np.asarray(mesh.points) + 0.5, cells, label - 1, ""

    return work


def mmg(phase: NDArray[np.uint8]) -> Work:
    """Mmg on six tetrahedra per voxel with the voxel's phase as their reference."""
    from mmgpy import MmgMesh3D

    points, cells, label = _voxel_tetrahedra(phase)
    edges = _box_edges(phase.shape)

    def work() -> Mesh:
        mesh = MmgMesh3D()
        mesh.set_mesh_size(vertices=len(points), tetrahedra=len(cells), edges=len(edges))
        mesh.set_vertices(points)
        mesh.set_tetrahedra(cells, label + 1)
        mesh.set_edges(edges)
        mesh.set_ridge_edges(np.arange(len(edges)))
        mesh.remesh(hmin=SHORTEST, hmax=LONGEST, hausd=HAUSDORFF, hgrad=GROWTH, ar=180.0, verbose=-1)
        found, reference = mesh.get_tetrahedra_with_refs()
        return mesh.get_vertices(), found, np.asarray(reference) - 1, ""

    return work


def nanomesh(phase: NDArray[np.uint8]) -> Work:
    """TetGen between contours by marching cubes; as its documentation does it, with the labels as the image."""
    from nanomesh import Mesher3D

    def work() -> Mesh:
        mesher = Mesher3D(phase)
        mesher.generate_contour()
        container = mesher.tetrahedralize(opts="-pAq1.4")
        found = container.get("tetra")
        points = np.asarray(found.points)[:, ::-1] + 0.5
        cells = np.asarray(found.cells)[:, [0, 1, 3, 2]]  # mirrored with the axes
        region = np.unique(np.asarray(found.labels), return_inverse=True)[1]
        return points, cells, _majority(phase, points, cells, region), f"{region.max() + 1} regions"

    return work


PEERS: dict[str, Callable[[NDArray[np.uint8]], Work]] = {
    "cgal": lambda phase: cgal(phase, perturb=False, exude=False),
    "cgal-exude": lambda phase: cgal(phase, perturb=False, exude=True),
    "cgal-default": lambda phase: cgal(phase, perturb=True, exude=True),
    "mmg": mmg,
    "nanomesh": nanomesh,
}


def _majority(
    phase: NDArray[np.uint8], points: NDArray[np.float64], cells: NDArray[Any], region: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each cell the phase in which most centroids of its region lie."""
    centroid = points[cells].mean(axis=1)[:, ::-1]
    voxel = np.clip(np.floor(centroid).astype(np.int64), 0, np.array(phase.shape) - 1)
    votes = np.zeros((region.max() + 1, int(phase.max()) + 1), np.int64)
    np.add.at(votes, (region, phase[tuple(voxel.T)]), 1)
    return votes.argmax(axis=1)[region]


def _voxel_tetrahedra(
    phase: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int64]]:
    """Points, cells and phases of the voxels, each cut into six tetrahedra around a diagonal."""
    grid = tuple(n + 1 for n in phase.shape)
    number = np.arange(np.prod(grid), dtype=np.int32).reshape(grid)
    place = np.stack(np.unravel_index(number.ravel(), grid)[::-1], axis=1).astype(np.float64)
    cells = np.empty((6, phase.size, 4), np.int32)
    for cell, order in zip(cells, itertools.permutations(range(3)), strict=True):
        at = [0, 0, 0]
        for corner in range(4):
            part = tuple(slice(a, a + n) for a, n in zip(at, phase.shape, strict=True))
            cell[:, corner] = number[part].ravel()
            if corner < 3:
                at[order[corner]] = 1
    cells[[0, 3, 4], :, 2:] = cells[[0, 3, 4]][:, :, [3, 2]]  # all of positive volume: (x, y, z) is (z, y, x) mirrored
    return place, cells.reshape(-1, 4), np.tile(phase.ravel().astype(np.int64), 6)


def _box_edges(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The edges along the twelve edges of the box, as pairs of points."""
    number = np.arange(np.prod([n + 1 for n in shape]), dtype=np.int32).reshape([n + 1 for n in shape])
    lines = []
    for axis in range(3):
        along = np.moveaxis(number, axis, 0)
        lines += [along[:, i, j] for i in (0, -1) for j in (0, -1)]
    return np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in lines])


def _cpu() -> float:
    """CPU seconds of this process and of those it has started."""
    return time.process_time() + sum(os.times()[2:4])


def main() -> None:
    name, image, out = sys.argv[1:]
    work = PEERS[name](np.load(image))
    wall, cpu = time.perf_counter(), _cpu()
    points, cells, phase, remark = work()
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    np.savez(out, points=points, cells=cells, phase=phase, wall=wall, cpu=cpu, remark=remark)


if __name__ == "__main__":
    main()
