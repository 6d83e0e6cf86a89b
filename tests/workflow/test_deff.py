"""The command deff: from a case file without a run to a table and a JSON file."""

import json

import numpy as np
import pytest
import tifffile
from made_meshes import COMM

import microlith as ml
from microlith.imaging.errors import InputError
from microlith.imaging.parallel import memory
from microlith.imaging.parallel.collective import on_root
from microlith.solver.conduction.conduction import Conduction
from microlith.workflow import cli
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import meshed
from microlith.workflow.studies.diffusivity_tensor import tensor
from microlith.workflow.studies.effective_diffusivity import _doubt, deff, effective_diffusivity

HEAD = """
[image]
file = "image.tif"
voxel_size = "10 nm"
"""
PHASES = """
[phases.solid]
label = 0
role = "barrier"
[phases.sei]
label = 1
role = "transport"
diffusivity = "4e-14 m^2/s"
porosity = 0.25
effective = "bruggeman"
[phases.pore]
label = 2
role = "barrier"
"""
TWO_PHASES = PHASES[: PHASES.index("[phases.pore]")]


def channels():
    """16 x 24 pixels: phase 1 in a quarter of the rows, all the way along x; phase 2 at the left side only."""
    image = np.zeros((16, 24), np.uint8)
    image[4:8] = 1
    image[12:, :6] = 2
    return image


def write_case(folder, image, more="", phases=PHASES):
    tifffile.imwrite(folder / "image.tif", image)
    path = folder / "case.toml"
    path.write_text(HEAD + phases + more)
    return path


@pytest.fixture
def case(tmp_path):
    return write_case(tmp_path, channels())


def test_what_would_not_fit_into_memory_is_refused(tmp_path, capsys, monkeypatch):
    """By a mesh and by voxels alone, with what would fit, and a way past it."""
    ball = np.ones((8, 8, 8), np.uint8)
    ball[3:5, 3:5, 3:5] = 0
    lattice, voxel = (f'[mesh]\nmethod = "{method}"\n' for method in ("lattice", "voxel"))
    two = PHASES[: PHASES.index("[phases.pore]")]
    command = ["deff", str(write_case(tmp_path, ball, lattice, two)), "--phase", "sei", "--axis", "x"]
    monkeypatch.setattr(memory, "available_memory", lambda: 1e5)
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert "[mesh] the elements need about " in told
    assert 'where 0.0001 GB are free; take [mesh] method = "voxel" with elements of degree 1' in told
    assert "or go on all the same with --no-memory-check" in told
    write_case(tmp_path, ball, voxel, two)
    assert cli.main(command) == 0
    assert cli.main([*command, "--half-voxel"]) == 2
    assert "the voxels of half the edge need about 0.000685 GB" in capsys.readouterr().err
    assert cli.main([*command[:-2], "--periodic"]) == 2
    assert "the cubes need about 0.00126 GB" in capsys.readouterr().err
    assert cli.main([*command[:-2], "--periodic", "--no-memory-check"]) == 0
    monkeypatch.setattr(memory, "available_memory", lambda: 1e4)
    assert cli.main(command) == 2
    assert "the voxels of the phase need about 8.57e-05 GB" in capsys.readouterr().err
    assert cli.main([*command, "--no-memory-check"]) == 0


