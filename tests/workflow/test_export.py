"""microlith export: what other programs find in the files."""

import json
import struct

import meshio
import numpy as np
import pytest
import pyvista
import SimpleITK as sitk
import tifffile
from full_disks import files_of_at_most
from made_cases import PHASES, run_case, write_case

from microlith.workflow.cli import main
from microlith.workflow.commands.viewing import EXPORTS
from microlith.workflow.export.export import WRITERS
from microlith.workflow.results.read import load_results

BETWEEN = """
[phases.sei]
label = 1
role = "transport"
diffusivity = "2e-14 m^2/s"

[faces]
x_min = { concentration = "1000 mol/m^3" }
x_max = { concentration = "200 mol/m^3" }
"""
LATE = """
[time]
end = "1000 s"
snapshots = ["1 s", "1000 s"]
"""
REGION = """
[regions.whole]
box = { x = ["0 nm", "100 nm"] }
"""


def steady(x):
    """Concentration at x in µm after 1000 s between the faces of an image 0.6 µm long."""
    return 1000.0 - 800.0 * x / 0.6


@pytest.fixture(scope="module", params=[2, 3])
def slab(request, tmp_path_factory):
    """Results whose last snapshot is linear in x; pixels of 10 nm."""
    folder = tmp_path_factory.mktemp("slab")
    shape = (9, 60) if request.param == 2 else (5, 6, 60)
    method = "" if request.param == 2 else '[mesh]\nsize_max = "60 nm"\n'
    case = write_case(folder, np.ones(shape), phases=BETWEEN, mesh=method, time=LATE, regions=REGION)
    return run_case(case), request.param


@pytest.fixture(scope="module")
def electrode(tmp_path_factory):
    more = PHASES.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-15 m^2/s"')
    return run_case(write_case(tmp_path_factory.mktemp("electrode"), phases=more))


def export(results, path, *options):
    assert main(["export", str(results), "--to", str(path), *options]) == 0
    return path


def test_the_command_knows_the_formats():
    assert tuple(WRITERS) == EXPORTS


def test_tiff_at_the_voxels(slab, tmp_path):
    results, dim = slab
    with tifffile.TiffFile(export(results, tmp_path / "c.tif")) as file:
        values, about = file.asarray(), file.imagej_metadata
        assert file.pages[0].tags["XResolution"].value == (100, 1)
    assert values.shape == ((9, 60) if dim == 2 else (5, 6, 60))
    centres = (np.arange(60) + 0.5) * 0.01
    np.testing.assert_allclose(values, np.broadcast_to(steady(centres), values.shape), rtol=1e-4)
    assert (about["unit"], about["spacing"]) == ("um", 0.01)
    assert "mol/m^3 at 1000 s" in about["Info"]


def test_tiff_of_all_snapshots(slab, tmp_path):
    results, _ = slab
    values = tifffile.imread(export(results, tmp_path / "c.tif", "--time", "all"))
    assert values.shape[0] == 2
    assert values[0, ..., 30].max() < 170.0 < 500.0 < values[1, ..., 30].min()


def test_nrrd_at_the_voxels(slab, tmp_path):
    """Read by another library, in the places that the file gives."""
    results, dim = slab
    image = sitk.ReadImage(str(export(results, tmp_path / "c.nrrd", "--time", "1000 s")))
    assert image.GetSpacing() == pytest.approx((0.01,) * dim)
    corner = image.TransformIndexToPhysicalPoint((7,) + (0,) * (dim - 1))
    assert image.GetPixel((7,) + (0,) * (dim - 1)) == pytest.approx(steady(corner[0]), rel=1e-4)
    assert image.GetMetaData("unit") == "mol/m^3"
    packed = (tmp_path / "c.nrrd").read_bytes().split(b"\n\n", 1)[1]
    assert packed[:3] == b"\x1f\x8b\x08"
    assert packed[3] & 8 == 0  # no name in gzip's header: it was that of the temporary file


def test_outside_the_phases_is_no_number(electrode, tmp_path):
    values = tifffile.imread(export(electrode, tmp_path / "c.tif", "--phase", "sei"))
    labels = tifffile.imread(electrode.parent / "image.tif")
    outside = np.isnan(values)
    assert (outside != (labels != 1)).mean() < 0.05  # the mesh is smooth, the image has pixels
    assert outside[labels == 0].mean() > 0.9
    assert np.nanmin(values) >= 0.0
    assert np.nanmax(values) == pytest.approx(1000.0, rel=1e-3)


def test_vtu_keeps_the_degree(slab, tmp_path):
    results, dim = slab
    grid = pyvista.read(export(results, tmp_path / "c.vtu"))
    np.testing.assert_allclose(grid["concentration"], steady(grid.points[:, 0]), rtol=1e-4)
    own = load_results(results)
    assert grid.n_points == len(own.points)
    assert set(grid.celltypes) <= ({22} if dim == 2 else {10, 24})
    assert list(grid.field_data["phases"]) == ["sei"]
    assert "um" in str(grid.field_data["unit"][0])


def test_xdmf_has_all_snapshots(slab, tmp_path, monkeypatch):
    results, _ = slab
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = export(results, tmp_path / "c.xdmf")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["c.h5", "c.xdmf", "elsewhere"]
    monkeypatch.chdir(tmp_path)  # meshio looks there
    with meshio.xdmf.TimeSeriesReader(path) as series:
        points, _ = series.read_points_cells()
        assert [series.read_data(k)[0] for k in range(series.num_steps)] == [1.0, 1000.0]
        np.testing.assert_allclose(series.read_data(1)[1]["concentration"], steady(points[:, 0]), rtol=1e-4)


