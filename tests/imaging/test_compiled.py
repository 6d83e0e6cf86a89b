"""What numba compiles and keeps: never of files that have changed since, and no disk stops it."""

import subprocess
import sys

import pytest

INNER = """
from microlith.imaging.parallel.compiled import compiled

LIMIT = {limit}

@compiled
def inner(x):
    return x + LIMIT
"""
OUTER = """
import resource
import signal

from inner import inner

from microlith.imaging.parallel.compiled import kept

@kept
def outer(x):
    return inner(x)

if {full}:  # files can't become longer than this, as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({full}, {full}))
print(outer(1.0))
"""


def printed(folder, limit=1.0, full=0):
    (folder / "inner.py").write_text(INNER.format(limit=limit))
    if not (folder / "outer.py").exists():
        (folder / "outer.py").write_text(OUTER.format(full=full))
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import outer", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def files(folder, ending):
    return sorted(folder.rglob(f"outer*.{ending}"))


@pytest.fixture(autouse=True)
def _beside_the_source(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


def test_what_is_kept_is_taken_up_again_but_not_after_a_change_in_another_file(tmp_path):
    assert printed(tmp_path) == 2.0
    (first,) = files(tmp_path, "nbc")
    written = first.stat().st_mtime_ns
    assert printed(tmp_path) == 2.0
    assert files(tmp_path, "nbc") == [first]
    assert first.stat().st_mtime_ns == written
    assert printed(tmp_path, limit=100.0) == 101.0


def test_a_file_that_was_cut_short_is_no_obstacle(tmp_path):
    printed(tmp_path)
    for ending in ("nbc", "nbi"):
        (path,) = files(tmp_path, ending)
        whole = path.read_bytes()
        for left in (0, len(whole) // 2):
            path.write_bytes(whole[:left])
            assert printed(tmp_path) == 2.0
        path.write_bytes(whole)


def test_a_full_disk_is_no_obstacle(tmp_path):
    assert printed(tmp_path, full=1024) == 2.0
    assert not files(tmp_path, "nbc")


def test_a_place_that_nobody_can_write_to_is_no_obstacle(tmp_path, monkeypatch):
    """Nor where the home folder is none; __pycache__ is a file, which hinders root as well."""
    (tmp_path / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    assert printed(tmp_path) == 2.0
