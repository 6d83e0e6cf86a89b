"""What the cubes of a regular grid conduct between opposite faces: trilinear elements of one diffusivity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array
from microlith.solver.conduction.conduction import Conduction
from microlith.solver.cubes.fluxes import lower_conductance
from microlith.solver.cubes.gradients import conjugate_gradients
from microlith.solver.cubes.kernels import coordinates
from microlith.solver.cubes.levels import Cubes, Slab, levels_of
from microlith.solver.cubes.multigrid import Coarse, Cycle, coarse_spaces

MANY = 1_000_000  # cubes, from which on there is one level more
DEPTH = 2  # levels beyond the finest one; BoomerAMG takes the coarsest, with a fortieth of the unknowns
METHOD = "cg, matrix-free"


@dataclass(frozen=True)
class Shares:
    """What part of a box cubes take up."""

    of_box: float  # volume fraction
    joining: tuple[float, float, float]  # share of the cubes in parts that join the two faces across x, y and z


def depth_of(cubes: int, layers: int, ranks: int) -> int:
    """Levels beyond the finest one: one at least, and so few that each rank has whole blocks.

    Args:
        cubes: Over all ranks.
        layers: Of the grid.
        ranks: How many there are.
    """
    wanted = DEPTH + (cubes > MANY)
    return max(1, min(wanted, int(math.log2(max(2, layers // ranks)))))


def cubes_conduction(
    slab: Slab,
    shares: Shares,
    edges: tuple[float, float, float],
    axes: Sequence[str],
    depth: int,
    comm: MPI.Intracomm,
    bounds: bool = False,
) -> tuple[Conduction, ...]:
    """Effective diffusivity of cubes along axes of their box; collective.

    The figures of `solver.conduction.conduction` on a mesh of the same cubes with elements of degree 1, to the
    tolerance of the solver, in a tenth of the memory: neither a mesh nor a matrix of the finest level is made.

    Args:
        slab: The cubes of this rank, in whole blocks of 2^depth layers.
        shares: Of the cubes of all ranks.
        edges: Of a cube, along x, y and z, in mesh units.
        axes: Any of "x", "y" and "z".
        depth: Levels beyond the finest one.
        comm: All ranks.
        bounds: Whether lower bounds are wanted, too.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    numbers = [AXES.index(axis) for axis in axes]
    if not any(shares.joining[number] > 0 for number in numbers):
        return tuple(_nothing(number, shares, 0, bounds) for number in numbers)
    cubes = levels_of(slab, depth, comm)
    coarse = coarse_spaces(cubes.levels, edges)
    shared = cubes.levels[0].shared
    unknowns = comm.allreduce(cubes.levels[0].unknowns - len(shared.low), op=MPI.SUM)
    found = []
    for number in numbers:
        if shares.joining[number] > 0:
            found.append(_along(number, cubes, coarse, shares, edges, unknowns, bounds))
        else:
            found.append(_nothing(number, shares, unknowns, bounds))
    return tuple(found)


def _nothing(axis: int, shares: Shares, unknowns: int, bounds: bool) -> Conduction:
    lower = 0.0 if bounds else None
    return Conduction(AXES[axis], 0.0, shares.of_box, 0.0, 0.0, unknowns, "none", 0, lower)


def _along(
    axis: int,
    cubes: Cubes,
    coarse: Coarse,
    shares: Shares,
    edges: tuple[float, float, float],
    unknowns: int,
    bounds: bool,
) -> Conduction:
    level = cubes.levels[0]
    length = level.grid[axis] * edges[axis]
    volume = math.prod(level.grid) * math.prod(edges)
    cycle = Cycle(coarse, axis)
    energy, disagreement, iterations = _energy(axis, cubes, coarse, cycle)
    lower = None
    if bounds:
        lower = lower_conductance(cubes, cycle, axis, edges) * length**2 / volume
    cycle.destroy()
    return Conduction(
        AXES[axis],
        energy * length**2 / volume,
        shares.of_box,
        shares.joining[axis],
        disagreement,
        unknowns,
        METHOD,
        iterations,
        lower,
    )


def _energy(axis: int, cubes: Cubes, coarse: Coarse, cycle: Cycle) -> tuple[float, float, int]:
    """∫ |∇c|², how far the fluxes through the faces are from it, relative, and iterations; collective."""
    level = cubes.levels[0]
    shared, comm = level.shared, level.shared.comm
    first, last, still = level.held(axis)
    held = np.concatenate([first, last, still])
    # A linear profile, of which the solver finds what is missing
    c: Array = coordinates(level.seat, level.block, level.grid, axis) / level.grid[axis]
    c[still] = 0.0
    r = np.empty_like(c)
    coarse.times(0, c, r)
    start = shared.dot(c, r)
    np.negative(r, out=r)
    r[held] = 0.0
    iterations = conjugate_gradients(
        lambda x, y: coarse.times(0, x, y),
        lambda b: cycle(0, b),
        shared.dot,
        c,
        r,
        held,
        start,
    )
    coarse.times(0, c, r)
    energy = shared.dot(c, r)
    r[shared.low] = 0.0
    ends = np.array([-r[first].sum(), r[last].sum()])
    entering, leaving = (float(end) for end in comm.allreduce(ends, op=MPI.SUM))
    return energy, max(abs(entering - energy), abs(leaving - energy)) / energy, iterations
