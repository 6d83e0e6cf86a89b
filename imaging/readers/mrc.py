"""MRC2014, .mrc, .map and .rec: a header of 1024 bytes, and values whose first axis, x, runs fastest.

A. Cheng and others, J. Struct. Biol. 192 (2015) 146-150, doi 10.1016/j.jsb.2015.04.002.
"""

import struct
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import StoredImage
from microlith.imaging.formats.units import Scale, metres
from microlith.imaging.readers.described import Described, Part, stored

HEADER = 1024  # bytes
TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2"}
IMOD, UNSIGNED = 1146047817, 1  # stamp and flag of programs that write bytes without a sign, unless flagged


def read_mrc(path: Path, where: str) -> StoredImage:
    """Open MRC, with the voxel size of its header, which is in ångströms.

    Raises:
        InputError: The file is damaged, holds other values than whole or real numbers, or turns its axes.
    """
    with decoding(where, "MRC"):
        with path.open("rb") as file:
            data = file.read(HEADER)
        order = _order(data)
        nx, ny, nz, mode = struct.unpack_from(order + "4i", data)
        grid = struct.unpack_from(order + "3i", data, 28)
        cell = struct.unpack_from(order + "3f", data, 40)
        axes = struct.unpack_from(order + "3i", data, 64)
        (more,) = struct.unpack_from(order + "i", data, 92)
        stamp, flags = struct.unpack_from(order + "2i", data, 152)
        if axes not in ((1, 2, 3), (0, 0, 0)):
            raise InputError(
                f"{where}: its header turns the axes ({axes[0]}, {axes[1]}, {axes[2]}); save it as x, y, z"
            )
        if mode not in TYPES:
            raise InputError(f"{where}: its values of mode {mode} are no labels; save them as whole numbers")
        unsigned = mode == 0 and stamp == IMOD and not flags & UNSIGNED
        found = Described(
            kind="MRC",
            where=where,
            header=path,
            shape=(nz, ny, nx),
            dtype=np.dtype(order + ("u1" if unsigned else TYPES[mode])),
            parts=(Part(path, HEADER + max(0, more)),),
        )
        sizes = tuple(metres(c / n, "angstrom") if n > 0 else None for c, n in zip(cell, grid, strict=True))[::-1]
        if all(c == n for c, n in zip(cell, grid, strict=True)):  # 1 Å, as programs write where nobody measured
            sizes = (None, None, None)
    return stored(found, Scale(sizes, "the file's cell"))


def _order(data: bytes) -> str:
    if len(data) < HEADER:
        raise ValueError("its header doesn't end")
    for order in "<>":
        nx, ny, nz, mode = struct.unpack_from(order + "4i", data)
        if min(nx, ny, nz) > 0 and max(nx, ny, nz) < 1 << 20 and 0 <= mode < 1 << 10:
            return order
    raise ValueError("its sizes make no sense")
