"""The semi-discrete problem M u' + K u = b(t), and what its load is made of."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from petsc4py import PETSc

from microlith.imaging.typing import Array, Indices
from microlith.solver.physics.courses import NEAR, Course
from microlith.solver.problem.assembly import SUBSET_PATTERN, project


@dataclass(frozen=True)
class Load:
    """What one source or fed face adds: course(t) push + course'(t) drag to b(t), and course(t) on rows it holds."""

    name: str
    course: Course  # of the concentration held or far away, or of the flux; scaled times and values
    push: Array  # (owned,) per unit of the course: ∫ k v ds or ∫ v ds; −K χ where the concentration is held
    drag: Array | None  # (owned,) per unit of its rate of change: −M χ where the concentration is held
    held: Indices  # owned rows whose value the course gives
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
    held: Indices  # owned rows that are held
    transfers: tuple[Transfer, ...] = ()  # whose coefficients change

    @cached_property
    def load(self) -> Array:
        """The load b right after time 0, (owned,), with the held values on held rows; constant without courses."""
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
        """The load b(t) without what a change of held values drags along, (owned,), with the held values on held rows.

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
            stiffness.axpy(then - first, transfer.matrix, structure=SUBSET_PATTERN)
            loads = [
                replace(load, push=load.push + (then - first) * push)
                for load, push in zip(loads, transfer.pushes, strict=True)
            ]
        return replace(self, stiffness=stiffness, loads=tuple(loads))


def without_held(
    mass: PETSc.Mat,
    stiffness: PETSc.Mat,
    loads: tuple[Load, ...],
    transfers: tuple[Transfer, ...],
    start_amount: Array,
) -> LinearSystem:
    """The system with held unknowns taken out; changes the matrices and the loads.

    Args:
        mass: Whole.
        stiffness: Whole.
        loads: Of the whole matrices.
        transfers: Whole.
        start_amount: (owned,) M u0 of the whole problem.
    """
    fixed = np.concatenate([np.empty(0, np.int32), *(load.held for load in loads)]).astype(np.int32)
    start_amount = start_amount.copy()
    for load in loads:
        load.push[fixed] = 0.0
        if load.drag is not None:
            start_amount += float(load.course.after(0.0)) * load.drag
            load.drag[fixed] = 0.0
    start_amount[fixed] = 0.0
    for push in (push for transfer in transfers for push in transfer.pushes):
        push[fixed] = 0.0
    for matrix, diagonal in ((mass, 0.0), (stiffness, 1.0), *((transfer.matrix, 0.0) for transfer in transfers)):
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        matrix.zeroRowsColumnsLocal(fixed, diagonal)
    start = project(mass, start_amount)
    for load in loads:
        start[load.held] = load.course.after(0.0)
    return LinearSystem(mass, stiffness, loads, start_amount, start, fixed, transfers)
