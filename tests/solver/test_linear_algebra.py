"""Solves of (M + γK) x = r where entries differ by more orders of magnitude than numbers have digits."""

import gc
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from made_meshes import COMM, brick
from scipy import sparse

from dolfinx.mesh import CellType
from petsc4py import PETSc

from microlith.solver.linear import shifted, solvers as linear_solvers
from microlith.solver.linear.clusters import nested_clusters, stiff_clusters
from microlith.solver.linear.differences import Differences
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import (
    choose_package,
    matrix_times,
    new_ksp,
    prepare_factors,
    refuse_lack_of_memory,
)
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build

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
@pytest.mark.parametrize("method", ["mumps", "cg", "cholmod"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e10])
def test_solves_know_what_rounding_hides(method, scale):
    """Against fractions. With the factors of M + γK as it is stored, errors are of the size of the solution."""
    if method == "cholmod" and choose_package("auto", "mumps", 2, COMM.size) != method:
        pytest.skip("on one rank, with PETSc's CHOLMOD")
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


def test_mumps_says_why_where_cholmod_gives_up():
    """A matrix without Cholesky factors, (0 -1; -1 0)."""
    stiffness, mass, taken, _ = chain([1.0], [-1.0, -1.0], storage=[0.0, 0.0])
    solvers = ShiftedSolvers(mass, stiffness, taken, choose_package("auto", "mumps", 2, COMM.size), 1e-10)
    right = mass.createVecLeft()
    right.set(1.0)
    with pytest.raises(ArithmeticError, match=r"the mumps solver of .* gave up"):
        solvers.solve(1.0, right, np.empty(2))
    solvers.destroy()


def test_factors_of_cholmod_entry_by_entry_and_in_blocks(monkeypatch):
    """The same solutions, of a grid of 90 x 90; options in PETSc's database are the user's alone before and after."""
    if choose_package("auto", "mumps", 2, COMM.size) != "cholmod":
        pytest.skip("with PETSc's CHOLMOD")
    line = sparse.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(90, 90))
    grid = sparse.csr_array(sparse.kron(line, sparse.eye_array(90)) + sparse.kron(sparse.eye_array(90), line))
    stored = grid.copy()  # of the same pattern
    stored.data = np.where(grid.data > 0, np.linspace(1.0, 2.0, 8100).repeat(np.diff(grid.indptr)), 0.0)
    stiffness, mass = (
        PETSc.Mat().createAIJ(grid.shape, csr=(grid.indptr, grid.indices, values))
        for values in (grid.data, stored.data)
    )
    right, taken = mass.createVecLeft(), grid @ np.ones(8100)
    right.array[:] = np.random.default_rng(4).standard_normal(8100)
    options = PETSc.Options("mat_cholmod_")
    options["final_ll"] = "1"
    for most in (10_000, 0):
        monkeypatch.setattr(linear_solvers, "MOST_ENTRY_BY_ENTRY", most)
        solvers = ShiftedSolvers(mass, stiffness, taken, "cholmod", 1e-10)
        for gamma in (0.3, 2.0):  # the second time the factors are filled anew
            x = np.empty(8100)
            solvers.solve(gamma, right, x)
            left = stored @ x + gamma * (grid @ x) - right.array_r
            assert np.abs(left).max() < 1e-12 * np.abs(right.array_r).max()
        solvers.destroy()
        assert [options.hasName(name) for name in linear_solvers.ENTRY_BY_ENTRY] == [False, False, True, False]
    options.delValue("final_ll")


@pytest.mark.mpi
def test_cholmod_where_it_is_suited(monkeypatch):
    """In 2D, on one rank, for factors, and only where PETSc has it."""
    there = linear_solvers._has_cholesky("cholmod")
    assert choose_package("auto", "mumps", 2, COMM.size) == ("cholmod" if there and COMM.size == 1 else "mumps")
    assert [choose_package("auto", *other, COMM.size) for other in (("mumps", 3), ("cg", 2))] == ["mumps", "cg"]
    assert choose_package("mumps", "mumps", 2, COMM.size) == "mumps"  # asked for
    monkeypatch.setattr(linear_solvers, "ON_ONE_RANK", "none-such")
    assert choose_package("auto", "mumps", 2, COMM.size) == "mumps"


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


