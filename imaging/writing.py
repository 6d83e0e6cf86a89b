"""Files that appear whole under their name, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from microlith.imaging.errors import InputError

UNFINISHED = ".unfinished-"  # prefix of the folder in which a run collects its files
COMPLETE = ".complete-"  # prefix of the same folder when all files of the run are in it


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
    """The sentence about a file or folder that can't be written: missing permission, full disk and the like."""
    reason = (error.strerror or str(error)).lower()
    return InputError(
        f"{as_known(path)}: can't write here ({reason}); free or allow the space, or name another folder with -o"
    )


def as_known(path: Path) -> Path:
    """A path without the hidden folder of unfinished files: the user knows the result folder that it is in."""
    for hidden in path.parents:
        if hidden.name.startswith((UNFINISHED, COMPLETE)):
            return hidden.parent / path.relative_to(hidden)
    return path


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
