"""microlith sweep: every case as it would be alone, one table, meshed once; going on after failures and interrupts."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from made_cases import COMM, curves, run_case, table_rows, write_case
from PIL import Image
from slab_case import END, LENGTH, REGIONS, SLAB, D, slab_image

from microlith.imaging.errors import InputError
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.checkpoints.checkpoints import Checkpoints
from microlith.workflow.checkpoints.signals import Asked, Stopped
from microlith.workflow.cli import main
from microlith.workflow.console.failures import CHECKPOINT, Incomplete
from microlith.workflow.studies import variant
from microlith.workflow.sweep import plan
from microlith.workflow.sweep.cases import sweep_of
from microlith.workflow.sweep.record import log_path
from microlith.workflow.sweep.sweep import refuse_failed, sweep, work_for_parent

TIME = f'[time]\nend = "{END:.8g} s"\ntolerance = 1e-3\nsnapshots = []\n'
MESH = '[mesh]\nsize_max = "80 nm"\n'
T50 = 0.19674 * LENGTH**2 / D  # s


def slab(folder, more=""):
    return write_case(folder, slab_image(8), phases=SLAB, mesh=MESH, time=TIME, regions=REGIONS, more=more)


def swept(case, output, *settings, force=False):
    """A sweep in this process."""
    found = sweep_of(read_toml(case), case, settings, output)
    return found, sweep(found, found.waiting(force), 1, here=True)


def table(folder):
    return {row["case"]: row for row in table_rows(folder / "sweep.csv")}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two diffusivities times two mesh sizes, one of them of another mesh, in four cases."""
    folder = tmp_path_factory.mktemp("sweep")
    case = slab(folder / "slab")
    settings = "phases.slab.diffusivity=1e-14 m^2/s, 4e-14 m^2/s", "mesh.size_max=80 nm, 60 nm"
    made = []
    plain = variant.coarser_mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variant, "coarser_mesh", lambda *given: made.append(1) or plain(*given))
        swept(case, folder / "out", *settings)
    assert len(made) == 2  # of the error in space: one for each mesh, and not for each case
    return case, folder / "out", settings


def test_each_case_is_what_it_would_be_alone(done, tmp_path):
    """Also the second one on a mesh, whose diffusivity is another: the mesh is taken over and nothing else."""
    case, output, _ = done
    alone = tmp_path / "case.toml"
    text = case.read_text().replace("1e-14 m^2/s", "4e-14 m^2/s").replace('"80 nm"', '"60 nm"')
    shutil.copy(case.parent / "image.tif", tmp_path)
    alone.write_text(text)
    places = output / "diffusivity=4e-14_m2_per_s,size_max=60_nm", run_case(alone, tmp_path / "alone")
    found, expected = (curves(place) for place in places)
    np.testing.assert_allclose(found["all"], expected["all"], rtol=1e-10)
    errors = [np.genfromtxt(at / "errors.csv", delimiter=",", names=True, skip_header=3)["all"] for at in places]
    np.testing.assert_allclose(*errors, rtol=1e-6)


def test_the_table_holds_the_figures_with_their_errors(done):
    rows = table(done[1])
    assert len(rows) == 4
    slow, fast = rows["diffusivity=1e-14_m2_per_s,size_max=60_nm"], rows["diffusivity=4e-14_m2_per_s,size_max=60_nm"]
    assert slow["phases.slab.diffusivity"] == "1e-14 m^2/s"
    for row, expected in ((slow, T50), (fast, T50 / 4)):
        assert row["status"] == "done"
        assert abs(float(row["all.t50_s"]) - expected) < float(row["all.t50_error_s"]) < 0.02 * expected
    assert float(slow["far.final_mol_per_m3"]) < 1000.0
    assert float(slow["far.final_error_mol_per_m3"]) > 0.0


