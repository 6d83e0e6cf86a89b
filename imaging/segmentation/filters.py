"""Filters of grey values, each a pass over the volume in blocks, with the layers around a block that it needs.

None of them depends on where a block begins, so that the numbers are the same on any number of ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.segmentation.options import Extent
from microlith.imaging.typing import Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, named, quiet

TRUNCATE = 4.0  # standard deviations at which a Gaussian ends

Edges = tuple[float, float, float]  # of a voxel, m, (z, y, x)
Work = Callable[[Layers], Singles]  # from a block to its filtered values


class Filter(Protocol):
    """A filter."""

    @property
    def smooths(self) -> bool:
        """Whether it takes out noise, and fine structures with it; else it corrects what the microscope adds."""

    @property
    def name(self) -> str:
        """Its key."""

    def halo(self, voxel_size: Edges) -> int:
        """Layers around a block that it reads."""

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """The work on a block, and what was found out before, in words; collective."""


@dataclass(frozen=True)
class Median:
    """The median of a cube around each voxel."""

    radius: int  # voxels
    name: str = "median"
    smooths: bool = True

    def halo(self, voxel_size: Edges) -> int:
        """Its radius."""
        return self.radius

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter."""
        from scipy import ndimage

        size = tuple(2 * self.radius + 1 if n > 1 else 1 for n in grey.shape)

        def work(layers: Layers) -> Singles:
            return ndimage.median_filter(grey.values()[layers.read], size=size, mode="nearest")[layers.own]

        return work, f"cube of {2 * self.radius + 1} voxels"


@dataclass(frozen=True)
class Gaussian:
    """The mean of what is around each voxel, weighted by a Gaussian."""

    deviation: Extent
    name: str = "gaussian"
    smooths: bool = True

    def _sigma(self, voxel_size: Edges) -> Edges:
        return self.deviation.voxels(voxel_size)

    def halo(self, voxel_size: Edges) -> int:
        """As far as the Gaussian reaches."""
        return ceil(TRUNCATE * self._sigma(voxel_size)[0])

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter.

        Raises:
            InputError: It is wider than the image.
        """
        from scipy import ndimage

        sigma = tuple(s if n > 1 else 0.0 for s, n in zip(self._sigma(voxel_size), grey.shape, strict=True))

        shown = ", ".join(f"{s:.3g}" for s in sigma[::-1])
        if all(s >= n for s, n in zip(sigma, grey.shape, strict=True) if n > 1):
            edges = " x ".join(map(str, grey.shape[::-1]))
            raise InputError(
                f"[filters] gaussian: a standard deviation of {shown} voxels along x, y, z is wider than the image, "
                f"{edges}; choose one of the size of the noise, about a voxel"
            )

        def work(layers: Layers) -> Singles:
            values = grey.values()[layers.read]
            return ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=TRUNCATE)[layers.own]

        return work, f"standard deviation {shown} voxels along x, y, z"


@dataclass(frozen=True)
class Filtered:
    """What a filter did."""

    name: str
    how: str  # in words


def filtered(
    grey: DiskVolume,
    filters: tuple[Filter, ...],
    voxel_size: Edges,
    workshop: Workshop,
    tell: Tell = quiet,
    prefix: str = "grey",
) -> tuple[DiskVolume, tuple[Filtered, ...]]:
    """Pass a volume through filters, one after the other; collective. The given volume stays, those between do not.

    Args:
        grey: The volume.
        filters: In their order.
        voxel_size: m, (z, y, x).
        workshop: Where files go, and the ranks.
        tell: Hears how far it is.
        prefix: Of the names of files.

    Raises:
        InputError: The disk is full.
    """
    done = []
    raw = grey
    for number, one in enumerate(filters, 1):
        tell(one.name, None)
        target = workshop.new(f"{prefix}-{number}", grey.shape, np.float32)
        work, how = one.prepared(grey, voxel_size, workshop)
        workshop.fill(target, work, one.halo(voxel_size), named(tell, one.name))
        if grey is not raw:
            workshop.remove(grey)
        grey = target
        done.append(Filtered(one.name, how))
    return grey, tuple(done)
