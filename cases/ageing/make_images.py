"""Makes tomograms of one silicon anode in four states: pristine, and after 3, 100 and 300 cycles.

    python make_images.py            writes an image for each state beside this script
    python make_images.py --check    only prints the figures of the images that are there

The tomograms of Vorauer et al. (2020), doi 10.1038/s42004-020-00386-x, are not public. What is published of them, and
what these have to the voxel: 32.5 x 97.5 x 97.5 um in voxels of 0.65 um; pores lose 37.2, 58.8 and 76.5 % of their
volume, SEI/carbon/binder (SEI/C/B) gains 21.8, 33.3 and 38.2 %, graphite stays. Particles get the rest. README.md tells
what else is published and how much of it these have.

All is made from random numbers of one seed:

* graphite: flat ellipsoids, the same in all states;
* particles: rounded bodies; with cycling some of them fall to powder finer than a voxel, which counts as SEI/C/B, and
  the others crack;
* pores: where a random field is high, in layers with fewer pores between them. With cycling most of them close, in the
  order of a score. Ways from the surface stay open: few lead deep, and through few throats from layer to layer.

Labels: 0 pore, 1 SEI/C/B, 2 particle, 3 graphite. z is the depth; the electrolyte is at z = 0.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage, sparse
from scipy.sparse import csgraph

VOXEL_UM = 0.65
SHAPE = (50, 150, 150)  # z (32.5 um), y, x (97.5 um)
PORE, MATRIX, PARTICLE, GRAPHITE = 0, 1, 2, 3
FOLDER = Path(__file__).parent
SEED = 1  # chosen for ways that lengthen evenly with depth; README.md tells what others give

PRISTINE_PORES = 0.235
PRISTINE_MATRIX = 0.63985 / 1.333  # after 100 cycles 0.63985 of a section is published
PRISTINE_PARTICLES = 0.041
PORE_SCALE = (0.8, 0.75, 0.75)  # finest standard deviation in the field of the pores, z, y, x (voxels)
LAYER = 6  # thickness of the layers of the electrode (voxels)
LAYER_WAVES = 2.0  # standard deviation of their height (voxels)
LAYERING = 0.45  # how much rarer pores are between two layers than within them, in standard deviations of their field
PLACES = 40  # of which each particle takes the freest
FATES = 4  # of so many particles that one falls to powder that is farthest from others that did


@dataclass(frozen=True)
class State:
    """What a number of cycles has done; lengths in voxels."""

    cycles: int
    pores: float  # volume over that when pristine, published
    matrix: float  # the same of SEI/C/B
    powder: float = 0.0  # share of the particles, by number, that fell to powder
    cracks: float = 0.0  # width of the cracks in the others
    # Ways from the surface that stay open
    throats: float = 0.0  # between two layers, at the surface
    throats_decay: float = 1.0  # depth over which their number falls to 1/e
    closed_cost: float = 0.0  # length of the detour that a way rather takes than to lead where there is no throat
    ends: float = 0.0  # of ways, in the uppermost section
    ends_decay: float = 1.0  # depth over which their number falls to 1/e
    ends_last: int = 0  # at least, in the last section
    # What makes other pores close late
    by_field: float = 0.0  # the field of the pores: middles of pores close last
    by_thickness: float = 0.0  # pores around
    by_place: float = 0.0  # a smooth random field
    by_distance: float = 0.0  # from the nearest particle

    @property
    def name(self) -> str:
        """Of the image and of the case file."""
        return f"{self.cycles}-cycles" if self.cycles else "pristine"


PRISTINE = State(0, 1.0, 1.0)
AGED = (
    State(3, 1 - 0.372, 1 + 0.218, powder=0.30, cracks=1.0, by_thickness=1.0, by_place=1.0, by_distance=0.03),
    State(
        100, 1 - 0.588, 1 + 0.333, powder=0.40, cracks=1.4, by_field=1.0, by_distance=0.04,
        throats=1500, throats_decay=12, closed_cost=100, ends=200, ends_decay=11, ends_last=10,
    ),
    State(
        300, 1 - 0.765, 1 + 0.382, powder=0.50, cracks=1.4, by_field=1.0, by_distance=0.07,
        throats=5000, throats_decay=5.0, closed_cost=300, ends=150, ends_decay=5.5, ends_last=2,
    ),
)  # fmt: skip
STATES = (PRISTINE, *AGED)


@dataclass(frozen=True)
class Particles:
    """Particles as they were when pristine; lengths in voxels."""

    level: np.ndarray  # distance to the surface of the nearest, negative within
    cracks: np.ndarray  # distance to the nearest crack
    toughness: np.ndarray  # of the nearest: 0 falls to powder first, 1 never


def noise(rng: np.random.Generator, *lengths: float) -> np.ndarray:
    """Smooth random field of mean 0 and variance 1, of standard deviations of the smoothing along z, y, x (voxels)."""
    margin = math.ceil(3 * max(lengths))
    wide = rng.standard_normal([n + 2 * margin for n in SHAPE], dtype=np.float32)
    field = ndimage.gaussian_filter(wide, lengths)[(slice(margin, -margin),) * 3]
    return (field - field.mean()) / field.std()


def highest(score: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    """The `count` voxels of highest score among some."""
    places = np.flatnonzero(among)
    best = np.argpartition(-score.ravel()[places], count - 1)[:count]
    out = np.zeros(score.shape, bool)
    out.ravel()[places[best]] = True
    return out


def turned(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """Random rotation (3, 3) of z, y, x whose first axis leans from z by `tilt` (standard deviation, radians)."""
    normal = np.array([1.0, *rng.normal(0, tilt, 2)])
    matrix = np.column_stack([normal, rng.standard_normal((3, 2))])
    return np.linalg.qr(matrix)[0].T


def graphite_level(rng: np.random.Generator) -> np.ndarray:
    """Level whose low values are flakes that lie about flat, as calendering leaves them."""
    level = np.full(SHAPE, np.inf, np.float32)
    for _ in range(260):
        centre, turn = rng.uniform(0, SHAPE), turned(rng, 0.25)
        axes = np.array([rng.uniform(1.6, 2.6), *rng.uniform(8, 17, 2)])
        low, high = (np.clip((centre + side * 1.6 * axes.max()), 0, SHAPE).astype(int) for side in (-1, 1))
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        own = np.linalg.norm((grid - centre) @ turn.T / axes, axis=-1)
        np.minimum(level[box], own, out=level[box])
    return level + 0.08 * noise(rng, 1, 2, 2)


def toughnesses(rng: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Toughness of particles in an order that leaves no large part of the image without tough ones."""
    weak, left = [], list(rng.permutation(len(centres)))
    while left:
        some = left[:FATES]
        apart = np.linalg.norm(centres[some][:, None] - centres[weak], axis=-1).min(axis=1, initial=np.inf)
        weak.append(some[int(np.argmax(apart))])
        left.remove(weak[-1])
        left = list(rng.permutation(left))
    out = np.empty(len(centres))
    out[weak] = np.arange(len(centres)) / len(centres)
    return out


