"""Solves of (M + γK) x = r where entries differ by more orders of magnitude than numbers have digits."""

from fractions import Fraction

import numpy as np
import pytest
from made_meshes import COMM
from scipy import sparse

from petsc4py import PETSc

from microlith.solver.linear.clusters import nested_clusters, stiff_clusters
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import new_ksp, prepare_factors, refuse_lack_of_memory

FAST, MEDIUM, SLOW = 1e18, 1e9, 1e-9


def chain(conductances, taken, storage=None):
    """K of a row of unknowns with conductances between neighbours, and M; distributed over all ranks."""
    count = len(taken)
    matrices = [PETSc.Mat().createAIJ((count, count), nnz=3, comm=COMM) for _ in range(2)]
    stiffness, mass = matrices
    first, last = stiffness.getOwnershipRange()
    stored = np.ones(count) if storage is None else storage
    for i in range(first, last):
        diagonal = taken[i]
        for j, g in ((i - 1, conductances[i - 1] if i else None), (i + 1, conductances[i] if i + 1 < count else None)):
            if g is not None:
                stiffness.setValue(i, j, -g)
                mass.setValue(i, j, 0.0)
                diagonal += g
        stiffness.setValue(i, i, diagonal)
        mass.setValue(i, i, stored[i])
    for matrix in matrices:
        matrix.assemble()
    return stiffness, mass, np.asarray(taken, float)[first:last], slice(first, last)


def gathered(own):
    return np.concatenate(COMM.allgather(own))


# Three fast pieces, the first two joined by something medium, the third by something slow; two slow unknowns at the end
PIECES = np.array([*[FAST] * 5, MEDIUM, *[FAST] * 3, SLOW, *[FAST] * 7, SLOW, SLOW])


@pytest.mark.mpi
def test_products_know_no_rounding_of_constants():
    stiffness, _, taken, own = chain(PIECES, [1e-6] + [0.0] * (len(PIECES)))
    graph = Differences(stiffness, taken)
    assert (graph.times(np.ones(len(taken))) == taken).all()
    x = np.random.default_rng(1).standard_normal(len(PIECES) + 1)
    flow = PIECES * np.diff(x)
    expected = np.append(0.0, flow) - np.append(flow, 0.0)
    expected[0] += 1e-6 * x[0]
    assert graph.times(x[own]) == pytest.approx(expected[own], rel=1e-12)


@pytest.mark.mpi
def test_clusters_are_nested_and_the_same_on_any_number_of_ranks():
    stiffness, _, taken, _ = chain(PIECES, [0.0] * (len(PIECES) + 1))
    levels = nested_clusters(Differences(stiffness, taken))
    sizes = [gathered(level.total(np.ones(len(taken)))[level.of[: len(taken)]]).astype(int) for level in levels]
    assert sizes[0].tolist() == [6] * 6 + [4] * 4 + [8] * 8 + [1, 1]
    assert sizes[-2].tolist() == [10] * 10 + [8] * 8 + [1, 1]
    assert sizes[-1].tolist() == [20] * 20
    assert [levels[0].count, levels[-2].count, levels[-1].count] == [5, 4, 1]


@pytest.mark.mpi
def test_stiff_clusters_are_independent():
    """The first two pieces make up a third cluster, which then needs one of them only."""
    stiffness, mass, taken, _ = chain(PIECES, [0.0] * (len(PIECES) + 1))
    graph = Differences(stiffness, taken)
    diagonal = mass.getDiagonal().array_r + stiffness.getDiagonal().array_r
    stiff = stiff_clusters(nested_clusters(graph), graph, 1.0, np.ones(len(taken)), diagonal, 1e-7)
    indicators = np.zeros((stiff.count, len(PIECES) + 1))
    for label in stiff.labels:
        for i, number in enumerate(gathered(label[: len(taken)])):
            if number >= 0:
                indicators[number, i] = 1.0
    found = sorted(np.flatnonzero(row).tolist() for row in indicators)
    assert found == [list(range(10)), list(range(6, 10)), list(range(10, 18))]


def exact(conductances, taken, gamma, right):
    """Solution by Gaussian elimination in fractions."""
    count = len(taken)
    a = [[Fraction(0)] * count + [Fraction(float(right[i]))] for i in range(count)]
    for i in range(count):
        a[i][i] = Fraction(1) + Fraction(gamma) * Fraction(float(taken[i]))
    for i, g in enumerate(conductances):
        g = Fraction(gamma) * Fraction(float(g))
        for j, k in ((i, i + 1), (i + 1, i)):
            a[j][j] += g
            a[j][k] -= g
    for i in range(count):
        for j in range(i + 1, count):
            factor = a[j][i] / a[i][i]
            if factor:
                a[j] = [x - factor * y for x, y in zip(a[j], a[i], strict=True)]
    x = [Fraction(0)] * count
    for i in reversed(range(count)):
        x[i] = (a[i][-1] - sum(a[i][j] * x[j] for j in range(i + 1, count))) / a[i][i]
    return np.array([float(v) for v in x])


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["mumps", "cg"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e10])
def test_solves_know_what_rounding_hides(method, scale):
    """Against fractions. With the factors of M + γK as it is stored, errors are of the size of the solution."""
    conductances, gamma = PIECES * scale, 0.03
    taken = np.zeros(len(PIECES) + 1)
    taken[0], taken[12] = 1e-9, 5.0
    stiffness, mass, mine, own = chain(conductances, taken)
    right = np.random.default_rng(2).standard_normal(len(taken))
    solvers = ShiftedSolvers(mass, stiffness, mine, method, 1e-10)
    b = mass.createVecLeft()
    b.array[:] = right[own]
    x = np.empty(len(mine))
    solvers.solve(gamma, b, x)
    expected = exact(conductances, taken, gamma, right)
    assert x == pytest.approx(expected[own], abs=1e-8 * np.abs(expected).max())
    assert solvers.rounding(gamma, 0.0, lambda u: u) < 1e-8
    solvers.destroy()


def test_factors_that_do_not_fit_into_memory_are_told_as_that():
    """MUMPS, allowed one megabyte for the factors of a grid of 120 x 120."""
    line = sparse.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(120, 120))
    grid = (sparse.kron(sparse.eye_array(120), line) + sparse.kron(line, sparse.eye_array(120))).tocsr()
    rows = grid.indptr.astype(np.int32), grid.indices.astype(np.int32), grid.data
    matrix = PETSc.Mat().createAIJ(grid.shape, csr=rows, comm=PETSc.COMM_SELF)
    matrix.setOption(PETSc.Mat.Option.SPD, True)
    for megabytes in (0, 1):  # 0: as much as it takes
        ksp = new_ksp(PETSc.COMM_SELF, "mumps", 1e-8)
        ksp.setOperators(matrix)
        prepare_factors(ksp, 2)
        ksp.getPC().getFactorMatrix().setMumpsIcntl(23, megabytes)
        right, solution = matrix.createVecs()
        right.set(1.0)
        ksp.solve(right, solution)
        if megabytes:
            assert ksp.getConvergedReason() < 0
            with pytest.raises(MemoryError, match="do not fit"):
                refuse_lack_of_memory(ksp)
        else:
            refuse_lack_of_memory(ksp)
