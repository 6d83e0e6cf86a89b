"""Passes over large arrays in pieces that fit the processor's cache: distinct values, counts, new names for values."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Flags, Indices, Integers, Numbers

VALUES_AT_ONCE = 1 << 20  # values per piece
POINTS_AT_ONCE = 8192  # points or cells at a time, where what is computed on the way is to stay in the cache
SHORT = 2  # bytes up to which a table of all possible values is the quickest way
SPAN = 1 << 20  # from the lowest to the highest value of longer ones, up to which a table of all between is


def row_chunks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views of `values` along its first axis, of about VALUES_AT_ONCE values each."""
    for part in row_slices(values.shape):
        yield values[part]


def cached_slices(count: int) -> Iterator[slice]:
    """Pieces of `count` points or cells for each of which some ten values are computed."""
    return row_slices((count,), POINTS_AT_ONCE)


def row_slices(shape: tuple[int, ...], values: int = VALUES_AT_ONCE) -> Iterator[slice]:
    """Pieces of the first axis of an array, of about so many values each."""
    rows = max(1, values // max(1, int(np.prod(shape[1:]))))
    for first in range(0, shape[0], rows):
        yield slice(first, first + rows)


def count_values(values: NDArray[Any], limit: int | None = None) -> dict[int, int] | None:
    """Distinct values of an integer array and how often each occurs.

    Args:
        values: Integers of any shape, type and byte order.
        limit: Stop where there are more than this many distinct values.

    Returns:
        Value -> count, in ascending order; None where there are more values than `limit`, which is found as soon as a
        piece of the array shows it.
    """
    return _count_short(values, limit) if values.dtype.itemsize <= SHORT else _count_long(values, limit)


def _count_short(values: NDArray[Any], limit: int | None) -> dict[int, int] | None:
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    total = np.zeros(1 << 8 * unsigned.itemsize, np.int64)
    for part in row_chunks(values):
        total += np.bincount(part.astype(unsigned, copy=False).ravel(order="K"), minlength=total.size)
        if limit is not None and np.count_nonzero(total) > limit:
            return None
    # Negative values wrapped round to the upper half of the table; the cast brings them back.
    found = np.flatnonzero(total)
    labels = found.astype(unsigned).astype(values.dtype)
    return dict(sorted(zip(map(int, labels), map(int, total[found]), strict=True)))


def _count_long(values: NDArray[Any], limit: int | None) -> dict[int, int] | None:
    known = np.empty(0, values.dtype.newbyteorder("="))
    counts: dict[int, int] = {}
    for part in row_chunks(values):
        flat = part.ravel(order="K").astype(known.dtype, copy=False)
        if not flat.size:
            continue
        low, high = flat.min(), flat.max()
        if int(high) - int(low) < SPAN:
            table = np.bincount((flat - low).astype(np.intp))
            places = np.flatnonzero(table)
            found = zip((int(low) + int(place) for place in places), map(int, table[places]), strict=True)
        else:
            places, unknown = _look_up(known, flat)
            while unknown.any():
                # A few of the unknown values at a time: sorting all of them would cost far more than looking them up.
                known = np.union1d(known, flat[unknown][: VALUES_AT_ONCE >> 6])
                if limit is not None and known.size > limit:
                    return None
                places, unknown = _look_up(known, flat)
            found = zip(map(int, known), map(int, np.bincount(places, minlength=known.size)), strict=True)
        for label, count in found:
            if count:
                counts[label] = counts.get(label, 0) + count
        if limit is not None and len(counts) > limit:
            return None
    return dict(sorted(counts.items()))


def _look_up(known: NDArray[Any], flat: NDArray[Any]) -> tuple[Numbers, Flags]:
    """Place of each value in the sorted `known`, and which values are not there."""
    if not known.size:
        return np.zeros(flat.size, np.intp), np.ones(flat.size, bool)
    places = np.searchsorted(known, flat)
    np.minimum(places, known.size - 1, out=places)
    return places, known[places] != flat


class Renaming:
    """Names for values, looked up in a table of all values between the lowest and the highest where it is small."""

    def __init__(self, names: Mapping[int, int]) -> None:
        """Prepare the table.

        Args:
            names: Every value that occurs -> its name, 0 to 255.
        """
        values = sorted(names)
        self._base = values[0] if values else 0
        self._names = np.array([names[value] for value in values], np.uint8)
        self._values = values
        self._table: NDArray[np.uint8] | None = None
        if values and values[-1] - values[0] < SPAN:
            self._table = np.zeros(values[-1] - values[0] + 1, np.uint8)
            self._table[[value - self._base for value in values]] = self._names

    def __call__(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Each value replaced by its name; integers of any shape, type and byte order."""
        out = np.empty(values.shape, np.uint8)
        native = values.dtype.newbyteorder("=")
        if native.itemsize <= SHORT:
            unsigned = np.dtype(f"u{native.itemsize}")
            whole = np.zeros(1 << 8 * unsigned.itemsize, np.uint8)
            whole[np.array(self._values, native).astype(unsigned)] = self._names
            for part in row_slices(values.shape):
                np.take(whole, values[part].astype(unsigned, copy=False), out=out[part], mode="clip")
        elif self._table is not None:
            base = native.type(self._base)
            for part in row_slices(values.shape):
                places = (values[part].astype(native, copy=False) - base).astype(np.intp)
                np.take(self._table, places, out=out[part], mode="clip")
        else:
            known = np.array(self._values, native)
            for part in row_slices(values.shape):
                np.take(self._names, np.searchsorted(known, values[part]), out=out[part], mode="clip")
        return out


def renamed(values: NDArray[Any], names: Mapping[int, int]) -> NDArray[np.uint8]:
    """Each value replaced by its name; arguments as of Renaming."""
    return Renaming(names)(values)


def connected_sets(pairs: Numbers, count: int) -> tuple[int, Indices]:
    """Number of the connected sets of 0 ... count - 1 that pairs (n, 2) join, and the set of each."""
    from scipy import sparse  # late: what only reads images does without
    from scipy.sparse import csgraph

    graph = sparse.coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return csgraph.connected_components(graph, directed=False)


def unique_pairs(one: Integers, other: Integers) -> Numbers:
    """Distinct pairs (n, 2) of whole numbers below 2^31."""
    key = np.unique(one.astype(np.int64).ravel() << 32 | other.astype(np.int64).ravel())
    return np.stack([key >> 32, key & 0xFFFFFFFF], axis=1)


def available_memory() -> float:
    """Bytes that are free for use without swapping, as far as the system tells."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:  # not Linux
        pass
    return 0.75 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
