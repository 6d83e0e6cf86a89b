"""What is known of the cases of a sweep that have been at work: done, failed, of which state of the case file."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from microlith.imaging.errors import InputError, listed
from microlith.imaging.files.names import has_magic, matches, split
from microlith.imaging.writing import cannot_write, write_text
from microlith.workflow.results.folder import SUMMARY, SWEEP, finish_if_free, refuse_held, refuse_others
from microlith.workflow.sweep.plan import Plan

LOGS = "logs"  # folder within that of the sweep: NAME.log, and NAME.json with the record

Status = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Record:
    """Of one case."""

    fingerprint: str  # of what it was made from
    status: Status
    message: str = ""  # of a case that failed
    exit_status: int = 0  # as the command run would have it


def fingerprint(tables: Mapping[str, Any], image: str, folder: Path) -> str:
    """What tells whether results are still those of a case: its tables, and size and date of each file that it names.

    Args:
        tables: Of the case.
        image: As `ImageSource.path`; "" of a case that is at fault.
        folder: Of the case file.
    """
    own = {key: value for key, value in tables.items() if key not in ("sweep", "pictures", "analysis")}
    files = {str(path): _state(path) for path in (*_of_image(image), *_named(own, folder))}
    told = json.dumps([version("microlith"), own, files], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def _of_image(image: str) -> Iterator[Path]:
    """The files of an image: one, or slices; none where it is not known."""
    if not image:
        return
    path, _ = split(image)
    if not path.exists() and has_magic(image):
        yield from matches(image)
    elif path.is_dir():
        yield from path.iterdir()
    else:
        yield path


def _named(value: Any, folder: Path) -> Iterator[Path]:
    """Files that texts anywhere in the tables name."""
    if isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _named(entry, folder)
    elif isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value:
        path = folder / value.partition(":/")[0]
        if os.path.isfile(path):
            yield path
        elif os.path.isfile(path / SUMMARY):  # results to start from
            yield path / SUMMARY


def _state(path: Path) -> tuple[int, int] | None:
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_size, known.st_mtime_ns


# --- on disk ---


def record_path(output: Path, name: str) -> Path:
    """Where the record of a case is."""
    return output / LOGS / f"{name}.json"


def log_path(output: Path, name: str) -> Path:
    """Where the log of a case is."""
    return output / LOGS / f"{name}.log"


def keep(output: Path, name: str, record: Record) -> None:
    """Write the record of a case.

    Raises:
        InputError: The file can't be written.
    """
    write_text(record_path(output, name), json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def record_of(output: Path, name: str) -> Record | None:
    """The record of a case; None where it has never been at work."""
    try:
        entries = json.loads(record_path(output, name).read_text(encoding="utf-8"))
        found = Record(**entries)
    except (OSError, ValueError, TypeError):
        return None
    folder = output / name
    if found.status == "running" and folder.is_dir():
        # Killed, perhaps between its last file and its record
        finish_if_free(folder)
        if _is_newer(folder / SUMMARY, record_path(output, name)):
            return Record(found.fingerprint, "done")
    if found.status == "done" and not (folder / SUMMARY).is_file():
        return Record(found.fingerprint, "failed", "its results were removed")
    return found


def _is_newer(path: Path, other: Path) -> bool:
    try:
        return path.stat().st_mtime_ns >= other.stat().st_mtime_ns
    except OSError:
        return False


def refuse_foreign(output: Path, force: bool) -> None:
    """Refuse a folder that holds something and no sweep.

    Raises:
        InputError: As said; also with force where the folder holds results of another command, or something that
            microlith did not write and that has the name of a result.
    """
    if not output.is_dir() or (output / SWEEP).is_file():
        return
    if force:
        refuse_held(output, force, "sweep")
    elif any(output.iterdir()):
        refuse_others(output, "sweep")
        raise InputError(
            f"{output}: this folder is not empty and holds no sweep; name another with -o, or use it with --force"
        )


def refuse_other(output: Path, plan: Plan, case: Path, force: bool) -> None:
    """Refuse the folder of a sweep that has no case in common with this one.

    Raises:
        InputError: As said.
    """
    if force:
        return
    try:
        told = json.loads((output / SWEEP).read_text(encoding="utf-8"))
        cases, other, varied = dict(told["cases"]), str(told["case"]), [str(key) for key in told["varied"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    here = str(case.absolute())
    if other == here and any(cases.get(each.name) == each.changes for each in plan.variations):
        return
    what = f"of {other}" if other != here else f"over {listed(varied)}" if varied else "of other cases"
    raise InputError(f"{output}: this folder holds another sweep, {what}; name another with -o, or use it with --force")


def open_folder(output: Path, about: Mapping[str, Any]) -> None:
    """Make the folder of a sweep, or go on in it.

    Args:
        output: The folder.
        about: What sweep.json says.

    Raises:
        InputError: It can't be written to.
    """
    try:
        (output / LOGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(output, error) from error
    write_text(output / SWEEP, json.dumps(about, indent=1, ensure_ascii=False, default=str) + "\n")
