"""How commands end: signals, streams that are closed, kills at any moment, and good and bad input on two ranks."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_cases import MESH, write_case

from microlith.workflow.results.folder import finish_if_free
from microlith.workflow.results.read import read_curves

COARSE = MESH.replace("60 nm", "80 nm") + "degree = 1\n"
alone = pytest.mark.skipif(
    "OMPI_COMM_WORLD_RANK" in os.environ or "PMI_RANK" in os.environ, reason="starts ranks of its own"
)
needs_mpirun = pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun")
pytestmark = alone


def start(*arguments: str, ranks: int = 1, **options) -> "subprocess.Popen[str]":
    """A command as a process of its own."""
    command = [sys.executable, "-m", "microlith.workflow.cli", *arguments]
    command = command if ranks == 1 else ["mpirun", "-n", str(ranks), *command]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, **options)


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def comes_true(condition, seconds: float = 20.0) -> bool:
    """Whether a condition holds before long: what clears away does so in its own time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


# --- streams ---


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("command", ["check", "mesh", "-q mesh", "deff --phase sei", "schema", "run -o out --force"])
def test_closed_streams_are_no_hindrance(tmp_path, command, closed):
    case = "" if command == "schema" else str(write_case(tmp_path, mesh=COARSE))
    script = f"{sys.executable} -m microlith.workflow.cli {command} {case} {closed}"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Error" not in ended.stderr
    if command.startswith("run"):
        assert json.loads((tmp_path / "out" / "summary.json").read_text())["cells"] > 10


def test_nobody_reads_the_log(tmp_path):
    """The reader of standard error is gone, as after `2>&1 | head -1`: the run goes on, and its status is 0."""
    case = write_case(tmp_path, mesh=COARSE)
    read, write = os.pipe()
    os.close(read)
    with start("run", str(case), "-o", str(tmp_path / "out"), stderr=write) as run:
        os.close(write)
        assert run.wait(120) == 0
    assert (tmp_path / "out" / "summary.json").exists()


# --- signals ---

WAITING = """
import os, signal, sys, time
from microlith.workflow import cli
from microlith.workflow.run import write
def wait(*_, **__):
    print("writing", os.getpid(), flush=True)
    if sys.argv[3] == "deaf":  # as in a long factorisation, in which Python handles no signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    while True:
        time.sleep(0.05)
write.write_summary = wait
sys.exit(cli.main(["run", sys.argv[1], "-o", sys.argv[2], "-q"]))
"""


