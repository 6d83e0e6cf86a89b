"""Clears away what a run leaves in its result folder when it is killed; a small process beside the run.

It waits until the run tells it to go, or until the run is gone without a word, however it ended: by SIGKILL, by mpirun
after half a second of patience, out of memory. Then it removes the hidden folder with the files that the run had so
far, its lock, and folders that the run had made and that are empty. What was complete has another name and stays.

The run starts this file as a script of its own, which imports nothing but the standard library and little of that.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import Popen

ATTEMPTS, PAUSE = 100, 0.05  # s: the system takes its time to close the files of a process that was killed
WORD = b"done"  # what the run says when there is nothing left to clear away


class Janitor:
    """The process, as the run sees it."""

    def __init__(self, stage: Path, lock: Path, folders: Sequence[Path]) -> None:
        """Start it, or do without where none can be started.

        Args:
            stage: The hidden folder with unfinished files.
            lock: File that the run holds the result folder by.
            folders: That the run made, innermost first.
        """
        import subprocess

        names = [os.path.abspath(path) for path in (stage, lock, *folders)]
        self._process: Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *names],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # out of reach of signals that are meant for the run
            )

    def dismiss(self) -> None:
        """There is nothing to clear away."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(WORD)
                process.stdin.close()
            process.wait()


def main(stage: str, lock: str, *folders: str) -> None:
    """Wait for a word on standard input, and where it ends without it, clear away; arguments as of `Janitor`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    said = b""
    while len(said) < len(WORD):
        more = os.read(0, len(WORD))
        if not more:
            break
        said += more
    if said != WORD:
        _remove_files(stage)
        _remove_lock(lock)
        with contextlib.suppress(OSError):
            for folder in folders:
                os.rmdir(folder)


def _remove_files(stage: str) -> None:
    """Remove the hidden folder, also where a rank has begun with that and renamed it; see `folder._discard`."""
    shutil.rmtree(stage, ignore_errors=True)
    folder, token = os.path.dirname(stage), stage[-8:]
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(".unfinished-") and name.endswith(f"-{token}x"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _remove_lock(lock: str) -> None:
    """Remove the lock unless another run holds it by now; the one that is gone may do so a moment longer."""
    import fcntl

    with contextlib.suppress(OSError):
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        for _ in range(ATTEMPTS):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.stat(lock, follow_symlinks=False), os.fstat(descriptor)):
                    os.unlink(lock)
                return
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
