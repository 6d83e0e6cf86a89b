"""Kinds of values that a case file holds: each parses a TOML value and describes itself as JSON Schema and in words.

`tables.py` makes tables of them and `keys.py` the tables of the case file; what the parser accepts, what
`microlith schema` prints and what a message says was expected therefore cannot drift apart.
"""
# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from microlith.imaging.errors import Faults, InputError, listed, printable
from microlith.workflow.schema.units import LONGEST, Dimension, Exponents, any_to_si, quantity_pattern, to_si

LONGEST_TEXT = 4000  # characters
LONGEST_NAME = 100  # characters that are looked at for a name that is meant
LARGEST = 1e300  # of numbers without unit
UNBOUNDED = 10**18  # of bounds, from which on they only keep whole numbers within 64 bits
MOST_ENTRIES = 100_000  # entries of a list that has no limit of its own

_UNQUOTED = "; write it without quotes"
_WRITTEN = re.compile(
    r"\s*(?P<number>[+-]?[0-9]{1,20}(?:[.,][0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?)\s*(?P<percent>%?)\s*"
)

Sign = Literal["positive", "not negative", "any"]


@dataclass(frozen=True)
class Place:
    """Where in which file a value stands; its text is the head of every message, `case.toml: [image] voxel_size.x`."""

    file: str
    header: tuple[str, ...] = ()  # of the table, as in [phases.pore]
    key: str = ""  # within that table
    number: int | None = None  # of the table, counted from 1, where there are several as in [[interfaces]]

    def child(self, name: str, section: bool = False) -> "Place":
        """Place of an entry of the table here; a section has a header of its own."""
        if section:
            return replace(self, header=(*self.header, name))
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> "Place":
        """Place of an item of the list here, counted from 1 as people do."""
        return replace(self, key=f"{self.key}, item {index + 1}")

    def table(self, index: int) -> "Place":
        """Place of a table of the array of tables here, [[header]], counted from 1 as people do."""
        return replace(self, number=index + 1)

    def __str__(self) -> str:
        table = f"[{'.'.join(self.header)}]" if self.header else ""
        if self.number is not None:
            table = f"[{table}], number {self.number}" + ("," if self.key else "")
        return f"{self.file}: {' '.join(part for part in (table, self.key) if part) or 'top level'}"

    def error(self, sentence: str) -> InputError:
        """The exception that says what is wrong here."""
        return InputError(f"{self}: {sentence}")


def nearest(name: str, known: list[str], what: str) -> str:
    """End of a sentence about an unknown name: the nearest known one, or all of them."""
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    # Matching takes the square of the length
    close = get_close_matches(name[:LONGEST_NAME].casefold(), list(folded), n=1, cutoff=0.55)
    if close:
        return f'did you mean "{folded[close[0]]}"?'
    return f"known {what}: {listed(known)}" if known else f"there are no {what}"


