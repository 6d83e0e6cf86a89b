"""Two linear problems side by side as one: no unknown of either is coupled to one of the other."""

from dataclasses import replace

import numpy as np
from scipy.sparse import block_diag, csr_array

from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.problem.parts import Parts
from microlith.solver.problem.system import LinearSystem, Load, Transfer


def joined(first: LinearSystem, second: LinearSystem, weight: float) -> LinearSystem:
    """Two systems as one, in which amounts of the second count by a weight; serial.

    Args:
        first: A problem.
        second: Another one, with the same unit of time.
        weight: Positive; the solution of the second is the same with any.
    """
    n, m = len(first.initial), len(second.initial)
    before, after = np.zeros(n), np.zeros(m)
    free = np.full(m, weight)
    free[second.held] = 1.0
    loads = [*(_padded(load, before[:0], after) for load in first.loads)]
    loads += [_padded(_weighted(load, weight), before, after[:0]) for load in second.loads]
    transfers = []
    for transfer in first.transfers:
        pushes = (*(np.append(push, after) for push in transfer.pushes), *(np.zeros(n + m) for _ in second.loads))
        matrix = _block(transfer.matrix, _empty(m), np.ones(m))
        transfers.append(replace(transfer, matrix=matrix, taken=np.append(transfer.taken, after), pushes=pushes))
    for transfer in second.transfers:
        pushes = (*(np.zeros(n + m) for _ in first.loads), *(np.append(before, weight * p) for p in transfer.pushes))
        matrix = _block(_empty(n), transfer.matrix, free)
        taken = np.append(before, weight * transfer.taken)
        transfers.append(Transfer(transfer.course, matrix, taken, pushes))
    return LinearSystem(
        mass=_block(first.mass, second.mass, free),
        stiffness=_block(first.stiffness, second.stiffness, free),
        taken=np.append(first.taken, free * second.taken),
        loads=tuple(loads),
        initial_amount=np.append(first.initial_amount, weight * second.initial_amount),
        initial=np.append(first.initial, second.initial),
        held=np.append(first.held, second.held + n).astype(np.int32),
        parts=Parts(
            first.parts.count + second.parts.count,
            np.append(first.parts.of_dof, second.parts.of_dof + first.parts.count),
            np.append(first.parts.of_cell, second.parts.of_cell + first.parts.count),
        ),
        transfers=tuple(transfers),
    )


def _weighted(load: Load, weight: float) -> Load:
    return replace(load, push=weight * load.push, drag=None if load.drag is None else weight * load.drag)


def _padded(load: Load, before: Array, after: Array) -> Load:
    drag = None if load.drag is None else np.concatenate([before, load.drag, after])
    push = np.concatenate([before, load.push, after])
    return replace(load, push=push, drag=drag, held=(load.held + len(before)).astype(np.int32))


def _empty(size: int) -> csr_array:
    return csr_array((size, size))


def _block(first: PETSc.Mat | csr_array, second: PETSc.Mat | csr_array, scale: Array) -> PETSc.Mat:
    """Block-diagonal matrix, the rows of the second times `scale`."""
    one, two = (_csr(part) for part in (first, second))
    two = csr_array((two.data * np.repeat(scale, np.diff(two.indptr)), two.indices, two.indptr), two.shape)
    both = block_diag([one, two], format="csr")
    indices = (both.indptr.astype(PETSc.IntType), both.indices.astype(PETSc.IntType))
    return PETSc.Mat().createAIJ(both.shape, csr=(*indices, both.data), comm=PETSc.COMM_SELF)


def _csr(matrix: PETSc.Mat | csr_array) -> csr_array:
    if isinstance(matrix, csr_array):
        return matrix
    rows, columns, values = matrix.getValuesCSR()
    return csr_array((values, columns, rows), matrix.getSize())
