"""Meshes of other programs, by meshio: simplices with a tag each, and the same on a grid of pixels or voxels.

Rank 0 reads such a file whole, and deals its cells out in slabs.
"""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array, Numbers

if TYPE_CHECKING:
    from microlith.meshing.mesh.phasemesh import ImageMesh

SUFFIXES = (".msh", ".xdmf", ".vtu", ".med", ".inp")
KINDS = {3: ("tetra", "tetra10"), 2: ("triangle", "triangle6")}  # by dimension; of higher degree only corners count
TAGS = ("gmsh:physical", "cell_tags", "phase", "medit:ref")  # names of cell data that tell phases
VOXELS = {2: 400_000, 3: 2_000_000}  # about so many in the grid that stands for the image
FILLED = 1e-6  # share of the box that cells may miss


@dataclass(frozen=True, eq=False)
class ForeignMesh:
    """Cells with tags, in metres."""

    points: Array  # (n, dim), the lowest corner at 0
    cells: Numbers  # (m, dim + 1)
    tags: Numbers  # (m,)
    names: Mapping[str, int]  # group -> tag
    extent: tuple[float, ...]  # x, y[, z]


def read_foreign(path: Path, unit: float) -> ForeignMesh:
    """Read a mesh whose coordinates count in `unit` metres.

    Raises:
        InputError: It can't be read, has no tags or no simplices, or does not fill its box.
    """
    import meshio

    try:
        with redirect_stdout(StringIO()):  # meshio prints empty lines, and JSON may be what is asked for
            found = meshio.read(path)
    except (Exception, SystemExit) as error:  # meshio ends the process where it knows no reader
        raise InputError(f"{path}: can't be read as a mesh ({type(error).__name__}: {error})") from error
    dim = 3 if any(block.type in KINDS[3] for block in found.cells) else 2
    chosen = [i for i, block in enumerate(found.cells) if block.type in KINDS[dim]]
    if not chosen:
        kinds = listed(sorted({block.type for block in found.cells})) or "none"
        raise InputError(f"{path}: expected triangles or tetrahedra, got {kinds}")
    cells = np.concatenate([np.asarray(found.cells[i].data)[:, : dim + 1] for i in chosen]).astype(np.int64)
    tags, names = _tags(path, found, chosen)
    used, rows = np.unique(cells, return_inverse=True)
    points = np.asarray(found.points, dtype=np.float64)[used]
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a point has a coordinate that is not a number")
    points = (points[:, :dim] - points[:, :dim].min(axis=0)) * unit
    cells = rows.reshape(cells.shape)
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    size = np.linalg.det(edges)
    cells[size < 0] = cells[size < 0][:, [1, 0, *range(2, dim + 1)]]
    extent = points.max(axis=0)
    full = np.prod(extent) * (6 if dim == 3 else 2)
    if abs(np.abs(size).sum() - full) > FILLED * full:
        raise InputError(
            f"{path}: the cells fill {100 * np.abs(size).sum() / full:.4g} % of their box; mesh all of a rectangle or "
            'cuboid, and give what is outside a group of its own, with the role "barrier"'
        )
    return ForeignMesh(points, cells, tags, names, tuple(float(length) for length in extent))


