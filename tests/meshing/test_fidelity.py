"""The fidelity report of cells that are spread over ranks: against counting by hand, and the same on any number."""

from dataclasses import replace

import numpy as np
import pytest
from label_images import label_image, noise
from made_meshes import image_as_cells
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.percentile import percentile
from microlith.meshing.fidelity.agreement import agreement
from microlith.meshing.fidelity.compare import fidelity
from microlith.meshing.fidelity.report import AS_IT_IS
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.mesh.export import write_mesh
from microlith.meshing.mesh.quality import tetrahedron_quality
from microlith.meshing.voxel import voxel_mesh

COMM = MPI.COMM_WORLD
ALONE = MPI.COMM_SELF


def cells_of(image, shape, comm=ALONE, owner=None):
    return image_as_cells(image, shape, comm, owner)


def scattered(image, comm=COMM):
    """Rank of each voxel, without any order in it."""
    return np.random.default_rng(5).integers(0, comm.size, image.phase.size)


def in_slabs(image, comm=COMM):
    """Rank of each voxel, in layers of the last axis, other than those that the ranks count."""
    layer = np.arange(image.phase.size) % image.phase.shape[-1]
    return layer * comm.size // image.phase.shape[-1]


def pieces(phase, value):
    return ndimage.label(phase == value)[1]


def interface(phase, a, b):
    """Faces of unit voxels between two phases."""
    count = 0
    for axis in range(phase.ndim):
        one, other = (np.take(phase, np.arange(phase.shape[axis])[s], axis) for s in (slice(1, None), slice(-1)))
        count += int((((one == a) & (other == b)) | ((one == b) & (other == a))).sum())
    return count


IMAGES = {
    "noise": noise((7, 8, 9)),
    "many phases": noise((5, 6, 4), 8),
    "one phase": np.zeros((3, 4, 5), int),
    "one voxel": np.zeros((1, 1, 1), int),
    "one layer": noise((1, 7, 6)),
    "specks": (np.random.default_rng(2).random((12, 12, 12)) < 0.08).astype(int),
    "plane noise": noise((9, 11)),
    "plane row": noise((1, 6)),
}


@pytest.mark.mpi
@pytest.mark.parametrize("spread", [scattered, in_slabs])
@pytest.mark.parametrize("simplices", [True, False])
@pytest.mark.parametrize("name", IMAGES)
def test_a_mesh_of_the_voxels_themselves(name, simplices, spread):
    """Volumes, interfaces and pieces are those of the image, to the last, on any number of ranks."""
    image = label_image(IMAGES[name])
    shape = {(2, True): "triangle", (2, False): "quadrilateral", (3, True): "tetrahedron", (3, False): "hexahedron"}
    dim = image.phase.ndim
    image_mesh = cells_of(image, shape[dim, simplices], COMM, spread(image))
    report = fidelity(volume_of(image, COMM), image_mesh, [0], COMM)
    assert (report is None) == (COMM.rank > 0)
    if report is None:
        return
    assert report.all_cells == image.phase.size * ({2: 2, 3: 6}[dim] if simplices else 1)
    for index, p in enumerate(report.phases):
        assert p.mesh == pytest.approx(p.image, rel=1e-12)
        assert p.image == pytest.approx((image.phase == index).sum() * 1e-6**dim)
        assert p.pieces_image == p.pieces_mesh == pieces(image.phase, index)
        assert (p.lost_count, p.merged_count, p.split_count) == (0, 0, 0)
    assert report.warnings() == []
    faces = {tuple(i.phases): i.size for i in report.interfaces}
    for a in range(len(image.names)):
        for b in range(a + 1, len(image.names)):
            wanted = interface(image.phase, a, b) * 1e-6 ** (dim - 1)
            assert faces.get((image.names[a], image.names[b]), 0.0) == pytest.approx(wanted)


def test_anisotropic_voxels():
    image = label_image(noise((4, 5, 6), 2), (40e-9, 20e-9, 10e-9))
    report = fidelity(volume_of(image, ALONE), cells_of(image, "tetrahedron"), [0], ALONE)
    a, b = report.phases
    assert a.mesh + b.mesh == pytest.approx(4 * 5 * 6 * 8e-24)
    phase = image.phase.astype(int)
    area = [np.abs(np.diff(phase, axis=axis)).sum() for axis in range(3)]
    (found,) = report.interfaces
    assert found.size == pytest.approx(area[0] * 2e-16 + area[1] * 4e-16 + area[2] * 8e-16, rel=1e-6, abs=0)


