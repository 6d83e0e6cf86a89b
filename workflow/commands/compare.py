"""The command that puts results side by side: `compare`."""

import argparse
from pathlib import Path

from microlith.imaging.errors import InputError
from microlith.workflow.commands.arguments import Commands, check_output_folder
from microlith.workflow.console.launch import Ranks


def add_compare(commands: Commands) -> None:
    """Declare `compare`."""
    text = "put results of several states side by side"
    parser = commands.add("compare", compare, text, parallel=True)
    parser.add_argument(
        "results",
        metavar="[NAME=]RESULTS",
        nargs="+",
        help="folder of run, analyze or deff, or JSON file of deff; those of one NAME are one state (default: the "
        "folder's name)",
    )
    parser.add_argument("--reference", metavar="NAME", help="state that others are compared to (default: the first)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("results") / "comparison",
        help="folder of the results (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an earlier comparison")


def compare(options: argparse.Namespace, ranks: Ranks) -> None:
    """Put results of several states side by side; the first rank does."""
    from microlith.workflow.comparison.compare import compare, print_comparison
    from microlith.workflow.comparison.comparison import check_states

    def do() -> None:
        results = [_named(text) for text in options.results]
        check_states([name for name, _ in results], options.reference)  # before what is easier to put right
        check_output_folder(options.output, options.force, "compare")
        found = compare(results, options.output, options.reference, options.force)
        if not options.quiet:
            print_comparison(found)

    ranks.on_first(do)


def _named(text: str) -> tuple[str, Path]:
    """Name and path of NAME=PATH, or of PATH alone."""
    name, sign, path = text.partition("=")
    if sign and not Path(text).exists():
        if not name.strip() or not path:
            raise InputError(f"{text}: expected NAME=RESULTS, such as pristine=results/pristine")
        return name.strip(), Path(path)
    return Path(text).absolute().name, Path(text)
