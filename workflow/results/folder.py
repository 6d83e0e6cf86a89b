"""The result folder: files appear in it whole and all at once, or not at all; what is not of microlith stays."""

import json
import logging
import os
import re
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Literal

from microlith.imaging.errors import InputError
from microlith.imaging.locking import FileLock, Held
from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.writing import COMPLETE, UNFINISHED, cannot_write, write_text
from microlith.workflow.results.janitor import Janitor

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

log = logging.getLogger(__name__)

CURVES = "curves.csv"
ERRORS = "errors.csv"
SPREAD = "spread.csv"
FLUXES = "fluxes.csv"
PROFILE = "profile.csv"
REPORT = "report.html"
SCENE = "scene.json"
SUMMARY = "summary.json"
FIELDS = "fields.vtkhdf"
PHASES = "phases.vtkhdf"
CURVES_PICTURE = "curves.png"
PARTICLES = "particles.csv"
PARTICLES_PICTURE = "particles.png"
DISTANCE_PICTURE = "particles-distance.png"
CONVERGE = "converge.json"
CONVERGE_TABLE = "converge.csv"
CONVERGE_PICTURE = "converge.png"
SEGMENTATION_PICTURE = "segmentation.png"
ANALYSIS = "analysis.json"
CONDUCTION = "deff.json"
FIT = "fit.json"
FIT_TABLE = "fit.csv"
FIT_CURVES = "fit-curves.csv"
FIT_PICTURE = "fit.png"
FIT_CASE = "best.toml"
SWEEP = "sweep.json"
SWEEP_TABLE = "sweep.csv"
SWEEP_PICTURE = "sweep.png"
SWEEP_MAP = "sweep-map.png"
COMPARISON = "comparison.csv"
COMPARISON_PAGE = "comparison.html"
NUMBERS = "numbers.csv"
SEGMENT = "segment.json"
SEGMENT_TEXT = "segment.txt"
SEGMENT_PICTURE = "segment.png"
HISTOGRAM_PICTURE = "histogram.png"
LABELS = "labels.tif"
MARGIN = "margin.tif"
SNAPSHOT_PREFIX = "snapshot-"
LOCK = ".microlith-lock"  # held by the process that writes to a folder
LIST = ".microlith.json"  # which files of a folder which command wrote

# Commands that write folders; each replaces its own files only
Writer = Literal["run", "converge", "analyze", "deff", "fit", "segment", "compare", "sweep"]
# Files that each of them may write, snapshots apart
KNOWN: dict[Writer, tuple[str, ...]] = {
    "run": (
        *(CURVES, ERRORS, SPREAD, FLUXES, PROFILE, FIELDS, PHASES, CURVES_PICTURE),
        *(PARTICLES, PARTICLES_PICTURE, DISTANCE_PICTURE, SCENE, REPORT, SUMMARY),
    ),
    "converge": (CONVERGE, CONVERGE_TABLE, CONVERGE_PICTURE, SEGMENTATION_PICTURE, REPORT),
    "analyze": (ANALYSIS, NUMBERS, REPORT),
    "deff": (CONDUCTION, REPORT),
    "fit": (FIT, FIT_TABLE, FIT_CURVES, FIT_PICTURE, FIT_CASE, REPORT),
    "sweep": (SWEEP, SWEEP_TABLE, SWEEP_PICTURE, SWEEP_MAP, REPORT),
    "compare": (COMPARISON, COMPARISON_PAGE),
    "segment": (LABELS, MARGIN, SEGMENT, SEGMENT_TEXT, SEGMENT_PICTURE, HISTOGRAM_PICTURE),
}
SHARING = {"run", "converge", "deff", "fit"}  # of one case, whose files have names of their own but for the report
# The file that tells of each of them where there is no list, as in a copy without hidden files
MARKS: dict[Writer, str] = {
    "run": SUMMARY,
    "converge": CONVERGE,
    "analyze": ANALYSIS,
    "deff": CONDUCTION,
    "fit": FIT,
    "sweep": SWEEP,
    "compare": COMPARISON,
    "segment": SEGMENT,
}
# Before there were lists; such a file beside a summary is of a run
_SNAPSHOT = re.compile(rf"{SNAPSHOT_PREFIX}[0-9.e+-]+s\.png")


