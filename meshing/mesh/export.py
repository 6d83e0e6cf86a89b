"""Mesh files for other programs."""

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array, Numbers
from microlith.imaging.writing import ForHdf5, new_file_beside, whole_file
from microlith.meshing.mesh.mesh_pieces import point_numbers
from microlith.meshing.mesh.phasemesh import ImageMesh

SUFFIXES = (".msh", ".vtu", ".xdmf", ".inp", ".bdf", ".med")
CELLS = {  # shape -> meshio's name, and its order of corners
    "triangle": ("triangle", [0, 1, 2]),
    "tetrahedron": ("tetra", [0, 1, 2, 3]),
    "quadrilateral": ("quad", [0, 1, 3, 2]),
    "hexahedron": ("hexahedron", [0, 1, 3, 2, 4, 5, 7, 6]),
}
FIRST_AND_WORD = {".msh": (1, "physical group"), ".bdf": (1, "property")}  # what a phase is in a file, counted from
COMMENT = {".inp": "** ", ".bdf": "$ "}  # at the head of a line


def write_mesh(path: Path | str, image_mesh: ImageMesh, comm: MPI.Intracomm) -> None:
    """Write all cells with their phase; lengths in micrometres, the unit of the other results. Collective.

    Rank 0 gathers the mesh for this, and for this only: one file for other programs has one writer.

    Args:
        path: File to write; its suffix decides the format.
        image_mesh: What to write.
        comm: All ranks.

    Raises:
        InputError: The suffix is none of `SUFFIXES`, or the file can't be written.
    """
    on_root(comm, _check_suffix, Path(path))
    gathered = comm.gather(image_mesh)
    on_root(comm, _write, Path(path), gathered or [])


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: mesh files end in {', '.join(SUFFIXES)}, got '{path.suffix}'.")


def _write(path: Path, of_ranks: list[ImageMesh]) -> None:
    points, cells = _joined([part for part in of_ranks if len(part.cells)])
    kind, order = CELLS[of_ranks[0].shape]
    phase = np.concatenate([p.phase for p in of_ranks])
    write_cells(path, points * (of_ranks[0].unit * 1e6), kind, cells[:, order], phase, of_ranks[0].names)


def write_cells(
    path: Path, points: Array, kind: str, cells: Numbers, phase: NDArray[np.integer], names: Sequence[str]
) -> None:
    """Write cells with their phase; the file appears under its name only when it is complete.

    The phase of each cell is its index, as cell data `phase` (.vtu, .xdmf, .med), or a group of elements with the
    phase's name (.inp; and its index, where names differ by capitals or signs only), or a number counted from 1: a
    physical group (.msh in format 2.2) or a property (.bdf).

    Args:
        path: File to write; its suffix decides the format.
        points: (n, dim) in micrometres, the unit of the other results.
        kind: Of the cells, by meshio's name.
        cells: (m, corners) rows of `points`, in meshio's order.
        phase: (m,) index in `names`.
        names: Of the phases.

    Raises:
        InputError: The suffix is none of `SUFFIXES`, or the file can't be written.
    """
    import meshio

    _check_suffix(path)
    phase = phase.astype(np.int32)
    dim = points.shape[1]
    if path.suffix != ".med" or dim == 3:  # all others have three coordinates
        points = np.hstack([points, np.zeros((len(points), 3 - dim))])
    mesh = meshio.Mesh(points, [(kind, cells)], cell_data={"phase": [phase]})
    options: dict[str, Any] = {}
    if path.suffix == ".msh":
        mesh.cell_data = {"gmsh:physical": [phase + 1], "gmsh:geometrical": [phase + 1]}
        mesh.field_data = {name: np.array([i + 1, dim]) for i, name in enumerate(names)}
        options = {"file_format": "gmsh22", "binary": False}
    elif path.suffix == ".xdmf":
        options = {"data_format": "XML"}  # all in one file
    elif path.suffix == ".inp":
        mesh.cell_sets = {name: [np.flatnonzero(phase == i)] for i, name in enumerate(_set_names(names)) if i in phase}
    elif path.suffix == ".bdf":
        mesh.cell_data = {"nastran:ref": [phase + 1]}
        mesh.points = np.round(points, 9) + 0.0  # its numbers have room for small exponents only
    if path.suffix == ".med":  # HDF5, which has attributes for what comments say elsewhere
        import h5py

        with whole_file(path) as part, ForHdf5(part) as file:
            meshio.med.write(file, mesh)
            file.check()
            with h5py.File(file, "r+") as written:
                written["ENS_MAA/mesh"].attrs["DES"] = np.bytes_(contents(path, names).encode()[:200])
                written["ENS_MAA/mesh"].attrs["UNI"] = np.bytes_("um".ljust(48))
        return
    with whole_file(path) as part:
        bare = new_file_beside(path)
        try:
            mesh.write(bare, **options)
            _explain(bare, part, contents(path, names))
        finally:
            bare.unlink(missing_ok=True)


def _set_names(names: Sequence[str]) -> list[str]:
    """Names of element sets, no two of them the same: of letters, digits and underscores, whether capitals or not."""
    found = [re.sub(r"\W", "_", name) for name in names]
    alike = Counter(name.casefold() for name in found)
    return [f"{name}_{i}" if alike[name.casefold()] > 1 else name for i, name in enumerate(found)]


def contents(path: Path | str, names: Sequence[str]) -> str:
    """What numbers in a mesh file mean: the unit of length, and the phases of an image with these names."""
    first, of = FIRST_AND_WORD.get(Path(path).suffix, (0, "phase"))
    phases = ", ".join(f"{i} {name}" for i, name in enumerate(names, first))
    return f"lengths in µm; {of}: {phases}"


def _explain(bare: Path, part: Path, text: str) -> None:
    """Copy a mesh file with a comment at its head, which programs pass over and people read."""
    with bare.open("rb") as file, part.open("wb") as out:
        if part.suffix == ".msh":
            out.write(f"$Comments\n{text}\n$EndComments\n".encode())
        elif part.suffix in COMMENT:
            out.write(f"{COMMENT[part.suffix]}{text}\n".encode())
        else:
            head = file.readline()
            declared = head.startswith(b"<?xml")
            comment = f"<!-- {re.sub('-(?=-|$)', '- ', text)} -->\n".encode()
            out.write(head + comment if declared else comment + head)
        shutil.copyfileobj(file, out)


def _joined(of_ranks: list[ImageMesh]) -> tuple[Array, Numbers]:
    """Points, each once, and cells of all parts."""
    points = np.concatenate([p.points for p in of_ranks])
    if len(of_ranks) == 1:
        return points, of_ranks[0].cells.astype(np.int64)
    _, first, place = np.unique(
        np.concatenate([point_numbers(p) for p in of_ranks]), return_index=True, return_inverse=True
    )
    starts = np.cumsum([0, *(len(p.points) for p in of_ranks[:-1])])
    cells = [place.ravel()[p.cells + start] for p, start in zip(of_ranks, starts, strict=True)]
    return points[first], np.concatenate(cells).astype(np.int64)