@pytest.mark.mpi
def test_lost_merged_and_split_pieces_are_counted_and_named():
    """Balls of one phase: one missing in the mesh, two bridged, one cut in two."""
    phase = np.zeros((12, 12, 30), int)
    for x, size in ((2, 2), (9, 3), (15, 2), (22, 4)):
        phase[4 : 4 + size, 5 : 5 + size, x : x + size] = 1
    image = label_image(phase, (2e-6, 1e-6, 1e-6))
    meshed = phase.copy()
    meshed[4:6, 5:7, 2:4] = 0  # lost
    meshed[4, 5, 12:15] = 1  # a bridge
    meshed[:, :, 23] = 0  # a cut
    wrong = cells_of(label_image(meshed, (2e-6, 1e-6, 1e-6)), "tetrahedron", COMM, scattered(image))
    report = fidelity(volume_of(image, COMM), wrong, [0], COMM)
    if report is None:
        return
    b = report.phases[1]
    assert (b.pieces_image, b.pieces_mesh) == (4, 3)
    assert (b.lost_count, b.merged_count, b.split_count) == (1, 2, 1)
    ((lost,), ((one, other),), (split,)) = b.lost, b.merged, b.split
    assert (lost.position, lost.voxels) == ((2, 5, 4), 8)
    assert [(p.position, p.voxels) for p in (one, other)] == [((9, 5, 4), 27), ((15, 5, 4), 8)]
    assert (split.position, split.voxels) == ((22, 5, 4), 64)
    said = " ".join(report.warnings())
    assert b.lost_share == b.merged_share == pytest.approx(8 / 107)  # of two joined pieces the smaller counts
    assert b.split_share == pytest.approx(64 / 3 / 107, rel=0.1)  # a layer of the three that are left
    assert "b: of its 4 pieces in the image 1 is lost in the mesh (7.48 % of its volume: 8 voxels at x = 2, y" in said
    assert "2 are joined to others (7.48 % of its volume, the largest: 8 voxels at x = 15" in said
    assert "1 is divided (19.9 % of its volume: 64 voxels at" in said
    assert "no path from one outer face to the other opens or closes. Smaller elements" in said
    assert report.as_dict()["phases"][1]["lost"] == [{"x_voxel": 2, "y_voxel": 5, "z_voxel": 4, "voxels": 8}]


@pytest.mark.mpi
def test_equal_groups_are_named_in_the_order_of_the_image():
    """Five pairs of equal cubes, each bridged; the mesh's pieces are numbered as the cells lie on the ranks."""
    phase = np.zeros((6, 6, 36), int)
    for x in range(1, 36, 7):
        phase[2:4, 2:4, x : x + 2] = phase[2:4, 2:4, x + 3 : x + 5] = 1
    meshed = phase.copy()
    meshed[2, 2, 3::7] = 1
    image, other = label_image(phase), label_image(meshed)
    for owner in (scattered(image), in_slabs(image), COMM.size - 1 - in_slabs(image)):
        report = fidelity(volume_of(image, COMM), cells_of(other, "tetrahedron", COMM, owner), [0], COMM)
        if report is None:
            continue
        places = [[piece.position[0] for piece in group] for group in report.phases[1].merged]
        assert places == [[x, x + 3] for x in range(1, 36, 7)]


def test_thousands_of_lost_specks_are_counted_and_a_few_named():
    phase = np.zeros((31, 31, 31), int)
    phase[1::2, 1::2, 1::2] = 1
    phase[1, 1, 1:4] = 1  # the largest
    image = label_image(phase)
    empty = cells_of(LabelImage(np.zeros_like(image.phase), image.names, image.voxel_size), "hexahedron")
    report = fidelity(volume_of(image, ALONE), empty, [0], ALONE)
    b = report.phases[1]
    assert b.lost_count == b.pieces_image == 15**3 - 1
    assert len(b.lost) == 20
    assert b.lost[0].voxels == 3
    warnings = report.warnings()
    assert len(warnings) == 3  # both volumes, and the pieces
    assert (
        "b: of its 3374 pieces in the image 3374 are lost in the mesh (100 % of its volume, the largest: 3"
        in warnings[2]
    )


