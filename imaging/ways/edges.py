"""Right-angled edges of what is outside a set of voxels: a blur would round them."""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, inlined, kept
from microlith.imaging.typing import Flags, Numbers, Singles

STRAIGHT = 3  # voxels that both sides are flat for; so are the stairs of no disk of more than 3.54 voxels radius
GOES_ON = 3  # voxels along which an edge does, if no wall ends it


def sharpen(solid: Singles, outside: Flags, edge: float, beside: float) -> None:
    """Puts walls at the voxels' faces where two flat sides of the solid meet at a right angle along the voxels' axes.

    Beyond the ends of the volume goes on what is there.

    Args:
        solid: (nz, ny, nx) solidness, which is changed.
        outside: (nz, ny, nx) what is solid.
        edge: Solidness of voxels at an edge.
        beside: Largest solidness of the three open voxels around one.
    """
    _sharpen(solid, outside, edge, beside, np.zeros((3, 3), np.int64))


@inlined
def _at(outside: Flags, z: int, y: int, x: int) -> bool:
    """Whether a voxel is solid."""
    nz, ny, nx = outside.shape
    return bool(outside[min(max(z, 0), nz - 1), min(max(y, 0), ny - 1), min(max(x, 0), nx - 1)])


@inlined
def _open_side(before: bool, behind: bool) -> int:
    """Which side of a solid voxel is open along an axis; 0: both or none."""
    return int(before) - int(behind)


@compiled
def _is_edge(outside: Flags, z: int, y: int, x: int, one: Numbers, other: Numbers) -> bool:
    """Whether two flat sides meet in a voxel; one and other are the steps out of the solid through them.

    One of them may be the narrow side of a wall of two voxels.
    """
    if _at(outside, z + one[0] + other[0], y + one[1] + other[1], x + one[2] + other[2]):
        return False
    narrow = 0
    for turn in range(2):
        back, out = (one, other) if turn else (other, one)
        for step in range(STRAIGHT):
            bz, by, bx = z - step * back[0], y - step * back[1], x - step * back[2]
            if _at(outside, bz + out[0], by + out[1], bx + out[2]):
                return False
            if not _at(outside, bz, by, bx):
                if step < 2:
                    return False
                narrow += 1
    return narrow < 2


@compiled
def _ends_at_wall(outside: Flags, z: int, y: int, x: int, one: Numbers, other: Numbers) -> bool:
    """Whether one side goes on beside the end of an edge, and the other meets a wall there, as around an opening."""
    by_one = _at(outside, z + one[0], y + one[1], x + one[2])
    by_other = _at(outside, z + other[0], y + other[1], x + other[2])
    return _at(outside, z, y, x) and by_one != by_other


@kept
def _sharpen(solid: Singles, outside: Flags, edge: float, beside: float, steps: Numbers) -> None:
    """See `sharpen`; steps has room for those out of the solid along each axis."""
    nz, ny, nx = outside.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not outside[z, y, x]:
                    continue
                steps[0, 0] = _open_side(_at(outside, z - 1, y, x), _at(outside, z + 1, y, x))
                steps[1, 1] = _open_side(_at(outside, z, y - 1, x), _at(outside, z, y + 1, x))
                steps[2, 2] = _open_side(_at(outside, z, y, x - 1), _at(outside, z, y, x + 1))
                for along in range(3):
                    first, second = int(along == 0), 2 - int(along == 2)
                    if steps[first, first] == 0 or steps[second, second] == 0:
                        continue
                    one, other = steps[first], steps[second]
                    if not _is_edge(outside, z, y, x, one, other):
                        continue
                    run = 1  # an edge may be shorter between walls
                    for sign in (-1, 1):
                        for far in range(1, GOES_ON):
                            off = sign * far
                            to_z, to_y, to_x = z + off * (along == 0), y + off * (along == 1), x + off * (along == 2)
                            if not _is_edge(outside, to_z, to_y, to_x, one, other):
                                if _ends_at_wall(outside, to_z, to_y, to_x, one, other):
                                    run += GOES_ON - 1
                                break
                            run += 1
                    if run < GOES_ON:
                        continue
                    solid[z, y, x] = edge
                    for near in range(1, 4):
                        by_one, by_other = near & 1, near >> 1
                        to_z = z + by_one * one[0] + by_other * other[0]
                        to_y = y + by_one * one[1] + by_other * other[1]
                        to_x = x + by_one * one[2] + by_other * other[2]
                        solid[to_z, to_y, to_x] = min(solid[to_z, to_y, to_x], beside)
