"""The semi-discrete problem M u' + K u = b(t), and what its load is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from petsc4py import PETSc

from microlith.imaging.typing import Array, Indices
from microlith.solver.physics.courses import NEAR, Course
from microlith.solver.problem.assembly import SUBSET_PATTERN, project
from microlith.solver.problem.parts import Parts


@dataclass(frozen=True)
class Load:
    """What one source or fed face adds: course(t) push + course'(t) drag to b(t), and course(t) on rows it holds."""

    name: str
    course: Course  # of the concentration held or far away, or of the flux; scaled times and values
    push: Array  # (owned,) per unit of the course: ∫ k v ds or ∫ v ds; −K χ where the concentration is held
    drag: Array | None  # (owned,) per unit of its rate of change: −M χ where the concentration is held
    held: Indices  # owned rows whose value the course gives
    is_flux: bool = False  # whether the flux itself is given
    shares: Array | float = 1.0  # (held,) of the course for each of these rows: below 1 where others hold it too


def hold(values: Array, loads: Sequence[Load], held: Indices, courses: Sequence[float]) -> None:
    """Put what loads hold into unknowns.

    Args:
        values: (owned,), changed.
        loads: All.
        held: Rows that any of them holds.
        courses: Value of the course of each load.
    """
    values[held] = 0.0
    for load, value in zip(loads, courses, strict=True):
        values[load.held] += value * load.shares


@dataclass(frozen=True)
class Transfer:
    """Part of K and of the loads that follows a transfer coefficient that changes: k(t) times what stands here."""

    course: Course  # of the coefficient; scaled times and values
    matrix: PETSc.Mat  # per unit of the coefficient; rows and columns of held unknowns are zero
    taken: Array  # (owned,) the matrix times 1
    pushes: tuple[Array, ...]  # of each load (owned,), per unit of the coefficient and of that load's course


@dataclass(frozen=True)
class LinearSystem:
    """M u' + K u = b(t), u(0) = u0, distributed; rows and columns of held unknowns are zero in M, unit in K.

    Stiffness and loads are without the transfers whose coefficients change: `at` gives the system with them.
    """

    mass: PETSc.Mat
    stiffness: PETSc.Mat
    # (owned,) K 1, what surfaces take from a constant, 1 on held rows. Made of the terms of the case, not of the rows
    # of K, so that it is 0 where nothing is taken and right where that is little beside the entries of K.
    taken: Array
    loads: tuple[Load, ...]
    initial_amount: Array  # (owned,) M u0, zero on held rows
    initial: Array  # (owned,) u0, with the held values
    held: Indices  # owned rows that are held
    parts: Parts  # connected
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

        Right after a jump; without the transfers that change.
        """
        total = np.zeros_like(self.initial)
        courses = self.courses_at(time)
        for load, value in zip(self.loads, courses, strict=True):
            total += value * load.push
        hold(total, self.loads, self.held, courses)
        return total

    def courses_at(self, time: float) -> list[float]:
        """What the course of each load is right after a time."""
        return [float(load.course.after(time)) for load in self.loads]

    def coefficients(self, time: float) -> tuple[float, ...]:
        """Transfer coefficients that change, right after a time."""
        return tuple(float(transfer.course.after(time)) for transfer in self.transfers)

    def at(self, time: float) -> "LinearSystem":
        """The system with all transfers, their coefficients those right after a time.

        The matrix K is a new one where there are any that change, else the same.
        """
        if not self.transfers:
            return self
        stiffness, taken, loads = self.stiffness.copy(), self.taken.copy(), list(self.loads)
        for transfer, coefficient in zip(self.transfers, self.coefficients(time), strict=True):
            if coefficient == 0.0:
                continue
            stiffness.axpy(coefficient, transfer.matrix, structure=SUBSET_PATTERN)
            taken += coefficient * transfer.taken
            loads = [
                replace(load, push=load.push + coefficient * push)
                for load, push in zip(loads, transfer.pushes, strict=True)
            ]
        return replace(self, stiffness=stiffness, taken=taken, loads=tuple(loads))

    def destroy(self) -> None:
        """Free the matrices; collective."""
        for matrix in (self.mass, self.stiffness, *(transfer.matrix for transfer in self.transfers)):
            matrix.destroy()


def without_held(
    mass: PETSc.Mat,
    stiffness: PETSc.Mat,
    taken: Array,
    loads: tuple[Load, ...],
    transfers: tuple[Transfer, ...],
    start_amount: Array,
    parts: Parts,
) -> LinearSystem:
    """The system with held unknowns taken out; changes the matrices, the loads and what is taken.

    Args:
        mass: Whole.
        stiffness: Whole.
        taken: (owned,) K 1 of the whole matrix.
        loads: Of the whole matrices.
        transfers: Whole.
        start_amount: (owned,) M u0 of the whole problem.
        parts: Connected parts.
    """
    fixed = np.unique(np.concatenate([np.empty(0, np.int32), *(load.held for load in loads)])).astype(np.int32)
    start_amount = start_amount.copy()
    for load in loads:
        load.push[fixed] = 0.0
        if load.drag is not None:
            start_amount += float(load.course.after(0.0)) * load.drag
            load.drag[fixed] = 0.0
    start_amount[fixed] = 0.0
    for push in (push for transfer in transfers for push in transfer.pushes):
        push[fixed] = 0.0
    # What is held takes from a constant beside it what couples them: −K χ of the held unknowns, which is their push.
    for load in loads:
        if load.drag is not None:
            taken += load.push
    taken[fixed] = 1.0
    for transfer in transfers:
        for load, push in zip(loads, transfer.pushes, strict=True):
            if load.drag is not None:
                transfer.taken[:] += push
        transfer.taken[fixed] = 0.0
    for matrix, diagonal in ((mass, 0.0), (stiffness, 1.0), *((transfer.matrix, 0.0) for transfer in transfers)):
        matrix.setOption(PETSc.Mat.Option.KEEP_NONZERO_PATTERN, True)
        matrix.zeroRowsColumnsLocal(fixed, diagonal)
    start = project(mass, start_amount)
    hold(start, loads, fixed, [float(load.course.after(0.0)) for load in loads])
    return LinearSystem(mass, stiffness, taken, loads, start_amount, start, fixed, parts, transfers)
