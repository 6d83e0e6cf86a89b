"""What a good case file is understood as."""

import math
from dataclasses import fields
from pathlib import Path

import pytest
from case_files import CASE, SMALL, edited, write_case

from microlith.meshing.spec import MeshOptions, PhaseLabels, RawLayout
from microlith.solver.spec import (
    Ball,
    Box,
    FaceCondition,
    LabelRegion,
    Polygon,
    Role,
    Shell,
    SolverOptions,
    TimeSpan,
    WholePhase,
)
from microlith.workflow.case import Case
from microlith.workflow.casefile import load_case
from microlith.workflow.table import interpreted
from microlith.workflow.units import CONCENTRATION, DIFFUSIVITY, LENGTH, TIME, VELOCITY, length_text, to_si


def load(folder: Path, text: str = CASE) -> Case:
    return load_case(write_case(folder, text))


def test_every_table_is_understood_in_si(tmp_path: Path) -> None:
    case = load(tmp_path)
    assert case.title == "Test case"
    assert case.path == tmp_path / "case.toml"
    assert case.image.path == str(tmp_path / "image.tif")
    assert case.image.voxel_size == (1.25e-8,)
    pore, sei, grain, metal = case.physics.phases
    assert [p.name for p in case.physics.phases] == ["pore", "sei", "grain", "metal"]
    assert (pore.role, pore.concentration, pore.mass_transfer) == (Role.SOURCE, 1000.0, 1e-3)
    assert (sei.role, sei.diffusivity, sei.porosity, sei.initial) == (Role.TRANSPORT, 3.01e-14, 0.64, 0.0)
    assert sei.effective_diffusivity == pytest.approx(3.01e-14 * 0.64**1.5, rel=1e-14, abs=0)
    assert (grain.role, metal.role, metal.uptake) == (Role.BARRIER, Role.SINK, 1e-6)
    assert [p.labels for p in case.labels] == [(0,), (1,), (2,), (3,)]
    assert case.mesh == MeshOptions("auto", {"grain": 2.5e-8}, 2e-7, 0.3, 2, 1e-8)
    assert case.degree == 3
    assert case.time == TimeSpan(100.0, 1e-4, (0.0, 2.0, 100.0), (1.0, 60.0))
    assert case.solver == SolverOptions("cg", 50, 1e-8)
    assert case.physics.faces == {"x_min": FaceCondition(500.0, 1e-6)}
    assert case.regions == {
        "I": Box({"x": (2e-7, 6e-7), "y": (-1e-6, 1.4e-6)}),
        "rim": Shell("grain", 1e-7),
        "spot": Ball((1e-6, 2e-6), 3e-7),
        "ball": Ball((1e-6, 2e-6, 3e-6), 3e-7),
        "triangle": Polygon(((0.0, 0.0), (1e-6, 0.0), (0.0, 1e-6))),
        "all": WholePhase("sei"),
        "drawn": LabelRegion(str(tmp_path / "image.tif"), 2),
    }


def test_defaults_are_those_of_the_data_classes(tmp_path: Path) -> None:
    case = load(tmp_path, SMALL)
    assert case.mesh == MeshOptions()
    assert case.solver == SolverOptions()
    assert case.time == TimeSpan(3600.0, snapshots=(0.0, 72.0, 360.0, 3600.0))
    assert case.degree is None
    assert case.title == "case"
    assert case.image.voxel_size is None
    assert case.regions == {"sei": WholePhase("sei")}, "without regions each transport phase is one"
    sei = case.physics.phases[1]
    assert (sei.porosity, sei.initial, sei.effective_diffusivity) == (1.0, 0.0, 1e-14)


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("12.5 nm", LENGTH, 1.25e-8),
        ("12.5nm", LENGTH, 1.25e-8),
        ("3 um", LENGTH, 3e-6),
        ("3 \u00b5m", LENGTH, 3e-6),  # micro sign
        ("3 \u03bcm", LENGTH, 3e-6),  # Greek letter
        ("5 Å", LENGTH, 5e-10),
        ("+.5e1 mm", LENGTH, 5e-3),
        ("-2 um", LENGTH, -2e-6),
        ("1 mol/L", CONCENTRATION, 1000.0),
        ("1 mol/l", CONCENTRATION, 1000.0),
        ("1 M", CONCENTRATION, 1000.0),
        ("2 mM", CONCENTRATION, 2.0),
        ("2 mol/m^3", CONCENTRATION, 2.0),
        ("2 mol/m³", CONCENTRATION, 2.0),
        ("2 mol m^-3", CONCENTRATION, 2.0),
        ("2 mol/m3", CONCENTRATION, 2.0),
        ("3.01e-10 cm^2/s", DIFFUSIVITY, 3.01e-14),
        ("3.01e-10 cm²/s", DIFFUSIVITY, 3.01e-14),
        ("3.01e-10 cm2/s", DIFFUSIVITY, 3.01e-14),
        ("7 m² s⁻¹", DIFFUSIVITY, 7.0),
        ("7 m**2/s", DIFFUSIVITY, 7.0),
        ("1 um/s", VELOCITY, 1e-6),
        ("1.5 h", TIME, 5400.0),
        ("2 min", TIME, 120.0),
        ("250 ms", TIME, 0.25),
        ("2 days", TIME, 172800.0),
    ],
)
def test_units(text: str, dimension: object, expected: float) -> None:
    assert to_si(text, dimension) == expected  # type: ignore[arg-type]  # to the last digit: products are decimal


