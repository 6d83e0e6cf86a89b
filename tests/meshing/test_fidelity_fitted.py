"""The fidelity report: does it see what went wrong?"""

import json
from dataclasses import replace

import numpy as np
import pytest
from label_images import disk, label_image

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.meshing.fidelity.compare import fidelity
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.mesh.export import write_cells, write_mesh
from microlith.meshing.mesh.quality import sicn

ALONE = MPI.COMM_SELF


def compared(image, mesh, solved=(0,)):
    return fidelity(volume_of(image, ALONE), mesh, solved, ALONE)


@pytest.fixture(scope="module")
def islands():
    """Two islands of phase b, of 49 and of 9 pixels of 2 µm × 1 µm."""
    phase = np.zeros((20, 30), int)
    phase[3:10, 4:11] = 1
    phase[14:17, 20:23] = 1
    image = label_image(phase, (1e-6, 2e-6))
    return image, fitted_mesh(image, MeshOptions(gap_elements=1), [0])


def test_figures_of_a_good_mesh(islands):
    image, mesh = islands
    report = compared(image, mesh)
    a, b = report.phases
    assert (a.name, a.solved, b.solved) == ("a", True, False)
    assert b.image == pytest.approx(58 * 2e-12, rel=1e-6, abs=0)
    assert b.mesh == pytest.approx(58 * 2e-12, rel=1e-3)
    assert a.cells + b.cells == report.all_cells == len(mesh.cells)
    assert report.cells == a.cells
    assert (a.pieces_image, a.pieces_mesh, b.pieces_image, b.pieces_mesh) == (1, 1, 2, 2)
    assert report.warnings() == []
    (interface,) = report.interfaces
    assert interface.phases == ("a", "b")
    assert 0.75 * 60e-6 < interface.size < 60e-6  # pixel edges: 2 (7 + 14) + 2 (3 + 6) = 60 µm, corners rounded
    q = report.quality
    assert q["worst_sicn"] <= q["sicn_1_percent"] <= q["median_sicn"] <= 1


def test_the_report_is_json_with_units(islands):
    image, mesh = islands
    data = json.loads(json.dumps(compared(image, mesh).as_dict()))
    assert data["phases"][1]["area_image_m2"] == pytest.approx(1.16e-10, rel=1e-6, abs=0)
    assert data["interfaces"][0]["length_m"] > 0
    report = compared(image, mesh)
    assert {len(row) for row in report.phase_rows()} == {9}
    assert min(p.quality["worst_sicn"] for p in report.phases) == report.quality["worst_sicn"]
    for index, p in enumerate(report.phases):
        own = sicn(mesh.points, mesh.cells[mesh.phase == index])
        assert p.quality == {"worst_sicn": own.min(), "sicn_1_percent": np.percentile(own, 1, method="lower")}
    assert "SICN worst" in report.summary()


def test_a_lost_piece_is_named(islands):
    image, mesh = islands
    centre = mesh.points[mesh.cells].mean(axis=1)
    phase = np.where((mesh.phase == 1) & (centre[:, 0] > 30), 0, mesh.phase).astype(np.uint8)
    report = compared(image, replace(mesh, phase=phase))
    (lost,) = report.phases[1].lost
    assert (lost.position, lost.voxels) == ((20, 14), 9)
    assert any("1 is lost in the mesh (15.5 % of its area: 9 pixels at x = 20, y = 14)" in w for w in report.warnings())
    assert any("area of b" in line for line in report.warnings())


def test_merged_pieces_are_named(islands):
    image, mesh = islands
    x, y = mesh.points[mesh.cells].mean(axis=1).T
    bridge = np.abs(y - (6.5 + (x - 15) * 9 / 27)) < 1.5
    phase = np.where(bridge & (x > 15) & (x < 43), 1, mesh.phase).astype(np.uint8)
    report = compared(image, replace(mesh, phase=phase))
    ((one, other),) = report.phases[1].merged
    assert {one.voxels, other.voxels} == {49, 9}
    assert any(
        "2 are joined to others (15.5 % of its area, the largest: 9 pixels" in line for line in report.warnings()
    )


def test_split_pieces_are_named(islands):
    image, mesh = islands
    x, _ = mesh.points[mesh.cells].mean(axis=1).T
    phase = np.where((mesh.phase == 1) & (np.abs(x - 15) < 2), 0, mesh.phase).astype(np.uint8)
    report = compared(image, replace(mesh, phase=phase))
    (split,) = report.phases[1].split
    assert split.voxels == 49
    assert report.phases[1].split_share == pytest.approx(49 / 58 / 2, abs=0.02)  # halves


