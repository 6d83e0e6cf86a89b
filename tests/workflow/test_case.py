"""What a good case file is understood as."""

import json
import math
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest
from case_files import CASE, RICH, SMALL, edited, write_case

from microlith.imaging.errors import InputError
from microlith.imaging.options import MeshOptions, PhaseLabels, RawLayout
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import Concentration, Constant, DiffusivityExpression, DiffusivityTable, Operation
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, Role
from microlith.solver.regions.shapes import (
    Ball,
    Box,
    LabelRegion,
    Polygon,
    Region,
    Shell,
    SurfaceOf,
    WholePhase,
    shape_of,
)
from microlith.workflow.case.case import Case
from microlith.workflow.case.describe import interpreted
from microlith.workflow.case.labels import in_ranges, label_texts
from microlith.workflow.case.read import load_case
from microlith.workflow.schema.units import (
    ALL,
    AREAL_AMOUNT,
    COMMON,
    CONCENTRATION,
    CURRENT_DENSITY,
    DIFFUSIVITY,
    FLUX,
    LENGTH,
    RATE,
    TIME,
    VELOCITY,
    Dimension,
    exponents_of,
    length_text,
    to_si,
    unit_of_pint,
)


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
    assert case.solver == SolverOptions("cg", max_solves=50, inner_tolerance=1e-8)
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


def test_regions_within_a_phase_are_kept_with_it(tmp_path: Path) -> None:
    text = CASE
    for start in ("box = ", "disk = ", "sphere = ", "polygon = ", "labels = ", "shell = "):
        text = text.replace(f"\n{start}", f'\nin_phase = "sei"\n{start}')
    case = load(tmp_path, text)
    limited = {name: shape for name, shape in case.regions.items() if name != "all"}
    assert all(isinstance(shape, Region) and shape.in_phase == "sei" for shape in limited.values())
    for shape in limited.values():
        assert shape_of(json.loads(json.dumps(shape.data()))) == shape
        assert shape.words(length_text).endswith(", only sei")
        assert shape.caption(length_text).endswith(", only sei")
    assert "in_phase" not in case.regions["all"].data()


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
    assert (sei.porosity, sei.initial, sei.decay, sei.effective_diffusivity) == (1.0, 0.0, 0.0, 1e-14)


def test_physics_of_every_kind_is_understood_in_si(tmp_path: Path) -> None:
    """The new keys to the exact objects; 1 nmol/cm^2 is 1e-5 mol/m^2."""
    physics = load(tmp_path, RICH).physics
    pore, electrolyte, silicon, graphite, film = physics.phases
    assert pore.concentration == Course((0.0, 10.0, 10.0, 60.0), (0.0, 1000.0, 500.0, 0.0), 120.0)
    assert pore.mass_transfer == Course((5.0, 20.0, 20.0), (0.0, 0.0, 1e-6)), "a step where the value changes"
    assert pore.connected_to == "y_max"
    assert electrolyte.diffusivity == 2e-10
    assert electrolyte.anisotropy == (1.0, 0.25)
    assert electrolyte.decay == pytest.approx(0.01, rel=1e-14)
    assert (electrolyte.effective_factor, electrolyte.effective_diffusivity) == (0.1, pytest.approx(2e-11, rel=1e-14))
    assert silicon.law == DiffusivityTable((0.0, 1000.0, 2000.0), (1e-16, 3e-15, 2e-15))
    assert (silicon.diffusivity, silicon.effective_factor) == (3e-15, 1.0)
    ratio = Operation("divide", (Concentration(), Constant(500.0)))
    tree = Operation("multiply", (Constant(1e-14), Operation("add", (Constant(1.0), ratio))))
    assert graphite.law == DiffusivityExpression(tree, "D0 * (1 + c / c0) with D0 = 1e-14 m^2/s, c0 = 500 mol/m^3")
    # c of graphite comes to 1000 mol/m^3 at most: half of silicon's 2000 is that of the electrolyte.
    assert graphite.diffusivity == pytest.approx(3e-14, rel=1e-14)
    assert (film.uptake, film.capacity) == (1e-6, 1e-5)
    assert physics.interfaces == (
        InterfaceLaw("electrolyte", "silicon", 2.0, 1e-6),
        InterfaceLaw("graphite", "electrolyte", 1.0, 1e-8, "10 nm with D 1e-16 m^2/s"),
        InterfaceLaw("silicon", "graphite", 0.5),
    )
    assert physics.faces == {
        "x_min": FaceCondition(1000.0, 1e-6, phases=("electrolyte", "silicon")),
        "x_max": FaceCondition(flux=Course((0.0, 3600.0), (-1e-6, 1e-6))),
        "y_min": FaceCondition(current_density=-10.0, phases=("graphite",)),
    }
    assert load(tmp_path, RICH).regions == {"skin": SurfaceOf("silicon", 0.25), "rind": SurfaceOf("film")}


