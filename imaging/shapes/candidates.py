"""Places where balls may be: where a set of phases is deepest, and spheres that fit what rays from there meet."""

from dataclasses import dataclass
from itertools import pairwise

import edt
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from microlith.imaging.microstructure.sights import even_directions
from microlith.imaging.shapes.found import SLACK, Lattice, held
from microlith.imaging.typing import Array, Flags, Numbers, Singles

LEAST = {2: 4.0, 3: 4.5}  # radius, longest edges of voxels
STRIDE = {2: 1, 3: 2}  # of the voxels among which the deepest are looked for
BLOCK = 8  # of these, of which the deepest is taken as well
LEAST_RIDGE = 3.4  # depth, longest edges
DEEP = 0.6  # of the least radius, of those
FEW, SOME, DENSE = {2: 60, 3: 120}, {2: 120, 3: 480}, {2: 40.0, 3: 12.0}  # rays; the last per longest edge (squared)
MOST_RAYS = 20000
MOST = 2000  # balls of a set of phases, the largest: each takes some hundredths of a second
AT_FRAME = 3.0  # voxels within which the frame may hide a ball's middle
# What rays tell (see `refine`): largest root mean square and mean residue in an octant, longest edges. They are 0.33
# and 0.2 for balls, and above 0.4 for all but a few bodies of other shapes; of few rays more
ROUGH, EVEN, ROUGH_OF_FEW, EVEN_OF_FEW = 0.4, 0.25, 0.46, 0.45
SHARE, EARLY, WIDE = 0.08, 0.1, 0.6  # of rays that meet it, and that leave before; first reach at the frame, in radii
MOST_BARE, LEAST_BARE = 200_000, 30  # voxels at the surface that no ball holds; in one piece
ALIKE = 0.3  # longest edges between the middles, and the radii, of spheres that are one
JOINED = 1.8  # longest edges between voxels of a piece


@dataclass(frozen=True, eq=False)
class _Rays:
    good: Flags  # (n,) whether a sphere fits
    place: Array  # (n, 4)
    rough: Array  # (n,) root mean square residue, longest edges
    even: Array  # (n,) largest mean residue in an octant

    def round(self, rough: float, even: float) -> Flags:
        """Which spheres (n,) fit so well."""
        return np.asarray(self.good & (self.rough < rough) & (self.even < even))


@dataclass(frozen=True, eq=False)
class DeepPlaces:
    """Where a set of phases is deep, (n, 4) with the depth, longest edges."""

    peaks: Array  # deeper than around
    of_blocks: Array  # the deepest of each block of voxels: along a cylinder there may be no peaks
    ridges: Array  # on lines from which it gets less deep to all sides: in a bore that opens into what is deeper


