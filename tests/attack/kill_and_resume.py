"""Kills a run at random moments and goes on, 30 times: `python3 tests/attack/kill_and_resume.py`.

Each run is killed once, by SIGTERM, SIGUSR1 or SIGKILL, or again as it goes on, and then brought to its end: its curves
have to be those of a run that was left alone, the exit status 75 where there is a checkpoint, and nothing may be left
beside the results.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from made_cases import MESH, TIME, write_case

from microlith.workflow.results.csv_file import COMMENT_LINES

KILLS = 30
MORE = '\n[run]\ncheckpoint = "50 ms"\n'


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    """A run as a process of its own."""
    command = [sys.executable, "-m", "microlith.workflow.cli", "run", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def curves(folder: Path) -> np.ndarray:
    """curves.csv."""
    return np.loadtxt(folder / "curves.csv", delimiter=",", skiprows=1 + COMMENT_LINES)


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    moments, kills = random.Random(5), parser.parse_args().kills
    folder = Path(tempfile.mkdtemp())
    case = write_case(folder, mesh=MESH, time=TIME.replace('"0 s", "2 s", "20 s"', ""), more=MORE)
    begun = time.monotonic()
    assert start(str(case), "-o", str(folder / "whole")).wait() == 0
    whole, expected = time.monotonic() - begun, curves(folder / "whole")
    statuses: dict[int, int] = {}
    resumed = 0
    for number in range(kills):
        output = folder / f"{number}"
        for _ in range(moments.choice([1, 1, 2])):
            run = start(str(case), "-o", str(output), "--resume")
            sent = moments.choice([signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
            try:
                status = run.wait(whole * moments.uniform(0.3, 1.0))
            except subprocess.TimeoutExpired:
                os.kill(run.pid, sent)
                status = run.wait()
                time.sleep(0.5)  # what a killed run leaves is cleared away in its own time
            statuses[status] = statuses.get(status, 0) + 1
            done = (output / "summary.json").exists()  # also where it was killed right after that
            if done:
                break
            left = Path(f"{output}.checkpoint").exists()
            resumed += left
            assert status in (-signal.SIGKILL, 75, 128 + sent, -sent), status
        if not done:
            assert start(str(case), "-o", str(output), "--resume").wait() == 0
        assert abs(curves(output) - expected).max() <= 1e-10 * 1000, number
        assert status == -signal.SIGKILL or not Path(f"{output}.checkpoint").exists()
        assert not list(output.glob(".*unfinished*"))
    print(f"{kills} runs, exit statuses {statuses}, {resumed} times with a checkpoint left: all curves are the same")


if __name__ == "__main__":
    main()
