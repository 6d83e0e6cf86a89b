"""A case file written from its tables, to be run from another folder than the one that it was read from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microlith.workflow.case.changes import changed, value_at
from microlith.workflow.case.toml_text import quoted_key, toml_text

SECTIONS = ("phases", "regions", "faces")  # whose entries have headers of their own
# Keys that name a file or a folder, relative to the case file; "*" stands for any name
FILES = ("image.file", "mesh.file", "initial.from", "analysis.particle_labels", "regions.*.labels", "sweep.file")


def case_text(tables: Mapping[str, Any], comments: list[str]) -> str:
    """The text of a case file.

    Args:
        tables: Table -> key -> value, as a case file holds them.
        comments: Lines to stand on top.
    """
    lines = [*(f"# {' '.join(comment.split())}" for comment in comments)]
    lines += _entries({key: value for key, value in tables.items() if not _is_table(value)})
    for name, value in tables.items():
        if isinstance(value, list) and _is_table(value):
            for entry in value:
                lines += ["", f"[[{quoted_key(name)}]]", *_entries(entry)]
        elif name in SECTIONS and isinstance(value, dict):
            plain = {part: entry for part, entry in value.items() if not isinstance(entry, dict)}
            if plain:  # such as x = "periodic" of [faces]
                lines += ["", f"[{name}]", *_entries(plain)]
            for part, entry in value.items():
                if part not in plain:
                    lines += ["", f"[{name}.{quoted_key(part)}]", *_entries(entry)]
        elif _is_table(value):
            lines += ["", f"[{quoted_key(name)}]", *_entries(value)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _entries(table: Mapping[str, Any]) -> list[str]:
    return [f"{quoted_key(key)} = {toml_text(value)}" for key, value in table.items()]


def for_folder(tables: Mapping[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """The tables with names of files that mean the same from another folder.

    Args:
        tables: Of a case file.
        old: Folder of that file.
        new: Folder of the file that is to be written.
    """
    changes = {}
    for pattern in FILES:
        first, *middle, last = pattern.split(".")
        names = list(tables.get(first, {})) if middle else [""]
        for name in names:
            key = ".".join([first, *([quoted_key(name)] if name else []), last])
            given = value_at(tables, key)
            if isinstance(given, str):
                changes[key] = _moved(given, old, new, results=pattern == "initial.from")
    return changed(tables, changes)


def _moved(name: str, old: Path, new: Path, *, results: bool) -> str:
    given = Path(name).expanduser()
    if given.is_absolute():
        return name
    beside = old / given
    if results and not beside.exists() and given.exists():  # known by where the command runs
        beside = given
    return os.path.relpath(beside.absolute(), new.absolute())
