"""Voxel faces between phases, and the share of a smooth surface that each of them stands for.

A surface that is built of voxel faces has up to sqrt(3) times the area of the smooth one. So each face counts as the
part of the tangent plane that it is the projection of: its own area times |n . e|, with e its normal and n that of the
surface, the direction of the gradient of the difference of both phases' indicators after a Gaussian blur (Lenoir,
Malandain and Bertrand 1996; Coeurjolly, Flin, Teytaud and Tougne 2003). What is left of the stairs goes as 1/sigma^2,
so that two widths of the blur tell the limit: (4 A(2) - A(1)) / 3. Beside edges that lie along the voxels or their
diagonals the normals are those of both surfaces by themselves.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from microlith.imaging.image.passes import Halo, Slab
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers, Phases, Singles

WIDTHS = (1.0, 2.0)  # of the blur, per longest edge of a voxel
CUT = 4.0  # widths at which the blur is cut off
STEEPEST = 0.8  # n_f^2 of surfaces so nearly along the frame that faces across other axes tell little
# How far normals are looked after beside edges, widths; faces in a row on both sides of an edge; largest cosine of a
# right angle
AT_EDGES, LEAST, SQUARE = 3.0, 3, 1e-6
EXACT = 2.0**-26  # of a voxel's largest face: areas are rounded to multiples of it, so that sums are exact


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces between unlike voxels of a slab, across one axis."""

    axis: int  # of the array
    here: Numbers  # (n,) places of the voxels before them in the slab with its halo, flattened
    there: Numbers  # (n,) and of those behind
    phase: tuple[Phases, Phases]  # (n,) each
    normals: tuple[Array, Array]  # (n, dim) each, along the array's axes, for both widths
    area: Array  # (n,) m^2 (m in 2D), of the smooth surface, with `beyond`
    beyond: Array  # (dim, n) of what there is more between the frame across each axis and the next middle of voxels
    beside_edge: Flags  # (n,) the next step along the surface leads over an edge at right angles
    place: tuple[Array, ...]  # (n,) each, of their middles along the image's axes, voxels
    shape: tuple[int, ...]  # of the image


def face_halo(volume: LabelVolume) -> Halo:
    """Layers around a slab that its faces need."""
    reach = math.ceil(CUT * WIDTHS[-1] * max(volume.voxel_size) / volume.voxel_size[0]) + 2
    return reach, reach


def face_areas(volume: LabelVolume) -> Array:
    """Area (dim,) of a voxel's face across each axis of the array, m^2 (m in 2D)."""
    return np.asarray(volume.voxel_measure / np.array(volume.voxel_size))


def exact_unit(volume: LabelVolume) -> float:
    """Area that areas are rounded to multiples of, m^2 (m in 2D)."""
    return float(face_areas(volume).max()) * EXACT


def slab_blurs(volume: LabelVolume, slab: Slab) -> "list[Blurred]":
    """The blurred indicators of a slab, with the halo that `face_halo` says, for each of the widths."""
    size = np.array(volume.voxel_size)
    return [blurred_indicators(slab.phase, width * size.max() / size) for width in WIDTHS]


def slab_faces(volume: LabelVolume, slab: Slab, blurred: "Sequence[Blurred]" = ()) -> Iterator[Faces]:
    """The faces between a slab's voxels, and the area of the smooth surface that each stands for.

    Args:
        volume: The image.
        slab: With the halo that `face_halo` says.
        blurred: As `slab_blurs` gives; none: they are found here.

    Yields:
        Those across each axis of the array; a face between two slabs is the first one's.
    """
    from microlith.imaging.measures.loops import straighten_at_edges  # numba, late as in `path_lengths`

    if slab.empty:
        return
    size = np.array(volume.voxel_size)
    shape = np.array(slab.phase.shape)
    strides = np.array([math.prod(slab.phase.shape[along + 1 :]) for along in range(volume.dim)])
    blurred = blurred or slab_blurs(volume, slab)
    areas = face_areas(volume)
    starts = [0.5 + start for start, _ in slab.window]
    layer = math.prod(slab.phase.shape[1:])
    flat = slab.phase.ravel()
    for axis, step in enumerate(np.eye(volume.dim, dtype=int).tolist()):
        one, other = slab.pairs(step)
        at = np.nonzero(one != other)
        place = (at[0] + slab.own.start, *at[1:])
        here = np.ravel_multi_index(place, slab.phase.shape)
        there = here + (layer if axis == 0 else math.prod(slab.phase.shape[axis + 1 :]))
        phases = flat[here], flat[there]
        first, second = (_normals(f, axis, here, phases, size) for f in blurred)
        edge = np.zeros(len(here), bool)
        ways = _ways(volume.voxel_size)
        straighten_at_edges(flat, shape, strides, axis, here, size, *ways, LEAST, first, second, edge)
        area = areas[axis] * (4 * np.abs(second[:, axis]) - np.abs(first[:, axis])) / 3
        middle = tuple(x + start + 0.5 * along for x, start, along in zip(place, starts, step, strict=True))
        beyond = _beyond(middle, volume.shape, second)
        area *= 1 + beyond.sum(axis=0)
        yield Faces(axis, here, there, phases, (first, second), area, beyond, edge, middle, volume.shape)


