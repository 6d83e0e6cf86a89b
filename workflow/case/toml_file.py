"""Reads the text of a case file: its tables, keys and values, with bounds on what reading may take."""

import re
import tomllib
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError, printable

LARGEST_FILE = 1 << 22  # bytes
DEEPEST = 20  # names in a key such as regions.I.box.x, whose reading takes time and memory as their square
# Texts and comments, and outside of these a key of many names.
_TEXTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""'
    + r"|'''(?:[^']|'(?!''))*+'''"
    + r'|"(?:[^"\\\n]|\\.)*+"'
    + r"|'[^'\n]*+'|#[^\n]*+",
    re.S,
)
_DEEP_KEY = re.compile(rf'(?<![\w".-])(?:[\w-]++|"")(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"")){{{DEEPEST},}}')


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a case file.

    Raises:
        InputError: It can't be read, is no TOML, or is far larger or deeper than a case can be.
    """
    text = _text(path)
    if _DEEP_KEY.search(_TEXTS.sub('""', text)):
        raise InputError(f"{path}: not a case file: a key in it has more than {DEEPEST} names with dots between them")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {_lower(printable(str(error)))}") from error
    except ValueError as error:  # of Python's own, which reads no whole number of thousands of digits
        raise InputError(f"{path}: not valid TOML: a number in it has too many digits") from error
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such case file; `microlith init` writes one to start from") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder; name the case file in it, such as {path / 'case.toml'}") from None
    except OSError as error:
        raise InputError(f"{path}: the case file can't be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path}: expected a case file of at most {LARGEST_FILE >> 20} MiB, this one is larger")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file in UTF-8, got byte {error.start} that is not") from error


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
