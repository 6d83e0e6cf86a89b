"""microlith compare: numbers and their changes, what exceeds error bars, and one page that needs nothing else."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from made_cases import electrode, run_case, table_rows, write_case

from microlith.imaging.errors import InputError
from microlith.workflow.cli import main
from microlith.workflow.comparison.comparison import compared
from microlith.workflow.comparison.sources import State
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


def test_different_voxels_are_told(analyses, tmp_path, capsys):
    first, other = analyses / "before-analysis", analyses / "other-analysis"
    assert main(["compare", f"a={first}", f"b={other}", "-o", str(tmp_path / "c")]) == 0
    assert "voxel sizes differ (a 10 × 10 nm; b 12 × 12 nm)" in (tmp_path / "c" / "comparison.html").read_text()
    assert "voxel sizes differ" in capsys.readouterr().err


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


def test_too_few_states_are_told_before_earlier_results(analyses, tmp_path, capsys):
    """Who overwrites the earlier results first would lose them for nothing."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "comparison.csv").touch()
    assert main(["compare", f"a={analyses / 'before-analysis'}", "-o", str(tmp_path / "c")]) == 2
    assert "two states or more" in capsys.readouterr().err