def waiting(case: Path, output: Path, how: str = "") -> "subprocess.Popen[str]":
    """A run that has nearly all its files."""
    command = [sys.executable, "-c", WAITING, str(case), str(output), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_leave_nothing(tmp_path, name):
    case = write_case(tmp_path, mesh=COARSE)
    number = signal.Signals[name]
    with waiting(case, tmp_path / "new" / "out") as run:
        assert run.stdout.readline().startswith("writing"), run.stderr.read()
        run.send_signal(number)
        _, said = run.communicate(timeout=400)
    assert run.returncode == 128 + number
    assert said == ("microlith: interrupted\n" if name == "SIGINT" else f"microlith: ended by {name}\n")
    assert names_in(tmp_path) == ["case.toml", "image.tif"]


@pytest.mark.parametrize("how", ["", "deaf"])
def test_killed_runs_are_cleared_away(tmp_path, how):
    """As mpirun does it, half a second after SIGTERM, whatever its ranks are at."""
    case = write_case(tmp_path, mesh=COARSE)
    with waiting(case, tmp_path / "new" / "out", how) as run:
        assert run.stdout.readline().startswith("writing"), run.stderr.read()
        assert (tmp_path / "new" / "out").exists()
        if how == "deaf":
            run.terminate()
            time.sleep(0.5)
        run.kill()
    assert comes_true(lambda: names_in(tmp_path) == ["case.toml", "image.tif"]), names_in(tmp_path)


def test_nohup(tmp_path):
    """SIGHUP that the user has switched off ends nothing."""
    case = write_case(tmp_path, mesh=COARSE)
    ignoring = subprocess.Popen(
        [
            "sh",
            "-c",
            "trap '' HUP; exec \"$@\"",
            "sh",
            sys.executable,
            "-c",
            WAITING,
            str(case),
            str(tmp_path / "o"),
            "",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ignoring as run:
        assert run.stdout.readline().startswith("writing")
        run.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert run.poll() is None
        run.terminate()
        assert run.wait(60) == 143


@needs_mpirun
def test_a_signal_to_mpirun_leaves_nothing(tmp_path):
    case, output = write_case(tmp_path, mesh=COARSE), tmp_path / "out"
    command = ["mpirun", "-n", "2", sys.executable, "-c", WAITING, str(case), str(output), ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        line = run.stdout.readline()
        assert line.startswith("writing"), run.stderr.read()
        run.terminate()
        run.communicate(timeout=400)
    assert run.returncode != 0
    assert comes_true(lambda: names_in(tmp_path) == ["case.toml", "image.tif"]), names_in(tmp_path)
    assert comes_true(lambda: not Path(f"/proc/{line.split()[1]}").exists())


# --- kills at random moments ---

KILLS = 15


def test_kills_at_random_moments(tmp_path):
    """Old results or new ones, never none and never some of each; and nothing else is left in the folder."""
    random_moments = random.Random(20)
    output = tmp_path / "out"
    cases = [
        write_case(tmp_path / f"{n}", mesh=COARSE, time=f'[time]\nend = "{n} s"\nsnapshots = ["{n} s"]\n')
        for n in (5, 7)
    ]
    begun = time.monotonic()
    assert start("run", str(cases[0]), "-o", str(output), "-q").wait(300) == 0
    whole = time.monotonic() - begun
    complete = names_in(output)
    ended = 0
    for number in range(1, KILLS + 1):
        run = start("run", str(cases[number % 2]), "-o", str(output), "--force", "-q", start_new_session=True)
        # Mostly towards the end, where files move
        moment = whole * random_moments.choice([random_moments.uniform(0.1, 1.1), random_moments.uniform(0.7, 1.1)])
        try:
            run.wait(moment)
            ended += 1
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        assert comes_true(lambda: not list(output.glob(".unfinished-*")) + list(output.glob(".microlith-lock")))
        finish_if_free(output)
        left = names_in(output)
        assert [name for name in left if "snapshot" not in name] == [n for n in complete if "snapshot" not in n], number
        summary = json.loads((output / "summary.json").read_text())
        end = summary["case"]["time"]["end_s"]
        times, curves = read_curves(output / "curves.csv")
        assert times[-1] == end, number
        assert [name for name in left if "snapshot" in name] == [f"snapshot-{end:.0f}s.png"]
        for name, region in summary["regions"].items():
            assert np.isclose(curves[name][-1], region["final"], rtol=1e-6), number
    assert ended < KILLS


# --- two ranks, all commands ---

BAD = {
    "no file": ("check none.toml", "there is no such case file"),
    "no image": ("check no-image.toml", "there is no file"),
    "bad image": ("check bad-image.toml", "image.tif"),
    "bad key": ("mesh bad-key.toml", "unknown key"),
    "mesh of bad image": ("mesh bad-image.toml", "image.tif"),
    "run of bad image": ("run bad-image.toml -o bad-out", "image.tif"),
    "no such phase": ("deff case.toml --phase nothing", "has no phase"),
    "no such axis": ("deff case.toml --phase sei --axis z", "the image is 2D"),
    "no folder": ("mesh case.toml -o none/a.vtu", "none"),
    "wrong level": ("converge case.toml --levels 99", "--levels 99"),
    "no results": ("view none --screenshot a.png", "there is no such folder"),
    "no results here": ("view . --screenshot a.png", "no folder of results"),
    "file there": ("init .", "not overwritten"),
    "full folder": ("run case.toml -o .", "not empty"),
}
GOOD = ["check case.toml", "mesh case.toml -o a.vtu", "run case.toml -o out", "deff case.toml --phase sei --axis x",
        "converge case.toml --levels 1 -o study", "schema", "init new", "--help"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    case = write_case(folder, mesh=COARSE)
    text = case.read_text()
    (folder / "no-image.toml").write_text(text.replace("image.tif", "missing.tif"))
    (folder / "bad-key.toml").write_text(text.replace("[mesh]", "[mesh]\nsizes = 1"))
    (folder / "bad").mkdir()
    (folder / "bad" / "image.tif").write_bytes((folder / "image.tif").read_bytes()[:300])
    (folder / "bad-image.toml").write_text(text.replace("image.tif", "bad/image.tif"))
    return folder


@needs_mpirun
@pytest.mark.parametrize("command", GOOD)
def test_commands_on_two_ranks(folder, command):
    with start(*command.split(), ranks=2, cwd=folder) as run:
        output, said = run.communicate(timeout=400)
    assert run.returncode == 0, said
    assert "Error" not in said
    if command.startswith(("check", "schema", "deff")):
        assert output


@needs_mpirun
@pytest.mark.parametrize("name", BAD)
def test_bad_input_on_two_ranks(folder, name):
    command, words = BAD[name]
    with start(*command.split(), ranks=2, cwd=folder) as run:
        _, said = run.communicate(timeout=400)
    assert run.returncode == 2, said
    sentences = [line for line in said.splitlines() if line.startswith("microlith: ")]
    assert len(sentences) == 1, said
    assert words in sentences[0]
    assert "Traceback" not in said


FAILING = """
import importlib, sys
from microlith.workflow import cli
start = cli.Ranks.start
def fail(*_, **__):
    raise MemoryError
def started():  # modules are imported by all ranks, once MPI runs
    ranks = start()
    module, name = sys.argv[1].split(":")
    found = importlib.import_module("microlith." + module)
    if ranks.comm.rank == 1:
        setattr(found, name, fail)
    return ranks
cli.Ranks.start = started
sys.exit(cli.main(sys.argv[2:]))
"""


@needs_mpirun
@pytest.mark.parametrize(
    "where",
    [
        "solver.krylov.lacking_space:_orthonormal",  # within the error in space; destroying its solvers waited for ever
        "solver.krylov.deviation:_stiffness",
        "solver.regions.means:region_means",
        "workflow.run.summary:_error_entries",
    ],
)
def test_one_rank_that_runs_out_of_memory_ends_all(tmp_path, where):
    case = write_case(tmp_path, mesh=COARSE)
    command = [sys.executable, "-c", FAILING, where, "run", str(case), "-o", str(tmp_path / "out"), "-q"]
    done = subprocess.run(["mpirun", "-n", "2", *command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("microlith: out of memory") == 1
    assert comes_true(lambda: names_in(tmp_path) == ["case.toml", "image.tif"]), names_in(tmp_path)


@needs_mpirun
@pytest.mark.parametrize("failing", [0, 1])
def test_tests_that_fail_on_one_rank_end_on_all(tmp_path, failing):
    """A rank that is done goes on into PETSc's end, where it would wait for the one that failed."""
    project = Path(__file__).parents[2]
    (tmp_path / "test_one.py").write_text(
        "import time\nfrom mpi4py import MPI\nfrom petsc4py import PETSc\n\n\ndef test_one():\n"
        f"    if MPI.COMM_WORLD.rank == {failing}:\n        time.sleep(1.0)\n        assert PETSc is None\n"
    )
    command = [str(project / "runtime" / "one-voice"), sys.executable, "-m", "pytest", "-x", "-p", "conftest"]
    command += [
        "-p",
        "no:cacheprovider",
        "-c",
        str(project / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(project / "tests"), *sys.path])}
    done = subprocess.run(
        ["mpirun", "-n", "2", *command], capture_output=True, text=True, check=False, timeout=100, env=variables
    )
    assert done.returncode == 1
    assert "assert PETSc is None" in done.stdout
