"""What share of an integration is done, from how many solves or which time it has reached."""

import math

from microlith.solver.options import TimeSpan
from microlith.solver.physics.phases import Physics
from microlith.solver.times import EARLIEST
from microlith.workflow.estimate.solves import expected_solves


class Progress:
    """About what share of an integration is done."""

    def __init__(self, physics: Physics, time: TimeSpan, dim: int) -> None:
        """Take what decides about it.

        Args:
            physics: Of the case.
            time: Its end and tolerance.
            dim: Of the space.
        """
        self._solves = expected_solves(physics, time.tolerance, dim).number
        self._end = time.end
        self._first = time.first or EARLIEST * time.end
        self._evenly = physics.changes  # steps are then as short late as early

    def of_solves(self, solves: int) -> float | None:
        """After some solves; None where they are more than expected, so that nobody knows."""
        return solves / self._solves if solves < self._solves else None

    def at(self, time: float) -> float:
        """After steps up to a time, s."""
        if self._evenly or time >= self._end:
            return min(1.0, time / self._end)
        return max(0.0, math.log(max(time, self._first) / self._first) / math.log(self._end / self._first))
