"""Places where cylinders may be: where a set of phases is deepest, and cylinders that fit what rays from there meet."""

import numpy as np

from microlith.imaging.microstructure.sights import even_directions
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rods import COLUMNS, NOWHERE
from microlith.imaging.typing import Array, Flags

LEAST = 3.4  # radius, longest edges
RAYS = 90
FARTHEST = 2.5  # depths, and so many longest edges, that rays are followed
TURNS = 8  # of the fit
# What rays tell (see `fit_rays`): largest residues, root mean square and mean in a sixth of the wall, longest edges;
# least share of rays that leave near the wall, and largest one of those that leave before
ROUGH, EVEN, SHARE, EARLY = 0.42, 0.35, (0.2, 0.3), 0.1  # shares of short ones first
REACH = 0.2, 0.5  # radii from the wall, of what counts at first: of short ones, whose ends are near, and of others
LONG = 0.7  # least over middle curvature of a quadric, above which other directions are tried as well
TINY = 1e-9
# Short cylinders: least ratio of the curvatures across, of that along to these, and depth; most radii per depth
FLAT, FLAT_OVER, SHALLOW, WIDEST = 0.6, 1.3, 3.0, 4.0
UNLIKE = 0.35  # least ratio of the curvatures across the axis


def round_walls(lattice: Lattice, of: Flags, places: Array) -> tuple[Array, Array]:
    """Places (m, 4) with their depths around which rays show a cylinder's wall, and these, (m, 17); largest first.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        places: (n, 4) and depths.
    """
    from microlith.imaging.shapes.rod_rays import fit_rays, look_around, quadrics  # numba, late as in `path_lengths`

    places = places[places[:, 3] >= 0.7 * LEAST]
    sights = even_directions(RAYS)
    hits = np.empty((len(places), RAYS))
    look_around(lattice.phase, of, lattice.size, sights, places, FARTHEST, hits)
    fits, good = np.empty((len(places), 9)), np.zeros(len(places), bool)
    quadrics(sights, hits, places[:, 3], fits, good)
    fits, places, hits = fits[good], places[good], hits[good]
    matrix = fits[:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
    curved, ways = np.linalg.eigh(matrix)
    tube = (curved[:, 1] > 0) & (curved[:, 1] > UNLIKE * curved[:, 2])
    ball_like = tube & (curved[:, 0] > LONG * curved[:, 1]) & (places[:, 3] > LEAST)
    flat = (curved[:, 0] > FLAT * curved[:, 1]) & (curved[:, 1] < curved[:, 2] / FLAT_OVER) & ~ball_like
    flat &= places[:, 3] > SHALLOW
    farther = np.empty((flat.sum(), RAYS))
    look_around(lattice.phase, of, lattice.size, sights, places[flat], WIDEST, farther)
    hits[flat] = farther
    kinds = tube, ball_like, ball_like | flat
    which = np.concatenate([np.flatnonzero(kind) for kind in kinds])
    along = np.repeat([0, 1, 2], [kind.sum() for kind in kinds])
    rods = np.zeros((len(which), COLUMNS))
    rods[:, :3], rods[:, 6] = places[which, :3], places[which, 3]
    rods[:, 3:6] = ways[which, :, along]
    rods[:, 7], rods[:, [8, 12, 16]] = -NOWHERE, NOWHERE
    wide = np.zeros(len(rods))
    for k in (1, 2):  # to the middle of the quadric across the axis
        # of which the radius is known where ends are nearer than the wall
        aside, bent = ways[which, :, (along + k) % 3], np.maximum(curved[which, (along + k) % 3], TINY)
        shift = -(fits[which, 6:] * aside).sum(axis=1) / bent
        wide += 0.5 / np.sqrt(bent)
        rods[:, :3] += (np.clip(shift, -1, 1) * rods[:, 6])[:, None] * aside
    short = along > 0
    rods[short, 6] *= np.clip(wide[short], 1.0, WIDEST)
    reach = np.where(short, *REACH)
    told = np.zeros((len(rods), 4))
    fit_rays(sights, hits[which], places[which], rods, reach, TURNS, told)
    fine = (told[:, 0] < ROUGH) & (told[:, 1] > np.where(short, *SHARE)) & (told[:, 2] < EARLY) & (told[:, 3] < EVEN)
    fine &= rods[:, 6] >= LEAST
    order = np.argsort(-rods[:, 6], kind="stable")
    order = order[fine[order]]
    return places[which[order]], rods[order]
