"""Whether a file can be read at all, and what readers throw, turned into one sentence."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microlith.imaging.errors import InputError, printable
from microlith.imaging.parallel.large_arrays import available_memory

LONGEST_REASON = 160  # characters of a library's own message worth repeating


def check_file(path: Path, where: str) -> int:
    """Refuse what no reader could make sense of.

    Args:
        path: An existing file.
        where: Head of the message: key and file.

    Returns:
        Bytes of the file.

    Raises:
        InputError: It is no regular file (a pipe or a device may never end), is empty or must not be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{where}: expected a file, got {_kind(found.st_mode)}; name a regular file")
    if found.st_size == 0:
        raise InputError(f"{where}: the file is empty (0 bytes); export the image again")
    if not os.access(path, os.R_OK):
        raise InputError(f"{where}: there is no permission to read the file; grant it (chmod u+r)")
    return found.st_size


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISDIR, "a folder"), (stat.S_ISSOCK, "a socket"))
    return next((name for fits, name in kinds if fits(mode)), "a device")


def check_memory(nbytes: int, where: str) -> None:
    """Refuse what can't be held, before anybody tries.

    Raises:
        InputError: The machine has less memory free than the image needs.
    """
    free = available_memory()
    if nbytes > free:
        raise InputError(
            f"{where}: its header asks for {nbytes / 1e9:.3g} GB of pixels, which are read all at once in this format, "
            f"and {free / 1e9:.3g} GB are free; it is damaged, or save it as uncompressed TIFF or NPY"
        )


@contextmanager
def decoding(where: str, kind: str) -> Iterator[None]:
    """Raise whatever a reader of files raises as an InputError.

    Args:
        where: Head of the message: key and file.
        kind: Name of the format, as in "can't be read as TIFF".

    Raises:
        InputError: Anything was raised inside.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(unreadable(where, kind, "it asks for more memory than there is")) from error
    except Exception as error:  # decoders raise struct.error, IndexError, zlib.error, their own, ...
        raise InputError(unreadable(where, kind, str(error) or type(error).__name__)) from error


def unreadable(where: str, kind: str, reason: str) -> str:
    """The sentence that says that a file is damaged or of another kind than its name says."""
    reason = printable(" ".join(reason.split()), 10 * LONGEST_REASON).rstrip(".")
    if len(reason) > LONGEST_REASON:
        reason = reason[:LONGEST_REASON].rsplit(" ", 1)[0] + " ..."
    return f"{where}: can't be read as {kind}, it is damaged, cut short or of another kind ({reason}); export it again"