@contextmanager
def result_folder(path: Path, force: bool, comm: "Comm", writer: Writer = "run") -> Iterator[Path]:
    """Folder for the files of one run; they move to `path` together when the run has ended well.

    Enter it before any work: it refuses what could not be written at the end, and a folder that another run writes to.
    Inside, every rank has the same hidden folder within `path`; at the end rank 0 moves its files to `path`,
    summary.json last, and only then removes what an earlier run of the same command has left besides. After an error
    or an interrupt nothing remains of the run, not even `path` if the run made it. What was complete stays, whatever
    happens: a run that was killed while its files moved is brought to its end by whoever opens the folder next.

    Args:
        path: The result folder; made where it is missing, with its parents.
        force: Whether the results of an earlier run of this command are replaced. They stay until this one has ended
            well, files that microlith did not write always. Results of other commands are never replaced, but for the
            report of those that share a folder.
        comm: All ranks of the run; they enter and leave together.
        writer: The command.

    Yields:
        The folder to write to.

    Raises:
        InputError: `path` holds files and force is not given, is no folder, can't be written to, is another run's at
            the moment, or holds results of another command or something of the user's that has the name of a result.
    """
    hold: list[_Hold] = []  # on rank 0
    made, stage = on_first_rank(comm, lambda: _open(path, force, writer, hold))
    try:
        yield stage
        on_first_rank(comm, lambda: _publish(stage, path, writer))
    except BaseException:
        # Each rank by itself, without a word to the others: they may be waiting elsewhere.
        _discard(stage)
        _let_go(hold)
        with suppress(OSError):  # not empty, or another rank was faster
            for folder in made:
                folder.rmdir()
        raise
    _let_go(hold)


@dataclass
class _Hold:
    """What keeps a folder for one run."""

    janitor: Janitor
    lock: FileLock | None = None


def _let_go(hold: list[_Hold]) -> None:
    for one in hold:
        if one.lock is not None:
            one.lock.release()
        one.janitor.dismiss()


