"""Quantities with units: text such as "12.5 nm" to a number in SI."""

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from microlith.imaging.errors import printable

if TYPE_CHECKING:
    import pint


Exponents = frozenset[tuple[str, Fraction]]  # of the base dimensions, "[length]" and the like


@dataclass(frozen=True)
class Dimension:
    """What a quantity measures, in the words and units that a message and a table need."""

    words: str  # with its article, "a length"
    formula: str  # as pint writes it
    si: str  # unit of the numbers that `to_si` returns
    example: str
    # Sizes in SI between which a number that is not zero has to be: far beyond all that there is, so that whatever is
    # outside is a slip, and such that no product or ratio of a few of them overflows
    smallest: float
    largest: float

    def sizes(self) -> str:
        """The sizes that are allowed, in words without the unit."""
        if self.smallest == 0:
            return f"at most {self.largest:g}"
        return f"from {self.smallest:g} to {self.largest:g}"


LENGTH = Dimension("a length", "[length]", "m", "12.5 nm", 1e-15, 1e6)
COORDINATE = replace(LENGTH, example="1.5 um", smallest=0.0)
TIME = Dimension("a time", "[time]", "s", "100 s", 1e-18, 1e18)
VELOCITY = Dimension("a velocity", "[length] / [time]", "m/s", "0.001 m/s", 1e-36, 1e12)
DIFFUSIVITY = Dimension("a diffusivity", "[length] ** 2 / [time]", "m^2/s", "3e-14 m^2/s", 1e-40, 1e3)
FLUX = Dimension("a flux", "[substance] / [length] ** 2 / [time]", "mol/(m^2 s)", "1e-6 mol/m^2/s", 1e-36, 1e12)
CURRENT_DENSITY = Dimension("a current density", "[current] / [length] ** 2", "A/m^2", "1 mA/cm^2", 1e-30, 1e15)
AREAL_AMOUNT = Dimension("an amount per area", "[substance] / [length] ** 2", "mol/m^2", "1e-5 mol/m^2", 1e-30, 1e12)
CONCENTRATION = Dimension("a concentration", "[substance] / [length] ** 3", "mol/m^3", "1 mol/L", 1e-30, 1e12)
RATE = Dimension("a rate", "1 / [time]", "1/s", "0.01 1/s", 1e-36, 1e18)

# The one grammar of quantities, for the parser and for the JSON Schema: what both kinds of regular expressions know.
NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
# What units are written with; pint would read "m,s" as milliseconds and "m;" as metres.
_IN_UNIT = "A-Za-z_µμÅÅΩΩ°%/*^·⋅()⁰¹²³⁴⁵⁶⁷⁸⁹⁻."
_FIRST_OF_UNIT = "A-Za-zµμÅÅΩΩ°%("
# A unit begins with a digit only as in "0.01 1/s": in "1 000 nm" or "1 1 nm" something else was meant.
UNIT = rf"(?:[ \t]*[{_FIRST_OF_UNIT}]|[ \t]+1[ \t]*/)[{_IN_UNIT}0-9 \t-]*"
_DASH = "[\u2010-\u2015\u2212\ufe63\uff0d]"  # that look like a hyphen, as text copied from a page has them
LONGEST = 200  # characters of a quantity
_QUANTITY = re.compile(rf"(?P<number>[+-]?(?:{NUMBER}|nan|inf(?:inity)?))(?P<unit>.*)", re.I | re.S)
_UNIT = re.compile(UNIT)
# "cm2/s" and "m2 s-1", as many write them: "cm^2/s", "m^2 s^-1"
_EXPONENT = re.compile(r"(?<=[A-Za-zµμ])([23]|-[1-3])(?![\w.])")
_EACH_VOXEL = re.compile(r"/\s*(?:px|pixels?|vx|vox|voxels?)(?![A-Za-z])", re.I)


