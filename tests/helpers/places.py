"""Folders that tests look into."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CASES = PROJECT / "cases"
SHARED = PROJECT.parent / "shared"  # beside the project on our machines; tests that use it skip where it is absent
DATA = SHARED / "data"  # segmented images that nobody in this project made
FAULTS = SHARED / "faults"  # inputs that once gave a wrong number or a dead end
