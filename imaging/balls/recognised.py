"""Balls (in 2D disks) that the voxels of an image show without any doubt.

A set of voxels is that of a ball if some ball holds their middles and no others. Of bodies that touch others, only
voxels count that can be of no other one, in the set, and all that are not of the set.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from microlith.imaging.balls.candidates import deep_places, left_over, round_bodies
from microlith.imaging.balls.found import SLACK, Balls, Lattice, beside, no_balls
from microlith.imaging.balls.separation import Fit, fitted, loose
from microlith.imaging.typing import Array, Flags

PAIRED, MOST = 6, 16  # phases up to which each two are taken together, and all but one
REACH = 3.0  # longest edges between balls that know of each other
TURNS = 4  # times that balls are looked for beside those found
UNSURE = {2: 0.025, 3: 0.012}  # of the radius, standard error up to which a ball counts
LEAST_BARE = {2: 6, 3: 20}  # voxels just below the surface that are of no other body


@dataclass(frozen=True, eq=False)
class _One:
    place: Array  # (4,)
    of: Flags  # (phases,)
    fit: Fit
    loose: float = np.inf  # m, see `Balls`


def recognised(lattice: Lattice, phases: int) -> Balls:
    """All balls of single phases and of several together, each once.

    Args:
        lattice: Voxels.
        phases: How many phases there are.
    """
    found: list[_One] = []
    for of in _sets(phases):
        found = _with(lattice, of, round_bodies(lattice, of, deep_places(lattice, of)), found)
    found = _together(lattice, found)
    for _ in range(2):
        before = len(found)
        for of in [of for of in _sets(phases) if any((one.of == of).all() for one in found)]:
            mine = np.array([one.place for one in found if (one.of == of).all()])
            found = _with(lattice, of, round_bodies(lattice, of, left_over(lattice, of, mine)), found)
        if len(found) == before:
            break
        found = _together(lattice, found)
    if not found:
        return no_balls(phases)
    places, sets = np.array([one.place for one in found]), np.array([one.of for one in found])
    gaps = np.array([one.fit.gap for one in found])
    return Balls(places, sets, gaps, np.array([one.loose for one in found]))


def _sets(phases: int) -> list[Flags]:
    """Sets of phases that bodies may consist of: one, two, all but one."""
    if phases > MOST:
        return []
    groups: list[tuple[int, ...]] = [(phase,) for phase in range(phases)] if phases > 1 else []
    groups += combinations(range(phases), 2) if 2 < phases <= PAIRED else []
    groups += combinations(range(phases), phases - 1) if phases > 3 else []
    return [np.isin(np.arange(phases), group) for group in groups]


def _with(lattice: Lattice, of: Flags, places: Array, found: list[_One]) -> list[_One]:
    """Balls that were found, and those of some places whose voxels a ball parts; these help to tell the others."""
    found, left = list(found), list(places)
    for turn in range(TURNS):
        before, still = len(found), []
        for place in left:
            near = _around(found, place, of, lattice) if turn else np.zeros((0, 4))
            if _known(found, place, lattice) or (turn and not len(near)):
                continue
            fit = fitted(lattice, of, place, SLACK * lattice.longest, near)
            if fit is None:
                still.append(place)
            elif not _known(found, fit.place, lattice):
                found.append(_One(fit.place, of, fit))
        left = still
        if not left or len(found) == before:
            break
    return found


def _known(found: list[_One], place: Array, lattice: Lattice) -> bool:
    return any(np.abs(one.place - place).max() < 0.5 * lattice.longest for one in found)


def _around(found: list[_One], place: Array, of: Flags, lattice: Lattice) -> Array:
    """Balls (k, 4) near one whose phases it has."""
    reach = place[3] + REACH * lattice.longest
    near = [
        one.place
        for one in found
        if not (one.of & ~of).any() and np.linalg.norm(one.place[:3] - place[:3]) < one.place[3] + reach
    ]
    return np.array(near).reshape(-1, 4)


def _together(lattice: Lattice, found: list[_One]) -> list[_One]:
    """Balls fitted anew with all others known, twice; only those that then have enough voxels of their own are left."""
    for last in (False, True):
        if not found:
            break
        places, sets = np.array([one.place for one in found]), np.array([one.of for one in found])
        fits: list[_One] = []
        for number, one in enumerate(found):
            near = beside(places, number, REACH * lattice.longest) & ~(sets & ~one.of).any(axis=1)
            alone = not near.any() and not one.fit.bare[1:].any()  # as before
            fit = one.fit if alone else fitted(lattice, one.of, one.place, SLACK * lattice.longest, places[near])
            if not last:
                fits.append(one if fit is None else _One(fit.place, one.of, fit))
            elif fit is not None and _bare(fit, lattice.dim):
                open_still = loose(fit, lattice.longest)
                if open_still <= UNSURE[lattice.dim] * fit.place[3]:
                    fits.append(_One(fit.place, one.of, fit, open_still))
        found = fits
    return found


def _bare(fit: Fit, dim: int) -> bool:
    """Whether most of the voxels below the surface are certain or of other balls."""
    certain, of_others, open_ones = fit.bare
    return bool(certain >= LEAST_BARE[dim] and certain + of_others >= open_ones)
