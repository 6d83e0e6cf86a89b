"""Runs on two ranks of which one has too little memory: told in one sentence, both end soon, and nothing is left.

    runtime/run python3 tests/attack/memory_of_one_rank.py --count 30 --seed 1

The address space of one rank is limited to a random size, from next to nothing to more than the run needs, as soon as
MPI runs or after a random time. Takes some ten seconds for a try.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from made_cases import MESH, write_case

PATIENCE = 120.0  # seconds for a run
SOON = 15.0  # seconds in which all ranks have to end once one has told its end
TIME = '[time]\nend = "5 s"\nsnapshots = ["5 s"]\n'
# Limits itself once MPI runs, before which nobody but mpirun could tell, to so many bytes above what it has
LIMITED = """
import os, resource, sys, threading, time
from mpi4py import MPI
from microlith.workflow import cli
def limit(more, seconds):
    time.sleep(seconds)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))
rank, more, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK")) == rank:
    threading.Thread(target=limit, args=(more, seconds), daemon=True).start()
    time.sleep(0.01)
sys.exit(cli.main(sys.argv[4:]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="tries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random limits (default: %(default)s)")
    options = parser.parse_args()
    chance, outcomes = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        case = write_case(Path(folder), mesh=MESH.replace('"15 nm"', '"6 nm"').replace('"60 nm"', '"20 nm"'), time=TIME)
        for number in range(options.count):
            rank, megabytes = chance.choice((0, 1)), 10 ** chance.uniform(0, 3)
            seconds = chance.choice((0.0, chance.uniform(0, 4)))
            what, wrong = one_try(case, rank, int(megabytes * 1e6), seconds)
            outcomes["wrong" if wrong else what] += 1
            if wrong:
                print(f"try {number}: {megabytes:.3g} MB for rank {rank} after {seconds:.1f} s: {wrong}", flush=True)
    print(f"{options.count} tries, seed {options.seed}: {dict(sorted(outcomes.items()))}")
    return 1 if outcomes["wrong"] else 0


def one_try(case: Path, rank: int, more: int, seconds: float) -> tuple[str, str]:
    """One run; what came of it, and what is wrong with that, "" if nothing is."""
    output = case.parent / "results"
    words = ["mpirun", "-n", "2", sys.executable, "-c", LIMITED, str(rank), str(more), str(seconds)]
    words += ["run", str(case), "-o", str(output), "-q"]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace") as run:
        try:
            _, said = run.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            run.terminate()  # mpirun passes it on
            _, said = run.communicate()
            return "hangs", f"hangs: {said.strip().splitlines()[-2:]}"
    took = time.monotonic() - began
    left = soon_left(case.parent, {"case.toml", "image.tif"})
    if run.returncode == 0:
        for path in output.iterdir():
            path.unlink()
        output.rmdir()
        return "had enough", ""
    sentences = [line for line in said.splitlines() if line.startswith("microlith: ")]
    if left:
        return "left", f"leaves {left}"
    if len(sentences) != 1 or "memory" not in sentences[0] or "Traceback" in said:
        return "untold", f"status {run.returncode}, {took:.0f} s, not one sentence: {said.strip().splitlines()[-6:]}"
    return "told", ""


def soon_left(folder: Path, mine: set[str]) -> list[str]:
    """What a run leaves in its folder once those who clear away have done so; complete results are none of it."""
    end = time.monotonic() + SOON
    while True:
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name not in mine)
        if not left or "results/summary.json" in left or time.monotonic() > end:
            return [] if "results/summary.json" in left else left
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
