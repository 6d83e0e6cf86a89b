"""Processes that run the cases of a sweep, several at a time; one that dies takes one case with it."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from microlith.imaging.errors import LONGEST_SENTENCE, printable
from microlith.workflow.checkpoints.signals import Asked, Stopped
from microlith.workflow.console.failures import CHECKPOINT, OUR_FAILURE, SIGNALLED
from microlith.workflow.sweep.cases import Job
from microlith.workflow.sweep.record import Record, keep, record_of

WORKER_COMMAND = (sys.executable, "-m", "microlith.workflow.cli", "-q", "sweep", "--worker")
MOST_AT_ONCE = 16  # cases that one process takes, so that a leak of memory in a library stays small
LOOKS = 0.2  # s from one look for a signal to the next


@dataclass
class _Pool:
    running: list["subprocess.Popen[str]"] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def start(self, command: Sequence[str], told: IO[str]) -> "subprocess.Popen[str] | None":
        with self.lock:
            if self.stopped:
                return None
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True, encoding="utf-8"
            )
            self.running.append(process)
            return process

    def end(self, process: "subprocess.Popen[str]") -> None:
        with self.lock:
            self.running.remove(process)

    def stop(self, number: int) -> None:
        """Send a signal to all that run, and let none start any more."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                with suppress(OSError):
                    process.send_signal(number)


def run_jobs(
    jobs: Sequence[Job],
    case: Path,
    output: Path,
    count: int,
    ended: Callable[[str, Record], None],
    asked: Asked | None = None,
) -> None:
    """Run cases in processes of their own; a case that fails is recorded and the others go on.

    Args:
        jobs: What to run; those with the same image and mesh beside each other are mostly meshed once.
        case: The case file, beside which files are looked for.
        output: The folder of the sweep.
        count: Number of processes at a time.
        ended: Called after each case, by one thread at a time.
        asked: Whether a signal asked for an end; processes get it then, and leave checkpoints.

    Raises:
        InputError: A record can't be written.
        Stopped: A signal asked for an end.
    """
    size = min(MOST_AT_ONCE, max(1, -(-len(jobs) // count)))  # without any jobs as well
    batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
    pool, lock = _Pool(), threading.Lock()

    def end(name: str, record: Record) -> None:
        with lock:
            ended(name, record)

    executor = ThreadPoolExecutor(count)
    try:
        _wait_for([executor.submit(_run_batch, batch, case, output, pool, end) for batch in batches], asked or Asked())
    except BaseException as error:
        # A signal or an interrupt: what runs gets it too, and has time to leave a checkpoint
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0
        pool.stop(code - SIGNALLED if code > SIGNALLED else signal.SIGTERM)
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _wait_for(futures: Sequence["Future[None]"], asked: Asked) -> None:
    waiting = set(futures)
    while waiting:
        if asked.number:
            raise Stopped(f"ended by {signal.Signals(asked.number).name}")
        done, waiting = wait(waiting, LOOKS, FIRST_COMPLETED)
        for future in done:
            future.result()


def _run_batch(
    batch: Sequence[Job], case: Path, output: Path, pool: _Pool, ended: Callable[[str, Record], None]
) -> None:
    waiting = list(batch)
    while waiting:
        done, reason = _run_in_process(waiting, case, output, pool, ended)
        if pool.stopped:
            return
        waiting = waiting[done:]
        if waiting and reason:  # it died of the first one
            record = Record(waiting[0].fingerprint, "failed", reason, OUR_FAILURE)
            keep(output, waiting[0].name, record)
            ended(waiting[0].name, record)
            waiting = waiting[1:]


def _run_in_process(
    jobs: Sequence[Job], case: Path, output: Path, pool: _Pool, ended: Callable[[str, Record], None]
) -> tuple[int, str]:
    """Number of cases that came to an end, and why the process died, if it did."""
    command = [*WORKER_COMMAND, str(case), "-o", str(output)]
    handed = json.dumps([vars(job) for job in jobs])
    done = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as told:
        process = pool.start(command, told)
        if process is None:
            return 0, ""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(OSError):  # it died before it read all
                process.stdin.write(f"{handed}\n")
                process.stdin.flush()  # and stays open: its end tells the process that nobody waits any more
            for line in process.stdout:
                if done < len(jobs) and line.rstrip("\n") == jobs[done].name:
                    record = record_of(output, jobs[done].name)
                    if record is not None:
                        ended(jobs[done].name, record)
                    done += 1
            process.wait()
        finally:
            with suppress(OSError):
                process.stdin.close()
            pool.end(process)
        told.seek(0)
        if process.returncode == CHECKPOINT and not pool.stopped:  # the signal reached it before this process
            raise Stopped("ended by a signal")
        return done, "" if done == len(jobs) else _reason(process.returncode, told.read())


def _reason(status: int, told: str) -> str:
    lines = [line for line in told.splitlines() if line.strip()]
    last = printable(lines[-1].removeprefix("microlith: "), LONGEST_SENTENCE) if lines else "it said nothing"
    return f"the process ended with status {status}: {last}" if status >= 0 else f"killed by signal {-status}: {last}"
