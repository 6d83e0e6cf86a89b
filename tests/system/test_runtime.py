"""runtime/run hands a command over as it is: words, streams, folder, environment, signals and exit status."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
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


SPEAKING = "import sys; from mpi4py import MPI; MPI.COMM_WORLD.rank or print({!r}, file=sys.stderr); sys.exit({})"


@pytest.mark.parametrize(
    ("said", "status", "notice"),
    [("wrong", 2, False), ("-----x-----", 2, False), ("wrong", 3, True), ("-----x-----\n-----\nend", 0, False)],
)
def test_mpirun_says_nothing_of_bad_input(call, said, status, notice):
    """The program has said what is wrong; all else that is said passes."""
    done = call("mpirun", "-n", "2", "python3", "-c", SPEAKING.format(said, status))
    assert done.returncode == status
    assert (f"Exit code:    {status}" in done.stderr) == notice
    assert done.stderr.startswith(f"{said}\n") or notice
    assert notice or done.stderr == f"{said}\n"


TIDYING = """
import os, signal, sys, time
from mpi4py import MPI
def leave(number, frame):
    time.sleep(1.5)  # longer than mpirun would wait before it kills
    open(f"{sys.argv[1]}-{MPI.COMM_WORLD.rank}", "w").close()
    MPI.COMM_WORLD.Barrier()
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGINT, leave)
MPI.COMM_WORLD.Barrier()
if MPI.COMM_WORLD.rank == 0:
    print("ready", flush=True)
