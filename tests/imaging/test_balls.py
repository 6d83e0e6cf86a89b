"""Balls and disks that voxels show exactly: which are recognised, where they are, and the area of their surfaces."""

import numpy as np
import pytest
from measured import ball, centres, volume_from
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

from microlith.imaging.image import passes
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.image.passes import slabs
from microlith.imaging.measures.surface_faces import face_halo, slab_faces
from microlith.imaging.measures.surfaces import surfaces
from microlith.imaging.recognition.areas import FacesOfShapes, shape_surfaces
from microlith.imaging.shapes.equal_radii import common_radii
from microlith.imaging.shapes.found import lattice_of
from microlith.imaging.shapes.patches import spheres_on_patches
from microlith.imaging.shapes.recognised import recognised
from microlith.imaging.shapes.separation import fitted, radius_range

COMM = MPI.COMM_WORLD


def balls_in(phase, voxel=1.0):
    volume = volume_from(phase, voxel, comm=MPI.COMM_SELF)
    image = whole_on_root(volume, MPI.COMM_SELF)
    return recognised(lattice_of(image), len(image.names))


@pytest.mark.parametrize("voxel", [(1, 1, 1), (1, 1, 2), (1e-8, 2e-8, 3e-8), (1, 1), (2e-8, 1e-8)])
@pytest.mark.parametrize("radius", [6, 11.3])
def test_a_ball_is_found_where_it_is(voxel, radius):
    """Anywhere among the voxels, the place to a tenth of the longest edge; its area within two standard errors."""
    rng, coarse, dim = np.random.default_rng(int(radius)), max(voxel), len(voxel)
    shape = tuple(int((2 * radius + 8) * coarse / h) for h in voxel)
    for _ in range(2):
        middle = np.array([n * h / 2 for n, h in zip(shape, voxel, strict=True)]) + rng.uniform(-1, 1, dim) * coarse
        phase = ball(shape, radius * coarse, middle, voxel)
        found = balls_in(phase, voxel)
        assert len(found) == 1
        np.testing.assert_array_equal(found.of, [[False, True]])
        np.testing.assert_allclose(found.place[0, 3 - dim :] * coarse, [*middle, radius * coarse], atol=0.1 * coarse)
        area = surfaces(volume_from(phase, voxel), COMM)
        exact = (4 * np.pi * radius * coarse if dim == 3 else 2 * np.pi) * radius * coarse
        assert abs(area.between[0, 1] - exact) < 2 * area.error[0, 1] < 0.03 * exact


def test_what_is_recognised_parts_all_voxels():
    """The certificate: no voxel's middle near the ball is on the wrong side."""
    phase = ball((34,) * 3, 11.4, (17.3, 16.2, 17.9))
    (place,) = balls_in(phase).place
    within = sum((x - c) ** 2 for x, c in zip(centres(phase.shape), place[:3], strict=True)) <= place[3] ** 2
    np.testing.assert_array_equal(within, phase)


@pytest.mark.parametrize("flat", [0.05, 0.1])
@pytest.mark.parametrize("radius", [6, 9])
def test_bodies_that_are_nearly_balls_are_none(radius, flat):
    """Ellipsoids, one axis longer and one shorter: no ball parts their voxels, though a sphere fits them well."""
    rng = np.random.default_rng(radius)
    for _ in range(4):
        q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        x = (np.stack(centres((2 * radius + 8,) * 3), axis=-1) - radius - 4 - rng.uniform(-0.5, 0.5, 3)) @ q
        phase = ((x / (radius * np.array([1 + flat, 1, 1 - flat]))) ** 2).sum(axis=-1) < 1
        assert not len(balls_in(phase))


