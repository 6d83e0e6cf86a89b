"""Straight lines through voxels: whether a wall is in between, and where the wall is that a line meets.

Places are in voxels of the padded image, (z, y, x) with centres at whole numbers; the outer face, from which all ways
come, is at z = 0.5.
"""

from typing import NamedTuple

import numpy as np

from microlith.imaging.parallel.compiled import compiled, inlined
from microlith.imaging.typing import Array, Bits
from microlith.imaging.ways.walls import CLEAR

OPEN = 0.57  # largest solidness on a line of sight: a chord of a wall may dip into it by a seventh of a voxel
WALL = 0.53  # solidness where ways bend: their chords lie as far within the wall as these places are outside
LEG = 0.70  # largest solidness between two bends of a way
EASY = 20  # hundredths: nearer to such a voxel than to all others, nothing is in the way
FINE = 0.2  # the same where a wall is looked for that is known to be there
OUT = 12  # quarters of that by which a place in the wall is moved out at most
TURNS = 5  # halvings of the angle between a line that meets a wall and one that does not
STEP = 0.8  # voxels between places on a line that are looked at: walls of one voxel are not missed


class Grid(NamedTuple):
    """The padded image."""

    solid: Bits  # (voxels,) see `solidness`
    layer: int  # from a voxel to the one in the next layer
    row: int  # and in the next row
    last: tuple[int, int, int]  # voxel of the image along each axis
    edge: tuple[float, float, float]  # of voxels, in units of the shortest


@inlined
def solid_at(grid: Grid, z: float, y: float, x: float) -> float:
    """Solidness at a place, linear between voxels' centres."""
    k, j, i = int(z), int(y), int(x)
    fz, fy, fx = z - k, y - j, x - i
    if k == 0:
        fz = 2.0 * (z - 0.5)
    at = k * grid.layer + j * grid.row + i
    total = 0.0
    for corner in range(8):
        uz, uy, ux = corner >> 2, (corner >> 1) & 1, corner & 1
        value = grid.solid[at + uz * grid.layer + uy * grid.row + ux]
        if value <= CLEAR:
            weight = (fz if uz else 1.0 - fz) * (fy if uy else 1.0 - fy) * (fx if ux else 1.0 - fx)
            total += weight * value
    return 0.01 * total


@compiled
def sight(
    grid: Grid, az: float, ay: float, ax: float, bz: float, by: float, bx: float, limit: float, deepest: Array
) -> float:
    """Largest solidness on the line between two places, up to where it falls again once it was above a limit.

    Args:
        grid: The image.
        az: Place of one end; ay, ax.
        ay: As above.
        ax: As above.
        bz: Place of the other; by, bx.
        by: As above.
        bx: As above.
        limit: Above it, the ends do not see each other.
        deepest: (3,) becomes the place of what is returned.
    """
    dz, dy, dx = bz - az, by - ay, bx - ax
    far = np.sqrt(dz * dz + dy * dy + dx * dx)
    most = 0.0
    if far < 1e-6:
        return most
    dz, dy, dx = dz / far, dy / far, dx / far
    along = min(0.35, 0.5 * far)
    while along < far:
        z, y, x = az + along * dz, ay + along * dy, ax + along * dx
        nearest = grid.solid[int(z + 0.5) * grid.layer + int(y + 0.5) * grid.row + int(x + 0.5)]
        if nearest > CLEAR or nearest <= EASY:
            if most > limit:
                break
            along += max(nearest - CLEAR - 0.5, STEP) if nearest > CLEAR else STEP
            continue
        value = solid_at(grid, z, y, x)
        if value > most:
            most = value
            deepest[0], deepest[1], deepest[2] = z, y, x
        elif most > limit:
            break
        along += STEP
    return most


@compiled
def onto_wall(grid: Grid, place: Array) -> bool:
    """Moves a place along the normal to the wall, by Newton's method; whether it got there."""
    step = 0.3
    ez, ey, ex = grid.edge
    for _ in range(4):
        z, y, x = place[0], place[1], place[2]
        off = solid_at(grid, z, y, x) - WALL
        if abs(off) < 0.03:
            return True
        gz = (solid_at(grid, z + step, y, x) - solid_at(grid, max(z - step, 0.5), y, x)) / (2 * step * ez * ez)
        gy = (solid_at(grid, z, y + step, x) - solid_at(grid, z, y - step, x)) / (2 * step * ey * ey)
        gx = (solid_at(grid, z, y, x + step) - solid_at(grid, z, y, x - step)) / (2 * step * ex * ex)
        slope = (gz * ez) ** 2 + (gy * ey) ** 2 + (gx * ex) ** 2
        if slope < 1e-8:
            return False
        by = off / slope
        by *= min(1.0, 0.7 / (abs(by) * np.sqrt(gz * gz + gy * gy + gx * gx)))
        place[0] = min(max(z - by * gz, 0.5), float(grid.last[0]))
        place[1] = min(max(y - by * gy, 1.0), float(grid.last[1]))
        place[2] = min(max(x - by * gx, 1.0), float(grid.last[2]))
    return bool(abs(solid_at(grid, place[0], place[1], place[2]) - WALL) < 0.06)


@compiled
def grazed(
    grid: Grid,
    az: float,
    ay: float,
    ax: float,
    bz: float,
    by: float,
    bx: float,
    oz: float,
    oy: float,
    ox: float,
    place: Array,
) -> bool:
    """Where a line that is turned around one end until it is free meets the wall last.

    Args:
        grid: The image.
        az: Place of the end that stays; ay, ax.
        ay: As above.
        ax: As above.
        bz: Place of the end that is hidden behind a wall; by, bx.
        by: As above.
        bx: As above.
        oz: Step from there to a place which is not; oy, ox.
        oy: As above.
        ox: As above.
        place: (3,) becomes the place.

    Returns:
        Whether there is one.
    """
    hidden, free = 0.0, 1.0
    for _ in range(TURNS):
        part = 0.5 * (hidden + free)
        if sight(grid, az, ay, ax, bz + part * oz, by + part * oy, bx + part * ox, OPEN, place) > OPEN:
            hidden = part
        else:
            free = part
    bz, by, bx = bz + hidden * oz, by + hidden * oy, bx + hidden * ox
    far = np.sqrt((bz - az) ** 2 + (by - ay) ** 2 + (bx - ax) ** 2)
    dz, dy, dx = (az - bz) / far, (ay - by) / far, (ax - bx) / far
    along = 0.35
    while along < far:
        z, y, x = bz + along * dz, by + along * dy, bx + along * dx
        nearest = grid.solid[int(z + 0.5) * grid.layer + int(y + 0.5) * grid.row + int(x + 0.5)]
        if nearest > CLEAR or nearest <= EASY:
            along += max(nearest - CLEAR - 0.5, FINE) if nearest > CLEAR else FINE
            continue
        if solid_at(grid, z, y, x) > WALL:
            part = (free - hidden) * (1.0 - along / far)  # on the line that is free, and out of the wall
            for _ in range(OUT):
                place[0], place[1], place[2] = max(z + part * oz, 0.5), y + part * oy, x + part * ox
                if solid_at(grid, place[0], place[1], place[2]) <= WALL:
                    break
                part += FINE / 4
            return True
        along += FINE
    return False
