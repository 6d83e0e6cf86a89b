"""The fitted triangle mesh: conforming, well shaped, faithful, whatever the image."""

import resource

import numpy as np
import pytest
from label_images import HARD, assert_conforming, disk, edges_of, label_image
from places import DATA

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.meshing.fidelity.compare import fidelity
from microlith.meshing.fitted import mesher
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.mesh.quality import areas, sicn, smallest_angles

ALONE = MPI.COMM_SELF


def check(image, options, solved):
    """Mesh an image and hold the mesh to what is promised of every mesh."""
    mesh = fitted_mesh(image, options, solved)
    assert_conforming(mesh)
    report = fidelity(volume_of(image, ALONE), mesh, solved, ALONE)
    assert report.quality["worst_sicn"] >= 0.3
    assert report.warnings() == []
    for phase in report.phases:
        assert phase.pieces_mesh == phase.pieces_image
    return mesh


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("voxel", [(1e-6, 1e-6), (1e-6, 3e-6)])
def test_hard_images(name, voxel):
    check(label_image(HARD[name], voxel), MeshOptions(gap_elements=1), [0])


@pytest.mark.parametrize("size", [0.5, 2.0, 20.0])
def test_sizes_below_and_above_the_pixels(size):
    phase = HARD["pieces and walls"]
    check(label_image(phase), MeshOptions(size={"b": size * 1e-6}, size_max=20e-6), [0, 1])


@pytest.mark.parametrize("seed", range(6))
def test_noise_never_seen_before(seed):
    rng = np.random.default_rng(1000 + seed)
    phase = rng.integers(0, rng.integers(2, 5), rng.integers(8, 40, 2))
    voxel = tuple(rng.uniform(0.5, 2, 2))
    check(label_image(phase, voxel), MeshOptions(gap_elements=1), [0])


@pytest.mark.parametrize("voxel", [(1e-6, 1e-6), (1e-6, 3e-6)])
@pytest.mark.parametrize("name", HARD)
def test_hard_images_where_triangles_may_be_divided(monkeypatch, name, voxel):
    """What is promised of every mesh holds, too, where gmsh makes it at twice the sizes."""
    monkeypatch.setattr(mesher, "MANY", 0)
    size = 0.3e-6 if name == "pieces and walls" else 0.5e-6
    check(label_image(HARD[name], voxel), MeshOptions(size={"a": size}, size_max=1e-6), [0])


def test_divided_triangles_follow_the_outline(monkeypatch):
    """A disk's edge has points where its edges were halved, as near to the circle as without that."""
    image, options = label_image(disk(60, 20.4, (30.1, 29.7))), MeshOptions(size={"b": 0.6e-6}, size_max=1e-6)
    meshes = [fitted_mesh(image, options, [0])]
    monkeypatch.setattr(mesher, "MANY", 0)
    meshes.append(fitted_mesh(image, options, [0]))
    apart, worst = [], []
    for mesh in meshes:
        on_both = np.intersect1d(mesh.cells[mesh.phase == 0], mesh.cells[mesh.phase == 1])
        apart.append(np.sqrt(np.mean((np.hypot(*(mesh.points[on_both] - (30.1, 29.7)).T) - 20.4) ** 2)))
        worst.append(smallest_angles(mesh.points, mesh.cells).min())
        area = areas(mesh.points, mesh.cells)[mesh.phase == 1].sum()
        assert area == pytest.approx((image.phase == 1).sum(), rel=1e-6)
    assert meshes[0].points.shape != meshes[1].points.shape
    assert len(meshes[1].cells) % 4 == 0
    assert len(meshes[1].cells) == pytest.approx(len(meshes[0].cells), rel=0.1)
    assert apart[1] < 1.1 * apart[0]
    assert worst[1] > worst[0] - 3.0


def test_what_follows_pixels_is_not_divided(monkeypatch):
    """Of twice the size, edges would be cut short, and their halves be smaller than wanted."""
    image, options = label_image(HARD["pieces and walls"]), MeshOptions(size={"b": 2e-6}, size_max=4e-6)
    whole = fitted_mesh(image, options, [0])
    monkeypatch.setattr(mesher, "MANY", 0)
    assert (fitted_mesh(image, options, [0]).cells == whole.cells).all()


