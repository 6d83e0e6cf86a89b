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
    DPI,
    INK,
    length_unit,
    name_entries,
    page,
    save,
    scale_bar,
    time_unit,
)
from microlith.workflow.particles import ParticleSurfaces, ParticleTable
from microlith.workflow.raster import Raster

if TYPE_CHECKING:
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