def to_si(text: str, dimension: Dimension) -> float:
    """The number in SI units that a text such as "12.5 nm" or "3.01e-10 cm²/s" stands for.

    Products of number and unit are exact decimals until the last step, so "12.5 nm" gives 1.25e-08 and not a
    neighbour of it.

    Raises:
        ValueError: The text is no number with a unit, or the unit does not measure `dimension`; the message says
            which of these in a clause that goes with "expected ...".
    """
    number, unit = _split(text)
    parsed = _unit(unit)
    if parsed.exponents != exponents_of(dimension):
        known = next((other.words for other in ALL if exponents_of(other) == parsed.exponents), parsed.words)
        raise ValueError(
            f'got the unit "{unit}", which '
            + (f"measures {known}" if parsed.exponents else "makes a number without unit")
        )
    value = _product(text, number, parsed.factor, dimension.si)
    if value and not dimension.smallest <= abs(value) <= dimension.largest:
        raise ValueError(
            f'got "{printable(text)}"; what is not zero has to be {dimension.sizes()} {dimension.si}, check the unit'
        )
    return value


def any_to_si(text: str) -> tuple[float, Exponents]:
    """The number in SI units that a text with any unit stands for, and what it measures.

    Raises:
        ValueError: As in `to_si`, or the unit has an offset, as degrees Celsius have.
    """
    number, unit = _split(text)
    parsed = _unit(unit)
    return _product(text, number, parsed.factor, "SI"), parsed.exponents


ALL = (LENGTH, TIME, VELOCITY, DIFFUSIVITY, CONCENTRATION, FLUX, CURRENT_DENSITY, AREAL_AMOUNT, RATE)
_FACTOR = re.compile(r"(?:^|([*/]) )(\[\w+\])(?: \*\* (\d+))?")  # of a formula


@cache
def exponents_of(dimension: Dimension) -> Exponents:
    """What a dimension is made of."""
    return frozenset(
        (name, (-1 if sign == "/" else 1) * Fraction(power or 1))
        for sign, name, power in _FACTOR.findall(dimension.formula)
    )


def measured(exponents: Exponents) -> str:
    """What a quantity measures, with its article."""
    for dimension in ALL:
        if exponents_of(dimension) == exponents:
            return dimension.words
    if not exponents:
        return "a number without unit"
    powers = (f"{name}^{power}" if power != 1 else name for name, power in sorted(exponents))
    return "a quantity in " + " ".join(powers)


def quantity_pattern(sign: str) -> str:
    """The grammar as a regular expression for others, with one for the sign."""
    return rf"^\s*{sign}{NUMBER}{UNIT}\s*$"


def _split(text: str) -> tuple[str, str]:
    """Number and unit of a quantity."""
    shown, text = printable(text), text.strip()
    if len(text) > LONGEST:
        raise ValueError(f'got "{shown}", a text of {len(text)} characters')
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f'got "{shown}", which does not start with a number{_comma_hint(text)}{_number_hint(text)}')
    number, unit = match["number"], match["unit"].strip()
    if not unit:
        raise ValueError(f'got "{shown}" without a unit')
    if unit.startswith(","):
        raise ValueError(f'got "{shown}"{_comma_hint(text)}')
    if not math.isfinite(float(number)):
        raise ValueError(f'got "{shown}", which is not a finite number')
    if not _UNIT.fullmatch(match["unit"]):
        raise ValueError(f'got the unknown unit "{unit}"{_number_hint(match["unit"])}')
    return number, unit


def _product(text: str, number: str, factor: Decimal, si: str) -> float:
    try:
        value = float(Decimal(number) * factor)
    except ArithmeticError:  # an exponent beyond those of decimals
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'got "{printable(text)}", which is not a finite number in {si}')
    return value


def _comma_hint(text: str) -> str:
    return " (the decimal sign is a point)" if re.match(r"\s*[+-]?[0-9]*,[0-9]", text) else ""


