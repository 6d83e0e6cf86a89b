"""Area of the surfaces of cylinders that an image shows."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from microlith.imaging.shapes.found import Balls, Lattice
from microlith.imaging.shapes.rods import COLUMNS, ENDS, NOWHERE, Rod, Rods, distance
from microlith.imaging.typing import Array, Flags, Numbers

PLACES, FEWEST, MOST = 3, 2000, 60000  # on the surface per shortest edge squared, at least and at most
GOLDEN = (math.sqrt(5) - 1) / 2
SLICES = 8  # of a wall, in which phases are told to lie side by side or one behind the other


@dataclass(frozen=True, eq=False)
class RodAreas:
    """Areas of cylinders' surfaces and their standard errors, longest edges squared; symmetric."""

    between: Array  # (phases, phases)
    alike: Array  # (phases, phases) if all radii are too large, or too small, at once
    alone: Array  # (phases, phases) of what has nothing to do with each other
    of_phase: Array  # (phases,) the same of all of a phase's surface


def rod_areas(lattice: Lattice, rods: Rods, balls: Balls, grazed: float, side: float) -> RodAreas:
    """Areas between phases.

    Args:
        lattice: Voxels.
        rods: That were found.
        balls: That were found.
        grazed: Longest edges by which voxels of a body may lie beyond it.
        side: By which a line between two phases on a surface may lie to either side, and the end of a wall.
    """
    phases = rods.of.shape[1]
    area, alike, square, of_phase = *np.zeros((3, phases, phases)), np.zeros(phases)
    for number, rod in enumerate(rods.rods):
        near = np.array([distance(rod, other) < rod.radius + other.radius + 1 for other in rods.rods])
        near[number] = False
        within = near & ~(rods.of & ~rods.of[number]).any(axis=1)
        same = np.array([rods.rods[k].row for k in np.flatnonzero(within)]).reshape(-1, COLUMNS)
        others = [k for k in range(number) if (rods.of[k] != rods.of[number]).any() and near[k]]
        before = np.array([rods.rods[k].row for k in others]).reshape(-1, COLUMNS)
        inside = balls.place[~(balls.of & ~rods.of[number]).any(axis=1)]
        low, high = _reach(lattice, rod)
        bare = partial(_bare, lattice, rods.of[number], rod, same=same, balls=inside, before=before, grazed=grazed)
        found, mixed = np.zeros((phases, phases)), 0.0
        for part, places, outwards, each in _surface(lattice, rod):
            seen = bare((places, outwards), part)
            found += each * seen
            if part == 0 and _is_parted(seen):
                of = ((places - rod.place) @ rod.axis - low) * (SLICES / (high - low))
                slices = [
                    bare((places[these], outwards[these]), 0) for these in (of.astype(int) == k for k in range(SLICES))
                ]
                mixed = sum(map(_is_parted, slices)) / SLICES
        area += found
        alike += found * (rods.gap[number] / rod.radius)
        relative, around = rods.loose[number] / rod.radius, 2 * math.pi * rod.radius
        limits = sum(abs(known) < NOWHERE for known in rod.known)
        of_ends = (around * rods.ends[number]) ** 2 + limits * (side * around) ** 2
        # Around the rod, and along it where phases lie side by side, on lines that have nothing to do with each other;
        # where only an end has another phase than the wall, as a bore's, how far the wall goes is known no better.
        side_by_side = around**2 + 2 * (mixed * (high - low)) ** 2
        parting = side**2 * (side_by_side if mixed else (2 * (high - low) + around) ** 2)
        for ends, square_of in ((found, square), (found.sum(axis=0), of_phase), (found.sum(axis=1), of_phase)):
            there, parted = ends > 0, (ends > 0) & (ends < found.sum())
            square_of += (ends * relative) ** 2 + np.where(there, of_ends, 0.0) + np.where(parted, parting, 0.0)
    return RodAreas(area + area.T, alike + alike.T, np.sqrt(square + square.T), np.sqrt(of_phase))


