"""How much memory this process has asked for and not given back, as the C library counts it."""

import ctypes

import pytest


class _Counts(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


def malloc_in_use() -> int:
    """Bytes in use; skips the test where the C library does not count."""
    count = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if count is None:
        pytest.skip("only glibc 2.33 or later counts what is in use")
    count.restype = _Counts
    found = count()
    return int(found.uordblks + found.hblkhd)
