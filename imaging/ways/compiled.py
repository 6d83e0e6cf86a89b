"""Loops over voxels that numba compiles, once per machine."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function on its first call, and keeps it beside its source or in the user's cache, if either can be.

    Args:
        function: Of numbers, arrays and named tuples of these.
    """
    try:
        made = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no place to write to
        made = numba.njit(error_model="numpy")(function)
    return cast(Function, made)
