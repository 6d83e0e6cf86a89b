"""Reads the text of a case file: its tables, keys and values, with bounds on what reading may take."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Literal

from microlith.imaging.errors import InputError, printable

Kind = Literal["case", "segmentation"]

LARGEST_FILE = 1 << 22  # bytes
_LONGEST_LINE = 80  # characters of a line that a message quotes
_LONGEST_READ = 500  # characters of a line in which slips are looked for, which takes their square
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
        raise _no_toml(path, kind, f"not valid TOML: {_told(text, str(error))}") from error
    except ValueError as error:  # of Python's own, which reads no whole number of thousands of digits
        raise InputError(f"{path}: not valid TOML: a number in it has too many digits") from error
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from None
    _refuse_other_kind(tables, path, kind)
    return tables


_KEY = r"\s*[\w.\"'-]+\s*"
_NUMBER = r"[+-]?[0-9][0-9._]*+(?:[eE][+-]?[0-9]+)?+"
_NAME = 'a name holds letters without accents, digits, "_" and "-", and no space'
# What people write in the place of TOML: a line of that form, its texts and comment left out, and what to tell. The
# first that fits counts.
_SLIPS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r".*[“”„‟‘’‚«»]", "these quotes are those of print; type plain ones"),
        (rf"{_KEY}==", 'one "=" stands between a key and its value'),
        (rf"{_KEY}:", '"=" stands between a key and its value'),
        (r".*{[^=}]*:", '"=" stands between a key and its value'),
        (rf"{_KEY}=\s*[+-]?[0-9]*,[0-9]", "the decimal sign is a point"),
        (rf"{_KEY}=\s*[+-]?\.[0-9]", "a digit stands before the decimal point"),
        (rf"{_KEY}=\s*(?i:true|false|yes|no|on|off)\b", "yes and no are written as true and false, in small letters"),
        (rf"{_KEY}=\s*$", "the key has no value; give it one, or remove the line"),
        (rf".*[=\[,]\s*{_NUMBER}\s*[A-Za-zµμÅ°%]", 'a quantity with its unit stands in quotes, as in "25 nm"'),
        (rf"{_KEY}=\s*(?!(?:nan|inf)\b)(?:[A-Za-z_~/]|\.+/)", 'a text stands in quotes, as in "transport"'),
        (r"\s*\[[^\]]*[^\[\]\"'A-Za-z0-9_\s.-]", _NAME),
        (r"\s*\[\s*[^\[\]]*\w\s+\w", _NAME),
        (r"\s*[\w.-]*[^\x00-\x7f][\w.-]*\s*=", _NAME),
        (r".*[\[{].*;", 'a comma stands between the entries of a list, and no ";"'),
        (r".*;\s*$|.*//", "a value ends its line; a comment begins with #"),
    )
)


def _told(text: str, sentence: str) -> str:
    """What is wrong with a text that is no TOML, after what tomllib says of it: its line, and what may be meant."""
    place = re.search(r" \(at (line (\d+), column \d+)\)$", sentence)
    if place is None:
        return _lower(printable(_plain(sentence)))
    line = text.split("\n")[int(place[2]) - 1].strip()
    words = _slip(line, _plain(sentence[: place.start()]))
    shown = line[:_LONGEST_LINE] + ("..." if len(line) > _LONGEST_LINE else "")
    return f"{_lower(printable(words))} ({place[1]}: {printable(shown)})"


def _slip(line: str, reason: str) -> str:
    """What is wrong with a line, as far as it can be told from it; else the reason that tomllib gives."""
    if reason.startswith(("Unescaped", "Invalid hex value", "Escaped character")):
        return 'a backslash is not allowed in a text; write "/" between folders, or put the text in single quotes'
    if reason.startswith("Illegal character") and line.count('"') % 2:
        return "a text has no quote at its end"
    bare = _TEXTS.sub(lambda text: "" if text[0].startswith("#") else '""', line[:_LONGEST_READ])
    if "key part" in reason or reason.startswith("Unclosed inline"):
        unclosed = bare.count("{") > bare.count("}")
        if unclosed or re.search(r",\s*(?:}|$)", bare):
            return "a table in braces stands on one line, and no comma follows its last entry"
    if "overwrite" in reason or "namespace" in reason:
        key = re.match(rf"({_KEY})=", line)
        return f"{key[1].strip()} is there already" if key else "this name is taken by another key or table"
    return next((words for pattern, words in _SLIPS if pattern.match(bare)), reason)


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
        line = content.count(b"\n", 0, error.start) + 1
        raise _no_toml(path, kind, f"not in UTF-8 (line {line}); save it in this encoding of text") from error


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
