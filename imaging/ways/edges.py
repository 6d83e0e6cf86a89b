"""Right-angled edges of what is outside a set of voxels: a blur would round them."""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, inlined, kept
from microlith.imaging.typing import Flags, Indices, Singles

LEG = 3  # voxels that both sides are straight for; the stairs of no disk of more than 3.54 voxels radius are so long
ALONG = 3  # voxels that an edge goes on for


def sharpened(solid: Singles, outside: Flags, corner: float, beside: float) -> None:
    """Puts walls at the voxels' faces where two sides of the solid meet at a right angle along the voxels' axes.

    Args:
        solid: (nz, ny, nx) solidness, which is changed.
        outside: (nz, ny, nx) what is solid.
        corner: Solidness of voxels at an edge.
        beside: Largest solidness of the open voxels around it.
    """
    _sharpen(solid, outside, corner, beside, np.empty(3, np.int64), np.empty(3, np.int64))


@inlined
def _at(outside: Flags, z: int, y: int, x: int) -> bool:
    """Whether a voxel is solid; beyond the ends goes on what is there."""
    nz, ny, nx = outside.shape
    return bool(outside[min(max(z, 0), nz - 1), min(max(y, 0), ny - 1), min(max(x, 0), nx - 1)])


@inlined
def _step(one: Indices, other: Indices, axes: int, first: int, second: int) -> None:
    """Unit steps out of the solid across the two sides that meet along an axis."""
    one[:], other[:] = 0, 0
    one[0 if axes != 0 else 1] = first
    other[2 if axes != 2 else 1] = second


@compiled
def _is_edge(outside: Flags, z: int, y: int, x: int, one: Indices, other: Indices) -> bool:
    """Whether a voxel has the edge of two straight sides."""
    if not _at(outside, z, y, x) or _at(outside, z + one[0] + other[0], y + one[1] + other[1], x + one[2] + other[2]):
        return False
    for step in range(LEG):
        for a, b in ((one, other), (other, one)):
            bz, by, bx = z - step * a[0], y - step * a[1], x - step * a[2]
            if not _at(outside, bz, by, bx) or _at(outside, bz + b[0], by + b[1], bx + b[2]):
                return False
    return True


@kept
def _sharpen(solid: Singles, outside: Flags, corner: float, beside: float, one: Indices, other: Indices) -> None:
    """See `sharpened`."""
    nz, ny, nx = outside.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not outside[z, y, x]:
                    continue
                open_z = (z > 0 and not outside[z - 1, y, x]) or (z < nz - 1 and not outside[z + 1, y, x])
                open_y = (y > 0 and not outside[z, y - 1, x]) or (y < ny - 1 and not outside[z, y + 1, x])
                open_x = (x > 0 and not outside[z, y, x - 1]) or (x < nx - 1 and not outside[z, y, x + 1])
                if int(open_z) + int(open_y) + int(open_x) < 2:
                    continue
                for along in range(3):
                    if (along == 0 and not (open_y and open_x)) or (along == 1 and not (open_z and open_x)):
                        continue
                    if along == 2 and not (open_z and open_y):
                        continue
                    dz, dy, dx = int(along == 0), int(along == 1), int(along == 2)
                    for signs in range(4):
                        _step(one, other, along, 2 * (signs & 1) - 1, (signs & 2) - 1)
                        if not _is_edge(outside, z, y, x, one, other):
                            continue
                        run = 1
                        for sign in (-1, 1):
                            for far in range(1, ALONG):
                                off = sign * far
                                if not _is_edge(outside, z + off * dz, y + off * dy, x + off * dx, one, other):
                                    break
                                run += 1
                        if run < ALONG:
                            continue
                        solid[z, y, x] = corner
                        for which in range(1, 4):
                            bz, by, bx = z, y, x
                            if which & 1:
                                bz, by, bx = bz + one[0], by + one[1], bx + one[2]
                            if which & 2:
                                bz, by, bx = bz + other[0], by + other[1], bx + other[2]
                            if 0 <= bz < nz and 0 <= by < ny and 0 <= bx < nx:
                                solid[bz, by, bx] = min(solid[bz, by, bx], np.float32(beside))
