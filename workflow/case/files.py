"""Files that a case names."""

from pathlib import Path

from microlith.imaging.errors import InputError, printable
from microlith.imaging.files.names import has_magic, matches, similar, split
from microlith.workflow.schema.kinds import Place


def image_path(name: str, folder: Path, at: Place) -> str:
    """Absolute name of a file, folder, glob or "file.h5:/dataset".

    Raises:
        InputError: There is no such thing.
    """
    try:
        path = (folder / Path(name).expanduser()).absolute()
        file, dataset = split(str(path))
        if path.exists() or (dataset is not None and file.is_file()):
            return str(path)
        literal = str(folder.absolute())
        pattern = has_magic(str(path), literal)
        if pattern and matches(str(path), literal):
            return str(path)
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # name too long, no permission, a NUL, no such ~user
        raise at.error(f'"{printable(name)}" can\'t be read: {error}') from error
    if pattern:
        raise at.error(f'no file matches "{path}"; correct the pattern')
    raise at.error(f'there is no file "{path}"{similar(path)}')


def file_path(name: str, folder: Path, at: Place) -> str:
    """Absolute name of one file.

    Raises:
        InputError: There is no such file.
    """
    try:
        path = (folder / Path(name).expanduser()).absolute()
        if path.is_file():
            return str(path)
        there = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise at.error(f'"{printable(name)}" can\'t be read: {error}') from error
    if there:
        raise at.error(f'"{path}" is a folder; name a file')
    raise at.error(f'there is no file "{path}"{similar(path)}')
