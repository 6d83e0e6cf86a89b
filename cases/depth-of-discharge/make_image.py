"""Makes a silicon electrode 30 um thick, of secondary particles as Ogata et al. use them.

    python make_image.py            writes electrode.tif beside this script
    python make_image.py --check    only prints the figures of the image that is there

Published are secondary particles about 10 um across, of silicon in carbon nanotubes. Here, in pixels of 0.1 um and from
random numbers of one seed:

* the electrode is 30 um thick along x, from the separator at x = 0 to the current collector, and 10 um wide along y;
  beyond its sides is its mirror image;
* secondary particles are disks of 9 to 10 um with rough edges, in three rows behind each other, the middle one shifted;
* in them lie grains of silicon of 1.2 to 2 um that do not touch. They stand for clusters: the published particles of 30
  to 150 nm would take a hundred times as many pixels.

Labels: 0 electrolyte, 1 carbon nanotubes with electrolyte between them, 2 silicon.
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

PIXEL_UM = 0.1
THICK_UM, WIDE_UM = 30.0, 10.0  # along x, from the separator, and along y
SECONDARY_UM = (9.0, 10.0)  # diameters
GRAIN_UM = (1.2, 2.0)  # diameters
GAP_UM = 0.25  # between grains, at least
GRAINS = 0.55  # share of a secondary particle that is silicon, at most
ROUGH_UM = 0.25  # how far the edge of a secondary particle is bent
SLICES = 5  # by depth, whose silicon is counted
ELECTROLYTE, NANOTUBES, SILICON = 0, 1, 2
# Capacity: Li3.75Si with 83 mol/L for each x
FULL_MOL_PER_M3 = 3.75 * 83e3
FARADAY = 96485.33212
FOLDER = Path(__file__).parent
SEED = 375


def grid(thick_um: float, wide_um: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels' centres in um, each (rows along y, columns along x)."""
    rows, columns = np.indices((round(wide_um / PIXEL_UM), round(thick_um / PIXEL_UM)))
    return (columns + 0.5) * PIXEL_UM, (rows + 0.5) * PIXEL_UM


def secondaries(thick_um: float, wide_um: float) -> list[tuple[float, float]]:
    """x and y of the centres of secondary particles: rows across, every second one shifted by half a particle."""
    rows, across = round(thick_um / SECONDARY_UM[1]), round(wide_um / SECONDARY_UM[1])
    return [
        ((row + 0.5) * thick_um / rows, (column + 0.5 * (row % 2 == 0)) * wide_um / across)
        for row in range(rows)
        for column in range(across + row % 2)
    ]


def grains(rng: np.random.Generator, inside: np.ndarray) -> list[tuple[float, float, float]]:
    """x, y and radius of grains in um that lie inside a mask and keep their distance, the largest first."""
    room = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] * PIXEL_UM
    area = inside.sum() * PIXEL_UM**2
    radii: list[float] = []
    while sum(np.pi * r * r for r in radii) < GRAINS * area:
        radii.append(rng.uniform(*GRAIN_UM) / 2)
    placed: np.ndarray = np.empty((0, 3))
    for radius in sorted(radii, reverse=True):
        rows, columns = np.nonzero(room > radius + GAP_UM / 2)
        for _ in range(400 if len(rows) else 0):
            at = rng.integers(len(rows))
            x, y = (columns[at] + rng.random()) * PIXEL_UM, (rows[at] + rng.random()) * PIXEL_UM
            between = np.hypot(x - placed[:, 0], y - placed[:, 1])
            if (between > radius + placed[:, 2] + GAP_UM).all():
                placed = np.vstack([placed, [x, y, radius]])
                break
    return [tuple(one) for one in placed]


def make(thick_um: float = THICK_UM, wide_um: float = WIDE_UM) -> np.ndarray:
    """The label image (rows along y, columns along x) of uint8."""
    rng = np.random.default_rng(SEED)
    x, y = grid(thick_um, wide_um)
    image = np.full(x.shape, ELECTROLYTE, np.uint8)
    field = ndimage.gaussian_filter(rng.standard_normal(x.shape), 0.6 / PIXEL_UM)
    bend = np.clip(ROUGH_UM * field / field.std(), -2 * ROUGH_UM, 2 * ROUGH_UM)
    for cx, cy in secondaries(thick_um, wide_um):
        image[np.hypot(x - cx, y - cy) + bend < rng.uniform(*SECONDARY_UM) / 2] = NANOTUBES
    for gx, gy, radius in grains(rng, image == NANOTUBES):
        image[np.hypot(x - gx, y - gy) < radius] = SILICON
    return image


def current_density(image: np.ndarray, hours: float) -> float:
    """Current per area of the separator (mA/cm^2) that fills all silicon to x = 3.75 in so many hours."""
    silicon_um = (image == SILICON).sum() / len(image) * PIXEL_UM  # silicon per area of the face
    return FULL_MOL_PER_M3 * silicon_um * 1e-6 * FARADAY / (hours * 3600) * 0.1


def report(image: np.ndarray) -> None:
    """Print shares, grains, and what current the case file needs."""
    shares = np.bincount(image.ravel(), minlength=3) / image.size
    print(f"electrolyte {shares[0]:.2%}, nanotubes {shares[1]:.2%}, silicon {shares[2]:.2%}")
    pieces, number = ndimage.label(image == SILICON)
    sizes = 2 * np.sqrt(np.bincount(pieces.ravel())[1:] / np.pi) * PIXEL_UM
    print(f"{number} grains of {sizes.min():.2f} to {sizes.max():.2f} um, mean {sizes.mean():.2f} um")
    by_depth = [(part == SILICON).sum() / shares[2] / image.size for part in np.array_split(image, SLICES, axis=1)]
    print("of the silicon, by depth: " + ", ".join(f"{share:.1%}" for share in by_depth))
    print(f"from x = 0 to 3.75 in 5 h at {current_density(image, 5):.5g} mA/cm^2")


def write(path: Path, image: np.ndarray) -> None:
    """TIFF, deflated, with its pixel size."""
    tifffile.imwrite(
        path,
        image,
        compression="zlib",
        resolution=(1 / PIXEL_UM, 1 / PIXEL_UM),
        imagej=True,
        metadata={"unit": "um"},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the image of this case, or print its figures.")
    parser.add_argument("--check", action="store_true", help="only print the figures of the image that is there")
    file = FOLDER / "electrode.tif"
    if not parser.parse_args().check:
        write(file, make())
    report(tifffile.imread(file))
