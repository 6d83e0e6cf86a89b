"""The command `run`: from a case to its results in a folder."""

import logging
from contextlib import nullcontext
from pathlib import Path

from mpi4py import MPI

from microlith.workflow.case.case import Case
from microlith.workflow.checkpoints.checkpoints import checkpoints
from microlith.workflow.checkpoints.signals import Asked
from microlith.workflow.results.folder import (
    CURVES,
    CURVES_PICTURE,
    DISTANCE_PICTURE,
    FIELDS,
    PARTICLES,
    PARTICLES_PICTURE,
    REPORT,
    SNAPSHOT_PREFIX,
    result_folder,
)
from microlith.workflow.run.solved import Solved, solved
from microlith.workflow.run.write import write

log = logging.getLogger(__name__)


def run(
    case: Case,
    output: Path,
    force: bool,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    *,
    resume: bool = False,
    asked: Asked | None = None,
) -> Solved:
    """Do all of it and leave the results in the folder `output`; collective.

    Args:
        case: What to do.
        output: The result folder.
        force: Whether the results of an earlier run are overwritten.
        comm: The ranks that share the work.
        resume: Whether to go on from a checkpoint, where there is one.
        asked: Whether a signal asked for an end; None: signals are looked at from here on.

    Raises:
        InputError: The case, its image or the folder is at fault.
    """
    with result_folder(output, force, comm) as folder:  # noqa: SIM117 -- one line would hide what the second is
        # A case that is in memory only has no file, and no command to go on with.
        with (
            checkpoints(output, folder, case, comm, resume=resume, asked=asked)
            if case.path.is_file()
            else nullcontext() as kept
        ):
            found = solved(case, comm, kept)
            write(found, folder, comm)
    if kept is not None:
        kept.done()
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
    endings = [f".{ending}" for ending in found.case.pictures.formats]
    names = [CURVES_PICTURE]
    log.info("curves: %s", output / CURVES)
    if found.case.time.snapshots:
        names.append(f"{SNAPSHOT_PREFIX}*.png")
    if found.tables:
        log.info("particles: %s", output / PARTICLES)
        names += [PARTICLES_PICTURE, DISTANCE_PICTURE]
    pictures = [(output / name).with_suffix(endings[0]) for name in names]
    shown = [str(path) for path in pictures if "*" in path.name or path.exists()]
    more = f" (and as {', '.join(endings[1:])})" if len(endings) > 1 else ""
    log.info("pictures: %s%s", ", ".join(shown), more)
    if found.case.time.snapshots:
        log.info("fields: %s", output / FIELDS)
    log.info("report: %s", output / REPORT)
    log.info("%.1f s in all", found.provenance.run_entries()["total_s"])
    last = found.verdict.last_line()
    if last is not None:
        log.warning("%s", last)
