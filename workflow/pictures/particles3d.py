"""Picture of the particles of a 3D image, rendered off screen, each in the colour of its t50."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.microstructure.particles import Particles
from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.cells import as_simplices
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.workflow.pictures.frames import SolidFrame
from microlith.workflow.pictures.labels import Numbered, write_ids
from microlith.workflow.pictures.particle_page import FAST_TO_SLOW, TimeColours, bars_of, draw_page, page_of_particles
from microlith.workflow.pictures.sample import Sample, view_of
from microlith.workflow.pictures.snapshots3d import MOST_TRIANGLES
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces
from microlith.workflow.rendering.projection import LONG_SIDE
from microlith.workflow.rendering.ranks import gathered, rendered
from microlith.workflow.rendering.renderer import Colour, Layer, Renderer
from microlith.workflow.results.particles import ParticleTable

LEAST_SEEN = 8.0  # pixels: radius of a disk as large as what is seen of a particle, to have an id
APART = 1e-4  # of the picture's width: how far a particle is drawn into itself, so that it shares no point with others


def draw_particles_3d(
    path: Path, sample: Sample, surfaces: ParticleSurfaces, tables: Sequence[ParticleTable], end: float
) -> None:
    """Draw the particles' surfaces as the mesh has them, and as voxels where they face no solved phase; collective.

    Only surfaces travel to rank 0. Where nothing can be rendered, rank 0 logs a warning and there is no picture.

    Args:
        path: The PNG file; it appears whole or not at all.
        sample: The image and its mesh.
        surfaces: The particles.
        tables: What is known of them.
        end: Of the run, s.

    Raises:
        InputError: The file can't be written.
    """
    comm, mesh = sample.mesh.mesh.comm, sample.mesh
    unsolved = [int(phase) for phase in np.flatnonzero(~sample.solved)]
    triangles, number = _triangles(surfaces, unsolved, mesh.unit)
    triangles, number = _bounded(triangles, number, float(np.linalg.norm(mesh.extent)), comm)
    triangles = _apart(triangles, number, surfaces.particles, mesh)
    every, of_every = gathered(comm, triangles.astype(np.float32)), gathered(comm, number)

    def draw() -> None:
        if every is not None and of_every is not None:
            times = TimeColours.of(tables, len(surfaces.particles), end)
            _draw(path, sample, every, of_every, times)

    rendered(comm, draw, path.name)


def _triangles(surfaces: ParticleSurfaces, unsolved: Sequence[int], unit: float) -> tuple[Array, Indices]:
    """This rank's triangles (n, 3, 3) in mesh units, and the particle of each."""
    particles = surfaces.particles
    found: list[Array] = []
    of: list[NDArray[np.integer]] = []
    seen: set[str] = set()
    for region in surfaces.regions:
        if region.shape.phase in seen:  # another threshold, the same surface
            continue
        seen.add(region.shape.phase)
        corners = region.facets.corners
        parts = corners[:, None] if corners.shape[1] == 3 else as_simplices(corners)
        found.append(_turned(parts.reshape(-1, 3, 3), np.repeat(region.facets.inwards, parts.shape[1], axis=0)))
        of.append(np.repeat(region.numbers[region.particle], parts.shape[1]))
    quads, of_quad = particles.bare_faces(unsolved)
    edge = np.array(particles.volume.voxel_size[::-1]) / unit
    found.append((quads * edge)[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3))
    of.append(np.repeat(of_quad, 2))
    return np.concatenate(found), np.concatenate(of).astype(np.int32)


def _turned(triangles: Array, inwards: Array) -> Array:
    """With their normals out of the particle."""
    p, q, r = triangles.transpose(1, 0, 2)
    wrong = (np.cross(q - p, r - p) * inwards).sum(axis=1) > 0
    return np.where(wrong[:, None, None], triangles[:, ::-1], triangles)


def _bounded(triangles: Array, number: Indices, diagonal: float, comm: MPI.Intracomm) -> tuple[Array, Indices]:
    """On a grid of points where there are too many, so that those smaller than the grid fall away."""
    size = diagonal / LONG_SIDE
    while comm.allreduce(len(triangles)) > MOST_TRIANGLES:
        points = np.round(triangles / size)
        whole = ~np.any([(points[:, i] == points[:, i - 1]).all(axis=1) for i in range(3)], axis=0)
        triangles, number = points[whole] * size, number[whole]
        size *= 1.5
    return triangles, number


def _apart(triangles: Array, number: Indices, particles: Particles, mesh: PhaseMesh) -> Array:
    """Drawn a little towards the middles of their particles."""
    inwards = particles.center[number][:, None] / mesh.unit - triangles
    length = np.linalg.norm(inwards, axis=2, keepdims=True)
    return np.asarray(triangles + APART * max(mesh.extent) * inwards / np.maximum(length, 1e-300))


def _draw(path: Path, sample: Sample, triangles: NDArray[np.float32], number: Indices, times: TimeColours) -> None:
    """On rank 0."""
    view = view_of(sample, bars_of(times))
    level = times.level()
    timed = times.timed[number]
    others = [_layer(triangles[which[number]], colour) for colour, which in times.others().values()]
    renderer = Renderer(view.scene((_layer(triangles[timed]), *others, view.whole_frame()), FAST_TO_SLOW))
    try:
        picture = renderer.draw([np.repeat(level[number[timed]], 3).astype(np.float32)])
        frame = SolidFrame(view, sample.mesh.unit, renderer.heights())
    finally:
        renderer.close()
    canvas = page_of_particles(sample, frame, times, {})
    write_ids(canvas.axes, _places(triangles, number, times, frame))
    draw_page(canvas, path, picture)


def _places(triangles: NDArray[np.float32], number: Indices, times: TimeColours, frame: SolidFrame) -> list[Numbered]:
    """The middle of what is seen of each particle, the most seen first."""
    middle = triangles.mean(axis=1).astype(np.float64) * frame.unit
    seen = frame.visible(middle)
    at, of = frame.project(middle[seen]), number[seen]
    corners = frame.view.project(triangles[seen].reshape(-1, 3).astype(np.float64)).reshape(-1, 3, 2)
    (x1, y1), (x2, y2) = (corners[:, i].T - corners[:, 0].T for i in (1, 2))
    area = 0.5 * np.abs(x1 * y2 - x2 * y1)  # pixels
    count = len(times.ids)
    whole = np.bincount(of, area, count)
    center = np.stack([np.bincount(of, area * x, count) for x in at.T], axis=1) / np.maximum(whole, 1e-300)[:, None]
    nearest = np.full(count, -1)
    order = np.argsort(-np.linalg.norm(at - center[of], axis=1), kind="stable")
    nearest[of[order]] = order  # the last one stays
    radius = 0.8 * np.sqrt(whole / np.pi)
    wanted = (nearest >= 0) & (times.ids > 0) & (radius > LEAST_SEEN)
    ranked = [int(i) for i in np.argsort(-radius, kind="stable") if wanted[i]]
    places = {i: at[nearest[i]] for i in ranked}
    return [Numbered(str(times.ids[i]), float(places[i][0]), float(places[i][1]), float(radius[i])) for i in ranked]


def _layer(triangles: NDArray[np.float32], colour: Colour | None = None) -> Layer:
    points = np.ascontiguousarray(triangles.reshape(-1, 3))
    return Layer(points, np.arange(len(points), dtype=np.int32).reshape(-1, 3), colour=colour)
