"""The command `analyze`: its folder, its figures, and what it refuses."""

import csv
import json

import numpy as np
import pytest
import tifffile

import microlith as ml
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures import surface_faces
from microlith.workflow.analysis.charts import draw_chart
from microlith.workflow.analysis.maps import draw_map
from microlith.workflow.analysis.report import print_numbers
from microlith.workflow.cli import main
from microlith.workflow.measurements.findings import Chart, Column, Line, Map, Number, Panel, Table
from microlith.workflow.measurements.sections import section_map

CASE = """
title = "Two layers"
[image]
file = "image.tif"
voxel_size = { x = "10 nm", y = "20 nm" }
[pictures]
resolution = 50
[phases.pore]
label = 0
role = "source"
concentration = "1 mol/L"
[phases.grain]
label = 1
role = "barrier"
"""


@pytest.fixture
def case(tmp_path):
    image = np.zeros((12, 16), np.uint8)
    image[3:] = 1
    tifffile.imwrite(tmp_path / "image.tif", image)
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    return path


def rows(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def test_analysis_leaves_numbers_tables_and_pictures(case, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["analyze", str(case), "-o", str(out)]) == 0
    told = json.loads((out / "analysis.json").read_text())
    number = told["numbers"]["volume_fraction.pore"]
    assert (number["value"], number["unit"], number["measurement"]) == (0.25, "1", "volume_fractions")
    assert number["definition"].startswith("pixels of the phase over all pixels")
    assert told["tables"]["volume-fractions-y"]["units"] == {"y": "m", "pore": "1", "grain": "1"}
    table = rows(out / "volume-fractions-y.csv")
    assert [float(row["pore"]) for row in table] == [1.0] * 3 + [0.0] * 9
    assert float(table[0]["y"]) == 1e-8
    flat = {row["name"]: float(row["value"]) for row in rows(out / "numbers.csv") if row["value"] not in ("", "inf")}
    all_told = {name: entry["value"] for name, entry in told["numbers"].items() if entry["value"] is not None}
    assert flat == pytest.approx(all_told, rel=1e-8)
    assert (out / "volume-fractions.png").stat().st_size > 3000
    assert "volume_fraction.pore" in capsys.readouterr().out


def test_earlier_results_are_kept_without_force(case, tmp_path, capsys):
    out = tmp_path / "out"
    case.write_text(CASE + '[analysis]\nmeasure = ["volume_fractions"]\n')
    assert main(["-q", "analyze", str(case), "-o", str(out)]) == 0
    assert main(["-q", "analyze", str(case), "-o", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["-q", "analyze", str(case), "-o", str(out), "--force"]) == 0


def test_a_grey_image_is_to_be_segmented_first(case, tmp_path, capsys):
    grey = np.random.default_rng(0).integers(0, 65536, (300, 300)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "image.tif", grey)
    assert main(["analyze", str(case), "-o", str(tmp_path / "out")]) == 2
    assert "segment" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_particles_of_the_paper_s_kind(case, tmp_path):
    """Four grains: two beside pores that reach the face, one beside a closed pore, one alone; one pair touches."""
    image = np.full((40, 60), 2, np.uint8)
    image[:20, 3:6], image[33:36, 45:55] = 0, 0
    for row, column in ((10, 11), (27, 50), (30, 20), (10, 40)):
        y, x = np.ogrid[:40, :60]
        image[(y - row) ** 2 + (x - column) ** 2 < 36] = 1
    tifffile.imwrite(tmp_path / "image.tif", image)
    more = '[phases.rest]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    case.write_text(CASE.replace('y = "20 nm"', 'y = "10 nm"') + more + '[analysis]\nmeasure = ["particles"]\n')
    out = tmp_path / "out"
    assert main(["-q", "analyze", str(case), "-o", str(out)]) == 0
    numbers = {k: v["value"] for k, v in json.loads((out / "analysis.json").read_text())["numbers"].items()}
    assert numbers["particle_number.grain"] == 4
    assert numbers["particle_density.grain"] == pytest.approx(4 / (0.4e-6 * 0.6e-6))
    assert numbers["particle_diameter_mean.grain"] == pytest.approx(120e-9, rel=0.02)
    assert numbers["particle_share_meeting.grain+pore@y_min"] == 0.25
    assert numbers["particle_contact.grain+pore"] > numbers["particle_contact.grain+pore@y_min"] > 0
    table = rows(out / "particles-grain.csv")
    assert [row["share_of_surface_to_pore@y_min"] != "0" for row in table] == [True, False, False, False]
    assert (out / "particles-grain-map.png").stat().st_size > 3000


@pytest.mark.parametrize("layered", [False, True])
def test_what_meets_all_of_a_connected_phase_is_what_meets_the_phase(tmp_path, layered):
    """By the same areas: by faces of voxels, a ball met more of the pores at a face than of all pores."""
    z, y, x = np.indices((28, 28, 28)) + 0.5
    image = np.where(z < 14, 0, 1)
    image[(z - 17) ** 2 + (y - 14) ** 2 + (x - 14) ** 2 < 64] = 2
    if layered:
        image[5:7] = 1  # only pores below reach z_min, and none of them meets the ball
    tifffile.imwrite(tmp_path / "image.tif", image.astype(np.uint8))
    more = '[phases.rest]\nlabel = 1\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    text = CASE.replace("label = 1", "label = 2").replace('{ x = "10 nm", y = "20 nm" }', '"10 nm"')
    (tmp_path / "case.toml").write_text(text + more + '[analysis]\nmeasure = ["particles"]\n')
    assert main(["-q", "analyze", str(tmp_path / "case.toml"), "-o", str(tmp_path / "out")]) == 0
    numbers = json.loads((tmp_path / "out" / "analysis.json").read_text())["numbers"]
    met, reached = (numbers[f"particle_contact.grain+{key}"]["value"] for key in ("pore", "pore@z_min"))
    assert met == pytest.approx((1 - 3 / 8) / 2, rel=0.03)
    assert reached == (0 if layered else pytest.approx(met, rel=1e-12))
    row = rows(tmp_path / "out" / "particles-grain.csv")[0]
    assert float(row["share_of_surface_to_pore@z_min"]) == pytest.approx(reached)


def test_phases_that_are_none_are_told_of_once(case, tmp_path, capsys):
    """Particles were, once for their sizes and once for distances to them."""
    medium = CASE.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-14 m^2/s"')
    case.write_text(medium + '[analysis]\nmeasure = ["particles", "distances"]\n')
    assert main(["analyze", str(case), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("no phase counts as particles") == 1


@pytest.mark.parametrize(("left_out", "told"), [(1, "25 %"), (4, "100 %"), (0, None)])
def test_places_without_a_particle_label_are_told(case, tmp_path, left_out, told):
    """They were of no particle, and nothing said so."""
    image, labels = np.full((40, 60), 2, np.uint8), np.zeros((40, 60), np.uint16)
    for number, (row, column) in enumerate(((10, 11), (27, 50), (30, 20), (10, 40))):
        grain = np.s_[row - 4 : row + 4, column - 4 : column + 4]
        image[grain], labels[grain] = 1, 0 if number < left_out else 60000 + number
    image[:3] = 0
    tifffile.imwrite(tmp_path / "image.tif", image)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    more = '[phases.rest]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    case.write_text(CASE + more + '[analysis]\nmeasure = ["particles"]\nparticle_labels = "labels.tif"\n')
    out = tmp_path / "out"
    assert main(["-q", "analyze", str(case), "-o", str(out)]) == 0
    found = json.loads((out / "analysis.json").read_text())
    assert found["numbers"]["particle_number.grain"]["value"] == 4 - left_out
    notes = [note for note in found["notes"].get("particles", []) if "particle_labels" in note]
    assert len(notes) == (told is not None)
    assert told is None or f" {told} of grain has the label 0" in notes[0]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[analysis]\nmeasure = ["volume"]', "volume_fractions"),
        ('[analysis]\npores = ["por"]', 'did you mean "pore"'),
        ('[analysis]\npores = ["pore"]\nparticles = ["pore"]', "one of them at most"),
        ('[analysis]\nface = "z_min"', "in 2D"),
        ('[analysis]\nface = "y_max"', "no voxel of pore lies at y_max"),
        ('[analysis]\nreach = { grain = "y_min" }', "only pore"),
        ('[analysis]\nparticle_labels = "none.tif"', "there is no file"),
        ('[phases.metal]\nlabel = 2\nrole = "barrier"', "no pixel of"),
    ],
)
def test_wrong_tables_are_refused_in_a_sentence(case, tmp_path, capsys, more, says):
    case.write_text(CASE + more)
    assert main(["analyze", str(case), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_areas_and_faces_are_found_once_in_whatever_order_the_case_asks(monkeypatch):
    found = []
    blurred = surface_faces.blurred_indicators
    monkeypatch.setattr(surface_faces, "blurred_indicators", lambda *of: found.append(of) or blurred(*of))
    tables = {
        "image": {"voxel_size": "50 nm"},
        "phases": {
            "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
            "sei": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
            "particle": {"label": 2, "role": "barrier"},
        },
        "analysis": {"measure": ["distances", "surfaces", "particles"]},
    }
    image = np.repeat(np.repeat(np.arange(48).reshape(6, 8) % 3, 5, 0), 5, 1).astype(np.uint8)
    ml.analyze(ml.case(tables, image=image))
    assert len(found) == len(surface_faces.WIDTHS)


@pytest.mark.parametrize(("there", "told"), [([4], 4), ([1], 1), ([0, 7], 7), ([2, 6], 2), ([], 4)])
def test_maps_are_of_the_section_nearest_the_middle_that_has_values(there, told):
    """A phase that the middle one misses had a map without it."""
    phase = np.zeros((5, 8, 6), np.uint8)
    phase[2, there, 3] = 1
    image = LabelImage(phase, ("a", "b"), (1e-6, 2e-6, 1e-6))
    found = section_map(image, "map", "height", lambda part: np.where(phase[part] == 1, 3e-6, np.nan), "height")
    assert found.heading == f"height, section at y = {2 * told + 1} µm"
    assert np.isfinite(found.values).any() == bool(there)
    assert found.phase.shape == found.values.shape == (5, 6)


def test_names_in_the_table_are_whole(capsys):
    """Keys of analysis.json that ended in dots could not be told from each other."""
    name = "particle_diameter_median_by_volume.a_phase_of_a_long_name"
    print_numbers("case", {name: Number(name, 1e-6, "m", "told")})
    lines = capsys.readouterr().out.splitlines()
    assert "".join(line.split("\u2502")[1].strip() for line in lines if line.count("\u2502") > 3) == name


def test_lines_of_many_phases_each_have_their_own_look(tmp_path, monkeypatch):
    """From the eighth phase on colours came again, and nothing told the lines apart."""
    figures = []
    monkeypatch.setattr("microlith.workflow.analysis.charts.save", lambda figure, *_: figures.append(figure))
    names = [f"p{i}" for i in range(20)]
    x = np.linspace(0, 1e-6, 5)
    columns = (Column("length", x, "m"), *(Column(name, x * i, "1") for i, name in enumerate(names)))
    lines = tuple(Line("table", "length", name, name) for name in names)
    table, panel = Table("table", "lengths", "distribution", columns), Panel("length", "share", lines)
    draw_chart(tmp_path / "chart.png", "case", Chart("chart", (panel,)), {"table": table})
    drawn = figures[0].axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 20
    assert [line.get_linestyle() for line in drawn[:7]] == ["-"] * 7


@pytest.mark.parametrize(("low", "high", "apart"), [(1 - 4e-8, 1 + 4e-8, False), (2.0, 2.0, False), (0.9, 1.1, True)])
def test_lines_that_are_level_are_drawn_so(tmp_path, monkeypatch, low, high, apart):
    """Rounding filled the height of a panel, whose axis had numbers such as 0.4 and said 1e-7+1 above."""
    figures = []
    monkeypatch.setattr("microlith.workflow.analysis.charts.save", lambda figure, *_: figures.append(figure))
    columns = (Column("depth", np.arange(4.0), "1"), Column("a", np.array([low, high, low, high]), "1"))
    line = Line("table", "depth", "a", "a")
    table, panel = Table("table", "ways", "profile", columns), Panel("depth", "tortuosity", (line,))
    draw_chart(tmp_path / "chart.png", "case", Chart("chart", (panel,)), {"table": table})
    bottom, top = figures[0].axes[0].get_ylim()
    assert bottom < low <= high < top
    assert (high - low > 0.5 * (top - bottom)) == apart
    assert top - bottom > 0.05


def test_a_map_of_one_value_has_its_colour(tmp_path, monkeypatch):
    """In the middle of the colours, between numbers that can be told apart."""
    figures = []
    monkeypatch.setattr("microlith.workflow.analysis.maps.save", lambda figure, *_: figures.append(figure))
    values = np.full((4, 6), 1.0)
    values[:, ::2] += 1e-7
    one = Map("map", "ways", values, np.zeros((4, 6), np.uint8), (1e-9, 1e-9), ("y", "x"), "tortuosity")
    draw_map(tmp_path / "map.png", "case", one, ["a"])
    assert figures[0].axes[0].images[-1].get_clim() == pytest.approx((0.9, 1.1))
