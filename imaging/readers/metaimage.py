"""MetaImage, MHA and MHD: a header of lines `Key = Value`, and its values after it or in other files."""

import re
from pathlib import Path

import numpy as np

from microlith.imaging.errors import printable
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.formats.units import Scale, numbers
from microlith.imaging.readers.described import MOST_AXES, Described, Part, beside, stored

LONGEST_LINE = 1 << 16  # bytes of a header
MOST_LINES = 10_000
DATA = "ElementDataFile"  # the last key
TYPES = {
    "CHAR": "i1",
    "UCHAR": "u1",
    "SHORT": "i2",
    "USHORT": "u2",
    "INT": "i4",
    "UINT": "u4",
    "LONG": "i4",
    "ULONG": "u4",
    "LONG_LONG": "i8",
    "ULONG_LONG": "u8",
    "FLOAT": "f4",
    "DOUBLE": "f8",
}


def read_metaimage(path: Path, where: str) -> StoredImage:
    """Open MHA or MHD.

    The format has no unit: numbers for the spacing count only once somebody says what they are.

    Raises:
        InputError: The file is damaged, or its data file is missing, too short or too long.
    """
    with decoding(where, "MetaImage"):
        fields, lines, end = _header(path)
        axes = int(fields["NDims"])
        if not 1 <= axes <= MOST_AXES:
            raise ValueError(f"it has {axes} axes")
        size = [int(n) for n in fields["DimSize"].split()]
        if len(size) != axes:
            raise ValueError(f"{len(size)} sizes for {axes} axes")
        channels = int(fields.get("ElementNumberOfChannels", "1"))
        found = Described(
            kind="MetaImage",
            where=where,
            header=path,
            shape=tuple(size[::-1]),
            dtype=_dtype(fields),
            parts=_parts(path, fields, lines, end, where),
            encoding=_encoding(fields),
            samples=channels if channels != 1 else None,
        )
        spacing = [float(n) for n in fields.get("ElementSpacing", fields.get("ElementSize", "")).split()]
        known = numbers(spacing[::-1]) if len(spacing) == axes else ()
    # A spacing of 1 is what the format's writers put where nobody set one.
    scale = Scale(unitless=() if set(known) == {1.0} else known, source="the file's spacing")
    return stored(found, scale)


def _header(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Fields, lines after the last field where they are a list of files, and where the values begin."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(MOST_LINES):
            line = file.readline(LONGEST_LINE)
            match = re.match(r"\s*(\w+)\s*[=:]\s*(.*?)\s*$", line.decode("utf-8", "surrogateescape"))
            if not line or (line.strip() and match is None):
                raise ValueError(f"{printable(repr(line[:40]))} is no line of a header")
            if match is not None:
                fields[match[1]] = match[2]
                if match[1] == DATA:
                    break
        else:
            raise ValueError(f"the key {DATA} doesn't come")
        end = file.tell()
        follow = []
        if fields[DATA].upper().startswith("LIST"):
            follow = [file.readline(LONGEST_LINE).decode("utf-8", "surrogateescape").strip() for _ in range(MOST_LINES)]
    for key in ("NDims", "DimSize", "ElementType"):
        if key not in fields:
            raise ValueError(f"the key {key} is missing")
    return fields, [line for line in follow if line], end


def _dtype(fields: dict[str, str]) -> np.dtype[np.generic]:
    name = fields["ElementType"].upper().removeprefix("MET_").removesuffix("_ARRAY")
    if name not in TYPES:
        raise ValueError(f"its type {printable(fields['ElementType'])} is unknown")
    high = any(_yes(fields.get(key, "")) for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    return np.dtype((">" if high else "<") + TYPES[name])


def _encoding(fields: dict[str, str]) -> str:
    if not _yes(fields.get("BinaryData", "True")):
        return "text"
    return "zlib" if _yes(fields.get("CompressedData", "")) else "raw"


def _yes(text: str) -> bool:
    return text[:1] in ("T", "t", "1")


def _parts(path: Path, fields: dict[str, str], lines: list[str], end: int, where: str) -> tuple[Part, ...]:
    """Where the values are. A name counts as a pattern only with one %d and the numbers for it."""
    skip = int(fields.get("HeaderSize", "0"))
    data = fields[DATA]
    if data.upper() == "LOCAL":
        return (Part(path, -1 if skip < 0 else end),)
    if lines:
        return tuple(Part(beside(path, name, where), skip) for name in lines)
    series = re.fullmatch(r"([^%]*)%(0?)(\d{0,2})d([^%]*?)\s+(\d{1,9})\s+(\d{1,9})(?:\s+(\d{1,9}))?", data)
    if series is None:
        return (Part(beside(path, data, where), skip),)
    head, zero, width, tail, first, last, step = series.groups()
    count = range(int(first), int(last) + 1, int(step or 1))
    if not 0 < len(count) <= MOST_LINES:
        raise ValueError(f"its data are in {len(count)} files")
    form = f"{zero}{width}d"
    return tuple(Part(beside(path, f"{head}{number:{form}}{tail}", where), skip) for number in count)
