"""Values that a header in text describes: raw, compressed or written out, after the header or in files beside it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, printable
from microlith.imaging.files.decoding import check_file, check_memory, decoding
from microlith.imaging.files.inflate import PIECE, check_ratio, inflated
from microlith.imaging.formats import colours
from microlith.imaging.formats.in_file import InFile
from microlith.imaging.formats.stored import RawImage, StoredImage, held
from microlith.imaging.formats.units import Scale

MOST_AXES = 16
SPARE = 2  # bytes that may follow the last value: the end of a line


@dataclass(frozen=True)
class Part:
    """Where a part of the values is; the parts are equal shares of the slowest axis."""

    path: Path
    offset: int = 0  # bytes before it; negative: it is what the file ends with
    lines: int = 0  # lines before it, on top


@dataclass(frozen=True)
class Described:
    """What a header says."""

    kind: str  # name of the format, for messages
    where: str  # head of error messages: key and file
    header: Path  # the file
    shape: tuple[int, ...]  # array order, without the samples of a pixel
    dtype: np.dtype[Any]  # of a sample, in the byte order of the file
    parts: tuple[Part, ...]
    encoding: str = "raw"  # or "text", or a key of inflate.METHODS
    skip: int = 0  # decompressed bytes before the values
    samples: int | None = None  # of each pixel, along an axis that runs fastest


def stored(found: Described, scale: Scale) -> StoredImage:
    """The image that a header describes; one that lies in a single file as in memory is read in windows.

    Args:
        found: What the header says, all of it believed only as far as the files bear it out.
        scale: What it says of the size of voxels.

    Raises:
        InputError: Files are missing, have too few bytes or too many, or are damaged.
    """
    with decoding(found.where, found.kind):
        _check_sense(found)
        counts = [_bytes_left(found, part) for part in found.parts]
        files = tuple(dict.fromkeys((found.header, *(part.path for part in found.parts))))
        if found.encoding == "raw" and len(found.parts) == 1 and found.samples is None:
            offset = _checked_offset(found, found.parts[0], counts[0], _bytes(found))
            array = InFile(found.parts[0].path, found.where, found.kind, found.dtype, found.shape, offset)
            return StoredImage(found.shape, found.dtype, array.layers, scale, files=files)
        check_memory(_bytes(found), found.where)
        values = np.concatenate([_values(found, part, left) for part, left in zip(found.parts, counts, strict=True)])
        if found.samples is None:
            image = RawImage(values.reshape(found.shape), scale)
        else:
            samples = values.reshape(*found.shape, found.samples)
            image = replace(colours.from_samples(samples, found.where), scale=scale)
        return replace(held(image), files=files)


def beside(header: Path, name: str, where: str) -> Path:
    """A data file that a header names, relative to it.

    Raises:
        InputError: It is missing, or no regular file.
    """
    path = header.parent / name
    try:
        check_file(path, f"{where}: data file {printable(name)}")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        raise InputError(f"{where}: its data file {printable(name)} is not there; put it beside the header") from error
    return path


def _bytes(found: Described) -> int:
    return math.prod(found.shape) * (found.samples or 1) * found.dtype.itemsize


def _check_sense(found: Described) -> None:
    if not 0 < len(found.shape) <= MOST_AXES:
        raise ValueError(f"it has {len(found.shape)} axes")
    if any(n < 1 for n in found.shape) or not 0 < (found.samples or 1) < 1000:
        raise ValueError(f"its size is {' x '.join(map(str, found.shape[::-1]))}")
    if not found.parts or found.shape[0] % len(found.parts):
        raise ValueError(f"{len(found.parts)} data files can't hold {found.shape[0]} layers")


def _bytes_left(found: Described, part: Part) -> int:
    """Bytes of a file, once it is known to be one."""
    return check_file(part.path, found.where)


def _checked_offset(found: Described, part: Part, size: int, expected: int) -> int:
    """Where raw values begin, once the file is known to hold as many as it should."""
    offset = _after_lines(part)
    offset = size - expected if part.offset < 0 else offset + part.offset
    if offset < 0 or size < offset + expected:
        raise ValueError(f"expected {expected} bytes of values, got {max(0, size - max(0, offset))}")
    if size > offset + expected + SPARE:
        raise ValueError(f"expected {expected} bytes of values, got {size - offset}, more than its header describes")
    return offset


def _after_lines(part: Part) -> int:
    if part.lines <= 0:
        return 0
    with part.path.open("rb") as file:
        for _ in range(part.lines):
            if not file.readline(PIECE).endswith(b"\n"):
                raise ValueError(f"it has fewer than the {part.lines} lines to skip")
        return file.tell()


def _values(found: Described, part: Part, size: int) -> NDArray[Any]:
    """The values of a part, flat."""
    count = _bytes(found) // len(found.parts)
    if found.encoding == "text":
        return _written_out(found, part, size, count // found.dtype.itemsize)
    if found.encoding == "raw":
        offset = _checked_offset(found, part, size, count)
        with part.path.open("rb") as file:
            file.seek(offset)
            data = np.frombuffer(file.read(count), np.uint8)
        if len(data) < count:
            raise ValueError("the file ends before its data do")
        return data.view(found.dtype)
    offset = _after_lines(part) + max(0, part.offset)
    check_ratio(size - offset, found.encoding, count + found.skip)
    return inflated(_read(part.path, offset), found.encoding, count + found.skip)[found.skip :].view(found.dtype)


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(PIECE):
            yield piece


def _written_out(found: Described, part: Part, size: int, count: int) -> NDArray[Any]:
    offset = _after_lines(part) + max(0, part.offset)
    if count > size:
        raise ValueError(f"{count} numbers can't be written in {size} bytes")
    with part.path.open("rb") as file:
        file.seek(offset)
        return numbers_in(file.read().decode("ascii"), found.dtype, count)


def numbers_in(text: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Numbers written out, between white space or commas.

    Raises:
        ValueError: There are more or fewer, or one doesn't fit into the type.
    """
    words = text.replace(",", " ").split()
    if len(words) != count:
        raise ValueError(f"expected {count} numbers, got {len(words)}")
    numbers = np.array(words) if words else np.empty(0, "U1")
    if dtype.kind == "f":
        return numbers.astype(dtype)
    wide = numbers.astype(np.uint64 if dtype == np.uint64 else np.int64)
    values = wide.astype(dtype)
    if (values != wide).any():
        raise ValueError(f"a number is too large for its type {dtype}")
    return values
