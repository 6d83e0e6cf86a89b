"""Changes to the tables of a case, by dotted keys as TOML has them."""

import copy
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from microlith.imaging.errors import InputError, printable
from microlith.workflow.case.toml_text import quoted_key
from microlith.workflow.schema.kinds import nearest
from microlith.workflow.schema.units import any_to_si


def changed(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with other values; the given ones stay as they are.

    Args:
        tables: As in a case file.
        changes: Dotted key -> new value: "phases.sei_cb.diffusivity" -> "1e-14 m^2/s". None takes the key away. A table
            of several under one header is named by its number from 1 on: "interfaces.1.partition".

    Raises:
        InputError: A key is none, leads through something that is no table, or is of a phase that is not there.
    """
    out = copy.deepcopy(dict(tables))
    for key, value in changes.items():
        *way, last = key_parts(key)
        table: Any = out
        for part in way:
            table = _numbered(table, part, key) if isinstance(table, list) else table.setdefault(part, {})
            if not isinstance(table, dict | list):
                raise InputError(f'{key}: "{part}" is no table; name a key of the case file, such as time.end')
        if isinstance(table, list):
            raise InputError(
                f"{key}: there are several [[{way[-1]}]]; name a key of one, such as {way[-1]}.1.partition"
            )
        if value is None:
            table.pop(last, None)
        else:
            table[last] = copy.deepcopy(value)
    _refuse_unknown_phase(tables, out, changes)
    return out


def _refuse_unknown_phase(tables: Mapping[str, Any], out: Mapping[str, Any], changes: Iterable[str]) -> None:
    """Refuse a key of a phase that is not there, which would be taken for a new one that lacks all else."""
    known = tables.get("phases")
    if not isinstance(known, Mapping):
        return
    for key in changes:
        way = key_parts(key)
        new = len(way) > 2 and way[0] == "phases" and way[1] not in known
        if new and "role" not in out["phases"].get(way[1], {}):
            raise InputError(
                f'{key}: there is no phase "{printable(way[1])}"; {nearest(way[1], list(known), "phases")}'
            )


def value_at(tables: Mapping[str, Any], key: str) -> Any:
    """What stands at a dotted key; None where there is nothing.

    Raises:
        InputError: It is no key.
    """
    found: Any = tables
    for part in key_parts(key):
        if isinstance(found, list):
            found = _numbered(found, part, key)
        elif isinstance(found, Mapping):
            found = found.get(part)
        else:
            return None
    return found


def keys_of_values(table: Mapping[str, Any], key: str) -> list[str]:
    """Dotted keys of the entries of a table that are one number or quantity each; `key` is that of the table."""
    return [f"{key}.{quoted_key(name)}" for name, value in table.items() if is_one_value(value)]


def is_one_value(value: Any) -> bool:
    """Whether a value of a case file is a number, or a text of a quantity."""
    if isinstance(value, str):
        try:
            any_to_si(value)
        except ValueError:
            return False
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _numbered(tables: list[Any], part: str, key: str) -> Any:
    """One of several tables, by its number.

    Raises:
        InputError: There is none of that number.
    """
    if part.isdecimal() and 1 <= int(part) <= len(tables):
        return tables[int(part) - 1]
    raise InputError(f'{key}: "{part}" is none of the {len(tables)} tables there; expected a number from 1 on')


def key_parts(key: str) -> tuple[str, ...]:
    """The parts of a dotted key; quotes protect dots as in TOML.

    Raises:
        InputError: It is no such key.
    """
    try:
        table: Any = tomllib.loads(f"{key} = 0") if "\n" not in key and "=" not in key else {}
    except tomllib.TOMLDecodeError:
        table = {}
    parts = []
    while isinstance(table, dict) and table:
        ((part, table),) = table.items()
        parts.append(part)
    if not parts:
        raise InputError(f'"{key}" is no key of a case file; expected one such as phases.sei_cb.diffusivity')
    return tuple(parts)