@pytest.mark.parametrize(
    ("effective", "factor", "words"),
    [
        ('"none"', 1.0, "none"),
        ('"bruggeman"', 0.64**1.5, "bruggeman, exponent 1.5"),
        ('"maxwell"', 2 * 0.64 / (3 - 0.64), "maxwell"),
        ("{ bruggeman = 1.8 }", 0.64**1.8, "bruggeman, exponent 1.8"),
        ('{ model = "bruggeman", exponent = 2 }', 0.64**2, "bruggeman, exponent 2"),
        ('{ model = "bruggeman" }', 0.64**1.5, "bruggeman, exponent 1.5"),
        ('{ model = "maxwell" }', 2 * 0.64 / (3 - 0.64), "maxwell"),
        ("{ tortuosity = 2.1 }", 0.64 / 2.1, "tortuosity 2.1"),
    ],
)
def test_effective_diffusivity(tmp_path: Path, effective: str, factor: float, words: str) -> None:
    phase = load(tmp_path, edited('effective = "bruggeman"', f"effective = {effective}")).physics.phases[1]
    assert phase.effective_diffusivity is not None
    assert phase.effective_diffusivity / 3.01e-14 == pytest.approx(factor, rel=1e-14)
    assert phase.effective_model == words


def test_left_out_effective_model_is_none_whatever_the_porosity(tmp_path: Path) -> None:
    phase = load(tmp_path, edited('effective = "bruggeman"\n', "")).physics.phases[1]
    assert phase.effective_diffusivity == 3.01e-14


@pytest.mark.parametrize(
    ("labels", "understood"),
    [
        (("0", "1"), ((0,), (1,))),
        (("[0, 5]", "-1"), ((0, 5), (-1,))),
        (('"#ff8800"', '["#0000FF", { rgb = [1, 2, 3] }]'), (((255, 136, 0),), ((0, 0, 255), (1, 2, 3)))),
        # Three numbers are what the other phases say, where they say it:
        (("[0, 1, 2]", "3"), ((0, 1, 2), (3,))),
        (("[0, 1, 2]", '"#ff8800"'), (((0, 1, 2),), ((255, 136, 0),))),
        # else colours where they can't be labels, and open where they can be both:
        (("[255, 0, 0]", "[0, 0, 255]"), (((255, 0, 0),), ((0, 0, 255),))),
        (("[1, 2, 3]", "[4, 5, 6]"), ((1, 2, 3), (4, 5, 6))),
    ],
)
def test_labels_and_colours(tmp_path: Path, labels: tuple[str, str], understood: tuple[object, object]) -> None:
    text = edited("label = 0", f"label = {labels[0]}", edited("label = 1", f"label = {labels[1]}", SMALL))
    assert tuple(phase.labels for phase in load(tmp_path, text).labels) == understood


def test_open_numbers_become_a_colour_in_a_colour_image() -> None:
    assert PhaseLabels("a", (1, 2, 3)).for_colour_image() == ((1, 2, 3),)
    assert PhaseLabels("a", (1, 2, 256)).for_colour_image() == (1, 2, 256)
    assert PhaseLabels("a", (1, 2)).for_colour_image() == (1, 2)
    assert PhaseLabels("a", ((9, 9, 9), (1, 2, 3), (4, 5, 6))).for_colour_image() == ((9, 9, 9), (1, 2, 3), (4, 5, 6))


