"""Loops over cells and points, against what NumPy and SciPy say of the same ones."""

from itertools import combinations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial import Delaunay

from microlith.meshing.fidelity.agreement import mistaken
from microlith.meshing.lattice.voxel_fields import VoxelFields
from microlith.meshing.mesh.quality import smallest_angles, tetrahedron_quality
from microlith.meshing.mesh.simplices import angles, oriented, sharpness, shortest_edges, signed_measures, touching

COUNT = 400


@pytest.fixture(params=[2, 3])
def cells(request):
    """Points, and cells of whichever orientation."""
    points = np.random.default_rng(7).random((COUNT, request.param))
    return points, Delaunay(points).simplices.astype(np.int32)


def test_measures_and_angles(cells):
    points, found = cells
    edges = points[found[:, 1:]] - points[found[:, :1]]
    factor = {2: 2, 3: 6}[points.shape[1]]
    assert signed_measures(points, found) == pytest.approx(np.linalg.det(edges) / factor, abs=1e-14)
    right = oriented(points, found)
    assert (signed_measures(points, right) > 0).all()
    sharpest = smallest_angles(points, right) if points.shape[1] == 2 else tetrahedron_quality(points, right)[1]
    assert angles(sharpness(points, right)) == pytest.approx(sharpest, abs=1e-6)
    inverted = right[:, [1, 0, *range(2, right.shape[1])]]
    assert (sharpness(points, inverted) > 2).all()


def test_edges_and_cells_of_vertices(cells):
    points, found = cells
    shortest = np.full(COUNT + 1, np.inf)
    for i, j in combinations(range(found.shape[1]), 2):
        length = np.linalg.norm(points[found[:, i]] - points[found[:, j]], axis=1)
        for corner in (found[:, i], found[:, j]):
            np.minimum.at(shortest, corner, length)
    assert shortest_edges(np.vstack([points, points[:1]]), found) == pytest.approx(shortest)  # the last has no cell
    chosen = np.random.default_rng(1).random(COUNT) < 0.1
    assert touching(found, chosen).tolist() == chosen[found].any(axis=1).tolist()


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 6)], ids=["2D", "3D"])
def test_voxels_in_cells_of_another_phase(shape):
    """Cells of random phases over an image of random phases, against the cell that SciPy finds at each centre."""
    dim, voxel = len(shape), (1.0, 0.5, 2.0)[: len(shape)]
    generator = np.random.default_rng(5)
    extent = np.array(shape) * voxel
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * dim), axis=-1).reshape(-1, dim)
    points = np.vstack([corners, generator.random((60, dim))]) * extent
    mesh = Delaunay(points)
    labels = generator.integers(0, 3, len(mesh.simplices)).astype(np.uint8)
    first = (2, 1, 3)[:dim]  # of a window
    window = tuple(np.array(shape) - first)
    phase = generator.integers(0, 3, window[::-1]).astype(np.uint8)
    centres = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), axis=-1).reshape(-1, dim) + first
    of = mesh.find_simplex((centres + 0.5) * voxel)
    inside = np.isin(np.arange(len(labels)), of[of >= 0])  # cells that have a centre of the window, and no other
    others = mesh.find_simplex((np.argwhere(np.ones(shape)) + 0.5) * voxel)
    outside = ~(np.argwhere(np.ones(shape)) >= first).all(axis=1)
    inside &= ~np.isin(np.arange(len(labels)), others[outside])
    wrong = inside[of] & (phase[tuple((centres - first).T[::-1])] != labels[of])
    found = mistaken(points, mesh.simplices[inside], labels[inside], phase, first, voxel, shape)
    assert sorted(found.T.tolist()) == sorted(centres[wrong].tolist())
    assert len(found.T) > 5


@pytest.mark.parametrize("shape", [(7, 9), (6, 7, 9)], ids=["2D", "3D"])
def test_fields_between_voxels(shape):
    """Linear along each axis from centre to centre, constant beyond the outermost; gradients by small steps."""
    dim, voxel, start = len(shape), (1.0, 0.5, 2.0)[: len(shape)], (3, 0, 5)[: len(shape)]
    generator = np.random.default_rng(3)
    values = generator.random((3, *shape)).astype(np.float32)
    fields = VoxelFields(values, start, voxel)
    points = (generator.random((50, dim)) * (np.array(shape[::-1]) + 1) - 0.5 + start) * voxel
    at = (points / voxel - 0.5 - start).T[::-1]
    expected = [map_coordinates(field.astype(float), at, order=1, mode="nearest") for field in values]
    assert fields.at(points) == pytest.approx(np.array(expected), abs=1e-12)
    one, other = generator.integers(0, 3, (2, 50)).astype(np.uint8)
    difference, slopes = fields.difference_and_gradient(one, other, points)
    every = np.arange(50)
    assert difference == pytest.approx(np.array(expected)[one, every] - np.array(expected)[other, every], abs=1e-12)
    assert fields.difference(one, other, points).tolist() == difference.tolist()
    cell = np.floor(points / voxel - 0.5)
    inside = ((points / voxel - 0.5 - cell > 1e-3) & (points / voxel - 0.5 - cell < 1 - 1e-3)).all(axis=1)
    inside &= ((cell >= start) & (cell < np.array(shape[::-1]) + start - 1)).all(axis=1)
    assert inside.sum() > 10
    for axis in range(dim):
        step = 1e-4 * np.eye(dim)[axis]
        rise = fields.difference(one, other, points + step) - fields.difference(one, other, points - step)
        assert slopes[inside, axis] == pytest.approx(rise[inside] / 2e-4, abs=1e-8)
