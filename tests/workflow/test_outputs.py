"""The result folder: nothing half-made, nothing of the user's lost."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from socket import gethostname

import numpy as np
import pytest
from full_disks import files_of_at_most

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import in_turn, on_first_rank, together
from microlith.imaging.writing import cannot_write, whole_file, write_text
from microlith.workflow.results.folder import LIST, LOCK, SHARING, finish_if_free, result_folder
from microlith.workflow.results.json_file import write_summary
from microlith.workflow.sweep.record import refuse_foreign

COMM = MPI.COMM_WORLD


def shared(tmp_path: Path) -> Path:
    """One folder for all ranks: each has a tmp_path of its own."""
    return COMM.bcast(tmp_path)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def interrupted_run(path, error, force=False):
    with result_folder(path, force, COMM) as folder:
        write_text(folder / f"curves-{COMM.rank}.csv", "time_s\n")
        COMM.barrier()
        raise error("stop")


def interrupted_write(path):
    with whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("stop")


def enter(path, force=False):
    with result_folder(path, force, COMM):
        pass


# --- result folder ---


@pytest.mark.mpi
def test_files_appear_together_at_the_end(tmp_path):
    path = shared(tmp_path) / "a" / "b"
    with result_folder(path, False, COMM) as folder:
        if COMM.rank == 0:
            write_text(folder / "summary.json", "{}")
            write_text(folder / "curves.csv", "time_s\n")
        COMM.barrier()
        assert sorted(entry.name[:11] for entry in path.iterdir()) == [".microlith-", ".unfinished"]
        COMM.barrier()
    assert everything_in(path) == [".microlith.json", "curves.csv", "summary.json"]


def test_summary_is_the_last_to_appear(tmp_path, monkeypatch):
    order = []
    replace = os.replace
    with result_folder(tmp_path / "r", False, COMM) as folder:
        for name in ("summary.json", "a.png", "z.vtkhdf", "curves.csv"):
            (folder / name).write_text("x")
        monkeypatch.setattr(os, "replace", lambda old, new: (order.append(Path(new).name), replace(old, new))[1])
    order = [name for name in order if not name.startswith(".")]
    assert order == ["a.png", "curves.csv", "z.vtkhdf", "summary.json"]


@pytest.mark.parametrize("error", [InputError, RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_leaves_nothing(tmp_path, error):
    path = tmp_path / "new" / "results"
    with pytest.raises(error):
        interrupted_run(path, error)
    assert everything_in(tmp_path) == []


def test_an_interrupted_run_leaves_the_users_folder(tmp_path):
    path = tmp_path / "results"
    path.mkdir()
    with pytest.raises(RuntimeError):
        interrupted_run(path, RuntimeError)
    assert everything_in(tmp_path) == ["results"]


@pytest.mark.mpi
def test_a_folder_with_files_is_refused_before_any_work(tmp_path):
    path = shared(tmp_path)
    (path / "notes.txt").write_text("mine")
    COMM.barrier()
    with pytest.raises(InputError, match=r"not empty \(it holds notes.txt\).*--force"):
        enter(path)
    assert everything_in(path) == ["notes.txt"]


SUMMARY = '{"versions": {"microlith": "0"}}'


def publish(path, files, writer="run", comm=COMM):
    """Results with these contents, by name."""
    with result_folder(path, True, comm, writer) as folder:
        if comm.rank == 0:
            for name, text in files.items():
                (folder / name).write_text(text)
        comm.barrier()


@pytest.mark.mpi
def test_force_removes_earlier_results_and_nothing_else(tmp_path):
    path = shared(tmp_path)
    mine = ("notes.txt", "snapshot.png", "my-curves.csv", "snapshot-for-my-poster.png", "snapshot-3s.png")
    if COMM.rank == 0:
        (path / ".unfinished-abc").mkdir()
        (path / ".unfinished-abc" / "curves.csv").write_text("half")
    COMM.barrier()
    names = ("curves.csv", "summary.json", "fields.vtkhdf", "curves.png", "snapshot-0s.png", "snapshot-7s.png")
    publish(path, dict.fromkeys(names, SUMMARY))
    if COMM.rank == 0:
        for name in mine:
            (path / name).write_text("mine")
    COMM.barrier()
    with result_folder(path, True, COMM) as folder:
        assert (path / "summary.json").read_text() == SUMMARY  # until there is something better
        COMM.barrier()
        if COMM.rank == 0:
            (folder / "curves.csv").write_text("new")
    kept = [".microlith.json", ".unfinished-abc", ".unfinished-abc/curves.csv", "curves.csv", *mine]
    assert everything_in(path) == sorted(kept)  # what is of no known host stays, and is told
    assert (path / "curves.csv").read_text() == "new"


def test_a_study_and_a_run_share_a_folder(tmp_path):
    """Each replaces its own files only."""
    publish(tmp_path, {"summary.json": "run", "curves.csv": "run"})
    publish(tmp_path, {"converge.json": "1", "converge.png": "1"}, "converge")
    publish(tmp_path, {"converge.json": "2"}, "converge")
    publish(tmp_path, {"summary.json": "again"})
    assert everything_in(tmp_path) == [".microlith.json", "converge.json", "summary.json"]
    assert (tmp_path / "converge.json").read_text() == "2"


def test_commands_that_share_a_folder_replace_its_report(tmp_path):
    """The page of the last one is there; one of the user's is not taken for theirs."""
    publish(tmp_path, {"summary.json": "run", "report.html": "run"})
    publish(tmp_path, {"converge.json": "1", "report.html": "converge"}, "converge")
    assert (tmp_path / "report.html").read_text() == "converge"
    publish(tmp_path, {"summary.json": "again", "report.html": "again"})
    assert (tmp_path / "report.html").read_text() == "again"
    (tmp_path / ".microlith.json").unlink()
    with pytest.raises(InputError, match=r"report.html: microlith did not write this file"):
        publish(tmp_path, {"deff.json": "1", "report.html": "deff"}, "deff")