def _open(path: Path, force: bool, writer: Writer, hold: list[_Hold]) -> tuple[list[Path], Path]:
    """Folders made, innermost first, and the hidden one to write to; what keeps the folder goes to `hold`."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder for the results, got a file; name another with -o")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    stage = path / f"{UNFINISHED}{gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    hold.append(_Hold(Janitor(stage, path / LOCK, missing)))  # before there is anything to clear away
    try:
        path.mkdir(parents=True, exist_ok=True)
        hold[0].lock = lock = _locked(path)
        finish_killed(path, lock)
        refuse_held(path, force, writer)
        stage.mkdir(mode=0o700)
        return missing, stage
    except BaseException as error:
        _let_go(hold)
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def _locked(path: Path) -> FileLock:
    try:
        return FileLock.acquire(path / LOCK)
    except Held as holder:
        who = f"another run writes to this folder ({holder})"
        raise InputError(f"{path}: {who}; wait for it, or name another with -o") from None


def refuse_held(path: Path, force: bool, writer: Writer) -> None:
    """Refuse a folder of which something would have to be overwritten that may not be.

    Raises:
        InputError: It holds results of another command; or files, and force is not given; or something that microlith
            did not write and that has the name of a result.
    """
    refuse_others(path, writer)
    held = sorted(entry.name for entry in path.iterdir() if not is_ours_alone(entry.name))
    if held and not force:
        shown = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
        raise InputError(
            f"{path}: the result folder is not empty (it holds {shown}); overwrite earlier results with --force, "
            "or name another folder with -o"
        )
    ours = {name for listed in _written(path).values() for name in listed}
    _refuse_foreign(path, [name for name in KNOWN[writer] if name not in ours])


def refuse_others(path: Path, writer: Writer) -> None:
    """Refuse a folder with results of another command, unless both may share one: they use the same names.

    Raises:
        InputError: As said.
    """
    written = _written(path)
    own = set(written.get(writer, ()))
    found = [
        (other, name)
        for other, names in written.items()
        if not _share(other, writer)
        for name in (MARKS.get(other, ""), *names)  # type: ignore[call-overload]
        if name in names and name not in own and os.path.lexists(path / name)
    ]
    unlisted = {"sweep": SWEEP} if (path / LIST).exists() else MARKS  # a sweep keeps no list
    found += [(other, name) for other, name in unlisted.items() if not _share(other, writer) and _is_mark(path / name)]
    if found:
        other, name = found[0]
        raise InputError(
            f"{path}: this folder holds results of microlith {other} ({name}), which --force does not overwrite; name "
            f"another folder for those of {writer} with -o"
        )


def _share(one: str, other: str) -> bool:
    """Whether the results of two commands may be in one folder."""
    return one == other or {one, other} <= SHARING


def _is_mark(path: Path) -> bool:
    """Whether a file that tells of a command is there, and microlith wrote it."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return any(line.startswith("# microlith ") for line in text.splitlines()[:3])
        return "microlith" in json.loads(text)["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_ours_alone(name: str) -> bool:
    """Whether an entry of a result folder is none that a user would call a result: lock, list, hidden folders."""
    return name in (LOCK, LIST) or name.startswith((UNFINISHED, COMPLETE))


def _refuse_foreign(path: Path, names: list[str]) -> None:
    foreign = next((path / name for name in names if os.path.lexists(path / name)), None)
    if foreign is not None:
        what = "folder" if foreign.is_dir() else "file"
        raise InputError(
            f"{foreign}: microlith did not write this {what}, and results of that name would take its place; move it "
            "away, or name another folder with -o"
        )


# --- what other runs left ---


def finish_killed(path: Path, lock: FileLock) -> None:
    """Bring to its end what killed runs left in a folder that this process holds: publish what is complete.

    What is not complete is removed if it is of this host, of others told: locks of some file systems do not reach from
    host to host.

    Raises:
        InputError: Complete results can't be put in place.
    """
    for stage in sorted(path.glob(f"{COMPLETE}*")):
        _move_in_place(stage, path)
        log.warning("%s: put the results of a run in place that was killed when they were complete", path)
    for stage in sorted(path.glob(f"{UNFINISHED}*")):
        host, process = _maker(stage)
        if host != gethostname():
            log.info(
                "%s: left by a run on %s; remove it unless that one is still at work", stage, host or "another host"
            )
        elif lock.certain or not _alive(process):
            shutil.rmtree(stage, ignore_errors=True)
            log.info("%s: removed what a run left that was killed", path)


def finish_if_free(path: Path) -> None:
    """As `finish_killed`, unless somebody holds the folder or it can't be written to: for those who only read."""
    if next(path.glob(f"{COMPLETE}*"), None) is None:
        return
    with suppress(InputError, OSError):
        lock = _locked(path)
        try:
            finish_killed(path, lock)
        finally:
            lock.release()


def _maker(stage: Path) -> tuple[str, int]:
    """Host and process that made a hidden folder; "" and 0 where its name does not say."""
    host, _, process = stage.name.removeprefix(UNFINISHED).rpartition("-")[0].rpartition("-")
    return (host, int(process)) if process.isdigit() else ("", 0)


def _alive(process: int) -> bool:
    """Whether there may be another process of that number on this host."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive under another user
        return True
    return True


def _written(path: Path) -> dict[str, list[str]]:
    """Command -> names of the files that it wrote into a folder."""
    try:
        told = json.loads((path / LIST).read_text(encoding="utf-8"))["files"]
        return {str(writer): [str(name) for name in names] for writer, names in told.items()}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        log.warning("%s: can't be read; earlier results are not recognised", path / LIST)
        return {}
    return _written_without_list(path)


def _written_without_list(path: Path) -> dict[str, list[str]]:
    """The same from the file that each command writes last, where there is no list yet."""
    found: dict[str, list[str]] = {}
    for writer, last in (("run", SUMMARY), ("converge", CONVERGE)):
        if _is_mark(path / last):
            names = [name for name in KNOWN[writer] if (path / name).is_file()]  # type: ignore[index]
            pictures = [p.name for p in path.glob(f"{SNAPSHOT_PREFIX}*") if _SNAPSHOT.fullmatch(p.name)]
            found[writer] = names + (pictures if writer == "run" else [])
    return found


@contextmanager
def added_files(path: Path, names: list[str], force: bool, writer: Writer = "run") -> Iterator[None]:
    """Hold a result folder while files are added to it, or replaced, and note them as those of a command.

    Args:
        path: A folder that holds results.
        names: Of the files.
        force: Whether files that microlith did not write are replaced.
        writer: The command.

    Raises:
        InputError: Another process writes to the folder, or one of the files is there and not of microlith.
    """
    try:
        lock = _locked(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        written = _written(path)
        claimed = {name for listed in written.values() for name in listed}
        if not force:
            _refuse_foreign(path, [name for name in names if name not in claimed])
        yield
        there = [name for name in names if (path / name).is_file()]
        files = written | {writer: sorted({*written.get(writer, []), *there})}
        write_text(path / LIST, json.dumps({"files": files}, indent=1, ensure_ascii=False) + "\n")
    finally:
        lock.release()


# --- publishing ---


def _publish(stage: Path, path: Path, writer: Writer) -> None:
    """Move the files of a run that has ended well to their folder."""
    names = sorted(file.name for file in stage.iterdir())
    try:
        write_text(stage / LIST, json.dumps({"writer": writer, "files": names}))
        complete = stage.with_name(COMPLETE + stage.name.removeprefix(UNFINISHED))
        with _signals_wait():
            stage.rename(complete)  # from here on nobody takes it for abandoned
            _move_in_place(complete, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def _move_in_place(stage: Path, path: Path) -> None:
    """Move complete results to their folder; may be begun again wherever it was stopped.

    Raises:
        InputError: Something is in the way; the results stay where they are.
    """
    try:
        told = json.loads((stage / LIST).read_text(encoding="utf-8"))
        writer, names = str(told["writer"]), [str(name) for name in told["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{stage}: can't be read as results that are complete ({error}); move it away") from error
    written = _written(path)
    waiting = [name for name in names if os.path.lexists(stage / name)]
    claimed = {name for listed in written.values() for name in listed}
    try:
        _refuse_foreign(path, [name for name in waiting if name not in claimed or (path / name).is_dir()])
        for name in sorted(waiting, key=lambda name: (name == SUMMARY, name)):
            os.replace(stage / name, path / name)
        for name in written.get(writer, ()):
            if name not in names and Path(name).name == name:
                (path / name).unlink(missing_ok=True)
        for left in path.glob(f".{Path(LIST).stem}.*.part{Path(LIST).suffix}"):  # by one killed as it wrote the list
            left.unlink()
        # Others are of earlier versions, whose commands shared folders; what the user removed is theirs no longer
        others = {
            other: [name for name in listed if name not in names and (path / name).is_file()]
            for other, listed in written.items()
        }
        files = {other: listed for other, listed in others.items() if listed} | {writer: names}
        write_text(path / LIST, json.dumps({"files": files}, indent=1, ensure_ascii=False) + "\n")
        # No longer complete before its list goes: one killed in between would leave what can't be read
        done = stage.rename(stage.with_name(UNFINISHED + stage.name.removeprefix(COMPLETE)))
        shutil.rmtree(done, ignore_errors=True)
    except (InputError, OSError) as error:
        reason = error if isinstance(error, InputError) else cannot_write(path, error)
        raise InputError(f"{reason}. Nothing is lost: the new results are complete in {stage}") from error


def _discard(stage: Path) -> None:
    """Remove the files of a run that has failed, unless they are complete by now."""
    abandoned = stage.with_name(f"{UNFINISHED}{gethostname()}-{os.getpid()}-{stage.name[-8:]}x")
    with suppress(OSError):
        stage.rename(abandoned)  # at once: no other rank publishes it any more
        shutil.rmtree(abandoned, ignore_errors=True)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let signals that would end the process wait until the block has ended."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one only
        yield
        return
    came: list[int] = []
    before = {}
    for number in (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")):
        if number is not None and signal.getsignal(number) is not None:
            before[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
