"""The command that shows results: `view`."""

import argparse
from pathlib import Path

from microlith.workflow.commands.arguments import Commands
from microlith.workflow.console.launch import Ranks

VARIABLES = ("concentration", "phase")


def add_view(commands: Commands) -> None:
    """Declare `view`."""
    text = "show the results of a run in a window, or as a picture or a movie"
    parser = commands.add("view", view, text, parallel=True)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder that a run wrote")
    parser.add_argument("--screenshot", metavar="FILE", type=Path, help="write a picture (.png), without a window")
    parser.add_argument("--movie", metavar="FILE", type=Path, help="write all snapshots (.gif, .mp4), without a window")
    parser.add_argument(
        "--variable", choices=VARIABLES, default=VARIABLES[0], help="what to colour (default: %(default)s)"
    )
    parser.add_argument("--time", metavar="T", help='snapshot to show, such as "10 s" (default: the last)')
    parser.add_argument("--force", action="store_true", help="overwrite the files")


def view(options: argparse.Namespace, ranks: Ranks) -> None:
    """Show the results of a run; the first rank does."""
    from microlith.workflow.viewer.window import ViewRequest, view  # on all ranks: MPI and PETSc start on all together

    asked = ViewRequest(options.variable, options.time, options.screenshot, options.movie, options.force)
    ranks.on_first(lambda: view(options.results, asked))
