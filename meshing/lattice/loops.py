"""Loops over points between the centres of voxels, which numba compiles.

Fields (fields, z, y, x) with one layer along z are those of a 2D image. What comes out for a point is the same to the
last bit in whichever window the field is.
"""

import math

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Numbers, Singles


@compiled
def _between(x: float, edge: float, first: int, count: int) -> tuple[int, float]:
    """The lower of the voxels around a coordinate, in the window, and the place between it and the next."""
    at = x / edge - 0.5  # from the corner of the image, not of the window
    whole = math.floor(at)
    low, part = int(whole) - first, at - whole
    if low < 0:
        part = 0.0  # constant beyond the outermost centres
    if low >= count - 1:
        part = 1.0
    return min(max(low, 0), count - 2), part


@compiled
def _mixed(low: float, high: float, part: float) -> float:
    return low + part * (high - low)


@kept
def find_values(values: Singles, start: Numbers, voxel: Array, points: Array, found: Array) -> None:
    """All fields (fields, n) at points (n, dim); arguments as in `find_differences`."""
    _, nz, ny, nx = values.shape
    dim = points.shape[1]
    for i in range(len(points)):
        x, px = _between(points[i, 0], voxel[0], start[0], nx)
        y, py = _between(points[i, 1], voxel[1], start[1], ny)
        z, pz = _between(points[i, 2], voxel[2], start[2], nz) if dim == 3 else (0, 0.0)
        for f in range(len(values)):
            a = _mixed(np.float64(values[f, z, y, x]), np.float64(values[f, z, y, x + 1]), px)
            b = _mixed(np.float64(values[f, z, y + 1, x]), np.float64(values[f, z, y + 1, x + 1]), px)
            a = _mixed(a, b, py)
            if dim == 3:
                c = _mixed(np.float64(values[f, z + 1, y, x]), np.float64(values[f, z + 1, y, x + 1]), px)
                b = _mixed(np.float64(values[f, z + 1, y + 1, x]), np.float64(values[f, z + 1, y + 1, x + 1]), px)
                a = _mixed(a, _mixed(c, b, py), pz)
            found[f, i] = a


@compiled
def _gap(values: Singles, one: int, other: int, z: int, y: int, x: int) -> float:
    return np.float64(values[one, z, y, x]) - np.float64(values[other, z, y, x])


@kept
def find_differences(
    values: Singles,
    start: Numbers,
    voxel: Array,
    one: Numbers,
    other: Numbers,
    points: Array,
    found: Array,
    slopes: Array,
) -> None:
    """By how much one field is above another at points, and the gradients of that.

    Args:
        values: (fields, z, y, x)
        start: (dim,) first voxel of the window, x first.
        voxel: (dim,) edges of a voxel in the units of points.
        one: (n,) fields,
        other: (n,) and others.
        points: (n, dim)
        found: (n,) differences, changed.
        slopes: (n, dim) gradients, changed; or (0, dim), if they are not wanted.
    """
    _, nz, ny, nx = values.shape
    dim = points.shape[1]
    for i in range(len(points)):
        f, g = one[i], other[i]
        x, px = _between(points[i, 0], voxel[0], start[0], nx)
        y, py = _between(points[i, 1], voxel[1], start[1], ny)
        z, pz = _between(points[i, 2], voxel[2], start[2], nz) if dim == 3 else (0, 0.0)
        a, b = _gap(values, f, g, z, y, x), _gap(values, f, g, z, y, x + 1)
        c, d = _gap(values, f, g, z, y + 1, x), _gap(values, f, g, z, y + 1, x + 1)
        along_x = _mixed(b - a, d - c, py)
        a, c = _mixed(a, b, px), _mixed(c, d, px)
        along_y = c - a
        a = _mixed(a, c, py)
        along_z = 0.0
        if dim == 3:
            e, b = _gap(values, f, g, z + 1, y, x), _gap(values, f, g, z + 1, y, x + 1)
            c, d = _gap(values, f, g, z + 1, y + 1, x), _gap(values, f, g, z + 1, y + 1, x + 1)
            along_x = _mixed(along_x, _mixed(b - e, d - c, py), pz)
            e, c = _mixed(e, b, px), _mixed(c, d, px)
            along_y = _mixed(along_y, c - e, pz)
            e = _mixed(e, c, py)
            along_z = e - a
            a = _mixed(a, e, pz)
        found[i] = a
        if len(slopes):
            slopes[i, 0] = along_x / voxel[0]
            slopes[i, 1] = along_y / voxel[1]
            if dim == 3:
                slopes[i, 2] = along_z / voxel[2]
