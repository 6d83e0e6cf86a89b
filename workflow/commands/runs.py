"""Commands that compute a case: `mesh` and `run`."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.workflow.commands.arguments import (
    MESH_SUFFIXES,
    Commands,
    add_case,
    add_memory_check,
    add_output_file,
    add_output_folder,
    check_output_file,
    check_output_folder,
    default_output,
    with_memory_check,
)
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case
    from microlith.workflow.results.folder import Writer

log = logging.getLogger(__name__)


def add_mesh(commands: Commands) -> None:
    """Declare `mesh`."""
    parser = commands.add("mesh", mesh, "make the mesh and compare it with the image", parallel=True)
    add_case(parser)
    add_memory_check(parser)
    add_output_file(parser, f"write the mesh to a file ({', '.join(MESH_SUFFIXES)})")


def add_run(commands: Commands) -> None:
    """Declare `run`."""
    parser = commands.add("run", run, "do all of it, from the image to curves, fields and pictures", parallel=True)
    add_case(parser)
    add_memory_check(parser)
    add_output_folder(parser, "CASE")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint of an earlier run, if any")


def mesh(options: argparse.Namespace, ranks: Ranks) -> None:
    """Mesh a case."""
    case = ranks.on_first(lambda: _ready_to_mesh(options))
    from microlith.workflow.prepare import assemble

    assemble.mesh(case, options.output, show=not options.quiet)


def _ready_to_mesh(options: argparse.Namespace) -> "Case":
    from microlith.workflow.case.read import load_case

    check_output_file(options, MESH_SUFFIXES)
    return with_memory_check(load_case(options.case), options)


def run(options: argparse.Namespace, ranks: Ranks) -> None:
    """Run a case."""
    from microlith.workflow.checkpoints.signals import Asked

    asked = Asked()
    with asked.taken_down():  # from the start: libraries that load slowly take an exception in them for a fault
        case, output = ranks.on_first(lambda: ready_to_run(options, "run"))
        from microlith.workflow.run import pipeline

        pipeline.run(case, output, force=options.force, resume=options.resume, asked=asked)


def ready_to_run(options: argparse.Namespace, writer: "Writer") -> "tuple[Case, Path]":
    """The case, and the folder that its results go to, both checked.

    Raises:
        InputError: One of them is at fault.
    """
    from microlith.workflow.case.read import load_case

    case = with_memory_check(load_case(options.case), options)
    output = options.output or default_output(options.case)
    check_output_folder(output, options.force, writer)
    log.debug("%s is valid; the results go to %s", options.case, output)
    return case, output
