"""The result folder: files appear in it whole and all at once, or not at all."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

CURVES = "curves.csv"
ERRORS = "errors.csv"
SUMMARY = "summary.json"
FIELDS = "fields.vtkhdf"
CURVES_PICTURE = "curves.png"
PARTICLES = "particles.csv"
PARTICLES_PICTURE = "particles.png"
DISTANCE_PICTURE = "particles-distance.png"
CONVERGE = "converge.json"
CONVERGE_TABLE = "converge.csv"
CONVERGE_PICTURE = "converge.png"
SEGMENTATION_PICTURE = "segmentation.png"
SNAPSHOT_PREFIX = "snapshot-"
UNFINISHED = ".unfinished-"  # prefix of the folder in which a run collects its files


@contextmanager
def result_folder(path: Path, force: bool, comm: "Comm") -> Iterator[Path]:
    """Folder for the files of one run; they move to `path` together when the run has ended well.

    Enter it before any work: it refuses what could not be written at the end. Inside, every rank has the same hidden
    folder within `path`; at the end rank 0 moves its files to `path`, summary.json last. After an error or an
    interrupt nothing remains of the run, not even `path` if the run made it.

    Args:
        path: The result folder; made where it is missing, with its parents.
        force: Whether the results of an earlier run are replaced. They stay until this one has ended well, the user's
            own files always.
        comm: All ranks of the run; they enter and leave together.

    Yields:
        The folder to write to.

    Raises:
        InputError: `path` holds files and force is not given, is no folder, or can't be written to.
    """
    made, stage = on_first_rank(comm, lambda: _open(path, force))
    try:
        yield stage
        on_first_rank(comm, lambda: _publish(stage, path))
    except BaseException:
        # Each rank by itself, without a word to the others: they may be waiting elsewhere.
        shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):  # not empty, or another rank was faster
            for folder in made:
                folder.rmdir()
        raise


def _open(path: Path, force: bool) -> tuple[list[Path], Path]:
    """Folders made, innermost first, and the hidden one to write to."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder for the results, got a file; name another with -o")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for left in abandoned(path):
            shutil.rmtree(left)
        held = sorted(entry.name for entry in path.iterdir())
        if held and not force:
            shown = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
            raise InputError(
                f"{path}: the result folder is not empty (it holds {shown}); overwrite earlier results with --force, "
                "or name another folder with -o"
            )
        stage = Path(mkdtemp(prefix=f"{UNFINISHED}{gethostname()}-{os.getpid()}-", dir=path))
    except OSError as error:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise cannot_write(path, error) from error
    return missing, stage


def abandoned(path: Path) -> list[Path]:
    """What runs on this host left in a result folder when they were killed."""
    found = []
    for folder in path.glob(f"{UNFINISHED}{gethostname()}-*"):
        process = folder.name.split("-")[-2]
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            found.append(folder)
        except (ValueError, OSError):
            continue  # not ours, or alive under another user
    return found


def old_results(path: Path) -> list[Path]:
    """Files of an earlier run in a result folder, finished or not: only such as a run writes."""
    pictures = (CURVES_PICTURE, PARTICLES_PICTURE, DISTANCE_PICTURE)
    of_studies = (CONVERGE, CONVERGE_TABLE, CONVERGE_PICTURE, SEGMENTATION_PICTURE)
    named = [path / name for name in (CURVES, ERRORS, SUMMARY, FIELDS, PARTICLES, *pictures, *of_studies)]
    unfinished = [entry for entry in path.glob(f"{UNFINISHED}*") if entry.is_dir()]
    return [p for p in (*named, *sorted(path.glob(f"{SNAPSHOT_PREFIX}*.png"))) if p.is_file()] + unfinished


def _publish(stage: Path, path: Path) -> None:
    """Move the files to their folder; the summary goes first and comes last: it is there only when all are."""
    try:
        (path / SUMMARY).unlink(missing_ok=True)
        for old in old_results(path):
            if old.name == stage.name:
                continue
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for file in sorted(stage.iterdir(), key=lambda f: (f.name == SUMMARY, f.name)):
            file.replace(path / file.name)
        stage.rmdir()
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Temporary file beside `path` that becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        InputError: The file can't be written; any OSError of the block counts as that.
    """
    temporary = partial_name(path)
    try:
        yield temporary
        replace_file(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def partial_name(path: Path) -> Path:
    """Name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.part")


def replace_file(temporary: Path, path: Path) -> None:
    """Give the written file its name.

    Raises:
        InputError: That failed.
    """
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The sentence about a file or folder that can't be written: missing permission, full disk and the like."""
    if path.parent.name.startswith(UNFINISHED):  # the user knows the result folder, not the hidden one within
        path = path.parent.parent / path.name
    reason = (error.strerror or str(error)).lower()
    return InputError(f"{path}: can't write here ({reason}); free or allow the space, or name another folder with -o")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8.

    Raises:
        InputError: The file can't be written.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # a full disk shows here, not after the rename


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json; NaN and infinity, which JSON has no word for, become null.

    NumPy numbers and arrays, paths, enumerations and data classes may occur anywhere in it.

    Raises:
        InputError: The file can't be written.
    """
    write_text(path, json.dumps(plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value in terms that JSON has words for: NaN and infinity become None, data classes mappings."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if not f.name.startswith("_")}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def versions() -> dict[str, str]:
    """Versions of all that decides about the numbers."""
    import gmsh

    import dolfinx
    from petsc4py import PETSc

    return {
        "microlith": version("microlith"),
        "dolfinx": dolfinx.__version__,
        "petsc": ".".join(map(str, PETSc.Sys.getVersion())),
        "gmsh": gmsh.__version__,
        "numpy": np.__version__,
    }