@pytest.mark.parametrize("kind", ["waves", "three", "cube", "cylinder", "plate", "2D"])
def test_other_structures_show_no_balls(kind):
    """So that nothing that was measured in them changes."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(64,) * (2 if kind == "2D" else 3)), 3, mode="wrap")
    x, y, z = (c - 32.3 for c in centres((64,) * 3))
    phase = {
        "waves": smooth > 0,
        "three": np.digitize(smooth, np.quantile(smooth, [0.3, 0.6])),
        "cube": (np.abs(x) < 12) & (np.abs(y) < 12) & (np.abs(z) < 12),
        "cylinder": (np.hypot(x, y) < 9) & (np.abs(z) < 20),
        "plate": np.abs(x + 0.3 * y) < 6,
        "2D": smooth > 0,
    }[kind]
    assert not len(balls_in(phase))


@pytest.mark.parametrize("overlap", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_packed_balls_in_step_with_the_voxels(overlap):
    """Face-centred cubic, as in the published study: corners and middles of the frame's faces, 50 voxels a cell.

    By normals and counts they are 2 to 4 % too large: the gaps beside contacts lie all alike among the voxels.
    """
    n = 50
    radius = np.sqrt(2) / 4 * n / (1 - overlap / 2)
    place = np.array([(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]) * n / 2
    phase = np.zeros((n,) * 3, bool)
    for middle in place:
        apart = [np.abs((x - c + n / 2) % n - n / 2) for x, c in zip(centres((n,) * 3), middle, strict=True)]
        phase |= sum(a**2 for a in apart) <= radius**2
    exact = 16 * np.pi * radius**2 - 96 * np.pi * radius * (radius - n * np.sqrt(2) / 4)
    found = surfaces(volume_from(phase), COMM)
    assert len(balls_in(phase)) == 14
    assert found.between[0, 1] == pytest.approx(exact, rel=0.01)
    assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1] < 0.025 * exact


PACKINGS = {  # middles as parts of the cell's edge, distance of those that touch, how many touch one
    "sc": ([(0, 0, 0)], 1.0, 6),
    "bcc": ([(0, 0, 0), (0.5, 0.5, 0.5)], np.sqrt(0.75), 8),
    "fcc": ([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)], np.sqrt(0.5), 12),
}


def packed(kind, overlap, n, shift):
    """A cell of n voxels an edge in which balls touch or overlap by a part of their radius, and the area in it."""
    middles, distance, touching = PACKINGS[kind]
    radius = distance * n / 2 / (1 - overlap / 2)
    phase = np.zeros((n,) * 3, bool)
    for middle in middles:
        place = (np.array(middle) + shift) * n
        apart = [np.abs((x - c + n / 2) % n - n / 2) for x, c in zip(centres(phase.shape), place, strict=True)]
        phase |= sum(a**2 for a in apart) <= radius**2
    cap = 2 * np.pi * radius * (radius - distance * n / 2)
    return phase, len(middles) * (4 * np.pi * radius**2 - touching * cap), radius


@pytest.mark.parametrize("overlap", [0.0, 0.01, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_balls_at_any_place(kind, overlap):
    """The frame cuts most of them, so that no place is deepest where they are: the areas were 5 % too small, told 1.

    Balls are found on what is left of the surface, and have the radius that those have of which more is to be seen.
    Where they overlap by 0.2, caps that are lower than a voxel are a larger part of what is bare.
    """
    rng = np.random.default_rng(len(kind) + int(100 * overlap))
    for _ in range(2):
        phase, exact, radius = packed(kind, overlap, 50, rng.random(3))
        found = surfaces(volume_from(phase), COMM)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.01 if overlap < 0.2 else 0.015)
        assert found.error[0, 1] < 0.006 * exact
        np.testing.assert_allclose(found.balls.place[:, 3], radius, atol=0.2)


def test_balls_of_which_none_is_deepest_within_the_frame():
    phase, exact, _ = packed("sc", 0.01, 50, np.array([0.2803, 0.4852, 0.9807]))
    assert surfaces(volume_from(phase), COMM).between[0, 1] == pytest.approx(exact, rel=0.02)


def test_packed_balls_in_voxels_of_different_edges():
    """Half as long along the first axis."""
    phase, exact, _ = packed("fcc", 0.1, 100, np.array([0.27, 0.63, 0.41]))
    coarse = phase[:, ::2, ::2]
    exact *= 0.25  # in edges of two of these voxels
    found = surfaces(volume_from(coarse, (0.5, 1.0, 1.0)), COMM)
    assert found.between[0, 1] == pytest.approx(exact, rel=0.01)


def test_a_cap_of_a_known_radius_is_found_on_the_surface():
    """Three voxels of its height are within the frame."""
    middle, radius, shape = np.array([21.3, 19.6, -9.2]), 12.3, (42, 40, 30)
    phase = ball(shape, radius, middle)
    lattice = lattice_of(whole_on_root(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF))
    of, none = np.array([False, True]), np.zeros((0, 4))
    (known,) = spheres_on_patches(lattice, of, none, [radius])
    np.testing.assert_allclose(known, [[*middle, radius]], atol=0.3)
    fit = fitted(lattice, of, known[0], 0.5, none, 0.05, radius)
    np.testing.assert_allclose(fit.place, [*middle, radius], atol=0.1)
    assert fitted(lattice, of, known[0], 0.5, none, 0.05, 14.5) is None
    assert radius_range(fit, lattice)[0] < radius < radius_range(fit, lattice)[1]


def test_radii_that_balls_have_in_common():
    rng, of = np.random.default_rng(3), np.array([False, True])
    middle = np.concatenate([np.full(8, 12.3) + rng.uniform(-0.05, 0.05, 8), np.full(5, 9.1), rng.uniform(5, 20, 3)])
    (large, small) = common_radii(of, np.stack([middle - 0.06, middle + 0.06], axis=1))
    assert large.least < 12.3 < large.most
    assert large.gap < 0.03
    assert small.radius == pytest.approx(9.1)
    for count in (2, 20, 200):  # of all sizes
        middle = rng.uniform(8, 20, count)
        assert not common_radii(of, np.stack([middle - 0.02, middle + 0.02], axis=1))
    assert not common_radii(of, np.zeros((0, 2)))


def exposed(balls, edge, sights=20000):
    """Area of the surface of a union of balls within a box, by points on each."""
    height = 1 - (2 * np.arange(sights) + 1) / sights
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(sights)
    wide = np.sqrt(1 - height**2)
    unit = np.stack([height, wide * np.cos(turn), wide * np.sin(turn)], axis=1)
    area = 0.0
    for number, (*middle, radius) in enumerate(balls):
        point = middle + radius * unit
        bare = ((point > 0) & (point < edge)).all(axis=1)
        for other, (*centre, reach) in enumerate(balls):
            bare &= (other == number) | (((point - centre) ** 2).sum(axis=1) > reach**2)
        area += bare.mean() * 4 * np.pi * radius**2
    return area


@pytest.mark.parametrize("solid", [True, False])
@pytest.mark.parametrize("overlap", [0.0, 0.15])
def test_balls_of_many_sizes_that_touch_overlap_and_are_cut_by_the_frame(overlap, solid):
    rng, edge, balls = np.random.default_rng(7), 60, []
    while len(balls) < 16:
        middle, radius = rng.uniform(0, edge, 3), rng.uniform(5, 11)
        free = [np.linalg.norm(middle - np.array(other[:3])) - other[3] for other in balls]
        if free and min(free) < 5:
            continue
        balls.append((*middle, min([radius, *((1 + overlap) * gap for gap in free)])))
    phase = np.any([ball((edge,) * 3, radius, middle) for *middle, radius in balls], axis=0)
    found = surfaces(volume_from(phase if solid else ~phase), COMM)
    exact = exposed(balls, edge)
    assert found.between[0, 1] == pytest.approx(exact, rel=0.003)
    assert found.error[0, 1] < 0.005 * exact


def test_a_coat_has_an_inner_and_an_outer_surface():
    middle, shape = (18.3, 17.6, 18.1), (36,) * 3
    phase = ball(shape, 13.2, middle).astype(int) + ball(shape, 10.4, middle)
    found = surfaces(volume_from(phase), COMM)
    assert found.between[1, 2] == pytest.approx(4 * np.pi * 10.4**2, rel=0.003)
    assert found.between[0, 1] == pytest.approx(4 * np.pi * 13.2**2, rel=0.003)
    assert found.between[0, 2] == 0


def test_the_gap_between_balls_of_two_phases_that_touch_is_of_the_third():
    """By voxels they have a common surface of some five voxels' radius."""
    shape, one, other = (30, 30, 56), (15.2, 14.7, 16.3), (15.2, 14.7, 38.3)
    phase = ball(shape, 12, one).astype(int) + 2 * ball(shape, 10, other)
    found = surfaces(volume_from(phase), COMM)
    assert found.between[0, 1] == pytest.approx(4 * np.pi * 12**2, rel=0.005)
    assert found.between[0, 2] == pytest.approx(4 * np.pi * 10**2, rel=0.005)
    assert found.between[1, 2] < 0.002 * found.between[0, 1]


