"""Which cases a sweep is made of: from --set and the table [sweep] to changes, each set with a name of its own."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError, printable
from microlith.workflow.case.changes import key_parts
from microlith.workflow.case.toml_text import quoted_key, shown_value, toml_text
from microlith.workflow.sweep.values import value_of, values_of

NAME = "name"  # of a case, in a list or a CSV file
MOST_CASES = 100_000
MEANT = 1000  # cases that nobody has to confirm
LONGEST_FOLDER = 100  # characters
LONGEST_LABEL = 80
_FOLDER = re.compile(r"[A-Za-z0-9_.,=+-]+")

Changes = dict[str, Any]  # dotted key -> value


@dataclass(frozen=True)
class Variation:
    """One case of a sweep."""

    name: str  # of its folder
    changes: Changes  # all keys that are set
    label: str = ""  # of its curve in a picture

    def shown(self, key: str) -> str:
        """The value of a key as a table shows it; empty where the case file's own holds."""
        return shown_value(self.changes[key]) if key in self.changes else ""


@dataclass(frozen=True)
class Plan:
    """All cases of a sweep."""

    variations: tuple[Variation, ...]
    keys: tuple[str, ...]  # that differ between them


def plan_of(tables: Mapping[str, Any], path: Path, settings: Sequence[str]) -> Plan:
    """The cases of a sweep: each of the table [sweep] with each combination of the values of --set.

    Args:
        tables: Of the case file; [sweep] of them counts.
        path: Of the case file.
        settings: KEY=VALUES, as given to --set.

    Raises:
        InputError: A key or value is none, a key is set twice, names are not unique, or there is no case.
    """
    table = tables.get("sweep", {})
    named: list[tuple[str, Changes]] = _of_table(table, path) if table else [("", {})]
    own = _grid_of_settings(settings)
    twice = [key for key in own if any(key in changes for _, changes in named)]
    if twice:
        raise InputError(f"--set {twice[0]}: [sweep] of {path} sets this key already; set it in one of them")
    count = len(named)
    for values in own.values():
        count *= len(values)
    if count > MOST_CASES:
        raise InputError(f"{path}: these are {count:,} cases; a sweep takes at most {MOST_CASES:,}")
    cases = [
        (name, changes | dict(zip(own, values, strict=True)))
        for name, changes in named
        for values in product(*own.values())
    ]
    if table and not any(changes for _, changes in cases):
        raise InputError(f"{path}: [sweep]: nothing to vary: its cases have names, but no keys of the case file")
    if not any(changes for _, changes in cases):
        raise InputError(
            f"{path}: nothing to vary: there is no table [sweep], and no --set KEY=VALUES was given, such as "
            '--set time.end="50 s, 100 s"'
        )
    return _named(cases, path)


# --- what is set ---


def _grid_of_settings(settings: Sequence[str]) -> dict[str, list[Any]]:
    """Dotted key -> its values."""
    grid: dict[str, list[Any]] = {}
    for setting in settings:
        key, sign, text = _key_and_text(setting)
        if not sign:
            raise InputError(f'--set {printable(setting)}: expected KEY=VALUES, such as time.end="50 s, 100 s"')
        key = _canonical(_parts(key, "--set"))
        if key in grid:
            raise InputError(f"--set {key}: this key is set twice; give all its values at once, with commas between")
        grid[key] = values_of(text, f"--set {key}")
    return grid


def _key_and_text(setting: str) -> tuple[str, str, str]:
    """The two sides of the first = that stands in no quotes."""
    found = re.match(r"""((?:"[^"]*"|'[^']*'|[^="'])*)(=)(.*)""", setting, re.S)
    return (found[1].strip(), found[2], found[3]) if found else (setting, "", "")


def _parts(key: str, where: str) -> tuple[str, ...]:
    try:
        return key_parts(key)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _canonical(parts: Sequence[str]) -> str:
    return ".".join(quoted_key(part) for part in parts)


def _of_table(table: Mapping[str, Any], path: Path) -> list[tuple[str, Changes]]:
    """Names (or "") and changes of the cases of the table [sweep]."""
    where = f"{path}: [sweep]"
    if "file" in table:
        return _of_file(path.parent / str(table["file"]), where)
    if "list" in table:
        return [_of_entry(entry, f"{where} list, item {i}") for i, entry in enumerate(table["list"], 1)]
    grid = _flat(table["grid"], f"{where} grid")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{where} grid: {key}: expected a list of values, got {toml_text(values)}")
    return [("", dict(zip(grid, values, strict=True))) for values in product(*grid.values())]


def _of_entry(entry: Mapping[str, Any], where: str) -> tuple[str, Changes]:
    name = entry.get(NAME, "")
    if not isinstance(name, str):
        raise InputError(f"{where}: {NAME}: expected a text, got {toml_text(name)}")
    return name, _flat({key: value for key, value in entry.items() if key != NAME}, where)


