"""Distances between surfaces: plates, and a ball within a shell."""

import numpy as np
import pytest
from measured import ball, volume_from

from mpi4py import MPI

from microlith.imaging.image.load import whole_on_root
from microlith.imaging.measures.distances import distance_to, surface_distances


def found_in(phase, voxel, of, to):
    image = whole_on_root(volume_from(phase, voxel, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    return surface_distances(image, of, distance_to(image, to))


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0), (1.0, 1.0), (2.0, 1.0)])
def test_plates(voxel):
    """Across each axis, also where edges differ; those that touch are at no distance."""
    for axis, edge in enumerate(voxel):
        shape = [8] * len(voxel)
        shape[axis] = 30
        phase = np.full(shape, 1)
        layers = np.moveaxis(phase, axis, 0)
        layers[:5], layers[17:] = 0, 2
        found = found_in(phase, voxel, [0], [2])
        np.testing.assert_allclose(found.distance, 12.0 * edge)
        assert found.area.sum() == pytest.approx(np.prod([8 * h for h in np.delete(voxel, axis)]))
        touching = found_in(np.where(phase == 1, 0, phase), voxel, [0], [2])
        np.testing.assert_allclose(touching.distance, 0.0)


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0)])
def test_a_ball_within_a_shell(voxel):
    n, scale = 52.0, max(voxel)
    shape = tuple(int(n * scale / h) for h in voxel)
    middle = (n * scale / 2,) * len(voxel)
    phase = np.where(ball(shape, 22 * scale, middle, voxel), 1, 0)
    phase[ball(shape, 8 * scale, middle, voxel)] = 2
    for of, to in (([0], [2]), ([2], [0])):
        found = found_in(phase, voxel, of, to)
        mean = np.average(found.distance, weights=found.area)
        assert mean == pytest.approx(14 * scale, abs=0.5 * scale)
        assert found.distance.max() < 15 * scale


def test_the_mean_is_weighted_by_the_area_of_the_smooth_surface():
    """A plane at 45 degrees, whose stairs have 1.41 times its area, beside one along the voxels."""
    phase = np.zeros((60, 40, 40), int)
    z, _, x = np.indices(phase.shape)
    phase[30:] = 1
    phase[(z < 20) & (x + z < 20)] = 1
    found = found_in(phase, 1.0, [1], [0])
    assert found.area.sum() == pytest.approx(40 * 40 + 40 * 20 * np.sqrt(2), rel=0.03)
