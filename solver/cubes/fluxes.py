"""Lower bound of what cubes conduct, from currents between their middles, without a matrix.

The same bound as that of `solver.conduction.lower_bound`, where it is explained. Conjugate gradients find the
potentials; on the next level they share the trilinear functions of the upper bound, whose energy is never below that of
these currents, so that a correction by them never goes too far.
"""

import math

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Indices, Singles
from microlith.solver.cubes.gradients import conjugate_gradients
from microlith.solver.cubes.kernels import coordinates, dissipated, sides, times_links
from microlith.solver.cubes.levels import Cubes
from microlith.solver.cubes.multigrid import Chebyshev, Cycle, interpolation
from microlith.solver.cubes.ranks import Shared

LARGEST = 2.0  # eigenvalue of D⁻¹ K: no diagonal entry is less than the sum of the others in its row


class Currents:
    """Between the middles of cubes, and from the end faces across one axis."""

    def __init__(self, cubes: Cubes, axis: int, edges: tuple[float, float, float]) -> None:
        """Prepare.

        Args:
            cubes: Of this rank.
            axis: Of the current.
            edges: Of a cube, along x, y and z.
        """
        level = cubes.levels[0]
        self._cubes, self._axis, self.comm = cubes, axis, level.shared.comm
        volume = math.prod(edges)
        self._conductances = np.array([volume / edge**2 for edge in edges])
        self._of_end = 2 * self._conductances[axis]
        cells = len(level.block)
        self.seat: Indices = np.arange(cells, dtype=np.int32) * np.int32(8)
        self.at = coordinates(self.seat, level.block, level.grid, axis)
        joins: Flags = (level.bits >> axis & 1).astype(bool)
        self.still: Indices = np.flatnonzero(~joins).astype(np.int32)
        self.first: Indices = np.flatnonzero((self.at == 0) & joins).astype(np.int32)
        self.last: Indices = np.flatnonzero((self.at == level.grid[axis] - 1) & joins).astype(np.int32)

    def times(self, x: Array | Singles, y: Array | Singles) -> None:
        """Y = K x; collective."""
        times_links(self._cubes.links, self._conductances.astype(x.dtype), x, y)
        y[self.first] += self._of_end * x[self.first]
        y[self.last] += self._of_end * x[self.last]
        if self.comm.size > 1:
            beside, factor = self._cubes.beside, self._conductances[2].astype(x.dtype)
            below, above = beside.exchanged(x[beside.low], x[beside.high])
            y[beside.low] += factor * (x[beside.low] - below)
            y[beside.high] += factor * (x[beside.high] - above)

    def diagonal(self) -> Array:
        """Of K."""
        found = np.zeros(len(self.seat))
        for link, factor in zip(self._cubes.links, self._conductances, strict=True):
            for end in range(2):
                found += factor * np.bincount(link[:, end], minlength=len(found))
        found[self.first] += self._of_end
        found[self.last] += self._of_end
        found[self._cubes.beside.low] += self._conductances[2]
        found[self._cubes.beside.high] += self._conductances[2]
        return found

    def conductance(self, u: Array) -> float:
        """F² over what currents of the potentials dissipate, 1 from face to face; collective."""
        comm, spent = self.comm, 0.0
        total = self._of_end * float((1.0 - u[self.last]).sum())
        for axis, (link, factor) in enumerate(zip(self._cubes.links, self._conductances, strict=True)):
            lower, upper = np.zeros_like(u), np.zeros_like(u)
            sides(link, factor, u, lower, upper)
            if axis == 2 and comm.size > 1:
                beside = self._cubes.beside
                below, above = beside.exchanged(u[beside.low], u[beside.high])
                lower[beside.low] = factor * (u[beside.low] - below)
                upper[beside.high] = factor * (above - u[beside.high])
            if axis == self._axis:
                lower[self.first] = self._of_end * u[self.first]
                upper[self.last] = self._of_end * (1.0 - u[self.last])
            spent += dissipated(lower, upper) / factor
        total, spent = (comm.allreduce(value, op=MPI.SUM) for value in (total, spent))
        return total**2 / spent


def lower_conductance(cubes: Cubes, cycle: Cycle, axis: int, edges: tuple[float, float, float]) -> float:
    """Lower bound of the conductance from face to face across an axis, in mesh units; collective.

    Args:
        cubes: All levels.
        cycle: Multigrid of the trilinear functions, for this axis.
        axis: Of the current.
        edges: Of a cube, along x, y and z.

    Raises:
        ArithmeticError: It does not converge.
    """
    currents = Currents(cubes, axis, edges)
    none: Indices = np.empty(0, np.int32)
    dot = Shared(currents.comm, none, none).dot
    diagonal = currents.diagonal()
    diagonal[diagonal == 0] = 1.0  # a single cube, which is still
    inverse: Singles = (1.0 / diagonal).astype(np.float32)
    inverse[currents.still] = 0.0
    smooth = Chebyshev(inverse, LARGEST)
    middle = np.zeros((27, 8, 8), np.float32)  # what functions of a block are in the middles of its cubes
    middle[:, 0] = interpolation().mean(axis=1)

    def precondition(b: Singles) -> Singles:
        x, kx = np.zeros_like(b), np.empty_like(b)
        smooth(currents.times, b, x, kx, True)
        currents.times(x, kx)
        np.subtract(b, kx, out=kx)
        kx[currents.still] = 0.0
        coarse = cycle(1, cycle.restricted(0, currents.seat, middle, kx))
        cycle.interpolate(0, currents.seat, middle, coarse, x)
        smooth(currents.times, b, x, kx, False)
        return x

    u: Array = (currents.at + 0.5) / cubes.levels[0].grid[axis]
    u[currents.still] = 0.0
    r = np.empty_like(u)
    currents.times(u, r)
    np.negative(r, out=r)
    of_end = 2 * math.prod(edges) / edges[axis] ** 2
    r[currents.last] += of_end
    start = currents.comm.allreduce(of_end * float((1.0 - u[currents.last]).sum()), op=MPI.SUM) - dot(u, r)
    conjugate_gradients(currents.times, precondition, dot, u, r, currents.still, start)
    return currents.conductance(u)
