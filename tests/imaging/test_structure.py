"""Connectivity, chords, two-point correlation and local thickness against closed forms."""

import itertools

import numpy as np
import pytest
from measured import ball, centres, volume_from
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

from microlith.imaging.image.load import whole_on_root
from microlith.imaging.measures import correlation as correlation_module
from microlith.imaging.measures.chords import Chords, chords
from microlith.imaging.measures.connectivity import connectivity
from microlith.imaging.measures.correlation import correlation
from microlith.imaging.measures.thickness import local_thickness, mean_and_deviation

COMM = MPI.COMM_WORLD


@pytest.mark.mpi
def test_shares_that_reach_faces():
    phase = np.zeros((12, 6, 6), int)
    phase[:, 1, 1] = 1  # through
    phase[:4, 3, 3] = 1  # from z_min only
    phase[6:8, 5, 5] = 1  # at y_max and x_max
    phase[5, 3, 3] = 1  # nowhere
    found = connectivity(volume_from(phase), COMM)
    total = 12 + 4 + 2 + 1
    at = {face: share[1] * total for face, share in found.at_face.items()}
    assert at == pytest.approx({"x_min": 0, "x_max": 2, "y_min": 0, "y_max": 2, "z_min": 16, "z_max": 12})
    assert {axis: share[1] * total for axis, share in found.through.items()} == pytest.approx({"x": 0, "y": 0, "z": 12})
    assert found.largest[1] * total == pytest.approx(12)
    assert found.pieces.tolist() == [1, 4]


@pytest.mark.mpi
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_chords_of_a_laminate(axis, monkeypatch):
    monkeypatch.setattr("microlith.imaging.measures.chords.LINES_AT_ONCE", 300)
    layers = np.repeat([0, 1, 0, 1, 0, 1], [2, 3, 5, 3, 5, 2])
    phase = np.moveaxis(np.broadcast_to(layers[:, None, None], (20, 7, 6)), 0, axis)
    found = chords(volume_from(phase), axis, COMM)
    assert np.flatnonzero(found.counts[0]).tolist() == [5]
    assert found.counts[0, 5] == 2 * 42
    assert found.counts[1, 3] == 2 * 42
    assert found.ends.tolist() == [5 * 42, 5 * 42]
    along = chords(volume_from(phase), (axis + 1) % 3, COMM)
    assert along.ends.tolist() == [0, 0]


@pytest.mark.mpi
@pytest.mark.parametrize("at_once", [0, 1 << 19])
def test_correlation_is_that_of_shifted_images(at_once, monkeypatch):
    """Layers go through in blocks of two, of which the first one is short; or, on one rank, all in one piece."""
    monkeypatch.setattr(correlation_module, "AT_ONCE", at_once)
    phase = np.random.default_rng(0).integers(0, 3, (17, 12, 15))
    found = correlation(volume_from(phase, (1.5, 1.0, 1.0)), COMM)
    for value in range(3):
        one = phase == value
        assert found.mean[value, 0] == pytest.approx(one.mean())
        for axis, along in enumerate(found.along):
            for step in range(1, along.shape[1]):
                low, high = (np.moveaxis(one, axis, 0)[part] for part in (slice(None, -step), slice(step, None)))
                assert along[value, step] == pytest.approx((low & high).mean())
    # Over all directions: steps of up to four, by the nearest whole number of the shortest edge, halves upwards
    same, pairs = np.zeros((3, 5)), np.zeros(5)
    chance = np.zeros_like(same)
    for step in itertools.product(range(-2, 3), range(-4, 5), range(-4, 5)):
        apart = np.hypot(1.5 * step[0], np.hypot(step[1], step[2]))
        if apart <= 4.0:
            here, there = (
                phase[tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(way, phase.shape, strict=True))]
                for way in (np.array(step), -np.array(step))
            )
            shell = int(apart + 0.5)
            pairs[shell] += here.size
            same[:, shell] += [((here == value) & (there == value)).sum() for value in range(3)]
            chance[:, shell] += [(here == value).mean() * (there == value).sum() for value in range(3)]
    np.testing.assert_allclose(found.mean, same / pairs)
    np.testing.assert_allclose(found.covariance, (same - chance) / pairs, atol=1e-12)
    assert (np.diff(found.distance) > 0).all()


