"""Case files, changed at random: all are read or refused in sentences, soon, and none with a traceback.

    runtime/run python3 tests/attack/case_files.py --count 10000 --seed 1

Takes some two minutes for 10,000. Those that went wrong are kept, and told at the end.
"""

import argparse
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from case_files import CASE, RICH, SMALL, write_case

from microlith.imaging.errors import LONGEST_SENTENCE, InputError
from microlith.workflow.case.read import load_case

WORDS = (
    *('"1e300 m"', '"1e-300 s"', '"-1 nm"', '"1 1/s"', '"1,5 nm"', '"' + " " * 5000 + '"', '"' + "." * 5000 + '"'),
    *("0", "-1", "1e308", "-0.0", "nan", "inf", "9" * 320, "9" * 5000, "true", "[]", "{}", '""', "1979-05-27", "'\\'"),
    *(
        '"\\u0000"',
        '"\\u001b[2J"',
        "[1, 2, 3]",
        '{ x = "1 nm" }',
        '["0 s", "0 s"]',
        "a.b.c",
        "[[1]]",
        '"rest"',
        '"5-1"',
    ),
)
PATIENCE = 5.0  # seconds of CPU


def changed(text: str, chance: random.Random) -> str:
    """The text with a value, a line, a table or some characters changed."""
    lines = text.splitlines()
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        match chance.randrange(7):
            case 0 | 1 | 2:
                lines[at] = re.sub(r"=.*", lambda _: f"= {chance.choice(WORDS)}", lines[at], count=1)
            case 3:
                del lines[at]
            case 4:
                lines.insert(at, chance.choice(lines))
            case 5:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice("\"[]{}=.#\\'0e\x00\x7fµ") + lines[at][place + 1 :]
            case 6:
                lines[at] = lines[at] * chance.choice((2, 50))
        lines = lines or [""]
    return "\n".join(lines) + "\n"


def verdict(path: Path) -> tuple[str, str]:
    """What became of a case file, and what is wrong with that, "" if nothing is."""
    began = time.process_time()
    try:
        load_case(path)
        what, wrong = "read", ""
    except InputError as error:
        what = "refused"
        good = all(s.isprintable() and len(s) <= LONGEST_SENTENCE and str(path) in s[:300] for s in error.sentences)
        wrong = "" if good else f"a message that is none: {error!s:.200}"
    except Exception:
        what, wrong = "wrong", traceback.format_exc(limit=-2)
    if time.process_time() - began > PATIENCE:
        wrong = wrong or f"takes {time.process_time() - began:.1f} s"
    return what, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random changes (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("changed-cases"), help="folder for those that went wrong")
    options = parser.parse_args()
    chance, outcomes, wrongs = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.count):
            text = changed(chance.choice((CASE, RICH, SMALL)), chance)
            what, wrong = verdict(write_case(Path(folder), text))
            outcomes["wrong" if wrong else what] += 1
            if wrong:
                wrongs += 1
                options.keep.mkdir(exist_ok=True)
                kept = options.keep / f"{number}.toml"
                kept.write_text(text, encoding="utf-8")
                print(f"{kept}: {wrong}", flush=True)
    print(f"{options.count} case files, seed {options.seed}: {dict(outcomes)}")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
