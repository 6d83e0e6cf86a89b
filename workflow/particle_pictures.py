"""Pictures of particles, each in the colour of the time at which its surface has half of what drives the case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.meshing.collective import together
from microlith.meshing.image import LabelImage
from microlith.meshing.phasemesh import PhaseMesh
from microlith.solver.spec import Physics, Role
from microlith.workflow.figure_parts import (
    COLOURS,
    DPI,
    INK,
    length_unit,
    name_entries,
    page,
    save,
    scale_bar,
    time_unit,
    wrapped,
)
from microlith.workflow.particles import ParticleSurfaces, ParticleTable
from microlith.workflow.raster import Raster

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

Array = NDArray[np.float64]
Colour = tuple[float, float, float]

FAST_TO_SLOW = "plasma_r"  # yellow to dark blue; no colour of it looks like one of the phases
LONG_SIDE = 1600  # pixels of the picture
MARGINS = (0.75, 1.25, 0.65, 0.95)  # inches: left, right, top, bottom
LEAST_WIDTH = 4.6  # inches
PALE: Mapping[Role, Colour] = {  # of phases around the particles
    Role.SOURCE: (0.88, 0.94, 0.99),
    Role.TRANSPORT: (0.95, 0.95, 0.95),
    Role.SINK: (0.90, 0.87, 0.84),
    Role.BARRIER: (0.84, 0.84, 0.84),
}
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


def draw_particles(
    path: Path,
    title: str,
    physics: Physics,
    image: LabelImage | None,
    mesh: PhaseMesh,
    surfaces: ParticleSurfaces,
    tables: Sequence[ParticleTable],
    end: float,
) -> None:
    """Draw particles.png: the image with each particle in the colour of its t50; collective.

    In 3D the particles are rendered off screen; where nothing can be rendered, rank 0 logs a warning and there is no
    picture.

    Args:
        path: The PNG file; it appears whole or not at all.
        title: Of the case.
        physics: Phases in the order of the image.
        image: The 2D image, needed on rank 0 only.
        mesh: The mesh of the solved phases.
        surfaces: The particles.
        tables: What is known of them.
        end: Of the run, s.

    Raises:
        InputError: The file can't be written.
    """
    if len(mesh.extent) == 3:
        from microlith.workflow.particle_pictures3d import draw_particles_3d

        draw_particles_3d(path, title, physics, mesh, surfaces, tables, end)
        return
    raster = Raster.of_long_side((mesh.extent[0], mesh.extent[1]), LONG_SIDE)
    voxels: NDArray[np.int64] = np.empty((0, 2), np.int64)
    on_first = mesh.mesh.comm.rank == 0
    if on_first:
        shape = surfaces.particles.volume.shape
        rows = ((np.arange(raster.rows) + 0.5) * shape[0] / raster.rows).astype(np.int64)
        columns = ((np.arange(raster.columns) + 0.5) * shape[1] / raster.columns).astype(np.int64)
        voxels = np.stack([np.tile(columns, raster.rows), np.repeat(rows, raster.columns)], axis=1)
    number = surfaces.particles.numbers_at(voxels)
    draw = partial(_draw_2d, path, title, physics, image, mesh, raster, voxels, number, tables, len(surfaces.particles))
    together(mesh.mesh.comm, lambda: draw(end) if on_first else None)


def _draw_2d(
    path: Path,
    title: str,
    physics: Physics,
    image: LabelImage | None,
    mesh: PhaseMesh,
    raster: Raster,
    voxels: NDArray[np.int64],
    number: NDArray[np.int32],
    tables: Sequence[ParticleTable],
    count: int,
    end: float,
) -> None:
    from matplotlib.ticker import MaxNLocator

    assert image is not None  # on rank 0, where this runs
    colours = TimeColours.of(tables, end)
    pale = np.round(np.multiply([PALE[phase.role] for phase in physics.phases], 255)).astype(np.uint8)
    picture = pale[image.phase[voxels[:, 1], voxels[:, 0]]]
    on = number >= 0
    picture[on] = colours.colours(of_particle(tables, count))[number[on]]
    sheet = page(
        title,
        (raster.columns, raster.rows),
        MARGINS,
        LEAST_WIDTH,
        (0.0, 1.0),
        colours=colours.mappable,
        of_bar=f"t50 of the particle's surface / {colours.unit}",
    )
    colours.axis(sheet.figure.axes[-1].yaxis)
    sheet.heading.set_text("When half has reached each particle's surface")
    axes = sheet.axes
    scale, unit = length_unit(max(mesh.extent) * mesh.unit)
    extent = (mesh.extent[0] * mesh.unit / scale, mesh.extent[1] * mesh.unit / scale)
    axes.imshow(
        picture.reshape(raster.rows, raster.columns, 3),
        extent=(0.0, extent[0], extent[1], 0.0),
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_xlabel(f"x / {unit}", fontsize=8)
    axes.set_ylabel(f"y / {unit}", fontsize=8)
    axes.tick_params(labelsize=8, direction="out")
    for axis, inches in ((axes.xaxis, raster.columns / DPI), (axes.yaxis, raster.rows / DPI)):
        axis.set_major_locator(MaxNLocator(max(1, min(9, int(inches / 0.4))), steps=[1, 2, 5, 10]))
    scale_bar(axes, extent, unit)
    phases = {p.name: PALE[p.role] for p in physics.phases if p.name not in {t.shape.phase for t in tables}}
    legend_of_phases(sheet.figure, sheet.left, phases, tables, end)
    save(sheet.figure, path, f"{title}, t50 of particles")


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


def draw_distances(path: Path, title: str, tables: Sequence[ParticleTable], end: float) -> bool:
    """Draw particles-distance.png: t50 of each particle against its distance to the nearest source; for one rank.

    Args:
        path: The PNG file; it appears whole or not at all.
        title: Of the case.
        tables: What is known of the particles.
        end: Of the run, s.

    Returns:
        Whether there was something to draw: a particle with a distance.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    there = [np.isfinite(table.distance) & (table.surface > 0) for table in tables]
    if not any(chosen.any() for chosen in there):
        return False
    figure = Figure(figsize=(7.2, 4.6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    farthest = max(float(table.distance[chosen].max(initial=0.0)) for table, chosen in zip(tables, there, strict=True))
    across, unit = length_unit(farthest)
    scale, time_sign = time_unit(end)
    largest = max(float(table.diameter[chosen].max(initial=0.0)) for table, chosen in zip(tables, there, strict=True))
    ceiling = 1.35 * end / scale
    for i, (table, chosen) in enumerate(zip(tables, there, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        x, y = np.divide(table.distance[chosen], across), np.divide(table.t50[chosen], scale)
        sizes = _marker(table.diameter[chosen], largest)
        reached = np.isfinite(y) & (y > 0)
        axes.scatter(x[reached], y[reached], sizes[reached], color=colour, alpha=0.55, linewidths=0)
        never = np.isinf(y)
        axes.scatter(
            x[never], np.full(never.sum(), ceiling), np.maximum(sizes[never], 8), marker="^", color=NEVER, alpha=0.7
        )
        _trend(axes, x, y, colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(left=0.0 - 0.02 * farthest / across)
    axes.set_xlabel(f"distance to the nearest source / {unit}")
    axes.set_ylabel(f"t50 of the particle's surface / {time_sign}")
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if any(np.isinf(table.t50[chosen]).any() for table, chosen in zip(tables, there, strict=True)):
        axes.axhline(end / scale, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_ylim(top=1.8 * end / scale)
    _legend(axes, tables, largest, f"not half within {end / scale:g} {time_sign}", there)
    figure.suptitle(wrapped(title, 7.2), parse_math=False, fontsize=11)
    save(figure, path, f"{title}, t50 against distance")
    return True


def _marker(diameter: Array, largest: float) -> Array:
    """Areas of markers as wide as the particles, the largest of them a sixth of an inch, none invisible."""
    return np.maximum((12.0 * diameter / largest) ** 2, 2.0)


def _trend(axes: "Axes", x: Array, y: Array, colour: str) -> None:
    """Median of particles at like distances, and the range of the middle half of them."""
    count = min(10, len(x) // 8)
    if count < 3:
        return
    order = np.argsort(x, kind="stable")
    middles, quarters = [], []
    for part in np.array_split(order, count):
        middles.append(np.median(x[part]))
        quarters.append(np.quantile(y[part], (0.25, 0.5, 0.75), method="inverted_cdf"))
    low, median, high = np.array(quarters).T
    shown = np.isfinite(median) & (median > 0)
    at = np.array(middles)
    axes.plot(at[shown], median[shown], color=INK, linewidth=2.0)
    top = np.where(np.isfinite(high), high, np.nanmax(y[np.isfinite(y)], initial=1.0) * 10)
    axes.fill_between(at[shown], np.maximum(low[shown], 1e-300), top[shown], color=colour, alpha=0.15, linewidth=0)


def _legend(
    axes: "Axes", tables: Sequence[ParticleTable], largest: float, never: str, there: Sequence[NDArray[np.bool_]]
) -> None:
    """Regions where there are several, sizes of markers, and what line and triangles mean."""
    from matplotlib.lines import Line2D

    none: dict[str, Any] = {"linestyle": "none"}
    handles: list[Any] = []
    names: list[str] = []
    if len(tables) > 1:
        handles += [Line2D([], [], marker="o", color=COLOURS[i % len(COLOURS)], **none) for i in range(len(tables))]
        names += [table.region for table in tables]
    scale, unit = length_unit(largest)
    for share in (1.0, 0.5, 0.2):
        diameter = float(f"{share * largest / scale:.1g}")
        width = float(np.sqrt(_marker(np.array([diameter * scale]), largest)[0]))
        handles.append(Line2D([], [], marker="o", color="0.6", markersize=width, markeredgewidth=0, **none))
        body = "disk" if tables[0].center.shape[1] == 2 else "sphere"
        names.append(f"as large as a {body} of {diameter:g} {unit}" if share == 1.0 else f"{diameter:g} {unit}")
    handles.append(Line2D([], [], color=INK, linewidth=2.0))
    names.append("median at like distances, and middle half")
    if any(np.isinf(table.t50[chosen]).any() for table, chosen in zip(tables, there, strict=True)):
        handles.append(Line2D([], [], marker="^", color=NEVER, **none))
        names.append(never)
    name_entries(axes.legend(handles, ["-"] * len(handles), fontsize=8, frameon=False, loc="best"), names)
