"""Work of which all ranks hear when it fails on one, so that none waits for ever for one that has failed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from microlith.imaging.errors import InputError

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

P = ParamSpec("P")
T = TypeVar("T")


def together(comm: "Comm", work: Callable[[], T]) -> T:
    """Do the work on every rank and wait for all; when it fails on one, raise on all.

    The work itself must not communicate: a rank that fails in it would leave the others waiting there. Only the kind
    and the text of an error travel, as not every exception can be pickled.

    Args:
        comm: All ranks that call this.
        work: What each rank does; its result is returned on that rank.

    Raises:
        InputError: The work raised it on some rank; the lowest one's message, the same on all ranks.
        Exception: Any other error of this rank's own work.
        RuntimeError: The work failed on another rank in another way.
    """
    result: T | None = None
    error: Exception | None = None
    try:
        result = work()
    except Exception as caught:
        error = caught
    sentences = error.sentences if isinstance(error, InputError) else ()
    told = None if error is None else (sentences, type(error).__name__, f"{error}{_origin(error)}")
    failures = [(rank, failure) for rank, failure in enumerate(comm.allgather(told)) if failure is not None]
    for _, (of_input, _, _) in failures:
        if of_input:
            raise InputError(*of_input) from error
    if error is not None:
        raise error
    for rank, (_, kind, sentence) in failures:
        raise RuntimeError(f"rank {rank} failed with {kind}: {sentence}")
    return result  # type: ignore[return-value]  # no error, so it is what the work returned


def _origin(error: BaseException) -> str:
    """What an error came from, as the last part of a sentence; another rank sees no more of it than the text."""
    first, seen = error, {id(error)}
    while (before := first.__cause__ or first.__context__) is not None and id(before) not in seen:
        first = before
        seen.add(id(before))
    return "" if first is error else f", which began with {type(first).__name__}: {first}"


def on_root(comm: "Comm", function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call a function on rank 0 only and leave its result there (None elsewhere); errors as in `together`."""
    return together(comm, lambda: function(*args, **kwargs) if comm.rank == 0 else None)


def of_root(product: T | None) -> T:
    """What rank 0 alone has, as `on_root` leaves it, on rank 0."""
    assert product is not None
    return product


def on_first_rank(comm: "Comm", work: Callable[[], T]) -> T:
    """Do the work on rank 0 only and give its result to all ranks; errors as in `together`."""
    return comm.bcast(on_root(comm, work), root=0)


def in_turn(comm: "Comm", work: Callable[[], None]) -> None:
    """Do the work on one rank after the other, as writers to one file must; errors as in `together`."""
    for rank in range(comm.size):
        together(comm, work if comm.rank == rank else lambda: None)
