"""What ranks do together for a rendering: surfaces come to the first, and all hear where nothing can be rendered.

The renderer's child process must not know MPI, so this stands apart from it.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import together
from microlith.workflow.rendering.renderer import RenderingError

log = logging.getLogger(__name__)


def rendered(comm: MPI.Intracomm, draw: Callable[[], None], what: str) -> bool:
    """Whether the drawing succeeded, on all ranks; where nothing can be rendered, rank 0 warns; collective.

    Args:
        comm: All ranks.
        draw: What each rank does.
        what: Pictures that are not there then, in words.
    """

    def failure() -> str | None:
        try:
            draw()
        except RenderingError as error:
            return str(error)
        return None

    failed = comm.bcast(together(comm, failure))
    if failed is not None and comm.rank == 0:
        log.warning("no %s: rendering needs EGL (libegl1), OSMesa or a display (%s)", what, failed)
    return failed is None


def gathered(comm: MPI.Intracomm, mine: NDArray[Any]) -> NDArray[Any] | None:
    """The rows of all ranks, on rank 0."""
    parts = comm.gather(mine)
    return None if parts is None else np.concatenate(parts)
