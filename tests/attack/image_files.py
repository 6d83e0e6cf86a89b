"""Image files of all formats, changed at random: none may crash, hang, take much memory or be filled in.

    runtime/run python3 tests/attack/image_files.py --count 10000 --seed 1

Takes some ten minutes for 10,000 files. Those that went wrong are kept, and told at the end.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from mutations import attack


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds for a file (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("changed-files"), help="folder for those that went wrong")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    slowest, largest, wrongs = 0.0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        for number, (seed, kind, path, wrong, answer) in enumerate(
            attack(Path(folder), options.count, options.seed, options.patience)
        ):
            outcomes["wrong" if wrong else "refused" if "refused" in answer else "read"] += 1
            slowest, largest = max(slowest, answer["seconds"]), max(largest, answer.get("peak", 0))
            if wrong:
                options.keep.mkdir(exist_ok=True)
                kept = options.keep / f"{number}-{kind}-{path.name}"
                shutil.copy(path, kept)
                wrongs.append(f"{kept}: {seed.source}, {kind}: {wrong}")
                print(wrongs[-1], flush=True)
            if number % 500 == 499:
                print(f"{number + 1}: {dict(outcomes)}, slowest {slowest:.1f} s, {largest / 2**20:.0f} MB", flush=True)
    print(f"{options.count} files, seed {options.seed}: {dict(outcomes)}; slowest {slowest:.1f} s")
    print(f"largest memory {largest / 2**20:.0f} MB; {len(wrongs)} wrong")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
