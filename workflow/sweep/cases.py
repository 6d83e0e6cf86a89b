"""The cases of a sweep, checked as far as they can be without their images: nothing here needs a mesh or MPI."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError
from microlith.workflow.case.case import Case
from microlith.workflow.case.changes import changed, is_one_value, keys_of_values, value_at
from microlith.workflow.case.read import case_of
from microlith.workflow.sweep.plan import Plan, plan_of
from microlith.workflow.sweep.record import fingerprint, record_of

MOST_FAULTS = 3  # that are told where every case has one of its own

log = logging.getLogger(__name__)

Tables = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A case for a worker."""

    name: str
    fingerprint: str
    tables: Tables  # of the changed case file
    check_memory: bool  # whether what would not fit is refused


@dataclass(frozen=True)
class Task:
    """A case that is to be run."""

    name: str
    fingerprint: str
    case: Case | None  # None: it is at fault
    fault: str = ""  # the sentence about it


@dataclass(frozen=True)
class Sweep:
    """All cases of a sweep, and where they go."""

    path: Path  # of the case file
    title: str
    tables: Tables  # of the case file, [sweep] left out
    plan: Plan
    jobs: tuple[Job, ...]  # in the order of the plan
    tasks: tuple[Task, ...]  # the same, checked
    output: Path

    @property
    def about(self) -> dict[str, Any]:
        """What sweep.json says."""
        return {
            "title": self.title,
            "versions": {"microlith": version("microlith")},
            "case": str(self.path.absolute()),
            "varied": list(self.plan.keys),
            "cases": {each.name: each.changes for each in self.plan.variations},
            "labels": {each.name: each.label for each in self.plan.variations},
            "tables": self.tables,
        }

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
        # One that failed left nothing that would be overwritten: whatever is put right since, it is run again.
        kept = {i: record for i, record in records.items() if record and record.status != "failed"}
        old = [i for i, record in kept.items() if record.fingerprint != self.jobs[i].fingerprint]
        if old and not force:
            raise InputError(
                f"{self.output}: {len(old)} of these cases, such as {self.jobs[old[0]].name}, were made from another "
                f"state of {self.path}, of its image or of microlith; make them anew with --force, or name another "
                "folder with -o"
            )
        return [i for i, record in records.items() if i in old or record is None or record.status != "done"]

    def of_each_mesh(self) -> list[Case]:
        """The first case of each image, mesh and degree of elements."""
        cases = [task.case for task in self.tasks if task.case is not None]
        return list({(_of_mesh(case), case.degree): case for case in reversed(cases)}.values())[::-1]


def _of_mesh(case: Case | None) -> str:
    """The same for cases of one mesh."""
    return "" if case is None else repr((case.image, case.labels, replace(case.mesh, estimate=True)))


def sweep_of(
    tables: Mapping[str, Any],
    path: Path,
    settings: Sequence[str],
    output: Path,
    most: int | None = None,
    check_memory: bool = True,
) -> Sweep:
    """All cases of a sweep, each checked as far as it can be without its image.

    Args:
        tables: Of the case file.
        path: Of the case file.
        settings: KEY=VALUES, as given to --set.
        output: The folder of the sweep.
        most: More cases than this may be a mistake; None: any number is meant.
        check_memory: Whether a case that would not fit into the memory that is free fails.

    Raises:
        InputError: The sweep makes no sense or is too large, or none of its cases makes sense.
    """
    base = {key: value for key, value in tables.items() if key != "sweep"}
    case_of(tables, path)  # a fault of the case file itself is told as that of any other
    plan = plan_of(tables, path, settings)
    count = len(plan.variations)
    if most is not None and count > most:
        raise InputError(f"{path}: these are {count:,} cases; set fewer values, or say --most {count} if all are meant")
    jobs, tasks = [], []
    for variation in plan.variations:
        try:
            own = changed(base, variation.changes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        try:
            case = replace(case_of(own, path), check_memory=check_memory)
            mark = fingerprint(own, case.image.path, path.parent)
            tasks.append(Task(variation.name, mark, case))
        except InputError as error:
            mark = fingerprint(own, "", path.parent)
            tasks.append(Task(variation.name, mark, None, str(error)))
        jobs.append(Job(variation.name, mark, own, check_memory))
    if all(task.case is None for task in tasks):
        raise InputError(_faults(tasks))
    for key in _replaced_tables(base, plan):
        within = keys_of_values(value_at(base, key), key)
        log.warning(
            "%s: every case of the sweep has one value in the place of a table of the case file, such as a law%s",
            key,
            f"; to vary a value in the table, set {' or '.join(within[:4])}" if within else "",
        )
    return Sweep(path, str(tables.get("title", path.stem)), base, plan, tuple(jobs), tuple(tasks), output)


def _faults(tasks: Sequence[Task]) -> str:
    """What is wrong with all cases: one sentence where it is the same, else of some of them."""
    first: dict[str, str] = {}  # fault -> the first case that has it
    for task in tasks:
        first.setdefault(task.fault, task.name)
    if len(first) == 1:
        return f"{tasks[0].fault} (so in {'each' if len(tasks) > 1 else 'the'} case of the sweep)"
    some = "; ".join(f"{name}: {fault}" for fault, name in list(first.items())[:MOST_FAULTS])
    more = f"; and {len(first) - MOST_FAULTS} more" if len(first) > MOST_FAULTS else ""
    return f"each case of the sweep is at fault, in its own way: {some}{more}"


def _replaced_tables(base: Tables, plan: Plan) -> list[str]:
    """Keys whose table no case keeps or replaces by another table: laws against constants are a sweep that is meant."""
    every = [variation.changes for variation in plan.variations]
    return [
        key
        for key in every[0]
        if isinstance(value_at(base, key), Mapping) and all(is_one_value(changes.get(key)) for changes in every)
    ]
