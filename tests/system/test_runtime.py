"""runtime/run hands a command over as it is: words, streams, folder, environment, signals and exit status."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from places import PROJECT

RUN = PROJECT / "runtime" / "run"


@pytest.fixture(autouse=True)
def _interrupts_arrive():
    """Also where the tests run in the background of a script, which ignores SIGINT and so would all its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["inside", "entered"])
def environment(request, tmp_path_factory):
    """Variables with which runtime/run finds itself inside already, or enters the Debian root once more."""
    if "MICROLITH_INSIDE" not in os.environ:
        pytest.skip("these tests were not started by runtime/run")
    kind = Path(os.environ["MICROLITH_INSIDE"]).name.split("-")[0]
    if request.param == "inside":
        return dict(os.environ)
    if kind == "host":
        pytest.skip("no Debian root here to enter")
    variables = {name: value for name, value in os.environ.items() if name != "MICROLITH_INSIDE"}
    variables["MICROLITH_RUNTIME"] = kind
    probe = subprocess.run(["bwrap", "--dev-bind", "/", "/", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"bubblewrap does not run within itself here: {probe.stderr.decode().strip()}")
    return variables


@pytest.fixture
def call(environment):
    """Calls runtime/run and gives the finished process."""

    def run(*command, **options):
        options = {"env": environment, "capture_output": True, "text": True, "check": False, "timeout": 60} | options
        return subprocess.run([RUN, *command], **options)

    return run


def test_words_arrive_unchanged(call):
    words = ["two words", "", "it's", '"quoted"', "$HOME", "*", "back\\slash", "line\nbreak", "--option", "µm"]
    done = call("python3", "-c", "import sys; print(sys.argv[1:])", *words)
    assert done.stdout == f"{words}\n"
    assert done.stderr == ""


@pytest.mark.parametrize("status", [0, 1, 42])
def test_exit_status(call, status):
    assert call("sh", "-c", f"exit {status}").returncode == status


def test_command_that_does_not_exist(call):
    done = call("no-such-command")
    assert done.returncode in (1, 127)
    assert "no-such-command" in done.stderr


def test_streams_are_apart(call):
    done = call("sh", "-c", "cat; echo aside >&2", input="a\nb")
    assert done.stdout == "a\nb"
    assert done.stderr == "aside\n"


def test_working_directory(call, tmp_path):
    assert call("pwd", cwd=tmp_path).stdout.strip() == str(tmp_path)


def test_caller_decides_on_variables(call, environment):
    """Also on those that runtime/run sets where they are not set."""
    mine = environment | {"MICROLITH_TEST": "a b", "OMP_NUM_THREADS": "7"}
    done = call("sh", "-c", 'echo "$MICROLITH_TEST" "$OMP_NUM_THREADS"', env=mine)
    assert done.stdout == "a b 7\n"


def test_python_is_the_environments(call):
    done = call("python3", "-c", "import sys; print(sys.prefix)")
    assert Path(done.stdout.strip()).parent == PROJECT / ".runtime"


HANDLER = """
import signal, sys, time
def leave(number, frame):
    time.sleep(0.2)  # a command may take its time to tidy up
    print("tidied up", flush=True)
    sys.exit(7)
signal.signal(getattr(signal, sys.argv[1]), leave)
print("ready", flush=True)
for _ in range(1000):  # one long sleep would not see a signal that comes just before it
    time.sleep(0.05)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_command_handles_signals(environment, name):
    with subprocess.Popen(
        [RUN, "python3", "-c", HANDLER, name], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        assert process.communicate(timeout=30)[0] == "tidied up\n"
    assert process.returncode == 7


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_command_ended_by_a_signal(environment, name):
    number = getattr(signal, name)
    with subprocess.Popen(
        [RUN, "sh", "-c", "echo ready; exec sleep 60"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.wait(timeout=30)
    assert process.returncode in (128 + number, -number)  # as a shell and as the parent of an `exec` sees it


def test_other_clone_is_refused(environment):
    """It would run this clone's code."""
    done = subprocess.run(
        [RUN, "true"],
        env=environment | {"MICROLITH_INSIDE": "/elsewhere/.runtime/trixie-0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"/elsewhere" in done.stderr


def test_ranks(call):
    done = call("mpirun", "-n", "3", "python3", "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.size)")
    assert re.findall(r"\d", done.stdout) == ["3", "3", "3"], done.stderr  # mpirun may put them on one line


@pytest.mark.parametrize(("kind", "status"), [("plan9", 2), ("trixie", 3)])
def test_no_environment_to_be_had(tmp_path, kind, status):
    """One sentence that says what to do, and a status that CI can tell from that of a failed test."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ["bash", "cat", "cut", "dirname", "flock", "mkdir", "readlink", "rm", "sed", "sha256sum"]:
        (tools / name).symlink_to(Path("/usr/bin") / name)
    variables = {"PATH": str(tools), "HOME": str(tmp_path), "MICROLITH_RUNTIME": kind}
    done = subprocess.run(["/bin/bash", RUN, "true"], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert re.search("expected host, trixie or sid" if status == 2 else "install DOLFINx 0.9 or later", done.stderr)


def test_conda_has_all_that_pyproject_asks_for():
    sys.path.insert(0, str(PROJECT / "runtime"))
    try:
        from requirements import wanted
    finally:
        sys.path.pop(0)
    elsewhere = {"gmsh": "python-gmsh", "matplotlib": "matplotlib-base"}
    names = [re.match(r"[\w-]+", requirement)[0].lower() for requirement in wanted(PROJECT / "pyproject.toml")]
    listed = re.findall(r"^  - ([\w-]+)", (PROJECT / "runtime" / "environment.yml").read_text(), re.MULTILINE)
    assert {elsewhere.get(name, name) for name in names} <= set(listed)


def test_packages_are_all_installed():
    """`packages` of setuptools is explicit, so that a new sub-folder would be left out without a word."""
    setuptools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    floors = {name: PROJECT / folder for name, folder in setuptools["package-dir"].items()}
    found = {
        ".".join((name, *path.parent.relative_to(floor).parts))
        for name, floor in floors.items()
        for path in floor.rglob("__init__.py")
    }
    assert found == set(setuptools["packages"])
