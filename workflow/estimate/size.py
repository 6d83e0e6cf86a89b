"""How large the mesh of a case will be, and that of its error in space."""

from dataclasses import dataclass, replace
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.options import MeshMethod
from microlith.meshing.mesh.expected import ExpectedMesh, of_mesh
from microlith.meshing.methods import METHODS, ImageToMesh, method_name
from microlith.workflow.prepare.meshed import COARSER, CaseImage, of_tags
from microlith.workflow.storage.foreign_mesh import foreign_image_mesh


@dataclass(frozen=True)
class Sizes:
    """The meshes of a run."""

    method: MeshMethod
    own: ExpectedMesh
    coarser: ExpectedMesh | None  # that the error in space is told from; None: from the own one, or not at all


def expected_sizes(found: CaseImage) -> Sizes:
    """How large the meshes of a case will be, from its image; serial.

    Args:
        found: The case, in agreement with its image.

    Raises:
        InputError: The image, or the mesh of another program, can't be read.
    """
    case, volume, comm = found.case, found.volume, MPI.COMM_SELF
    solved = case.physics.solved
    if case.mesh.file and case.mesh.unit is not None:
        path = Path(case.mesh.file)
        mesh = foreign_image_mesh(path, case.mesh.unit, of_tags(case), volume.names, volume.unit, comm)
        return Sizes("lattice", of_mesh(mesh, solved), None)
    method = method_name(case.mesh, volume.dim)
    given = ImageToMesh(volume, case.mesh, solved, comm, found.image)
    own = METHODS[method].expected(given)
    if not case.mesh.estimate or method == "voxel":
        return Sizes(method, own, None)
    coarse = replace(given, options=replace(case.mesh, coarseness=COARSER))
    return Sizes(method, own, METHODS[method].expected(coarse))