def _tags(path: Path, found: Any, chosen: Sequence[int]) -> tuple[Numbers, dict[str, int]]:
    """Tag of each cell, and tags by name."""
    names = {name: int(value[0]) for name, value in found.field_data.items() if np.size(value) == 2}
    names |= {name: int(tag) for tag, some in getattr(found, "cell_tags", {}).items() for name in some}
    for key in (*TAGS, *found.cell_data):
        data = found.cell_data.get(key)
        if data is not None and all(np.issubdtype(np.asarray(data[i]).dtype, np.integer) for i in chosen):
            return np.concatenate([np.asarray(data[i]).ravel() for i in chosen]).astype(np.int64), names
    sets = {
        name: some
        for name, some in found.cell_sets.items()
        if any(some[i] is not None and len(some[i]) for i in chosen)
    }
    tags = [np.full(len(found.cells[i].data), -1, np.int64) for i in range(len(found.cells))]
    for number, some in enumerate(sets.values(), start=1):
        for i in chosen:
            tags[i][np.asarray(some[i] if some[i] is not None else [], dtype=np.int64)] = number
    every = np.concatenate([tags[i] for i in chosen])
    if (every < 0).any():
        raise InputError(
            f"{path}: {int((every < 0).sum())} of {len(every)} cells are in no group; give each cell a physical "
            "group, an element set or a tag"
        )
    return every, {name: number for number, name in enumerate(sets, start=1)}


def as_image(mesh: ForeignMesh) -> tuple[Numbers, tuple[float, ...]]:
    """Tags at the centres of pixels or voxels, ([z,] y, x), and their edges in m, x, y[, z]."""
    import pyvista

    dim = len(mesh.extent)
    edge = (np.prod(mesh.extent) / VOXELS[dim]) ** (1 / dim)
    grid = [max(2, round(length / edge)) for length in mesh.extent]
    sizes = tuple(length / n for length, n in zip(mesh.extent, grid, strict=True))
    three = np.zeros((len(mesh.points), 3))
    three[:, :dim] = mesh.points / edge
    kind = pyvista.CellType.TETRA if dim == 3 else pyvista.CellType.TRIANGLE
    source = pyvista.UnstructuredGrid({kind: mesh.cells}, three)
    source.cell_data["tag"] = mesh.tags
    axes = [(np.arange(n) + 0.5) * h / edge for n, h in zip(grid, sizes, strict=True)]
    places = np.meshgrid(*axes[::-1], indexing="ij")[::-1]
    x = np.zeros((places[0].size, 3))
    for axis, place in enumerate(places):
        x[:, axis] = place.ravel()
    found = pyvista.PolyData(x).sample(source, snap_to_closest_point=True)
    return np.asarray(found.point_data["tag"]).reshape(grid[::-1]).astype(np.int64), sizes


def foreign_image_mesh(
    path: Path, unit: float, of_tag: Mapping[int, int], names: tuple[str, ...], scale: float, comm: MPI.Intracomm
) -> "ImageMesh":
    """The cells of a mesh, dealt out to all ranks; collective.

    Args:
        path: Of the file.
        unit: Of its coordinates, m.
        of_tag: Tag -> index of the phase.
        names: Of the phases.
        scale: The mesh unit, m.
        comm: All ranks.

    Raises:
        InputError: The file can't be read.
    """
    # Only here: case files are read on one rank, and PETSc, which comes with it, starts on all ranks together.
    from microlith.meshing.mesh.phasemesh import ImageMesh

    def dealt() -> list[ImageMesh]:
        mesh = read_foreign(path, unit)
        phase = np.array([of_tag[int(tag)] for tag in np.unique(mesh.tags)], np.uint8)
        of_cell = phase[np.unique(mesh.tags, return_inverse=True)[1].ravel()]
        axis = int(np.argmax(mesh.extent))
        order = np.argsort(mesh.points[mesh.cells, axis].mean(axis=1), kind="stable")
        shape = "tetrahedron" if mesh.cells.shape[1] == 4 else "triangle"
        extent = tuple(length / scale for length in mesh.extent)
        parts = []
        for some in np.array_split(order, comm.size):
            vertex, rows = np.unique(mesh.cells[some], return_inverse=True)
            cells = rows.reshape(-1, mesh.cells.shape[1]).astype(np.int32)
            points = np.asarray(mesh.points[vertex] / scale, dtype=np.float64)
            parts.append(ImageMesh(points, vertex, cells, of_cell[some], shape, names, scale, extent))
        return parts

    found: ImageMesh = comm.scatter(on_root(comm, dealt))
    return found
