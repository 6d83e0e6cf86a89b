"""Cylinders at any angle that the voxels of an image show without any doubt.

A set of voxels is that of a cylinder if some cylinder holds their middles and no others. Beside other bodies that touch
it only voxels count that can be of no other one, in the set, and all that are not of the set.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from microlith.imaging.shapes.candidates import DeepPlaces
from microlith.imaging.shapes.found import Balls, Lattice
from microlith.imaging.shapes.rod_fit import WIDTHS, Others, Wall, end_of, wall_of
from microlith.imaging.shapes.rod_places import round_walls
from microlith.imaging.shapes.rods import NOWHERE, Rod, Rods, distance, no_rods
from microlith.imaging.typing import Array, Flags, Numbers

CORE = 1.2  # longest edges from the wall inwards, within which all voxels are to be of the set
BEFORE = 1.5  # longest edges before an end that is not known yet, up to which the wall is looked at
FIRST, GROWS = 2.0, 3.0  # radii to both sides of a place that are looked at first; times as much, turn by turn
REACH, SETTLED = 1.0, 0.4  # longest edges from the wall of faces that count, and by which voxels may be wrong then
SHORTEST = 0.5  # radii that a wall is long
LEAST_BARE = 120  # voxels just below the surface that are of no other body
UNSURE = 0.03  # of the radius, standard error up to which a cylinder counts
ALIKE, ALONG = 0.5, 0.95  # cylinders that are one: longest edges aside and between radii, cosine of the angle
NEAR = 3.0  # longest edges between cylinders that may touch
APART = 2.0  # radii between places on an axis around which tubes are looked for
TUBES = 1.2, 1.6, 2.2  # radii, about which outer walls of tubes are looked for
TURNS = 6  # times that those are looked at whose others have turned out to be none
# Longest edges that voxels may be wrong by where a linear program may still find a cylinder, and the share of those of
# the set that may be so all the same; this share before other cylinders are known
NEARLY, MISSED = (0.25, 0.02), 0.1
TRIED = 1.0  # radii around a place that showed none in which no other is tried in the same direction


@dataclass(frozen=True, eq=False)
class _One:
    rod: Rod
    of: Flags  # (phases,)
    wall: Wall
    ends: float  # see `Rods`


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
    found: list[_One] = []
    for of, deepest in zip(sets, deep, strict=True):
        places = np.unique(np.concatenate([deepest.peaks, deepest.of_blocks]), axis=0)
        for ball in balls.place[(balls.of == of).all(axis=1)]:
            places = places[((places[:, :3] - ball[:3]) ** 2).sum(axis=1) > ball[3] ** 2]
        seen = [rod for rod in _seen(lattice, of, places) if not any(_alike(one.rod, rod) for one in found)]
        found += _parted(lattice, of, seen)
    return _told(found, phases)


def rods_around(lattice: Lattice, bores: Rods, phases: int) -> tuple[Lattice, Rods]:
    """Cylinders of a phase and of what others hold within them: the outer walls of tubes.

    Args:
        lattice: Voxels in 3D.
        bores: These others.
        phases: How many phases there are.

    Returns:
        The voxels, those that the others hold as one more phase, and the cylinders with this phase.
    """
    from microlith.imaging.shapes.rod_loops import hold  # numba, late as in `path_lengths`

    filled = lattice.phase.astype(np.promote_types(lattice.phase.dtype, np.min_scalar_type(phases)))
    for of in np.unique(bores.of, axis=0):
        inside = np.zeros(filled.shape, bool)
        hold(bores.rows_of(of), lattice.size, 0, 0.0, inside)
        inside &= of[lattice.phase]
        filled[inside] = phases
    around = replace(lattice, phase=filled)
    places = [_along(lattice, rod) for rod in bores.rods]
    found: list[_One] = []
    for phase in range(phases):
        there = [some for some, of in zip(places, bores.of, strict=True) if not of[phase]]
        if there:
            of = np.isin(np.arange(phases + 1), (phase, phases))
            seen = _seen(around, of, np.concatenate(there))
            known = [*bores.rods, *(one.rod for one in found)]
            found += _parted(around, of, [rod for rod in seen if not any(_alike(one, rod) for one in known)])
    return around, _told(found, phases + 1)


def _along(lattice: Lattice, rod: Rod) -> Array:
    """Places (n, 4) on a rod's axis within the image, with how deep they may lie in a tube around it."""
    ends = np.array(lattice.phase.shape) * lattice.size
    longest = float(np.linalg.norm(ends))
    along = np.arange(-longest, longest, APART * rod.radius)
    places = rod.place + along[:, None] * rod.axis
    places = places[((places > 0) & (places < ends)).all(axis=1)]
    return np.concatenate([np.column_stack([places, np.full(len(places), times * rod.radius)]) for times in TUBES])


