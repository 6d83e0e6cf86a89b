"""microlith compare: numbers and their changes, what exceeds error bars, and one page that needs nothing else."""

import base64
import itertools
import json
import re
import shutil

import numpy as np
import pytest
from made_cases import electrode, run_case, table_rows, write_case
from matplotlib.figure import Figure

from microlith.imaging.errors import InputError
from microlith.workflow.cli import main
from microlith.workflow.comparison.comparison import Comparison, compared
from microlith.workflow.comparison.sources import Curve, State
from microlith.workflow.comparison.write import _draw_panel
from microlith.workflow.measurements.findings import Number


def rows(folder):
    return {row["name"]: row for row in table_rows(folder / "comparison.csv")}


@pytest.fixture(scope="module")
def analyses(tmp_path_factory):
    """Analyses of an image, of the same with less pore, and of that with other pixels."""
    folder = tmp_path_factory.mktemp("analyses")
    less = electrode()
    less[:, 3:5] = 1
    for name, image, voxel in (("before", electrode(), "10 nm"), ("after", less, "10 nm"), ("other", less, "12 nm")):
        case = write_case(folder / name, image, voxel, more='[analysis]\nmeasure = ["volume_fractions", "particles"]\n')
        assert main(["-q", "analyze", str(case), "-o", str(folder / f"{name}-analysis")]) == 0
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and the same with a t50 that is later than both errors and curves that are higher."""
    folder = tmp_path_factory.mktemp("runs")
    first = run_case(write_case(folder / "case"), folder / "first")
    shutil.copytree(first, folder / "second")
    summary = json.loads((first / "summary.json").read_text())
    left = summary["regions"]["left"]
    left["t50_s"] += 3.0 * left["t50_error_s"]
    left["final"] += 0.5 * left["final_error"]
    (folder / "second" / "summary.json").write_text(json.dumps(summary))
    return folder


def test_numbers_of_analyses(analyses, tmp_path, capsys):
    first, second = analyses / "before-analysis", analyses / "after-analysis"
    assert main(["compare", f"a={first}", f"b={second}", "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    pore = found["volume_fraction.pore"]
    assert float(pore["a"]) == pytest.approx(5 / 60)
    assert float(pore["b"]) == pytest.approx(3 / 60)
    assert float(pore["b change"]) == pytest.approx(-0.4)
    assert float(found["volume_fraction.particle"]["b change"]) == 0.0
    assert found["particle_diameter_mean.particle"]["unit"] == "m"
    printed = capsys.readouterr().out
    assert re.search(r"volume_fraction\.pore\W+0\.08333\W+0\.05 \(−40\.0 %\)", printed)


def test_numbers_lie_between_what_they_can_be(analyses, tmp_path):
    """Errors that reach beyond it made negative volume fractions."""
    summary = json.loads((analyses / "before-analysis" / "analysis.json").read_text())
    put = {
        "volume_fraction.pore": (0.02, 0.05, (0.0, 0.07)),
        "volume_fraction.particle": (0.9, 0.2, (0.7, 1.0)),
        "particle_diameter_mean.particle": (1e-8, 3e-8, (0.0, 4e-8)),
        "particle_roughness.particle": (1.1, 0.3, (1.0, 1.4)),
        "particle_sphericity.particle": (0.5, 0.1, (0.4, 0.6)),
    }
    for name, (value, error, _) in put.items():
        entry = summary["numbers"]["volume_fraction.pore"] | {"value": value, "error": error}
        summary["numbers"][name] = entry
    for name in ("a", "b"):
        shutil.copytree(analyses / "before-analysis", tmp_path / name)
        (tmp_path / name / "analysis.json").write_text(json.dumps(summary))
    states = [f"{name}={tmp_path / name}" for name in ("a", "b")]
    assert main(["-q", "compare", *states, "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    for name, (_, error, between) in put.items():
        low, high = (float(found[name][f"a {end}"]) for end in ("low", "high"))
        assert (low, high) == pytest.approx(between)
        assert float(found[name]["a error"]) == pytest.approx(error)


def test_the_reference_is_chosen(analyses, tmp_path):
    first, second = analyses / "before-analysis", analyses / "after-analysis"
    names = [f"a={first}", f"b={second}"]
    assert main(["-q", "compare", *names, "--reference", "b", "-o", str(tmp_path / "c")]) == 0
    assert float(rows(tmp_path / "c")["volume_fraction.pore"]["a change"]) == pytest.approx(2 / 3)


def test_lengths_are_drawn_in_units_that_people_read(analyses, tmp_path):
    """Axes in metres would have numbers such as 1e-8, or an offset for all of them."""
    first, second = analyses / "before-analysis", analyses / "after-analysis"
    assert main(["-q", "compare", str(first), str(second), "-o", str(tmp_path / "c")]) == 0
    page = (tmp_path / "c" / "comparison.html").read_text(encoding="utf-8")
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    (along,) = [chart for chart in charts if chart["title"] == "volume-fractions-x: pore"]
    assert along["x_label"] == "x (nm)"
    places = [1e9 * float(row["x"]) for row in table_rows(first / "volume-fractions-x.csv")]
    assert along["series"][0]["x"] == pytest.approx(places)


def test_what_exceeds_the_errors_of_runs(runs, tmp_path):
    assert main(["-q", "compare", str(runs / "first"), str(runs / "second"), "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    assert found["left: t50"]["second exceeds"] == "yes"
    assert found["left: last mean concentration"]["second exceeds"] == "no"
    assert found["deep: last mean concentration"]["second change"] == "0"
    assert float(found["left: t50"]["first error"]) > 0.0


def test_the_page_needs_nothing_else(runs, analyses, tmp_path):
    """Pictures are in it, numbers that differ in bold; a state of two folders has the numbers of both."""
    first = [f"x & y={runs / 'first'}", f"x & y={analyses / 'before-analysis'}"]
    second = [f"z={runs / 'second'}", f"z={analyses / 'after-analysis'}"]
    assert main(["-q", "compare", *first, *second, "-o", str(tmp_path / "c")]) == 0
    page = (tmp_path / "c" / "comparison.html").read_text(encoding="utf-8")
    assert "x &amp; y" in page
    assert "(−40.0 %)" in page
    assert re.search(r'left: t50, s</td><td>[\d.]+ ± [\d.e−]+</td><td class="exceeds">', page)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    pictures = {base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)}
    assert pictures == {path.read_bytes() for path in (tmp_path / "c").glob("*.png")}
    assert {"concentration.png", "volume-fractions-x.png"} <= {path.name for path in (tmp_path / "c").iterdir()}


def test_effective_diffusivities(tmp_path):
    """Of a file that `deff` wrote, and of a folder."""
    (tmp_path / "b").mkdir()
    for name, value in (("a.json", 0.2), ("b/deff.json", 0.15)):
        along = {"relative_effective_diffusivity": value, "tortuosity_factor": None}
        entries = {"phase": "sei", "volume_fraction": 0.5, "axes": {"x": along}}
        (tmp_path / name).write_text(json.dumps(entries))
    assert main(["-q", "compare", str(tmp_path / "a.json"), str(tmp_path / "b"), "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    assert float(found["sei: D_eff / D_phase along x"]["b change"]) == pytest.approx(-0.25)
    assert found["sei: D_eff / D_phase along x"]["b exceeds"] == ""
    assert len(found) == 2


def deff_file(path, relative, lower=None, half=(None, None), axis="x", fractions=(None, None), off=0.0, **more):
    """A file as `deff` writes it, of a phase with D_phase = 2e-10 m^2/s that is half of the box."""
    name = "relative_effective_diffusivity"
    along = {
        name: relative,
        f"{name}_at_least": lower,
        f"{name}_half_a_voxel_smaller": half[0],
        f"{name}_half_a_voxel_larger": half[1],
        "effective_diffusivity_m2_per_s": 2e-10 * relative,
        "tortuosity_factor": 0.5 / relative,
        "tortuosity": (0.5 / relative) ** 0.5,
        "macmullin_number": 1 / relative,
        "flux_disagreement": off,
    }
    entries = {
        "phase": "sei",
        "volume_fraction": 0.5,
        "volume_fraction_half_a_voxel_smaller": fractions[0],
        "volume_fraction_half_a_voxel_larger": fractions[1],
        "phase_diffusivity_m2_per_s": 2e-10,
        "axes": {axis: along},
    }
    path.write_text(json.dumps(entries | more))
    return path


def told(found, number, state):
    """What a number of sei along x lies between, and whether it differs."""
    row = found[f"sei: {number} along x"]
    return float(row[f"{state} low"]), float(row[f"{state} high"]), row.get(f"{state} exceeds")


def test_bounds_are_errors_on_one_side(tmp_path):
    """Largest distances, taken as errors on both sides, would say "no" of state b: 0.03 < 0.02 + 0.02."""
    states = {"a": (0.20, 0.18), "b": (0.17, 0.15), "c": (0.19, 0.15), "d": (0.23, 0.19), "e": (0.23, 0.21)}
    files = [str(deff_file(tmp_path / f"{name}.json", *bounds)) for name, bounds in states.items()]
    named = [f"{name}={file}" for name, file in zip(states, files, strict=True)]
    assert main(["-q", "compare", *named, "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    for number in ("D_eff / D_phase", "D_eff", "tortuosity factor", "tortuosity", "MacMullin number"):
        exceeds = [told(found, number, state)[2] for state in states]
        assert exceeds == [None, "yes", "no", "no", "yes"], number
    assert told(found, "D_eff / D_phase", "b")[:2] == pytest.approx((0.15, 0.17), rel=1e-6)
    assert told(found, "D_eff", "b")[:2] == pytest.approx((0.30e-10, 0.34e-10), rel=1e-6, abs=0)
    assert told(found, "tortuosity factor", "b")[:2] == pytest.approx((0.5 / 0.17, 0.5 / 0.15), rel=1e-6)
    assert told(found, "tortuosity", "b")[:2] == pytest.approx(((0.5 / 0.17) ** 0.5, (0.5 / 0.15) ** 0.5), rel=1e-6)
    assert told(found, "MacMullin number", "b")[:2] == pytest.approx((1 / 0.17, 1 / 0.15), rel=1e-6)
    assert "0.17 [0.15, 0.17] (−15.0 %)" in (tmp_path / "c" / "comparison.html").read_text(encoding="utf-8")
    assert (tmp_path / "c" / "effective-diffusivity.png").is_file()


def test_rounding_is_no_difference(tmp_path):
    """Where the bounds meet, as in straight channels, what the solver leaves open is the error.

    Fluxes that disagree by more do not count then: they are differences of almost equal numbers.
    """
    for name, value in (("a", 0.25), ("b", 0.25 * (1 + 1e-10))):
        deff_file(tmp_path / f"{name}.json", value, value * (1 + 1e-11), off=3.0)
    files = [f"{name}={tmp_path / name}.json" for name in "ab"]
    assert main(["-q", "compare", *files, "-o", str(tmp_path / "c")]) == 0
    low, high, exceeds = told(rows(tmp_path / "c"), "D_eff / D_phase", "b")
    assert exceeds == "no"
    assert (low, high) == pytest.approx((0.25, 0.25), rel=1e-7)


def test_half_a_voxel_is_in_the_error(tmp_path):
    """A straight channel of four voxels, three or five wide: fraction and D_eff change, tortuosity does not."""
    for name, width in (("a", 4), ("b", 6)):
        image = np.full((12, 8), 2)
        image[0] = 0
        image[3 : 3 + width] = 1
        case = write_case(tmp_path / name, image)
        asked = ["-q", "deff", str(case), "--phase", "sei", "--axis", "x", "--half-voxel"]
        assert main([*asked, "-o", str(tmp_path / f"{name}-deff")]) == 0
    states = [f"{name}={tmp_path / name}-deff" for name in "ab"]
    assert main(["-q", "compare", *states, "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    assert told(found, "D_eff / D_phase", "a")[:2] == pytest.approx((3 / 12, 5 / 12), rel=1e-6)
    assert told(found, "MacMullin number", "a")[:2] == pytest.approx((12 / 5, 12 / 3), rel=1e-6)
    assert told(found, "tortuosity factor", "a")[:2] == pytest.approx((1, 1), rel=1e-6)
    share = found["sei: volume fraction (deff)"]
    assert [float(share["a low"]), float(share["a high"])] == pytest.approx([3 / 12, 5 / 12], rel=1e-6)
    assert told(found, "D_eff / D_phase", "b")[2] == "no"  # 5 to 7 voxels of 12 and 3 to 5


def test_what_half_a_voxel_closes_has_no_upper_end(tmp_path):
    """And the gap between the bounds counts for the smaller shape, too; without its fraction nothing is said of tau."""
    deff_file(tmp_path / "a.json", 0.2, 0.18, (0.1, 0.3), fractions=(0.4, 0.6))
    deff_file(tmp_path / "b.json", 0.1, 0.09, (0.0, 0.2), fractions=(0.4, 0.6))
    deff_file(tmp_path / "old.json", 0.2, 0.18, (0.1, 0.3))
    files = [f"{name}={tmp_path / name}.json" for name in ("a", "b", "old")]
    assert main(["-q", "compare", *files, "-o", str(tmp_path / "c")]) == 0
    found = rows(tmp_path / "c")
    assert told(found, "D_eff / D_phase", "a")[:2] == pytest.approx((0.09, 0.3), rel=1e-6)
    assert told(found, "tortuosity factor", "a")[:2] == pytest.approx((0.6 / 0.3, 0.4 / 0.09), rel=1e-6)
    assert told(found, "tortuosity factor", "b")[:2] == pytest.approx((0.6 / 0.2, np.inf), rel=1e-6)
    assert told(found, "tortuosity factor", "b")[2] == "no"
    assert told(found, "MacMullin number", "b")[1] == np.inf
    assert "∞]" in (tmp_path / "c" / "comparison.html").read_text(encoding="utf-8")
    assert found["sei: tortuosity factor along x"]["old error"] == ""


def test_diffusivities_found_in_other_ways_are_told(tmp_path, capsys):
    """Not where they were found in the same way; a state may have another way along each axis."""
    made = {"a": ("lattice", 0.18), "b": ("voxel", 0.18), "c": ("lattice", None)}
    for name, (method, lower) in made.items():
        deff_file(tmp_path / f"{name}.json", 0.2, lower, mesh={"method": method})
        deff_file(tmp_path / f"{name}-y.json", 0.2, 0.18, axis="y", fractions=(0.4, 0.6), half=(0.1, 0.3))
    states = [f"{name}[red]={tmp_path / name}{end}.json" for name in made for end in ("", "-y")]
    assert main(["compare", *states, "-o", str(tmp_path / "c")]) == 0
    printed = capsys.readouterr()
    assert "a[red]: lattice mesh, sides sealed, error of elements; b[red]: voxel mesh, sides sealed" in printed.err
    assert "c[red]: lattice mesh, sides sealed, error not known" in printed.err
    assert "along y" not in printed.err
    assert "changes against a[red]" in printed.out
    assert float(rows(tmp_path / "c")["sei: volume fraction (deff)"]["a[red] high"]) == pytest.approx(0.6)


def test_runs_of_other_times_and_concentrations_are_told(runs, tmp_path, capsys):
    """Last concentrations at other times, and half-times of another concentration; runs that share both: nothing."""
    later = tmp_path / "later"
    shutil.copytree(runs / "first", later)
    summary = json.loads((later / "summary.json").read_text())
    summary["error"]["reference_concentration_mol_per_m3"] *= 2.0
    (later / "summary.json").write_text(json.dumps(summary))
    for name in ("curves.csv", "errors.csv"):
        *lines, last = (later / name).read_text().splitlines()
        (later / name).write_text("\n".join([*lines, "1e15" + last[last.index(",") :], ""]))
    states = [f"{name}={runs / name}" for name in ("first", "second")]
    assert main(["compare", *states, "-o", str(tmp_path / "c")]) == 0
    assert "same way" not in capsys.readouterr().err
    assert main(["compare", *states, f"later={later}", "-o", str(tmp_path / "d")]) == 0
    told = capsys.readouterr().err
    assert re.search(r"last mean concentration: not .* \(first, second: at [\d.]+ s; later: at 1e\+15 s\)", told)
    assert re.search(r"t50 and t90: .* \(first, second: times of 50 and 90 % of 1000 mol/m³; later: .* 2000 m", told)


def test_the_same_results_twice_are_told(runs, tmp_path, capsys):
    (tmp_path / "link").symlink_to(runs / "first")
    states = [f"a={runs / 'first'}", f"b={runs / 'second'}", f"c={tmp_path / 'link'}"]
    assert main(["compare", *states, "-o", str(tmp_path / "c")]) == 0
    assert f"a, c: these are the same results ({runs / 'first'}), so that nothing" in capsys.readouterr().err


def test_particles_of_other_kinds_are_told(tmp_path, capsys):
    """Bodies that touch are one particle in one analysis, and cut apart in the other."""
    for name, more in (("one", ""), ("apart", "split = 0.7\n"), ("without", "split = 0.8\n")):
        what = "volume_fractions" if name == "without" else "particles"
        case = write_case(tmp_path / name, electrode(), more=f'[analysis]\nmeasure = ["{what}"]\n{more}')
        assert main(["-q", "analyze", str(case), "-o", str(tmp_path / f"{name}-analysis")]) == 0
    states = [f"{name}={tmp_path / name}-analysis" for name in ("one", "apart", "without")]
    assert main(["compare", *states, "-o", str(tmp_path / "c")]) == 0
    assert "(one: connected bodies; apart: cut apart with split = 0.7)" in capsys.readouterr().err


def test_decades_of_time_have_room(tmp_path):
    """Curves over many decades: no two powers of ten of the axis overlap."""
    times = np.concatenate([[0.0], np.logspace(-2.0, 17.0, 200)])
    curve = Curve(times, times, "time", "s", "mol/m^3")
    states = [State(name, {}, {"concentration: c": curve}, None) for name in ("a", "b")]
    figure = Figure(figsize=(9.0, 3.0))
    axes = figure.subplots(1, 2)[0]
    _draw_panel(axes, Comparison(tuple(states), 0, (), ()), "concentration: c")
    figure.canvas.draw()
    boxes = sorted((tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()), key=lambda b: b.x0)
    assert len(boxes) > 3
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_different_voxels_are_told(analyses, tmp_path, capsys):
    first, other = analyses / "before-analysis", analyses / "other-analysis"
    assert main(["compare", f"a={first}", f"b={other}", "-o", str(tmp_path / "c")]) == 0
    assert "voxel sizes differ (a 10 × 10 nm; b 12 × 12 nm)" in (tmp_path / "c" / "comparison.html").read_text()
    assert "voxel sizes differ" in capsys.readouterr().err


def test_voxel_sizes_are_told_x_first():
    """As in all that is printed, while arrays have z first."""
    number = {"porosity": Number("porosity", 0.3, "1", "")}
    states = [State(name, number, {}, size) for name, size in (("a", (2.5e-7, 5e-8, 4e-8)), ("b", (2e-7, 5e-8, 4e-8)))]
    assert compared(states).notes[0].startswith("voxel sizes differ (a 40 × 50 × 250 nm; b 40 × 50 × 200 nm)")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["a={first}"], "a comparison takes the results of two states or more; name them"),
        (["a={first}", "a={after}"], "two states or more, and these are all of one, a; give them names"),
        (["a={first}", "b={first}/none"], "there is no such file or folder"),
        (
            ["a={first}", "b={folder}"],
            "neither summary.json, analysis.json nor deff.json; there are results in folders within it: after-analysis",
        ),
        (["a={first}", "b={first}", "--reference", "c"], "--reference c: there is no such state; choose one of a, b"),
        (["={first}", "b={first}"], "expected NAME=RESULTS"),
        (["a={first}", "a={after}", "b={first}"], "both hold volume_fraction.pore; one state has one of a kind"),
        (["a={first}", "b={broken}"], "can't be read as results of microlith"),
        (["a={first}", "b={foreign}"], "foreign.json: this file is not of microlith deff; name a folder that"),
        (
            ["{case}", "a={first}"],
            "case.toml: this is a case file, expected results; make them, such as with microlith",
        ),
        (["a={first}", "b={first}/analysis.json"], "one file of a folder of results; name the folder"),
        (["a={first}", "b={picture}"], "picture.png: this is no file of results; name a folder that microlith run"),
        (["a={first}", "b={study}"], "this is a folder of microlith converge, which compare does not take; name a"),
    ],
)
def test_what_is_refused(analyses, tmp_path, monkeypatch, capsys, asked, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "foreign.json").write_text('{"a": 1}')
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "converge.json").write_text("{}")
    places = {
        "first": analyses / "before-analysis",
        "after": analyses / "after-analysis",
        "folder": analyses,
        "broken": "broken.json",
        "foreign": "foreign.json",
        "picture": "picture.png",
        "study": "study",
        "case": analyses / "before" / "case.toml",
    }
    assert main(["compare", *(text.format(**places) for text in asked), "-o", "c"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_images_of_different_dimensions_are_refused_with_both_folders(analyses, tmp_path, capsys):
    more = '[analysis]\nmeasure = ["volume_fractions"]\n'
    deep = write_case(tmp_path / "deep", np.repeat(electrode()[None, :16, :30], 6, 0), more=more)
    folders = analyses / "before-analysis", tmp_path / "deep-analysis"
    assert main(["-q", "analyze", str(deep), "-o", str(folders[1])]) == 0
    assert main(["compare", f"flat={folders[0]}", str(folders[1]), "-o", str(tmp_path / "c")]) == 2
    told = capsys.readouterr().err
    assert f"flat ({folders[0]}) is of a 2D image" in told
    assert f"({folders[1]}) of a 3D one" in told or f"{folders[1]} of a 3D one" in told


def test_a_table_that_is_cut_short_is_told_once_by_its_name(analyses, tmp_path, capsys):
    """The sentence stood within another one, of analysis.json."""
    shutil.copytree(analyses / "after-analysis", tmp_path / "cut")
    path = next((tmp_path / "cut").glob("volume-fractions-?.csv"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    folders = str(analyses / "before-analysis"), str(tmp_path / "cut")
    assert main(["-q", "compare", *folders, "-o", str(tmp_path / "c")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"microlith: {path}: expected results of microlith (ValueError: it has ")
    assert told.count("make them again") == 1


def test_numbers_in_different_units_are_refused_with_the_states_that_have_them():
    areas = [
        State(name, {"area": Number("area", 1.0, unit, "")}, {}, None, f"results/{name}")
        for name, unit in (("one", "m"), ("two", "m"), ("three", "m^2"))
    ]
    with pytest.raises(InputError, match=r"unit is m in one \(results/one\) and m\^2 in three \(results/three\)"):
        compared(areas)


def test_an_earlier_comparison_is_kept(analyses, tmp_path, capsys):
    asked = [
        "-q",
        "compare",
        f"a={analyses / 'before-analysis'}",
        f"b={analyses / 'after-analysis'}",
        "-o",
        str(tmp_path),
    ]
    assert main(asked) == 0
    assert main(asked) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*asked, "--force"]) == 0


def test_an_analysis_is_not_mixed_with_a_comparison(analyses, capsys):
    """Both have pictures of the same names; --force is for an earlier comparison."""
    folder = analyses / "before-analysis"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    asked = ["-q", "compare", f"a={folder}", f"b={analyses / 'after-analysis'}", "-o", str(folder), "--force"]
    assert main(asked) == 2
    assert "holds results of microlith analyze (analysis.json)" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_too_few_states_are_told_before_earlier_results(analyses, tmp_path, capsys):
    """Who overwrites the earlier results first would lose them for nothing."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "comparison.csv").touch()
    assert main(["compare", f"a={analyses / 'before-analysis'}", "-o", str(tmp_path / "c")]) == 2
    assert "two states or more" in capsys.readouterr().err
