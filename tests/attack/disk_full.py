"""Runs on a disk that gets full at random places: told in one sentence, status 2, nothing half-written, results kept.

    runtime/run python3 tests/attack/disk_full.py --count 40 --seed 1
    mount -t tmpfs -o size=8m tmpfs /mnt && runtime/run python3 tests/attack/disk_full.py --count 40 --disk /mnt

Without a disk of its own each process may write files up to a random size, which ends in an error as a full disk does.
With one, which should be small and is filled, room for a random number of bytes is left. Every second try is on two
ranks if --ranks is 2. Takes some five seconds for a try.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from made_cases import MESH, write_case

COARSE = MESH.replace("60 nm", "80 nm") + "degree = 1\n"
TIMES = '[time]\nend = "{0} s"\nsnapshots = ["{0} s"]\n'
MORE = '[pictures]\nformats = ["png", "svg"]\n'
PATIENCE = 120.0  # seconds
BALLAST = "ballast"  # name of the file that fills the disk
WORDS = ("no space left on device", "file too large", "the disk is full")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="tries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random sizes (default: %(default)s)")
    parser.add_argument("--disk", type=Path, help="a small file system of its own (default: a limit on files' sizes)")
    parser.add_argument("--ranks", type=int, default=1, help="of every second run (default: %(default)s)")
    options = parser.parse_args()
    chance, outcomes = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=options.disk) as disk:
        cases = [write_case(Path(folder) / str(n), mesh=COARSE, time=TIMES.format(n), more=MORE) for n in (5, 7)]
        for number in range(options.count):
            ranks = options.ranks if number % 2 else 1
            what, wrong = one_try(cases, Path(disk), options.disk, ranks, chance)
            outcomes["wrong" if wrong else what] += 1
            if wrong:
                print(f"try {number}, {what}: {wrong}", flush=True)
    print(f"{options.count} tries, seed {options.seed}: {dict(outcomes)}")
    return 1 if outcomes["wrong"] else 0


def one_try(cases: list[Path], folder: Path, disk: Path | None, ranks: int, chance: random.Random) -> tuple[str, str]:
    """One run that finds the disk full, over earlier results or into a new folder; what came, and what is wrong."""
    results, earlier = folder / "results", chance.random() < 0.5
    shutil.rmtree(results, ignore_errors=True)
    if earlier and command(cases[0], results, 1, None).returncode:
        return "earlier run", "fails"
    before = contents(results)
    largest = max((path.stat().st_size for path in results.glob("*")), default=300_000)
    room = int(chance.choice((chance.uniform(0, 1.2), 10 ** chance.uniform(-4, 0))) * largest)
    limit = None if disk else room
    if disk:
        fill(disk, room * 3)
    try:
        done = command(cases[1], results, ranks, limit)
    except subprocess.TimeoutExpired:
        return "hangs", f"no end within {PATIENCE:g} s with room for {room} bytes"
    finally:
        if disk:
            (disk / BALLAST).unlink(missing_ok=True)
    how = f"{ranks} ranks, {'earlier results, ' if earlier else ''}room for {room} bytes"
    if done.returncode == 0:
        whole = (results / "summary.json").exists() and not left_over(results)
        return "had room", "" if whole else f"{how}: ended well, but left {sorted(contents(results))}"
    return "told", f"{how}: {trouble}" if (trouble := verdict(done, results, before)) else ""


def command(case: Path, results: Path, ranks: int, limit: int | None) -> "subprocess.CompletedProcess[str]":
    """A run, whose files may have so many bytes each."""
    words = ["microlith", "run", str(case), "-o", str(results), "--force", "-q"]

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        words if ranks == 1 else ["mpirun", "-n", str(ranks), *words],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        check=False,
        preexec_fn=limited,
    )


def verdict(done: "subprocess.CompletedProcess[str]", results: Path, before: dict[str, str]) -> str:
    """What is wrong with a run that failed, "" if nothing is."""
    lines = done.stderr.strip().splitlines()
    said = [line for line in lines if line.startswith("microlith: ")]
    if done.returncode != 2:
        return f"status {done.returncode}: {lines[-2:]}"
    if len(said) != 1 or "Traceback" in done.stderr or not any(word in said[0].lower() for word in WORDS):
        return f"not one sentence about a full disk: {lines[-4:]}"
    if contents(results) != before:
        return f"not what was there before: {sorted(contents(results))} in place of {sorted(before)}"
    return ""


def contents(folder: Path) -> dict[str, str]:
    """Path -> digest of each file in a folder, {} if it is not there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def left_over(results: Path) -> list[str]:
    """Hidden files and folders that a run makes and should have removed."""
    return sorted(path.name for path in results.glob(".*") if path.name != ".microlith.json")


def fill(disk: Path, room: int) -> None:
    """Leave room for so many bytes on a disk."""
    free = shutil.disk_usage(disk).free
    with (disk / BALLAST).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room))


if __name__ == "__main__":
    sys.exit(main())
