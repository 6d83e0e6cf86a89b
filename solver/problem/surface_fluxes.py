"""The flux through each surface where lithium enters or leaves, as a functional of the solution.

Rows of the discrete equations say what storage and diffusion within do not balance: that entered through the surface
of these rows. It is exact for the discrete problem, held or not, where k (c_s − c) would cancel if k is large. With
weights ψ, 1 on the rows of the surface and 0 on those of others, it holds for whatever ψ is in between:

    flux = ψᵀ(M u' + K u),   of which K ψ has the large entries of fast phases only where ψ falls within one of them.

So ψ goes on to be 1 in the stiff clusters that a surface touches: a flux through a fast phase is what this phase stores
and passes on, and no difference of large numbers. A transfer that is weak is taken as what it is, k (c_s − c).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags, Indices
from microlith.solver.linear.clusters import nested_clusters, stiff_clusters
from microlith.solver.linear.differences import Differences, RowSum
from microlith.solver.linear.shifted import PRECISION
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import per_phase, vector_of
from microlith.solver.problem.boundaries import Boundary
from microlith.solver.problem.boundary_terms import Side, scaled_coefficient
from microlith.solver.problem.discretization import Discretization
from microlith.solver.problem.system import Load
from microlith.solver.problem.transport import decay_rates

ROUNDED = 1e-9  # of what all phases hold: rounding of a flux over the whole run that is let pass
STIFF = 1e-7  # what a cluster stores and exchanges, per sum of its diagonal, below which it counts as stiff


@dataclass(frozen=True)
class SurfaceFlux:
    """Flux into the domain through one surface, as a functional: rate·u' + level·u + pushed."""

    name: str  # phase or face
    rate: Array  # (owned,)
    level: Array  # (owned,)
    start: float  # part of the initial amount that rate·u stands for at time 0
    rows: Indices  # owned unknowns that ψ counts in full
    pushed: tuple[tuple[Course, float], ...] = ()  # besides: flux per unit of a course
    given: tuple[Course, float] | None = None  # a flux given here, and the amount it brings per unit of its course
    shared: tuple[tuple[Course, float], ...] = ()  # what of fluxes given at its edges counts in rate and level here
    rounding: float = 0.0  # of level·u, per unit of u
    by_differences: RowSum | None = None  # level·u as a sum of differences, for problems that are solved step by step

    def precise_level(self, u: Array) -> float:
        """level·u of this rank, with all its digits where differences say it; collective."""
        return float(self.level @ u) if self.by_differences is None else self.by_differences.of(u)


def surface_fluxes(
    sides: Sequence[tuple[Boundary, list[Side]]], mass: PETSc.Mat, transport: PETSc.Mat, start_amount: Array
) -> list[SurfaceFlux]:
    """The fluxes, by the rows of the surfaces; collective.

    Args:
        sides: Of each boundary its unknowns; they share none.
        mass: Of storage.
        transport: Stiffness within the domain, without what is exchanged at surfaces.
        start_amount: (owned,) ∫ ε c v dx at time 0.
    """
    found = []
    for boundary, some in sides:
        rows = _flags(len(start_amount), np.concatenate([side.dofs for side in some]))
        level = matrix_times(transport, rows.astype(np.float64))
        found.append(_weighted(boundary.name, rows, level, mass, start_amount))
    return found


def decay_fluxes(on: Discretization, physics: Physics) -> list[SurfaceFlux]:
    """What decay brings into each phase, less than nothing as it takes lithium out; collective."""
    found = []
    rates = decay_rates(on, physics)
    for i, rate in enumerate(rates):
        if rate:
            only = [rate if k == i else 0.0 for k in range(len(rates))]
            level = -vector_of(forms.reaction(per_phase(on.mesh, only), on.one, on.test, on.dx))
            name = f"{physics.phases[i].name}, decay"
            found.append(SurfaceFlux(name, np.zeros_like(level), level, 0.0, np.empty(0, np.int32)))
    return found


def _weighted(name: str, chosen: Flags, level: Array, mass: PETSc.Mat, start_amount: Array) -> SurfaceFlux:
    """By the unknowns where ψ is 1, and K ψ."""
    weights = chosen.astype(np.float64)
    start, size = mass.comm.tompi4py().allreduce(np.array([weights @ start_amount, np.abs(level).sum()]), op=MPI.SUM)
    rows = np.flatnonzero(weights).astype(np.int32)
    return SurfaceFlux(name, matrix_times(mass, weights), level, float(start), rows, rounding=PRECISION * float(size))


