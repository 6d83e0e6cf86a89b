"""Curves of a case at the times of measured ones, for any values of its parameters; meshed once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root, together
from microlith.imaging.typing import Array
from microlith.solver.options import TimeSpan
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.fit.subject import Subject
from microlith.workflow.prepare.assemble import log_report
from microlith.workflow.prepare.meshed import Meshed, mesh_of
from microlith.workflow.run.solved import Solved, solved
from microlith.workflow.studies.spatial_error import silent
from microlith.workflow.studies.variant import Variant, is_everywhere, solved_variant

log = logging.getLogger(__name__)
T = TypeVar("T")
STRICTER = 0.1  # tolerance in time, per that of the case: differences of curves are to be smooth
TIGHTEST = 1e-8


class Model:
    """Solves the case for values of its parameters; all ranks of a communicator together."""

    def __init__(self, subject: Subject, base: Case, comm: MPI.Intracomm) -> None:
        """Mesh the case; collective.

        Raises:
            InputError: The case or its image is at fault.
        """
        self.subject, self.comm = subject, comm
        self.stages = Stages()
        self._base = base
        times = subject.measured.times
        tolerance = max(STRICTER * base.time.tolerance, min(TIGHTEST, base.time.tolerance))
        self._time = TimeSpan(float(times[-1]), tolerance, (), tuple(map(float, times)), base.time.first)
        self._meshed: Meshed = mesh_of(base, base.physics.solved, self.stages, comm)
        on_root(comm, log_report, self._meshed)
        self.solves = 0

    def curves(self, x: Array | Sequence[float]) -> Array:
        """Computed values, one for each measured one, mol/m^3, (m,); collective.

        Raises:
            InputError: The case can't be with these values.
            Exception: What the integration raises.
        """
        self.solves += 1
        with silent():
            case = self._case(x, self._time)
            meshed = mesh_of(case, case.physics.solved, Stages(), self.comm, like=self._meshed)
            found = solved_variant(meshed, Variant(), self.comm)
        return self.subject.measured.of(found.curves)

    def solution(self, x: Array | Sequence[float], times: Array) -> Solved:
        """All that a run finds, with the errors of its curves, at more times; collective.

        Raises:
            InputError: As in `curves`.
        """
        case = self._case(x, replace(self._time, times=tuple(map(float, times))))
        with silent():  # its warnings are in what it finds
            return solved(replace(case, mesh=replace(case.mesh, estimate=True)), self.comm, like=self._meshed)

    def _case(self, x: Array | Sequence[float], time: TimeSpan) -> Case:
        case = together(self.comm, lambda: self.subject.case(x))
        return replace(case, time=time, image=self._base.image)


def led(comm: MPI.Intracomm, evaluate: Callable[[Any], T], lead: Callable[[Callable[[Any], T]], Any]) -> Any:
    """Let rank 0 decide what all ranks evaluate next; what comes of it goes to all ranks; collective.

    Decisions that ranks take by themselves from numbers that differ in the last digit could part them.

    Args:
        comm: The ranks.
        evaluate: What all of them do together.
        lead: Called on rank 0 with what stands for `evaluate` there.

    Raises:
        Exception: What `evaluate` or `lead` raises.
    """
    if comm.rank > 0:
        return _followed(comm, evaluate)

    def together_with_others(given: Any) -> T:
        comm.bcast(("evaluate", given))
        try:
            return evaluate(given)
        except Exception as error:
            if not is_everywhere(error, comm):
                raise _Alone from error
            raise

    try:
        found = lead(together_with_others)
    except _Alone as alone:
        raise alone.__cause__ or alone from None
    except InputError as error:
        comm.bcast(("fault", error.sentences))
        raise
    except Exception as error:
        comm.bcast(("failure", f"rank 0 failed with {type(error).__name__}: {error}"))
        raise
    comm.bcast(("end", found))
    return found


def _followed(comm: MPI.Intracomm, evaluate: Callable[[Any], Any]) -> Any:
    """Evaluate what rank 0 says until it has what it wants, which is returned here, too."""
    while True:
        what, given = comm.bcast(None)
        if what == "end":
            return given
        if what == "fault":
            raise InputError(*given)
        if what == "failure":
            raise RuntimeError(given)
        try:
            evaluate(given)
        except Exception as error:
            if not is_everywhere(error, comm):
                raise


class _Alone(Exception):
    """Rank 0 has failed in what others may still be at work on: no word to them."""