def _flat(table: Mapping[str, Any], where: str) -> Changes:
    """Dotted key -> value, of dotted keys in quotes, and of tables within tables, as TOML reads dots without quotes."""
    flat: Changes = {}

    def add(parts: tuple[str, ...], value: Any) -> None:
        key = _canonical(parts)
        if key in flat:
            raise InputError(f"{where}: {key} is set twice")
        flat[key] = value

    def descend(value: Any, parts: tuple[str, ...]) -> None:
        if not isinstance(value, dict) or not value:
            add(parts, value)
            return
        for key, inner in value.items():
            descend(inner, (*parts, key))

    for key, value in table.items():
        parts = _parts(key, where)
        if len(parts) > 1:
            add(parts, value)  # as it is, a table too
        else:
            descend(value, parts)
    return flat


def _of_file(path: Path, where: str) -> list[tuple[str, Changes]]:
    """Cases of a CSV file: keys in its first line, a case in each other one; an empty cell sets nothing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f'{where} file: "{path}" can\'t be read as a CSV file: {reason}') from error
    rows = [row for row in rows if not row[0].lstrip().startswith("#")]
    if len(rows) < 2:
        found = "one line" if rows else "none"
        raise InputError(f"{where} file: {path}: expected a line of keys and a line for each case, got {found}")
    head = [cell.strip() for cell in rows[0]]
    told = f"{where} file: {path}: column"
    keys = [key if key == NAME else _canonical(_parts(key, f"{told} {i}")) for i, key in enumerate(head, 1)]
    if len(set(keys)) < len(keys):
        raise InputError(f"{where} file: {path}: two columns have the same key")
    cases = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(keys):
            raise InputError(f"{where} file: {path}: line {number} has {len(row)} cells, the first one has {len(keys)}")
        entries = {key: cell.strip() for key, cell in zip(keys, row, strict=True) if cell.strip()}
        name = entries.pop(NAME, "")
        cases.append((name, {key: value_of(cell) for key, cell in entries.items()}))
    return cases


# --- names ---


def _named(cases: Sequence[tuple[str, Changes]], path: Path) -> Plan:
    """The cases with folders named after what differs."""
    keys = list(dict.fromkeys(key for _, changes in cases for key in changes))
    differ = tuple(key for key in keys if len({toml_text(changes.get(key, ())) for _, changes in cases}) > 1)
    shorts = _short_names(differ or tuple(keys))
    texts = {key: _short_values([changes[key] for _, changes in cases if key in changes]) for key in shorts}
    values = {key: {text: _as_file_name(value) for text, value in of_key.items()} for key, of_key in texts.items()}
    names: list[str] = []
    taken: set[str] = set()
    for number, (given, changes) in enumerate(cases, 1):
        parts = [
            f"{_as_file_name(short)}={values[key][toml_text(changes[key])]}"
            for key, short in shorts.items()
            if key in changes
        ]
        name = given or ",".join(parts) or "as-given"
        if given and (not _FOLDER.fullmatch(given) or given.startswith(".") or len(given) > LONGEST_FOLDER):
            raise InputError(
                f'{path}: [sweep]: a case named "{printable(given)}"; use letters, digits and "_", "-", ".", at most '
                f"{LONGEST_FOLDER}, and no dot first"
            )
        if given and given.lower() in taken | {"logs"}:
            raise InputError(f'{path}: [sweep]: the name "{given}" is taken; give each case one of its own')
        if len(name) > LONGEST_FOLDER or name.lower() in taken:
            name = f"{name[: LONGEST_FOLDER - 8]}-{number}"
        taken.add(name.lower())
        names.append(name)
    same: dict[str, str] = {}
    for (_, changes), name in zip(cases, names, strict=True):
        other = same.setdefault(toml_text(dict(sorted(changes.items()))), name)
        if other != name:
            raise InputError(f"{path}: the cases {other} and {name} of the sweep are the same; remove one")
    variations = tuple(
        Variation(name, changes, given or _label(changes, shorts, texts, len(differ or keys)))
        for name, (given, changes) in zip(names, cases, strict=True)
    )
    return Plan(variations, differ)


def _label(changes: Changes, shorts: dict[str, str], texts: dict[str, dict[str, str]], count: int) -> str:
    """What differs, as a reader sees it: values alone where there is one key, which the reader knows."""
    own = [(short, texts[key][toml_text(changes[key])]) for key, short in shorts.items() if key in changes]
    text = ", ".join(value if count == 1 and len(short) > 30 else f"{short} = {value}" for short, value in own)
    text = text or "as in the case file"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Key -> the shortest end of it, in whole parts, that no other key ends in."""
    parts = {key: key_parts(key) for key in keys}
    shorts = {}
    for key, own in parts.items():
        others = [other for each, other in parts.items() if each != key]
        count = next((n for n in range(1, len(own)) if not any(other[-n:] == own[-n:] for other in others)), len(own))
        shorts[key] = ".".join(own[-count:])
    return shorts


def _short_values(values: Sequence[Any]) -> dict[str, str]:
    """Value, as TOML -> text of it; of files without their folders, where that suffices."""
    every = {toml_text(value): value for value in values}
    names = {text: Path(value).name for text, value in every.items() if isinstance(value, str) and "/" in value}
    are_files = len(names) == len(every) == len(set(names.values())) and all(
        Path(name).suffix for name in names.values()
    )
    return {text: names[text] if are_files else shown_value(value) for text, value in every.items()}


def _as_file_name(text: str) -> str:
    """A text in letters that are harmless in a shell and in any file system."""
    text = text.replace("µ", "u").replace("^", "").replace("/", "_per_")
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_") or "none"