def sharpened(
    fluxes: list[SurfaceFlux],
    on: Discretization,
    sides: Sequence[tuple[Boundary, list[Side]]],
    mass: PETSc.Mat,
    transport: PETSc.Mat,
    start_amount: Array,
    taken: Array,
) -> list[SurfaceFlux]:
    """The fluxes in forms that rounding does not spoil, where it does; collective.

    For problems whose transfer coefficients change by jumps or not at all. Other arguments as in `surface_fluxes`;
    `taken` (owned,) is what transport takes from a constant, as decay does.
    """
    comm = on.mesh.mesh.comm
    stored = matrix_times(mass, np.ones_like(start_amount))
    whole = float(comm.allreduce(stored.sum(), op=MPI.SUM))
    if all(flux.rounding < ROUNDED * whole for flux in fluxes):
        return fluxes
    graph = Differences(transport, taken)
    diagonal = (transport.getDiagonal() + mass.getDiagonal()).array_r
    stiff = stiff_clusters(nested_clusters(graph), graph, 1.0, stored, diagonal, STIFF)
    labels = [label[: on.owned] for label in reversed(stiff.labels)]  # the largest clusters first
    rows = [_flags(on.owned, np.concatenate([side.dofs for side in some])) for _, some in sides]
    boundaries = [boundary for boundary, _ in sides]
    changing = [b.coefficient is not None and not b.coefficient.is_constant for b in boundaries]
    transfers = [b for b in boundaries if b.coefficient is not None and b.coefficient.is_constant]
    found = []
    for i, (flux, boundary) in enumerate(zip(fluxes, boundaries, strict=True)):
        candidates = [flux]
        if boundary in transfers and not any(changing):
            candidates.append(replace(_transferred(on, transfers, rows[i]), name=flux.name))
        if min(one.rounding for one in candidates) > ROUNDED * whole:
            blocked = np.zeros(on.owned, dtype=bool)
            for other, flags, changes in zip(boundaries, rows, changing, strict=True):
                if other is not boundary and (other.holds or changes):
                    blocked |= flags
            weights = _grown(rows[i], blocked, labels, stiff.count, comm)
            within = _weighted(flux.name, weights, graph.times(weights.astype(np.float64)), mass, start_amount)
            beyond = _transferred(on, transfers, weights & ~rows[i])
            candidates.append(
                replace(
                    within,
                    level=within.level - beyond.level,
                    pushed=tuple((course, -amount) for course, amount in beyond.pushed),
                    rounding=within.rounding + beyond.rounding,
                )
            )
        found.append(min(candidates, key=lambda one: one.rounding))
    graph.destroy()
    return found


def with_differences(fluxes: list[SurfaceFlux], transport: PETSc.Mat, taken: Array) -> list[SurfaceFlux]:
    """The fluxes, by the rows of the surfaces, with sums of differences; collective.

    For problems that are solved step by step, where it depends on the step whether products lose digits.

    Args:
        fluxes: As `surface_fluxes` gives them.
        transport: As there.
        taken: (owned,) What transport takes from a constant, as decay does.
    """
    return [replace(flux, by_differences=RowSum(transport, flux.rows, taken), rounding=0.0) for flux in fluxes]


def _flags(size: int, indices: Indices) -> Flags:
    flags = np.zeros(size, dtype=bool)
    flags[indices] = True
    return flags


def _grown(rows: Flags, blocked: Flags, labels: list[NDArray[np.intp]], count: int, comm: MPI.Intracomm) -> Flags:
    """The rows with all stiff clusters that they touch and blocked rows do not; collective."""
    grown = rows.copy()
    for label in labels:
        inside = label >= 0
        touched = np.zeros((2, count))
        touched[0, label[inside & rows]] = 1.0
        touched[1, label[inside & blocked]] = 1.0
        comm.Allreduce(MPI.IN_PLACE, touched, op=MPI.MAX)
        mine = (touched[0] > 0) & (touched[1] == 0)
        grown |= inside & mine[np.maximum(label, 0)]
    return grown


def _transferred(on: Discretization, transfers: Sequence[Boundary], rows: Flags) -> SurfaceFlux:
    """What transfers with constant coefficients bring into some rows, as k (c_s − c); collective."""
    comm = on.mesh.mesh.comm
    chosen = fem.Function(on.space)
    chosen.x.array[: on.owned] = rows
    chosen.x.scatter_forward()
    level, pushed = np.zeros(on.owned), []
    for boundary in transfers:
        assert boundary.coefficient is not None  # as transfers have one
        assert boundary.concentration is not None
        coefficient = scaled_coefficient(on, boundary.coefficient)
        level -= vector_of(forms.transfer(coefficient * on.kappa, chosen, on.test, boundary.measure))
        push = vector_of(forms.transfer(coefficient, on.one, on.test, boundary.measure))[rows].sum()
        course = boundary.concentration.scaled(on.scales.time, on.scales.concentration)
        pushed.append((course, float(comm.allreduce(push, op=MPI.SUM))))
    size = float(comm.allreduce(np.abs(level).sum(), op=MPI.SUM))
    nothing = np.zeros(on.owned)
    none = np.empty(0, np.int32)
    return SurfaceFlux("", nothing, level, 0.0, none, tuple(pushed), rounding=PRECISION * size)


def with_given(fluxes: list[SurfaceFlux], loads: list[Load], comm: MPI.Comm) -> list[SurfaceFlux]:
    """The fluxes with what is known of those given on faces; the loads are whole; collective."""
    given = [load for load in loads if load.is_flux]
    if not given:
        return fluxes
    shares = np.array([[load.push.sum(), *(load.push[s.rows].sum() for s in fluxes)] for load in given])
    shares = comm.allreduce(shares, op=MPI.SUM)
    found = []
    for i, flux in enumerate(fluxes, start=1):
        own = [
            (load.course, float(share[0])) for load, share in zip(given, shares, strict=True) if load.name == flux.name
        ]
        shared = [(load.course, float(share[i])) for load, share in zip(given, shares, strict=True) if share[i] != 0.0]
        found.append(replace(flux, given=own[0]) if own else replace(flux, shared=tuple(shared)))
    return found
