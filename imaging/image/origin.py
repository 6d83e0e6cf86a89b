"""Where a segmented image comes from: files, shape, labels, voxel size and who states it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from microlith.imaging.errors import InputError

PIECE = 1 << 22  # bytes read at a time


@dataclass(frozen=True)
class Origin:
    """What is known of an image beside its phases."""

    path: str = ""  # as the case names it: a file, a folder or a pattern
    files: tuple[Path, ...] = ()  # that hold it, in order; none for labels in memory
    shape: tuple[int, ...] = ()  # of the array in the file, ([z,] y, x)
    dtype: str = ""  # of its values
    voxel_size: tuple[float, ...] = ()  # metres, of the voxels in the file, ([z,] y, x)
    size_sources: tuple[str, ...] = ()  # for each axis: "the case file", or what of the image file states it
    labels: tuple[tuple[str, int], ...] = ()  # each label, as messages name it, and the voxels of the crop that have it
    coarsening: tuple[str, ...] = ()  # what coarsen did to each phase, in words
    warnings: tuple[str, ...] = ()  # what the user has to hear of all this, in sentences

    @property
    def size_source(self) -> str:
        """Who states the voxel size, in words."""
        return " and ".join(dict.fromkeys(self.size_sources[::-1]))

    def checksum(self) -> str:
        """SHA-256 of the files, one after the other, as `cat FILES | sha256sum` prints it; empty without files.

        Raises:
            InputError: A file can't be read any more.
        """
        if not self.files:
            return ""
        total = hashlib.sha256()
        for path in self.files:
            try:
                with path.open("rb") as file:
                    while piece := file.read(PIECE):
                        total.update(piece)
            except OSError as error:
                raise InputError(f"{path}: can't be read ({error.strerror}); it was there before") from error
        return total.hexdigest()
