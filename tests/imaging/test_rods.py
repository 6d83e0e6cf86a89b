"""Cylinders at any angle that voxels show exactly: which are recognised, where they are, and the area of surfaces."""

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
from microlith.imaging.recognition.rod_areas import rod_areas
from microlith.imaging.shapes.found import lattice_of
from microlith.imaging.shapes.rods import NOWHERE

COMM = MPI.COMM_WORLD


def unit(*vector):
    return np.array(vector) / np.linalg.norm(vector)


def rod(shape, radius, axis, middle, length=np.inf, voxel=1.0):
    """Voxels whose centres lie in a cylinder, which may have flat ends."""
    apart = np.stack(centres(shape, voxel), axis=-1) - np.array(middle)
    along = apart @ axis
    beside = np.sqrt(np.maximum((apart**2).sum(axis=-1) - along**2, 0))
    return (beside <= radius) & (np.abs(along) <= length / 2)


def shapes_in(phase, voxel=1.0):
    volume = volume_from(phase, voxel, comm=MPI.COMM_SELF)
    return shape_surfaces(volume, whole_on_root(volume, MPI.COMM_SELF), MPI.COMM_SELF)


def wall_in_frame(frame, radius, axis, middle, count=1_000_000):
    """Area of a wall within the frame, by places on it."""
    low, high = -2 * max(frame), 2 * max(frame)
    number = np.arange(count)
    angle = 2 * np.pi * ((number * 0.6180339887498949) % 1)
    one = unit(*np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))]))
    around = np.cos(angle)[:, None] * one + np.sin(angle)[:, None] * np.cross(axis, one)
    place = middle + (low + (number + 0.5) / count * (high - low))[:, None] * axis + radius * around
    return ((place > 0) & (place < frame)).all(axis=1).mean() * 2 * np.pi * radius * (high - low)


@pytest.mark.parametrize(("side_by_side", "least", "most"), [(True, 0.6, 1.6), (False, 0.8, 2.1)])
def test_two_phases_that_part_a_cylinder(side_by_side, least, most):
    """Told errors over found ones; as if lines along it and around it were always there, 1.9 and 2.7."""
    found, told = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        axis = unit(*rng.normal(size=3))
        aside = unit(*np.cross(axis, rng.normal(size=3)))
        middle, radius, long = 26 + rng.uniform(-0.5, 0.5, 3), 10.0, 26.0
        apart = np.stack(centres((52, 52, 52), 1.0), axis=-1) - middle
        off = rng.uniform(-0.4, 0.4) * radius
        beyond = apart @ (aside if side_by_side else axis) > off
        phase = np.where(rod((52, 52, 52), radius, axis, middle, long), 1, np.where(beyond, 2, 0))
        shapes = shapes_in(phase)
        angle = np.arccos(off / radius)
        wall = 2 * angle * radius * long if side_by_side else 2 * np.pi * radius * (long / 2 - off)
        ends = 2 * (radius**2 * angle - off * np.sqrt(radius**2 - off**2)) if side_by_side else np.pi * radius**2
        whole = 2 * np.pi * radius * (long + radius)
        assert len(shapes.rods) == 1
        for other, area in ((2, wall + ends), (0, whole - wall - ends)):
            found.append(shapes.between[1, other] / area - 1)
            told.append(shapes.error[1, other] / area)
    assert least < np.sqrt(np.mean(np.square(told)) / np.mean(np.square(found))) < most


@pytest.mark.parametrize("voxel", [(1, 1, 1), (2e-8, 1e-8, 1e-8), (1, 2, 3)])
@pytest.mark.parametrize("radius", [4, 8.3])
def test_cylinders_through_the_image_at_any_angle(voxel, radius):
    """Their axis, their radius to a hundredth of the longest edge; the area within two standard errors."""
    rng, coarse, size = np.random.default_rng(int(radius)), max(voxel), np.array(voxel)
    shape = tuple(np.ceil((2 * radius + 20) * coarse / size).astype(int))
    for _ in range(2):
        axis, middle = unit(*rng.normal(size=3)), size * shape / 2 + rng.uniform(-1, 1, 3) * coarse
        phase = rod(shape, radius * coarse, axis, middle, voxel=voxel)
        found = shapes_in(phase, voxel)
        assert (len(found.rods), len(found.balls)) == (1, 0)
        (one,) = found.rods.rods
        assert one.radius == pytest.approx(radius, abs=0.01)
        assert abs(one.axis @ axis) == pytest.approx(1, abs=1e-5)
        assert one.planes == (None, None)
        area = surfaces(volume_from(phase, voxel), COMM)
        exact = wall_in_frame(size * shape, radius * coarse, axis, middle)
        assert abs(area.between[0, 1] - exact) < 2 * area.error[0, 1] < 0.01 * exact


