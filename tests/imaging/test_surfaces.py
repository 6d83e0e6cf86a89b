"""Areas of surfaces and lengths of triple lines against closed forms.

Balls stand for smooth bodies and packings here, and are measured as any other body is; see `test_balls.py`.
"""

import numpy as np
import pytest
from measured import ball, centres, volume_from
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes, mesh_surface_area

from mpi4py import MPI

from microlith.imaging.image import passes
from microlith.imaging.image.passes import slabs
from microlith.imaging.measures import surfaces as surfaces_module
from microlith.imaging.measures.crossings import direction_weights, directions
from microlith.imaging.measures.surface_faces import exact_unit, face_halo, slab_faces
from microlith.imaging.measures.surfaces import Surfaces, agreed, surfaces, surfaces_and_lines
from microlith.imaging.measures.triple_lines import Corners, areas_at_corners
from microlith.imaging.recognition.areas import no_shape_surfaces

COMM = MPI.COMM_WORLD


@pytest.fixture(autouse=True)
def neither_balls_nor_prisms_are_looked_for(monkeypatch):
    monkeypatch.setattr(surfaces_module, "shape_surfaces", lambda volume, *_: no_shape_surfaces(len(volume.names)))
    monkeypatch.setattr(surfaces_module, "prism_areas", lambda *_: None)


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
    whole, lines = surfaces_and_lines(volume, MPI.COMM_WORLD)
    monkeypatch.setattr(passes, "VOXELS", 2000)
    sliced, lines_of_slices = surfaces_and_lines(volume, MPI.COMM_WORLD)
    np.testing.assert_array_equal(sliced.between, whole.between)
    assert lines_of_slices.of_three == lines.of_three


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