MARKS = {
    "run": "summary.json",
    "converge": "converge.json",
    "analyze": "analysis.json",
    "deff": "deff.json",
    "fit": "fit.json",
    "segment": "segment.json",
    "compare": "comparison.csv",
    "sweep": "sweep.json",
}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("other", MARKS)
def test_results_of_another_command_are_neither_replaced_nor_mixed(tmp_path, other, listed, force):
    """Also those of a copy without the hidden list, and of a sweep, which keeps none."""
    mark = MARKS[other]
    mine = "# title\n# microlith 0\n" if mark.endswith(".csv") else SUMMARY
    files = {mark: mine, "thickness.png": "old", "report.html": "old"}
    if other == "sweep":
        for name, text in files.items():
            (tmp_path / name).write_text(text)
    else:
        publish(tmp_path, files, other)
    if not listed:
        (tmp_path / LIST).unlink(missing_ok=True)
    before = contents(tmp_path)
    for writer in MARKS:
        if writer not in (other, "sweep") and not {writer, other} <= SHARING:
            with pytest.raises(InputError, match=rf"holds results of microlith {other} \({mark}\), .* -o$"):
                result_folder(tmp_path, force, MPI.COMM_SELF, writer).__enter__()
    if other != "sweep":
        with pytest.raises(InputError, match=rf"holds results of microlith {other} \({mark}\), .* -o$"):
            refuse_foreign(tmp_path, force)
    assert contents(tmp_path) == before


def test_what_the_user_removed_is_no_result_of_another_command(tmp_path):
    publish(tmp_path, {"analysis.json": SUMMARY, "thickness.png": "1"}, "analyze")
    for name in ("analysis.json", "thickness.png"):
        (tmp_path / name).unlink()
    publish(tmp_path, {"comparison.csv": "1", "thickness.png": "2"}, "compare")
    publish(tmp_path, {"comparison.csv": "2"}, "compare")
    assert everything_in(tmp_path) == [".microlith.json", "comparison.csv"]
    assert json.loads((tmp_path / LIST).read_text())["files"] == {"compare": ["comparison.csv"]}


def test_files_of_the_user_with_names_of_results_are_of_no_command(tmp_path):
    (tmp_path / "summary.json").write_text('{"versions": "mine"}')
    (tmp_path / "comparison.csv").write_text("mine\n")
    publish(tmp_path, {"deff.json": "1"}, "deff")
    assert everything_in(tmp_path) == [".microlith.json", "comparison.csv", "deff.json", "summary.json"]


