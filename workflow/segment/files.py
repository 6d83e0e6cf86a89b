"""Label images as TIFF files that carry their voxel size: what other commands, Fiji and napari read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from microlith.imaging.typing import Phases
from microlith.imaging.volumes.disk_volumes import DiskVolume
from microlith.imaging.writing import whole_file

MICROMETRE = 1e-6
LARGEST_IMAGEJ = (1 << 32) - (1 << 25)  # bytes of a TIFF file that ImageJ's form can have


def write_tiff(path: Path, volume: DiskVolume, dim: int, voxel_size: tuple[float, float, float], add: int = 0) -> None:
    """Write a volume of bytes, page by page; on one rank.

    Args:
        path: The file; it appears whole or not at all.
        volume: The values.
        dim: Of the image; of 2 the volume has one layer.
        voxel_size: m, (z, y, x).
        add: To each value; 255 and 1 make 0.

    Raises:
        InputError: The file can't be written.
    """
    import tifffile

    z, y, x = (edge / MICROMETRE for edge in voxel_size)
    shape = volume.shape if dim == 3 else volume.shape[1:]
    imagej = int(np.prod(volume.shape, dtype=np.int64)) < LARGEST_IMAGEJ
    metadata = {"axes": "ZYX" if dim == 3 else "YX", "unit": "um"} | ({"spacing": z} if dim == 3 else {})

    def pages() -> Iterator[Phases]:
        for layer in volume.values():
            yield layer + np.uint8(add)

    with whole_file(path) as temporary, tifffile.TiffWriter(temporary, imagej=imagej, bigtiff=not imagej) as file:
        file.write(
            pages(),
            shape=shape,
            dtype=np.uint8,
            resolution=(1 / x, 1 / y),
            resolutionunit="NONE",
            metadata=metadata,
            compression="zlib",
            photometric="minisblack",
        )
