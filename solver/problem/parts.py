"""Connected parts of a problem: unknowns that diffusion or exchange joins, however weakly."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dolfinx import fem

from microlith.imaging.typing import Numbers
from microlith.meshing.mesh.components import linked
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.partition import Link


@dataclass(frozen=True, eq=False)
class Parts:
    """Connected parts, numbered over all ranks from 0."""

    count: int
    of_dof: Numbers  # (local dofs, ghosts included) number of the part
    of_cell: Numbers  # (cells of this rank, ghosts included)


def parts_of(space: fem.FunctionSpace, mesh: PhaseMesh, links: Collection[Link]) -> Parts:
    """Find the parts; collective, and nothing gathers the mesh.

    Cells that share an unknown are of one part, be it at a single vertex: so the discrete problem sees them. Where
    concentrations jump each side has unknowns of its own, which exchange through facets joins.

    Args:
        space: Of the unknowns.
        mesh: The solved phases.
        links: Interfaces between them.
    """
    dofs = space.dofmap.list.astype(np.int64)
    exchanging = [link.tag for link in links if link.exchange is not None]
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, exchanging)]
    topology = mesh.mesh.topology
    topology.create_connectivity(topology.dim - 1, topology.dim)
    cells = topology.connectivity(topology.dim - 1, topology.dim)
    two = facets[np.diff(cells.offsets)[facets] == 2]
    sides = np.stack([cells.array[cells.offsets[two] + k] for k in (0, 1)], axis=1)
    count, of_dof = linked(mesh.mesh.comm, space.dofmap.index_map, [dofs, dofs[sides, 0]])
    return Parts(count, of_dof, of_dof[dofs[:, 0]])
