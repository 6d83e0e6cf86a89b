"""Where places and voxels lie to a cylinder; for loops that numba compiles.

A rod is a row of 17 numbers in longest edges: a place on its axis (3), the axis' unit vector (3), radius, where what is
known of its wall ends along the axis to both sides (2), and the planes that end it to both sides, a unit vector
outwards with its product with the plane's places less that on the axis (4 each). What does not end is at
`NOWHERE`.
"""

import math
from collections.abc import Iterator

from microlith.imaging.parallel.compiled import compiled
from microlith.imaging.shapes.rods import NOWHERE
from microlith.imaging.typing import Array

TINY = 1e-12
STEPS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))  # to voxels that share a face


@compiled
def axial(rod: Array, z: float, y: float, x: float) -> float:
    """How far along the axis a place is from that of the rod."""
    return (z - rod[0]) * rod[3] + (y - rod[1]) * rod[4] + (x - rod[2]) * rod[5]


@compiled
def from_axis(rod: Array, z: float, y: float, x: float) -> float:
    """Distance of a place from the axis."""
    wz, wy, wx = z - rod[0], y - rod[1], x - rod[2]
    along = wz * rod[3] + wy * rod[4] + wx * rod[5]
    return math.sqrt(max(wz * wz + wy * wy + wx * wx - along * along, 0.0))


@compiled
def past_ends(rod: Array, z: float, y: float, x: float) -> float:
    """How far a place is beyond the flat ends, below zero before them."""
    wz, wy, wx, out = z - rod[0], y - rod[1], x - rod[2], -NOWHERE
    if rod[12] < NOWHERE:
        out = max(out, wz * rod[9] + wy * rod[10] + wx * rod[11] - rod[12])
    if rod[16] < NOWHERE:
        out = max(out, wz * rod[13] + wy * rod[14] + wx * rod[15] - rod[16])
    return out


@compiled
def outside(rod: Array, z: float, y: float, x: float) -> float:
    """How far a place is beyond the wall and the ends, below zero within. Where the wall is not known it goes on."""
    wz, wy, wx = z - rod[0], y - rod[1], x - rod[2]
    along = wz * rod[3] + wy * rod[4] + wx * rod[5]
    square = max(wz * wz + wy * wy + wx * wx - along * along, 0.0)
    return max(math.sqrt(square) - rod[6], past_ends(rod, z, y, x))


@compiled
def span(rod: Array, axis: int, reach: float, first: float, last: float, edge: float, count: int) -> tuple[int, int]:
    """Voxels along an axis in which places within a reach of a part of the rod's axis lie: the first, and one more."""
    aside = reach * math.sqrt(max(1 - rod[3 + axis] ** 2, 0.0))
    low = min(first * rod[3 + axis], last * rod[3 + axis]) - aside + rod[axis]
    high = max(first * rod[3 + axis], last * rod[3 + axis]) + aside + rod[axis]
    low, high = max(low / edge - 1.0, 0.0), min(high / edge + 1.0, float(count))
    return int(low), max(int(low), math.ceil(high))


@compiled
def row_of(
    rod: Array, reach: float, first: float, last: float, z: float, y: float, edge: float, count: int
) -> tuple[int, int]:
    """The voxels of a row whose middles are within a reach of a part of the rod's axis: the first, and one more."""
    wz, wy = z - rod[0], y - rod[1]
    along, ux = wz * rod[3] + wy * rod[4], rod[5]
    left = wz * wz + wy * wy - along * along - reach * reach
    low, high = -NOWHERE, NOWHERE
    bent = 1 - ux * ux
    if bent < TINY:
        if left > 0:
            return 0, 0
    else:
        root = along * along * ux * ux - bent * left
        if root < 0:
            return 0, 0
        root = math.sqrt(root)
        low, high = (along * ux - root) / bent, (along * ux + root) / bent
    if abs(ux) > TINY:
        one, other = (first - along) / ux, (last - along) / ux
        low, high = max(low, min(one, other)), min(high, max(one, other))
    elif along < first or along > last:
        return 0, 0
    low = min(max((low + rod[2]) / edge - 0.5, -1.0), count + 1.0)
    high = min(max((high + rod[2]) / edge - 0.5, -2.0), count + 1.0)
    start = max(math.ceil(low), 0)
    return start, max(start, min(math.floor(high) + 1, count))


@compiled
def rows_near(
    rod: Array, reach: float, first: float, last: float, size: Array, shape: tuple[int, ...]
) -> Iterator[tuple[int, int, int, int]]:
    """Layer and row of voxels, the first and one more, whose middles are within a reach of a part of the rod's axis."""
    layers, rows, columns = shape
    ahead, behind = span(rod, 0, reach, first, last, size[0], layers)
    above, below = span(rod, 1, reach, first, last, size[1], rows)
    for k in range(ahead, behind):
        for j in range(above, below):
            z, y = (k + 0.5) * size[0], (j + 0.5) * size[1]
            start, stop = row_of(rod, reach, first, last, z, y, size[2], columns)
            if start < stop:
                yield k, j, start, stop
