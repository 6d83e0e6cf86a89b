"""What an exception means to the user: an exit status, and one sentence or none."""

import errno
import re
import signal
from dataclasses import dataclass

from microlith.imaging.errors import LONGEST_SENTENCE, InputError, printable

BAD_INPUT = 2
OUR_FAILURE = 1
SIGNALLED = 128  # plus the number of the signal, as shells count
CHECKPOINT = 75  # ended by a signal, with a checkpoint to go on from; what sysexits.h calls EX_TEMPFAIL
INTERRUPTED = 130  # by SIGINT
PIPE_CLOSED = 141  # by SIGPIPE

# DOLFINx on several ranks makes one RuntimeError of whatever the first rank had while it compiled a form.
_OF_FORM_CACHE = re.compile(r"just-in-time compilation of form: (.* where compiled forms are kept.*)", re.S)
_LACK_OF_MEMORY = (
    "out of memory; choose larger element sizes in [mesh], crop or coarsen the image, or take a larger machine"
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# A file or folder that the user named can't be had, for a reason that is not ours.
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG),
    *(errno.ELOOP, errno.EBUSY, errno.ETXTBSY, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ESTALE, errno.EFBIG),
)
# How libraries say that there is no memory: the C library and its loader, C++, PETSc, a rank that another one heard of.
_NO_MEMORY = re.compile(
    r"failed to map segment|is lack of memory|cannot allocate memory|bad_alloc|\] out of memory|with MemoryError:",
    re.I,
)


class Incomplete(Exception):
    """Some of what was asked for could not be done, and all else is; the text says which."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status  # of the command


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
        case Incomplete(status=int(status)):
            return Failure(status, str(error))
        case KeyboardInterrupt():
            return Failure(INTERRUPTED, "interrupted")
        case SystemExit(code=int(code)) if code == CHECKPOINT:
            return Failure(code, getattr(error, "sentence", ""))
        case SystemExit(code=int(code)) if code > SIGNALLED:
            return Failure(code, f"ended by {_signal_name(code - SIGNALLED)}")
        case BrokenPipeError():
            return Failure(PIPE_CLOSED, "")
        case OSError(errno=number) if number in _DISK_FULL:
            return Failure(BAD_INPUT, f"{_where(error)}: the disk is full; make room or choose another folder with -o")
        case OSError(errno=errno.EFBIG, filename=None):
            where = _where(error)
            return Failure(BAD_INPUT, f"{where}: a file would be larger than the system allows; raise that (ulimit -f)")
        case OSError(errno=number, filename=name) if name is not None and number in _REFUSED:
            return Failure(BAD_INPUT, f"{_where(error)}: {error.strerror}; correct this or choose another path")
    if _of_memory(error):
        return Failure(OUR_FAILURE, _LACK_OF_MEMORY)
    of_cache = _OF_FORM_CACHE.search(str(error))
    if isinstance(error, RuntimeError) and of_cache:
        return Failure(BAD_INPUT, of_cache[1])
    if type(error) is ArithmeticError:  # the solver's own, which says what to do; not a division by zero
        return Failure(OUR_FAILURE, str(error))
    if "No space left on device" in str(error):  # HDF5 and VTK say so in their own exceptions
        return Failure(BAD_INPUT, "the disk is full; make room or choose another folder with -o")
    text = printable(str(error), LONGEST_SENTENCE) or "no message"
    return Failure(
        OUR_FAILURE,
        f"internal error, please report it with the case file and the output of -v: {type(error).__name__}: {text}",
    )


def _of_memory(error: BaseException | None) -> bool:
    """Whether lack of memory is what an exception tells, or what another one told that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)[:LONGEST_SENTENCE]):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _where(error: OSError) -> str:
    return str(error.filename) if error.filename else "standard output or the results folder"
