"""Places where cylinders may be: where a set of phases is deepest, and cylinders that fit what rays from there meet."""

import numpy as np

from microlith.imaging.microstructure.sights import even_directions
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rods import COLUMNS, NOWHERE, Rod
from microlith.imaging.typing import Array, Flags

LEAST = 3.4  # radius, longest edges
RAYS, FEW = 90, 48  # the latter for discs
FINE, COARSE = 0.25, 0.5  # steps along them, shortest edges
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
# Discs: least depth, most radii per depth, share of rays that leave, least ratio of curvatures across the axis and of
# that along it to these, and root mean square of what is left of the quadric's equation
SHALLOWEST, WIDEST_DISC, SEEN, LIKE, FLATTER, UNEVEN = 0.9, 10.0, 0.75, 0.5, 1.2, 0.4
ROUNDED = 0.85  # radius of a disc per that of the ellipsoid


def flat_bodies(lattice: Lattice, of: Flags, places: Array) -> list[tuple[Rod, float]]:
    """Discs and half their thickness, for places around which rays show an ellipsoid as flat; what fits best first.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        places: (n, 4) and depths.
    """
    from microlith.imaging.shapes.rod_rays import look_around, quadrics  # numba, late as in `path_lengths`

    places = places[places[:, 3] >= SHALLOWEST]
    sights = even_directions(FEW)
    hits = np.empty((len(places), FEW))
    look_around(lattice.phase, of, lattice.size, sights, places, WIDEST_DISC, int((1 - SEEN) * FEW), COARSE, hits)
    seen = (hits > 0).mean(axis=1) > SEEN
    places, hits = places[seen], hits[seen]
    fits, good = np.empty((len(places), 9)), np.zeros(len(places), bool)
    quadrics(sights, hits, places[:, 3], fits, good)
    fits, places, hits = fits[good], places[good], hits[good]
    curved, ways = np.linalg.eigh(_matrix(fits))
    flat = (curved[:, 0] > LIKE * curved[:, 1]) & (curved[:, 2] > FLATTER * curved[:, 1]) & (curved[:, 0] > TINY)
    fits, places, hits, curved, ways = fits[flat], places[flat], hits[flat], curved[flat], ways[flat]
    reached = (hits / places[:, 3:])[:, :, None] * sights
    left = ((reached @ _matrix(fits) + 2 * fits[:, None, 6:]) * reached).sum(axis=2) - 1
    uneven = np.sqrt(np.where(hits > 0, left**2, 0).sum(axis=1) / (hits > 0).sum(axis=1))
    out: list[tuple[Rod, float]] = []
    for number in np.argsort(uneven, kind="stable"):
        if uneven[number] > UNEVEN:
            break
        bent, way, place = curved[number], ways[number], places[number]
        shift = -(way / bent) @ (way.T @ fits[number, 6:])
        axes = np.sqrt((1 - shift @ fits[number, 6:]) / bent) * place[3]
        radius = ROUNDED * float(np.sqrt(axes[0] * axes[1]))
        if radius > LEAST:
            out.append((Rod(place[:3] + place[3] * shift, way[:, 2].copy(), radius), float(axes[2])))
    return out


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
    look_around(lattice.phase, of, lattice.size, sights, places, FARTHEST, RAYS, FINE, hits)
    fits, good = np.empty((len(places), 9)), np.zeros(len(places), bool)
    quadrics(sights, hits, places[:, 3], fits, good)
    fits, places, hits = fits[good], places[good], hits[good]
    curved, ways = np.linalg.eigh(_matrix(fits))
    tube = (curved[:, 1] > 0) & (curved[:, 1] > UNLIKE * curved[:, 2])
    ball_like = tube & (curved[:, 0] > LONG * curved[:, 1]) & (places[:, 3] > LEAST)
    flat = (curved[:, 0] > FLAT * curved[:, 1]) & (curved[:, 1] < curved[:, 2] / FLAT_OVER) & ~ball_like
    flat &= places[:, 3] > SHALLOW
    farther = np.empty((flat.sum(), RAYS))
    look_around(lattice.phase, of, lattice.size, sights, places[flat], WIDEST, RAYS, FINE, farther)
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


def _matrix(fits: Array) -> Array:
    """Matrices (n, 3, 3) of quadrics, from what `quadrics` gives."""
    return fits[:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
