"""The script of a job, for Slurm."""

import shlex
from importlib.metadata import version
from pathlib import Path

from microlith.imaging.errors import InputError
from microlith.workflow.console.failures import CHECKPOINT
from microlith.workflow.estimate.told import time_text
from microlith.workflow.job.request import MINUTE, Array, Request

_HOUR, _DAY = 60, 24 * 60


def script_of(request: Request) -> str:
    """The text of the script, which `sbatch` takes.

    Raises:
        InputError: A path is no text that a script can hold.
    """
    body = _of_array(request, request.array) if request.array else _of_run(request)
    text = "\n".join([*_head(request), "", *_setup(request), "", *body, ""])
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{request.case}: this path is no UTF-8, which a script has to be; rename it") from None
    return text


def collecting(request: Request, file: Path, dependency: str = "NUMBER") -> list[str]:
    """The command that hands in the last task of an array, which writes the table of all cases.

    Args:
        request: With its array.
        file: The script.
        dependency: Number of the job that it waits for.
    """
    assert request.array is not None
    array = f"--array={request.array.parts}"
    return ["sbatch", "--parsable", f"--dependency=afterany:{dependency}", array, "--ntasks=1", str(file)]


# --- what is asked for ---


def _head(request: Request) -> list[str]:
    one_node = request.environment.one_node
    memory = f"mem={request.total}M" if one_node else f"mem-per-cpu={request.memory}M"
    return [
        "#!/bin/bash",
        f"# A job for Slurm, written by microlith {version('microlith')}; hand it in with sbatch",
        f"#SBATCH --job-name={request.name}",
        *([f"#SBATCH --array=0-{request.array.parts - 1}"] if request.array else []),
        *(["#SBATCH --nodes=1"] if one_node else []),
        f"#SBATCH --ntasks={request.ranks}",
        "#SBATCH --cpus-per-task=1",
        f"# Memory {'of all ranks' if one_node else 'of each rank'}: {request.memory_from}",
        f"#SBATCH --{memory}",
        f"#SBATCH --time={_clock(request.minutes)}",
        f"# The signal comes to this script {request.warning} s before the time is up, or up to a minute sooner",
        f"#SBATCH --signal=B:USR1@{request.warning}",
        "#SBATCH --requeue" if request.requeues else "#SBATCH --no-requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={request.name}-{'%A_%a' if request.array else '%j'}.log",
        *(f"#SBATCH {line}" for line in request.extra),
    ]


def _clock(minutes: int) -> str:
    return f"{minutes // _DAY}-{minutes % _DAY // _HOUR:02}:{minutes % _HOUR:02}:00"


def _setup(request: Request) -> list[str]:
    return [
        f"cd -- {shlex.quote(str(request.folder))} || exit",
        *request.environment.setup,
        "export OMP_NUM_THREADS=1  # one thread for each rank",
    ]


# --- what is done ---


def _of_run(request: Request) -> list[str]:
    words = ["run", str(request.case), "-o", str(request.output), "--resume"]
    words += ["--force"] if request.force else []
    return _watched(_start(request, words), request.requeues)


def _of_array(request: Request, array: Array) -> list[str]:
    words = ["sweep", str(request.case), "-o", str(request.output)]
    for setting in array.settings:
        words += ["--set", setting]
    words += ["--force"] if request.force else []
    return [
        f"if ((SLURM_ARRAY_TASK_ID == {array.parts})); then # not among those above: for when they have ended",
        f"    exec {_alone(request, [*words, '--collect'])}",
        "fi",
        f'part="$((SLURM_ARRAY_TASK_ID + 1))/{array.parts}"',
        *_watched(f'{_start(request, words)} --part "$part"', request.requeues),
    ]


def _start(request: Request, words: list[str]) -> str:
    return _call(request, request.environment.launch if request.ranks > 1 else request.environment.alone, words)


def _alone(request: Request, words: list[str]) -> str:
    return _call(request, request.environment.alone, words)


def _call(request: Request, before: str, words: list[str]) -> str:
    return " ".join([*filter(None, (before, request.environment.command)), shlex.join(words)])


def _watched(command: str, requeues: int) -> list[str]:
    """The command, to which signals are handed on, and back to the queue after a checkpoint."""
    return [
        "# Slurm signals this script alone; it hands the signal on to the run, which writes a checkpoint and ends.",
        "run= cancelled= signalled=",
        'hand_on() { signalled=yes; [[ -z $run ]] || kill -s USR1 "$run" 2>/dev/null; }',
        "trap hand_on USR1",
        "trap 'cancelled=yes; hand_on' TERM",
        "",
        f"{command} &",
        "run=$!",
        "[[ -z $signalled ]] || hand_on",
        "while # a signal ends the waiting, but not the run",
        "    signalled=",
        '    wait "$run"',
        "    status=$?",
        "    [[ -n $signalled ]]",
        "do :; done",
        "",
        f"if [[ $status == {CHECKPOINT} && -z $cancelled ]]; then",
        f"    if ((${{SLURM_RESTART_COUNT:-0}} < {requeues})); then",
        '        echo "back to the queue, to go on from here: $((${SLURM_RESTART_COUNT:-0} + 1)) of at most '
        f'{requeues} times"',
        '        scontrol requeue "$SLURM_JOB_ID" && exit',
        "    fi",
        '    echo "not done; hand the script in again to go on from here" >&2',
        "fi",
        'exit "$status"',
    ]


def words_of(request: Request) -> str:
    """What the job asks for, in a line."""
    ranks = "1 rank" if request.ranks == 1 else f"{request.ranks} ranks"
    tasks = f"{request.array.parts} tasks of " if request.array else ""
    return f"{tasks}{ranks}, {request.memory / 1000:.3g} GB each at most, {time_text(request.minutes * MINUTE)}"
