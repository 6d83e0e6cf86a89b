"""Which surfaces lithium passes in proportion to their area: those with a transfer, a sink or a finite exchange."""

import numpy as np

from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.partition import links_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import boundary_conditions
from microlith.solver.surfaces.passages import between


def passing(mesh: PhaseMesh, physics: Physics, below: float = np.inf) -> dict[str, tuple[int, ...]]:
    """Facet tags of the surfaces that lithium passes in proportion to their area, by what they are of; collective.

    Args:
        mesh: The solved phases.
        physics: With transfers, sinks and exchanges.
        below: Coefficient, m/s, from which on a surface is left out, at all times.
    """
    transfers = {
        condition.name: condition.tags
        for condition in boundary_conditions(physics)
        if condition.coefficient is not None
        and condition.coefficient.smallest < below
        and condition.name not in physics.faces
    }
    return transfers | exchanging(mesh, physics, below)


def exchanging(mesh: PhaseMesh, physics: Physics, below: float = np.inf) -> dict[str, tuple[int, ...]]:
    """Tags of the interfaces that pass lithium in proportion to their area, by their phases; collective."""
    return {
        between(mesh.names, link.first, link.second): (link.tag,)
        for link in links_of(mesh, physics)
        if link.exchange is not None and link.exchange < below
    }
