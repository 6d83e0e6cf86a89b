"""The cache of compiled forms: who waits for whom, and what dead processes and full disks leave."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, time
import cffi, ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from microlith.imaging.errors import InputError
from microlith.meshing.distribution.compilation import share_compiled_forms

how = sys.argv[1]
compile_it = cffi.FFI.compile

def compiling(*arguments, **options):
    os.write(1, b"compiling\\n")  # FFCx keeps what is printed meanwhile
    if how == "die":
        os.kill(os.getpid(), 9)
    if how == "slow":
        time.sleep(2)
    if how == "full":
        raise OSError(28, "No space left on device")
    return compile_it(*arguments, **options)

cffi.FFI.compile = compiling
share_compiled_forms()
square = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)
try:
    fem.form(2.0 * ufl.dx(square))
except InputError as error:
    sys.exit(str(error))
print("done")
"""


def start(cache: Path, how: str = "well") -> "subprocess.Popen[str]":
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", SCRIPT, how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def said(process: "subprocess.Popen[str]") -> list[str]:
    output, trouble = process.communicate(timeout=120)
    assert process.returncode == 0, trouble
    return output.split()


def files(cache: Path, suffix: str) -> list[Path]:
    return list((cache / "microlith" / "forms").glob(f"*{suffix}"))


def test_compiled_once_and_loaded_then(tmp_path):
    assert said(start(tmp_path)) == ["compiling", "done"]
    assert said(start(tmp_path)) == ["done"]
    assert not files(tmp_path, ".lock")


def test_a_process_killed_while_it_compiles_is_in_nobodys_way(tmp_path):
    start(tmp_path, "die").wait()
    assert files(tmp_path, ".c")
    assert files(tmp_path, ".lock")
    begun = time.monotonic()
    assert said(start(tmp_path)) == ["compiling", "done"]
    assert time.monotonic() - begun < 60  # FFCx would have waited for the 90 s that it is told
    assert said(start(tmp_path)) == ["done"]
    assert not files(tmp_path, ".lock")


def test_a_living_process_is_waited_for(tmp_path):
    first = start(tmp_path, "slow")
    assert first.stdout.readline() == "compiling\n"
    assert said(start(tmp_path)) == ["done"]
    assert said(first) == ["done"]


def test_what_can_not_be_loaded_is_compiled_again(tmp_path):
    said(start(tmp_path))
    (library,) = files(tmp_path, ".so")
    library.write_bytes(library.read_bytes()[:100])
    assert said(start(tmp_path)) == ["compiling", "done"]
    assert said(start(tmp_path)) == ["done"]


@pytest.mark.parametrize(
    ("cache", "how", "words"),
    [
        ("", "full", "the disk is full, where compiled forms are kept; make room, or set XDG_CACHE_HOME"),
        ("file", "well", "can't write here (not a directory), where compiled forms are kept"),
        ("/proc", "well", "can't write here (no such file or directory), where compiled forms are kept"),
    ],
)
def test_no_room_for_compiled_forms(tmp_path, cache, how, words):
    (tmp_path / "file").touch()
    process = start(tmp_path / cache, how)
    _, trouble = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"{tmp_path / cache / 'microlith' / 'forms'}: " in trouble
    assert words in trouble.replace("disk is full where", "disk is full, where")
