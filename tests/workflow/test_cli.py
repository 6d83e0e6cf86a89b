"""The command line: what it writes, what it says, and its exit status, alone and under mpirun."""

import errno
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import made_cases
import numpy as np
import pytest
from case_files import CASE, RICH, SMALL, edited, write_case
from full_disks import files_of_at_most
from places import PROJECT

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.workflow import cli
from microlith.workflow.case.case import Case
from microlith.workflow.case.read import load_case
from microlith.workflow.estimate.estimate import Estimate
from microlith.workflow.schema.keys import CASE as TOP_LEVEL
from microlith.workflow.schema.reference import json_schema, markdown_reference

IMAGE = LabelImage(np.arange(40, dtype=np.uint8).reshape(8, 5) % 4, ("pore", "sei", "grain", "metal"), (1e-8, 1e-8))
TEMPLATE = PROJECT / "workflow" / "template.toml"
ESTIMATE = Estimate(
    *(1, "lattice", 1, 212_345, 300_000, 36_120, 24, False, "cg"),
    *(1_204_000_000, 1_204_000_000, 64.0, 64.0, 9_000_000, 5_000_000),
)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """In place of the pipeline: notes how it is called, raises what `error` holds."""
    seen = SimpleNamespace(calls=[], error=None)

    def note(*arguments: Any, **named: Any) -> None:
        seen.calls.append((*arguments[1:], named))
        if seen.error is not None:
            raise seen.error

    def check(case: Case) -> SimpleNamespace:
        note(case)
        return SimpleNamespace(case=case, volume=volume_of(IMAGE, MPI.COMM_SELF))

    fake: Any = SimpleNamespace(check=check, mesh=note, run=note)
    monkeypatch.setattr("microlith.workflow.estimate.estimate.of_checked", lambda _: ESTIMATE)
    for name in ("run.pipeline", "prepare.assemble"):
        monkeypatch.setitem(sys.modules, f"microlith.workflow.{name}", fake)
        monkeypatch.setattr(f"microlith.workflow.{name}", fake, raising=False)
    return seen


