"""`microlith compare`: results of several states, with a folder of what comes of it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from mpi4py import MPI

from microlith.workflow.comparison.comparison import Comparison, compared
from microlith.workflow.comparison.sources import state_of
from microlith.workflow.comparison.write import said, unit_of, write_comparison
from microlith.workflow.results.folder import result_folder

log = logging.getLogger(__name__)


def compare(
    results: Sequence[tuple[str, Path]], output: Path, reference: str | None = None, force: bool = False
) -> Comparison:
    """Compare results and leave a table, pictures and a page in a folder; on one rank.

    Args:
        results: Name of a state, and a folder of `analyze` or `run` or a file of `deff`; a state may have several.
        output: The folder.
        reference: Name of the state that others are compared to; None: the first.
        force: Whether an earlier comparison is overwritten.

    Raises:
        InputError: Results can't be read or compared, or the folder can't be written.
    """
    of_state: dict[str, list[Path]] = {}
    for name, path in results:
        of_state.setdefault(name, []).append(path)
    found = compared([state_of(name, paths) for name, paths in of_state.items()], reference)
    with result_folder(output, force, MPI.COMM_SELF, "compare") as folder:
        names = write_comparison(folder, found)
    for note in found.notes:
        log.warning(note)
    log.info("results: %s", ", ".join(str(output / name) for name in names))
    return found


def print_comparison(found: Comparison) -> None:
    """Print the numbers that changed, with what the changes are against."""
    from rich.markup import escape
    from rich.table import Column, Table

    from microlith.workflow.console.terminal import table_console

    names = [escape(state.name) for state in found.states]  # "[red]" in one is no colour
    first = Column("number", overflow="fold")  # a name that is cut off says nothing
    table = Table(first, *names, title=f"changes against {names[found.reference]}")
    for row in found.rows:
        both = zip(row.numbers, row.changes, strict=True)
        cells = [said(row, number, change) + ("*" if change and change.exceeds else "") for number, change in both]
        table.add_row(*map(escape, (" ".join(part for part in (row.name, unit_of(row)) if part), *cells)))
    console = table_console()
    console.print(table)
    console.print("*: the difference is larger than both errors together")
    if any(number is not None and number.interval is not None for row in found.rows for number in row.numbers):
        what = "[low, high]: what a number lies between, where its error is not the same on both sides"
        console.print(what, markup=False, soft_wrap=True)
