"""The command that measures the image of a case: `analyze`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.workflow.commands.arguments import (
    Commands,
    add_case,
    add_memory_check,
    add_output_folder,
    output_of,
    with_memory_check,
)
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case


def add_analyze(commands: Commands) -> None:
    """Declare `analyze`."""
    text = "measure the image: phases, particles, surfaces, distances, ways"
    parser = commands.add("analyze", analyze, text, parallel=True)
    add_case(parser, "case file; [image], [phases] and [analysis] of it count")
    add_memory_check(parser)
    add_output_folder(parser, "CASE-analysis")
    parser.add_argument(
        "--deff",
        action="store_true",
        help="find effective diffusivities, too, of the phases in [analysis] deff, else of pores and what transports",
    )


def analyze(options: argparse.Namespace, ranks: Ranks) -> None:
    """Measure the image of a case."""
    case, output = ranks.on_first(lambda: _ready(options))
    from microlith.workflow.analysis.analyze import analyze

    analyze(case, output, options.force, show=not options.quiet)


def _ready(options: argparse.Namespace) -> "tuple[Case, Path]":
    from microlith.workflow.case.read import load_case

    case = with_memory_check(load_case(options.case, transient=False), options)
    if options.deff:
        from microlith.workflow.measurements.subject import with_deff

        case = with_deff(case)
    return case, output_of(options, "analysis", "analyze")
