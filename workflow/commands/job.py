"""The command that writes a script for a batch system: `job`."""

import argparse
import logging
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.imaging.errors import InputError, printable
from microlith.workflow.commands.arguments import (
    Commands,
    add_case,
    add_output_file,
    check_output_file,
    check_output_folder,
    default_output,
)
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case
    from microlith.workflow.job.request import Array, Request

log = logging.getLogger(__name__)
SUFFIXES = (".sbatch", ".slurm", ".sh")
FEWEST = 250  # cells of a rank: with fewer, ranks only wait for each other
LOOKED_AT = 20  # meshes of an array whose memory is estimated, at some seconds each in 3D
MOST_PARTS = 1000  # tasks of an array and one more, as Slurm allows by default


def add_job(commands: Commands) -> None:
    """Declare `job`."""
    parser = commands.add("job", job, "write the script of a job for Slurm, and hand it in", parallel=True)
    add_case(parser)
    parser.add_argument("--time", metavar="T", required=True, help='time limit, such as "2h" or "1-12:00:00"')
    parser.add_argument("--ranks", metavar="N", type=int, default=1, help="number of ranks (default: %(default)s)")
    parser.add_argument("--memory", metavar="M", help='of each rank, such as "4G" (default: estimated)')
    parser.add_argument("--array", choices=("sweep",), help="a job for each case of a sweep of the case file")
    parser.add_argument(
        "--set", metavar="KEY=VALUES", dest="settings", action="append", default=[], help="as for sweep"
    )
    parser.add_argument("--parts", metavar="N", type=int, help="jobs of the array (default: one for each case)")
    parser.add_argument(
        "--environment",
        metavar="E",
        help="where microlith is: module:NAME, conda:NAME, apptainer:FILE or runtime (default: as here)",
    )
    parser.add_argument("--launcher", metavar="WORDS", help='what starts ranks, such as "srun --mpi=pmix"')
    parser.add_argument("--partition", metavar="NAME", help="partition of the cluster")
    parser.add_argument("--account", metavar="NAME", help="account that the job is charged to")
    parser.add_argument(
        "--sbatch", metavar="OPTION", action="append", default=[], help="another option, such as qos=long (repeatable)"
    )
    parser.add_argument(
        "--signal", metavar="T", help="time before the limit to write a checkpoint in (default: 1 to 10 min)"
    )
    parser.add_argument(
        "--requeues", metavar="N", type=int, default=20, help="most returns to the queue (default: %(default)s)"
    )
    parser.add_argument("--any-ranks", action="store_true", help="take ranks for which there are too few cells, too")
    parser.add_argument("--results", metavar="DIR", type=Path, help="folder of the results (default: as of run, sweep)")
    parser.add_argument("--submit", action="store_true", help="hand it in, and tell its number")
    add_output_file(parser, f"script to write ({', '.join(SUFFIXES)}; default: CASE.sbatch)")


def job(options: argparse.Namespace, ranks: Ranks) -> None:
    """Write the script of a job on the first rank, and hand it in where that is asked for."""
    from microlith.workflow.estimate import estimate as estimate  # on all ranks: PETSc starts on all together

    ranks.on_first(lambda: _job(options))


def _job(options: argparse.Namespace) -> None:
    from microlith.imaging.writing import write_text
    from microlith.workflow.job.script import collecting, script_of, words_of
    from microlith.workflow.job.submit import sbatch_of, submit

    if options.output is None:
        options.output = Path(f"{default_output(options.case).name}{'-sweep' if options.array else ''}{SUFFIXES[0]}")
    file = options.output
    check_output_file(options, SUFFIXES)
    request = _request(options)
    text = script_of(request)
    sbatch = sbatch_of(file) if options.submit else []
    write_text(file, text)
    log.info("script: %s (%s)", file, words_of(request))
    if options.submit:
        number = submit(sbatch, ["--parsable", str(file)])
        log.info("job %s", number)
        if request.array:
            last = submit(sbatch, collecting(request, file, number)[1:])
            log.info("job %s, when that has ended, writes the table of all cases", last)
    else:
        log.info("hand it in: %s", shlex.join(["sbatch", str(file)]))
        if request.array:
            log.info("then, for the table of all cases: %s", shlex.join(collecting(request, file)))