@pytest.mark.parametrize(("radius", "length"), [(4, 20), (8, 36), (12, 22), (16, 30), (8, 12), (20, 20)])
def test_cylinders_with_ends_within_a_thousandth(radius, length):
    """By normals and counts they are 0.6 to 1.9 % wrong."""
    rng = np.random.default_rng(radius)
    n = int(np.hypot(length, 2 * radius)) + 8
    exact = 2 * np.pi * radius * (length + radius)
    for _ in range(2):
        phase = rod((n,) * 3, radius, unit(*rng.normal(size=3)), n / 2 + rng.uniform(-1, 1, 3), length)
        found = surfaces(volume_from(phase), COMM)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.001 if radius > 4 else 0.004)
        assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1] < 0.02 * exact


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (0.5, 1.0, 0.5)])
@pytest.mark.parametrize(("radius", "length"), [(8, 4), (8, 6.3), (12, 4), (14, 9), (22, 5)])
def test_discs_at_any_angle(radius, length, voxel):
    """Their ends are found first. By normals and counts they are -6 to +2 % wrong."""
    rng, size = np.random.default_rng(radius), np.array(voxel)
    shape = tuple(np.ceil((np.hypot(length, 2 * radius) + 8) / size).astype(int))
    exact = 2 * np.pi * radius * (length + radius)
    for _ in range(2):
        axis, middle = unit(*rng.normal(size=3)), size * shape / 2 + rng.uniform(-1, 1, 3)
        phase = rod(shape, radius, axis, middle, length, voxel)
        (one,) = shapes_in(phase, voxel).rods.rods
        assert all(plane is not None for plane in one.planes)
        found = surfaces(volume_from(phase, voxel), COMM)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.003 if radius > 8 else 0.006)
        assert abs(found.between[0, 1] - exact) < 1.5 * found.error[0, 1] < 0.04 * exact


def test_discs_beside_each_other():
    """With a gap of two voxels; as bodies and as pores."""
    shape, axis = (64, 64, 64), unit(0.3, 0.5, 0.8)
    middle = np.array([32.2, 31.7, 32.3])
    phase = rod(shape, 12, axis, middle, 5.0) | rod(shape, 9, axis, middle + 8.0 * axis, 6.4)
    found = surfaces(volume_from(phase), COMM)
    exact = 2 * np.pi * (12 * 17 + 9 * 15.4)
    assert len(shapes_in(phase).rods) == len(shapes_in(~phase).rods) == 2
    assert found.between[0, 1] == pytest.approx(exact, rel=0.002)


@pytest.mark.parametrize("along", [(0, 1, 1), (1, 1, 1), (1, 1, 2)])
def test_cylinders_along_diagonals_of_voxels(along):
    """Many of their voxels look alike, which leaves more open; the ends lie between two layers of voxels."""
    rng, radius, axis = np.random.default_rng(3), 8, unit(*along)
    layer = 1 / np.linalg.norm(along)
    length = round(30 / layer) * layer
    exact = 2 * np.pi * radius * (length + radius)
    for _ in range(3):
        phase = rod((46,) * 3, radius, axis, 23 + rng.uniform(-1, 1, 3), length)
        assert len(shapes_in(phase).rods) == 1
        found = surfaces(volume_from(phase), COMM)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.01)
        assert abs(found.between[0, 1] - exact) < 1.5 * found.error[0, 1] < 0.03 * exact


def test_what_is_recognised_parts_all_voxels():
    """The certificate: no voxel's middle is on the wrong side of the wall or of an end."""
    axis, shape = unit(0.3, 0.5, -0.8), (48,) * 3
    phase = rod(shape, 9.2, axis, (24.2, 23.6, 24.9), 31)
    (one,) = shapes_in(phase).rods.rods
    apart = np.stack(centres(shape), axis=-1) - one.place
    along = apart @ one.axis
    within = (apart**2).sum(axis=-1) - along**2 <= one.radius**2
    for plane in one.planes:
        within &= apart @ plane[:3] <= plane[3]
    np.testing.assert_array_equal(within, phase)