def _told(found: list[_One], phases: int) -> Rods:
    if not found:
        return no_rods(phases)
    return Rods(
        tuple(one.rod for one in found),
        np.array([one.of for one in found]),
        np.array([one.wall.gap for one in found]),
        np.array([one.wall.loose for one in found]),
        np.array([one.ends for one in found]),
    )


def _seen(lattice: Lattice, of: Flags, places: Array) -> list[Rod]:
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
        if any(_alike(one, start) for one in found):
            continue
        one = _grown(lattice, of, place[:3], start)
        if one is None:
            tried.append(np.append(place[:3], row[3:7]))
        elif not any(_alike(other, one) for other in found):
            found.append(one)
    return found


def _parted(lattice: Lattice, of: Flags, seen: list[Rod]) -> list[_One]:
    """Of cylinders that fit well those that part their voxels; again where others have turned out to be none."""
    from microlith.imaging.shapes.rod_loops import covered  # numba, late as in `path_lengths`

    known: dict[int, _One | None] = {}
    for _ in range(TURNS):
        cover = np.zeros(lattice.phase.shape if seen else (0, 0, 0), np.uint8)
        if seen:
            covered(np.array([rod.row for rod in seen]), lattice.size, cover)
        for number, rod in enumerate(seen):
            if number not in known:
                known[number] = _one(lattice, of, rod, Others(cover, rod))
        none = [rod for number, rod in enumerate(seen) if known[number] is None]
        left = [number for number in range(len(seen)) if known[number] is not None]
        seen, before = [seen[number] for number in left], [known[number] for number in left]
        if not none:
            break
        known = {
            number: one
            for number, (rod, one) in enumerate(zip(seen, before, strict=True))
            if min(distance(rod, other) - rod.radius - other.radius for other in none) > NEAR
        }
    return [one for one in before if one is not None]


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


def _alike(rod: Rod, other: Rod) -> bool:
    """Whether one of two rods is a part of the other, or nearly so."""
    if abs(rod.axis @ other.axis) < ALONG or abs(rod.radius - other.radius) > ALIKE:
        return False
    apart = other.place - rod.place
    aside = np.linalg.norm(apart - (apart @ rod.axis) * rod.axis)
    return bool(aside < ALIKE and (_goes_through(rod, other.place) or _goes_through(other, rod.place)))


def _grown(lattice: Lattice, of: Flags, place: Array, rod: Rod) -> Rod | None:
    """The cylinder about a place, as long as it goes on; None where none fits."""
    from microlith.imaging.shapes.rod_loops import extent  # numba, late as in `path_lengths`
    from microlith.imaging.shapes.rod_rays import settle

    phase, size = lattice.phase, lattice.size
    longest = float(np.linalg.norm(np.array(phase.shape) * size))
    rod, reach = rod.about(float((place - rod.place) @ rod.axis)), FIRST * rod.radius
    while True:
        low, high = extent(phase, of, size, rod.row, rod.radius - CORE, -reach, reach)
        stops = low > -reach, high < reach
        for before in _befores(rod.radius, stops):
            first, last = low + before * stops[0], high - before * stops[1]
            if last - first < SHORTEST * rod.radius:
                return None
            row = rod.row
            if settle(phase, of, size, row, first, last, REACH, 4):
                moved = rod.moved(row)
                if _proven(lattice, of, moved, (first, last), WIDTHS[0], SETTLED, MISSED):
                    rod = moved
                    break
        else:
            return None
        if all(stops) or reach > longest:
            return replace(rod, known=(first if stops[0] else -NOWHERE, last if stops[1] else NOWHERE))
        reach *= GROWS


