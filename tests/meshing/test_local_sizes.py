"""Element sizes within parts of an image."""

import math

import numpy as np
import pytest
from label_images import disk, label_image, label_volume, noise

from mpi4py import MPI

from microlith.imaging.image.half_voxel import on_finer_voxels
from microlith.imaging.options import MeshOptions, SizeWithin
from microlith.meshing.fitted.expected import expected_triangles
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.lattice import mesher
from microlith.meshing.lattice.bisection import coarse_lattice
from microlith.meshing.lattice.cell_count import CELLS, expected_simplices, image_samples, tetrahedra_count
from microlith.meshing.lattice.edge_lengths import WHOLE, edge_sizes
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.local_sizes import local_sizes
from microlith.meshing.mesh.simplices import EDGES, signed_measures

COMM = MPI.COMM_WORLD
UNIT = 1e-8


def part(size, low, high=None, radius=0.0):
    """In voxels."""
    ends = (tuple(UNIT * x for x in end) for end in (low, low if high is None else high))
    return SizeWithin("tip", size * UNIT, *ends, radius * UNIT)


def in_image(where, extent, periodic=()):
    return local_sizes(MeshOptions(size_in=(where,), periodic=periodic), UNIT, extent)[0]


def edges(mesh):
    """Middles and lengths of the edges of this rank's cells."""
    ends = mesh.points[mesh.cells[:, EDGES[mesh.points.shape[1]]]]
    return ends.mean(axis=2), np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2)


def largest_within(mesh, middle, radius):
    at, length = edges(mesh)
    near = length[np.linalg.norm(at - middle, axis=2) < radius]
    return COMM.allreduce(float(near.max(initial=0.0)), MPI.MAX)


@pytest.mark.parametrize("periodic", ["", "x", "xz"])
@pytest.mark.parametrize("kind", ["ball", "box", "layer"])
def test_distances(kind, periodic):
    extent = (12.0, 9.0, 7.0)
    where = {
        "ball": part(1, (1.5, 8.0, 3.0), radius=2.0),
        "box": part(1, (9.0, 2.0, 1.0), (11.5, 3.0, 6.0)),
        "layer": part(1, (-math.inf, -math.inf, 2.0), (math.inf, math.inf, 3.0)),
    }[kind]
    found = in_image(where, extent, tuple(periodic))
    axes = [np.linspace(-3.0, edge + 3.0, 14) for edge in extent]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    copies = [(-1, 0, 1) if name in periodic else (0,) for name in "xyz"]
    least = np.full(points.shape[:3], np.inf)
    for i in copies[0]:
        for j in copies[1]:
            for k in copies[2]:
                at = points - np.array([i, j, k]) * extent
                nearest = np.clip(at, np.divide(where.low, UNIT), np.divide(where.high, UNIT))
                away = np.linalg.norm(at - nearest, axis=-1) - where.radius / UNIT
                least = np.minimum(least, np.maximum(away, 0.0))
    if kind == "layer":  # ends that a period has are those of the image
        points, least = points[3:-3, 3:-3], least[3:-3, 3:-3]
    distance = found.distance(axes[::-1]).transpose(2, 1, 0)
    np.testing.assert_allclose(distance if kind != "layer" else distance[3:-3, 3:-3], least, atol=1e-12)
    at_points = found.distance_at(points.reshape(-1, 3)).reshape(least.shape)
    np.testing.assert_allclose(at_points, distance if kind != "layer" else distance[3:-3, 3:-3], atol=1e-12)


@pytest.mark.parametrize("times", [1.0, 0.7])
def test_cells_of_a_lattice_are_small_there_and_the_same_far_away(times):
    phase = np.zeros((40, 48, 44), np.int64)
    phase[:, :, :8] = 1
    volume, middle = label_volume(phase, (UNIT,) * 3, ("a", "b")), np.array([28.3, 20.1, 22.7])
    options = MeshOptions(size_max=6 * UNIT, size_factor=times, growth=0.5)
    fine = MeshOptions(**{**vars(options), "size_in": (part(1.0, tuple(middle), radius=3.0),)})
    plain, mesh = (lattice_mesh(volume, one, [0, 1], COMM) for one in (options, fine))
    assert signed_measures(mesh.points, mesh.cells).min() > 0
    assert largest_within(plain, middle, 2.5) > 2.5 * times
    assert largest_within(mesh, middle, 2.5) <= 1.31 * times
    for away in (6.0, 9.0):  # it grows by half of the distance
        assert largest_within(mesh, middle, away) <= 1.31 * (times + 0.5 * times * (away - 3.0)) + 0.01
    far = [COMM.allreduce(int((edges(one)[0][:, :, 0] < 6).all(axis=1).sum())) for one in (plain, mesh)]
    assert far[0] == far[1] > 100


