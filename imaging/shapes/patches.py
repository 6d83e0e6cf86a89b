"""Spheres that fit parts of the surface of a set of phases that no ball has."""

import numpy as np

from microlith.imaging.shapes.candidates import LEAST, LEAST_BARE, MOST, MOST_BARE
from microlith.imaging.shapes.found import SLACK, Lattice, held
from microlith.imaging.typing import Array, Flags, Numbers

BLOCK = 4.0  # longest edges of the blocks in each of which one place is begun from


def spheres_on_patches(
    lattice: Lattice, of: Flags, balls: Array, radii: list[float], most: int = MOST_BARE
) -> list[Array]:
    """Spheres (n, 4) of each of some radii, that fit parts of the surface that no ball has.

    Those with most voxels come first.

    Args:
        lattice: Voxels.
        of: (phases,) those within.
        balls: (m, 4) that are known.
        radii: Of the spheres; 0 where it may be any.
        most: Voxels at such parts; of more none are looked at.
    """
    from microlith.imaging.shapes.loops import bare_voxels  # numba, late as in `path_lengths`
    from microlith.imaging.shapes.patch_loops import grow_spheres, normals_at, with_voxels_of_their_own

    hold = held(lattice.phase.shape, 0, balls, lattice.size, lattice.dim, SLACK)
    voxels: Numbers = np.zeros((most, 3), np.int64)
    count = bare_voxels(lattice.phase, of, hold, lattice.dim, voxels)
    if count > most or count < LEAST_BARE:
        return [np.zeros((0, 4)) for _ in radii]
    voxels = voxels[:count]
    points = (voxels + 0.5) * lattice.size
    shape = np.floor(np.array(lattice.phase.shape) * lattice.size / BLOCK).astype(np.int64) + 1
    block = np.ravel_multi_index(tuple(np.floor(points / BLOCK).astype(np.int64).T), tuple(shape))
    order = np.argsort(block, kind="stable")
    points, voxels, block = points[order], voxels[order], block[order]
    normals = np.zeros(points.shape)
    normals_at(lattice.phase, of, lattice.size, voxels, normals)
    bounds = np.searchsorted(block, np.arange(np.prod(shape) + 1))
    starts = np.stack([bounds[:-1], bounds[1:]], axis=1).reshape(*shape, 2)
    there = bounds[:-1][bounds[1:] > bounds[:-1]]
    seeds = (there + bounds[1:][bounds[1:] > bounds[:-1]]) // 2
    found = np.empty((len(seeds), 5))
    out: list[Array] = []
    for radius in radii:
        spheres = found[: grow_spheres(points, normals, BLOCK, starts, seeds, radius, found)]
        spheres = spheres[spheres[:, 3] >= LEAST[lattice.dim]]
        spheres = spheres[np.argsort(-spheres[:, 4], kind="stable"), :4]
        out.append(spheres[with_voxels_of_their_own(points, normals, spheres, radius > 0)][:MOST])
    return out