def microlith(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """A process of its own."""
    command = [sys.executable, "-m", "microlith.workflow.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


# --- init, schema, template ---


def test_init_writes_the_template_and_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "case"
    assert cli.main(["init", str(folder)]) == 0
    assert (folder / "case.toml").read_text() == TEMPLATE.read_text()
    assert "case.toml" in capsys.readouterr().err
    (folder / "case.toml").write_text("mine")
    assert cli.main(["init", str(folder)]) == 2
    assert (folder / "case.toml").read_text() == "mine"
    assert "not overwritten" in capsys.readouterr().err
    assert cli.main(["init", str(folder / "case.toml")]) == 2
    assert "name a folder" in capsys.readouterr().err


def test_init_on_a_full_disk_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with files_of_at_most(100):
        assert cli.main(["init", str(tmp_path / "new" / "case")]) == 2
    assert "can't write here (file too large)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "-q"]) == 0
    assert (tmp_path / "case.toml").exists()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def template_choices() -> list[tuple[str, str]]:
    """Header of the table, with a "#" where the table itself is a choice, and line of each choice in a comment."""
    found, header = [], ""
    for line in TEMPLATE.read_text().splitlines():
        if re.match(r"(# )?\[", line):
            header = line
        elif re.match(r"# [a-z_]+ = ", line):
            found.append((header, line[2:]))
    return found


def with_choice(header: str, choice: str, beside: str = "") -> str:
    """The template with one of its choices made, in place of what it says else."""
    text = TEMPLATE.read_text()
    key = choice.partition(" = ")[0]
    if key == "uptake":
        text = text.replace('role = "barrier"', 'role = "sink"')
    if header == "# [[interfaces]]":
        text = text.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-16 m^2/s"')
    table, start, rest = text.partition(header)
    end = rest.find("\n[") if "\n[" in rest else len(rest)
    inside = re.sub(rf"^{key} = .*$", "", rest[:end], flags=re.M)
    return f"{table}{start.removeprefix('# ')}\n{choice}\n{beside}\n{inside}{rest[end:]}"


def test_template_is_valid_and_its_choices_too(tmp_path: Path) -> None:
    """The template as it is, and with each choice that it offers in a comment."""
    for name in ("electrode.tif", "regions.tif"):
        (tmp_path / name).touch()
    file = tmp_path / "case.toml"
    file.write_text(TEMPLATE.read_text())
    load_case(file)
    choices = template_choices()
    needed = {  # next to a choice that says nothing alone
        "partition": 'between = ["sei_cb", "particle"]',
        "exchange": 'between = ["sei_cb", "particle"]',
        "film": 'between = ["sei_cb", "particle"]',
        "between": "partition = 2.0",
        "threshold": 'surface = "particle"',
        "phases": 'flux = "1 mol/m^2/s"',
    }
    schema = jsonschema.Draft202012Validator(json_schema())
    for header, choice in choices:
        text = with_choice(header, choice, needed.get(choice.partition(" = ")[0], ""))
        file.write_text(text)
        load_case(file)
        schema.validate(tomllib.loads(text))
    keys = {choice.partition(" = ")[0] for _, choice in choices}
    everything = {"crop", "raw", "concentration", "diffusivity", "uptake", "connected_to", "between", "film", "flux"}
    assert everything | {"current_density", "surface", "threshold", "labels", "method", "max_solves"} <= keys


CASE_FILES = [path for path in sorted((PROJECT / "cases").rglob("*.toml")) if not path.stem.endswith("-segment")]


@pytest.mark.parametrize("path", [TEMPLATE, *CASE_FILES], ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_json_schema_accepts_what_the_project_ships(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(tomllib.loads(path.read_text()))


def test_json_schema_is_valid_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (CASE, SMALL, RICH):
        jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))
    assert all("description" in key for key in schema["properties"].values())
    assert schema["properties"]["image"]["properties"]["voxel_size"]["anyOf"][0]["examples"] == ["12.5 nm"]


def test_reference_names_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "--markdown"]) == 0
    text = capsys.readouterr().out
    assert text == markdown_reference() + "\n"
    kept = PROJECT / "docs" / "case-file.md"
    assert kept.read_text(encoding="utf-8") == text, "renew it: microlith schema --markdown > docs/case-file.md"
    for key in TOP_LEVEL.keys:
        assert f"`{key.name}`" in text or f"[{key.name}" in text
    for name in (
        "voxel_size",
        "mass_transfer",
        "gap_elements",
        "snapshots",
        "polygon",
        "max_solves",
        "connected_to",
        "partition",
        "current_density",
        "interpolation",
        "capacity",
        "concentrations",
        "expression",
        "threshold",
    ):
        assert f"| `{name}` |" in text


def test_the_parser_of_keys_and_the_data_classes_agree() -> None:
    """Each option of mesh, time and solver can be set from the case file."""
    from dataclasses import fields

    from microlith.imaging.options import MeshOptions
    from microlith.solver.options import SolverOptions, TimeSpan
    from microlith.workflow.schema.tables import Table

    for name, options in (("mesh", MeshOptions), ("time", TimeSpan), ("solver", SolverOptions)):
        table = TOP_LEVEL.key(name).kind
        assert isinstance(table, Table)
        settable = {f.name for f in fields(options)} - {
            "coarseness",
            "subdivided",
            "periodic",
        }  # set by studies and [faces]
        assert settable == {key.name for key in table.keys} - {"degree", "correct"}  # which the case has


