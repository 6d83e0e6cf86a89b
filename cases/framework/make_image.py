"""Makes a porous silicon particle, after what Ogata et al. publish of frameworks that form in silicon by themselves.

    python make_image.py            writes particle.tif beside this script
    python make_image.py --check    only prints the figures of the image that is there

Published are ligaments below 2 nm thick (standard deviation 0.4 nm), pores of 3 to 4 nm (0.8 nm), a porosity of 0.484,
and open pores everywhere, in particles of 30 to 250 nm. Here it is a ball of 120 nm in voxels of 0.4 nm, from random
numbers of one seed:

* a random field of waves of about one length has a surface where it changes its sign; silicon is what is near to it.
  Walls between two labyrinths of pores are the shape in which half of the volume is thin and pores are wide;
* a second field opens windows in the walls, so that the two labyrinths are one, and walls become ligaments;
* how near is what makes the porosity that of the publication; the length of the waves makes the thickness;
* silicon that hangs on nothing goes.

Labels: 0 pore, 1 silicon, 2 electrolyte around the particle.
"""

import argparse
import math
from pathlib import Path

import edt
import numpy as np
import tifffile
from scipy import fft, ndimage

VOXEL_NM = 0.4
DIAMETER_NM = 120.0
MARGIN_NM = 2.0  # electrolyte around the particle, at least
POROSITY = 0.484
WAVE_NM, SPREAD = 7.6, 0.07  # length of the waves, and its relative spread
WINDOW_NM, CLOSED = 6.0, 2.4  # length of the field that opens windows, and the value above which it does
PORE, SILICON, OUTSIDE = 0, 1, 2
FOLDER = Path(__file__).parent
SEED = 484


def waves(rng: np.random.Generator, edge: int, length: float, spread: float) -> np.ndarray:
    """Random field of variance 1 in a periodic cube: isotropic waves of about one length (nm)."""
    along, last = fft.fftfreq(edge, VOXEL_NM), fft.rfftfreq(edge, VOXEL_NM)
    number = np.sqrt(along[:, None, None] ** 2 + along[None, :, None] ** 2 + last**2)
    amplitude = np.exp(-(((number * length - 1) / spread) ** 2) / 2).astype(np.float32)
    white = rng.standard_normal((edge,) * 3, dtype=np.float32)
    field = fft.irfftn(fft.rfftn(white) * amplitude, s=white.shape)
    return field / field.std()


def make(diameter_nm: float = DIAMETER_NM) -> np.ndarray:
    """The label image of a particle, a cube of uint8."""
    rng = np.random.default_rng(SEED)
    edge = 2 * math.ceil((diameter_nm / 2 + MARGIN_NM) / VOXEL_NM)
    sign = waves(rng, edge, WAVE_NM, SPREAD) > 0
    depth = edt.edt(sign, anisotropy=(VOXEL_NM,) * 3) - edt.edt(~sign, anisotropy=(VOXEL_NM,) * 3)
    away = np.abs(ndimage.gaussian_filter(depth, 0.8))
    away += 5 * np.clip(waves(rng, edge, WINDOW_NM, 0.3) - CLOSED, 0, None)
    centred = (np.arange(edge) + 0.5 - edge / 2) ** 2
    ball = centred[:, None, None] + centred[None, :, None] + centred < (diameter_nm / 2 / VOXEL_NM) ** 2
    solid = ball & (away < np.quantile(away[ball], 1 - POROSITY))
    pieces, _ = ndimage.label(solid)
    solid = pieces == np.argmax(np.bincount(pieces[solid]))
    return np.where(ball, np.where(solid, SILICON, PORE), OUTSIDE).astype(np.uint8)


def report(image: np.ndarray) -> None:
    """Print the porosity within the particle."""
    pore, silicon, _ = np.bincount(image.ravel(), minlength=3)
    print(f"{image.shape[0]} voxels along each edge, porosity of the particle {pore / (pore + silicon):.4f}")


def write(path: Path, image: np.ndarray) -> None:
    """Multi-page TIFF, deflated, with its voxel size."""
    size = VOXEL_NM * 1e-3
    tifffile.imwrite(
        path,
        image,
        compression="zlib",
        resolution=(1 / size, 1 / size),
        imagej=True,
        metadata={"axes": "ZYX", "spacing": size, "unit": "um"},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the image of this case, or print its figures.")
    parser.add_argument("--check", action="store_true", help="only print the figures of the image that is there")
    file = FOLDER / "particle.tif"
    if not parser.parse_args().check:
        write(file, make())
    report(tifffile.imread(file))
