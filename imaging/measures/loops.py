"""Loops over voxels and over the faces between them, which numba compiles."""

import numpy as np

from microlith.imaging.parallel.compiled import kept
from microlith.imaging.typing import Array, Integers, Numbers, Singles


@kept
def count_runs(
    flat: Integers, step: int, last: int, phases: int, between: Numbers, longer: Numbers, cut: Numbers, ended: Numbers
) -> None:
    """Counts steps from one phase into another, and how many steps the runs are long that begin there.

    Args:
        flat: (n,) phase of each voxel, flattened; `phases` or more: beyond the frame.
        step: From a voxel to the next one of its line, at least 1.
        last: Voxels from which steps count, the first ones.
        phases: How many there are.
        between: (phases^2,) steps are added to it by phase before and within.
        longer: (lengths, phases^2) runs longer than 1, 2, ... steps, alike.
        cut: (lengths, phases^2) runs of 1, 2, ... steps that the frame cuts, alike.
        ended: (lengths, phases^3) or (lengths, phases^2) whole runs of 1, 2, ... steps by phase before, within and
            behind, or by those before and within if that behind is the one before.
    """
    lengths, kinds = ended.shape
    every = kinds == phases * phases * phases
    for at in range(min(last, len(flat) - step)):
        before, within = np.int64(flat[at]), np.int64(flat[at + step])
        if before == within or before >= phases or within >= phases:
            continue
        key = before * phases + within
        between[key] += 1
        for length in range(lengths):
            behind = np.int64(flat[min(at + (length + 2) * step, len(flat) - 1)])
            if behind == within:
                longer[length, key] += 1
                continue
            if behind >= phases:
                cut[length, key] += 1
            elif every:
                ended[length, key * phases + behind] += 1
            elif behind == before:
                ended[length, key] += 1
            break


@kept
def find_normals(
    values: Singles,
    shape: Numbers,
    strides: Numbers,
    centre: Array,
    axis: int,
    here: Numbers,
    one: Integers,
    other: Integers,
    size: Array,
    normal: Array,
) -> None:
    """Unit normals of the surface at faces, by the slope of the difference of two blurred indicators.

    Args:
        values: (phases, voxels) blurred indicators, flattened.
        shape: (dim,) of voxels.
        strides: (dim,) from a voxel to the next one along each axis.
        centre: (dim, most of shape) of the blur's windows less those of the voxels, along each axis, voxels.
        axis: Of the array, that the faces are across.
        here: (n,) places of the voxels before the faces.
        one: (n,) phases of these.
        other: (n,) phases of the voxels behind the faces.
        size: (dim,) edges of voxels, m.
        normal: (n, dim) becomes the normals.
    """
    dim = len(shape)
    for face in range(len(here)):
        place, first, second = here[face], values[one[face]], values[other[face]]
        there = place + strides[axis]
        square = 0.0
        for along in range(dim):
            index = place // strides[along] % shape[along]
            low, high = max(index - 1, 0), min(index + 1, shape[along] - 1)
            if along == axis:
                low, high = index, index + 1
                slope = np.float64((first[there] - second[there]) - (first[place] - second[place]))
            else:
                up, down = strides[along] * (high - index), strides[along] * (index - low)
                rise_here = (first[place + up] - second[place + up]) - (first[place - down] - second[place - down])
                rise_there = (first[there + up] - second[there + up]) - (first[there - down] - second[there - down])
                slope = 0.5 * np.float64(rise_here + rise_there)
            rise = high - low + centre[along, high] - centre[along, low] if high > low else 1.0
            normal[face, along] = slope / (rise * size[along])
            square += normal[face, along] ** 2
        if square > 0.0:
            normal[face] /= np.sqrt(square)
        else:  # no direction is told: the face itself
            normal[face] = 0.0
            normal[face, axis] = 1.0


@kept
def add_projections(
    axis: int,
    pair: Numbers,
    first: Array,
    second: Array,
    beyond: Array,
    place: Array,
    shape: Numbers,
    steps: Numbers,
    directions: Array,
    unit: float,
    out: Numbers,
) -> None:
    """Adds up the area of the smooth surface, as seen along directions, that steps in these cross within the frame.

    Args:
        axis: Of the array, that the faces are across.
        pair: (n,) kind of each face.
        first: (n, dim) normals for the narrower blur.
        second: (n, dim) and for the wider one.
        beyond: (dim, n) of what there is more between the frame across each axis and the next middle of voxels.
        place: (dim, n) of the faces' middles, voxels.
        shape: (dim,) of the image.
        steps: (m, dim) in voxels; across an axis that they don't lead along, `beyond` counts.
        directions: (m, dim) unit vectors of these.
        unit: In which areas are counted, over that of the voxel face.
        out: (m, kinds) the areas are added to it, in units.
    """
    dim = len(shape)
    for face in range(len(pair)):
        for row in range(len(steps)):
            share, narrow, wide = 1.0, 0.0, 0.0
            for along in range(dim):
                narrow += first[face, along] * directions[row, along]
                wide += second[face, along] * directions[row, along]
                if steps[row, along] == 0:
                    share += beyond[along, face]
            for along in range(dim):
                length = abs(steps[row, along])
                if length:  # the share of equal steps across the face that the frame does not cut
                    before, behind = place[along, face] / length, (shape[along] - place[along, face]) / length
                    share *= max(min(1.0, before) - max(0.0, 1.0 - behind), 0.0)
            seen = 4 * abs(second[face, axis]) * abs(wide) - abs(first[face, axis]) * abs(narrow)
            out[row, pair[face]] += np.int64(np.rint(seen / 3 * share / unit))


@kept
def find_extents(points: Array, starts: Numbers, directions: Array, extent: Array) -> None:
    """Farthest distance between two points of each body, of those that are its ends in some directions.

    Args:
        points: (m, dim), body after body.
        starts: (n + 1,) place of each body's first point, and their number.
        directions: (k, dim) unit vectors.
        extent: (n,) becomes the distances.
    """
    dim = points.shape[1]
    for body in range(len(starts) - 1):
        largest = 0.0
        for direction in directions:
            low, high = starts[body], starts[body]
            least, most = np.inf, -np.inf
            for place in range(starts[body], starts[body + 1]):
                along = 0.0
                for axis in range(dim):
                    along += points[place, axis] * direction[axis]
                if along < least:
                    least, low = along, place
                if along > most:
                    most, high = along, place
            if low != high:
                square = 0.0
                for axis in range(dim):
                    square += (points[high, axis] - points[low, axis]) ** 2
                largest = max(largest, square)
        extent[body] = np.sqrt(largest)
