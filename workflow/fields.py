"""Concentration fields as one temporal VTKHDF file, which PyVista and ParaView open.

The layout is that of an UnstructuredGrid in version 2 of the format (docs.vtk.org, "VTKHDF format specification"): one
part per rank, the parts end to end in every dataset, and a group Steps with the time values and, for each time, where
its data start. The geometry is there once; all times point to it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import basix
import basix.ufl
from dolfinx import fem, plot

from microlith.meshing.phasemesh import PhaseMesh
from microlith.workflow.collective import in_turn, on_first_rank, together
from microlith.workflow.outputs import FIELDS, cannot_write, partial_name, replace_file

if TYPE_CHECKING:
    import h5py

    from mpi4py.MPI import Comm

Array = NDArray[np.float64]
MICROMETRE = 1e-6
# VTK numbers of the cells of degree 1, 2 and 3 or more. VTK_LAGRANGE_* would do for degree 2 as well, but more readers
# know VTK_QUADRATIC_*; their nodes come in the same order.
CELL_TYPES = {"triangle": (5, 22, 69), "tetrahedron": (10, 24, 71)}


@dataclass(frozen=True)
class Part:
    """The cells that a rank owns, with its own numbering of points."""

    points: Array  # (n, 3) in micrometres
    connectivity: NDArray[np.int64]  # (m, nodes per cell) into points, nodes in the order of VTK
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

    Nothing is gathered: the ranks write their parts one after the other with a serial h5py, and hold one field at a
    time. Cells keep the degree of the elements. The dataset `phase` has the names of the phases, by index, as its
    attribute `names`.

    Args:
        path: The file; it appears whole or not at all.
        mesh: The mesh and its phases.
        space: Lagrange space of degree 1, 2 or 3 on it.
        times: (k,) increasing, s.
        concentrations: k arrays, taken in turn: local dofs of this rank with ghosts, mol/m^3.

    Raises:
        InputError: The file can't be written.
    """
    comm = space.mesh.comm
    part = _part(mesh, space)
    sizes = np.array([len(part.points), len(part.connectivity)], dtype=np.int64)
    every = np.array(comm.allgather(sizes))  # (ranks, 2)
    before = every[: comm.rank].sum(axis=0)
    moments = np.asarray(times, dtype=np.float64)
    nodes = part.connectivity.shape[1]

    def geometry(root: "h5py.Group") -> None:
        at_point, at_cell = (slice(b, b + n) for b, n in zip(before, sizes, strict=True))
        root["Points"][at_point] = part.points
        root["Connectivity"][before[1] * nodes : (before[1] + sizes[1]) * nodes] = part.connectivity.ravel()
        first = before[1] + comm.rank  # each part has one offset more than cells
        root["Offsets"][first : first + sizes[1] + 1] = np.arange(sizes[1] + 1) * nodes
        root["Types"][at_cell] = np.full(sizes[1], part.cell_type, dtype=np.uint8)
        root["CellData/phase"][at_cell] = part.phase

    with _whole_file_of_all(path, comm) as temporary:
        on_first_rank(comm, lambda: _frame(temporary, mesh.names, moments, every, nodes))
        in_turn(comm, lambda: _change(temporary, geometry))
        for step, concentration in enumerate(concentrations):
            values = together(comm, lambda c=concentration: part.at_points(c))  # type: ignore[misc]
            start = step * every[:, 0].sum() + before[0]

            def field(root: "h5py.Group", start: int = start, values: Array = values) -> None:
                root["PointData/concentration"][start : start + len(values)] = values

            in_turn(comm, lambda f=field: _change(temporary, f))  # type: ignore[misc]


