"""Meshes of an image whose interfaces are moved by half a voxel."""

from collections.abc import Sequence

from mpi4py import MPI

from microlith.imaging.image.half_voxel import Shift, on_finer_voxels, shifted
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.options import MeshOptions
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.meshing.methods import METHODS, ImageToMesh
from microlith.workflow.prepare.meshed import Meshed


def moved_mesh(
    meshed: Meshed, options: MeshOptions, solved: Sequence[int], shift: Shift | None, comm: MPI.Intracomm
) -> PhaseMesh | None:
    """The mesh of an image on voxels of half the edge, with interfaces moved by one of these; collective.

    Args:
        meshed: The image as it is, and the method of its mesh.
        options: Sizes of the elements, for the image as it is.
        solved: Indices of the phases that the mesh is for.
        shift: What is moved; None: nothing, for comparison.
        comm: The ranks that share the mesh.

    Returns:
        None where nothing is left of the solved phases.
    """
    method = METHODS[meshed.method]
    volume = shifted(meshed.volume, shift, comm)
    if not any(volume.counts[i] for i in solved):
        return None
    finer = on_finer_voxels(options)
    image = whole_on_root(volume, comm) if volume.dim == 2 else None
    return method.phase_mesh(method.image_mesh(ImageToMesh(volume, finer, solved, comm, image)), solved, comm)
