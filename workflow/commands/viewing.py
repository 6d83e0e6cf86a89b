"""The commands that show results, or hand them on: `view`, `plot` and `export`."""

import argparse
import logging
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError
from microlith.workflow.commands.arguments import Commands, check_output_file
from microlith.workflow.console.launch import Ranks

log = logging.getLogger("microlith")
VARIABLES = ("concentration", "phase")
EXPORTS = (".vtu", ".xdmf", ".vtp", ".stl", ".glb", ".tif", ".nrrd", ".msh", ".inp", ".bdf", ".med")


def add_view(commands: Commands) -> None:
    """Declare `view`."""
    text = "show the results of a run in a window or a browser, or as a picture or a movie"
    parser = commands.add("view", view, text, parallel=True)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder that a run wrote")
    parser.add_argument("--screenshot", metavar="FILE", type=Path, help="write a picture (.png), without a window")
    parser.add_argument("--movie", metavar="FILE", type=Path, help="write all snapshots (.gif, .mp4), without a window")
    parser.add_argument("--serve", action="store_true", help="show it in a browser: prints the address to open")
    parser.add_argument("--port", metavar="N", type=int, default=0, help="of --serve (default: a free one)")
    parser.add_argument(
        "--host", metavar="NAME", default="127.0.0.1", help="interface for --serve (default: %(default)s, this machine)"
    )
    parser.add_argument(
        "--variable", choices=VARIABLES, default=VARIABLES[0], help="what to colour (default: %(default)s)"
    )
    parser.add_argument(
        "--show", metavar="PHASE", action="append", help="phase to show (repeatable; default: all but sources)"
    )
    parser.add_argument("--time", metavar="T", help='snapshot to show, such as "10 s" (default: the last)')
    parser.add_argument("--force", action="store_true", help="overwrite the files")


def view(options: argparse.Namespace, ranks: Ranks) -> None:
    """Show the results of a run; the first rank does."""
    from microlith.workflow.viewer.window import ViewRequest, view  # on all ranks: MPI and PETSc start on all together

    phases = None if options.show is None else tuple(options.show)
    asked = ViewRequest(
        *(options.variable, options.time, options.screenshot, options.movie, options.force, phases),
        *(options.serve, options.host, options.port),
    )
    ranks.on_first(lambda: view(options.results, asked))


def add_report(commands: Commands) -> None:
    """Declare `report`."""
    text = "write the report of results again: one page for a browser"
    parser = commands.add("report", report, text, parallel=True)
    parser.add_argument(
        "results", metavar="RESULTS", type=Path, help="folder that run, sweep, converge, deff, fit or analyze wrote"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="page to write (.html; default: RESULTS/report.html)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file that microlith did not write")


def report(options: argparse.Namespace, ranks: Ranks) -> None:
    """Write the report of a run again; the first rank does."""
    from microlith.imaging.writing import write_text
    from microlith.workflow.report.of_folder import folder_page
    from microlith.workflow.results.folder import REPORT, added_files

    def write() -> None:
        page, writer = folder_page(options.results)
        text = page.html()
        if options.results.is_file() and options.output is None:  # a JSON file of deff
            options.output = options.results.with_suffix(".html")
        if options.output is None:
            with added_files(options.results, [REPORT], options.force or writer == "sweep", writer):
                write_text(options.results / REPORT, text)
        else:
            check_output_file(options, (".html",), "--output")
            write_text(options.output, text)
        log.info("report: %s", options.output or options.results / REPORT)

    ranks.on_first(write)


def add_plot(commands: Commands) -> None:
    """Declare `plot`."""
    parser = commands.add("plot", plot, "draw the pictures of a run again, without solving", parallel=True)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder that a run wrote")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder of the pictures (default: RESULTS, replacing its own)"
    )
    parser.add_argument(
        "--case", metavar="CASE", type=Path, help="case file whose [pictures] counts (default: that of the run)"
    )
    parser.add_argument(
        "--format", metavar="F", action="append", help="png, svg or pdf (repeatable; default: as in the run)"
    )
    parser.add_argument("--width", metavar="W", help='width of each picture, such as "85 mm"')
    parser.add_argument("--resolution", metavar="N", type=int, help="pixels per inch")
    parser.add_argument("--colours", metavar="MAP", help="colour map of concentrations, by Matplotlib's name")
    parser.add_argument("--force", action="store_true", help="overwrite files that microlith did not write")


def plot(options: argparse.Namespace, ranks: Ranks) -> None:
    """Draw the pictures of a run again; the first rank does."""
    from microlith.workflow.viewer.plot import plot  # on all ranks: MPI and PETSc start on all together

    def draw() -> None:
        for file in plot(options.results, options.output or options.results, _changes(options), options.force):
            log.info("picture: %s", file)

    ranks.on_first(draw)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """What pictures are to be other than in the run, as in the table [pictures] of a case file."""
    from microlith.workflow.case.toml_file import read_toml

    changes = {} if options.case is None else dict(read_toml(options.case).get("pictures", {}))
    given = {"formats": options.format, "width": options.width}
    given |= {"resolution": options.resolution, "colours": options.colours}
    return changes | {key: value for key, value in given.items() if value is not None}


def add_export(commands: Commands) -> None:
    """Declare `export`."""
    text = "write the results of a run to a file of another program"
    parser = commands.add("export", export, text, parallel=True)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder that a run wrote")
    parser.add_argument(
        "--to",
        dest="output",
        metavar="FILE",
        type=Path,
        required=True,
        help=f"file to write; its ending says which of {', '.join(EXPORTS)}",
    )
    parser.add_argument(
        "--time", metavar="T", help='snapshot, such as "10 s", or "all" (default: the last; .xdmf: all)'
    )
    parser.add_argument(
        "--phase", metavar="PHASE", action="append", default=[], help="phase to write (repeatable; default: all)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def export(options: argparse.Namespace, ranks: Ranks) -> None:
    """Write results to a file of another program; the first rank does."""
    from microlith.workflow.export.export import export  # on all ranks: MPI and PETSc start on all together

    def write() -> None:
        check_output_file(options, EXPORTS, "--to")
        beside = options.output.with_suffix(".h5")  # of .xdmf, for the numbers
        if options.output.suffix == ".xdmf" and beside.exists() and not options.force:
            raise InputError(
                f"--to {options.output}: {beside} exists already; choose another name, or overwrite with --force"
            )
        every = options.time == "all"
        time = None if options.time is None or every else _seconds(options.time)
        export(options.results, options.output, time, every, options.phase)
        log.info("written: %s", options.output)

    ranks.on_first(write)


def _seconds(text: str) -> float:
    from microlith.workflow.schema.units import TIME, to_si

    try:
        return to_si(text, TIME)
    except ValueError as error:
        raise InputError(f'--time: expected {TIME.words} such as "10 s", or "all", {error}') from error
