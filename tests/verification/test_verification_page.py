"""docs/verification.md: what it says of made records, and that the committed page knows all verification tests."""

import json
import subprocess
import sys

import pytest
from verification_page import PROJECT, names, names_on, page, problems

RECORD = {
    "test": "tests/test_made.py::test_slab[2-1e-3]",
    "term": "held source",
    "against": "form (a | b)",
    "dim": 2,
    "cells": "squares",
    "degree": 2,
    "error": 1.234e-4,
    "of": "concentration",
    "order_space": None,
    "order_time": None,
    "balance": 3.1e-12,
}
PASSED = {"test": RECORD["test"], "outcome": "passed"}


def test_rows():
    other = RECORD | {"cells": "cubes", "dim": 3, "degree": 1, "order_space": 1.998, "balance": None, "of": "flux"}
    text = page([other, RECORD, PASSED], "DOLFINx 9.8.7")
    assert "DOLFINx 9.8.7" in text
    rows = [line for line in text.splitlines() if "test_slab`" in line]
    assert rows == [
        "| form (a \\| b) | 2D squares | 2 | 1 | 1.2e-04 | concentration |  |  | < 1e-11 | `test_made.test_slab` |",
        "| ″ | 3D cubes | 1 | 1 | 1.2e-04 | flux | 2.00 |  |  | `test_made.test_slab` |",
    ]
    assert "| [held source](#held-source) | 2 | < 1e-11 |" in text
    assert "Failures" not in text
    assert names_on(text) == {RECORD["test"]}


def test_a_row_tells_the_worst_of_its_cases():
    """Parametrised tests share a row where only their inputs differ."""
    worse = RECORD | {"test": RECORD["test"].replace("2-", "7-"), "error": 5e-3, "balance": 2e-10, "order_time": 2.9}
    rows = [
        line for line in page([RECORD, worse, RECORD | {"order_time": 3.1}], "").splitlines() if "test_slab`" in line
    ]
    assert rows == [
        "| form (a \\| b) | 2D squares | 2 | 3 | 5.0e-03 | concentration |  | 2.90 | < 1e-09 | `test_made.test_slab` |"
    ]
    nan = page([RECORD, RECORD | {"error": float("nan")}], "")
    assert "| 2 | nan | concentration |" in nan


def test_order_does_not_matter_and_the_last_bits_do_not_show():
    records = [RECORD | {"term": term, "degree": degree} for term in ("a", "b") for degree in (1, 2, 3)]
    noisy = [r | {"error": r["error"] * (1 + 1e-6), "balance": 2.2e-12} for r in reversed(records)]
    assert page(records, "") == page(noisy, "")


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([RECORD, {"test": RECORD["test"], "outcome": "failed"}], "failed."),
        ([PASSED], "measured nothing."),
        ([RECORD | {"balance": 1e-7}, PASSED], "lost 1.0e-07 of its lithium."),
        ([RECORD | {"balance": float("nan")}, PASSED], "lost nan of its lithium."),
    ],
)
def test_what_is_wrong_is_on_the_page(records, sentence):
    assert problems(records) == [f"{RECORD['test']} {sentence}"]
    if "term" in records[0]:
        assert f"## Failures\n\n- {RECORD['test']} {sentence}" in page(records, "")


def test_conftest_takes_down_measurements_and_outcomes(tmp_path):
    """Catches a fixture that drops a key, and a failure that leaves no trace."""
    (tmp_path / "conftest.py").write_text((PROJECT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_made.py").write_text(
        "import numpy as np\n"
        "WHAT = dict(term='t', against='a', dim=2, cells='squares', degree=1)\n"
        "def test_right(verified):\n    verified(**WHAT, error=np.float64(0.5))\n"
        "def test_wrong(verified):\n    verified(**WHAT, error=0.5, balance=1.0)\n    assert False\n"
        "def test_of_another_kind():\n    assert False\n"
    )
    file = tmp_path / "records"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "verification", "-p", "no:cacheprovider", "."]
    subprocess.run([*command, "--verification", str(file)], cwd=tmp_path, capture_output=True, check=False)
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = ["test_right", "test_right", "test_wrong", "test_wrong"]
    assert [r["test"].partition("::")[2] for r in records] == wanted
    assert [r.get("outcome") for r in records] == [None, "passed", None, "failed"]
    assert records[0]["error"] == 0.5
    assert records[0]["balance"] is None
    assert {"term", "against", "dim", "cells", "degree", "of", "order_space", "order_time"} < set(records[0])


def test_the_committed_page_knows_all_verification_tests():
    """It was written when there were other tests? Then `make verify` is due."""
    files = [path for path in sorted((PROJECT / "tests").rglob("test_*.py")) if "verified" in path.read_text("utf-8")]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "verification", "-p", "no:cacheprovider"]
    found = subprocess.run([*command, *files], cwd=PROJECT, capture_output=True, text=True, check=False)
    collected = {line for line in found.stdout.splitlines() if "::" in line}
    text = (PROJECT / "docs" / "verification.md").read_text(encoding="utf-8")
    assert collected, found.stdout + found.stderr
    assert names_on(text) == collected, "run `make verify`"
    assert "## Failures" not in text


def test_all_tests_of_records_are_listed():
    assert names([RECORD, PASSED, PASSED | {"test": "other"}]) == {RECORD["test"], "other"}