def test_interfaces_are_edges_of_both_phases():
    """A disk's circumference, measured along edges with unlike phases on their sides, is the circle's."""
    mesh = check(label_image(disk(60, 20.4, (30.1, 29.7))), MeshOptions(size={"b": 2e-6}), [0])
    edges, cell = edges_of(mesh.cells)
    order = np.lexsort(edges.T)
    twin = np.flatnonzero((edges[order][1:] == edges[order][:-1]).all(axis=1))
    one, other = cell[order[twin]], cell[order[twin + 1]]
    border = edges[order[twin]][mesh.phase[one] != mesh.phase[other]]
    span = np.diff(mesh.points[border], axis=1)[:, 0]
    length = np.hypot(*span.T)
    assert length.sum() == pytest.approx(2 * np.pi * 20.4, rel=0.01)
    assert length.max() < 3.1
    assert np.abs(np.hypot(*(mesh.points[border.ravel()] - (30.1, 29.7)).T) - 20.4).max() < 0.6


@pytest.mark.parametrize("width", [1, 3, 5])
def test_three_elements_across_a_gap(width):
    phase = np.zeros((30, 40), int)
    phase[4:12] = 1
    phase[12 + width : 24] = 1
    mesh = fitted_mesh(label_image(phase), MeshOptions(size={"b": 2e-6}, size_max=8e-6), [0])
    inside = mesh.points[mesh.cells].mean(axis=1)[:, 1]
    gap = (inside > 12) & (inside < 12 + width)
    edge = np.concatenate([np.diff(mesh.points[mesh.cells[gap][:, [i, i - 1]]], axis=1)[:, 0] for i in range(3)])
    assert np.median(np.hypot(*edge.T)) <= width / 3


def test_junctions_are_refined():
    phase = np.zeros((30, 40), int)
    phase[:, 20:] = 1
    phase[15:, 12:28] = 2
    image = label_image(phase)
    coarse = fitted_mesh(image, MeshOptions(size={"c": 2e-6}), [0, 1])
    fine = fitted_mesh(image, MeshOptions(size={"c": 2e-6}, junction_size=0.05e-6), [0, 1])
    assert sicn(fine.points, fine.cells).min() > 0.3

    def edge_near(mesh):
        p = mesh.points[mesh.cells]
        near = np.hypot(*(p.mean(axis=1) - (20, 15)).T) < 1
        return np.hypot(*(p[near, 0] - p[near, 1]).T).min() if near.any() else np.inf

    assert edge_near(fine) < 0.1
    assert edge_near(coarse) > 0.5
    assert len(fine.cells) < 4 * len(coarse.cells)


def test_unit_of_the_image_leaves_no_trace():
    """Pixels of 12.5 nm and of 12.5 m, sizes alike: bitwise the same mesh."""
    phase = HARD["wedges"]
    meshes = []
    for metre in (1.0, 1e-9, 1e-6):
        image = label_image(phase, (12.5 * metre, 25 * metre))
        options = MeshOptions(size={"b": 47.9 * metre}, size_max=211 * metre, junction_size=0.7 * metre)
        meshes.append(fitted_mesh(image, options, [0, 1]))
    for mesh in meshes[1:]:
        assert (mesh.points == meshes[0].points).all()
        assert (mesh.cells == meshes[0].cells).all()
        assert (mesh.phase == meshes[0].phase).all()


def test_orientation_is_the_images():
    """x grows with the column, y with the row."""
    phase = np.zeros((20, 30), int)
    phase[:5, 20:] = 1  # small y, large x
    mesh = fitted_mesh(label_image(phase), MeshOptions(), [0])
    centre = mesh.points[mesh.cells].mean(axis=1)[mesh.phase == 1]
    assert mesh.extent == (30, 20)
    assert centre[:, 0].min() > 19
    assert centre[:, 1].max() < 6


