"""What a user sees: the log on standard error, tables on standard output, and how far a long run is.

A moving line on a terminal, a line per stage in a log.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from microlith.workflow.console.launch import launched_rank

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)
ALL_OF_US = "microlith"  # name of the logger above all others of the project


class _Form(logging.Formatter):
    """Warnings say that they are some."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"warning: {text}" if record.levelno == logging.WARNING else text


def log_to_stderr(level: int) -> None:
    """Send progress and warnings from `level` on to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Form("%(message)s"))
    logger = logging.getLogger(ALL_OF_US)
    logger.handlers[:] = [handler]
    logger.setLevel(level)


def is_terminal() -> bool:
    """Whether a person reads standard output. Launchers of MPI give a rank a terminal even where theirs is a file."""
    return sys.stdout.isatty() and launched_rank() is None


def table_console(width: int | None = None) -> "Console":
    """Standard output for tables: in colour and bold on a terminal, plain elsewhere."""
    from rich.console import Console

    return Console(highlight=False, width=width, force_terminal=None if is_terminal() else False)


class Stages:
    """Names, times and shows the stages of a run; on every rank the same, seen from the first only."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}  # stage -> s

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Time a stage.

        Args:
            name: Key of the timing.
            doing: What the user reads, e.g. "meshing".

        Yields:
            A function that shows how far the stage is; quiet where there is no terminal.
        """
        start = time.perf_counter()
        with _shown(doing) as tell:
            yield tell
        self.timings[name] = time.perf_counter() - start
        log.debug("%s: %.1f s", doing, self.timings[name])


@contextmanager
def _shown(doing: str) -> Iterator[Callable[[str], None]]:
    if not (sys.stderr.isatty() and log.isEnabledFor(logging.INFO)):
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(doing) as status:
        yield lambda detail: status.update(f"{doing}: {detail}")
