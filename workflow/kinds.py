"""Kinds of values that a case file holds: each parses a TOML value and describes itself as JSON Schema and in words.

`schema.py` puts them together into the tables of the case file; what the parser accepts, what `microlith schema` prints
and what a message says was expected therefore cannot drift apart.
"""
# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal

from microlith.meshing.errors import InputError
from microlith.workflow.units import NUMBER, Dimension, to_si

Sign = Literal["positive", "not negative", "any"]


@dataclass(frozen=True)
class Place:
    """Where in which file a value stands; its text is the head of every message, `case.toml: [image] voxel_size.x`."""

    file: str
    header: tuple[str, ...] = ()  # of the table, as in [phases.pore]
    key: str = ""  # within that table

    def child(self, name: str, section: bool = False) -> "Place":
        """Place of an entry of the table here; a section has a header of its own."""
        if section:
            return replace(self, header=(*self.header, name))
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> "Place":
        """Place of an item of the list here, counted from 1 as people do."""
        return replace(self, key=f"{self.key}, item {index + 1}")

    def __str__(self) -> str:
        table = f"[{'.'.join(self.header)}]" if self.header else ""
        return f"{self.file}: {' '.join(part for part in (table, self.key) if part) or 'top level'}"

    def error(self, sentence: str) -> InputError:
        """The exception that says what is wrong here."""
        return InputError(f"{self}: {sentence}")


