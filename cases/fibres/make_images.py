"""Makes three composites of silicon and sulfide electrolyte, after Yamamoto et al.: fibre network, fibres, powder.

    python make_images.py            writes network.tif, pulverised.tif, powder.tif and two images of regions here
    python make_images.py --check    only prints the figures of the images that are there

All in one box of 9 um in voxels of 0.15 um, from random numbers of one seed, with silicon and electrolyte at 40 : 60
by weight:

* network: bent fibres of 1 um that cross, and are one piece where they do;
* pulverised: fibres along the same lines, thicker by a fifth to make up for what cuts take, and cut by the cells of
  random points; cuts are one voxel wide and hold voids or electrolyte, as any place beside silicon;
* powder: balls of 1 to 4.5 um that do not touch; the box has no room for larger ones.

Voids lie against a part of the surface of silicon, where a random field is high; it is the same field for all three.

Labels: 0 electrolyte, 1 silicon, 2 void. In network-regions.tif and pulverised-regions.tif 1 is silicon of those cells
which, cut out, meet electrolyte that comes from the separator, and 2 that of those which do not.
"""

import argparse
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from scipy.optimize import brentq
from scipy.spatial import cKDTree

BOX_UM, VOXEL_UM = 9.0, 0.15
FIBRE_UM = 1.0  # diameter
DENSITY = {"silicon": 2.33, "electrolyte": 1.9}  # g/cm^3, of the compact materials
PORE_VOLUME = 0.519  # cm^3/g, of the pores of 12 nm within the fibres
BY_WEIGHT = 40 / 60  # silicon over electrolyte
COVERED = 0.6  # share of the places beside silicon, those in cuts too, that are voids
VOID_UM, PATCH_UM = 0.3, 1.0  # depth of voids, and the deviation of the Gaussian blur of their field
FIBRES = 0.47  # share of the box, about as much as weight and voids leave
BEND_UM, BEND_LENGTH_UM = 0.5, 3.0  # how far fibres are bent, and over which length
TRIES = 12  # of which the fibre is taken that crosses others least
PIECE_UM = 1.2  # least distance between the points whose cells are the pieces
POWDER_UM = (1.0, 5.0)  # diameters; at most half the box
ELECTROLYTE, SILICON, VOID = 0, 1, 2
REACHED, ISOLATED = 1, 2
FOLDER = Path(__file__).parent
SEED = 4060


def by_volume(porous: bool) -> float:
    """Volume of silicon, with the pores within it if it is of fibres, over that of electrolyte."""
    specific = 1 / DENSITY["silicon"] + PORE_VOLUME * porous  # cm^3/g
    return BY_WEIGHT * specific * DENSITY["electrolyte"]


def places(edge: int) -> np.ndarray:
    """Coordinates (um) of the centres of all voxels, (3, edge, edge, edge)."""
    return (np.indices((edge,) * 3, dtype=np.float32) + 0.5) * VOXEL_UM


def smooth(rng: np.random.Generator, edge: int, blur_um: float) -> np.ndarray:
    """Random field of variance 1 and mean 0 in a large box."""
    blur = blur_um / VOXEL_UM
    field = ndimage.gaussian_filter(rng.standard_normal((edge,) * 3, dtype=np.float32), blur, mode="wrap")
    return (field - field.mean()) * (4 * np.pi * blur**2) ** 0.75


def from_axes(rng: np.random.Generator, edge: int) -> np.ndarray:
    """Distance (um) of each voxel from the nearest axis of a fibre, of as many fibres as fill FIBRES of the box."""
    box = edge * VOXEL_UM
    where = places(edge) + BEND_UM * np.stack([smooth(rng, edge, BEND_LENGTH_UM) for _ in range(3)])
    coarse = where[:, ::4, ::4, ::4]
    nearest = np.full((edge,) * 3, np.inf, np.float32)
    while (nearest < FIBRE_UM / 2).mean() < FIBRES:
        left, tries = nearest[::4, ::4, ::4] > FIBRE_UM / 2, [line(rng, box) for _ in range(TRIES)]
        gains = [np.count_nonzero(left & (from_line(coarse, *one) < FIBRE_UM / 2)) for one in tries]
        np.minimum(nearest, from_line(where, *tries[int(np.argmax(gains))]), out=nearest)
    return nearest


def line(rng: np.random.Generator, box: float) -> tuple[np.ndarray, np.ndarray]:
    """A line that meets the ball around the box, at random: two directions across it, and a point of it."""
    across = np.linalg.svd(rng.standard_normal((1, 3)))[2][1:]
    radius, angle = box * 3**0.5 / 2 * np.sqrt(rng.random()), 2 * np.pi * rng.random()
    return across.astype(np.float32), box / 2 + radius * (np.cos(angle) * across[0] + np.sin(angle) * across[1])


