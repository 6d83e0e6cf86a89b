"""The command line. Nothing heavy is imported before a command needs it, so that `--help` answers at once."""

import argparse
import atexit
import gc
import logging
import sys
import traceback
from collections.abc import Sequence

from microlith.imaging.parallel.startup import without_extras
from microlith.workflow.commands.analyze import add_analyze
from microlith.workflow.commands.arguments import Commands, Parser, Version, add_verbosity
from microlith.workflow.commands.cases import add_check, add_estimate, add_init, add_schema
from microlith.workflow.commands.compare import add_compare
from microlith.workflow.commands.fit import add_fit
from microlith.workflow.commands.job import add_job
from microlith.workflow.commands.runs import add_mesh, add_run
from microlith.workflow.commands.segment import add_segment
from microlith.workflow.commands.studies import add_converge, add_deff
from microlith.workflow.commands.sweep import add_sweep
from microlith.workflow.commands.viewing import add_export, add_plot, add_report, add_view
from microlith.workflow.console.failures import OUR_FAILURE, failure_of
from microlith.workflow.console.launch import Ranks, launched_rank
from microlith.workflow.console.streams import give_up_streams, open_closed_streams, say, signals_as_exit
from microlith.workflow.console.terminal import log_to_stderr

# New objects after which Python looks for those that only refer to each other. At its own 2000 it goes over the
# hundreds of libraries' modules again and again while they load, at 50,000 five times in a run of the 2D demo.
GARBAGE = 250_000
# In the order in which a user meets them
COMMANDS = (
    *(add_init, add_segment, add_check, add_estimate, add_mesh, add_run, add_sweep, add_fit, add_job),
    *(add_converge, add_deff, add_analyze, add_compare, add_view, add_plot, add_report, add_export, add_schema),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0, 2 for bad input, 1 for a failure of ours, 75 after a signal that left a checkpoint, 130 after an interrupt,
        141 where the reader of the output left, 143 after SIGTERM and so on.
    """
    open_closed_streams()
    if argv is None:
        # DOLFINx looks at them once more as it is imported, for options of its log, and takes nothing that is no UTF-8
        argv, sys.argv = sys.argv[1:], [word.encode("utf-8", "replace").decode() for word in sys.argv]
        gc.set_threshold(GARBAGE)
        # At the end Python would go over all objects three times, which takes half a second of the shortest runs
        atexit.register(gc.freeze)
    options = _parser().parse_args(argv)
    if options.verbose and options.quiet:
        _parser().error("-v and -q exclude each other")
    log_to_stderr(_level(options))
    without_extras()
    ranks = Ranks()
    try:
        if options.parallel:
            ranks = Ranks.start()
        elif launched_rank():
            return 0  # rank 0 does it
        with signals_as_exit():
            options.command(options, ranks)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        failure = failure_of(error)
        give_up_streams()
        if options.verbose and failure.status == OUR_FAILURE:
            traceback.print_exc()
        return ranks.end(failure.status, failure.sentence, say)
    give_up_streams()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="microlith",
        description="Lithium diffusion in segmented images of battery electrodes, from one case file.",
        epilog="Exit status: 0, 2 for bad input, 1 for a failure of microlith, 75 after a signal with a checkpoint.",
    )
    parser.add_argument(
        "--version",
        action=Version,
        nargs="...",
        metavar="",
        help="print the version and exit; with -v, those of all libraries",
    )
    add_verbosity(parser, False)
    commands = Commands(parser)
    for add in COMMANDS:
        add(commands)
    return parser


def _level(options: argparse.Namespace) -> int:
    """Of the log; other ranks than the first say nothing."""
    if launched_rank():
        return logging.CRITICAL + 1
    return logging.DEBUG if options.verbose else logging.ERROR if options.quiet else logging.INFO


if __name__ == "__main__":
    sys.exit(main())
