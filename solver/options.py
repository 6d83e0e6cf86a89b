"""What the user asks of the solver, validated and in SI; no arrays, no heavy imports."""

from dataclasses import dataclass
from typing import Literal

FIELD_TOLERANCE = 10.0  # of a field's rms, per tolerance of the curves: fields are looked at, curves are used


@dataclass(frozen=True)
class TimeSpan:
    """When the run ends and what is wanted of it."""

    end: float  # s
    tolerance: float = 1e-4  # of the region curves, relative to the source concentration
    snapshots: tuple[float, ...] = ()  # s
    times: tuple[float, ...] | None = None  # s; None: 200 log-spaced ones from `first` and the snapshots
    first: float | None = None  # s; None: end/1e5


@dataclass(frozen=True)
class SolverOptions:
    """Choices of the linear algebra; "auto" picks by dimension and size."""

    linear: Literal["auto", "mumps", "cg"] = "auto"
    # Linear solves before the integration gives up: for the start and each course, anew where a transfer jumps
    max_solves: int = 200
    max_steps: int = 20_000  # steps, repeated ones included, before that of a nonlinear problem gives up
    inner_tolerance: float | None = None  # relative residual of CG; None: so tight that ranks do not matter
