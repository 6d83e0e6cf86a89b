"""Compressed bytes of which it is known how many they are in the end: no more are made, and no fewer accepted."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 20  # bytes read or made at a time
# How much shorter data can get at most, so that what can't be there is refused before memory is taken for it: deflate
# makes 258 bytes of 2 bits; the others have no such bound worth using.
RATIOS = {"zlib": 1032, "gzip": 1032}


class _Zlib:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=47)  # zlib or gzip, whichever the data say
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not (self._full or self._inner.unconsumed_tail)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out


METHODS: dict[str, Callable[[], Any]] = {
    "zlib": _Zlib,
    "gzip": _Zlib,
    "bzip2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}


def inflated(pieces: Iterable[bytes], method: str, count: int) -> NDArray[np.uint8]:
    """Decompressed bytes.

    Args:
        pieces: Compressed bytes, in pieces of any length; several streams may follow each other.
        method: Key of METHODS.
        count: Bytes that there have to be.

    Raises:
        ValueError: There are fewer or more.
        Exception: The decompressor's own, of damaged data.
    """
    out = np.empty(count, np.uint8)
    view, filled = out.data, 0
    decompressor = METHODS[method]()
    for piece in pieces:
        data = piece
        while data or not (decompressor.eof or decompressor.needs_input):
            if decompressor.eof:
                if not data.strip(b"\0"):
                    break  # padding
                decompressor = METHODS[method]()
            made = decompressor.decompress(data, min(PIECE, count - filled + 1))
            if filled + len(made) > count:
                raise ValueError(f"holds more than the {count} bytes that its header asks for")
            view[filled : filled + len(made)] = made
            filled += len(made)
            data = decompressor.unused_data if decompressor.eof else b""
    if filled < count or not decompressor.eof:
        raise ValueError(f"ends after {filled} of {count} bytes")
    return out


def check_ratio(compressed: int, method: str, count: int) -> None:
    """Refuse what no data of this length can hold.

    Args:
        compressed: Bytes there are.
        method: Of compression.
        count: Bytes wanted of them.

    Raises:
        ValueError: They can't be that many.
    """
    ratio = RATIOS.get(method)
    if ratio is not None and count > ratio * (compressed + 64):
        raise ValueError(f"{count} bytes can't come of {compressed} compressed ones")
