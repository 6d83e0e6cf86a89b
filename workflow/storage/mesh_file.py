"""Meshes of all phases as a run takes them: written and read by all ranks, with what they were made of.

The file is an UnstructuredGrid in VTK's HDF format, which PyVista and ParaView open: points in micrometres, the phase
of each cell. Beside that, the group `microlith` holds what viewers have no use for: the points as the mesher left them,
to the last bit, what the mesh was made of, and a mesh of larger cells for the estimate of the error in space.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.options import MeshMethod, MeshOptions, SizeWithin
from microlith.imaging.parallel.collective import in_turn, on_first_rank, together
from microlith.imaging.parallel.row_exchange import RowExchange
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.export import CELLS
from microlith.meshing.mesh.mesh_pieces import point_numbers
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.workflow.storage.hdf5 import check_mesh, hdf5_errors, try_space, whole_file_of_all

if TYPE_CHECKING:
    import h5py

SUFFIX = ".vtkhdf"
GROUP = "microlith"  # beside what VTK reads
COARSER = "coarser"  # in it: the mesh that the error in space is told from
FORMAT = 1  # of the group
VTK_TYPES = {"triangle": 5, "tetrahedron": 10, "quadrilateral": 9, "hexahedron": 12}
MICROMETRE = 1e-6
HEADERS = 1 << 16  # bytes in the file that are no array, generously


@dataclass(frozen=True)
class Recipe:
    """What a mesh was made of, and how."""

    method: MeshMethod
    options: MeshOptions
    solved: tuple[str, ...]  # phases that it was made for
    names: tuple[str, ...]  # of all phases
    image: str  # fingerprint of the phases of all voxels
    shape: tuple[int, ...]  # voxels, ([z,] y, x)
    unit: float  # m
    extent: tuple[float, ...]  # edge lengths of the image in mesh units, x, y[, z]


def write_mesh_file(
    path: Path, recipe: Recipe, image_mesh: ImageMesh, coarser: ImageMesh | None, comm: MPI.Intracomm
) -> None:
    """Write a mesh for `[mesh] file`; collective.

    The ranks write one after the other; nothing is gathered. On as many ranks each gets its own cells again.

    Args:
        path: The file; it appears whole or not at all.
        recipe: What the mesh was made of.
        image_mesh: The cells of this rank.
        coarser: The same, of a mesh of larger cells, on all ranks or on none.
        comm: All ranks.

    Raises:
        InputError: The file can't be written.
    """
    meshes = {"": image_mesh} if coarser is None else {"": image_mesh, COARSER: coarser}
    numbered = {name: _Numbered.of(mesh, comm) for name, mesh in meshes.items()}
    with whole_file_of_all(path, comm) as temporary:
        on_first_rank(comm, lambda: _frame(temporary, path, recipe, list(numbered.items())))
        in_turn(comm, lambda: _change(temporary, path, numbered))


@dataclass(frozen=True, eq=False)
class _Numbered:
    """What a rank writes of a mesh: its cells by points that are numbered on through all ranks, and its points."""

    shape: str
    points: Array  # (n, dim) this rank's share
    vertex: Numbers | None  # (n,) of each of these, where opposite ones have one number; None: nothing is periodic
    cells: Numbers  # (m, k) in VTK's order
    phase: "np.typing.NDArray[np.uint8]"
    first_point: int
    first_cell: int
    all_points: int
    parts: tuple[int, ...]  # cells of each rank

    @classmethod
    def of(cls, mesh: ImageMesh, comm: MPI.Intracomm) -> "_Numbered":
        number, mine = _contiguous(point_numbers(mesh), comm)
        owned = comm.allgather(int(np.count_nonzero(mine)))
        parts = tuple(comm.allgather(len(mesh.cells)))
        order = CELLS[mesh.shape][1]
        return cls(
            mesh.shape,
            np.ascontiguousarray(mesh.points[mine]),
            mesh.vertex[mine] if mesh.periodic else None,
            np.ascontiguousarray(number[mesh.cells][:, order]).reshape(-1, len(order)),
            mesh.phase,
            sum(owned[: comm.rank]),
            sum(parts[: comm.rank]),
            sum(owned),
            parts,
        )


def _contiguous(vertex: Numbers, comm: MPI.Intracomm) -> tuple[Numbers, Flags]:
    """Numbers of this rank's points that are contiguous over all ranks, and which points are its own to write."""
    route = RowExchange(np.asarray(vertex % comm.size), comm)
    arrived = route.send(np.ascontiguousarray(vertex))
    first = np.zeros(len(arrived), bool)  # the first rank that has a point owns it
    _, places, one_of = np.unique(arrived, return_index=True, return_inverse=True)
    first[places] = True
    mine = route.answer(first)
    count = int(np.count_nonzero(mine))
    number = np.cumsum(mine, dtype=np.int64) - 1 + (comm.scan(count) - count)
    told = route.send(number)
    return route.answer(told[places][one_of.ravel()]), mine


