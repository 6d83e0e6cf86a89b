"""Folders of results, with files changed at random: `view` and `plot` read them, or say in a sentence what is wrong.

    runtime/run python3 tests/attack/result_folders.py RESULTS --count 220 --seed 1
    runtime/run python3 tests/attack/result_folders.py RESULTS --count 5000 --seed 1 --command read

RESULTS is a folder that a run wrote. `view` and `plot` take some five seconds for a change; `read` only loads what
`view` would show, in a copy of this process, a hundred times as fast. Those that went wrong are kept and told.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from mutations import changed

from microlith.imaging.errors import InputError
from microlith.workflow.results.read import load_results, read_summary

FILES = ("summary.json", "fields.vtkhdf", "phases.vtkhdf", "curves.csv", "particles.csv", "errors.csv")
PATIENCE = 120.0  # seconds for a command
SOON = 20.0  # seconds for reading
MEMORY = 8 << 30  # bytes of address space


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=220, help="changes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("changed-results"), help="folder for those that went wrong")
    parser.add_argument(
        "--command", choices=("read", "view", "plot"), action="append", help="repeatable; default: view and plot"
    )
    parser.add_argument("--file", choices=FILES, action="append", help="to change, repeatable; default: any")
    options = parser.parse_args()
    chance, outcomes = random.Random(options.seed), Counter[str]()
    if options.command == ["read"]:
        import h5py  # noqa: F401  # once, for all copies of this process
    files = [name for name in FILES if (options.results / name).is_file()]
    for number in range(options.count):
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results"
            results.mkdir()
            for each in files:
                shutil.copy(options.results / each, results)
            name = chance.choice(options.file or files)
            data, kind = changed((results / name).read_bytes(), chance)
            (results / name).write_bytes(data)
            command = chance.choice(options.command or ["view", "plot"])
            wrong = outcome(command, results, Path(folder))
            outcomes[wrong or "well"] += 1
            if wrong:
                kept = options.keep / f"{number}-{kind}-{name}"
                shutil.copytree(results, kept, dirs_exist_ok=True)
                print(f"{kept}: {command}: {wrong}", flush=True)
    print(f"{options.count} changes, seed {options.seed}: {dict(outcomes)}")
    return 1 if set(outcomes) - {"well"} else 0


def outcome(command: str, results: Path, folder: Path) -> str:
    """What is wrong with how a command ends, "" if nothing is."""
    if command == "read":
        return outcome_of_reading(results)
    to = ["--screenshot", f"{folder}/a.png"] if command == "view" else ["-o", f"{folder}/b"]
    words = ["microlith", command, str(results), *to]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode not in (0, 2):
        return f"status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return "a traceback" if "Traceback" in done.stderr else ""


def outcome_of_reading(results: Path) -> str:
    """The same of reading a summary, and all snapshots, in a copy of this process, whose memory is limited."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            read_summary(results)
            loaded = load_results(results)
            for step in range(min(10, len(loaded.times))):
                loaded.concentration(step)
            status = 0
        except InputError:
            status = 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "" if code in (0, 2) else f"status {code}"
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "hangs"


if __name__ == "__main__":
    sys.exit(main())
