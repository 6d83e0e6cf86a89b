"""What would not fit into memory is refused by every command in the same words, with one way past it."""

import io
import json

import pytest
from made_cases import write_case
from slab_case import END, REGIONS, SLAB, slab_image

from microlith.imaging.parallel import large_arrays, memory
from microlith.meshing.fitted import mesher
from microlith.workflow import cli
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.sweep import sweep as sweep_module, workers
from microlith.workflow.sweep.cases import sweep_of
from microlith.workflow.sweep.sweep import sweep, work_for_parent

TIME = f'[time]\nend = "{END:.8g} s"\ntolerance = 1e-3\nsnapshots = []\n'
PAST = "--no-memory-check"
VARY = "phases.slab.diffusivity=5e-15..2e-14m^2/s"


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A slab of 80 x 8 pixels on a machine that has 50 kB free."""
    (tmp_path / "measured.csv").write_text("time (s),all\n" + "".join(f"{END * i / 4},{200 * i}\n" for i in (1, 2, 3)))
    for place in (memory, mesher, large_arrays):
        monkeypatch.setattr(place, "available_memory", lambda: 5e4)
    mesh = '[mesh]\nsize_max = "80 nm"\nestimate = false\n'
    return write_case(tmp_path / "slab", slab_image(8), phases=SLAB, mesh=mesh, time=TIME, regions=REGIONS)


@pytest.mark.parametrize(
    "command",
    [
        "run CASE -o OUT",
        "check CASE",
        "mesh CASE",
        "converge CASE --levels 1 -o OUT",
        f"fit CASE --data DATA --vary {VARY} --starts 0 -o OUT",
        "deff CASE --phase slab --axis x",
    ],
)
def test_every_command_refuses_and_has_a_way_past(case, tmp_path, capsys, command):
    places = {"CASE": case, "OUT": tmp_path / "out", "DATA": tmp_path / "measured.csv"}
    words = [str(places.get(word, word)) for word in command.split()]
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert "the elements" in told
    assert "GB of memory where 5e-05 GB are free; " in told
    assert f", or go on all the same with {PAST}" in told
    assert not (tmp_path / "out").exists()
    assert cli.main([*words, PAST]) == 0


def test_cases_of_a_sweep_fail_or_are_run_past_it(case, tmp_path):
    for check, status in ((True, "failed"), (False, "done")):
        settings = ["phases.slab.diffusivity=1e-14 m^2/s"]
        found = sweep_of(read_toml(case), case, settings, tmp_path / status, check_memory=check)
        (row,) = sweep(found, [0], 1, here=True)
        assert row.status == status
        assert PAST in row.record.message or not check


def test_processes_of_a_sweep_hear_of_it(case, tmp_path, monkeypatch):
    handed, tasks = [], []

    for check in (True, False):
        found = sweep_of(read_toml(case), case, ["time.tolerance=1e-3"], tmp_path / "out", check_memory=check)
        with monkeypatch.context() as patch:
            patch.setattr(workers.json, "dumps", lambda jobs: handed.append(jobs) or "")
            patch.setattr(workers._Pool, "start", lambda *_: None)
            workers._run_in_process(found.jobs, case, tmp_path, workers._Pool(), lambda *_: None)
        monkeypatch.setattr(sweep_module, "work", lambda given, *_: tasks.extend(given))
        monkeypatch.setattr(sweep_module, "_end_with", lambda _: None)
        work_for_parent(io.StringIO(json.dumps(handed[-1])), case, tmp_path)
    assert [task.case.check_memory for task in tasks] == [True, False]