def _number_hint(text: str) -> str:
    """What to write for a number that is set as in print, whose signs look like those of a keyboard."""
    if re.search("[\u00a0\u2002-\u200b\u202f]", text):
        return " (there is a non-breaking or other special space in it; type a plain one)"
    text = text.strip()
    if re.match(rf"(?:[0-9.,]*[eE])?{_DASH}[0-9.]", text):
        return ' (the sign before a digit is a dash; type "-")'
    if re.match(r"\^|[x×*·⋅∙] ?10|[0-9.,]+ ?[x×*·⋅∙] ?10", text):
        return " (a power of ten is written as in 1e-14)"
    return ""


@dataclass(frozen=True)
class _Unit:
    factor: Decimal  # SI units in it
    exponents: Exponents
    words: str  # what it measures


# What most case files say, so that they need not wait for pint and the thousand units that it reads; see `unit_of_pint`
COMMON = {
    **dict.fromkeys(("um", "µm", "μm"), ("1e-6", LENGTH)),
    **dict.fromkeys(("mol/L", "mol/l", "M"), ("1000", CONCENTRATION)),
    **dict.fromkeys(("mol/(m^2 s)", "mol/m^2/s"), ("1", FLUX)),
    "m": ("1", LENGTH),
    "mm": ("1e-3", LENGTH),
    "nm": ("1e-9", LENGTH),
    "s": ("1", TIME),
    "ms": ("1e-3", TIME),
    "min": ("60", TIME),
    "h": ("3600", TIME),
    "m/s": ("1", VELOCITY),
    "m^2/s": ("1", DIFFUSIVITY),
    "cm^2/s": ("1e-4", DIFFUSIVITY),
    "mol/m^3": ("1", CONCENTRATION),
    "mol/m^2": ("1", AREAL_AMOUNT),
    "A/m^2": ("1", CURRENT_DENSITY),
    "mA/cm^2": ("10", CURRENT_DENSITY),
    "1/s": ("1", RATE),
}


@cache
def _unit(unit: str) -> _Unit:
    """What a unit is."""
    if unit in COMMON:
        factor, dimension = COMMON[unit]
        return _Unit(Decimal(factor), exponents_of(dimension), dimension.formula.replace(" ** ", "^"))
    return unit_of_pint(unit)


def unit_of_pint(unit: str) -> _Unit:
    """What a unit is, as pint says it.

    Raises:
        ValueError: It does not know the unit, or the unit has an offset.
    """
    if voxel := _EACH_VOXEL.search(unit):
        raise ValueError(f'got the unit "{unit}"; leave "{voxel[0]}" out')
    registry = _registry()
    try:
        parsed = registry.parse_units(_EXPONENT.sub(r"^\1", unit))
        zero, one = (registry.Quantity(Decimal(n), parsed).to_base_units().magnitude for n in (0, 1))
    except Exception as error:  # pint lets errors of its tokenizer through: AssertionError, TokenError, TypeError ...
        raise ValueError(f'got the unknown unit "{unit}"') from error
    if zero != 0:
        raise ValueError(f'got the unit "{unit}", which does not start from zero')
    if "css_pixel" in str(parsed):  # whoever counts pixels would get a quarter of a millimetre for each
        raise ValueError(f'got the unit "{unit}", which is 1/96 inch, whatever the image; multiply by the voxel size')
    words = str(parsed.dimensionality).replace(" ** ", "^")
    return _Unit(Decimal(one), frozenset((n, Fraction(str(p))) for n, p in parsed.dimensionality.items()), words)


@cache
def _registry() -> "pint.UnitRegistry":
    import pint  # half a second with its units

    return pint.UnitRegistry(non_int_type=Decimal)


_SCALES = ((1.0, "m"), (1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm"))


def length_text(metres: float) -> str:
    """A length in the unit that suits it, "12.5 nm"."""
    scale, unit = next((s for s in _SCALES if abs(metres) >= s[0] * (1 - 1e-9)), _SCALES[-1])
    return f"{metres / scale:.6g} {unit}" if metres else "0 m"
