"""Three hundred changed files of all formats; `tests/attack/image_files.py` takes as many as one likes."""

import random
from pathlib import Path

from mutations import LABELS, Seed, attack, changed, verdict


def test_changed_files(tmp_path: Path) -> None:
    """None crashes, hangs, takes much memory, or is filled in without a word."""
    outcomes = [(one.source, kind, wrong) for one, kind, _, wrong, _ in attack(tmp_path, 300, 7, patience=60.0)]
    assert [outcome for outcome in outcomes if outcome[2]] == []
    assert len(outcomes) == 300


def test_changes_are_the_same_each_time() -> None:
    one, other = (changed(bytes(range(200)), random.Random(5)) for _ in range(2))
    assert one == other


def test_what_is_wrong_is_seen() -> None:
    seed = Seed("a.tif", "a.tif", LABELS, b"")
    read = {"peak": 1, "same": False, "told": [], "zeros": 0, "shape": (1, 2)}
    assert verdict(seed, "flip", read) == ""
    assert verdict(seed, "cut", {**read, "same": True}) == ""
    assert "takes what was cut" in verdict(seed, "cut", read)
    assert "fills in 99 zeros" in verdict(seed, "flip", {**read, "zeros": 99})
    assert verdict(seed, "flip", {**read, "zeros": 99, "told": ["2 blocks were never written"]}) == ""
    assert "takes 3 GB" in verdict(seed, "flip", {**read, "peak": 3 << 30})
    assert "a message that is none" in verdict(seed, "flip", {"peak": 1, "refused": "two\nlines"})
    assert verdict(seed, "flip", {"fault": "hangs"}) == "hangs"