for _ in range(1000):
    time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ranks_hear_of_signals_before_mpirun_ends_them(environment, tmp_path, number):
    """And the status is that of the signal, where mpirun alone would give 1."""
    command = [RUN, "mpirun", "-n", "2", "python3", "-c", TIDYING, str(tmp_path / "tidied")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert {path.name for path in tmp_path.iterdir()} == {"tidied-0", "tidied-1"}


WAITING = """
import os, sys
import microlith
from microlith.workflow.console.launch import Ranks
comm = Ranks.start().comm
comm.Barrier()  # all have taken away the names of theirs
shared = [line for line in open("/proc/self/maps") if "/dev/shm/" in line]
assert shared
named = sum("(deleted)" not in line for line in shared)
facts = comm.allgather((os.getpid(), named))
if comm.rank == 0:
    print(os.getppid(), *(number for pair in facts for number in pair), flush=True)
comm.recv(source=1 - comm.rank)  # which never sends
"""


@pytest.mark.parametrize("killed", ["mpirun", "runtime/run"])
def test_ranks_end_with_what_started_them(environment, killed):
    """Each waits for a message that never comes, deaf to all signals but one."""
    command = [RUN, "mpirun", "-n", "2", "python3", "-c", WAITING]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        mpirun, first, named, second, also_named = map(int, process.stdout.readline().split())
        if killed == "mpirun":
            os.kill(mpirun, signal.SIGKILL)
        else:
            process.kill()
        for _ in range(100):
            if not any(map(alive, (first, second))):
                break
            time.sleep(0.1)
        ended = not any(map(alive, (first, second)))
        for pid in (first, second):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    assert ended
    assert (named, also_named) == (0, 0), "what they share would stay in /dev/shm"


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


ONE_RANK = """
import os, signal
import microlith
from mpi4py import MPI
used = {line.split()[-1] for line in open("/proc/self/maps") if "/dev/shm/" in line}
print(sorted(used), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_rank_takes_no_shared_memory(call):
    """Where it is killed, nobody would give it back; a thousand of these filled /dev/shm."""
    done = call("python3", "-c", ONE_RANK)
    assert done.stdout == "[]\n", done.stderr


# --- what is around a command, and is not for it ---


@pytest.fixture
def entered(environment):
    if "MICROLITH_INSIDE" in environment:
        pytest.skip("about entering")
    return environment


def prefix(variables):
    """Environment that a Python runs in, and what runtime/run had to say."""
    command = [RUN, "python3", "-c", "import sys, numpy, dolfinx; print(sys.prefix, sys.flags.optimize)"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_no_home(entered):
    """As in services, `env -i`, and some batch systems and containers."""
    entered = {name: value for name, value in entered.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    assert prefix(entered) == ([os.environ["MICROLITH_INSIDE"], "0"], "")


@pytest.mark.parametrize("name", ["HOME", "XDG_CACHE_HOME"])
def test_other_home_takes_the_environment_that_is_there(entered, tmp_path, name):
    assert prefix(entered | {name: str(tmp_path)}) == ([os.environ["MICROLITH_INSIDE"], "0"], "")


def test_packages_and_libraries_of_others_are_left_aside(entered, tmp_path):
    """As `module load` and ROS bring them, for another Python."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("raise ImportError('made for another Python')")
    (tmp_path / "libmpi.so.40").write_text("not a library")
    foreign = {"PYTHONPATH": str(tmp_path), "LD_LIBRARY_PATH": str(tmp_path), "PYTHONOPTIMIZE": "2"}
    assert prefix(entered | foreign) == ([os.environ["MICROLITH_INSIDE"], "0"], "")


def test_read_only_tmp(entered):
    """Nothing writes to /tmp, and mpirun finds another place for its files: in the clone, so that lies elsewhere."""
    if PROJECT.resolve().is_relative_to(Path("/tmp").resolve()):
        pytest.skip("the clone lies in /tmp itself, so that .runtime/tmp could not be written to either")
    confined = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/tmp", "/tmp"]
    variables = {name: value for name, value in entered.items() if name != "TMPDIR"}
    command = [*confined, RUN, "mpirun", "-n", "2", "python3", "-c", "import tempfile; tempfile.mkstemp(); print('ok')"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.count("ok")) == (0, 2), done.stderr


def test_mpirun_within_a_job_of_slurm(entered):
    """It would call srun, which is hidden in the root."""
    job = {"SLURM_JOBID": "7", "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_NNODES": "1"}
    job |= {"SLURM_NODELIST": os.uname().nodename, "SLURM_JOB_NODELIST": os.uname().nodename}
    job |= {"SLURM_TASKS_PER_NODE": "2", "SLURM_NTASKS": "2"}
    command = [RUN, "mpirun", "-n", "2", "python3", "-c", "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"]
    done = subprocess.run(command, env=entered | job, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, re.findall(r"\d", done.stdout), done.stderr) == (0, ["2", "2"], "")


def test_set_up_runs_nothing_of_the_working_folder(tmp_path):
    """Where it looks for a Python with DOLFINx, often as root."""
    clone, here, tools = (tmp_path / name for name in ("clone", "downloaded", "bin"))
    shutil.copytree(PROJECT / "runtime", clone / "runtime", symlinks=True)
    shutil.copy(PROJECT / "pyproject.toml", clone)
    for folder in (here, tools, tmp_path / "usr"):
        folder.mkdir()
    for name in ("dolfinx", "petsc4py", "venv", "sys", "site"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w').close()")
    (tools / "python3").write_text('#!/bin/sh\nexec /usr/bin/python3 -S "$@"\n')  # -S: without DOLFINx
    (tools / "python3").chmod(0o755)
    variables = {"HOME": str(tmp_path), "MICROLITH_RUNTIME": "host", "PYTHONPATH": ":relative::"}  # empty: where we are
    variables["PATH"] = f"{tools}:{minimal_tools(tmp_path / 'usr')}"
    command = ["bash", clone / "runtime" / "run", "true"]
    done = subprocess.run(command, cwd=here, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, "no Python on PATH" in done.stderr) == (3, True), done.stderr
    assert not (tmp_path / "it-ran").exists()


def minimal_tools(folder):
    """A folder with what runtime/run calls, and no Python."""
    for name in [
        "awk",
        "bash",
        "cat",
        "cut",
        "dirname",
        "flock",
        "mkdir",
        "mv",
        "readlink",
        "rm",
        "sed",
        "sh",
        "sha256sum",
    ]:
        (folder / name).symlink_to(Path("/usr/bin") / name)
    return folder


@pytest.mark.parametrize("name", ["co:lon", "per%cent", "tab\there", "back\\slash"])
def test_clone_with_a_name_that_tools_do_not_take(tmp_path, name):
    shutil.copytree(PROJECT / "runtime", tmp_path / name / "runtime", symlinks=True)
    run = tmp_path / name / "runtime" / "run"
    variables = {name: value for name, value in os.environ.items() if name != "MICROLITH_INSIDE"}
    done = subprocess.run([run, "true"], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "move or rename it" in done.stderr


def test_environments_in_use_are_never_removed(tmp_path):
    """What was not used for a month goes, but not while somebody uses it, or did of late."""
    month_ago = time.time() - 40 * 24 * 3600
    for name in ("trixie-unused", "trixie-running", "host-of-late", "python"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ready").touch()
        if name != "host-of-late":
            os.utime(tmp_path / name / "ready", (month_ago, month_ago))
    script = f"source '{PROJECT}/runtime/common.sh'; local_dir='{tmp_path}'; remove_unused"
    with (tmp_path / "trixie-running" / "ready").open() as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        subprocess.run(["bash", "-euc", script], check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"trixie-running", "host-of-late", "python"}


def test_running_command_holds_a_lock(entered):
    """It is this lock that the test above is about."""
    ready = Path(os.environ["MICROLITH_INSIDE"]) / "ready"
    with subprocess.Popen([RUN, "sh", "-c", "echo on; read word"], env=entered, stdin=-1, stdout=-1) as process:
        assert process.stdout.readline() == b"on\n"
        with ready.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.communicate(b"go\n", timeout=30)
    assert time.time() - ready.stat().st_mtime < 60


def test_lock_file_has_what_pyproject_asks_for(requirements):
    packaging = pytest.importorskip("packaging.requirements")
    lock = requirements.entries(PROJECT / "runtime" / "requirements.lock")
    assert all("--hash=sha256:" in entry for entries in lock.values() for entry in entries)
    for text in requirements.wanted(PROJECT / "pyproject.toml"):
        wanted = packaging.Requirement(text)
        if requirements.plain_name(wanted.name) in requirements.BUILT_TOGETHER:
            continue
        versions = [re.search(r"==([^ ;]+)", entry)[1] for entry in lock[requirements.plain_name(wanted.name)]]
        assert all(version in wanted.specifier for version in versions), text


@pytest.fixture
def requirements():
    """The module runtime/requirements.py."""
    sys.path.insert(0, str(PROJECT / "runtime"))
    try:
        import requirements
    finally:
        sys.path.pop(0)
    return requirements


@pytest.mark.parametrize(("kind", "status"), [("plan9", 2), ("trixie", 3)])
def test_no_environment_to_be_had(tmp_path, kind, status):
    """One sentence that says what to do, and a status that CI can tell from that of a failed test."""
    tools = tmp_path / "bin"
    tools.mkdir()
    minimal_tools(tools)
    clone = tmp_path / "clone"
    shutil.copytree(PROJECT / "runtime", clone / "runtime", symlinks=True)
    shutil.copy(PROJECT / "pyproject.toml", clone)
    variables = {"PATH": str(tools), "HOME": str(tmp_path), "MICROLITH_RUNTIME": kind}
    done = subprocess.run(
        ["/bin/bash", clone / "runtime" / "run", "true"], env=variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert re.search("expected host, trixie or sid" if status == 2 else "install DOLFINx 0.9 or later", done.stderr)


@pytest.mark.parametrize("more", [{}, {"PYTHONPATH": "/nowhere"}])
def test_python_is_asked_for_dolfinx_once(tmp_path, more):
    """The answer is kept for the next command: to ask takes longer than many of them."""
    tools, clone = tmp_path / "bin", tmp_path / "clone"
    tools.mkdir()
    minimal_tools(tools)
    asked = tmp_path / "asked"
    (tools / "python3").write_text(f'#!/bin/sh\ncase "$*" in *dolfinx*) echo >>{asked} ;; *) exit 1 ;; esac\n')
    (tools / "python3").chmod(0o755)
    shutil.copytree(PROJECT / "runtime", clone / "runtime", symlinks=True)
    shutil.copy(PROJECT / "pyproject.toml", clone)
    variables = {"PATH": str(tools), "HOME": str(tmp_path)} | more
    for _ in range(2):
        subprocess.run([clone / "runtime" / "run", "true"], env=variables, capture_output=True, check=False)
    assert asked.read_text() == "\n"


def test_conda_has_all_that_pyproject_asks_for(requirements):
    elsewhere = {"gmsh": "python-gmsh", "matplotlib": "matplotlib-base"}
    names = [requirements.plain_name(requirement) for requirement in requirements.wanted(PROJECT / "pyproject.toml")]
    listed = re.findall(r"^  - ([\w-]+)", (PROJECT / "runtime" / "environment.yml").read_text(), re.MULTILINE)
    assert {elsewhere.get(name, name) for name in names} <= set(listed)


def test_mypy_reads_the_code_itself():
    """Formatters that write through a link leave a copy, which grows old without a word."""
    folder = PROJECT / "runtime" / "typing" / "microlith"
    assert all(path.is_symlink() and path.exists() for path in folder.iterdir())
    assert {path.name for path in (PROJECT / "microlith").glob("*.py")} <= {path.name for path in folder.iterdir()}


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


def test_modules_that_no_run_could_keep_compiled_are_so_from_the_start(environment, call):
    if "MICROLITH_HOST_USR" not in os.environ:
        pytest.skip("no Debian root here, in which DOLFINx comes without bytecode")
    root = Path((Path(os.environ["MICROLITH_INSIDE"]) / "ready").read_text().splitlines()[0])
    if root.stat().st_uid != os.getuid():
        pytest.skip("another user's Debian root, which stays as it is")
    script = (
        "import importlib.util, os, dolfinx.fem, petsc4py, microlith.api\n"
        "for module in (dolfinx, dolfinx.fem, petsc4py, microlith.api):\n"
        "    print(os.path.exists(importlib.util.cache_from_source(module.__file__)))"
    )
    assert call("python3", "-B", "-c", script).stdout.split() == ["True"] * 4


def test_commands_of_the_system_can_be_called_from_within_the_debian_root(call):
    if "MICROLITH_HOST_USR" not in os.environ:
        pytest.skip("no Debian root here that hides the system's /usr")
    script = 'stat -c %i /usr "$MICROLITH_HOST_USR"; exec "$1" stat -c %i /usr'
    done = call("sh", "-c", script, "sh", PROJECT / "runtime" / "host")
    here, hidden, seen = done.stdout.split()
    assert seen == hidden != here
    assert call(PROJECT / "runtime" / "host", "no-such-command").returncode == 127