def test_ends_at_any_angle():
    """One plane straight across the axis, one at 35 degrees to that."""
    axis, radius, shape = unit(0.5, 0.7, -0.3), 8.0, (52,) * 3
    apart = np.stack(centres(shape), axis=-1) - 26.2
    along = apart @ axis
    one = unit(*np.cross(axis, [1, 0, 0]))
    normal = np.cos(0.6) * axis + np.sin(0.6) * one
    phase = ((apart**2).sum(axis=-1) - along**2 < radius**2) & (along > -15) & (apart @ normal < 12)
    found = surfaces(volume_from(phase), COMM)
    exact = 2 * np.pi * radius * (15 + 12 / np.cos(0.6)) + np.pi * radius**2 * (1 + 1 / np.cos(0.6))
    assert found.between[0, 1] == pytest.approx(exact, rel=0.002)


def test_an_end_that_is_none_leaves_the_rest_of_the_wall():
    """A cylinder that ends as a cone: its wall is known, the cone measured as ever."""
    axis, radius, shape = unit(0.2, 0.4, 0.9), 8.0, (40, 48, 72)
    apart = np.stack(centres(shape), axis=-1) - np.array([20.3, 23.8, 30.2])
    along = apart @ axis
    beside = np.sqrt(np.maximum((apart**2).sum(axis=-1) - along**2, 0))
    phase = (beside < np.minimum(radius, radius * (30 - along) / 12)) & (along > -18)
    (one,) = shapes_in(phase).rods.rods
    limits = [known for known in one.known if abs(known) < NOWHERE]
    assert len(limits) == 1
    assert sum(plane is None for plane in one.planes) == 1
    exact = 2 * np.pi * radius * 36 + np.pi * radius**2 + np.pi * radius * np.hypot(radius, 12)
    found = surfaces(volume_from(phase), COMM)
    assert found.between[0, 1] == pytest.approx(exact, rel=0.01)


def test_a_coat_has_an_inner_and_an_outer_wall():
    axis, shape, middle = unit(0.6, -0.3, 0.7), (44,) * 3, (21.8, 22.3, 22.1)
    inner, outer = rod(shape, 7.3, axis, middle), rod(shape, 10.4, axis, middle)
    found = surfaces(volume_from(outer.astype(int) + inner), COMM)
    for pair, radius in (((1, 2), 7.3), ((0, 1), 10.4)):
        exact = wall_in_frame(shape, radius, axis, middle)
        assert found.between[pair] == pytest.approx(exact, rel=0.002)
        assert abs(found.between[pair] - exact) < 2 * found.error[pair]
    assert found.between[0, 2] == 0


def test_a_core_and_its_coat_may_end_in_one_plane():
    """Each part of the common ends is counted once, and beside the rims between the phases that it parts."""
    rng, core, coat, length = np.random.default_rng(2), 6.2, 10.4, 21.0
    for _ in range(3):
        axis, middle = unit(*rng.normal(size=3)), 18 + rng.uniform(-1, 1, 3)
        phase = rod((36,) * 3, coat, axis, middle, length).astype(int) + rod((36,) * 3, core, axis, middle, length)
        found = surfaces(volume_from(phase), COMM)
        ring = 2 * np.pi * (coat**2 - core**2)
        exact = {
            (0, 1): 2 * np.pi * coat * length + ring,
            (0, 2): 2 * np.pi * core**2,
            (1, 2): 2 * np.pi * core * length,
        }
        for pair, area in exact.items():
            assert found.between[pair] == pytest.approx(area, rel=0.006)
            assert abs(found.between[pair] - area) < found.error[pair]


