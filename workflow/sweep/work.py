"""Runs cases of a sweep one after the other on all ranks of this process; meshes once where image and mesh are one."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from signal import Signals

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.imaging.writing import cannot_write
from microlith.workflow.case.case import Case
from microlith.workflow.checkpoints.checkpoints import checkpoints, folder_of
from microlith.workflow.checkpoints.signals import Asked, Stopped
from microlith.workflow.console.failures import failure_of
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.results.folder import result_folder
from microlith.workflow.run.solved import solved
from microlith.workflow.run.write import write
from microlith.workflow.studies.variant import is_everywhere
from microlith.workflow.sweep.cases import Task
from microlith.workflow.sweep.record import Record, keep, log_path, record_of

log = logging.getLogger(__name__)
REFUSED = "--resume: "  # what a sentence begins with that refuses a checkpoint


def work(
    tasks: Sequence[Task],
    output: Path,
    comm: MPI.Intracomm,
    ended: Callable[[str, Record], None] = lambda name, record: None,
    asked: Asked | None = None,
) -> None:
    """Run cases, each into its own folder; one that fails is recorded and the others go on; collective.

    A case that a signal ended goes on from its checkpoint.

    Args:
        tasks: What to run; those with the same image and mesh beside each other are meshed once.
        output: The folder of the sweep.
        comm: The ranks that share each case.
        ended: Called on rank 0 after each.
        asked: Whether a signal asked for an end; None: signals are looked at from here on.

    Raises:
        InputError: A record can't be written.
        Stopped: A signal asked for an end.
        Exception: What a rank alone has, of which the others can't know.
    """
    meshed: Meshed | None = None
    with nullcontext(asked) if asked is not None else _own_signals() as heard:
        for task in tasks:
            _refuse_to_go_on(heard, comm)
            record, meshed = _run(task, output, meshed, comm, heard)
            on_first_rank(comm, lambda task=task, record=record: keep(output, task.name, record))  # type: ignore[misc]
            if comm.rank == 0:
                ended(task.name, record)


@contextmanager
def _own_signals() -> Iterator[Asked]:
    asked = Asked()
    with asked.taken_down():
        yield asked


def _refuse_to_go_on(asked: Asked, comm: MPI.Intracomm) -> None:
    """End between two cases where a signal has come; collective."""
    asked.renew()
    number = comm.allreduce(asked.number, op=MPI.MAX)
    if number:
        raise Stopped(f"ended by {Signals(number).name}")


def _run(
    task: Task, output: Path, like: Meshed | None, comm: MPI.Intracomm, asked: Asked
) -> tuple[Record, Meshed | None]:
    """What came of a case, and its mesh, or the one before where it has none."""
    if task.case is None:
        return Record(task.fingerprint, "failed", task.fault, failure_of(InputError(task.fault)).status), like
    begun = on_first_rank(comm, lambda: record_of(output, task.name))
    on_first_rank(comm, lambda: keep(output, task.name, Record(task.fingerprint, "running")))
    resume = begun is not None and begun.fingerprint == task.fingerprint
    try:
        with _logged(log_path(output, task.name), comm):
            found = _found(task.case, output / task.name, like, comm, asked, resume)
    except Exception as error:
        if not is_everywhere(error, comm):
            raise
        failure = failure_of(error)
        return Record(task.fingerprint, "failed", failure.sentence, failure.status), like
    return Record(task.fingerprint, "done"), found


def _found(case: Case, folder: Path, like: Meshed | None, comm: MPI.Intracomm, asked: Asked, resume: bool) -> Meshed:
    """Run a case into its folder, from its checkpoint where there is one to go on from; its mesh."""
    if not resume:
        on_first_rank(
            comm, lambda: shutil.rmtree(folder_of(folder), ignore_errors=True)
        )  # of another state of the case
    try:
        with result_folder(folder, True, comm) as hidden:  # noqa: SIM117 -- one line would hide what the second is
            with checkpoints(folder, hidden, case, comm, resume=resume, asked=asked) as kept:
                found = solved(case, comm, kept, like, keep_meshes=True)
                write(found, hidden, comm)
                found.ready.problem.destroy()
    except InputError as error:
        if not resume or not str(error).startswith(REFUSED):
            raise
        if comm.rank == 0:
            log.warning("the case starts from the beginning: %s", error)
        return _found(case, folder, like, comm, asked, resume=False)
    kept.done()
    return found.ready.meshed


@contextmanager
def _logged(path: Path, comm: MPI.Intracomm) -> Iterator[None]:
    """Send what a run tells to a file; the lines of many runs below each other are no help; opened collectively."""
    handler = on_root(comm, lambda: _handler(path))
    if handler is None:
        yield
        return
    logger = logging.getLogger("microlith")
    before, level = logger.handlers[:], logger.level
    logger.handlers[:] = [handler]
    logger.setLevel(min(level, logging.INFO) or logging.INFO)
    try:
        yield
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
        handler.close()


def _handler(path: Path) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    return handler