@pytest.mark.parametrize(
    ("course", "understood"),
    [
        ('{ times = ["0 s"], values = ["2 M"] }', Course((0.0,), (2000.0,))),
        ('{ times = ["1 s", "2 s"], values = ["0 M", "1 M"], interpolation = "linear" }',
         Course((1.0, 2.0), (0.0, 1000.0))),
        ('{ times = ["0 s", "1 s", "2 s"], values = ["1 M", "0 M", "1 M"], interpolation = "step", period = "3 s" }',
         Course((0.0, 1.0, 1.0, 2.0, 2.0), (1000.0, 1000.0, 0.0, 0.0, 1000.0), 3.0)),
        ('{ times = ["0 s", "1 s", "2 s"], values = ["1 M", "1 M", "1 M"], interpolation = "step" }',
         Course((0.0,), (1000.0,))),
        ('{ times = ["0 s", "1 min"], values = ["1 M", "1 M"], period = "1 min" }',
         Course((0.0, 60.0), (1000.0, 1000.0), 60.0)),
    ],
)  # fmt: skip
def test_courses(tmp_path: Path, course: str, understood: Course) -> None:
    assert load(tmp_path, edited('"1 M"', course, SMALL)).physics.phases[0].concentration == understood


def test_steps_hold_until_the_next(tmp_path: Path) -> None:
    """Charge, rest, discharge: what the course is at any time, not just its knots."""
    text = (
        '{ times = ["0 s", "10 s", "15 s"], values = ["1 M", "0 M", "3 M"], interpolation = "step", period = "20 s" }'
    )
    course = load(tmp_path, edited('"1 M"', text, SMALL)).physics.phases[0].concentration
    assert isinstance(course, Course)
    times = [0.0, 9.9, 10.0, 14.9, 15.0, 19.9, 20.0, 30.0, 35.0]
    assert course.after(times).tolist() == [1000, 1000, 0, 0, 3000, 3000, 1000, 0, 3000]


def test_what_may_drive_a_case(tmp_path: Path) -> None:
    """Fluxes alone, or what is there at the start and decays or moves: to a sink, a phase, or over an interface."""
    closed = edited('role = "source"\nconcentration = "1 M"', 'role = "barrier"', SMALL)
    assert load(tmp_path, closed + '[faces.x_min]\nflux = "1e-6 mol/m^2/s"\n').physics.reference_concentration == 0
    assert load(tmp_path, closed + '[faces.x_min]\ncurrent_density = "1 A/m^2"\n').physics.faces
    filled = closed.replace('"1e-14 m^2/s"', '"1e-14 m^2/s"\ninitial = "1 M"')
    sink = '[phases.a]\nlabel = 2\nrole = "sink"\nuptake = "1 m/s"\n'
    assert load(tmp_path, filled + sink).physics.reference_concentration == 1000.0
    other = '[phases.b]\nlabel = 3\nrole = "transport"\ndiffusivity = "1 m^2/s"\n'
    assert load(tmp_path, filled + other).physics.reference_concentration == 1000.0
    decay = 'decay = "1e-3 1/s"\n'
    assert load(tmp_path, filled + other + decay).physics.phases[2].decay == 1e-3
    level = other + 'initial = "1 M"\n[[interfaces]]\nbetween = ["sei", "b"]\npartition = 3.0\n'
    assert load(tmp_path, filled + level).physics.interfaces[0].partition == 3.0
    for nothing in (closed, filled, filled + other + 'initial = "1 M"\n', closed + other + decay):
        with pytest.raises(InputError, match="nothing feeds"):
            load(tmp_path, nothing)


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
        ("0.01 1/s", RATE, 0.01),
        ("0.6 1 / min", RATE, 0.01),
        ("36 h^-1", RATE, 0.01),
        ("2 mol/m3", CONCENTRATION, 2.0),
        ("3.01e-10 cm^2/s", DIFFUSIVITY, 3.01e-14),
        ("3.01e-10 cm²/s", DIFFUSIVITY, 3.01e-14),
        ("3.01e-10 cm2/s", DIFFUSIVITY, 3.01e-14),
        ("3.01e-14 m2 s-1", DIFFUSIVITY, 3.01e-14),
        ("1 mol m-3", CONCENTRATION, 1.0),
        ("7 m² s⁻¹", DIFFUSIVITY, 7.0),
        ("7 m**2/s", DIFFUSIVITY, 7.0),
        ("1 um/s", VELOCITY, 1e-6),
        ("1.5 h", TIME, 5400.0),
        ("2 min", TIME, 120.0),
        ("250 ms", TIME, 0.25),
        ("2 days", TIME, 172800.0),
        ("1 mA/cm^2", CURRENT_DENSITY, 10.0),
        ("1 A/m2", CURRENT_DENSITY, 1.0),
        ("2 umol/m^2/s", FLUX, 2e-6),
        ("2 mol/(m^2 s)", FLUX, 2.0),
        ("3 nmol/cm^2", AREAL_AMOUNT, 3e-5),
    ],
)
def test_units(text: str, dimension: object, expected: float) -> None:
    assert to_si(text, dimension) == expected  # type: ignore[arg-type]  # to the last digit: products are decimal