def test_image_options(tmp_path: Path) -> None:
    options = """voxel_size = { x = "20 nm", y = "10 nm", z = "40 nm" }
crop = { x = [0, 400], z = [2, 3] }
coarsen = 2
raw = { shape = [3, 640, 400], dtype = "<u2", offset = 16 }"""
    image = load(tmp_path, edited('voxel_size = "12.5 nm"', options)).image
    assert image.voxel_size == (4e-8, 1e-8, 2e-8), "array order: z, y, x"
    assert image.crop == {"x": (0, 400), "z": (2, 3)}
    assert image.coarsen == 2
    assert image.raw == RawLayout((3, 640, 400), "<u2", 16)


@pytest.mark.parametrize("name", ["slices", "slices/*.png", "slices/s?.png", "volume.h5:/exchange/data"])
def test_image_may_be_a_folder_a_glob_or_a_dataset(tmp_path: Path, name: str) -> None:
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "s1.png").touch()
    (tmp_path / "volume.h5").touch()
    assert load(tmp_path, edited('file = "image.tif"', f'file = "{name}"')).image.path == str(tmp_path / name)


def test_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.tif").touch()
    assert load(tmp_path, edited('file = "image.tif"', 'file = "~/a.tif"')).image.path == str(tmp_path / "home/a.tif")


def test_relative_case_path_gives_absolute_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_case(tmp_path)
    monkeypatch.chdir(tmp_path)
    case = load_case(Path("case.toml"))
    assert case.image.path == str(tmp_path / "image.tif")
    assert case.path.is_absolute()


def test_closed_polygon_and_labels_without_label(tmp_path: Path) -> None:
    text = edited('["0 um", "1 um"]]', '["0 um", "1 um"], ["0 um", "0 um"]]', edited("label = 2\n\n[faces", "\n[faces"))
    regions = load(tmp_path, text).regions
    assert regions["triangle"] == Polygon(((0.0, 0.0), (1e-6, 0.0), (0.0, 1e-6)))
    assert regions["drawn"] == LabelRegion(str(tmp_path / "image.tif"), None)


def test_snapshots_are_put_in_order(tmp_path: Path) -> None:
    text = edited('["0 s", "2 s", "100 s"]', '["100 s", "2 s", "0 s", "2 s"]')
    assert load(tmp_path, text).time.snapshots == (0.0, 2.0, 100.0)


def test_interpreted_case_is_json_with_units_and_leaves_nothing_out(tmp_path: Path) -> None:
    import json

    colours = load(
        tmp_path, edited("label = 0", 'label = ["#ff0801", "#000000"]', edited("label = 1", 'label = "#123456"', SMALL))
    )
    assert interpreted(colours)["phases"]["pore"]["labels"] == ["#ff0801", "#000000"]
    case = load(tmp_path)
    data = json.loads(json.dumps(interpreted(case), allow_nan=False))
    assert data["image"]["voxel_size_m"] == [1.25e-8]
    assert data["phases"]["sei"]["effective_diffusivity_m2_per_s"] == case.physics.phases[1].effective_diffusivity
    assert data["phases"]["metal"] == {"labels": [3], "role": "sink", "uptake_m_per_s": 1e-6}
    assert data["regions"]["rim"] == {"kind": "shell", "around": "grain", "distance_m": 1e-7}
    assert data["regions"]["ball"]["kind"] == "sphere"
    assert data["faces"]["x_min"] == {"concentration_mol_per_m3": 500.0, "mass_transfer_m_per_s": 1e-6}
    for part, options in (("mesh", case.mesh), ("time", case.time), ("solver", case.solver), ("image", case.image)):
        missing = [f.name for f in fields(options) if not any(key.startswith(f.name) for key in data[part])]
        assert missing in ([], ["path"], ["coarseness"]), f"{part} of summary.json lacks {missing}"


@pytest.mark.parametrize(
    ("metres", "text"),
    [(1.25e-8, "12.5 nm"), (2e-7, "200 nm"), (1e-6, "1 µm"), (9.99e-4, "999 µm"), (0.02, "20 mm"), (-3e-6, "-3 µm"),
     (0.0, "0 m"), (2e-10, "0.2 nm"), (3.0, "3 m")],
)  # fmt: skip
def test_lengths_for_people(metres: float, text: str) -> None:
    assert length_text(metres) == text
    assert math.isclose(to_si(text, LENGTH), metres, rel_tol=1e-5)
