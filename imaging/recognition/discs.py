"""Cylinders with two flat ends that are too near to each other to find the wall first: discs, coins, tablets."""

from dataclasses import replace

import numpy as np

from microlith.imaging.recognition.rod_proof import proven
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rod_fit import WIDTHS, end_of
from microlith.imaging.shapes.rod_places import flat_bodies
from microlith.imaging.shapes.rods import Rod
from microlith.imaging.typing import Array, Flags

# In three turns: radii of the part of an end that is looked at; reach from the wall of faces that count, in radii and
# longest edges, which add up; tangents of the largest angle between an end and what it is taken for, as in `end_of`
INNER, REACH = (0.5, 0.75, 0.9), ((0.3, 1.0), (0.1, 1.0), (0.0, 1.0))
STEEP = (0.15, 0.5), (0.15,), (0.15,)
PARALLEL = 0.98  # least cosine between both ends
SETTLED, MISSED = 0.4, 0.1  # longest edges by which voxels may be wrong, and the share that may be so all the same
TURNS = 6
BEFORE = 0.25, 1.2  # thicknesses and longest edges before an end within which the wall is not looked at
TRIED = 0.7  # radii of a disc, or of what turned out to be none, within which no other is looked for


def discs_in(lattice: Lattice, of: Flags, places: Array) -> list[Rod]:
    """Discs that fit what is around some places well.

    Args:
        lattice: Voxels in 3D.
        of: (phases,) those within.
        places: (n, 4) and depths.
    """
    found: list[Rod] = []
    tried: list[tuple[Rod, float]] = []
    for start, half in flat_bodies(lattice, of, places):
        if any(_within(rod, start.place, thick) for rod, thick in tried):
            continue
        one = _settled(lattice, of, start, half)
        if one is None:
            tried.append((start, half))
        else:
            found.append(one)
            tried.append((one, one.between[1]))
    return found


def _within(rod: Rod, place: Array, half: float) -> bool:
    """Whether a place lies in the middle of a disc, of which half the thickness is given."""
    apart = place - rod.place
    along = float(apart @ rod.axis)
    return bool(abs(along) < half and np.linalg.norm(apart - along * rod.axis) < TRIED * rod.radius)


def _settled(lattice: Lattice, of: Flags, rod: Rod, half: float) -> Rod | None:
    """The disc that fits the voxels about a given one, from its ends; None where none does."""
    from microlith.imaging.shapes.rod_rays import settle  # numba, late as in `path_lengths`

    for part, (share, least), steep in zip(INNER, REACH, STEEP, strict=True):
        behind = end_of(lattice, of, rod, -half, part * rod.radius, steep)
        ahead = None if behind is None else end_of(lattice, of, rod, half, part * rod.radius, steep)
        if behind is None or ahead is None:
            return None
        first, last = behind[0], ahead[0]
        if first[:3] @ last[:3] > -PARALLEL:
            return None
        axis = (last[:3] - first[:3]) / np.linalg.norm(last[:3] - first[:3])
        rod = replace(rod, axis=axis, planes=(first, last))
        low, high = rod.between
        rod, half = rod.about((low + high) / 2), (high - low) / 2
        inset = half - min(BEFORE[0] * 2 * half, BEFORE[1])
        row = rod.row
        if not settle(lattice.phase, of, lattice.size, row, -inset, inset, share * rod.radius + least, TURNS, False):
            return None
        rod = rod.moved(row)
    fits = proven(lattice, of, rod, (-half, half), WIDTHS[0], SETTLED, MISSED)
    return rod if fits else None
