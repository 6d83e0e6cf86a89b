"""Makes image.tif: a 5 x 8 um region of a silicon anode after 100 cycles, with the statistics that are published.

    python make_image.py            writes image.tif beside this script
    python make_image.py --check    only prints the figures of the image that is there

The images of Vorauer et al. (2020), doi 10.1038/s42004-020-00386-x, are not public. What is published of them, and what
this image therefore has:

* 400 x 640 pixels of 12.5 nm: the 5 x 8 um region of the paper's transport model;
* 63.985 % SEI/carbon/binder (the paper's epsilon);
* pores: 37.54 % in the pristine anode less the 58.8 % lost over 100 cycles = 15.5 %; smooth, micrometres across;
* the rest, about 20.5 %, is particles: rough, mean diameter about 0.33 um, the small ones deep in the SEI/C/B.

Labels: 0 pore, 1 SEI/C/B, 2 particle.
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from skimage import measure, morphology

PIXEL_NM = 12.5
SHAPE = (640, 400)  # rows (y, 8 um), columns (x, 5 um)
PORE, MATRIX, PARTICLE = 0, 1, 2
MATRIX_SHARE = 0.63985
PORE_SHARE = 0.3754 * (1 - 0.588)
DRAWN_DIAMETER_NM = 300.0  # mean of the sizes drawn, so that the particles come out at 0.33 um
SEED = 2020
FILE = Path(__file__).with_name("image.tif")

# Where the micrometre pores lie: x, y, half axes (um), angle. Most of the space is left to SEI/C/B, as after ageing.
PORES = (
    (0.95, 1.10, 0.95, 0.60, 0.5),
    (4.45, 0.55, 0.75, 0.45, -0.3),
    (0.35, 3.90, 0.42, 0.85, 0.15),
    (2.35, 2.65, 0.38, 0.24, 0.9),
    (4.25, 7.65, 0.60, 0.30, 0.1),
)
# The four regions of the case files: x, y of the first corner and edge length, um
REGIONS = {
    "I": (1.425, 1.825, 0.5),  # between two pores
    "II": (1.45, 3.30, 0.5),
    "III": (2.95, 4.00, 0.5),
    "IV": (1.10, 6.35, 0.5),  # among small particles, deep in the SEI/C/B
}


def noise(rng: np.random.Generator, sigma_nm: float) -> np.ndarray:
    """Smooth random field of unit variance with the given correlation length."""
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), sigma_nm / PIXEL_NM, mode="reflect")
    return field / field.std()


def grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixel centres in um."""
    rows, columns = np.indices(SHAPE)
    return (columns + 0.5) * PIXEL_NM / 1000, (rows + 0.5) * PIXEL_NM / 1000


def pores(rng: np.random.Generator) -> np.ndarray:
    """Smooth pores: warped ellipses, cut at the level that gives the share of pores."""
    x, y = grid()
    level = np.full(SHAPE, np.inf)
    for cx, cy, a, b, angle in PORES:
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        level = np.minimum(level, (np.hypot(u / a, v / b) - 1) * np.sqrt(a * b))
    level += 0.07 * noise(rng, 250) + 0.03 * noise(rng, 90)
    pore = level < np.quantile(level, PORE_SHARE)
    pore = morphology.remove_small_objects(pore, max_size=2000, connectivity=1)
    return morphology.remove_small_holes(pore, max_size=2000, connectivity=1)


def particle_sizes(rng: np.random.Generator, area_um2: float) -> np.ndarray:
    """Diameters (um) of a log-normal distribution with the published mean that together fill the area."""
    spread = 0.46
    mean = DRAWN_DIAMETER_NM / 1000
    sizes: list[float] = []
    while sum(np.pi / 4 * d * d for d in sizes) < area_um2:
        d = float(rng.lognormal(np.log(mean) - spread**2 / 2, spread))
        if 0.12 < d < 0.8:
            sizes.append(d)
    return np.sort(np.array(sizes))[::-1]


def place(rng: np.random.Generator, sizes: np.ndarray, pore: np.ndarray) -> list[tuple[float, float, float]]:
    """Centres for the particles, largest first: none overlap, and the deeper in the SEI/C/B, the smaller they are."""
    depth = ndimage.distance_transform_edt(~pore) * PIXEL_NM / 1000
    placed: list[tuple[float, float, float]] = []
    for d in sizes:
        r = d / 2
        for attempt in range(20000):
            cx, cy = rng.uniform(0, SHAPE[1]) * PIXEL_NM / 1000, rng.uniform(0, SHAPE[0]) * PIXEL_NM / 1000
            here = depth[int(cy * 1000 / PIXEL_NM), int(cx * 1000 / PIXEL_NM)]
            if here < r + 0.05:
                continue
            # Large ones are rare deep inside, small ones near pores; the rule softens when there is no room left
            misfit = 8 * max(here - 0.6, 0.0) * max(d - 0.30, 0.0) + 6 * max(1.2 - here, 0.0) * max(0.30 - d, 0.0)
            if rng.uniform() > np.exp(-misfit * np.exp(-attempt / 4000)):
                continue
            gap = 0.025 + 0.05 * rng.uniform()
            if all((cx - px) ** 2 + (cy - py) ** 2 > (r + pr + gap) ** 2 for px, py, pr in placed):
                placed.append((cx, cy, r))
                break
    return placed