def test_figures_in_file_and_table(case, tmp_path, capsys):
    output = tmp_path / "deff.json"
    assert cli.main(["deff", str(case), "--phase", "sei", "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["phase"] == "sei"
    assert found["volume_fraction"] == pytest.approx(0.25, rel=1e-9)
    assert found["diffusivity_m2_per_s"] == pytest.approx(0.5e-14, rel=1e-9, abs=0)  # bruggeman: 4e-14 * 0.25^1.5
    x, y = found["axes"]["x"], found["axes"]["y"]
    assert x["relative_effective_diffusivity"] == pytest.approx(0.25, rel=1e-8)
    assert x["effective_diffusivity_m2_per_s"] == pytest.approx(0.125e-14, rel=1e-8, abs=0)
    assert x["tortuosity_factor"] == pytest.approx(1.0, rel=1e-8)
    assert x["connected_share"] == pytest.approx(1.0, rel=1e-9)
    assert x["flux_disagreement"] < 1e-8
    assert y["relative_effective_diffusivity"] == 0.0
    assert x["relative_effective_diffusivity_at_least"] == pytest.approx(0.25, rel=1e-8)
    assert y["relative_effective_diffusivity_at_least"] == 0.0
    assert x["tortuosity"] == pytest.approx(1.0, rel=1e-8)
    assert x["macmullin_number"] == pytest.approx(4.0, rel=1e-8)
    assert y["tortuosity_factor"] is None
    assert y["tortuosity"] is None
    assert y["macmullin_number"] is None
    assert "volume_fraction / (D_eff / D_phase)" in found["conventions"]["tortuosity_factor"]
    assert y["connected_share"] == 0.0
    assert found["mesh"]["degree"] == 2
    assert found["mesh"]["method"] == "fitted"
    assert found["bulk_diffusivity_m2_per_s"] == pytest.approx(4e-14, rel=1e-9, abs=0)
    assert found["phase_diffusivity_m2_per_s"] == found["diffusivity_m2_per_s"]
    assert found["effective_model"] == "porosity 0.25, model bruggeman, exponent 1.5"
    assert x["effective_per_bulk_diffusivity"] == pytest.approx(0.25 * 0.25**1.5, rel=1e-8)
    table = capsys.readouterr().out
    for words in ("D_phase = 5e-15 m²/s", "porosity 0.25, model bruggeman", "D_bulk = 4e-14 m²/s", "D_eff / "):
        assert words in table
    for words in ("sei: 0.25000 of the box", "D_eff / ", "tortuosity", "m²/s", "1.25e-15", "inf"):
        assert words in table


def test_half_a_voxel_on_each_side(tmp_path, capsys):
    """A channel of four voxels, between walls: it is three or five voxels wide then, exactly."""
    image = np.full((12, 8), 2)
    image[0] = 0
    image[3:7] = 1
    case, output = write_case(tmp_path, image), tmp_path / "deff.json"
    options = ["deff", str(case), "--phase", "sei", "--half-voxel"]
    assert cli.main([*options, "-o", str(output)]) == 0
    axes = json.loads(output.read_text())["axes"]
    ends = [f"relative_effective_diffusivity_half_a_voxel_{way}" for way in ("smaller", "larger")]
    assert axes["x"]["relative_effective_diffusivity"] == pytest.approx(4 / 12, rel=1e-8)
    assert [axes["x"][end] for end in ends] == pytest.approx([3 / 12, 5 / 12], rel=1e-8)
    assert [axes["y"][end] for end in ends] == [0.0, 0.0]
    assert "half a voxel smaller" in capsys.readouterr().out
    page = output.with_suffix(".html").read_text()
    assert "D_eff / D_phase, half a voxel smaller" in page
    assert "D_eff / D_phase, half a voxel larger" in page
    assert cli.main([*options, "--periodic"]) == 2
    assert "--half-voxel and --periodic" in capsys.readouterr().err


def solid_noise():
    return (np.random.default_rng(5).random((9, 10, 12)) < 0.6).astype(np.uint8)


SOLID = PHASES[: PHASES.index("[phases.pore]")]


def axes_of(folder, image, mesh, *options):
    case, output = write_case(folder, image, mesh, SOLID), folder / "deff.json"
    assert cli.main(["deff", str(case), "--phase", "sei", "-o", str(output), "--force", *options]) == 0
    return json.loads(output.read_text())


def test_voxels_of_a_volume_need_no_mesh_unless_another_solver_is_asked_for(tmp_path, capsys):
    voxels = '[mesh]\nmethod = "voxel"\n'
    found = axes_of(tmp_path, solid_noise(), voxels)
    on_mesh = axes_of(tmp_path, solid_noise(), voxels + '[solver]\nlinear = "mumps"\n')
    assert found["axes"]["x"]["solver"] == "cg, matrix-free"
    assert on_mesh["axes"]["x"]["solver"] == "mumps"
    assert found["mesh"] | {"unknowns": 0} == on_mesh["mesh"] | {"unknowns": 0}
    assert found["mesh"]["cells"] == solid_noise().sum()
    for axis in "xyz":
        one, other = found["axes"][axis], on_mesh["axes"][axis]
        assert one["relative_effective_diffusivity"] > 0
        for key in ("relative_effective_diffusivity", "tortuosity_factor"):
            assert one[key] == pytest.approx(other[key], rel=1e-8)
        at_least = "relative_effective_diffusivity_at_least"
        assert one[at_least] == pytest.approx(other[at_least], rel=1e-6)
        assert one["connected_share"] == pytest.approx(other["connected_share"], rel=1e-12)
    capsys.readouterr()


def test_faults_of_voxels_without_a_mesh_name_the_file(tmp_path, capsys, monkeypatch):
    path = write_case(tmp_path, solid_noise(), '[mesh]\nmethod = "voxel"\n')  # of which the third phase has no voxel
    assert cli.main(["deff", str(path), "--phase", "sei"]) == 2
    assert f"{path}: [phases.pore] label" in capsys.readouterr().err
    path = write_case(tmp_path, solid_noise(), '[mesh]\nmethod = "voxel"\n', SOLID)
    monkeypatch.setattr("microlith.workflow.voxel_conduction.MOST", 100)
    assert cli.main(["deff", str(path), "--phase", "sei"]) == 2
    told = capsys.readouterr().err
    assert f'{path}: [mesh] method = "voxel": a rank would have {solid_noise().sum()} voxels' in told
    assert "expected at most 100; start more ranks" in told


def test_images_are_read_once_also_where_pixels_are_meshed(tmp_path, capsys, monkeypatch):
    """What is to be said of the image would be said twice."""
    read, count = meshed.label_volume, []
    monkeypatch.setattr(meshed, "label_volume", lambda *arguments: count.append(1) or read(*arguments))
    path = write_case(tmp_path, channels(), '[mesh]\nmethod = "voxel"\ndegree = 1\n')
    assert cli.main(["deff", str(path), "--phase", "sei"]) == 0
    assert len(count) == 1
    capsys.readouterr()


def test_half_a_voxel_without_a_mesh(tmp_path, capsys):
    """A channel of four voxels by three in a box of 12 by 5: three by two or five by four voxels then, exactly."""
    image = np.zeros((5, 12, 8), np.uint8)
    image[1:4, 3:7] = 1
    x = axes_of(tmp_path, image, '[mesh]\nmethod = "voxel"\n', "--half-voxel", "--axis", "x")["axes"]["x"]
    ends = [x[f"relative_effective_diffusivity_half_a_voxel_{way}"] for way in ("smaller", "larger")]
    assert x["relative_effective_diffusivity"] == pytest.approx(12 / 60, rel=1e-8)
    assert ends[0] == pytest.approx(6 / 60, rel=1e-8)
    assert 17 / 60 < ends[1] <= 20 / 60 * (1 + 1e-8)  # its edges may stay as they are
    capsys.readouterr()


def test_without_a_model_the_phase_has_the_bulk_value(tmp_path, capsys):
    phases = PHASES.replace('porosity = 0.25\neffective = "bruggeman"\n', "")
    assert cli.main(["deff", str(write_case(tmp_path, channels(), phases=phases)), "--phase", "sei"]) == 0
    table = capsys.readouterr().out
    assert "D_phase = 4e-14 m²/s: within sei, as the case file gives it" in table
    assert "D_bulk" not in table


def test_python_tells_the_three_diffusivities_apart(case):
    found = ml.effective_diffusivity(ml.load_case(_with_end(case)), "sei", "x")
    (along,) = found.along
    assert found.bulk == pytest.approx(4e-14, rel=1e-9, abs=0)
    assert found.in_phase == pytest.approx(0.5e-14, rel=1e-9, abs=0)
    assert found.value(along) == pytest.approx(0.25 * found.in_phase, rel=1e-8, abs=0)
    assert found.per_bulk(along) == pytest.approx(found.value(along) / found.bulk)


def _with_end(case):
    fed = case.read_text().replace('label = 2\nrole = "barrier"', 'label = 2\nrole = "source"\nconcentration = "1 M"')
    case.write_text(fed)
    return case


def test_any_role_and_one_axis(case, capsys):
    """A barrier that touches one face only, in a case that a run would refuse for want of a source and of [time]."""
    assert cli.main(["deff", str(case), "--phase", "pore", "--axis", "x"]) == 0
    out = capsys.readouterr().out
    assert "┃ x " in out
    assert "MacMullin number = D_phase / D_eff" in out
    assert "┃ y " not in out
    assert "m²/s" not in out
    assert cli.main(["deff", "-q", str(case), "--phase", "pore", "--axis", "x", "--axis", "y"]) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match=r"\[time\] is missing"):
        load_case(case)
    case.write_text(case.read_text() + '[time]\nend = "1 s"\n')
    with pytest.raises(InputError, match="nothing feeds"):
        load_case(case)


def test_periodic(tmp_path, capsys):
    """Channels along x repeated: the tensor and its axes in file and table; faces that do not match are told."""
    case = write_case(tmp_path, channels(), '[mesh]\nmethod = "voxel"\n')
    output = tmp_path / "deff.json"
    assert cli.main(["deff", str(case), "--phase", "sei", "--periodic", "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["relative_tensor"] == [[pytest.approx(0.25, rel=1e-8), 0.0], [0.0, 0.0]]
    assert found["tensor_m2_per_s"][0][0] == pytest.approx(0.125e-14, rel=1e-8, abs=0)
    assert found["principal_axes"] == [[1.0, 0.0], [0.0, 1.0]]
    assert found["axes"]["x"]["tortuosity_factor"] == pytest.approx(1.0, rel=1e-8)
    assert found["relative_tensor_at_least"] == [[pytest.approx(0.25, rel=1e-8), 0.0], [0.0, 0.0]]
    assert found["axes"]["x"]["relative_effective_diffusivity_at_least"] == pytest.approx(0.25, rel=1e-8)
    assert "principal value 0.25 along (1.0000, 0.0000)" in capsys.readouterr().out
    assert cli.main(["deff", str(case), "--phase", "pore", "--periodic"]) == 0
    assert "100 % along x (within the image" in capsys.readouterr().err
    assert ml.effective_diffusivity_tensor(ml.load_case(_with_end(case)), "sei").relative[0, 0] == pytest.approx(0.25)


def test_periodic_bounds_that_are_far_apart_are_told_and_can_be_left_out(tmp_path, capsys):
    """A checkerboard of D 1 : 1000 conducts as 31.6; elements that meet in corners say 218."""
    board = np.kron(np.indices((2, 2)).sum(0) % 2, np.ones((2, 2), int)).astype(np.uint8)
    phases = "".join(
        f'[phases.{name}]\nlabel = {i}\nrole = "transport"\ndiffusivity = "{d} m^2/s"\n'
        for i, (name, d) in enumerate((("slow", 1e-14), ("fast", 1e-11)))
    )
    case = write_case(tmp_path, board, '[mesh]\nmethod = "voxel"\ndegree = 2\n', phases)
    command = ["deff", str(case), "--phase", "slow", "--phase", "fast", "--periodic", "-o", str(tmp_path / "it.json")]
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert "along x the bounds are far apart, 2.99 and 218, as where" in printed.err
    assert "no error told" not in printed.out
    assert json.loads((tmp_path / "it.json").read_text())["no_error"] is None
    assert cli.main([*command, "--no-bounds", "--force"]) == 0
    printed = capsys.readouterr()
    assert "far apart" not in printed.err
    assert "no error told: without a lower bound" in printed.out
    entries = json.loads((tmp_path / "it.json").read_text())
    assert entries["relative_tensor_at_least"] is None
    assert entries["no_error"].startswith("no error told")


@pytest.mark.parametrize("method", ["voxel", "lattice"])
def test_periodic_images_that_do_not_repeat_are_told(tmp_path, capsys, method):
    half = np.tril(np.ones((12, 12), np.uint8))
    case = write_case(tmp_path, half, f'[mesh]\nmethod = "{method}"\n', PHASES[: PHASES.index("[phases.pore]")])
    assert cli.main(["deff", str(case), "--phase", "sei", "--periodic"]) == 0
    told = "85 % along x (within the image 8 %), 85 % along y (within the image 8 %) meets none on the other side"
    assert told in capsys.readouterr().err


def test_periodic_images_of_few_rows():
    """Two rows, one of them with a gap, repeated: the same written out."""
    rows = np.ones((2, 8), np.uint8)
    rows[0, 3:5] = 0
    tables = {"image": {"voxel_size": "10 nm"}, "mesh": {"method": "voxel"}}
    tables["phases"] = {name: {"label": i, "role": "barrier"} for i, name in enumerate(("solid", "liquid"))}
    few, many = (
        ml.effective_diffusivity_tensor(ml.case(tables, image=image), "liquid")
        for image in (rows, np.tile(rows, (3, 1)))
    )
    assert few.relative == pytest.approx(many.relative, abs=1e-9)
    assert 0.5 < few.relative[0, 0] < few.found.fraction == pytest.approx(7 / 8)
    assert few.inside[1] == pytest.approx(many.inside[1], abs=0.02)


def test_a_channel_at_the_edge_of_a_periodic_image_keeps_its_volume(tmp_path, caplog):
    """On faces vertices stay in them: a channel of one voxel there lost a third of its volume, and conducted 0.58."""
    image = np.zeros((10, 10, 10), np.uint8)
    image[:, 0, 0] = 1
    path = write_case(tmp_path, image, '[mesh]\nmethod = "lattice"\n', TWO_PHASES)
    with caplog.at_level("INFO", logger="microlith"):
        found = tensor(load_case(path, transient=False), "sei", None, show=False)
    assert "for the mesh the image begins at the voxel x = 5, y = 5, z = 0" in caplog.text
    assert found.found.fraction == pytest.approx(0.01, rel=0.01)
    middle = write_case(tmp_path, np.roll(image, 5, (1, 2)), '[mesh]\nmethod = "lattice"\n', TWO_PHASES)
    other = tensor(load_case(middle, transient=False), "sei", None, show=False)
    np.testing.assert_allclose(found.relative, other.relative, rtol=1e-6, atol=1e-12)


def test_little_beside_another_axis_is_not_nothing(tmp_path, capsys):
    """Rows of two phases of D 1 : 1e-12: across them 2e-12 of what they conduct along, which was told as 0."""
    rows = np.repeat([0, 1], 4)[:, None].repeat(6, axis=1).astype(np.uint8)
    phases = "".join(
        f'[phases.{name}]\nlabel = {i}\nrole = "transport"\ndiffusivity = "{d} m^2/s"\n'
        for i, (name, d) in enumerate((("slow", 1e-22), ("fast", 1e-10)))
    )
    case = write_case(tmp_path, rows, '[mesh]\nmethod = "voxel"\n', phases)
    found = tensor(load_case(case, transient=False), ("slow", "fast"), None, show=False)
    assert found.found.lower.diagonal() == pytest.approx([5e11, 2.0], rel=1e-6)
    assert found.relative[0, 0] == pytest.approx(5e11)
    assert found.relative[1, 1] == pytest.approx(2.0, abs=1.0)  # as far as rounding lets it
    assert any("beside 5e+11 along another axis: rounding may leave no digit" in one for one in found.warnings)


def test_what_is_warned_of_a_mesh_is_kept_with_the_figures(tmp_path, capsys):
    """Voxels that touch in edges are one on a lattice: printed once, and in the file with and without --periodic."""
    image = np.tile(np.eye(10, dtype=np.uint8), (10, 1, 1))
    path = write_case(tmp_path, image, '[mesh]\nmethod = "lattice"\n', TWO_PHASES)
    for more in ([], ["--periodic"]):
        out = tmp_path / "it.json"
        assert cli.main(["deff", str(path), "--phase", "sei", "-o", str(out), "--force", "--no-bounds", *more]) == 0
        assert capsys.readouterr().err.count("are joined to others") == 1
        warnings = json.loads(out.read_text())["warnings"]
        assert sum("sei: of its 10 pieces in the image 10 are joined to others" in one for one in warnings) == 1


def test_phases_too_thin_for_a_smooth_surface_are_told(tmp_path):
    """Square channels: of two voxels' width there is a warning, of five none, and on voxels none."""
    told = []
    for width, method in ((2, "lattice"), (5, "lattice"), (2, "voxel")):
        image = np.zeros((10, 10, 10), np.uint8)
        image[:, 3 : 3 + width, 4 : 4 + width] = 1
        path = write_case(tmp_path, image, f'[mesh]\nmethod = "{method}"\n', TWO_PHASES)
        case = load_case(path, transient=False)
        both = effective_diffusivity(case, "sei", "z").warnings, tensor(case, "sei", None, False).warnings
        told += [[one for one in warnings if "at most two voxels thick" in one] for warnings in both]
    assert [len(one) for one in told] == [1, 1, 0, 0, 0, 0]
    assert told[0][0].startswith("100 % of sei is at most two voxels thick, where a smooth surface is a guess")


def test_what_can_not_be_periodic_is_refused(tmp_path, capsys):
    case = write_case(tmp_path, channels(), '[mesh]\nmethod = "fitted"\n')
    assert cli.main(["deff", str(case), "--phase", "sei", "--periodic"]) == 2
    assert '"fitted" makes other elements on opposite faces; take "voxel" or "lattice"' in capsys.readouterr().err
    assert cli.main(["deff", str(case), "--phase", "sei", "--periodic", "--axis", "x"]) == 2
    assert "leave one of the two out" in capsys.readouterr().err


COMPOSITE = """
[phases.near]
label = 0
role = "transport"
diffusivity = "2e-14 m^2/s"
[phases.far]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"
[phases.pore]
label = 2
role = "source"
concentration = "1 mol/L"
[[interfaces]]
between = ["near", "far"]
partition = 2
exchange = "1e-6 m/s"
"""


def test_several_phases_at_once(tmp_path, capsys):
    """Two layers of 80 nm across x with partition and exchange, in series, and a pore that is a third of the box."""
    image = np.zeros((12, 16), np.uint8)
    image[:, 8:], image[8:] = 1, 2
    case, output = write_case(tmp_path, image, '[mesh]\nmethod = "voxel"\n', COMPOSITE), tmp_path / "deff.json"
    assert cli.main(["deff", str(case), "--phase", "near", "--phase", "far", "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    across = 160e-9 / (80e-9 / 2e-14 + 1 / 1e-6 + 80e-9 / (2 * 1e-14)) * 2 / 3
    x = found["axes"]["x"]
    assert x["effective_diffusivity_m2_per_s"] == pytest.approx(across, rel=1e-6, abs=0)
    assert x["relative_effective_diffusivity"] == pytest.approx(across / 2e-14, rel=1e-6)
    assert x["relative_effective_diffusivity_at_least"] == pytest.approx(across / 2e-14, rel=1e-6)
    assert found["axes"]["y"]["relative_effective_diffusivity"] == 0.0
    assert x["tortuosity_factor"] is None
    assert found["phases"] == ["near", "far"]
    assert found["volume_fraction"] == pytest.approx(2 / 3, rel=1e-6)
    table = capsys.readouterr().out
    for words in ("near + far: 0.666", "D_phase of far = 1e-14 m²/s", "D_eff / D_phase of near", "equilibrium"):
        assert words in table
    assert "MacMullin" not in table
    periodic = ["deff", str(case), "--phase", "near", "--phase", "far", "--periodic", "-o", str(output), "--force"]
    assert cli.main(periodic) == 0
    twice = 160e-9 / (80e-9 / 2e-14 + 2 / 1e-6 + 80e-9 / (2 * 1e-14)) * 2 / 3  # through another interface at the faces
    assert json.loads(output.read_text())["tensor_m2_per_s"][0][0] == pytest.approx(twice, rel=1e-6, abs=0)
    table = capsys.readouterr().out
    for words in ("D_phase of near = 2e-14 m²/s", "D_phase of far = 1e-14 m²/s", "concentration in near, or in eq"):
        assert words in table
    alone = ["deff", str(case), "--phase", "near", "--axis", "x", "--no-bounds"]
    assert cli.main([*alone, "-o", str(output), "--force"]) == 0
    assert "at least" not in capsys.readouterr().out
    (x,) = json.loads(output.read_text())["axes"].values()
    assert x["relative_effective_diffusivity_at_least"] is None
    case.write_text(case.read_text() + '[time]\nend = "1 s"\n')
    both = ml.effective_diffusivity(ml.load_case(case), ["far", "near"], "x")
    assert both.in_phase == pytest.approx(1e-14, rel=1e-9, abs=0)
    per_gradient_in_far = across / 2  # where c is twice that in near
    assert both.value(both.along[0]) == pytest.approx(per_gradient_in_far, rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("slanted", "apart", "arguments", "words"),
    [
        (True, False, ("near", "far"), "make slanted and curved surfaces up to 1.4 times too large"),
        (True, False, ("near", "far", "--periodic"), "through those of near and far, which bounds do not see"),
        (False, False, ("near", "far"), None),
        (False, False, ("near", "far", "--periodic"), None),  # two planes along the pixels
        (True, False, ("near",), None),
        (False, True, ("near", "far"), "[[interfaces]] between near and far has no effect: they do not touch"),
        (True, False, ("near", "pore"), None),  # a law with a phase that is left out has no part in it
    ],
)
def test_interfaces_that_pass_too_much_or_nothing_are_told(tmp_path, caplog, slanted, apart, arguments, words):
    """Bounds know neither: the shape of the steps is taken as it is, and so are phases that never meet."""
    image = np.zeros((8, 12), np.uint8)
    image[:, 6:], image[7] = 1, 2
    if slanted:
        image[4:7, 4:6] = 1
    if apart:
        image[:, 5:7] = 2
    phases = COMPOSITE.replace(
        'role = "source"\nconcentration = "1 mol/L"', 'role = "transport"\ndiffusivity = "1 m^2/s"'
    )
    case, output = write_case(tmp_path, image, '[mesh]\nmethod = "voxel"\n', phases), tmp_path / "deff.json"
    options = [part for name in arguments for part in ([name] if name[0] == "-" else ["--phase", name])]
    assert cli.main(["deff", str(case), *options, "-o", str(output)]) == 0
    kept = json.loads(output.read_text())["warnings"]
    said = [record.getMessage() for record in caplog.records]
    about = ("slanted", "has no effect")
    assert [any(word in sentence for word in about) for sentence in kept].count(True) == (words is not None)
    assert words is None or (any(words in s for s in kept) and any(words in s for s in said))


def test_phases_that_differ_much_conduct_as_their_bounds_say(tmp_path, capsys):
    """Fluxes through the faces of the better one are mere rounding; where the bounds meet, that is no reason to doubt.

    A partition with a phase that is left out says nothing of the others.
    """
    image = np.zeros((4, 12), np.uint8)
    image[:, 8:] = 1
    phases = COMPOSITE.replace('"1e-14 m^2/s"', '"1e-2 m^2/s"').replace('["near", "far"]', '["near", "pore"]')
    phases = phases.replace('role = "source"\nconcentration = "1 mol/L"', 'role = "transport"\ndiffusivity = "1 m^2/s"')
    image[3] = 2
    case, output = write_case(tmp_path, image, '[mesh]\nmethod = "voxel"\n', phases), tmp_path / "deff.json"
    options = ["deff", str(case), "--phase", "near", "--phase", "far", "--axis", "x", "--force", "-o", str(output)]
    assert cli.main(options) == 0
    found = json.loads(output.read_text())
    exact = 3 / 4 * 12 / 8
    x = found["axes"]["x"]
    assert x["relative_effective_diffusivity"] == pytest.approx(exact, rel=1e-8)
    assert x["relative_effective_diffusivity_at_least"] == pytest.approx(exact, rel=1e-8)
    assert x["flux_disagreement"] > 1e-6
    assert found["warnings"] == []
    assert "equilibrium" not in capsys.readouterr().out
    assert cli.main([*options, "--no-bounds"]) == 0
    (told,) = json.loads(output.read_text())["warnings"]
    assert "along x the fluxes through the two faces differ from the energy by" in told
    capsys.readouterr()


@pytest.mark.parametrize(("ratio", "warnings"), [(9, 0), (10000, 2)])
def test_bounds_that_are_far_apart_are_told(tmp_path, capsys, ratio, warnings):
    """A checkerboard conducts as the root of the product (Keller 1964); elements let too much through its corners."""
    image = (np.indices((16, 16)) // 8).sum(0) % 2
    phases = COMPOSITE[: COMPOSITE.index("[phases.pore]")].replace('"1e-14 m^2/s"', f'"{ratio * 2e-14!r} m^2/s"')
    case, output = write_case(tmp_path, image.astype(np.uint8), phases=phases), tmp_path / "deff.json"
    assert cli.main(["deff", str(case), "--phase", "near", "--phase", "far", "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    for along in found["axes"].values():
        lower = along["relative_effective_diffusivity_at_least"]
        assert lower < ratio**0.5 < along["relative_effective_diffusivity"]
    assert ["the bounds are far apart" in told for told in found["warnings"]] == [True] * warnings
    capsys.readouterr()


@pytest.mark.parametrize(
    ("disagreement", "lower", "words"),
    [
        (1e-7, 0.4, None),
        (1e-4, None, "differ from the energy by 1.0e-04: trust no more digits"),
        (1e-4, 0.4, "differ from the energy by 1.0e-04: trust no more digits"),
        (1e-2, 0.4995, "the bounds differ by 1.0e-03: trust no more digits"),
        (1e10, None, "contradict the energy: don't trust the figure"),
    ],
)
def test_how_many_digits_can_be_trusted(disagreement, lower, words):
    told = _doubt(Conduction("x", 0.5, 1.0, 1.0, disagreement, 10, "mumps", 0, lower))
    assert told is None if words is None else told.endswith(words)


def test_several_phases_need_constant_diffusivities(case, tmp_path, capsys):
    assert cli.main(["deff", str(case), "--phase", "sei", "--phase", "pore"]) == 2
    assert "[phases.pore] has no diffusivity" in capsys.readouterr().err
    law = '{ concentrations = ["0 M", "1 M"], values = ["1e-15 m^2/s", "1e-14 m^2/s"] }'
    path = write_case(tmp_path, channels(), phases=PHASES.replace('"4e-14 m^2/s"', law))
    assert cli.main(["deff", str(path), "--phase", "sei", "--phase", "solid"]) == 2
    assert "depends on the concentration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--phase", "sie"], 'has no phase "sie"; did you mean "sei"?'),
        (["--phase", "lithium"], "known phases: solid, sei, pore"),
        (["--phase", "sei", "--axis", "z"], "the image is 2D and has the axes x and y only"),
        (["--phase", "sei", "-o", "deff.csv"], "expected a file name ending in .json"),
        (["--phase", "sei", "-o", "there.json"], "exists already; choose another, or overwrite it with --force"),
        (["--phase", "sei", "-o", "nowhere/deff.json/x.json"], ""),
    ],
)
def test_bad_input(case, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").touch()
    (tmp_path / "nowhere").touch()
    assert cli.main(["deff", str(case), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "in the mesh" not in said  # nobody waits for a mesh to hear of it
    assert (tmp_path / "there.json").read_text() == ""


def test_what_the_image_lacks_is_refused_before_it_is_meshed(tmp_path, capsys):
    path = write_case(tmp_path, solid_noise(), phases=COMPOSITE[: COMPOSITE.index("[phases.pore]")])
    assert cli.main(["deff", str(path), "--phase", "near", "--phase", "far", "--half-voxel"]) == 2
    said = capsys.readouterr().err
    assert "--half-voxel: " in said
    assert "no other phase is in the image, so there is no surface to move" in said
    assert "in the mesh" not in said
    with pytest.raises(InputError, match=r"--axis r: .*: the image is 3D and has the axes x, y and z only"):
        effective_diffusivity(load_case(path, transient=False), "far", "xr")


def test_force(case, tmp_path):
    output = tmp_path / "deff.json"
    output.touch()
    assert cli.main(["deff", "-q", str(case), "--phase", "sei", "-o", str(output), "--force"]) == 0
    assert json.loads(output.read_text())["axes"]["x"]["connected_share"] == pytest.approx(1.0)


def test_a_phase_without_pixels(case, capsys):
    case.write_text(case.read_text() + '[phases.gas]\nlabel = 7\nrole = "barrier"\n')
    assert cli.main(["deff", str(case), "--phase", "gas"]) == 2
    assert "gas" in capsys.readouterr().err


@pytest.mark.mpi
def test_volume_on_ranks(tmp_path, capsys):
    """3D through the lattice: a square channel along y, that of the closed form on any number of ranks; one table."""
    folder = COMM.bcast(tmp_path)
    image = np.zeros((12, 10, 12), np.uint8)
    image[:, :, :6] = 1
    image[0, 0, -1] = 2
    on_root(COMM, write_case, folder, image)
    capsys.readouterr()
    found = deff(load_case(folder / "case.toml", transient=False), "sei", (), folder / "deff.json").along
    assert [along.axis for along in found] == ["x", "y", "z"]
    assert found[0].relative == 0.0
    for along in found[1:]:
        assert along.relative == pytest.approx(0.5, rel=1e-3)
        assert along.tortuosity == pytest.approx(1.0, rel=1e-3)
        assert along.disagreement < 1e-8
    assert capsys.readouterr().out.count("D_phase = 5e-15 m²/s") == (1 if COMM.rank == 0 else 0)
    COMM.barrier()
    written = json.loads((folder / "deff.json").read_text())
    assert written["axes"]["z"]["relative_effective_diffusivity"] == found[2].relative
    assert written["ranks"] == COMM.size
    assert written["mesh"]["method"] == "lattice"
    assert written["mesh"]["degree"] == 2


@pytest.mark.parametrize(
    ("diffusivity", "words"),
    [
        ('{ x = "4e-14 m^2/s", y = "1e-14 m^2/s" }', "differs along the axes"),
        ('{ concentrations = ["0 M", "1 M"], values = ["1e-15 m^2/s", "1e-14 m^2/s"] }', "depends on c"),
    ],
)
def test_no_single_diffusivity_gives_the_share_only(tmp_path, caplog, diffusivity, words):
    path = write_case(tmp_path, channels(), phases=PHASES.replace('"4e-14 m^2/s"', diffusivity))
    with caplog.at_level("INFO", logger="microlith"):
        (along,) = deff(load_case(path, transient=False), "sei", ("x",), tmp_path / "d.json", show=False).along
    assert along.relative == pytest.approx(0.25, rel=1e-3)
    assert words in caplog.text
    entries = json.loads((tmp_path / "d.json").read_text())
    assert entries["axes"]["x"]["effective_diffusivity_m2_per_s"] is None
    caplog.clear()
    with caplog.at_level("INFO", logger="microlith"):
        assert tensor(load_case(path, transient=False), "sei", None, show=False).values is None
    assert words in caplog.text
