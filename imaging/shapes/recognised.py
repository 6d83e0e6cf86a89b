"""Balls (in 2D disks) that the voxels of an image show without any doubt.

A set of voxels is that of a ball if some ball holds their middles and no others. Of bodies that touch others, only
voxels count that can be of no other one, in the set, and all that are not of the set.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from microlith.imaging.shapes.candidates import DeepPlaces, deep_places, known, left_over, rough_bodies, round_bodies
from microlith.imaging.shapes.found import SLACK, Balls, Lattice, beside, no_balls
from microlith.imaging.shapes.separation import Fit, drawn, explained, fitted, loose, mostly_bare
from microlith.imaging.typing import Array, Flags

PAIRED, MOST = 6, 16  # phases up to which each two are taken together, and all but one
ALIKE = 0.5  # longest edges between the middles, and the radii, of balls that are one
AT_PEAK = 1.5  # between the middle of a ball and the deepest place in it
REACH = 3.0  # longest edges between balls that know of each other
# Longest edges that a ball moves, from which on its voxels are found anew: at first, and with all others known
SHIFTED, MOVED = 0.25, 0.05
TURNS = 4  # times that balls are looked for beside those found
UNSURE = {2: 0.025, 3: 0.012}  # of the radius, standard error up to which a ball counts
LEAST_BARE = {2: 6, 3: 20}  # voxels just below the surface that are of no other body


@dataclass(frozen=True, eq=False)
class _One:
    place: Array  # (4,)
    of: Flags  # (phases,)
    fit: Fit
    loose: float = np.inf  # m, see `Balls`


def recognised(
    lattice: Lattice, phases: int, sets: list[Flags] | None = None, deep: list[DeepPlaces] | None = None
) -> Balls:
    """All balls of single phases and of several together, each once.

    Args:
        lattice: Voxels.
        phases: How many phases there are.
        sets: As `sets_of` gives; found here if not given.
        deep: Where each of these is deepest; found here if not given.
    """
    found: list[_One] = []
    sets = sets_of(lattice, phases) if sets is None else sets
    deep = [deep_places(lattice, of) for of in sets] if deep is None else deep
    for of, places in zip(sets, deep, strict=True):
        found = _with(lattice, of, round_bodies(lattice, of, places.peaks), found)
    found = _together(lattice, found)
    for _ in range(2):
        before = len(found)
        for of, places in zip(sets, deep, strict=True):
            if not any((one.of == of).all() for one in found):
                continue
            mine = np.array([one.place for one in found if (one.of == of).all()])
            found = _with(lattice, of, round_bodies(lattice, of, left_over(lattice, of, mine)), found)
            if lattice.dim == 2:  # in 3D a contact takes little of a ball's surface
                found = _with_all(lattice, of, places.peaks, found)
        if len(found) == before:
            break
        found = _together(lattice, found)
    if not found:
        return no_balls(phases)
    gaps = np.array([one.fit.gap for one in found])
    return Balls(_places(found), _phases(found, phases), gaps, np.array([one.loose for one in found]))


def sets_of(lattice: Lattice, phases: int) -> list[Flags]:
    """Sets of phases that bodies may consist of: one, two, all but one of those that are there."""
    there = np.flatnonzero(np.bincount(lattice.phase.ravel(), minlength=phases))
    count = len(there)
    if not 1 < count <= MOST:
        return []
    groups: list[tuple[int, ...]] = [(phase,) for phase in there]
    groups += combinations(there, 2) if 2 < count <= PAIRED else []
    groups += combinations(there, count - 1) if count > 3 else []
    return [np.isin(np.arange(phases), group) for group in groups]


def _with(lattice: Lattice, of: Flags, candidates: Array, found: list[_One]) -> list[_One]:
    """Balls that were found, and those of some places whose voxels a ball parts; these help to tell the others."""
    found = list(found)
    places, sets = _places(found), _phases(found, len(of))
    all_of_them = np.concatenate([places[~(sets & ~of).any(axis=1)], candidates])
    left: list[Array] = []
    for place in candidates:
        near = _within_reach(all_of_them, place, REACH) & (np.abs(all_of_them - place).max(axis=1) > ALIKE)
        if explained(lattice, of, place, SLACK, all_of_them[near]):
            left.append(place)
    for turn in range(TURNS):
        before, still = len(found), []
        for place in left:
            if known(place, places, ALIKE):
                continue
            around = places[_within_reach(places, place, REACH) & ~(sets & ~of).any(axis=1)]
            if turn and not len(around):
                continue
            fit = fitted(lattice, of, place, SLACK, around if turn else around[:0], SHIFTED)
            if fit is None:
                still.append(place)
            elif not known(fit.place, places, ALIKE):
                found.append(_One(fit.place, of, fit))
                places, sets = np.concatenate([places, fit.place[None]]), np.concatenate([sets, of[None]])
        left = still
        if not left or len(found) == before:
            break
    return found


def _with_all(lattice: Lattice, of: Flags, peaks: Array, found: list[_One]) -> list[_One]:
    """Disks that were found, and those as large in step with the pixels that others touch on most sides.

    They are looked for at deep places (n, 4). Each is found as if all others were disks, and stays if those do without
    which it is none.
    """
    mine = [one for one in found if not (one.of & ~of).any()]
    in_step = [fit.place for one in mine if (fit := drawn(one.fit, lattice)) is not None]
    if not in_step:
        return found
    places = _places(mine)
    beside_them = [place for place in peaks if _within_reach(places, place, REACH).any()]
    peaks = np.array([place for place in beside_them if not known(place[:3], places[:, :3], AT_PEAK)]).reshape(-1, 4)
    new = [place for place in rough_bodies(lattice, of, peaks) if _within_reach(places, place, REACH).any()]
    fits: dict[int, Fit] = {}
    while new:
        around, count = np.concatenate([places, new]), len(places)
        for number in range(len(new)):
            near = beside(around, count + number, REACH)
            if explained(lattice, of, around[count + number], SLACK, around[near]):
                fit = fitted(lattice, of, around[count + number], SLACK, around[near], MOVED)
                alike = None if fit is None else drawn(fit, lattice)
                if fit is not None and alike is not None and any(place[3] == alike.place[3] for place in in_step):
                    fits[number] = fit
        if len(fits) == len(new):
            break
        new, fits = [fit.place for fit in fits.values()], {}
    return found + [_One(fit.place, of, fit) for fit in fits.values()]


def _places(found: list[_One]) -> Array:
    return np.array([one.place for one in found]).reshape(-1, 4)


def _phases(found: list[_One], phases: int) -> Flags:
    return np.array([one.of for one in found], bool).reshape(-1, phases)


def _within_reach(places: Array, place: Array, reach: float) -> Flags:
    return np.asarray(np.linalg.norm(places[:, :3] - place[:3], axis=1) < places[:, 3] + place[3] + reach)


def _together(lattice: Lattice, found: list[_One]) -> list[_One]:
    """Balls fitted anew with all others known, twice; only those that then have enough voxels of their own are left."""
    moved = np.ones(len(found), bool)  # since a ball's voxels were found last
    for last in (False, True):
        if not found:
            break
        places, sets = _places(found), _phases(found, len(found[0].of))
        fits: list[_One] = []
        for number, one in enumerate(found):
            near = beside(places, number, REACH) & ~(sets & ~one.of).any(axis=1)
            fit: Fit | None = one.fit
            if moved[near].any() or (moved[number] and one.fit.bare[1:].any()):
                fit = fitted(lattice, one.of, one.place, SLACK, places[near], MOVED)
            if not last:
                fits.append(one if fit is None else _One(fit.place, one.of, fit))
            elif fit is not None and _bare(fit, lattice.dim):
                in_step = drawn(fit, lattice)
                if in_step is not None and mostly_bare(fit, lattice):
                    fits.append(_One(in_step.place, one.of, in_step, in_step.gap))
                    continue
                open_still = loose(fit, lattice)
                if open_still <= UNSURE[lattice.dim] * fit.place[3]:
                    fit = in_step or fit
                    fits.append(_One(fit.place, one.of, fit, open_still))
        found = fits
        if not last:
            moved = np.abs(_places(found) - places).max(axis=1) > MOVED
    return found


def _bare(fit: Fit, dim: int) -> bool:
    """Whether most of the voxels below the surface are certain or of other balls."""
    certain, of_others, open_ones = fit.bare
    return bool(certain >= LEAST_BARE[dim] and certain + of_others >= open_ones)
