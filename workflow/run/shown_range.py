"""The smallest and the largest concentration of a run: what colours reach to, and what is taken out too much.

What is held and what transfers or reacts bounds the concentration; a flux or a current does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mpi4py import MPI

from microlith.solver.physics.courses import course_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.transient import Transient

NOTABLE = 0.05  # of the reference concentration: elements overshoot by less


@dataclass(frozen=True)
class ShownRange:
    """Concentrations that pictures reach to, mol/m^3."""

    low: float
    high: float
    emptied_at: float | None = None  # s: the snapshot at which fluxes have made `low`, where that is below zero
    takes: bool = False  # whether a flux or a current takes lithium out at some time


def shown_range(
    problem: Problem, physics: Physics, transient: Transient, times: Iterable[float], comm: MPI.Intracomm
) -> ShownRange:
    """Range of what is given and in equilibrium with it, and of what fluxes make of it; collective.

    Args:
        problem: Of the case.
        physics: Of the case.
        transient: The solution.
        times: Of the snapshots, s.
        comm: The ranks.
    """
    scale = problem.scales.concentration
    low = min([0.0, *(phase.initial for phase in physics.phases)])  # none is below zero
    high = scale * float(problem.factors.max())
    given = [face.flux if face.flux is not None else face.current_density for face in physics.faces.values()]
    fluxes = [course_of(flux) for flux in given if flux is not None]
    takes, gives = any(flux.smallest < 0 for flux in fluxes), any(flux.largest > 0 for flux in fluxes)
    emptied_at = None
    for time in times if takes or gives else ():
        concentration = transient.concentration(time)
        lowest = comm.allreduce(float(concentration.min(initial=low)), op=MPI.MIN)
        highest = comm.allreduce(float(concentration.max(initial=high)), op=MPI.MAX)
        if gives:
            high = max(high, highest)
        if takes and lowest < min(low, -NOTABLE * scale):
            low, emptied_at = lowest, time
    return ShownRange(low, high, emptied_at, takes)