def from_line(where: np.ndarray, across: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Distance of places (3, ...) from a line."""
    first, second = (np.tensordot(a, where, 1) - np.float32(a @ point) for a in across)
    return np.hypot(first, second)


def from_balls(rng: np.random.Generator, edge: int) -> np.ndarray:
    """Distance (um) of each voxel from the surface of the nearest ball of the powder, negative within it."""
    box, where = edge * VOXEL_UM, places(edge)
    share = by_volume(porous=False) / (1 + by_volume(porous=False))
    low, high = POWDER_UM[0] / 2, min(POWDER_UM[1] / 2, box / 4)
    radii, filled = [], 0.0
    while filled < share * box**3 * 0.93:
        radii.append(low * (high / low) ** rng.random())
        filled += 4 / 3 * np.pi * radii[-1] ** 3
    centres: list[np.ndarray] = []
    nearest = np.full((edge,) * 3, np.inf, np.float32)
    radii.sort(reverse=True)
    for radius in radii:
        for _ in range(20000):
            centre = rng.random(3) * box
            if all(
                np.linalg.norm((centre - c + box / 2) % box - box / 2) > radius + r + 1.5 * VOXEL_UM
                for c, r in zip(centres, radii, strict=False)
            ):
                break
        else:
            raise RuntimeError(f"no room for a ball of {radius:.2f} um")
        centres.append(centre)
        away = (where - centre[:, None, None, None] + box / 2) % box - box / 2  # the powder repeats
        np.minimum(nearest, np.sqrt((away**2).sum(axis=0)) - radius, out=nearest)
    return nearest


def cells(rng: np.random.Generator, edge: int) -> np.ndarray:
    """The cell that each voxel is in: those nearest to one of many points that keep their distance."""
    box = edge * VOXEL_UM
    points: np.ndarray = np.empty((0, 3))
    for _ in range(40):
        more = rng.random((round((box / PIECE_UM) ** 3 / 2), 3)) * box
        if len(points):
            more = more[cKDTree(points).query(more)[0] > PIECE_UM]
        keep = np.ones(len(more), bool)
        for i, j in cKDTree(more).query_pairs(PIECE_UM) if len(more) else ():
            keep[max(i, j)] &= not keep[min(i, j)]
        points = np.vstack([points, more[keep]])
    return cKDTree(points).query(places(edge).reshape(3, -1).T)[1].reshape((edge,) * 3)


def borders(cell: np.ndarray) -> np.ndarray:
    """Voxels before the border between two cells: what is left of one does not touch what is left of another."""
    cut = np.zeros(cell.shape, bool)
    for axis in range(3):
        change = np.diff(cell, axis=axis) != 0
        cut |= np.pad(change, [(0, int(a == axis)) for a in range(3)])
    return cut


def filled(solid: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Labels: silicon, voids against it where the field is high, and electrolyte."""
    depth = ndimage.distance_transform_edt(~solid) * VOXEL_UM
    beside = (depth > 0) & (depth < 1.01 * VOXEL_UM)
    void = (depth > 0) & (depth <= VOID_UM) & (field > np.quantile(field[beside], 1 - COVERED))
    return np.where(solid, SILICON, np.where(void, VOID, ELECTROLYTE)).astype(np.uint8)


def fitted(distance: np.ndarray, porous: bool, field: np.ndarray, cut: np.ndarray | bool = False) -> np.ndarray:
    """Labels with as much silicon as its weight asks for: what is nearer than a distance, and not cut away."""

    def excess(at: float) -> float:
        counts = np.bincount(filled((distance < at) & ~np.asarray(cut), field).ravel(), minlength=3)
        return counts[SILICON] / counts[ELECTROLYTE] / by_volume(porous) - 1

    low, high = np.quantile(distance, (0.1, 0.8))
    at = brentq(excess, low, high, xtol=1e-3)
    return filled((distance < at) & ~np.asarray(cut), field)


def fed(image: np.ndarray) -> np.ndarray:
    """Electrolyte that is connected to the separator at z_min."""
    pieces, _ = ndimage.label(image == ELECTROLYTE)
    return (pieces > 0) & np.isin(pieces, np.unique(pieces[0]))


def regions(image: np.ndarray, cell: np.ndarray, pulverised: np.ndarray) -> np.ndarray:
    """Labels of the silicon of an image: where pieces, cut out, meet electrolyte that is fed, and elsewhere."""
    pieces, number = ndimage.label(pulverised == SILICON)
    meeting = np.zeros(number + 1, bool)
    meeting[pieces[ndimage.binary_dilation(fed(pulverised))]] = True
    # A cell may have several pieces; silicon at a cut belongs to the nearest.
    nearest = ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    reached = meeting[pieces[tuple(nearest)]]
    return np.where(image == SILICON, np.where(reached, REACHED, ISOLATED), 0).astype(np.uint8)


def make(box_um: float = BOX_UM) -> dict[str, np.ndarray]:
    """The label images and the images of regions, cubes of uint8 by the names of their files."""
    rng = np.random.default_rng(SEED)
    edge = round(box_um / VOXEL_UM)
    field, axes, cell = smooth(rng, edge, PATCH_UM), from_axes(rng, edge), cells(rng, edge)
    network = fitted(axes, True, field)
    pulverised = fitted(axes, True, field, borders(cell))
    powder = fitted(from_balls(rng, edge), False, field)
    return {
        "network": network,
        "pulverised": pulverised,
        "powder": powder,
        "network-regions": regions(network, cell, pulverised),
        "pulverised-regions": regions(pulverised, cell, pulverised),
    }


def report(name: str, image: np.ndarray) -> None:
    """Print shares by volume, and of the silicon in regions."""
    shares = np.bincount(image.ravel(), minlength=3) / image.size
    if name.endswith("regions"):
        print(f"{name}: {shares[ISOLATED] / shares[1:].sum():.2%} of the silicon in pieces that nothing reaches")
    else:
        named = zip(("electrolyte", "silicon", "void"), shares, strict=True)
        print(f"{name}: " + ", ".join(f"{share:.2%} {phase}" for phase, share in named))


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
    if not parser.parse_args().check:
        for name, image in make().items():
            write(FOLDER / f"{name}.tif", image)
    for file in sorted(FOLDER.glob("*.tif")):
        report(file.stem, tifffile.imread(file))
