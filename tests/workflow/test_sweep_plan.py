"""Which cases a sweep is made of: values in a shell, the table [sweep], names of folders."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from made_cases import write_case
from slab_case import REGIONS, SLAB, slab_image

from microlith.imaging.errors import InputError
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.case.toml_text import toml_text
from microlith.workflow.sweep.cases import sweep_of
from microlith.workflow.sweep.plan import plan_of
from microlith.workflow.sweep.values import value_of, values_of

PATH = Path("case.toml")
MESH = '[mesh]\nsize_max = "80 nm"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-14 m^2/s, 3e-14 m^2/s", ["1e-14 m^2/s", "3e-14 m^2/s"]),
        ("a.tif", ["a.tif"]),
        ("1, 2.5, true, 1e-3", [1, 2.5, True, 1e-3]),
        ('["0 s", "5 s"], []', [["0 s", "5 s"], []]),
        ('{ x = "1 nm", y = "2 nm" }, "3 nm"', [{"x": "1 nm", "y": "2 nm"}, "3 nm"]),
        ('"a, b.tif", c.tif', ["a, b.tif", "c.tif"]),
        (r'"a \", b", \'c, "\'', ['a ", b', 'c, "']),
        ("min(c, 2), exp(c)", ["min(c, 2)", "exp(c)"]),
        ("Müller's image.tif, b", ["Müller's image.tif", "b"]),
        ("slice_[0-9].tif, [[1, 2], [3, 4]]", ["slice_[0-9].tif", [[1, 2], [3, 4]]]),
        ("2026-01-02, 5 # 6", ["2026-01-02", "5 # 6"]),
    ],
)
def test_values_between_commas(text, expected):
    assert values_of(text.replace(r"\'", "'"), "here") == expected


@pytest.mark.parametrize("text", ["", "a,", "a,,b", "[1, 2", "a], b", '"a, b', "(1, 2]"])
def test_lists_that_are_none(text):
    with pytest.raises(InputError, match=r"^--set time\.end: "):
        values_of(text, "--set time.end")


@pytest.mark.parametrize("value", ["50 s", 'a "b" \\ é', 3, 1e-30, True, [1, ["x"]], {"a b": {"c": [1.5]}}])
def test_toml_of_values_is_read_again(value):
    text = toml_text(value)
    assert tomllib.loads(f"x = {text}")["x"] == value
    assert value_of(text) == value


def names(*settings, tables=None):
    return [each.name for each in plan_of(tables or {}, PATH, settings).variations]


def test_folders_are_named_after_what_differs():
    diffusivity = "phases.sei_cb.diffusivity=1e-14 m^2/s, 3e-14 m^2/s"
    assert names(diffusivity, "time.end=5 s") == ["diffusivity=1e-14_m2_per_s", "diffusivity=3e-14_m2_per_s"]
    assert names(diffusivity, "phases.b.diffusivity=1 m^2/s, 2 m^2/s")[0] == (
        "sei_cb.diffusivity=1e-14_m2_per_s,b.diffusivity=1_m2_per_s"
    )
    assert names("image.file=x/a.tif, y/b.tif") == ["file=a.tif", "file=b.tif"]
    assert names("image.file=x/a.tif, y/a.tif") == ["file=x_per_a.tif", "file=y_per_a.tif"]
    assert names("time.end=1 s") == ["end=1_s"]
    assert len(set(names("title=a b, a_b, A B"))) == 3  # also where letters' cases are one


def test_no_name_leaves_the_folder():
    for name in names('image.file=../../x, /etc/passwd, "$(rm -r /); x", .., "a\\nb"'):
        assert re.fullmatch(r"file=[A-Za-z0-9._+-]+", name)


def test_every_combination_in_order():
    plan = plan_of({}, PATH, ["time.end=1 s, 2 s", "mesh.growth=0.1, 0.2, 0.3"])
    assert len(plan.variations) == 6
    assert plan.keys == ("time.end", "mesh.growth")
    assert plan.variations[1].changes == {"time.end": "1 s", "mesh.growth": 0.2}


@pytest.mark.parametrize(
    "text",
    [
        'grid = { "time.end" = ["1 s", "2 s"], "mesh.growth" = [0.1, 0.2] }',
        'grid = { time.end = ["1 s", "2 s"], mesh.growth = [0.1, 0.2] }',
        'grid.time.end = ["1 s", "2 s"]\ngrid.mesh.growth = [0.1, 0.2]',
    ],
)
def test_a_grid_in_the_case_file(text):
    plan = plan_of(tomllib.loads(f"[sweep]\n{text}"), PATH, [])
    assert [each.changes for each in plan.variations][2] == {"time.end": "2 s", "mesh.growth": 0.1}
    assert len(plan.variations) == 4


def test_a_list_with_names_and_tables_as_values():
    text = """[sweep]
