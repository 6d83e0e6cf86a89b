"""Fields of a run as the solver had them, made again from fields.vtkhdf: mesh, tags, space and values; on one rank."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import basix
import basix.ufl
from dolfinx import fem, mesh as dmesh
from dolfinx.cpp.mesh import cell_num_entities
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array, Numbers
from microlith.meshing.distribution.dolfinx_mesh import create_mesh
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.workflow.results.fields import CELL_TYPES, FACETS, MICROMETRE, cells_of
from microlith.workflow.storage.hdf5 import check_mesh, read_hdf5

if TYPE_CHECKING:
    import h5py

SHAPES = {number: shape for shape, numbers in CELL_TYPES.items() for number in numbers}
CORNERS = {  # of a cell, in the order of DOLFINx, among its nodes in the order of VTK
    "triangle": (0, 1, 2),
    "tetrahedron": (0, 1, 2, 3),
    "quadrilateral": (0, 1, 3, 2),
    "hexahedron": (0, 1, 3, 2, 4, 5, 7, 6),
}
NODES = {"triangle": (3, 6, 10), "tetrahedron": (4, 10, 20), "quadrilateral": (4, 9, 16), "hexahedron": (8, 27, 64)}
AWAY = 1e-3  # mesh units: nodes that are farther from where they were are not those of this mesh


@dataclass(frozen=True, eq=False)
class StoredFields:
    """What fields.vtkhdf holds, on one rank."""

    path: Path
    mesh: PhaseMesh
    space: fem.FunctionSpace  # of its degree
    times: Array  # (k,) s
    _points: int
    _point: Numbers  # (local dofs) of the file

    def concentration(self, step: int) -> Array:
        """Of one snapshot: local dofs of the space, mol/m^3.

        Raises:
            InputError: The file can't be read.
        """
        n = self._points
        values = read_hdf5(self.path, lambda root: root["PointData/concentration"][step * n : (step + 1) * n])
        return np.asarray(values[self._point], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """What stands in the file."""

    shape: str
    points: Array  # (n, dim) mesh units
    connectivity: Numbers  # (m, nodes) in VTK's order
    phase: NDArray[np.uint8]  # (m,)
    facets: Numbers  # (f, 3): cell, number in it, tag
    names: tuple[str, ...]
    times: Array
    unit: float  # m
    extent: tuple[float, ...]  # mesh units


def stored_fields(path: Path) -> StoredFields:
    """Make mesh, tags and space of a run again.

    Args:
        path: Of fields.vtkhdf.

    Raises:
        InputError: The file can't be read, or was written before it held what lies beside the mesh.
    """
    arrays: _Arrays = read_hdf5(path, lambda root: _arrays(path, root))
    vertex, x = _vertices(arrays)
    mesh = create_mesh(MPI.COMM_SELF, vertex, x, arrays.shape)
    source = np.asarray(mesh.topology.original_cell_index, dtype=np.int64)  # of each cell in the file
    cells, facets = _cell_tags(mesh, arrays, source), _facet_tags(mesh, arrays, source)
    tagged = PhaseMesh(mesh, cells, facets, arrays.names, arrays.unit, arrays.extent)
    space, point = _space(mesh, arrays, source)
    return StoredFields(path, tagged, space, arrays.times, len(arrays.points), point)


def _arrays(path: Path, root: "h5py.Group") -> _Arrays:
    if FACETS not in root.parent:
        raise InputError(f"{path}: an earlier version wrote it, without what lies beside the mesh; run the case again")
    stored = root.parent[FACETS]
    unit = float(stored.attrs["unit_m"])
    extent = tuple(float(length) / unit for length in stored.attrs["extent_m"])
    points, phase, facets = root["Points"][:], root["CellData/phase"][:], stored[:]
    names = tuple(str(name) for name in root["CellData/phase"].attrs["names"])
    connectivity = root["Connectivity"][:].reshape(-1, int(root["Offsets"][1]))
    check_mesh(points, connectivity, phase, names)
    cell, number = facets[:, 0], facets[:, 1]
    if len(facets) and not (0 <= cell.min() <= cell.max() < len(phase) and 0 <= number.min() <= number.max() < 6):
        raise ValueError("a facet has a cell that is not there")
    return _Arrays(
        shape=SHAPES[int(root["Types"][0])],
        points=np.ascontiguousarray(points[:, : len(extent)] * (MICROMETRE / unit)),
        connectivity=connectivity,
        phase=phase,
        facets=facets,
        names=names,
        times=np.asarray(root["Steps/Values"][:], dtype=np.float64),
        unit=unit,
        extent=extent,
    )


def _vertices(arrays: _Arrays) -> tuple[Numbers, Array]:
    """Vertices of each cell, (m, corners), and their places; copies of a point in the file are as many here."""
    corner = arrays.connectivity[:, list(CORNERS[arrays.shape])]
    rows, vertex = np.unique(corner, return_inverse=True)
    return vertex.reshape(corner.shape).astype(np.int64), np.ascontiguousarray(arrays.points[rows])


def _cell_tags(mesh: dmesh.Mesh, arrays: _Arrays, source: Numbers) -> dmesh.MeshTags:
    cells = np.arange(len(source), dtype=np.int32)
    return dmesh.meshtags(mesh, mesh.topology.dim, cells, arrays.phase[source].astype(np.int32))


def _facet_tags(mesh: dmesh.Mesh, arrays: _Arrays, source: Numbers) -> dmesh.MeshTags:
    dim = mesh.topology.dim
    mesh.topology.create_entities(dim - 1)
    mesh.topology.create_connectivity(dim, dim - 1)
    mesh.topology.create_connectivity(dim - 1, dim)
    place = np.empty(len(source), dtype=np.int64)
    place[source] = np.arange(len(source))
    cell, number, tag = arrays.facets.T
    sides = cell_num_entities(mesh.topology.cell_type, dim - 1)  # not left to NumPy: a rank may have no cell
    facet = mesh.topology.connectivity(dim, dim - 1).array.reshape(len(source), sides)[place[cell], number]
    facets, first = np.unique(facet, return_index=True)
    return dmesh.meshtags(mesh, dim - 1, facets.astype(np.int32), tag[first].astype(np.int32))


def _space(mesh: dmesh.Mesh, arrays: _Arrays, source: Numbers) -> tuple[fem.FunctionSpace, Numbers]:
    """The space of the fields, and which point of the file each of its local dofs is."""
    degree = NODES[arrays.shape].index(arrays.connectivity.shape[1]) + 1
    variant = basix.LagrangeVariant.equispaced if degree > 2 else basix.LagrangeVariant.gll_warped

    def made(discontinuous: bool) -> tuple[fem.FunctionSpace, Numbers, bool]:
        element: Any = basix.ufl.element(
            "Lagrange", arrays.shape, degree, lagrange_variant=variant, discontinuous=discontinuous
        )
        space = fem.functionspace(mesh, element)
        dofs, x, _ = cells_of(space)
        point = np.zeros(len(x), dtype=np.int64)
        point[dofs] = arrays.connectivity[source]
        away = np.abs(x[:, : arrays.points.shape[1]] - arrays.points[point]).max(initial=0.0)
        if away > AWAY:
            raise ValueError(f"nodes are {away:.1e} pixels away from where they were")
        return space, point, bool((point[dofs] == arrays.connectivity[source]).all())

    space, point, fits = made(discontinuous=False)
    if not fits:  # an edge with both ends at the rim of a jump has values of its own on each side
        space, point, _ = made(discontinuous=True)
    return space, point


def facet_points(root: "h5py.Group") -> tuple[Array, Numbers] | None:
    """Corners of the facets that have a tag, (n, corners, 3) in µm, and their tags, (n,); None in files without them.

    Args:
        root: Of fields.vtkhdf, what VTK reads.
    """
    if FACETS not in root.parent:
        return None
    facets = root.parent[FACETS][:]
    shape = SHAPES[int(root["Types"][0])]
    nodes = int(root["Offsets"][1])
    corner = root["Connectivity"][:].reshape(-1, nodes)[:, list(CORNERS[shape])]
    dim = 2 if shape in ("triangle", "quadrilateral") else 3
    of_facet = np.array(basix.topology(getattr(basix.CellType, shape))[dim - 1])
    cell, number, tag = facets.T
    rows = np.take_along_axis(corner[cell], of_facet[number], axis=1)
    if rows.shape[1] == 4:
        rows = rows[:, [0, 1, 3, 2]]  # around the square, not in the order of a tensor product
    return root["Points"][:][rows], tag
