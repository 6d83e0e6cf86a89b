"""What the name of an image in a case file stands for: a file, an array in one, a folder, or a pattern of files."""

import fnmatch
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from microlith.imaging.errors import InputError, printable

CONTAINERS = (
    ".h5",
    ".hdf5",
    ".hdf",
    ".vti",
    ".mat",
)  # that may hold several arrays, of which "file.h5:/name" names one
MOST_ENTRIES = 100_000  # files and folders that a pattern may look through


def split(path: str) -> tuple[Path, str | None]:
    """File and name of the array in it, as in "file.h5:/group/image".

    Args:
        path: Where a file of exactly this name exists, it is meant, whatever colons it has.
    """
    suffixes = "|".join(re.escape(suffix) for suffix in CONTAINERS)
    match = re.fullmatch(rf"(.*(?:{suffixes})):(/.*)", path, re.IGNORECASE | re.DOTALL)
    return (Path(match[1]), match[2]) if match and not Path(path).exists() else (Path(path), None)


def has_magic(path: str, folder: str = "") -> bool:
    """Whether a name is a pattern; arguments as in `matches`."""
    return re.search(r"[*?[]", _within(path, folder)) is not None


def matches(path: str, folder: str = "") -> list[Path]:
    """The files that a pattern stands for, sorted by their text.

    As in shells `*`, `?` and `[...]` don't match a leading dot, and `**` stands for any number of folders (linked ones
    are not entered).

    Args:
        path: The pattern, with its folder.
        folder: That `path` begins with and whose characters are taken literally; empty: no part is.

    Raises:
        InputError: The pattern looks through more than MOST_ENTRIES files and folders.
    """
    pattern = Path(_within(path, folder))
    found = {Path(folder) if folder else Path(pattern.anchor)}
    budget = _Budget(path)
    parts = pattern.parts[1:] if pattern.is_absolute() else pattern.parts
    for part in parts:
        found = {match for base in found for match in _expanded(base, part, budget)}
    return sorted(match for match in found if os.path.isfile(match))


def similar(path: Path) -> str:
    """End of a sentence about a file that is not there."""
    if path.is_symlink():
        return f': it is a link to "{printable(os.readlink(path))}", where no file is; correct the link'
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, names, n=1)
    return f', did you mean "{printable(close[0])}"?' if close else "; put it there or correct the name"


def _within(path: str, folder: str) -> str:
    """The part of a path that may have a meaning."""
    head = folder.rstrip(os.sep) + os.sep
    return path[len(head) :] if folder and path.startswith(head) else path


class _Budget:
    """How many more files and folders may be looked at."""

    def __init__(self, pattern: str) -> None:
        self._left = MOST_ENTRIES
        self._pattern = pattern

    def entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """What is in a folder; nothing where it can't be read."""
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    self._left -= 1
                    if self._left < 0:
                        raise InputError(
                            f"[image] file: {printable(self._pattern)}: this pattern looks through more than "
                            f"{MOST_ENTRIES:,} files and folders; narrow it"
                        )
                    yield entry
        except OSError:
            return


def _expanded(base: Path, part: str, budget: _Budget) -> Iterator[Path]:
    if part == "**":
        yield from _below(base, budget)
    elif re.search(r"[*?[]", part):
        fits = re.compile(fnmatch.translate(part)).match
        for entry in budget.entries(base):
            if fits(entry.name) and (part.startswith(".") or not entry.name.startswith(".")):
                yield base / entry.name
    elif os.path.lexists(base / part):
        yield base / part


def _below(base: Path, budget: _Budget) -> Iterator[Path]:
    """A folder, and all that is in it and in the folders in it."""
    waiting = [base]
    while waiting:
        folder = waiting.pop()
        yield folder
        for entry in budget.entries(folder):
            if not entry.name.startswith("."):
                path = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif not os.path.isdir(path):  # of a link; False also where that must not be followed
                    yield path
