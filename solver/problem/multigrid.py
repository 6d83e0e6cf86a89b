"""Multigrid for elements of degree 2 and 3: linear elements on the same mesh are the first coarse space.

Algebraic multigrid takes the couplings of degree 2 in 3D for what they are not: its coarse matrices are dense, and it
costs twice to three times per unknown what it costs on linear elements. These are within the space of the higher
degree, so that CG can be preconditioned by two levels: Chebyshev's polynomials of Jacobi's method smooth on all
unknowns, and BoomerAMG, set up as for degree 1, takes what is left on the eighth of them that stand at vertices. See
Rønquist and Patera, J. Sci. Comput. 2 (1987) 389, doi 10.1007/BF01061297, and Sundar, Stadler and Biros, Numer. Linear
Algebra Appl. 22 (2015) 664, doi 10.1002/nla.1979.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import basix
from dolfinx import fem, la
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags, Indices
from microlith.solver.interfaces.broken_space import owned_values
from microlith.solver.linear.solvers import AGGRESSIVE, BOOMERAMG_3D, choose_boomeramg

NONE = -1.0  # number of a vertex where there is none
NOTHING = 1e-12  # weight of a vertex that counts as none
SMOOTHING = 2  # degree of Chebyshev's polynomials; 1 and 3 take as long or longer
PREFIX = "microlith_mg_"  # of options in PETSc's database


def higher_degree(space: fem.FunctionSpace, held: Indices) -> Callable[[PETSc.PC], None] | None:
    """What sets the preconditioner of this module up for matrices on a space; None where it is of degree 1; collective.

    Args:
        space: Scalar Lagrange space.
        held: Owned unknowns that are held: their rows and columns are those of a diagonal matrix.
    """
    interpolation = linear_interpolation(space, held)
    return None if interpolation is None else partial(precondition, interpolation=interpolation)


def linear_interpolation(space: fem.FunctionSpace, held: Indices) -> PETSc.Mat | None:
    """From functions of degree 1 to the unknowns of a space, (unknowns, vertices); None where it is of degree 1.

    Made of the space's own degrees of freedom, so that it jumps where a broken space does. What is held keeps to
    itself: no row of a free unknown refers to a vertex that is held, and none of a held one to a vertex but its own.
    Collective.

    Args:
        space: Scalar Lagrange space.
        held: Owned unknowns that are held.
    """
    element = space.element.basix_element
    if element.degree == 1:
        return None
    shares, corners = _shares(element)
    index_map, dofs = space.dofmap.index_map, space.dofmap.list
    owned = index_map.size_local
    number, count = _vertices(space, corners)
    is_held = la.vector(index_map, 1)
    is_held.array[:] = 0.0
    is_held.array[held] = 1.0
    is_held.scatter_forward()
    fixed: Flags = is_held.array > 0.0

    cell, place = np.zeros(owned + index_map.num_ghosts, np.int64), np.zeros(owned + index_map.num_ghosts, np.int64)
    seen = np.zeros(len(cell), bool)
    for i in range(dofs.shape[1]):
        cell[dofs[:, i]], place[dofs[:, i]] = np.arange(len(dofs)), i
        seen[dofs[:, i]] = True
    here = np.flatnonzero(seen)
    vertex = dofs[:, corners][cell[here]]
    weight = shares[place[here]]
    own = vertex == here[:, None]
    used = (weight > NOTHING) & np.where(own, True, ~(fixed[vertex] | fixed[here, None]))
    most = int((shares > NOTHING).sum(axis=1).max())
    # Cells list their vertices in orders of their own; a row is to be the same from any of them.
    column = np.where(used, number[vertex], NONE)
    order = np.argsort(-column, axis=1, kind="stable")[:, :most]
    entries = np.zeros((len(cell), 2 * most))
    entries[here, :most] = np.take_along_axis(column, order, axis=1)
    entries[here, most:] = np.take_along_axis(np.where(used, weight, 0.0), order, axis=1)
    rows = owned_values(space, entries)
    return _matrix(space.mesh.comm, rows[:, :most], rows[:, most:], count)


def _shares(element: Any) -> tuple[Array, list[int]]:
    """Weights of the corners of the reference cell at its nodes, (nodes, corners), and which nodes the corners are."""
    linear = basix.create_element(basix.ElementFamily.P, element.cell_type, 1)
    corners = [dofs[0] for dofs in element.entity_dofs[0]]
    weights: Array = np.abs(linear.tabulate(0, element.points)[0, :, :, 0])
    return weights, corners


def _vertices(space: fem.FunctionSpace, corners: list[int]) -> tuple[Array, int]:
    """Number of each local unknown among those at vertices of all ranks, (local,), and how many this rank owns."""
    index_map = space.dofmap.index_map
    vector = la.vector(index_map, 1)
    vector.array[:] = 0.0
    vector.array[space.dofmap.list[:, corners]] = 1.0
    vector.scatter_reverse(la.InsertMode.add)
    owned = index_map.size_local
    at = np.flatnonzero(vector.array[:owned] > 0.0)
    start = space.mesh.comm.exscan(len(at), op=MPI.SUM) or 0
    vector.array[:] = NONE
    vector.array[at] = start + np.arange(len(at))
    vector.scatter_forward()
    return vector.array.copy(), len(at)


def _matrix(comm: MPI.Intracomm, column: Array, weight: Array, count: int) -> PETSc.Mat:
    """Sparse matrix from the columns (rows, k) of each row, NONE where there is none, and their weights."""
    there = column > NONE
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    sizes = ((len(column), PETSc.DETERMINE), (count, PETSc.DETERMINE))
    index = PETSc.IntType
    csr = (starts.astype(index), column[there].astype(index), weight[there])
    matrix = PETSc.Mat().createAIJ(sizes, csr=csr, comm=comm)
    matrix.assemble()
    return matrix


def precondition(pc: PETSc.PC, interpolation: PETSc.Mat) -> None:
    """Let multigrid on two levels precondition, before operators are set.

    Args:
        pc: Of a symmetric positive definite matrix, kept over changes of its entries.
        interpolation: From `linear_interpolation`.
    """
    pc.setType("mg")
    pc.setMGLevels(2)
    database = PETSc.Options(PREFIX)
    database["pc_mg_galerkin"] = "both"  # for which petsc4py has no function
    pc.setOptionsPrefix(PREFIX)
    pc.setFromOptions()
    database.delValue("pc_mg_galerkin")
    pc.setMGInterpolation(1, interpolation)
    smoother, coarse = pc.getMGSmoother(1), pc.getMGCoarseSolve()
    smoother.setType("chebyshev")
    smoother.getPC().setType("jacobi")
    smoother.setTolerances(max_it=SMOOTHING)
    coarse.setType("preonly")
    coarse.getPC().setType("hypre")
    coarse.getPC().setHYPREType("boomeramg")
    choose_boomeramg(coarse.getPC(), BOOMERAMG_3D | AGGRESSIVE)