def brick_solvers(cells, tolerance=1e-10):
    """Solvers of cubes of unit edge, each of 6 tetrahedra, and their problem, which owns the matrices."""
    mesh = brick(
        COMM, (cells,) * 3, (float(cells),) * 3, CellType.tetrahedron, lambda x: np.zeros(len(x[0]), int), ("a",)
    )
    physics = Physics((PhasePhysics("a", Role.TRANSPORT, effective_diffusivity=1e-14),), {"x_min": FaceCondition(1e3)})
    problem = build(mesh, physics, 1, 1.0)
    system = problem.system
    return ShiftedSolvers(system.mass, system.stiffness, system.taken, "cg", tolerance, 3), problem


def unit_diffusion(system):
    """γ for which γK is about M between neighbours."""
    ratio = system.mass.getDiagonal().array_r / system.stiffness.getDiagonal().array_r
    return float(np.median(np.concatenate(COMM.allgather(ratio))))


def residual(system, gamma, right, x):
    found = matrix_times(system.mass, x) + gamma * matrix_times(system.stiffness, x) - right.array_r
    return np.sqrt(COMM.allreduce(found @ found) / COMM.allreduce(right.array_r @ right.array_r))


@pytest.mark.mpi
def test_incomplete_factors_do_where_lithium_comes_a_few_elements_far(monkeypatch):
    """And give way to multigrid where it comes so far that they take many iterations: once for all larger γ."""
    monkeypatch.setattr(linear_solvers, "MOST_INCOMPLETE", 14)  # this is a small problem
    solvers, problem = brick_solvers(12)
    system = problem.system
    right = system.mass.createVecLeft()
    right.array[:] = np.sin(1.0 + np.arange(*right.getOwnershipRange()))
    x = np.empty(right.getLocalSize())
    unit, kinds = unit_diffusion(system), []
    for factor in (3.0, 3e4, 1e5, 1.0):
        solvers.solve(factor * unit, right, x)
        (ready,) = solvers._ready.values()
        kinds.append(ready.ksp.getPC().getType())
        assert residual(system, factor * unit, right, x) < 1e-8
        assert ready.incomplete == (kinds[-1] != "hypre")
        assert ready.ksp.getTolerances()[3] == (14 if ready.incomplete else 500)
    light = "icc" if COMM.size == 1 else "asm"
    assert kinds == [light, "hypre", "hypre", light]
    assert solvers._multigrid_from == 3e4 * unit
    solvers.destroy()


@pytest.mark.mpi
def test_incomplete_factors_of_ranks_without_unknowns():
    """Fewer unknowns than ranks."""
    stiffness, mass, taken, own = chain([1.0], [0.0, 1.0])
    solvers = ShiftedSolvers(mass, stiffness, taken, "cg", 1e-10, 3)
    right = mass.createVecLeft()
    right.array[:] = np.array([1.0, 2.0])[own]
    x = np.empty(len(taken))
    solvers.solve(1.0, right, x)
    assert gathered(x) == pytest.approx(np.linalg.solve([[2.0, -1.0], [-1.0, 3.0]], [1.0, 2.0]), rel=1e-9)
    solvers.destroy()


def cycles(diagonal):
    """Four unknowns in a cycle for each rank; incomplete factors without fill of those of the last one break down.

    D. S. Kershaw, J. Comput. Phys. 26 (1978) 43: positive definite, but the last pivot is below 0, or 0 for 2 √3.
    """
    count = 4 * COMM.size
    stiffness, mass = (PETSc.Mat().createAIJ((count, count), nnz=4, comm=COMM) for _ in range(2))
    first, last = stiffness.getOwnershipRange()
    diagonal = diagonal if COMM.rank == COMM.size - 1 else 5.0
    block = np.array([[0, -2, 0, 2], [-2, 0, -2, 0], [0, -2, 0, -2], [2, 0, -2, 0]]) + (diagonal - 1.0) * np.eye(4)
    for i, j in np.argwhere(block):
        stiffness.setValue(first + i, first + j, block[i, j])
        mass.setValue(first + i, first + j, float(i == j))
    stiffness.assemble()
    mass.assemble()
    return stiffness, mass, block.sum(axis=1)[: last - first], block + np.eye(4)


