"""Pictures of particles, each in the colour of the time at which its surface has half of what drives the case."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.parallel.collective import together
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.physics.phases import Physics, Role
from microlith.workflow.pictures.figure import DPI, length_unit, page, save, scale_bar
from microlith.workflow.pictures.particle_colours import Colour, TimeColours, legend_of_phases, of_particle
from microlith.workflow.pictures.raster import Raster
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.results.particles import ParticleTable

LONG_SIDE = 1600  # pixels of the picture
MARGINS = (0.75, 1.25, 0.65, 0.95)  # inches: left, right, top, bottom
LEAST_WIDTH = 4.6  # inches
PALE: Mapping[Role, Colour] = {  # of phases around the particles
    Role.SOURCE: (0.88, 0.94, 0.99),
    Role.TRANSPORT: (0.95, 0.95, 0.95),
    Role.SINK: (0.90, 0.87, 0.84),
    Role.BARRIER: (0.84, 0.84, 0.84),
}


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
        from microlith.workflow.pictures.particles3d import draw_particles_3d

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
