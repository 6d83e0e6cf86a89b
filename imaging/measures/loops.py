"""Loops over voxels and over the faces between them, which numba compiles."""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Flags, Integers, Numbers, Singles

# Between a normal and a step along the surface beside an edge: least and most cosine; of the step along the plane that
# begins there and the normal, least cosine; square of what must be left of a normal
FLATTEST, STEEPEST, ALIGNED, LEFT = 0.01, 0.8, 0.75, 1e-12


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


@compiled
def _room(step: Numbers, index: Numbers, shape: Numbers, axis: int, reach: int) -> tuple[int, int]:
    """How many steps a face can be followed, there and back, before the image ends; at most `reach`."""
    ahead, back = reach, reach
    for along in range(len(shape)):
        high = shape[along] - index[along] - (2 if along == axis else 1)
        if step[along] > 0:
            ahead, back = min(ahead, high), min(back, index[along])
        elif step[along] < 0:
            ahead, back = min(ahead, index[along]), min(back, high)
    return ahead, back


@compiled
def _followed(phase: Integers, place: int, behind: int, jump: int, most: int) -> int:
    """The first step at which a face is not found again, one more than `most` where it always is."""
    one, other, count = phase[place], phase[behind], 1
    while count <= most and phase[place + count * jump] == one and phase[behind + count * jump] == other:
        count += 1
    return count


@compiled
def _most_aligned(directions: Array, x: float, y: float, z: float, least: float) -> tuple[int, float]:
    """Which direction is nearest to that of a vector either way, -1 if none is by more than `least`; its component."""
    best, way, component = least, -1, 0.0
    for number in range(len(directions)):
        along = directions[number, 0] * x + directions[number, 1] * y + directions[number, 2] * z
        if abs(along) > best:
            best, way, component = abs(along), number, along
    return way, component


@compiled
def _goes_on(phase: Integers, at: int, on: int, jump: int, before: int, beyond: int, least: int) -> bool:
    """Whether a plane between two phases goes on for some steps, each `on` from the last; `jump` leads across it."""
    for more in range(1, least):
        if phase[at + more * on - jump] != before or phase[at + more * on] != beyond:
            return False
    return True


@compiled
def _turn_from(normal: Array, tangent: Array, axis: int) -> None:
    """Takes from a normal what is along a tangent; where nothing is left it becomes that of the face itself."""
    cosine, square = 0.0, 0.0
    for along in range(len(normal)):
        cosine += normal[along] * tangent[along]
    for along in range(len(normal)):
        normal[along] -= cosine * tangent[along]
        square += normal[along] ** 2
    for along in range(len(normal)):
        if square > LEFT:
            normal[along] /= np.sqrt(square)
        else:
            normal[along] = 1.0 if along == axis else 0.0


