"""The semi-discrete problem M u' + K u = b(t), and what its load is made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from petsc4py import PETSc

from .courses import Course

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """What one source or fed face adds: course(t) push + course'(t) drag to b(t), and course(t) on rows it holds."""

    name: str
    course: Course  # of the concentration held or far away, or of the flux; scaled times and values
    push: Array  # (owned,) per unit of the course: ∫ k v ds or ∫ v ds; −K χ where the concentration is held
    drag: Array | None  # (owned,) per unit of its rate of change: −M χ where the concentration is held
    held: NDArray[np.int32]  # owned rows whose value the course gives


@dataclass(frozen=True)
class LinearSystem:
    """M u' + K u = b(t), u(0) = u0, distributed; rows and columns of held unknowns are zero in M, unit in K."""

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    loads: tuple[Load, ...]
    initial_amount: Array  # (owned,) M u0, zero on held rows
    initial: Array  # (owned,) u0, with the held values
    held: NDArray[np.int32]  # owned rows that are held

    @cached_property
    def load(self) -> Array:
        """B right after time 0, (owned,), with the held values on held rows; constant where no course changes."""
        return self.load_at(0.0)

    def load_at(self, time: float) -> Array:
        """b(t) without what a change of held values drags along, (owned,), with the held values on held rows."""
        total = np.zeros_like(self.initial)
        for load in self.loads:
            value = float(load.course.after(time))
            total += value * load.push
            total[load.held] = value
        return total