def test_a_sweep_replaces_nothing_of_the_user(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds no sweep.*--force"):
        refuse_foreign(tmp_path, force=False)
    refuse_foreign(tmp_path, force=True)
    (tmp_path / "sweep.csv").write_text("mine")
    with pytest.raises(InputError, match=r"sweep.csv: microlith did not write this file"):
        refuse_foreign(tmp_path, force=True)


def test_results_without_a_list_are_known_by_their_summary(tmp_path):
    """As earlier versions left them; without a summary they may be anybody's."""
    for name in ("curves.csv", "particles.csv", "snapshot-0.5s.png", "snapshot-for-my-poster.png"):
        (tmp_path / name).write_text("old")
    with pytest.raises(InputError, match=r"curves.csv: microlith did not write this file.*move it away"):
        enter(tmp_path, force=True)
    (tmp_path / "summary.json").write_text(SUMMARY)
    publish(tmp_path, {"curves.csv": "new"})
    assert everything_in(tmp_path) == [".microlith.json", "curves.csv", "snapshot-for-my-poster.png"]


def test_a_folder_of_the_users_with_the_name_of_a_result(tmp_path):
    (tmp_path / "fields.vtkhdf").mkdir()
    with pytest.raises(InputError, match=r"fields.vtkhdf: microlith did not write this folder"):
        enter(tmp_path, force=True)
    (tmp_path / "fields.vtkhdf").rmdir()
    publish(tmp_path, {"curves.csv": "old", "summary.json": "old"})
    (tmp_path / "snapshot-1s.png").mkdir()
    with pytest.raises(InputError, match=r"snapshot-1s.png: microlith did not write.*complete in .*/.complete-"):
        publish(tmp_path, dict.fromkeys(("curves.csv", "snapshot-1s.png", "summary.json"), "new"))
    assert (tmp_path / "curves.csv").read_text() == (tmp_path / "summary.json").read_text() == "old"
    with pytest.raises(InputError, match=r"snapshot-1s.png: microlith did not write"):
        enter(tmp_path, force=True)  # before any work
    (tmp_path / "snapshot-1s.png").rmdir()
    with pytest.raises(InputError, match="not empty"):
        enter(tmp_path)
    assert everything_in(tmp_path) == [".microlith.json", "curves.csv", "snapshot-1s.png", "summary.json"]
    assert (tmp_path / "curves.csv").read_text() == "new"


KILLED = """
import os, sys
from pathlib import Path
from mpi4py import MPI
from microlith.workflow.results.folder import LOCK, finish_if_free, result_folder

moves, replace = int(sys.argv[2]), os.replace

def replace_or_die(old, new):
    global moves
    if Path(new).parent == path and Path(new).name != ".microlith.json":
        if moves == 0:
            os.kill(os.getpid(), 9)
        moves -= 1
    replace(old, new)

path = Path(sys.argv[1])
with result_folder(path, True, MPI.COMM_SELF) as folder:
    for name in ("curves.csv", "snapshot-1s.png", "summary.json"):
        (folder / name).write_text("new")
    os.replace = replace_or_die
"""


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_run_killed_while_its_files_move(tmp_path, moves):
    """Whoever opens the folder next, even to read it, brings it to its end."""
    publish(tmp_path, {"curves.csv": "old", "snapshot-9s.png": "old", "summary.json": "old"})
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(moves)], check=False)
    assert killed.returncode == (0 if moves == 3 else -9)
    found = [(tmp_path / name).read_text() for name in ("curves.csv", "summary.json")]
    assert found == [["old", "old"], ["new", "old"], ["new", "old"], ["new", "new"]][moves]
    finish_if_free(tmp_path)
    assert everything_in(tmp_path) == [".microlith.json", "curves.csv", "snapshot-1s.png", "summary.json"]
    assert {path.read_text() for path in tmp_path.glob("[cs]*")} == {"new"}