def test_cylinders_end_to_end():
    """The disk between both is the end of one and of the other."""
    rng, radius = np.random.default_rng(2), 9.0
    for _ in range(3):
        axis, middle = unit(*rng.normal(size=3)), 26 + rng.uniform(-1, 1, 3)
        half = (np.stack(centres((52,) * 3), axis=-1) - middle) @ axis > 0
        found = surfaces(volume_from(rod((52,) * 3, radius, axis, middle, 36) * (1 + half)), COMM)
        disk = np.pi * radius**2
        for pair, area in (((0, 1), 36 * np.pi * radius + disk), ((0, 2), 36 * np.pi * radius + disk), ((1, 2), disk)):
            assert found.between[pair] == pytest.approx(area, rel=0.006)


@pytest.mark.parametrize("thick", [3.1, 5.0])
def test_a_tube_has_an_inner_and_an_outer_wall(thick):
    """With the same phase inside and outside."""
    axis, shape, middle = unit(0.6, -0.3, 0.7), (44,) * 3, (21.8, 22.3, 22.1)
    inner, outer = rod(shape, 7.3, axis, middle), rod(shape, 7.3 + thick, axis, middle)
    found = surfaces(volume_from(outer & ~inner), COMM)
    exact = sum(wall_in_frame(shape, radius, axis, middle) for radius in (7.3, 7.3 + thick))
    assert found.between[0, 1] == pytest.approx(exact, rel=0.002)
    assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1] < 0.01 * exact


@pytest.mark.parametrize(("inner", "outer", "length"), [(5.3, 9.0, 22), (7.2, 12.4, 18.5)])
def test_tubes_with_ends(inner, outer, length):
    """The bore ends where the ring around it does; by normals and counts they are up to 2.4 % wrong."""
    rng, n = np.random.default_rng(int(outer)), int(np.hypot(length, 2 * outer)) + 10
    exact = 2 * np.pi * (outer + inner) * (length + outer - inner)
    for _ in range(2):
        axis, middle = unit(*rng.normal(size=3)), n / 2 + rng.uniform(-1, 1, 3)
        phase = rod((n,) * 3, outer, axis, middle, length) & ~rod((n,) * 3, inner, axis, middle)
        found = shapes_in(phase)
        assert sorted(round(one.radius, 1) for one in found.rods.rods) == [inner, outer]
        assert all(plane is not None for one in found.rods.rods for plane in one.planes)
        area = surfaces(volume_from(phase), COMM)
        assert area.between[0, 1] == pytest.approx(exact, rel=0.004)
        assert abs(area.between[0, 1] - exact) < area.error[0, 1] < 0.01 * exact


def test_cylinders_that_cross_keep_what_is_bare():
    """Two of equal radius at right angles: of each wall 16 r^2 / 2 lie within the other (Steinmetz)."""
    shape, radius, middle = (60,) * 3, 8.0, np.array([30.2, 29.7, 30.4])
    one, other = unit(0.6, 0.5, 0.3), unit(0.5, -0.6, 0.0)
    phase = rod(shape, radius, one, middle) | rod(shape, radius, other, middle)
    found = surfaces(volume_from(phase), COMM)
    exact = sum(wall_in_frame(shape, radius, axis, middle) for axis in (one, other)) - 16 * radius**2
    assert len(shapes_in(phase).rods) == 2
    assert found.between[0, 1] == pytest.approx(exact, rel=0.003)
    assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1]


def test_a_ball_and_a_cylinder_beside_each_other():
    shape, axis, middle = (44, 44, 84), unit(0.5, 0.6, 0.4), np.array([22.3, 21.6, 22.2])
    phase = rod(shape, 8.0, axis, middle, 28) | ball(shape, 11.2, (22.2, 21.4, 60.3))
    found = surfaces(volume_from(phase), COMM)
    assert found.between[0, 1] == pytest.approx(2 * np.pi * 8 * 36 + 4 * np.pi * 11.2**2, rel=0.001)


@pytest.mark.parametrize("half", [24, 3.2])
@pytest.mark.parametrize("kind", ["ellipse", "cone", "bent", "hexagon", "rough"])
def test_bodies_that_are_nearly_cylinders_are_none(kind, half):
    """No cylinder parts their voxels, though one fits them well."""
    steep = 24 / half
    q = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    z, y, x = np.moveaxis((np.stack(centres((56,) * 3), axis=-1) - 28.2) @ q, -1, 0)
    noise = gaussian_filter(np.random.default_rng(5).normal(size=(56,) * 3), 1.5)
    sides = [np.cos(a) * x + np.sin(a) * y for a in np.arange(0, np.pi, np.pi / 8)]
    phase = {
        "ellipse": (x / 9) ** 2 + (y / 8.6) ** 2 < 1,
        "cone": np.hypot(x, y) < 9 + 0.02 * steep * z,
        "bent": np.hypot(x + (steep * z) ** 2 / 800, y) < 9,
        "hexagon": np.max(np.abs(sides), axis=0) < 9,
        "rough": np.hypot(x, y) < 9 + 0.3 * noise / noise.std(),
    }[kind]
    assert not len(shapes_in(phase & (np.abs(z) < half)).rods)