list = [ { name = "thin", "image.voxel_size" = { x = "1 nm", y = "2 nm" } }, { time.end = "5 s" } ]"""
    first, second = plan_of(tomllib.loads(text), PATH, ["mesh.growth=0.2"]).variations
    assert first.name == "thin"
    assert first.changes == {"image.voxel_size": {"x": "1 nm", "y": "2 nm"}, "mesh.growth": 0.2}
    assert second.changes == {"time.end": "5 s", "mesh.growth": 0.2}


def test_a_csv_file_whose_empty_cells_set_nothing(tmp_path):
    (tmp_path / "cases.csv").write_text('\ufeffname,time.end,time.snapshots\nfirst,5 s,"[""0 s"", ""1 s""]"\n,7 s,\n')
    first, second = plan_of({"sweep": {"file": "cases.csv"}}, tmp_path / "case.toml", []).variations
    assert (first.name, first.changes) == ("first", {"time.end": "5 s", "time.snapshots": ["0 s", "1 s"]})
    assert (second.name, second.changes) == ("end=7_s", {"time.end": "7 s"})


@pytest.mark.parametrize(
    ("settings", "table", "said"),
    [
        ([], {}, "nothing to vary"),
        (["time.end"], {}, "expected KEY=VALUES"),
        (["time..end=1 s"], {}, '--set: "time..end" is no key'),
        (["time.end=1 s", "time.end=2 s"], {}, "set twice"),
        (["time.end=1 s, 1 s"], {}, "are the same"),
        (["time.end=1 s"], {"grid": {"time": {"end": ["1 s"]}}}, "sets this key already"),
        ([], {"grid": {"time": {"end": "1 s"}}}, "expected a list of values"),
        ([], {"list": [{"name": "../x", "title": "a"}]}, "a case named"),
        ([], {"list": [{"name": "x", "title": "a"}, {"name": "X", "title": "b"}]}, "is taken"),
        ([], {"file": "none.csv"}, "can't be read as a CSV file"),
        ([], {"list": [{"name": "x"}]}, "its cases have names, but no keys of the case file"),
        (
            ["a=1,2,3,4,5,6,7,8", "b=1,2,3,4,5,6,7,8", *(f"c{i}=1,2,3,4,5,6,7,8" for i in range(9))],
            {},
            "at most 100,000",
        ),
    ],
)
def test_what_is_no_sweep(settings, table, said):
    with pytest.raises(InputError, match=re.escape(said)):
        plan_of({"sweep": table} if table else {}, PATH, settings)


def test_rows_of_a_csv_file_are_as_long_as_its_head(tmp_path):
    (tmp_path / "cases.csv").write_text("time.end,time.tolerance\n5 s\n")
    with pytest.raises(InputError, match=r"line 2 has 1 cells, the first one has 2"):
        plan_of({"sweep": {"file": "cases.csv"}}, tmp_path / "case.toml", [])


def test_cases_are_made_without_what_all_ranks_import_together():
    """Rank 0 alone makes them: DOLFINx, imported there, would wait for the other ranks for ever."""
    modules = "microlith.workflow.sweep.cases, microlith.workflow.sweep.record, microlith.workflow.case.toml_file"
    code = f"import sys, {modules}; sys.exit(sorted({{'dolfinx', 'petsc4py'}} & {{*sys.modules}}) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_column_that_is_no_key_is_told_with_its_file(tmp_path):
    (tmp_path / "cases.csv").write_text("time.end;mesh.growth\n5 s;0.1\n")
    with pytest.raises(InputError, match=r"cases\.csv: column 1: \"time\.end;mesh\.growth\" is no key"):
        plan_of({"sweep": {"file": "cases.csv"}}, tmp_path / "case.toml", [])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("1e-14 m^2/s, 3e-14 m^2/s", True),
        ('1e-14 m^2/s, { x = "1e-14 m^2/s", y = "2e-14 m^2/s" }', False),  # a law against a constant is meant
    ],
)
def test_a_law_that_every_case_replaces_by_one_value_is_told(tmp_path, caplog, values, told):
    law = '{ expression = "D0 * exp(-c / c0)", D0 = "1e-14 m^2/s", c0 = "1 mol/L" }'
    path = write_case(tmp_path, slab_image(4), phases=SLAB.replace('"1e-14 m^2/s"', law), mesh=MESH, regions=REGIONS)
    found = sweep_of(read_toml(path), path, [f"phases.slab.diffusivity={values}"], tmp_path / "out")
    assert len(found.tasks) == 2
    assert all(task.case is not None for task in found.tasks)
    assert ("set phases.slab.diffusivity.D0 or phases.slab.diffusivity.c0" in caplog.text) == told


def test_values_within_a_law_are_varied_without_a_word(tmp_path, caplog):
    law = '{ expression = "D0 * exp(-c / c0)", D0 = "1e-14 m^2/s", c0 = "1 mol/L" }'
    path = write_case(tmp_path, slab_image(4), phases=SLAB.replace('"1e-14 m^2/s"', law), mesh=MESH, regions=REGIONS)
    sweep_of(read_toml(path), path, ["phases.slab.diffusivity.D0=1e-14 m^2/s, 2e-14 m^2/s"], tmp_path / "out")
    assert "one value" not in caplog.text


def test_models_in_the_place_of_another_are_meant(tmp_path, caplog):
    model = '"1e-14 m^2/s"\nporosity = 0.5\neffective = { tortuosity = 2.1 }'
    path = write_case(tmp_path, slab_image(4), phases=SLAB.replace('"1e-14 m^2/s"', model), mesh=MESH, regions=REGIONS)
    found = sweep_of(read_toml(path), path, ["phases.slab.effective=bruggeman, maxwell"], tmp_path / "out")
    assert all(task.case is not None for task in found.tasks)
    assert "one value" not in caplog.text


def test_cases_with_faults_of_their_own_are_told_each(tmp_path):
    path = write_case(tmp_path, slab_image(4), phases=SLAB, mesh=MESH, regions=REGIONS)
    with pytest.raises(InputError) as told:
        sweep_of(read_toml(path), path, ["phases.slab.diffusivity=-1 m^2/s, 2 kg"], tmp_path / "out")
    assert str(told.value).startswith("each case of the sweep is at fault, in its own way: ")
    assert "which is negative" in str(told.value)
    assert 'the unit "kg"' in str(told.value)
    with pytest.raises(InputError, match=r"in each case of the sweep\)$"):
        sweep_of(read_toml(path), path, ["phases.slab.difusivity=1e-14 m^2/s, 2e-14 m^2/s"], tmp_path / "out")