@pytest.mark.parametrize("unit", COMMON)
def test_common_units_are_what_pint_says(unit: str) -> None:
    """These are known without it."""
    factor, dimension = COMMON[unit]
    said = unit_of_pint(unit)
    assert Decimal(factor) == said.factor
    assert exponents_of(dimension) == said.exponents
    assert dimension.formula.replace(" ** ", "^") == said.words


@pytest.mark.parametrize("dimension", ALL)
def test_dimensions_are_those_of_their_si_units(dimension: Dimension) -> None:
    assert exponents_of(dimension) == unit_of_pint(dimension.si).exponents


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


def test_ranges_and_the_rest(tmp_path: Path) -> None:
    text = edited("label = 0", 'label = [0, "100-180", "-5 - -2"]', edited("label = 1", 'label = "rest"', SMALL))
    pore, sei = load(tmp_path, text).labels[:2]
    assert (pore.labels, pore.ranges, pore.rest) == ((0,), ((100, 180), (-5, -2)), False)
    assert (sei.labels, sei.ranges, sei.rest) == ((), (), True)
    assert label_texts(pore) == [0, "100-180", "-5--2"]
    assert label_texts(sei) == ["rest"]
    assert pore.any
    assert sei.any


def test_labels_that_follow_each_other_are_shown_as_ranges() -> None:
    labels = PhaseLabels("a", (1, 2, 3, 4, 7, 8, (1, 2, 3)), ((20, 30),))
    assert label_texts(in_ranges(labels)) == ["#010203", 7, 8, "20-30", "1-4"]


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
    physics = load(tmp_path, RICH)
    data |= json.loads(json.dumps(interpreted(physics), allow_nan=False))
    assert data["phases"]["pore"] == {
        "labels": [0],
        "role": "source",
        "concentration_mol_per_m3": {
            "times_s": [0, 10, 10, 60], "values": [0, 1000, 500, 0], "period_s": 120
        },
        "mass_transfer_m_per_s": {"times_s": [5, 20, 20], "values": [0, 0, 1e-6], "period_s": None},
        "connected_to": "y_max",
    }  # fmt: skip
    assert data["phases"]["electrolyte"]["effective_diffusivity_along_m2_per_s"] == pytest.approx(
        {"x": 2e-11, "y": 5e-12}, rel=1e-14
    )
    assert data["phases"]["silicon"]["diffusivity_law"]["values_m2_per_s"] == [1e-16, 3e-15, 2e-15]
    assert data["phases"]["graphite"]["diffusivity_law"]["expression"].startswith("D0 * (1 + c / c0) with D0 = 1e-14")
    assert data["phases"]["film"]["capacity_mol_per_m2"] == 1e-5
    assert data["interfaces"][1] == {
        "between": ["graphite", "electrolyte"],
        "partition": 1.0,
        "exchange_m_per_s": 1e-8,
        "film": "10 nm with D 1e-16 m^2/s",
    }
    assert data["faces"]["y_min"] == {"current_density_a_per_m2": -10.0, "phases": ["graphite"]}
    assert data["regions"]["skin"] == {"kind": "surface", "phase": "silicon", "threshold": 0.25}
    for part, options in (("mesh", case.mesh), ("time", case.time), ("solver", case.solver), ("image", case.image)):
        missing = [f.name for f in fields(options) if not any(key.startswith(f.name) for key in data[part])]
        assert missing in ([], ["path", "folder", "held"], ["coarseness", "subdivided"]), (
            f"{part} of summary.json lacks {missing}"
        )


@pytest.mark.parametrize(
    ("metres", "text"),
    [(1.25e-8, "12.5 nm"), (2e-7, "200 nm"), (1e-6, "1 µm"), (9.99e-4, "999 µm"), (0.02, "20 mm"), (-3e-6, "-3 µm"),
     (0.0, "0 m"), (2e-10, "0.2 nm"), (3.0, "3 m")],
)  # fmt: skip
def test_lengths_for_people(metres: float, text: str) -> None:
    assert length_text(metres) == text
    assert math.isclose(to_si(text, LENGTH), metres, rel_tol=1e-5)
