"""Pictures of a study: errors over the size of the cells and over time, and what moved interfaces do to the curves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.workflow.case.case import Case
from microlith.workflow.pictures.figure import (
    figure_size,
    line_look,
    name_entries,
    save,
    say_log_ticks,
    time_unit,
    wrapped,
)
from microlith.workflow.studies.peaks import MATTERS
from microlith.workflow.studies.richardson import cell_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from microlith.workflow.studies.segmentation_error import Segmentation
    from microlith.workflow.studies.study import Study

LEAST = 1e-9  # errors below are not drawn


def draw_convergence(path: Path, study: "Study") -> None:
    """Draw converge.png: left the error of each mesh against the size of its cells, right that of the case over time.

    Errors on the left are from a thousandth of the end on; all are per what the region holds. Points are differences to
    the extrapolated curve (to the finest, where no order is established), lines the law that the case's error is told
    from, with its margin of safety.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        study: With two levels or more.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullLocator

    options = study.case.pictures
    size = figure_size(options, 9.5, 4.2)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    over_size, over_time = figure.subplots(1, 2)
    handles: list[Any] = []
    names: list[str] = []
    every: list[float] = []
    scale, unit = time_unit(float(study.base.times[-1]))
    for number, (name, found) in enumerate(study.regions.items()):
        law = found.law
        if law is None or found.space is None:
            continue
        look = line_look(number)
        sizes = np.array([study.size(outcome) for outcome in study.levels])
        late, holds = study.base.times >= MATTERS * study.base.times[-1], found.holds
        errors = [
            float(np.abs(outcome.relative[name] - law.limit)[late].max(initial=0.0)) / holds for outcome in study.levels
        ]
        drawn = np.array(errors) > LEAST
        over_size.plot(sizes[drawn], np.array(errors)[drawn], "o", color=look["color"], markersize=4)
        fine = np.geomspace(sizes.min(), sizes.max(), 20)
        cell = cell_size(study.base.cells, study.dim)
        told = [float(law.error(h * cell)[late].max(initial=0.0)) / holds for h in fine]
        (line,) = over_size.plot(fine, np.maximum(told, LEAST), linewidth=1.2, **look)
        every += [*np.array(errors)[drawn], *np.maximum(told, LEAST)]
        handles.append(line)
        order = "order not established" if law.order is None else f"order {law.order:.2f}"
        names.append(f"{name}: {order}")
        space = np.divide(found.space, holds)
        shown = (study.base.times > 0) & (space > LEAST)
        over_time.plot(study.base.times[shown] / scale, space[shown], linewidth=1.2, **look)
    tolerance = study.base.error_in_time
    handles.append(over_time.axhline(tolerance, color="0.4", linewidth=1.0, linestyle=(0, (1, 2))))
    names.append("error in time, estimated")
    handles += [Line2D([], [], color="0.3", marker="o", markersize=4, linestyle="none"), Line2D([], [], color="0.3")]
    names += ["found: difference to\nwhat the meshes tend to", "told, with its margin\nof safety"]
    over_size.set_xlabel("cell size / cell size of the case")
    over_size.set_ylabel("largest error from end/1000 on / what the region holds")
    over_time.set_xlabel(f"time / {unit}")
    over_time.set_ylabel("error in space of the case / what the region holds")
    for axes in (over_size, over_time):
        axes.set_xscale("log")
        axes.set_yscale("log")
        say_log_ticks(axes.xaxis)
        say_log_ticks(axes.yaxis)
        _tidy(axes)
    if every:
        over_size.set_ylim(10 ** np.floor(np.log10(min(every))), 10 ** np.ceil(np.log10(max(every))))
    ticks = sorted({round(study.size(outcome), 2) for outcome in study.levels})
    over_size.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    over_size.xaxis.set_minor_locator(NullLocator())
    legend = figure.legend(handles, ["-"] * len(handles), loc="outside right center", frameon=False, fontsize=8)
    name_entries(legend, names)
    figure.suptitle(wrapped(study.case.title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, study.case.title, options)


def draw_segmentation(path: Path, found: "Segmentation", case: Case) -> None:
    """Draw segmentation.png: each curve with the band between interfaces moved one way and the other.

    Beside it is by how much the curves change, which shows where the band is thinner than the line. A region of which
    moved interfaces leave nothing has no band.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        found: The three solutions.
        case: With the title, and how pictures look.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    options = case.pictures
    size = figure_size(options, 9.5, 4.2)
    figure = Figure(figsize=size, dpi=options.resolution, layout="constrained")
    curves, changes = figure.subplots(1, 2)
    times = found.as_is.times
    scale, unit = time_unit(float(times[-1]))
    shown = times > 0
    t = times[shown] / scale
    handles: list[Any] = []
    for number, name in enumerate(found.as_is.curves):
        look = line_look(number)
        middle = found.as_is.curves[name][shown]
        (line,) = curves.plot(t, middle, linewidth=1.2, **look)
        moved = [None if o is None else o.curves.get(name) for o in (found.smaller, found.larger)]
        there = [(curve[shown], dashes) for curve, dashes in zip(moved, (":", "-"), strict=True) if curve is not None]
        if len(there) == 2:
            ends = [curve for curve, _ in there]
            least, most = np.minimum(*ends), np.maximum(*ends)
            curves.fill_between(t, least, most, color=look["color"], alpha=0.3, linewidth=0)
        for curve, dashes in there:
            changes.plot(t, (curve - middle) / found.as_is.reference, dashes, linewidth=1.2, color=look["color"])
        handles.append(line)
    for axes in (curves, changes):
        if shown.any():
            axes.set_xscale("log")
            say_log_ticks(axes.xaxis)
        axes.set_xlabel(f"time / {unit}")
        _tidy(axes)
    curves.set_ylabel("mean concentration / mol m⁻³")
    changes.set_ylabel("change / source concentration")
    handles += [Patch(color="0.5", alpha=0.3, linewidth=0)]
    handles += [Line2D([], [], color="0.3", linestyle=dashes, linewidth=1.2) for dashes in (":", "-")]
    legend = figure.legend(handles, ["-"] * len(handles), loc="outside right center", frameon=False, fontsize=8)
    by = "by\nhalf a voxel" if found.is_half_a_voxel else "as in\ntwo label images"
    how = f"between the two,\n{found.what} moved {by}", *found.ways
    name_entries(legend, [*found.as_is.curves, *how])
    figure.suptitle(wrapped(case.title, size[0]), parse_math=False, fontsize=11)
    save(figure, path, case.title, options)


def _tidy(axes: "Axes") -> None:
    axes.grid(color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