@cache
def _ways(voxel_size: tuple[float, ...]) -> tuple[Numbers, Array, Numbers, Array, Numbers]:
    """Steps along which faces are followed to edges, those at right angles to each, and how many the blur reaches.

    Steps are followed by their unit vectors, with three numbers each, see `straighten_at_edges`.
    """
    size = np.array(voxel_size)
    steps = np.array([step for step in itertools.product((-1, 0, 1), repeat=len(size)) if step > (0,) * len(size)])
    lengths = np.linalg.norm(steps * size, axis=1)
    square = np.abs((steps * size) @ (steps * size).T) < SQUARE * np.outer(lengths, lengths)
    tangents: Array = np.zeros((len(steps), 3))
    tangents[:, : len(size)] = steps * size / lengths[:, None]
    across: Numbers = np.zeros((len(steps), square.sum(axis=1).max(), len(size)), np.int64)
    towards: Array = np.zeros((*across.shape[:2], 3))
    for row, there in enumerate(square):
        across[row, : there.sum()], towards[row, : there.sum()] = steps[there], tangents[there]
    some = square.any(axis=1)
    reach = np.ceil(AT_EDGES * WIDTHS[-1] * size.max() / lengths[some]).astype(np.int64)
    return steps[some], tangents[some], across[some], towards[some], reach


def _beyond(place: tuple[Array, ...], shape: tuple[int, ...], normal: Array) -> Array:
    """Area (dim, n) that faces beside the frame stand for besides their own, over their own.

    Between the frame and the first middle of voxels there are no faces across that axis, so n_f^2 of the area is
    missing there. The faces across other axes, which see 1 - n_f^2 of it in all of the first voxel, stand for it.
    """
    out = np.zeros((len(shape), len(normal)))
    for axis, count in enumerate(shape):
        first = np.flatnonzero((place[axis] < 0.75) | (place[axis] > count - 0.75))
        part = np.minimum(normal[first, axis] ** 2, STEEPEST)
        out[axis, first] = 0.5 * part / (1 - part)
    return out


@dataclass(frozen=True, eq=False)
class Blurred:
    """Indicators of phases after a blur that ends at the image's frame.

    At the frame the window of the blur is cut off, and what is found there is of its centre, which is not the voxel's.
    So slopes are differences over those of the windows' centres; for a Gaussian window, whatever its widths, they have
    the direction of a plane's normal.
    """

    values: Singles  # (phases that are there or lower, ...)
    centre: tuple[Array, ...]  # (n,) along each axis, of the windows less those of the voxels, voxels

    def against_rest(self, phase: int) -> "Blurred":
        """Of two phases: all others, and this one."""
        shape = (2, *self.values.shape[1:])
        one: Singles = self.values[phase] if phase < len(self.values) else np.zeros(shape[1:], np.float32)
        return Blurred(np.stack([1 - one, one]), self.centre)

    def rise(self, axis: int, low: Numbers, high: Numbers) -> Array:
        """Distance (n,) between the centres of windows at two places along an axis, voxels."""
        return np.asarray(high - low + self.centre[axis][high] - self.centre[axis][low])


def blurred_indicators(phase: Phases, widths: Array) -> Blurred:
    """Indicator of each phase after the blur.

    Phase 0 has what all others leave of 1, which saves a blur; the same in each slab, whatever phases there are.

    Args:
        phase: ([z,] y, x)
        widths: (dim,) of the Gaussian, voxels.
    """
    from microlith.imaging.microstructure.blur import blur  # numba, late as in `path_lengths`

    count = int(phase.max(initial=0)) + 1
    out = np.zeros((count, *phase.shape), np.float32)
    windows = [_window(n, width) for n, width in zip(phase.shape, widths, strict=True)]
    for value in 1 + np.flatnonzero(np.bincount(phase.ravel(), minlength=count)[1:]):
        np.equal(phase, value, out=out[value], casting="unsafe")
        blur(out[value], widths, CUT, goes_on=False)
    for axis, (weight, _) in enumerate(windows):
        for ends in _cut_off(weight):
            shape = [1] * out.ndim
            shape[1 + axis] = -1
            out[(slice(1, None), *(slice(None),) * axis, ends)] /= weight[ends].astype(np.float32).reshape(shape)
    out[0] = 1
    for value in range(1, count):
        out[0] -= out[value]
    return Blurred(out, tuple(centre for _, centre in windows))


def _cut_off(weight: Array) -> list[slice]:
    """Both ends of a line of voxels up to where all of the blur's window is within it."""
    whole = np.flatnonzero(weight == 1)
    return [slice(0, whole[0]), slice(whole[-1] + 1, None)] if len(whole) else [slice(None)]


def _window(count: int, width: float) -> tuple[Array, Array]:
    """What of the blur's window is within a line of voxels, and its centre less the voxel's, (count,) each."""
    reach = int(CUT * width + 0.5)
    offset = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offset / width) ** 2)
    kernel /= kernel.sum()
    there = np.arange(count)[:, None] + offset
    cut = np.where((there >= 0) & (there < count), kernel, 0.0)
    whole = cut.all(axis=1)
    weight, centre = np.ones(count), np.zeros(count)
    weight[~whole] = cut[~whole].sum(axis=1)
    centre[~whole] = (cut[~whole] @ offset) / weight[~whole]
    return weight, centre


def _normals(blurred: Blurred, axis: int, here: Numbers, phases: tuple[Phases, Phases], size: Array) -> Array:
    """Unit normals (n, dim) of the surface between both phases, at faces."""
    from microlith.imaging.measures.loops import find_normals  # numba, late as in `path_lengths`

    shape = blurred.values.shape[1:]
    strides = [math.prod(shape[along + 1 :]) for along in range(len(shape))]
    centre = np.zeros((len(shape), max(shape)))
    for row, line in zip(centre, blurred.centre, strict=True):
        row[: len(line)] = line
    values = blurred.values.reshape(len(blurred.values), -1)
    normal: Array = np.empty((len(here), len(shape)))
    find_normals(values, np.array(shape), np.array(strides), centre, axis, here, *phases, size, normal)
    return normal
