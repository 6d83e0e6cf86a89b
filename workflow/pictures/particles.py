"""Pictures of particles, each in the colour of the time at which its surface has half of what drives the case."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.collective import together
from microlith.solver.physics.phases import Role
from microlith.workflow.pictures.frames import FlatFrame
from microlith.workflow.pictures.particle_page import Colour, TimeColours, draw_page, page_of_particles
from microlith.workflow.pictures.sample import Sample, raster_of
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.rendering.raster import Raster
from microlith.workflow.results.particles import ParticleTable

PALE: Mapping[Role, Colour] = {  # of phases around the particles
    Role.SOURCE: (0.88, 0.94, 0.99),
    Role.TRANSPORT: (0.95, 0.95, 0.95),
    Role.SINK: (0.90, 0.87, 0.84),
    Role.BARRIER: (0.84, 0.84, 0.84),
}


def draw_particles(
    path: Path, sample: Sample, surfaces: ParticleSurfaces, tables: Sequence[ParticleTable], end: float
) -> None:
    """Draw particles.png: the image with each particle in the colour of its t50; collective.

    In 3D the particles are rendered off screen; where nothing can be rendered, rank 0 logs a warning and there is no
    picture.

    Args:
        path: The PNG file; it appears whole or not at all.
        sample: The image and its mesh.
        surfaces: The particles.
        tables: What is known of them.
        end: Of the run, s.

    Raises:
        InputError: The file can't be written.
    """
    if sample.dim == 3:
        from microlith.workflow.pictures.particles3d import draw_particles_3d

        draw_particles_3d(path, sample, surfaces, tables, end)
        return
    comm = sample.mesh.mesh.comm
    raster = raster_of(sample, bars=1)
    voxels: NDArray[np.int64] = np.empty((0, 2), np.int64)
    if comm.rank == 0:
        row, column = np.broadcast_arrays(*raster.places(surfaces.particles.volume.shape))
        voxels = np.stack([column.ravel(), row.ravel()], axis=1)
    number = surfaces.particles.numbers_at(voxels).reshape(-1, raster.columns)
    times = TimeColours.of(tables, len(surfaces.particles), end)
    draw = partial(_draw_2d, path, sample, raster, number, times)
    together(comm, lambda: draw() if comm.rank == 0 else None)


def _draw_2d(path: Path, sample: Sample, raster: Raster, number: NDArray[np.int32], times: TimeColours) -> None:
    assert sample.image is not None  # on rank 0, where this runs
    names = sample.mesh.names
    pale = np.round(np.multiply([PALE[role] for role in sample.roles], 255)).astype(np.uint8)
    picture = pale[raster.sampled(sample.image.phase)]
    on = number >= 0
    picture[on] = times.colours()[number[on]]
    around = {name: PALE[role] for name, role in zip(names, sample.roles, strict=True) if name not in times.phases}
    draw_page(page_of_particles(sample, FlatFrame(raster, sample.size), times, around), path, picture)
