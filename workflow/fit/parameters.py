"""What is varied in a fit: keys of the case file between two values, each scaled to run from 0 to 1."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microlith.imaging.errors import InputError, printable
from microlith.imaging.typing import Array
from microlith.workflow.case.changes import changed, key_parts, keys_of_values, value_at
from microlith.workflow.case.toml_text import quoted_key
from microlith.workflow.schema.units import NUMBER

DECADE = 10.0  # ratio of the ends from which on a positive value is varied in its logarithm
EXPECTED = 'expected KEY="LOW UNIT .. HIGH UNIT", such as phases.sei.diffusivity="1e-15 m^2/s .. 1e-12 m^2/s"'
_NUMBER = re.compile(rf"\s*([+-]?{NUMBER})(.*)", re.S)


@dataclass(frozen=True)
class Parameter:
    """A key of the case file whose value is looked for."""

    key: str  # dotted
    low: float  # in the unit
    high: float
    unit: str  # as written; "" for a number without unit
    start: float | None  # what the case file says, where that is between the two

    @property
    def is_logarithmic(self) -> bool:
        """Whether it is varied in its logarithm."""
        return self.low > 0 and self.high >= DECADE * self.low

    @property
    def span(self) -> float:
        """Length of the range: of its logarithm where that is varied."""
        return math.log(self.high / self.low) if self.is_logarithmic else self.high - self.low

    def value(self, x: float) -> float:
        """The value at x, which runs from 0 at the lower end to 1 at the upper one, and may be outside."""
        if not self.is_logarithmic:
            return self.low + x * self.span
        return self.low * math.exp(min(max(x * self.span, -600.0), 600.0))

    def scaled(self, value: float) -> float:
        """Where a value is between the ends."""
        return (math.log(value / self.low) if self.is_logarithmic else value - self.low) / self.span

    def written(self, x: float) -> str | float:
        """The value at x as a case file has it."""
        return f"{self.value(x):.9g} {self.unit}" if self.unit else float(f"{self.value(x):.12g}")

    def said(self, value: float) -> str:
        """A value with its unit, for readers."""
        return f"{value:.4g} {self.unit}".strip()


def parameters_of(tables: Mapping[str, Any], vary: Sequence[str] | Mapping[str, str]) -> tuple[Parameter, ...]:
    """The parameters that the words of --vary name.

    Args:
        tables: Of the case file.
        vary: KEY=RANGE each, or key -> range.

    Raises:
        InputError: A key or a range is none, or a key occurs twice.
    """
    pairs = list(vary.items()) if isinstance(vary, Mapping) else [_pair(words) for words in vary]
    if not pairs:
        raise InputError(f"nothing to vary; give --vary, {EXPECTED}")
    found = tuple(_parameter(tables, key.strip(), text) for key, text in pairs)
    ways = [key_parts(one.key) for one in found]
    for i, way in enumerate(ways):
        if way in ways[:i]:
            raise InputError(f"--vary {found[i].key}: given twice; leave one of them out")
    return found


def _pair(words: str) -> tuple[str, str]:
    key, sign, text = words.partition("=")
    if not sign:
        raise InputError(f'--vary "{printable(words)}": {EXPECTED}')
    return key, text


def _parameter(tables: Mapping[str, Any], key: str, text: str) -> Parameter:
    where = f"--vary {printable(key)}"
    key_parts(key)
    ends = [_NUMBER.fullmatch(end) for end in re.split(r"\.\.\.?|…", text, maxsplit=1)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise InputError(f'{where}: got "{printable(text)}"; {EXPECTED}')
    low, high = float(ends[0][1]), float(ends[1][1])
    first, unit = ends[0][2].strip(), ends[1][2].strip()
    if first not in ("", unit):
        raise InputError(f'{where}: the units "{first}" and "{unit}" differ; give both ends in the same unit')
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{where}: expected the lower end first, got {low:g} .. {high:g}")
    changed(tables, {key: 0})  # refuses a way that leads through something that is no table
    given = value_at(tables, key)
    if isinstance(given, Mapping) and len(key_parts(key)) > 2:  # of whole phases the schema says what is wrong
        raise _replaced(given, key, where)
    return Parameter(key, low, high, unit, _start(given, low, high, unit))


def _replaced(given: Mapping[str, Any], key: str, where: str) -> InputError:
    """Of a table, such as a law, in whose place a fit would put one value without a word."""
    within = keys_of_values(given, key)
    if within:
        what = f"vary {' or '.join(within[:4])}"
    elif key_parts(key)[-1] == "diffusivity":
        what = 'write the law as { expression = "D0 * ...", D0 = ... } and vary ' + f"{key}.D0"
    else:
        what = "vary another key"
    return InputError(
        f"{where}: the case file has a table there, {_keys(given)}, in whose place a fit would put one value; {what}, "
        "or give one value in the case file if that is meant"
    )


def _keys(given: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{quoted_key(name)} = ..." for name in given) + " }"


def _start(value: Any, low: float, high: float, unit: str) -> float | None:
    """What the case file says in the unit of the range; None where it says nothing between the ends."""
    from microlith.workflow.schema.units import any_to_si

    number = None
    if isinstance(value, int | float) and not isinstance(value, bool) and not unit:
        number = float(value)
    elif isinstance(value, str) and unit:
        try:
            (own, measures), (one, wanted) = any_to_si(value), any_to_si(f"1 {unit}")
        except ValueError:  # the case file says what is wrong
            return None
        number = own / one if measures == wanted else None
    return number if number is not None and low <= number <= high else None


def with_values(
    tables: Mapping[str, Any], parameters: Sequence[Parameter], x: Array | Sequence[float]
) -> dict[str, Any]:
    """The tables of the case with the values at x, each from 0 to 1."""
    return changed(tables, {one.key: one.written(float(at)) for one, at in zip(parameters, x, strict=True)})