def _part(mesh: PhaseMesh, space: fem.FunctionSpace) -> Part:
    """What this rank writes."""
    cell_name = space.mesh.basix_cell().name
    degree = space.element.basix_element.degree
    at_points: Callable[[Array], Array] = np.asarray
    if degree > 2:
        # VTK places the nodes of a cell at equal distances; DOLFINx, for accuracy, nearer to the ends of the edges.
        equispaced = basix.ufl.element("Lagrange", cell_name, degree, lagrange_variant=basix.LagrangeVariant.equispaced)
        even = fem.functionspace(space.mesh, equispaced)
        given, moved = fem.Function(space), fem.Function(even)

        def interpolated(concentration: Array) -> Array:
            given.x.array[:] = concentration
            moved.interpolate(given)
            return moved.x.array

        space, at_points = even, interpolated
    cells, _, x = plot.vtk_mesh(space)
    cells = cells.reshape(-1, space.dofmap.dof_layout.num_dofs + 1)[:, 1:]
    used = np.zeros(len(x), dtype=bool)
    used[cells] = True
    number = np.cumsum(used) - 1
    phase = np.zeros(len(cells), dtype=np.uint8)
    owned = mesh.cell_tags.indices < len(cells)
    phase[mesh.cell_tags.indices[owned]] = mesh.cell_tags.values[owned]
    return Part(
        points=x[used] * (mesh.unit / MICROMETRE),
        connectivity=number[cells],
        cell_type=CELL_TYPES[cell_name][min(degree, 3) - 1],
        phase=phase,
        at_points=lambda concentration: at_points(concentration)[used],
    )


def _frame(path: Path, names: Sequence[str], times: Array, sizes: NDArray[np.int64], nodes: int) -> None:
    """Make the file: all small entries filled, the large ones allotted.

    Args:
        path: The file.
        names: Of the phases.
        times: (k,) in s.
        sizes: (ranks, 2) points and cells of each part.
        nodes: Per cell.
    """
    import h5py

    parts, steps = len(sizes), len(times)
    points, cells = (int(n) for n in sizes.sum(axis=0))
    with _as_input_error(path), h5py.File(path, "w") as file:
        root = file.create_group("VTKHDF", track_order=True)
        root.attrs["Version"] = np.array([2, 2], dtype=np.int64)
        root.attrs.create("Type", b"UnstructuredGrid", dtype="S16")  # VTK wants it of fixed length, in ASCII
        root["NumberOfPoints"] = sizes[:, 0]
        root["NumberOfCells"] = sizes[:, 1]
        root["NumberOfConnectivityIds"] = sizes[:, 1] * nodes
        root.create_dataset("Points", (points, 3), np.float64).attrs["unit"] = "um"
        root.create_dataset("Connectivity", (cells * nodes,), np.int64)
        root.create_dataset("Offsets", (cells + parts,), np.int64)
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
        group["NumberOfParts"] = np.full(steps, parts, dtype=np.int64)
        still = np.zeros(steps, dtype=np.int64)  # the same geometry and phases at all times
        for name in ("PartOffsets", "PointOffsets", "CellDataOffsets/phase"):
            group[name] = still
        for name in ("CellOffsets", "ConnectivityIdOffsets"):
            group[name] = still[:, None]
        group["PointDataOffsets/concentration"] = np.arange(steps, dtype=np.int64) * points


def _change(path: Path, write: "Callable[[h5py.Group], None]") -> None:
    """Open the file, write this rank's share, and close it for the next rank."""
    import h5py

    with _as_input_error(path), h5py.File(path, "r+") as file:
        write(file["VTKHDF"])


@contextmanager
def _as_input_error(temporary: Path) -> Iterator[None]:
    """HDF5's errors of writing as ours: it reports a full disk as OSError or, on closing, as RuntimeError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        told = re.search(r"error message = '([^']*)'", str(error))
        reason = told[1] if told else str(error)
        raise cannot_write(temporary.with_name(FIELDS), OSError(0, reason)) from error


@contextmanager
def _whole_file_of_all(path: Path, comm: "Comm") -> Iterator[Path]:
    """As `whole_file`, for all ranks together: rank 0 renames or removes."""
    temporary = partial_name(path)
    try:
        yield temporary
        on_first_rank(comm, lambda: replace_file(temporary, path))
    except BaseException:  # no word to the other ranks: they may be waiting elsewhere
        if comm.rank == 0:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise
