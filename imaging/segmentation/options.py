"""What a segmentation is asked for, validated and in SI."""

import math
from dataclasses import dataclass, field
from typing import Literal

from microlith.imaging.segmentation.classing import Rule
from microlith.imaging.segmentation.regions import RegionOptions
from microlith.imaging.segmentation.scribbles import Scribbles

Method = Literal["thresholds", "otsu", "multi-otsu", "multistage", "regions"]


@dataclass(frozen=True)
class Extent:
    """A length in space, or a number of voxels along each axis."""

    value: float
    in_voxels: bool

    def voxels(self, voxel_size: tuple[float, float, float]) -> tuple[float, float, float]:
        """Voxels along (z, y, x).

        Args:
            voxel_size: m, (z, y, x).
        """
        z, y, x = (self.value if self.in_voxels else self.value / edge for edge in voxel_size)
        return z, y, x


@dataclass(frozen=True)
class Size:
    """A size below which something is small: voxels, or the diameter of a sphere (in 2D a disk) as large."""

    value: float  # voxels, or m
    in_voxels: bool

    def voxels(self, voxel_size: tuple[float, ...]) -> float:
        """Voxels of what is just not small.

        Args:
            voxel_size: m, for each axis that the image has.
        """
        if self.in_voxels:
            return self.value
        return math.prod(self.value / edge for edge in voxel_size) * math.pi / (6 if len(voxel_size) == 3 else 4)


@dataclass(frozen=True)
class CleanupOptions:
    """What is cleaned, in this order; by phase."""

    opening: dict[str, float] = field(default_factory=dict)  # radius of a ball, voxels: what it does not fit in goes
    closing: dict[str, float] = field(default_factory=dict)  # radius of a ball, voxels: gaps it does not fit in close
    pieces: dict[str, Size] = field(default_factory=dict)  # pieces below this size go
    holes: dict[str, Size] = field(default_factory=dict)  # what lies wholly within the phase and is smaller goes
    unreached: dict[str, tuple[str, ...]] = field(default_factory=dict)  # faces, none: any; other pieces go

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return any((self.opening, self.closing, self.pieces, self.holes, self.unreached))


@dataclass(frozen=True)
class Certainty:
    """How far thresholds or votes are moved to see what depends on them."""

    shift: float = 0.1  # of the contrast between the two phases
    votes: float = 0.25  # of the trees of a forest
    phases: tuple[str, ...] | None = None  # of which moved images are written; None: all


@dataclass(frozen=True)
class SegmentOptions:
    """A segmentation, but for its image and filters."""

    phases: tuple[str, ...]  # labels 1, 2, ...; from dark to bright where thresholds decide
    method: Method
    thresholds: tuple[float, ...] = ()  # of method thresholds
    rim: int = 1  # of method multistage: voxels on either side of an interface that may hold two phases
    deblur: bool = False  # of method multistage: whether labels are to explain the grey values by a blur
    regions: RegionOptions = field(default_factory=RegionOptions)
    depth: int = 12  # of method regions: slices that may shine through pores; 0: labels are those of the regions
    transparent: str | None = None  # of method regions: phase through which they shine; None: the darkest
    rules: tuple[Rule, ...] = ()  # of method regions; none: scribbles say
    scribbles: Scribbles | None = None
    cleanup: CleanupOptions = field(default_factory=CleanupOptions)
    certainty: Certainty = field(default_factory=Certainty)

    @property
    def moved(self) -> tuple[str, ...]:
        """Phases of which two more label images are made."""
        return self.certainty.phases or self.phases
