"""What third-party readers throw and print, turned into one sentence."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microlith.imaging.errors import InputError

LONGEST_REASON = 160  # characters of a library's own message worth repeating


def check_file(path: Path, where: str) -> None:
    """Refuse what no reader could make sense of.

    Args:
        path: An existing file.
        where: Head of the message: key and file.

    Raises:
        InputError: The file is empty or must not be read.
    """
    if path.stat().st_size == 0:
        raise InputError(f"{where}: the file is empty (0 bytes); export the image again")
    if not os.access(path, os.R_OK):
        raise InputError(f"{where}: there is no permission to read the file; grant it (chmod u+r)")


@contextmanager
def decoding(where: str, kind: str) -> Iterator[None]:
    """Raise whatever a reader of files raises as an InputError.

    Args:
        where: Head of the message: key and file.
        kind: Name of the format, as in "can't be read as TIFF".

    Raises:
        InputError: Anything but lack of memory was raised inside.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise struct.error, IndexError, zlib.error, their own, ...
        raise InputError(unreadable(where, kind, str(error) or type(error).__name__)) from error


def unreadable(where: str, kind: str, reason: str) -> str:
    """The sentence that says that a file is damaged or of another kind than its name says."""
    reason = " ".join(reason.split()).rstrip(".")
    if len(reason) > LONGEST_REASON:
        reason = reason[:LONGEST_REASON].rsplit(" ", 1)[0] + " ..."
    return f"{where}: can't be read as {kind}, it is damaged, cut short or of another kind ({reason}); export it again"


@contextmanager
def silenced() -> Iterator[list[str]]:
    """Keep what C++ libraries print to the standard error from the user, who gets one sentence from us instead.

    Yields:
        A list that holds what was printed, once the block is left.
    """
    printed: list[str] = []
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no standard error, nothing to keep quiet
        yield printed
        return
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield printed
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            printed.append(sink.read().decode(errors="replace"))
