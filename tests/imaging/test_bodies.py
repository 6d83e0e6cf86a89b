"""Bodies: pieces, cuts at necks, sizes and shapes, against balls and boxes."""

import itertools

import numpy as np
import pytest
from measured import ball, centres, volume_from

from mpi4py import MPI

from microlith.imaging.image.load import whole_on_root
from microlith.imaging.measures.bodies import connected_bodies, labelled_bodies, split_bodies
from microlith.imaging.measures.body_shapes import body_shapes
from microlith.imaging.measures.connectivity import reached
from microlith.imaging.measures.surfaces import surfaces
from microlith.imaging.microstructure.sections import sections
from microlith.imaging.microstructure.seen_whole import seen_whole


def shapes_of(phase, voxel=1.0, split=None, phases=(1,)):
    volume = volume_from(phase, voxel, comm=MPI.COMM_SELF)
    image = whole_on_root(volume, MPI.COMM_SELF)
    bodies = connected_bodies(image, phases)
    if split:
        bodies = split_bodies(image, bodies, split)
    return body_shapes(image, bodies, surfaces(volume, MPI.COMM_SELF).correction)


@pytest.mark.parametrize(("voxel", "radius"), [((1, 1, 1), 8), ((2, 1, 1), 16), ((1, 1), 10)])
def test_a_ball(voxel, radius):
    edge = 2 * radius + 12
    centre = np.array([edge / 2, edge / 2 + 0.2, edge / 2 - 0.3][: len(voxel)])
    found = shapes_of(ball(tuple(int(edge / h) for h in voxel), radius, centre, voxel), voxel)
    assert len(found.voxels) == 1
    assert found.diameter[0] == pytest.approx(2 * radius, rel=0.005)
    assert found.extent[0] == pytest.approx(2 * radius, rel=0.03)
    assert found.sphericity[0] == pytest.approx(1, abs=0.01)
    assert found.roughness[0] == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(found.center[0], centre[::-1], atol=0.2)
    assert not found.on_frame[0]


def test_a_box_is_less_spherical_and_a_star_is_rough():
    x, y, z = centres((24, 24, 64))
    box = (np.abs(x - 12) < 4) & (np.abs(y - 12) < 4) & (np.abs(z - 32) < 25)
    found = shapes_of(box)
    area = 4 * 8 * 50 + 2 * 64
    assert found.sphericity[0] == pytest.approx(np.pi ** (1 / 3) * (6 * 3200) ** (2 / 3) / area, rel=0.13)
    assert found.extent[0] == pytest.approx(np.sqrt(8**2 + 8**2 + 50**2), rel=0.02)
    u, v = centres((90, 90))
    radius, angle = np.hypot(u - 45, v - 45), np.arctan2(v - 45, u - 45)
    assert shapes_of(radius < 30 + 8 * np.cos(7 * angle)).roughness[0] > 1.15
    assert shapes_of(radius < 30).roughness[0] < 1.02


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (3.0, 1.0, 2.0), (1.0, 1.0), (1.0, 2.0)])
def test_no_body_extends_less_than_a_ball_as_large(voxel):
    """Points a quarter of a voxel within the faces gave single voxels half of an edge."""
    rng = np.random.default_rng(2)
    found = shapes_of(rng.random((30 if len(voxel) == 2 else 14,) * len(voxel)) < 0.15, voxel)
    assert {1, 2, 3} <= set(found.voxels.tolist())
    assert (found.extent >= found.diameter).all()


def test_overlapping_balls_are_cut_at_their_neck_only():
    pair = ball((24, 24, 44), 8, (12, 12, 12)) | ball((24, 24, 44), 8, (12, 12, 26))
    one, two = shapes_of(pair), shapes_of(pair, split=0.75)
    assert len(one.voxels) == 1
    np.testing.assert_allclose(two.voxels, pair.sum() / 2, rtol=0.01)
    np.testing.assert_allclose(two.sphericity, 1.0, atol=0.04)
    assert two.cut[0] == pytest.approx(np.pi * (64 - 49), rel=0.35)
    assert len(shapes_of(pair, split=0.3).voxels) == 1
    x, y, z = centres((24, 24, 44))
    rod = (np.abs(x - 12) < 5) & (np.abs(y - 12) < 5) & (np.abs(z - 22) < 18)
    assert len(shapes_of(rod, split=0.9).voxels) == 1  # a flat top is no neck