def packed(n, overlap, shift):
    """Face-centred cubic balls in a cube of n voxels, and their surface."""
    radius = np.sqrt(2) / 4 * n / (1 - overlap / 2)
    phase = np.zeros((n, n, n), bool)
    for corner in np.array([(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]) * n / 2:
        apart = [
            np.abs((a - c - s + n / 2) % n - n / 2) for a, c, s in zip(centres((n,) * 3), corner, shift, strict=True)
        ]
        phase |= sum(a**2 for a in apart) <= radius**2
    cap = radius - n * np.sqrt(2) / 4  # of each of twelve contacts
    return phase, 4 * (4 * np.pi * radius**2 - 12 * 2 * np.pi * radius * cap)


@pytest.mark.parametrize("overlap", [0.0, 0.1])
def test_packed_balls_within_one_per_cent_on_average_over_places(overlap):
    """Gaps and creases narrower than a voxel: 16 % are missing by normals, 8 to 9 % by crossings that steps show."""
    errors, told = [], []
    for shift in np.random.default_rng(3).random((6, 3)) * 50:
        phase, exact = packed(50, overlap, shift)
        found = surfaces(volume_from(phase), COMM)
        assert found.between[0, 1] / found.correction[0, 1] < 0.9 * exact
        errors.append(found.between[0, 1] / exact - 1)
        told.append(found.error[0, 1] / exact)
    assert np.mean(errors) == pytest.approx(0, abs=0.01)
    assert np.abs(errors).max() < 0.04
    assert np.min(told) > 0.02
    assert np.max(told) < 0.06


@pytest.mark.parametrize(("overlap", "within"), [(0.0, 0.045), (0.05, 0.055), (0.2, 0.045)])
def test_packed_balls_in_step_with_the_voxels(overlap, within):
    """As in the published study: centres on corners of voxels, mirror planes at the frame."""
    phase, exact = packed(50, overlap, (0, 0, 0))
    found = surfaces(volume_from(phase), COMM)
    assert found.between[0, 1] == pytest.approx(exact, rel=within)
    assert abs(found.between[0, 1] - exact) < 1.3 * found.error[0, 1]


@pytest.mark.parametrize(("overlap", "within"), [(0, 0.1), (0.03, 0.05), (0.1, 0.05)])
def test_touching_and_overlapping_disks(overlap, within):
    """On a square lattice that is turned, so that contacts lie anywhere among the pixels; in 2D gaps are narrowest.

    Told by the runs at the tips of wedges, lengths of disks that touch are 17 % too small, with an error of 4 % told.
    """
    n, spacing, turn = 400, 30.0, 0.4
    radius = spacing / (2 - 2 * overlap)
    y, x = centres((n, n))
    along = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    phase = sum(((a + 3.7) % spacing - spacing / 2) ** 2 for a in along) <= radius**2
    exact = n**2 / spacing**2 * radius * (2 * np.pi - 8 * np.arccos(1 - overlap))
    found = surfaces(volume_from(phase), COMM)
    assert found.between[0, 1] == pytest.approx(exact, rel=within)
    assert abs(found.between[0, 1] - exact) < 1.1 * found.error[0, 1] < 0.13 * exact


def turned(n, rng):
    """Coordinates of voxels' centres (n, n, n, 3) in a frame that is turned and moved at random."""
    q = rng.normal(size=(3, 3))
    return (np.stack(centres((n,) * 3), axis=-1) - n / 2 - rng.random(3)) @ np.linalg.qr(q)[0]


@pytest.mark.parametrize("radius", [8, 10])
def test_cylinders_at_any_angle_within_one_per_cent(radius):
    rng = np.random.default_rng(radius)
    exact = 2 * np.pi * radius * 36 + 2 * np.pi * radius**2
    for _ in range(3):
        x = turned(56, rng)
        phase = (np.hypot(x[..., 1], x[..., 2]) < radius) & (np.abs(x[..., 0]) < 18)
        assert surfaces(volume_from(phase), COMM).between[0, 1] == pytest.approx(exact, rel=0.01)


def test_edges_of_cubes_are_not_lost():
    """By normals 7 % are missing, by the crossings that steps show 3 %."""
    rng = np.random.default_rng(0)
    cubes = [(np.abs(turned(44, rng)) < 10).all(axis=-1) for _ in range(4)]
    found = [surfaces(volume_from(cube), COMM).between[0, 1] for cube in cubes]
    assert np.mean(found) == pytest.approx(6 * 20**2, rel=0.01)


@pytest.mark.parametrize(("edge", "flat"), [(10, 1), (20, 1), (20, 2), (30, 2)])
def test_cubes_along_the_voxels(edge, flat):
    """Without what steps tell by direction 4 to 8 % are missing: beside edges the blur turns the normals."""
    phase = np.zeros([n + 16 for n in (edge // flat, edge, edge)], np.uint8)
    phase[8:-8, 8:-8, 8:-8] = 1
    found = surfaces(volume_from(phase, (flat, 1, 1)), COMM)
    assert found.between[0, 1] == pytest.approx(6 * edge**2, rel=0.01)
    assert found.error[0, 1] < 0.07 * 6 * edge**2


@pytest.mark.parametrize("edges", [(8, 8), (20, 20), (40, 40), (3, 30)])
@pytest.mark.parametrize("flat", [1, 2])
def test_squares_along_the_pixels(edges, flat):
    """By blurred normals three quarters of a pixel are missing at each corner, which counts don't tell: 2 to 10 %."""
    phase = np.zeros([edges[0] + 16, flat * edges[1] + 16], np.uint8)
    phase[8:-8, 8:-8] = 1
    found = surfaces(volume_from(phase, (flat, 1)), COMM)
    exact = 2 * flat * sum(edges)
    assert found.between[0, 1] == pytest.approx(exact, rel=0.015)
    assert abs(found.between[0, 1] - exact) < found.error[0, 1] < 0.08 * exact


@pytest.mark.parametrize("dim", [2, 3])
def test_the_error_of_bodies_in_step_with_the_voxels_holds_for_all_their_edges(dim):
    """Cubes of 10.1 to 10.9 voxels, which show 10 or 11 of them along each edge, and squares alike."""
    for edges in np.random.default_rng(dim).uniform(10, 11, (6, dim)):
        shown = np.round(edges + np.random.default_rng(0).uniform(-0.5, 0.5, dim)).astype(int)
        phase = np.zeros(shown + 14, np.uint8)
        phase[(slice(7, -7),) * dim] = 1
        found = surfaces(volume_from(phase), COMM)
        exact = 2 * np.prod(edges) * (1 / edges).sum()
        assert abs(found.between[0, 1] - exact) < 2 * found.error[0, 1] < 0.12 * exact


@pytest.mark.parametrize("radius", [8, 12])
@pytest.mark.parametrize("along", [(0, 0, 1), (0, 1, 1), (1, 1, 1)])
def test_cylinders_along_edges_and_diagonals_of_voxels(radius, along):
    """The ends are a whole number of layers of voxels apart. With blurred normals at the rims 1 to 1.7 % lack."""
    rng, errors = np.random.default_rng(radius), []
    layer = 1 / np.linalg.norm(along)
    length = round(30 / layer) * layer
    exact = 2 * np.pi * radius * (length + radius)
    for _ in range(4):
        place = np.stack(centres((46,) * 3), axis=-1) - 23 - rng.random(3)
        axial = place @ np.array(along) * layer
        beside = np.sqrt(np.maximum((place**2).sum(axis=-1) - axial**2, 0))
        found = surfaces(volume_from((beside < radius) & (np.abs(axial) < length / 2)), COMM)
        errors.append(found.between[0, 1] / exact - 1)
        assert abs(found.between[0, 1] - exact) < found.error[0, 1] < 0.04 * exact
    assert np.mean(errors) == pytest.approx(0, abs=0.006)


@pytest.mark.parametrize("voxel", [(1, 1, 1), (2, 1, 1), (1, 1), (2, 1)])
def test_smooth_bodies_have_no_edges(voxel):
    for radius in (8.0, 11.3):
        shape = tuple(int((2 * radius * max(voxel) + 6) / h) for h in voxel)
        middle = [n * h / 2 + 0.2 for n, h in zip(shape, voxel, strict=True)]
        volume = volume_from(ball(shape, radius * max(voxel), middle, voxel), voxel, comm=MPI.COMM_SELF)
        (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
        assert not any(faces.beside_edge.any() for faces in slab_faces(volume, slab))


@pytest.mark.parametrize("thickness", [2, 2.5, 3, 4])
def test_plates_have_no_gaps_to_be_made_up_for(thickness):
    """From side to side of the frame. Runs of two lengths were taken for runs down to none: up to 28 % too much."""
    n = 48
    for normal in ((0, 0, 1), (0, 0.1, 1), (0.2, 0.5, 1), (0.35, 0.4, 1)):
        unit = np.array(normal) / np.linalg.norm(normal)
        away = sum(u * (x - n / 2 - 0.2) for u, x in zip(unit[::-1], centres((n,) * 3), strict=True))
        found = surfaces(volume_from(np.abs(away) < thickness / 2), COMM).between[0, 1]
        assert found == pytest.approx(2 * n**2 / unit[2], rel=0.025), normal


@pytest.mark.parametrize(("thick", "most"), [(1.0, 0.06), (2.0, 0.03)])
def test_the_error_of_thin_plates_is_told(thick, most):
    """Half of the voxels of a plate one voxel thick have no neighbour to tell where its surfaces are."""
    x, y, z = (c - 24 for c in centres((48,) * 3))
    normal = np.array([1.0, 0.3, 0.45]) / np.linalg.norm([1.0, 0.3, 0.45])
    away = normal[0] * x + normal[1] * y + normal[2] * z
    # Of the plane's part within the frame: y and z over all of it, x stays within.
    exact = 2 * 48**2 / normal[0]
    found = surfaces(volume_from(np.abs(away - 0.2) < thick / 2), COMM)
    assert abs(found.between[0, 1] - exact) < 2.3 * found.error[0, 1] < 2.3 * most * exact


def test_the_error_of_smooth_bodies_is_told_as_small():
    found = surfaces(volume_from(ball((44,) * 3, 16, (22.3, 21.8, 22.1))), COMM)
    exact = 4 * np.pi * 16**2
    assert abs(found.between[0, 1] - exact) < found.error[0, 1] < 0.01 * exact
    np.testing.assert_allclose(found.error_of_phase, found.error[0, 1])


def test_balls_among_the_voxels_symmetrically():
    """Their voxels have up to 3 % more or less volume; short runs of their caps would add 3 % to the area of some."""
    radii = np.repeat([8.05, 8.45, 9.25, 10.05, 11.25], 2)
    found = [
        surfaces(volume_from(ball((38,) * 3, radius, (place,) * 3)), COMM).between[0, 1]
        for radius, place in zip(radii, [19.0, 19.5] * 5, strict=True)
    ]
    errors = np.array(found) / (4 * np.pi * radii**2) - 1
    assert np.mean(errors) == pytest.approx(0, abs=0.005)
    assert np.abs(errors).max() < 0.027


@pytest.mark.parametrize(("wavelength", "level"), [(20, 0), (12, 0), (12, 3)])
def test_random_structures(wavelength, level):
    """Level sets of random waves, which meet the frame, against triangles on a grid three times as fine.

    Longer steps than those of one voxel, without a look at what single ones say, found 4 and 8 % too much.
    """
    n, fine = 54, 162

    def waves(count):
        rng, place = np.random.default_rng(1), (np.arange(count) + 0.5) * n / count
        out = np.zeros((count,) * 3)
        for _ in range(20):
            k = rng.normal(size=3)
            k *= 2 * np.pi / wavelength * rng.uniform(0.7, 1.3) / np.linalg.norm(k)
            z, y, x = (np.exp(1j * (along * place + rng.uniform(0, 2 * np.pi))) for along in k)
            out += np.real((z[:, None, None] * y[None, :, None]) * x)
        return out

    corners, triangles, _, _ = marching_cubes(waves(fine), level, spacing=(n / fine,) * 3)
    exact = mesh_surface_area(corners, triangles) * (fine / (fine - 1)) ** 3  # the grid ends before the frame
    assert surfaces(volume_from(waves(n) > level), COMM).between[0, 1] == pytest.approx(exact, rel=0.015)


@pytest.mark.parametrize("normal", [(0, 0.3, 1), (0.2, 0.5, 1), (0, 0, 1)])
def test_planes_that_meet_the_frame(normal):
    n = 40
    unit = np.array(normal) / np.linalg.norm(normal)
    phase = sum(u * (x - n / 2 - 0.2) for u, x in zip(unit, centres((n,) * 3), strict=True)) < 0
    assert surfaces(volume_from(phase), COMM).between[0, 1] == pytest.approx(n**2 / unit[2], rel=0.005)


def test_normals_at_the_frame():
    """Areas in the two rows of voxels along the frame: 3 % are missing if the blur's centre is not minded."""
    n = 40
    unit = np.array([0, 0.6, 0.8])
    phase = sum(u * (x - n / 2 - 0.2) for u, x in zip(unit, centres((n,) * 3), strict=True)) < 0
    volume = volume_from(phase, comm=MPI.COMM_SELF)
    (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
    area = 0.0
    for faces in slab_faces(volume, slab):
        there = (faces.place[1] > 0.1) & (faces.place[1] < 4.1)
        area += (faces.area / (1 + faces.beyond.sum(axis=0)))[there].sum()
    assert area == pytest.approx(n * 4 / 0.8, rel=0.01)


def test_areas_of_more_phases_than_runs_are_told_apart_of():
    phase, exact = packed(50, 0.0, (3.3, 7.1, 9.6))
    names = tuple(f"phase-{i}" for i in range(20))
    volume = volume_from(np.where(phase, 19, 4), names=names)
    few = surfaces(volume_from(phase), COMM).between[0, 1]
    assert surfaces(volume, COMM).between[4, 19] == pytest.approx(few, rel=0.005)
    assert few == pytest.approx(exact, rel=0.03)


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
    areas, found = surfaces_and_lines(volume_from(phase), COMM)
    assert found.length == pytest.approx(2 * np.pi * radius, rel=0.04)
    assert found.of_three == {(0, 1, 2): found.length}
    assert areas.between[1, 2] == pytest.approx(np.pi * radius**2, rel=0.025)


@pytest.mark.parametrize(
    ("radius", "voxel", "within"), [(8, (1, 1, 1), 0.01), (12, (1, 1, 1), 0.01), (12, (2, 1, 1), 0.02)]
)
def test_interfaces_that_end_at_triple_lines(radius, voxel, within):
    """Halves of balls, whose interface is a disk: voxel faces leave out 5 % at 8 voxels, and counts tell 2 of them."""
    rng, edge = np.random.default_rng(radius), 2 * radius + 14
    shape = tuple(edge // h for h in voxel)
    errors = []
    for _ in range(5):
        middle, unit = edge / 2 + rng.random(3) - 0.5, rng.normal(size=3)
        unit /= np.linalg.norm(unit)
        side = sum(u * (x - m) for u, x, m in zip(unit, centres(shape, voxel), middle, strict=True)) < 0.1
        phase = np.where(ball(shape, radius, middle, voxel), np.where(side, 1, 2), 0)
        found = surfaces(volume_from(phase, voxel), MPI.COMM_SELF)
        errors.append(found.between[1, 2] / (np.pi * (radius**2 - 0.01)) - 1)
        cap = 2 * np.pi * radius * (radius + 0.1)
        assert found.between[0, 1] == pytest.approx(cap, rel=1.5 * within)
        np.testing.assert_allclose(found.of_phase, found.between.sum(axis=0))
    assert np.mean(errors) == pytest.approx(0, abs=within)


@pytest.mark.mpi
@pytest.mark.parametrize(("radius", "wide"), [(6.0, 1.2), (6.0, 0.8), (3.6, 1.2)])
def test_balls_in_fine_structures(radius, wide):
    """By pairs alone 4 to 13 % too large, and told as less: triple lines are everywhere on them."""
    rng, n = np.random.default_rng(1), 90
    wave = gaussian_filter(rng.normal(size=(n, n, n)), wide, mode="wrap")
    phase, middles = (wave > np.quantile(wave, 0.3)).astype(int), np.empty((0, 3))
    while len(middles) < 30:
        middle = rng.uniform(radius + 2, n - radius - 2, 3)
        if not (np.linalg.norm(middles - middle, axis=1) < 2 * radius + 3).any():
            middles = np.vstack([middles, middle])
            phase[ball(phase.shape, radius, middle)] = 2
    found, area = surfaces(volume_from(phase), COMM), len(middles) * 4 * np.pi * radius**2
    assert found.of_phase[2] == pytest.approx(area, rel=0.02)
    assert abs(found.of_phase[2] - area) < 2 * found.error_of_phase[2]
    assert found.error_of_phase[2] < 0.05 * area
    np.testing.assert_allclose(found.of_phase, found.between.sum(axis=0))


def test_pairs_agree_with_the_surfaces_of_the_phases_as_far_as_these_are_known():
    between = np.array([[0, 4.0, 3], [4, 0, 2], [3, 2, 0]])
    found = Surfaces(between, np.ones((3, 3)), 0.1 * between, (0.1 * between).sum(axis=1), np.ones((3, 3)))
    sums = np.array([7.3, 6.1, 5.0])
    sure = agreed(found, sums, np.full(3, 1e-6))
    np.testing.assert_allclose(sure.of_phase, sums, rtol=1e-6)
    assert sure.between[0, 1] == pytest.approx((7.3 + 6.1 - 5.0) / 2, rel=1e-6)
    np.testing.assert_allclose(sure.correction, sure.agreement)
    np.testing.assert_allclose(sure.between, between * sure.agreement)
    unsure = agreed(found, sums, np.full(3, 1e6))
    np.testing.assert_allclose(unsure.between, between, rtol=1e-6)
    np.testing.assert_allclose(unsure.error_of_phase, found.error_of_phase, rtol=0.5)
    one_missing = Surfaces(
        *(np.pad(a, (0, 1)) for a in (between, np.ones((3, 3)), 0.1 * between)), np.zeros(4), np.ones((4, 4))
    )
    assert (agreed(one_missing, np.append(sums, 0.0), np.append(np.full(3, 1e-6), 0.0)).between[3] == 0).all()


def test_a_part_of_an_image_takes_the_agreement_of_the_whole():
    phase = np.random.default_rng(0).integers(0, 3, (12, 12, 12)).repeat(3, 0).repeat(3, 1).repeat(3, 2)
    whole = surfaces(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    part = volume_from(phase[:20], comm=MPI.COMM_SELF)
    told = surfaces_and_lines(part, MPI.COMM_SELF, whole=whole)[0]
    assert (whole.agreement[np.triu_indices(3, 1)] != 1).all()
    np.testing.assert_array_equal(told.agreement, whole.agreement)
    by_itself = surfaces(part, MPI.COMM_SELF)
    np.testing.assert_allclose(told.between, by_itself.between / by_itself.agreement * whole.agreement, rtol=1e-12)


@pytest.mark.parametrize("angles", [(0.3, 1.9, 4.0), (0.2, 1.1, 3.6), (0.5, 1.3, 2.9)])
@pytest.mark.parametrize("voxel", [(1.0, 1.0), (2.0, 1.0)])
def test_what_steps_leave_out_where_three_phases_meet(angles, voxel):
    """Against steps from many places around a point in which three straight lines meet, also at an angle over pi."""
    steps = np.array(directions(2))
    towards = [np.array([np.cos(a), np.sin(a)]) for a in angles]  # lines between phases 0 and 1, 1 and 2, 2 and 0
    along = [np.array([-u[1], u[0]]) for u in towards]  # normals, into the next phase
    slopes = tuple((along[i - 1] - along[i])[None] for i in range(3))
    volume = volume_from(np.arange(48).reshape(6, 8) % 3, voxel)
    found = areas_at_corners(volume, [Corners(np.arange(3)[:, None], np.ones(1), np.ones(1), slopes)], steps)
    missed = np.split(found[1:].reshape(-1, 3, 3) * exact_unit(volume), 2)[1]
    count, half = 500, 5.0
    place = (np.arange(count) + 0.5) / count * 2 * half - half

    def at(point):
        angle = (np.arctan2(point[1], point[0]) - angles[0]) % (2 * np.pi)
        ends = [(a - angles[0]) % (2 * np.pi) for a in angles[1:]]
        return np.where(angle < ends[0], 1, np.where(angle < ends[1], 2, 0))

    y, x = np.meshgrid(place, place, indexing="ij")
    before = at((y, x))
    for row, step in enumerate(steps * voxel):
        behind = at((y + step[0], x + step[1]))
        for pair, (one, other) in enumerate(((0, 1), (1, 2), (2, 0))):
            seen = (((before == one) & (behind == other)) | ((before == other) & (behind == one))).sum()
            lost = missed[row, one, other] * np.linalg.norm(step)
            there = crossed(y, x, step, towards[pair])
            assert (there - seen) * (2 * half / count) ** 2 == pytest.approx(lost, abs=0.02)


def crossed(y, x, step, towards):
    """How many steps from places cross a half line from the middle."""
    turn = step[0] * towards[1] - step[1] * towards[0]
    share = -(y * towards[1] - x * towards[0]) / turn  # of the step, where the line is
    on = (y + share * step[0]) * towards[0] + (x + share * step[1]) * towards[1]
    return ((share > 0) & (share <= 1) & (on > 0)).sum()


def test_balls_in_an_interface_in_flat_voxels():
    """2 to 5 % too large where normals that a third phase turns are taken for those of planes along the voxels."""
    rng, voxel = np.random.default_rng(0), (1.0, 2.0, 3.0)
    for _ in range(3):
        middle, unit = 48 + rng.uniform(-1, 1, 3), rng.normal(size=3)
        side = sum(u * (x - m) for u, x, m in zip(unit, centres((96, 48, 32), voxel), middle, strict=True)) < 0
        phase = np.where(ball((96, 48, 32), 30.0, middle, voxel), 1, np.where(side, 2, 0))
        area = surfaces(volume_from(phase, voxel, comm=MPI.COMM_SELF), MPI.COMM_SELF).of_phase[1]
        assert area == pytest.approx(4 * np.pi * 30.0**2, rel=0.012)


@pytest.mark.mpi
@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("angles", [(120, 120), (90, 180), (30, 150)])
def test_straight_lines_of_wedges(angles, voxel):
    """Lines that go to and fro in a narrow wedge and around single voxels made it 2 to 75 % too long at 30 degrees."""
    rng, coarse, errors = np.random.default_rng(1), max(voxel), []
    shape = tuple(round(40 * coarse / h) for h in voxel)
    for _ in range(3):
        line, down, right = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
        size = np.array(shape) * voxel
        middle = size / 2 + rng.uniform(-2, 2, 3) * coarse
        place = [x - m for x, m in zip(centres(shape, voxel), middle, strict=True)]
        y, x = (sum(a * b for a, b in zip(axis, place, strict=True)) for axis in (down, right))
        angle = np.degrees(np.arctan2(y, x)) % 360
        phase = np.where(angle < angles[0], 0, np.where(angle < sum(angles), 1, 2))
        ends = np.sort([-middle / line, (size - middle) / line], axis=0)
        found = surfaces_and_lines(volume_from(phase, voxel), COMM)[1].length
        errors.append(found / (ends[1].min() - ends[0].max()) - 1)
    assert np.mean(errors) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("angle", [30, 60])
def test_points_of_wedges_in_2d(angle):
    """Single pixels before the tip of a wedge each made one more, or two."""
    rng = np.random.default_rng(angle)
    for _ in range(8):
        y, x = centres((30, 30))
        dy, dx, first = 15 + rng.uniform(-3, 3), 15 + rng.uniform(-3, 3), rng.uniform(0, 360)
        turned = (np.degrees(np.arctan2(y - dy, x - dx)) - first) % 360
        phase = np.where(turned < angle, 0, np.where(turned < 180, 1, 2))
        assert surfaces_and_lines(volume_from(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF)[1].length == 1


def test_points_where_three_phases_meet_in_2d():
    phase = np.zeros((9, 9), int)
    phase[4:, :4], phase[4:, 4:] = 1, 2
    assert surfaces_and_lines(volume_from(phase), COMM)[1].length == 1
    assert surfaces_and_lines(volume_from(np.minimum(phase, 1)), COMM)[1].length == 0


@pytest.mark.parametrize("voxel", [(1, 1, 3), (5, 1, 1), (1, 2, 3), (1, 5, 5)], ids=str)
def test_errors_are_told_in_oblong_voxels(voxel):
    """At the edges of turned cubes counts add up to twice what is missing: up to 4.5 times what was told before."""
    rng = np.random.default_rng(3)
    size = np.array(voxel) / max(voxel)
    shape = tuple(np.round(26 / size).astype(int))
    x, y, z = (
        c - 13
        for c in np.meshgrid(*((np.arange(n) + 0.5) * h for n, h in zip(shape, size, strict=True)), indexing="ij")
    )
    over = []
    for _ in range(5):
        turn, half = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.uniform(5.0, 7.0)
        u, v, w = (row[0] * x + row[1] * y + row[2] * z for row in turn)
        found = surfaces(volume_from((np.maximum(np.maximum(abs(u), abs(v)), abs(w)) < half), tuple(size)), COMM)
        over.append((found.between[0, 1] - 24 * half**2) / found.error[0, 1])
        found = surfaces(volume_from(np.hypot(u, v) < half, tuple(size)), COMM)  # smooth: told to be small
        assert found.error[0, 1] < 0.025 * found.between[0, 1]
    assert np.abs(over).max() < 1.8
    assert np.sqrt(np.mean(np.square(over))) > 0.4
