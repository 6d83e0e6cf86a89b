"""What a job asks of the batch system, checked."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microlith.imaging.errors import InputError, printable
from microlith.workflow.job.environment import Environment
from microlith.workflow.schema.units import TIME, to_si

MINUTE = 60
LONGEST = 366 * 24 * 60  # min
MOST_RANKS = 1_000_000
SOONEST, LATEST = 60.0, 600.0  # s before the limit that the signal comes, unless told otherwise
MEGABYTE = 10**6
SPARE = 1.5  # times what is expected, which is that far off at most in nearly all cases
STEP = 50  # megabytes
_BYTES = {"M": MEGABYTE, "G": 10**9, "T": 10**12}
_CLOCK = re.compile(r"(?:(\d{1,3})-)?(\d{1,4}):([0-5]\d)(?::([0-5]\d))?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([MGT])B?", re.I)
_OPTION = re.compile(r"(--)?[a-z][a-z0-9-]+(=.+)?|-[A-Za-z] ?.+")
# Options of sbatch, which the script has from options of `microlith job`: the last of two alike would count for Slurm,
# while memory, signal and restarts go by the first
_OURS = {
    "--time": ("time", "t"),
    "--signal": ("signal",),
    "--memory": ("mem", "mem-per-cpu", "mem-per-gpu"),
    "--ranks": ("ntasks", "n", "nodes", "N"),
    "--partition": ("partition", "p"),
    "--account": ("account", "A"),
    "--array": ("array", "a"),
}
_WORD = re.compile(r"[A-Za-z0-9_.,:@+/-]+")


@dataclass(frozen=True)
class Array:
    """A sweep as an array of jobs."""

    parts: int  # each a task of the array; a further task writes the table of all
    cases: int
    settings: tuple[str, ...]  # KEY=VALUES, as given to --set


@dataclass(frozen=True)
class Request:
    """A job."""

    name: str  # of letters that need no quotes
    case: Path
    output: Path  # folder of the results
    folder: Path  # that the job works in
    ranks: int
    minutes: int
    warning: int  # s before the limit that the signal comes
    memory: int  # megabytes of the rank that needs most
    total: int  # megabytes of all ranks
    memory_from: str  # where these numbers are from
    environment: Environment
    requeues: int
    force: bool  # whether earlier results are overwritten
    extra: tuple[str, ...] = ()  # further options of sbatch, one a line
    array: Array | None = None


def minutes_of(text: str) -> int:
    """Whole minutes, rounded up, of a time limit such as "2h", "90 min", "12:00:00" or "1-12:00:00".

    Raises:
        InputError: It is none, or far too long.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock and (clock[1] or clock[4]):  # "10:30" alone may be minutes and seconds, or hours and minutes
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        count = float((days * 24 + hours) * 60 + minutes + math.ceil(seconds / MINUTE))
    else:
        count = math.ceil(_seconds("--time", text) / MINUTE - 1e-9)
    if not 1 <= count <= LONGEST:
        raise InputError(f"--time {printable(text)}: expected from 1 minute to {LONGEST // 60 // 24} days")
    return int(count)


def warning_of(text: str | None, minutes: int) -> int:
    """Seconds before the limit that the signal comes: what is asked for, or a tenth of the time, from 1 to 10 min.

    Raises:
        InputError: It is no time, or as long as the limit.
    """
    limit = minutes * MINUTE
    if text is None:
        return round(min(max(SOONEST, limit / 10), LATEST, limit / 2))
    seconds = math.ceil(_seconds("--signal", text) - 1e-9)
    if not 1 <= seconds < min(limit, 65536):
        raise InputError(
            f"--signal {printable(text)}: expected a time before the end that is shorter than --time, {minutes} min"
        )
    return seconds


def _seconds(option: str, text: str) -> float:
    try:
        found = to_si(text, TIME)
    except ValueError as error:
        raise InputError(
            f'{option} {printable(text)}: expected a time such as "2h", "90 min" or "1-12:00:00", {error}'
        ) from None
    if found <= 0:
        raise InputError(f"{option} {printable(text)}: expected a time above zero")
    return found


def megabytes_of(text: str) -> int:
    """Megabytes of "900M", "4G" or "4 GB".

    Raises:
        InputError: It is none of these, or zero.
    """
    match = _MEMORY.fullmatch(text.strip())
    count = math.ceil(float(match[1]) * _BYTES[match[2].upper()] / MEGABYTE) if match else 0
    if not 1 <= count <= 10**9:
        raise InputError(
            f'--memory {printable(text)}: expected the memory of each rank, with its unit, such as "900M" or "4G"'
        )
    return count


def megabytes_for(expected: float) -> int:
    """Megabytes to ask for where some bytes are expected: a job that asks for too little is killed."""
    return STEP * math.ceil(SPARE * expected / MEGABYTE / STEP)


def name_of(text: str) -> str:
    """A name for a job, of letters that need no quotes anywhere."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:60] or "microlith"


def refuse_ranks(ranks: int) -> None:
    """Refuse a number of ranks that is none.

    Raises:
        InputError: As said.
    """
    if not 1 <= ranks <= MOST_RANKS:
        raise InputError(f"--ranks {ranks}: expected a number of ranks from 1 to {MOST_RANKS:,}")


def extra_lines(partition: str | None, account: str | None, lines: Sequence[str]) -> tuple[str, ...]:
    """Options of sbatch that are handed on.

    Raises:
        InputError: One is no name, or no option.
    """
    found = []
    for option, value in (("partition", partition), ("account", account)):
        if value is not None:
            if not _WORD.fullmatch(value):
                raise InputError(f"--{option} {printable(value)}: expected a name of letters and digits")
            found.append(f"--{option}={value}")
    for line in lines:
        if not _OPTION.fullmatch(line) or not line.isprintable():
            raise InputError(f"--sbatch {printable(line)}: expected an option of sbatch, such as --sbatch qos=long")
        name = re.split("[= ]", line.lstrip("-"), maxsplit=1)[0]
        name = name[:1] if re.match("-[^-]", line) else name
        for option, names in _OURS.items():
            if name in names:
                raise InputError(f"--sbatch {printable(line)}: the script says that already; give it with {option}")
        found.append(line if line.startswith("-") else f"--{line}")
    return tuple(found)
