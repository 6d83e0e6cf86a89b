"""The figures of a run that users quote, each with its error: last values, t50, t90, and the errors of the curves."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean
from microlith.solver.transient import Transient
from microlith.workflow.studies.peaks import Peak, late_and_early

MOST_ROWS = 20  # regions that are told one by one
NEAR = 2.0  # by what factor a time may lie before the first one of a curve to have the errors known there
ERROR_OF = {"t50_s": "t50_error_s", "t90_s": "t90_error_s", "t50_falling_s": "t50_falling_error_s"}  # time -> its error


@dataclass(frozen=True)
class Instant:
    """A time at which a curve crosses a value."""

    time: float | None  # s; None: not until the end; 0 where it starts there or beyond
    error: float | None  # ±, s; None: there is no such time, the curve is as near to the value as its error, or the
    # time is so long before the first one of the curve that its error is not known
    undecided: bool = False  # whether the curve's error decides if it crosses the value until the end


@dataclass(frozen=True, eq=False)
class RegionFigures:
    """What there is to quote of one region. Errors are in time and space, as far as they were estimated."""

    name: str
    holds: float  # mol/m^3, the largest mean that it has, or would have in equilibrium; errors are relative to it
    final: float  # mol/m^3
    final_error: float  # ±, mol/m^3
    t50: Instant
    t90: Instant
    t50_falling: Instant  # when one that starts at 50 % or above first falls below
    largest: Peak  # from MATTERS of the end on
    early: Peak | None  # before that; None: the curve has no time there
    at_t50: float | None  # error of the curve per what the region holds at that time
    at_t90: float | None
    at_snapshots: tuple[Peak, ...]  # but for those so long before the first time that their error is not known

    def entries(self) -> dict[str, Any]:
        """For summary.json, with the unit in each name."""
        instants = {"t50_s": self.t50, "t90_s": self.t90, "t50_falling_s": self.t50_falling}
        return {
            "final": self.final,
            "final_unit": "mol/m^3",
            "final_error": self.final_error,
            **{key: instant.time for key, instant in instants.items()},
            **{ERROR_OF[key]: instant.error for key, instant in instants.items()},
            "t50_undecided": self.t50.undecided,
            "t90_undecided": self.t90.undecided,
            "holds_mol_per_m3": self.holds,
            "error": {
                "of": "the curve, in time and space, relative to holds_mol_per_m3",
                "largest": self.largest.error,
                "largest_at_s": self.largest.time,
                "early": None if self.early is None else self.early.error,
                "early_at_s": None if self.early is None else self.early.time,
                "at_t50": self.at_t50,
                "at_t90": self.at_t90,
                "at_snapshots": {f"{peak.time:.6g} s": peak.error for peak in self.at_snapshots},
            },
        }


def region_figures(
    name: str,
    transient: Transient,
    mean: RegionMean,
    problem: Problem,
    errors: Array,
    snapshots: Iterable[float],
) -> RegionFigures:
    """The figures of one region.

    Args:
        name: Of the region.
        transient: The solution.
        mean: Of the region.
        problem: What was solved.
        errors: (times,) estimated error of its curve, mol/m^3.
        snapshots: s.
    """
    times, curve = transient.times, transient.curves[name]
    reference = problem.reference_of(mean.phase_shares)
    holds = problem.held_at_most(mean.phase_shares, curve)
    relative: Array = np.divide(errors, holds)

    def instant(level: float, *, falling: bool = False) -> Instant:
        find = transient.falling_time if falling else transient.first_time
        time = find(name, level * reference)
        if time == 0.0:
            return Instant(time, time)
        if time is None:
            return Instant(None, None, not falling and bool((curve + errors >= level * reference).any()))
        error = transient.time_error(name, level * reference, errors)
        return Instant(time, error if known_at(times, time) else None, error is None)

    def at(time: float | None) -> float | None:
        return None if time is None or not known_at(times, time) else float(np.interp(time, times, relative))

    t50, t90 = instant(0.5), instant(0.9)
    largest, early = late_and_early(times, relative)
    return RegionFigures(
        name=name,
        holds=holds,
        final=float(curve[-1]),
        final_error=float(errors[-1]),
        t50=t50,
        t90=t90,
        t50_falling=instant(0.5, falling=True),
        largest=largest,
        early=early,
        at_t50=at(t50.time),
        at_t90=at(t90.time),
        at_snapshots=tuple(
            Peak(float(np.interp(time, times, relative)), time) for time in snapshots if known_at(times, time)
        ),
    )


def known_at(times: Array, time: float) -> bool:
    """Whether the errors of a curve, known at its times (s), are known at another time (s) before its end."""
    return time == 0.0 or time * NEAR >= min(times[times > 0], default=np.inf)


# --- in words ---


def figure_lines(found: Sequence[RegionFigures], of: str) -> list[str]:
    """The figures as lines for a reader: the errors of all, then a row for each region.

    Args:
        found: Of the regions.
        of: What the errors are, as "in time and space".
    """
    if not found:
        return []
    return [*_error_lines(found, of), *_rows(found[:MOST_ROWS]), *_more(len(found) - MOST_ROWS)]


def worst(found: Sequence[RegionFigures], *, early: bool = False) -> tuple[str, Peak] | None:
    """The region whose curve has the largest error from MATTERS of the end on, or before; None where there is none."""
    peaks = [(one.name, one.early if early else one.largest) for one in found]
    known = [(name, peak) for name, peak in peaks if peak is not None]
    return max(known, key=lambda pair: pair[1].error, default=None)


def _error_lines(found: Sequence[RegionFigures], of: str) -> list[str]:
    largest, early = worst(found), worst(found, early=True)
    assert largest is not None
    lines = [f"error of the curves {of} (estimated, of what each region holds): at most {_told(largest)}"]
    if early is not None:
        lines[0] += f" from a thousandth of the end on; before, at most {_told(early)}"
    snapshots = [max((one.at_snapshots[i] for one in found), key=_error) for i in range(len(found[0].at_snapshots))]
    shown = [f"{percent(peak.error)} at {peak.time:.4g} s" for peak in snapshots if peak.time > 0]
    return lines + ([f"at the snapshots, at most {', '.join(shown)}"] if shown else [])


def _error(peak: Peak) -> float:
    return peak.error


def _told(where: tuple[str, Peak]) -> str:
    name, peak = where
    return f"{percent(peak.error)} (region {name}, at {peak.time:.3g} s)"


def _rows(found: Sequence[RegionFigures]) -> list[str]:
    heading = ["region", "at the end, mol/m³", "t50, s", "t90, s", "largest error"]
    rows = [
        [
            one.name,
            with_error(one.final, one.final_error),
            _instant(one.t50),
            _instant(one.t90),
            percent(one.largest.error),
        ]
        for one in found
    ]
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (heading, *rows))
    return ["  ".join(row).rstrip() for row in padded]


def _more(count: int) -> list[str]:
    return [f"and {count} more regions, in summary.json"] if count > 0 else []


def _instant(instant: Instant) -> str:
    if instant.time is None:
        return "not reached, or just" if instant.undecided else "not reached"
    if instant.time == 0.0:
        return "0 (from the start)"
    if instant.error is None:
        return f"{instant.time:.4g}{' or not reached' if instant.undecided else ', error not known'}"
    return with_error(instant.time, instant.error)


def percent(share: float) -> str:
    """A share in per cent, to two digits."""
    return f"{100 * share:.2g} %"


def with_error(value: float, error: float) -> str:
    """A value and its error, two digits of it and the value to as many places: "1.9169 ± 0.0021"."""
    if not error > 0:
        return f"{value:.6g}"
    places = 1 - math.floor(math.log10(error))
    if value != 0 and (places > 9 or math.log10(max(abs(value), error)) > 6):
        return f"{value:.6g} ± {error:.1e}"
    rounded = math.ceil(error * 10.0**places) / 10.0**places
    return f"{value:.{max(places, 0)}f} ± {rounded:.{max(places, 0)}f}"
