"""How far a long stage is, where no terminal shows it: a line in the log now and then, by a thread of its own."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from microlith.imaging.errors import InputError

log = logging.getLogger(__name__)
EVERY = "MICROLITH_LOG_EVERY"  # variable of the environment: seconds between lines
USUAL = 60.0  # s
LEAST_SHARE = 0.02  # of the work, below which the time left is a guess


def interval() -> float:
    """Seconds between lines.

    Raises:
        InputError: The environment says something that is no such number.
    """
    text = os.environ.get(EVERY, "").strip()
    if not text:
        return USUAL
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= 1e6:
        raise InputError(f"{EVERY} in the environment: expected seconds above 0, such as 60, got {text!r}")
    return seconds


class LogLines:
    """Says of a stage every now and then how far it is; nothing of one that ends before."""

    def __init__(self, doing: str, every: float) -> None:
        self._doing = doing
        self._every = every
        self._start = time.monotonic()
        self._told: tuple[str, float | None] = ("", None)
        self._part: tuple[float, float] | None = None  # when what the share counts was first heard of, and the share
        self._over = threading.Event()

    def tell(self, detail: str, done: float | None = None) -> None:
        """Take down how far the stage is: a short sentence, and the share that is done, where it is known."""
        before = self._told[1]
        if done is None:
            self._part = None
        elif self._part is None or before is None or done < before:  # another part of the stage
            self._part = (time.monotonic(), done)
        self._told = (detail, done)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write lines while the block is at work."""
        thread = threading.Thread(target=self._write, name="microlith-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _write(self) -> None:
        while not self._over.wait(self._every):
            # Past the level of the logger, which stages turn down while they do what is not to be told of.
            log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, self.line(), (), None))

    def line(self) -> str:
        """How far it is now."""
        now = time.monotonic()
        gone = now - self._start
        (detail, done), part = self._told, self._part
        after = f" ({detail})" if detail else ""
        if done is None or part is None:
            return f"{self._doing}: {span(gone)} so far{after}"
        share = min(max(done, 0.0), 1.0)
        since, first = part
        if share - first < LEAST_SHARE:
            return f"{self._doing}: {100 * share:.0f} %, {span(gone)} so far{after}"
        left = (now - since) * (1 - share) / (share - first)
        return f"{self._doing}: {100 * share:.0f} %, about {span(left)} left{after}"


def span(seconds: float) -> str:
    """A time as a clock shows it: "12 s", "3:05 min", "1:02 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"