def shown(value: object) -> str:
    """A TOML value as a message quotes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{printable(value)}"'
    if isinstance(value, int | float):
        return f"the bare number {number_text(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return f"the {type(value).__name__} {value}"


def number_text(value: float) -> str:
    """A number as a message quotes it; whole ones of hundreds of digits, which are no floats, by their ends."""
    if isinstance(value, int) and abs(value) >= LARGEST:
        return f"a whole number of about {math.floor(value.bit_length() * math.log10(2))} digits"
    return str(value)


class Kind(ABC):
    """One kind of value."""

    @abstractmethod
    def expected(self) -> str:
        """What a message says was expected, with its article."""

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """Whether the TOML type fits."""

    def parse(self, value: object, at: Place) -> Any:
        """The value as understood, in SI.

        Raises:
            InputError: The value is not of this kind.
        """
        if not self.accepts(value):
            raise at.error(f"expected {self.expected()}, got {shown(value)}{self.meant(value)}")
        return self._parse(value, at)

    def meant(self, value: object) -> str:
        """End of a sentence about a value of another type: how it is written, where that can be told."""
        return ""

    @abstractmethod
    def _parse(self, value: Any, at: Place) -> Any: ...

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """The kind as JSON Schema."""


@dataclass(frozen=True)
class Text(Kind):
    """A text, of a pattern where one is given."""

    words: str
    pattern: str = r"\S"
    convert: Callable[[str], Any] = str
    hint: Callable[[str], str] = lambda _: ""  # what is likely meant by a text that is not of the pattern

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def _parse(self, value: str, at: Place) -> Any:
        if len(value) > LONGEST_TEXT:
            raise at.error(f"expected {self.expected()}, got a text of {len(value):,} characters")
        if not re.search(self.pattern, value):
            raise at.error(f'expected {self.expected()}, got "{printable(value)}"{self.hint(value)}')
        return self.convert(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern, "maxLength": LONGEST_TEXT}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    options: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def expected(self) -> str:
        return "one of " + ", ".join(f'"{option}"' for option in self.options)

    def _parse(self, value: str, at: Place) -> str:
        if value not in self.options:
            raise at.error(f'"{printable(value)}" is unknown; {nearest(value, list(self.options), "values")}')
        return value

    def json(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Flag(Kind):
    """Yes or no."""

    def expected(self) -> str:
        return "true or false"

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)

    def meant(self, value: object) -> str:
        return _UNQUOTED if isinstance(value, str) and value.strip() in ("true", "false") else ""

    def _parse(self, value: bool, at: Place) -> bool:
        return value

    def json(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Number(Kind):
    """A number without unit, between bounds: `low` and `high` belong to it, `above` and `below` don't."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    whole: bool = False
    below: float | None = None

    def accepts(self, value: object) -> bool:
        return isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)

    def expected(self) -> str:
        bounds = []
        if self.above is not None:
            bounds.append(f"above {self.above:g}")
        if self.low is not None and self.low > -UNBOUNDED:
            bounds.append(f"of at least {self.low:g}")
        if self.high is not None and self.high < UNBOUNDED:
            bounds.append(f"at most {self.high:g}")
        if self.below is not None:
            bounds.append(f"below {self.below:g}")
        return " ".join(["a whole number" if self.whole else "a number", " and ".join(bounds)]).strip()

    def meant(self, value: object) -> str:
        match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return ""
        if "," in match["number"]:
            return "; the decimal sign is a point"
        if match["percent"]:
            return "" if self.whole else f"; {match['number']} % is written as {float(match['number']) / 100:g}"
        return _UNQUOTED

    def _parse(self, value: float, at: Place) -> float:
        fits = (
            abs(value) < LARGEST
            and (self.above is None or value > self.above)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )
        if not fits:
            share = self.high == 1 and not self.whole and 1 < value <= 100
            meant = f"; {value:g} % is written as {value / 100:g}" if share else ""
            raise at.error(f"expected {self.expected()}, got {number_text(value)}{meant}")
        return value if self.whole else float(value)

    def json(self) -> dict[str, Any]:
        bounds = {"minimum": self.low, "maximum": self.high, "exclusiveMinimum": self.above}
        bounds |= {"exclusiveMaximum": self.below}
        return {"type": "integer" if self.whole else "number"} | {k: v for k, v in bounds.items() if v is not None}


@dataclass(frozen=True)
class Quantity(Kind):
    """A text of number and unit; parsed to a float in SI."""

    dimension: Dimension
    example: str = ""
    sign: Sign = "positive"

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def expected(self) -> str:
        return f'{self.dimension.words} with its unit, such as "{self.example or self.dimension.example}"'

    def _parse(self, value: str, at: Place) -> float:
        try:
            number = to_si(value, self.dimension)
        except ValueError as error:
            raise at.error(f"expected {self.expected()}, {error}") from error
        if number < 0 and self.sign != "any":
            raise at.error(f'expected {self.expected()}, got "{printable(value)}", which is negative')
        if number == 0 and self.sign == "positive":
            raise at.error(f'expected {self.expected()}, got "{printable(value)}"; it must be above zero')
        return number

    def json(self) -> dict[str, Any]:
        sign = "[+-]?" if self.sign == "any" else r"\+?"
        text = f"{self.dimension.words} with its unit, in SI {self.dimension.si}, {self.dimension.sizes()}"
        return {
            "type": "string",
            "pattern": quantity_pattern(sign),
            "maxLength": LONGEST,
            "description": text[0].upper() + text[1:],
            "examples": [self.example or self.dimension.example],
        }


