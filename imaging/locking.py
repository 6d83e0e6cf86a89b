"""Locks on files: a process holds one until it lets go or ends, however that is, and nobody holds one who is gone."""

import errno
import json
import os
import time
from pathlib import Path
from socket import gethostname

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

# Of file systems that can't lock
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Held(Exception):
    """Another process holds the lock; the text says which."""


class FileLock:
    """Holds a lock from `acquire` until `release`, or until the process ends."""

    def __init__(self, path: Path, descriptor: int, certain: bool) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self.certain = certain  # that no other process on this host holds it: some file systems can't lock

    @classmethod
    def acquire(cls, path: Path) -> "FileLock":
        """Hold a lock, with a file of that name that is there as long as the lock is held.

        Raises:
            Held: Another process holds it.
            OSError: The file can't be made.
        """
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            try:
                locked = _lock(descriptor)
                if locked is False:
                    raise Held(_holder(descriptor))
                if not _is(path, descriptor):  # its holder has just removed it
                    os.close(descriptor)
                    continue
                started = time.strftime("%Y-%m-%d %H:%M:%S")
                told = json.dumps({"host": gethostname(), "process": os.getpid(), "since": started})
                try:
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, told.encode(), 0)
                except OSError:  # a full disk
                    path.unlink()
                    raise
            except BaseException:
                os.close(descriptor)
                raise
            return cls(path, descriptor, locked is True)

    def release(self) -> None:
        """Let go, and leave nothing behind; a second time it does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if _is(self._path, descriptor):
                self._path.unlink()
        except OSError:
            pass  # a lock that nobody holds hinders nobody
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file: True; False: another process holds it; None: this file system can't."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _holder(descriptor: int) -> str:
    """Who says so in the file that it holds it."""
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(told['process'])} on {told['host']}, since {told['since']}"
    except (ValueError, KeyError, TypeError, OSError):
        return "a process that did not say its number"


def _is(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
