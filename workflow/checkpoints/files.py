"""Files of checkpoints: a list that names all others with their checksums, written last; two lists take turns."""

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from microlith.imaging.writing import new_file_beside

FORMAT = 1
SLOTS = ("first.json", "second.json")
PIECE = 1 << 22  # bytes read at a time


@dataclass(frozen=True)
class Part:
    """A file, or the beginning of one that grows."""

    name: str
    size: int  # bytes that count
    crc: int  # of these


@dataclass
class Listing:
    """What one checkpoint is."""

    number: int  # they count up
    run: int  # number of the process that wrote it: in the names of its files
    version: str
    case: dict[str, str]  # table of the case file -> fingerprint of it
    ranks: int
    saved: str  # date and time
    mesh: str  # file with the mesh; empty: the case names its own
    # integration -> entries (kind, key, numbers, whether there is a vector), in their order, and standing
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)


class Damaged(ValueError):
    """A checkpoint is not what it was."""


def crc_of(path: Path, size: int | None = None) -> Part:
    """Checksum of a file, or of its first bytes.

    Raises:
        OSError: It can't be read.
    """
    left, crc, total = size, 0, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE if left is None else min(PIECE, left)):
            crc, total = zlib.crc32(piece, crc), total + len(piece)
            left = None if left is None else left - len(piece)
    return Part(path.name, total, crc)


def synced(path: Path) -> None:
    """Have what is in a file on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_listing(folder: Path, listing: Listing) -> None:
    """Write a list in the place of the older of the two; it appears whole or not at all."""
    path = folder / SLOTS[listing.number % 2]
    body = json.dumps(asdict(listing), sort_keys=True)
    text = json.dumps({"format": FORMAT, "sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body})
    temporary = new_file_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        synced(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_listing(path: Path) -> Listing:
    """Read a list.

    Raises:
        Damaged: It is not what was written.
    """
    try:
        outer = json.loads(path.read_text(encoding="utf-8"))
        body = str(outer["body"])
        if outer["format"] != FORMAT or hashlib.sha256(body.encode()).hexdigest() != outer["sha256"]:
            raise Damaged(f"{path.name} is not what was written")
        found = json.loads(body)
        return Listing(**{**found, "parts": [Part(**part) for part in found["parts"]]})
    except Damaged:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{path.name} can't be read ({type(error).__name__})") from error


def check_part(folder: Path, part: Part) -> None:
    """Hold a file against its checksum.

    Raises:
        Damaged: It is another one.
    """
    try:
        found = crc_of(folder / part.name, part.size)
    except OSError as error:
        raise Damaged(f"{part.name} can't be read ({error.strerror})") from error
    if found != part:
        raise Damaged(f"{part.name} is not what was written")