@pytest.mark.mpi
def test_phases_that_the_mesh_leaves_out():
    """Cells of solved phases and a layer around them only, as the voxel mesher may make: no warnings for the rest."""
    phase = np.zeros((6, 9, 9), int)
    phase[:, :3] = 1
    phase[2:4, 6:8, 6:8] = 2
    image = label_image(phase)
    near = ndimage.binary_dilation(phase == 1, ndimage.generate_binary_structure(3, 1)).ravel()
    owner = np.where(near, scattered(image), -1)
    report = fidelity(volume_of(image, COMM), cells_of(image, "hexahedron", COMM, owner), [1], COMM)
    if report is None:
        return
    a, b, c = report.phases
    assert b.mesh == pytest.approx(b.image)
    assert (b.pieces_image, b.pieces_mesh) == (1, 1)
    assert (a.mesh, a.pieces_mesh, c.mesh, c.relative_difference) == (None, None, None, None)
    assert report.warnings() == []
    (found,) = report.interfaces
    assert found.size == pytest.approx(54e-12, rel=1e-6, abs=0)
    assert any(row[3] == "-" for row in report.phase_rows())


# --- quality ---


def random_tetrahedra(count=400):
    points = np.random.default_rng(3).random((4 * count, 3))
    return points, np.arange(4 * count, dtype=np.int32).reshape(-1, 4)


def test_quality_of_known_tetrahedra():
    regular = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], float)
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.3, 0.3, 1e-9]], float)
    points = np.concatenate([regular, corner, flat])
    volume, angle, shape = tetrahedron_quality(
        points, np.array([[0, 1, 2, 3], [4, 5, 6, 7], [4, 6, 5, 7], [8, 9, 10, 11]])
    )
    assert volume == pytest.approx([8 / 3, 1 / 6, -1 / 6, 1e-9 / 6])
    assert angle[:2] == pytest.approx(np.degrees(np.arccos([1 / 3, 1 / np.sqrt(3)])))
    assert shape[:3] == pytest.approx([1, shape[1], -shape[1]])
    assert angle[3] < 1e-5
    assert 0 < shape[3] < 1e-6


def test_quality_is_that_of_gmsh():
    import gmsh

    points, cells = random_tetrahedra()
    _, angle, shape = tetrahedron_quality(points, cells)
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.addDiscreteEntity(3, 1)
        gmsh.model.mesh.addNodes(3, 1, np.arange(len(points)) + 1, points.ravel())
        tags = np.arange(len(cells)) + 1
        gmsh.model.mesh.addElementsByType(1, 4, tags, cells.ravel() + 1)
        assert shape == pytest.approx(np.array(gmsh.model.mesh.getElementQualities(tags, "minSICN")), abs=1e-9)
    finally:
        gmsh.finalize()
    # Dihedral angles from the normals of two faces at an edge
    for tet, found in zip(points[cells], angle, strict=True):
        angles = []
        for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
            k, other = (c for c in range(4) if c not in (i, j))
            along = tet[j] - tet[i]
            u, v = (tet[c] - tet[i] - along * ((tet[c] - tet[i]) @ along) / (along @ along) for c in (k, other))
            angles.append(np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v)))
        assert found == pytest.approx(min(angles), abs=1e-6)


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["uniform", "two values", "one value", "few"])
@pytest.mark.parametrize("percent", [0.0, 0.1, 1.0, 50.0, 99.9, 100.0])
def test_percentiles_over_ranks(kind, percent):
    rng = np.random.default_rng(11)
    values = {
        "uniform": rng.random(5000) ** 4,
        "two values": np.where(rng.random(3000) < 0.3, 1.0, 1.0 + 1e-15),
        "one value": np.full(500, -2.5),
        "few": np.array([3.0, 1.0]),
    }[kind]
    mine = values[np.arange(len(values)) % COMM.size == COMM.rank]
    assert percentile(mine, percent, COMM) == np.percentile(values, percent, method="lower")
    assert percentile(np.empty(0), percent, COMM) is None


