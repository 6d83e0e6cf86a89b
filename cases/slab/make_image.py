"""Makes image.png: four columns of source, then a slab of 100 columns. Labels: 0 source, 1 slab."""

from pathlib import Path

import numpy as np
from PIL import Image

labels = np.ones((20, 104), dtype=np.uint8)  # rows (y), columns (x)
labels[:, :4] = 0
Image.fromarray(labels).save(Path(__file__).with_name("image.png"))