def particles(rng: np.random.Generator, pore: np.ndarray) -> np.ndarray:
    """Rough particles: circles with lobes and a fine noise on top, cut at the level that gives their share."""
    x, y = grid()
    share = 1 - MATRIX_SHARE - pore.mean()
    area = SHAPE[0] * SHAPE[1] * (PIXEL_NM / 1000) ** 2 * share
    level = np.full(SHAPE, np.inf)
    for cx, cy, r in place(rng, particle_sizes(rng, 0.98 * area), pore):
        dx, dy = x - cx, y - cy
        angle = np.arctan2(dy, dx)
        stretch, tilt = rng.uniform(0.0, 0.16), rng.uniform(0, np.pi)
        radius = 1 + stretch * np.cos(2 * (angle - tilt))
        for wave in range(3, 13):
            radius += 0.24 / wave * rng.standard_normal() * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
        level = np.minimum(level, np.hypot(dx, dy) - r * radius)
    level += 0.018 * noise(rng, 30)
    # Not into a pore: a skin of SEI, thinner here and there, is left on every surface.
    level[ndimage.binary_dilation(pore, iterations=2)] = np.inf
    # The level is found again after specks are gone, until the share is right.
    low, high = -0.1, 0.1
    for _ in range(40):
        middle = (low + high) / 2
        solid = clean(level < middle)
        low, high = (middle, high) if solid.mean() < share else (low, middle)
    return clean(level < high)


def clean(solid: np.ndarray) -> np.ndarray:
    """Without specks and pinholes, which a segmentation removes too."""
    solid = morphology.remove_small_objects(solid, max_size=24, connectivity=1)
    return morphology.remove_small_holes(solid, max_size=100, connectivity=1)


def make() -> np.ndarray:
    """The label image, (640, 400) of uint8."""
    rng = np.random.default_rng(SEED)
    pore = pores(rng)
    image = np.full(SHAPE, MATRIX, dtype=np.uint8)
    image[pore] = PORE
    image[particles(rng, pore)] = PARTICLE
    # The last pixels, so that the share of SEI/C/B is the published one to the pixel: from the roughest corners.
    surplus = round(MATRIX_SHARE * image.size) - int((image == MATRIX).sum())
    taken, given = (PARTICLE, MATRIX) if surplus > 0 else (MATRIX, PARTICLE)
    neighbours = ndimage.convolve((image == given).astype(int), np.ones((3, 3), dtype=int), mode="nearest")
    beside_pore = ndimage.binary_dilation(image == PORE, iterations=3)
    candidates = np.where((image == taken) & ~beside_pore, neighbours, 0).ravel()
    image.ravel()[np.argsort(-candidates, kind="stable")[: abs(surplus)]] = given
    return image


def report(image: np.ndarray) -> None:
    """Print what the published figures can be compared with."""
    shares = np.bincount(image.ravel(), minlength=3) / image.size
    print(f"pore {shares[PORE]:.4f}  SEI/C/B {shares[MATRIX]:.5f}  particle {shares[PARTICLE]:.4f}")
    found = measure.regionprops(measure.label(image == PARTICLE, connectivity=1))
    diameters = np.array([p.equivalent_diameter_area for p in found]) * PIXEL_NM
    # Of a circle of the same area: 1 for a disk
    roughness = np.array([p.perimeter_crofton / (np.pi * p.equivalent_diameter_area) for p in found if p.area > 300])
    print(
        f"{len(found)} particles, {len(found) / 40:.1f} per um^2; diameter: mean {diameters.mean():.0f} nm, "
        f"{diameters.min():.0f} to {diameters.max():.0f} nm; perimeter / that of a disk: {roughness.mean():.2f}"
    )
    depth = ndimage.distance_transform_edt(image != PORE) * PIXEL_NM / 1000
    reached = depth[image == PARTICLE].mean()
    print(f"distance to the nearest pore: particles {reached:.2f} um on average; {depth.max():.2f} um at most")
    for name, (x, y, edge) in REGIONS.items():
        first_row, first_column, n = (round(v * 1000 / PIXEL_NM) for v in (y, x, edge))
        box = np.s_[first_row : first_row + n, first_column : first_column + n]
        inside = image[box]
        print(
            f"region {name:3s} x {x:g} to {x + edge:g} um, y {y:g} to {y + edge:g} um: nearest pore "
            f"{depth[box].min():.2f} um from its edge, {depth[box].mean():.2f} um on average; "
            f"SEI/C/B {np.mean(inside == MATRIX):.2f}, particles {np.mean(inside == PARTICLE):.2f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the image of this case, or print its figures.")
    parser.add_argument("--check", action="store_true", help="only print the figures of the image that is there")
    if not parser.parse_args().check:
        tifffile.imwrite(
            FILE,
            make(),
            compression="zlib",
            predictor=False,
            resolution=(1000 / PIXEL_NM, 1000 / PIXEL_NM),
            imagej=True,
            metadata={"unit": "um"},
        )
    report(tifffile.imread(FILE))
