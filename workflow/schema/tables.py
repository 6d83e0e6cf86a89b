"""Tables that a case file holds: keys that are known, names that the user gives, several tables of one kind."""
# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

import re
from dataclasses import dataclass, field
from typing import Any

from microlith.imaging.errors import Faults, printable
from microlith.workflow.schema.kinds import LONGEST_NAME, Choice, Kind, Place, nearest


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
    instead: str = ""  # not next to this other key


@dataclass(frozen=True)
class Table(Kind):
    """A table of known keys; parsed to a dict of those that are there or have a default."""

    words: str
    keys: tuple[Key, ...]
    doc: str = ""
    section: bool = False  # written with a [header] of its own
    one_of: tuple[str, ...] = ()  # exactly one of these keys
    any_of: tuple[str, ...] = ()  # at least one of these keys
    at_least: int = 0  # keys
    others: Kind | None = None  # what keys of the user's own hold, whose names are identifiers; None: there are none
    tag: str = ""  # required key of kind Choice that says which of the other keys apply

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, dict)

    def key(self, name: str) -> Key:
        """The key of that name."""
        return next(key for key in self.keys if key.name == name)

    def _parse(self, value: dict[str, object], at: Place) -> dict[str, Any]:
        faults = Faults()
        self._refuse_unknown(value, at, faults)
        parsed: dict[str, Any] = {}
        own = [name for name in value if name not in self._known()]
        for key in self.keys:
            with faults.gathered():
                parsed |= self._entry(key, value, at)
        if self.others is not None:
            for name in own:
                with faults.gathered():
                    parsed[name] = self.others.parse(value[name], at.child(name))
                if faults.many:
                    break
        with faults.gathered():
            self._check_groups(value, at)
        if self.tag in parsed:
            self._check_tag(value, parsed, at, faults)
        faults.tell()
        return parsed

    def _entry(self, key: Key, value: dict[str, object], at: Place) -> dict[str, Any]:
        """A key parsed, if it is there."""
        raw = value.get(key.name, key.default)
        if raw is not None:
            return {key.name: key.kind.parse(raw, at.child(key.name, _is_section(key.kind)))}
        if key.required and not self._misspelt(value):
            if _is_section(key.kind):
                raise at.error(f"the table [{key.name}] is missing; add {key.kind.expected()}")
            raise at.error(f'the key "{key.name}" is missing; expected {key.kind.expected()}')
        return {}

    def _refuse_unknown(self, value: dict[str, object], at: Place, faults: Faults) -> None:
        known = self._known()
        for name in value:
            with faults.gathered():
                if self.others is not None and name not in known and not re.fullmatch(IDENTIFIER, name):
                    raise at.error(
                        f'a name such as "{printable(name)}" is not allowed; use letters, digits and "_" only'
                    )
                if self.others is None and name not in known:
                    raise at.error(f'unknown key "{printable(name)}"; {nearest(name, known, "keys")}')
            if faults.many:
                break

    def _known(self) -> list[str]:
        return [key.name for key in self.keys]

    def _misspelt(self, value: dict[str, object]) -> bool:
        """Whether there are unknown keys: what is missing is most likely one of them, and they are told."""
        return self.others is None and any(name not in self._known() for name in value)

    def _check_groups(self, value: dict[str, object], at: Place) -> None:
        misspelt = self._misspelt(value)
        given = [name for name in self.one_of if name in value]
        if self.one_of and len(given) != 1 and not (misspelt and not given):
            got = " and ".join(given) or "none"
            raise at.error(f"expected exactly one of {', '.join(self.one_of)}, got {got}")
        if self.any_of and not any(name in value for name in self.any_of) and not misspelt:
            raise at.error(f"expected at least one of {', '.join(self.any_of)}, got none")
        if len(value) < self.at_least:
            raise at.error(f"expected {self.expected()}, got an empty table")
        for key in self.keys:
            if key.instead and key.name in value and key.instead in value:
                raise at.child(key.name).error(f'this key excludes "{key.instead}"; keep one of them')
            if key.beside and key.name in value and key.beside not in value and not misspelt:
                raise at.child(key.name).error(f'this key goes with "{key.beside}" only; remove it')

    def _check_tag(self, value: dict[str, object], parsed: dict[str, Any], at: Place, faults: Faults) -> None:
        tag, misspelt = parsed[self.tag], self._misspelt(value)
        for key in self.keys:
            with faults.gathered():
                if key.only and tag not in key.only:
                    if key.name in value:
                        takers = " or ".join(f'"{name}"' for name in key.only)
                        raise at.child(key.name).error(
                            f'{self.tag} "{tag}" takes no {key.name}; '
                            f"remove it, or make the {self.tag} {takers}, which takes it"
                        )
                    parsed.pop(key.name, None)
                if tag in key.needed_by and value.get(key.name, key.default) is None and not misspelt:
                    raise at.error(f'{self.tag} "{tag}" needs the key "{key.name}"; expected {key.kind.expected()}')

    def json(self) -> dict[str, Any]:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {key.name: _described(key) for key in self.keys},
            "additionalProperties": False,
        }
        if self.others is not None:
            schema |= {"propertyNames": {"pattern": f"^{IDENTIFIER}$"}, "additionalProperties": self.others.json()}
        required = [key.name for key in self.keys if key.required]
        beside = {key.name: [key.beside] for key in self.keys if key.beside}
        conditions = [self._condition(tag) for tag in self._tags()]
        conditions += [{"not": {"required": [key.name, key.instead]}} for key in self.keys if key.instead]
        extra = {
            "required": required,
            "oneOf": [{"required": [name]} for name in self.one_of],
            "anyOf": [{"required": [name]} for name in self.any_of],
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
    keys: tuple[Key, ...] = ()  # with `names`: more of them, whose entries are of other kinds
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
        kinds = {key.name: key.kind for key in self.keys}
        faults, parsed = Faults(), {}
        for name, entry in value.items():
            with faults.gathered():
                shown = printable(name)
                if self.names and name not in self.names and name not in kinds:
                    raise at.error(f'"{shown}" is unknown; {nearest(name, [*self.names, *kinds], self.what)}')
                if not re.fullmatch(NAME, name):
                    only = 'use letters, digits, "_", "-" and "." only'
                    raise at.error(f'a name such as "{shown}" is not allowed; {only}')
                if len(name) > LONGEST_NAME:
                    raise at.error(f'expected a name of at most {LONGEST_NAME} characters, got "{shown}"')
                kind = kinds.get(name, self.entry)
                parsed[name] = kind.parse(entry, at.child(name, _is_section(kind)))
            if faults.many:
                break
        faults.tell()
        return parsed

    def json(self) -> dict[str, Any]:
        allowed = [*self.names, *(key.name for key in self.keys)]
        names = {"enum": allowed} if self.names else {"pattern": f"^{NAME}$", "maxLength": LONGEST_NAME}
        more: dict[str, Any] = {"minProperties": self.at_least} if self.at_least else {}
        if self.keys:
            more["properties"] = {key.name: _described(key) for key in self.keys}
        return {"type": "object", "propertyNames": names, "additionalProperties": self.entry.json()} | more


@dataclass(frozen=True)
class Several(Kind):
    """Any number of tables of one kind, as in [[interfaces]]; parsed to a tuple."""

    entry: Table
    words: str
    section: bool = True

    def expected(self) -> str:
        return self.words

    def accepts(self, value: object) -> bool:
        return isinstance(value, list)

    def _parse(self, value: list[object], at: Place) -> tuple[dict[str, Any], ...]:
        faults, parsed = Faults(), []
        for i, entry in enumerate(value):
            with faults.gathered():
                parsed.append(self.entry.parse(entry, at.table(i)))
            if faults.many:
                break
        faults.tell()
        return tuple(parsed)

    def json(self) -> dict[str, Any]:
        return {"type": "array", "items": self.entry.json()}


@dataclass(frozen=True)
class ByKey(Kind):
    """A table of the first of several kinds of which it has the one key that tells them apart, else of the last."""

    tables: tuple[tuple[str, Table], ...]  # with that key, which each of them requires
    otherwise: Table

    def expected(self) -> str:
        return ", or ".join(table.expected() for table in [*(table for _, table in self.tables), self.otherwise])

    def accepts(self, value: object) -> bool:
        return isinstance(value, dict)

    def _parse(self, value: dict[str, object], at: Place) -> dict[str, Any]:
        return next((table for key, table in self.tables if key in value), self.otherwise).parse(value, at)

    def json(self) -> dict[str, Any]:
        return {"anyOf": [table.json() for table in [*(table for _, table in self.tables), self.otherwise]]}


NAME = r"[A-Za-z0-9_.-]+"  # of phases and regions: they become columns of a CSV file and names in pictures and files

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"  # of parameters of expressions


def _is_section(kind: Kind) -> bool:
    return getattr(kind, "section", False)


def _described(key: Key) -> dict[str, Any]:
    """JSON Schema of a key, with its description and default."""
    schema = key.kind.json()
    unit = f" {schema['description']}." if "description" in schema else ""
    default = {} if key.default is None else {"default": key.default}
    return schema | {"description": key.doc + unit} | default
