"""Loops over the cells of a mesh to measure regions, which numba compiles.

Arrays that are in many of them: points (points of the mesh, 3), their distance (points,) from a surface, and nodes
(n, corners) or simplices (m, 4), rows of the points at the corners of cells or of the simplices that fill them.
"""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Flags, Indices, Integers, Numbers


@kept
def find_spans(points: Array, nodes: Indices, low: Array, high: Array) -> None:
    """Least and largest coordinates, (dim, n) each, of cells."""
    for i in range(len(nodes)):
        for axis in range(points.shape[1]):
            least = most = points[nodes[i, 0], axis]
            for k in range(1, nodes.shape[1]):
                x = points[nodes[i, k], axis]
                least, most = min(least, x), max(most, x)
            low[axis, i], high[axis, i] = least, most


@kept
def find_diameters(points: Array, nodes: Indices, found: Array) -> None:
    """Largest distance (n,) of two points of cells; of boxes that between opposite corners."""
    count = nodes.shape[1]
    simplex = count == points.shape[1] + 1
    for i in range(len(nodes)):
        largest = 0.0
        for j in range(count):
            for k in range(j):
                if simplex or j + k == count - 1:
                    square = 0.0
                    for axis in range(points.shape[1]):
                        way = points[nodes[i, j], axis] - points[nodes[i, k], axis]
                        square += way * way
                    largest = max(largest, square)
        found[i] = math.sqrt(largest)


@kept
def find_sure(
    distance: Array, nodes: Indices, reach: float, diameters: Array, thickness: float, inside: Flags, cut: Flags
) -> None:
    """Which cells lie within a distance of a surface as a whole, and which may do in part.

    The square of the distance to a set less that to the origin is concave. So no point of a cell has a distance d with
    d² below the least d² at the corners less r², where r is the radius of a ball around the cell.

    Args:
        distance: See above.
        nodes: See above.
        reach: Radius of a ball around a cell, per its diameter.
        diameters: (n,)
        thickness: The distance that counts.
        inside: (n,), changed.
        cut: (n,), changed.
    """
    for i in range(len(nodes)):
        least, most = math.inf, -math.inf
        for k in range(nodes.shape[1]):
            least, most = min(least, distance[nodes[i, k]]), max(most, distance[nodes[i, k]])
        radius = reach * diameters[i]
        inside[i] = most <= thickness - radius
        cut[i] = not inside[i] and least * least - radius * radius < thickness * thickness


