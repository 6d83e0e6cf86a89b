"""From a tagged mesh and its physics to M u' + K u = b, with c = κ u in each phase."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import basix.ufl
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.concentration import Display
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import matrix_like, matrix_of, per_phase, vector_of
from microlith.solver.problem.boundaries import boundaries_of
from microlith.solver.problem.boundary_terms import (
    add_transfers,
    loads_of,
    sides_of,
    transfers_of,
)
from microlith.solver.problem.discretization import Discretization, discretized
from microlith.solver.problem.nonlinear import NonlinearTerms, nonlinear_terms
from microlith.solver.problem.parts import parts_of
from microlith.solver.problem.scales import Scales, scales_of
from microlith.solver.problem.surface_fluxes import (
    SurfaceFlux,
    decay_fluxes,
    sharpened,
    surface_fluxes,
    with_differences,
    with_given,
)
from microlith.solver.problem.system import LinearSystem, Load, hold, without_held
from microlith.solver.problem.transport import transport


@dataclass(frozen=True)
class StartValues:
    """Concentration at the start that is not even in each phase, mol/m^3."""

    at_nodes: Array  # (local dofs) of the space that it is shown on
    cells: Indices  # (cells) that this rank owns
    within: Array  # (cells, dofs per cell) at the dofs of each cell for itself, with the amount that is in the cell
    in_phases: Array  # (phases,) ∫ c dx over each phase on all ranks, mol/m in 2D, mol in 3D


Start = Callable[[Display], StartValues]  # collective


@dataclass(frozen=True)
class Problem:
    """The discrete problem in scaled units."""

    discretization: Discretization  # mesh, space of the unknowns, units, factors
    display: Display  # space and values of concentrations
    system: LinearSystem
    amount: Array  # (owned,) functional: the amount ∫ ε c dx = ∫ ε κ u dx
    start_amount: float  # ∫ ε c dx at time 0
    start_of_phase: Array  # (phases,) initial concentration
    fluxes: tuple[SurfaceFlux, ...]  # through each surface where lithium enters or leaves, and by decay in each phase
    start_picture: Array  # (local dofs of display.space) initial concentration, as given (not projected)
    nonlinear: NonlinearTerms  # what else there is in the equations; nothing where they are linear
    # (local dofs of display.space) initial concentration as it was given, where phases do not start even: then
    # start_of_phase is the largest in each; None: they do
    start_values: Array | None = None
    start_in_phases: Array | None = None  # (phases,) of that, ∫ c dx in each phase, mol/m in 2D, mol in 3D

    @property
    def space(self) -> fem.FunctionSpace:
        """Of the unknowns u, c = κ u."""
        return self.discretization.space

    @property
    def scales(self) -> Scales:
        """Units of all numbers here."""
        return self.discretization.scales

    @property
    def factors(self) -> Array:
        """The factor κ of each phase, (phases,)."""
        return self.discretization.factors

    @property
    def unknowns(self) -> int:
        """Number of unknowns over all ranks."""
        return int(self.space.dofmap.index_map.size_global)

    def share_held(self, phase_shares: Array) -> float:
        """Mean concentration of a region, of which phases have shares, per reference concentration in equilibrium."""
        if (self.factors == 1.0).all():
            return 1.0
        return float(phase_shares @ self.factors) or 1.0

    def reference_of(self, phase_shares: Array) -> float:
        """Mean concentration, mol/m^3, of a region in equilibrium with the largest concentration that drives all."""
        return self.scales.concentration * self.share_held(phase_shares)

    def held_at_most(self, phase_shares: Array, curve: Array) -> float:
        """Largest mean concentration, mol/m^3, that a region has on its curve, or would have in that equilibrium."""
        return max(self.reference_of(phase_shares), float(np.abs(curve).max(initial=0.0)))

    def destroy(self) -> None:
        """Free the matrices, for a process that solves many problems; collective.

        On several ranks PETSc keeps each matrix that Python lets go of without this, as its collector may run on one
        rank alone.
        """
        self.system.destroy()
        self.nonlinear.destroy()


def build(
    mesh: PhaseMesh, physics: Physics, degree: int, end: float, *, at_corners: bool = False, start: Start | None = None
) -> Problem:
    """Assemble the transient problem; collective.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags, and faces.
        degree: Of the Lagrange elements, 1 to 3.
        end: Length of the run in seconds: the unit of time.
        at_corners: Whether storage and diffusion are integrated by their values at the corners of the cells, for
            degree 1: on squares and cubes these are finite differences.
        start: Gives the concentration at the start; None: each phase has its own. Collective.

    Raises:
        InputError: Partitions between phases contradict each other.
    """
    boundaries = boundaries_of(mesh, physics)
    on, display, links = discretized(
        mesh, physics, boundaries, scales_of(mesh, physics, boundaries, end), degree, at_corners
    )
    stiffness = matrix_of(transport(on, physics, links))
    porosity = [phase.porosity for phase in physics.phases]
    capacity = per_phase(mesh, [e * k for e, k in zip(porosity, on.factors, strict=True)])
    mass = matrix_like(stiffness, forms.storage(capacity, on.trial, on.test, on.dx))  # both have the same entries
    start_of_phase = np.array([phase.initial / on.scales.concentration for phase in physics.phases])
    given = None if start is None else fem.Function(display.space)
    if given is not None and start is not None:
        values = start(display)
        given.x.array[:] = values.at_nodes / on.scales.concentration
        in_phases = values.in_phases
        within = _in_cells(values, display, on.scales.concentration)
    else:
        within, in_phases = per_phase(mesh, list(start_of_phase)), None
    start_amount = vector_of(forms.storage(per_phase(mesh, porosity), within, on.test, on.dx))
    amount = matrix_times(mass, np.ones_like(start_amount))

    sides = list(zip(boundaries, sides_of(on, boundaries), strict=True))
    fluxes = surface_fluxes(sides, mass, stiffness, start_amount)
    within = decay_fluxes(on, physics)
    taken = -sum((flux.level for flux in within), np.zeros_like(start_amount))
    if not physics.is_stepped:  # in closed form
        fluxes = sharpened(fluxes, on, sides, mass, stiffness, start_amount, taken)
    else:
        fluxes = with_differences(fluxes, stiffness, taken)
    fluxes = [*fluxes, *within]
    taken = taken + add_transfers(on, boundaries, stiffness)
    loads = [load for boundary, some in sides for load in loads_of(on, boundary, some, mass, stiffness)]
    transfers = transfers_of(on, boundaries, loads)
    fluxes = with_given(fluxes, loads, mesh.mesh.comm)
    parts = parts_of(on.space, mesh, links)
    held_at_start = _held_at_start(loads, on.owned)
    picture = display.start(mesh, start_of_phase, held_at_start)
    start_values = None if given is None else given.x.array.copy()
    if start_values is not None:
        fixed = display.concentration(held_at_start)
        picture = np.where(np.isnan(fixed), start_values, fixed)
    system = without_held(mass, stiffness, taken, tuple(loads), transfers, start_amount, parts)
    return Problem(
        discretization=on,
        display=display,
        system=system,
        amount=amount,
        start_amount=float(mesh.mesh.comm.allreduce(start_amount.sum(), op=MPI.SUM)),
        start_of_phase=start_of_phase,
        fluxes=tuple(fluxes),
        start_picture=picture,
        start_values=start_values,
        start_in_phases=in_phases,
        nonlinear=nonlinear_terms(on, physics, boundaries, stiffness),
    )


def _in_cells(values: StartValues, display: Display, scale: float) -> fem.Function:
    """The concentration at the start as a function that jumps between cells, so that each holds its amount."""
    mesh, element = display.space.mesh, display.space.element.basix_element
    own = basix.ufl.element("Lagrange", mesh.basix_cell(), element.degree, discontinuous=True)
    function = fem.Function(fem.functionspace(mesh, own))
    function.x.array[function.function_space.dofmap.list[values.cells]] = values.within / scale
    return function


def _held_at_start(loads: list[Load], owned: int) -> Array:
    """Unknowns that are held at time 0, (owned,); nan for all others."""
    held = np.full(owned, np.nan)
    rows = np.concatenate([np.empty(0, np.int32), *(load.held for load in loads)])
    hold(held, loads, rows, [float(load.course.after(0.0)) for load in loads])
    return held
