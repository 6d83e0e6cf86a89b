"""NIfTI, .nii and .nii.gz: a header of fixed length, and values whose first axis, x, runs fastest.

The header's layout is that of nifti1.h and nifti2.h (R. W. Cox and others, NIfTI Data Format Working Group).
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.formats.units import Scale, numbers
from microlith.imaging.readers.described import Described, Part, stored

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
UNITS = {1: 1.0, 2: 1e-3, 3: 1e-6}  # metres of a code
LONGEST = 540  # bytes of a header


@dataclass(frozen=True)
class _Header:
    order: str
    dim: tuple[int, ...]
    kind: int
    spacing: tuple[float, ...]
    offset: int
    slope: float
    intercept: float
    units: int


def read_nifti(path: Path, where: str) -> StoredImage:
    """Open NIfTI-1 or NIfTI-2, with the voxel size where the header names its unit.

    Axes are taken as they lie in the file, x first. Turns and mirrors of the header's transforms are left aside.

    Raises:
        InputError: The file is damaged, has its values in another file, or scales them.
    """
    packed = path.name.lower().endswith(".gz")
    with decoding(where, "NIfTI"):
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            found = _header(file.read(LONGEST))
        count = found.dim[0]
        sizes = found.dim[1 : count + 1]
        while len(sizes) > 3 and sizes[-1] == 1:
            sizes = sizes[:-1]
        if found.kind not in TYPES:
            raise InputError(f"{where}: its values of type {found.kind} are no labels; save them as whole numbers")
        if found.slope not in (0.0, 1.0) or (found.slope == 1.0 and found.intercept != 0.0):
            raise InputError(
                f"{where}: its header scales the values by {found.slope:g} and adds {found.intercept:g}; save the "
                "labels without a scale"
            )
        described = Described(
            kind="NIfTI",
            where=where,
            header=path,
            shape=sizes[::-1],
            dtype=np.dtype(found.order + TYPES[found.kind]),
            parts=(Part(path, 0 if packed else found.offset),),
            encoding="gzip" if packed else "raw",
            skip=found.offset if packed else 0,
        )
        known = numbers([abs(size) for size in found.spacing[1 : len(sizes) + 1][::-1]])
    unit = UNITS.get(found.units & 7)
    if unit is None:
        return stored(described, Scale(unitless=known, source="the file's spacing"))
    return stored(described, Scale(tuple(None if v is None else v * unit for v in known), "the file's spacing"))


def _header(data: bytes) -> _Header:
    for order in "<>":
        if len(data) >= 348 and struct.unpack_from(order + "i", data)[0] == 348:
            if data[344:347] != b"n+1":
                raise ValueError("its values are in another file: save as one file, .nii")
            dim = struct.unpack_from(order + "8h", data, 40)
            (kind,) = struct.unpack_from(order + "h", data, 70)
            spacing = struct.unpack_from(order + "8f", data, 76)
            offset, slope, intercept = struct.unpack_from(order + "3f", data, 108)
            return _checked(_Header(order, dim, kind, spacing, int(offset), slope, intercept, data[123]))
        if len(data) >= 540 and struct.unpack_from(order + "i", data)[0] == 540:
            (kind,) = struct.unpack_from(order + "h", data, 12)
            dim = struct.unpack_from(order + "8q", data, 16)
            spacing = struct.unpack_from(order + "8d", data, 104)
            (offset,) = struct.unpack_from(order + "q", data, 168)
            slope, intercept = struct.unpack_from(order + "2d", data, 176)
            (units,) = struct.unpack_from(order + "i", data, 500)
            return _checked(_Header(order, dim, kind, spacing, offset, slope, intercept, units))
    raise ValueError("it doesn't begin as NIfTI")


def _checked(found: _Header) -> _Header:
    if not 1 <= found.dim[0] <= 7 or found.offset < 0:
        raise ValueError(f"it has {found.dim[0]} axes")
    return found
