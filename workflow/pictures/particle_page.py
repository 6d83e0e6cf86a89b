"""The page of pictures of particles, in 2D and 3D: colours of the times at which their surfaces have half."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.figure import said_time, time_unit
from microlith.workflow.pictures.frames import Frame
from microlith.workflow.pictures.sample import Sample
from microlith.workflow.results.particles import ParticleTable

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

Colour = tuple[float, float, float]

FAST_TO_SLOW = "plasma_r"  # yellow to dark blue; no colour of it looks like one of the phases
NEVER: Colour = (0.6, 0.6, 0.6)
DECADE = 3.0  # ratio of times from which on their scale is logarithmic


@dataclass(frozen=True, eq=False)
class TimeColours:
    """Colours of the times t50 of all particles."""

    mappable: "ScalarMappable"
    unit: str
    scale: float  # s per unit
    ends: tuple[float, float]  # of the scale, in the unit
    times: Array  # (particles,) t50 in their numbering, s; infinite where a surface never has half
    end: float  # of the run, s
    phases: frozenset[str]  # that the particles are of
    some_never: bool  # whether a particle of the tables never has half

    @classmethod
    def of(cls, tables: Sequence[ParticleTable], count: int, end: float) -> "TimeColours":
        """From the first to the last of the times, on a logarithmic scale where they differ much.

        Args:
            tables: Of the particles' regions; the first one decides where two have one phase.
            count: Number of all particles.
            end: Of the run, s.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LogNorm, Normalize

        of_particle = np.full(count, np.inf)
        for table in reversed(tables):
            of_particle[table.numbers] = table.t50
        times = np.concatenate([table.t50 for table in tables])
        times = times[np.isfinite(times) & (times > 0)]
        low, high = (float(times.min()), float(times.max())) if len(times) else (0.1 * end, end)
        high = high if high > low else 1.01 * low
        scale, unit = time_unit(high)
        ends = (low / scale, high / scale)
        norm = (LogNorm if high / low > DECADE else Normalize)(*ends)
        never = any(bool(np.isinf(table.t50).any()) for table in tables)
        phases = frozenset(table.shape.phase for table in tables)
        return cls(ScalarMappable(norm, FAST_TO_SLOW), unit, scale, ends, of_particle, end, phases, never)

    def level(self) -> Array:
        """Places of all particles on the colour bar, from 0 to 1, nan where the time is infinite."""
        norm = self.mappable.norm
        shown = np.clip(self.times / self.scale, *self.ends)
        return np.where(np.isfinite(self.times), np.asarray(norm(shown), np.float64), np.nan)

    def colours(self) -> NDArray[np.uint8]:
        """Red, green and blue of all particles, (particles, 3)."""
        level = self.level()
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


def legend_of_particles(times: TimeColours) -> dict[str, Colour]:
    """Particles that have a colour of their own."""
    return {f"not half within {said_time(times.end)}": NEVER} if times.some_never else {}


def page_of_particles(sample: Sample, frame: Frame, times: TimeColours, around: Mapping[str, Colour]) -> Canvas:
    """The canvas with a bar of times, and a legend of the phases around and of particles that never have half."""
    bar = ColourBar(times.mappable, f"t50 of the particle's surface / {times.unit}")
    canvas = Canvas(sample.title, frame, [bar], {**around, **legend_of_particles(times)}, options=sample.options)
    times.axis(canvas.bar_axes[0])
    return canvas


def draw_page(canvas: Canvas, path: Path, picture: NDArray[np.uint8]) -> None:
    """Write the picture of particles."""
    canvas.draw(path, picture, "When half has reached each particle's surface", "t50 of particles")