def test_a_run_killed_while_it_removes_its_emptied_folder(tmp_path):
    """Its list went first: whoever came next could not read the rest as results, and no run could write here."""
    last = """
def emptied(folder, **_):
    for path in pathlib.Path(folder).iterdir():
        path.unlink()
    os.kill(os.getpid(), 9)
import pathlib, shutil
shutil.rmtree = emptied
"""
    imports, _, rest = KILLED.partition("path = Path(")
    script = imports + last + "path = Path(" + rest
    (tmp_path / "..microlith.0123456789ab.part.json").write_text("{")  # of one killed as it wrote the list
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), "9"], check=False)
    assert killed.returncode == -9
    finish_if_free(tmp_path)
    publish(tmp_path, {"curves.csv": "newer", "summary.json": "newer"})
    assert everything_in(tmp_path) == [".microlith.json", "curves.csv", "summary.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_files_move_waits(tmp_path, monkeypatch, number):
    publish(tmp_path, {"curves.csv": "old", "summary.json": "old"})
    replace = os.replace

    def interrupted(old, new):
        if new == tmp_path / "curves.csv":
            signal.raise_signal(number)
        replace(old, new)

    def stop(*_):
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(SystemExit if number == signal.SIGTERM else KeyboardInterrupt):
            publish(tmp_path, {"curves.csv": "new", "summary.json": "new"})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert everything_in(tmp_path) == [".microlith.json", "curves.csv", "summary.json"]
    assert (tmp_path / "curves.csv").read_text() == "new"


@pytest.mark.mpi
def test_a_run_that_fails_with_force_leaves_earlier_results(tmp_path):
    """A misspelt label in the case must not cost the results of last night."""
    path = shared(tmp_path)
    old = ["curves.csv", "fields.vtkhdf", "snapshot-0s.png", "summary.json"]
    publish(path, dict.fromkeys(old, "old"))
    with pytest.raises(RuntimeError, match="stop"):
        interrupted_run(path, RuntimeError, force=True)
    COMM.barrier()
    assert everything_in(path) == [".microlith.json", *old]
    assert {(path / name).read_text() for name in old} == {"old"}


def test_force_in_a_folder_named_from_here(tmp_path, monkeypatch):
    """The folder is results/case as the command line has it, not from the root."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        with result_folder(Path("results"), True, MPI.COMM_SELF) as folder:
            write_text(folder / "curves.csv", f"{number}")
    assert everything_in(tmp_path / "results") == [".microlith.json", "curves.csv"]
    assert Path("results/curves.csv").read_text() == "2"


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "results").write_text("x")
    with pytest.raises(InputError, match=r"expected a folder.*got a file"):
        enter(tmp_path / "results", force=True)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/results: can't write here \(not a directory\)"):
        enter(tmp_path / "file" / "results")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    if os.geteuid() == 0:
        path = Path("/proc/microlith")  # where even root can't
    else:
        path = tmp_path / "locked" / "results"
        path.parent.mkdir(mode=0o500)
    with pytest.raises(InputError, match="can't write here"):
        enter(path)


# --- single files ---


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError):
        interrupted_write(path)
    assert path.read_text() == "old"
    assert everything_in(tmp_path) == ["a.txt"]


def test_a_full_disk(tmp_path):
    with files_of_at_most(1000), pytest.raises(InputError, match=r"a\.csv: can't write here \(file too large\)"):
        write_text(tmp_path / "a.csv", "x" * 5000)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_no_lock(tmp_path, monkeypatch, there):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "results"
    if there:
        path.mkdir()
    monkeypatch.setattr("os.pwrite", full)
    refused = pytest.raises(InputError, match=r"results: can't write here \(no space left on device\)")
    with refused, result_folder(path, True, MPI.COMM_SELF):
        pass
    assert everything_in(tmp_path) == (["results"] if there else [])


def test_summary_is_plain_json(tmp_path):
    class Role(StrEnum):
        SOURCE = "source"

    @dataclass(frozen=True)
    class Phase:
        role: Role
        size: tuple[float, ...]
        _hidden: int = 1

    summary = {
        "phase": Phase(Role.SOURCE, (np.float64(0.1), float("nan"), np.inf)),
        "array": np.arange(3, dtype=np.int32),
        "flag": np.bool_(True),
        "path": Path("a/b"),
        "name": "µm",
        "none": None,
    }
    write_summary(tmp_path / "summary.json", summary)
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "phase": {"role": "source", "size": [0.1, None, None]},
        "array": [0, 1, 2],
        "flag": True,
        "path": "a/b",
        "name": "µm",
        "none": None,
    }
    assert "µm" in text


# --- errors on some ranks ---


@pytest.mark.mpi
def test_all_ranks_hear_of_bad_input_on_the_last():
    def work() -> None:
        if COMM.rank == COMM.size - 1:
            raise InputError("label 7 is unclaimed")

    with pytest.raises(InputError, match=r"^label 7 is unclaimed$"):
        together(COMM, work)


@pytest.mark.mpi
def test_all_ranks_hear_of_a_failure_on_the_first():
    def work() -> str:
        raise ZeroDivisionError("no")

    expected = ZeroDivisionError if COMM.rank == 0 else RuntimeError
    with pytest.raises(expected, match="no"):
        on_first_rank(COMM, work)
    assert on_first_rank(COMM, lambda: f"rank {COMM.rank}") == "rank 0"


@pytest.mark.mpi
def test_in_turn_is_one_after_the_other(tmp_path):
    path = shared(tmp_path) / "turns"

    def work() -> None:
        with path.open("a") as file:
            file.write(f"{COMM.rank}\n")

    in_turn(COMM, work)
    assert path.read_text().split() == [str(rank) for rank in range(COMM.size)]


def test_what_a_killed_run_left_is_no_hindrance(tmp_path, caplog):
    """It is removed, and that is told; what another host left may be somebody's work."""
    caplog.set_level("INFO")
    path = tmp_path / "out"
    left = path / f".unfinished-{gethostname()}-1-abc"
    left.mkdir(parents=True)
    (path / LOCK).write_text('{"host": "here", "process": 1, "since": "long ago"}')  # which nobody holds
    other = path / ".unfinished-other-host-12-abc"
    other.mkdir()
    with result_folder(path, False, MPI.COMM_SELF) as stage:
        assert not left.exists()
        assert str(os.getpid()) in stage.name
    assert "removed what a run left that was killed" in caplog.text
    assert "left by a run on other-host" in caplog.text
    assert everything_in(path) == [".microlith.json", other.name]


@pytest.mark.mpi
def test_other_ranks_hear_what_an_error_began_with():
    """h5py tries one library after the other, and raises of the last only; the first says that memory is lacking."""

    def load():
        if COMM.rank == COMM.size - 1:
            raise ImportError("no h5py") from OSError("failed to map segment")

    kind, words = (ImportError, "no h5py") if COMM.rank == COMM.size - 1 else (RuntimeError, "failed to map segment")
    with pytest.raises(kind, match=words):
        together(COMM, load)


@pytest.mark.mpi
def test_one_run_a_folder(tmp_path):
    """The second is refused at its start, whatever it may overwrite; the first goes on undisturbed."""
    path = shared(tmp_path)
    script = "import sys; from test_outputs import enter; from pathlib import Path; enter(Path(sys.argv[1]), True)"
    with result_folder(path, False, COMM) as stage:
        if COMM.rank == 0:
            environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX", "PMI_", "PRTE"))}
            environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
            command = [sys.executable, "-c", script, str(path)]
            second = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            assert (
                f"another run writes to this folder (process {os.getpid()} on {gethostname()}, since" in second.stderr
            )
            assert "; wait for it, or name another with -o" in second.stderr
            assert stage.is_dir()
            write_text(stage / "curves.csv", "first")
        COMM.barrier()
    assert everything_in(path) == [".microlith.json", "curves.csv"]


def test_a_file_system_that_can_not_lock(tmp_path, monkeypatch):
    """Nobody is refused there; what a living process left is not touched."""

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as alive:
        living, dead = (tmp_path / f".unfinished-{gethostname()}-{n}-abc" for n in (alive.pid, 2**22 + 1))
        living.mkdir()
        dead.mkdir()
        publish(tmp_path, {"curves.csv": "x"})
        assert everything_in(tmp_path) == [".microlith.json", living.name, "curves.csv"]
        alive.communicate(b"\n")


def test_temporary_files_are_nobody_elses(tmp_path):
    """A link of the name that a temporary file has had in the past is left alone."""
    (tmp_path / "mine.txt").write_text("mine")
    for name in (".mesh.part.vtu", ".d.json.part"):
        (tmp_path / name).symlink_to(tmp_path / "mine.txt")
    names = set()
    for _ in range(2):
        with whole_file(tmp_path / "mesh.vtu") as temporary:
            assert temporary.suffix == ".vtu"
            names.add(temporary)
            temporary.write_text("mesh")
    assert len(names) == 2
    write_text(tmp_path / "d.json", "{}")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert everything_in(tmp_path) == [".d.json.part", ".mesh.part.vtu", "d.json", "mesh.vtu", "mine.txt"]
    umask = os.umask(0o027)
    os.umask(umask)
    assert (tmp_path / "d.json").stat().st_mode & 0o777 == 0o666 & ~umask


def test_what_can_not_be_written_is_named_as_the_user_knows_it(tmp_path):
    stage = tmp_path / "out" / ".unfinished-host-1-abc"
    sentence = str(cannot_write(stage / "curves.png", OSError(28, "No space left on device")))
    assert sentence.startswith(f"{tmp_path / 'out' / 'curves.png'}: ")
