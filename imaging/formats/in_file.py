"""An array that lies in a file as it would in memory, read in pieces.

It is read and not mapped: a file that another program cuts short ends a mapped array with a signal that nobody catches,
and a read with an error.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import Layers, Window, cut, everything, layers_at_once, lengths, parts

BYTES_AT_ONCE = (
    256 << 20
)  # bytes held of an array whose first axis runs fastest, each layer of which is all over the file


@dataclass(frozen=True)
class InFile:
    """Where the array is, and how it lies there."""

    path: Path
    where: str  # head of error messages: key and file
    kind: str  # name of the format, for messages
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int = 0  # bytes before it
    fortran: bool = False  # whether the first axis runs fastest

    @property
    def end(self) -> int:
        """Bytes that the file has at least."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    @property
    def layers(self) -> Layers:
        """The way to the values."""
        return partial(_backwards if self.fortran else _layers, self)


def _layers(array: InFile, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with decoding(array.where, array.kind), array.path.open("rb", buffering=0) as file:
        for part in parts(window, step):
            yield _piece(file, array, array.shape, part)


def _backwards(array: InFile, window: Window, step: int) -> Iterator[NDArray[Any]]:
    """Layers of an array that lies in the file with its axes reversed: the file is read through for many at once."""
    layer = max(1, math.prod(lengths(window)[1:]) * array.dtype.itemsize)
    many = max(1, BYTES_AT_ONCE // layer // step) * step
    reverse = array.shape[::-1]
    with decoding(array.where, array.kind), array.path.open("rb", buffering=0) as file:
        for slab in parts(window, many):
            stored = slab[::-1]
            values = np.empty(lengths(stored), array.dtype)
            first = stored[0][0]
            for part in parts(stored, layers_at_once((stored[0], *everything(reverse)[1:]))):
                values[part[0][0] - first : part[0][1] - first] = _piece(file, array, reverse, part)
            for start in range(0, slab[0][1] - slab[0][0], step):
                yield values.T[start : start + step]


def _piece(file: FileIO, array: InFile, shape: tuple[int, ...], window: Window) -> NDArray[Any]:
    """The values in a window of an array of the given shape, whose last axis runs fastest in the file."""
    last = len(shape) - 1
    if last and lengths(window)[last] != shape[last]:  # whole rows are read, and cut
        rows = _piece(file, array, shape, (*window[:last], (0, shape[last])))
        return cut(rows, (*((0, n) for n in rows.shape[:last]), window[last]))
    values = np.empty(lengths(window), array.dtype)
    # From the last axis of which the window is a part on, what is wanted lies in one piece.
    axis = max((i for i, (n, whole) in enumerate(zip(values.shape, shape, strict=True)) if n != whole), default=0)
    strides = [math.prod(shape[i + 1 :]) * array.dtype.itemsize for i in range(len(shape))]
    for place in np.ndindex(values.shape[:axis]):
        starts = [low + i for (low, _), i in zip(window, place, strict=False)] + [window[axis][0]]
        file.seek(array.offset + sum(start * stride for start, stride in zip(starts, strides, strict=False)))
        _fill(file, values[place])
    return values


def _fill(file: FileIO, values: NDArray[Any]) -> None:
    rest = values.reshape(-1).view(np.uint8).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise ValueError("the file ends before its data do")
        rest = rest[count:]
