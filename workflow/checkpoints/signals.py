"""Signals that ask a run to end when it can: they are taken down here, and looked at by all ranks together."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from microlith.workflow.console.failures import CHECKPOINT, SIGNALLED

ASKING = ("SIGTERM", "SIGUSR1")


class Stopped(SystemExit):
    """A run ended early, on all ranks, because a signal asked it to."""

    def __init__(self, sentence: str) -> None:
        """With what to tell the user."""
        super().__init__(CHECKPOINT)
        self.sentence = sentence


class Asked:
    """Whether a signal has come to this process."""

    def __init__(self) -> None:
        self.number = 0  # of the first one; 0: none has
        self.over = False  # whether there is nothing to end any more: files are about to be given their names
        self.at_once = False  # whether the next one ends the process at once
        self.sentence = ""  # then: where there is a checkpoint, and what to do

    def _take(self, number: int, _: Any) -> None:
        if self.over:
            self.number = self.number or number  # for who comes next, if anybody
            return
        if self.at_once:
            for each in ASKING:  # the first one counts: cleaning up is under way
                signal.signal(getattr(signal, each), signal.SIG_IGN)
            if self.sentence:
                raise Stopped(f"ended by {signal.Signals(number).name}; {self.sentence}")
            raise SystemExit(SIGNALLED + number)
        self.number = self.number or number

    def renew(self) -> None:
        """Begin another run in the same process; a signal that has come stays."""
        self.over, self.at_once, self.sentence = False, False, ""

    @contextmanager
    def taken_down(self) -> Iterator[None]:
        """While the block runs signals are taken down only; those that are ignored stay so."""
        if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one only
            yield
            return
        numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
        for number in before:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