@pytest.mark.parametrize("dim", [2, 3])
def test_cells_of_a_lattice_are_as_much_smaller_than_voxels_as_asked_for(dim):
    phase = np.zeros((14,) * dim, np.int64)
    phase[..., :3] = 1
    middle = (9.5, 6.5, 7.5)[:dim]
    options = MeshOptions(size_max=5 * UNIT, growth=1.0, size_in=(part(0.1, middle, radius=0.4),))
    mesh = lattice_mesh(label_volume(phase, (UNIT,) * dim, ("a", "b")), options, [0, 1], COMM)
    assert 0.05 < largest_within(mesh, middle, 0.15) <= 0.131


@pytest.mark.parametrize("middle", [(6.1, 9.0), (8.0, 9.5), (3.02, 8.96)], ids=["between", "beside", "at a surface"])
@pytest.mark.parametrize("kind", ["ball", "layer"])
@pytest.mark.parametrize("method", ["fitted", "lattice", "lattice in 3D"])
def test_parts_thinner_than_a_voxel_have_the_size(method, kind, middle):
    """Wherever they lie between the middles of the voxels, from which edges 2.6 times as long were found."""
    dim, radius = 3 if "3D" in method else 2, 0.2
    phase = np.zeros((12,) * dim, np.int64)
    phase[..., :3] = 1
    middle = (*middle, 6.0)[:dim]
    ends = [(at - radius, at + radius) for at in middle]
    where = part(0.1, middle, radius=radius) if kind == "ball" else part(0.1, *zip(*ends, strict=True))
    options = MeshOptions(size_max=5 * UNIT, growth=1.0, size_in=(where,))
    if method == "fitted":
        image = label_image(phase, (UNIT, UNIT), ("a", "b"))
        mesh, most = fitted_mesh(image, options, [0, 1]), 1.5
    else:
        mesh, most = lattice_mesh(label_volume(phase, (UNIT,) * dim, ("a", "b")), options, [0, 1], COMM), WHOLE
    assert 0.03 < largest_within(mesh, np.array(middle), radius) <= 0.1 * most * 1.01
    at, length = edges(mesh)
    assert np.median(length[np.linalg.norm(at - middle, axis=2) > 4.0]) > 0.7  # and nothing else is small


def test_triangles_are_small_there_and_the_same_far_away():
    image = label_image(disk(), (UNIT, UNIT), ("a", "b"))
    middle = np.array([6.0, 7.0])
    options = MeshOptions(size={"b": 3 * UNIT}, size_max=6 * UNIT)
    fine = MeshOptions(**{**vars(options), "size_in": (part(0.8, tuple(middle), radius=2.0),)})
    plain, mesh = (fitted_mesh(image, one, [0, 1]) for one in (options, fine))
    _, length = edges(mesh)
    near = length[np.linalg.norm(edges(mesh)[0] - middle, axis=2) < 2.0]
    assert 0.5 < near.mean() < 1.0
    assert largest_within(plain, middle, 2.0) > 1.5
    far = [np.median(edges(one)[1][(edges(one)[0] > 30).all(axis=2)]) for one in (plain, mesh)]
    assert far[1] == pytest.approx(far[0], rel=0.1)


def test_a_box_without_ends_is_a_layer():
    image = label_image(disk(), (UNIT, UNIT), ("a", "b"))
    layer = part(1.0, (-math.inf, 0.0, -math.inf), (math.inf, 3.0, math.inf))
    at, length = edges(fitted_mesh(image, MeshOptions(size_max=5 * UNIT, size_in=(layer,)), [0, 1]))
    for left in (0, 13, 27):
        there = (at[:, :, 1] < 3) & (abs(at[:, :, 0] - left - 6) < 6)
        assert there.sum() > 50
        assert length[there].mean() < 1.2


@pytest.mark.mpi
@pytest.mark.parametrize("middle", [(0.3, 12.0, 12.0), (23.5, 23.6, 11.0)], ids=["face", "edge"])
def test_a_lattice_that_repeats_is_fine_at_both_sides_of_its_faces(middle):
    """Its cells are positive and close on themselves: faces have as many vertices, and each its counterpart."""
    phase = np.zeros((24, 24, 24), np.int64)
    phase[8:15, 8:15, 8:15] = 1
    volume = label_volume(phase, (UNIT,) * 3, ("a", "b"))
    options = MeshOptions(size_max=5 * UNIT, size_in=(part(1.0, middle, radius=1.5),), periodic=("x", "y", "z"))
    mesh = lattice_mesh(volume, options, [0, 1], COMM)
    assert signed_measures(mesh.points, mesh.cells).min() > 0
    opposite = np.array(middle)
    opposite[0] += 24 if middle[0] < 12 else -24  # the same place of the next box
    points = np.unique(np.concatenate(COMM.allgather(mesh.points)).round(9), axis=0)
    for axis in range(3):
        low, high = (np.delete(points[points[:, axis] == end], axis, 1) for end in (0.0, 24.0))
        assert len(low) > 20
        assert np.array_equal(low, high)
    assert largest_within(mesh, opposite, 1.5) <= 1.31
    assert largest_within(mesh, middle, 1.5) <= 1.31