def deep_places(lattice: Lattice, of: Flags) -> DeepPlaces:
    """Where a set of phases is deepest."""
    from microlith.imaging.shapes.loops import find_peaks, find_ridges  # numba, late as in `path_lengths`

    stride, axes = STRIDE[lattice.dim], lattice.axes
    steps = np.where(np.arange(3) < 3 - lattice.dim, 1, stride)
    some = lattice.phase[tuple(slice(None, None, step) for step in steps)]
    inside = of.astype(np.uint8)[some]
    if not inside.any() or inside.all():
        return DeepPlaces(*np.zeros((3, 0, 4)))
    spacing = tuple(lattice.size * steps)[axes]
    shape = some.shape[axes]
    depth: Singles = np.asarray(edt.edt(inside.reshape(shape), anisotropy=spacing, black_border=False), np.float32)
    depth = depth.reshape(some.shape)
    found = np.zeros((max(16, inside.size // 8), 3), np.int64)
    count = find_peaks(depth, DEEP * LEAST[lattice.dim], found)

    def told(places: Numbers) -> Array:
        deep = depth[tuple(places.T)].astype(np.float64) - 0.5 * max(spacing)
        return np.column_stack([(places * steps + 0.5) * lattice.size, deep])

    peaks = told(found[:count])
    if lattice.dim == 2:
        return DeepPlaces(peaks, *np.zeros((2, 0, 4)))
    ridges = find_ridges(depth, lattice.size * steps, LEAST_RIDGE, BLOCK // 2, found)
    return DeepPlaces(peaks, told(_deepest(depth)), told(found[:ridges]))


def _deepest(depth: Singles) -> Numbers:
    """The first of the deepest places (n, 3) of each block, where there is a depth."""
    padded = np.zeros([-(-n // BLOCK) * BLOCK for n in depth.shape], np.float32)
    padded[tuple(slice(n) for n in depth.shape)] = depth
    count = [n // BLOCK for n in padded.shape]
    blocks = padded.reshape(count[0], BLOCK, count[1], BLOCK, count[2], BLOCK).swapaxes(1, 2).swapaxes(3, 4)
    blocks = blocks.swapaxes(2, 3).reshape(-1, BLOCK**3)
    best = blocks.argmax(axis=1)
    there = np.flatnonzero(blocks[np.arange(len(blocks)), best] > 0)
    inner = np.stack(np.unravel_index(best[there], (BLOCK,) * 3), axis=1)
    return np.asarray(np.stack(np.unravel_index(there, count), axis=1) * BLOCK + inner)


def round_bodies(lattice: Lattice, of: Flags, places: Array) -> Array:
    """Of places (n, 4) those around which rays show a sphere, with its middle and radius, (m, 4), the largest first."""
    fits: list[Array] = [np.zeros((0, 4))]
    cut = _cut(lattice, places)
    for faces in np.unique(cut):  # of the rays about one in two, four, eight lies within the frame
        first = places[cut == faces]
        for wide in (0.0, WIDE) if faces else (0.0,):
            few = _rays(lattice, of, first, FEW[lattice.dim] << faces, wide)
            rough = few.round(ROUGH_OF_FEW, EVEN_OF_FEW)
            some = _rays(lattice, of, few.place[rough], SOME[lattice.dim] << faces)
            fits.append(some.place[some.round(ROUGH, EVEN)])
            first = first[~rough]
    found = np.concatenate(fits)
    out: Array = np.zeros((0, 4))
    for place in found[np.argsort(-found[:, 3], kind="stable")]:
        if known(place, out, ALIKE):
            continue
        if len(out) == MOST:
            break
        rays = int(np.clip(DENSE[lattice.dim] * place[3] ** (lattice.dim - 1), SOME[lattice.dim], MOST_RAYS))
        third = _rays(lattice, of, place[None], rays)
        if third.good[0] and third.rough[0] < ROUGH and not known(third.place[0], out, ALIKE):
            out = np.concatenate([out, third.place])
    return out


def rough_bodies(lattice: Lattice, of: Flags, places: Array) -> Array:
    """Spheres (m, 4) that some rays around places (n, 4) show, however well they fit: of balls that others touch."""
    rays = _rays(lattice, of, places, SOME[lattice.dim])
    return rays.place[rays.good]


def known(place: Array, places: Array, alike: float) -> bool:
    """Whether a ball (4,) is one of some (n, 4)."""
    return bool((np.abs(places - place).max(axis=1) < alike).any())


def _rays(lattice: Lattice, of: Flags, places: Array, count: int, wide: float = 0.0) -> _Rays:
    from microlith.imaging.shapes.loops import refine  # numba, late as in `path_lengths`

    limits = np.array([LEAST[lattice.dim], SHARE, EARLY, wide])
    middle, radius = places[:, :3].copy(), places[:, 3].copy()
    good: Flags = np.zeros(len(places), bool)
    shape: Array = np.zeros((len(places), 2))
    sights = directions(lattice.dim, count)
    refine(lattice.phase, of, lattice.size, lattice.dim, sights, middle, radius, limits, good, shape)
    return _Rays(good, np.column_stack([middle, radius]), shape[:, 0], shape[:, 1])


def _cut(lattice: Lattice, places: Array) -> Numbers:
    """Beside how many faces of the frame places (n, 4) lie, which then may hide the middle of a ball: 3 at most."""
    ends = np.array(lattice.phase.shape) * lattice.size
    rim = AT_FRAME * lattice.size
    near = (places[:, :3] < rim) | (places[:, :3] > ends - rim)
    return np.asarray(near[:, lattice.axes].sum(axis=1))


def directions(dim: int, count: int) -> Array:
    """Unit vectors (count, 3) evenly over all directions, in 2D across the first axis."""
    if dim == 2:
        angle = (np.arange(count) + 0.5) * 2 * np.pi / count
        return np.stack([np.zeros(count), np.sin(angle), np.cos(angle)], axis=1)
    return even_directions(count)


def left_over(lattice: Lattice, of: Flags, balls: Array) -> Array:
    """Spheres (n, 4) that fit the connected pieces of a set's surface that no ball has."""
    from microlith.imaging.shapes.loops import bare_voxels  # numba, late as in `path_lengths`

    axes = lattice.axes
    hold = held(lattice.phase.shape, 0, balls, lattice.size, lattice.dim, SLACK)
    voxels: Numbers = np.zeros((MOST_BARE, 3), np.int64)
    count = bare_voxels(lattice.phase, of, hold, lattice.dim, voxels)
    if count > MOST_BARE or count < LEAST_BARE:
        return np.zeros((0, 4))
    points = (voxels[:count] + 0.5) * lattice.size
    pairs = cKDTree(points[:, axes]).query_pairs(JOINED, output_type="ndarray")
    graph = sparse.coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(count, count))
    pieces, piece = csgraph.connected_components(graph, directed=False)
    order = np.argsort(piece, kind="stable")
    bounds = np.searchsorted(piece[order], np.arange(pieces + 1))
    out: list[Array] = [np.zeros((0, 4))]
    for first, last in pairwise(bounds):
        if last - first >= LEAST_BARE:
            sphere = _sphere(points[order[first:last]], lattice)
            if sphere is not None:
                out.append(sphere[None])
    return np.concatenate(out)


def _sphere(points: Array, lattice: Lattice) -> Array | None:
    """The sphere (4,) that fits points (n, 3) best, from voxels' middles just within; None where it is too small."""
    axes = lattice.axes
    middle = points.mean(axis=0)
    apart = points[:, axes] - middle[axes]
    kinds = np.column_stack([2 * apart, np.ones(len(apart))])
    fit = np.linalg.lstsq(kinds, (apart**2).sum(axis=1), rcond=None)[0]
    square = fit[-1] + (fit[:-1] ** 2).sum()
    if square < (0.8 * LEAST[lattice.dim]) ** 2:
        return None
    middle[axes] += fit[:-1]
    return np.append(middle, np.sqrt(square) + 0.3)