def test_what_has_one_mesh_is_meshed_once(done):
    logs = {path.stem: path.read_text() for path in (done[1] / "logs").glob("*.log")}
    assert sum("the mesh is that of the case before" in text for text in logs.values()) == 2
    assert sum("80_nm" in name and "that of the case before" in text for name, text in logs.items()) == 1


def test_pictures_of_all_cases(done):
    for name in ("sweep.png", "sweep-map.png"):
        with Image.open(done[1] / name) as picture:
            assert len(picture.convert("RGB").resize((200, 100)).getcolors(20000)) > 20


def test_the_report_shows_all_cases_on_one_page(done, capsys):
    page = (done[1] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"']?(http|//|file)", page)
    links = [html.unescape(unquote(link)) for link in re.findall(r'href="([^"#]*)"', page)]
    assert len(links) == 4
    assert all((done[1] / link).is_file() for link in links)
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert [chart["title"] for chart in charts] == ["all", "far"]
    assert [one["name"] for one in charts[0]["series"]][1] == "diffusivity = 1e-14 m^2/s, size_max = 60 nm"
    found = curves(done[1] / "diffusivity=1e-14_m2_per_s,size_max=60_nm")
    np.testing.assert_allclose(charts[0]["series"][1]["y"], found["all"], rtol=1e-5)
    row = table(done[1])["diffusivity=1e-14_m2_per_s,size_max=60_nm"]
    assert f"{float(row['all.t50_s']):.5g} ± {float(row['all.t50_error_s']):.2g}" in page
    assert page.count("data:image/png;base64,") == 2
    assert main(["-q", "report", str(done[1])]) == 0
    assert (done[1] / "report.html").read_text(encoding="utf-8") == page
    assert capsys.readouterr().err == ""


def test_nothing_is_done_twice_and_changes_are_told(done):
    case, output, settings = done
    found = sweep_of(read_toml(case), case, settings, output)
    assert found.waiting(force=False) == []
    more = sweep_of(read_toml(case), case, [settings[0] + ", 8e-14 m^2/s", settings[1]], output)
    assert len(more.waiting(force=False)) == 2
    parts = [found.waiting(True, i, 3) for i in (1, 2, 3)]
    assert parts == [[], [], []]
    tables = read_toml(case)
    tables["phases"]["slab"]["initial"] = "1 mol/m^3"
    with pytest.raises(InputError, match=r"4 of these cases, such as .*, were made from another state of"):
        sweep_of(tables, case, settings, output).waiting(force=False)


def test_a_case_that_failed_is_run_again_once_what_it_lacks_is_there(tmp_path, monkeypatch):
    """Its fingerprint was that of the folder that the command ran in, so that a second start was refused."""
    case = slab(tmp_path / "slab")
    settings, output = ('image.file="image.tif", "other.tif"',), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    found, rows = swept(case, output, *settings)
    assert sorted(row.status for row in rows) == ["done", "failed"]
    again = sweep_of(read_toml(case), case, settings, output)
    failed = again.waiting(force=False)
    assert [again.jobs[i].name for i in failed] == ["file=other.tif"]
    assert again.jobs[failed[0]].fingerprint == found.jobs[failed[0]].fingerprint
    shutil.copy(tmp_path / "slab" / "image.tif", tmp_path / "slab" / "other.tif")
    _, rows = swept(case, output, *settings)
    assert [row.status for row in rows] == ["done", "done"]


def test_the_folder_of_another_sweep_is_left_alone(done, tmp_path, capsys):
    case, output, settings = done
    assert main(["sweep", str(case), "--set", "time.end=1 s, 2 s", "-o", str(output)]) == 2
    assert "holds another sweep, over phases.slab.diffusivity, mesh.size_max;" in capsys.readouterr().err
    shutil.copytree(case.parent, tmp_path / "slab")
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert main(["sweep", str(tmp_path / "slab" / "case.toml"), *arguments, "-o", str(output)]) == 2
    assert f"holds another sweep, of {case};" in capsys.readouterr().err
    assert main(["sweep", str(case), *arguments, "--set", "time.end=1 s", "-o", str(output), "--collect"]) == 2


