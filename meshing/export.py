"""Mesh files for other programs."""

import os
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.meshing.errors import InputError
from microlith.meshing.phasemesh import Parts, Triangulation

SUFFIXES = (".msh", ".vtu", ".xdmf")


def write_mesh(path: Path | str, triangulation: Triangulation) -> None:
    """Write all triangles with their phase; lengths in micrometres, the unit of the other results.

    The phase of each triangle is its index, as cell data `phase` (.vtu, .xdmf) or as physical group with the phase's
    name (.msh in format 2.2, groups count from 1). The file appears under its name only when it is complete.

    Args:
        path: file to write; its suffix decides the format.
        triangulation: what to write.

    Raises:
        InputError: the suffix is none of .msh, .vtu and .xdmf.
    """
    import meshio

    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: mesh files end in {', '.join(SUFFIXES)}, got '{path.suffix}'.")
    points = np.zeros((len(triangulation.points), 3))
    points[:, :2] = triangulation.points * (triangulation.unit * 1e6)
    phase = triangulation.phase.astype(np.int32)
    mesh = meshio.Mesh(points, [("triangle", triangulation.triangles)], cell_data={"phase": [phase]})
    if path.suffix == ".msh":
        mesh.cell_data = {"gmsh:physical": [phase + 1], "gmsh:geometrical": [phase + 1]}
        mesh.field_data = {name: np.array([i + 1, 2]) for i, name in enumerate(triangulation.names)}
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if path.suffix == ".msh":
            mesh.write(part, file_format="gmsh22", binary=False)
        elif path.suffix == ".xdmf":
            mesh.write(part, data_format="XML")  # all in one file
        else:
            mesh.write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_parts(path: Path | str, parts: Parts, comm: MPI.Intracomm) -> None:
    """Write the cells of all ranks with their phase, as `write_mesh` does; collective.

    The mesh is gathered on rank 0 for this, and only for this: one file for other programs has one writer.

    Args:
        path: file to write; its suffix decides the format.
        parts: what to write.
        comm: all ranks.

    Raises:
        InputError: the suffix is none of .msh, .vtu and .xdmf, or the file can't be written.
    """
    raise NotImplementedError
