"""Compiled forms: a cache of our own, in which a process that is killed while it compiles is in nobody's way.

FFCx keeps a form as C source, shared object and a mark that it is whole. Who finds a source without a mark waits for
it, be it of a process that compiles or of one that was killed long ago. Here who compiles holds a lock, which goes when
the process does, on shared disks too. So others wait for a living process only, as long as it takes, and what a dead
one left is compiled anew, as is what can't be loaded.
"""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from pathlib import Path
from typing import Any

from ffcx.codegeneration import jit as forms

from dolfinx import jit

from microlith.imaging.errors import InputError
from microlith.imaging.locking import FileLock, Held

PATIENCE = 90  # s, where nobody can lock: a form takes a few seconds, many times that on a machine full of work
LEAST_ROOM = 1 << 20  # bytes on a disk that is not full

_locks: list[FileLock] = []  # of what this process compiles
_plain: Callable[..., Any] = forms.get_cached_module


def form_cache() -> Path:
    """Folder of the compiled forms; all processes of a user share it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "microlith" / "forms"


def share_compiled_forms() -> None:
    """Keep compiled forms as said above, from here on and for all forms; a second time it does nothing."""
    for name, value in (("cache_dir", form_cache()), ("timeout", PATIENCE)):
        meaning = jit.DOLFINX_DEFAULT_JIT_OPTIONS[name][1]
        jit.DOLFINX_DEFAULT_JIT_OPTIONS[name] = (value, meaning)
    if forms.get_cached_module is _plain:
        forms.get_cached_module = _found_or_claimed
        forms.compile_forms = _compiling(forms.compile_forms)
        forms.compile_expressions = _compiling(forms.compile_expressions)


def _compiling(compile_objects: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which lets go of its lock at its end, and says in plain words where there is no room."""

    @wraps(compile_objects)
    def compiled(*arguments: Any, **options: Any) -> Any:
        try:
            return compile_objects(*arguments, **options)
        except InputError:
            raise
        except Exception as error:
            folder = options.get("cache_dir")
            if folder is not None:
                _refuse_trouble(Path(folder), error)
            raise
        finally:
            while _locks:
                _locks.pop().release()

    return compiled


def _refuse_trouble(folder: Path, error: Exception) -> None:
    """Raise InputError where the folder is the reason why something was not compiled."""
    advice = "where compiled forms are kept; make room, or set XDG_CACHE_HOME to another folder"
    with suppress(OSError):
        if shutil.disk_usage(folder).free < LEAST_ROOM or "No space left on device" in str(error):
            raise InputError(f"{folder}: the disk is full {advice}") from error
    if isinstance(error, OSError):
        raise InputError(f"{folder}: can't write here ({(error.strerror or str(error)).lower()}), {advice}") from error


def _found_or_claimed(name: str, objects: Sequence[str], cache_dir: Path | str, timeout: int) -> tuple[Any, Any]:
    """Objects and module of compiled forms, or nothing twice where this process is to compile them now.

    Args:
        name: Of the module.
        objects: Names of the forms in it.
        cache_dir: The folder.
        timeout: Seconds, as FFCx waits where no locks are to be had.

    Raises:
        InputError: The folder can't be written to.
    """
    folder = Path(cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            found = _loaded(folder, name, objects)
            if found is not None:
                return found
            try:
                lock = FileLock.acquire(folder / f"{name}.lock")
            except Held:
                time.sleep(0.1)
                continue
            if not lock.certain:
                lock.release()
                found = _plain(name, objects, folder, timeout)
                return found[0], found[1]
            found = _loaded(folder, name, objects)  # it may have come since
            if found is not None:
                lock.release()
                return found
            _locks.append(lock)
            for left in folder.glob(f"{name}.*"):
                if left.suffix != ".lock":
                    left.unlink(missing_ok=True)
            (folder / f"{name}.c").touch(exist_ok=False)
            return None, None
    except OSError as error:
        _refuse_trouble(folder, error)
        raise


def _loaded(folder: Path, name: str, objects: Sequence[str]) -> tuple[Any, Any] | None:
    """Objects and module if they are there, whole."""
    if not (folder / f"{name}.c.cached").exists():
        return None
    finder = FileFinder(str(folder), (ExtensionFileLoader, EXTENSION_SUFFIXES))
    finder.invalidate_caches()
    found = finder.find_spec(name)
    if found is None or found.loader is None:
        return None
    try:
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return [getattr(module.lib, each) for each in objects], module
    except (ImportError, AttributeError):  # cut short by a full disk, or of another machine
        return None
