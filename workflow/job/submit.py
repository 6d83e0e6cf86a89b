"""Hands a script over to Slurm."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from microlith.imaging.errors import InputError, printable
from microlith.workflow.job.environment import RUN

PATIENCE = 60  # s
LOOK = "see with squeue whether the job is there before you hand it in again"
# What sbatch says, on a line of its own: programs of a site around it may say more
_NUMBER = re.compile(r"^(?:Submitted batch job )?(\d+)(?:;\S+)?\s*$", re.M)
HOST = RUN.with_name("host")  # runs commands of the system around the Debian root


def sbatch_of(file: Path) -> list[str]:
    """The words that call sbatch.

    Args:
        file: The script, to be named where there is none.

    Raises:
        InputError: There is none.
    """
    found = shutil.which("sbatch")
    if found:
        return [found]
    if "MICROLITH_HOST_USR" in os.environ and HOST.is_file():
        words = [str(HOST), "sbatch"]
        if subprocess.run([str(HOST), "which", "sbatch"], capture_output=True, check=False).returncode == 0:
            return words
    raise InputError(
        f"--submit: there is no sbatch here, so no Slurm to hand {file} to; leave --submit out, and call sbatch {file} "
        "on a machine of the cluster"
    )


def submit(sbatch: Sequence[str], words: Sequence[str]) -> str:
    """The number of the job that Slurm made of it.

    Args:
        sbatch: What calls it.
        words: Its options, --parsable among them, and the script.

    Raises:
        InputError: Slurm refuses it, or does not answer, or with no number.
    """
    try:
        done = subprocess.run([*sbatch, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"--submit: sbatch has not answered for {PATIENCE} s; {LOOK}") from error
    except OSError as error:
        raise InputError(f"--submit: sbatch can't be called: {error}") from error
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"--submit: Slurm does not take the job: {told[-1].removeprefix('sbatch: error: ')}")
    numbers = _NUMBER.findall(done.stdout)
    if not numbers:
        said = printable(done.stdout.strip() or "nothing")
        raise InputError(f"--submit: sbatch has ended well, but without the number of a job (it said: {said}); {LOOK}")
    return str(numbers[-1])
