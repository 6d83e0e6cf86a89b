"""Changes to the tables of a case, by dotted keys as TOML has them."""

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from microlith.imaging.errors import InputError


def changed(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with other values; the given ones stay as they are.

    Args:
        tables: As in a case file.
        changes: Dotted key -> new value: "phases.sei_cb.diffusivity" -> "1e-14 m^2/s". None takes the key away.

    Raises:
        InputError: A key is none, or leads through something that is no table.
    """
    out = copy.deepcopy(dict(tables))
    for key, value in changes.items():
        *way, last = key_parts(key)
        table = out
        for part in way:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InputError(f'{key}: "{part}" is no table; name a key of the case file, such as time.end')
        if value is None:
            table.pop(last, None)
        else:
            table[last] = copy.deepcopy(value)
    return out


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
