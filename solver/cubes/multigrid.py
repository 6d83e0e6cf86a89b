"""Multigrid on the cubes of a regular grid: a few levels without matrices, and BoomerAMG on the coarsest of them.

The unknowns of a coarse level are those of trilinear functions on its elements, and its matrices those of the finest
level for these functions (Galerkin). Polynomials of Chebyshev smooth, of Jacobi's method, with products alone. All of
it is in single precision: it preconditions conjugate gradients in double.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array, diags_array

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags, Indices, Numbers, Reals, Singles
from microlith.solver.cubes.kernels import (
    add_from_coarse,
    diagonal_of,
    smoothed,
    sums_of_cubes,
    sums_of_elements,
    times_cubes,
    times_elements,
    to_coarse,
)
from microlith.solver.cubes.levels import Level
from microlith.solver.linear.solvers import BOOMERAMG_3D, choose_boomeramg

Product = Callable[[Singles, Singles], None]  # from x to K x, in place
SMOOTHING = 2  # products of each half of a cycle: degree of Chebyshev's polynomials
RANGE = 6.0  # largest eigenvalue per smallest one that is smoothed
POWERS = 10  # products that the largest eigenvalue of a coarse level is found with
SAFETY = 1.1  # of what these find, which is too little
CORNERS = np.arange(8)[:, None] >> np.arange(3) & 1  # (8, 3) place of each corner along x, y and z


@cache
def interpolation() -> Array:
    """What the functions of a block are at the corners of its children, (27, 8, 8) by kind, child and block."""
    along = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.0, 1.0]], np.eye(2)])  # lower, upper, all of it
    return np.array(
        [
            [[np.prod([along[kind // 3**k % 3, a[k], b[k]] for k in range(3)]) for b in CORNERS] for a in CORNERS]
            for kind in range(27)
        ]
    )


def matrix_of_cube(edges: tuple[float, float, float]) -> tuple[Array, Array]:
    """Matrix (8, 8) of ∫ ∇u·∇v over a box for trilinear functions, and its eigenvalues by 8 for `times_cubes`.

    Args:
        edges: Along x, y and z.
    """
    signs = (-1.0) ** (CORNERS @ CORNERS.T)  # eigenvectors, which are their own inverse by 8
    values = np.zeros(8)
    for axis, edge in enumerate(edges):
        # Across an axis, sums have no stiffness and a mass of h/2, differences 2/h and h/6.
        part = np.where(CORNERS[:, axis] == 1, 2.0 / edge, 0.0)
        for other, length in enumerate(edges):
            if other != axis:
                part = part * np.where(CORNERS[:, other] == 1, length / 6, length / 2)
        values += part
    return signs @ np.diag(values / 8) @ signs, values / 8


@dataclass(frozen=True, eq=False)
class Coarse:
    """What all axes have in common: the products of each level."""

    levels: tuple[Level, ...]
    one: Array  # (8, 8) matrix of a cube
    eigenvalues: Array  # (8,) of it, see `matrix_of_cube`
    matrices: tuple[Singles, ...]  # (n, 8, 8) of the elements of each coarser level
    diagonals: tuple[Array, ...]  # of each level
    largest: tuple[float, ...]  # about, of D⁻¹ K of each level but the coarsest

    def times(self, number: int, x: Reals, y: Reals) -> None:
        """Y = K x on a level; collective."""
        level = self.levels[number]
        if number == 0:
            times_cubes(level.corners, self.eigenvalues.astype(x.dtype), x, y)
        else:
            times_elements(level.corners, self.matrices[number - 1], x, y)
        level.shared.add(y)


def coarse_spaces(levels: tuple[Level, ...], edges: tuple[float, float, float]) -> Coarse:
    """Matrices of the elements of all levels; collective.

    Args:
        levels: The finest one first.
        edges: Of a cube, along x, y and z.
    """
    one, eigenvalues = matrix_of_cube(edges)
    weights = interpolation()
    of_kind = np.transpose(weights, (0, 2, 1)) @ one @ weights
    none = np.empty((0, 8, 8), np.float32)
    matrices: list[Singles] = []
    for level, above in pairwise(levels):
        assert level.parent is not None
        count = len(above.corners)
        if matrices:
            found = sums_of_elements(level.parent, level.kind, matrices[-1], weights, count)
        else:
            found = sums_of_cubes(level.parent, level.kind, of_kind, count)
        matrices.append(found)
    diagonals = []
    for number, level in enumerate(levels):
        diagonal = diagonal_of(level.corners, matrices[number - 1] if number else none, one, level.unknowns)
        level.shared.add(diagonal)
        diagonals.append(diagonal)
    coarse = Coarse(levels, one, eigenvalues, tuple(matrices), tuple(diagonals), ())
    of_cubes = float(8 * eigenvalues.max() / one[0, 0])  # no more than of a single one, whatever surrounds it
    largest = (of_cubes, *(_largest(coarse, number) for number in range(1, len(levels) - 1)))
    return replace(coarse, largest=largest)


def _largest(coarse: Coarse, number: int) -> float:
    """Largest eigenvalue of D⁻¹ K, about; collective."""
    level = coarse.levels[number]
    inverse = (1.0 / coarse.diagonals[number]).astype(np.float32)
    x = np.sin(np.arange(level.unknowns), dtype=np.float32)
    level.shared.take(x)
    y = np.empty_like(x)
    value = 1.0
    for _ in range(POWERS):
        coarse.times(number, x, y)
        x[:] = inverse * y
        value = np.sqrt(level.shared.dot(x.astype(np.float64), x))
        x /= np.float32(max(value, np.finfo(np.float32).tiny))
    return SAFETY * float(value)


class Chebyshev:
    """A polynomial of Jacobi's method, as a smoother: the same before and after the correction on the next level."""

    def __init__(self, inverse: Singles, largest: float) -> None:
        """Prepare.

        Args:
            inverse: D⁻¹ of each unknown; 0 where it is held.
            largest: Eigenvalue of D⁻¹ K.
        """
        self._inverse = inverse
        self._middle, self._half = largest * (1 + 1 / RANGE) / 2, largest * (1 - 1 / RANGE) / 2
        self._d = np.zeros_like(inverse)

    def __call__(self, times: Product, b: Singles, x: Singles, kx: Singles, from_nought: bool) -> None:
        """Bring x nearer to the solution of K x = b; collective.

        Args:
            times: The product with K.
            b: Right-hand side.
            x: What is known of the solution.
            kx: Room for K x.
            from_nought: Whether x is 0.
        """
        sigma = self._middle / self._half
        rho = 1 / sigma
        keep, add = 0.0, 1 / self._middle
        for step in range(SMOOTHING):
            if step == 0 and from_nought:
                kx[:] = 0
            else:
                times(x, kx)
            smoothed(b, kx, self._inverse, self._d, x, keep, add)
            following = 1 / (2 * sigma - rho)
            keep, add = following * rho, 2 * following / self._half
            rho = following


