"""How large the mesh of a case will be, and that of its error in space."""

from dataclasses import replace
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.options import MeshMethod
from microlith.meshing.mesh.expected import ExpectedMesh, of_mesh
from microlith.meshing.methods import METHODS, ImageToMesh, method_name
from microlith.workflow.prepare.meshed import CaseImage, of_tags
from microlith.workflow.storage.foreign_mesh import foreign_image_mesh


def mesh_method(found: CaseImage) -> MeshMethod:
    """What makes the mesh of a case; for a mesh of another program "lattice", as in `mesh_of`."""
    case = found.case
    return "lattice" if case.mesh.file and case.mesh.unit is not None else method_name(case.mesh, found.volume.dim)


def expected_mesh(found: CaseImage, coarseness: float = 1.0) -> ExpectedMesh:
    """How large the mesh of a case will be, from its image; serial.

    Args:
        found: The case, in agreement with its image.
        coarseness: On all sizes of elements; a mesh of another program is as it is.

    Raises:
        InputError: The image, or the mesh of another program, can't be read.
    """
    case, volume, comm = found.case, found.volume, MPI.COMM_SELF
    solved = case.physics.solved
    if case.mesh.file and case.mesh.unit is not None:
        path = Path(case.mesh.file)
        return of_mesh(foreign_image_mesh(path, case.mesh.unit, of_tags(case), volume.names, volume.unit, comm), solved)
    options = replace(case.mesh, coarseness=coarseness)
    return METHODS[mesh_method(found)].expected(ImageToMesh(volume, options, solved, comm, found.image))
