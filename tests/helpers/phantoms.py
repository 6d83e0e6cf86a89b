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
    part = image[tuple(slice(s, s + n) for s in start)]
    masks = [(part == k).astype(np.float32) for k in range(3)]
    shares = [ndimage.zoom(mask, enlarge, order=1, grid_mode=True, mode="nearest") for mask in masks]
    return np.argmax(shares, axis=0).astype(np.uint8)[:size, :size, :size]


def blurred(labels, greys=(40.0, 110.0, 180.0), blur=1.0, noise=8.0, seed=1):
    """Grey values of phases, with partial volumes and noise as a tomogram has them."""
    grey = ndimage.gaussian_filter(np.asarray(greys, np.float32)[labels], blur, mode="nearest")
    return grey + np.random.default_rng(seed).normal(0, noise, labels.shape).astype(np.float32)


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
