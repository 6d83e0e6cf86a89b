"""The concentration in each phase at the snapshots, and what it would be in equilibrium: what colours reach to."""

import numpy as np

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.typing import Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.workflow.pictures.colour_scales import ColourScale, PhaseValues, colour_scales
from microlith.workflow.run.solved import Solved


def scales_of(solved: Solved) -> tuple[ColourScale, ...]:
    """The scales of the colours in which snapshots are drawn; collective."""
    return colour_scales(solved.ready.meshed.mesh.names, phase_values(solved), solved.case.pictures.ranges)


def phase_values(solved: Solved) -> PhaseValues:
    """Smallest and largest concentration of each phase over the snapshots; collective."""
    problem, mesh = solved.ready.problem, solved.ready.meshed.mesh
    space, comm = problem.display.space, mesh.mesh.comm
    inside = [_dofs_of(space, mesh, phase) for phase in range(len(mesh.names))]
    lowest, highest = np.full(len(inside), np.inf), np.full(len(inside), -np.inf)
    for time in solved.case.time.snapshots:
        concentration = solved.transient.concentration(time)
        for phase, chosen in enumerate(inside):
            lowest[phase] = concentration[chosen].min(initial=lowest[phase])
            highest[phase] = concentration[chosen].max(initial=highest[phase])
    comm.Allreduce(MPI.IN_PLACE, lowest, op=MPI.MIN)
    comm.Allreduce(MPI.IN_PLACE, highest, op=MPI.MAX)
    least, most = lowest.copy(), highest.copy()
    for seen in solved.verdict.drawn if solved.verdict.is_sound else ():  # else elements are not what is wrong
        phase = mesh.names.index(seen.phase)
        if seen.under is not None and seen.under.value <= seen.lowest:  # no other part, whose bound differs, is as low
            least[phase] = max(least[phase], seen.under.limit)
        if seen.over is not None and seen.over.value >= seen.highest:
            most[phase] = min(most[phase], seen.over.limit)
    return PhaseValues(problem.scales.concentration * problem.factors, lowest, highest, least, most)


def _dofs_of(space: fem.FunctionSpace, mesh: PhaseMesh, phase: int) -> Flags:
    """Which degrees of freedom of this rank, ghosts included, belong to cells of a phase."""
    cells = mesh.cell_tags.indices[mesh.cell_tags.values == phase]
    index_map = space.dofmap.index_map
    inside = np.zeros(index_map.size_local + index_map.num_ghosts, dtype=bool)
    inside[space.dofmap.list[cells]] = True
    return inside