# --- help, version, arguments ---


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from microlith.workflow import cli
try:
    cli.main(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "scipy", "pint", "rich", "matplotlib", "mpi4py", "petsc4py", "dolfinx", "gmsh", "pyvista", "json"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    for command in ("init", "check", "mesh", "run", "schema"):
        assert f"    {command} " in result.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"microlith {version('microlith')}\n"


@pytest.mark.parametrize("words", [["--version", "-v"], ["-v", "--version"]])
def test_versions_for_a_report(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(words)
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert {"microlith", "system", "Python", "MPI", "PETSc", "HDF5", "fenics-dolfinx", "gmsh", "vtk"} <= set(lines)
    assert not [line for line in lines.items() if "does not load" in line[1]]
    assert "mumps" in lines["PETSc"]


def test_a_package_that_is_missing_is_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from microlith.workflow.console import versions

    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    assert versions.versions()["no-such-package"] == "not installed"


@pytest.mark.parametrize("arguments", [[], ["solve"], ["run"], ["run", "a", "b"], ["check", "--force", "a"],
                                       ["-v", "check", "-q", "a"], ["-v", "-q", "schema"]])  # fmt: skip
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


# --- check, mesh, run ---


def test_check_shows_the_case(tmp_path: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_case(tmp_path)
    assert cli.main(["check", str(path)]) == 0
    assert pipeline.calls == [({},)]
    shown = " ".join(capsys.readouterr().out.split())
    expected = (
        "Test case|5 x 8 pixels of 10 nm x 10 nm, 50 nm x 80 nm|25 % of the image|"
        "1.541e-14 m²/s|bruggeman|label 3|uptake 1e-06 m/s|25 nm at grain|at most 200 nm|100 s|"
        "x 200 nm to 600 nm, y -1 µm to 1.4 µm|within 100 nm of grain|500 mol/m³|all of sei|max_solves|"
        "A run takes about 210,000 cells, 36,000 unknowns, 1.2 GB, 64 s on one rank; more: microlith estimate"
    )
    for words in expected.split("|"):
        assert words in shown, words
    for arguments in (["-q", "check", str(path)], ["check", "-q", str(path)]):
        assert cli.main(arguments) == 0
        captured = capsys.readouterr()
        assert captured.out == captured.err == "", arguments


def test_commands_that_are_named_run_as_they_stand(
    tmp_path: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the folder is called."""
    (tmp_path / "my case").mkdir()
    path = write_case(tmp_path / "my case")
    assert cli.main(["check", str(path)]) == 0
    last = capsys.readouterr().out.split("more: ")[-1]
    assert shlex.split(last) == ["microlith", "estimate", str(path)]
    assert cli.main(["init", str(tmp_path / "a new one")]) == 0
    last = capsys.readouterr().err.split("then: ")[-1]
    assert shlex.split(last) == ["microlith", "check", str(tmp_path / "a new one" / "case.toml")]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("case.toml", "slab"), ("paper-scale.toml", "paper-scale"), ("deep/case.toml", "deep")],
)
def test_default_results_folder(
    tmp_path: Path, pipeline: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    (tmp_path / "slab" / "deep").mkdir(parents=True)
    path = write_case(tmp_path / "slab", name=name)
    (path.parent / "image.tif").touch()
    monkeypatch.chdir(tmp_path / "slab")
    assert cli.main(["run", name]) == 0
    [(output, options)] = pipeline.calls
    assert output == Path("results") / folder
    assert (options["force"], options["resume"]) == (False, False)
    assert not (tmp_path / "slab" / "results").exists(), "the pipeline makes it"


def test_results_are_not_overwritten(
    tmp_path: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = write_case(tmp_path), tmp_path / "out"
    output.mkdir()
    assert cli.main(["run", str(path), "-o", str(output)]) == 0, "an empty folder is fine"
    (output / "notes.txt").write_text("mine")
    assert cli.main(["run", str(path), "-o", str(output)]) == 2
    error = capsys.readouterr().err
    assert str(output) in error
    assert "--force" in error
    assert len(pipeline.calls) == 1
    assert cli.main(["run", str(path), "-o", str(output), "--force"]) == 0
    assert pipeline.calls[1][0] == output
    assert pipeline.calls[1][1]["force"]
    assert (output / "notes.txt").read_text() == "mine"


def test_results_where_none_can_be(
    tmp_path: Path,
    pipeline: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_case(tmp_path)
    for output, words in ((path, "this is a file"), (path / "a" / "b", "is a file, not a folder")):
        assert cli.main(["run", str(path), "-o", str(output)]) == 2
        assert words in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda where, mode: False)  # root may write anywhere
    assert cli.main(["run", str(path), "-o", str(tmp_path / "a" / "b")]) == 2
    assert f"no permission to write to {tmp_path}" in capsys.readouterr().err
    assert pipeline.calls == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "image.tif"]


def test_mesh(tmp_path: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_case(tmp_path)
    assert cli.main(["mesh", str(path)]) == 0
    for suffix in (".msh", ".vtu", ".xdmf"):
        assert cli.main(["mesh", str(path), "-o", str(tmp_path / f"a{suffix}")]) == 0
    (tmp_path / "a.msh").touch()
    assert cli.main(["mesh", str(path), "-o", str(tmp_path / "a.msh"), "--force"]) == 0
    files = [call[0] for call in pipeline.calls]
    assert files == [None, tmp_path / "a.msh", tmp_path / "a.vtu", tmp_path / "a.xdmf", tmp_path / "a.msh"]
    capsys.readouterr()
    for output, words in (
        (tmp_path / "a.stl", ".msh, .vtu, .xdmf, .inp, .bdf, .med"),
        (tmp_path / "a.msh", "--force"),
        (path / "a.msh", "is a file, not a folder"),
    ):
        assert cli.main(["mesh", str(path), "-o", str(output)]) == 2
        assert words in capsys.readouterr().err
    assert len(pipeline.calls) == 5


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("a.tif: no such label"), 2, "microlith: a.tif: no such label\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/fields.vtkhdf"),
            2,
            "out/fields.vtkhdf: the disk is full",
        ),
        (OSError(errno.EFBIG, "File too large"), 2, "a file would be larger than the system allows"),
        (OSError(errno.EACCES, "Permission denied", "out"), 2, "out: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "out"), 2, "out: Read-only file system"),
        (RuntimeError("can't write data (errno = 28, error message = 'No space left on device')"), 2, "disk is full"),
        (
            RuntimeError(
                "Failed just-in-time compilation of form: /c: the disk is full where compiled forms are kept; x"
            ),
            2,
            "microlith: /c: the disk is full where compiled forms are kept; x\n",
        ),
        (KeyboardInterrupt(), 130, "microlith: interrupted\n"),
        (SystemExit(143), 143, "microlith: ended by SIGTERM\n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "out"), 2, "out: File name too long"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/x"), 2, "/proc/x: No such file"),
        (MemoryError(), 1, "out of memory"),
        (ImportError("libpetsc_real.so: failed to map segment from shared object"), 1, "out of memory"),
        (RuntimeError("rank 1 failed with MemoryError: no message"), 1, "out of memory"),
        (RuntimeError("rank 1 failed with OSError: x, which began with MemoryError: "), 1, "out of memory"),
        (RuntimeError("error code 55\n[0] Out of memory. Allocated: 0, Used by process: 1"), 1, "out of memory"),
        (RuntimeError("two\nlines"), 1, "RuntimeError: two lines"),
        (ZeroDivisionError("division by zero"), 1, "internal error, please report it"),
        (OSError(errno.ECHILD, "No child processes"), 1, "internal error"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_exit_status_and_one_sentence(
    tmp_path: Path,
    pipeline: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    words: str,
) -> None:
    path = write_case(tmp_path)
    pipeline.error = error
    assert cli.main(["run", str(path), "-o", str(tmp_path / "out")]) == status
    captured = capsys.readouterr().err
    assert words in captured
    assert captured.count("\n") == bool(words)
    assert "Traceback" not in captured
    assert cli.main(["run", "-v", str(path), "-o", str(tmp_path / "out")]) == status
    assert ("Traceback" in capsys.readouterr().err) == (status == 1), "with -v failures of ours say where"


def test_outputs_that_nothing_can_be_written_to_are_refused_before_anything_is_computed(
    tmp_path: Path, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.error = AssertionError("it was computed")
    path = str(write_case(tmp_path))
    long = tmp_path / ("a" * 300)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    words = f"{link}: this is a symbolic link to {tmp_path / 'gone'}, which is not there; make that folder"
    commands = {
        ("init", "/proc"): "/proc/case.toml: can't write here",
        ("init", str(long)): "ile name too long",
        ("run", path, "-o", "/proc/x"): "/proc/x: can't write here",
        ("run", path, "-o", str(long)): "ile name too long",
        ("mesh", path, "-o", str(tmp_path / "missing" / "x.vtu")): f"there is no folder {tmp_path / 'missing'}",
        ("deff", path, "--phase", "sei", "-o", "/proc/x.json"): "/proc: can't write here",
        ("converge", path, "--error", "1e-300"): "--error 1e-300: expected the wanted error",
        ("run", path, "-o", str(link)): words,
        ("sweep", path, "--set", "time.end=5 s, 6 s", "-o", str(link / "below")): words,
    }
    for command, said in commands.items():
        assert cli.main(list(command)) == 2, command
        assert said in " ".join(capsys.readouterr().err.split()), command


def test_lack_of_memory_is_known_by_what_it_came_from() -> None:
    from microlith.workflow.console.failures import failure_of

    error = ImportError("cannot import name 'h5py'")
    assert "internal error" in failure_of(error).sentence
    error.__context__ = ImportError("libhdf5.so: failed to map segment from shared object")
    assert "out of memory" in failure_of(error).sentence


def test_progress_and_warnings_follow_verbosity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_case(tmp_path)

    def run(*_: Any, **__: Any) -> None:
        log = logging.getLogger("microlith.workflow.run.pipeline")
        log.debug("detail")
        log.info("progress")
        log.warning("look out")

    monkeypatch.setattr(sys.modules["microlith.workflow.run.pipeline"], "run", run)
    said: Callable[[], str] = lambda: capsys.readouterr().err  # noqa: E731
    assert cli.main(["run", str(path), "-o", str(tmp_path / "out")]) == 0
    assert said() == "progress\nwarning: look out\n"
    assert cli.main(["run", "-v", str(path), "-o", str(tmp_path / "out")]) == 0
    assert "detail\nprogress\n" in said()
    assert cli.main(["run", "-q", str(path), "-o", str(tmp_path / "out")]) == 0
    assert said() == ""


# --- real processes ---

# More than the buffer of standard output holds, and less: then Python tries to write the rest as it exits.
LONG = "import sys; from microlith.workflow import cli; sys.exit(cli.main(['schema']))"
SHORT = LONG.replace(
    "sys.exit", "from microlith.workflow.schema import reference; reference.json_schema = lambda of: {}; sys.exit"
)


def outcome(script: str, output: Any) -> "subprocess.CompletedProcess[str]":
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False, env=buffered)


def test_bad_input_of_a_process(tmp_path: Path) -> None:
    path = write_case(tmp_path, edited('end = "100 s"', 'end = "100 kg"'))
    result = microlith("run", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "[time] end" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "image.tif"]


@pytest.mark.parametrize("script", [LONG, SHORT], ids=["long", "short"])
def test_reader_of_the_output_leaves(script: str) -> None:
    read, write = os.pipe()
    os.close(read)
    result = outcome(script, write)
    os.close(write)
    assert result.returncode == 141
    assert result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
@pytest.mark.parametrize("script", [LONG, SHORT], ids=["long", "short"])
def test_output_to_a_full_disk(script: str) -> None:
    with open("/dev/full", "w") as full:
        result = outcome(script, full)
    assert result.returncode == 2
    assert "the disk is full" in result.stderr
    assert result.stderr.count("\n") == 1


# --- several ranks ---

SCRIPT = """
import sys, types
from mpi4py import MPI
world = MPI.COMM_WORLD

def run(case, output, force, **_):
    {body}

fake = types.SimpleNamespace(run=run, mesh=None, check=None)
sys.modules["microlith.workflow.run.pipeline"] = fake
from microlith.imaging.errors import InputError
from microlith.workflow import cli
sys.exit(cli.main(sys.argv[1:]))
"""

needs_mpirun = pytest.mark.skipif(
    shutil.which("mpirun") is None or "OMPI_COMM_WORLD_RANK" in os.environ or "PMI_RANK" in os.environ,
    reason="needs mpirun, from outside of it",
)


def mpirun(*command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["mpirun", "-n", "2", sys.executable, *command],
        capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip


def ours(stderr: str) -> list[str]:
    """Lines of standard error that are not mpirun's own."""
    return [line for line in stderr.splitlines() if line.startswith("microlith") or "Traceback" in line]


@needs_mpirun
def test_two_ranks_say_bad_input_once(tmp_path: Path) -> None:
    path = write_case(tmp_path, edited('end = "100 s"', 'end = "100 kg"'))
    result = mpirun("-m", "microlith.workflow.cli", "run", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert len(ours(result.stderr)) == 1
    assert "[time] end" in result.stderr
    result = mpirun("-m", "microlith.workflow.cli", "check", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert len(ours(result.stderr)) == 1


@needs_mpirun
@pytest.mark.parametrize("command", [("estimate",), ("job", "--time", "2h")], ids=["estimate", "job"])
def test_commands_that_only_estimate_answer_once_on_two_ranks(tmp_path: Path, command: tuple[str, ...]) -> None:
    """What starts MPI on one rank alone would wait for the others for ever."""
    path = made_cases.write_case(tmp_path)
    result = mpirun("-m", "microlith.workflow.cli", *command, str(path), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    said = result.stdout if command[0] == "estimate" else result.stderr
    assert said.count("unknowns" if command[0] == "estimate" else "hand it in") == 1


@needs_mpirun
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("raise InputError('the same on all ranks')", 2, "microlith: the same on all ranks"),
        ("world.rank == 1 and 1 / 0; world.Barrier()", 1, "microlith: internal error"),
        ("world.rank or (_ for _ in ()).throw(InputError('first rank only')); world.Barrier()", 2,
         "microlith: first rank only"),
        ("world.rank and (_ for _ in ()).throw(OSError(28, 'full', 'out')); world.Barrier()", 2,
         "microlith: out: the disk is full"),
        ("from microlith.imaging.parallel.collective import together\n"
         "    together(world, lambda: world.rank and (_ for _ in ()).throw(OSError(28, 'full', 'out')))", 2,
         "microlith: out: the disk is full"),
        ("assert case.title == 'Test case' and not world.allreduce(force)", 0, ""),
    ],
    ids=["all", "second, other waits", "first, other waits", "disk full on one", "disk full, others told", "good"],
)  # fmt: skip
def test_error_of_one_rank_hangs_no_other(tmp_path: Path, body: str, status: int, words: str) -> None:
    path = write_case(tmp_path)
    result = mpirun("-c", SCRIPT.format(body=body), "run", str(path), cwd=tmp_path)
    assert result.returncode == status, result.stderr
    said = ours(result.stderr)
    assert len(said) == bool(words), result.stderr
    assert all(line.startswith(words) for line in said)


@needs_mpirun
def test_two_ranks_show_help_and_schema_once(tmp_path: Path) -> None:
    result = mpirun("-m", "microlith.workflow.cli", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.count("usage: microlith") == 1
    result = mpirun("-m", "microlith.workflow.cli", "schema", cwd=tmp_path)
    assert json.loads(result.stdout) == json_schema()


def test_tables_are_plain_in_a_log_under_a_launcher(monkeypatch):
    """Launchers give a rank a terminal even where their own output is a file."""
    from microlith.workflow.console import terminal

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(terminal, "launched_rank", lambda: None)
    assert terminal.is_terminal()
    monkeypatch.setattr(terminal, "launched_rank", lambda: 0)
    assert not terminal.is_terminal()
    assert not terminal.table_console().is_terminal
