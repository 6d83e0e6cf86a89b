"""Kinds that several tables of the case file share."""

import re
from dataclasses import dataclass, field, replace

from microlith.imaging.axes import AXES
from microlith.workflow.schema.kinds import UNBOUNDED, Choice, Either, Kind, ListOf, Number, Quantity, Text
from microlith.workflow.schema.tables import Key, Table
from microlith.workflow.schema.units import CONCENTRATION, COORDINATE, LENGTH, TIME

length = Quantity(LENGTH)
coordinate = Quantity(COORDINATE, sign="any")
concentration = Quantity(CONCENTRATION, sign="not negative")
phase_name = Text('the name of a phase, such as "particle"')


def _hex_colour(text: str) -> dict[str, tuple[int, ...]]:
    """As `rgb` parses to, so that a list of numbers can't be mistaken for it."""
    return {"rgb": tuple(bytes.fromhex(text[1:]))}


def _label_text(text: str) -> dict[str, object]:
    """A colour, the ends of a range, or the rest, told apart by their key."""
    if text.startswith("#"):
        return {**_hex_colour(text)}
    if text.strip() == "rest":
        return {"rest": True}
    match = re.fullmatch(RANGE, text)
    assert match is not None  # the pattern says so
    return {"range": (int(match[1]), int(match[2]))}


RANGE = r"\s*(-?[0-9]{1,18})\s*-\s*(-?[0-9]{1,18})\s*"
label = Number(-UNBOUNDED, UNBOUNDED, whole=True)
label_text = Text(
    'a colour such as "#ff8800", a range of labels such as "100-180", or "rest"',
    rf"^(#[0-9A-Fa-f]{{6}}|{RANGE.replace('(', '').replace(')', '')}|\s*rest\s*)$",
    _label_text,
    lambda text: "; a single label is written without quotes" if re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text) else "",
)
rgb = Table(
    "a colour such as { rgb = [255, 136, 0] }",
    (Key("rgb", ListOf(Number(0, 255, whole=True), "numbers", 3, 3), "Red, green and blue, 0 to 255.", required=True),),
)


def per_axis(kind: Kind, words: str, required: tuple[str, ...] = (), at_least: int = 0) -> Table:
    """A table of one value for each axis."""
    keys = tuple(Key(axis, kind, f"Along {axis}.", required=axis in required) for axis in AXES)
    return Table(words, keys, at_least=at_least)


@dataclass(frozen=True)
class OverTime(Either):
    """A quantity that is constant, or a table of how it changes; parsed to a number or a dict."""

    table: Table = field(kw_only=True)


def over_time(quantity: Quantity) -> OverTime:
    """A quantity that may change with time; where it has to be above zero its course may be zero at times."""
    value = replace(quantity, sign="not negative" if quantity.sign == "positive" else quantity.sign)
    table = Table(
        "a course over time such as { times = [...], values = [...] }",
        (
            Key(
                "times",
                ListOf(Quantity(TIME, sign="not negative"), "times", 1),
                "Times, increasing; with linear interpolation one may be given twice: a jump from its first value to "
                "its second.",
                required=True,
            ),
            Key(
                "values",
                ListOf(value, "quantities", 1),
                "The quantity at these times; before the first time it has the first value, after the last the last.",
                required=True,
            ),
            Key(
                "interpolation",
                Choice(("linear", "step")),
                "linear: straight from value to value; step: each value holds from its time on until the next.",
                default="linear",
            ),
            Key(
                "period",
                Quantity(TIME),
                "Time after which the course begins anew, for ever; at least the last of the times.",
            ),
        ),
        doc="Instead of one quantity, for concentration, mass_transfer, flux and current_density.",
    )
    return OverTime((quantity, table), table=table)