def nearest(name: str, known: list[str], what: str) -> str:
    """End of a sentence about an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.5) or get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known {what}: {', '.join(known)}" if known else f"there are no {what}"


def shown(value: object) -> str:
    """A TOML value as a message quotes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value}"'
    if isinstance(value, int | float):
        return f"the bare number {value}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return f"the {type(value).__name__} {value}"


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
            raise at.error(f"expected {self.expected()}, got {shown(value)}")
        return self._parse(value, at)

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

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def _parse(self, value: str, at: Place) -> Any:
        if not re.search(self.pattern, value):
            raise at.error(f'expected {self.expected()}, got "{value}"')
        return self.convert(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": self.pattern}


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
            raise at.error(f'"{value}" is unknown; {nearest(value, list(self.options), "values")}')
        return value

    def json(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Number(Kind):
    """A number without unit, between bounds that belong to it unless `above` excludes the lower one."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    whole: bool = False

    def accepts(self, value: object) -> bool:
        return isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)

    def expected(self) -> str:
        bounds = []
        if self.above is not None:
            bounds.append(f"above {self.above:g}")
        if self.low is not None:
            bounds.append(f"of at least {self.low:g}")
        if self.high is not None:
            bounds.append(f"at most {self.high:g}")
        return " ".join(["a whole number" if self.whole else "a number", " and ".join(bounds)]).strip()

    def _parse(self, value: float, at: Place) -> float:
        fits = (
            math.isfinite(value)
            and (self.above is None or value > self.above)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )
        if not fits:
            raise at.error(f"expected {self.expected()}, got {value}")
        return value if self.whole else float(value)

    def json(self) -> dict[str, Any]:
        bounds = {"minimum": self.low, "maximum": self.high, "exclusiveMinimum": self.above}
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
            raise at.error(f'expected {self.expected()}, got "{value}", which is negative')
        if number == 0 and self.sign == "positive":
            raise at.error(f'expected {self.expected()}, got "{value}"; it must be above zero')
        return number

    def json(self) -> dict[str, Any]:
        sign = "[+-]?" if self.sign == "any" else r"\+?"
        text = f"{self.dimension.words} with its unit, in SI {self.dimension.si}"
        return {
            "type": "string",
            "pattern": rf"^\s*{sign}{NUMBER}\s*[^\s\d.,+-]",
            "description": text[0].upper() + text[1:],
            "examples": [self.example or self.dimension.example],
        }


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of values of one kind; parsed to a tuple."""

    entry: Kind
    what: str  # plural
    shortest: int = 0
    longest: int | None = None

    def accepts(self, value: object) -> bool:
        return isinstance(value, list)

    def expected(self) -> str:
        if self.shortest == self.longest:
            return f"a list of {self.shortest} {self.what}"
        if self.longest is not None:
            return f"a list of {self.shortest} to {self.longest} {self.what}"
        return f"a list of at least {self.shortest} {self.what}" if self.shortest else f"a list of {self.what}"

    def _parse(self, value: list[object], at: Place) -> tuple[Any, ...]:
        if len(value) < self.shortest or (self.longest is not None and len(value) > self.longest):
            raise at.error(f"expected {self.expected()}, got {len(value)}")
        return tuple(self.entry.parse(entry, at.item(i)) for i, entry in enumerate(value))

    def json(self) -> dict[str, Any]:
        length = {"minItems": self.shortest} | ({} if self.longest is None else {"maxItems": self.longest})
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


@dataclass(frozen=True)
class Later(Kind):
    """A key of the design that this version does not know how to obey: refused rather than ignored."""

    def expected(self) -> str:
        return "nothing"

    def accepts(self, value: object) -> bool:
        return False

    def parse(self, value: object, at: Place) -> Any:
        raise at.error("this is not available yet in this version of microlith; leave it out")

    def _parse(self, value: object, at: Place) -> Any:
        raise NotImplementedError

    def json(self) -> dict[str, Any]:
        return {"not": {}}


@dataclass(frozen=True)
class Key:
    """A key of a table."""

    name: str
    kind: Kind
    doc: str
    required: bool = False
    default: Any = None  # TOML value that stands in where the key is left out
    # Only in tables whose `tag` key has one of these values, and required in those of them that are in `needed_by`:
    only: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    beside: str = ""  # only next to this other key


@dataclass(frozen=True)
class Table(Kind):
    """A table of known keys; parsed to a dict of those that are there or have a default."""

    words: str
    keys: tuple[Key, ...]
    doc: str = ""
    section: bool = False  # written with a [header] of its own
    one_of: tuple[str, ...] = ()  # exactly one of these keys
    at_least: int = 0  # keys
    tag: str = ""  # required key of kind Choice that says which of the other keys apply

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, dict)

    def key(self, name: str) -> Key:
        """The key of that name."""
        return next(key for key in self.keys if key.name == name)

    def _parse(self, value: dict[str, object], at: Place) -> dict[str, Any]:
        self._refuse_unknown(value, at)
        parsed = {}
        for key in self.keys:
            raw = value.get(key.name, key.default)
            if raw is not None:
                parsed[key.name] = key.kind.parse(raw, at.child(key.name, _is_section(key.kind)))
            elif key.required:
                if _is_section(key.kind):
                    raise at.error(f"the table [{key.name}] is missing; add {key.kind.expected()}")
                raise at.error(f'the key "{key.name}" is missing; expected {key.kind.expected()}')
        self._check_groups(value, parsed, at)
        if self.tag:
            self._check_tag(value, parsed, at)
        return parsed

    def _refuse_unknown(self, value: dict[str, object], at: Place) -> None:
        known = [key.name for key in self.keys]
        for name in value:
            if name not in known:
                raise at.error(f'unknown key "{name}"; {nearest(name, known, "keys")}')

    def _check_groups(self, value: dict[str, object], parsed: dict[str, Any], at: Place) -> None:
        given = [name for name in self.one_of if name in value]
        if self.one_of and len(given) != 1:
            got = " and ".join(given) or "none"
            raise at.error(f"expected exactly one of {', '.join(self.one_of)}, got {got}")
        if len(value) < self.at_least:
            raise at.error(f"expected {self.expected()}, got an empty table")
        for key in self.keys:
            if key.beside and key.name in value and key.beside not in value:
                raise at.child(key.name).error(f'this key goes with "{key.beside}" only; remove it')

    def _check_tag(self, value: dict[str, object], parsed: dict[str, Any], at: Place) -> None:
        tag = parsed[self.tag]
        for key in self.keys:
            if key.only and tag not in key.only:
                if key.name in value:
                    takers = " or ".join(f'"{name}"' for name in key.only)
                    raise at.child(key.name).error(
                        f'{self.tag} "{tag}" takes no {key.name}; '
                        f"remove it, or make the {self.tag} {takers}, which takes it"
                    )
                parsed.pop(key.name, None)
            if tag in key.needed_by and key.name not in parsed:
                raise at.error(f'{self.tag} "{tag}" needs the key "{key.name}"; expected {key.kind.expected()}')

    def json(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {key.name: _described(key) for key in self.keys},
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.required]
        beside = {key.name: [key.beside] for key in self.keys if key.beside}
        conditions = [self._condition(tag) for tag in self._tags()]
        extra = {
            "required": required,
            "oneOf": [{"required": [name]} for name in self.one_of],
            "minProperties": self.at_least,
            "dependentRequired": beside,
            "allOf": conditions,
        }
        return schema | {name: content for name, content in extra.items() if content}

    def _tags(self) -> tuple[str, ...]:
        if not self.tag:
            return ()
        kind = self.key(self.tag).kind
        assert isinstance(kind, Choice)
        return kind.options

    def _condition(self, tag: str) -> dict[str, Any]:
        """Keys that a table with that tag refuses and needs."""
        refused = {key.name: False for key in self.keys if key.only and tag not in key.only}
        needed = [key.name for key in self.keys if tag in key.needed_by]
        then = {name: content for name, content in (("properties", refused), ("required", needed)) if content}
        return {"if": {"properties": {self.tag: {"const": tag}}, "required": [self.tag]}, "then": then}


@dataclass(frozen=True)
class Named(Kind):
    """A table whose keys are names that the user gives, or some of a fixed list; parsed to a dict in their order."""

    entry: Kind
    what: str  # plural, of the names
    words: str
    names: tuple[str, ...] = ()  # the only ones allowed; none: any of letters, digits, _ - .
    at_least: int = 0
    section: bool = False
    example: str = field(default="name", compare=False)  # of a name, for the reference

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, dict)

    def _parse(self, value: dict[str, object], at: Place) -> dict[str, Any]:
        if len(value) < self.at_least:
            raise at.error(f"expected {self.expected()}, got an empty table")
        for name in value:
            if self.names and name not in self.names:
                raise at.error(f'"{name}" is unknown; {nearest(name, list(self.names), self.what)}')
            if not re.fullmatch(NAME, name):
                raise at.error(f'a name such as "{name}" is not allowed; use letters, digits, "_", "-" and "." only')
        section = _is_section(self.entry)
        return {name: self.entry.parse(entry, at.child(name, section)) for name, entry in value.items()}

    def json(self) -> dict[str, Any]:
        names = {"enum": list(self.names)} if self.names else {"pattern": f"^{NAME}$"}
        least = {"minProperties": self.at_least} if self.at_least else {}
        return {"type": "object", "propertyNames": names, "additionalProperties": self.entry.json()} | least


NAME = r"[A-Za-z0-9_.-]+"  # of phases and regions: they become columns of a CSV file and names in pictures and files


def _is_section(kind: Kind) -> bool:
    return getattr(kind, "section", False)


def _described(key: Key) -> dict[str, Any]:
    """JSON Schema of a key, with its description and default."""
    schema = key.kind.json()
    unit = f" {schema['description']}." if "description" in schema else ""
    default = {} if key.default is None else {"default": key.default}
    return schema | {"description": key.doc + unit} | default
