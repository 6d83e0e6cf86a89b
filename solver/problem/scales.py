"""Units of the solver's numbers."""

from dataclasses import dataclass

import numpy as np

from dolfinx import fem
from mpi4py import MPI
from ufl import dx

from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.assembly import per_phase
from microlith.solver.problem.boundaries import Boundary, area


@dataclass(frozen=True)
class Scales:
    """Units of the solver's numbers, so that they are of order one: the only place where scaled meets SI."""

    length: float  # metres per mesh coordinate
    time: float  # seconds per unit of time
    concentration: float  # mol/m^3 per unit of concentration

    def diffusivity(self, value: float) -> float:
        """m^2/s to mesh units."""
        return value * self.time / self.length**2

    def velocity(self, value: float) -> float:
        """m/s to mesh units."""
        return value * self.time / self.length

    def rate(self, value: float) -> float:
        """1/s to mesh units."""
        return value * self.time

    def flux(self, value: float) -> float:
        """mol/(m^2 s) to mesh units."""
        return self.velocity(value) / self.concentration

    def amount(self, dim: int) -> float:
        """Moles (3D) or moles per metre of depth (2D) per unit of amount."""
        return self.concentration * self.length**dim


def scales_of(mesh: PhaseMesh, physics: Physics, boundaries: list[Boundary], end: float) -> Scales:
    """Units for a problem that runs for `end` seconds; collective."""
    return Scales(mesh.unit, end, physics.reference_concentration or _filled_by(mesh, physics, boundaries, end))


def _filled_by(mesh: PhaseMesh, physics: Physics, boundaries: list[Boundary], end: float) -> float:
    """Largest mean concentration, mol/m^3, to which given fluxes fill the solved phases; 1 where there is none.

    The scale of a problem that no concentration drives; of cycles that charge and discharge, what one of them moves.
    """
    porosity = per_phase(mesh, [p.porosity for p in physics.phases])
    room = mesh.mesh.comm.allreduce(fem.assemble_scalar(fem.form(porosity * dx)), op=MPI.SUM) * mesh.unit
    filled = 0.0
    for boundary in boundaries:
        if boundary.flux is not None:
            times = np.union1d(np.linspace(0.0, end, 1001), boundary.flux.kinks(end))
            brought = float(np.abs(boundary.flux.integral(times)).max())
            filled += brought * area(mesh, boundary.measure) / room
    return filled or 1.0
