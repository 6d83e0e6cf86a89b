"""Length of the lines along which three phases meet (in 2D the number of such points)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.image.passes import Slab
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.surface_faces import EXACT, WIDTHS, Blurred
from microlith.imaging.typing import Array, Numbers, Phases

MOST_PHASES = 16  # of which each three are told apart
PAIRS = (0, 1), (1, 2), (2, 0)  # of three phases
LEAST_CLEAR = 1e-3  # sine of the angle between gradients below which three phases don't show their line
STEEP = 0.3  # sine of the angle of a sharp wedge below which it is no longer taken as one of planes
AT_ONCE = 1 << 15  # corners


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
        return TripleLines(float(max(found[0], 0) * unit), {})
    table = np.maximum(found, 0).reshape((phases,) * 3)
    of_three = {(int(i), int(j), int(k)): float(table[i, j, k] * unit) for i, j, k in np.argwhere(table)}
    return TripleLines(float(table.sum() * unit), of_three)


@dataclass(frozen=True, eq=False)
class Corners:
    """Voxel edges along an axis (in 2D pixel corners) around which there are three phases, as parts of smooth lines."""

    phase: Numbers  # (3, n) in rising order
    length: Array  # (n,) of the line that each stands for, m; in 2D 1
    ahead: Array  # (n,) the same, below 0 where the phases go round the edge the other way than round the line
    slopes: tuple[Array, Array, Array]  # (n, dim) each, along the gradients of the three phases' blurred indicators


def slab_corners(volume: LabelVolume, slab: Slab, blurred: Sequence[Blurred]) -> Iterator[Corners]:
    """Where three phases meet in a slab, by the axis along which the voxel edges lie.

    Each voxel edge around which there are three phases counts as the part of the smooth line that it is the projection
    of: its length times |t . e|, with t the direction of the line, normal to the gradients of the differences of the
    blurred indicators. As with surfaces, two widths of the blur tell the limit. In 2D pixel corners are counted.

    In a narrow wedge voxels show a line that goes to and fro, and lines around single voxels before its tip. There the
    phases follow each other around half of the edges the other way round, which takes away what is too much.

    Args:
        volume: The image.
        slab: With the halo that `face_halo` says.
        blurred: As `slab_blurs` gives.
    """
    if len(volume.names) < 3 or slab.empty:
        return
    size = np.array(volume.voxel_size)
    for along in range(3) if volume.dim == 3 else (None,):
        around = _around(slab, [axis for axis in range(volume.dim) if axis != along])
        three = _three(slab.phase.ravel()[around])
        first, second = (_differences(f, around, three, along, size) for f in blurred)
        turn = _turns(slab.phase.ravel()[around], three)
        narrow, wide = _aligned(*first, along), _aligned(*second, along)
        if along is None:
            length, ahead = np.ones(around.shape[1]), turn * np.sign(narrow + wide)
        else:
            unit = max(volume.voxel_size) * EXACT
            length = np.rint(size[along] * (4 * np.abs(wide) - np.abs(narrow)) / 3 / unit) * unit
            # What leads to and fro makes no stairs: the wider blur alone is nearest where wedges are narrow or blunt.
            ahead = turn * np.rint(size[along] * wide / unit) * unit
        ahead = np.where(np.abs(turn) <= 1, ahead, length)
        # At the line the gradients go as the width's inverse: both count alike. The narrower blur sees angles too blunt
        # by the stairs, the wider one too sharp by the curvature.
        one, other = (narrow * WIDTHS[0] + wide * WIDTHS[1] for narrow, wide in zip(first, second, strict=True))
        middle = (other - one) / 3  # no more phases: the three gradients add up to nothing
        yield Corners(three, length, ahead, (one + middle, middle, middle - other))


def counted_lines(volume: LabelVolume, corners: Sequence[Corners]) -> Numbers:
    """Lengths by three phases in a slab, in one row; nothing where there are only two."""
    phases = len(volume.names)
    if phases < 3:
        return np.zeros(0, np.int64)
    out = np.zeros(phases**3 if phases <= MOST_PHASES else 1)
    unit = 1.0 if volume.dim == 2 else max(volume.voxel_size) * EXACT
    for found in corners:
        low, middle, high = found.phase
        key = (low * phases + middle) * phases + high if out.size > 1 else np.zeros_like(low)
        out += np.bincount(key, np.rint(found.ahead / unit), out.size)
    return out.astype(np.int64)


def areas_at_corners(volume: LabelVolume, corners: Sequence[Corners], steps: Numbers) -> Numbers:
    """What steps from voxel to voxel leave out beside triple lines of the area between each two phases.

    A step that leads from phase p through the wedge of phase q into r shows a crossing between p and r, instead of one
    between p and q and one between q and r. The three phases meet at the angles that `_half_angles` tells. Where their
    surfaces are plane, such a step, less its part along the line, is e = a u - b v with a, b > 0 and the directions u
    and v in which both sides of the wedge lead away from the line, and per length of the line steps that begin in an
    area a b |u x v| / 2 do so. For the voxel faces these are the steps to the next voxel along the axes.

    Args:
        volume: The image.
        corners: Of a slab.
        steps: (m, dim) in voxels.

    Returns:
        (1 + 2 m, phases^2) what faces leave out, its projections along the steps, and the projections that these leave
        out themselves, in units of `exact_unit`; pairs of phases are there in one of both orders.
    """
    phases, dim = len(volume.names), volume.dim
    size = np.array(volume.voxel_size)
    unit = float((volume.voxel_measure / size).max()) * EXACT
    lengths = np.linalg.norm(steps * size, axis=1)
    directions = steps * size / lengths[:, None]
    out = np.zeros((1 + 2 * len(steps), phases**2), np.int64)
    for found in (part for all_along in corners for part in _some_at_a_time(all_along)):
        line, rays = _meeting(found.slopes)
        by_axis = [_left_out(line, rays, edge * np.eye(3)[axis]) for axis, edge in enumerate(size)]
        by_step = [_left_out(line, rays, np.pad(step * size, (0, 3 - dim))) for step in steps]
        for pair, (one, other) in enumerate(PAIRS):
            key = found.phase[one] * phases + found.phase[other]
            normal = np.cross(line, rays[pair])[:, :dim]
            parts = [times[pair] * np.abs(normal[:, axis]) / size[axis] for axis, times in enumerate(by_axis)]
            area = np.sum(parts, axis=0)
            seen = [area * np.abs(normal @ direction) for direction in directions]
            missed = [times[pair] / length for length, times in zip(lengths, by_step, strict=True)]
            for row, values in enumerate([area, *seen, *missed]):
                out[row] += np.bincount(key, np.rint(values * found.length / unit), phases**2).astype(np.int64)
    return out


def _some_at_a_time(corners: Corners) -> Iterator[Corners]:
    for first in range(0, len(corners.length), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        one, two, three = (slope[some] for slope in corners.slopes)
        yield Corners(corners.phase[:, some], corners.length[some], corners.ahead[some], (one, two, three))


def _meeting(slopes: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Direction (n, 3) of the line in which three phases meet, and those in which the surfaces of `PAIRS` leave it.

    Where the gradients don't show the line all is zero. In 2D the line is along z.
    """
    slopes = [np.pad(slope, ((0, 0), (0, 3 - slope.shape[1]))) for slope in slopes]
    line = np.cross(slopes[0], slopes[1])
    strength = np.linalg.norm(line, axis=1)
    clear = strength > LEAST_CLEAR * np.linalg.norm(slopes[0], axis=1) * np.linalg.norm(slopes[1], axis=1)
    line = line * (clear / np.where(clear, strength, 1.0))[:, None]
    rays = []
    for slope, half in zip(slopes, _half_angles(slopes), strict=True):
        ahead = slope * (clear / np.where(clear, np.linalg.norm(slope, axis=1), 1.0))[:, None]
        rays.append(np.cos(half)[:, None] * ahead + np.sin(half)[:, None] * np.cross(line, ahead))
    return line, rays


