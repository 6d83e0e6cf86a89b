"""What this machine has for one rank: cores, and memory that goes back to it as soon as it is free."""

import ctypes
import os
from contextlib import suppress

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