def _is_parted(seen: Numbers) -> bool:
    """Whether places (phases, phases) on a surface have more than one phase on either side."""
    return any(np.count_nonzero(seen.sum(axis=axis)) > 1 for axis in (0, 1))


def _surface(lattice: Lattice, rod: Rod) -> list[tuple[int, Array, Array, float]]:
    """Wall, as 0, and ends, as columns of a rod: places (m, 3) evenly over it, unit vectors outwards, area of each."""
    one, other = rod.across()
    low, high = _reach(lattice, rod)
    out: list[tuple[int, Array, Array, float]] = []

    def add(part: int, places: Array, outwards: Array, whole: float) -> None:
        out.append((part, places, outwards, whole / len(places)))

    def count(area: float) -> int:
        return int(np.clip(PLACES * area / lattice.shortest**2, FEWEST, MOST))

    whole = 2 * math.pi * rod.radius * (high - low)
    number = np.arange(count(whole))
    angle = 2 * math.pi * ((number * GOLDEN) % 1)
    outwards = np.cos(angle)[:, None] * one + np.sin(angle)[:, None] * other
    along = low + (number + 0.5) / len(number) * (high - low)
    places = rod.place + along[:, None] * rod.axis + rod.radius * outwards
    inside = _before_planes(rod, places, None)
    if inside.any():
        add(0, places[inside], outwards[inside], whole * float(inside.mean()))
    for k, plane in enumerate(rod.planes):
        if plane is not None:
            steep = float(plane[:3] @ rod.axis)
            whole = math.pi * rod.radius**2 / abs(steep)
            number = np.arange(count(whole))
            away = rod.radius * np.sqrt((number + 0.5) / len(number))
            angle = 2 * math.pi * ((number * GOLDEN) % 1)
            flat = (away * np.cos(angle))[:, None] * one + (away * np.sin(angle))[:, None] * other
            along = (plane[3] - flat @ plane[:3]) / steep
            places = rod.place + flat + along[:, None] * rod.axis
            inside = _before_planes(rod, places, k)
            if inside.any():
                normal = np.tile(plane[:3], (int(inside.sum()), 1))
                add(ENDS[k], places[inside], normal, whole * float(inside.mean()))
    return out


def _before_planes(rod: Rod, places: Array, but: int | None) -> Flags:
    """Which places (m, 3) lie within the planes that end a rod, but for one of them."""
    inside = np.ones(len(places), bool)
    for k, plane in enumerate(rod.planes):
        if plane is not None and k != but:
            inside &= (places - rod.place) @ plane[:3] <= plane[3]
    return inside


def _reach(lattice: Lattice, rod: Rod) -> tuple[float, float]:
    """Where along the axis the wall begins and ends at most, within the frame."""
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * np.array(lattice.phase.shape) * lattice.size
    along = (corners - rod.place) @ rod.axis
    ends = [max(float(along.min()), rod.known[0]), min(float(along.max()), rod.known[1])]
    for k, sign in enumerate((-1.0, 1.0)):
        plane = rod.planes[k]
        if plane is not None:
            steep = abs(float(plane[:3] @ rod.axis))
            aside = rod.radius * math.sqrt(max(1 - steep**2, 0.0)) / steep
            at = sign * (plane[3] / steep + aside)
            ends[k] = max(ends[k], at) if k == 0 else min(ends[k], at)
    return ends[0], ends[1]


def _bare(
    lattice: Lattice,
    of: Flags,
    rod: Rod,
    surface: tuple[Array, Array],
    part: int,
    same: Array,
    balls: Array,
    before: Array,
    grazed: float,
) -> Numbers:
    """How many (phases, phases) of some places on a rod's surface are between two phases, and not counted before."""
    from microlith.imaging.shapes.rod_loops import count_bare  # numba, late as in `path_lengths`

    found: Numbers = np.zeros((len(of), len(of)), np.int64)
    count_bare(lattice.phase, of, lattice.size, *surface, rod.row, part, same, balls, before, grazed, found)
    return found
