"""Concentration fields as one temporal VTKHDF file, which PyVista and ParaView open.

The layout is that of an UnstructuredGrid in version 2 of the format (docs.vtk.org, "VTKHDF format specification"), with
a group Steps that holds the times and, for each, where its data start. The geometry is there once; all times point to
it. However many ranks wrote the file, it is one conforming grid: each point is a degree of freedom and is written by
the rank that owns it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import basix
import basix.ufl
from dolfinx import fem, plot
from dolfinx.cpp.mesh import cell_num_entities

from microlith.imaging.axes import AXES
from microlith.imaging.parallel.collective import in_turn, on_first_rank
from microlith.imaging.typing import Array
from microlith.meshing.mesh.frame_facets import on_frame
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.broken_space import owned_values, with_element
from microlith.workflow.results.folder import FIELDS
from microlith.workflow.storage.hdf5 import hdf5_errors, try_space, whole_file_of_all

if TYPE_CHECKING:
    import h5py


MICROMETRE = 1e-6
FACETS = "facets"  # dataset: what lies on both sides of facets, for those who draw or view the results again
HEADERS = 1 << 16  # bytes in the file that are no field, generously
# VTK numbers of the cells of degree 1, 2 and 3 or more. VTK_LAGRANGE_* would do for degree 2 as well, but more readers
# know VTK_QUADRATIC_*; their nodes come in the same order. Squares and cubes have none with all nodes in that order.
CELL_TYPES = {
    "triangle": (5, 22, 69),
    "tetrahedron": (10, 24, 71),
    "quadrilateral": (9, 70, 70),
    "hexahedron": (12, 72, 72),
}


@dataclass(frozen=True)
class Sizes:
    """Of all that all ranks write together."""

    points: int
    cells: int
    nodes: int  # of each cell
    facets: int  # that have a tag, once for each cell that has them


@dataclass(frozen=True)
class Share:
    """What one rank writes: the points of the degrees of freedom, and the cells, that it owns."""

    points: Array  # (n, 3) in micrometres
    connectivity: NDArray[np.int64]  # (m, nodes per cell) points by their number over all ranks, in VTK's order
    cell_type: int  # VTK's number
    phase: NDArray[np.uint8]  # (m,)
    at_points: Callable[[Array], Array]  # local dofs, ghosts included -> (n,) values at the points


def write_fields(
    path: Path,
    mesh: PhaseMesh,
    space: fem.FunctionSpace,
    times: Sequence[float],
    concentrations: Iterable[Array],
) -> None:
    """Write fields.vtkhdf: geometry in µm, cell data `phase`, point data `concentration` at each time.

    Nothing is gathered: the ranks write one after the other with a serial HDF5, and hold one field at a time. Cells
    keep the degree of the elements. The dataset `phase` has the names of the phases, by index, as its attribute
    `names`.

    Args:
        path: The file; it appears whole or not at all.
        mesh: The mesh and its phases.
        space: Lagrange space of degree 1, 2 or 3 on it, broken or not.
        times: (k,) increasing, s.
        concentrations: k arrays, taken in turn: local dofs of this rank with ghosts, mol/m^3.

    Raises:
        InputError: The file can't be written.
    """
    comm = space.mesh.comm
    share = _share(mesh, space)
    facets = _tagged_facets(mesh)
    sizes = np.array(comm.allgather((len(share.points), len(share.connectivity), len(facets))), dtype=np.int64)
    points, cells, tagged = sizes.sum(axis=0)
    first_point, first_cell, first_facet = sizes[: comm.rank].sum(axis=0)
    moments = np.asarray(times, dtype=np.float64)
    nodes = share.connectivity.shape[1]

    def geometry(root: "h5py.Group") -> None:
        count = len(share.connectivity)
        here = slice(first_cell, first_cell + count)
        root["Points"][first_point : first_point + len(share.points)] = share.points
        root["Connectivity"][first_cell * nodes : (first_cell + count) * nodes] = share.connectivity.ravel()
        root["Offsets"][first_cell : first_cell + count + 1] = (first_cell + np.arange(count + 1)) * nodes
        root["Types"][here] = np.full(count, share.cell_type, dtype=np.uint8)
        root["CellData/phase"][here] = share.phase
        root.parent[FACETS][first_facet : first_facet + len(facets)] = facets + np.array((first_cell, 0, 0))

    with whole_file_of_all(path, comm) as temporary:
        on_first_rank(comm, lambda: _frame(temporary, mesh, moments, Sizes(points, cells, nodes, tagged)))
        in_turn(comm, lambda: _change(temporary, geometry))
        for step, concentration in zip(range(len(times)), concentrations, strict=True):
            values = share.at_points(concentration)
            start = step * points + first_point
            in_turn(comm, partial(_change, temporary, partial(_write_field, start=start, values=values)))


def _write_field(root: "h5py.Group", start: int, values: Array) -> None:
    root["PointData/concentration"][start : start + len(values)] = values


def evenly_spaced(space: fem.FunctionSpace) -> tuple[fem.FunctionSpace, Callable[[Array], Array]]:
    """A space with nodes where VTK has them, and the way of a field there, (local dofs) -> (local dofs of that space).

    VTK places the nodes of a cell at equal distances; DOLFINx, for accuracy, nearer to the ends of the edges.
    """
    degree = space.element.basix_element.degree
    if degree <= 2:
        return space, np.asarray
    equispaced = basix.ufl.element(
        "Lagrange", space.mesh.basix_cell().name, degree, lagrange_variant=basix.LagrangeVariant.equispaced
    )
    even = with_element(space, equispaced)
    given, moved = fem.Function(space), fem.Function(even)

    def interpolated(concentration: Array) -> Array:
        given.x.array[:] = concentration
        moved.interpolate(given)
        return moved.x.array.copy()

    return even, interpolated


def cells_of(space: fem.FunctionSpace) -> tuple[NDArray[np.int32], Array, int]:
    """Cells that this rank owns as local dofs in VTK's order (m, nodes), points (local dofs, 3), and VTK's number."""
    cells, _, x = plot.vtk_mesh(space)
    nodes = space.dofmap.dof_layout.num_dofs
    owned = space.mesh.topology.index_map(space.mesh.topology.dim).size_local
    cell_type = CELL_TYPES[space.mesh.basix_cell().name][min(space.element.basix_element.degree, 3) - 1]
    return cells.reshape(-1, nodes + 1)[:owned, 1:].astype(np.int32), x, cell_type


def phase_of_cells(mesh: PhaseMesh) -> NDArray[np.uint8]:
    """Phase of each cell that this rank owns."""
    owned = mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
    phase = np.zeros(owned, dtype=np.uint8)
    mine = mesh.cell_tags.indices < owned
    phase[mesh.cell_tags.indices[mine]] = mesh.cell_tags.values[mine]
    return phase


def _share(mesh: PhaseMesh, space: fem.FunctionSpace) -> Share:
    """What this rank writes."""
    space, at_dofs = evenly_spaced(space)
    local, x, cell_type = cells_of(space)
    index_map = space.dofmap.index_map
    return Share(
        points=owned_values(space, x) * (mesh.unit / MICROMETRE),
        connectivity=index_map.local_to_global(local.ravel()).reshape(local.shape),
        cell_type=cell_type,
        phase=phase_of_cells(mesh),
        at_points=lambda concentration: owned_values(space, at_dofs(concentration)[:, None])[:, 0],
    )


def _tagged_facets(mesh: PhaseMesh) -> NDArray[np.int64]:
    """Facets with a tag, once for each cell of this rank that has them, (n, 3): cell, number within it, tag."""
    topology = mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim, dim - 1)
    owned, local = topology.index_map(dim).size_local, topology.index_map(dim - 1)
    tags = np.zeros(local.size_local + local.num_ghosts, dtype=np.int32)
    tags[mesh.facet_tags.indices] = mesh.facet_tags.values
    links = topology.connectivity(dim, dim - 1)
    sides = cell_num_entities(topology.cell_type, dim - 1)  # not left to NumPy: a rank may have no cell
    of_cells = tags[links.array[: links.offsets[owned]]].reshape(owned, sides)
    if mesh.periodic:  # who reads the file has a box with outer faces
        across = on_frame(mesh, [AXES[axis] + end for axis in mesh.periodic for end in ("_min", "_max")])
        of_cells[across.cell, across.local] = across.face + 1  # as face_tag
    cell, number = np.nonzero(of_cells)
    return np.stack([cell, number, of_cells[cell, number]], axis=1).astype(np.int64)


def _frame(path: Path, mesh: PhaseMesh, times: Array, sizes: Sizes) -> None:
    """Make the file: all small entries filled, the large ones allotted.

    Args:
        path: The file.
        mesh: With names, unit and extent.
        times: (k,) in s.
        sizes: Of the whole.
    """
    import h5py

    points, cells, nodes, tagged = (int(n) for n in astuple(sizes))
    names, steps = mesh.names, len(times)
    size = 8 * (points * (3 + steps) + cells * (nodes + 1) + 3 * tagged) + 2 * cells + HEADERS
    with hdf5_errors(path, FIELDS):
        try_space(path, size)
    with hdf5_errors(path, FIELDS), h5py.File(path, "w") as file:
        facets = file.create_dataset(FACETS, (tagged, 3), np.int64)  # beside what VTK reads
        facets.attrs["columns"] = ["cell", "number of the facet in the cell, as DOLFINx counts", "tag"]
        facets.attrs["unit_m"] = mesh.unit
        facets.attrs["extent_m"] = [length * mesh.unit for length in mesh.extent]
        root = file.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 2], dtype=np.int64)
        root.attrs.create("Type", b"UnstructuredGrid", dtype="S16")  # VTK wants it of fixed length, in ASCII
        for name, number in (("Points", points), ("Cells", cells), ("ConnectivityIds", cells * nodes)):
            root[f"NumberOf{name}"] = np.array([number], dtype=np.int64)
        root.create_dataset("Points", (points, 3), np.float64).attrs["unit"] = "um"
        root.create_dataset("Connectivity", (cells * nodes,), np.int64)
        root.create_dataset("Offsets", (cells + 1,), np.int64)
        root.create_dataset("Types", (cells,), np.uint8)
        phase = root.create_dataset("CellData/phase", (cells,), np.uint8)
        phase.attrs["names"] = [str(name) for name in names]  # as field data, strings crash some versions of VTK
        if steps == 0:
            return
        root.create_dataset("PointData/concentration", (steps * points,), np.float64).attrs["unit"] = "mol/m^3"
        group = root.create_group("Steps")
        group.attrs["NSteps"] = np.int64(steps)
        group["Values"] = times
        group["Values"].attrs["unit"] = "s"
        group["NumberOfParts"] = np.ones(steps, dtype=np.int64)
        still = np.zeros(steps, dtype=np.int64)  # the same geometry and phases at all times
        for name in ("PartOffsets", "PointOffsets", "CellDataOffsets/phase"):
            group[name] = still
        for name in ("CellOffsets", "ConnectivityIdOffsets"):
            group[name] = still[:, None]
        group["PointDataOffsets/concentration"] = np.arange(steps, dtype=np.int64) * points


def _change(path: Path, write: "Callable[[h5py.Group], None]") -> None:
    """Open the file, write this rank's share, and close it for the next rank."""
    import h5py

    with hdf5_errors(path, FIELDS), h5py.File(path, "r+") as file:
        write(file["VTKHDF"])
