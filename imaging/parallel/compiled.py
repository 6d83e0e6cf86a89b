"""Loops over voxels and cells that numba compiles, once per machine."""

import hashlib
import pickle
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from microlith.imaging.errors import InputError

# What libraries raise that don't fit each other: a name or module that is gone, binary data of another size, a library
# of the system that is missing. Lack of memory and the like are none of that.
MISFITS = (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError, ValueError)
try:
    import numba
    from llvmlite.binding import get_host_cpu_name
except MISFITS as error:
    raise InputError(
        f"numba can't be loaded, with which loops over voxels are compiled ({type(error).__name__}: {error}); install "
        "releases of numba and NumPy that fit each other"
    ) from error

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function together with those that call it.

    Args:
        function: Of numbers, arrays and named tuples of these.
    """
    return cast(Function, numba.njit(error_model="numpy")(function))


def inlined(function: Function) -> Function:
    """Compiles a function into those that call it: a call hands over each part of each array, which takes longer.

    Args:
        function: As in `compiled`; short.
    """
    return cast(Function, numba.njit(error_model="numpy", forceinline=True)(function))


def kept(function: Function) -> Function:
    """Compiles a function on its first call, and keeps it beside its source or in the user's cache, if either can be.

    numba would take up again what it has kept as long as the file with the function stays the same. But constants and
    functions of other files are compiled into it. So what is kept has a name by all files of the folder. And by the
    processor: of two kinds of nodes that write at once one might get what the other has made.

    Args:
        function: As in `compiled`; that Python calls.
    """
    stamp = hashlib.sha256(get_host_cpu_name().encode())
    for path in sorted(Path(function.__code__.co_filename).parent.glob("[!.]*.py")):
        stamp.update(path.read_bytes())
    anew = compiled(function)
    function.__qualname__ = f"{function.__name__}_{stamp.hexdigest()[:12]}"
    try:
        made: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no place to write to
        return anew

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal made
        try:
            return made(*arguments)
        except (OSError, EOFError, pickle.UnpicklingError):  # the disk is full, or was when this was written
            made = anew
            return made(*arguments)

    return cast(Function, call)