def test_surfaces_by_the_phases_that_they_meet():
    phase = np.where(centres((30, 30, 30))[0] < 15, 0, 2)
    phase[ball((30, 30, 30), 9, (15.0, 15.0, 15.0))] = 1
    found = shapes_of(phase)
    np.testing.assert_allclose(found.surface[0, [0, 2]], 2 * np.pi * 81, rtol=0.03)
    assert found.surface[0, 1] == 0


def test_labels_name_bodies_within_the_phase():
    volume = volume_from(np.pad(np.ones((4, 6), int), 2), comm=MPI.COMM_SELF)
    image = whole_on_root(volume, MPI.COMM_SELF)
    labels = np.zeros(image.shape, int)
    labels[:, :5], labels[:, 5:] = 7, 3
    found = labelled_bodies(image, [1], labels)
    assert sorted(np.bincount(found.label.ravel())[1:]) == [12, 12]
    assert len(found.phase) == 2


def test_what_reaches_a_face():
    phase = np.zeros((6, 8), int)
    phase[:3, 1], phase[5, 4], phase[2:4, 6] = 1, 1, 1
    np.testing.assert_array_equal(np.argwhere(reached(phase == 1, (0, False))), [[0, 1], [1, 1], [2, 1]])
    np.testing.assert_array_equal(np.argwhere(reached(phase == 1, (0, True))), [[5, 4]])


@pytest.mark.mpi
def test_sections_of_a_ball_are_disks_on_any_number_of_ranks():
    phase = ball((20, 24, 24), 8, (10.0, 12.0, 12.0))
    found = sections(volume_from(phase), [1], MPI.COMM_WORLD)
    np.testing.assert_array_equal(found.section, np.arange(2, 18))
    np.testing.assert_array_equal(found.pixels, phase.sum(axis=(1, 2))[2:18])
    assert not found.on_frame.any()


@pytest.mark.parametrize("shape", [(14, 11), (9, 12, 10)])
def test_bodies_seen_whole_stand_for_those_that_the_frame_cuts(shape):
    """Boxes of two sizes at every place, once each: as many of either, and their volume is that of the image."""
    sizes = (np.full(len(shape), 2), np.arange(len(shape)) + 3)
    numbers, volumes, count = [], [], []
    for size in sizes:
        places = itertools.product(*(range(1 - s, n) for s, n in zip(size, shape, strict=True)))
        low = np.array(list(places))
        first, last = np.maximum(low, 0), np.minimum(low + size, shape)
        cut = ((first == 0) | (last == shape)).any(axis=1)
        measure = np.prod(last - first, axis=1).astype(float)
        numbers.append((last - first, cut, measure))
        volumes.append(np.full(len(low), float(size.prod())))
        count.append(len(low))
    widths, cut, measure = (np.concatenate([one[k] for one in numbers]) for k in range(3))
    seen = seen_whole(widths, cut, measure, shape)
    assert seen.known
    assert not seen.weight[cut].any()
    small, large = np.split(seen.weight, [count[0]])
    assert small.sum() == pytest.approx(np.prod(shape))  # one per voxel
    assert large.sum() == pytest.approx(np.prod(shape))
    assert seen.weight @ measure == pytest.approx(measure.sum())


def test_bodies_count_as_they_are_where_the_frame_cuts_none_or_most():
    widths, measure = np.array([[3, 3], [20, 5], [2, 6]]), np.array([9.0, 90.0, 10.0])
    none = seen_whole(widths, np.zeros(3, bool), measure, (24, 24))
    most = seen_whole(widths, np.array([False, True, False]), measure, (24, 24))
    assert none.known
    assert not most.known
    assert (none.weight == 1).all()
    assert (most.weight == 1).all()


@pytest.mark.mpi
def test_widths_of_bodies_and_of_sections():
    phase = np.zeros((9, 12, 14), int)
    phase[2:5, 1:7, 3:4] = 1
    phase[6:9, 8:10, 4:12] = 1
    volume = volume_from(phase, (3.0, 2.0, 1.0))
    found = sections(volume, [1], MPI.COMM_WORLD)
    assert found.widths.tolist() == [[6, 1]] * 3 + [[2, 8]] * 3
    assert found.section.tolist() == [2, 3, 4, 6, 7, 8]
    image = whole_on_root(volume, MPI.COMM_WORLD)
    if image is not None:
        shapes = body_shapes(image, connected_bodies(image, [1]), np.ones((2, 2)))
        assert shapes.on_frame.tolist() == [False, True]
        assert shapes.seen.weight == pytest.approx([phase.size / (5 * 5 * 12), 0.0])  # places of 3 x 6 x 1
