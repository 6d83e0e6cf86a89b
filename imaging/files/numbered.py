"""The order that numbers in the names of files give them, and what of it is not as in a stack of slices."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from microlith.imaging.errors import InputError, listed, printable

WHOLE = re.compile(r"(\d+)")
# A point or comma between two numbers makes one of them, unless there are more: 1.2.3 is none.
DECIMAL = re.compile(r"((?<![\d.,])\d+[.,]\d+(?![.,]?\d)|\d+)")
REGULAR = 0.5  # share of the steps from number to number that have to be alike before the others are remarkable
MOST_MISSING = 1000  # numbers listed as missing, before the message cuts them

Steps = list[Fraction]


@dataclass(frozen=True)
class Series:
    """Files in the order of their numbers."""

    paths: list[Path]
    strangers: list[Path]  # of these, what is named otherwise than most
    warnings: tuple[str, ...]  # ends of sentences


def series_of(paths: Sequence[Path]) -> Series:
    """Files in the order of the numbers in their names, 2 before 10, and what is remarkable about these.

    Raises:
        InputError: Two files have the same number, or it isn't clear what the numbers are; the rest of a sentence.
    """
    reading, told = _reading(paths)
    ordered = sorted(paths, key=lambda path: (_key(path, reading), path.as_posix()))
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in ordered:
        groups.setdefault(_texts(path, reading), []).append(path)
    largest = max(groups.values(), key=len)
    if len(largest) < 2:  # names that count nothing
        return Series(ordered, [], told)
    strangers = [path for path in ordered if path not in set(largest)]
    return Series(ordered, strangers, (*told, *_gaps(largest, reading)))


def pattern_for(series: Series) -> str:
    """A pattern that the names of most files fit, and those of the strangers as little as can be."""
    kept = [path for path in series.paths if path not in set(series.strangers)]
    names = [path.name for path in kept]
    head = names[0]
    for name in names:
        while not name.startswith(head):
            head = head[:-1]
    head = head.rstrip("0123456789")
    pattern = f"{head}*{kept[0].suffix}"
    if any(fnmatch(path.name, pattern) for path in series.strangers):
        pattern = f"{head}[0-9]*{kept[0].suffix}"
    return pattern


def _split(path: Path, reading: "re.Pattern[str]") -> list[str]:
    """Texts and numbers in turn."""
    return reading.split(path.with_suffix(path.suffix.lower()).as_posix())


def _texts(path: Path, reading: "re.Pattern[str]") -> tuple[str, ...]:
    return tuple(_split(path, reading)[::2])


def _numbers(path: Path, reading: "re.Pattern[str]") -> Steps:
    return [Fraction(number.replace(",", ".")) for number in _split(path, reading)[1::2]]


def _key(path: Path, reading: "re.Pattern[str]") -> list[tuple[str, Fraction]]:
    texts, numbers = _split(path, reading)[::2], _numbers(path, reading)
    return list(zip(texts, [*numbers, Fraction(0)], strict=True))


def _reading(paths: Sequence[Path]) -> tuple["re.Pattern[str]", tuple[str, ...]]:
    """What counts as a number: 0.25 comes before 0.5 as a decimal, and after it as two numbers."""
    whole, decimal = (
        sorted(paths, key=lambda path, reading=reading: (_key(path, reading), path.as_posix()))  # type: ignore[misc]
        for reading in (WHOLE, DECIMAL)
    )
    if whole == decimal:
        return (DECIMAL if _varying(decimal, DECIMAL) == 1 != _varying(whole, WHOLE) else WHOLE), ()
    regular = [reading for reading, order in ((WHOLE, whole), (DECIMAL, decimal)) if _regular(order, reading)]
    names = listed([path.name for path in decimal], 4)
    if len(regular) != 1:
        raise InputError(
            f"it isn't clear whether the numbers in {names} are decimals; give all the same number of digits, as in "
            "0.50 and 0.25"
        )
    what = "decimals" if regular[0] is DECIMAL else "two numbers each, not decimals"
    shown = [path.name for path in (decimal if regular[0] is DECIMAL else whole)]
    return regular[0], (f"the numbers in names are taken for {what}: {listed(shown, 4)}",)


def _regular(ordered: Sequence[Path], reading: "re.Pattern[str]") -> bool:
    """Whether all names are alike but for a number that rises in even steps."""
    if _varying(ordered, reading) != 1:
        return False
    keys = [_numbers(path, reading) for path in ordered]
    return len({tuple(b - a for a, b in zip(one, other, strict=True)) for one, other in pairwise(keys)}) == 1


def _varying(ordered: Sequence[Path], reading: "re.Pattern[str]") -> int:
    """How many numbers in the names differ from file to file, 0 where their texts differ."""
    if len({_texts(path, reading) for path in ordered}) != 1:
        return 0
    columns = zip(*(_numbers(path, reading) for path in ordered), strict=True)
    return sum(len(set(column)) > 1 for column in columns)


def _gaps(ordered: Sequence[Path], reading: "re.Pattern[str]") -> list[str]:
    """What is not as in a whole stack, for files whose names differ in numbers only."""
    columns = [list(column) for column in zip(*(_numbers(path, reading) for path in ordered), strict=True)]
    for before, after in pairwise(ordered):
        if _key(before, reading) == _key(after, reading):
            raise InputError(
                f"{printable(before.name)} and {printable(after.name)} have the same number; keep one of them"
            )
    rising = [column for column in columns if all(a < b for a, b in pairwise(column))]
    if not rising:
        ends = f"{printable(ordered[0].name)} ... {printable(ordered[-1].name)}"
        return [f"no number in the names {ends} counts through all files: are they several stacks?"]
    counted = [sentence for column in rising if (sentence := _missing(column)) is not None]
    # One number that rises evenly is enough: others may be dates.
    return [] if "" in counted or not counted else [min(counted, key=len)]


def _missing(numbers: Steps) -> str | None:
    """What is missing between numbers that rise; "" if nothing is, None if they don't rise in steps."""
    steps = [b - a for a, b in pairwise(numbers)]
    step, often = min(Counter(steps).items(), key=lambda item: (-item[1], item[0]))
    if often < REGULAR * len(steps):
        return None
    uneven = [(a, b) for a, b in pairwise(numbers) if b - a != step]
    if not uneven:
        return ""
    absent = [a + i * step for a, b in uneven for i in range(1, min(MOST_MISSING, math.ceil((b - a) / step)))]
    between = uneven[0]
    if absent and all((b - a) % step == 0 for a, b in uneven):
        verb = "number {} is missing" if len(absent) == 1 else "numbers {} are missing"
        return verb.format(listed([_shown(n) for n in absent])) + ": its neighbours count as adjacent slices"
    return (
        f"their numbers rise by {_shown(step)}, but from {_shown(between[0])} to {_shown(between[1])}"
        ": these count as adjacent slices"
    )


def _shown(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):g}"