def _proven(
    lattice: Lattice,
    of: Flags,
    rod: Rod,
    part: tuple[float, float],
    widths: Array,
    slack: float = 0.0,
    missed: float = 0.0,
    others: Others | None = None,
) -> bool:
    """Whether all voxels around a rod that are of it, and no others, are of a set of phases.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        rod: Cylinder.
        part: Where along its axis voxels begin and end to count.
        widths: As in `wall_of`.
        slack: Longest edges by which voxels may be on the wrong side.
        missed: Share of voxels of the set that may be so all the same.
        others: That may touch it.
    """
    from microlith.imaging.shapes.rod_loops import proven  # numba, late as in `path_lengths`

    told: Numbers = np.zeros(2, np.int64)
    cover, own = (np.zeros((0, 0, 0), np.uint8), rod.row) if others is None else (others.cover, others.own.row)
    good = proven(lattice.phase, of, lattice.size, rod.row, *part, widths, slack, cover, own, told)
    return bool(good and told[1] <= missed * told[0])


def _befores(radius: float, stops: tuple[bool, bool]) -> tuple[float, ...]:
    """Longest edges before ends of the core up to which a wall may be known: flat ends, those of balls, others."""
    return (BEFORE, BEFORE + float(np.sqrt(2 * CORE * radius)), BEFORE + radius) if any(stops) else (0.0,)


def _one(lattice: Lattice, of: Flags, rod: Rod, others: Others) -> _One | None:
    """A cylinder whose wall, and its ends if it has any, part all voxels; None where there is none."""
    from microlith.imaging.shapes.rod_loops import extent  # numba, late as in `path_lengths`

    longest = float(np.linalg.norm(np.array(lattice.phase.shape) * lattice.size))
    low, high = extent(lattice.phase, of, lattice.size, rod.row, rod.radius - CORE, -longest, longest)
    stops = low > -longest, high < longest
    for before, widths in product(_befores(rod.radius, stops), WIDTHS):
        first, last = low + before * stops[0], high - before * stops[1]
        if last - first < SHORTEST * rod.radius:
            continue
        if not _proven(lattice, of, rod, (first, last), widths, *NEARLY, others):  # takes less time
            continue
        wall = wall_of(lattice, of, rod, first, last, widths, others)
        if wall is None or not _enough(wall):
            continue
        step = float((wall.rod.place - rod.place) @ wall.rod.axis)
        first, last = first - step, last - step
        if not _proven(lattice, of, wall.rod, (first, last), widths, others=others):
            continue
        bare = replace(wall.rod, known=(first if stops[0] else -NOWHERE, last if stops[1] else NOWHERE))
        return _with_ends(lattice, of, bare, longest, widths, others) or _One(bare, of, wall, 0.0)
    return None


def _enough(wall: Wall) -> bool:
    """Whether most of the voxels below the surface are certain or of other cylinders, and leave little open."""
    certain, of_others, open_ones = wall.bare
    return bool(certain >= LEAST_BARE and certain + of_others >= open_ones and wall.loose <= UNSURE * wall.rod.radius)


def _with_ends(lattice: Lattice, of: Flags, rod: Rod, longest: float, widths: Array, others: Others) -> _One | None:
    """A cylinder with the flat ends that it has without doubt, instead of where its wall ends; None where it has none.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        rod: Whose wall is known.
        longest: Way through the image.
        widths: As in `wall_of`.
        others: As in `wall_of`.
    """
    from microlith.imaging.shapes.rod_loops import extent  # numba, late as in `path_lengths`

    low, high = extent(lattice.phase, of, lattice.size, rod.row, rod.radius - CORE, -longest, longest)
    found = [
        None if abs(known) == NOWHERE else end_of(lattice, of, rod, at)
        for known, at in zip(rod.known, (low, high), strict=True)
    ]
    for sides in ((0, 1), (0,), (1,)):
        ends = [found[k] if k in sides else None for k in (0, 1)]
        if all(end is None for end in ends):
            continue
        planes = (None if ends[0] is None else ends[0][0], None if ends[1] is None else ends[1][0])
        known = (-NOWHERE if ends[0] else rod.known[0], NOWHERE if ends[1] else rod.known[1])
        ended = replace(rod, planes=planes, known=known)
        wall = wall_of(lattice, of, ended, max(known[0], -longest), min(known[1], longest), widths, others)
        if wall is None:
            continue
        part = max(wall.rod.known[0], -longest), min(wall.rod.known[1], longest)
        if _proven(lattice, of, wall.rod, part, widths, others=others):
            return _One(wall.rod, of, wall, float(np.sqrt(sum(end[1] ** 2 for end in ends if end))))
    return None
