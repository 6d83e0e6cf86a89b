"""How large the mesh of a case will be, and that of its error in space; how many interfaces its image has."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import MeshMethod
from microlith.imaging.typing import Phases
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.methods import FOREIGN, METHODS, ImageToMesh, method_name
from microlith.workflow.prepare.meshed import COARSER, CaseImage, of_tags
from microlith.workflow.storage.foreign_mesh import foreign_image_mesh
from microlith.workflow.storage.mesh_file import cells_of_phases

LAYERS = 8


def mesh_method(found: CaseImage) -> MeshMethod:
    """What makes the mesh of a case, or whose ways a mesh of another program goes."""
    mesh = found.case.mesh
    return FOREIGN if mesh.unit is not None else method_name(mesh, found.volume.dim)


def foreign_mesh(found: CaseImage) -> ImageMesh | None:
    """The mesh of another program that a case has; None where it has none; serial.

    Args:
        found: The case, in agreement with its image.

    Raises:
        InputError: The mesh can't be read.
    """
    case, volume = found.case, found.volume
    path, unit = Path(case.mesh.file), case.mesh.unit
    if unit is None:
        return None
    return foreign_image_mesh(path, unit, *of_tags(case), volume.names, volume.unit, MPI.COMM_SELF)


def interface_faces(volume: LabelVolume) -> float:
    """About how many faces of voxels lie between two phases; serial. Of a volume some layers are looked at.

    Args:
        volume: The image.

    Raises:
        InputError: It can't be read.
    """
    if volume.dim == 2:
        return _faces(volume.read(volume.whole_window).phase)
    chosen = np.unique(np.linspace(0, volume.shape[0] - 1, LAYERS).round().astype(np.int64))
    rest = volume.whole_window[1:]
    seen = sum(_faces(volume.read(((int(k), int(k) + 1), *rest)).phase[0]) for k in chosen)
    return 1.5 * seen * volume.shape[0] / len(chosen)  # of three directions two lie within a layer


def _faces(phase: Phases) -> float:
    return float(sum(np.count_nonzero(np.diff(phase.astype(np.int16), axis=axis)) for axis in range(phase.ndim)))


def expected_mesh(found: CaseImage, coarseness: float = 1.0) -> ExpectedMesh:
    """How large the mesh of a case will be, from its image; serial.

    Args:
        found: The case, in agreement with its image; without a mesh of another program.
        coarseness: On all sizes of elements.

    Raises:
        InputError: The image, or a mesh that is there already, can't be read.
    """
    case, volume, comm = found.case, found.volume, MPI.COMM_SELF
    solved = case.physics.solved
    options = replace(case.mesh, coarseness=coarseness)
    expected = METHODS[mesh_method(found)].expected(ImageToMesh(volume, options, solved, comm, found.image))
    counts = _stored_cells(found, coarseness)
    if counts is None or expected.solved <= 0:
        return expected
    own = float(sum(counts[i] for i in solved))
    entities = tuple(number * own / expected.solved for number in expected.entities)
    return replace(expected, cells=float(sum(counts)), entities=entities)


def is_there(found: CaseImage, coarseness: float = 1.0) -> bool:
    """Whether a mesh is read, and not made."""
    mesh = found.case.mesh
    return bool(mesh.file) and (mesh.unit is not None or _stored_cells(found, coarseness) is not None)


def _stored_cells(found: CaseImage, coarseness: float) -> tuple[int, ...] | None:
    """Cells of each phase in the mesh that `microlith mesh` wrote; None where there is none."""
    mesh = found.case.mesh
    if not mesh.file or mesh.unit is not None or coarseness not in (1.0, COARSER):
        return None
    return cells_of_phases(Path(mesh.file), found.volume.names, coarser=coarseness == COARSER)