@pytest.mark.parametrize("radius", [0.5, 6.0])
def test_what_it_takes_is_known_beforehand(radius):
    phase = np.zeros((64, 64, 64), np.int64)
    phase[:, :, :8] = 1
    volume = label_volume(phase, (UNIT,) * 3, ("a", "b"))
    where = part(0.7, (33.0, 31.0, 9.0), radius=radius)
    options = MeshOptions(size_max=8 * UNIT, growth=0.5)
    fine = MeshOptions(**{**vars(options), "size_in": (where,)})
    cells = [COMM.allreduce(len(lattice_mesh(volume, one, [0, 1], COMM).cells)) for one in (options, fine)]
    told = [tetrahedra_count(image_samples(volume, COMM), one, [0, 1], COMM) for one in (options, fine)]
    expected = [expected_simplices(volume, one, [0, 1], COMM).cells for one in (options, fine)]
    assert cells[1] > cells[0] + 1000
    assert 0.6 < (told[1] - told[0]) / (cells[1] - cells[0]) < 1.6
    assert 0.8 < (expected[1] - expected[0]) / (cells[1] - cells[0]) < 2.5


@pytest.mark.parametrize("dim", [2, 3])
def test_of_what_reaches_out_of_the_image_only_the_rest_counts(dim):
    """A quarter of a disk and an eighth of a ball in a corner, with the growth around it."""
    extent = (60.0,) * dim
    whole, corner = (
        in_image(part(1, (at,) * dim, radius=5.0), extent).added(extent, 1.3, 0.5, 6.0) for at in (30.0, 0.0)
    )
    assert corner == pytest.approx(whole / 2**dim)


@pytest.mark.parametrize(("size", "radius"), [(0.8, 4.0), (0.02, 0.3)])
def test_triangles_are_counted_beforehand(size, radius):
    image = label_image(disk(60, 15.0, (30, 30)), (UNIT, UNIT), ("a", "b"))
    options = MeshOptions(size_max=6 * UNIT, size_in=(part(size, (10.0, 8.0), radius=radius),))
    found = len(fitted_mesh(image, options, [0, 1]).cells)
    assert expected_triangles(image, options, [0, 1]).cells == pytest.approx(found, rel=0.25)


def test_sizes_are_as_large_on_finer_voxels():
    options = MeshOptions(size_in=(part(1.0, (3.0, 4.0), radius=2.0),))
    finer = on_finer_voxels(options)
    (own,), (other,) = (
        local_sizes(one, unit, (count, count)) for one, unit, count in ((options, UNIT, 8.0), (finer, UNIT / 2, 16.0))
    )
    assert (other.size, other.radius) == (2 * own.size, 2 * own.radius)
    assert other.low == pytest.approx((6.0, 8.0))


@pytest.mark.mpi
def test_the_same_mesh_on_any_number_of_ranks():
    volume = label_volume(noise((16, 18, 20), 2), (UNIT,) * 3, ("a", "b"))
    alone = label_volume(noise((16, 18, 20), 2), (UNIT,) * 3, ("a", "b"), comm=MPI.COMM_SELF)
    options = MeshOptions(size_in=(part(0.6, (3.0, 14.0, 9.0), radius=2.0),))
    mesh, whole = lattice_mesh(volume, options, [0, 1], COMM), lattice_mesh(alone, options, [0, 1], MPI.COMM_SELF)
    assert COMM.allreduce(len(mesh.cells)) == len(whole.cells)
    measure = COMM.allreduce(float(signed_measures(mesh.points, mesh.cells)[mesh.phase == 1].sum()))
    assert measure == pytest.approx(
        float(signed_measures(whole.points, whole.cells)[whole.phase == 1].sum()), rel=1e-12
    )


@pytest.mark.parametrize("most", [1e7, 10.0])
def test_work_is_where_the_small_cells_are(most, monkeypatch):
    """However few places are looked at in each coarse box, its sum is what the size adds."""
    monkeypatch.setattr(mesher, "MOST_SAMPLES", most)
    extent = (48.0, 40.0, 32.0)
    where = part(1.0, (14.0, 12.0, 20.0), radius=4.0)
    sizes = edge_sizes(MeshOptions(size_max=8 * UNIT, growth=0.5, size_in=(where,)), ("a",), [0], UNIT, extent)
    lattice = coarse_lattice(extent, sizes.longest_edge, sizes.finest_edge)
    work = mesher._local_work(lattice, sizes)
    assert work.shape == lattice.boxes
    added = CELLS[3] * sizes.local[0].added(extent, WHOLE, sizes.edge_growth, sizes.longest_edge)
    assert work.sum() == pytest.approx(added, rel=0.15)
    most_there = np.unravel_index(work.argmax(), work.shape)
    box = np.array(extent) / lattice.boxes
    assert np.linalg.norm((np.array(most_there) + 0.5) * box - (14.0, 12.0, 20.0)) < 4.0 + np.linalg.norm(box)