def _left_out(line: Array, rays: Sequence[Array], step: Array) -> list[Array]:
    """Crossings (n,) of the surfaces of `PAIRS` that a step leaves out, per length of the line, times its density."""
    out: list[Array] = [np.zeros(len(line)) for _ in PAIRS]
    for phase in range(len(PAIRS)):
        before, behind, beyond = (phase + 2) % 3, phase, (phase + 1) % 3  # the wedge's sides, and the third surface
        across = _turn(line, rays[before], rays[behind])
        first, second = _turn(line, step, rays[behind]), _turn(line, step, rays[before])
        blunt = np.einsum("ij,ij->i", rays[before], rays[behind]) < 0
        there = (blunt | (np.abs(across) > STEEP)) & (across != 0) & (first * second > 0)
        places = np.where(there, first * second / (2 * np.where(there, np.abs(across), 1.0)), 0.0)
        out[before] += places
        out[behind] += places
        out[beyond] -= places
    return out


def _turn(line: Array, first: Array, second: Array) -> Array:
    return np.einsum("ij,ij->i", line, np.cross(first, second))


def _half_angles(slopes: Sequence[Array]) -> list[Array]:
    """Half of the angles of the wedges (n,) of three phases, from the gradients of their blurred indicators.

    Each of the three surfaces is a half plane, and counts alike in the gradients at the line: that of a phase is as
    long as the sum of the unit normals of its two surfaces, 2 sin(w/2) with its angle w. The three add up to nothing,
    and the halves of the angles to pi: they are the angles of the triangle of the gradients, by the law of sines.
    """
    length = [np.linalg.norm(slope, axis=1) for slope in slopes]
    length = [np.where(long > 0, long, 1.0) for long in length]
    out = []
    for phase in range(3):
        one, two = length[(phase + 1) % 3], length[(phase + 2) % 3]
        out.append(np.arccos(np.clip((one**2 + two**2 - length[phase] ** 2) / (2 * one * two), -1, 1)))
    return out


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