def _request(options: argparse.Namespace) -> "Request":
    """What the job asks for.

    Raises:
        InputError: An option, the case file or its image is at fault.
    """
    from microlith.workflow.case.read import load_case
    from microlith.workflow.job import request as asked
    from microlith.workflow.job.environment import environment_of
    from microlith.workflow.sweep.record import refuse_foreign

    asked.refuse_ranks(options.ranks)
    minutes = asked.minutes_of(options.time)
    warning = asked.warning_of(options.signal, minutes)
    if not 0 <= options.requeues <= 1000:
        raise InputError(f"--requeues {options.requeues}: expected a number from 0 to 1000")
    extra = asked.extra_lines(options.partition, options.account, options.sbatch)
    environment = environment_of(options.environment, options.launcher)
    memory = None if options.memory is None else asked.megabytes_of(options.memory)
    case = load_case(options.case)
    array, cases = _array(options, case)
    name = default_output(options.case)
    output = options.results or (name.with_name(f"{name.name}-sweep") if array else name)
    if array is None:
        check_output_folder(output, options.force, "run")
    else:
        refuse_foreign(output, options.force)
    per_rank, total, source = _memory(options, cases, memory, minutes)
    return asked.Request(
        asked.name_of(name.name),
        *(options.case, output, Path.cwd(), options.ranks, minutes, warning, per_rank, total, source, environment),
        *(options.requeues, options.force, extra, array),
    )


def _array(options: argparse.Namespace, case: "Case") -> "tuple[Array | None, list[Case]]":
    """The array of a sweep where one is asked for, and the cases that may differ in what they need."""
    if options.array is None:
        if options.settings or options.parts is not None:
            option = "--set" if options.settings else "--parts"
            raise InputError(f"{option}: this is of a sweep; add --array sweep, or leave the option out")
        return None, [case]
    from microlith.workflow.case.toml_file import read_toml
    from microlith.workflow.job.request import Array
    from microlith.workflow.sweep.cases import sweep_of
    from microlith.workflow.sweep.plan import plan_of

    tables = read_toml(options.case)
    count = len(plan_of(tables, options.case, options.settings).variations)
    parts = min(count, MOST_PARTS) if options.parts is None else options.parts
    if not 1 <= parts <= min(count, MOST_PARTS):
        raise InputError(
            f"--parts {parts}: expected a number from 1 to {min(count, MOST_PARTS)}, the cases are {count}"
        )
    if any("\n" in setting or not setting.isprintable() for setting in options.settings):
        raise InputError(f"--set {printable(options.settings[0])}: expected one line without control characters")
    cases = sweep_of(tables, options.case, options.settings, default_output(options.case)).of_each_mesh()
    return Array(parts, count, tuple(options.settings)), cases


def _memory(
    options: argparse.Namespace, cases: "Sequence[Case]", memory: int | None, minutes: int
) -> tuple[int, int, str]:
    """Megabytes of the rank that needs most and of all ranks, and where these are from.

    Args:
        options: Of the command.
        cases: That the job is for; the one that needs most counts, of at most LOOKED_AT.
        memory: Of each rank, where it is asked for.
        minutes: Of the job.

    Raises:
        InputError: A case or its image is at fault, or there are too few cells for the ranks.
    """
    from microlith.workflow.estimate.estimate import estimate
    from microlith.workflow.estimate.told import time_text
    from microlith.workflow.job.request import megabytes_for

    if memory is None and len(cases) > LOOKED_AT:
        log.warning(
            "memory is that of the first %d of %d meshes of the array; where a later one is larger, give --memory",
            *(LOOKED_AT, len(cases)),
        )
    each = [estimate(case, options.ranks) for case in cases[:LOOKED_AT]]
    found = max(each, key=lambda one: one.memory_per_rank)
    longest = max(one.wall_seconds for one in each)
    most = max(1, found.cells // FEWEST)
    if options.ranks > most and not options.any_ranks:
        raise InputError(
            f"--ranks {options.ranks}: about {found.cells:,.0f} cells are too few for so many ranks; take at most "
            f"{most}, or insist with --any-ranks"
        )
    times = math.ceil(longest / 60 / minutes)
    if times > 1:
        log.warning(
            "by an estimate %s takes about %s, so that a limit of %s is reached and it goes on %d times from a "
            "checkpoint",
            *(
                "a case of the array" if options.array else "the run",
                time_text(longest),
                time_text(60.0 * minutes),
                times - 1,
            ),
        )
    if memory is not None:
        return memory, memory * options.ranks, "as asked for"
    source = f"1.5 times an estimate for about {found.cells:,.0f} cells"
    return megabytes_for(found.memory_per_rank), megabytes_for(found.memory), source
