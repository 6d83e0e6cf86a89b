"""Makes aged.tif and pristine.tif: synthetic FIB-SEM volumes of a silicon anode with the published statistics.

    python make_images.py            writes both images beside this script
    python make_images.py --check    only prints the figures of the images that are there

The images of Vorauer et al. (2020), doi 10.1038/s42004-020-00386-x, are not public. What is published of them, and what
these have:

* slices 40 nm apart, pixels of 20 x 20 nm; here 200 slices of 250 x 250 pixels: 5 x 5 x 8 um;
* pristine: 37.54 % pores; after 100 cycles 58.8 % less, so 15.5 %, and those are micrometres across;
* after 100 cycles 63.985 % SEI/carbon/binder, which is 33.3 % more than the pristine 48.0 %;
* the rest is particles: 0.90 um on average and smooth when pristine, 0.33 um and rough after 100 cycles, then about ten
  times as many per area of a section. Sizes are those of discs of the same area in the slices.

Labels: 0 pore, 1 SEI/C/B, 2 particle.
"""

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from skimage import measure, morphology

VOXEL_UM = (0.04, 0.02, 0.02)  # z, y, x
SHAPE = (200, 250, 250)  # z (8 um), y (5 um), x (5 um)
EXTENT_UM = (8.0, 5.0, 5.0)
PORE, MATRIX, PARTICLE = 0, 1, 2
FOLDER = Path(__file__).parent

# Where the pores of the aged anode lie: x, y, z, half axes (um). Between them the SEI/C/B has grown together.
AGED_PORES = (
    (0.85, 0.95, 0.65, 1.15, 0.95, 0.80),
    (2.30, 0.30, 1.90, 0.45, 0.40, 0.45),
    (4.40, 0.60, 1.00, 0.95, 0.75, 1.05),
    (3.10, 4.50, 0.60, 1.20, 0.80, 0.70),
    (4.30, 4.00, 2.90, 0.95, 1.15, 0.80),
    (0.30, 4.85, 3.60, 0.80, 0.70, 0.95),
    (4.60, 0.70, 5.00, 0.75, 0.95, 1.10),
    (2.30, 2.60, 7.30, 1.15, 0.95, 0.75),
    (0.30, 0.40, 7.60, 0.80, 0.85, 0.65),
    (4.70, 4.60, 6.60, 0.85, 0.95, 1.10),
    (1.30, 4.80, 6.50, 0.80, 0.75, 0.70),
)
# Regions of the case files: x, y, z of the centre and radius (um), in the aged image
SPHERES = {
    "I": (2.13, 0.81, 1.26, 0.25),  # between two pores
    "II": (1.45, 1.80, 2.10, 0.25),
    "III": (1.25, 1.65, 2.90, 0.25),
    "IV": (0.50, 0.75, 3.95, 0.25),
}


@dataclass(frozen=True)
class Anode:
    """How one of the two images is made; lengths in um."""

    seed: int
    pore_share: float
    matrix_share: float
    size: float  # median diameter of the particles drawn
    spread: float  # of the logarithm of their diameters
    smallest: float
    largest: float
    lobes: float  # height of the waves on a particle's surface, of its radius
    waves: tuple[float, float]  # fewest and most of them around it
    rough: float  # height of the noise on it
    gap: tuple[float, float]  # between neighbours, least and most
    skin: int  # voxels of SEI/C/B at least between pore and particle
    pores: tuple[tuple[float, ...], ...] = ()  # none: a random field

    @property
    def particle_share(self) -> float:
        """What pores and SEI/C/B leave."""
        return 1 - self.pore_share - self.matrix_share


PRISTINE_PORES = 0.3754
AGED_MATRIX = 0.63985
AGED = Anode(
    seed=2020, pore_share=PRISTINE_PORES * (1 - 0.588), matrix_share=AGED_MATRIX,
    size=0.40, spread=0.34, smallest=0.18, largest=0.9, lobes=0.26, waves=(2.0, 7.0), rough=0.012,
    gap=(0.08, 0.12), skin=2, pores=AGED_PORES,
)  # fmt: skip
PRISTINE = Anode(
    seed=2019, pore_share=PRISTINE_PORES, matrix_share=AGED_MATRIX / 1.333,
    size=1.02, spread=0.36, smallest=0.55, largest=2.6, lobes=0.22, waves=(1.0, 3.0), rough=0.0,
    gap=(0.10, 0.20), skin=0,
)  # fmt: skip
ANODES = {"aged": AGED, "pristine": PRISTINE}