def test_a_ball_in_an_interface_and_one_of_two_halves():
    unit, middle, radius = np.array([0.3, -0.5, 0.81]), (19.4, 20.2, 19.8), 12.0
    side = sum(u * (x - m) for u, x, m in zip(unit, centres((40,) * 3), middle, strict=True)) < 0
    whole = ball((40,) * 3, radius, middle)
    within = surfaces(volume_from(np.where(whole, 1, np.where(side, 2, 0))), COMM)
    halves = surfaces(volume_from(np.where(whole, np.where(side, 2, 1), 0)), COMM)
    half = 2 * np.pi * radius**2
    for found, pairs in ((within, [(0, 1), (1, 2)]), (halves, [(0, 1), (0, 2)])):
        assert sum(found.between[pair] for pair in pairs) == pytest.approx(2 * half, rel=0.003)
        for pair in pairs:
            assert abs(found.between[pair] - half) < 2 * found.error[pair] < 0.03 * half
    assert halves.between[1, 2] == pytest.approx(np.pi * radius**2, rel=0.03)


def test_a_ball_that_grows_out_of_another_body_keeps_its_own_surface():
    unit, middle, radius = np.array([0.2, 0.3, 0.93]), (21.2, 19.6, 20.3), 11.0
    unit /= np.linalg.norm(unit)
    wall = sum(u * (x - m) for u, x, m in zip(unit, centres((42,) * 3), middle, strict=True)) < -9
    both = surfaces(volume_from(wall | ball((42,) * 3, radius, middle)), COMM)
    alone = surfaces(volume_from(wall), COMM).between[0, 1]
    exact = 2 * np.pi * radius * (radius + 9) + alone - np.pi * (radius**2 - 81)
    assert len(balls_in(wall | ball((42,) * 3, radius, middle))) == 1
    assert both.between[0, 1] == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("spacing", [12, 16, 20, 25, 40])
