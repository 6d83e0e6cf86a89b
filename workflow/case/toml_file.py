"""Reads the text of a case file: its tables, keys and values, with bounds on what reading may take."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Literal

from microlith.imaging.errors import InputError, printable

Kind = Literal["case", "segmentation"]

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


def read_toml(path: Path, kind: Kind = "case") -> dict[str, Any]:
    """The tables of a case file, or of a segmentation file.

    Raises:
        InputError: It can't be read, is no TOML, is far larger or deeper than a case can be, or is of the other kind.
    """
    text = _text(path, kind)
    if _DEEP_KEY.search(_TEXTS.sub('""', text)):
        raise InputError(f"{path}: not a {kind} file: a key in it has more than {DEEPEST} names with dots between them")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(path, kind, f"not valid TOML: {_lower(printable(_plain(str(error))))}") from error
    except ValueError as error:  # of Python's own, which reads no whole number of thousands of digits
        raise InputError(f"{path}: not valid TOML: a number in it has too many digits") from error
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from None
    _refuse_other_kind(tables, path, kind)
    return tables


def _plain(sentence: str) -> str:
    """What tomllib says, with the name of a table as a file has it: it shows the tuple that it keeps."""
    twice = re.match(r"Cannot declare \(('.*'),?\) twice", sentence)
    if twice is None:
        return sentence
    name = ".".join(part.strip("'") for part in twice[1].split(", "))
    return f"[{name}] is there twice{sentence[twice.end() :]}"


def _refuse_other_kind(tables: dict[str, Any], path: Path, kind: Kind) -> None:
    if kind == "case" and "segmentation" in tables and "phases" not in tables:
        command = shlex.join(["microlith", "segment", str(path)])
        raise InputError(
            f"{path}: this is a segmentation file, expected a case file; label the grey values with {command}, and "
            "name the labels as the image of a case"
        )
    if kind == "segmentation" and "phases" in tables and "segmentation" not in tables:
        raise InputError(
            f"{path}: this is a case file, expected a segmentation file; `microlith init --segment` writes one to "
            "start from"
        )


def _text(path: Path, kind: Kind) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        command = "microlith init" if kind == "case" else "microlith init --segment"
        raise InputError(f"{path}: there is no such {kind} file; `{command}` writes one to start from") from None
    except IsADirectoryError:
        name = "case.toml" if kind == "case" else "segment.toml"
        raise InputError(f"{path}: this is a folder; name the {kind} file in it, such as {path / name}") from None
    except OSError as error:
        raise InputError(f"{path}: the {kind} file can't be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise _no_toml(path, kind, f"expected a {kind} file of at most {LARGEST_FILE >> 20} MiB, this one is larger")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_toml(path, kind, f"expected a text file in UTF-8, got byte {error.start} that is not") from error


def _no_toml(path: Path, kind: Kind, words: str) -> InputError:
    """What is wrong with a text that should be TOML; of a file of another ending that it is none."""
    if path.suffix.lower() in (".toml", ".txt", ""):
        return InputError(f"{path}: {words}")
    command = "microlith init" if kind == "case" else "microlith init --segment"
    return InputError(
        f"{path}: this is no {kind} file; name one, whose [image] file is the name of the image (`{command}` writes "
        "one to start from)"
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
