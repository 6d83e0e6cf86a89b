"""`microlith sweep`: many cases of one case file, and one table and pictures of all."""

import json
import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import case_of
from microlith.workflow.checkpoints.signals import ASKING, Asked, Stopped
from microlith.workflow.console.failures import CHECKPOINT, SIGNALLED, Incomplete, failure_of
from microlith.workflow.report.of_folder import write_report
from microlith.workflow.results.folder import REPORT, SWEEP_TABLE
from microlith.workflow.sweep.cases import Sweep, Task
from microlith.workflow.sweep.pictures import draw_sweep
from microlith.workflow.sweep.record import Record, open_folder
from microlith.workflow.sweep.table import Row, rows_of, write_table
from microlith.workflow.sweep.work import work
from microlith.workflow.sweep.workers import run_jobs

log = logging.getLogger(__name__)
MOST_TOLD = 5  # cases that failed, by name
ON_TIME = (CHECKPOINT, *(SIGNALLED + getattr(signal, name) for name in ASKING))  # codes of exits that a queue asked for


def sweep(
    found: Sweep,
    indices: Sequence[int],
    jobs: int,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    *,
    here: bool = False,
    asked: Asked | None = None,
    part: bool = False,
) -> list[Row]:
    """Run cases and leave table and pictures in the folder of the sweep; collective.

    Args:
        found: All cases.
        indices: Of those to run.
        jobs: Number of processes at a time; of several ranks all share one case after the other.
        comm: The ranks.
        here: Whether cases run in this process in any case.
        asked: Whether a signal asked for an end; None: signals are looked at as cases run.
        part: Whether these are one of several parts.

    Raises:
        InputError: A file can't be written.
        Stopped: A signal asked for an end; the cases at work go on from their checkpoints.
    """
    on_first_rank(comm, lambda: open_folder(found.output, found.about))
    ended = _Teller(len(found.jobs), len(found.jobs) - len(indices))
    if comm.rank == 0 and ended.done:
        log.info("%d of %d cases are done already", ended.done, ended.count)
    try:
        _run(found, indices, jobs, comm, here, ended, asked)
    except (SystemExit, KeyboardInterrupt) as error:
        how = f"{ended.done} of {ended.count} cases are at their end; the same command goes on"
        if isinstance(error, KeyboardInterrupt) or error.code not in ON_TIME:
            if comm.rank == 0:
                log.info("%s", how)
            raise
        raise Stopped(f"{_name_of(error)}; {how}") from error
    return on_first_rank(comm, lambda: collect(found, part))


def _run(
    found: Sweep,
    indices: Sequence[int],
    jobs: int,
    comm: MPI.Intracomm,
    here: bool,
    ended: "_Teller",
    asked: Asked | None,
) -> None:
    faulty = [i for i in indices if found.tasks[i].case is None]
    sound = [i for i in indices if found.tasks[i].case is not None]
    if here or comm.size > 1:
        work([found.tasks[i] for i in (*faulty, *sound)], found.output, comm, ended, asked)
    else:
        work([found.tasks[i] for i in faulty], found.output, comm, ended, asked)
        run_jobs([found.jobs[i] for i in sound], found.path, found.output, jobs, ended, asked)


def _name_of(error: SystemExit) -> str:
    """By what a sweep was ended."""
    return str(getattr(error, "sentence", "")).partition(";")[0] or failure_of(error).sentence


def collect(found: Sweep, part: bool = False) -> list[Row]:
    """Write table, pictures and report of what there is.

    Args:
        found: All cases.
        part: Whether this is one of several parts: while others are at work, the table is all that is written.

    Raises:
        InputError: A file can't be written.
    """
    rows = rows_of(found.plan, found.output)
    write_table(found.output / SWEEP_TABLE, found.title, found.plan, rows)
    names = [SWEEP_TABLE]
    if not part or all(row.ended for row in rows):
        names += draw_sweep(found.output, found.title, found.plan, rows)
        write_report(found.output, "sweep")
        names.append(REPORT)
    log.info("results: %s", ", ".join(str(found.output / name) for name in names))
    waiting = sum(not row.ended for row in rows)
    if waiting and not part:
        log.warning("%d of %d cases are not at their end; the sweep without --collect runs them", waiting, len(rows))
    return rows


def refuse_failed(found: Sweep, rows: Sequence[Row]) -> None:
    """Say which cases failed.

    Raises:
        Incomplete: Some did.
    """
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return
    told = [f"{row.variation.name}: {row.record.message}" for row in failed[:MOST_TOLD] if row.record]
    more = f"\nand {len(failed) - MOST_TOLD} more: see {SWEEP_TABLE}" if len(failed) > MOST_TOLD else ""
    worst = max(row.record.exit_status for row in failed if row.record)
    done = sum(row.status == "done" for row in rows)
    counted = f"{len(failed)} of {len(rows)} cases failed, {done} {'is' if done == 1 else 'are'} done in {found.output}"
    raise Incomplete("\n".join([counted, *told]) + more, worst or 1)


class _Teller:
    """Tells how far the sweep is."""

    def __init__(self, count: int, done: int) -> None:
        self.count, self.done = count, done

    def __call__(self, name: str, record: Record) -> None:
        self.done += 1
        if record.status == "failed":
            log.warning("%d of %d, %s: failed: %s", self.done, self.count, name, record.message)
        else:
            log.info("%d of %d, %s: %s", self.done, self.count, name, record.status)


def work_for_parent(handed: IO[str], path: Path, output: Path, asked: Asked | None = None) -> None:
    """Run cases that another process hands over, and print the name of each that has come to its end.

    Args:
        handed: A line with the cases. Its end after that means that the other process is gone, even if it was killed:
            then this one ends as at SIGTERM, so that two never work at one case.
        path: The case file.
        output: The folder of the sweep.
        asked: Whether a signal asked for an end.
    """
    tasks = []
    jobs = json.loads(handed.readline())
    threading.Thread(target=_end_with, args=(handed,), daemon=True).start()
    for job in jobs:
        try:
            case = replace(case_of(job["tables"], path), check_memory=job["check_memory"])
            tasks.append(Task(job["name"], job["fingerprint"], case))
        except InputError as error:  # a file that was there a moment ago
            tasks.append(Task(job["name"], job["fingerprint"], None, str(error)))
    work(tasks, output, MPI.COMM_SELF, lambda name, _: print(name, flush=True), asked)


def _end_with(handed: IO[str]) -> None:
    while os.read(handed.fileno(), 1):  # not through the buffer, whose lock would still be held as Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)
