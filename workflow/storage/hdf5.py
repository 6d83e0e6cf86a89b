"""Writing HDF5 files that appear whole, on any number of ranks."""

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.typing import Array, Numbers
from microlith.imaging.writing import cannot_write, new_file_beside, replace_file

if TYPE_CHECKING:
    import h5py

    from mpi4py.MPI import Comm


def try_space(path: Path, size: int) -> None:
    """Raise OSError where the disk has no room for the file: some versions of HDF5 abort when they find that out."""
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:
            # Not every system or file system can tell.
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise


@contextmanager
def hdf5_errors(temporary: Path, name: str) -> Iterator[None]:
    """HDF5's errors of writing as ours: it reports a full disk as OSError or, on closing, as RuntimeError.

    Args:
        temporary: The file that is written.
        name: That it is to have.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        told = re.search(r"error message = '([^']*)'", str(error))
        reason = told[1] if told else getattr(error, "strerror", None) or str(error)
        raise cannot_write(temporary.with_name(name), OSError(0, reason)) from error


@contextmanager
def whole_file_of_all(path: Path, comm: "Comm") -> Iterator[Path]:
    """As `whole_file`, for all ranks together: rank 0 makes, renames or removes it."""

    def new() -> Path:
        try:
            return new_file_beside(path)
        except OSError as error:
            raise cannot_write(path, error) from error

    temporary = on_first_rank(comm, new)
    try:
        yield temporary
        on_first_rank(comm, lambda: replace_file(temporary, path))
    except BaseException:  # no word to the other ranks: they may be waiting elsewhere
        if comm.rank == 0:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def check_mesh(points: Array, cells: Numbers, phase: NDArray[np.uint8], names: Sequence[str]) -> None:
    """Refuse what can't be the mesh of a run, before a library follows its numbers.

    Args:
        points: (n, dim).
        cells: (m, nodes) rows of `points`.
        phase: (m,) rows of `names`.
        names: Of all phases.

    Raises:
        ValueError: Numbers of points, cells or phases point to nothing, or a coordinate of a point is no number.
    """
    if len(phase) != len(cells):
        raise ValueError(f"{len(cells)} cells have {len(phase)} phases")
    if len(cells) and not 0 <= cells.min() <= cells.max() < len(points):
        raise ValueError("a cell has a corner that is not there")
    if len(phase) and not 0 <= phase.min() <= phase.max() < len(names):
        raise ValueError("a cell has a phase that is not there")
    if not np.isfinite(points).all():
        raise ValueError("a point has a coordinate that is not a number")


def read_hdf5(path: Path, what: "Callable[[h5py.Group], Any]", kind: str = "fields") -> Any:
    """Something of the group that VTK reads of a file.

    Args:
        path: The file.
        what: To read.
        kind: Of the file, for messages.

    Raises:
        InputError: The file can't be read.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            return what(file["VTKHDF"])
    except InputError:
        raise
    except (OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise InputError(f"{path}: can't be read as the {kind} of a run ({error}); run the case again") from error
