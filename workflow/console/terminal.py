"""What a user sees of a long run: a moving line on a terminal, a line per stage in a log; and how long each took."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


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
