"""What this machine has for one rank: cores, memory that goes back to it as soon as it is free; what was taken."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

# Of glibc's mallopt
_MMAP_THRESHOLD, _MMAP_MAX = -3, -4
_LARGE, _MANY = 1 << 22, 1 << 16


def threads() -> int:
    """Threads that a rank may have at work: the cores that this process may use, shared among all ranks."""
    from mpi4py import MPI

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // MPI.COMM_WORLD.size)


def return_memory() -> None:
    """Have large arrays go back to the system when they are freed, and give back what is free now.

    Libraries that PETSc loads turn this off, which is quicker for many small matrices; but whole volumes leave gaps
    that the next volume does not fit into. Elsewhere than with glibc it does nothing.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_MMAP_MAX, _MANY)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.malloc_trim(0)


def peak_memory(process: int | None = None) -> int:
    """Bytes that a process had in memory at most: this one, or one that is still there; 0 where that is not known.

    On Linux `getrusage` does not tell: what the process was started by counts there as well, as large as that was then.
    """
    with suppress(OSError, ValueError):
        for line in (
            Path(f"/proc/{process or 'self'}/status").read_text(encoding="ascii", errors="replace").splitlines()
        ):
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if process is not None:
        return 0
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
