"""Values and keys as TOML writes them, on one line."""

import json
import re
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted_key(key)} = {toml_text(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_text(entry) for entry in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)


def shown_value(value: Any) -> str:
    """A value as a table shows it: a text without its quotes."""
    return value if isinstance(value, str) else toml_text(value)


def quoted_key(part: str) -> str:
    """A part of a dotted key, in quotes where TOML needs them."""
    return part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
