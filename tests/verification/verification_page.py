"""Writes docs/verification.md from what the verification tests measure; `make verify` runs this.

    python tests/verification/verification_page.py [PAGE] [--records FILE]

It runs the tests that use the fixture `verified` (tests/conftest.py) on one rank and writes the page, which is
docs/verification.md unless told otherwise. With --records it takes lines that `pytest -m verification --verification
FILE` left and runs nothing. The exit status is 1 where a test failed, measured nothing or lost lithium; the page names
it.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

Record = dict[str, Any]

PROJECT = Path(__file__).resolve().parents[2]
COLUMNS = (
    *("against", "cells", "degree", "cases", "error", "relative to"),
    *("order in space", "order in time", "balance", "test"),
)
NUMBERS = ("degree", "cases", "error", "order in space", "order in time", "balance")
ALIKE = ("term", "against", "dim", "cells", "degree", "of")  # measurements of one test with these alike share a row
CELLS = ("triangles", "squares", "tetrahedra", "cubes")
CONSERVED = 5e-8  # lithium unaccounted for that is let pass, relative to what was exchanged
ROUNDING = 1e-12  # errors below it change from machine to machine
PREAMBLE = """\
# Verification

Each physical term against an exact or an independent solution, from the tests' own measurements. `make verify` runs
the tests and writes this page anew; nothing in it is typed by hand. This one was measured on one rank with
{versions}.

- *cases*: how many measurements of one test a row stands for; it tells the worst of them.
- *error*: the largest difference that the test looks at, relative to the concentration that drives the problem unless
  the next column names another measure. Each test's docstring says where and when it looks, and asserts a bound.
- *order in space*, *order in time*: how fast the error falls as elements or tolerated time steps get smaller, observed,
  where the test varies them. Degree p elements can reach p + 1 where the solution is smooth.
- *balance*: lithium unaccounted for, relative to the amount exchanged, as the power of ten above it. Every test that
  measures it asserts that it is at most {conserved:.0e}.

