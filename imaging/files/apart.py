"""Work that may crash, hang or take all memory, as C libraries do on damaged files, in a process of its own.

The process is Python with one of our modules as its program, which ends with `serve`. Questions are lines of JSON. An
answer is JSON, followed by as many bytes as it is said to have; nothing of it is run or unpickled here.
"""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import weakref
from atexit import register
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

PATIENCE = 60.0  # seconds without a word after which the process is ended
CPU = 4  # seconds of work for a question, beside what the work is known to take
MEMORY = 1 << 30  # bytes of address space beside what Python and its libraries take
HEAD = struct.Struct("<IQ")  # of an answer: lengths of its JSON and of its bytes
MPI_VARIABLES = ("OMPI_COMM", "OMPI_UNIVERSE", "PMIX_", "PMI_", "PRTE_", "PRRTE_")  # of the rank that asks

Question = dict[str, Any]


class Failed(Exception):
    """The process could not do it; the text says why."""


class Apart:
    """A process that does work for this one; started when it is first asked, and ended with this one."""

    def __init__(self, module: str) -> None:
        """Nothing is started yet.

        Args:
            module: Full name of the module that is its program.
        """
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        _LIVING.add(self)

    def ask(self, question: Question) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8]]]:
        """Put a question and yield the answers: what is said, and the bytes that go with it.

        Raises:
            Failed: The work failed, crashed, or took too long or too much memory.
        """
        complete = False
        try:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(question).encode() + b"\n")
            while not complete:
                said, data = _answer(process.stdout)
                complete = "done" in said or "failed" in said
                if "failed" in said:
                    raise Failed(str(said["failed"]))
                if not complete:
                    yield said, data
        except (EOFError, OSError, ValueError) as error:
            raise Failed(self._reason(error)) from error
        finally:
            if not complete:  # what it goes on to say would be taken for the next answer
                self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()

    def __del__(self) -> None:
        self.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module],  # -P: nothing in the working folder is imported
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # bytes go straight to arrays
                env={k: v for k, v in os.environ.items() if not k.startswith(MPI_VARIABLES)},
            )
        return self._process

    def _reason(self, error: Exception) -> str:
        """Why the process says no more."""
        if isinstance(error, TimeoutError) or self._process is None:
            return str(error)
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return str(error)
        if -status in (signal.SIGXCPU, signal.SIGKILL):
            return "reading it takes too long"
        return f"reading it crashes, signal {-status}" if status < 0 else f"reading it ends with status {status}"


_LIVING: "weakref.WeakSet[Apart]" = weakref.WeakSet()


@register
def _close_all() -> None:
    for apart in list(_LIVING):
        apart.close()


def _answer(stream: IO[bytes]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    said, count = HEAD.unpack(_received(stream, HEAD.size).tobytes())
    return json.loads(_received(stream, said).tobytes()), _received(stream, count)


def _received(stream: IO[bytes], count: int) -> NDArray[np.uint8]:
    data = np.empty(count, np.uint8)
    rest = data.data
    while rest:
        if not select.select([stream], [], [], PATIENCE)[0]:
            raise TimeoutError(f"nothing came for {PATIENCE:g} s")
        arrived = os.readv(stream.fileno(), [rest])
        if not arrived:
            raise EOFError("no answer came")
        rest = rest[arrived:]
    return data


# --- within the process ---


def serve(answers: Callable[[Question], Iterator[tuple[dict[str, Any], NDArray[Any] | None]]]) -> None:
    """Answer questions until nobody is there to ask any more; the program of the process.

    Args:
        answers: From a question to what is said, each with an array whose bytes go with it or None. What it raises is
            said as a failure.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the one who asks
    limit_memory()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no answer
    for line in sys.stdin.buffer:
        try:
            limit_time()
            for said, array in answers(json.loads(line)):
                _say(out, said, array)
            _say(out, {"done": True}, None)
        except BrokenPipeError:
            return
        except Exception as error:
            _say(out, {"failed": str(error)[:1000] or type(error).__name__}, None)


def _say(out: IO[bytes], said: dict[str, Any], array: NDArray[Any] | None) -> None:
    data = memoryview(b"") if array is None else np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    text = json.dumps(said).encode()
    out.write(HEAD.pack(len(text), len(data)) + text)
    out.write(data)
    out.flush()


def limit_memory(more: int = 0) -> None:
    """Let the process take MEMORY and `more` bytes beside what it has; of no effect where there is no /proc."""
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return
    _limit(resource.RLIMIT_AS, size + MEMORY + more)
    _limit(resource.RLIMIT_CORE, 0)


def limit_time(seconds: float = 0.0) -> None:
    """Let the process work for CPU and `seconds` more."""
    import resource

    _limit(resource.RLIMIT_CPU, int(time.process_time() + CPU + seconds) + 1)


def _limit(which: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
