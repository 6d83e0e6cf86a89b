"""Kills while results move to their folder, with slowed renames: old results or new ones, whole, never neither.

    runtime/run python3 tests/attack/slowed_renames.py --count 60 --seed 1

The processes publish folders of made files in which each rename, removal and list takes a while, and are killed at
random moments, mostly without a word (SIGKILL), or with SIGTERM or SIGINT. Takes about a second for a kill.
"""

import argparse
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from microlith.workflow.results.folder import COMPLETE, finish_if_free

NAMES = ("curves.csv", "curves.png", "errors.csv", "fields.vtkhdf", "summary.json")
PATIENCE = 30.0  # seconds
PAUSE = 0.03  # seconds that each rename and each removal takes more
SLOWED = """
import os, pathlib, shutil, sys, time
def slowed(function):
    def slow(*arguments, **options):
        time.sleep(float(sys.argv[4]) / 2)
        value = function(*arguments, **options)
        time.sleep(float(sys.argv[4]) / 2)
        return value
    return slow
for name in ("rename", "replace", "unlink", "rmdir"):
    setattr(os, name, slowed(getattr(os, name)))
from mpi4py import MPI
from microlith.workflow.console.failures import failure_of
from microlith.workflow.console.streams import signals_as_exit
from microlith.workflow.results.folder import result_folder
try:
    with signals_as_exit():
        with result_folder(pathlib.Path(sys.argv[1]), True, MPI.COMM_SELF) as stage:
            for name in sys.argv[3].split(","):
                (stage / name).write_text(sys.argv[2] if name != "summary.json" else '{"of": "%s"}' % sys.argv[2])
            print("publishing", flush=True)
except (Exception, KeyboardInterrupt, SystemExit) as error:
    sys.exit(failure_of(error).status)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("killed-results"), help="folder for those that went wrong")
    options = parser.parse_args()
    chance, outcomes = random.Random(options.seed), Counter[str]()
    logging.getLogger("microlith").setLevel(logging.ERROR)  # not each time that results are brought to their end
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        files = list(NAMES)
        began = time.monotonic()
        publish(results, "0", files).communicate(timeout=PATIENCE)
        span = max(0.3, time.monotonic() - began - start_of_python())
        old = ("0", files)
        for number in range(1, options.count + 1):
            files = [name for name in NAMES if name == "summary.json" or chance.random() < 0.7]
            files += [f"snapshot-{n}s.png" for n in range(chance.randrange(4))]
            new = (str(number), files)
            # Often before the first rename, which is what makes new results of them
            moment = chance.choice((chance.uniform(0, 3 * PAUSE), chance.uniform(0, 1.1) * span))
            how, status = killed(publish(results, *new), moment, chance)
            wrong = soon_right(results, old, new)
            what = "ended first" if status == 0 else how
            if whole(results, *new):
                what, old = f"{what}, new results", new
            else:
                what = f"{what}, old results"
            outcomes["wrong" if wrong else what] += 1
            if wrong:
                kept = options.keep / str(number)
                shutil.copytree(results, kept, dirs_exist_ok=True)
                print(f"{kept}: {how}, status {status}: {wrong}", flush=True)
                shutil.rmtree(results)
                publish(results, *old).communicate(timeout=PATIENCE)
    print(f"{options.count} kills, seed {options.seed}: {dict(sorted(outcomes.items()))}")
    return 1 if outcomes["wrong"] else 0


def publish(results: Path, text: str, names: list[str]) -> "subprocess.Popen[str]":
    """A process that writes and publishes such files."""
    words = [sys.executable, "-c", SLOWED, str(results), text, ",".join(names), str(PAUSE)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def start_of_python() -> float:
    """Seconds from the start of such a process to the moment at which it publishes, about."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = publish(Path(folder) / "results", "0", ["summary.json"])
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.monotonic() - began
        process.communicate(timeout=PATIENCE)
    return seconds


def killed(process: "subprocess.Popen[str]", moment: float, chance: random.Random) -> tuple[str, int]:
    """Kill a process so long after it has begun to publish; by which signal, and its status."""
    number = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    assert process.stdout is not None
    process.stdout.readline()
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    return number.name, process.returncode


def whole(results: Path, text: str, names: list[str]) -> bool:
    """Whether a folder holds these files of such a text, and no others of a run."""
    there = sorted(path.name for path in results.iterdir() if not path.name.startswith("."))
    if there != sorted(names):
        return False
    texts = {json.loads((results / name).read_text())["of"] if name == "summary.json" else (results / name).read_text()
             for name in names}  # fmt: skip
    return texts == {text}


def soon_right(results: Path, old: tuple[str, list[str]], new: tuple[str, list[str]]) -> str:
    """What is wrong with a folder once those who clear away and bring to an end have done so, "" if nothing is."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        finish_if_free(results)
        hidden = [path.name for path in results.glob(".*") if path.name != ".microlith.json"]
        if not hidden and (whole(results, *old) or whole(results, *new)):
            return ""
        time.sleep(0.02)
    if any(name.startswith(COMPLETE) for name in hidden):
        return f"complete results are not put in place: {hidden}"
    return f"{sorted(path.name for path in results.iterdir())}, expected {old} or {new}"


if __name__ == "__main__":
    sys.exit(main())
