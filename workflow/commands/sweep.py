"""The command that runs many cases of one case file: `sweep`."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.imaging.errors import InputError
from microlith.workflow.commands.arguments import Commands, add_case, add_memory_check, check_writable, default_output
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.sweep.cases import Sweep

MOST_JOBS = 1024


def add_sweep(commands: Commands) -> None:
    """Declare `sweep`."""
    parser = commands.add(
        "sweep", sweep, "run many cases that differ in some keys, with one table of all", parallel=True
    )
    add_case(parser)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUES",
        dest="settings",
        action="append",
        default=[],
        help='key of the case file and its values with commas between, such as time.end="50 s, 100 s"; with several '
        "keys, each combination is a case (repeatable; beside or in place of the table [sweep])",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder (default: results/CASE-sweep)")
    parser.add_argument("--force", action="store_true", help="run cases anew whose case file has changed since")
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=1, help="number of cases at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--most",
        metavar="N",
        type=int,
        help="refuse a sweep of more cases (default: 1000; with --part or --collect: no limit)",
    )
    add_memory_check(parser)
    parser.add_argument("--part", metavar="I/N", help="the I-th of N parts only, as in an array of jobs")
    parser.add_argument("--collect", action="store_true", help="run nothing: write table and report of what there is")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)


def sweep(options: argparse.Namespace, ranks: Ranks) -> None:
    """Run a sweep."""
    from microlith.workflow.checkpoints.signals import Asked

    asked = Asked()
    with asked.taken_down():  # from the start: libraries that load slowly take an exception in them for a fault
        if options.worker:
            from microlith.workflow.sweep.sweep import work_for_parent

            work_for_parent(sys.stdin, options.case, options.output, asked)
            return
        found, indices = ranks.on_first(lambda: _ready(options, ranks))
        from mpi4py import MPI

        from microlith.workflow.sweep.sweep import collect, refuse_failed, sweep

        if options.collect:
            refuse_failed(found, ranks.on_first(lambda: collect(found)))
            return
        comm = MPI.COMM_WORLD if ranks.comm is None else ranks.comm
        part = options.part is not None
        rows = sweep(found, indices, options.jobs, comm, asked=asked, part=part)
        refuse_failed(found, [rows[index] for index in sorted(indices)] if part else rows)


def _ready(options: argparse.Namespace, ranks: Ranks) -> "tuple[Sweep, list[int]]":
    """All cases, and the indices of those to run.

    Raises:
        InputError: An option, the case file or the folder is at fault.
    """
    from microlith.workflow.case.toml_file import read_toml
    from microlith.workflow.results.folder import SWEEP
    from microlith.workflow.sweep.cases import (
        sweep_of,  # DOLFINx, which all ranks have to import together, is not in it
    )
    from microlith.workflow.sweep.plan import MEANT
    from microlith.workflow.sweep.record import refuse_foreign, refuse_other

    if not 1 <= options.jobs <= MOST_JOBS:
        raise InputError(f"--jobs {options.jobs}: expected a number from 1 to {MOST_JOBS}")
    if ranks.comm is not None and options.jobs > 1:
        raise InputError(
            f"--jobs {options.jobs}: under mpirun all ranks share one case at a time; leave one of both out"
        )
    part, parts = part_of(options.part)
    name = default_output(options.case)
    output = options.output or name.with_name(f"{name.name}-sweep")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: this is a file; choose another folder for the results with -o")
    check_writable(output)
    refuse_foreign(output, options.force)
    if options.collect and not (output / SWEEP).is_file():
        raise InputError(
            f"--collect: {output} holds no sweep; run it without --collect first, or name its folder with -o"
        )
    most = options.most
    if most is None and options.part is None and not options.collect:  # these two are of sweeps that are meant
        most = MEANT
    found = sweep_of(read_toml(options.case), options.case, options.settings, output, most, not options.no_memory_check)
    refuse_other(output, found.plan, options.case, options.force)
    return found, found.waiting(options.force, part, parts)


def part_of(text: str | None) -> tuple[int, int]:
    """The two numbers of I/N.

    Raises:
        InputError: They are none, or I is not one of 1 to N.
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise InputError(f"--part {text}: expected the number of a part and that of all, such as 1/8")
    return part, parts