class Cycle:
    """A V-cycle for K with some unknowns held, from any level on."""

    def __init__(self, coarse: Coarse, axis: int) -> None:
        """Set up; collective.

        Args:
            coarse: All levels.
            axis: Across which the end faces are held.
        """
        self._coarse = coarse
        self._held: list[Indices] = [np.concatenate(level.held(axis)) for level in coarse.levels]
        self._weights = interpolation().astype(np.float32)
        self._inverse: list[Singles] = []
        for diagonal, held in zip(coarse.diagonals[:-1], self._held, strict=False):
            inverse = (1.0 / diagonal).astype(np.float32)
            inverse[held] = 0.0
            self._inverse.append(inverse)
        self._last = _Last(coarse.levels[-1], coarse.matrices[-1], self._held[-1])

    def restricted(self, number: int, seat: Indices, weights: Singles, r: Singles) -> Singles:
        """What is left on one level, told on the next; collective.

        Args:
            number: Of the level.
            seat: Of each value, 8 element + corner, and
            weights: what the functions of the next level are there.
            r: What is left, 0 where other ranks count it.
        """
        level, above = self._coarse.levels[number : number + 2]
        assert level.parent is not None
        found = np.empty(above.unknowns, np.float32)
        to_coarse(seat, level.parent, level.kind, weights, above.corners, r, found)
        above.shared.add(found)
        found[self._held[number + 1]] = 0.0
        return found

    def interpolate(self, number: int, seat: Indices, weights: Singles, coarse: Singles, x: Singles) -> None:
        """Add to x what the next level has found; arguments as of `restricted`."""
        level, above = self._coarse.levels[number : number + 2]
        assert level.parent is not None
        add_from_coarse(seat, level.parent, level.kind, weights, above.corners, coarse, x)

    def __call__(self, number: int, b: Singles) -> Singles:
        """About K⁻¹ b on a level, 0 where held; collective."""
        levels = self._coarse.levels
        if number + 1 == len(levels):
            return self._last(b)
        level = levels[number]
        smooth = Chebyshev(self._inverse[number], self._coarse.largest[number])

        def times(x: Singles, kx: Singles) -> None:
            self._coarse.times(number, x, kx)

        x, kx = np.zeros_like(b), np.empty_like(b)
        smooth(times, b, x, kx, True)
        times(x, kx)
        np.subtract(b, kx, out=kx)
        kx[self._held[number]] = 0.0
        kx[level.shared.low] = 0.0
        coarse = self(number + 1, self.restricted(number, level.seat, self._weights, kx))
        self.interpolate(number, level.seat, self._weights, coarse, x)
        smooth(times, b, x, kx, False)
        return x

    def destroy(self) -> None:
        """Give back what PETSc holds."""
        self._last.destroy()


