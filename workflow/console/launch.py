"""What the command line needs of MPI: who speaks, a start that all ranks agree on, an end that hangs none of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.parallel.startup import launched_rank as launched_rank, share_without_names

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

T = TypeVar("T")
PATIENCE = 3.0  # seconds that a rank with an error waits for the others to have theirs


@dataclass(frozen=True)
class Ranks:
    """The processes of this run."""

    comm: "Intracomm | None" = None  # a communicator that nobody else uses; None: one process

    @classmethod
    def start(cls) -> "Ranks":
        """Starts MPI where a launcher started this process; collective."""
        if launched_rank() is None:
            return cls()
        from mpi4py import MPI  # starts MPI: only for commands that compute

        if MPI.COMM_WORLD.size == 1:
            return cls()
        comm = MPI.COMM_WORLD.Dup()
        share_without_names(comm)
        return cls(comm)

    def on_first(self, work: Callable[[], T]) -> T:
        """The result of `work()`, done by rank 0 alone, on all ranks; what it raises is raised on all; collective."""
        return work() if self.comm is None else on_first_rank(self.comm, work)

    def end(self, status: int, report: str, say: Callable[[str], None]) -> int:
        """Reports an error of this rank once and gives the exit status.

        Where every rank has one, as with bad input that all find, rank 0 says what there is to say and all exit alike.
        Where another rank has none, it may wait for this one for ever, so all are ended.
        """
        if self.comm is None:
            say(report)
            return status
        if not self._all_arrive():
            self._abort(status, report, say)
        # Of several, the one that the user can correct: where one rank failed, the others may only say that it did.
        worst, first_report = max(self.comm.allgather((status, report)), key=lambda each: each[0])
        if self.comm.rank == 0:
            say(first_report)
        return worst

    def _all_arrive(self) -> bool:
        assert self.comm is not None
        arrival = self.comm.Ibarrier()
        deadline = time.monotonic() + PATIENCE
        while not arrival.Test():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _abort(self, status: int, report: str, say: Callable[[str], None]) -> NoReturn:
        assert self.comm is not None
        time.sleep(0.5 * min(self.comm.rank, 20))  # of several, the first speaks and ends the others
        say(report)
        time.sleep(0.5)  # mpirun forwards what a rank says in its own time, and drops the rest when it ends all
        self.comm.Abort(status)
        raise SystemExit(status)
