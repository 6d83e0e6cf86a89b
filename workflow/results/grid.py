"""The concentration at one time as a grid of PyVista, in memory."""

from typing import TYPE_CHECKING

from dolfinx import fem

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.workflow.results.fields import MICROMETRE, cells_of, evenly_spaced, phase_of_cells

if TYPE_CHECKING:
    import pyvista


def grid_of(mesh: PhaseMesh, space: fem.FunctionSpace, concentration: Array) -> "pyvista.UnstructuredGrid":
    """The cells that this rank owns, of the degree solved with; points in µm.

    Args:
        mesh: The mesh and its phases.
        space: Lagrange space of degree 1, 2 or 3 on it, broken or not.
        concentration: Local dofs with ghosts, mol/m^3.

    Returns:
        Point data `concentration` in mol/m^3, cell data `phase`, field data `phases`: the names by index.
    """
    space, at_dofs = evenly_spaced(space)
    cells, points, cell_type = cells_of(space)
    grid = _grid(mesh, cells, points, cell_type)
    grid.point_data["concentration"] = at_dofs(concentration)
    return grid


def grid_of_cells(mesh: PhaseMesh) -> "pyvista.UnstructuredGrid":
    """As `grid_of`, without a concentration: straight cells."""
    return _grid(mesh, *cells_of(fem.functionspace(mesh.mesh, ("Lagrange", 1))))


def _grid(mesh: PhaseMesh, cells: Indices, points: Array, cell_type: int) -> "pyvista.UnstructuredGrid":
    import pyvista

    grid = pyvista.UnstructuredGrid({cell_type: cells}, points * (mesh.unit / MICROMETRE))
    grid.cell_data["phase"] = phase_of_cells(mesh)
    grid.field_data["phases"] = list(mesh.names)
    return grid
