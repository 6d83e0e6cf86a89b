"""Values of keys as a user writes them in a shell or in a table: texts without quotes, or any value of TOML."""

import tomllib
from collections.abc import Iterator
from typing import Any

from microlith.imaging.errors import InputError, printable

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STARTS_VALUE = frozenset("([{,=")  # characters after which a quote begins a text and is no apostrophe


def values_of(text: str, where: str) -> list[Any]:
    """The values in a list with commas between them, such as "1e-14 m^2/s, 3e-14 m^2/s" or "[0, 5], [0, 10]".

    Commas within quotes, brackets, braces and parentheses belong to a value.

    Args:
        text: As written.
        where: What a message begins with.

    Raises:
        InputError: There is no value, one is empty, or brackets or quotes do not match.
    """
    pieces = [piece.strip() for piece in _split(text, where)]
    if not all(pieces):
        raise InputError(f'{where}: expected values with commas between them, got "{printable(text)}"')
    return [value_of(piece) for piece in pieces]


def value_of(text: str) -> Any:
    """One value: what TOML takes it for, or else the text itself, so that "3 nm" needs no quotes within a shell's."""
    text = text.strip()
    try:
        table = tomllib.loads(f"value = {text}") if "\n" not in text else {}
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
    value = table.get("value", text)
    # "#" begins a comment of TOML's; names of files may look like dates, which are no values of a case file
    return value if len(table) == 1 and "#" not in text and _is_plain(value) else text


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(_is_plain(entry) for entry in value.values())
    return isinstance(value, str | int | float)


def _split(text: str, where: str) -> Iterator[str]:
    """The parts between commas that stand in no quotes and no brackets."""
    wanted: list[str] = []  # closing brackets, the innermost last
    start, i, last = 0, 0, ","  # `last`: character before this one, spaces left out
    while i < len(text):
        char = text[i]
        if char in "\"'" and last in _STARTS_VALUE:
            i = _end_of_quotes(text, i, where)
        elif char in _CLOSING:
            wanted.append(_CLOSING[char])
        elif char in ")]}":
            if not wanted or wanted.pop() != char:
                raise _unmatched(char, text, where)
        elif char == "," and not wanted:
            yield text[start:i]
            start = i + 1
        if not char.isspace():
            last = char
        i += 1
    if wanted:
        raise _unmatched(wanted[-1], text, where)
    yield text[start:]


def _end_of_quotes(text: str, start: int, where: str) -> int:
    """Index of the quote that ends the text whose opening quote is at `start`."""
    quote, i = text[start], start + 1
    while i < len(text):
        if text[i] == quote:
            return i
        i += 2 if text[i] == "\\" and quote == '"' else 1
    raise _unmatched(quote, text, where)


def _unmatched(char: str, text: str, where: str) -> InputError:
    return InputError(f'{where}: a {char} in "{printable(text)}" has no partner; put a text that holds one in quotes')