def _differences(
    blurred: Blurred, around: Numbers, three: Numbers, along: int | None, size: Array
) -> tuple[Array, Array]:
    """Gradients (n, dim) of the first blurred indicator less the second, and of the second less the third."""
    shape = blurred.values.shape[1:]
    flat = blurred.values.reshape(-1)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    index = [around[0] // stride % n for stride, n in zip(strides, shape, strict=True)]
    a, b = (axis for axis in range(len(shape)) if axis != along)
    rise = [blurred.rise(axis, index[axis], index[axis] + 1) * size[axis] for axis in (a, b)]
    gradients = []
    for one, other in ((0, 1), (1, 2)):
        first, second = (three[i] * math.prod(shape) for i in (one, other))
        corner = [flat[first + place] - flat[second + place] for place in around]
        gradient = np.empty((around.shape[1], len(shape)))
        gradient[:, a] = (corner[1] + corner[3] - corner[0] - corner[2]) / (2 * rise[0])
        gradient[:, b] = (corner[2] + corner[3] - corner[0] - corner[1]) / (2 * rise[1])
        if along is not None:
            low, high = np.maximum(index[along] - 1, 0), np.minimum(index[along] + 1, shape[along] - 1)
            up, down = strides[along] * (high - index[along]), strides[along] * (index[along] - low)
            ahead = sum(flat[first + place + up] - flat[second + place + up] for place in around)
            behind = sum(flat[first + place - down] - flat[second + place - down] for place in around)
            ahead_rise = np.where(high > low, blurred.rise(along, low, high), 1.0) * size[along]
            gradient[:, along] = (ahead - behind) / (4 * ahead_rise)
        gradients.append(gradient)
    return gradients[0], gradients[1]


def _turns(phases: Phases, three: Numbers) -> Numbers:
    """Which way round (n,) three phases follow each other in the four voxels around an edge.

    Returns:
        1 from the first axis to the second, -1 back; 0 where one of the three lies in opposite voxels, so that two
        lines meet that cancel; 2 where there are four phases.
    """
    number = np.full(phases.shape, 3)
    for phase in range(3):
        number[phases == three[phase]] = phase
    number = number[[0, 1, 3, 2]]
    step = (np.roll(number, -1, axis=0) - number) % 3
    turn = np.where(step == 2, -1, step).sum(axis=0) // 3
    return np.where((number == 3).any(axis=0), 2, turn)


def _aligned(first: Array, second: Array, along: int | None) -> Array:
    """Shares t . e (n,) of voxel edges along an axis, from two gradients (n, dim) that are normal to the line.

    The line leads to where the three phases follow each other from the first of the other axes to the second; so does
    the edge. In 2D it is 1 or -1.
    """
    if along is None:
        return np.sign(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    line = np.cross(first, second)
    length = np.linalg.norm(line, axis=1)
    part = np.where(length > 0, line[:, along] / np.where(length > 0, length, 1.0), 1.0)
    return part if along != 1 else -part
