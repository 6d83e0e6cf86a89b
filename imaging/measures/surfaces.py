"""Area of the surfaces between phases (in 2D length of the lines between them)."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slabs
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.crossings import (
    Crossings,
    counted_crossings,
    crossing_halo,
    crossings,
    direction_weights,
    directions,
    row_length,
)
from microlith.imaging.measures.surface_faces import exact_unit, face_areas, face_halo, slab_blurs, slab_faces
from microlith.imaging.measures.triple_lines import TripleLines, counted_lines, lines_of
from microlith.imaging.measures.whole_faces import Found, GatheredFaces, found_faces
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Numbers

NOISE = 4.0  # voxel faces by which counts are wrong where a smooth surface lies symmetrically among the voxels
# Parts of the standard error: of the area by normals, of what no step shows, of what was added and taken away
SMOOTH, MISSED, ADDED, REMOVED = 0.005, 0.5, 0.1, 0.5
PLACES = {2: 0.5, 3: 8.0}  # voxel faces by which the voxels of one body are too many or too few, by dimension


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Areas between phases."""

    between: Array  # (phases, phases) m^2 (m in 2D); symmetric
    correction: Array  # (phases, phases) by which the local areas were multiplied
    error: Array  # (phases, phases) m^2 (m in 2D), standard error that the voxels leave open

    @property
    def of_phase(self) -> Array:
        """Area (phases,) of each phase towards all others."""
        return np.asarray(self.between.sum(axis=1))

    @property
    def error_of_phase(self) -> Array:
        """Standard error (phases,) of these; those of pairs have the same causes, and add up."""
        return np.asarray(self.error.sum(axis=1))


def surfaces(volume: LabelVolume, comm: MPI.Intracomm) -> Surfaces:
    """Area between each pair of phases; collective; see `surfaces_and_lines`."""
    return surfaces_and_lines(volume, comm)[0]


def surfaces_and_lines(
    volume: LabelVolume, comm: MPI.Intracomm, gathered: GatheredFaces | None = None
) -> tuple[Surfaces, TripleLines]:
    """Area between each pair of phases, and lines where three meet; collective. The image's frame is no surface.

    The local areas of `surface_faces` are too small at creases and in narrow gaps, where the blur of normals reaches
    from one surface to another. So it is counted how often steps in 8 directions in 2D and 13 in 3D lead from one phase
    into another (Cauchy, Crofton), with those that steps leave out (`crossings`), and held against what the normals say
    of the same directions. The ratio corrects the area, as far as it is more than the counts' own error.

    Args:
        volume: The image.
        comm: All ranks.
        gathered: Takes the faces that are found on the way.

    Raises:
        InputError: The image can't be read.
    """
    phases, dim = len(volume.names), volume.dim
    steps = np.array(directions(dim))
    before, behind = face_halo(volume)
    halo = before, max(behind, crossing_halo(dim))
    row: Numbers = np.zeros(0, np.int64)
    for slab in slabs(volume, comm, halo):
        faces: Found | None = None if gathered is None else []
        counted = together(comm, partial(_counted, volume, steps, slab, faces))
        row = row + counted if row.size else counted
        if gathered is not None and faces is not None:
            gathered.add(faces)
    row = comm.allreduce(row)
    mine = (1 + len(steps)) * phases**2
    theirs = mine + row_length(dim, phases)
    half = row[:mine].reshape(1 + len(steps), phases, phases)
    rows = half + half.swapaxes(1, 2)
    unit = exact_unit(volume)
    told = np.tensordot(direction_weights(volume.voxel_size), rows[1:] * unit, 1)
    found = crossings(row[mine:theirs], volume.voxel_size, phases)
    face = float(face_areas(volume).max())
    correction = _correction(told, found, NOISE * face, unit)
    local = rows[0] * unit
    error = _error(local, correction, found, PLACES[dim] * face)
    return Surfaces(local * correction, correction, error), lines_of(volume, row[theirs:])


def _error(local: Array, correction: Array, counted: Crossings, places: float) -> Array:
    """Standard error (phases, phases) of areas.

    What no step shows is the uncertain part: where all gaps lie alike among the voxels, none of it may be missed or
    twice as much. The parts were set by bodies of known area, see docs/explained/analysis.md.
    """
    area = local * correction
    missed = np.where(counted.seen > 0, counted.missed / np.maximum(counted.seen, np.finfo(float).tiny), 0.0)
    change = area - local
    parts = SMOOTH * area, MISSED * missed * area, ADDED * np.maximum(change, 0), REMOVED * np.minimum(change, 0)
    return np.asarray(np.sqrt(sum(part**2 for part in parts) + np.where(area > 0, places, 0.0) ** 2))


def _correction(told: Array, counted: Crossings, noise: float, unit: float) -> Array:
    """Ratio (phases, phases) of counts to normals.

    Few crossings tell little: what the ratio of a pair is above that of both its phases, and what that is above 1,
    counts as d^3/(d^2 + e^2) with the error e.
    """

    def above(told: Array, counted: Array, expected: Array) -> Array:
        known = (told > unit) & (counted > 0)
        more = np.where(known, counted / np.where(known, told, 1.0) - 1 - expected, 0.0)
        error = noise / np.where(known, counted, noise)
        return np.asarray(expected + more**3 / (more**2 + error**2))

    all_counted = counted.seen + counted.missed
    of_phase = above(told.sum(axis=1), all_counted.sum(axis=1), np.zeros(len(told)))
    return 1 + above(told, all_counted, (of_phase[:, None] + of_phase) / 2)


def _counted(volume: LabelVolume, steps: Numbers, slab: Slab, kept: Found | None) -> Numbers:
    """In one row: areas and projections along the directions, each by pairs of phases, crossings, and triple lines."""
    from microlith.imaging.measures.loops import add_projections  # numba, late as in `path_lengths`

    phases, areas, unit = len(volume.names), face_areas(volume), exact_unit(volume)
    size = np.array(volume.voxel_size)
    out: Numbers = np.zeros((1 + len(steps), phases**2), np.int64)
    along = steps * size / np.linalg.norm(steps * size, axis=1)[:, None]
    near = slab.within(face_halo(volume))
    blurred = [] if slab.empty else slab_blurs(volume, near)
    for faces in slab_faces(volume, near, blurred):
        if kept is not None:
            kept.append(found_faces(volume, near, faces))
        pair = faces.phase[0].astype(np.int64) * phases + faces.phase[1]
        out[0] += np.bincount(pair, np.rint(faces.area / unit), phases**2).astype(np.int64)
        place, shape = np.array(faces.place), np.array(faces.shape)
        part = unit / areas[faces.axis]
        add_projections(faces.axis, pair, *faces.normals, faces.beyond, place, shape, steps, along, part, out[1:])
    lines = counted_lines(volume, near, blurred)
    return np.concatenate([out.ravel(), counted_crossings(slab, phases), lines])