def test_disks_of_a_lattice_along_the_pixels(spacing):
    """All contacts lie at the same place among the pixels: by counts the lengths are 15 % too small.

    If the radius was but a little larger than half the spacing, up to a tenth of the lines would lie in other disks.
    """
    y, x = centres((6 * spacing,) * 2)
    phase = sum((a % spacing - spacing / 2) ** 2 for a in (y, x)) <= (spacing / 2) ** 2
    found = surfaces(volume_from(phase), COMM)
    exact = 36 * np.pi * spacing
    assert found.between[0, 1] == pytest.approx(exact, rel=0.002)
    assert found.error[0, 1] < 0.2 * exact


@pytest.mark.parametrize("diameter", [12.3, 16.6, 21.7])
def test_disks_that_overlap_by_no_more_than_voxels_leave_open_touch(diameter):
    """Were they as far in each other as the radii found say, up to a tenth of their lines would be hidden."""
    middles = 4.4 + diameter * (np.stack(np.mgrid[:5, :5]).reshape(2, -1).T + 0.5)
    phase = np.any([ball((int(5 * diameter + 9),) * 2, diameter / 2, middle) for middle in middles], axis=0)
    found = surfaces(volume_from(phase), COMM)
    exact = 25 * np.pi * diameter
    assert found.between[0, 1] == pytest.approx(exact, rel=0.025)
    assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1] < 0.16 * exact


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("radius", [8, 10, 12.5])
@pytest.mark.parametrize("half", [0.0, 0.5])
def test_balls_in_step_with_the_voxels_have_round_radii(dim, radius, half):
    """Voxels of a ball of radius 8 about a voxel's middle, its surface left out, are those of 7.875 to 8."""
    middle = np.full(dim, 16 + half)
    square = sum((x - c) ** 2 for x, c in zip(centres((33,) * dim), middle, strict=True))
    exact = (4 * np.pi * radius if dim == 3 else 2 * np.pi) * radius
    for phase in (square < radius**2, square <= radius**2):
        found = surfaces(volume_from(phase), COMM)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.002)
        assert found.error[0, 1] < 0.026 * exact


