"""Grey images of known truth: from label volumes of the cases, with blur, noise, stripes and shine-through."""

from pathlib import Path

import numpy as np
import tifffile
from places import CASES
from scipy import ndimage

PHASES = ("pore", "sei_cb", "particle")


def truth(size=64, start=(0, 0, 0), file="pristine.tif", enlarge=2):
    """Part of a case's volume, (size, size, size) labels 0, 1, 2, enlarged so that parts are thick."""
    image = tifffile.imread(CASES / "aged-anode-3d" / file)
    n = -(-size // enlarge)
    return enlarged(image[tuple(slice(s, s + n) for s in start)], enlarge)[:size, :size, :size]


def mottled(size=64, width=5.0, shares=(0.4, 0.35, 0.25), seed=1):
    """Phases of given shares where random fields, smoothed by a Gaussian, are highest; (size, size, size) labels."""
    rng = np.random.default_rng(seed)
    out = np.zeros((size,) * 3, np.uint8)
    left = np.ones_like(out, bool)
    for k in range(len(shares) - 1, 0, -1):
        field = ndimage.gaussian_filter(rng.normal(size=out.shape), width, mode="wrap")
        highest = left & (field >= np.quantile(field[left], 1 - shares[k] * out.size / left.sum()))
        out[highest] = k
        left &= ~highest
    return out


def enlarged(labels, by=2):
    """Labels on voxels of a smaller edge: the phase that linear interpolation finds most of."""
    masks = [(labels == k).astype(np.float32) for k in range(int(labels.max()) + 1)]
    shares = [ndimage.zoom(mask, by, order=1, grid_mode=True, mode="nearest") for mask in masks]
    return np.argmax(shares, axis=0).astype(np.uint8)


def blurred(labels, greys=(40.0, 110.0, 180.0), blur=1.0, noise=8.0, seed=1):
    """Grey values of phases, with partial volumes and noise as a tomogram has them."""
    grey = ndimage.gaussian_filter(np.asarray(greys, np.float32)[labels], blur, mode="nearest")
    return grey + np.random.default_rng(seed).normal(0, noise, labels.shape).astype(np.float32)


def shining(labels, greys=(40.0, 110.0, 180.0), strength=0.85, depth=10.0, blur=0.7, noise=8.0, seed=1):
    """Grey values as FIB-SEM has them: through pores the next solid of deeper slices shines, weaker with its depth."""
    levels = np.asarray(greys, np.float32)
    grey = levels[labels]
    seen = grey.copy()
    behind, distance = np.full(labels.shape[1:], levels[0]), np.full(labels.shape[1:], np.inf)
    for z in range(len(labels) - 1, -1, -1):
        pore = labels[z] == 0
        light = ndimage.gaussian_filter(behind, blur) - levels[0]
        seen[z][pore] = (levels[0] + light * strength * np.exp(-(distance - 1) / depth))[pore]
        behind, distance = np.where(pore, behind, grey[z]), np.where(pore, distance + 1, 1.0)
    seen = ndimage.gaussian_filter(seen, (0, blur, blur), mode="nearest")
    return seen + np.random.default_rng(seed).normal(0, noise, labels.shape).astype(np.float32)


def painted(labels, every=8, strokes=8, seed=0):
    """Scribbles as somebody would paint them: short lines within phases, in some slices; 1, 2, ...; 0 for nothing."""
    rng = np.random.default_rng(seed)
    out = np.zeros(labels.shape, np.uint8)
    for z in range(every // 2, len(labels), every):
        for k in range(int(labels.max()) + 1):
            inner = ndimage.binary_erosion(labels[z] == k)
            rows, columns = np.nonzero(inner)
            for i in rng.choice(len(rows), min(len(rows), strokes)) if len(rows) else ():
                y, line = rows[i], slice(max(0, columns[i] - 3), columns[i] + 4)
                out[z, y, line][inner[y, line]] = k + 1
    return out


def dice(found, true, labels=(0, 1, 2)):
    """Dice coefficient of each phase."""
    return [2 * np.sum((found == k) & (true == k)) / (np.sum(found == k) + np.sum(true == k)) for k in labels]


def write_segmentation(folder, grey, more, name="segment.toml", voxel="20 nm", dtype=np.uint8, **options):
    """Write grey.tif and a segmentation file; the file's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.clip(np.rint(grey), 0, 255).astype(dtype) if np.dtype(dtype).kind == "u" else grey.astype(dtype)
    tifffile.imwrite(folder / "grey.tif", stored, photometric="minisblack", **options)
    path = folder / name
    image = f'[image]\nfile = "grey.tif"\nvoxel_size = "{voxel}"\n'
    path.write_text(f'title = "Phantom"\n{image}{more}', encoding="utf-8")
    return path
