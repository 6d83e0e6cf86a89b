"""Area of the surfaces between phases (in 2D length of the lines between them)."""

import itertools
import math
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy.optimize import nnls

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.surface_faces import exact_unit, face_areas, face_halo, slab_faces
from microlith.imaging.typing import Array, Numbers

REACH = {2: 2, 3: 1}  # steps along an axis in directions in which surfaces are counted, by dimension
ENOUGH = 500  # crossings in all directions from which on counting corrects
SIGHTS = 2000  # directions of normals for which the weights of directions are fitted


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Areas between phases."""

    between: Array  # (phases, phases) m^2 (m in 2D); symmetric
    correction: Array  # (phases, phases) by which the local areas were multiplied

    @property
    def of_phase(self) -> Array:
        """Area (phases,) of each phase towards all others."""
        return np.asarray(self.between.sum(axis=1))


def surfaces(volume: LabelVolume, comm: MPI.Intracomm) -> Surfaces:
    """Area between each pair of phases; collective. What lies at the image's frame is no surface.

    The local areas of `surface_faces` are too small at creases and in narrow gaps, where the blur of normals reaches
    from one surface to another. So it is counted how often steps in 8 directions in 2D and 13 in 3D lead out of a phase
    (Cauchy, Crofton), and held against what the normals say of the same directions. The ratio corrects the area,
    between two phases the mean of their ratios.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    phases = len(volume.names)
    steps = np.array(directions(volume.dim))
    found = slab_sum(volume, comm, partial(_counted, volume, steps), halo=face_halo(volume))
    rows = found.reshape(1 + 2 * len(steps), phases, phases)
    rows += rows.swapaxes(1, 2).copy()
    unit = exact_unit(volume)
    lengths = np.linalg.norm(steps * np.array(volume.voxel_size), axis=1)
    weight = direction_weights(volume.voxel_size)
    told = np.tensordot(weight, rows[1 : 1 + len(steps)].sum(axis=2) * unit, 1)
    crossings = rows[1 + len(steps) :].sum(axis=2)
    counted = np.tensordot(weight * volume.voxel_measure / lengths, crossings, 1)
    enough = crossings.sum(axis=0) >= ENOUGH
    factor = np.where(enough, counted / np.where(enough, np.maximum(told, unit), 1.0), 1.0)
    correction = (factor[:, None] + factor) / 2
    return Surfaces(rows[0] * unit * correction, correction)


@cache
def directions(dim: int) -> tuple[tuple[int, ...], ...]:
    """Steps in voxels along the array's axes, one of each pair of opposite ones."""
    reach = range(-REACH[dim], REACH[dim] + 1)
    return tuple(step for step in itertools.product(reach, repeat=dim) if step > (0,) * dim and math.gcd(*step) == 1)


@cache
def direction_weights(voxel_size: tuple[float, ...]) -> Array:
    """Weights of the directions with which the sum of a surface's projections along them is nearest to its area.

    The area A of a plane piece is found from all sides: sum of w_k A |n . u_k| = A as nearly as may be for all n.
    """
    dim = len(voxel_size)
    steps: Array = np.array(directions(dim)) * np.array(voxel_size)
    unit: Array = steps / np.linalg.norm(steps, axis=1)[:, None]
    sights: Array
    if dim == 2:
        angle = (np.arange(SIGHTS) + 0.5) * np.pi / SIGHTS
        sights = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    else:  # even over the sphere: Fibonacci's lattice
        height = 1 - (2 * np.arange(SIGHTS) + 1) / SIGHTS
        turn = np.pi * (1 + math.sqrt(5)) * np.arange(SIGHTS)
        wide = np.sqrt(1 - height**2)
        sights = np.stack([height, wide * np.cos(turn), wide * np.sin(turn)], axis=1)
    return np.asarray(nnls(np.abs(sights @ unit.T), np.ones(SIGHTS))[0])


def _counted(volume: LabelVolume, steps: Numbers, slab: Slab) -> Numbers:
    """In one row, each by pairs of phases: areas, their projections along the directions, crossings in these."""
    phases, areas, unit = len(volume.names), face_areas(volume), exact_unit(volume)
    size = np.array(volume.voxel_size)
    out = np.zeros((1 + 2 * len(steps), phases**2))
    along = steps * size / np.linalg.norm(steps * size, axis=1)[:, None]
    for faces in slab_faces(volume, slab):
        pair = faces.phase[0].astype(np.int64) * phases + faces.phase[1]
        out[0] += np.bincount(pair, np.rint(faces.area / unit), phases**2)
        for row, direction in zip(out[1 : 1 + len(steps)], along, strict=True):
            row += np.bincount(pair, np.rint(faces.projected(areas[faces.axis], direction) / unit), phases**2)
    for row, step in zip(out[1 + len(steps) :], steps, strict=True):
        if not slab.empty:
            row += _crossings(slab, step.tolist(), phases)
    return out.astype(np.int64).ravel()


def _crossings(slab: Slab, step: list[int], phases: int) -> Numbers:
    """How often a step leads from one phase into another, (phases^2,); beyond the frame all goes on as it is there."""
    halo = REACH[slab.phase.ndim]
    low, high = slab.own.start, slab.own.stop
    part = slab.phase[max(0, low - halo) : high + halo]
    start = low - max(0, low - halo)
    wide = [(halo, halo)] * part.ndim
    around = np.pad(part, wide, mode="edge")
    shape = (high - low, *part.shape[1:])
    begin = (start + halo, *(halo,) * (part.ndim - 1))
    here = around[tuple(slice(b, b + n) for b, n in zip(begin, shape, strict=True))]
    there = around[tuple(slice(b + s, b + s + n) for b, n, s in zip(begin, shape, step, strict=True))]
    unlike = here != there
    return np.bincount(here[unlike].astype(np.int64) * phases + there[unlike], minlength=phases**2)