def _frame(temporary: Path, path: Path, recipe: Recipe, meshes: Sequence[tuple[str, _Numbered]]) -> None:
    """Make the file: all that is small filled, arrays allotted."""
    import h5py

    sizes = [m.all_points * 8 * 4 + sum(m.parts) * (10 + 8 * m.cells.shape[1]) for _, m in meshes]
    with hdf5_errors(temporary, path.name):
        try_space(temporary, sum(sizes) + HEADERS)
    with hdf5_errors(temporary, path.name), h5py.File(temporary, "w") as file:
        main = meshes[0][1]
        _grid(file.create_group("VTKHDF"), recipe.names, main)
        group = file.create_group(GROUP)
        _write_recipe(group, recipe)
        for name, mesh in meshes:
            one = group.create_group(name) if name else group
            cells, corners = sum(mesh.parts), mesh.cells.shape[1]
            one.create_dataset("points", (mesh.all_points, len(recipe.extent)), np.float64)
            if mesh.vertex is not None:
                one.create_dataset("vertex", (mesh.all_points,), np.int64)
            one["parts"] = np.array(mesh.parts, dtype=np.int64)
            one.attrs["shape"] = mesh.shape
            if name:
                one.create_dataset("cells", (cells * corners,), np.int64)
                one.create_dataset("phase", (cells,), np.uint8)
            else:
                one["cells"] = h5py.SoftLink("/VTKHDF/Connectivity")
                one["phase"] = h5py.SoftLink("/VTKHDF/CellData/phase")


def _grid(root: "h5py.Group", names: Sequence[str], mesh: _Numbered) -> None:
    """What VTK reads."""
    cells, corners = sum(mesh.parts), mesh.cells.shape[1]
    root.attrs["Version"] = np.array([2, 2], dtype=np.int64)
    root.attrs.create("Type", b"UnstructuredGrid", dtype="S16")  # VTK wants it of fixed length, in ASCII
    for name, number in (("Points", mesh.all_points), ("Cells", cells), ("ConnectivityIds", cells * corners)):
        root[f"NumberOf{name}"] = np.array([number], dtype=np.int64)
    root.create_dataset("Points", (mesh.all_points, 3), np.float32).attrs["unit"] = "um"
    root.create_dataset("Connectivity", (cells * corners,), np.int64)
    root["Offsets"] = np.arange(cells + 1, dtype=np.int64) * corners
    root["Types"] = np.full(cells, VTK_TYPES[mesh.shape], dtype=np.uint8)
    root.create_dataset("CellData/phase", (cells,), np.uint8).attrs["names"] = [str(name) for name in names]


def _write_recipe(group: "h5py.Group", recipe: Recipe) -> None:
    from importlib.metadata import version

    options = asdict(recipe.options)
    options.pop("file")
    group.attrs["format"] = FORMAT
    group.attrs["version"] = version("microlith")
    group.attrs["recipe"] = json.dumps({**asdict(recipe), "options": options})


def _change(temporary: Path, path: Path, meshes: dict[str, _Numbered]) -> None:
    """Write this rank's share of the arrays."""
    import h5py

    with hdf5_errors(temporary, path.name), h5py.File(temporary, "r+") as file:
        for name, mesh in meshes.items():
            one = file[GROUP][name] if name else file[GROUP]
            here = slice(mesh.first_point, mesh.first_point + len(mesh.points))
            one["points"][here] = mesh.points
            if mesh.vertex is not None:
                one["vertex"][here] = mesh.vertex
            if not name:
                recipe = json.loads(one.attrs["recipe"])
                um = np.zeros((len(mesh.points), 3), np.float32)
                um[:, : mesh.points.shape[1]] = mesh.points * (recipe["unit"] / MICROMETRE)
                file["VTKHDF/Points"][here] = um
            corners = mesh.cells.shape[1]
            first, last = mesh.first_cell, mesh.first_cell + len(mesh.cells)
            one["cells"][first * corners : last * corners] = mesh.cells.ravel()
            one["phase"][first:last] = mesh.phase


# --- reading ---


def read_recipe(path: Path, comm: MPI.Intracomm) -> Recipe:
    """What a mesh file was made of; collective.

    Raises:
        InputError: The file can't be read, or is no such file.
    """
    return on_first_rank(comm, lambda: _opened(path, partial(_recipe, path)))


