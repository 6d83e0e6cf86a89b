"""Whether a cylinder, and flat ends that it has, part the voxels around it from those of other bodies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rod_fit import INNER, RIM, WIDTHS, Others, Wall, end_of, wall_of
from microlith.imaging.shapes.rods import NOWHERE, Rod, distance
from microlith.imaging.typing import Array, Flags, Numbers

CORE = 1.2  # longest edges from the wall inwards, within which all voxels are to be of the set
BEFORE = 1.5  # longest edges before an end that is not known yet, up to which the wall is looked at
BEYOND, OPEN = (0.5, 1.7), 0.9  # longest edges beyond a wall, and the share of the set there where there is none
SHORTEST = 0.5  # radii that a wall is long
# Voxels just below the wall that are of no other body; of those with two flat ends
LEAST_BARE, LEAST_BARE_OF_DISCS = 120, 60
UNSURE = 0.03  # of the radius, standard error up to which a cylinder counts
NEAR = 3.0  # longest edges between cylinders that may touch
TURNS = 6  # times that those are looked at whose others have turned out to be none
# Longest edges that voxels may be wrong by where a linear program may still find a cylinder, and the share of those of
# the set that may be so all the same
NEARLY = 0.25, 0.02


@dataclass(frozen=True, eq=False)
class Found:
    """A cylinder that parts its voxels."""

    rod: Rod
    of: Flags  # (phases,)
    wall: Wall
    ends: float  # see `Rods`


Ends = list[tuple[Array, float] | None]  # as `end_of` gives them, the first and the last


def parted(lattice: Lattice, of: Flags, seen: list[Rod]) -> list[Found]:
    """Of cylinders that fit well those that part their voxels; again where others have turned out to be none."""
    from microlith.imaging.shapes.rod_loops import covered  # numba, late as in `path_lengths`

    known: dict[int, Found | None] = {}
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


def proven(
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


def befores(radius: float, stops: tuple[bool, bool]) -> tuple[float, ...]:
    """Longest edges before ends of the core up to which a wall may be known: flat ends, those of balls, others."""
    return (BEFORE, BEFORE + float(np.sqrt(2 * CORE * radius)), BEFORE + radius) if any(stops) else (0.0,)


def _one(lattice: Lattice, of: Flags, rod: Rod, others: Others) -> Found | None:
    """A cylinder whose wall, and its ends if it has any, part all voxels; None where there is none."""
    longest = lattice.diagonal
    if all(plane is not None for plane in rod.planes):
        return _between_ends(lattice, of, rod, longest, others)
    for low, high in extents(lattice, of, rod, longest):
        stops = low > -longest, high < longest
        for before, widths in product(befores(rod.radius, stops), WIDTHS):
            first, last = low + before * stops[0], high - before * stops[1]
            if last - first < SHORTEST * rod.radius:
                continue
            if not proven(lattice, of, rod, (first, last), widths, *NEARLY, others):  # takes less time
                continue
            wall = wall_of(lattice, of, rod, first, last, widths, others)
            if wall is None or not _enough(wall, LEAST_BARE):
                continue
            step = float((wall.rod.place - rod.place) @ wall.rod.axis)
            first, last = first - step, last - step
            if not proven(lattice, of, wall.rod, (first, last), widths, others=others):
                continue
            bare = replace(wall.rod, known=(first if stops[0] else -NOWHERE, last if stops[1] else NOWHERE))
            return _with_ends(lattice, of, bare, longest, widths, others) or Found(bare, of, wall, 0.0)
    return None


def extents(lattice: Lattice, of: Flags, rod: Rod, reach: float) -> Iterator[tuple[float, float]]:
    """Up to where all voxels near the axis are of a set, and, where that differs, up to where there is a wall as well.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        rod: Cylinder.
        reach: How far to look along the axis, to both sides of its place.
    """
    from microlith.imaging.shapes.rod_loops import extent, open_shares  # numba, late as in `path_lengths`

    low, high = extent(lattice.phase, of, lattice.size, rod.row, rod.radius - CORE, -reach, reach)
    yield low, high
    first = float(np.floor(low))
    shares = np.empty(int(np.ceil(high) - first))
    inner, outer = (rod.radius + beyond for beyond in BEYOND)
    open_shares(lattice.phase, of, lattice.size, rod.row, inner, outer, first, shares)
    middle = int(-first)
    behind, ahead = (np.flatnonzero(part > OPEN) for part in (shares[:middle], shares[middle:]))
    if len(behind):
        low = max(low, first + behind[-1] + 1)
    if len(ahead):
        high = min(high, float(ahead[0]))
    if len(behind) or len(ahead):
        yield low, high


def _between_ends(lattice: Lattice, of: Flags, rod: Rod, longest: float, others: Others) -> Found | None:
    """The same of one whose ends are known, which may be too near to each other to know the wall without them."""
    low, high = rod.between
    for widths in WIDTHS:
        if not proven(lattice, of, rod, (low, high), widths, *NEARLY, others):
            continue
        wall = wall_of(lattice, of, rod, low, high, widths, others)
        if wall is None or not _enough(wall, LEAST_BARE_OF_DISCS):
            continue
        bare = replace(wall.rod, planes=(None, None))
        ends = [end_of(lattice, of, bare, at, bare.radius - INNER) for at in wall.rod.between]
        found = None if any(end is None for end in ends) else ended(lattice, of, bare, ends, longest, widths, others)
        if found is not None:
            return found
    return None


def _enough(wall: Wall, least: int) -> bool:
    """Whether most of the voxels below the surface are certain or of other cylinders, and leave little open."""
    certain, of_others, open_ones = wall.bare
    return bool(certain >= least and certain + of_others >= open_ones and wall.loose <= UNSURE * wall.rod.radius)


def _with_ends(lattice: Lattice, of: Flags, rod: Rod, longest: float, widths: Array, others: Others) -> Found | None:
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
        None if abs(known) == NOWHERE else end_of(lattice, of, rod, at, rod.radius - INNER)
        for known, at in zip(rod.known, (low, high), strict=True)
    ]
    for sides in ((0, 1), (0,), (1,)):
        ends = [found[k] if k in sides else None for k in (0, 1)]
        if any(end is not None for end in ends):
            one = ended(lattice, of, rod, ends, longest, widths, others)
            if one is not None:
                return one
    return None


def ended(
    lattice: Lattice,
    of: Flags,
    rod: Rod,
    ends: Ends,
    longest: float,
    widths: Array,
    others: Others,
    flat: bool = True,
) -> Found | None:
    """A cylinder with given ends, as `end_of` gives them, and the wall between these; None if it does not part voxels.

    Which voxels at the rims lie beyond the wall, and which beyond the ends, is known when both are: then ends are found
    anew if need be, but for those that are not flat, with the same phases before and beyond.
    """
    known = (-NOWHERE if ends[0] else rod.known[0], NOWHERE if ends[1] else rod.known[1])
    one = replace(rod, planes=_planes(ends), known=known)
    for rim in (RIM, 0.0):
        first, last = max(one.known[0], -longest), min(one.known[1], longest)
        wall = wall_of(lattice, of, one, first, last, widths, others, rim)
        if wall is None:
            return None
        rod = wall.rod
        part = max(rod.known[0], -longest), min(rod.known[1], longest)
        for planes in (rod.planes, _anew(lattice, of, rod)) if flat else (rod.planes,):
            one = replace(rod, planes=planes)
            if proven(lattice, of, one, part, widths, others=others):
                return Found(one, of, wall, float(np.sqrt(sum(end[1] ** 2 for end in ends if end))))
    return None


def _anew(lattice: Lattice, of: Flags, rod: Rod) -> tuple[Array | None, Array | None]:
    """The planes that end a rod from all voxels within its wall, as far as planes part these, else as they were."""
    ends: Ends = []
    for plane, at in zip(rod.planes, rod.between, strict=True):
        if plane is None:
            ends.append(None)
            continue
        steep = abs(float(plane[:3] @ rod.axis))
        before = rod.radius * np.sqrt(max(1 - steep**2, 0.0)) / steep
        ends.append(end_of(lattice, of, rod, float(np.sign(at) * (abs(at) - before)), rod.radius))
    first, last = (old if new is None else new[0] for old, new in zip(rod.planes, ends, strict=True))
    return first, last


def _planes(ends: Ends) -> tuple[Array | None, Array | None]:
    """The planes of ends."""
    first, last = (None if end is None else end[0] for end in ends)
    return first, last
