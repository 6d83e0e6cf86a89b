"""Images that are too thin to be periodic."""

from collections.abc import Iterable

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume

FEWEST = 3  # of fewer, two squares or cubes would have two facets in common, and tetrahedra of a lattice become flat


def refuse_few_layers(volume: LabelVolume, periodic: Iterable[int]) -> None:
    """Refuse an image with too few voxels along a periodic axis (x first).

    Raises:
        InputError: It is one.
    """
    for axis in periodic:
        if volume.grid[axis] < FEWEST:
            voxels = "one voxel" if volume.grid[axis] == 1 else f"{volume.grid[axis]} voxels"
            raise InputError(
                f'[faces] {AXES[axis]} = "periodic": the image has {voxels} along {AXES[axis]}; '
                f"expected {FEWEST} at least"
            )