def test_surfaces(slab, tmp_path):
    results, dim = slab
    surface = pyvista.read(export(results, tmp_path / "c.vtp"))
    np.testing.assert_allclose(surface["concentration"], steady(surface.points[:, 0]), rtol=1e-4)
    area = 0.6 * 0.09 if dim == 2 else 2 * (0.6 * 0.06 + 0.6 * 0.05 + 0.06 * 0.05)
    assert surface.area == pytest.approx(area, rel=1e-6)
    if dim == 3:
        solid = pyvista.read(export(results, tmp_path / "c.stl"))
        assert solid.volume == pytest.approx(0.6 * 0.06 * 0.05, rel=1e-5)
    else:
        assert main(["export", str(results), "--to", str(tmp_path / "c.stl")]) == 2


def test_scene(slab, tmp_path):
    """The container as glTF 2.0 has it, and the scene as VTK reads it: y up, colours from one end to the other."""
    results, dim = slab
    path = export(results, tmp_path / "c.glb")
    data = path.read_bytes()
    magic, version, length, of_head, kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    head = json.loads(data[20 : 20 + of_head])
    assert head["meshes"][0]["name"] == "sei"
    assert sum(view["byteLength"] for view in head["bufferViews"]) <= head["buffers"][0]["byteLength"]
    seen = pyvista.read(path).combine()
    assert seen.bounds[:4] == pytest.approx((0.0, 0.6, -0.09 if dim == 2 else -0.06, 0.0), abs=1e-6)
    colours = seen.active_scalars
    left, right = (colours[np.isclose(seen.points[:, 0], x)].mean(axis=0) for x in (0.0, 0.6))
    assert left[0] > 0.7 > 0.1 > right[0]  # yellow to blue


@pytest.mark.parametrize("suffix", [".msh", ".inp", ".bdf", ".med"])
def test_meshes(slab, tmp_path, suffix):
    results, dim = slab
    mesh = meshio.read(export(results, tmp_path / f"c{suffix}"))
    kind = "triangle" if dim == 2 else "tetra"
    assert [block.type for block in mesh.cells] == [kind]
    assert np.ptp(mesh.points, axis=0)[0] == pytest.approx(0.6)
    assert len(mesh.cells[0]) == pyvista.read(export(results, tmp_path / "c.vtu")).n_cells  # of any degree


@pytest.mark.parametrize("suffix", EXPORTS)
def test_a_full_disk_is_told_and_nothing_is_left(slab, tmp_path, capsys, suffix):
    """VTK's writers ended in a segmentation fault there, or with lines of their own."""
    results, dim = slab
    if dim == 2 and suffix == ".stl":
        pytest.skip("an .stl file is a surface in space")
    with files_of_at_most(200):
        assert main(["export", str(results), "--to", str(tmp_path / f"c{suffix}")]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "can't write here (file too large); free or allow the space" in told
    assert list(tmp_path.iterdir()) == []


def test_surfaces_keep_both_sides_of_a_jump(tmp_path):
    """At an interface with a partition of 3, points that lie on each other have concentrations of their own."""
    more = PHASES.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "2e-14 m^2/s"\ninitial = "0 mol/L"')
    jump = '[[interfaces]]\nbetween = ["sei", "particle"]\npartition = 3.0\n'
    results = run_case(write_case(tmp_path, phases=more, time=LATE, more=jump))
    surface = pyvista.read(export(results, tmp_path / "c.vtp"))
    points, place = np.unique(np.round(surface.points, 9), axis=0, return_inverse=True)
    low, high = np.full(len(points), np.inf), np.zeros(len(points))
    np.minimum.at(low, place.ravel(), surface["concentration"])
    np.maximum.at(high, place.ravel(), surface["concentration"])
    ratio = high / low
    assert ratio.max() == pytest.approx(3.0, rel=1e-3)
    assert (ratio > 2.9).sum() > 50


def test_one_phase_of_two(electrode, tmp_path):
    whole = pyvista.read(export(electrode, tmp_path / "a.vtu"))
    some = pyvista.read(export(electrode, tmp_path / "b.vtu", "--phase", "particle"))
    assert set(np.unique(some["phase"])) == {2}
    assert some.n_cells == (whole["phase"] == 2).sum()
    assert main(["export", str(electrode), "--to", str(tmp_path / "c.vtu"), "--phase", "pore"]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "a.xyz"], "--to a.xyz: expected a file name ending in .vtu"),
        (["--to", "a.vtu", "--time", "all"], "a .vtu file holds one snapshot; take .xdmf or .tif"),
        (["--to", "a.vtu", "--time", "3 s"], "the results hold snapshots at 0, 2, 20 s, and none at 3 s"),
        (["--to", "a.vtu", "--time", "3 m"], '--time: expected a time such as "10 s", or "all"'),
        (["--to", "none/a.vtu"], "--to none/a.vtu: there is no folder none"),
        (["--to", "there.vtu"], "there.vtu: this file exists already"),
        (["--to", "there.xdmf"], "there.h5 exists already"),
    ],
)
def test_what_is_refused(electrode, tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    for ending in ("vtu", "h5"):
        (tmp_path / f"there.{ending}").write_text("mine")
    assert main(["export", str(electrode), *options]) == 2
    assert words in capsys.readouterr().err
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"there.vtu": "mine", "there.h5": "mine"}
