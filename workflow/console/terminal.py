"""What a user sees: the log on standard error, tables on standard output, and how far a long run is.

A moving line on a terminal, a line per minute of a long stage in a log.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol, TextIO

from microlith.workflow.console.launch import launched_rank
from microlith.workflow.console.log_lines import LogLines, interval, span

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)
ALL_OF_US = "microlith"  # name of the logger above all others of the project


class _Form(logging.Formatter):
    """Warnings say that they are some."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"warning: {text}" if record.levelno == logging.WARNING else text


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at the time: while a line moves there, what puts others above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Form("%(message)s"))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def log_to_stderr(level: int) -> None:
    """Send progress and warnings from `level` on to standard error."""
    logger = logging.getLogger(ALL_OF_US)
    logger.handlers[:] = [_StandardError()]
    logger.setLevel(level)


PLAIN_WIDTH = 120  # characters of tables in files


def is_terminal() -> bool:
    """Whether a person reads standard output. Launchers of MPI give a rank a terminal even where theirs is a file."""
    return sys.stdout.isatty() and launched_rank() is None


def table_console() -> "Console":
    """Standard output for tables: in colour and bold on a terminal, plain and wide enough for long names elsewhere."""
    from rich.console import Console

    width = None if is_terminal() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Console(highlight=False, width=width, force_terminal=None if is_terminal() else False)


class Tell(Protocol):
    """Shows how far a stage is."""

    def __call__(self, detail: str, done: float | None = None) -> None:
        """A short sentence, and the share of the work that is done, where it is known."""


class Stages:
    """Names, times and shows the stages of a run; on every rank the same, seen from the first only."""

    def __init__(self) -> None:
        self._every = interval()
        self.timings: dict[str, float] = {}  # stage -> s
        self.work: dict[str, float] = {}  # stage -> CPU seconds of this rank
        self._begun = time.process_time()

    @property
    def all_work(self) -> float:
        """CPU seconds of this rank from before the first stage on: the process may have run other cases earlier."""
        return time.process_time() - self._begun

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Tell]:
        """Time a stage.

        Args:
            name: Key of the timing.
            doing: What the user reads, e.g. "meshing".

        Yields:
            A function that shows how far the stage is; where there is no terminal, in a line a minute.
        """
        start, work = time.perf_counter(), time.process_time()
        with _shown(doing, self._every) as tell:
            yield tell
        self.timings[name] = time.perf_counter() - start
        self.work[name] = time.process_time() - work
        log.debug("%s: %.1f s", doing, self.timings[name])


@contextmanager
def _shown(doing: str, every: float) -> Iterator[Tell]:
    """A line that moves while the block is at work, with the time that it has taken and, where known, what is left.

    Where there is no terminal, lines in the log, `every` s; nothing where the log is silent, or of another rank than
    the first.
    """
    if not sys.stderr.isatty() or not log.isEnabledFor(logging.INFO):
        lines = LogLines(doing, every)
        heard = log.isEnabledFor(logging.INFO) and not launched_rank()
        with lines.writing() if heard else nullcontext():
            yield lines.tell
        return
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text

    class Times(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = task.time_remaining if task.total is not None else None
            return Text(
                span(task.elapsed or 0.0) + ("" if left is None else f", about {span(left)} left"), style="cyan"
            )

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), Times()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=None)

        def tell(detail: str, done: float | None = None) -> None:
            text = f"{doing}: {detail}" if detail else doing
            if done is None:
                progress.update(task, description=text)
            else:
                progress.update(task, description=text, total=1.0, completed=done)

        yield tell
