"""Pictures of effective diffusivities and tortuosity factors of several states, with their errors."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.workflow.comparison.comparison import Comparison, Row
from microlith.workflow.comparison.diffusivities import ALONG
from microlith.workflow.measurements.findings import Number
from microlith.workflow.pictures.figure import COLOURS, line_look, name_entries, panels_of, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "effective-diffusivity"  # of the pictures
PANELS = 6  # in one picture
COLUMNS = 2
SPREAD = 0.6  # of the distance between two axes that the states take up
# Of `deff` and of `analyze`
PATTERNS = (
    re.compile(rf"(?P<what>.+: .+) {ALONG} (?P<axis>[xyz])"),
    re.compile(r"(?P<what>relative_diffusivity|tortuosity_factor)_(?P<axis>[xyz])\.(?P<phase>.+)"),
)


def draw_along_axes(folder: Path, found: Comparison) -> list[str]:
    """Draw what two states or more have of these numbers, some panels a picture; returns the names of the files.

    Raises:
        InputError: A file can't be written.
    """
    from matplotlib.figure import Figure

    panels = _panels(found)
    names = []
    for start in range(0, len(panels), PANELS):
        number = "" if len(panels) <= PANELS else f"-{start // PANELS + 1}"
        some = list(panels.items())[start : start + PANELS]
        rows = math.ceil(len(some) / COLUMNS)
        page = Figure(figsize=(9.0, 2.6 * rows + 0.7), dpi=150, layout="constrained")
        for axes, (title, along) in zip(panels_of(page, len(some), COLUMNS), some, strict=True):
            _draw(axes, title, along)
        add_legend(page, found)
        page.supxlabel(
            "bars: what a number lies between; with an arrow: without end; hollow: error not known", fontsize=8
        )
        path = folder / f"{NAME}{number}.png"
        save(page, path, f"comparison, {path.stem}")
        names.append(path.name)
    return names


def add_legend(page: "Figure", found: Comparison) -> None:
    """A line for each state, as it is drawn, above all panels."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **line_look(number)) for number in range(len(found.states))]
    legend = page.legend(lines, ["-"] * len(lines), loc="outside upper center", ncols=min(4, len(lines)), frameon=False)
    name_entries(legend, [state.name for state in found.states])


def _panels(found: Comparison) -> dict[str, dict[str, Row]]:
    """Title of a panel -> axis -> the numbers along it, where two states or more have one."""
    panels: dict[str, dict[str, Row]] = {}
    for row in found.rows:
        match = next((match for pattern in PATTERNS if (match := pattern.fullmatch(row.name))), None)
        if match is None or sum(_is_drawn(number) for number in row.numbers) < 2:
            continue
        named = match.groupdict()
        what = named["what"]
        title = f"{named['phase']}: {what.replace('_', ' ')} (analyze)" if "phase" in named else what
        panels.setdefault(title, {})[named["axis"]] = row
    return panels


def _is_drawn(number: Number | None) -> bool:
    return number is not None and math.isfinite(number.value)


def _draw(axes: "Axes", title: str, along: dict[str, Row]) -> None:
    """A point for each state beside each other at each axis, with bars."""
    some = next(iter(along.values()))
    step = SPREAD / max(len(some.numbers), 1)
    open_ends = []
    for place, row in enumerate(along.values()):
        for k, number in enumerate(row.numbers):
            if number is None or not math.isfinite(number.value):
                continue
            x, colour = place + step * (k - (len(row.numbers) - 1) / 2), COLOURS[k % len(COLOURS)]
            face = "white" if number.bounds is None else colour
            axes.plot([x], [number.value], "o", color=colour, markersize=5, markerfacecolor=face)
            if number.bounds is None:
                continue
            low, high = number.bounds
            if math.isinf(high):
                open_ends.append((x, number.value, colour))
                high = number.value
            bars = [[number.value - low], [high - number.value]]
            axes.errorbar([x], [number.value], yerr=bars, color=colour, capsize=3, linewidth=1.2)
    bottom, top = axes.get_ylim()
    if open_ends:  # arrows end in the room above all else
        axes.set_ylim(bottom, top + 0.15 * (top - bottom))
    for x, value, colour in open_ends:
        axes.plot([x, x], [value, top], color=colour, linewidth=1.2)
        axes.plot([x], [top], "^", color=colour, markersize=5)
    axes.set_xticks(range(len(along)), labels=list(along))
    axes.set_xlim(-0.5, len(along) - 0.5)
    axes.set_title(title, fontsize=9, parse_math=False)
    axes.set_xlabel("axis", fontsize=8)
    if some.unit != "1":
        axes.set_ylabel(some.unit.replace("^2", "²"), fontsize=8, parse_math=False)
    axes.tick_params(labelsize=8)