@pytest.mark.parametrize("kind", ["waves", "three", "cube", "plate", "lens", "box", "balls"])
def test_other_structures_show_no_cylinders(kind):
    """So that nothing that was measured in them changes."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(64,) * 3), 3, mode="wrap")
    x, y, z = (c - 32.3 for c in centres((64,) * 3))
    phase = {
        "waves": smooth > 0,
        "three": np.digitize(smooth, np.quantile(smooth, [0.3, 0.6])),
        "cube": (np.abs(x) < 12) & (np.abs(y) < 12) & (np.abs(z) < 12),
        "plate": np.abs(x + 0.3 * y) < 6,
        "lens": np.hypot(np.hypot(x, y), np.abs(z) + 18) < 22,
        "box": (np.abs(x + 0.3 * y) < 3) & (np.abs(y - 0.3 * x) < 12) & (np.abs(z) < 12),
        "balls": ball((64,) * 3, 14, (20, 30, 30)) | ball((64,) * 3, 14, (44, 32, 31)),
    }[kind]
    assert not len(shapes_in(phase).rods)


def test_all_faces_of_a_cylinder_are_told_as_its_own():
    shape = (40, 40, 70)
    one, other = rod(shape, 8, unit(0.5, 0.6, 0.4), (20.3, 19.6, 20.2), 22), np.zeros(shape, bool)
    other[8:20, 8:20, 46:60] = True
    volume = volume_from(one | other, comm=MPI.COMM_SELF)
    shapes = shape_surfaces(volume, whole_on_root(volume, MPI.COMM_SELF), MPI.COMM_SELF)
    (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
    of_shape = FacesOfShapes(volume, shapes.balls, shapes.rods, slab)
    for faces in slab_faces(volume, slab):
        np.testing.assert_array_equal(of_shape.among(faces.here, faces.there), faces.place[2] < 43)


def test_areas_by_the_phase_beside_the_wall():
    """A cylinder half in one phase and half in another: half of its wall and one end each."""
    axis, shape, middle = unit(0.3, 0.5, 0.8), (52,) * 3, np.array([26.1, 25.7, 26.3])
    body = rod(shape, 9.0, axis, middle, 30)
    side = (np.stack(centres(shape), axis=-1) - middle) @ axis > 0
    phase = np.where(body, 2, side.astype(int))
    volume = volume_from(phase, comm=MPI.COMM_SELF)
    shapes = shape_surfaces(volume, whole_on_root(volume, MPI.COMM_SELF), MPI.COMM_SELF)
    lattice = lattice_of(whole_on_root(volume, MPI.COMM_SELF))
    areas = rod_areas(lattice, shapes.rods, shapes.balls, 0.35, 0.1)
    half = 2 * np.pi * 9.0 * 15 + np.pi * 81
    for pair in ((0, 2), (1, 2)):
        assert areas.between[pair] == pytest.approx(half, rel=0.01)
        assert abs(areas.between[pair] - half) < 2 * areas.alone[pair]
    assert areas.between.sum() / 2 == pytest.approx(2 * half, rel=0.001)


@pytest.mark.mpi
def test_the_same_on_any_number_of_ranks_and_slabs(monkeypatch):
    shape = (40, 36, 44)
    phase = rod(shape, 7, unit(0.3, 0.5, 0.8), (14.2, 14.7, 22.3)) | rod(shape, 5, unit(0.9, 0.1, -0.3), (24, 29, 29))
    alone = surfaces(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    monkeypatch.setattr(passes, "VOXELS", 5000)
    shared = surfaces(volume_from(phase), COMM)
    np.testing.assert_array_equal(shared.between, alone.between)
    np.testing.assert_array_equal(shared.error, alone.error)