@pytest.mark.mpi
def test_quality_in_the_report():
    image = label_image(noise((5, 6, 7), 2))
    image_mesh = cells_of(image, "tetrahedron", COMM, scattered(image))
    shift = np.random.default_rng(4).uniform(-0.2, 0.2, (8 * 7 * 6, 3))[(image_mesh.vertex - 11) // 5]
    inside = ((image_mesh.points > 0) & (image_mesh.points < image_mesh.extent)).all(axis=1)
    image_mesh = replace(image_mesh, points=image_mesh.points + shift * inside[:, None])
    report = fidelity(volume_of(image, COMM), image_mesh, [0], COMM)
    angle = np.concatenate(COMM.allgather(tetrahedron_quality(image_mesh.points, image_mesh.cells)[1]))
    shape = np.concatenate(COMM.allgather(tetrahedron_quality(image_mesh.points, image_mesh.cells)[2]))
    phase = np.concatenate(COMM.allgather(image_mesh.phase))
    if report is None:
        return
    for found, chosen in ((report.quality, phase >= 0), (report.phases[1].quality, phase == 1)):
        assert found["worst_dihedral_angle_deg"] == angle[chosen].min()
        assert found["worst_sicn"] == shape[chosen].min()
        for key, percent in (("dihedral_angle_0.1_percent_deg", 0.1), ("dihedral_angle_1_percent_deg", 1.0)):
            assert found[key] == np.percentile(angle[chosen], percent, method="lower")
    assert "dihedral angles from" in report.summary()
    assert {len(row) for row in report.phase_rows()} == {11}


# --- agreement of labels ---


@pytest.mark.mpi
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("simplices", [True, False])
def test_labels_agree_in_a_mesh_of_the_voxels(name, simplices):
    """All of them; and as many fewer as voxels get another phase in the image afterwards."""
    image = label_image(IMAGES[name], tuple(h * 1e-8 for h in (3, 1, 2)[: IMAGES[name].ndim]))
    shape = {(2, True): "triangle", (2, False): "quadrilateral", (3, True): "tetrahedron", (3, False): "hexahedron"}
    image_mesh = cells_of(image, shape[image.phase.ndim, simplices], COMM, scattered(image))
    assert agreement(volume_of(image, COMM), image_mesh, COMM) == (1.0, 1.0)
    other = image.phase.copy()
    other.flat[:: max(2, other.size // 7)] += 1
    off = np.mean(other != image.phase)
    right, inside = agreement(volume_of(replace(image, phase=other), COMM), image_mesh, COMM)
    assert (right, inside) == (pytest.approx(1 - off), 1.0)


def test_labels_agree_by_the_share_of_centres_beside_a_plane():
    """Two phases that meet in the plane x = 3.8 in the mesh, 3 in the image: a layer in ten of voxels disagrees."""
    image = label_image((np.indices((5, 6, 10))[2] >= 3).astype(int))
    image_mesh = cells_of(image, "tetrahedron")
    points = image_mesh.points.copy()
    points[points[:, 0] == 3, 0] = 3.8
    right, inside = agreement(volume_of(image, ALONE), replace(image_mesh, points=points), ALONE)
    assert (right, inside) == (pytest.approx(0.9), 1.0)


# --- mesh files ---


@pytest.mark.mpi
@pytest.mark.parametrize("suffix", [".msh", ".vtu", ".xdmf"])
@pytest.mark.parametrize("shape", ["tetrahedron", "hexahedron", "quadrilateral"])
def test_mesh_files_of_parts_are_read_back(tmp_path, suffix, shape):
    """Whole, each point once, cells not turned inside out, whichever rank had them."""
    import pyvista

    folder = COMM.bcast(tmp_path)
    image = label_image(noise((4, 3, 5) if shape != "quadrilateral" else (4, 5)), None)
    write_mesh(folder / f"mesh{suffix}", cells_of(image, shape, COMM, scattered(image)), COMM)
    if COMM.rank > 0:
        return
    assert [p.name for p in folder.iterdir()] == [f"mesh{suffix}"]
    grid = pyvista.read(folder / f"mesh{suffix}") if suffix == ".vtu" else pyvista.read_meshio(folder / f"mesh{suffix}")
    dim = image.phase.ndim
    assert grid.n_points == np.prod(np.array(image.phase.shape) + 1)
    size = grid.compute_cell_sizes()["Volume" if dim == 3 else "Area"]
    assert size == pytest.approx(1 / 6 if shape == "tetrahedron" else 1.0)  # micrometres
    phase = grid.cell_data["gmsh:physical"] - 1 if suffix == ".msh" else grid.cell_data["phase"]
    index = np.floor(grid.cell_centers().points).astype(int)
    if shape != "tetrahedron":
        assert (image.phase[tuple(index[:, k] for k in reversed(range(dim)))] == phase).all()
    assert np.bincount(phase, minlength=3) == pytest.approx(
        np.bincount(image.phase.ravel(), minlength=3) * (6 if shape == "tetrahedron" else 1)
    )


@pytest.mark.mpi
def test_unknown_mesh_format_is_refused_on_all_ranks(tmp_path):
    with pytest.raises(InputError, match=r"\.msh, \.vtu, \.xdmf, \.inp, \.bdf, \.med, got '\.stl'"):
        write_mesh(tmp_path / "mesh.stl", cells_of(label_image(np.zeros((2, 2, 2), int)), "hexahedron"), COMM)


# --- whether it matters ---


def channel(gap):
    """A channel of phase b along x, 30 voxels long, open in the middle or closed by one layer."""
    phase = np.zeros((8, 8, 30), int)
    phase[2:6, 2:6, :] = 1
    if gap:
        phase[:, :, 15] = 0
    return phase


@pytest.mark.mpi
@pytest.mark.parametrize("opens", [True, False])
def test_a_path_that_opens_or_closes_matters(opens):
    image, meshed = label_image(channel(opens)), label_image(channel(not opens))
    wrong = cells_of(meshed, "tetrahedron", COMM, scattered(meshed))
    report = fidelity(volume_of(image, COMM), wrong, [1], COMM)
    unsolved = fidelity(volume_of(image, COMM), wrong, [0], COMM)
    if report is None:
        return
    b = report.phases[1]
    assert (b.opened, b.closed) == ((("x",), ()) if opens else ((), ("x",)))
    assert b.matters
    said = [line for line in report.warnings() if line.startswith("b:")]
    assert ("a path along x opens" if opens else "no path along x is left") in said[0]
    assert report.as_dict()["phases"][1]["paths_opened_along"] == (["x"] if opens else [])
    assert report.phases[0].opened == report.phases[0].closed == ()  # around the channel all is as it was
    assert unsolved.phases[1].opened == b.opened


@pytest.mark.mpi
def test_a_path_through_a_phase_where_nothing_flows_does_not_matter():
    phase = np.zeros((6, 6, 40), int)
    phase[2, 2, :] = 1
    phase[2, 2, 20] = 0
    phase[3:6, 3:6, 1:39] = 1
    meshed = phase.copy()
    meshed[2, 2, 20] = 1
    wrong = cells_of(label_image(meshed), "hexahedron", COMM, scattered(label_image(meshed)))
    report = fidelity(volume_of(label_image(phase), COMM), wrong, [0], COMM)
    if report is not None:
        assert report.phases[1].opened == ("x",)
        assert report.phases[1].matters == (19 / (9 * 38 + 39) > 0.01)  # by its share alone


def test_small_changes_are_notes_and_no_warnings():
    phase = np.zeros((30, 30, 30), int)
    phase[5:25, 5:25, 5:25] = 1
    phase[1, 1, 1] = phase[27, 27, 27] = 1
    meshed = phase.copy()
    meshed[1, 1, 1] = meshed[27, 27, 27] = 0
    report = fidelity(volume_of(label_image(phase), ALONE), cells_of(label_image(meshed), "tetrahedron"), [1], ALONE)
    assert report.warnings() == []
    (note,) = report.notes()
    assert note == (
        "b: of its 3 pieces in the image 2 are lost in the mesh (0.025 % of its volume, the largest: 1 voxel at x = 1, "
        "y = 1, z = 1); no path from one outer face to the other opens or closes, which hardly matters."
    )


def test_volumes_of_solved_phases_are_told_however_small_they_are():
    """A channel of 0.4 % of the image that the mesh has only half of."""
    phase = np.zeros((16, 16, 16), int)
    phase[8, 8, :] = 1
    meshed = phase.copy()
    meshed[8, 8, 8:] = 0
    for solved, told in (([1], 1), ([0], 0)):
        cells = cells_of(label_image(meshed), "hexahedron")
        report = fidelity(volume_of(label_image(phase), ALONE), cells, solved, ALONE)
        assert sum(line.startswith("The volume of b differs by -50.00 %") for line in report.warnings()) == told


@pytest.mark.parametrize(
    ("asked", "help"),
    [
        (
            MeshOptions(size={"b": 5e-6}),
            'size = { b = "2 um" }, 2 voxels; [mesh] method = "voxel" takes the image as it is.',
        ),
        (MeshOptions(), f'size = {{ b = "1 um" }}, 1 voxel; {AS_IT_IS}.'),
        (MeshOptions(size={"b": 1e-6}), f"closes. {AS_IT_IS}."),
    ],
)
def test_what_would_help_is_told(asked, help):
    phase = np.zeros((8, 8, 8), int)
    phase[2:5, 2:5, 2:5] = 1
    phase[6, 6, 6] = 1
    meshed = phase.copy()
    meshed[6, 6, 6] = 0
    report = fidelity(volume_of(label_image(phase), ALONE), cells_of(label_image(meshed), "hexahedron"), [1], ALONE)
    assert report.warnings(asked)[-1].endswith(help)


# --- images that come again ---


def inclined_layers(dim=2, count=2, cut=()):
    """Layers of phase 1 at 45 degrees, of which some are cut once; they go on from box to box."""
    at = np.indices((24,) * dim if dim == 2 else (5, 24, 24))
    number, place = np.divmod((at[-1] + at[-2] + 3) % 24, 24 // count)
    gap = (at[-1] - at[-2]) % 24 < 3
    return ((place < 5) & ~(np.isin(number, cut) & gap)).astype(np.uint8)


def around(image, meshed, comm=COMM):
    """The phase of the layers, with the image and its mesh coming again along x and y."""
    periodic = (0, 1)
    volume = replace(volume_of(label_image(image), comm), periodic=periodic)
    mesh = voxel_mesh(volume_of(label_image(meshed), comm), (0, 1), comm, periodic=periodic)
    report = fidelity(volume, mesh, (1,), comm)
    return None if report is None else (report.phases[1], report)


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_layers_that_go_on_across_periodic_faces(dim):
    """Each is cut at the frame, and goes from face to face nowhere within the image."""
    found = around(inclined_layers(dim), inclined_layers(dim))
    if found is not None:
        layers, report = found
        assert not layers.matters
        assert layers.opened == layers.closed == ()
        assert layers.interrupted == {}
        assert report.warnings() == []


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_layers_that_the_mesh_cuts_once(dim):
    """What is cut once stays one piece, but goes on no longer: half of the layers, or all of them."""
    found = around(inclined_layers(dim), inclined_layers(dim, cut=(1,)))
    everywhere = around(inclined_layers(dim), inclined_layers(dim, cut=(0, 1)))
    opened = around(inclined_layers(dim, cut=(0, 1)), inclined_layers(dim))
    if found is not None:
        assert found[0].interrupted == pytest.approx({"x": 0.5, "y": 0.5})
        assert found[0].closed == ()
        assert found[0].matters
        assert "50 % of its" in " ".join(found[1].warnings())
        assert "no longer goes on along x from box to box" in " ".join(found[1].warnings())
        assert found[0].as_dict(dim)["paths_interrupted_share"] == {"x": 0.5, "y": 0.5}
        assert everywhere[0].closed == opened[0].opened == ("x", "y")
        assert everywhere[0].interrupted == {}


@pytest.mark.mpi
def test_smooth_layers_at_45_degrees_keep_their_paths():
    """A layer from corner to corner ends before these on a lattice, which was told as a path that is lost."""
    i = np.indices((24, 24)).sum(axis=0)
    for start in (4, 6):
        image = label_image(((i + start) % 12 < start).astype(np.uint8))
        volume = replace(volume_of(image, COMM), periodic=(0, 1))
        mesh = lattice_mesh(volume, MeshOptions(method="lattice", periodic=("x", "y")), (1,), COMM)
        report = fidelity(volume, mesh, (1,), COMM)
        if report is not None:
            assert report.phases[1].closed == ()
            assert report.warnings() == []
