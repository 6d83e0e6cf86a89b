"""Pictures of particles, each in the colour of the time at which its surface has half of what drives the case."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Flags
from microlith.solver.physics.phases import Role
from microlith.workflow.pictures.canvas import add_outlines
from microlith.workflow.pictures.frames import FlatFrame
from microlith.workflow.pictures.labels import Numbered, write_ids
from microlith.workflow.pictures.particle_page import Colour, TimeColours, bars_of, draw_page, page_of_particles
from microlith.workflow.pictures.phase_raster import phase_raster
from microlith.workflow.pictures.sample import PhaseRaster, Sample, raster_of
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.rendering.raster import Raster
from microlith.workflow.results.particles import ParticleTable

PALE: Mapping[Role, Colour] = {  # of phases around the particles
    Role.SOURCE: (0.88, 0.94, 0.99),
    Role.TRANSPORT: (0.95, 0.95, 0.95),
    Role.SINK: (0.90, 0.87, 0.84),
    Role.BARRIER: (0.84, 0.84, 0.84),
}
DARKER = 0.93


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
    comm, particles = sample.mesh.mesh.comm, surfaces.particles
    times = TimeColours.of(tables, len(particles), end)
    raster = raster_of(sample, bars_of(times))
    # Each pixel of the image once, however many of the picture lie in it
    (row, to_row), (column, to_column) = (
        np.unique(place, return_inverse=True) for place in raster.places(particles.volume.shape)
    )
    voxels: NDArray[np.int64] = np.empty((0, 2), np.int64)
    if comm.rank == 0:
        voxels = np.stack([a.ravel() for a in np.meshgrid(column, row)], axis=1)
    found = particles.numbers_at(voxels).reshape(-1, len(column))
    number = found[to_row.reshape(-1, 1), to_column.reshape(1, -1)] if comm.rank == 0 else found
    phases = phase_raster(sample, raster)

    def draw() -> None:
        if phases is not None:
            _draw_2d(path, sample, raster, phases, _numbers(number, phases.phase, particles.phase), times)

    together(comm, draw)


def _numbers(number: NDArray[np.int32], phase: NDArray[np.uint8], of_phase: NDArray[np.int64]) -> NDArray[np.int32]:
    """Particle of each pixel, (rows, columns), -1 where none is: the nearest one of the phase that is drawn there.

    Args:
        number: (rows, columns) particle by the pixels of the image.
        phase: (rows, columns) as drawn: with smooth edges.
        of_phase: (particles,) their phases.
    """
    found = np.full(number.shape, -1, dtype=np.int32)
    for kind in np.unique(of_phase):
        drawn = phase == kind
        here = (number >= 0) & (of_phase[number] == kind)
        if here.any():
            found[drawn] = number[drawn]
            lacking, rim = np.argwhere(drawn & ~here), np.argwhere(_rim(here))
            if len(lacking):
                _, nearest = cKDTree(rim).query(lacking)
                found[tuple(lacking.T)] = number[tuple(rim[nearest].T)]
    return found


def _rim(here: Flags) -> Flags:
    """Pixels with a neighbour that is not here: the nearest ones of all that lies elsewhere."""
    around = np.pad(here, 1, constant_values=True)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return np.asarray(here & ~inner)


def _draw_2d(
    path: Path, sample: Sample, raster: Raster, phases: PhaseRaster, number: NDArray[np.int32], times: TimeColours
) -> None:
    names, colours = sample.mesh.names, _pale(sample.roles)
    pale = _opaque(np.round(np.multiply(colours, 255)).astype(np.uint8))
    picture = pale[phases.phase]
    on = number >= 0
    picture[on] = _opaque(times.colours())[number[on]]
    around = {name: colour for name, colour in zip(names, colours, strict=True) if name not in times.phases}
    frame = FlatFrame(raster, sample.size)
    canvas = page_of_particles(sample, frame, times, around)
    add_outlines(canvas.axes, phases.lines)
    write_ids(canvas.axes, _places(number, times, frame))
    draw_page(canvas, path, picture.view(np.uint8).reshape(*picture.shape, 4))


def _opaque(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Red, green and blue (n, 3) as one number each, (n,), with full opacity: pixels are set faster so."""
    return np.pad(colours, ((0, 0), (0, 1)), constant_values=255).view(np.uint32)[:, 0]


def _pale(roles: Sequence[Role]) -> list[Colour]:
    """Colours of the phases around the particles; of several in one role each a little darker than the one before."""
    return [
        tuple(part * DARKER ** roles[:i].count(role) for part in PALE[role])  # type: ignore[misc]  # three of them
        for i, role in enumerate(roles)
    ]


def _places(number: NDArray[np.int32], times: TimeColours, frame: FlatFrame) -> list[Numbered]:
    """Where there is most room for the id of each particle, the largest room first."""
    inside = number >= 0
    if not inside.any():
        return []
    places = np.nonzero(inside)
    room = np.sqrt(edt.edtsq(inside, black_border=True, parallel=1)[inside], dtype=np.float64)
    of = number[inside]
    most = np.zeros(len(times.ids))
    np.maximum.at(most, of, room)
    there = np.flatnonzero(most > 0)
    widest = np.flatnonzero(room == most[of])[::-1]  # from the last to the first, which stays
    first = np.empty(len(most), dtype=np.int64)
    first[of[widest]] = widest
    at = np.stack([place[first[there]] for place in places], axis=1)
    radius = most[there]
    across, down = frame.drawn
    rows, columns = number.shape
    x, y = (at[:, 1] + 0.5) * across / columns, (at[:, 0] + 0.5) * down / rows
    order = [i for i in np.argsort(-radius, kind="stable") if times.ids[there[i]] > 0]
    return [Numbered(str(times.ids[there[i]]), float(x[i]), float(y[i]), float(radius[i])) for i in order]
