"""Files that appear whole under their name, or not at all."""

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from microlith.imaging.errors import InputError

UNFINISHED = ".unfinished-"  # prefix of the folder in which a run collects its files
COMPLETE = ".complete-"  # prefix of the same folder when all files of the run are in it
T = TypeVar("T")
_OF_HDF5 = re.compile(r"error message = '([^']+)'")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Temporary file beside `path` that becomes `path` when the block ends well and vanishes when it does not.

    Raises:
        InputError: The file can't be written; any OSError of the block counts as that.
    """
    temporary = None
    try:
        temporary = new_file_beside(path)
        yield temporary
        replace_file(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def new_file_beside(path: Path) -> Path:
    """An empty file of a name of its own, for what is to become `path`; it ends as that does.

    The name can't be foreseen, and the file was not there before: nobody else's is overwritten, through links neither.

    Raises:
        OSError: It can't be made.
    """
    while True:
        name = f".{path.stem[:100]}.{secrets.token_hex(6)}.part{path.suffix}"
        with suppress(FileExistsError):
            os.close(os.open(path.with_name(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return path.with_name(name)


def replace_file(temporary: Path, path: Path) -> None:
    """Give the written file its name.

    Raises:
        InputError: That failed.
    """
    try:
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The sentence about a file or folder that can't be written: missing permission, full disk and the like.

    Raises:
        InputError: It is a symbolic link to nothing.
    """
    refuse_link_to_nothing(path)
    reason = error.strerror or str(error)
    of_hdf5 = _OF_HDF5.search(reason)  # within a long sentence with times and addresses
    reason = (of_hdf5[1] if of_hdf5 else reason).lower()
    return InputError(f"{as_known(path)}: can't write here ({reason}); free or allow the space, or name another folder")


def refuse_link_to_nothing(path: Path) -> None:
    """Refuse a path that is, or lies below, a symbolic link to what is not there.

    Raises:
        InputError: As said.
    """
    for one in (path, *path.parents):
        if one.is_symlink() and not one.exists():
            raise InputError(
                f"{one}: this is a symbolic link to {one.readlink()}, which is not there; make that folder, remove the "
                "link, or name another folder"
            )


def as_known(path: Path) -> Path:
    """A path without the hidden folder of unfinished files: the user knows the result folder that it is in."""
    for hidden in path.parents:
        if hidden.name.startswith((UNFINISHED, COMPLETE)):
            return hidden.parent / path.relative_to(hidden)
    return path


class ForHdf5:
    """A new file that HDF5 writes to through Python, and hears of no error: it crashes at its end where it did.

    After an error nothing more is written; the end of the block raises it. What h5py opens is to be closed before.

    Raises:
        OSError: The file can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def __enter__(self) -> "ForHdf5":
        return self

    def __exit__(self, *_: object) -> None:
        self._tried(self._file.close)
        self.check()

    def check(self) -> None:
        """Raise the first error, if there was one; before the file is opened anew."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """All of some bytes, where the file stands."""
        left = memoryview(data).cast("B")
        size = len(left)
        while len(left) and self._error is None:
            left = left[self._tried(lambda left=left: self._file.write(left)) or 0 :]  # type: ignore[misc]
        return size

    def readinto(self, into: Any) -> int:
        """What is there, where the file stands; zeros beyond."""
        into = memoryview(into).cast("B")
        count = self._tried(lambda: self._file.readinto(into)) or 0
        into[count:] = bytes(len(into) - count)
        return len(into)

    def read(self, size: int = -1) -> bytes:
        """As `readinto`; h5py looks for this name."""
        return self._tried(lambda: self._file.read(size)) or b""

    def seek(self, place: int, origin: int = 0) -> int:
        """Go to a place."""
        return self._tried(lambda: self._file.seek(place, origin)) or 0

    def tell(self) -> int:
        """Where the file stands."""
        return self._tried(self._file.tell) or 0

    def truncate(self, size: int) -> int:
        """Make it as long as that."""
        return self._tried(lambda: self._file.truncate(size)) or size

    def flush(self) -> None:
        """Nothing: it has no buffer."""

    def _tried(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except OSError as error:
            # without its traceback, whose frames would keep h5py's objects, and with them the file, open
            self._error = self._error or error.with_traceback(None)
            return None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8; bytes of names that are no UTF-8 become question marks.

    Raises:
        InputError: The file can't be written.
    """
    with (
        whole_file(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # a full disk shows here, not after the rename
