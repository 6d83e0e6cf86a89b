"""The command that finds values of a case from measured curves: `fit`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.imaging.errors import InputError
from microlith.workflow.commands.arguments import Commands, add_case, add_memory_check, add_output_folder, output_of
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.fit.subject import Subject

MOST_STARTS = 1000


def add_fit(commands: Commands) -> None:
    """Declare `fit`."""
    parser = commands.add("fit", fit, "find values of a case from measured curves, with intervals", parallel=True)
    add_case(parser)
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        required=True,
        help='measured curves (.csv): columns "time_s" or "time (min)", names of regions, and perhaps "NAME sd"',
    )
    parser.add_argument(
        "--vary",
        metavar="KEY=RANGE",
        action="append",
        required=True,
        help='key of the case file and where to look, such as phases.sei.diffusivity="1e-15 m^2/s .. 1e-12 m^2/s" '
        "(repeatable); interfaces.1.partition is one of the first table [[interfaces]]",
    )
    parser.add_argument(
        "--starts", metavar="N", type=int, help="points within the ranges to begin with (default: 6 for each key)"
    )
    add_memory_check(parser)
    add_output_folder(parser, "CASE-fit")


def fit(options: argparse.Namespace, ranks: Ranks) -> None:
    """Fit a case."""
    subject, output = ranks.on_first(lambda: _ready(options))
    from microlith.workflow.fit.fit import fit

    fit(subject, output, options.force, options.starts, show=not options.quiet)


def _ready(options: argparse.Namespace) -> "tuple[Subject, Path]":
    from microlith.workflow.case.toml_file import read_toml
    from microlith.workflow.fit.subject import subject_of

    if options.starts is not None and not 0 <= options.starts <= MOST_STARTS:
        raise InputError(f"--starts {options.starts}: expected a number from 0 to {MOST_STARTS}")
    subject = subject_of(read_toml(options.case), options.case, options.data, options.vary)
    subject = replace(subject, check_memory=not options.no_memory_check)
    return subject, output_of(options, "fit", "fit")
