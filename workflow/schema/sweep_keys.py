"""The table of the case file about the cases that `microlith sweep` makes of it."""
# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

from dataclasses import dataclass
from typing import Any

from microlith.workflow.schema.kinds import Kind, ListOf, Place, Text
from microlith.workflow.schema.tables import Key, Table


@dataclass(frozen=True)
class KeysOfCase(Kind):
    """A table of keys of the case file, with dots in quotes or as tables; what they are is checked for each case."""

    words: str

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, dict)

    def _parse(self, value: dict[str, object], at: Place) -> dict[str, object]:
        if not value:
            raise at.error(f"expected {self.expected()}, got an empty table")
        return value

    def json(self) -> dict[str, Any]:
        return {"type": "object", "minProperties": 1}


SWEEP = Table(
    "the table [sweep]",
    (
        Key(
            "grid",
            KeysOfCase('a table such as { "time.end" = ["50 s", "100 s"] }'),
            "Keys of the case file, each with a list of values; each combination of them is a case.",
        ),
        Key(
            "list",
            ListOf(KeysOfCase('a table such as { "time.end" = "50 s", name = "short" }'), "tables", 1),
            "Cases one by one: a table each, of keys of the case file with their values, and perhaps the case's name.",
        ),
        Key(
            "file",
            Text('the name of a CSV file, such as "cases.csv"'),
            "CSV file, relative to the case file: keys of the case file in its first line, and perhaps name; a case in "
            "each other line. An empty cell leaves what the case file says.",
        ),
    ),
    doc="The cases that `microlith sweep` makes of this one.",
    section=True,
    one_of=("grid", "list", "file"),
)
