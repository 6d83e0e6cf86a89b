"""Areas of surfaces and lengths of triple lines against closed forms."""

import numpy as np
import pytest
from measured import ball, centres, volume_from

from mpi4py import MPI

from microlith.imaging.image import passes
from microlith.imaging.image.passes import slabs
from microlith.imaging.measures.surface_faces import face_halo, slab_faces
from microlith.imaging.measures.surfaces import direction_weights, directions, surfaces
from microlith.imaging.measures.triple_lines import triple_lines

COMM = MPI.COMM_WORLD


@pytest.mark.mpi
@pytest.mark.parametrize("voxel", [(1, 1, 1), (2, 1, 1), (1, 1)])
def test_balls_and_disks_of_eight_voxels_within_one_per_cent(voxel, monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 5000)
    radius = 8.0 * max(voxel)
    edge = 2 * radius + 14
    shape = tuple(int(edge / h) for h in voxel)
    phase = ball(shape, radius, np.array([edge / 2 - 0.2, edge / 2 + 0.3, edge / 2][: len(voxel)]), voxel)
    found = surfaces(volume_from(phase, voxel), COMM)
    exact = 4 * np.pi * radius**2 if len(voxel) == 3 else 2 * np.pi * radius
    assert found.between[0, 1] == found.between[1, 0] == pytest.approx(exact, rel=0.01)
    np.testing.assert_allclose(found.of_phase, found.between[0, 1])


def test_the_number_of_slabs_changes_no_digit(monkeypatch):
    phase = np.random.default_rng(0).integers(0, 3, (40, 9, 8))
    phase = np.repeat(np.repeat(np.repeat(phase[::4], 4, 0), 3, 1), 3, 2)
    volume = volume_from(phase, (1.1, 1, 1))
    whole, lines = surfaces(volume, MPI.COMM_WORLD), triple_lines(volume, MPI.COMM_WORLD)
    monkeypatch.setattr(passes, "VOXELS", 2000)
    np.testing.assert_array_equal(surfaces(volume, MPI.COMM_WORLD).between, whole.between)
    assert triple_lines(volume, MPI.COMM_WORLD).of_three == lines.of_three


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_planes_at_any_angle_within_one_per_cent(voxel):
    """Each weighted by (1 - r^2/R^2)^2 in a ball, far from the frame."""
    shape = tuple(int(50 / h) for h in voxel)
    middle = [n * h / 2 for n, h in zip(shape, voxel, strict=True)]
    place = [x - m for x, m in zip(centres(shape, voxel), middle, strict=True)]
    for normal in ([0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0.1, 1], [0.05, 0.25, 1], [1, 0.4, 0]):
        unit = np.array(normal) / np.linalg.norm(normal)
        volume = volume_from(sum(n * x for n, x in zip(unit, place, strict=True)) < 0.137, voxel)
        (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
        area = 0.0
        for faces in slab_faces(volume, slab):
            at = [(x.ravel()[faces.here] + x.ravel()[faces.there]) / 2 for x in place]
            area += (faces.area * np.maximum(0, 1 - sum(x**2 for x in at) / 20**2) ** 2).sum()
        area *= surfaces(volume, MPI.COMM_SELF).correction[0, 1]
        assert area == pytest.approx(np.pi * (20**2 - 0.137**2) ** 3 / (3 * 20**4), rel=0.01), normal


def test_touching_balls_keep_most_of_their_creases():
    """Face-centred cubic balls: without the counts in 13 directions 13 % would be missing."""
    n = 50
    radius = np.sqrt(2) / 4 * n
    x = centres((n, n, n))
    corners = np.array([(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]) * n / 2
    phase = np.zeros((n, n, n), bool)
    for corner in corners:
        apart = [np.abs(a - c) for a, c in zip(x, corner, strict=True)]
        phase |= sum(np.minimum(a, n - a) ** 2 for a in apart) < radius**2
    found = surfaces(volume_from(phase), COMM)
    exact = 4 * 4 * np.pi * radius**2
    assert found.between[0, 1] == pytest.approx(exact, rel=0.045)
    assert found.between[0, 1] / found.correction[0, 1] < 0.9 * exact


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0)])
def test_planes_are_seen_alike_from_all_directions(voxel):
    unit = np.array(directions(len(voxel))) * voxel
    unit = unit / np.linalg.norm(unit, axis=1)[:, None]
    normals = np.random.default_rng(0).normal(size=(500, len(voxel)))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    told = np.abs(normals @ unit.T) @ direction_weights(voxel)
    assert np.abs(told - 1).max() < 0.16
    assert np.abs(told.mean() - 1) < 0.01


@pytest.mark.mpi
@pytest.mark.parametrize("normal", [(1, 0, 0), (0.3, 0.5, 1)])
def test_the_rim_of_a_cut_ball_is_a_circle(normal):
    radius, n = 16, 46
    unit = np.array(normal) / np.linalg.norm(normal)
    side = sum(m * (x - n / 2) for m, x in zip(unit, centres((n, n, n)), strict=True)) < 0.1
    phase = np.where(ball((n, n, n), radius, (n / 2,) * 3), np.where(side, 1, 2), 0)
    found = triple_lines(volume_from(phase), COMM)
    assert found.length == pytest.approx(2 * np.pi * radius, rel=0.04)
    assert found.of_three == {(0, 1, 2): found.length}
    between = surfaces(volume_from(phase), COMM).between
    assert between[1, 2] == pytest.approx(np.pi * radius**2, rel=0.05)


def test_points_where_three_phases_meet_in_2d():
    phase = np.zeros((9, 9), int)
    phase[4:, :4], phase[4:, 4:] = 1, 2
    assert triple_lines(volume_from(phase), COMM).length == 1
    assert triple_lines(volume_from(np.minimum(phase, 1)), COMM).length == 0
