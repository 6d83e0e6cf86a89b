"""Cylinders at any angle that the voxels of an image show without any doubt.

A set of voxels is that of a cylinder if some cylinder holds their middles and no others. Beside other bodies that touch
it only voxels count that can be of no other one, in the set, and all that are not of the set.
"""

from dataclasses import replace

import numpy as np

from microlith.imaging.recognition.discs import discs_in
from microlith.imaging.recognition.rod_proof import SHORTEST, Found, befores, extents, parted, proven
from microlith.imaging.recognition.rod_rings import with_rings
from microlith.imaging.shapes.candidates import DeepPlaces
from microlith.imaging.shapes.found import Balls, Lattice
from microlith.imaging.shapes.rod_fit import WIDTHS
from microlith.imaging.shapes.rod_places import round_walls
from microlith.imaging.shapes.rods import NOWHERE, Rod, Rods, no_rods
from microlith.imaging.typing import Array, Flags

FIRST, GROWS = 2.0, 3.0  # radii to both sides of a place that are looked at first; times as much, turn by turn
REACH, SETTLED = 1.0, 0.4  # longest edges from the wall of faces that count, and by which voxels may be wrong then
MISSED = 0.1  # share of voxels of the set that may be so, before other cylinders are known
ALIKE, ALONG = 0.5, 0.95  # cylinders that are one: longest edges aside and between radii, cosine of the angle
TRIED = 1.0  # radii around a place that showed none in which no other is tried in the same direction


def rods_in(lattice: Lattice, sets: list[Flags], deep: list[DeepPlaces], balls: Balls, phases: int) -> Rods:
    """All cylinders of single phases and of several together, each once.

    First all are looked for that fit well. Of these those are left whose voxels a cylinder parts, where the others
    tell which voxels need not be of this one.

    Args:
        lattice: Voxels in 3D.
        sets: (phases,) each, of which bodies may consist.
        deep: Where each of these is deepest.
        balls: That are known.
        phases: How many phases there are.
    """
    found: list[Found] = []
    for of, deepest in zip(sets, deep, strict=True):
        places = np.unique(np.concatenate([deepest.peaks, deepest.of_blocks]), axis=0)
        for ball in balls.place[(balls.of == of).all(axis=1)]:
            places = places[((places[:, :3] - ball[:3]) ** 2).sum(axis=1) > ball[3] ** 2]
        along = np.unique(np.concatenate([places, deepest.ridges]), axis=0)
        seen = [rod for rod in seen_in(lattice, of, along) if not any(alike(one.rod, rod) for one in found)]
        known = [*(one.rod for one in found), *seen]
        seen += [rod for rod in discs_in(lattice, of, places) if not any(alike(one, rod) for one in known)]
        found += [with_rings(lattice, one) for one in parted(lattice, of, seen)]
    return told(found, phases)


def told(found: list[Found], phases: int) -> Rods:
    """These cylinders in arrays."""
    if not found:
        return no_rods(phases)
    return Rods(
        tuple(one.rod for one in found),
        np.array([one.of for one in found]),
        np.array([one.wall.gap for one in found]),
        np.array([one.wall.loose for one in found]),
        np.array([one.ends for one in found]),
    )


def seen_in(lattice: Lattice, of: Flags, places: Array) -> list[Rod]:
    """Cylinders that fit what is around some places well, with what is seen of their walls."""
    found: list[Rod] = []
    tried: list[Array] = []
    places, rows = round_walls(lattice, of, places)
    for place, row in zip(places, rows, strict=True):
        before = np.array(tried).reshape(-1, 7)
        near = np.linalg.norm(before[:, :3] - place[:3], axis=1) < TRIED * row[6]
        if (near & (np.abs(before[:, 3:6] @ row[3:6]) > ALONG)).any():
            continue
        start = Rod(row[:3], row[3:6], float(row[6]))
        if any(alike(one, start) for one in found):
            continue
        one = _grown(lattice, of, place[:3], start)
        if one is None:
            tried.append(np.append(place[:3], row[3:7]))
        elif not any(alike(other, one) for other in found):
            found.append(one)
    return found


def _goes_through(rod: Rod, place: Array) -> bool:
    """Whether a place lies near the axis of a rod."""
    apart = place - rod.place
    along = float(apart @ rod.axis)
    if any(plane is not None and plane[:3] @ apart > plane[3] for plane in rod.planes):
        return False
    return bool(
        rod.known[0] - rod.radius <= along <= rod.known[1] + rod.radius
        and np.linalg.norm(apart - along * rod.axis) < 0.5 * rod.radius
    )


def alike(rod: Rod, other: Rod) -> bool:
    """Whether one of two rods is a part of the other, or nearly so."""
    if abs(rod.axis @ other.axis) < ALONG or abs(rod.radius - other.radius) > ALIKE:
        return False
    apart = other.place - rod.place
    aside = np.linalg.norm(apart - (apart @ rod.axis) * rod.axis)
    return bool(aside < ALIKE and (_goes_through(rod, other.place) or _goes_through(other, rod.place)))


def _grown(lattice: Lattice, of: Flags, place: Array, rod: Rod) -> Rod | None:
    """The cylinder about a place, as long as it goes on; None where none fits."""
    phase, size = lattice.phase, lattice.size
    longest = float(np.linalg.norm(np.array(phase.shape) * size))
    rod, reach = rod.about(float((place - rod.place) @ rod.axis)), FIRST * rod.radius
    while True:
        grown = _part_of(lattice, of, rod, reach)
        if grown is None:
            return None
        rod, (first, last), stops = grown
        if all(stops) or reach > longest:
            return replace(rod, known=(first if stops[0] else -NOWHERE, last if stops[1] else NOWHERE))
        reach *= GROWS


def _part_of(
    lattice: Lattice, of: Flags, rod: Rod, reach: float
) -> tuple[Rod, tuple[float, float], tuple[bool, bool]] | None:
    """The cylinder near a given one within a reach along its axis, where its wall is known, and which ends that has."""
    from microlith.imaging.shapes.rod_rays import settle  # numba, late as in `path_lengths`

    for low, high in extents(lattice, of, rod, reach):
        stops = low > -reach, high < reach
        for before in befores(rod.radius, stops):
            first, last = low + before * stops[0], high - before * stops[1]
            row = rod.row
            if last - first < SHORTEST * rod.radius:
                break
            if settle(lattice.phase, of, lattice.size, row, first, last, REACH, 4, True):
                moved = rod.moved(row)
                if proven(lattice, of, moved, (first, last), WIDTHS[0], SETTLED, MISSED):
                    return moved, (first, last), stops
    return None
