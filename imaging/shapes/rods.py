"""Cylinders with or without ends that were found in an image."""

from dataclasses import dataclass, replace

import numpy as np

from microlith.imaging.typing import Array, Flags

NOWHERE = 1e30  # what ends there does not end; see `rod_geometry`
COLUMNS = 17
ENDS = 9, 13  # first columns of the planes that end it


@dataclass(frozen=True, eq=False)
class Rod:
    """A cylinder, in longest edges along the axes of a `Lattice`."""

    place: Array  # (3,) on the axis
    axis: Array  # (3,) unit vector
    radius: float
    known: tuple[float, float] = (-NOWHERE, NOWHERE)  # where along the axis what is known of the wall ends
    planes: tuple[Array | None, Array | None] = (None, None)  # ends: (4,) unit vectors outwards, products with places

    @property
    def row(self) -> Array:
        """(17,) as the loops take it."""
        out = np.zeros(COLUMNS)
        out[:3], out[3:6], out[6], out[7:9] = self.place, self.axis, self.radius, self.known
        for first, plane in zip(ENDS, self.planes, strict=True):
            out[first : first + 4] = (0, 0, 0, NOWHERE) if plane is None else plane
        return out

    @property
    def between(self) -> tuple[float, float]:
        """Where its axis meets its ends, or where what is known of the wall ends."""
        low, high = self.known
        first, last = self.planes
        if first is not None:
            low = float(first[3] / (first[:3] @ self.axis))
        if last is not None:
            high = float(last[3] / (last[:3] @ self.axis))
        return low, high

    def moved(self, row: Array) -> "Rod":
        """With place, axis and radius of a row; ends stay where they are."""
        return replace(self, place=row[:3].copy(), axis=row[3:6].copy(), radius=float(row[6]))

    def about(self, along: float) -> "Rod":
        """The same by another place on its axis."""
        step = along * self.axis
        low, high = self.known
        first, last = (None if p is None else np.append(p[:3], p[3] - p[:3] @ step) for p in self.planes)
        known = (low if low == -NOWHERE else low - along, high if high == NOWHERE else high - along)
        return replace(self, place=self.place + step, known=known, planes=(first, last))

    def across(self) -> tuple[Array, Array]:
        """Two unit vectors at right angles to the axis and to each other."""
        one = np.eye(3)[np.argmin(np.abs(self.axis))]
        one = one - (one @ self.axis) * self.axis
        one /= np.linalg.norm(one)
        return one, np.cross(self.axis, one)


def distance(rod: Rod, other: Rod) -> float:
    """Distance between two axes, as if they had no ends."""
    normal, apart = np.cross(rod.axis, other.axis), other.place - rod.place
    square = float(np.linalg.norm(normal))
    if square < 1e-9:
        return float(np.linalg.norm(apart - (apart @ rod.axis) * rod.axis))
    return float(abs(apart @ normal) / square)


@dataclass(frozen=True, eq=False)
class Rods:
    """Cylinders whose voxels are all of some phases, and beside whose surface there are others; in longest edges."""

    rods: tuple[Rod, ...]
    of: Flags  # (n, phases) those within
    gap: Array  # (n,) standard error of the radius about this axis
    loose: Array  # (n,) the same wherever the axis is
    ends: Array  # (n,) standard error of the distance between flat ends

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rods)

    def rows_of(self, of: Flags) -> Array:
        """(m, 17) those of a set of phases, as the loops take them."""
        mine = [rod.row for rod, its in zip(self.rods, self.of, strict=True) if (its == of).all()]
        return np.array(mine).reshape(-1, COLUMNS)

    def and_of_fewer_phases(self, others: "Rods") -> "Rods":
        """With others, of whose phases only the first are told."""
        return Rods(
            (*self.rods, *others.rods),
            np.concatenate([self.of, others.of[:, : self.of.shape[1]]]),
            np.concatenate([self.gap, others.gap]),
            np.concatenate([self.loose, others.loose]),
            np.concatenate([self.ends, others.ends]),
        )


def no_rods(phases: int) -> Rods:
    """None of them."""
    return Rods((), np.zeros((0, phases), bool), np.zeros(0), np.zeros(0), np.zeros(0))