@dataclass(frozen=True)
class AnyQuantity(Kind):
    """A text of number and any unit, or a bare number; parsed to the number in SI, what it measures, and its text."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def expected(self) -> str:
        return 'a quantity with its unit, such as "1 mol/L", or a bare number'

    def _parse(self, value: str | float, at: Place) -> tuple[float, Exponents, str]:
        if not isinstance(value, str):
            if not abs(value) < LARGEST:
                raise at.error(f"expected {self.expected()}, got {number_text(value)}")
            return float(value), frozenset(), str(value)
        try:
            return *any_to_si(value), value
        except ValueError as error:
            raise at.error(f"expected {self.expected()}, {error}") from error

    def json(self) -> dict[str, Any]:
        text = {"type": "string", "pattern": quantity_pattern("[+-]?"), "maxLength": LONGEST, "examples": ["1 mol/L"]}
        return {"anyOf": [text, {"type": "number"}]}


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of values of one kind; parsed to a tuple."""

    entry: Kind
    what: str  # plural
    shortest: int = 0
    longest: int | None = None
    hint: str = ""  # what to do about another length

    def accepts(self, value: object) -> bool:
        return isinstance(value, list)

    def expected(self) -> str:
        if self.shortest == self.longest:
            return f"a list of {self.shortest} {self.what}"
        if self.longest is not None:
            return f"a list of {self.shortest} to {self.longest} {self.what}"
        if self.shortest == 1:
            return f"a list of one or more {self.what}"
        return f"a list of at least {self.shortest} {self.what}" if self.shortest else f"a list of {self.what}"

    def meant(self, value: object) -> str:
        alone = isinstance(value, str) and len(value) <= LONGEST_NAME and self.entry.accepts(value)
        return f"; a list stands in brackets, as in [{json.dumps(value, ensure_ascii=False)}]" if alone else ""

    def _parse(self, value: list[object], at: Place) -> tuple[Any, ...]:
        if len(value) < self.shortest or len(value) > (MOST_ENTRIES if self.longest is None else self.longest):
            most = f", and of at most {MOST_ENTRIES:,}" if self.longest is None and len(value) > MOST_ENTRIES else ""
            raise at.error(f"expected {self.expected()}{most}, got {len(value)}{self.hint}")
        faults, parsed = Faults(), []
        for i, entry in enumerate(value):
            with faults.gathered():
                parsed.append(self.entry.parse(entry, at.item(i)))
            if faults.many:
                break
        faults.tell()
        return tuple(parsed)

    def json(self) -> dict[str, Any]:
        length = {"minItems": self.shortest, "maxItems": MOST_ENTRIES if self.longest is None else self.longest}
        return {"type": "array", "items": self.entry.json()} | length


@dataclass(frozen=True)
class Either(Kind):
    """A value of the first of several kinds that its TOML type fits."""

    kinds: tuple[Kind, ...]

    def accepts(self, value: object) -> bool:
        return any(kind.accepts(value) for kind in self.kinds)

    def expected(self) -> str:
        return ", or ".join(kind.expected() for kind in self.kinds)

    def _parse(self, value: object, at: Place) -> Any:
        return next(kind for kind in self.kinds if kind.accepts(value)).parse(value, at)

    def json(self) -> dict[str, Any]:
        return {"anyOf": [kind.json() for kind in self.kinds]}
