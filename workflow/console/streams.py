"""Standard streams that are closed, or whose reader is gone, and signals that end a command."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from microlith.workflow.console.failures import SIGNALLED

# Sent by a user, a batch system, or the terminal as it closes. SIGINT is Python's own: KeyboardInterrupt.
ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def open_closed_streams() -> None:
    """Put the null device in place of standard streams that are closed.

    Python has None for these, which few libraries expect; and a file that is opened next would get the number of the
    stream, so that what some library prints would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def give_up_streams() -> None:
    """Where a standard stream takes no more, keep Python from trying once more, and complaining, as it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
                stream.flush()


def say(sentence: str) -> None:
    """Print a sentence for the user on standard error, if it can be read there; of several, one a line."""
    with suppress(OSError):
        for line in sentence.splitlines():
            print(f"microlith: {line}", file=sys.stderr, flush=True)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Signals that end the process, as batch systems send them when the time is up, do so with all cleaning up done.

    Those that the user has ignored, as nohup does with SIGHUP, stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one only
        yield
        return

    def stop(number: int, _: Any) -> None:
        for each in before:  # the first one counts: cleaning up is under way
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(SIGNALLED + number)

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
