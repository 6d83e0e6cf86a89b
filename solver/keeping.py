"""What an integration hands over on its way, so that another process can go on from there; and gets back then.

A linear problem is known by the solutions of its linear systems: everything else follows from them, and is made again
from them, to the last bit on as many ranks. A nonlinear one is known by where its latest step ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dolfinx import fem

from microlith.imaging.typing import Array


@dataclass(frozen=True)
class Found:
    """What was found by one piece of work."""

    numbers: tuple[float, ...] = ()  # the same on all ranks
    vector: Array | None = None  # (owned,)


@dataclass(frozen=True)
class Standing:
    """Where an integration step by step has come to."""

    numbers: dict[str, Any]  # what JSON can hold, the same on all ranks
    vectors: dict[str, Array]  # (owned,) each
    tables: dict[str, Array]  # the same on all ranks
    local: dict[str, Array]  # arrays that belong to this rank's facets: of use on as many ranks only


class Keeper(Protocol):
    """Takes down what is found; all of its methods are collective."""

    def begin(self, space: fem.FunctionSpace) -> None:
        """Say on which space the unknowns are, before anything else."""

    def recalled(self, kind: str, key: float) -> Found | None:
        """What an earlier process found at this point; None where it did not come so far, or did something else.

        Args:
            kind: Of the work.
            key: A number that tells it from other work of that kind.
        """

    def take_down(self, kind: str, key: float, found: Found) -> None:
        """Keep what was found. Does not return where the process is to end here."""

    def standing(self) -> Standing | None:
        """Where an earlier process had come to; None where there was none."""

    def after_step(self, standing: Callable[[], Standing]) -> None:
        """Keep where the integration is, if it is time. Does not return where the process is to end here."""
