"""Memory and cells of a case before anything is made, for the request of a job."""

import math
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import label_volume
from microlith.meshing.methods import IN_PLACE, METHODS, ImageToMesh, method_name
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.checks import bytes_per_element
from microlith.workflow.prepare.region_shares import solved_flags

BASE = 400e6  # bytes of every rank: Python and its libraries
SPARE = 1.5  # times what is expected: a job that asks for too little is killed
LEAST = 50e6  # bytes to which a request is rounded up


@dataclass(frozen=True)
class Estimate:
    """What a case takes."""

    cells: float
    per_rank: float  # bytes, of the rank that needs most
    total: float  # bytes, of all ranks


def estimate(case: Case, ranks: int) -> Estimate:
    """Cells and memory of a case whose image is read, but not meshed; serial.

    Raises:
        InputError: The image can't be read, or there is none.
    """
    if case.mesh.file:
        raise InputError("--memory: the memory of a case with [mesh] file is not estimated; give that of each rank")
    comm = MPI.COMM_SELF
    volume = label_volume(case.image, case.labels, comm)
    solved = [int(i) for i in np.flatnonzero(solved_flags(case))]
    method = method_name(case.mesh, volume.dim)
    cells = METHODS[method].count(ImageToMesh(volume, case.mesh, solved, comm), 0.0)(case.mesh)
    mesh = cells * bytes_per_element(case, volume)
    share = ranks if method in IN_PLACE else 1  # gmsh makes the whole mesh on one rank
    return Estimate(cells, _with_spare(BASE + mesh / share), _with_spare(ranks * BASE + mesh))


def _with_spare(needed: float) -> float:
    return LEAST * math.ceil(SPARE * needed / LEAST)