@kept
def look_at_simplices(
    points: Array,
    distance: Array,
    gradient: Array,
    simplices: Indices,
    size: Array,
    thickness: float,
    least_off: float,
    beside: float,
    shift: Array,
    crossed: Flags,
    volume: Array,
    worth: Array,
) -> None:
    """How a distance differs from its linear interpolant in simplices, as gradients at the corners tell.

    Along an edge the cubic with the values and slopes of both ends stands for it, or where one has no gradient, the
    parabola with the slope of the other.

    Args:
        points: See above.
        distance: See above.
        gradient: (points, 3) of it, 0 where it is not known; none (0, 3): not looked at, the deviation is the size.
        simplices: See above.
        size: (cells,) diameters, of as many simplices each.
        thickness: The distance that counts.
        least_off: Deviation per size that counts for points at least.
        beside: What simplices count for that the linear function does not cut.
        shift: (m,), changed: the mean difference.
        crossed: (m,), changed: whether the linear function with it is zero within.
        volume: (m,), changed.
        worth: (m,), changed: points that each should get, in proportion.
    """
    fold = max(len(simplices) // max(len(size), 1), 1)
    for i in range(len(simplices)):
        of_cell = size[i // fold]
        off = of_cell
        moved = 0.0
        if len(gradient):
            moved, off = _bend(points, distance, gradient, simplices[i])
        shift[i] = moved
        least, most = math.inf, -math.inf
        for k in range(4):
            linear = distance[simplices[i, k]] - thickness + moved
            least, most = min(least, linear), max(most, linear)
        crossed[i] = least < 0 and most >= 0
        a, b, c = (
            _way(points, simplices[i, 0], simplices[i, 1]),
            _way(points, simplices[i, 0], simplices[i, 2]),
            _way(points, simplices[i, 0], simplices[i, 3]),
        )
        normal = (b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0])
        volume[i] = abs(a[0] * normal[0] + a[1] * normal[1] + a[2] * normal[2]) / 6
        worth[i] = volume[i] * math.sqrt(off / of_cell + least_off) * (1.0 if crossed[i] else beside)


@compiled
def _bend(points, distance, gradient, corners):  # type: ignore[no-untyped-def]
    """The mean difference, and the largest of the slopes' from that of the interpolant, times the edges."""
    total = largest = 0.0
    for i in range(4):
        for j in range(i + 1, 4):
            a, b = corners[i], corners[j]
            along = _way(points, a, b)
            rise = distance[b] - distance[a]
            from_a = from_b = 0.0
            known = 0
            if gradient[a, 0] != 0 or gradient[a, 1] != 0 or gradient[a, 2] != 0:
                known += 1
                from_a = gradient[a, 0] * along[0] + gradient[a, 1] * along[1] + gradient[a, 2] * along[2] - rise
            if gradient[b, 0] != 0 or gradient[b, 1] != 0 or gradient[b, 2] != 0:
                known += 1
                from_b = rise - (gradient[b, 0] * along[0] + gradient[b, 1] * along[1] + gradient[b, 2] * along[2])
            total += (from_a + from_b) / (4 * max(1, known))
            largest = max(largest, abs(from_a), abs(from_b))
    return total / 5, largest  # the mean of 4 d_ij λ_i λ_j is d_ij / 5


@compiled
def _way(points, start, end):  # type: ignore[no-untyped-def]
    return points[end, 0] - points[start, 0], points[end, 1] - points[start, 1], points[end, 2] - points[start, 2]


@compiled
def _part(x: float) -> float:
    return x - math.floor(x)


@kept
def count_points(points: Array, simplices: Indices, worth: Array, factors: Array, count: Numbers) -> None:
    """How many points each simplex gets (m,): its worth, up or down by its place and numbers (3,) from that."""
    for i in range(len(simplices)):
        at = _middle(points, simplices[i])
        count[i] = math.floor(worth[i] + _part(at[0] * factors[0] + at[1] * factors[1] + at[2] * factors[2]))


@compiled
def _middle(points, corners):  # type: ignore[no-untyped-def]
    x = y = z = 0.0
    for k in range(4):
        x, y, z = x + points[corners[k], 0], y + points[corners[k], 1], z + points[corners[k], 2]
    return x / 4, y / 4, z / 4


@kept
def spread_points(
    points: Array,
    distance: Array,
    simplices: Indices,
    count: Integers,
    order: Array,
    rotations: Array,
    step: Array,
    thickness: float,
    shift: Array,
    of: Numbers,
    x: Array,
    state: Integers,
    nearest: Numbers,
) -> None:
    """Points in simplices, evenly spread within one and over many, and what is known of the distance there.

    Args:
        points: See above.
        distance: See above.
        simplices: See above.
        count: (m,) points of each.
        order: (3,) direction in which the corners are taken, however they are numbered.
        rotations: (3, 3) whose products with a simplex's middle say where its points begin.
        step: (3,) from one to the next.
        thickness: The distance that counts.
        shift: (m,) of the linear function in each simplex.
        of: (k,), changed: simplex of each point.
        x: (k, 3), changed.
        state: (k,), changed: bit 1: the linear function has it inside; bit 2: that it is may be so.
        nearest: (k,), changed: the corner, row of the points, whose share is largest.
    """
    row = 0
    corner = np.empty(4, np.int64)
    value, square, share, turned = np.empty(4), np.empty(4), np.empty(4), np.empty(3)
    for i in range(len(simplices)):
        if count[i] == 0:
            continue
        for k in range(4):
            node = simplices[i, k]
            place = points[node, 0] * order[0] + points[node, 1] * order[1] + points[node, 2] * order[2]
            at = k
            while at > 0 and value[at - 1] > place:
                value[at], corner[at] = value[at - 1], corner[at - 1]
                at -= 1
            value[at], corner[at] = place, node
        middle = _middle(points, simplices[i])
        for k in range(3):
            turned[k] = _part(middle[0] * rotations[k, 0] + middle[1] * rotations[k, 1] + middle[2] * rotations[k, 2])
        for k in range(4):
            node = corner[k]
            square[k] = distance[node] ** 2 - (points[node, 0] ** 2 + points[node, 1] ** 2 + points[node, 2] ** 2)
        for number in range(count[i]):
            a, b, c = (
                _part(turned[0] + number * step[0]),
                _part(turned[1] + number * step[1]),
                _part(turned[2] + number * step[2]),
            )
            low, high = min(a, b), max(a, b)
            first, last = min(low, c), max(high, c)
            between = max(low, min(high, c))
            # The gaps between three even numbers in order are evenly spread over the simplex.
            share[0], share[1], share[2], share[3] = first, between - first, last - between, 1.0 - last
            linear, least, best = shift[i] - thickness, 0.0, 0
            for axis in range(3):
                x[row, axis] = 0.0
            for k in range(4):
                linear += share[k] * distance[corner[k]]
                least += share[k] * square[k]
                for axis in range(3):
                    x[row, axis] += share[k] * points[corner[k], axis]
                if share[k] > share[best]:
                    best = k
            least += x[row, 0] ** 2 + x[row, 1] ** 2 + x[row, 2] ** 2  # see `find_sure`
            of[row], nearest[row] = i, corner[best]
            state[row] = (1 if linear < 0 else 0) + (2 if least < thickness * thickness else 0)
            row += 1