Meshes are small, so that all of this runs within minutes: the errors are those of the elements named, no limits of the
program. How errors fall on real images is in [benchmarks/README.md](../benchmarks/README.md).
"""


def page(records: Iterable[Record], versions: str) -> str:
    """The page as Markdown.

    Args:
        records: what tests/conftest.py writes: measurements (with `term`), and outcomes (with `outcome`) of tests.
        versions: with what they were measured, for the preamble.
    """
    records = list(records)
    measured = sorted((r for r in records if "term" in r), key=_order)
    terms = list(dict.fromkeys(r["term"] for r in measured))
    parts = [PREAMBLE.format(versions=versions, conserved=CONSERVED)]
    wrong = problems(records)
    if wrong:
        parts.append("\n".join(["## Failures\n", *(f"- {sentence}" for sentence in wrong), ""]))
    overview = [_summary(term, [r for r in measured if r["term"] == term]) for term in terms]
    parts.append("## Overview\n\n" + _table(("term", "measurements", "largest balance"), ("measurements",), overview))
    for term in terms:
        groups = groupby((r for r in measured if r["term"] == term), key=_likeness)
        rows = _without_repeats([_row(list(group)) for _, group in groups])
        parts.append(f"## {term[:1].upper()}{term[1:]}\n\n" + _table(COLUMNS, NUMBERS, rows))
    parts.append("\n".join(["<!-- tests:", *sorted(names(records)), "-->", ""]))
    return "\n".join(parts)


def names(records: Iterable[Record]) -> set[str]:
    """The node ids of all tests in the records."""
    return {r["test"] for r in records}


def names_on(text: str) -> set[str]:
    """The node ids of all tests that a page was written from."""
    _, _, listed = text.partition("<!-- tests:\n")
    return set(listed.partition("\n-->")[0].splitlines())


def problems(records: Iterable[Record]) -> list[str]:
    """A sentence for each test that failed, or that passed without a measurement, or that lost lithium."""
    records = list(records)
    measured = {r["test"] for r in records if "term" in r}
    sentences = []
    for r in records:
        if r.get("outcome") == "failed":
            sentences.append(f"{r['test']} failed.")
        elif r.get("outcome") == "passed" and r["test"] not in measured:
            sentences.append(f"{r['test']} measured nothing.")
        elif "term" in r and r["balance"] is not None and not r["balance"] <= CONSERVED:
            sentences.append(f"{r['test']} lost {r['balance']:.1e} of its lithium.")
    return sorted(set(sentences))


def _order(record: Record) -> tuple[Any, ...]:
    """Terms by the alphabet, in them solutions, then from flat and coarse to solid and fine."""
    return record["term"].lower(), *_likeness(record), json.dumps(record, sort_keys=True)


def _likeness(record: Record) -> tuple[Any, ...]:
    return *(record[key] for key in ALIKE), record["test"].partition("[")[0]


def _summary(term: str, records: Sequence[Record]) -> tuple[str, ...]:
    balances = [r["balance"] for r in records if r["balance"] is not None]
    return f"[{term}](#{_anchor(term)})", str(len(records)), _power(max(balances, key=_or_infinite)) if balances else ""


def _anchor(heading: str) -> str:
    """What a heading is called in links, as GitHub makes it."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _row(records: Sequence[Record]) -> tuple[str, ...]:
    """One for measurements that are alike: the largest error and balance, the lowest orders."""
    record = records[0]
    file, _, name = record["test"].partition("[")[0].partition("::")
    error = max((r["error"] for r in records), key=_or_infinite)
    orders = [[r[key] for r in records if r[key] is not None] for key in ("order_space", "order_time")]
    balances = [r["balance"] for r in records if r["balance"] is not None]
    return (
        record["against"],
        f"{record['dim']}D {record['cells']}" if record["cells"] in CELLS else record["cells"],
        str(record["degree"]),
        str(len(records)),
        f"< {ROUNDING:.0e}" if error <= ROUNDING else f"{error:.1e}",
        record["of"],
        *(f"{min(observed):.2f}" if observed else "" for observed in orders),
        _power(max(balances, key=_or_infinite)) if balances else "",
        f"`{Path(file).stem}.{name}`",
    )


def _or_infinite(value: float) -> float:
    """So that what is not a number counts as worst."""
    return math.inf if math.isnan(value) else value


def _power(value: float) -> str:
    """An upper bound that does not change with the last bits: the power of ten above, at least 1e-14."""
    return f"< 1e{math.floor(math.log10(max(value, 1e-15))) + 1:03d}" if math.isfinite(value) else str(value)


def _without_repeats(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """A solution is named once, in the first of its rows."""
    return [
        ("″" if i > 0 and row[0] == rows[i - 1][0] else row[0], *row[1:])  # rows are sorted by it
        for i, row in enumerate(rows)
    ]


def _table(columns: Sequence[str], numbers: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---:" if column in numbers else "---" for column in columns)]
    lines += [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _versions() -> str:
    import dolfinx
    from petsc4py import PETSc

    return f"DOLFINx {dolfinx.__version__} and PETSc {'.'.join(map(str, PETSc.Sys.getVersion()))}"


def main() -> int:
    """Runs the verification tests unless their records are given, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, default=PROJECT / "docs" / "verification.md")
    parser.add_argument("--records", type=Path, help="lines that the tests left; nothing is run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.records or Path(folder) / "records.jsonl"
        if options.records is None:
            command = [sys.executable, "-m", "pytest", "-q", "-m", "verification", "--verification", str(file)]
            status = subprocess.run(command, cwd=PROJECT, check=False).returncode
            if status > 1:  # 1 is for tests that failed, which the page names
                print(f"pytest stopped with status {status}; the page is left as it is", file=sys.stderr)
                return 1
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    if not records:
        print("no test measured anything; the page is left as it is", file=sys.stderr)
        return 1
    options.page.write_text(page(records, _versions()), encoding="utf-8")
    wrong = problems(records)
    print(*wrong, f"{options.page}: {len(names(records))} tests", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
