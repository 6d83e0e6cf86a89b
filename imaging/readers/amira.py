"""Avizo and Amira meshes, .am: labels on a uniform lattice, binary, compressed, or written out."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, printable
from microlith.imaging.files.decoding import check_memory, decoding
from microlith.imaging.formats.stored import RawImage, StoredImage, held
from microlith.imaging.formats.units import Scale, metres, numbers
from microlith.imaging.readers.described import Described, Part, stored

LONGEST_HEADER = 1 << 20  # bytes
TYPES = {"byte": "u1", "short": "i2", "ushort": "u2", "int": "i4", "int32": "i4", "float": "f4", "double": "f8"}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def read_amira(path: Path, where: str) -> StoredImage:
    """Open the labels of an Avizo or Amira mesh, with the voxel size of its bounding box where it names its unit.

    The box runs from the middle of the first voxel to that of the last one. Where there are several fields on the
    lattice, the one named Labels is taken.

    Raises:
        InputError: The file is damaged, or holds no labels on a uniform lattice.
    """
    with decoding(where, "Avizo mesh"):
        with path.open("rb") as file:
            data = file.read(LONGEST_HEADER)
        first = data[: data.find(b"\n")].decode("ascii", "replace").strip()
        if not re.match(r"#\s*(AmiraMesh|Avizo)\b", first):
            raise ValueError("it doesn't begin as AmiraMesh or Avizo")
        start = re.search(rb"^@1\s*?\r?\n", data, re.MULTILINE)
        head = data[: start.start() if start else len(data)].decode("utf-8", "replace")
        size = re.search(r"define\s+Lattice\s+(\d+)\s+(\d+)\s+(\d+)", head)
        if size is None or not re.search(r'CoordType\s+"uniform"', head):
            raise InputError(f"{where}: holds no uniform lattice; export the labels as a label field")
        shape = tuple(int(n) for n in size.groups())[::-1]
        kind, number, coding, length = _field(head, where)
        mark = re.search(rb"^@" + number.encode() + rb"[ \t]*\r?\n", data, re.MULTILINE)
        if mark is None:
            raise ValueError(f"the values @{number} don't come within its first {LONGEST_HEADER >> 20} MB")
        order = ">" if "BINARY" in first and "LITTLE-ENDIAN" not in first else "<"
        dtype = np.dtype(order + TYPES[kind])
        scale = _scale(head, shape)
        if coding == "HxByteRLE":
            count = int(np.prod(shape)) * dtype.itemsize
            check_memory(count, where)
            values = _unrolled(path, mark.end(), length, count).view(dtype).reshape(shape)
            return held(RawImage(values, scale))
        if coding not in ("", "HxZip"):
            raise InputError(f"{where}: its values are packed as {printable(coding)}; save them unpacked")
        encoding = "text" if "ASCII" in first else "zlib" if coding else "raw"
        if (encoding == "raw" and len(re.findall(r"@\d+", head)) > 1) or encoding != "raw":
            return held(RawImage(_alone(path, mark.end(), length, shape, dtype, encoding, where), scale))
        found = Described("Avizo mesh", where, path, shape, dtype, (Part(path, mark.end()),), encoding)
    return stored(found, scale)


def _field(head: str, where: str) -> tuple[str, str, str, int]:
    """Type, number, packing and packed bytes of the labels."""
    fields = re.findall(r"Lattice\s*\{\s*(\w+)\s+(\w+)\s*\}\s*=?\s*@(\d+)(?:\((\w+),?\s*(\d*)\))?", head)
    if not fields:
        raise InputError(f"{where}: holds no values of one number on its lattice; export the labels as a label field")
    chosen = next((one for one in fields if one[1] == "Labels"), fields[0])
    if chosen[0] not in TYPES:
        raise InputError(f"{where}: its values of type {printable(chosen[0])} are no labels")
    return chosen[0], chosen[2], chosen[3], int(chosen[4] or 0)


def _scale(head: str, shape: tuple[int, ...]) -> Scale:
    box = re.search(rf"BoundingBox\s+({NUMBER}(?:\s+{NUMBER}){{5}})", head)
    if box is None:
        return Scale()
    ends = [float(text) for text in box[1].split()]
    steps = [(ends[2 * k + 1] - ends[2 * k]) / (n - 1) if n > 1 else None for k, n in enumerate(shape[::-1])][::-1]
    unit = re.search(r'Coordinates\s+"([^"]*)"', head)
    source = "the file's bounding box"
    if unit is None:
        return Scale(unitless=() if set(steps) <= {1.0, None} else numbers(steps), source=source)
    return Scale(tuple(None if step is None else metres(step, unit[1]) for step in steps), source)


def _alone(
    path: Path, offset: int, length: int, shape: tuple[int, ...], dtype: np.dtype[Any], encoding: str, where: str
) -> NDArray[Any]:
    """Values that others follow, or that are packed or written out."""
    from microlith.imaging.files.inflate import check_ratio, inflated
    from microlith.imaging.readers.described import numbers_in

    count = int(np.prod(shape))
    check_memory(count * dtype.itemsize, where)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(length) if length else file.read()
    if encoding == "zlib":
        check_ratio(len(data), "zlib", count * dtype.itemsize)
        return inflated([data], "zlib", count * dtype.itemsize).view(dtype).reshape(shape)
    if encoding == "text":
        text = re.split(rb"\n\s*@\d+", data)[0].decode("ascii")
        return numbers_in(text, dtype, count).reshape(shape)
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"expected {count * dtype.itemsize} bytes of values, got {len(data)}")
    return np.frombuffer(data, dtype, count).reshape(shape)


def _unrolled(path: Path, offset: int, length: int, count: int) -> NDArray[np.uint8]:
    """Bytes of HxByteRLE: a byte n < 128 repeats the next byte n times, else n − 128 bytes follow as they are."""
    with path.open("rb") as file:
        file.seek(offset)
        packed = file.read(length) if length else file.read()
    out = np.empty(count, np.uint8)
    at = filled = 0
    while filled < count:
        if at + 1 >= len(packed):
            raise ValueError(f"ends after {filled} of {count} bytes")
        many = packed[at] & 127
        if many == 0 or filled + many > count:
            raise ValueError("a run of its values is longer than the image")
        if packed[at] & 128:
            run = packed[at + 1 : at + 1 + many]
            if len(run) < many:
                raise ValueError(f"ends after {filled} of {count} bytes")
            out[filled : filled + many] = np.frombuffer(run, np.uint8)
            at += 1 + many
        else:
            out[filled : filled + many] = packed[at + 1]
            at += 2
        filled += many
    return out
