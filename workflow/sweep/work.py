"""Runs cases of a sweep one after the other on all ranks of this process; meshes once where image and mesh are one."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.writing import cannot_write
from microlith.workflow.case.case import Case
from microlith.workflow.console.failures import failure_of
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.results.folder import result_folder
from microlith.workflow.run.solved import solved
from microlith.workflow.run.write import write
from microlith.workflow.studies.variant import is_everywhere
from microlith.workflow.sweep.record import Record, keep, log_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A case that is to be run."""

    name: str
    fingerprint: str
    case: Case | None  # None: it is at fault
    fault: str = ""  # the sentence about it


def work(
    tasks: Sequence[Task],
    output: Path,
    comm: MPI.Intracomm,
    ended: Callable[[str, Record], None] = lambda name, record: None,
) -> None:
    """Run cases, each into its own folder; one that fails is recorded and the others go on; collective.

    Args:
        tasks: What to run; those with the same image and mesh beside each other are meshed once.
        output: The folder of the sweep.
        comm: The ranks that share each case.
        ended: Called on rank 0 after each.

    Raises:
        InputError: A record can't be written.
        Exception: What a rank alone has, of which the others can't know.
    """
    meshed: Meshed | None = None
    for task in tasks:
        record, meshed = _run(task, output, meshed, comm)
        on_first_rank(comm, lambda task=task, record=record: keep(output, task.name, record))  # type: ignore[misc]
        if comm.rank == 0:
            ended(task.name, record)


def _run(task: Task, output: Path, like: Meshed | None, comm: MPI.Intracomm) -> tuple[Record, Meshed | None]:
    """What came of a case, and its mesh, or the one before where it has none."""
    if task.case is None:
        return Record(task.fingerprint, "failed", task.fault, failure_of(InputError(task.fault)).status), like
    on_first_rank(comm, lambda: keep(output, task.name, Record(task.fingerprint, "running")))
    try:
        with _logged(log_path(output, task.name), comm), result_folder(output / task.name, True, comm) as folder:
            found = solved(task.case, comm, like=like)
            write(found, folder, comm)
    except Exception as error:
        if not is_everywhere(error, comm):
            raise
        failure = failure_of(error)
        return Record(task.fingerprint, "failed", failure.sentence, failure.status), like
    return Record(task.fingerprint, "done"), found.ready.meshed


@contextmanager
def _logged(path: Path, comm: MPI.Intracomm) -> Iterator[None]:
    """Send what a run tells to a file; the lines of many runs below each other are no help."""
    if comm.rank > 0:
        yield
        return
    logger = logging.getLogger("microlith")
    try:
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    before, level = logger.handlers[:], logger.level
    logger.handlers[:] = [handler]
    logger.setLevel(min(level, logging.INFO) or logging.INFO)
    try:
        yield
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
        handler.close()