def test_another_image_of_the_same_name_makes_the_case_another(tmp_path):
    case = slab(tmp_path)
    marks = []
    for shift in (0, 10**9):
        os.utime(tmp_path / "image.tif", ns=(shift, shift))
        marks.append(sweep_of(read_toml(case), case, ["time.end=1 s"], tmp_path / "out").jobs[0].fingerprint)
    assert marks[0] != marks[1]


def test_a_case_that_fails_is_told_and_the_others_are_done(tmp_path):
    """One that is wrong, and one that turns out so when it meets its image."""
    case = slab(tmp_path / "slab")
    found, rows = swept(
        case, tmp_path / "out", 'regions.far.box={ x = ["300 nm", "430 nm"] }, 5, { x = ["0 nm", "20 nm"] }'
    )
    assert [row.status for row in rows] == ["done", "failed", "failed"]
    with pytest.raises(Incomplete, match=r"2 of 3 cases failed") as told:
        refuse_failed(found, rows)
    assert told.value.status == 2
    messages = [row["message"] for row in table(tmp_path / "out").values()]
    page = html.unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert all(message in page for message in messages)
    assert "expected a table" in messages[1]
    assert "[regions.far]" in messages[2]
    assert len(found.waiting(force=False)) == 2  # they are tried again


def test_a_fault_of_all_cases_is_that_of_the_case(tmp_path, capsys):
    case = slab(tmp_path / "slab")
    assert main(["sweep", str(case), "--set", "time.ende=1 s, 2 s", "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert 'unknown key "ende"; did you mean "end"?' in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("table", ["grid = 3", "list = [1, 2]", 'list = "a"', "file = 3"])
def test_a_table_that_is_none_is_told_as_any_other_fault_of_the_case_file(tmp_path, capsys, table):
    case = slab(tmp_path / "slab", more=f"\n[sweep]\n{table}\n")
    assert main(["sweep", str(case), "-o", str(tmp_path / "out")]) == 2
    assert f"[sweep] {table.partition(' ')[0]}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    case = slab(tmp_path / "slab")
    assert main(["sweep", str(case), "--set", "time.end=1 s", "-o", str(tmp_path / "slab")]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    many = "time.end=" + ", ".join(f"{i} s" for i in range(1, 1002))
    assert main(["sweep", str(case), "--set", many, "-o", str(tmp_path / "o")]) == 2
    assert "these are 1,001 cases; set fewer values, or say --most 1001" in capsys.readouterr().err
    assert main(["sweep", str(case), "--set", "time.end=1 s", "-o", str(tmp_path / "o"), "--collect"]) == 2
    assert "holds no sweep; run it without --collect first" in capsys.readouterr().err
    for option in (["--jobs", "0"], ["--most", "0"], ["--part", "3/2"], ["--part", "x"]):
        assert main(["sweep", str(case), "--set", "time.end=1 s", "-o", str(tmp_path / "o"), *option]) == 2


def test_parts_make_the_whole(tmp_path, capsys, monkeypatch):
    """The first part writes the table only, as others may be at work; the last one pictures and report of all."""
    monkeypatch.setattr(plan, "MEANT", 1)  # of arrays any number of cases is meant
    case, output = slab(tmp_path / "slab"), tmp_path / "out"
    setting = "phases.slab.initial=0 mol/m^3, 100 mol/m^3"
    for part, statuses in (("1/2", ["done", "waiting"]), ("2/2", ["done"] * 2)):
        assert main(["-q", "sweep", str(case), "--set", setting, "-o", str(output), "--part", part]) == 0
        assert [row["status"] for row in table(output).values()] == statuses
        for name in ("sweep.png", "report.html"):
            assert (output / name).exists() == ("waiting" not in statuses)
    assert capsys.readouterr().err == ""
    shutil.rmtree(output / "initial=100_mol_per_m3")  # which counts as failed
    (output / "logs" / "initial=0_mol_per_m3.json").unlink()  # as if it had not been at work
    assert main(["sweep", str(case), "--set", setting, "-o", str(output), "--collect"]) == 1
    assert [row["status"] for row in table(output).values()] == ["waiting", "failed"]
    said = capsys.readouterr().err
    assert "1 of 2 cases are not at their end" in said
    assert "1 of 2 cases failed, 0 are done in" in said


def test_a_case_goes_on_from_its_checkpoint(done, tmp_path, monkeypatch):
    """A signal comes while the second of two cases is at work: begun again, the sweep goes on in the middle of it."""
    _, output, (diffusivity, _) = done
    case = slab(tmp_path / "slab")
    plain, count = Checkpoints.safe, [0]

    def safe(self, failed):
        count[0] += self.folder.name.startswith("diffusivity=4e-14")
        if count[0] == 8:
            self._asked.number = signal.SIGTERM
        plain(self, failed)

    monkeypatch.setattr(Checkpoints, "safe", safe)
    with pytest.raises(Stopped, match=r"^75$") as told:
        swept(case, tmp_path / "out", diffusivity)
    assert told.value.sentence == "ended by SIGTERM; 1 of 2 cases are at their end; the same command goes on"
    found, rows = swept(case, tmp_path / "out", diffusivity)
    assert [row.status for row in rows] == ["done", "done"]
    assert "going on from the checkpoint of" in log_path(tmp_path / "out", found.jobs[1].name).read_text()
    expected = curves(output / "diffusivity=4e-14_m2_per_s,size_max=80_nm")
    assert np.array_equal(curves(tmp_path / "out" / found.jobs[1].name)["all"], expected["all"])
    assert not list((tmp_path / "out").glob("*.checkpoint"))


def test_processes_of_their_own_and_a_signal(tmp_path):
    """As users run it: two at a time, ended by a signal; begun again it goes on where it was."""
    end = 'snapshots = []\nend = "1000 s"\ntolerance = 1e-6\n'  # long enough to be met
    case = write_case(tmp_path, slab_image(8), phases=SLAB, mesh=MESH, time=f"[time]\n{end}", regions=REGIONS)
    output = tmp_path / "out"
    values = "phases.slab.initial=0 mol/m^3, 1 mol/m^3, 2 mol/m^3"
    command = [sys.executable, "-m", "microlith.workflow.cli", "sweep", str(case), "-o", str(output), "--jobs", "2"]
    with subprocess.Popen([*command, "--set", values], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "1 of 3" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
    assert process.returncode == CHECKPOINT, rest
    assert "the same command goes on" in rest
    done = [path for path in (output / "logs").glob("*.json") if json.loads(path.read_text())["status"] == "done"]
    assert 1 <= len(done) <= 3
    found = sweep_of(read_toml(case), case, [values], output)
    assert len(found.waiting(force=False)) == 3 - len(done)


def test_with_all_cases_at_their_end_tables_are_made_again_and_what_failed_is_told(done, tmp_path, caplog):
    """As users run it: nothing is left to run in processes of their own."""
    case, output, settings = done
    shutil.copytree(output, tmp_path / "out")
    (tmp_path / "out" / "sweep.csv").unlink()
    found = sweep_of(read_toml(case), case, settings, tmp_path / "out")
    with caplog.at_level("INFO"):
        rows = sweep(found, found.waiting(force=False), 2)
    assert "4 of 4 cases are done already" in caplog.text
    assert [row.status for row in rows] == ["done"] * 4
    assert (tmp_path / "out" / "sweep.csv").read_text() == (output / "sweep.csv").read_text()
    more = sweep_of(read_toml(case), case, [f"{settings[0]}, 0 m^2/s", settings[1]], tmp_path / "out")
    for _ in range(2):
        with pytest.raises(Incomplete, match="2 of 6 cases failed"):
            refuse_failed(more, sweep(more, more.waiting(force=False), 2))


def test_a_process_ends_with_a_parent_that_was_killed(tmp_path, monkeypatch):
    """Begun again, a sweep would have two of them at one case."""
    reading, writing = os.pipe()

    def works(tasks, output, comm, ended, asked):
        time.sleep(0.1)
        assert not asked.number
        os.close(writing)  # as the system does for a process that is no more
        until = time.monotonic() + 20
        while not asked.number and time.monotonic() < until:
            time.sleep(0.01)

    monkeypatch.setattr("microlith.workflow.sweep.sweep.work", works)
    os.write(writing, b"[]\n")
    asked = Asked()
    with open(reading) as handed, asked.taken_down():
        work_for_parent(handed, tmp_path / "case.toml", tmp_path, asked)
    assert asked.number == signal.SIGTERM


def test_a_process_that_dies_takes_one_case_with_it(tmp_path, monkeypatch):
    """A worker that is killed at a case, as by lack of memory, is followed by another one for the rest."""
    from microlith.workflow.sweep import workers

    case = slab(tmp_path / "slab")
    found = sweep_of(read_toml(case), case, ["phases.slab.initial=0 mol/m^3, 1 mol/m^3"], tmp_path / "out")
    killer = (
        "import json, os, sys; jobs = json.loads(sys.stdin.readline())\n"
        "if jobs[0]['name'].endswith('=0_mol_per_m3'): os.kill(os.getpid(), 9)\n"
        "print(jobs[0]['name'], flush=True)\n"
    )
    monkeypatch.setattr(workers, "WORKER_COMMAND", (sys.executable, "-c", killer))
    ended = {}
    (tmp_path / "out" / "logs").mkdir(parents=True)
    workers.keep(tmp_path / "out", found.jobs[1].name, workers.Record(found.jobs[1].fingerprint, "done"))
    workers.run_jobs(found.jobs, case, tmp_path / "out", 1, lambda name, record: ended.update({name: record}))
    first, second = found.jobs
    assert ended[first.name].status == "failed"
    assert "killed by signal 9" in ended[first.name].message
    assert second.name in ended


@pytest.mark.mpi
def test_ranks_share_each_case(tmp_path_factory):
    folder = COMM.bcast(str(tmp_path_factory.mktemp("ranks")) if COMM.rank == 0 else None)
    folder = Path(folder)
    case = COMM.bcast(str(slab(folder / "slab")) if COMM.rank == 0 else None)
    case = Path(case)
    found, rows = swept(
        case,
        folder / "out",
        "phases.slab.initial=0 mol/m^3, 100 mol/m^3",
        'regions.far.box={ x = ["300 nm", "430 nm"] }, { x = ["0 nm", "20 nm"] }',
    )
    assert sorted(row.status for row in rows) == ["done", "done", "failed", "failed"]
    assert rows[0].region("all")["t50_s"] == pytest.approx(T50, rel=0.01)
    assert found.waiting(force=False)


@pytest.mark.mpi
def test_a_log_that_cannot_be_written_fails_its_case_on_all_ranks(tmp_path_factory):
    """Rank 0 alone writes it; the others must not begin the case and wait for it there."""
    folder = Path(COMM.bcast(str(tmp_path_factory.mktemp("log")) if COMM.rank == 0 else None))
    setting = "phases.slab.initial=0 mol/m^3, 100 mol/m^3"
    if COMM.rank == 0:
        slab(folder / "slab")
        log_path(folder / "out", "initial=0_mol_per_m3").mkdir(parents=True)
    COMM.barrier()
    _, rows = swept(folder / "slab" / "case.toml", folder / "out", setting)
    assert [row.status for row in rows] == ["failed", "done"]
    assert "initial=0_mol_per_m3.log: can't write here" in rows[0].record.message
