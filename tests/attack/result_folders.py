"""Folders of results, with files changed at random: `view` and `plot` read them, or say in a sentence what is wrong.

    runtime/run python3 tests/attack/result_folders.py RESULTS --count 220 --seed 1

RESULTS is a folder that a run wrote. Takes some five seconds for a change. Those that went wrong are kept and told.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from mutations import changed

FILES = ("summary.json", "fields.vtkhdf", "phases.vtkhdf", "curves.csv", "particles.csv", "errors.csv")
PATIENCE = 120.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=220, help="changes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("changed-results"), help="folder for those that went wrong")
    options = parser.parse_args()
    chance, outcomes = random.Random(options.seed), Counter[str]()
    files = [name for name in FILES if (options.results / name).is_file()]
    for number in range(options.count):
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results"
            shutil.copytree(options.results, results)
            name = chance.choice(files)
            data, kind = changed((results / name).read_bytes(), chance)
            (results / name).write_bytes(data)
            command = chance.choice(
                (["view", str(results), "--screenshot", f"{folder}/a.png"], ["plot", str(results), "-o", f"{folder}/b"])
            )
            wrong = outcome(command)
            outcomes[wrong or "well"] += 1
            if wrong:
                kept = options.keep / f"{number}-{kind}-{name}"
                shutil.copytree(results, kept, dirs_exist_ok=True)
                print(f"{kept}: {command[0]}: {wrong}", flush=True)
    print(f"{options.count} changes, seed {options.seed}: {dict(outcomes)}")
    return 1 if set(outcomes) - {"well"} else 0


def outcome(command: list[str]) -> str:
    """What is wrong with how a command ends, "" if nothing is."""
    try:
        done = subprocess.run(
            ["microlith", *command], capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode not in (0, 2):
        return f"status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return "a traceback" if "Traceback" in done.stderr else ""


if __name__ == "__main__":
    sys.exit(main())
