"""What an exception means to the user: an exit status, and one sentence or none."""

import errno
from dataclasses import dataclass

from microlith.imaging.errors import InputError

BAD_INPUT = 2
OUR_FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE
TERMINATED = 143  # 128 + SIGTERM

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


@dataclass(frozen=True)
class Failure:
    """How a command ends that fails."""

    status: int
    sentence: str  # empty: nothing to say


def failure_of(error: BaseException) -> Failure:
    """Exit status and sentence for what went wrong."""
    match error:
        case InputError():
            return Failure(BAD_INPUT, str(error))
        case KeyboardInterrupt():
            return Failure(INTERRUPTED, "interrupted")
        case SystemExit(code=code) if code == TERMINATED:
            return Failure(TERMINATED, "terminated")
        case BrokenPipeError():
            return Failure(PIPE_CLOSED, "")
        case OSError(errno=number) if number in _DISK_FULL:
            return Failure(BAD_INPUT, f"{_where(error)}: the disk is full; make room or choose another folder with -o")
        case OSError(errno=number) if number in _REFUSED:
            return Failure(BAD_INPUT, f"{_where(error)}: {error.strerror}; correct this or choose another path")
        case MemoryError():
            return Failure(OUR_FAILURE, "out of memory; choose larger element sizes in [mesh] or a larger machine")
    if type(error) is ArithmeticError:  # the solver's own, which says what to do; not a division by zero
        return Failure(OUR_FAILURE, str(error))
    if "No space left on device" in str(error):  # HDF5 and VTK say so in their own exceptions
        return Failure(BAD_INPUT, "the disk is full; make room or choose another folder with -o")
    name = type(error).__name__
    return Failure(
        OUR_FAILURE,
        f"internal error, please report it with the case file and the output of -v: {name}: {error or 'no message'}",
    )


def _where(error: OSError) -> str:
    return str(error.filename) if error.filename else "standard output or the results folder"
