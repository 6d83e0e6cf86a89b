"""Garbage with communicators in it, which all ranks have to let go of together."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py.MPI import Comm


@contextmanager
def collected_together(comm: "Comm") -> Iterator[Callable[[], None]]:
    """Keep Python's garbage collector from running but where all ranks let it.

    Meshes, function spaces and matrices free a communicator with their memory, which may wait for other ranks. Those
    that reference themselves in a circle are freed by the collector, whenever a rank has made enough objects: a rank
    that does other work besides, as the first one does in an optimisation, would wait there for ever.

    Args:
        comm: The ranks.

    Yields:
        What each rank calls after each piece of work that all have shared: it collects.
    """
    if comm.size == 1 or not gc.isenabled():
        yield lambda: None
        return
    gc.collect()
    gc.disable()
    try:
        yield lambda: (gc.collect(), None)[1]
    finally:
        gc.enable()
