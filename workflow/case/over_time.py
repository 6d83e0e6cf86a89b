"""Courses over time as the case file gives them: linear between times, or in steps; once, or again and again."""

from itertools import pairwise
from typing import Any

from microlith.solver.physics.courses import MOST_KINKS, Course
from microlith.workflow.schema.kinds import Place


def value_or_course(raw: float | dict[str, Any], at: Place, *, positive: bool = False) -> float | Course:
    """A parsed quantity, or the course that a parsed table of times and values stands for.

    Args:
        raw: As `schema_parts.over_time` parses it, in SI.
        at: Its place.
        positive: Whether some value has to be above zero.

    Raises:
        InputError: The lists differ in length, times decrease, a time comes three times, the period is too short.
    """
    if not isinstance(raw, dict):
        return raw
    times, values, step = raw["times"], raw["values"], raw["interpolation"] == "step"
    if len(times) != len(values):
        raise at.error(f"expected as many values as times, got {len(values)} values and {len(times)} times")
    for i, (before, after) in enumerate(pairwise(times), start=1):
        if after < before or (step and after == before):
            raise at.child("times").item(i).error(f"times have to increase; {after:g} s follows {before:g} s")
        if i > 1 and after == before == times[i - 2]:
            raise (at.child("times").item(i).error(f"{after:g} s is given three times; a jump has two values"))
    period = raw.get("period")
    if period is not None and period < times[-1]:
        raise at.child("period").error(f"the period, {period:g} s, ends before the last of the times, {times[-1]:g} s")
    if positive and max(values) == 0:
        raise at.child("values").error("all values are zero; at least one has to be above zero")
    if step:
        times, values = _stairs(times, values)
    return Course(times, values, period)


def check_period(raw: Any, end: float, at: Place) -> None:
    """Refuse a course that comes again more often until the end (s) than can be followed.

    Raises:
        InputError: It does.
    """
    if isinstance(raw, dict) and raw.get("period") is not None:
        turns = end / raw["period"]
        if turns * len(raw["times"]) > MOST_KINKS:
            raise at.child("period").error(
                f"the period, {raw['period']:g} s, comes {turns:.3g} times until the end, {end:g} s; expected at most "
                f"{MOST_KINKS // len(raw['times'])} times of such a course: check its unit, or end earlier"
            )


def _stairs(times: tuple[float, ...], values: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of a course in which each value holds until the next: a jump at each time where the value changes."""
    knots = [(times[0], values[0])]
    for time, (before, after) in zip(times[1:], pairwise(values), strict=True):
        if after != before:
            knots += [(time, before), (time, after)]
    return tuple(time for time, _ in knots), tuple(value for _, value in knots)
