"""Where a job has microlith from, and how it starts ranks there."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from microlith.imaging.errors import InputError, printable

RUN = Path(__file__).parents[2] / "runtime" / "run"  # of the clone that this is in
KINDS = ("module:NAME", "conda:NAME", "apptainer:FILE", "runtime")
RANKS = '"$SLURM_NTASKS"'
_NAMES = re.compile(r"[A-Za-z0-9_.+/@:-]+(?: [A-Za-z0-9_.+/@:-]+)*")


@dataclass(frozen=True)
class Environment:
    """An environment, as lines of a script."""

    name: str  # as asked for
    setup: tuple[str, ...]  # lines before the command
    launch: str  # words before microlith on several ranks; may end in none
    alone: str  # the same on one rank
    command: str  # microlith itself
    one_node: bool  # whether all ranks have to be on one machine


def environment_of(asked: str | None, launcher: str | None, variables: Mapping[str, str] = os.environ) -> Environment:
    """The environment that is asked for, or else the one that this process is in.

    Args:
        asked: One of KINDS.
        launcher: What starts ranks, such as "srun --mpi=pmix"; default: what is usual there.
        variables: The environment of this process.

    Raises:
        InputError: There is no such kind, or what it names is missing or no name.
    """
    kind, _, name = (asked or _present(variables)).partition(":")
    start = None if launcher is None else _quoted(launcher)
    if kind == "runtime" and not name:
        return _runtime(start)
    if kind == "module" and _NAMES.fullmatch(name):
        return Environment(f"module:{name}", _modules(name), start or "srun", "", "microlith", False)
    if kind == "conda" and name and name.isprintable():
        return _conda(name, start)
    if kind == "apptainer" and name and name.isprintable():
        return _apptainer(Path(name), start)
    if kind == "path" and not asked:
        return Environment("path", (), start or "srun", "", shlex.quote(name), False)
    raise InputError(f"--environment {printable(asked or '')}: expected one of {', '.join(KINDS)}")


def _present(variables: Mapping[str, str]) -> str:
    if "MICROLITH_INSIDE" in variables and RUN.is_file():
        return "runtime"
    if variables.get("CONDA_PREFIX") and Path(sys.prefix) == Path(variables["CONDA_PREFIX"]):
        return f"conda:{variables['CONDA_PREFIX']}"
    if variables.get("APPTAINER_CONTAINER"):
        return f"apptainer:{variables['APPTAINER_CONTAINER']}"
    beside = Path(sys.executable).with_name("microlith")
    return f"path:{beside if beside.is_file() else shutil.which('microlith') or 'microlith'}"


def _runtime(start: str | None) -> Environment:
    if not RUN.is_file():
        raise InputError(
            f"--environment runtime: {RUN} is not there, as microlith was not called from a clone of it; name another: "
            f"{', '.join(KINDS[:-1])}"
        )
    if start is not None:
        raise InputError(
            "--launcher: the runtime has an mpirun of its own, which serves one machine; leave the option out, or name "
            "another environment with --environment"
        )
    run = shlex.quote(str(RUN.resolve()))
    setup = ("unset MICROLITH_INSIDE  # of the shell that the job was handed over from",)
    return Environment("runtime", setup, f"{run} mpirun -n {RANKS}", run, "microlith", True)


def _modules(names: str) -> tuple[str, ...]:
    return (f"module load {' '.join(shlex.quote(name) for name in names.split())}",)


def _conda(name: str, start: str | None) -> Environment:
    setup = ('eval "$(conda shell.bash hook)"', f"conda activate {shlex.quote(name)}")
    return Environment(f"conda:{name}", setup, start or f"mpirun -n {RANKS}", "", "microlith", False)


def _apptainer(image: Path, start: str | None) -> Environment:
    if not image.exists():
        raise InputError(
            f"--environment apptainer:{image}: there is no such file; make it with apptainer build (see "
            "runtime/microlith.def), or correct the name"
        )
    alone = f"apptainer exec {shlex.quote(str(image.absolute()))}"
    if start is None:  # the container's own, which knows no other machine
        return Environment(f"apptainer:{image}", (), f"{alone} mpirun -n {RANKS}", alone, "microlith", True)
    return Environment(f"apptainer:{image}", (), f"{start} {alone}", alone, "microlith", False)


def _quoted(launcher: str) -> str:
    try:
        words: Sequence[str] = shlex.split(launcher)
    except ValueError as error:
        raise InputError(f"--launcher {printable(launcher)}: the quotes do not match ({error})") from None
    if not words or not launcher.isprintable():
        raise InputError('--launcher: expected a command that starts ranks, such as "srun --mpi=pmix"')
    return " ".join(shlex.quote(word) for word in words)