def test_a_round_radius_that_the_voxels_do_not_allow_is_not_taken():
    phase = ball((27,) * 3, 10.3, (13.5,) * 3)
    assert balls_in(phase).place[0, 3] == pytest.approx(10.3, abs=0.1)
    beside_it = ball((27,) * 3, 10.02, (13.4, 13.2, 13.6))
    np.testing.assert_allclose(balls_in(beside_it).place[0], [13.4, 13.2, 13.6, 10.02], atol=0.05)


def test_how_far_voxels_leave_a_radius_open():
    """About a voxel's middle radii of the same voxels are known: no sum of three squares lies between their squares."""
    phase = ball((27,) * 3, 10.02, (13.5,) * 3)
    lattice = lattice_of(whole_on_root(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF))
    fit = fitted(lattice, np.array([False, True]), np.array([13.6, 13.4, 13.5, 10.1]), 0.5, np.zeros((0, 4)), 0.05)
    squares = {a * a + b * b + c * c for a in range(12) for b in range(12) for c in range(12)}
    least, most = max(s for s in squares if s <= 10.02**2), min(s for s in squares if s > 10.02**2)
    np.testing.assert_allclose(fit.place[:3], 13.5, atol=1e-6)
    assert least < fit.place[3] ** 2 < most
    assert fit.gap == pytest.approx((np.sqrt(most) - np.sqrt(least)) / np.sqrt(12), rel=0.01)
    smallest, largest = radius_range(fit, lattice)
    assert 0.999 * fit.gap < (largest - smallest) / np.sqrt(12) < 3 * fit.gap


def test_all_faces_of_a_ball_are_told_as_its_own():
    shape = (30, 30, 60)
    one, other = ball(shape, 9.3, (14.8, 15.3, 14.6)), np.zeros(shape, bool)
    other[8:20, 8:20, 36:50] = True
    volume = volume_from(one | other, comm=MPI.COMM_SELF)
    shapes = shape_surfaces(volume, whole_on_root(volume, MPI.COMM_SELF), MPI.COMM_SELF)
    (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
    of_ball = FacesOfShapes(volume, shapes.balls, shapes.rods, slab)
    for faces in slab_faces(volume, slab):
        np.testing.assert_array_equal(of_ball.among(faces.here, faces.there), faces.place[2] < 30)


@pytest.mark.mpi
def test_the_same_on_any_number_of_ranks_and_slabs(monkeypatch):
    shape = (40, 30, 44)
    phase = ball(shape, 11, (15.2, 14.7, 14.3)) | ball(shape, 9, (24.2, 14.7, 29.3))
    alone = surfaces(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    monkeypatch.setattr(passes, "VOXELS", 5000)
    shared = surfaces(volume_from(phase), COMM)
    np.testing.assert_array_equal(shared.between, alone.between)
    np.testing.assert_array_equal(shared.error, alone.error)