@pytest.mark.parametrize("step", [(2, 1, 1), (5, 1, 1), (1, 5, 5), (1, 2, 3)])
def test_oblong_voxels_have_the_correlation_of_the_cubes_that_they_are_of(step):
    """In shells as wide as the longest edge the covariance fell to 1/e at up to 1.5 times the distance.

    Steps of half the longest edge went into one shell or the other by rounding, so that the unit of length mattered.
    """
    field = gaussian_filter(np.random.default_rng(1).standard_normal((60, 60, 60)), 1.5)
    cubes = (field > 0.5 * field.std()).astype(int)
    oblong = cubes[tuple(slice(n // 2, None, n) for n in step)]
    lengths = []
    for phase, edges in ((cubes, (1.0, 1.0, 1.0)), (oblong, step), (oblong, tuple(0.07 * n for n in step))):
        volume = volume_from(phase, tuple(map(float, edges)), comm=MPI.COMM_SELF)
        found = correlation(volume, MPI.COMM_SELF)
        assert found.distance[0] == 0.0
        at = np.flatnonzero(found.covariance[1] < found.covariance[1, 0] / np.e)[0]
        ends = found.covariance[1, at - 1 : at + 1][::-1]
        lengths.append(np.interp(found.covariance[1, 0] / np.e, ends, found.distance[at - 1 : at + 1][::-1]))
    assert lengths[2] == pytest.approx(0.07 * lengths[1], rel=1e-6)
    assert lengths[1] == pytest.approx(lengths[0], rel=0.07)


def test_correlation_in_one_piece_counts_exactly():
    """In single precision, an image as large as may go through so, stripes and whole phases of it, too."""
    phase = np.zeros((80, 80, 80), int)
    phase[:, :, 40:] = 1
    phase[1::4, :20] = 2
    volume = volume_from(phase, comm=MPI.COMM_SELF)
    assert phase.size <= correlation_module.AT_ONCE
    found = correlation(volume, MPI.COMM_SELF)
    for value in range(3):
        one = phase == value
        for axis, along in enumerate(found.along):
            for step in (1, 4, along.shape[1] - 1):
                low, high = (np.moveaxis(one, axis, 0)[part] for part in (slice(None, -step), slice(step, None)))
                assert along[value, step] == np.count_nonzero(low & high) / low.size


@pytest.mark.mpi
@pytest.mark.parametrize("at_once", [0, 1 << 19])
@pytest.mark.parametrize("shape", [(40, 36, 44), (50, 90)])
def test_covariance_is_that_of_the_other_of_two_phases(at_once, shape, monkeypatch):
    """Of a few bodies within a frequent phase, too, whose share depends on where in the image one looks."""
    monkeypatch.setattr(correlation_module, "AT_ONCE", at_once)
    phase = np.zeros(shape, int)
    for centre in ((12, 12, 12)[: len(shape)], (28, 24, 30)[: len(shape)]):
        phase[ball(shape, 6.0, centre)] = 1
    found = correlation(volume_from(phase), COMM)
    np.testing.assert_allclose(*found.covariance, atol=1e-12)
    share = phase.mean()
    assert found.covariance[0, 0] == pytest.approx(share * (1 - share))
    assert (found.covariance[:, 10] < 0.1 * found.covariance[:, 0]).all()  # beyond the most of a ball


@pytest.mark.parametrize("n", [12, 40])
def test_mean_chords_do_not_depend_on_the_length_of_lines(n):
    """Along lines on which a phase ends at each place with a probability of its own, 1/8 and 1/5."""
    rng = np.random.default_rng(4)
    phase = np.zeros((n, 200, 200), int)
    phase[0] = rng.random((200, 200)) < 5 / 13
    for k in range(1, n):
        change = rng.random((200, 200)) < np.where(phase[k - 1], 1 / 5, 1 / 8)
        phase[k] = phase[k - 1] ^ change
    found = chords(volume_from(phase, comm=MPI.COMM_SELF), 0, MPI.COMM_SELF)
    assert found.mean == pytest.approx([8.0, 5.0], rel=0.012)
    # Nor does what is around a body change its chords: of a box of 6 voxels
    boxed = np.zeros((n, n, n), int)
    boxed[3:9, 3:9, 3:9] = 1
    assert chords(volume_from(boxed, comm=MPI.COMM_SELF), 1, MPI.COMM_SELF).mean[1] == pytest.approx(6.0)
    assert np.isinf(chords(volume_from(np.zeros((6, 6, 6), int), comm=MPI.COMM_SELF), 0, MPI.COMM_SELF).mean).all()


def boolean_model(n, radius, share, seed):
    """Balls of one radius at random places; `share` is left between them."""
    rng = np.random.default_rng(seed)
    density = -np.log(share) / (4 / 3 * np.pi * radius**3)
    wide = n + 2 * radius
    phase = np.ones((n, n, n), int)
    z, y, x = centres((n, n, n))
    for centre in rng.uniform(-radius, n + radius, (rng.poisson(density * wide**3), 3)):
        low = np.maximum(np.floor(centre - radius).astype(int), 0)
        part = tuple(slice(a, max(a, int(b) + 1)) for a, b in zip(low, np.minimum(centre + radius, n), strict=True))
        phase[part][
            (z[part] - centre[0]) ** 2 + (y[part] - centre[1]) ** 2 + (x[part] - centre[2]) ** 2 < radius**2
        ] = 0
    return phase


def test_chords_and_correlation_of_a_boolean_model():
    """Between the balls the mean chord is 1 / (density pi R^2), and S2 = share^2 exp(density overlap)."""
    radius, share = 6.0, 0.5
    phase = boolean_model(64, radius, share, 3)
    volume = volume_from(phase, comm=MPI.COMM_SELF)
    found = [chords(volume, axis, MPI.COMM_SELF) for axis in range(3)]
    mean = 2 * sum(c.voxels[1] for c in found) / sum(c.ends[1] for c in found)
    density = -np.log((phase == 1).mean()) / (4 / 3 * np.pi * radius**3)  # of this one
    assert mean == pytest.approx(1 / (density * np.pi * radius**2), rel=0.1)  # gaps below a voxel are lost
    two = correlation(volume, MPI.COMM_SELF)
    r = two.distance
    overlap = np.where(r < 2 * radius, np.pi / 12 * (4 * radius + r) * np.maximum(2 * radius - r, 0) ** 2, 0.0)
    there = two.mean[1, 0]
    exact = there**2 * np.exp(density * overlap)
    np.testing.assert_allclose(two.mean[1, :12], exact[:12], atol=0.04)


@pytest.mark.parametrize(("radius", "share"), [(3.0, 0.5), (5.0, 0.4)])
def test_ends_of_chords_that_voxels_lack_are_told(radius, share):
    """A Boolean model of share p between balls has 2 density pi R^2 p ends per length of line, in both phases."""
    seen, told, there = 0.0, np.zeros(2), 0.0
    for seed in range(3):
        phase = boolean_model(80, radius, share, seed)
        found = chords(volume_from(phase, comm=MPI.COMM_SELF), 2, MPI.COMM_SELF)
        density = -np.log(share) / (4 / 3 * np.pi * radius**3)
        there += 2 * density * np.pi * radius**2 * share * phase.size
        seen, told = seen + found.ends[1], told + found.unseen_ends
    lacking = 1 - seen / there
    assert 0.04 < lacking < 0.12
    np.testing.assert_allclose(told / seen, lacking, rtol=0.4)


def test_ends_that_are_lacking_are_shared_out_among_phases_as_they_have_ends():
    counts = np.zeros((3, 9), int)
    counts[0, 1:3] = 12, 6
    found = Chords(counts, np.array([60, 90, 30]), np.zeros(3, int), np.array([100, 100, 100]))
    np.testing.assert_allclose(found.unseen_ends, [16, 16 * 90 / 120, 16 * 30 / 120])
    counts[0, 1:3] = 0, 9
    assert not found.unseen_ends.any()
    assert not Chords(np.zeros((2, 2), int), np.zeros(2, int), np.zeros(2, int), np.ones(2, int)).unseen_ends.any()


@pytest.mark.parametrize(("width", "voxel"), [(4, 1.0), (7, 1.0), (8, (2.0, 1.0, 1.0))])
def test_thickness_of_plates_within_half_a_voxel(width, voxel):
    phase = np.zeros((40, 16, 16), int)
    phase[10 : 10 + width] = 1
    image = whole_on_root(volume_from(phase, voxel, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    found = local_thickness(image)
    edge = image.voxel_size[0]
    assert mean_and_deviation(found.diameter, found.covered[1])[0] == pytest.approx(width * edge, abs=0.5 * edge)


@pytest.mark.parametrize("radius", [6, 10])
@pytest.mark.parametrize("dim", [2, 3])
def test_thickness_of_balls_within_three_voxels(radius, dim):
    n = 2 * radius + 12
    phase = ball((n,) * dim, radius, (n / 2,) * dim)
    found = local_thickness(whole_on_root(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF))
    mean, deviation = mean_and_deviation(found.diameter, found.covered[1])
    assert 2 * radius - 3 < mean < 2 * radius + 0.5
    assert deviation < 1.0
