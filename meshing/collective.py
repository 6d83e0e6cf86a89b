"""Work that one rank does for all, without leaving the others waiting when it fails."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mpi4py import MPI

P = ParamSpec("P")
T = TypeVar("T")


def on_root(comm: MPI.Intracomm, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call a function on rank 0 only; collective.

    Args:
        comm: all of its ranks must call.
        function: what rank 0 calls.
        args: for the function.
        kwargs: for the function.

    Returns:
        What the function returned on rank 0, None elsewhere.

    Raises:
        Exception: whatever the function raised, on every rank (as a RuntimeError with the same text on the others
            where the exception cannot be sent).
    """
    result: T | None = None
    failure: BaseException | None = None
    if comm.rank == 0:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            failure = error
    share_failure(comm, failure)
    return result


def share_failure(comm: MPI.Intracomm, failure: BaseException | None, root: int = 0) -> None:
    """Raise what went wrong on one rank on every rank; collective.

    Args:
        comm: all of its ranks must call.
        failure: what was caught on `root`, None if nothing; not looked at elsewhere.
        root: the rank that knows.

    Raises:
        Exception: the failure, if there is one.
    """
    if comm.rank != root:
        failure = comm.bcast(None, root)
        if failure is not None:
            raise failure
        return
    try:
        comm.bcast(failure, root)
    except Exception:  # the exception cannot be pickled
        comm.bcast(RuntimeError(f"{type(failure).__name__}: {failure}"), root)
    if failure is not None:
        raise failure