@pytest.mark.mpi
@pytest.mark.parametrize(("diagonal", "reasons"), [(3.0, (-8,)), (2 * np.sqrt(3.0), (-8, -11))])
def test_incomplete_factors_that_break_down_give_way_to_multigrid(monkeypatch, diagonal, reasons):
    """As those do that take too many iterations; PETSc's own remedy, larger pivots, is left out here."""
    stiffness, mass, taken, matrix = cycles(diagonal)
    seen = []

    def bare(shifted_matrix, tolerance):
        ksp = linear_solvers.new_incomplete(shifted_matrix, tolerance)
        pc = ksp.getPC() if COMM.size == 1 else ksp.getPC().getASMSubKSP()[0].getPC()
        pc.setFactorShift(PETSc.Mat.FactorShiftType.NONE)
        ksp.setPostSolve(lambda one, *_: seen.append(one.getConvergedReason()))
        return ksp

    monkeypatch.setattr(linear_solvers, "FILL", 0)
    monkeypatch.setattr(shifted, "new_incomplete", bare)
    solvers = ShiftedSolvers(mass, stiffness, taken, "cg", 1e-10, 3)
    right = mass.createVecLeft()
    right.array[:] = [1.0, 2.0, 4.0, 8.0]
    x = np.empty(4)
    for _ in range(2):
        solvers.solve(1.0, right, x)
        assert x == pytest.approx(np.linalg.solve(matrix, right.array_r), rel=1e-8)
    assert len(seen) == 1, "it is not tried again"
    assert seen[0] in reasons
    (ready,) = solvers._ready.values()
    assert ready.ksp.getPC().getType() == "hypre"
    assert solvers._multigrid_from == 1.0
    solvers.destroy()


@pytest.mark.mpi
def test_checkpoints_know_from_when_on_multigrid_takes_over(monkeypatch):
    """What goes on from one does not try incomplete factors once more."""
    kept = []
    keeper = SimpleNamespace(recalled=lambda *_: None, take_down=lambda kind, gamma, found: kept.append(found))
    monkeypatch.setattr(linear_solvers, "MOST_INCOMPLETE", 14)
    solvers, problem = brick_solvers(12)
    right = problem.system.mass.createVecLeft()
    right.array[:] = np.sin(1.0 + np.arange(*right.getOwnershipRange()))
    x, unit = np.empty(right.getLocalSize()), unit_diffusion(problem.system)
    gammas = [factor * unit for factor in (3.0, 3e4, 1e5)]
    solvers.keeper = keeper
    for gamma in gammas:
        solvers.solve(gamma, right, x)
    again, other = brick_solvers(12)
    again.keeper = SimpleNamespace(recalled=lambda *_: kept.pop(0))
    for gamma in gammas:
        again.solve(gamma, right, x)
    assert again._multigrid_from == solvers._multigrid_from == gammas[1]
    assert (again.solves, again.iterations) == (solvers.solves, solvers.iterations)
    solvers.destroy()
    again.destroy()
    assert problem is not other, "each owns its matrices"


@pytest.mark.mpi
def test_matrices_outlive_their_problem():
    """They have the communicator of the mesh, which was freed with it: a product crashed."""
    _, problem = brick_solvers(3)
    system, norm = problem.system, problem.system.mass.norm()
    del problem, _
    gc.collect()
    ones = system.mass.createVecLeft()
    ones.set(1.0)
    assert (system.mass * ones).sum() > 0
    again = system.stiffness.duplicate(copy=True)
    again.axpy(1.0, system.mass)
    assert again.norm() > system.mass.norm() == norm
    again.destroy()
    system.destroy()