@kept
def straighten_at_edges(
    phase: Integers,
    shape: Numbers,
    strides: Numbers,
    axis: int,
    here: Numbers,
    size: Array,
    steps: Numbers,
    tangents: Array,
    across: Numbers,
    towards: Array,
    reach: Numbers,
    least: int,
    first: Array,
    second: Array,
    beside: Flags,
) -> None:
    """Takes from normals beside edges at right angles what the blur brought round the edge.

    A face is followed step by step, as long as there is the same face again. Where such a run ends, the surface either
    goes up or down by a step or it turns: then there are the same two phases on both sides of a plane at right angles
    to the run, for as many steps. Along a run that ends so, normals are set at right angles to the surface's direction.
    That is the step's, turned by half a voxel over the length of the run if its other end is a step up or down.

    Args:
        phase: (voxels,) flattened.
        shape: (dim,) of voxels.
        strides: (dim,) from a voxel to the next one along each axis.
        axis: Of the array, that the faces are across.
        here: (n,) places of the voxels before the faces.
        size: (dim,) edges of voxels, m.
        steps: (m, dim) in voxels, along which faces are followed, each -1, 0 or 1 along an axis.
        tangents: (m, 3) unit vectors of these, with zeros for axes that there are not.
        across: (m, k, dim) steps at right angles to each of these, filled up with zeros.
        towards: (m, k, 3) unit vectors of these, or zeros.
        reach: (m,) number of steps that the blur reaches.
        least: Number of faces that runs have, and of steps that planes go on.
        first: (n, dim) unit normals for the narrower blur, changed beside edges.
        second: (n, dim) and for the wider one.
        beside: (n,) becomes true where the next step leads over an edge.
    """
    dim, margin = len(shape), least
    for row in range(len(steps)):
        margin = max(margin, reach[row] + least)
    index, found = np.zeros(dim, np.int64), np.zeros((2, dim))
    for face in range(len(here)):
        place, count, inside = here[face], 0, True
        behind = place + strides[axis]
        one, other = phase[place], phase[behind]
        for along in range(dim):
            index[along] = place // strides[along] % shape[along]
            inside = inside and margin <= index[along] < shape[along] - 1 - margin
        x, y, z = second[face, 0], second[face, 1], second[face, 2] if dim > 2 else 0.0
        for row in range(len(steps)):
            slope = tangents[row, 0] * x + tangents[row, 1] * y + tangents[row, 2] * z
            if not FLATTEST < abs(slope) < STEEPEST or count == dim - 1:
                continue
            jump, ahead, back = 0, reach[row], reach[row]
            for along in range(dim):
                jump += steps[row, along] * strides[along]
            if not inside:
                ahead, back = _room(steps[row], index, shape, axis, reach[row])
            up = _followed(phase, place, behind, jump, ahead)
            down = _followed(phase, place, behind, -jump, back)
            run = up + down - 1
            if run < least or (up > ahead and down > back):
                continue
            way, aligned = _most_aligned(towards[row], x, y, z, ALIGNED * np.sqrt(1 - slope * slope))
            if way < 0:
                continue
            forward = 1 if (aligned > 0) == (second[face, axis] > 0) else -1
            on, edges, tilt = 0, 0, 0
            for along in range(dim):
                on += forward * across[row, way, along] * strides[along]
            for end in (1, -1):
                away, most = (up, ahead) if end > 0 else (down, back)
                if away > most:
                    continue
                beyond = phase[place + end * away * jump]
                if beyond != phase[behind + end * away * jump] or (beyond != one and beyond != other):
                    continue
                # The phase that ends here, and to which side of the faces the plane at right angles would lead
                ends, side, start = (other, 1, behind) if beyond == one else (one, -1, place)
                turns = True
                if not inside:
                    for along in range(dim):
                        at = index[along] + (1 if along == axis and side > 0 else 0)
                        at += side * forward * (least - 1) * across[row, way, along] + end * away * steps[row, along]
                        turns = turns and min(at, at - end * steps[row, along]) >= 0
                        turns = turns and max(at, at - end * steps[row, along]) < shape[along]
                if turns and _goes_on(phase, start + end * away * jump, side * on, end * jump, ends, beyond, least):
                    edges += 1
                    beside[face] = beside[face] or away == 1
                else:
                    tilt = side * end
            if edges == 0:
                continue
            cosine, square = 0.0, 0.0
            for along in range(dim):
                found[count, along] = (2 * run * steps[row, along] + (tilt if along == axis else 0)) * size[along]
                cosine += found[count, along] * found[0, along]
            for along in range(dim):
                found[count, along] -= cosine * found[0, along] if count else 0.0
                square += found[count, along] ** 2
            if square > (0.5 * size[axis]) ** 2:  # else along what was found before
                for along in range(dim):
                    found[count, along] /= np.sqrt(square)
                count += 1
        for number in range(2 * count):
            _turn_from((first if number < count else second)[face], found[number % count], axis)


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
    dim, most = len(shape), np.abs(steps).max()
    for face in range(len(pair)):
        inside = True  # so far from the frame that it cuts no steps
        for along in range(dim):
            inside = inside and most <= place[along, face] <= shape[along] - most and beyond[along, face] == 0.0
        for row in range(len(steps)):
            share, narrow, wide = 1.0, 0.0, 0.0
            for along in range(dim):
                narrow += first[face, along] * directions[row, along]
                wide += second[face, along] * directions[row, along]
            for along in range(0 if inside else dim):
                if steps[row, along] == 0:
                    share += beyond[along, face]
            for along in range(0 if inside else dim):
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
