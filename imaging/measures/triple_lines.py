"""Length of the lines along which three phases meet (in 2D the number of such points)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.image.passes import Slab
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.surface_faces import EXACT, Blurred
from microlith.imaging.typing import Array, Numbers, Phases

MOST_PHASES = 16  # of which each three are told apart


@dataclass(frozen=True, eq=False)
class TripleLines:
    """Where three phases meet."""

    length: float  # m in 3D; in 2D the number of points
    of_three: dict[tuple[int, int, int], float]  # the same for each three phases that meet; empty where there are many


def lines_of(volume: LabelVolume, found: Numbers) -> TripleLines:
    """Lengths from the sum over slabs of what `counted_lines` gives."""
    phases = len(volume.names)
    if phases < 3:
        return TripleLines(0.0, {})
    unit = 1.0 if volume.dim == 2 else max(volume.voxel_size) * EXACT
    if found.size == 1:
        return TripleLines(float(found[0] * unit), {})
    table = found.reshape((phases,) * 3)
    of_three = {(int(i), int(j), int(k)): float(table[i, j, k] * unit) for i, j, k in np.argwhere(table)}
    return TripleLines(float(found.sum() * unit), of_three)


def counted_lines(volume: LabelVolume, slab: Slab, blurred: Sequence[Blurred]) -> Numbers:
    """Lengths by three phases in a slab, in one row; nothing where there are only two.

    Each voxel edge around which there are three phases counts as the part of the smooth line that it is the projection
    of: its length times |t . e|, with t the direction of the line, normal to the gradients of the differences of the
    blurred indicators. As with surfaces, two widths of the blur tell the limit. In 2D pixel corners are counted.

    Args:
        volume: The image.
        slab: With the halo that `face_halo` says.
        blurred: As `slab_blurs` gives.
    """
    phases = len(volume.names)
    if phases < 3:
        return np.zeros(0, np.int64)
    out = np.zeros(phases**3 if phases <= MOST_PHASES else 1)
    if slab.empty:
        return out.astype(np.int64)
    size = np.array(volume.voxel_size)
    for along in range(3) if volume.dim == 3 else (None,):
        plane = [axis for axis in range(volume.dim) if axis != along]
        around = _around(slab, plane)
        three = _three(slab.phase.ravel()[around])
        if along is None:
            length = np.ones(around.shape[1])
        else:
            first, second = (_aligned(f, around, three, along, size) for f in blurred)
            length = np.rint(size[along] * (4 * second - first) / (3 * size.max() * EXACT))
        key = (three[0] * phases + three[1]) * phases + three[2] if out.size > 1 else np.zeros(len(length), np.int64)
        out += np.bincount(key, length, out.size)
    return out.astype(np.int64)


def _around(slab: Slab, plane: list[int]) -> Numbers:
    """Places (4, n) of the voxels around edges where three phases meet, in the slab with its halo, flattened."""
    shape = slab.phase.shape
    steps = [np.eye(len(shape), dtype=int)[axis] for axis in plane]
    ends = [0 * steps[0], steps[0], steps[1], steps[0] + steps[1]]
    low, high = slab.own.start, slab.own.stop
    counts = [n - int(ends[3][axis]) for axis, n in enumerate(shape)]
    rows = slice(low, min(high, counts[0]))
    parts = [
        slab.phase[
            (
                slice(rows.start + end[0], rows.stop + end[0]),
                *(slice(e, e + n) for e, n in zip(end[1:], counts[1:], strict=True)),
            )
        ]
        for end in ends
    ]
    least, most = (f(f(parts[0], parts[1]), f(parts[2], parts[3])) for f in (np.minimum, np.maximum))
    middle = np.zeros(least.shape, bool)
    for part in parts:
        middle |= (part != least) & (part != most)
    at = np.nonzero(middle)
    first = np.ravel_multi_index((at[0] + low, *at[1:]), shape)
    strides = [math.prod(shape[axis + 1 :]) for axis in plane]
    return first + np.array([0, strides[0], strides[1], sum(strides)])[:, None]


def _three(phases: Phases) -> Numbers:
    """The lowest, the highest and the lowest between of four phases, (3, n)."""
    phase = phases.astype(np.int64)
    low, high = phase.min(axis=0), phase.max(axis=0)
    between = np.where((phase != low) & (phase != high), phase, np.iinfo(np.int64).max).min(axis=0)
    return np.stack([low, between, high])


def _aligned(blurred: Blurred, around: Numbers, three: Numbers, along: int, size: Array) -> Array:
    """|t . e| (n,) of voxel edges along an axis."""
    shape = blurred.values.shape[1:]
    flat = blurred.values.reshape(-1)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(3)]
    index = [around[0] // stride % n for stride, n in zip(strides, shape, strict=True)]
    low, high = np.maximum(index[along] - 1, 0), np.minimum(index[along] + 1, shape[along] - 1)
    up, down = strides[along] * (high - index[along]), strides[along] * (index[along] - low)
    a, b = (axis for axis in range(3) if axis != along)
    rise = [blurred.rise(axis, index[axis], index[axis] + 1) * size[axis] for axis in (a, b)]
    ahead_rise = np.where(high > low, blurred.rise(along, low, high), 1.0) * size[along]
    gradients = []
    for one, other in ((0, 1), (1, 2)):
        first, second = (three[i] * math.prod(shape) for i in (one, other))
        corner = [flat[first + place] - flat[second + place] for place in around]
        ahead = sum(flat[first + place + up] - flat[second + place + up] for place in around)
        behind = sum(flat[first + place - down] - flat[second + place - down] for place in around)
        gradient = np.empty((len(low), 3))
        gradient[:, a] = (corner[1] + corner[3] - corner[0] - corner[2]) / (2 * rise[0])
        gradient[:, b] = (corner[2] + corner[3] - corner[0] - corner[1]) / (2 * rise[1])
        gradient[:, along] = (ahead - behind) / (4 * ahead_rise)
        gradients.append(gradient)
    line = np.cross(gradients[0], gradients[1])
    length = np.linalg.norm(line, axis=1)
    return np.where(length > 0, np.abs(line[:, along]) / np.where(length > 0, length, 1.0), 1.0)