def read_mesh_file(
    path: Path, recipe: Recipe, comm: MPI.Intracomm, *, on_first: bool, coarser: bool = False
) -> ImageMesh | None:
    """A mesh from a file; collective.

    Args:
        path: Of the file.
        recipe: Of it.
        comm: All ranks.
        on_first: Whether rank 0 takes all cells, as methods do that mesh on one rank; else each takes a share, and on
            as many ranks as wrote the file the one that it had then.
        coarser: Whether the mesh of larger cells is wanted.

    Returns:
        The mesh; None on all ranks where there is no such mesh in the file.

    Raises:
        InputError: The file can't be read, or its numbers point to nothing.
    """
    found = on_first_rank(comm, lambda: _opened(path, partial(_outline, coarser)))
    if found is None:
        return None
    shape, points, parts = found
    first, last = _share(parts, on_first, comm)
    corners = len(CELLS[shape][1])
    share = -(-points // comm.size) if not on_first else points
    low, high = (min(points, share * (comm.rank + end)) for end in (0, 1)) if not on_first or not comm.rank else (0, 0)

    def arrays(file: "h5py.File") -> tuple[Numbers, Any, Array, Numbers]:
        one = file[GROUP][COARSER] if coarser else file[GROUP]
        cells = one["cells"][first * corners : last * corners].reshape(-1, corners)
        if len(cells) and not 0 <= cells.min() <= cells.max() < points:
            raise ValueError("a cell has a corner that is not there")
        numbers = one["vertex"][low:high] if recipe.options.periodic else np.arange(low, high)
        return cells.astype(np.int64), one["phase"][first:last], one["points"][low:high], numbers

    cells, phase, own, numbers = together(comm, lambda: _opened(path, arrays))
    point, place = np.unique(cells, return_inverse=True)
    route = RowExchange(point // max(share, 1), comm)
    asked = route.send(point)
    x = route.answer(np.ascontiguousarray(own)[asked - low].reshape(-1, len(recipe.extent)))
    rows = place.reshape(cells.shape)[:, CELLS[shape][1]].astype(np.int32)
    together(comm, lambda: _checked(path, x, rows, phase, recipe.names))
    return ImageMesh(
        points=x.reshape(-1, len(recipe.extent)),
        vertex=route.answer(np.asarray(numbers, np.int64)[asked - low]),
        cells=np.ascontiguousarray(rows),
        phase=np.asarray(phase, np.uint8),
        shape=shape,
        names=recipe.names,
        unit=recipe.unit,
        extent=recipe.extent,
        periodic=tuple(AXES.index(axis) for axis in recipe.options.periodic),
    )


def cells_of_phases(path: Path, names: Sequence[str], *, coarser: bool = False) -> tuple[int, ...] | None:
    """How many cells a mesh file has in each of the phases; serial.

    Args:
        path: Of the file.
        names: Of the phases.
        coarser: Whether the mesh of larger cells is meant.

    Returns:
        Numbers of cells; None where there is no such mesh in the file.

    Raises:
        InputError: The file can't be read.
    """

    def counted(file: "h5py.File") -> tuple[int, ...] | None:
        if _outline(coarser, file) is None:
            return None
        one = file[GROUP][COARSER] if coarser else file[GROUP]
        return tuple(int(n) for n in np.bincount(one["phase"][:], minlength=len(names))[: len(names)])

    return _opened(path, counted)


def _share(parts: tuple[int, ...], on_first: bool, comm: MPI.Intracomm) -> tuple[int, int]:
    """First and last (exclusive) of the cells that this rank takes."""
    total = sum(parts)
    if on_first:
        return (0, total) if comm.rank == 0 else (total, total)
    if len(parts) == comm.size:
        return sum(parts[: comm.rank]), sum(parts[: comm.rank + 1])
    return total * comm.rank // comm.size, total * (comm.rank + 1) // comm.size


def _outline(coarser: bool, file: "h5py.File") -> tuple[str, int, tuple[int, ...]] | None:
    """Shape of the cells, number of points, and cells of each rank that wrote them."""
    group = file[GROUP]
    if coarser and COARSER not in group:
        return None
    one = group[COARSER] if coarser else group
    shape, parts = str(one.attrs["shape"]), tuple(int(n) for n in one["parts"][:])
    corners = len(CELLS[shape][1])
    if min(parts, default=0) < 0 or len(one["cells"]) != sum(parts) * corners or len(one["phase"]) != sum(parts):
        raise ValueError("its arrays have other lengths than it says")
    return shape, len(one["points"]), parts


def _recipe(path: Path, file: "h5py.File") -> Recipe:
    if GROUP not in file:
        raise InputError(
            f"{path}: this is no mesh that microlith mesh CASE -o FILE.vtkhdf wrote: it does not say what it is made of"
        )
    group = file[GROUP]
    if int(group.attrs["format"]) != FORMAT:
        raise InputError(f"{path}: microlith {group.attrs['version']} wrote it in another format; mesh the case again")
    found = json.loads(str(group.attrs["recipe"]))
    for key in ("solved", "names", "shape", "extent"):
        found[key] = tuple(found[key])
    options = MeshOptions(**found["options"])
    parts = tuple(
        SizeWithin(**{**part, "low": tuple(part["low"]), "high": tuple(part["high"])})
        for part in found["options"].get("size_in", ())
    )
    return Recipe(**{**found, "options": replace(options, size_in=parts, periodic=tuple(options.periodic))})


def _checked(path: Path, points: Array, cells: Any, phase: Any, names: Sequence[str]) -> None:
    try:
        check_mesh(points, cells, phase, names)
    except ValueError as error:
        raise _damaged(path, error) from error


def _opened(path: Path, what: Any) -> Any:
    """Something of a mesh file."""
    import h5py

    try:
        with h5py.File(path) as file:
            return what(file)
    except InputError:
        raise
    except (OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: can't be read as a mesh ({error}); write it anew with microlith mesh CASE -o FILE")