def test_bad_triangles_are_cured(monkeypatch):
    """A mesher's blunder: one free point nearly on an edge of its star."""
    from microlith.meshing.fitted import mesher as fitted

    made = fitted._mesh

    def blunder(pieces, field):
        points, triangles = made(pieces, field)
        point = len(pieces.points) + 5
        star = triangles[(triangles == point).any(axis=1)]
        edge = star[0][star[0] != point]
        points[point] += 0.97 * (points[edge].mean(axis=0) - points[point])
        assert 0 < sicn(points, triangles).min() < 0.15
        return points, triangles

    monkeypatch.setattr(fitted, "_mesh", blunder)
    mesh = fitted_mesh(label_image(disk()), MeshOptions(size={"b": 2e-6}), [0, 1])
    assert sicn(mesh.points, mesh.cells).min() > 0.4


def test_elements_grow_smoothly_from_small_pieces():
    """Sizes far above the pixels: without regard to the short edges of single pixels, 1 % of all are below 0.59."""
    image = label_image(HARD["pieces and walls"])
    mesh = fitted_mesh(image, MeshOptions(size={"b": 20e-6}, size_max=20e-6, gap_elements=1), [1])
    assert np.percentile(sicn(mesh.points, mesh.cells), 1) > 0.63


def test_unsolved_phases_cost_little():
    image = label_image(disk(100, 40, (50, 50)))
    options = MeshOptions(size={"b": 1e-6}, size_max=20e-6)
    lean = fitted_mesh(image, options, [0])
    full = fitted_mesh(image, options, [0, 1])
    assert np.sum(lean.phase == 1) < 0.6 * np.sum(full.phase == 1)


def test_more_than_memory_is_refused():
    with pytest.raises(InputError, match=r"about \S+ triangles, which need .* GB"):
        fitted_mesh(label_image(disk()), MeshOptions(size={"b": 1e-12}), [0])


def test_3d_images_are_refused():
    with pytest.raises(InputError, match="2D"):
        fitted_mesh(label_image(np.zeros((3, 3, 3), int), (1, 1, 1)), MeshOptions(), [0])


def test_gmsh_is_left_as_it_was():
    import gmsh

    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.model.add("mine")
        gmsh.option.setNumber("Mesh.Algorithm", 8)
        fitted_mesh(label_image(disk()), MeshOptions(), [0])
        assert gmsh.model.getCurrent() == "mine"
        assert gmsh.option.getNumber("Mesh.Algorithm") == 8
    finally:
        gmsh.finalize()
    fitted_mesh(label_image(disk()), MeshOptions(), [0])
    assert not gmsh.isInitialized()


def test_quality_is_gmshs():
    """SICN of known shapes: equilateral 1, right isosceles sqrt(3)/2, inverted negative."""
    points = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2], [0, 1]])
    triangles = np.array([[0, 1, 2], [0, 1, 3], [1, 0, 3]])
    assert sicn(points, triangles) == pytest.approx([1, np.sqrt(3) / 2, -np.sqrt(3) / 2])
    assert smallest_angles(points, triangles) == pytest.approx([60, 45, 45])
    assert areas(points, triangles) == pytest.approx([np.sqrt(3) / 4, 0.5, -0.5])


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")
@pytest.mark.parametrize(
    ("name", "cut"),
    [("nmc111_sem_256", ...), ("alloy_512", ...), ("nmc_bridge_64", 40), ("tau_electrode_64", 7), ("ellipsoids_64", 0)],
)
def test_real_images(name, cut):
    import tifffile

    pixels = tifffile.imread(DATA / f"{name}.tif")[cut]
    phase = np.unique(pixels, return_inverse=True)[1].reshape(pixels.shape)
    check(label_image(phase), MeshOptions(size={"b": 2e-6}), [0])


def test_a_full_disk_for_temporary_files(tmp_path, monkeypatch):
    """gmsh takes sizes from a file; without room for it, it was told as a failure of gmsh."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(InputError, match=r"can't write here \(file too large\), where temporary files are kept"):
            fitted_mesh(label_image(HARD["pieces and walls"]), MeshOptions(), [0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
