"""The result folder: nothing half-made, nothing of the user's lost."""

import json
import os
import resource
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import in_turn, on_first_rank, together
from microlith.workflow.results.folder import cannot_write, result_folder, whole_file, write_summary, write_text

COMM = MPI.COMM_WORLD


def shared(tmp_path: Path) -> Path:
    """One folder for all ranks: each has a tmp_path of its own."""
    return COMM.bcast(tmp_path)


@contextmanager
def small_files_only():
    """Files can't grow beyond 1 kB, as on a disk that is full; not even the file that pytest may write to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


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
        assert [entry.name.startswith(".unfinished-") for entry in path.iterdir()] == [True]
        COMM.barrier()
    assert everything_in(path) == ["curves.csv", "summary.json"]


def test_summary_is_the_last_to_appear(tmp_path, monkeypatch):
    order = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append(to.name), replace(self, to))[1])
    with result_folder(tmp_path / "r", False, COMM) as folder:
        for name in ("summary.json", "a.png", "z.vtkhdf", "curves.csv"):
            (folder / name).write_text("x")
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


@pytest.mark.mpi
def test_force_removes_earlier_results_and_nothing_else(tmp_path):
    path = shared(tmp_path)
    if COMM.rank == 0:
        for name in ("curves.csv", "summary.json", "fields.vtkhdf", "curves.png", "snapshot-0s.png", "snapshot-7s.png"):
            (path / name).write_text("old")
        for name in ("notes.txt", "snapshot.png", "my-curves.csv"):
            (path / name).write_text("mine")
        (path / ".unfinished-abc").mkdir()
        (path / ".unfinished-abc" / "curves.csv").write_text("half")
    with result_folder(path, True, COMM) as folder:
        assert (path / "summary.json").read_text() == "old"  # until there is something better
        COMM.barrier()
        if COMM.rank == 0:
            (folder / "curves.csv").write_text("new")
    assert everything_in(path) == ["curves.csv", "my-curves.csv", "notes.txt", "snapshot.png"]
    assert (path / "curves.csv").read_text() == "new"


@pytest.mark.mpi
def test_a_run_that_fails_with_force_leaves_earlier_results(tmp_path):
    """A misspelt label in the case must not cost the results of last night."""
    path = shared(tmp_path)
    old = ["curves.csv", "fields.vtkhdf", "snapshot-0s.png", "summary.json"]
    if COMM.rank == 0:
        for name in old:
            (path / name).write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        interrupted_run(path, RuntimeError, force=True)
    COMM.barrier()
    assert everything_in(path) == old
    assert {(path / name).read_text() for name in old} == {"old"}


def test_force_in_a_folder_named_from_here(tmp_path, monkeypatch):
    """The folder is results/case as the command line has it, not from the root."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        with result_folder(Path("results"), True, MPI.COMM_SELF) as folder:
            write_text(folder / "curves.csv", f"{number}")
    assert everything_in(tmp_path / "results") == ["curves.csv"]
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
    with small_files_only(), pytest.raises(InputError, match=r"a\.csv: can't write here \(file too large\)"):
        write_text(tmp_path / "a.csv", "x" * 5000)
    assert everything_in(tmp_path) == []


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


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    """The folder of a process that is gone is removed; that of a living one is somebody's work."""
    import os
    import subprocess
    import sys
    from socket import gethostname

    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    path = tmp_path / "out"
    left = path / f".unfinished-{gethostname()}-{gone.stdout.strip()}-abc"
    left.mkdir(parents=True)
    with result_folder(path, False, MPI.COMM_SELF) as stage:
        assert not left.exists()
        assert str(os.getpid()) in stage.name
    living = path / f".unfinished-{gethostname()}-{os.getpid()}-abc"
    living.mkdir()
    with pytest.raises(InputError, match="not empty"), result_folder(path, False, MPI.COMM_SELF):
        pass
    assert living.exists()


def test_what_can_not_be_written_is_named_as_the_user_knows_it(tmp_path):
    stage = tmp_path / "out" / ".unfinished-host-1-abc"
    sentence = str(cannot_write(stage / "curves.png", OSError(28, "No space left on device")))
    assert sentence.startswith(f"{tmp_path / 'out' / 'curves.png'}: ")