def noise(rng: np.random.Generator, length: float) -> np.ndarray:
    """Smooth random field of unit variance: white noise on a coarse grid, smoothed over a length (um), interpolated."""
    step = length / 2
    points = [int(np.ceil(edge / step)) + 2 for edge in EXTENT_UM]
    field = ndimage.gaussian_filter(rng.standard_normal(points, dtype=np.float32), 2.0, mode="reflect")
    for axis, (count, voxel) in enumerate(zip(SHAPE, VOXEL_UM, strict=True)):
        at = (np.arange(count) + 0.5) * voxel / step
        low = np.minimum(at.astype(int), points[axis] - 2)
        weight = (at - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        field = np.take(field, low, axis) * (1 - weight) + np.take(field, low + 1, axis) * weight
    return field / field.std()


def cut(level: np.ndarray, count: int, smallest: int) -> np.ndarray:
    """The `count` voxels of lowest level, without specks and holes of fewer than `smallest` voxels."""
    wanted = count
    for _ in range(3):  # the level moves by what cleaning took or gave
        solid = level <= np.partition(level.ravel(), wanted - 1)[wanted - 1]
        solid = morphology.remove_small_objects(solid, max_size=smallest, connectivity=1)
        solid = morphology.remove_small_holes(solid, max_size=smallest, connectivity=1)
        wanted += count - int(solid.sum())
    return solid


def smoothed(solid: np.ndarray) -> np.ndarray:
    """Without what is thinner than a voxel or two, by majority vote, as a segmentation does it."""
    return ndimage.uniform_filter(solid.astype(np.float32), 3, mode="nearest") > 0.5


def aged_pores(rng: np.random.Generator, anode: Anode) -> np.ndarray:
    """Level whose low values are pores: warped ellipsoids, turned at random."""
    z, y, x = (
        ((np.arange(n, dtype=np.float32) + 0.5) * edge).reshape([-1 if i == axis else 1 for i in range(3)])
        for axis, (n, edge) in enumerate(zip(SHAPE, VOXEL_UM, strict=True))
    )
    level = np.full(SHAPE, np.inf, np.float32)
    for cx, cy, cz, *axes in anode.pores:
        turn = np.linalg.qr(np.eye(3) + 0.5 * rng.standard_normal((3, 3)))[0].astype(np.float32)
        scale = float(np.prod(axes)) ** (1 / 3)
        squares = sum(
            np.square((turn[i, 0] * (x - cx) + turn[i, 1] * (y - cy) + turn[i, 2] * (z - cz)) / axes[i])
            for i in range(3)
        )
        np.minimum(level, (np.sqrt(squares) - 1) * scale, out=level)
    return level + 0.10 * noise(rng, 0.35) + 0.03 * noise(rng, 0.12)


def particle_sizes(rng: np.random.Generator, anode: Anode) -> np.ndarray:
    """Diameters (um), largest first, of a log-normal distribution, that together fill the share of the particles."""
    sizes = rng.lognormal(np.log(anode.size), anode.spread, 20000)
    sizes = sizes[(sizes > anode.smallest) & (sizes < anode.largest)]
    volume = np.cumsum(np.pi / 6 * sizes**3)
    return np.sort(sizes[: int(np.searchsorted(volume, anode.particle_share * np.prod(EXTENT_UM)))])[::-1]


def place(rng: np.random.Generator, anode: Anode, depth: np.ndarray | None) -> np.ndarray:
    """Centres (z, y, x) and radii (n, 4) of the particles: none overlap, and the deeper, the smaller they are.

    Depth is the distance of each voxel to the nearest pore, if pores are there already.
    """
    placed = np.empty((0, 4))
    for diameter in particle_sizes(rng, anode):
        radius = diameter / 2
        for attempt in range(20000):
            centre = rng.uniform(0, EXTENT_UM)
            if depth is not None:
                here = depth[tuple((centre / VOXEL_UM).astype(int))]
                # Large ones are rare deep inside, small ones near pores; the rule softens when there is no room left
                small = 0.36 - diameter
                misfit = 4 * (max(here - 0.8, 0) * max(-small, 0) + max(1.0 - here, 0) * max(small, 0))
                if here < radius + 0.05 or rng.uniform() > np.exp(-misfit * np.exp(-attempt / 4000)):
                    continue
            apart = np.linalg.norm(placed[:, :3] - centre, axis=1) - placed[:, 3] - radius
            if (apart > rng.uniform(*anode.gap)).all():
                placed = np.vstack([placed, [*centre, radius]])
                break
    return placed


def particle_level(rng: np.random.Generator, anode: Anode, placed: np.ndarray) -> np.ndarray:
    """Level whose low values are particles: balls with waves on them, apart from each other; about a distance (um)."""
    level = np.full(SHAPE, np.inf, np.float32)
    second = np.full(SHAPE, np.inf, np.float32)  # of the next particle
    for *centre, radius in placed:
        reach = radius * (1 + 1.8 * anode.lobes) + 0.06
        low = [max(0, int((c - reach) / edge)) for c, edge in zip(centre, VOXEL_UM, strict=True)]
        high = [min(n, int((c + reach) / edge) + 2) for c, edge, n in zip(centre, VOXEL_UM, SHAPE, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offset = [
            ((np.arange(a, b) + 0.5) * edge - c).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
            for axis, (a, b, edge, c) in enumerate(zip(low, high, VOXEL_UM, centre, strict=True))
        ]
        distance = np.sqrt(sum(np.square(o) for o in offset)) + 1e-9
        shape = np.ones_like(distance)
        for _ in range(8):
            wave = rng.standard_normal(3)
            wave *= rng.uniform(*anode.waves) / np.linalg.norm(wave)
            phase = sum(float(w) * o for w, o in zip(wave, offset, strict=True)) / distance
            shape += anode.lobes / math.sqrt(8) * np.cos(phase + rng.uniform(0, 2 * math.pi))
        own = distance - float(radius) * shape
        np.minimum(second[box], np.maximum(own, level[box]), out=second[box])
        np.minimum(own, level[box], out=level[box])
    np.maximum(level, anode.gap[0] - second, out=level)
    if anode.rough:
        level += anode.rough * noise(rng, 0.05)
    return level


def make(anode: Anode) -> np.ndarray:
    """The label image, (200, 250, 250) of uint8."""
    rng = np.random.default_rng(anode.seed)
    size = int(np.prod(SHAPE))
    pore_count, particle_count = round(anode.pore_share * size), round(anode.particle_share * size)
    if anode.pores:
        pore = cut(aged_pores(rng, anode), pore_count, 2000)
        depth = ndimage.distance_transform_edt(~pore, sampling=VOXEL_UM)
        level = particle_level(rng, anode, place(rng, anode, depth))
        # Not into a pore: a skin of SEI is left on every surface.
        level[ndimage.binary_dilation(pore, iterations=anode.skin)] = np.inf
        solid = smoothed(cut(level, particle_count, 100))
    else:
        solid = cut(particle_level(rng, anode, place(rng, anode, None)), particle_count, 100)
        away = ndimage.distance_transform_edt(~solid, sampling=VOXEL_UM).astype(np.float32)
        # Carbon and binder gather around the particles and leave them bare here and there.
        level = noise(rng, 0.25) + 0.2 * noise(rng, 0.10) + 2.0 * np.exp(-np.square(away / 0.12))
        # In so small a volume slices would differ more than the published ones do.
        level -= 0.7 * level.mean(axis=(1, 2), keepdims=True)
        level[solid] = np.inf
        pore = cut(level, pore_count, 2000) & ~solid
    image = np.full(SHAPE, MATRIX, dtype=np.uint8)
    image[pore] = PORE
    image[solid] = PARTICLE
    return settled(image, round(anode.matrix_share * size))


def settled(image: np.ndarray, matrix_count: int) -> np.ndarray:
    """The image with as many voxels of SEI/C/B as are published, none of them in islands within particles or pores."""
    fill_islands(image)
    # The last voxels, so that the share of SEI/C/B is right to the voxel: from or to the roughest corners of particles.
    surplus = matrix_count - int((image == MATRIX).sum())
    taken, given = (PARTICLE, MATRIX) if surplus > 0 else (MATRIX, PARTICLE)
    neighbours = ndimage.uniform_filter((image == given).astype(np.float32), 3, mode="nearest")
    neighbours[(image != taken) | ndimage.binary_dilation(image == PORE, iterations=2)] = 0
    order = np.argsort(-neighbours, axis=None, kind="stable")
    image.ravel()[order[: abs(surplus)]] = given
    fill_islands(image)
    return image


def fill_islands(image: np.ndarray) -> None:
    """Give all SEI/C/B but the largest piece to what surrounds it."""
    pieces, count = ndimage.label(image == MATRIX)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel(), minlength=count + 1)[1:]))
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        if piece != largest:
            around = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
            island = pieces[around] == piece
            rim = ndimage.binary_dilation(island) & (image[around] != MATRIX)
            image[around][island] = np.bincount(image[around][rim]).argmax()


