"""What balls of growing radii cover, by the bits of rows of voxels: 64 voxels in one operation.

A ball is made of rows along the last axis. So a set widened along its rows, by each half length of a ball's rows, and
moved across them as far as each row is from the ball's centre, together covers what balls around all places of the set
do. No distance is found, and with the exact half lengths the result is that of exact distances.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Bits, Flags, Phases, Singles

Words = NDArray[np.uint64]  # of 64 voxels of a row each

WORDS_AT_ONCE = 1 << 15  # without the layers around, so that some of them stay in the processor's cache
MOST_ROWS = 3000  # of a ball, up to which this is quicker than a distance transform
WIDEST = 31  # voxels of half a row, for each of which a copy of the bits is kept


def fits(reach: float, size: Sequence[float]) -> bool:
    """Whether balls of a radius are small enough for `covered_levels` to be of use.

    Args:
        reach: m.
        size: Edges of voxels along the array's axes, m.
    """
    rows = math.prod(2 * int(reach / edge) + 1 for edge in size[:-1])
    return rows <= MOST_ROWS and reach / size[-1] <= WIDEST


def covered_levels(depth: Singles, size: Sequence[float], least: Array, reach: Array) -> Phases:
    """Number of the last of some levels whose balls cover a voxel, 0 where none does.

    Args:
        depth: ([z,] y, x) of each voxel.
        size: Edges of voxels along the array's axes, m.
        least: (k,) depth of the places that have a ball, of levels 1 to k.
        reach: (k,) radius of the balls, m; what is as far away is not covered.
    """
    if depth.ndim == 2:  # rows of pixels are layers of one row
        return covered_levels(depth[:, None], (size[0], 1.0, size[1]), least, reach)[:, 0]
    level = np.zeros(depth.shape, np.uint8)
    if not len(least):
        return level
    balls = [_rows_of_ball(radius, size) for radius in reach]
    around = max(max(ball) for ball in balls)
    words = depth.shape[1] * -(-depth.shape[2] // 64)
    step = max(1, around, WORDS_AT_ONCE // words)
    for first in range(0, len(depth), step):
        last = min(first + step, len(depth))
        planes = np.zeros((len(balls).bit_length(), last - first, depth.shape[1], -(-depth.shape[2] // 64)), np.uint64)
        for number, (ball, deep) in enumerate(zip(balls, least, strict=True), 1):
            low, high = max(0, first - max(ball)), min(len(depth), last + max(ball))
            places = depth[low:high] >= deep
            if places.any():
                _set_level(planes, number, _covered(_packed(places), ball, (first - low, last - low)))
        for bit, plane in enumerate(planes):
            level[first:last] |= _unpacked(plane, depth.shape[2]) << np.uint8(bit)
    return level


def _rows_of_ball(radius: float, size: Sequence[float]) -> dict[int, list[tuple[int, int]]]:
    """Layers from the centre's on -> rows from the centre's on, and voxels of half of the row without its middle."""
    ball: dict[int, list[tuple[int, int]]] = {}
    for z in range(int(radius / size[0]) + 1):
        for y in range(int(radius / size[1]) + 1):
            left = radius**2 - (z * size[0]) ** 2 - (y * size[1]) ** 2
            if left > 0:
                half = int(math.sqrt(left) / size[2])
                half -= (half * size[2]) ** 2 >= left
                ball.setdefault(z, []).append((y, half))
    return ball


def _packed(places: Flags) -> Words:
    """Bits of voxels, in rows of whole words."""
    *rows, count = places.shape
    out: Bits = np.zeros((*rows, 8 * -(-count // 64)), np.uint8)
    bits = np.packbits(places, axis=-1, bitorder="little")
    out[..., : bits.shape[-1]] = bits
    return out.view("<u8")


def _unpacked(words: Words, count: int) -> Phases:
    return np.unpackbits(words.view(np.uint8), axis=-1, count=count, bitorder="little")


def _covered(places: Words, ball: dict[int, list[tuple[int, int]]], layers: tuple[int, int]) -> Words:
    """What balls around places cover in some of the layers."""
    widest = max(half for rows in ball.values() for _, half in rows)
    wide = list(_widened(places, widest))
    out: Words = np.zeros((layers[1] - layers[0], *places.shape[1:]), np.uint64)
    for away, rows in ball.items():
        disk = np.zeros_like(places)
        for y, half in rows:
            if y < places.shape[1]:
                disk[:, y:] |= wide[half][:, : places.shape[1] - y]
            if 0 < y < places.shape[1]:
                disk[:, :-y] |= wide[half][:, y:]
        for shift in {away, -away}:
            low, high = max(layers[0], shift), min(layers[1], len(places) + shift)
            if low < high:
                out[low - layers[0] : high - layers[0]] |= disk[low - shift : high - shift]
    return out


def _widened(places: Words, most: int) -> Iterator[Words]:
    """Places, and what is up to 1, 2, ... voxels from them along their rows."""
    one, rest = np.uint64(1), np.uint64(63)
    for _ in range(most):
        yield places
        wider = places | places << one | places >> one
        wider[..., 1:] |= places[..., :-1] >> rest
        wider[..., :-1] |= places[..., 1:] << rest
        places = wider
    yield places


def _set_level(planes: Words, number: int, where: Words) -> None:
    """Write a number, whose bits are in planes."""
    for bit, plane in enumerate(planes):
        if number >> bit & 1:
            plane |= where
        else:
            plane &= ~where
