"""`microlith fit`: least squares of the curves of a case to measured ones, and the files of it."""

import logging
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.workflow.fit.fitted import Fit, fitted
from microlith.workflow.fit.subject import Subject
from microlith.workflow.fit.writing import print_fit, write_fit
from microlith.workflow.results.folder import result_folder

log = logging.getLogger(__name__)


def fit(
    subject: Subject,
    output: Path,
    force: bool,
    starts: int | None = None,
    *,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
) -> Fit:
    """Fit a case and leave figures, table, picture, page and the fitted case in the folder `output`; collective.

    Args:
        subject: What is fitted to what.
        output: The result folder.
        force: Whether the results of an earlier fit are overwritten.
        starts: As of `fitted`.
        show: Whether to print what was found.
        comm: The ranks that share each solve.

    Raises:
        InputError: The case, its image or the folder is at fault.
    """
    with result_folder(output, force, comm, "fit") as folder:
        found = fitted(subject, starts, comm)
        names = on_first_rank(comm, lambda: write_fit(found, folder, output))
    if show:
        on_root(comm, print_fit, found)
    log.info("results: %s", ", ".join(str(output / name) for name in names))
    return found
