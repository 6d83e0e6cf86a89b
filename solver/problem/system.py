"""The semi-discrete problem M u' + K u = b(t), and what its load is made of."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.physics.courses import NEAR, Course


@dataclass(frozen=True)
class Load:
    """What one source or fed face adds: course(t) push + course'(t) drag to b(t), and course(t) on rows it holds."""

    name: str
    course: Course  # of the concentration held or far away, or of the flux; scaled times and values
    push: Array  # (owned,) per unit of the course: ∫ k v ds or ∫ v ds; −K χ where the concentration is held
    drag: Array | None  # (owned,) per unit of its rate of change: −M χ where the concentration is held
    held: NDArray[np.int32]  # owned rows whose value the course gives
    is_flux: bool = False  # whether the flux itself is given


@dataclass(frozen=True)
class Transfer:
    """Part of K and of the loads that follows a transfer coefficient that changes: k(t) times what stands here."""

    course: Course  # of the coefficient; scaled times and values
    matrix: PETSc.Mat  # per unit of the coefficient; rows and columns of held unknowns are zero
    pushes: tuple[Array, ...]  # of each load (owned,), per unit of the coefficient and of that load's course


@dataclass(frozen=True)
class LinearSystem:
    """M u' + K u = b(t), u(0) = u0, distributed; rows and columns of held unknowns are zero in M, unit in K.

    Stiffness and loads hold for the transfer coefficients at time 0.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    loads: tuple[Load, ...]
    initial_amount: Array  # (owned,) M u0, zero on held rows
    initial: Array  # (owned,) u0, with the held values
    held: NDArray[np.int32]  # owned rows that are held
    transfers: tuple[Transfer, ...] = ()  # whose coefficients change

    @cached_property
    def load(self) -> Array:
        """B right after time 0, (owned,), with the held values on held rows; constant where no course changes."""
        return self.load_at(0.0)

    @cached_property
    def kinks(self) -> tuple[float, ...]:
        """Times within (0, 1), the run, at which a course or its slope jumps; increasing."""
        courses = [*(load.course for load in self.loads), *(transfer.course for transfer in self.transfers)]
        every = np.unique(np.array([kink for course in courses for kink in course.kinks(1.0)]))
        return tuple(every[np.diff(every, prepend=-np.inf) > NEAR].tolist())

    @property
    def is_stepwise(self) -> bool:
        """Whether K changes by jumps only, and stays the same between them."""
        return all(transfer.course.is_stepwise for transfer in self.transfers)

    def load_at(self, time: float) -> Array:
        """b(t) without what a change of held values drags along, (owned,), with the held values on held rows.

        Right after a jump; K and what it puts into b as the system has them, which `at` gives for other times.
        """
        total = np.zeros_like(self.initial)
        for load in self.loads:
            value = float(load.course.after(time))
            total += value * load.push
            total[load.held] = value
        return total

    def coefficients(self, time: float) -> tuple[float, ...]:
        """Transfer coefficients that change, right after a time."""
        return tuple(float(transfer.course.after(time)) for transfer in self.transfers)

    def at(self, time: float) -> "LinearSystem":
        """The system with K and loads for the transfer coefficients right after a time; the matrix K is a new one."""
        stiffness = self.stiffness.copy()
        loads = list(self.loads)
        for transfer, then, first in zip(self.transfers, self.coefficients(time), self.coefficients(0.0), strict=True):
            stiffness.axpy(then - first, transfer.matrix, structure=PETSc.Mat.Structure.SUBSET_NONZERO_PATTERN)
            loads = [
                replace(load, push=load.push + (then - first) * push)
                for load, push in zip(loads, transfer.pushes, strict=True)
            ]
        return replace(self, stiffness=stiffness, loads=tuple(loads))
