"""Colours of the times at which particles' surfaces have half of what drives the case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.workflow.pictures.figure import INK, name_entries, time_unit
from microlith.workflow.results.particles import ParticleTable

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

Colour = tuple[float, float, float]

FAST_TO_SLOW = "plasma_r"  # yellow to dark blue; no colour of it looks like one of the phases
NEVER: Colour = (0.6, 0.6, 0.6)
DECADE = 3.0  # ratio of times from which on their scale is logarithmic


@dataclass(frozen=True, eq=False)
class TimeColours:
    """Colours of the times t50 of particles."""

    mappable: "ScalarMappable"
    unit: str
    scale: float  # s per unit
    ends: tuple[float, float]  # of the scale, in the unit

    @classmethod
    def of(cls, tables: Sequence[ParticleTable], end: float) -> "TimeColours":
        """From the first to the last of the times, on a logarithmic scale where they differ much."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm, Normalize

        times = np.concatenate([table.t50 for table in tables])
        times = times[np.isfinite(times) & (times > 0)]
        low, high = (float(times.min()), float(times.max())) if len(times) else (0.1 * end, end)
        high = high if high > low else 1.01 * low
        scale, unit = time_unit(high)
        ends = (low / scale, high / scale)
        norm = (LogNorm if high / low > DECADE else Normalize)(*ends)
        return cls(ScalarMappable(norm, FAST_TO_SLOW), unit, scale, ends)

    def level(self, times: Array) -> Array:
        """Places on the colour bar, from 0 to 1, nan where the time is infinite."""
        norm = self.mappable.norm
        shown = np.clip(times / self.scale, *self.ends)
        return np.where(np.isfinite(times), np.asarray(norm(shown), np.float64), np.nan)

    def colours(self, times: Array) -> NDArray[np.uint8]:
        """Red, green and blue, (n, 3)."""
        level = self.level(times)
        shown: NDArray[np.uint8] = self.mappable.cmap(np.nan_to_num(level), bytes=True)[..., :3]
        shown[np.isnan(level)] = np.round(np.multiply(NEVER, 255))
        return shown

    def axis(self, axis: Any) -> None:
        """Numbers as people write them, and some between the decades where there are few of these."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        low, high = self.ends
        if high / low <= DECADE:
            return
        decades = np.log10(high / low)
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,), numticks=20))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def of_particle(tables: Sequence[ParticleTable], count: int) -> Array:
    """t50 of all particles, (count,), in their numbering; the first table decides where two have one phase."""
    times = np.full(count, np.inf)
    for table in reversed(tables):
        times[table.numbers] = table.t50
    return times


def legend_of_phases(
    figure: Any, left: float, phases: Mapping[str, Colour], tables: Sequence[ParticleTable], end: float
) -> None:
    """Patches for the phases around and for particles that never have half, under the picture."""
    from matplotlib.patches import Patch

    scale, unit = time_unit(end)
    shown = dict(phases)
    if any(np.isinf(table.t50).any() for table in tables):
        shown[f"not half within {end / scale:g} {unit}"] = NEVER
    _, height = figure.get_size_inches()
    handles = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.5) for colour in shown.values()]
    if handles:
        legend = figure.legend(
            handles,
            ["-"] * len(handles),
            loc="lower left",
            bbox_to_anchor=(left, 0.24 / height),
            ncols=min(3, len(handles)),
            frameon=False,
            fontsize=8,
            borderpad=0,
            borderaxespad=0,
        )
        name_entries(legend, list(shown))
