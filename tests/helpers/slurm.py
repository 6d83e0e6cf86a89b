"""Slurm on this machine, one node on the loopback interface, for tests of jobs."""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import PROJECT

TOOLS = PROJECT / "runtime" / "tools" / "run"
COMMANDS = ("sbatch", "scontrol", "squeue", "scancel")
START = 20.0  # s
# It tracks processes by their parents, holds no accounts, and looks for new work each second. A job that was put back
# into the queue waits as long as its credential lives, so that is short.
SETTINGS = """
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=localhost CPUs=8 RealMemory=16000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A cluster of one node."""

    commands: Path  # folder of its commands, for the PATH

    def call(self, command: str, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [self.commands / command, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def told(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job, by the names of `scontrol show job`."""
        words = self.call("scontrol", "--oneliner", "show", "job", job).splitlines()[0].split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for(self, done: Callable[[], object], seconds: float = 300.0) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.call("squeue")
            time.sleep(0.2)

    def has_ended(self, *jobs: str) -> bool:
        """Whether none of the jobs is to run any more."""
        return not self.call("squeue", "--noheader", "--jobs", ",".join(jobs))


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """A cluster whose files are all in a folder; nothing of it is left at the end.

    It is the system's Slurm, or the one that `runtime/tools/run true` fetches, as .ci/run does; without either the test
    is skipped.
    """
    if len(str(folder)) > 80:
        pytest.skip(f"{folder}: too long a path for a socket")
    before = _before()
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    text = SETTINGS.format(folder=folder, ports=_free_ports(2), user=user)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n", encoding="utf-8")
    settings = f"SLURM_CONF={folder / 'slurm.conf'}"
    for command in COMMANDS:
        words = shlex.join(["env", settings, *before, command])
        (folder / "bin" / command).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        (folder / "bin" / command).chmod(0o755)
    files = {name: folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={files['socket']}"]
    munged += [f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}"]
    cluster = Slurm(folder / "bin")
    started = []
    try:
        started.append(_start(folder, settings, before, munged))
        cluster.wait_for(files["socket"].exists, START)
        started.append(_start(folder, settings, before, ["slurmctld", "-D", "-c"]))
        started.append(_start(folder, settings, before, ["slurmd", "-D", "-N", "localhost"]))
        cluster.wait_for(lambda: _is_idle(cluster, started), START)
        yield cluster
        with suppress(AssertionError):  # so that they end with their own
            cluster.call("scancel", "--user", user)
    finally:
        _end(started, settings)


def _before() -> list[str]:
    """Words before a command of Slurm."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    if all(shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd", *COMMANDS)):
        return ["env", f"PATH={path}"]
    before = [str(TOOLS), "env", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"]
    done = subprocess.run([*before, "slurmctld", "-V"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"there is no Slurm here: {done.stderr.strip()}")
    return before


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _start(folder: Path, settings: str, before: Sequence[str], words: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A daemon, which ends when this process does, however that ends."""
    with (folder / f"{words[0]}.log").open("wb") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "env", settings, *before, *words],
            **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "start_new_session": True},
        )


def _is_idle(cluster: Slurm, started: "Sequence[subprocess.Popen[bytes]]") -> bool:
    for each in started:
        assert each.poll() is None, f"{each.args} has ended, see {cluster.commands.parent}"
    asked = [cluster.commands / "scontrol", "show", "node", "localhost"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=START, check=False)
    return "State=IDLE " in done.stdout


def _end(started: "Sequence[subprocess.Popen[bytes]]", settings: str) -> None:
    """End the daemons, and whatever of a job still runs."""
    folder = settings.removeprefix("SLURM_CONF=").removesuffix("slurm.conf")
    for each in started:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.wait()
    for _ in range(50):
        sockets = _sockets_below(folder)
        left = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _belongs(path, settings, sockets)]
        if not left:
            return
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    raise AssertionError(f"these processes can't be ended: {left}")


def _sockets_below(folder: str) -> set[str]:
    """Sockets with a name in a folder, as the links in /proc/N/fd name them."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    named = [line.split(maxsplit=7) for line in lines]
    return {f"socket:[{words[6]}]" for words in named if len(words) == 8 and words[7].startswith(folder)}


def _belongs(process: Path, settings: str, sockets: set[str]) -> bool:
    """Whether a process was told the settings, or, as those above jobs do that hide it, has one of the sockets."""
    try:
        if settings.encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        return any(os.readlink(each) in sockets for each in (process / "fd").iterdir())
    except OSError:
        return False
