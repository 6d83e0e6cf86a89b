"""Multigrid of elements of higher degree: what goes down to linear ones, and the work of a solve."""

import numpy as np
import pytest
from made_meshes import COMM, brick

from dolfinx import fem
from dolfinx.mesh import CellType
from petsc4py import PETSc

from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import new_ksp
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.multigrid import higher_degree, linear_interpolation
from microlith.solver.problem.problem import build

D = 1e-14
KINDS = {"tetrahedra": CellType.tetrahedron, "cubes": CellType.hexahedron, "triangles": CellType.triangle}
PHASES = (
    PhasePhysics("near", Role.TRANSPORT, effective_diffusivity=D),
    PhasePhysics("far", Role.TRANSPORT, effective_diffusivity=D / 20),
)
JUMP = (InterfaceLaw("near", "far", partition=0.3, exchange=1e-9),)


def problem(cells, degree, interfaces=(), kind=CellType.tetrahedron):
    mesh = brick(COMM, (cells,) * 3, (1.0,) * 3, kind, lambda x: (x[2] > 0.5).astype(int), ("near", "far"))
    return build(mesh, Physics(PHASES, {"x_min": FaceCondition(1000.0)}, interfaces), degree, 100.0)


def times(matrix, values):
    x, y = matrix.createVecRight(), matrix.createVecLeft()
    x.array[:] = values
    matrix.mult(x, y)
    return y.array_r.copy()


def at_vertices(matrix, values):
    """What functions of degree 1 have at their vertices, from the values of all unknowns: rows of one entry, 1."""
    starts, columns, weights = matrix.getValuesCSR()
    alone = np.flatnonzero(np.diff(starts) == 1)
    assert weights[starts[alone]] == pytest.approx(1.0)
    vector = matrix.createVecRight()
    vector.setValues(columns[starts[alone]].astype(PETSc.IntType), values[alone])
    vector.assemble()
    return vector.array_r.copy()


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("kind", ["tetrahedra", "cubes"])
def test_linear_functions_are_those_of_degree_one(kind, degree):
    """A wrong order of nodes on edges, or of ranks, puts values of other places there."""
    mesh = brick(COMM, (3, 2, 4), (1.0, 2.0, 3.0), KINDS[kind]).mesh
    space = fem.functionspace(mesh, ("Lagrange", degree))
    matrix = linear_interpolation(space, np.empty(0, np.int32))
    assert matrix.getSize()[1] == mesh.topology.index_map(0).size_global
    linear = fem.Function(space)
    linear.interpolate(lambda x: 1.0 + x[0] - 2.0 * x[1] + 0.7 * x[2])
    values = linear.x.array[: matrix.getLocalSize()[0]]
    assert times(matrix, at_vertices(matrix, values)) == pytest.approx(values, abs=1e-12)


@pytest.mark.mpi
def test_functions_that_jump_go_down_with_their_jumps():
    """Vertices at the interface count twice there; 1 in one phase and 5 in the other is of degree 1."""
    found = problem(4, 2, JUMP)
    matrix = linear_interpolation(found.space, np.empty(0, np.int32))
    assert matrix.getSize()[1] == 5**3 + 5**2
    mesh = found.discretization.mesh
    values = np.zeros(found.space.dofmap.index_map.size_local + found.space.dofmap.index_map.num_ghosts)
    cells = mesh.cell_tags.indices
    values[found.space.dofmap.list[cells]] = np.array([1.0, 5.0])[mesh.cell_tags.values][:, None]
    values = values[: matrix.getLocalSize()[0]]
    assert sorted(set(COMM.allreduce(values.tolist()))) == [1.0, 5.0]
    assert times(matrix, at_vertices(matrix, values)) == pytest.approx(values, abs=1e-12)


@pytest.mark.mpi
def test_what_is_held_is_apart():
    """Otherwise corrections of the coarse space would move what is held."""
    found = problem(4, 2)
    held = found.system.held
    starts, columns, _ = linear_interpolation(found.space, held).getValuesCSR()
    of_held = np.unique(np.concatenate([columns[starts[i] : starts[i + 1]] for i in held] or [np.empty(0, int)]))
    entries = np.diff(starts)[held]
    assert COMM.allreduce(int((entries == 1).sum())) == 25  # vertices of the face
    assert COMM.allreduce(int((entries == 0).sum())) == 9 * 9 - 25  # nodes on its edges
    everywhere = np.unique(np.concatenate(COMM.allgather(of_held)))
    free = np.setdiff1d(np.arange(len(starts) - 1), held)
    assert not np.isin(np.concatenate([columns[starts[i] : starts[i + 1]] for i in free]), everywhere).any()


@pytest.mark.mpi
@pytest.mark.parametrize("interfaces", [(), JUMP], ids=["continuous", "jumps"])
@pytest.mark.parametrize("degree", [2, 3])
def test_solutions_are_those_of_factors(degree, interfaces):
    found = problem(4, degree, interfaces)
    system = found.system
    solutions = []
    for method in ("mumps", "cg"):
        ways = higher_degree(found.space, system.held)
        solvers = ShiftedSolvers(system.mass, system.stiffness, system.taken, method, 1e-12, 3, degree,
                                 precondition=ways)  # fmt: skip
        right = system.mass.createVecLeft()
        right.array[:] = system.initial_amount + 0.01 * system.load
        solutions.append(np.empty(found.discretization.owned))
        solvers.solve(0.01, right, solutions[-1])
        solvers.solve(0.5, right, solutions[-1])  # set up anew, with other entries
        solvers.destroy()
    assert solutions[1] == pytest.approx(solutions[0], abs=1e-9)


@pytest.mark.mpi
@pytest.mark.parametrize("gamma", [1e-4, 1e-2, 1.0])
def test_iterations_do_not_grow_with_the_mesh(gamma):
    """Without the linear space the smoother alone takes 3 to 8 times as many, and twice that on half the size."""
    counts = [iterations(problem(cells, 2), gamma) for cells in (4, 8, 12)]
    assert max(counts) <= 19
    assert counts[-1] <= counts[0] + 5


def iterations(found, gamma):
    system = found.system
    matrix = system.stiffness.copy()
    matrix.scale(gamma)
    matrix.axpy(1.0, system.mass)
    ksp = new_ksp(COMM, "cg", 1e-9, 3, 2, higher_degree(found.space, system.held))
    ksp.setOperators(matrix)
    right, x = matrix.createVecLeft(), matrix.createVecRight()
    right.array[:] = system.initial_amount + gamma * system.load
    ksp.solve(right, x)
    assert ksp.getConvergedReason() > 0
    return ksp.getIterationNumber()
