"""NRRD: a header of lines `field: value`, and its values after a blank line or in other files."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError, printable
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.formats.units import Scale, metres, numbers, unit_metres
from microlith.imaging.readers.described import MOST_AXES, Described, Part, beside, stored

LONGEST_HEADER = 1 << 20  # bytes
MOST_FILES = 10_000
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"} | dict.fromkeys(
    ("txt", "text", "ascii"), "text"
)
SPACE = ("domain", "space", "time", "none", "???", "")  # kinds of axes that are no samples of a pixel


def read_nrrd(path: Path, where: str) -> StoredImage:
    """Open NRRD, also compressed or with a detached header.

    The spacing counts only where the header names its unit ("units" or "space units").

    Raises:
        InputError: The file is damaged, or its data file is missing, too short or too long.
    """
    with decoding(where, "NRRD"):
        fields, lines, end = _header(path)
        axes = int(fields["dimension"])
        if not 1 <= axes <= MOST_AXES:
            raise ValueError(f"it has {axes} axes")
        sizes = [int(n) for n in fields["sizes"].split()]
        if len(sizes) != axes:
            raise ValueError(f"{len(sizes)} sizes for {axes} axes")
        samples = _axis_of_samples(fields, axes)
        encoding = ENCODINGS.get(fields["encoding"].lower())
        if encoding is None:
            raise InputError(f"{where}: its encoding {printable(fields['encoding'])} is not read; save it raw or gzip")
        found = Described(
            kind="NRRD",
            where=where,
            header=path,
            shape=tuple(sizes[::-1]),
            dtype=_dtype(fields, encoding),
            parts=_parts(path, fields, lines, end, encoding, where),
            encoding=encoding,
            skip=max(0, int(fields.get("byte skip", "0"))) if encoding not in ("raw", "text") else 0,
        )
        if samples is not None:
            if samples != 0:
                raise InputError(f"{where}: the samples of its pixels are not its fastest axis; save the labels alone")
            found = replace(found, shape=found.shape[:-1], samples=sizes[0])
        scale = _scale(fields, axes)
    if samples is not None:
        scale = replace(scale, sizes=scale.sizes[:-1], unitless=scale.unitless[:-1])
    return stored(found, scale)


def _header(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Fields, lines after the last field where they are a list of files, and where the values begin."""
    with path.open("rb") as file:
        text = file.read(LONGEST_HEADER)
    if not re.match(rb"NRRD\d{4}\s*\n", text):
        raise ValueError("it doesn't begin as NRRD")
    blank = re.search(rb"\r?\n\r?\n", text)
    lines = text[: blank.start() if blank else len(text)].decode("utf-8", "surrogateescape").splitlines()[1:]
    fields: dict[str, str] = {}
    files: list[str] | None = None
    for line in lines:
        if files is not None:
            files.append(line.strip())
            continue
        if line.startswith("#") or ":=" in line:  # a comment, or a key of the user's own
            continue
        field, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"{printable(line)} is no line of a header")
        name = field.strip().lower()
        name = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}.get(name, name)
        fields[name] = value.strip()
        if name == "data file" and value.strip().upper().startswith("LIST"):
            files = []
    for name in ("dimension", "sizes", "type", "encoding"):
        if name not in fields:
            raise ValueError(f"the field {name} is missing")
    if blank is None and "data file" not in fields:
        raise ValueError("its header doesn't end")
    return fields, [name for name in files or [] if name], blank.end() if blank else len(text)


def _dtype(fields: dict[str, str], encoding: str) -> np.dtype[np.generic]:
    name = " ".join(fields["type"].lower().split())
    code = next((code for code, names in TYPES.items() if name in names), None)
    if code is None:
        raise ValueError(f"its type {printable(name)} is unknown")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and code[1] != "1" and encoding != "text":
        raise ValueError("it doesn't say its byte order (endian)")
    return np.dtype((order or "<") + code)


def _axis_of_samples(fields: dict[str, str], axes: int) -> int | None:
    """Which axis, counted from the fastest, holds the samples of a pixel."""
    kinds = fields.get("kinds", "").lower().split()
    samples = [i for i, kind in enumerate(kinds) if kind not in SPACE] if len(kinds) == axes else []
    if len(samples) > 1:
        raise ValueError("more than one of its axes holds samples of a pixel")
    return samples[0] if samples else None


def _parts(
    path: Path, fields: dict[str, str], lines: list[str], end: int, encoding: str, where: str
) -> tuple[Part, ...]:
    """Where the values are. A name counts as a pattern only with one %d and the numbers for it."""
    bytes_before = int(fields.get("byte skip", "0")) if encoding in ("raw", "text") else 0
    lines_before = int(fields.get("line skip", "0"))
    if bytes_before < -1 or not 0 <= lines_before <= MOST_FILES:
        raise ValueError("what it says to skip makes no sense")
    data = fields.get("data file")
    if data is None:
        if lines_before:
            raise ValueError("lines to skip after a header")
        return (Part(path, -1 if bytes_before < 0 else end + bytes_before),)
    if lines:
        names = lines
    else:
        series = re.fullmatch(r"([^%]*)%(0?)(\d{0,2})d([^%]*?) +(\d{1,9}) +(\d{1,9}) +(\d{1,9})(?: +\d)?", data)
        names = [data]
        if series is not None:
            head, zero, width, tail, first, last, step = series.groups()
            count = range(int(first), int(last) + 1, int(step) or 1)
            if not 0 < len(count) <= MOST_FILES:
                raise ValueError(f"its data are in {len(count)} files")
            form = f"{zero}{width}d"
            names = [f"{head}{number:{form}}{tail}" for number in count]
    if "-" in names:
        raise InputError(f"{where}: its data file is the standard input; name a file in its header")
    return tuple(Part(beside(path, name, where), bytes_before, lines_before) for name in names)


def _scale(fields: dict[str, str], axes: int) -> Scale:
    """The size of voxels along the axes, in array order."""
    if "space directions" in fields:
        vectors = _vectors(fields["space directions"], axes)
        spacing = [None if v is None else math.hypot(*v) for v in vectors]
        space = re.findall(r'"([^"]*)"', fields.get("space units", ""))
        units = [None if v is None or len(space) != len(v) else space[_longest(v)] for v in vectors]
        source = "the file's space directions"
    else:
        words = fields.get("spacings", "").split()
        spacing = [float(word) for word in words] if len(words) == axes else [None] * axes
        named: list[str | None] = [*re.findall(r'"([^"]*)"', fields.get("units", ""))]
        units = named if len(named) == axes else [None] * axes
        source = "the file's spacings"
    known = numbers(spacing)
    sizes = tuple(
        metres(size, unit) if size is not None and unit is not None else None
        for size, unit in zip(known, units, strict=True)
    )
    unitless = tuple(
        size if unit is None or unit_metres(unit) is None else None for size, unit in zip(known, units, strict=True)
    )
    if {size for size in unitless if size is not None} <= {1.0}:
        unitless = ()  # what writers put where nobody set one
    return Scale(sizes[::-1], source, unitless[::-1])


def _vectors(text: str, axes: int) -> list[list[float] | None]:
    """A vector for each axis, None for one that is not of space."""
    found = re.findall(r"\(([^)]*)\)|\b(none)\b", text, re.IGNORECASE)
    if len(found) != axes:
        raise ValueError(f"{len(found)} space directions for {axes} axes")
    return [None if none else [float(part) for part in vector.split(",")] for vector, none in found]


def _longest(vector: list[float]) -> int:
    return max(range(len(vector)), key=lambda i: abs(vector[i]))
