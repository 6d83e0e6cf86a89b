"""The command `run`: from a case to its results in a folder."""

import logging
from pathlib import Path

from mpi4py import MPI

from microlith.workflow.case.case import Case
from microlith.workflow.results.folder import (
    CURVES,
    CURVES_PICTURE,
    DISTANCE_PICTURE,
    FIELDS,
    PARTICLES,
    PARTICLES_PICTURE,
    result_folder,
)
from microlith.workflow.run.solved import Solved, solved
from microlith.workflow.run.write import write

log = logging.getLogger(__name__)


def run(case: Case, output: Path, force: bool, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Solved:
    """Do all of it and leave the results in the folder `output`; collective.

    Args:
        case: What to do.
        output: The result folder.
        force: Whether the results of an earlier run are overwritten.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image or the folder is at fault.
    """
    with result_folder(output, force, comm) as folder:
        found = solved(case, comm)
        write(found, folder, comm)
    _tell_files(output, found)
    return found


def leave(found: Solved, output: Path, force: bool, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
    """Leave what a run has found in the folder `output`; collective.

    Args:
        found: By the ranks of `comm`.
        output: The result folder.
        force: Whether the results of an earlier run are overwritten.
        comm: The ranks that solved it.

    Raises:
        InputError: The folder can't be written.
    """
    with result_folder(output, force, comm) as folder:
        write(found, folder, comm)
    _tell_files(output, found)


def _tell_files(output: Path, found: Solved) -> None:
    """Which files to look at."""
    log.info("curves: %s", output / CURVES)
    pictures = [CURVES_PICTURE]
    if found.case.time.snapshots:
        pictures.append("snapshot-*.png")
    if found.tables:
        log.info("particles: %s", output / PARTICLES)
        pictures += [name for name in (PARTICLES_PICTURE, DISTANCE_PICTURE) if (output / name).exists()]
    log.info("pictures: %s", ", ".join(str(output / name) for name in pictures))
    if found.case.time.snapshots:
        log.info("fields: %s", output / FIELDS)