class _Last:
    """BoomerAMG on the coarsest level."""

    def __init__(self, level: Level, matrices: Singles, held: Indices) -> None:
        comm, shared = level.shared.comm, level.shared
        mine = np.ones(level.unknowns, bool)
        mine[shared.low] = False
        owned = int(mine.sum())
        start = comm.exscan(owned, op=MPI.SUM) or 0
        number = np.full(level.unknowns, -1, np.int64)
        number[mine] = start + np.arange(owned)
        shared.take(number)
        self._shared, self._mine, self._unknowns = shared, mine, level.unknowns
        fixed = np.zeros(level.unknowns, bool)
        fixed[held] = True
        self._matrix = _assembled(comm, owned, number, level.corners, matrices, fixed)
        self._matrix.setOption(PETSc.Mat.Option.SPD, True)
        self._pc = PETSc.PC().create(comm)
        self._pc.setOperators(self._matrix)
        self._pc.setType("hypre")
        self._pc.setHYPREType("boomeramg")
        choose_boomeramg(self._pc, BOOMERAMG_3D)
        self._pc.setUp()
        self._b, self._x = self._matrix.createVecLeft(), self._matrix.createVecRight()

    def __call__(self, b: Singles) -> Singles:
        self._b.array[:] = b[self._mine]
        self._pc.apply(self._b, self._x)
        x = np.zeros(self._unknowns, np.float32)
        x[self._mine] = self._x.array_r
        self._shared.take(x)
        return x

    def destroy(self) -> None:
        for held_by_petsc in (self._pc, self._matrix, self._b, self._x):
            held_by_petsc.destroy()


def _assembled(
    comm: MPI.Intracomm, owned: int, number: Numbers, corners: Indices, matrices: Singles, fixed: Flags
) -> PETSc.Mat:
    """K of the coarsest level, the identity where it is held; collective.

    Args:
        comm: All ranks.
        owned: Unknowns that this rank counts.
        number: Of each of its unknowns among all, shared ones included.
        corners: (n, 8) of the elements.
        matrices: (n, 8, 8) of these.
        fixed: Which unknowns are held.
    """
    free = ~fixed[corners]
    entries = matrices * (free[:, :, None] & free[:, None, :])
    rows, columns = (np.broadcast_to(at, entries.shape).ravel() for at in (corners[:, :, None], corners[:, None, :]))
    here = (len(number), len(number))
    local = coo_array((entries.ravel().astype(np.float64), (rows, columns)), shape=here).tocsr()
    del free, entries, rows, columns
    local = local + diags_array(fixed.astype(np.float64)).tocsr()  # what two ranks hold is 2 then, as good as 1
    csr = (local.indptr.astype(PETSc.IntType), local.indices.astype(PETSc.IntType), local.data)
    part = PETSc.Mat().createAIJ(here, csr=csr, comm=PETSc.COMM_SELF)
    part.assemble()
    if comm.size == 1:
        return part
    places = PETSc.LGMap().create(number.astype(PETSc.IntType), comm=comm)
    whole = PETSc.Mat().create(comm)
    whole.setSizes(((owned, PETSc.DETERMINE), (owned, PETSc.DETERMINE)))
    whole.setType("is")
    whole.setLGMap(places, places)
    whole.setISLocalMat(part)
    whole.assemble()
    matrix = whole.convert("aij", PETSc.Mat())
    for held_by_petsc in (whole, part, places):
        held_by_petsc.destroy()
    return matrix