def sections(image: np.ndarray) -> np.ndarray:
    """Diameters (um) of discs as large as the particles in every tenth slice; specks of under 10 pixels don't count."""
    pages = image[::10] == PARTICLE
    found = np.concatenate([np.bincount(measure.label(page, connectivity=1).ravel())[1:] for page in pages])
    return np.sqrt(4 / np.pi * found[found >= 10] * VOXEL_UM[1] * VOXEL_UM[2])


def inside(sphere: Iterable[float]) -> np.ndarray:
    """Mask of the voxels of a region."""
    x, y, z, radius = sphere
    at = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    squares = sum(np.square((index + 0.5) * edge - c) for index, edge, c in zip(at, VOXEL_UM, (z, y, x), strict=True))
    return np.asarray(squares <= radius**2)


def report(name: str, image: np.ndarray) -> None:
    """Print what the published figures can be compared with."""
    shares = np.bincount(image.ravel(), minlength=3) / image.size
    print(f"{name}: pore {shares[PORE]:.4f}  SEI/C/B {shares[MATRIX]:.5f}  particle {shares[PARTICLE]:.4f}")
    slices = (image == PORE).mean(axis=(1, 2))
    print(f"  pores by slice: {slices.min():.4f} to {slices.max():.4f}")
    diameters = sections(image)
    area = len(image[::10]) * EXTENT_UM[1] * EXTENT_UM[2]
    pieces = measure.regionprops(measure.label(image == PARTICLE, connectivity=1))
    solid = np.cbrt(6 / np.pi * np.array([p.area for p in pieces]) * np.prod(VOXEL_UM))
    print(
        f"  particles in sections: {diameters.mean():.3f} um on average, {diameters.max():.2f} um at most, "
        f"{len(diameters) / area:.2f} per um^2; as bodies: {len(pieces)}, {solid.mean():.3f} um on average, "
        f"{solid.min():.2f} to {solid.max():.2f} um"
    )
    depth = ndimage.distance_transform_edt(image != PORE, sampling=VOXEL_UM)
    pores, count = ndimage.label(image == PORE)
    largest = np.bincount(pores.ravel())[1:].max() / np.count_nonzero(pores)
    particle = image == PARTICLE
    surface = particle & ~ndimage.binary_erosion(particle, border_value=1)
    print(
        f"  distance to the nearest pore: surfaces of particles {depth[surface].mean():.2f} um on average, "
        f"{depth[surface].max():.2f} um at most; pores in {count} pieces, {largest:.3f} of them in the largest"
    )
    print(f"  SEI/C/B in {ndimage.label(image == MATRIX)[1]} pieces")
    if name == "aged":
        for region, sphere in SPHERES.items():
            where = inside(sphere)
            labels = np.bincount(image[where], minlength=3) / where.sum()
            print(
                f"  region {region:3s}: nearest pore {depth[where].min():.2f} um from its edge, "
                f"{depth[where & (image == MATRIX)].mean():.2f} um on average; pore {labels[PORE]:.2f}, "
                f"SEI/C/B {labels[MATRIX]:.2f}, particles {labels[PARTICLE]:.2f}"
            )


def write(path: Path, image: np.ndarray) -> None:
    """Multi-page TIFF, deflated, with its voxel size."""
    per_um = tuple(1 / edge for edge in VOXEL_UM[:0:-1])
    tifffile.imwrite(
        path,
        image,
        compression="zlib",
        compressionargs={"level": 9},
        resolution=per_um,
        imagej=True,
        metadata={"axes": "ZYX", "spacing": VOXEL_UM[0], "unit": "um"},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the images of these cases, or print their figures.")
    parser.add_argument("--check", action="store_true", help="only print the figures of the images that are there")
    check = parser.parse_args().check
    for name, anode in ANODES.items():
        file = FOLDER / f"{name}.tif"
        if not check:
            write(file, make(anode))
        report(name, tifffile.imread(file))
