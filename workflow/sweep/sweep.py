"""`microlith sweep`: many cases of one case file, and one table and pictures of all."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.case import Case
from microlith.workflow.case.changes import changed
from microlith.workflow.case.read import case_of
from microlith.workflow.console.failures import Incomplete
from microlith.workflow.sweep.pictures import draw_sweep
from microlith.workflow.sweep.plan import Plan, plan_of
from microlith.workflow.sweep.record import Record, fingerprint, open_folder, record_of
from microlith.workflow.sweep.table import TABLE, Row, rows_of, write_table
from microlith.workflow.sweep.work import Task, work
from microlith.workflow.sweep.workers import Job, run_jobs

log = logging.getLogger(__name__)
MOST_TOLD = 5  # cases that failed, by name


@dataclass(frozen=True)
class Sweep:
    """All cases of a sweep, and where they go."""

    path: Path  # of the case file
    title: str
    plan: Plan
    jobs: tuple[Job, ...]  # in the order of the plan
    tasks: tuple[Task, ...]  # the same, checked
    output: Path

    def waiting(self, force: bool, part: int = 1, parts: int = 1) -> list[int]:
        """Indices of cases that are not done yet, those of one image and mesh beside each other.

        Args:
            force: Whether those are done anew that were made from another state of the case file.
            part: Which of the parts, from 1 on.
            parts: Number of parts that all cases are cut into, whether done or not.

        Raises:
            InputError: Some were made from another state of the case file or its image, and force is not given.
        """
        groups: dict[str, list[int]] = {}
        for i, task in enumerate(self.tasks):
            groups.setdefault(_of_mesh(task.case), []).append(i)
        order = [i for group in groups.values() for i in group]
        count = len(order)
        mine = order[count * (part - 1) // parts : count * part // parts]
        records = {i: record_of(self.output, self.jobs[i].name) for i in mine}
        old = [i for i, record in records.items() if record and record.fingerprint != self.jobs[i].fingerprint]
        if old and not force:
            raise InputError(
                f"{self.output}: {len(old)} of these cases, such as {self.jobs[old[0]].name}, were made from another "
                f"state of {self.path}, of its image or of microlith; make them anew with --force, or name another "
                "folder with -o"
            )
        return [i for i, record in records.items() if i in old or record is None or record.status != "done"]


def _of_mesh(case: Case | None) -> str:
    """The same for cases of one mesh."""
    return "" if case is None else repr((case.image, case.labels, replace(case.mesh, estimate=True)))


def sweep_of(tables: Mapping[str, Any], path: Path, settings: Sequence[str], output: Path) -> Sweep:
    """All cases of a sweep, each checked as far as it can be without its image.

    Args:
        tables: Of the case file.
        path: Of the case file.
        settings: KEY=VALUES, as given to --set.
        output: The folder of the sweep.

    Raises:
        InputError: The sweep makes no sense, or none of its cases does.
    """
    base = {key: value for key, value in tables.items() if key != "sweep"}
    case_of(tables, path)  # a fault of the case file itself is told as that of any other
    plan = plan_of(tables, path, settings)
    jobs, tasks = [], []
    for variation in plan.variations:
        own = changed(base, variation.changes)
        try:
            case = case_of(own, path)
            mark = fingerprint(own, case.image.path, path.parent)
            tasks.append(Task(variation.name, mark, case))
        except InputError as error:
            mark = fingerprint(own, "", path.parent)
            tasks.append(Task(variation.name, mark, None, str(error)))
        jobs.append(Job(variation.name, mark, own))
    if all(task.case is None for task in tasks):
        raise InputError(f"{tasks[0].fault} (so in {'each' if len(tasks) > 1 else 'the'} case of the sweep)")
    return Sweep(path, str(tables.get("title", path.stem)), plan, tuple(jobs), tuple(tasks), output)


def sweep(
    found: Sweep, indices: Sequence[int], jobs: int, comm: MPI.Intracomm = MPI.COMM_WORLD, *, here: bool = False
) -> list[Row]:
    """Run cases and leave table and pictures in the folder of the sweep; collective.

    Args:
        found: All cases.
        indices: Of those to run.
        jobs: Number of processes at a time; of several ranks all share one case after the other.
        comm: The ranks.
        here: Whether cases run in this process in any case.

    Raises:
        Incomplete: Some cases failed; all else is done.
        InputError: A file can't be written.
    """
    on_first_rank(comm, lambda: open_folder(found.output, found.plan, found.path))
    ended = _Teller(len(found.jobs), len(found.jobs) - len(indices))
    if comm.rank == 0 and ended.done:
        log.info("%d of %d cases are done already", ended.done, ended.count)
    faulty = [i for i in indices if found.tasks[i].case is None]
    sound = [i for i in indices if found.tasks[i].case is not None]
    if here or comm.size > 1:
        work([found.tasks[i] for i in (*faulty, *sound)], found.output, comm, ended)
    else:
        work([found.tasks[i] for i in faulty], found.output, comm, ended)
        run_jobs([found.jobs[i] for i in sound], found.path, found.output, jobs, ended)
    return on_first_rank(comm, lambda: collect(found))


def collect(found: Sweep) -> list[Row]:
    """Write table and pictures of what there is.

    Raises:
        InputError: A file can't be written.
    """
    rows = rows_of(found.plan, found.output)
    write_table(found.output / TABLE, found.title, found.plan, rows)
    names = draw_sweep(found.output, found.title, found.plan, rows)
    log.info("results: %s", ", ".join(str(found.output / name) for name in (TABLE, *names)))
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
    more = f"\nand {len(failed) - MOST_TOLD} more: see {TABLE}" if len(failed) > MOST_TOLD else ""
    worst = max(row.record.exit_status for row in failed if row.record)
    raise Incomplete(
        f"{len(failed)} of {len(rows)} cases failed; the others are done in {found.output}\n" + "\n".join(told) + more,
        worst or 1,
    )


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


def work_for_parent(handed: IO[str], path: Path, output: Path) -> None:
    """Run cases that another process hands over, and print the name of each that has come to its end."""
    tasks = []
    for job in json.load(handed):
        try:
            tasks.append(Task(job["name"], job["fingerprint"], case_of(job["tables"], path)))
        except InputError as error:  # a file that was there a moment ago
            tasks.append(Task(job["name"], job["fingerprint"], None, str(error)))
    work(tasks, output, MPI.COMM_SELF, lambda name, _: print(name, flush=True))
