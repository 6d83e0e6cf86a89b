"""Balls (in 2D disks) that the voxels of an image show without any doubt.

A set of voxels is that of a ball if some ball holds their middles and no others. Of bodies that touch others, only
voxels count that can be of no other one, in the set, and all that are not of the set.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from microlith.imaging.shapes.candidates import DeepPlaces, deep_places, known, left_over, rough_bodies, round_bodies
from microlith.imaging.shapes.equal_radii import Common, common_radii
from microlith.imaging.shapes.found import SLACK, Balls, Lattice, beside, no_balls
from microlith.imaging.shapes.patches import spheres_on_patches
from microlith.imaging.shapes.separation import (
    BARE,
    FARTHEST,
    Fit,
    drawn,
    explained,
    fitted,
    mostly_bare,
    radius_range,
)
from microlith.imaging.typing import Array, Flags

PAIRED, MOST = 6, 16  # phases up to which each two are taken together, and all but one
ALIKE = 0.5  # longest edges between the middles, and the radii, of balls that are one
AT_PEAK = 1.5  # between the middle of a ball and the deepest place in it
REACH = 3.0  # longest edges between balls that know of each other
# Longest edges that a ball moves, from which on its voxels are found anew: at first, and with all others known
SHIFTED, MOVED = 0.25, 0.05
TURNS = 4  # times that balls are looked for beside those found
ROUNDS = {2: 2, 3: 3}  # in which balls are looked for on the surface that those before have left
UNSURE = {2: 0.025, 3: 0.012}  # of the radius, standard error up to which a ball counts
# The same of one beside other balls in 3D: of what the frame leaves of it the area is known better than the radius
UNSURE_BESIDE = 0.05
LOOSEST = 0.1  # of the radius, standard error of one that has the radius of others
# Voxels just below the surface that are of no other body; of a ball that has the radius of others
LEAST_BARE, LEAST_OF_COMMON = {2: 6, 3: 20}, 8
ASIDE = -1.5  # how far out voxels beside the frame count as those of other bodies where none of them is to tell
FEW_BARE = 20_000  # voxels of a surface on which balls are looked for where none is around a deepest place


@dataclass(frozen=True, eq=False)
class _One:
    place: Array  # (4,)
    of: Flags  # (phases,)
    fit: Fit
    gap: float = np.inf  # see `Balls`
    loose: float = np.inf  # the same
    range: tuple[float, float] = (0.0, np.inf)  # of radii that voxels allow, longest edges
    common: Common | None = None  # whose radius it has from the first


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
    if not found and lattice.dim == 3:  # the frame may cut all of them so that they are deepest elsewhere
        for of in sets:
            (spheres,) = spheres_on_patches(lattice, of, np.zeros((0, 4)), [0.0], FEW_BARE)
            found = _on_patches(lattice, of, spheres, None, found)
        found = _lasting(lattice, found, None)
    for _ in range(ROUNDS[lattice.dim]):
        before = len(found)
        alike = _common(found) if lattice.dim == 3 else None
        for of, places in zip(sets, deep, strict=True):
            if not any((one.of == of).all() for one in found):
                continue
            mine = _places([one for one in found if (one.of == of).all()])
            found = _with(lattice, of, round_bodies(lattice, of, left_over(lattice, of, mine)), found)
            if alike is None:
                found = _with_all(lattice, of, places.peaks, found)
                continue
            mine = _places([one for one in found if (one.of == of).all()])
            ties = [*(common for common in alike if (common.of == of).all()), None]
            radii = [0.0 if common is None else common.radius for common in ties]
            for common, spheres in zip(ties, spheres_on_patches(lattice, of, mine, radii), strict=True):
                found = _on_patches(lattice, of, spheres, common, found)
        if len(found) == before:
            break
        found = _together(lattice, found) if alike is None else _lasting(lattice, found, alike)
    if not found:
        return no_balls(phases)
    gaps = np.array([one.gap for one in found])
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


def _on_patches(lattice: Lattice, of: Flags, candidates: Array, common: Common | None, found: list[_One]) -> list[_One]:
    """Balls that were found, and those of spheres (n, 4) with voxels that are of no ball before them.

    Of few voxels the ball that is farthest from all may be of any size: where it leaves the sphere, it is none.
    """
    found = list(found)
    mine = _places([one for one in found if not (one.of & ~of).any()])
    both = np.concatenate([mine, candidates])
    left: list[Array] = []
    for number, place in enumerate(candidates):
        if explained(lattice, of, place, SLACK, both[beside(both, len(mine) + number, REACH)]):
            left.append(place)
    radius, least = None if common is None else common.radius, _least_bare(common, lattice.dim)
    for _ in range(TURNS):
        before, still = len(mine), []
        for place in left:
            fit = _beside(lattice, of, place, mine[_within_reach(mine, place, REACH)], SHIFTED, radius)
            if fit is None:
                still.append(place)
                continue
            there = np.abs(fit.place - place).max() < FARTHEST
            if there and fit.bare[0] >= least and not known(fit.place, _places(found), ALIKE):
                found.append(_One(fit.place, of, fit, common=common))
                mine = np.concatenate([mine, fit.place[None]])
        left = still
        if not left or len(mine) == before:
            break
    return found


def _beside(
    lattice: Lattice, of: Flags, place: Array, others: Array, still: float, radius: float | None = None
) -> Fit | None:
    """As `fitted`; where the frame may hide which voxels are of others (k, 4), those beside it do not tell."""
    fit = fitted(lattice, of, place, SLACK, others, still, radius)
    if fit is None and len(others) and lattice.dim == 3:
        fit = fitted(lattice, of, place, SLACK, others, still, radius, ASIDE)
    return fit


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


def _together(
    lattice: Lattice, found: list[_One], alike: list[Common] | None = None, always: bool = False
) -> list[_One]:
    """Balls fitted anew with all others known, twice; only those that then have enough voxels of their own are left.

    Those that are none at first, with all others where they were, are always looked at again if that is asked for.
    """
    moved = np.ones(len(found), bool)  # since a ball's voxels were found last
    for last in (False, True):
        if not found:
            break
        places, sets = _places(found), _phases(found, len(found[0].of))
        fits: list[_One] = []
        none = np.zeros(len(found), bool)
        for number, one in enumerate(found):
            near = beside(places, number, REACH) & ~(sets & ~one.of).any(axis=1)
            fit: Fit | None = one.fit
            if moved[near].any() or (moved[number] and one.fit.bare[1:].any()):
                radius = None if one.common is None else one.common.radius
                fit = _beside(lattice, one.of, one.place, places[near], MOVED, radius)
            if not last:
                none[number] = fit is None
                fits.append(one if fit is None else replace(one, place=fit.place, fit=fit))
            elif fit is not None and _bare(fit, _least_bare(one.common, lattice.dim)):
                settled = _settled(lattice, one, fit, places[near], alike)
                fits += [] if settled is None else [settled]
        found = fits
        if not last:
            moved = (np.abs(_places(found) - places).max(axis=1) > MOVED) | (none & always)
    return found


def _lasting(lattice: Lattice, found: list[_One], alike: list[Common] | None) -> list[_One]:
    """Those of balls that are left by `_together` where none of them needs one that is not."""
    while True:
        left = _together(lattice, found, alike, always=True)
        if len(left) == len(found):
            return left
        found = left


def _settled(lattice: Lattice, one: _One, fit: Fit, others: Array, alike: list[Common] | None) -> _One | None:
    """A ball with what is open of it; None where that is too much.

    Args:
        lattice: Voxels.
        one: The ball.
        fit: It, with all others known.
        others: (k, 4) those beside it.
        alike: Radii that it may have in common with others.
    """
    of = one.of
    if one.common is not None:
        # A cap's height is its area over the great circle's length, and the cap is open by the same part as its height
        radius, area = one.common.radius, fit.bare[0] * np.prod(lattice.size) / BARE
        open_still = min(2 * np.pi * radius**2 * fit.gap / area, radius)
        return replace(one, place=fit.place, fit=fit, gap=one.common.gap, loose=open_still)
    in_step = drawn(fit, lattice)
    least, most = radius_range(fit, lattice)
    if in_step is not None and mostly_bare(fit, lattice):
        return _One(in_step.place, of, in_step, in_step.gap, in_step.gap, (least, most))
    open_still = (most - least) / np.sqrt(12)
    for common in alike or ():
        if (common.of == of).all() and least <= common.most and most >= common.least:
            radius = float(np.clip(common.radius, least, most))
            as_others = _beside(lattice, of, fit.place, others, MOVED, radius)
            if as_others is not None:
                open_still = min(open_still, LOOSEST * radius)
                return _One(as_others.place, of, as_others, common.gap, open_still, (least, most))
    unsure = UNSURE[lattice.dim] if alike is None or not len(others) else UNSURE_BESIDE
    if open_still > unsure * fit.place[3]:
        return None
    fit = in_step or fit
    return _One(fit.place, of, fit, fit.gap, open_still, (least, most))


def _common(found: list[_One]) -> list[Common]:
    """Radii that several balls of a set of phases have in common."""
    out: list[Common] = []
    for of in np.unique([one.of for one in found], axis=0) if found else ():
        mine = np.array([one.range for one in found if (one.of == of).all() and one.common is None])
        out += common_radii(of, mine)
    return out


def _least_bare(common: Common | None, dim: int) -> int:
    """Voxels just below the surface that are of no other body, of a ball of any radius or of a known one."""
    return LEAST_BARE[dim] if common is None else LEAST_OF_COMMON


def _bare(fit: Fit, least: int) -> bool:
    """Whether most of the voxels below the surface are certain or of other balls."""
    certain, of_others, open_ones = fit.bare
    return bool(certain >= least and certain + of_others >= open_ones)
