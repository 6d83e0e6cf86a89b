"""Mesh files for other programs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.writing import whole_file
from microlith.meshing.mesh.phasemesh import Parts, Triangulation

SUFFIXES = (".msh", ".vtu", ".xdmf")
CELLS = {  # shape -> meshio's name, and its order of corners
    "triangle": ("triangle", [0, 1, 2]),
    "tetrahedron": ("tetra", [0, 1, 2, 3]),
    "quadrilateral": ("quad", [0, 1, 3, 2]),
    "hexahedron": ("hexahedron", [0, 1, 3, 2, 4, 5, 7, 6]),
}


def write_mesh(path: Path | str, triangulation: Triangulation) -> None:
    """Write all triangles with their phase; lengths in micrometres, the unit of the other results.

    The phase of each triangle is its index, as cell data `phase` (.vtu, .xdmf) or as physical group with the phase's
    name (.msh in format 2.2, groups count from 1). The file appears under its name only when it is complete.

    Args:
        path: file to write; its suffix decides the format.
        triangulation: what to write.

    Raises:
        InputError: the suffix is none of .msh, .vtu and .xdmf, or the file can't be written.
    """
    t = triangulation
    vertex = np.arange(len(t.points), dtype=np.int64)
    _write(Path(path), [Parts(t.points, vertex, t.triangles, t.phase, "triangle", t.names, t.unit, t.extent)])


def write_parts(path: Path | str, parts: Parts, comm: MPI.Intracomm) -> None:
    """Write the cells of all ranks with their phase, as `write_mesh` does; collective.

    Rank 0 gathers the mesh for this, and for this only: one file for other programs has one writer.

    Args:
        path: file to write; its suffix decides the format.
        parts: what to write.
        comm: all ranks.

    Raises:
        InputError: the suffix is none of .msh, .vtu and .xdmf, or the file can't be written.
    """
    on_root(comm, _check_suffix, Path(path))
    gathered = comm.gather(parts)
    on_root(comm, _write, Path(path), gathered or [])


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: mesh files end in {', '.join(SUFFIXES)}, got '{path.suffix}'.")


def _write(path: Path, parts: list[Parts]) -> None:
    import meshio

    _check_suffix(path)
    points, cells = _joined(parts)
    kind, order = CELLS[parts[0].shape]
    phase = np.concatenate([p.phase for p in parts]).astype(np.int32)
    in_space = np.zeros((len(points), 3))
    in_space[:, : points.shape[1]] = points * (parts[0].unit * 1e6)
    mesh = meshio.Mesh(in_space, [(kind, cells[:, order])], cell_data={"phase": [phase]})
    if path.suffix == ".msh":
        mesh.cell_data = {"gmsh:physical": [phase + 1], "gmsh:geometrical": [phase + 1]}
        dim = points.shape[1]
        mesh.field_data = {name: np.array([i + 1, dim]) for i, name in enumerate(parts[0].names)}
    with whole_file(path) as part:
        if path.suffix == ".msh":
            mesh.write(part, file_format="gmsh22", binary=False)
        elif path.suffix == ".xdmf":
            mesh.write(part, data_format="XML")  # all in one file
        else:
            mesh.write(part)


def _joined(parts: list[Parts]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points, each once, and cells of all parts."""
    points = np.concatenate([p.points for p in parts])
    if len(parts) == 1:
        return points, parts[0].cells.astype(np.int64)
    _, first, place = np.unique(np.concatenate([p.vertex for p in parts]), return_index=True, return_inverse=True)
    starts = np.cumsum([0, *(len(p.points) for p in parts[:-1])])
    cells = [place.ravel()[p.cells + start] for p, start in zip(parts, starts, strict=True)]
    return points[first], np.concatenate(cells).astype(np.int64)