def particles(rng: np.random.Generator, graphite: np.ndarray) -> Particles:
    """Balls with waves on them, apart from each other, with their centres outside of graphite."""
    level = np.full(SHAPE, np.inf, np.float32)
    cracks, toughness = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    diameters = np.exp(rng.normal(math.log(5.2), 0.2, 1000)) / VOXEL_UM
    diameters = diameters[(diameters > 3.0 / VOXEL_UM) & (diameters < 6.4 / VOXEL_UM)]
    count = int(np.searchsorted(np.cumsum(np.pi / 6 * diameters**3), 1.15 * PRISTINE_PARTICLES * math.prod(SHAPE)))
    depth = ndimage.distance_transform_edt(~graphite)
    placed = np.empty((0, 4))
    for radius in np.sort(diameters[:count])[::-1] / 2:
        # Of some free places the farthest from all others: no large part of the image is without particles
        centres = rng.uniform(0, SHAPE, (PLACES, 3))
        centres = centres[depth[tuple(centres.astype(int).T)] > 0.6 * radius]
        apart = np.linalg.norm(placed[:, None, :3] - centres, axis=-1) - placed[:, None, 3] - radius
        nearest = apart.min(axis=0, initial=np.inf)
        best = int(np.argmax(nearest))
        if nearest[best] > 2:
            placed = np.vstack([placed, [*centres[best], radius]])
    for (*centre, radius), tough in zip(placed, toughnesses(rng, placed[:, :3]), strict=True):
        reach = 2 * radius + 2
        low = [max(0, int(c - reach)) for c in centre]
        high = [min(n, int(c + reach) + 2) for c, n in zip(centre, SHAPE, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        offset = grid + 0.5 - np.array(centre)
        distance = np.linalg.norm(offset, axis=-1) + 1e-9
        shape = np.ones_like(distance)
        for _ in range(6):
            wave = rng.standard_normal(3)
            wave *= rng.uniform(1, 3) / np.linalg.norm(wave)
            shape += 0.06 * np.cos(offset @ wave / distance + rng.uniform(0, 2 * math.pi))
        own = distance - radius * shape
        # Cracks run between the cells of a few points within the particle.
        seeds = rng.normal(0, 0.5 * radius, (4, 3))
        to_seeds = np.sort(np.linalg.norm(offset[..., None, :] - seeds, axis=-1), axis=-1)
        nearer = own < level[box]
        level[box][nearer] = own[nearer]
        cracks[box][nearer] = (to_seeds[..., 1] - to_seeds[..., 0])[nearer]
        toughness[box][nearer] = tough
    return Particles(level, cracks, toughness)


def in_state(bodies: Particles, state: State) -> np.ndarray:
    """Level of the particles that are left, low within them."""
    level = bodies.level.copy()
    level[bodies.toughness < state.powder] = np.inf
    if state.cracks:
        level += 3.0 * np.clip(state.cracks - bodies.cracks, 0, None)
    return level


def pore_field(rng: np.random.Generator) -> np.ndarray:
    """Random field, high in pores: of a narrow band of wavelengths, so that pores are about alike in width."""
    margin = 8
    white = rng.standard_normal([n + 2 * margin for n in SHAPE], dtype=np.float32)
    inner = (slice(margin, -margin),) * 3
    fine, coarse = (ndimage.gaussian_filter(white, scale * np.array(PORE_SCALE))[inner] for scale in (1.0, 1.8))
    field = fine / fine.std() - 0.6 * coarse / coarse.std()
    return field / field.std()


def layers(rng: np.random.Generator) -> np.ndarray:
    """Places between the layers of the electrode: whole numbers (voxels), 0 in a wavy surface between two layers.

    No path over faces of voxels crosses such a surface without a voxel of it.
    """
    wave = np.rint(LAYER_WAVES * noise(rng, 0, 8, 8)[0]).astype(int)
    return (np.arange(SHAPE[0]).reshape(-1, 1, 1) - wave) % LAYER


def ways(rng: np.random.Generator, pore: np.ndarray, between: np.ndarray, state: State) -> np.ndarray:
    """Pores on the ways from z = 0 that stay open in a state.

    They are the cheapest ways to some places, of which there are the fewer the deeper. Between two layers a way costs
    much but at throats, of which there are the fewer the deeper. So deep ways lead far along the layers.
    """
    depth = np.arange(SHAPE[0])
    share = state.throats * np.exp(-depth / state.throats_decay) / (PRISTINE_PORES * SHAPE[1] * SHAPE[2])
    closed = between & (rng.uniform(size=SHAPE) > share.reshape(-1, 1, 1))
    cost = np.where(closed, state.closed_cost, rng.uniform(0.7, 1.3, SHAPE))
    places = np.flatnonzero(pore)
    number = np.full(SHAPE, -1)
    number.ravel()[places] = np.arange(len(places))
    # One more node, next to all pores at z = 0: the electrolyte
    links = [np.stack([number[0][number[0] >= 0], np.full(np.count_nonzero(pore[0]), len(places))])]
    for axis in range(3):
        along = np.moveaxis(number, axis, 0)
        pair = np.stack([along[:-1].ravel(), along[1:].ravel()])
        links.append(pair[:, (pair >= 0).all(axis=0)])
    one, other = np.concatenate(links, axis=1)
    own = np.append(cost.ravel()[places], 0.0)
    graph = sparse.coo_array((own[one] + own[other], (one, other)), shape=(len(own),) * 2).tocsr()
    length, before = csgraph.dijkstra(graph, directed=False, indices=len(places), return_predecessors=True)
    keep = np.zeros(len(own), bool)
    for z in depth:
        there = number[z][number[z] >= 0]
        count = max(round(state.ends * math.exp(-z / state.ends_decay)), state.ends_last * (z == depth[-1]))
        way = rng.permutation(there[np.isfinite(length[there])])[:count]
        while way.size:
            way = np.unique(way[(way >= 0) & (way < len(places))])
            way = way[~keep[way]]
            keep[way] = True
            way = before[way]
    out = np.zeros(SHAPE, bool)
    out.ravel()[places[keep[:-1]]] = True
    return out | (pore & ~between & ndimage.binary_dilation(out))


def aged_pores(
    rng: np.random.Generator, pore: np.ndarray, field: np.ndarray, between: np.ndarray, bodies: Particles
) -> dict[str, np.ndarray]:
    """Pores of the aged states, each what the one before has left of the pristine ones."""
    place = noise(rng, 3, 4, 4)
    open_: dict[str, np.ndarray] = {}
    kept = np.zeros(SHAPE, bool)
    for state in AGED[::-1]:  # what is open in the end has been so all the time
        if state.ends:
            kept = kept | ways(rng, pore, between, state)
        open_[state.name] = kept
    around = ndimage.gaussian_filter(pore.astype(np.float32), 1.0)
    thickness = (around - around[pore].mean()) / around[pore].std()
    out, left = {}, pore
    for state in AGED:
        away = ndimage.distance_transform_edt(in_state(bodies, state) > 0)
        score = state.by_field * field + state.by_thickness * thickness
        score += state.by_place * place + state.by_distance * away
        way = open_[state.name]
        if state is AGED[-1]:  # no way but these
            score[ndimage.binary_dilation(way)] -= 1000
        score[way] = np.inf
        left = highest(score, left, round(state.pores * np.count_nonzero(pore)))
        out[state.name] = left
    return out


def make() -> dict[str, np.ndarray]:
    """The label image of each state, (50, 150, 150) of uint8."""
    rng = np.random.default_rng(SEED)
    size = math.prod(SHAPE)
    share = 1 - PRISTINE_PORES - PRISTINE_MATRIX - PRISTINE_PARTICLES
    graphite = highest(-graphite_level(rng), np.ones(SHAPE, bool), round(share * size))
    bodies = particles(rng, graphite)
    layer = layers(rng)
    field = pore_field(rng) - LAYERING * np.cos(2 * np.pi * layer / LAYER)
    field -= 0.6 * field.mean(axis=(1, 2), keepdims=True)  # small sections would differ too much
    solid = highest(-in_state(bodies, PRISTINE), ~graphite, round(PRISTINE_PARTICLES * size))
    first = highest(field, ~graphite & ~solid, round(PRISTINE_PORES * size))
    pores = {PRISTINE.name: first} | aged_pores(rng, first, field, layer == 0, bodies)
    images: dict[str, np.ndarray] = {}
    for state in STATES:
        pore = pores[state.name]
        left = size - int(pore.sum()) - round(state.matrix * PRISTINE_MATRIX * size) - int(graphite.sum())
        solid = highest(-in_state(bodies, state), ~graphite & ~pore, left)
        image = np.full(SHAPE, MATRIX, np.uint8)
        image[graphite], image[solid], image[pore] = GRAPHITE, PARTICLE, PORE
        images[state.name] = image
    return images


def report(images: dict[str, np.ndarray]) -> None:
    """Print the volume of each phase, and its change against the pristine state."""
    first = np.bincount(images[PRISTINE.name].ravel(), minlength=4)
    for name, image in images.items():
        counts = np.bincount(image.ravel(), minlength=4)
        parts = zip(("pore", "SEI/C/B", "particle", "graphite"), counts, first, strict=True)
        print(f"{name:12s}", *(f"{phase} {n / image.size:.4f} ({n / m - 1:+.1%})" for phase, n, m in parts), sep="  ")


def write(path: Path, image: np.ndarray) -> None:
    """Multi-page TIFF, deflated, with its voxel size."""
    tifffile.imwrite(
        path,
        image,
        compression="zlib",
        resolution=(1 / VOXEL_UM, 1 / VOXEL_UM),
        imagej=True,
        metadata={"axes": "ZYX", "spacing": VOXEL_UM, "unit": "um"},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the images of this case, or print their figures.")
    parser.add_argument("--check", action="store_true", help="only print the figures of the images that are there")
    files = {state.name: FOLDER / f"{state.name}.tif" for state in STATES}
    if not parser.parse_args().check:
        for name, image in make().items():
            write(files[name], image)
    report({name: tifffile.imread(file) for name, file in files.items()})
