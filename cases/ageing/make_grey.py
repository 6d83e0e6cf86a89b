"""Makes grey values of parts of two states, as a microscope would show them, and scribbles to learn from.

    python make_grey.py     after make_images.py

Parts of 32.5 x 26 x 26 um on voxels of half the edge, 0.325 um: blurred, with noise, and with deeper slices that shine
through pores, as in FIB-SEM. Scribbles are short strokes within the phases in every tenth slice, 1 to 4 for pore,
SEI/C/B, particle and graphite. The phantoms of the tests of `microlith segment` are made in the same way.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests" / "helpers"))
from phantoms import dice, enlarged, painted, shining  # noqa: E402

GREYS = (40.0, 110.0, 220.0, 165.0)  # pore, SEI/C/B, particle, graphite
PART = 40  # voxels of the tomograms along y and x

if __name__ == "__main__":
    for name in ("pristine", "300-cycles"):
        labels = enlarged(tifffile.imread(FOLDER / f"{name}.tif")[:, :PART, :PART])
        grey = np.clip(np.rint(shining(labels, GREYS)), 0, 255).astype(np.uint8)
        tifffile.imwrite(FOLDER / f"{name}-grey.tif", grey, photometric="minisblack", compression="zlib")
        tifffile.imwrite(FOLDER / f"{name}-scribbles.tif", painted(labels, every=10, strokes=60), compression="zlib")
        found = Path("results") / "ageing" / f"{name}-labels" / "labels.tif"
        if "--check" in sys.argv:
            print(name, "Dice", np.round(dice(tifffile.imread(found) - 1, labels, range(4)), 3))
            print("  true shares", np.round(np.bincount(labels.ravel()) / labels.size, 4))
