"""The page of pictures of particles, in 2D and 3D: colours of the times at which their surfaces have half."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags
from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.figure import said_time, set_apart, time_unit
from microlith.workflow.pictures.frames import Frame
from microlith.workflow.pictures.sample import Sample
from microlith.workflow.results.particles import ParticleTable, ids_of

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

Colour = tuple[float, float, float]

FAST_TO_SLOW = "plasma_r"  # yellow to dark blue; no colour of it looks like one of the phases
START: Colour = (1.0, 1.0, 0.7)  # before the first colour of these
NEVER: Colour = (0.6, 0.6, 0.6)
BARE: Colour = (1.0, 1.0, 1.0)
ALIKE = 0.01  # relative difference of times up to which they are the same
DECADE = 3.0  # ratio of times from which on their scale is logarithmic


@dataclass(frozen=True, eq=False)
class TimeColours:
    """Colours of the times t50 of all particles."""

    mappable: "ScalarMappable"
    unit: str
    scale: float  # s per unit
    ends: tuple[float, float]  # of the scale, in the unit
    times: Array  # (particles,) t50 in their numbering, s; infinite where a surface never has half
    bare: Flags  # (particles,) that face no solved phase, so that nothing is known of their surfaces
    ids: NDArray[np.int64]  # (particles,) in particles.csv; 0: not there
    end: float  # of the run, s
    phases: frozenset[str]  # that the particles are of

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

        times, surface = np.full(count, np.inf), np.zeros(count)
        for table in reversed(tables):
            times[table.numbers] = table.t50
            surface[table.numbers] = table.surface
        bare = surface <= 0
        timed = times[np.isfinite(times) & (times > 0) & ~bare]
        low, high = (float(timed.min()), float(timed.max())) if len(timed) else (0.1 * end, end)
        low, high = set_apart(low, high, ALIKE)
        scale, unit = time_unit(high)
        ends = (low / scale, high / scale)
        norm = (LogNorm if high / low > DECADE else Normalize)(*ends)
        phases = frozenset(table.shape.phase for table in tables)
        ids = ids_of(tables, count)
        return cls(ScalarMappable(norm, FAST_TO_SLOW), unit, scale, ends, times, bare, ids, end, phases)

    @property
    def timed(self) -> Flags:
        """Which particles have a time, (particles,), and so a colour of the scale."""
        return np.isfinite(self.times) & (self.times > 0) & ~self.bare

    def others(self) -> dict[str, tuple[Colour, Flags]]:
        """In words, why particles have no time: their colour, and which they are, (particles,)."""
        why = {
            "half from the start": (START, (self.times <= 0) & ~self.bare),
            f"not half within {said_time(self.end)}": (NEVER, np.isinf(self.times) & ~self.bare),
            "touches no phase that is solved for": (BARE, self.bare),
        }
        return {words: (colour, which) for words, (colour, which) in why.items() if which.any()}

    def level(self) -> Array:
        """Places of all particles on the colour bar, from 0 to 1, nan where they have no time."""
        norm = self.mappable.norm
        shown = np.clip(self.times / self.scale, *self.ends)
        return np.where(self.timed, np.asarray(norm(shown), np.float64), np.nan)

    def colours(self) -> NDArray[np.uint8]:
        """Red, green and blue of all particles, (particles, 3)."""
        shown: NDArray[np.uint8] = self.mappable.cmap(np.nan_to_num(self.level()), bytes=True)[..., :3]
        for colour, which in self.others().values():
            shown[which] = np.round(np.multiply(colour, 255))
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


def page_of_particles(sample: Sample, frame: Frame, times: TimeColours, around: Mapping[str, Colour]) -> Canvas:
    """The canvas with a bar of times where there are some, and a legend.

    Args:
        sample: Whose particles they are.
        frame: Of the sample, with room for as many bars as `bars_of` says.
        times: Of the particles.
        around: Name -> colour, of the phases around.
    """
    bars = [ColourBar(times.mappable, f"t50 of the particle's surface / {times.unit}")] * bars_of(times)
    legend = {**around, **{words: colour for words, (colour, _) in times.others().items()}}
    canvas = Canvas(sample.title, frame, bars, legend, ["numbers: id in particles.csv"], sample.options)
    for axis in canvas.bar_axes:
        times.axis(axis)
    return canvas


def bars_of(times: TimeColours) -> int:
    """Number of colour bars."""
    return int(times.timed.any())


def draw_page(canvas: Canvas, path: Path, picture: NDArray[np.uint8]) -> None:
    """Write the picture of particles."""
    heading = "When half has reached each particle's surface"
    canvas.draw(path, picture, heading, "t50 of particles", only_one=True)
