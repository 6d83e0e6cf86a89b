"""Ways within a phase: straight, inclined, bent and helical channels, a ball in the way, walls, openings."""

import numpy as np
import pytest
from measured import ball, centres, volume_from
from scipy.spatial import cKDTree

from mpi4py import MPI

from microlith.imaging.image.load import whole_on_root
from microlith.imaging.measures.geodesic import openings, path_lengths

VOXELS = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)]


def lengths(phase, voxel=1.0, face="z_min"):
    return path_lengths(whole_on_root(volume_from(phase, voxel, comm=MPI.COMM_SELF), MPI.COMM_SELF), [1], face)


@pytest.mark.parametrize("face", ["x_min", "x_max", "y_min", "y_max", "z_min", "z_max"])
def test_straight_ways_are_exact_from_every_face(face):
    voxel = (2.0, 1.0, 0.5)
    place = centres((6, 8, 10), voxel)["zyx".index(face[0])]
    whole = (12.0, 8.0, 5.0)["zyx".index(face[0])]
    found = lengths(np.ones((6, 8, 10), int), voxel, face)
    np.testing.assert_allclose(found, place if face.endswith("min") else whole - place, rtol=1e-6)


@pytest.mark.parametrize("voxel", VOXELS)
@pytest.mark.parametrize("angle", [20, 45])
def test_inclined_channels_within_one_per_cent(voxel, angle):
    t, radius = np.radians(angle), 6.0
    shape = (int(48 / voxel[0]), 16, int(48 * np.tan(t)) + 34)
    z, y, x = centres(shape, voxel)
    along = z * np.cos(t) + (x - 16) * np.sin(t)
    apart = np.sqrt((z - along * np.cos(t)) ** 2 + (y - 8) ** 2 + (x - 16 - along * np.sin(t)) ** 2)
    channel = apart < radius
    found = lengths(channel, voxel)
    axis = (apart < 1) & (z > 40)
    # From the rim of the opening on the near side, straight to the place
    start = np.linspace(-radius / np.cos(t), radius / np.cos(t), 400)
    exact = np.sqrt((x[axis][:, None] - 16 - start) ** 2 + z[axis][:, None] ** 2).min(axis=1)
    np.testing.assert_allclose(found[axis], exact, rtol=0.01)


@pytest.mark.parametrize("voxel", VOXELS)
def test_bent_channels_within_one_per_cent(voxel):
    inner, wide = 12.0, 6.0
    shape = (int((10 + inner + wide + 4) / voxel[0]), 6, int(2 * (inner + wide) + 8))
    z, _, x = centres(shape, voxel)
    middle = inner + wide + 4
    apart = np.where(z < 10, np.abs(x - middle), np.hypot(z - 10, x - middle))
    channel = (apart > inner) & (apart < inner + wide) & ((z > 10) | (x < middle))  # one arm only reaches the face
    found = lengths(channel, voxel)
    angle = np.arctan2(z - 10, middle - x)
    there = channel & (z > 10) & (np.abs(angle - np.radians(130)) < 0.05)
    straight = np.sqrt(apart[there] ** 2 - inner**2)
    exact = 10 + inner * (angle[there] - np.arccos(inner / apart[there])) + straight
    assert np.mean(found[there] / exact) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("voxel", "within"), [(VOXELS[0], 0.01), (VOXELS[1], 0.015)])
def test_helical_channels(voxel, within):
    """Without the voxels beside the wall the way is 11 % too long."""
    axis, radius, pitch = 12.0, 5.0, 40.0
    shape = (int(56 / voxel[0]), 40, 40)
    turn = np.linspace(-0.5, 3.2 * np.pi, 2500)
    line = np.stack([turn / (2 * np.pi) * pitch, 20 + axis * np.sin(turn), 20 + axis * np.cos(turn)], axis=1)
    place = np.stack(centres(shape, voxel), axis=-1)
    apart = cKDTree(line).query(place.reshape(-1, 3))[0].reshape(shape)
    found = lengths(apart < radius, voxel)
    core = (apart < 0.8) & (place[..., 0] > 24)
    rise = np.polyfit(place[..., 0][core], found[core], 1)[0]
    lead = pitch / (2 * np.pi)
    assert rise == pytest.approx(np.hypot(axis - radius, lead) / lead, rel=within)  # along the inner side of the tube


@pytest.mark.parametrize("voxel", VOXELS)
def test_around_a_ball_within_one_per_cent(voxel):
    """Everywhere in its shadow, by a straight line to it, an arc on it and a tangent."""
    radius, n = 11.3 * max(voxel), 50 * max(voxel)
    shape = tuple(int(n / h) for h in voxel)
    middle = np.array([0.51, 0.493, 0.504]) * n
    z, y, x = centres(shape, voxel)
    found = lengths(~ball(shape, radius, middle, voxel), voxel)
    away, aside = z - middle[0], np.hypot(y - middle[1], x - middle[2])
    far = np.hypot(away, aside)
    arc = np.arctan2(away, aside) - np.arccos(np.minimum(radius / far, 1))
    shadow = (arc > 0) & (far > radius + max(voxel)) & (away > 0)
    exact = middle[0] + radius * arc[shadow] + np.sqrt(far[shadow] ** 2 - radius**2)
    np.testing.assert_allclose(found[shadow], exact, rtol=0.01)
    free = (away < 0) & (aside > radius + 2)
    np.testing.assert_allclose(found[free], z[free], rtol=1e-4)


@pytest.mark.parametrize("wall", [1, 2, 3, 4])
def test_no_wall_is_opened(wall):
    phase = np.ones((30, 12, 12), int)
    phase[12 : 12 + wall] = 0
    found = lengths(phase)
    assert np.isfinite(found[:12]).all()
    assert np.isinf(found[12 + wall :]).all()
    assert np.isnan(found[12 : 12 + wall]).all()
    # A wall along the way, around whose end the way leads
    phase = np.ones((40, 3, 30), int)
    phase[20 : 20 + wall, :, :25] = 0
    found = lengths(phase)
    assert found[20 + wall, 1, 2] > 1.0 * 20 + 20


def test_openings_are_counted_in_each_section():
    reached = np.zeros((3, 5, 5), bool)
    reached[0], reached[1, 1, 1], reached[1, 3:, 3] = True, True, True
    assert openings(reached) == [1, 2, 0]
    assert openings(np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)) == [2, 0, 1]