def test_pieces_that_share_a_corner_are_apart_in_both():
    image = label_image(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    report = compared(image, fitted_mesh(image, MeshOptions(), [0]))
    assert (report.phases[0].pieces_image, report.phases[0].pieces_mesh) == (3, 3)
    assert (report.phases[1].pieces_image, report.phases[1].pieces_mesh) == (2, 2)


@pytest.mark.parametrize("suffix", [".msh", ".vtu", ".xdmf"])
def test_mesh_files_are_read_back(tmp_path, suffix):
    import meshio

    mesh = fitted_mesh(label_image(disk(), (2e-6, 2e-6)), MeshOptions(), [0])
    write_mesh(tmp_path / f"mesh{suffix}", mesh, ALONE)
    assert [p.name for p in tmp_path.iterdir()] == [f"mesh{suffix}"]
    back = meshio.read(tmp_path / f"mesh{suffix}")
    assert back.points[:, :2] == pytest.approx(mesh.points * 2)  # micrometres
    assert (back.cells_dict["triangle"] == mesh.cells).all()
    key = "gmsh:physical" if suffix == ".msh" else "phase"
    assert (back.cell_data_dict[key]["triangle"] == mesh.phase + (suffix == ".msh")).all()
    text = (tmp_path / f"mesh{suffix}").read_text()
    assert ("lengths in µm; physical group: 1 a, 2 b" if suffix == ".msh" else "lengths in µm; phase: 0 a, 1 b") in text
    if suffix == ".msh":
        assert set(back.field_data) == {"a", "b"}


@pytest.mark.parametrize("suffix", [".inp", ".bdf", ".med"])
def test_mesh_files_of_other_programs(tmp_path, suffix):
    """Phases are there by the names or numbers that a comment in the file explains, lengths in µm."""
    import h5py
    import meshio

    mesh = replace(fitted_mesh(label_image(disk(), (2e-6, 2e-6)), MeshOptions(), [0]), names=("a", "b c"))
    path = tmp_path / f"mesh{suffix}"
    write_mesh(path, mesh, ALONE)
    back = meshio.read(path)
    assert back.points[:, :2] == pytest.approx(mesh.points * 2)
    assert (back.cells_dict["triangle"] == mesh.cells).all()
    if suffix == ".inp":
        assert {name: list(sets["triangle"]) for name, sets in back.cell_sets_dict.items()} == {
            "a": list(np.flatnonzero(mesh.phase == 0)),
            "b_c": list(np.flatnonzero(mesh.phase == 1)),
        }
        assert "** lengths in µm; phase: 0 a, 1 b c" in path.read_text()
    elif suffix == ".bdf":
        rows = [line for line in path.read_text().splitlines() if line.startswith("CTRIA3")]
        assert [int(row[16:24]) for row in rows] == list(mesh.phase + 1)
        assert "$ lengths in µm; property: 1 a, 2 b c" in path.read_text()
    else:
        assert (back.cell_data["phase"][0] == mesh.phase).all()
        with h5py.File(path) as file:
            assert "phase: 0 a, 1 b c" in file["ENS_MAA/mesh"].attrs["DES"].decode()


def test_phases_with_names_that_are_alike_have_groups_of_their_own(tmp_path):
    """Groups know no hyphens, dots and capitals: of two names that became one the first phase was lost."""
    import meshio

    names = ("a-b", "A.b", "c")
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    cells = np.array([[0, 1, 2], [1, 3, 2], [0, 1, 3]])
    write_cells(tmp_path / "mesh.inp", points, "triangle", cells, np.array([0, 1, 2]), names)
    sets = meshio.read(tmp_path / "mesh.inp").cell_sets_dict
    assert {name: list(of["triangle"]) for name, of in sets.items()} == {"a_b_0": [0], "A_b_1": [1], "c": [2]}


def test_mesh_files_are_read_by_gmsh_with_the_names_of_the_phases(tmp_path):
    import gmsh

    mesh = fitted_mesh(label_image(disk()), MeshOptions(), [0])
    write_mesh(tmp_path / "mesh.msh", mesh, ALONE)
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.merge(str(tmp_path / "mesh.msh"))
        groups = {gmsh.model.getPhysicalName(*group): group for group in gmsh.model.getPhysicalGroups()}
        assert groups == {"a": (2, 1), "b": (2, 2)}
        assert len(gmsh.model.mesh.getElementsByType(2)[0]) == len(mesh.cells)
    finally:
        gmsh.finalize()


def test_names_of_phases_that_end_a_comment_do_not_spoil_the_file(tmp_path):
    import meshio

    image = label_image(disk(12, 4, (6, 6)))
    mesh = fitted_mesh(image, MeshOptions(), [0])
    write_mesh(tmp_path / "mesh.vtu", replace(mesh, names=("a -->", "b---ü")), ALONE)
    assert len(meshio.read(tmp_path / "mesh.vtu").points) == len(mesh.points)


def test_unknown_mesh_format_is_refused(tmp_path):
    mesh = fitted_mesh(label_image(np.zeros((2, 2), int)), MeshOptions(), [0])
    with pytest.raises(InputError, match=r"\.msh, \.vtu, \.xdmf, \.inp, \.bdf, \.med, got '\.stl'"):
        write_mesh(tmp_path / "mesh.stl", mesh, ALONE)
    assert list(tmp_path.iterdir()) == []
