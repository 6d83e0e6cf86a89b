"""`import microlith`: quick, typed, and the same numbers as the command line; every example of its docstrings runs."""

import doctest
import inspect
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
from made_cases import electrode, run_case, write_case
from places import CASES, PROJECT

from mpi4py import MPI

import microlith as ml
from microlith import api

COMM = MPI.COMM_WORLD
FUNCTIONS = [name for name in ml.__all__ if inspect.isfunction(getattr(api, name, None))]
TABLES = {
    "image": {"voxel_size": "10 nm"},
    "phases": {
        "pore": {"label": 0, "role": "source", "concentration": "1000 mol/m^3"},
        "sei": {"label": 1, "role": "transport", "diffusivity": "2e-14 m^2/s", "porosity": 0.5},
        "particle": {"label": 2, "role": "barrier"},
    },
    "mesh": {"size_max": "60 nm", "estimate": False},
    "time": {"end": "20 s", "snapshots": ["2 s", "20 s"]},
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Results that the command left."""
    folder = COMM.bcast(str(tmp_path_factory.mktemp("front")) if COMM.rank == 0 else None)
    path = f"{folder}/case.toml"
    if COMM.rank == 0:
        write_case(folder, mesh='[mesh]\nsize_max = "60 nm"\nestimate = false\n')
    COMM.Barrier()
    case = ml.load_case(path)
    return case, run_case(case.path)


@pytest.mark.parametrize("name", ["Case.with_", "Result.field", *FUNCTIONS])
@pytest.mark.skipif(COMM.size > 1, reason="examples are for one rank")
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(PROJECT)
    thing = api
    for part in name.split("."):
        thing = getattr(thing, part)
    slab = tmp_path / "slab"
    if name in ("open_results", "export", "report", "compare"):
        ml.run(ml.load_case("cases/slab/case.toml").with_({"mesh.estimate": False}), slab)
    (example,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs={"slab": slab})
    assert example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner()
    said = []
    assert runner.run(example, out=said.append).failed == 0, "".join(said)


def test_every_function_says_what_it_raises_and_gives_an_example():
    for name in FUNCTIONS:
        text = inspect.getdoc(getattr(api, name))
        assert "Raises:\n    InputError" in text, name
        assert ">>>" in text, name


@pytest.mark.skipif(COMM.size > 1, reason="starts a process")
def test_import_is_quick_and_loads_nothing_heavy():
    code = """
import sys, time
before = set(sys.modules)
import microlith
assert not {"numpy", "dolfinx", "mpi4py", "petsc4py", "pyvista", "matplotlib"} & (set(sys.modules) - before)
assert dir(microlith)
microlith.load_case, microlith.run, microlith.InputError
assert not {"dolfinx", "petsc4py", "pyvista", "matplotlib"} & (set(sys.modules) - before)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_public_names_are_these_only():
    assert {*dir(ml)} == {*ml.__all__, "__doc__"}
    for name in ml.__all__:
        assert getattr(ml, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        ml.solve  # noqa: B018


@pytest.mark.mpi
def test_same_numbers_as_the_command(stored):
    case, folder = stored
    result = ml.run(case)
    there = ml.open_results(folder)
    assert list(result.curves) == list(there.curves) == ["left", "deep"]
    for name, curve in result.curves.items():
        np.testing.assert_allclose(there.curves[name], curve, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(there.errors[name], result.errors[name], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(there.times, result.times, rtol=1e-11)
    assert list(there.snapshots) == list(result.snapshots) == [0, 2, 20]
    assert result.summary["regions"]["left"]["t50_s"] == pytest.approx(there.summary["regions"]["left"]["t50_s"], 1e-9)
    assert there.title == result.title == "Small case"
    own, stored_field = result.field(2.0), there.field(2.0)
    assert COMM.allreduce(own.n_cells) * (4 if own.n_cells and own.get_cell(0).type == 22 else 1) >= own.n_cells
    top = COMM.allreduce(float(own["concentration"].max()), MPI.MAX)
    assert top == pytest.approx(stored_field["concentration"].max(), rel=1e-9)
    assert list(stored_field.field_data["phases"]) == ["pore", "sei", "particle"]
    area = COMM.allreduce(own.compute_cell_sizes()["Area"].sum())
    assert area == pytest.approx(stored_field.compute_cell_sizes()["Area"].sum(), rel=1e-6)


def test_fields_between_snapshots(stored):
    case, folder = stored
    fields = [ml.run(case).field(t) for t in (1.9, 2.0, 2.1)]
    low, middle, high = (field["concentration"] for field in fields)
    assert np.all(low <= middle + 1e-6)
    assert np.all(middle <= high + 1e-6)
    with pytest.raises(ml.InputError, match=r"no concentration at 1.9 s; run the case again"):
        ml.open_results(folder).field(1.9)
    with pytest.raises(ml.InputError, match="goes from 0 to 20 s"):
        ml.run(case).field(21.0)


@pytest.mark.mpi
def test_labels_from_memory(stored):
    case, _ = stored
    found = ml.run(ml.case({**TABLES, "regions": case.tables["regions"]}, image=electrode()))
    of_file = ml.run(case.with_({"time.snapshots": ["2 s", "20 s"]}))
    for name, curve in of_file.curves.items():
        at = np.isin(of_file.times, found.times)
        np.testing.assert_allclose(found.curves[name][np.isin(found.times, of_file.times)], curve[at], atol=1e-6)
    turned = case.with_({"regions": None}, image=electrode()[:, ::-1])
    assert turned.image is not None
    assert case.image is None
    assert ml.check(turned).shares == pytest.approx(ml.check(case).shares)


def test_check_and_mesh(stored):
    case, _ = stored
    found = ml.check(case)
    assert (found.shape, found.voxel_size, found.method, found.degree) == ((40, 60), (1e-8, 1e-8), "fitted", 2)
    assert sum(found.shares.values()) == pytest.approx(1)
    mesh = ml.mesh(case)
    solved = mesh.grid.compute_cell_sizes()["Area"].sum()
    assert solved == pytest.approx(found.shares["sei"] * 0.4 * 0.6, rel=1e-3)  # µm²


def test_frame(stored):
    pandas = pytest.importorskip("pandas")
    _, folder = stored
    result = ml.open_results(folder)
    frame = result.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(result.curves)
    assert frame.index.name == "time_s"


@pytest.mark.skipif(COMM.size > 1, reason="reads files on one rank")
def test_results_without_errors(stored, tmp_path):
    """As all commands do without them."""
    _, folder = stored
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "errors.csv").unlink()
    result = ml.open_results(copy)
    assert result.errors == {}
    assert list(result.curves) == ["left", "deep"]


def test_writing_a_result(stored, tmp_path):
    case, folder = stored
    result = ml.run(case)
    result.write(tmp_path / "new")
    assert {p.name for p in (tmp_path / "new").iterdir()} == {p.name for p in folder.iterdir()}
    with pytest.raises(ml.InputError, match="not empty"):
        result.write(tmp_path / "new")
    with pytest.raises(ml.InputError, match="in a folder already"):
        ml.open_results(folder).write(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time.end": "10 kg"}, r"\[time\] end"),
        ({"phases.sei.diffusivity": None}, "diffusivity"),
        ({"phases.sei.difusivity": "1 m^2/s"}, "diffusivity"),
        ({"time.end.x": 1}, "no table"),
    ],
)
def test_wrong_cases_raise_the_sentence(stored, changes, words):
    case, _ = stored
    with pytest.raises(ml.InputError, match=words):
        case.with_(changes)


def test_nothing_is_printed(capfd):
    logging.getLogger("microlith").setLevel(logging.WARNING)
    case = ml.case(TABLES, image=electrode())
    ml.check(case)
    ml.run(case)
    assert capfd.readouterr() == ("", "")


def test_effective_diffusivity_needs_no_times():
    tables = {key: value for key, value in TABLES.items() if key != "time"}
    layers = np.zeros((10, 10), int)
    layers[:, 3:] = 2
    layers[:, 5:] = 1
    found = ml.effective_diffusivity(ml.case(tables, image=layers), "sei")
    assert {along.axis: round(along.relative, 6) for along in found.along} == {"x": 0.0, "y": 0.5}
    assert found.value(found.along[1]) == pytest.approx(0.5 * 2e-14, rel=1e-3, abs=0)
    with pytest.raises(ml.InputError, match=r"\[time\]"):
        ml.run(ml.case(tables, image=layers))


def test_case_reads_as_it_is_shown():
    case = ml.load_case(CASES / "slab" / "case.toml")
    assert repr(case) == "<Case 'Slab': electrolyte, slab>"
    assert case.regions == ("slab", "near", "far")
