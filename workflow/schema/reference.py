"""The keys of the case file for others than the parser: JSON Schema for editors, Markdown for people."""

from collections.abc import Iterable
from typing import Any

from microlith.workflow.schema.keys import CASE
from microlith.workflow.schema.kinds import LONGEST_NAME, LONGEST_TEXT, MOST_ENTRIES, Quantity
from microlith.workflow.schema.physics_keys import (
    DIFFUSIVITY_EXPRESSION,
    DIFFUSIVITY_TABLE,
    LARGEST_CONTRAST,
    MOST_PHASES,
    UPTAKE,
)
from microlith.workflow.schema.segment_keys import DESTRIPE, NON_LOCAL_MEANS, SEGMENT
from microlith.workflow.schema.shared_keys import over_time
from microlith.workflow.schema.tables import Key, Named, Several, Table
from microlith.workflow.schema.units import ALL as DIMENSIONS, CONCENTRATION, LONGEST as LONGEST_QUANTITY

# Tables within keys that take a section of the reference.
INNER = (
    ("A course over time", over_time(Quantity(CONCENTRATION)).table),
    ("`uptake` as a table", UPTAKE),
    ("`diffusivity` as a table", DIFFUSIVITY_TABLE),
    ("`diffusivity` as an expression", DIFFUSIVITY_EXPRESSION),
)

INNER_OF_SEGMENT = (("`destripe`", DESTRIPE), ("`non_local_means`", NON_LOCAL_MEANS))

FILES = ("case", "segment")  # kinds of files, by the names that the command schema has for them
TITLES = {"case": "microlith case file", "segment": "microlith segmentation file"}
ABOUT = {
    "case": "Lithium diffusion in a segmented image; every quantity is a text with its unit.",
    "segment": "From an image of grey values to labels; every quantity is a text with its unit.",
}


def json_schema(of: str = "case") -> dict[str, Any]:
    """A file as JSON Schema, draft 2020-12, for editors that know TOML.

    Args:
        of: Which, one of FILES.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLES[of],
        "description": ABOUT[of],
    } | _table(of).json()


def _table(of: str) -> Table:
    return CASE if of == "case" else SEGMENT


def markdown_reference(of: str = "case") -> str:
    """The keys of a file as Markdown, a table of them for each table of the file.

    Args:
        of: Which, one of FILES.
    """
    whole = _table(of)
    top = [key for key in whole.keys if not isinstance(key.kind, Table | Named | Several)]
    title = TITLES[of].removeprefix("microlith ")
    parts = [f"# Keys of the {title}\n", *_rows("Top level", top)]
    for key in whole.keys:
        if isinstance(key.kind, Table):
            parts += _rows(f"`[{key.name}]`: {_lower(key.doc)}", key.kind.keys)
        elif isinstance(key.kind, Named) and isinstance(key.kind.entry, Table):
            parts += _rows(f"`[{key.name}.{key.kind.example}]`: {_lower(key.kind.entry.doc)}", key.kind.entry.keys)
            parts += _rows(f"`[{key.name}]`: {_lower(key.doc)}", key.kind.keys) if key.kind.keys else []
        elif isinstance(key.kind, Several):
            parts += _rows(f"`[[{key.name}]]`: {_lower(key.kind.entry.doc)}", key.kind.entry.keys)
    for heading, table in INNER if of == "case" else INNER_OF_SEGMENT:
        parts += _rows(f"{heading}: {_lower(table.doc)}", table.keys)
    parts += _sizes() if of == "case" else []
    return "\n".join(parts)


def _sizes() -> list[str]:
    """What sizes are accepted: of quantities, by what they measure, and of the rest that has no key of its own."""
    rows = [f"| {d.words} | {d.smallest:g} {d.si} | {d.largest:g} {d.si} |" for d in DIMENSIONS]
    return [
        "## Sizes\n",
        "A quantity that is not zero is at least as large as the smallest and at most as large as the largest of its "
        "kind; where it may be negative this holds without its sign. Whatever lies outside of them is refused, since a "
        "slip in a unit is likelier than such a thing. Coordinates have no smallest size.\n",
        "| what | smallest | largest |",
        "| --- | --- | --- |",
        *rows,
        "",
        "The effective diffusivities of two transport phases differ by a factor of at most "
        f"{LARGEST_CONTRAST:g}; where that is not enough, the slow phase is a barrier. There are at most {MOST_PHASES} "
        f"phases; lists have at most {MOST_ENTRIES:,} entries, names {LONGEST_NAME} characters, quantities "
        f"{LONGEST_QUANTITY}, other texts {LONGEST_TEXT:,}. Sizes of numbers without unit are with their keys above.\n",
    ]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _rows(heading: str, keys: Iterable[Key]) -> list[str]:
    rows = [f"## {heading}\n", "| key | value | meaning |", "| --- | --- | --- |"]
    for key in keys:
        value = key.kind.expected()
        if key.required or key.needed_by:
            value += f"; required{' for ' + ' and '.join(key.needed_by) if key.needed_by else ''}"
        elif key.only:
            value += f"; for {' and '.join(key.only)}"
        if key.default is not None:
            value += f"; default `{str(key.default).lower() if isinstance(key.default, bool) else key.default}`"
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in (f"`{key.name}`", value, key.doc)) + " |")
    return [*rows, ""]
