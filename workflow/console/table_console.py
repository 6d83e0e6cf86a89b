"""Where tables go."""

import sys
from typing import TYPE_CHECKING

from microlith.workflow.console.launch import launched_rank

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal() -> bool:
    """Whether a person reads standard output. Launchers of MPI give a rank a terminal even where theirs is a file."""
    return sys.stdout.isatty() and launched_rank() is None


def table_console(width: int | None = None) -> "Console":
    """Standard output for tables: in colour and bold on a terminal, plain elsewhere."""
    from rich.console import Console

    return Console(highlight=False, width=width, force_terminal=None if is_terminal() else False)
