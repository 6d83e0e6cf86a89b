"""Balls (in 2D disks) that were found in an image."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.image.volume import LabelImage, VoxelGrid
from microlith.imaging.typing import Array, Flags, Phases

SLACK = 0.5  # longest edges by which voxels of a ball may lie beyond it, where another one touches it


@dataclass(frozen=True, eq=False)
class Lattice:
    """Voxels in three axes, in units of their longest edge.

    An image in 2D has one layer, whose coordinate counts nowhere.
    """

    phase: Phases  # (layers, rows, columns)
    size: Array  # (3,) edges of voxels along these, the longest is 1
    dim: int  # 2 or 3

    @property
    def axes(self) -> slice:
        """Which of the three axes the image has."""
        return slice(3 - self.dim, 3)

    @property
    def shortest(self) -> float:
        """Shortest edge of a voxel."""
        return float(self.size[self.axes].min())

    @property
    def diagonal(self) -> float:
        """How far apart places in the image are at most."""
        return float(np.linalg.norm(np.array(self.phase.shape) * self.size))


def lattice_of(image: LabelImage) -> Lattice:
    """The voxels of an image that this rank holds."""
    return Lattice(
        np.ascontiguousarray(image.phase.reshape((1,) * (3 - image.dim) + image.phase.shape)), sizes(image), image.dim
    )


def sizes(grid: VoxelGrid) -> Array:
    """Edges (3,) of voxels along the axes of a `Lattice`."""
    edges = np.array(grid.voxel_size)
    return np.concatenate([np.ones(3 - grid.dim), edges / edges.max()])


@dataclass(frozen=True, eq=False)
class Balls:
    """Balls whose voxels are all of some phases, and beside whose surface there are others; in longest edges."""

    place: Array  # (n, 4) middle along the axes of a `Lattice` and radius
    of: Flags  # (n, phases) those within
    gap: Array  # (n,) standard error of the radius about this middle
    loose: Array  # (n,) the same wherever the middle is

    def __len__(self) -> int:
        """How many there are."""
        return len(self.place)


def no_balls(phases: int) -> Balls:
    """None of them."""
    return Balls(np.zeros((0, 4)), np.zeros((0, phases), bool), np.zeros(0), np.zeros(0))


def beside(place: Array, number: int, reach: float) -> Flags:
    """Which balls (n,) are within a reach of one, without itself."""
    away = np.linalg.norm(place[:, :3] - place[number, :3], axis=1)
    near = away < place[:, 3] + place[number, 3] + reach
    near[number] = False
    return np.asarray(near)


def held(shape: tuple[int, ...], start: int, place: Array, size: Array, dim: int, slack: float) -> Flags:
    """Which voxels of some layers balls hold.

    Args:
        shape: Of the layers, in three axes.
        start: First of them in the image, along its first axis.
        place: (n, 4) middles and radii of the balls.
        size: (3,) edges of voxels.
        dim: 2 or 3.
        slack: By how much their voxels may lie beyond them.
    """
    out = np.zeros(shape, bool)
    starts = np.zeros(3, np.int64)
    starts[3 - dim] = start
    for ball in place:
        reach = ball[3] + slack
        low, high = np.zeros(3, np.int64), np.array(shape)
        first = np.floor((ball[:3] - reach) / size - 0.5).astype(np.int64) - starts
        last = np.ceil((ball[:3] + reach) / size + 0.5).astype(np.int64) - starts
        axes = range(3 - dim, 3)
        for axis in axes:
            low[axis], high[axis] = max(0, first[axis]), min(shape[axis], last[axis])
        if (high <= low).any():
            continue
        square = np.zeros((1, 1, 1))
        for axis in axes:
            apart = (np.arange(low[axis], high[axis]) + starts[axis] + 0.5) * size[axis] - ball[axis]
            square = square + (apart**2).reshape([-1 if a == axis else 1 for a in range(3)])
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= square <= reach**2
    return out
